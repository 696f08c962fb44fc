// SPDX-License-Identifier: BSD-2-Clause
/*
 * A restored PVH guest: its pool before there is any memory, then the records of its parameters and processors, which
 * wait for all memory to be there.
 *
 * Of the parameters those are taken that say where something lies in the guest's memory; its two rings begin empty,
 * with new event channels. The guest makes all else that it shares with the hypervisor anew, as it does in any new
 * domain. Whether its processors can be such is for the hypervisor to decide, as a whole.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/restore.h"

int ctl_restore_hvm_begin(struct ctl_restore *r)
{
    r->nr_pfns = ctl_restore_most_pfns(r);
    r->there = calloc(r->nr_pfns / 64 + 1, sizeof(*r->there));
    if (!r->there) {
        return ctl_stream_fail(r->s, -ENOMEM, "no memory");
    }
    return ctl_domain_set_pool(r->b->ctl, r->b->domid, r->b->pool_kib, r->b->err);
}

/* --- records --- */

int ctl_restore_hvm_context(struct ctl_restore *r)
{
    if (r->context.data) {
        return ctl_stream_fail(r->s, -EBADMSG, "it comes twice");
    }
    r->context.size = r->s->rec.length;
    r->context.data = malloc(r->context.size + 1);
    if (!r->context.data) {
        return ctl_stream_fail(r->s, -ENOMEM, "no memory for it");
    }
    memcpy(r->context.data, r->s->rec.body, r->context.size);
    return 0;
}

/* What is done with a parameter of the stream: others are of guests with emulated devices. */
enum { REFUSED, TAKEN, PASSED_OVER };

static const uint8_t rules[HVM_NR_PARAMS] = {
    [HVM_PARAM_STORE_PFN] = TAKEN,
    [HVM_PARAM_CONSOLE_PFN] = TAKEN,
    [HVM_PARAM_IDENT_PT] = TAKEN,
    [HVM_PARAM_PAGING_RING_PFN] = TAKEN,
    [HVM_PARAM_MONITOR_RING_PFN] = TAKEN,
    [HVM_PARAM_SHARING_RING_PFN] = TAKEN,
    [HVM_PARAM_VM_GENERATION_ID_ADDR] = TAKEN,
    /* Means of another hypervisor that the guest does not see; pages for emulators, which there are not. */
    [HVM_PARAM_VM86_TSS_SIZED] = PASSED_OVER,
    [HVM_PARAM_X87_FIP_WIDTH] = PASSED_OVER,
    [HVM_PARAM_IOREQ_PFN] = PASSED_OVER,
    [HVM_PARAM_BUFIOREQ_PFN] = PASSED_OVER,
    [HVM_PARAM_IOREQ_SERVER_PFN] = PASSED_OVER,
    [HVM_PARAM_NR_IOREQ_SERVER_PAGES] = PASSED_OVER,
};

static int take_param(struct ctl_restore *r, const struct hvm_param *p)
{
    unsigned rule = p->index < HVM_NR_PARAMS ? rules[p->index] : REFUSED;

    if (rule == REFUSED && (p->value || p->index >= HVM_NR_PARAMS)) {
        return ctl_stream_fail(r->s, -EOPNOTSUPP, "parameter %llu is not one of a PVH guest",
                               (unsigned long long)p->index);
    }
    if (rule == TAKEN && r->param[p->index]) {
        return ctl_stream_fail(r->s, -EBADMSG, "parameter %llu comes twice", (unsigned long long)p->index);
    }
    if (rule == TAKEN) {
        r->param[p->index] = p->value;
    }
    return 0;
}

int ctl_restore_hvm_params(struct ctl_restore *r)
{
    struct params_header h;
    struct hvm_param p;
    int rc = ctl_record_least(r->s, sizeof(h));

    if (rc < 0) {
        return rc;
    }
    memcpy(&h, r->s->rec.body, sizeof(h));
    if (r->has_params || h.count > HVM_NR_PARAMS) {
        return ctl_stream_fail(r->s, -EBADMSG, "a second one, or one of %u parameters", h.count);
    }
    r->has_params = true;
    rc = ctl_record_exact(r->s, sizeof(h) + h.count * sizeof(p));
    for (uint32_t i = 0; i < h.count && rc == 0; i++) {
        memcpy(&p, r->s->rec.body + sizeof(h) + i * sizeof(p), sizeof(p));
        rc = take_param(r, &p);
    }
    return rc;
}

int ctl_restore_hvm_end(struct ctl_restore *r)
{
    const char *missing = !r->has_params ? "HVM_PARAMS" : !r->context.data ? "HVM_CONTEXT" : NULL;

    return missing ? ctl_stream_fail(r->s, -EBADMSG, "%s is missing", missing) : 0;
}

/* --- when all memory is there --- */

static int empty_ring(struct ctl_restore *r, unsigned index, const char *what, uint64_t *frame)
{
    *frame = r->param[index];
    if (!ctl_restore_has(r, *frame)) {
        return ctl_stream_fail(r->s, -EBADMSG, "%s is in guest frame 0x%llx, which has no memory", what,
                               (unsigned long long)*frame);
    }
    return ctl_restore_clear(r, *frame);
}

static int restore_rings(struct ctl_restore *r)
{
    int rc = empty_ring(r, HVM_PARAM_STORE_PFN, "xenstore's ring", &r->b->store_frame);

    r->param[HVM_PARAM_STORE_EVTCHN] = (uint64_t)r->b->store_port;
    r->param[HVM_PARAM_CONSOLE_EVTCHN] = (uint64_t)r->b->console_port;
    return rc < 0 ? rc : empty_ring(r, HVM_PARAM_CONSOLE_PFN, "the console's ring", &r->b->console_frame);
}

static int restore_params(struct ctl_restore *r)
{
    int rc = 0;

    for (uint32_t i = 0; i < HVM_NR_PARAMS && rc == 0; i++) {
        rc = r->param[i] ? ctl_domain_set_param(r->b->ctl, r->b->domid, i, r->param[i], r->b->err) : 0;
    }
    return rc;
}

static int restore_context(struct ctl_restore *r)
{
    uint8_t *context = ctl_buffer_get(r->b->ctl, r->context.size ? r->context.size : 1);
    int rc;

    if (!context) {
        return ctl_stream_fail(r->s, -ENOMEM, "no locked memory for the state of its processors");
    }
    memcpy(context, r->context.data, r->context.size);
    rc = ctl_hvm_context_set(r->b->ctl, r->b->domid, context, (uint32_t)r->context.size, r->b->err);
    ctl_buffer_put(r->b->ctl, context);
    return rc;
}

int ctl_restore_hvm_state(struct ctl_restore *r)
{
    static int (*const steps[])(struct ctl_restore *) = {restore_rings, restore_params, ctl_restore_tsc,
                                                         restore_context};
    int rc = 0;

    for (size_t i = 0; i < CTL_ARRAY(steps) && rc >= 0; i++) {
        rc = steps[i](r);
    }
    return rc < 0 ? rc : 0;
}
