/* SPDX-License-Identifier: BSD-2-Clause */
/* See machine.h. */
#include <stdint.h>
#include <time.h>
#include "machine.h"
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/timer.h>

struct machine machine;
struct fake_pte fake_pte[NR_FAKE_PTES];

static struct cpu_info cpu_info;
static struct page_info frames[FIRST_FRAME + NR_FRAMES];
static char memory[NR_FRAMES][PAGE_SIZE] __attribute__((aligned(4096)));
static bool frame_used[NR_FRAMES];
struct page_info *frame_table = frames;
static unsigned long m2p[FIRST_FRAME + NR_FRAMES];
unsigned long *m2p_table = m2p;
uint64_t max_page = FIRST_FRAME + NR_FRAMES, total_pages = NR_FRAMES;
cpumask_t cpu_online_map = {1};
unsigned int nr_cpus = 1;
struct domain *control_domain, *dom_idle, *dom_xen, *dom_io;

#define MAX_DOMAINS 8
static struct domain *domains[MAX_DOMAINS];

struct cpu_info *get_cpu_info(void)
{
    return &cpu_info;
}

/* ---- time: a timer expires when its test says so ---- */
s_time_t system_time(void)
{
    machine.now += machine.still ? 0 : MILLISECS(1000);
    return machine.now;
}

void timer_migrate(struct timer *t, unsigned int cpu)
{
    t->cpu = cpu;
}

void timer_set(struct timer *t, s_time_t expires)
{
    t->expires = expires;
}

/* ---- locks: rank order, and interrupt-safe ones always taken so ---- */
static const spinlock_t *held[16];

static void take(spinlock_t *l, bool nested)
{
    assert_int_equal(l->head, l->tail);
    for (unsigned int i = 0; i < machine.locks_held; i++)
        assert_true(held[i]->rank < l->rank || (nested && held[i]->rank == l->rank && held[i] < l));
    assert_true(machine.locks_held < ARRAY_SIZE(held));
    held[machine.locks_held++] = l;
    l->tail++;
}

static void drop(spinlock_t *l)
{
    unsigned int i = 0;

    while (i < machine.locks_held && held[i] != l)
        i++;
    assert_true(i < machine.locks_held);
    held[i] = held[--machine.locks_held];
    l->head++;
}

static bool interrupts_off;

static bool irq_safe_rank(const spinlock_t *l)
{
    return l->rank >= RANK_EVENT_VIRQ && l->rank <= RANK_EVENT_QUEUE;
}

void spin_lock(spinlock_t *l)
{
    assert_true(!irq_safe_rank(l) || interrupts_off);
    take(l, false);
}

void spin_lock_nested(spinlock_t *l)
{
    assert_true(!irq_safe_rank(l) || interrupts_off);
    take(l, true);
}

void spin_unlock(spinlock_t *l)
{
    drop(l);
}

unsigned long spin_lock_irqsave(spinlock_t *l)
{
    unsigned long flags = interrupts_off;

    interrupts_off = true;
    take(l, false);
    return flags;
}

void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags)
{
    drop(l);
    interrupts_off = flags;
}

/* ---- allocation ---- */
static bool alloc_fails(void)
{
    return machine.fail_alloc && --machine.fail_alloc == 0;
}

void *hv_alloc(size_t size)
{
    void *p = alloc_fails() ? NULL : calloc(1, size);

    machine.allocs += p != NULL;
    return p;
}

void hv_free(void *p)
{
    machine.allocs -= p != NULL;
    free(p);
}

static struct page_info *new_frame(void)
{
    for (unsigned int i = 0; i < NR_FRAMES; i++)
        if (!frame_used[i]) {
            frame_used[i] = true;
            memset(memory[i], 0, PAGE_SIZE);
            memset(&frames[FIRST_FRAME + i], 0, sizeof(frames[0]));
            list_init(&frames[FIRST_FRAME + i].list);
            return &frames[FIRST_FRAME + i];
        }
    return NULL;
}

struct page_info *alloc_hv_pages(unsigned int order, unsigned int memf)
{
    assert_int_equal(order, 0);
    return alloc_fails() ? NULL : new_frame();
}

void free_hv_mem(void *p, unsigned int order)
{
    if (p) {
        struct page_info *pg = virt_to_page(p);

        assert_int_equal(pg->count_info & PGC_count_mask, 0);
        frame_used[pg - frames - FIRST_FRAME] = false;
    }
}

