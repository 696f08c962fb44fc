// SPDX-License-Identifier: BSD-2-Clause
/*
 * PVH guests of the machine in saved_guest.h: made at random, with holes in their memory, and compared; the calls that
 * only such guests need. The context is records whose contents nobody reads but the one with registers.
 */
#include <string.h>

#include "saved_guest.h"

#include <xen/hvm/save.h>

/* --- a guest at random --- */

static uint64_t below(uint64_t n)
{
    return (machine_random() >> 16) % n;
}

static void add_record(struct saved_domain *d, unsigned type, unsigned instance, uint32_t length)
{
    struct hvm_save_descriptor desc = {(uint16_t)type, (uint16_t)instance, length};

    memcpy(d->context + d->context_size, &desc, sizeof(desc));
    machine_fill(d->context + d->context_size + sizeof(desc), length);
    d->context_size += (uint32_t)sizeof(desc) + length;
}

static void make_context(struct saved_domain *d, unsigned vcpus)
{
    add_record(d, HVM_SAVE_CODE(HEADER), 0, HVM_SAVE_LENGTH(HEADER));
    for (unsigned i = vcpus; i-- > 0;) { /* the first is not the first one there */
        add_record(d, HVM_SAVE_CODE(LAPIC), i, HVM_SAVE_LENGTH(LAPIC));
        add_record(d, HVM_SAVE_CODE(CPU), i, HVM_SAVE_LENGTH(CPU));
    }
    add_record(d, HVM_SAVE_CODE(END), 0, 0);
}

/* Every range of 512 frames has all of them, some, or none; the rings lie by themselves at the end. */
void machine_make_pvh(uint64_t pfns, unsigned vcpus)
{
    struct saved_domain *d = &domains[SOURCE];

    memset(domains, 0, sizeof(domains));
    memset(owner, 0, sizeof(owner));
    d->hvm = d->suspended = true;
    d->nr_pfns = pfns;
    d->no_large = below(4) == 0;
    d->policy_seed = machine_random();
    d->tsc_nsec = machine_random();
    d->shared_frame = machine_take(SOURCE);
    for (uint64_t pfn = 0, share = 0; pfn < pfns; pfn++) {
        share = pfn % 512 ? share : pfn == 0 ? 20 : below(3) * 10;
        if (pfn >= pfns - 2 || below(20) < share) {
            d->frame[pfn] = machine_take(SOURCE);
            machine_fill(machine[d->frame[pfn]], below(4) ? 64 : 4096);
        }
    }
    places.console = pfns - 2;
    places.store = pfns - 1;
    d->param[HVM_PARAM_CONSOLE_PFN] = places.console;
    d->param[HVM_PARAM_STORE_PFN] = places.store;
    d->param[HVM_PARAM_CONSOLE_EVTCHN] = 7;
    d->param[HVM_PARAM_STORE_EVTCHN] = 8;
    d->param[HVM_PARAM_CALLBACK_IRQ] = 2ull << 56 | 0xf3;
    d->param[HVM_PARAM_IDENT_PT] = below(2) * 0xfeffc000;
    make_context(d, vcpus);
}

/* --- is it a copy? --- */

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, 4095) == 0;
}

static const char *compare_pages(const struct saved_domain *s, const struct saved_domain *t)
{
    for (uint64_t pfn = 0; pfn < s->nr_pfns; pfn++) {
        const uint8_t *from = machine[s->frame[pfn]], *to = machine[t->frame[pfn]];

        if (!s->frame[pfn] != !t->frame[pfn]) {
            return "another frame has memory";
        }
        if (pfn == places.console || pfn == places.store ? !is_zero(to)
                                                         : s->frame[pfn] && memcmp(from, to, 4096) != 0) {
            return "a page";
        }
    }
    return NULL;
}

/* As many large extents as there can be. */
static bool is_large_enough(const struct saved_domain *s, const struct saved_domain *t)
{
    uint64_t whole = 0;

    for (uint64_t pfn = 0; pfn + 512 <= s->nr_pfns; pfn += 512) {
        unsigned n = 0;

        for (unsigned i = 0; i < 512; i++) {
            n += s->frame[pfn + i] != 0;
        }
        whole += n == 512;
    }
    return t->large == (s->no_large ? 0 : whole);
}

const char *pvh_compare(const struct ctl_build *b)
{
    const struct saved_domain *s = &domains[SOURCE], *t = &domains[TARGET];
    const char *wrong = compare_pages(s, t);

    for (unsigned i = 0; i < HVM_NR_PARAMS && !wrong; i++) {
        uint64_t want = i == HVM_PARAM_STORE_EVTCHN     ? 1
                        : i == HVM_PARAM_CONSOLE_EVTCHN ? 2
                        : i == HVM_PARAM_CALLBACK_IRQ   ? 0 /* the guest says it anew */
                                                        : s->param[i];

        wrong = t->param[i] == want ? NULL : "a parameter";
    }
    if (!wrong && (s->context_size != t->context_size || memcmp(s->context, t->context, s->context_size) != 0)) {
        wrong = "the context";
    }
    if (!wrong && (s->policy_seed != t->policy_seed || s->tsc_nsec != t->tsc_nsec)) {
        wrong = "policy or time";
    }
    if (!wrong && (b->store_frame != places.store || b->console_frame != places.console)) {
        wrong = "a ring";
    }
    if (!wrong && (t->pool_mib != 3 || !is_large_enough(s, t))) {
        wrong = "the pool or the size of what was populated";
    }
    return wrong;
}

/* --- libctl's calls --- */

static int hvm_context(struct saved_domain *d, struct xen_domctl *op)
{
    struct xen_domctl_hvmcontext *c = &op->u.hvmcontext;

    if (op->cmd == XEN_DOMCTL_sethvmcontext) {
        if (c->size == 0 || c->size > CONTEXT) {
            return -EINVAL;
        }
        memcpy(d->context, c->buffer.p, c->size);
    } else if (c->buffer.p) {
        if (c->size < CONTEXT) {
            return -ENOSPC;
        }
        memcpy(c->buffer.p, d->context, d->context_size);
        c->size = d->context_size;
    } else {
        c->size = CONTEXT;
        return 0;
    }
    d->context_size = c->size;
    return 0;
}

int pvh_domctl(struct saved_domain *d, struct xen_domctl *op)
{
    xen_pfn_t *list = op->u.getpageframeinfo3.array.p;

    if (op->cmd == XEN_DOMCTL_shadow_op) {
        d->pool_mib = op->u.shadow_op.mb;
        return 0;
    }
    if (op->cmd != XEN_DOMCTL_getpageframeinfo3) {
        return hvm_context(d, op);
    }
    for (uint64_t i = 0; i < op->u.getpageframeinfo3.num; i++) {
        bool has = list[i] < d->nr_pfns && d->frame[list[i]];

        list[i] = has ? (uint64_t)d->type[list[i]] << 28 : XEN_DOMCTL_PFINFO_XTAB;
    }
    return 0;
}

int ctl_call_hvm(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    struct xen_hvm_param *p = arg;

    if (call_fails()) {
        return -EIO;
    }
    if (op == HVMOP_set_param) {
        domains[p->domid].param[p->index] = p->value;
    } else {
        p->value = domains[p->domid].param[p->index];
    }
    return 0;
}

long ctl_call_memory(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    return op == XENMEM_maximum_gpfn ? (long)domains[*(domid_t *)arg].nr_pfns - 1 : -ENOSYS;
}

int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op)
{
    return -ENOSYS;
}
