// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log of stores as control tools ask for it: of a domain on shadows, in both ways of noticing what hardware does,
 * and of one on nested paging, in both as well. All have to give the same bits. Hardware is a few lines here: it stores
 * where an entry lets it, sets D there, and makes a fault elsewhere. PV domains: core_log_pv.c.
 */
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include "../../hypervisor/mm/p2m/internal.h"
#include "../../hypervisor/mm/shadow/internal.h"
#include "core_log.h"

struct domain *d;
struct xen_domctl *op;
uint8_t *bitmap;

enum kind { PROTECT, HARVEST, NESTED, NESTED_HARVEST, KINDS };

static bool harvests(enum kind kind)
{
    return kind == HARVEST || kind == NESTED_HARVEST;
}

static void begin(enum kind kind)
{
    bool hap = kind >= NESTED;
    struct xen_domctl_createdomain config = core_config(1);

    logdirty_harvest = harvests(kind);
    config.flags = XEN_DOMCTL_CDF_hvm;
    assert_int_equal(domain_create(3, &config, false, &d), 0);
    d->hap = hap;
    assert_int_equal(vcpu_create(d, 0), 0);
    d->max_pages = 2 * TOTAL;
    stretch_point();
    while (paging_pool_resize(d, POOL) == -ERESTART)
        stretch_point();
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(p2m_place(d, _gfn(i), alloc_domain_pages(d, 0, 0), 0), 0);
    assert_int_equal(p2m_place(d, _gfn(LARGE), alloc_domain_pages(d, 9, 0), 9), 0);
    stretch_end();
    core_as(control_domain->vcpu[0]);
    op = guest_new(struct xen_domctl);
    bitmap = guest_alloc(BYTES);
    if (hap)
        return;
    d->vcpu[0]->hvm->shadow.s = d->shadow;
    guest_paging_set(&d->vcpu[0]->hvm->shadow.paging, shadow_cpu(d->shadow), CR0_PE, 0, 0);
    assert_int_equal(shadow_set_paging(&d->vcpu[0]->hvm->shadow), 0);
}

static void end(void)
{
    if (!d->hap)
        shadow_drop_root(&d->vcpu[0]->hvm->shadow);
    core_kill(d);
}

/* ---- hardware ---- */

/* The first of the list; the guest maps nothing twice. */
static spte_t *leaf_of(entry_ref head)
{
    return head ? &ref_page(d->shadow, head)->entry[head % PT_ENTRIES] : NULL;
}

static bool allows(const spte_t *leaf)
{
    return leaf && (leaf->n & PTE_RW);
}

static bool may_store(uint64_t gfn)
{
    struct p2m_entry e = p2m_lookup(d, _gfn(gfn));
    mfn_t first = _mfn(e.mfn.n & ~511ul);

    if (d->hap)
        return e.type == P2M_RAM_RW;
    return allows(leaf_of(mfn_to_page(e.mfn)->shadow.rmap)) ||
           (mfn_to_page(first)->owner == d && allows(leaf_of(mfn_to_page(first)->shadow.rmap_2m)));
}

/* Hardware walks the P2M, and sets D; else a shadow. */
static void press(uint64_t gfn)
{
    unsigned int level;
    spte_t *leaf;

    if (d->hap) {
        (void)p2m_find(d->p2m, _gfn(gfn), &level);
        p2m_make_slot(d->p2m, _gfn(gfn), level)->n |= PTE_D;
        return;
    }
    leaf = leaf_of(mfn_to_page(p2m_lookup(d, _gfn(gfn)).mfn)->shadow.rmap);
    if (leaf)
        leaf->n |= PTE_D;
}

static void store(uint64_t gfn)
{
    struct shadow_fault f = {.linear = gfn << PAGE_SHIFT, .access = PFEC_W};

    for (unsigned int tries = 0; !may_store(gfn); tries++) {
        assert_true(tries < 4);
        stretch_begin(STRETCH_TRAP, 14);
        if (d->hap)
            p2m_stored(d, _gfn(gfn));
        else
            assert_int_equal(shadow_fault(&d->vcpu[0]->hvm->shadow, &f), SHADOW_FIXED);
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
    }
    press(gfn);
}

/* ---- tools ---- */

long log_op(domid_t id, uint32_t command, uint32_t mode, uint64_t pages, void *to)
{
    op->cmd = XEN_DOMCTL_shadow_op;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = command, .mode = mode, .pages = pages};
    op->u.shadow_op.dirty_bitmap.p = to;
    return CALL(domctl, op, 0, 0);
}

