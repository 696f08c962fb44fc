// SPDX-License-Identifier: BSD-2-Clause
/*
 * Audit of one domain: counts, from the tables alone, which references they hold, and compares with the frame table.
 * Numbers are those of docs/invariants.md. Slow and obvious on purpose; it shares no code with the route that it
 * checks. Holders outside the tables - grants, descriptor tables, shared pages, foreign mappings - are not known here,
 * so counts in the frame table may be higher than those found, never lower.
 */
#include <hv/heap.h>
#include "pt.h"

struct audit_count {
    uint32_t general, typed;
};

struct audit {
    struct domain *d;
    struct audit_count *count; /* [max_page] */
    int broken;
};

static void report(struct audit *a, const char *which, const char *what, const struct page_info *pg)
{
    a->broken++;
    printk(XLOG_ERR "audit d%u: %s: %s: mfn %lx count %lx type %lx nr %u\n", a->d->id, which, what, page_to_mfn(pg).n,
           pg->count_info, pg->type_info, pg->nr_validated);
}

static void expect_one(struct audit *a, mfn_t m, bool typed)
{
    if (!mfn_valid(m))
        return;
    a->count[m.n].general++;
    a->count[m.n].typed += typed;
}

/* What one present entry says about the frame it names. */
static void audit_entry(struct audit *a, const struct page_info *table, unsigned int level, pte_t e)
{
    const struct page_info *pg;

    if (!(e.n & PTE_US))
        report(a, "P6", "entry without US", table);
    if (!mfn_valid(pte_mfn(e))) {
        if (level > 1 || !iomem_permitted(a->d, pte_mfn(e)))
            report(a, "P4", "entry names memory that is not the domain's", table);
        return;
    }
    pg = mfn_to_page(pte_mfn(e));
    expect_one(a, pte_mfn(e), level > 1 || (e.n & PTE_RW));
    if (level > 1 && (page_type(pg) != level - 1 || !(pg->type_info & PGT_validated) || pg->owner != a->d))
        report(a, "P3", "entry names a frame that is no table of the next level", pg);
    if (level == 1 && (e.n & PTE_RW) && page_type(pg) != PT_WRITABLE)
        report(a, "P2", "writable mapping of a frame of another type", pg);
}

static void audit_table(struct audit *a, const struct page_info *pg)
{
    unsigned int level = page_type(pg);
    unsigned int n = (pg->type_info & PGT_partial) ? pg->nr_validated : PT_ENTRIES;

    for (unsigned int i = 0; i < n; i++) {
        pte_t e = pt_read(pt_slot(pg, i));

        if (!pt_is_hv_slot(level, i) && (e.n & PTE_P))
            audit_entry(a, pg, level, e);
    }
}

/* First pass: every frame by itself, and what it holds on others. */
static void audit_frame(struct audit *a, const struct page_info *pg)
{
    uint64_t t = pg->type_info;
    enum page_type type = page_type(pg);
    bool table = type >= PT_L1 && type <= PT_L4;

    if (t & PGT_busy)
        report(a, "S3", "busy while the domain is paused", pg);
    if ((t & PGT_partial) && (!table || (t & (PGT_count_mask | PGT_validated | PGT_pinned))))
        report(a, "P5", "partial and in use", pg);
    if (table && (t & PGT_count_mask) && !(t & PGT_validated))
        report(a, "P5", "in use and not validated", pg);
    if ((t & PGT_pinned) && !(t & PGT_count_mask))
        report(a, "P7", "pinned without a reference", pg);
    if (t & (PGT_pinned | PGT_partial))
        expect_one(a, page_to_mfn(pg), t & PGT_pinned);
    if (pg->count_info & PGC_allocated)
        expect_one(a, page_to_mfn(pg), false);
    if (table && ((t & PGT_validated) || (t & PGT_partial)))
        audit_table(a, pg);
}

/* Second pass: are the counts at least what was found? For tables there are no other holders: exactly. */
static void compare_frame(struct audit *a, const struct page_info *pg)
{
    const struct audit_count *c = &a->count[page_to_mfn(pg).n];
    uint64_t typed = pg->type_info & PGT_count_mask;
    enum page_type type = page_type(pg);

    if (c->general > (pg->count_info & PGC_count_mask))
        report(a, "S1", "fewer general references than holders", pg);
    if (c->typed > typed)
        report(a, "S2", "fewer typed references than holders", pg);
    if (type >= PT_L1 && type <= PT_L4 && c->typed != typed)
        report(a, "P1", "typed references of a table without a holder", pg);
    if (typed > (pg->count_info & PGC_count_mask))
        report(a, "S2", "typed references without general ones", pg);
}

static void audit_bases(struct audit *a)
{
    struct vcpu *v;

    for_each_vcpu (a->d, v) {
        if (!mfn_eq(v->pv.l4_kernel, INVALID_MFN))
            expect_one(a, v->pv.l4_kernel, true);
        if (!mfn_eq(v->pv.l4_user, INVALID_MFN))
            expect_one(a, v->pv.l4_user, true);
    }
}

int pv_audit(struct domain *d)
{
    struct audit a = {.d = d, .count = hv_new_array(struct audit_count, max_page)};
    struct page_info *pg;

    if (!a.count)
        return -ENOMEM;
    spin_lock(&d->pv.pt_lock);
    audit_bases(&a);
    list_for_each (pg, &d->page_list, list)
        audit_frame(&a, pg);
    list_for_each (pg, &d->page_list, list)
        compare_frame(&a, pg);
    spin_unlock(&d->pv.pt_lock);
    hv_free(a.count);
    return a.broken;
}
