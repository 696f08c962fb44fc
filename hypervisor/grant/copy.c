/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GNTTABOP_copy: bytes between two frames, each named by a grant or, for the caller's own frames, by number. Both sides
 * are pinned and referenced for the time of the copy, which goes through the direct map: no TLB and no page table is
 * touched.
 */
#include <hv/frame.h>
#include "internal.h"

struct side {
    struct domain *d; /* reference held */
    grant_ref_t ref;
    bool gref, writable;
    uint32_t frame;
};

static unsigned int side_kind(const struct side *s)
{
    return s->writable ? PIN_HOST_WRITE : PIN_HOST_READ;
}

static int16_t pin_side(struct side *s, const struct gnttab_copy_ptr *p)
{
    int16_t status = GNTST_okay;

    if (s->gref) {
        s->ref = p->u.ref;
        status = grant_pin(s->d, s->ref, current->domain->id, side_kind(s), false, &s->frame);
    } else if (p->u.gmfn != (uint32_t)p->u.gmfn) {
        status = GNTST_bad_page;
    } else {
        s->frame = (uint32_t)p->u.gmfn;
    }
    if (status != GNTST_okay)
        return status;
    status = grant_take_page(s->d, s->frame, s->writable);
    if (status != GNTST_okay && s->gref)
        grant_unpin(s->d, s->ref, side_kind(s));
    return status;
}

static int16_t claim_side(struct side *s, const struct gnttab_copy_ptr *p, bool gref, bool writable)
{
    int16_t status;

    if (!gref && p->domid != DOMID_SELF)
        return GNTST_permission_denied;
    s->gref = gref;
    s->writable = writable;
    s->d = domain_get(p->domid);
    if (!s->d)
        return GNTST_bad_domain;
    status = s->d->grant ? pin_side(s, p) : GNTST_bad_domain;
    if (status != GNTST_okay)
        domain_put(s->d);
    return status;
}

static void release_side(struct side *s)
{
    grant_drop_page(s->frame, s->writable);
    if (s->gref)
        grant_unpin(s->d, s->ref, side_kind(s));
    domain_put(s->d);
}

static char *side_address(const struct side *s, uint16_t offset)
{
    return (char *)mfn_to_virt(_mfn(s->frame)) + offset;
}

void grant_copy_one(struct gnttab_copy *op)
{
    struct side src, dst;

    if (op->source.offset + op->len > PAGE_SIZE || op->dest.offset + op->len > PAGE_SIZE) {
        op->status = GNTST_bad_copy_arg;
        return;
    }
    op->status = claim_side(&src, &op->source, op->flags & GNTCOPY_source_gref, false);
    if (op->status != GNTST_okay)
        return;
    op->status = claim_side(&dst, &op->dest, op->flags & GNTCOPY_dest_gref, true);
    if (op->status == GNTST_okay) {
        memmove(side_address(&dst, op->dest.offset), side_address(&src, op->source.offset), op->len);
        release_side(&dst);
    }
    release_side(&src);
}