#define CLEAN() log_op(d->id, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, TOTAL, bitmap)
#define PEEK()  log_op(d->id, XEN_DOMCTL_SHADOW_OP_PEEK, 0, TOTAL, bitmap)

bool says(uint64_t gfn)
{
    return bitmap[gfn / 8] >> gfn % 8 & 1;
}

unsigned int how_many(void)
{
    unsigned int n = 0;

    for (uint64_t gfn = 0; gfn < TOTAL; gfn++)
        n += says(gfn);
    return n;
}

/* ---- who may not ---- */

static void test_refused(void **state)
{
    static const uint32_t commands[] = {XEN_DOMCTL_SHADOW_OP_CLEAN, XEN_DOMCTL_SHADOW_OP_PEEK};

    begin(PROTECT);
    assert_int_equal(log_op(0, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, 0, NULL), -EINVAL); /* itself */
    assert_int_equal(log_op(99, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 0, NULL), -ESRCH);
    assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_ENABLE, 0, 0, NULL), -EINVAL);
    assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_ENABLE_TEST, 0, 0, NULL), -EINVAL);
    for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
        assert_int_equal(log_op(d->id, commands[i], 0, TOTAL, bitmap), -EINVAL); /* it is off */
        assert_int_equal(log_op(d->id, commands[i], 0, 0, NULL), -EINVAL);
    }
    assert_int_equal(OFF(), 0);
    assert_int_equal(ENABLE(), 0);
    assert_int_equal(ENABLE(), -EINVAL);
    assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_ENABLE, XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY, 0, NULL), -EINVAL);
    for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
        assert_int_equal(log_op(d->id, commands[i], 2, TOTAL, bitmap), -EINVAL);
        assert_int_equal(log_op(d->id, commands[i], XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL, TOTAL, bitmap), 0);
    }
    assert_int_equal(OFF(), 0);
    assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_ENABLE, XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY, 0, NULL), 0);
    d->dying = DOM_DYING;
    assert_int_equal(PEEK(), -EINVAL);
    assert_int_equal(OFF(), -EINVAL);
    d->dying = DOM_ALIVE;
    end(); /* with the log on */
}

/* ---- rounds ---- */

static void one_round(enum kind kind)
{
    static const uint64_t gfns[] = {0, 1, 63, 64, PAGES - 1, LARGE, LARGE + 77, TOTAL - 1};

    begin(kind);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++)
        store(gfn);
    store(LARGE + 5);
    core.preempt = 1;
    assert_int_equal(ENABLE(), 0);
    assert_true(core.restarts > 0);
    for (uint64_t gfn = 0; gfn < TOTAL; gfn++)
        assert_false((gfn < PAGES || gfn >= LARGE) && may_store(gfn));
    assert_int_equal(CLEAN(), 0);
    assert_int_equal(how_many(), 0);
    for (unsigned int round = 0; round < 3; round++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(gfns); i++) {
            store(gfns[i]);
            store(gfns[i]);
        }
        for (unsigned int times = 0; times < 2; times++) {
            memset(bitmap, 0x5a, BYTES);
            assert_int_equal(PEEK(), 0);
            assert_int_equal(how_many(), ARRAY_SIZE(gfns));
            assert_int_equal(op->u.shadow_op.stats.dirty_count, ARRAY_SIZE(gfns));
            assert_int_equal(op->u.shadow_op.stats.fault_count, harvests(kind) ? 0 : ARRAY_SIZE(gfns));
            assert_int_equal(op->u.shadow_op.pages, TOTAL);
        }
        memset(bitmap, 0xa5, BYTES);
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), ARRAY_SIZE(gfns));
        for (unsigned int i = 0; i < ARRAY_SIZE(gfns); i++)
            assert_true(says(gfns[i]) && may_store(gfns[i]) == harvests(kind));
        assert_int_equal(PEEK(), 0);
        assert_int_equal(how_many(), 0);
        assert_int_equal(op->u.shadow_op.stats.dirty_count + op->u.shadow_op.stats.fault_count, 0);
    }
    assert_int_equal(OFF(), 0);
    assert_int_equal(d->paging_pool->used[PAGING_LOGDIRTY], 0);
    assert_int_equal(p2m_lookup(d, _gfn(LARGE)).order, 9); /* in one piece again */
    for (uint64_t gfn = 0; gfn < PAGES; gfn++)
        store(gfn);
    core.preempt = 0;
    end();
}

static void test_rounds(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        one_round(kind);
}

