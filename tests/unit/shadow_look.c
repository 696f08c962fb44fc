// SPDX-License-Identifier: BSD-2-Clause
/*
 * Audits of shadow_model.h: the whole, and after each step what this step worked on, which is enough to find at once
 * whatever it broke there; all other tables take turns, one each time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <umbra/umbra_op.h>
#include "fake/ram.h"
#include "shadow_model.h"

static enum ring ring_of(const struct umbra_shadow_record *r)
{
    if (r->child)
        return RING_PARENTS;
    if (r->gfn == UMBRA_SHADOW_none)
        return RING_BORROWED;
    return r->level == 2 ? RING_2M : RING_4K;
}

/* What control tools are told agrees: the counters with the tables and entries that there are. */
static void check_counts(void)
{
    struct shadow_count is = {0}, *says = &d->shadow->count;
    struct umbra_shadow_record r[50];
    uint64_t at = 0;

    while (at != UMBRA_SHADOW_end) {
        int n;

        stretch_point();
        n = shadow_dump(d, &at, r, ARRAY_SIZE(r));
        assert_in_range(n, 0, ARRAY_SIZE(r));
        for (int i = 0; i < n; i++)
            if (r[i].index == UMBRA_SHADOW_table) {
                is.tables[r[i].format][r[i].level]++;
                is.direct += r[i].flags & UMBRA_SHADOW_direct;
            } else {
                is.entries[ring_of(&r[i])]++;
            }
    }
    for (uint64_t m = RAM_START; m < RAM_END; m++) {
        is.rings[RING_4K] += mfn_to_page(_mfn(m))->owner == d && mfn_to_page(_mfn(m))->shadow.rmap;
        is.rings[RING_2M] += mfn_to_page(_mfn(m))->owner == d && mfn_to_page(_mfn(m))->shadow.rmap_2m;
    }
    assert_memory_equal(is.tables, says->tables, sizeof(is.tables));
    assert_int_equal(is.direct, says->direct);
    assert_memory_equal(is.entries, says->entries, sizeof(is.entries));
    assert_int_equal(is.rings[RING_4K], says->rings[RING_4K]);
    assert_int_equal(is.rings[RING_2M], says->rings[RING_2M]);
    assert_int_equal(says->made - says->freed, d->shadow->pages);
    assert_in_range(says->longest, 0, STRETCH_BOUND);
}

unsigned int model_audit(void)
{
    static unsigned int audits;
    struct shadow_audit a = {0};

    stretch_point();
    while (shadow_audit(d, &a) == -ERESTART)
        stretch_point();
    if (!a.broken.count && ++audits % 16 == 0) /* what a test has broken does not count right either */
        check_counts();
    return a.broken.count;
}

/* The first page from id on: the audit is preempted before the second. */
static uint32_t look_at(uint32_t id)
{
    struct shadow_audit a = {.next = id};
    unsigned int percent = fake_preempt_percent;
    int rc;

    fake_preempt_percent = 100;
    stretch_point();
    rc = shadow_audit(d, &a);
    fake_preempt_percent = percent;
    stretch_point();
    assert_int_equal(a.broken.count, 0);
    return rc == -ERESTART ? a.next : 0;
}

void model_look_at_way(const struct test_vcpu *t, uint64_t linear)
{
    const struct shadow_page *sp = t->v.root;

    for (;;) {
        unsigned int level = sp->role.level;
        spte_t e = sp->entry[(linear >> (PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1)];

        look_at(sp->id);
        if (!spte_present(e) || spte_is_leaf(e, level))
            return;
        sp = page_of_frame(d->shadow, spte_mfn(e));
    }
}

void model_look_at_table(uint64_t gfn)
{
    for (uint32_t id = mfn_to_page(model_frame(gfn))->shadow.tables; id; id = page_by_id(d->shadow, id)->next_of_table)
        look_at(id);
}

void model_look_on(void)
{
    static uint32_t next;

    next = look_at(next < d->shadow->nr_ids ? next : 0);
}
