/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spinlocks, queued for and not: one holder at a time among threads; ranks and holders checked, whenever an interrupt
 * comes; the boot word.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../hypervisor/lib/spinlock.c"

#define THREADS 4
#define ROUNDS  20000

static __thread struct cpu_info cpu;
static jmp_buf panicked;
static spinlock_t lock = SPINLOCK_INIT(RANK_HEAP);
static unsigned long counted; /* by whoever holds the lock */

struct cpu_info *get_cpu_info(void)
{
    return &cpu;
}

void tlb_poll(void)
{
}

void panic(const char *fmt, ...)
{
    longjmp(panicked, 1);
}

static void *count(void *number)
{
    cpu.cpu = (uint32_t)(uintptr_t)number;
    for (unsigned int i = 0; i < ROUNDS;) {
        if (i % 3 && !spin_trylock(&lock))
            continue;
        if (i % 3 == 0)
            spin_lock(&lock);
        counted++;
        i++;
        spin_unlock(&lock);
    }
    return NULL;
}

static void one_holder(const char *word)
{
    pthread_t thread[THREADS];

    assert_int_equal(parse_spinlocks(word), 0);
    spin_locks_init(false);
    counted = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count, (void *)i), 0);
    for (unsigned int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(counted, THREADS * ROUNDS);
    assert_false(spin_is_locked(&lock));
}

static void test_in_turn(void **state)
{
    one_holder("queue");
}

static void test_no_queue(void **state)
{
    one_holder("free");
}

/* Tickets are the same in both: what counts 2^32 of them goes on. */
static void test_wraps(void **state)
{
    lock.head = lock.tail = ~0u;
    test_in_turn(state);
    lock.head = lock.tail = ~0u;
    test_no_queue(state);
}

static void test_word(void **state)
{
    assert_int_equal(parse_spinlocks("fast"), -EINVAL);
    spin_locks_init(true);
    assert_false(queues);
    spin_locks_init(false);
    assert_true(queues);
    assert_int_equal(parse_spinlocks("queue"), 0);
    spin_locks_init(true);
    assert_true(queues);
    assert_int_equal(parse_spinlocks("free"), 0);
    spin_locks_init(false);
    assert_false(queues);
}

#define PANICS(statement)                  \
    do {                                   \
        lock_checks_enabled = true;        \
        if (setjmp(panicked) == 0) {       \
            statement;                     \
            fail_msg("%s", #statement);    \
        }                                  \
        assert_false(lock_checks_enabled); \
    } while (0)

static void test_ranks(void **state)
{
    static spinlock_t pair[] = {SPINLOCK_INIT(RANK_HEAP), SPINLOCK_INIT(RANK_HEAP)};
    spinlock_t outer = SPINLOCK_INIT(RANK_PT);

    lock_checks_enabled = true;
    spin_lock(&outer);
    assert_true(spin_may_take(RANK_HEAP));
    spin_lock(&pair[0]);
    assert_false(spin_may_take(RANK_HEAP));
    spin_lock_nested(&pair[1]);
    spin_unlock(&pair[1]);
    PANICS(spin_lock(&pair[1]));
    spin_unlock(&pair[0]);
    lock_checks_enabled = true;
    spin_lock(&pair[1]);
    PANICS(spin_lock_nested(&pair[0])); /* two CPUs would wait for each other */
    PANICS(spin_lock_nested(&pair[1]));
    spin_unlock(&pair[1]);
    spin_unlock(&outer);
    lock_checks_enabled = true;
    spin_lock(&lock);
    cpu.cpu = 1;
    PANICS(spin_unlock(&lock));
    cpu.cpu = 0;
    spin_unlock(&lock);
}

/* ---- interrupts: one after each instruction of what is stepped through, which takes a lock of its own ---- */

#define TRAP_FLAG (1ul << 8)

static spinlock_t inner = SPINLOCK_INIT(RANK_TIMER);
static volatile sig_atomic_t interrupts;
static bool false_alarm;

static void interrupt(int sig)
{
    unsigned long flags;

    interrupts++;
    if (setjmp(panicked) == 0) {
        flags = spin_lock_irqsave(&inner);
        spin_unlock_irqrestore(&inner, flags);
    } else {
        false_alarm = true;
    }
}

static void step(bool on)
{
    unsigned long flags = __builtin_ia32_readeflags_u64();

    __builtin_ia32_writeeflags_u64(on ? flags | TRAP_FLAG : flags & ~TRAP_FLAG);
}

/* What is held is known at each moment, in whatever order it is let go. */
static void test_interrupts(void **state)
{
    spinlock_t first = SPINLOCK_INIT(RANK_PT), second = SPINLOCK_INIT(RANK_HEAP), leaf = SPINLOCK_INIT(RANK_LEAF);

    signal(SIGTRAP, interrupt);
    lock_checks_enabled = true;
    spin_lock(&leaf); /* what was held last is no longer */
    spin_unlock(&leaf);
    step(true);
    spin_lock(&first);
    spin_lock(&second);
    spin_unlock(&first);
    step(false);
    signal(SIGTRAP, SIG_DFL);
    assert_in_range(interrupts, 100, 100000);
    assert_false(false_alarm);
    assert_false(spin_may_take(RANK_HEAP));
    assert_true(spin_may_take(RANK_HEAP + 1));
    spin_unlock(&second);
    assert_true(spin_may_take(RANK_DOMCTL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word),  cmocka_unit_test(test_in_turn), cmocka_unit_test(test_no_queue),
        cmocka_unit_test(test_wraps), cmocka_unit_test(test_ranks),   cmocka_unit_test(test_interrupts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
