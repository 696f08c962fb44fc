// SPDX-License-Identifier: BSD-2-Clause
/* Random numbers, messages, locks, the current CPU. */
#include <stdlib.h>
#include <time.h>
#include <hv/sched.h>
#include "fake.h"
#include "../../../hypervisor/mm/pv/pt.h"

bool fake_verbose;
unsigned int fake_preempt_percent, fake_locks_held;
cpumask_t cpu_online_map = {(1u << FAKE_CPUS) - 1};
unsigned int nr_cpus = FAKE_CPUS;

static uint64_t rng;
static const uint8_t *feed, *feed_end;
static struct cpu_info cpu_infos[FAKE_CPUS];
static unsigned int this_cpu_nr;
static const spinlock_t *held[16];

uint64_t fake_seed(const char *test)
{
    const char *s = getenv("UMBRA_SEED");

    rng = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    printf("%s: UMBRA_SEED=%#llx\n", test, (unsigned long long)rng);
    fflush(stdout);
    fake_verbose = getenv("UMBRA_VERBOSE") != NULL;
    return rng;
}

void fake_feed(const uint8_t *bytes, size_t n)
{
    rng = 0;
    feed = bytes;
    feed_end = n ? bytes + n : bytes;
}

bool fake_fed(void)
{
    return feed != feed_end;
}

static uint64_t take(size_t bytes)
{
    uint64_t value = 0;

    bytes = MIN(bytes, (size_t)(feed_end - feed));
    memcpy(&value, feed, bytes);
    feed += bytes;
    return value;
}

/* splitmix64 */
uint64_t fake_rand(void)
{
    uint64_t z;

    if (fake_fed())
        return take(sizeof(z));
    z = (rng += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

unsigned int fake_below(unsigned int n)
{
    if (fake_fed()) /* as few bytes as it takes */
        return (unsigned int)(take(n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4) % n);
    return (unsigned int)(fake_rand() % n);
}

bool fake_chance(unsigned int percent)
{
    return fake_below(100) < percent;
}

unsigned long fake_ops(unsigned long normal)
{
    const char *s = getenv("UMBRA_OPS");

    return s ? strtoul(s, NULL, 0) : normal;
}

struct cpu_info *get_cpu_info(void)
{
    return &cpu_infos[this_cpu_nr];
}

void fake_run_on(unsigned int cpu, struct vcpu *v)
{
    this_cpu_nr = cpu;
    cpu_infos[cpu].cpu = cpu;
    cpu_infos[cpu].cur_vcpu = v;
}

unsigned long cpu_cr3(unsigned int cpu)
{
    return cpu_infos[cpu].cr3;
}

/* Programs without PV domains on shadows. */
__attribute__((weak)) void pv_init_l4_slots(pte_t *l4, struct domain *d)
{
}

__attribute__((weak)) struct page_info *pv_next_frame(struct domain *d)
{
    return NULL;
}

__attribute__((weak)) void domain_pause(struct domain *d)
{
}

__attribute__((weak)) void domain_unpause(struct domain *d)
{
}

/* sched.c has the real one. Programs without work to measure do without the measurement. */
__attribute__((weak)) void stretch_point(void)
{
}

__attribute__((weak)) bool preempt_needed(void)
{
    stretch_point();
    return fake_preempt_percent && fake_chance(fake_preempt_percent);
}

void vprintk(const char *fmt, va_list ap)
{
    if (fake_verbose)
        vfprintf(stderr, fmt, ap);
}

void printk(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintk(fmt, ap);
    va_end(ap);
}

void gprintk(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintk(fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

void spin_lock_nested(spinlock_t *l)
{
    if (l->head)
        panic("lock of rank %u taken twice\n", l->rank);
    l->head = 1;
    held[fake_locks_held++] = l;
}

void (*fake_lock_hook)(const spinlock_t *l);

void spin_lock(spinlock_t *l)
{
    if (fake_lock_hook)
        fake_lock_hook(l);
    for (unsigned int i = 0; i < fake_locks_held; i++)
        if (held[i]->rank >= l->rank)
            panic("lock rank %u taken while rank %u is held\n", l->rank, held[i]->rank);
    spin_lock_nested(l);
}

bool spin_trylock(spinlock_t *l)
{
    if (l->head)
        return false;
    spin_lock_nested(l);
    return true;
}

void spin_unlock(spinlock_t *l)
{
    unsigned int i = fake_locks_held;

    while (i-- > 0 && held[i] != l)
        ;
    if (i >= ARRAY_SIZE(held) || !l->head)
        panic("lock of rank %u released, but not held\n", l->rank);
    l->head = 0;
    for (fake_locks_held--; i < fake_locks_held; i++)
        held[i] = held[i + 1];
}

const spinlock_t *fake_lock_aside(void)
{
    const spinlock_t *l = fake_locks_held ? held[0] : NULL;

    fake_locks_held = 0;
    return l;
}

void fake_lock_back(const spinlock_t *l)
{
    if (l)
        held[fake_locks_held++] = l;
}

unsigned long spin_lock_irqsave(spinlock_t *l)
{
    spin_lock(l);
    return 0;
}

void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags)
{
    spin_unlock(l);
}

bool spin_is_locked(const spinlock_t *l)
{
    return l->head != 0;
}
