// SPDX-License-Identifier: BSD-2-Clause
/*
 * Instructions of the random walk's guests that store to tables, which the emulator decodes and does, or does not know.
 * The code is put where the guest's own tables lead a fetch to; what the store does is the oracle's to say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_lend.h"

unsigned long insn_results[EMULATE_RESULTS];

/* Where an access of an instruction goes; its way has A and D then, in memory and in the model. False: it faults. */
static bool go_through(struct test_vcpu *t, enum oracle_kind kind, struct guest_walk *w, struct oracle_result *o)
{
    struct guest_mem mem = shadow_memory(d->shadow);
    enum walk_result r;

    w->access |= kind == ORACLE_FETCH ? PFEC_I : PFEC_W;
    w->smap_exempt = t->guest.eflags_ac;
    *o = oracle_access(&t->guest, w->linear, kind, w->access & PFEC_U);
    do /* an entry that stands twice on the way was changed in between */
        r = guest_walk(&t->v.paging, &mem, w);
    while (r == WALK_RETRY);
    assert_int_equal(r, o->faults ? WALK_FAULT : WALK_OK);
    return r == WALK_OK;
}

static const struct {
    const char *text; /* with RBX or EBX for the address, RCX for the value */
    bool lock, emulated;
    enum insn_op op;
} forms[] = {
    {"\x89\x0b", false, true, INSN_MOV},        {"\x87\x0b", false, true, INSN_XCHG},
    {"\x09\x0b", true, true, INSN_OR},          {"\x0f\xb1\x0b", true, true, INSN_CMPXCHG},
    {"\x0f\xd6\x03", false, false, INSN_OTHER}, /* movq %xmm0, (%rbx) */
};

/* The instruction as 8 bytes of code. */
static uint64_t assemble(unsigned int form, bool wide)
{
    uint8_t code[8] = {0};
    unsigned int n = 0;
    uint64_t value;

    if (forms[form].lock)
        code[n++] = 0xf0;
    if (!forms[form].emulated)
        code[n++] = 0x66;
    if (wide && forms[form].emulated)
        code[n++] = 0x48;
    memcpy(code + n, forms[form].text, strlen(forms[form].text));
    memcpy(&value, code, sizeof(value));
    return value;
}

/* What memory holds when it is done. */
static uint64_t outcome(unsigned int form, uint64_t old, const struct cpu_user_regs *regs, uint64_t mask)
{
    switch (forms[form].op) {
    case INSN_OR:
        return old | regs->rcx;
    case INSN_CMPXCHG:
        return ((regs->rax ^ old) & mask) ? old : regs->rcx;
    default:
        return regs->rcx;
    }
}

static void expect(const struct emul *e, enum emulate_result rc, const struct oracle_result *o)
{
    insn_results[rc]++;
    if (e->insn.op == INSN_OTHER)
        assert_int_equal(rc, EMULATE_UNHANDLED);
    else if (o->faults)
        assert_true(rc == EMULATE_FAULT && e->fault.vector == TRAP_PF && e->fault.error == o->error_code);
    else if (p2m_refuses(p2m_lookup(d, _gfn(o->physical >> PAGE_SHIFT)).type, true, false))
        assert_int_equal(rc, EMULATE_UNHANDLED); /* the vCPU has no device */
    else if (rc != EMULATE_DONE)
        fail_msg("instruction %u at %lx: result %u, fault %u %x at %lx", e->insn.op, o->physical, rc, e->fault.vector,
                 e->fault.error, e->fault.linear);
}

/* The instruction stands where the guest fetches it, in a frame of its own, and o says what its store does. */
/* Can the instruction be put there? */
static bool holds_code(const struct guest_walk *w)
{
    return w->gfn.n < FRAMES && !lend_has(w->gfn.n) && !mfn_eq(model_frame(w->gfn.n), INVALID_MFN);
}

static bool place_code(struct test_vcpu *t, uint64_t code, struct guest_walk *fetch, struct guest_walk *store,
                       struct oracle_result *o)
{
    if (!go_through(t, ORACLE_FETCH, fetch, o) || !holds_code(fetch) || model_is_table(fetch->gfn.n))
        return false;
    model_store(fetch->gfn.n << PAGE_SHIFT, 8, code);
    (void)go_through(t, ORACLE_WRITE, store, o);
    /* If it is a table after all, it may be another instruction by now, or elsewhere. */
    return go_through(t, ORACLE_FETCH, fetch, &(struct oracle_result){0}) && holds_code(fetch) &&
           !memcmp(mfn_to_virt(model_frame(fetch->gfn.n)), &code, sizeof(code));
}

/* A store to a table by an instruction of the guest's, decoded and done; false: there is no place for its code. */
bool insn_store(struct test_vcpu *t, const struct access *a, uint64_t linear, uint64_t value)
{
    static const struct emul_segment flat[SEG_COUNT] = {[0 ... SEG_COUNT - 1] = {.limit = ~0u, .plain = true}};
    bool wide = model_levels(t) == 4 && fake_chance(50);
    unsigned int form = fake_below(ARRAY_SIZE(forms)), bytes = wide ? 8 : 4;
    uint64_t old = 0, page = model_linear(t) & ~(PAGE_SIZE - 1);
    struct guest_walk fetch = {.linear = page, .access = a->user ? PFEC_U : 0};
    struct guest_walk store = {.linear = linear, .access = a->user ? PFEC_U : 0};
    struct cpu_user_regs before = {.rip = page, .rbx = linear, .rcx = value}, regs;
    struct emul e = {.mode = model_levels(t) == 4 ? INSN_64 : INSN_32, .regs = &regs, .seg = flat};
    enum emulate_result rc;
    struct oracle_result o;

    if (!place_code(t, assemble(form, wide), &fetch, &store, &o))
        return false;
    if (!o.faults && o.physical < SIZE) {
        memcpy(&old, (uint8_t *)mfn_to_virt(model_frame(o.physical >> PAGE_SHIFT)) + o.physical % PAGE_SIZE, bytes);
        model_will_store(o.physical, bytes);
    }
    before.rax = fake_chance(70) ? old : fake_rand();
    do {
        regs = before;
        stretch_begin(STRETCH_TRAP, 14);
        rc = shadow_emulate(&t->v, &e, a->user, t->guest.eflags_ac);
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
    } while (rc == EMULATE_RETRY);
    expect(&e, rc, &o);
    if (rc == EMULATE_DONE)
        model_wrote(o.physical, bytes, outcome(form, old, &before, insn_mask(bytes)));
    if (!forms[form].emulated)
        model_give_up(t, &regs, a->at);
    return true;
}