void free_domain_page(struct page_info *pg)
{
    struct domain *d = pg->owner;

    list_del(&pg->list);
    pg->owner = NULL;
    if (pg->count_info & PGC_hv_page) {
        if (list_empty(&d->hv_page_list))
            domain_put(d);
        return;
    }
    d->tot_pages--;
    frame_used[pg - frames - FIRST_FRAME] = false;
    domain_put(d);
}

void *mfn_to_virt(mfn_t m)
{
    assert_true(m.n >= FIRST_FRAME && m.n < max_page);
    return memory[m.n - FIRST_FRAME];
}

maddr_t virt_to_maddr(const void *p)
{
    size_t offset = (size_t)((const char *)p - memory[0]);

    assert_true(offset < sizeof(memory));
    return _maddr(offset + FIRST_FRAME * PAGE_SIZE);
}

bool mfn_is_ram(mfn_t m)
{
    return m.n < max_page;
}

mfn_t guest_frame(struct domain *d)
{
    struct page_info *pg = new_frame();

    assert_non_null(pg);
    pg->owner = d;
    pg->count_info = PGC_allocated | 1;
    list_add_tail(&pg->list, &d->page_list);
    d->tot_pages++;
    domain_hold(d);
    return page_to_mfn(pg);
}

void give_up_frame(struct domain *d, mfn_t m)
{
    struct page_info *pg = mfn_to_page(m);

    assert_ptr_equal(pg->owner, d);
    assert_true(pg->count_info & PGC_allocated);
    pg->count_info &= ~PGC_allocated;
    put_page(pg);
}

uint64_t frame_refs(mfn_t m)
{
    return mfn_to_page(m)->count_info & PGC_count_mask;
}

uint64_t frame_type_refs(mfn_t m)
{
    return mfn_to_page(m)->type_info & PGT_count_mask;
}

/* ---- what frame.c wants of page tables and TLBs ---- */
int pv_get_table_type(struct page_info *pg, enum page_type type)
{
    fail();
    return -EINVAL;
}

void logdirty_mark_frame(struct domain *d, mfn_t m)
{
    fail();
}

void pv_put_table_type(struct page_info *pg)
{
    fail();
}

bool pv_check_descriptor(uint64_t *desc)
{
    return true;
}

uint32_t tlb_now(void)
{
    return 0;
}

cpumask_t tlb_filter(cpumask_t mask, uint32_t stamp)
{
    return mask;
}

void tlb_poll(void)
{
}

static void another_cpu(void)
{
    void (*fn)(void) = machine.meanwhile;

    assert_int_equal(machine.locks_held, 0);
    machine.meanwhile = NULL;
    if (fn)
        fn();
}

void tlb_flush_mask(cpumask_t mask)
{
    another_cpu();
    machine.flushes++;
}

/* ---- domains ---- */
struct domain *domain_get_next(domid_t id)
{
    struct domain *best = NULL;

    for (unsigned int i = 0; i < MAX_DOMAINS; i++)
        if (domains[i] && domains[i]->id >= id && (!best || domains[i]->id < best->id))
            best = domains[i];
    if (best)
        domain_hold(best);
    return best;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = domain_get_next(id == DOMID_SELF ? current->domain->id : id);

    if (d && d->id != id && id != DOMID_SELF) {
        domain_put(d);
        return NULL;
    }
    return d;
}

void domain_hold(struct domain *d)
{
    d->refcount++;
}

void domain_put(struct domain *d)
{
    assert_true(d->refcount > 1);
    d->refcount--;
}

struct vcpu *domain_vcpu(struct domain *d, unsigned int id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

bool irq_permitted(const struct domain *d, unsigned int pirq)
{
    return d->is_control && pirq < ARRAY_SIZE(machine.pirq_owner);
}

static void add_vcpu(struct domain *d, unsigned int id)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    v->domain = d;
    v->vcpu_id = id;
    v->vcpu_info = &d->shared_info->vcpu_info[id];
    v->vcpu_info_mfn = INVALID_MFN;
    assert_int_equal(evtchn_vcpu_init(v), 0);
    d->vcpu[id] = v;
}

struct domain *machine_domain(domid_t id, unsigned int vcpus, bool control)
{
    struct domain *d = calloc(1, sizeof(*d));
    unsigned int i = 0;

