// SPDX-License-Identifier: BSD-2-Clause
/* See p2m_model.h and test_p2m.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>
#include "fake/fake.h"
#include "fake/ram.h"
#include "p2m_model.h"

struct domain *d, *other;

/* What frame.c wants of mm/pv: no test here makes tables. */
int pv_get_table_type(struct page_info *pg, enum page_type type)
{
    return -EINVAL;
}

void pv_put_table_type(struct page_info *pg)
{
}

/* Asked often, and never after more work than there may be. */
bool preempt_needed(void)
{
    assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
    stretch_point();
    return fake_preempt_percent && fake_chance(fake_preempt_percent);
}

gfn_t model_gfn(unsigned int i)
{
    return _gfn(i < 2048 ? i : i < 4096 ? (1ul << 18) - 1024 + i - 2048 : P2M_GFNS - 512 + i - 4096);
}

/* ---- CPUs: what they cache of d's P2M stays until they are flushed ---- */
#define CPUS     2u /* that run d */
#define TLB_SIZE 48u

static struct {
    bool valid, writable;
    gfn_t gfn;
    mfn_t mfn;
} tlb[CPUS][TLB_SIZE];
static struct {
    unsigned int level; /* of the table; 0: none */
    uint64_t prefix;
    mfn_t table;
} psc[CPUS][TLB_SIZE];
static unsigned int next_slot;

static unsigned int shift(unsigned int level)
{
    return 9 * (level - 1);
}

struct walk {
    bool ok, writable;
    mfn_t mfn;
};

/* From a table down; cpu < CPUS: remembers tables on the way. */
static struct walk walk_from(gfn_t gfn, mfn_t table, unsigned int level, unsigned int cpu)
{
    for (;; level--) {
        uint64_t e = ((uint64_t *)mfn_to_virt(table))[(gfn.n >> shift(level)) & 511];
        uint64_t low = gfn.n & ((1ul << shift(level)) - 1);

        if (!(e & PTE_P))
            return (struct walk){0};
        assert_true(e & PTE_US);
        table = _mfn((e & PTE_ADDR) >> PAGE_SHIFT);
        if (level == 1 || (e & PTE_PSE))
            return (struct walk){true, e & PTE_RW, mfn_add(table, low)};
        assert_true(e & PTE_RW);
        if (cpu < CPUS) {
            unsigned int i = next_slot++ % TLB_SIZE;

            psc[cpu][i].level = level - 1;
            psc[cpu][i].prefix = gfn.n >> shift(level);
            psc[cpu][i].table = table;
        }
    }
}

static struct walk walk(gfn_t gfn)
{
    return walk_from(gfn, p2m_root(d), 4, CPUS);
}

bool model_can_write(gfn_t gfn)
{
    return walk(gfn).writable;
}

uint64_t *model_table(gfn_t gfn, unsigned int level)
{
    mfn_t m = p2m_root(d);

    for (unsigned int l = 4; l > level; l--)
        m = _mfn((((uint64_t *)mfn_to_virt(m))[(gfn.n >> shift(l)) & 511] & PTE_ADDR) >> PAGE_SHIFT);
    return mfn_to_virt(m);
}

/* An access: through a cached table pointer if there is one. */
static void access_by(unsigned int cpu, gfn_t gfn, bool write)
{
    unsigned int start = 4, i = next_slot++ % TLB_SIZE;
    mfn_t table = p2m_root(d);
    struct walk w;

    for (unsigned int k = 0; k < TLB_SIZE; k++)
        if (psc[cpu][k].level && psc[cpu][k].level < start &&
            psc[cpu][k].prefix == gfn.n >> shift(psc[cpu][k].level + 1)) {
            start = psc[cpu][k].level;
            table = psc[cpu][k].table;
        }
    w = walk_from(gfn, table, start, cpu);
    if (!w.ok || (write && !w.writable))
        return;
    tlb[cpu][i].valid = true;
    tlb[cpu][i].writable = w.writable;
    tlb[cpu][i].gfn = gfn;
    tlb[cpu][i].mfn = w.mfn;
}

static unsigned int touched; /* index of a guest frame that the operation under way is about */

static gfn_t some_gfn(void)
{
    unsigned int i = fake_chance(50) ? fake_below(MODEL_GFNS) : (touched + fake_below(16)) % MODEL_GFNS;

    return model_gfn(i);
}

static void cpus_run(unsigned int accesses)
{
    for (unsigned int i = 0; i < accesses; i++)
        access_by(fake_below(CPUS), some_gfn(), fake_chance(50));
}

