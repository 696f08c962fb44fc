// SPDX-License-Identifier: BSD-2-Clause
/* What is done to the domain of shadow_model.h from outside of its vCPUs; each of it to its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include "shadow_past.h"
#include "shadow_tlb.h"

void model_overwrite_begins(uint64_t at, unsigned int bytes, const uint8_t *src)
{
    for (unsigned int i = 0; i < bytes; i += 8)
        model_will_store(at + i, MIN(bytes - i, 8u));
    stretch_begin(STRETCH_TRAP, 31);
    assert_int_equal(shadow_write(d, _gpa(at), bytes, src), 0);
    assert_true(this_cpu(stretch_now).work <= (bytes > STORE_BYTES ? 0 : STRETCH_BOUND));
    stretch_end();
    for (unsigned int i = 0; i < bytes; i++)
        model_wrote(at + i, 1, src[i]);
}

/* A vCPU that has left the guest for a fault goes on with it, up to its next look at whether it may enter. */
static void fault_once(void)
{
    struct test_vcpu *t = &vcpu[fake_below(VCPUS)];
    struct shadow_fault f = {.linear = past_linear(t), .access = fake_chance(50) ? PFEC_W : 0};

    if (!t->v.root)
        return;
    stretch_begin(STRETCH_TRAP, 14);
    (void)shadow_fault(&t->v, &f);
    assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
    stretch_end();
    model_take_over(); /* A and D */
}

void model_overwrite(uint64_t at, unsigned int bytes, const uint8_t *src)
{
    bool ready;

    model_overwrite_begins(at, bytes, src);
    do {
        stretch_begin(STRETCH_TRAP, 31);
        ready = shadow_ready(&vcpu[0].v);
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
        if (!ready && fake_chance(50))
            fault_once();
    } while (!ready);
}

void model_retype(uint64_t gfn, enum p2m_type to)
{
    struct p2m_retype r = {.gfn = _gfn(gfn), .n = 1, .from = p2m_lookup(d, _gfn(gfn)).type, .to = to};
    int rc;

    do {
        stretch_point();
        rc = p2m_change_type(d, &r);
    } while (model_try_again(rc));
    assert_int_equal(rc, 0);
}

void model_replace(uint64_t gfn)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);
    mfn_t old = model_frame(gfn);
    bool vacate = fake_chance(50);
    int rc;

    assert_non_null(pg);
    memcpy(page_to_virt(pg), mfn_to_virt(old), PAGE_SIZE);
    do { /* with the frame taken away before, or in one step */
        stretch_point();
        rc = vacate ? p2m_vacate(d, _gfn(gfn), 0) : 0;
        if (!rc)
            rc = p2m_place(d, _gfn(gfn), pg, 0);
    } while (model_try_again(rc));
    assert_int_equal(rc, 0);
    assert_false(tlb_knows(old));
}

void model_blow(void)
{
    stretch_point();
    while (shadow_blow(d) == -ERESTART)
        stretch_point();
    for (unsigned int i = 0; i < VCPUS; i++)
        assert_int_equal(vcpu[i].v.root ? vcpu[i].v.root->used : 0, 0);
    assert_true(d->shadow->pages <= VCPUS);
}

void model_give_up(struct test_vcpu *t, const struct cpu_user_regs *regs, uint64_t at)
{
    bool done;

    do {
        stretch_begin(STRETCH_TRAP, 14);
        done = shadow_give_up(&t->v, regs, _gpa(at));
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
    } while (!done);
}

void model_words(bool some, bool grow)
{
    bool *const words[] = {&opt_shadow_ahead, &opt_shadow_expect, &opt_shadow_invlpg, &opt_shadow_lockless,
                           &opt_shadow_oos,   &opt_shadow_reach,  &opt_shadow_shrink};

    for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
        *words[i] = !some || fake_chance(50);
    opt_shadow_ahead_grows = grow;
}