    d->id = id;
    d->is_control = control;
    d->refcount = 1;
    d->max_vcpus = vcpus;
    d->vcpu = calloc(vcpus, sizeof(*d->vcpu));
    d->shared_info = calloc(1, PAGE_SIZE);
    spin_lock_init(&d->page_alloc_lock, RANK_PAGE_ALLOC);
    list_init(&d->page_list);
    list_init(&d->hv_page_list);
    for (unsigned int v = 0; v < vcpus; v++)
        add_vcpu(d, v);
    while (domains[i])
        i++;
    assert_true(i < MAX_DOMAINS);
    domains[i] = d;
    if (control)
        control_domain = d;
    return d;
}

static void drop_hv_pages(struct domain *d)
{
    struct page_info *pg, *tmp;

    list_for_each_safe (pg, tmp, &d->hv_page_list, list)
        if (pg->count_info & PGC_allocated)
            unshare_hv_page(pg);
}

void machine_destroy(struct domain *d)
{
    struct page_info *pg, *tmp;

    list_for_each_safe (pg, tmp, &d->page_list, list)
        if (pg->count_info & PGC_allocated)
            give_up_frame(d, page_to_mfn(pg));
    drop_hv_pages(d);
    assert_true(list_empty(&d->page_list) && list_empty(&d->hv_page_list));
    assert_int_equal(d->refcount, 1);
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        evtchn_vcpu_free(d->vcpu[i]);
        free(d->vcpu[i]);
    }
    while (grant_domain_free(d) == -ERESTART || evtchn_domain_free(d) == -ERESTART)
        ;
    for (unsigned int i = 0; i < MAX_DOMAINS; i++)
        if (domains[i] == d)
            domains[i] = NULL;
    if (control_domain == d)
        control_domain = NULL;
    free(d->vcpu);
    free(d->shared_info);
    free(d);
}

void machine_reset(void)
{
    for (unsigned int i = 0; i < MAX_DOMAINS; i++)
        assert_null(domains[i]);
    for (unsigned int i = 0; i < NR_FRAMES; i++)
        assert_false(frame_used[i]);
    assert_int_equal(machine.allocs, 0);
    assert_int_equal(machine.locks_held, 0);
    memset(&machine, 0, sizeof(machine));
    memset(fake_pte, 0, sizeof(fake_pte));
    cpu_info.cur_vcpu = NULL;
}

void run_on(struct vcpu *v)
{
    cpu_info.cur_vcpu = v;
}

long hypercall(hypercall_fn *fn, unsigned long a0, const void *a1, unsigned long a2)
{
    struct hcall hc = {.arg = {a0, (unsigned long)a1, a2}};
    long rc;

    machine.restarts = 0;
    for (;;) {
        hc.restart = false;
        rc = fn(&hc);
        assert_int_equal(machine.locks_held, 0);
        assert_false(interrupts_off);
        if (!hc.restart)
            return rc;
        stretch_point();
        assert_int_equal(rc, -ERESTART);
        assert_true(++machine.restarts < 100000);
    }
}

/* ---- scheduling ---- */
bool preempt_needed(void)
{
    stretch_point();
    assert_int_equal(machine.locks_held, 0);
    return machine.preempt_every && ++machine.preempt_asked % machine.preempt_every == 0;
}

/* As the scheduler does it: asks back about the polled port. */
void vcpu_unblock(struct vcpu *v)
{
    machine.kicks++;
    clear_bit(VPF_blocked, &v->pause_flags);
    if (v->poll_evtchn == 0 || evtchn_port_pending(v, v->poll_evtchn))
        clear_bit(VPF_poll, &v->pause_flags);
}

void apic_send_ipi(unsigned int cpu, uint8_t vector)
{
    assert_int_equal(vector, VECTOR_EVENT_CHECK);
    machine.ipis++;
}

/* ---- physical interrupts ---- */
int pirq_guest_bind(struct vcpu *v, unsigned int pirq, bool share)
{
    if (machine.pirq_error)
        return -(int)machine.pirq_error;
    machine.pirq_owner[pirq] = v->domain;
    machine.pirq_cpu[pirq] = v->vcpu_id;
    return 0;
}

void pirq_guest_unbind(struct domain *d, unsigned int pirq)
{
    assert_ptr_equal(machine.pirq_owner[pirq], d);
    machine.pirq_owner[pirq] = NULL;
}

void pirq_set_affinity(struct domain *d, unsigned int pirq, const struct vcpu *v)
{
    machine.pirq_cpu[pirq] = v->vcpu_id;
}

/* ---- guest memory ---- */
int guest_copy_from(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)src < PAGE_SIZE)
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

