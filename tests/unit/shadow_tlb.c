// SPDX-License-Identifier: BSD-2-Clause
/* See shadow_tlb.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "shadow_lend.h"
#include "shadow_tlb.h"

/* What bears one identifier: hvm/svm/asid.c has one for each root. */
struct kept {
    maddr_t root;
    uint64_t losses;
    struct tlb_entry tlb[TLB_SIZE];
    struct {
        mfn_t mfn; /* 0: none */
        unsigned int level;
    } table[TLB_SIZE];
};
#define KEPT 2u
static struct {
    struct kept kept[KEPT];
    unsigned int in_use;
} cpus[MODEL_CPUS];
unsigned long tlb_stores, tlb_flushes, tlb_found;

static struct kept *in_use(unsigned int cpu)
{
    return &cpus[cpu].kept[cpus[cpu].in_use];
}

static void flush(unsigned int cpu)
{
    memset(&cpus[cpu], 0, sizeof(cpus[cpu]));
}

void __wrap_tlb_flush_mask(cpumask_t mask);
void __wrap_tlb_flush_mask(cpumask_t mask)
{
    unsigned int cpu;

    tlb_flushes++;
    for_each_cpu (cpu, mask)
        if (cpu < MODEL_CPUS)
            flush(cpu);
}

/* Nobody walks through a frame that the pool gets back. */
void __real_paging_pool_free(struct domain *domain, enum paging_use use, struct page_info *pg);
void __wrap_paging_pool_free(struct domain *domain, enum paging_use use, struct page_info *pg);
void __wrap_paging_pool_free(struct domain *domain, enum paging_use use, struct page_info *pg)
{
    for (unsigned int n = 0; n < MODEL_CPUS; n++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            assert_false(mfn_eq(in_use(n)->table[i].mfn, page_to_mfn(pg)));
    __real_paging_pool_free(domain, use, pg);
}

/* ---- who runs where ---- */

static void leave(struct test_vcpu *t)
{
    if (t->cpu == NO_CPU)
        return;
    flush(t->cpu); /* switch_cr3 to the idle tables */
    cpumask_clear(&d->dirty_cpus, t->cpu);
    t->cpu = NO_CPU;
}

static void enter(struct test_vcpu *t, unsigned int cpu)
{
    cpumask_set(&d->dirty_cpus, cpu);
    t->cpu = cpu;
}

/* Whoever runs there goes: from one vCPU to another of the domain the CPU stays in dirty_cpus, and flushes. */
static void switch_to(struct test_vcpu *t, unsigned int cpu)
{
    leave(t);
    for (unsigned int i = 0; i < VCPUS; i++)
        if (vcpu[i].cpu == cpu)
            vcpu[i].cpu = NO_CPU;
    flush(cpu);
    enter(t, cpu);
}

void tlb_begin(void)
{
    d->dirty_cpus = CPUMASK_NONE;
    for (unsigned int i = 0; i < MODEL_CPUS; i++) {
        flush(i);
    }
    for (unsigned int i = 0; i < VCPUS; i++) {
        vcpu[i].cpu = i;
        cpumask_set(&d->dirty_cpus, i);
    }
}

void tlb_run_somewhere(struct test_vcpu *t)
{
    if (t->cpu == NO_CPU)
        switch_to(t, fake_below(MODEL_CPUS));
}

void tlb_move(struct test_vcpu *t)
{
    if (fake_chance(50))
        leave(t);
    else
        switch_to(t, fake_below(MODEL_CPUS));
}

/* ---- what they may ---- */

static void check_entry(const struct tlb_entry *e)
{
    struct p2m_entry p = p2m_lookup(d, _gfn(lend_gfn_of(e->mfn)));
    bool fine = (mfn_to_page(e->mfn)->owner == d) == p2m_is_ram(p.type) && mfn_eq(p.mfn, e->mfn) &&
                !p2m_refuses(p.type, false, e->kind == ORACLE_FETCH);

    if (e->kind == ORACLE_WRITE)
        fine = fine && lend_may_store(e->mfn);
    if (!fine)
        fail_msg("a TLB keeps frame %lx, kind %u; the P2M has %lx of type %u", e->mfn.n, e->kind, p.mfn.n, p.type);
}

/* ---- what they keep ---- */

void tlb_forget(const struct test_vcpu *t)
{
    if (t->cpu != NO_CPU)
        flush(t->cpu);
}

/* It is what the guest's tables say, now that it has flushed. */
static void check_kept(struct test_vcpu *t, const struct tlb_entry *e)
{
    struct access a = {.linear = e->page << PAGE_SHIFT,
                       .kind = e->kind,
                       .user = e->user,
                       .result = SHADOW_FIXED,
                       .at = e->mfn.n << PAGE_SHIFT};

    if (!e->valid || e->page == WALKED)
        return;
    model_check(t, &a);
    tlb_found++;
}

/* As hvm/run.c sets them; other control registers flush (svm_set_control). */
static void load_hardware(struct test_vcpu *t)
{
    uint64_t cr4 = CR4_PAE | (t->guest.cr0 & CR0_PG ? t->guest.cr4 & (CR4_SMEP | CR4_SMAP) : 0);
    uint64_t efer = EFER_NXE | (t->v.paging.fmt && t->v.paging.fmt->levels == 4 ? EFER_LME | EFER_LMA : 0);

    if (t->hw.cr4 != cr4 || t->hw.efer != efer || t->hw.eflags_ac != t->guest.eflags_ac)
        tlb_forget(t); /* AC too, which accesses that were remembered had */
    t->hw.cr0 = CR0_PE | CR0_PG | CR0_WP;
    t->hw.cr4 = cr4;
    t->hw.efer = efer;
    t->hw.eflags_ac = t->guest.eflags_ac;
}

void tlb_load(struct test_vcpu *t)
{
    maddr_t root = shadow_root(&t->v);
    uint64_t losses = shadow_losses(&t->v);
    unsigned int n = 0;
    struct kept *k;

    load_hardware(t);
    if (t->cpu == NO_CPU)
        return;
    while (n < KEPT && cpus[t->cpu].kept[n].root.n != root.n)
        n++;
    if (n == KEPT)
        n = (cpus[t->cpu].in_use + 1) % KEPT;
    cpus[t->cpu].in_use = n;
    k = in_use(t->cpu);
    if (k->root.n != root.n || k->losses != losses)
        *k = (struct kept){.root = root, .losses = losses};
    for (unsigned int i = 0; i < TLB_SIZE; i++)
        check_kept(t, &k->tlb[i]);
}

void tlb_forget_page(const struct test_vcpu *t, uint64_t linear)
{
    if (t->cpu == NO_CPU)
        return;
    memset(in_use(t->cpu)->table, 0, sizeof(in_use(t->cpu)->table));
    for (unsigned int i = 0; i < TLB_SIZE; i++)
        if (in_use(t->cpu)->tlb[i].page == linear >> PAGE_SHIFT)
            in_use(t->cpu)->tlb[i].valid = false;
}

static void keep_table(unsigned int cpu, const struct shadow_page *sp)
{
    unsigned int i = fake_below(TLB_SIZE);

    in_use(cpu)->table[i].mfn = page_mfn(sp);
    in_use(cpu)->table[i].level = sp->role.level;
}

static void keep(unsigned int cpu, struct tlb_entry e)
{
    e.valid = true;
    in_use(cpu)->tlb[fake_below(TLB_SIZE)] = e;
}

static void remember_tables(const struct test_vcpu *t, uint64_t linear)
{
    const struct shadow_page *sp = t->v.root;
    spte_t e;

    do {
        keep_table(t->cpu, sp);
        e = sp->entry[(linear >> (PAGE_SHIFT + 9 * (sp->role.level - 1))) & (PT_ENTRIES - 1)];
        if (spte_is_leaf(e, sp->role.level))
            return;
        sp = page_of_frame(d->shadow, spte_mfn(e));
    } while (spte_present(e));
}

void tlb_remember(const struct test_vcpu *t, const struct access *a)
{
    keep(t->cpu,
         (struct tlb_entry){
             .user = a->user, .kind = a->kind, .page = a->linear >> PAGE_SHIFT, .mfn = _mfn(a->at >> PAGE_SHIFT)});
    remember_tables(t, a->linear);
}

/* Entries that the random walk uses stand at both ends of a table. */
static unsigned int some_index(void)
{
    unsigned int i = fake_below(16);

    return i < 8 ? i : PT_ENTRIES - 1 - (i - 8);
}

bool tlb_walk_on(void)
{
    unsigned int cpu = fake_below(MODEL_CPUS), i = fake_below(TLB_SIZE), level = in_use(cpu)->table[i].level;
    mfn_t m = in_use(cpu)->table[i].mfn;
    bool writable = true;
    spte_t e;

    if (!m.n)
        return false;
    for (;; level--) {
        bool pae_root = level == 3 && page_of_frame(d->shadow, m)->role.levels != 4; /* its entries have no rights */

        e = page_of_frame(d->shadow, m)->entry[some_index()];
        if (!spte_present(e))
            return false;
        writable = writable && (pae_root || (e.n & PTE_RW));
        m = spte_mfn(e);
        if (spte_is_leaf(e, level)) {
            writable = writable && (e.n & PTE_D); /* else a store walks, and sets it */
            break;
        }
    }
    m.n += level == 2 ? fake_below(PT_ENTRIES) : 0;
    keep(cpu, (struct tlb_entry){.kind = writable ? ORACLE_WRITE : ORACLE_READ, .page = WALKED, .mfn = m});
    return true;
}

bool tlb_writable(struct access *a)
{
    const struct tlb_entry *e = &in_use(fake_below(MODEL_CPUS))->tlb[fake_below(TLB_SIZE)];

    if (!e->valid || e->kind != ORACLE_WRITE)
        return false;
    check_entry(e);
    *a = (struct access){.kind = ORACLE_WRITE, .result = SHADOW_FIXED, .at = e->mfn.n << PAGE_SHIFT};
    tlb_stores++;
    return true;
}

void tlb_check(void)
{
    for (unsigned int n = 0; n < MODEL_CPUS; n++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (in_use(n)->tlb[i].valid)
                check_entry(&in_use(n)->tlb[i]);
}

bool tlb_knows(mfn_t m)
{
    for (unsigned int n = 0; n < MODEL_CPUS; n++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (in_use(n)->tlb[i].valid && mfn_eq(in_use(n)->tlb[i].mfn, m))
                return true;
    return false;
}
