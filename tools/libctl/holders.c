// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who keeps what is left of a domain.
 *
 * Place: above the hypervisor's search, which comes in slices; they are added up here. Invariant: one entry for each
 * holder, in order of id. "Foreign" is what page tables hold beyond grant mappings; a grant mapping whose entry its
 * holder has overwritten holds no frame any more, so the difference never goes below zero.
 */
#include <stdlib.h>

#include "libctl/internal.h"

/* The sums of one holder's rows. */
struct found {
    uint32_t domid;
    uint64_t host, device, entries;
};

struct search {
    struct found *found; /* in order of id */
    size_t count;
    uint64_t frames, shared_frames, references;
};

/* The entry of a holder, made when there is none; NULL: out of memory. */
static struct found *found_of(struct search *s, uint32_t domid)
{
    size_t at = 0;
    struct found *bigger;

    while (at < s->count && s->found[at].domid < domid) {
        at++;
    }
    if (at < s->count && s->found[at].domid == domid) {
        return &s->found[at];
    }
    bigger = realloc(s->found, (s->count + 1) * sizeof(*bigger));
    if (!bigger) {
        return NULL;
    }
    s->found = bigger;
    for (size_t i = s->count++; i > at; i--) {
        bigger[i] = bigger[i - 1];
    }
    bigger[at] = (struct found){.domid = domid};
    return &bigger[at];
}

static int add_slice(struct search *s, const struct umbra_op_holders *slice)
{
    s->frames += slice->frames;
    s->shared_frames += slice->shared_frames;
    s->references += slice->references;
    for (uint32_t i = 0; i < slice->nr_rows && i < CTL_ARRAY(slice->row); i++) {
        struct found *f = found_of(s, slice->row[i].domain);

        if (!f) {
            return -ENOMEM;
        }
        f->host += slice->row[i].host_grants;
        f->device += slice->row[i].device_grants;
        f->entries += slice->row[i].entries;
    }
    return 0;
}

static int run(struct ctl *ctl, uint32_t domid, struct search *s)
{
    struct umbra_op op = {.cmd = UMBRA_OP_holders, .domain = domid};
    int rc = 0;

    while (rc == 0 && op.u.holders.position != UMBRA_HOLDERS_end) {
        rc = ctl_call_umbra(ctl, &op);
        rc = rc < 0 ? rc : add_slice(s, &op.u.holders);
    }
    return rc;
}

/* Fills the caller's results from the sums. */
static int finish(const struct search *s, struct ctl_holders *sums, struct ctl_holder **list)
{
    uint64_t explained = 0;

    *list = calloc(s->count + 1, sizeof(**list));
    if (!*list) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct found *f = &s->found[i];

        (*list)[i] = (struct ctl_holder){.domid = f->domid,
                                         .grants = f->host + f->device,
                                         .foreign = f->entries > f->host ? f->entries - f->host : 0};
        explained += f->entries + f->device;
    }
    sums->frames = s->frames;
    sums->shared_frames = s->shared_frames;
    sums->other = s->references > explained ? s->references - explained : 0;
    return (int)s->count;
}

int ctl_domain_holders(struct ctl *ctl, uint32_t domid, struct ctl_holders *sums, struct ctl_holder **list,
                       struct ctl_error *err)
{
    struct search s = {0};
    int rc = domid > CTL_DOMID_MAX ? -ESRCH : run(ctl, domid, &s);

    if (rc == 0) {
        rc = finish(&s, sums, list);
    }
    free(s.found);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("look for holders", domid),
                               rc == -ESRCH ? "it does not exist" : "the hypervisor cannot tell");
    }
    return rc;
}
