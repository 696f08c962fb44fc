// SPDX-License-Identifier: BSD-2-Clause
/* See core.h. */
#include "core.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <hv/boot.h>
#include <hv/grant.h>
#include <hv/guest_copy.h>
#include <hv/guest_window.h>
#include <hv/irq.h>
#include <hv/timer.h>
#include "../../../hypervisor/sched/queue.h"

#define MAX_RESTARTS 100000u

struct core core;
uint8_t guest_memory[GUEST_SIZE] __attribute__((aligned(4096)));

static size_t guest_used;
static uint8_t *low;
static struct vcpu *running[FAKE_CPUS];
static uint64_t free_at_begin;
static unsigned int cpu_now;
static jmp_buf *switched;

/* ---- processors ---- */

void core_on(unsigned int cpu)
{
    cpu_now = cpu;
    fake_run_on(cpu, running[cpu]);
}

void core_as(struct vcpu *v)
{
    assert_true(v->is_running);
    core_on(v->processor);
    assert_ptr_equal(current, v);
}

/* As sched/switch.c has it, without the flush. Guests here may have no tables. */
static void load_tables(const struct vcpu *prev, const struct vcpu *next)
{
    mfn_t base = next->pv.kernel_mode ? next->pv.l4_kernel : next->pv.l4_user;
    bool own = !is_idle_vcpu(next) && !next->hvm && mfn_valid(base);

    get_cpu_info()->cr3 = own ? pv_cr3(next) : 0;
    if (!is_idle_vcpu(next))
        cpumask_set(&next->domain->dirty_cpus, cpu_now);
    if (!is_idle_vcpu(prev) && prev->domain != next->domain)
        cpumask_clear(&prev->domain->dirty_cpus, cpu_now);
}

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    assert_int_equal(fake_locks_held, 0);
    running[cpu_now] = next;
    core_on(cpu_now);
    load_tables(prev, next);
    if (!is_idle_vcpu(next))
        vcpu_load_timers(next);
    if (prev == core.hold && prev)
        prev = NULL;
    if (prev)
        sched_context_saved(prev);
    stretch_end();
    longjmp(*switched, 1);
}

void core_finish_switch(void)
{
    struct vcpu *v = core.hold;

    core.hold = NULL;
    sched_context_saved(v);
}

void core_softirqs(unsigned int cpu)
{
    unsigned int back = cpu_now;
    jmp_buf here, *outer = switched;

    core_on(cpu);
    switched = &here;
    while (per_cpu(softirq_pending, cpu_now))
        if (!setjmp(here))
            do_softirq();
    switched = outer;
    core_on(back);
}

void core_settle(void)
{
    bool more;

    do {
        more = false;
        for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++) {
            more = more || per_cpu(softirq_pending, cpu);
            core_softirqs(cpu);
        }
    } while (more);
}

void core_pass(s_time_t ns)
{
    s_time_t end = core.now + ns;

    for (;;) {
        unsigned int first = 0;

        for (unsigned int cpu = 1; cpu < FAKE_CPUS; cpu++)
            if (core.deadline[cpu] < core.deadline[first])
                first = cpu;
        if (core.deadline[first] > end)
            break;
        core.now = MAX(core.now, core.deadline[first]);
        core.deadline[first] = STIME_MAX;
        set_bit(SOFTIRQ_TIMER, &per_cpu(softirq_pending, first));
        core_settle();
    }
    core.now = end;
}

void apic_send_ipi(unsigned int cpu, uint8_t vector)
{
    assert_true(cpu < FAKE_CPUS);
    core.ipis[cpu]++;
}

s_time_t system_time(void)
{
    return core.now;
}

bool apic_program_timer(s_time_t deadline)
{
    core.deadline[cpu_now] = deadline;
    return deadline > core.now;
}

/* The other CPU handles its interrupt while this one waits. */
void __real_vcpu_sleep_sync(struct vcpu *v);
void __wrap_vcpu_sleep_sync(struct vcpu *v);
void __wrap_vcpu_sleep_sync(struct vcpu *v)
{
    assert_int_equal(fake_locks_held > 1, false); /* at most the domctl lock */
    vcpu_sleep_nosync(v);
    if (v->is_running && !vcpu_runnable(v)) {
        const spinlock_t *mine = fake_lock_aside();

        core_softirqs(v->processor);
        fake_lock_back(mine);
    }
    __real_vcpu_sleep_sync(v);
}

bool __real_preempt_needed(void);
bool __wrap_preempt_needed(void);
bool __wrap_preempt_needed(void)
{
    static unsigned int asked;

    stretch_point();
    return core.preempt ? ++asked % core.preempt == 0 : __real_preempt_needed();
}

/* ---- allocations that fail ---- */

