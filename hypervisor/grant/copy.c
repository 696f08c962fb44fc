/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GNTTABOP_copy: bytes between two frames, each named by a grant or, for the caller's own frames, by number. Both sides
 * are pinned and referenced for the time of the copy, which goes through the direct map: no TLB and no page table is
 * touched.
 *
 * A transitive grant of domain A names a grant of domain B that A may use. Both are pinned, one after the other: the
 * first pin fixes which grant is meant, so nothing has to be looked at again after the second, and the locks of the two
 * tables are never held together. The second grant must not be transitive: no chain is longer.
 */
#include <hv/frame.h>
#include <hv/stretch.h>
#include "internal.h"

/* One pinned grant; a reference on its domain is held. */
struct pinned {
    struct domain *d;
    grant_ref_t ref;
};

struct side {
    struct pinned pin[2]; /* the second one is that which a transitive grant led to */
    unsigned int pins;
    bool writable;
    struct granted what; /* the frame, and the bytes of it that may be copied */
};

static unsigned int side_kind(const struct side *s)
{
    return s->writable ? PIN_HOST_WRITE : PIN_HOST_READ;
}

static void unpin_side(struct side *s)
{
    while (s->pins) {
        struct pinned *p = &s->pin[--s->pins];

        grant_unpin(p->d, p->ref, side_kind(s));
        grant_end(p->d);
        domain_put(p->d);
    }
}

/* Takes over the reference on d, whatever happens. */
static int16_t pin_one(struct side *s, struct domain *d, grant_ref_t ref, domid_t user)
{
    enum grant_use use = s->pins ? USE_THROUGH : USE_COPY;
    int16_t status = GNTST_bad_domain;

    if (d->grant) {
        grant_begin(d);
        status = grant_pin(d, ref, user, side_kind(s), use, &s->what);
        if (status == GNTST_okay) {
            s->pin[s->pins++] = (struct pinned){d, ref};
            return status;
        }
        grant_end(d);
    }
    domain_put(d);
    return status;
}

/* The grant that the pinned one stands for. */
static int16_t follow(struct side *s)
{
    const struct domain *via = s->pin[0].d;
    domid_t id = s->what.trans_domid;
    struct domain *d = id < DOMID_FIRST_RESERVED && id != via->id ? domain_get(id) : NULL;

    return d ? pin_one(s, d, s->what.trans_ref, via->id) : GNTST_general_error;
}

static int16_t pin_side(struct side *s, const struct gnttab_copy_ptr *p)
{
    struct domain *d = domain_get(p->domid);
    int16_t status = d ? pin_one(s, d, p->u.ref, current->domain->id) : GNTST_bad_domain;

    if (status == GNTST_okay && s->what.kind == GRANT_TRANSITIVE)
        status = follow(s);
    if (status == GNTST_okay)
        status = grant_take_page(s->pin[s->pins - 1].d, s->what.frame, s->writable);
    if (status != GNTST_okay)
        unpin_side(s);
    return status;
}

static int16_t claim_side(struct side *s, const struct gnttab_copy_ptr *p, bool gref, bool writable)
{
    *s = (struct side){.writable = writable, .what.length = PAGE_SIZE};
    if (gref)
        return pin_side(s, p);
    if (p->domid != DOMID_SELF)
        return GNTST_permission_denied;
    s->what.frame = p->u.gmfn;
    grant_find_frame(current->domain, &s->what);
    return grant_take_page(current->domain, s->what.frame, writable);
}

static void release_side(struct side *s)
{
    grant_drop_page(s->what.frame, s->writable);
    unpin_side(s);
}

/* The caller has checked that the bytes are within a frame. */
static bool in_bounds(const struct side *s, uint16_t offset, uint16_t len)
{
    return offset >= s->what.start && offset + len <= s->what.start + s->what.length;
}

static char *side_address(const struct side *s, uint16_t offset)
{
    return (char *)mfn_to_virt(_mfn(array_index_nospec(s->what.frame, max_page))) + offset;
}

static int16_t copy_bytes(const struct gnttab_copy *op, const struct side *src, const struct side *dst)
{
    if (!in_bounds(src, op->source.offset, op->len) || !in_bounds(dst, op->dest.offset, op->len))
        return GNTST_bad_copy_arg;
    memmove(side_address(dst, op->dest.offset), side_address(src, op->source.offset), op->len);
    stretch_work(STRETCH_FRAME);
    return GNTST_okay;
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
        op->status = copy_bytes(op, &src, &dst);
        release_side(&dst);
    }
    release_side(&src);
}