int guest_copy_to(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst < PAGE_SIZE || (machine.fail_copy_to && --machine.fail_copy_to == 0))
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

/* ---- grant mappings in page tables ---- */
static struct fake_pte *find_pte(uint64_t addr)
{
    for (unsigned int i = 0; i < NR_FAKE_PTES; i++)
        if (fake_pte[i].addr == addr)
            return &fake_pte[i];
    return NULL;
}

pte_t fake_pte_at(uint64_t addr)
{
    struct fake_pte *p = find_pte(addr);

    return p ? p->pte : _pte(0);
}

/* The entries are the current domain's. */
static void drop_pte_refs(pte_t e)
{
    struct page_info *pg = mfn_to_page(pte_mfn(e));

    if (!(e.n & PTE_P))
        return;
    if ((e.n & PTE_RW) && pg->owner == current->domain)
        put_own_writable(pg);
    else if (e.n & PTE_RW)
        put_page_type(pg);
    put_page(pg);
}

void fake_ptes_drop(void)
{
    for (unsigned int i = 0; i < NR_FAKE_PTES; i++)
        drop_pte_refs(fake_pte[i].pte);
    memset(fake_pte, 0, sizeof(fake_pte));
}

/* None of the domains here is translated. */
struct p2m_entry p2m_lookup(struct domain *d, gfn_t gfn)
{
    abort();
}

int p2m_set(struct domain *d, struct p2m_range *r)
{
    abort();
}

int p2m_remove_grant(struct domain *d, gfn_t gfn, mfn_t mfn, bool readonly)
{
    abort();
}

struct page_info *get_page_from_gfn(struct domain *d, gfn_t gfn, enum p2m_type *type)
{
    return get_page_from_mfn(_mfn(gfn.n), d);
}

struct page_info *get_writable_page(struct domain *d, gfn_t gfn)
{
    struct page_info *pg = get_page_from_mfn(_mfn(gfn.n), d);

    if (!pg || !get_page_type(pg, PT_WRITABLE))
        return pg;
    put_page(pg);
    return NULL;
}

int pv_grant_map_pte(struct domain *d, uint64_t addr, bool contains_pte, pte_t entry)
{
    struct fake_pte *p = find_pte(addr);

    another_cpu();
    if (addr < PAGE_SIZE || (addr & 7))
        return -EINVAL;
    if (!p)
        p = find_pte(0);
    assert_non_null(p);
    drop_pte_refs(p->pte);
    *p = (struct fake_pte){addr, contains_pte, entry};
    return 0;
}

static bool maps(const struct fake_pte *p, mfn_t frame, bool readonly)
{
    return p && (p->pte.n & PTE_P) && mfn_eq(pte_mfn(p->pte), frame) && !(p->pte.n & PTE_RW) == readonly;
}

int pv_grant_unmap_pte(struct domain *d, uint64_t addr, bool contains_pte, mfn_t frame, bool readonly,
                       pte_t replacement)
{
    struct fake_pte *p = find_pte(addr);

    if (!maps(p, frame, readonly) || p->contains_pte != contains_pte)
        return -EINVAL;
    memset(p, 0, sizeof(*p));
    return 0;
}

int pv_grant_replace_pte(struct domain *d, uint64_t addr, mfn_t frame, bool readonly, uint64_t new_addr)
{
    struct fake_pte *p = find_pte(addr), *from = find_pte(new_addr);

    if (!maps(p, frame, readonly) || !from || from == p)
        return -EINVAL;
    p->pte = from->pte;
    memset(from, 0, sizeof(*from));
    return 0;
}

/* ---- messages ---- */
void printk(const char *fmt, ...)
{
}

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

/* ---- random numbers ---- */
static uint64_t seed;

void seed_init(const char *test)
{
    const char *s = getenv("UMBRA_SEED");

    seed = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL);
    print_message("%s: UMBRA_SEED=%llu\n", test, (unsigned long long)seed);
    seed = seed * 2654435761u + 88172645463325252ull;
}

uint32_t random_below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 20) % n);
}

unsigned int random_ops(unsigned int dflt)
{
    const char *s = getenv("UMBRA_OPS");

    return s ? (unsigned int)strtoul(s, NULL, 0) : dflt;
}

/* ---- its domains are PV ---- */
void hvm_upcall(struct vcpu *v)
{
    fail();
}

bool hvm_interrupt_pending(const struct vcpu *v)
{
    fail();
    return false;
}