static bool is_stale(unsigned int cpu, unsigned int i)
{
    struct walk w = walk(tlb[cpu][i].gfn);

    return tlb[cpu][i].valid && (!w.ok || !mfn_eq(w.mfn, tlb[cpu][i].mfn) || (tlb[cpu][i].writable && !w.writable));
}

/* Nobody reaches the frame but as the tables say now. */
static void check_unknown(const struct page_info *pg)
{
    for (unsigned int c = 0; c < CPUS; c++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (tlb[c][i].valid && mfn_eq(tlb[c][i].mfn, page_to_mfn(pg)) && is_stale(c, i))
                fail_msg("gfn %lx: mfn %lx is released while a CPU knows it", tlb[c][i].gfn.n, tlb[c][i].mfn.n);
}

void __real_tlb_flush_mask(cpumask_t mask);
void __wrap_tlb_flush_mask(cpumask_t mask);
void __wrap_tlb_flush_mask(cpumask_t mask)
{
    for (unsigned int c = 0; c < CPUS; c++)
        if (cpumask_test(&mask, c)) {
            memset(tlb[c], 0, sizeof(tlb[c]));
            memset(psc[c], 0, sizeof(psc[c]));
        }
    __real_tlb_flush_mask(mask);
    if (fake_locks_held && !d->dying) /* by the P2M: they go on at once */
        cpus_run(4);
}

void __real_put_page(struct page_info *pg);
void __wrap_put_page(struct page_info *pg);
void __wrap_put_page(struct page_info *pg)
{
    if (fake_locks_held)
        check_unknown(pg);
    __real_put_page(pg);
}

void __real_put_page_and_type(struct page_info *pg);
void __wrap_put_page_and_type(struct page_info *pg);
void __wrap_put_page_and_type(struct page_info *pg)
{
    if (fake_locks_held)
        check_unknown(pg);
    __real_put_page_and_type(pg);
}

void __real_paging_pool_free(struct domain *of, enum paging_use use, struct page_info *pg);
void __wrap_paging_pool_free(struct domain *of, enum paging_use use, struct page_info *pg);
void __wrap_paging_pool_free(struct domain *of, enum paging_use use, struct page_info *pg)
{
    for (unsigned int c = 0; c < CPUS; c++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (psc[c][i].level && mfn_eq(psc[c][i].table, page_to_mfn(pg)))
                fail_msg("table %lx is freed while a CPU walks it", page_to_mfn(pg).n);
    __real_paging_pool_free(of, use, pg);
}

/* ---- the machine ---- */

int model_begin(void **state)
{
    ram_init();
    fake_tlb_reset();
    fake_preempt_percent = 0;
    memset(tlb, 0, sizeof(tlb));
    memset(psc, 0, sizeof(psc));
    for (uint64_t i = 0; i < RAM_END; i++)
        m2p_table[i] = INVALID_M2P_ENTRY;
    d = fake_domain(1, false, CPUS, 0);
    other = fake_domain(2, false, 1, CPUS);
    d->max_pages = other->max_pages = 4000;
    fake_run_on(0, d->vcpu[0]);
    stretch_point();
    return heap_free_pages() != RAM_FRAMES || paging_pool_init(d) || p2m_init(d) ? -1 : 0;
}

/* As teardown of a domain does it; everything is back then. */
int model_end(void **state)
{
    bool clean;

    cpus_run(20);
    d->dying = DOM_DYING;
    fake_preempt_percent = 100;
    stretch_point();
    while (p2m_relinquish(d) == -ERESTART)
        ;
    fake_preempt_percent = 0;
    clean = d->paging_pool->used[PAGING_P2M] == 0 && p2m_lookup(d, _gfn(0)).type == P2M_MMIO_DM;
    while (!list_empty(&d->page_list)) /* never placed, or taken away with a reference left */
        model_forget(list_first(&d->page_list, struct page_info, list));
    while (paging_pool_relinquish(d) == -ERESTART)
        ;
    p2m_destroy(d);
    paging_pool_destroy(d);
    clean = clean && heap_free_pages() == RAM_FRAMES && !fake_locks_held && d->refcount == 1 && other->refcount == 1;
    fake_domain_free(d);
    fake_domain_free(other);
    return clean ? 0 : -1;
}

void model_forget(struct page_info *pg)
{
    pg->count_info &= ~PGC_allocated;
    put_page(pg);
}

void model_pool(unsigned long left)
{
    unsigned long used = d->paging_pool->used[PAGING_P2M] + d->paging_pool->used[PAGING_SHADOW];
    int rc;

    while ((rc = paging_pool_resize(d, used + left)) == -ERESTART)
        stretch_point();
    assert_int_equal(rc, 0);
}

int model_clear(gfn_t gfn, unsigned int order)
{
    struct p2m_range r = {.gfn = gfn, .order = order, .type = P2M_MMIO_DM};
    int rc;

    while ((rc = p2m_set(d, &r)) == -ERESTART)
        stretch_point();
    return rc;
}

int model_audit(void)
{
    const struct page_info *pg;
    struct p2m_audit a = {0};
    int rc;

    while ((rc = p2m_audit(d, &a)) == -ERESTART)
        stretch_point();
    assert_int_equal(rc, 0);
    assert_int_equal(a.broken.count, 0);
    list_for_each (pg, &d->page_list, list) {
        mfn_t m = page_to_mfn(pg);

        if (get_gpfn_from_mfn(m) < P2M_GFNS)
            assert_int_equal(p2m_lookup(d, _gfn(get_gpfn_from_mfn(m))).mfn.n, m.n);
    }
    for (unsigned int c = 0; c < CPUS; c++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            assert_false(is_stale(c, i));
    assert_int_equal(fake_locks_held, 0);
    return 0;
}

/* ---- random operations ---- */
#define FOREIGNERS 12u

static struct {
    enum p2m_type type;
    uint64_t mfn;
} is[MODEL_GFNS];
static struct page_info *foreigner[FOREIGNERS];

static bool writable(enum p2m_type t)
{
    return t == P2M_RAM_RW || t == P2M_MMIO_DIRECT || t == P2M_GRANT_RW || t == P2M_FOREIGN;
}

static void compare(unsigned int i)
{
    struct p2m_entry e = p2m_lookup(d, model_gfn(i));
    struct walk w = walk(model_gfn(i));

    if (e.type != is[i].type || (e.type && (e.mfn.n != is[i].mfn || w.mfn.n != is[i].mfn)))
        fail_msg("gfn %lx: type %u mfn %lx, should be type %u mfn %lx", model_gfn(i).n, e.type, e.mfn.n, is[i].type,
                 is[i].mfn);
    assert_int_equal(w.ok, e.type != P2M_MMIO_DM);
    assert_int_equal(w.writable, writable(e.type));
    if (p2m_is_ram(e.type))
        assert_int_equal(get_gpfn_from_mfn(e.mfn), model_gfn(i).n);
}

static void compare_all(void)
{
    uint64_t own = 0;
    unsigned int entries[FOREIGNERS] = {0}, writers[FOREIGNERS] = {0};

    for (unsigned int i = 0; i < MODEL_GFNS; i++) {
        compare(i);
        own += p2m_is_ram(is[i].type);
        for (unsigned int f = 0; f < FOREIGNERS && p2m_is_borrowed(is[i].type); f++)
            if (page_to_mfn(foreigner[f]).n == is[i].mfn) {
                entries[f]++;
                writers[f] += writable(is[i].type);
            }
    }
    assert_int_equal(d->tot_pages, own);
    for (unsigned int f = 0; f < FOREIGNERS; f++) {
        assert_int_equal(foreigner[f]->count_info & PGC_count_mask, 1 + entries[f]);
        assert_int_equal(foreigner[f]->type_info & PGT_count_mask, writers[f]);
    }
    model_audit();
}

/* An index with 2^order guest frames behind it that are aligned and used. */
static unsigned int aligned_index(unsigned int order)
{
    unsigned int i = fake_below(order > 9 ? 4096 : MODEL_GFNS) & ~((1u << order) - 1);

    /* The second window begins at an odd multiple of 1024 frames. */
    return order == 11 ? 0 : i;
}

static unsigned int some_order(void)
{
    return fake_chance(25) ? 9 : fake_below(5);
}

static void expect(unsigned int i, unsigned int n, enum p2m_type type, uint64_t mfn)
{
    for (unsigned int k = 0; k < n; k++) {
        is[i + k].type = type;
        is[i + k].mfn = type ? mfn + k : 0;
    }
}

/* No memory is an answer only when there is none. */
static bool failed(int rc)
{
    if (rc == 0)
        return false;
    assert_int_equal(rc, -ENOMEM);
    assert_true(d->paging_pool->free < 4);
    return true;
}

/* Until it is done, with a look at what is done so far whenever it is preempted. */
static int set_range(struct p2m_range *r, unsigned int i)
{
    unsigned long before = 0;
    int rc;

    do {
        rc = p2m_set(d, r);
        expect(i + (unsigned int)before, (unsigned int)(r->done - before), r->type, r->mfn.n + before);
        before = r->done;
        if (rc == -ERESTART) {
            compare(i + fake_below(1u << r->order));
            cpus_run(4);
            stretch_point();
        }
    } while (rc == -ERESTART);
    return rc;
}

static void op_place(void)
{
    unsigned int order = some_order(), i = aligned_index(order);
    struct page_info *pg = alloc_domain_pages(d, order, 0);

    touched = i;
    if (!pg)
        return;
    if (!failed(p2m_place(d, model_gfn(i), pg, order)))
        expect(i, 1u << order, P2M_RAM_RW, page_to_mfn(pg).n);
    else
        for (unsigned int k = 0; k < 1u << order; k++)
            model_forget(pg + k);
}

static void op_clear(void)
{
    unsigned int order = fake_chance(15) ? 9 + fake_below(3) : some_order(), i = aligned_index(order);
    struct p2m_range r = {.gfn = model_gfn(i), .order = order, .type = P2M_MMIO_DM};
    bool ram = true;

    touched = i;
    r.only_ram = order <= 9 && fake_chance(40);
    for (unsigned int k = 0; k < 1u << order; k++)
        ram = ram && p2m_is_ram(is[i + k].type);
    if (r.only_ram && !ram)
        assert_int_equal(p2m_set(d, &r), -EINVAL);
    else
        failed(set_range(&r, i));
}

static void op_mmio(void)
{
    unsigned int order = fake_chance(10) ? 10 : some_order(), i = aligned_index(order);
    uint64_t mfn = RAM_END + 0x2000 + fake_below(5000);
    struct p2m_range r = {.gfn = model_gfn(i), .order = order, .type = P2M_MMIO_DIRECT};

    touched = i;
    r.mfn = _mfn(fake_chance(70) ? ROUND_UP(mfn, 512) : mfn);
    failed(set_range(&r, i));
}

static void op_borrow(void)
{
    struct page_info *pg = foreigner[fake_below(FOREIGNERS)];
    unsigned int i = aligned_index(0);
    struct p2m_range r = {.gfn = model_gfn(i), .mfn = page_to_mfn(pg), .type = P2M_GRANT_RW + fake_below(3)};

    touched = i;
    assert_true(get_page(pg, other));
    if (r.type != P2M_GRANT_RO)
        assert_int_equal(get_page_type(pg, PT_WRITABLE), 0);
    if (!failed(set_range(&r, i)))
        return;
    if (r.type != P2M_GRANT_RO)
        put_page_type(pg);
    put_page(pg);
}

/* A grant is taken out by who knows what it is, and by nobody else. */
static void op_return(void)
{
    unsigned int i = fake_below(MODEL_GFNS);
    struct page_info *pg = foreigner[fake_below(FOREIGNERS)];
    bool readonly = fake_chance(50);
    int rc;

    for (unsigned int n = 0; n < 600 && is[i].type != P2M_GRANT_RO && is[i].type != P2M_GRANT_RW; n++)
        i = (i + 1) % MODEL_GFNS;
    touched = i;
    if (fake_chance(70) && p2m_is_borrowed(is[i].type)) {
        pg = mfn_to_page(_mfn(is[i].mfn));
        readonly = is[i].type == P2M_GRANT_RO;
    }
    rc = p2m_remove_grant(d, model_gfn(i), page_to_mfn(pg), readonly);
    if (is[i].mfn == page_to_mfn(pg).n && is[i].type == (readonly ? P2M_GRANT_RO : P2M_GRANT_RW)) {
        assert_int_equal(rc, 0);
        expect(i, 1, P2M_MMIO_DM, 0);
    } else {
        assert_int_equal(rc, -EINVAL);
    }
}

/* A guest frame with memory of the domain's own, or the last one looked at. */
static unsigned int some_own(void)
{
    unsigned int i = fake_below(MODEL_GFNS);

    for (unsigned int n = 0; n < 600 && !p2m_is_ram(is[i].type); n++)
        i = (i + 1) % MODEL_GFNS;
    return i;
}

static void op_move(void)
{
    unsigned int from = some_own(), to = aligned_index(0);
    uint64_t mfn = is[from].mfn;
    enum p2m_type type = is[from].type;

    touched = fake_chance(50) ? from : to;
    if (!p2m_is_ram(type) || failed(p2m_move(d, mfn_to_page(_mfn(mfn)), model_gfn(to))))
        return;
    expect(from, 1, P2M_MMIO_DM, 0);
    expect(to, 1, type, mfn);
}

static void op_retype(void)
{
    unsigned int i = fake_chance(50) ? aligned_index(9) : fake_below(MODEL_GFNS);
    unsigned int window = i < 2048 ? 2048 : i < 4096 ? 4096 : MODEL_GFNS;
    struct p2m_retype r = {.gfn = model_gfn(i), .from = P2M_RAM_RW + fake_below(3), .to = P2M_RAM_RW + fake_below(3)};
    uint64_t before = 0, wanted = fake_chance(50) ? 512 * (1 + fake_below(3)) : fake_below(2048);
    int rc;

    touched = i;
    r.n = MIN(wanted, window - i);
    if (r.from == r.to)
        return;
    do {
        rc = p2m_change_type(d, &r);
        for (; before < r.done; before++)
            if (is[i + before].type == r.from)
                is[i + before].type = r.to;
        stretch_point();
    } while (rc == -ERESTART);
    assert_true(failed(rc) || r.done == r.n);
}

static void op_hostile(void)
{
    unsigned int i = aligned_index(0), from = some_own();
    struct p2m_range r = {.gfn = model_gfn(i), .type = P2M_RAM_RW + fake_below(3)};

    touched = i;
    if (p2m_is_ram(is[from].type) && from != i) {
        r.mfn = _mfn(is[from].mfn);
        assert_int_equal(p2m_set(d, &r), -EBUSY);
    }
    r.mfn = fake_chance(50) ? page_to_mfn(foreigner[0]) : _mfn(RAM_END + fake_below(100));
    assert_int_equal(p2m_set(d, &r), -EINVAL);
}

/* Memory that stays where it is, with another type. */
static void op_same_frame(void)
{
    unsigned int i = some_own();
    struct p2m_range r = {.gfn = model_gfn(i), .type = P2M_RAM_RW + fake_below(3)};

    touched = i;
    if (!p2m_is_ram(is[i].type))
        return;
    r.mfn = _mfn(is[i].mfn);
    failed(set_range(&r, i));
}

static void (*const ops[])(void) = {op_place, op_place,  op_place,  op_clear,   op_clear,      op_mmio,   op_borrow,
                                    op_move,  op_retype, op_retype, op_hostile, op_same_frame, op_return, op_borrow};

static void op_any(void)
{
    cpus_run(6);
    stretch_point();
    ops[fake_below(ARRAY_SIZE(ops))]();
}

/* Somebody holds a frame while another operation is under way. */
static void op_holding(void)
{
    unsigned int i = fake_below(MODEL_GFNS);
    enum p2m_type type;
    struct page_info *pg = p2m_get_page(d, model_gfn(i), &type);
    uint64_t mfn = is[i].mfn;

    assert_int_equal(type, is[i].type);
    assert_int_equal(pg != NULL, p2m_is_ram(type) || p2m_is_borrowed(type));
    op_any();
    if (!pg)
        return;
    assert_int_equal(page_to_mfn(pg).n, mfn);
    assert_ptr_equal(pg->owner, p2m_is_ram(type) ? d : other);
    put_page(pg);
}

void model_random(unsigned long n)
{
    memset(is, 0, sizeof(is));
    for (unsigned int f = 0; f < FOREIGNERS; f++)
        foreigner[f] = alloc_domain_pages(other, 0, 0);
    for (unsigned long op = 0; op < n; op++) {
        if (op % 64 == 0) {
            model_pool(fake_chance(50) ? fake_below(5) : 30);
            fake_preempt_percent = fake_chance(50) ? 100 : fake_below(100);
        }
        if (fake_chance(20))
            op_holding();
        else
            op_any();
        compare(touched);
        compare(fake_below(MODEL_GFNS));
        if (op % 32 == 0)
            compare_all();
    }
    compare_all();
    model_pool(30);
    assert_int_equal(model_clear(_gfn(0), 11), 0);
    for (unsigned int i = 2048; i < MODEL_GFNS; i += 512)
        assert_int_equal(model_clear(model_gfn(i), 9), 0);
    assert_int_equal(d->tot_pages, 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 1);
    for (unsigned int f = 0; f < FOREIGNERS; f++)
        model_forget(foreigner[f]);
}
