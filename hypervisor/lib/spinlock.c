/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket locks: fair, first come, first served. Where a processor may itself be waiting for one to run on - under an
 * emulator, or another hypervisor - whoever comes by takes the lock when it is free: the next in line may not be
 * running, and everybody would wait for it. Debug builds keep, per CPU, the locks held and panic when a lock is taken
 * out of rank or released by another CPU. A violated rank is the hypervisor's own bug, never a guest's doing.
 *
 * While a CPU spins with interrupts off it answers shoot-downs by polling, so that a lock holder that waits for a flush
 * gets it.
 */
#include <hv/boot.h>
#include <hv/cpumask.h>
#include <hv/percpu.h>
#include <hv/spinlock.h>
#include <hv/x86.h>

#define MAX_HELD 16

/* An interrupt may come between any two stores: it puts its own locks behind what is counted, and takes them off. */
struct held_locks {
    unsigned int count;
    spinlock_t *lock[MAX_HELD]; /* NULL: being put there, or taken away; so are all behind those that are counted */
};

#if DEBUG
static DEFINE_PER_CPU(struct held_locks, held);
bool lock_checks_enabled;

static void rank_check(const spinlock_t *l, bool nested)
{
    const struct held_locks *h = &this_cpu(held);

    if (!lock_checks_enabled)
        return;
    for (unsigned int i = 0; i < h->count; i++) {
        const spinlock_t *other = h->lock[i];
        uint16_t r = other ? other->rank : 0;

        if (r > l->rank || (r == l->rank && !nested)) {
            lock_checks_enabled = false;
            panic("lock rank %u taken while rank %u is held", l->rank, r);
        }
        if (r == l->rank && other >= l) {
            lock_checks_enabled = false;
            panic("lock of rank %u taken after one at a higher address", r);
        }
    }
}

bool spin_may_take(uint16_t rank)
{
    const struct held_locks *h = &this_cpu(held);

    for (unsigned int i = 0; lock_checks_enabled && i < h->count; i++)
        if (h->lock[i] && h->lock[i]->rank >= rank)
            return false;
    return true;
}

static void rank_push(spinlock_t *l)
{
    struct held_locks *h = &this_cpu(held);

    if (!lock_checks_enabled)
        return;
    l->holder = (uint16_t)(smp_processor_id() + 1);
    if (h->count < MAX_HELD) {
        h->count++;
        barrier();
        h->lock[h->count - 1] = l;
    }
}

static void rank_pop(spinlock_t *l)
{
    struct held_locks *h = &this_cpu(held);

    if (l->holder != 0 && lock_checks_enabled && l->holder != smp_processor_id() + 1) {
        lock_checks_enabled = false;
        panic("lock rank %u released by CPU %u, held by %u", l->rank, smp_processor_id(), l->holder - 1u);
    }
    l->holder = 0;
    for (unsigned int i = h->count; i-- > 0;)
        if (h->lock[i] == l) {
            h->lock[i] = h->lock[h->count - 1];
            barrier();
            h->lock[h->count - 1] = NULL;
            barrier();
            h->count--;
            return;
        }
}
#else
static void rank_check(const spinlock_t *l, bool nested)
{
}

bool spin_may_take(uint16_t rank)
{
    return true;
}

static void rank_push(spinlock_t *l)
{
}

static void rank_pop(spinlock_t *l)
{
}
#endif

static bool queues = true;
static enum { AUTO, QUEUE, FREE } opt_spinlocks;

static int parse_spinlocks(const char *value)
{
    opt_spinlocks = strcmp(value, "queue") == 0 ? QUEUE : strcmp(value, "free") == 0 ? FREE : AUTO;
    return opt_spinlocks == AUTO ? -EINVAL : 0;
}
CMDLINE_CUSTOM("spinlocks", parse_spinlocks);

void spin_locks_init(bool virtualised)
{
    WRITE_ONCE(queues, opt_spinlocks == AUTO ? !virtualised : opt_spinlocks == QUEUE);
}

static void wait_a_little(void)
{
    cpu_relax();
    if (!irqs_enabled())
        tlb_poll();
}

/* Takes a ticket if it is served at once. */
static bool take_free(spinlock_t *l)
{
    uint32_t head = __atomic_load_n(&l->head, __ATOMIC_ACQUIRE), expect = head;

    return __atomic_compare_exchange_n(&l->tail, &expect, head + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void acquire(spinlock_t *l)
{
    uint32_t ticket;

    if (!READ_ONCE(queues)) {
        while (!take_free(l))
            do
                wait_a_little();
            while (spin_is_locked(l));
        return;
    }
    ticket = __atomic_fetch_add(&l->tail, 1, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&l->head, __ATOMIC_ACQUIRE) != ticket)
        wait_a_little();
}

void spin_lock(spinlock_t *l)
{
    rank_check(l, false);
    acquire(l);
    rank_push(l);
}

void spin_lock_nested(spinlock_t *l)
{
    rank_check(l, true);
    acquire(l);
    rank_push(l);
}

bool spin_trylock(spinlock_t *l)
{
    if (!take_free(l))
        return false;
    rank_push(l);
    return true;
}

void spin_unlock(spinlock_t *l)
{
    rank_pop(l);
    __atomic_store_n(&l->head, l->head + 1, __ATOMIC_RELEASE);
}

unsigned long spin_lock_irqsave(spinlock_t *l)
{
    unsigned long flags = irq_save();

    spin_lock(l);
    return flags;
}

void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags)
{
    spin_unlock(l);
    irq_restore(flags);
}

bool spin_is_locked(const spinlock_t *l)
{
    return READ_ONCE(l->head) != READ_ONCE(l->tail);
}
