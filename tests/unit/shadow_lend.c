// SPDX-License-Identifier: BSD-2-Clause
/* See shadow_lend.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include "shadow_lend.h"
#include "shadow_tlb.h"

#define LENT 6u

static struct domain *lender;
static struct {
    struct page_info *pg;
    uint64_t gfn; /* where it was the last time */
} lent[LENT];
unsigned long lend_accesses;

void lend_begin(struct domain *of)
{
    lender = of;
    lender->max_pages = LENT;
    for (unsigned int i = 0; i < LENT; i++) {
        lent[i].pg = alloc_domain_pages(lender, 0, 0);
        lent[i].gfn = FRAMES;
        assert_non_null(lent[i].pg);
    }
}

void lend_end(void)
{
    for (unsigned int i = 0; i < LENT; i++) {
        assert_int_equal(lent[i].pg->count_info, PGC_allocated | 1);
        assert_int_equal(lent[i].pg->type_info & PGT_count_mask, 0);
        lent[i].pg->count_info &= ~PGC_allocated;
        put_page(lent[i].pg);
    }
}

static bool is_there(unsigned int i)
{
    return mfn_eq(p2m_lookup(d, _gfn(lent[i].gfn)).mfn, page_to_mfn(lent[i].pg));
}

bool lend_has(uint64_t gfn)
{
    return p2m_is_borrowed(p2m_lookup(d, _gfn(gfn)).type);
}

bool lend_hides(uint64_t address)
{
    return lend_has(address >> PAGE_SHIFT);
}

uint64_t lend_gfn_of(mfn_t m)
{
    for (unsigned int i = 0; i < LENT; i++)
        if (mfn_eq(page_to_mfn(lent[i].pg), m))
            return is_there(i) ? lent[i].gfn : INVALID_M2P_ENTRY;
    return get_gpfn_from_mfn(m);
}

bool lend_may_store(mfn_t m)
{
    enum p2m_type t = p2m_lookup(d, _gfn(lend_gfn_of(m))).type;

    return (t == P2M_RAM_RW && !is_protected(d->shadow, m)) || t == P2M_GRANT_RW || t == P2M_FOREIGN;
}

/* A translation that a vCPU keeps by itself may be of a table that stood there. */
static void note_contents(uint64_t gfn)
{
    const uint64_t *word = mfn_to_virt(model_frame(gfn));

    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        if (word[i])
            model_will_store((gfn << PAGE_SHIFT) + i * sizeof(*word), sizeof(*word));
}

static int set(uint64_t gfn, struct page_info *pg, enum p2m_type type)
{
    struct p2m_range r = {.gfn = _gfn(gfn), .mfn = page_to_mfn(pg), .type = type};
    int rc;

    do {
        stretch_point();
        rc = p2m_set(d, &r);
    } while (model_try_again(rc));
    return rc;
}

static void lend(unsigned int i, uint64_t gfn, enum p2m_type type)
{
    struct page_info *pg = lent[i].pg;
    mfn_t old = model_frame(gfn);

    note_contents(gfn);
    memcpy(page_to_virt(pg), mfn_to_virt(old), PAGE_SIZE);
    assert_true(get_page(pg, lender));
    if (type != P2M_GRANT_RO)
        assert_int_equal(get_page_type(pg, PT_WRITABLE), 0);
    assert_int_equal(set(gfn, pg, type), 0);
    lent[i].gfn = gfn;
    assert_false(tlb_knows(old));
}

/* What lies in a table's place can be stored to: it is stored to whatever it is. */
void lend_or_return(uint64_t gfn, bool table)
{
    static const enum p2m_type types[] = {P2M_GRANT_RW, P2M_FOREIGN, P2M_GRANT_RO};
    unsigned int i = fake_below(LENT);

    if (is_there(i))
        model_replace(lent[i].gfn);
    else if (!lend_has(gfn))
        lend(i, gfn, types[fake_below(table ? 2 : 3)]);
}