static bool alloc_fails(void)
{
    core.allocs++;
    return core.fail_alloc && --core.fail_alloc == 0;
}

#define WRAP_ALLOC(type, name, params, args)              \
    type __real_##name params;                            \
    type __wrap_##name params;                            \
    type __wrap_##name params                             \
    {                                                     \
        return alloc_fails() ? NULL : __real_##name args; \
    }
WRAP_ALLOC(void *, hv_alloc, (size_t size), (size))
WRAP_ALLOC(struct page_info *, alloc_hv_pages, (unsigned int order, unsigned int memf), (order, memf))
WRAP_ALLOC(void *, alloc_hv_mem, (unsigned int order), (order))
WRAP_ALLOC(struct page_info *, alloc_domain_pages, (struct domain * d, unsigned int order, unsigned int memf),
           (d, order, memf))

/* ---- guest memory ---- */

void *guest_alloc(size_t size)
{
    void *p = guest_memory + guest_used;

    guest_used += ROUND_UP(size, 16);
    assert_true(guest_used <= GUEST_SIZE);
    return p;
}

void *guest_low(void)
{
    if (!low)
        low = mmap(NULL, GUEST_LOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    assert_true((uintptr_t)low + GUEST_LOW <= 1ul << 32);
    return memset(low, 0, GUEST_LOW);
}

static bool within(const void *p, size_t n, const uint8_t *memory, size_t size)
{
    size_t offset = (size_t)((const uint8_t *)p - memory);

    return offset < size && n <= size - offset;
}

void *core_bad_pointer(unsigned int kind, size_t n)
{
    void *const odd[NR_BAD_POINTERS] = {
        NULL, FAULT, (void *)HYPERVISOR_BASE, (void *)(1ul << 47), (void *)~7ul, guest_memory + GUEST_SIZE - n + 1};

    return odd[kind % NR_BAD_POINTERS];
}

static bool accessible(const void *p, size_t n)
{
    if (core.copy_hook)
        core.copy_hook();
    if (core.fail_copy && --core.fail_copy == 0)
        return false;
    return n == 0 || within(p, n, guest_memory, GUEST_SIZE) || (low && within(p, n, low, GUEST_LOW));
}

int guest_copy_from(void *dst, const void *guest_src, size_t n)
{
    if (in_guest_window(guest_src))
        return guest_window_read(dst, guest_src, n);
    if (!accessible(guest_src, n))
        return -EFAULT;
    if (n)
        memcpy(dst, guest_src, n);
    return 0;
}

int guest_copy_to(void *guest_dst, const void *src, size_t n)
{
    if (in_guest_window(guest_dst))
        return guest_window_write(guest_dst, src, n);
    if (!accessible(guest_dst, n))
        return -EFAULT;
    if (n)
        memcpy(guest_dst, src, n);
    return 0;
}

int guest_clear(void *guest_dst, size_t n)
{
    static const uint8_t zeros[PAGE_SIZE];

    assert_true(n <= sizeof(zeros));
    return guest_copy_to(guest_dst, zeros, n);
}

/* ---- hypercalls ---- */

long core_call(unsigned int op, unsigned long a0, unsigned long a1, unsigned long a2)
{
    return core_call4(op, a0, a1, a2, 0);
}

long core_call4(unsigned int op, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3)
{
    return core_call5(op, a0, a1, a2, a3, 0);
}

long core_call5(unsigned int op, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3,
                unsigned long a4)
{
    struct cpu_user_regs regs = {.rax = op, .rdi = a0, .rsi = a1, .rdx = a2, .r10 = a3, .r8 = a4, .rip = 0x1000};

    for (core.restarts = 0; core.restarts < MAX_RESTARTS; core.restarts++) {
        pv_hypercall(&regs);
        assert_int_equal(fake_locks_held, 0);
        if (regs.rip == 0x1000)
            return (long)regs.rax;
        assert_int_equal(regs.rip, 0x1000 - 2);
        assert_int_equal(regs.rax, op);
        regs.rip = 0x1000;
        if (core.restart_hook)
            core.restart_hook();
    }
    fail_msg("hypercall %u restarts for ever", op);
    return 0;
}

/* ---- domains ---- */

struct xen_domctl_createdomain core_config(unsigned int vcpus)
{
    return (struct xen_domctl_createdomain){.max_vcpus = vcpus,
                                            .max_evtchn_port = 1023,
                                            .max_grant_frames = 4,
                                            .max_maptrack_frames = 4,
                                            .grant_opts = XEN_DOMCTL_GRANT_version(2)};
}

static struct domain *create(domid_t id, unsigned int vcpus, uint32_t flags, unsigned long max)
{
    struct xen_domctl_createdomain config = core_config(vcpus);
    struct domain *d;

    config.flags = flags;
    assert_int_equal(domain_create(id, &config, id == 0, &d), 0);
    d->max_pages = max;
    for (unsigned int i = 0; i < vcpus; i++) {
        assert_int_equal(vcpu_create(d, i), 0);
        d->vcpu[i]->is_initialised = true;
        clear_bit(VPF_down, &d->vcpu[i]->pause_flags);
    }
    return d;
}

static void let_run(struct domain *d)
{
    d->controller_pause_count = 0;
    domain_unpause(d);
    core_settle();
}

struct domain *core_translated(domid_t id, unsigned int vcpus, unsigned long max)
{
    struct domain *d = create(id, vcpus, XEN_DOMCTL_CDF_hvm, max);

    let_run(d);
    return d;
}

static struct domain *start(domid_t id, unsigned int vcpus, unsigned int pages)
{
    struct domain *d = create(id, vcpus, 0, pages);

    for (unsigned int i = 0; i < pages; i++)
        assert_non_null(alloc_domain_pages(d, 0, 0));
    let_run(d);
    return d;
}

struct domain *core_guest(unsigned int vcpus, unsigned int pages)
{
    domid_t id = 1;
    struct domain *d;

    while ((d = domain_get(id)) != NULL) {
        domain_put(d);
        id++;
    }
    return start(id, vcpus, pages);
}

/* As the call that it is a part of: what was done before it is not its work. */
static int kill_slice(struct domain *d)
{
    int rc;

    stretch_begin(__HYPERVISOR_domctl, XEN_DOMCTL_destroydomain);
    rc = domain_kill(d);
    stretch_end();
    return rc;
}

void core_kill(struct domain *d)
{
    unsigned int n = 0;

    while (kill_slice(d) == -ERESTART)
        assert_true(++n < MAX_RESTARTS);
    core_settle();
}

/* A CPU that runs nothing of d: nobody destroys himself. */
static void step_aside(const struct domain *d)
{
    for (unsigned int cpu = 0; cpu < FAKE_CPUS && current->domain == d; cpu++)
        core_on(cpu);
}

static void kill_all(void)
{
    struct domain *d;
    domid_t id = 0;

    while ((d = domain_get_next(id)) != NULL) {
        id = (domid_t)(d->id + 1);
        step_aside(d);
        while (kill_slice(d) == -ERESTART)
            ;
        domain_put(d);
        core_settle();
    }
    core_pass(MILLISECS(100)); /* what was freed in slices */
}

static void boot(void)
{
    ram_init();
    idle_l4 = alloc_hv_mem(0); /* is looked for in RAM */
    memset(idle_l4, 0, PAGE_SIZE);
    stretch_init();
    domain_boot_init();
    timer_boot_init();
    sched_init();
    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++) {
        core_on(cpu);
        sched_init_cpu(cpu);
        running[cpu] = current;
        core.deadline[cpu] = STIME_MAX;
    }
    core_on(0);
    core_settle();
}