/* So many bits and no more, in the buffer as in the log. */
static void test_sizes(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        begin(kind);
        assert_int_equal(ENABLE(), 0);
        for (unsigned int pages = 0; pages <= PAGES; pages++) {
            for (uint64_t gfn = 0; gfn < PAGES; gfn++)
                store(gfn);
            memset(bitmap, 0, BYTES);
            assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, pages, bitmap), 0);
            assert_int_equal(op->u.shadow_op.pages, pages);
            assert_int_equal(how_many(), pages);
            assert_int_equal(PEEK(), 0);
            assert_int_equal(how_many(), PAGES - pages);
        }
        assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, TOTAL, NULL), 0); /* nobody wants to know */
        assert_int_equal(PEEK(), 0);
        assert_int_equal(how_many(), 0);
        end();
    }
}

/* A tool that is told of an error has lost what was read: all counts as dirty then. */
static void test_bad_buffers(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        begin(kind);
        assert_int_equal(ENABLE(), 0);
        store(7);
        for (unsigned int n = 0; n < NR_BAD_POINTERS; n++) {
            if (!core_bad_pointer(n, BYTES))
                continue;
            assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_PEEK, 0, TOTAL, core_bad_pointer(n, BYTES)), -EFAULT);
            assert_int_equal(PEEK(), 0);
            assert_int_equal(how_many(), 1);
        }
        assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, TOTAL, FAULT), -EFAULT);
        store(9);
        assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, PAGES, bitmap), 0); /* not all of it */
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), TOTAL);
        assert_true(harvests(kind) || !(may_store(7) || may_store(9)));
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 0);
        end();
    }
}

/* ---- two tools ---- */

static void test_one_at_a_time(void **state)
{
    struct logdirty_read r = {.clean = true, .pages = 1ul << 20};

    begin(NESTED);
    assert_int_equal(ENABLE(), 0);
    store(7);
    core.preempt = 1;
    stretch_begin(STRETCH_TRAP, 0);
    assert_int_equal(logdirty_read(d, &r), -ERESTART);
    stretch_end();
    assert_int_equal(CLEAN(), -EBUSY);
    assert_int_equal(PEEK(), -EBUSY);
    assert_int_equal(ENABLE(), -EINVAL);
    r.clean = false; /* it is not what it said it was */
    assert_int_equal(logdirty_read(d, &r), -EBUSY);
    r.clean = true;
    while (logdirty_read(d, &r) == -ERESTART)
        ;
    assert_int_equal(r.dirty_count, 1);
    assert_int_equal(CLEAN(), 0);
    assert_int_equal(how_many(), 0);
    r = (struct logdirty_read){.clean = true, .pages = 1ul << 20};
    assert_int_equal(logdirty_read(d, &r), -ERESTART);
    assert_int_equal(OFF(), 0); /* whoever gave that one up */
    assert_int_equal(logdirty_read(d, &r), -EINVAL);
    assert_int_equal(ENABLE(), 0);
    assert_int_equal(CLEAN(), 0);
    core.preempt = 0;
    end();
}

/* ---- others ---- */

static void test_held(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct page_info *before, *after;
        uint32_t now;

        begin(kind);
        before = get_writable_page(d, _gfn(5));
        assert_int_equal(ENABLE(), 0);
        after = get_writable_page(d, _gfn(LARGE + 6));
        for (unsigned int n = 0; n < 3; n++) {
            assert_int_equal(CLEAN(), 0);
            assert_int_equal(how_many(), 2);
            assert_true(says(5) && says(LARGE + 6));
        }
        put_page_and_type(before);
        put_page_and_type(after);
        now = tlb_now();
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 2);
        assert_true(cpumask_empty(tlb_filter(cpu_online_map, now))); /* whoever had them may still store */
        now = tlb_now();
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 0);
        assert_false(cpumask_empty(tlb_filter(cpu_online_map, now)));
        end();
    }
}

/* Hypercalls and emulated stores; what a guest frame stands for changes. */
static void test_other_stores(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint64_t old = 0;

        begin(kind);
        assert_int_equal(ENABLE(), 0);
        assert_int_equal(shadow_store(d, _gpa(3 * PAGE_SIZE), 8, 1), 0);
        assert_int_equal(shadow_write(d, _gpa(4 * PAGE_SIZE), 8, NULL), 0);
        assert_int_equal(shadow_swap(d, _gpa(5 * PAGE_SIZE), 8, &old, 1), 0);
        assert_int_equal(p2m_place(d, _gfn(PAGES), alloc_domain_pages(d, 0, 0), 0), 0);
        assert_int_equal(p2m_place(d, _gfn(6), alloc_domain_pages(d, 0, 0), 0), 0);
        assert_int_equal(p2m_move(d, mfn_to_page(p2m_lookup(d, _gfn(8)).mfn), _gfn(PAGES + 1)), 0);
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 7);
        assert_true(says(3) && says(4) && says(5) && says(6) && says(PAGES) && says(8) && says(PAGES + 1));
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 0);
        end();
    }
}

