// SPDX-License-Identifier: BSD-2-Clause
/*
 * What shadow_fault answers with SHADOW_EMULATE: the instruction is completed here. Each access walks the guest's
 * tables as the processor would, so it faults as it would; stores go by shadow_store and shadow_swap, which keep
 * shadows right.
 *
 * Only stores within a frame, of up to 8 bytes, are done. For what remains the table has to give up its protection; it
 * has it again as soon as somebody translates by it. If that is the instruction itself, its vCPU translates without
 * protecting anything until its next flush, as all do in the reference mode (vtlb.c): then it makes no table of what it
 * stores to, and others, who may, progress themselves.
 * Where no memory is, the device that the vCPU names takes part.
 */
#include <hv/emulate.h>
#include <hv/x86.h>
#include "internal.h"

struct context {
    struct shadow_vcpu *v;
    uint32_t from; /* PFEC_U: user mode */
    bool smap_exempt, stored;
};

/* Where the guest's tables lead to. */
static enum emulate_result translate(struct emul *e, uint64_t linear, uint32_t access, gpa_t *at)
{
    const struct context *c = e->ctx;
    struct guest_mem mem = shadow_mem(c->v->s->d);
    struct guest_walk w = {.linear = linear, .access = access | c->from, .smap_exempt = c->smap_exempt};

    switch (guest_walk(&c->v->paging, &mem, &w)) {
    case WALK_OK:
        *at = _gpa((w.gfn.n << PAGE_SHIFT) | (linear & (PAGE_SIZE - 1)));
        return EMULATE_DONE;
    case WALK_RETRY:
        return EMULATE_RETRY;
    default:
        e->fault = (struct emul_fault){TRAP_PF, true, w.error, linear};
        return EMULATE_FAULT;
    }
}

static enum emulate_result from_device(const struct context *c, gpa_t at, uint32_t access, uint8_t *to,
                                       unsigned int bytes)
{
    uint64_t value = 0;

    if (!c->v->device || (access & PFEC_I) || bytes > sizeof(value))
        return EMULATE_UNHANDLED;
    c->v->device(at, bytes, false, &value);
    memcpy(to, &value, bytes);
    return EMULATE_DONE;
}

static enum emulate_result to_device(const struct context *c, gpa_t at, unsigned int bytes, uint64_t value)
{
    if (!c->v->device)
        return EMULATE_UNHANDLED;
    c->v->device(at, bytes, true, &value);
    return EMULATE_DONE;
}

/* Within a page. */
static enum emulate_result copy_in(struct emul *e, uint64_t linear, uint32_t access, uint8_t *to, unsigned int bytes)
{
    const struct context *c = e->ctx;
    gpa_t at = _gpa(0);
    enum emulate_result r = translate(e, linear, access, &at);
    enum p2m_type type;
    struct page_info *pg;

    if (r != EMULATE_DONE)
        return r;
    pg = p2m_get_page(c->v->s->d, _gfn(at.n >> PAGE_SHIFT), &type);
    if (!pg)
        return from_device(c, at, access, to, bytes);
    memcpy(to, (const uint8_t *)page_to_virt(pg) + (at.n & (PAGE_SIZE - 1)), bytes);
    put_page(pg);
    return EMULATE_DONE;
}

static enum emulate_result emul_fetch(struct emul *e, uint64_t linear, uint8_t *buf, unsigned int bytes)
{
    return copy_in(e, linear, PFEC_I, buf, bytes);
}

static enum emulate_result emul_read(struct emul *e, const struct emul_access *a, uint64_t *value)
{
    unsigned int first = MIN(a->bytes, (unsigned int)(PAGE_SIZE - (a->linear & (PAGE_SIZE - 1))));
    uint32_t access = a->write ? PFEC_W : 0;
    uint8_t bytes[16];
    enum emulate_result r = copy_in(e, a->linear, access, bytes, first);

    if (r == EMULATE_DONE && first < a->bytes)
        r = copy_in(e, a->linear + first, access, bytes + first, a->bytes - first);
    if (r != EMULATE_DONE)
        return r;
    value[0] = 0;
    memcpy(value, bytes, a->bytes);
    return r;
}

/* A store is work, wherever it leads: a repeated instruction's to nowhere ends as others do. */
static enum emulate_result emul_write(struct emul *e, const struct emul_access *a, const uint64_t *value)
{
    struct context *c = e->ctx;
    uint32_t begun = stretch_request();
    gpa_t at = _gpa(0);
    enum emulate_result r;

    if (a->crosses || a->bytes > STORE_BYTES)
        return EMULATE_UNHANDLED;
    if (c->stored && room() < STORE_WORK)
        return EMULATE_RETRY; /* a repeated instruction goes on in a new stretch */
    c->stored = true;
    r = translate(e, a->linear, PFEC_W, &at);
    if (r == EMULATE_DONE && shadow_store(c->v->s->d, at, a->bytes, *value))
        r = to_device(c, at, a->bytes, *value);
    stretch_request_done(begun);
    return r;
}

static enum emulate_result emul_cmpxchg(struct emul *e, const struct emul_access *a, const uint64_t *old,
                                        const uint64_t *new)
{
    const struct context *c = e->ctx;
    gpa_t at = _gpa(0);
    uint64_t found = *old;
    enum emulate_result r;

    if (a->crosses || a->bytes > STORE_BYTES)
        return EMULATE_UNHANDLED;
    r = translate(e, a->linear, PFEC_W, &at);
    if (r != EMULATE_DONE)
        return r;
    if (shadow_swap(c->v->s->d, at, a->bytes, &found, *new))
        return to_device(c, at, a->bytes, *new);
    return found == *old ? EMULATE_DONE : EMULATE_RETRY;
}

static const struct emul_ops shadow_emul_ops = {emul_fetch, emul_read, emul_write, emul_cmpxchg};

enum emulate_result shadow_emulate(struct shadow_vcpu *v, struct emul *e, bool user, bool smap_exempt)
{
    struct context c = {v, user ? PFEC_U : 0, smap_exempt, false};
    enum emulate_result r;

    e->ops = &shadow_emul_ops;
    e->ctx = &c;
    r = emulate_store(e);
    e->ctx = NULL;
    v->emulated[r]++;
    return r;
}

#define GENERAL_REGS 15u
static_assert(offsetof(struct cpu_user_regs, rdi) == (GENERAL_REGS - 1) * sizeof(uint64_t), "they stand first");

/* Two places with the same number cost time, no more. */
static uint64_t place_of(const struct cpu_user_regs *regs)
{
    uint64_t general[GENERAL_REGS], n = regs->rip;

    memcpy(general, regs, sizeof(general));
    for (unsigned int i = 0; i < GENERAL_REGS; i++)
        n = n * 31 + general[i];
    return n * 31 + regs->rsp;
}

bool shadow_give_up(struct shadow_vcpu *v, const struct cpu_user_regs *regs, gpa_t at)
{
    uint64_t place = place_of(regs);
    struct shadow *s = v->s;
    struct p2m_entry p;
    bool done;

    vcpu_lock(v, SHADOW_LOCK_GIVE_UP);
    p = p2m_lookup_locked(s->d, _gfn(at.n >> PAGE_SHIFT));
    done = !p2m_is_ram(p.type) || table_end(s, p.mfn);
    shadow_flush(s);
    if (done && v->gave_up == place && !v->apart) {
        v->apart = true;
        s->count.apart++;
    }
    if (done)
        v->gave_up = place;
    shadow_unlock(s);
    return done;
}