int core_begin(void **state)
{
    s_time_t now = core.now ? core.now : SECONDS(1);

    if (!idle_vcpu[0])
        boot();
    memset(&core, 0, sizeof(core));
    core.now = now;
    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++)
        core.deadline[cpu] = STIME_MAX;
    guest_used = 0;
    memset(guest_memory, 0, sizeof(guest_memory));
    free_at_begin = heap_free_pages();
    control_domain = start(0, 1, 4);
    rangeset_add(control_domain->iomem_caps, 0, 0xffffff);
    rangeset_add(control_domain->irq_caps, 1, 255);
    rangeset_add(control_domain->ioport_caps, 0, 0xffff);
    core_as(control_domain->vcpu[0]);
    return 0;
}

/* No hypercall of the test worked longer than it may. */
static unsigned int beyond_the_bound(void)
{
    unsigned int next = 0, found = 0;
    struct stretch s;

    while (stretch_read(&next, true, &s))
        if (s.work > STRETCH_BOUND) {
            print_error("operation %u %u: %u units between two preemption points\n", s.family, s.sub, s.work);
            found++;
        }
    return found;
}

int core_end(void **state)
{
    core.fail_alloc = core.fail_copy = core.preempt = 0;
    if (core.hold && core.hold->is_running && per_cpu(run_queue, core.hold->processor).running != core.hold)
        core_finish_switch();
    core.hold = NULL;
    core_settle();
    kill_all();
    control_domain = NULL;
    if (fake_locks_held)
        print_error("%u locks are held\n", fake_locks_held);
    if (heap_free_pages() != free_at_begin)
        print_error("%ld pages are lost\n", (long)(free_at_begin - heap_free_pages()));
    return beyond_the_bound() || fake_locks_held || heap_free_pages() != free_at_begin ? -1 : 0;
}