/* ---- memory for it ---- */

static unsigned int take_all(struct page_info **pg)
{
    unsigned int n = 0;

    while ((pg[n] = paging_pool_alloc(d, PAGING_LOGDIRTY, false)) != NULL)
        n++;
    return n;
}

static void give_back(struct page_info **pg, unsigned int n)
{
    while (n)
        paging_pool_free(d, PAGING_LOGDIRTY, pg[--n]);
}

static void test_no_memory(void **state)
{
    struct page_info *pg[POOL + 1];

    for (enum kind kind = 0; kind < KINDS; kind++) {
        unsigned int n;

        begin(kind);
        n = take_all(pg);
        for (unsigned int spare = 0; spare < 3; spare++) { /* of three */
            assert_int_equal(ENABLE(), -ENOMEM);
            assert_int_equal(d->logdirty.state, LOGDIRTY_OFF);
            assert_int_equal(d->paging_pool->used[PAGING_LOGDIRTY], n);
            give_back(pg + --n, 1);
        }
        assert_int_equal(ENABLE(), 0);
        give_back(pg, n);
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 0);
        end();
    }
}

/* Memory far away, and none for its bits: everything counts as dirty, as often as that is stored to. */
static void test_not_covered(void **state)
{
    uint64_t far = 5 * LOGDIRTY_PER_NODE;
    uint8_t *all = guest_alloc(far / 8 + 1);
    struct page_info *pg[POOL + 1];
    unsigned int n;

    begin(NESTED);
    assert_int_equal(ENABLE(), 0);
    n = take_all(pg) - 1;
    give_back(pg + n, 1); /* for the P2M */
    assert_int_equal(p2m_place(d, _gfn(far), alloc_domain_pages(d, 0, 0), 0), 0);
    assert_true(d->logdirty.all);
    assert_int_equal(CLEAN(), 0);
    assert_int_equal(how_many(), TOTAL);
    assert_true(d->logdirty.all); /* that was not all of it */
    for (unsigned int round = 0; round < 4; round++) {
        assert_int_equal(log_op(d->id, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, far + 1, all), 0);
        for (uint64_t i = 0; i < far / 8; i++)
            assert_int_equal(all[i], round < 3 ? 0xff : 0);
        assert_int_equal(all[far / 8], round < 3);
        assert_false(may_store(far));
        if (round < 2)
            store(far);
    }
    give_back(pg, n);
    end();
}

/* Nested paging: without memory to split an entry, all of it counts as stored to. */
static void test_not_split(void **state)
{
    struct page_info *pg[POOL + 1];

    for (enum kind kind = NESTED; kind < KINDS; kind++) {
        unsigned int n;

        begin(kind);
        assert_int_equal(ENABLE(), 0);
        n = take_all(pg);
        store(LARGE + 9);
        assert_int_equal(p2m_lookup(d, _gfn(LARGE)).order, 9);
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 512);
        assert_false(may_store(LARGE + 9));
        give_back(pg, n);
        store(LARGE + 9);
        assert_int_equal(p2m_lookup(d, _gfn(LARGE)).order, 0);
        assert_int_equal(CLEAN(), 0);
        assert_int_equal(how_many(), 1);
        end();
    }
}

static void change_type(uint64_t gfn, uint64_t n, enum p2m_type from, enum p2m_type to)
{
    struct p2m_retype r = {.gfn = _gfn(gfn), .n = n, .from = from, .to = to};

    stretch_point();
    assert_int_equal(p2m_change_type(d, &r), 0);
}

/* Nested paging, harvested: one fault for 512 pages; the audit knows such entries; what a D said goes with its entry.
 */
static void test_watched(void **state)
{
    struct p2m_audit a = {0};

    begin(NESTED_HARVEST);
    assert_int_equal(ENABLE(), 0);
    store(LARGE + 5);
    store(7);
    assert_true(may_store(LARGE) && may_store(TOTAL - 1));
    while (p2m_audit(d, &a) == -ERESTART)
        stretch_point();
    assert_int_equal(a.broken.count, 0);
    assert_int_equal(CLEAN(), 0);
    assert_true(how_many() == 2 && says(7) && says(LARGE + 5));
    store(7);
    change_type(7, 1, P2M_RAM_RW, P2M_RAM_RO);
    assert_int_equal(CLEAN(), 0);
    assert_true(how_many() == 1 && says(7));
    change_type(LARGE, 512, P2M_RAM_RO, P2M_LOGDIRTY); /* they are alike, and stay what they are */
    assert_int_equal(p2m_lookup(d, _gfn(LARGE)).order, 0);
    assert_int_equal(OFF(), 0);
    assert_int_equal(p2m_lookup(d, _gfn(LARGE)).order, 9);
    end();
}

/* ---- at random ---- */

static uint8_t copies[TOTAL][PAGE_SIZE];
static uint32_t known[TOTAL]; /* TLBs have known since then that they may store; until the next flush */
static struct logdirty_read reading;
static struct page_info *holder;
static bool copied;

static uint64_t some_gfn(void)
{
    return fake_chance(50) ? fake_below(PAGES) : LARGE + fake_below(512);
}

static uint8_t *frame(uint64_t gfn)
{
    return mfn_to_virt(p2m_lookup(d, _gfn(gfn)).mfn);
}

static void change(void *page)
{
    ((uint64_t *)page)[fake_below(512)] = fake_rand();
}

static void hardware_stores(uint64_t gfn)
{
    if (known[gfn] != tlb_now())
        store(gfn);
    known[gfn] = tlb_now();
    change(frame(gfn));
}

static void use_bits(bool all)
{
    for (uint64_t gfn = 0; gfn < TOTAL; gfn++)
        if ((gfn < PAGES || gfn >= LARGE) && (all || says(gfn)))
            memcpy(copies[gfn], frame(gfn), PAGE_SIZE);
}

static void check_copy(void)
{
    assert_int_equal(PEEK(), 0);
    for (uint64_t gfn = 0; gfn < TOTAL; gfn++)
        if ((gfn < PAGES || gfn >= LARGE) && !says(gfn) && memcmp(copies[gfn], frame(gfn), PAGE_SIZE))
            fail_msg("frame %lx differs from the copy, and is clean", gfn);
}

/* A slice of what a tool does. */
static void tool_goes_on(void)
{
    int rc;

    if (copied && !reading.token) {
        check_copy();
        reading = (struct logdirty_read){.clean = true, .bitmap = bitmap, .pages = TOTAL};
    }
    core.preempt = 1;
    stretch_begin(STRETCH_TRAP, 0);
    rc = copied ? logdirty_read(d, &reading) : logdirty_enable(d);
    stretch_end();
    core.preempt = 0;
    if (rc == -ERESTART)
        return;
    assert_int_equal(rc, 0);
    use_bits(!copied);
    reading.token = 0;
    copied = true;
    check_copy();
}

static void hold_or_drop(uint64_t gfn)
{
    if (holder)
        put_page_and_type(holder);
    holder = holder ? NULL : get_writable_page(d, _gfn(gfn));
}

static void random_step(void)
{
    unsigned int percent = fake_below(100);
    uint64_t gfn = some_gfn();

    stretch_end();
    if (percent < 70)
        hardware_stores(gfn);
    else if (percent < 75)
        assert_int_equal(shadow_store(d, _gpa(gfn << PAGE_SHIFT), 8, fake_rand()), 0);
    else if (percent < 80)
        hold_or_drop(gfn);
    else if (percent < 88 && holder)
        change(page_to_virt(holder));
    else if (percent < 90)
        assert_int_equal(p2m_place(d, _gfn(gfn), alloc_domain_pages(d, 0, 0), 0), 0);
    else
        tool_goes_on();
}

static void test_random(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        begin(kind);
        cpumask_set(&d->dirty_cpus, 0);
        memset(known, 0, sizeof(known));
        copied = false;
        reading.token = 0;
        for (unsigned long i = fake_ops(6000) / KINDS; i; i--)
            random_step();
        assert_true(copied);
        if (holder)
            hold_or_drop(0);
        cpumask_clear(&d->dirty_cpus, 0);
        end();
    }
}

int core_log_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_refused),      CORE_TEST(test_rounds),    CORE_TEST(test_sizes),
        CORE_TEST(test_bad_buffers),  CORE_TEST(test_held),      CORE_TEST(test_one_at_a_time),
        CORE_TEST(test_other_stores), CORE_TEST(test_no_memory), CORE_TEST(test_not_covered),
        CORE_TEST(test_not_split),    CORE_TEST(test_watched),   CORE_TEST(test_random),
    };

    return cmocka_run_group_tests_name("log of stores", tests, NULL, NULL);
}
