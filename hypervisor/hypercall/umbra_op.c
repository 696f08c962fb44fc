/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra_op: the control domain's calls that the Xen ABI does not have. As for domctl: the structure is copied once,
 * checked for its version, handed to the command of the table below, and copied back if the command says so. Source:
 * <umbra/umbra_op.h>.
 */
#include <hv/console.h>
#include <hv/grant.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hypercall.h>
#include <hv/paging_pool.h>
#include <hv/shadow.h>
#include <hv/stretch.h>
#include "shadow_op.h"

static long build_info(struct domain *unused, struct umbra_op *op, bool *copyback)
{
    op->u.build_info = (struct umbra_op_build_info){.flags = DEBUG ? UMBRA_BUILD_debug : 0};
    *copyback = true;
    return 0;
}

static int tell_findings(struct umbra_op_audit *a, const struct pv_audit_report *r)
{
    struct umbra_audit_finding *g = guest_ptr(struct umbra_audit_finding, a->findings);

    for (a->nr = 0; a->nr < MIN(MIN(r->broken, PV_AUDIT_FINDINGS), a->room); a->nr++) {
        const struct pv_audit_finding *from = &r->finding[a->nr];
        struct umbra_audit_finding f = {.frame = from->mfn.n,
                                        .count_info = from->count_info,
                                        .type_info = from->type_info};

        strlcpy(f.rule, from->rule, sizeof(f.rule));
        strlcpy(f.what, from->what, sizeof(f.what));
        if (copy_to_guest(g + a->nr, &f, 1))
            return -EFAULT;
    }
    return 0;
}

/* While an audit is under way it holds a pause of its own: the domain stays as it is between the slices. */
static long audit(struct domain *d, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_audit *a = &op->u.audit;
    struct pv_audit_report r;
    long rc;

    if (d->is_control || d == current->domain || paging_mode_translate(d))
        return -EOPNOTSUPP;
    domain_pause(d);
    rc = pv_audit(d, &r);
    for (int n = 1 - r.pauses; n > 0; n--)
        domain_unpause(d);
    if (rc)
        return rc;
    *a = (struct umbra_op_audit){.room = a->room,
                                 .findings = a->findings,
                                 .broken = r.broken,
                                 .frames = r.frames,
                                 .tables = r.tables,
                                 .entries = r.entries,
                                 .descriptor_pages = r.windows,
                                 .shared = r.shared};
    *copyback = true;
    return tell_findings(a, &r);
}

static int tell_grant_findings(struct umbra_op_grant_audit *a)
{
    struct umbra_grant_finding *g = guest_ptr(struct umbra_grant_finding, a->findings);

    for (a->nr = 0; a->nr < MIN(MIN(a->broken, ARRAY_SIZE(a->found)), a->room); a->nr++) {
        struct umbra_grant_finding f = {.number = a->found[a->nr].number};
        const char *rule, *what = grant_audit_what(a->found[a->nr].check, &rule);

        strlcpy(f.rule, rule, sizeof(f.rule));
        strlcpy(f.what, what, sizeof(f.what));
        if (copy_to_guest(g + a->nr, &f, 1))
            return -EFAULT;
    }
    return 0;
}

/* Paused, the domain gives the others no reason to use its grants. Between two slices it may run. */
static long grant_audit_op(struct domain *d, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_grant_audit *a = &op->u.grant_audit;
    int rc;

    if (d->is_control || d == current->domain)
        return -EOPNOTSUPP;
    if (d->dying)
        return -EBUSY;
    domain_pause(d);
    rc = grant_audit_slice(d, a);
    domain_unpause(d);
    *copyback = true;
    return rc ? rc : tell_grant_findings(a);
}

static long holders(struct domain *d, struct umbra_op *op, bool *copyback)
{
    domain_find_holders(d, &op->u.holders);
    *copyback = true;
    return 0;
}

static long stretch(struct domain *unused, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_stretch *u = &op->u.stretch;
    unsigned int next = u->first;
    struct stretch s;

    if (u->flags & ~UMBRA_STRETCH_reset)
        return -EINVAL;
    u->found = stretch_read(&next, u->flags, &s);
    u->first = next;
    if (u->found) {
        u->family = s.family;
        u->sub = s.sub;
        u->work = s.work;
        u->ticks = s.ticks;
        static_assert(sizeof(u->times) == sizeof(s.times), "of the same sizes");
        memcpy(u->times, s.times, sizeof(u->times));
    }
    *copyback = true;
    return 0;
}

static long alloc_fault(struct domain *unused, struct umbra_op *op, bool *copyback)
{
    if (!DEBUG)
        return -EOPNOTSUPP;
    op->u.alloc_fault.n = alloc_fault_arm(op->u.alloc_fault.n);
    *copyback = true;
    return 0;
}

static long pool(struct domain *d, struct umbra_op *op, bool *copyback)
{
    const struct paging_pool *p = d->p2m ? d->paging_pool : NULL; /* which is made first, and may be given up before */

    if (!p)
        return -EOPNOTSUPP;
    op->u.pool = (struct umbra_op_pool){
        .size = p->size,
        .p2m = p->used[PAGING_P2M],
        .shadow = p->used[PAGING_SHADOW],
        .flags = !d->hap && shadow_vtlb() ? UMBRA_POOL_vtlb : 0,
    };
    *copyback = true;
    return 0;
}

static long previous_log(struct domain *unused, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_previous_log *u = &op->u.previous_log;
    const char *log;
    size_t size = console_previous(&log), from;

    if (!size)
        return -ENOENT;
    if (u->offset > size)
        return -EINVAL;
    from = array_index_nospec(u->offset, size + 1);
    u->count = (uint32_t)MIN(MIN((size_t)u->count, size - from), (size_t)UMBRA_PREVIOUS_LOG_slice);
    if (guest_copy_to(guest_ptr(char, u->buffer), log + from, u->count))
        return -EFAULT;
    *copyback = true;
    return 0;
}

static const struct {
    umbra_op_fn *fn;
    bool needs_domain;
} table[] = {
    [UMBRA_OP_build_info] = {build_info, false},
    [UMBRA_OP_audit] = {audit, true},
    [UMBRA_OP_grant_audit] = {grant_audit_op, true},
    [UMBRA_OP_holders] = {holders, true},
    [UMBRA_OP_stretch] = {stretch, false},
    [UMBRA_OP_alloc_fault] = {alloc_fault, false},
    [UMBRA_OP_shadow_stats] = {shadow_op_stats, true},
    [UMBRA_OP_shadow_audit] = {shadow_op_audit, true},
    [UMBRA_OP_shadow_blow] = {shadow_op_blow, true},
    [UMBRA_OP_shadow_dump] = {shadow_op_dump, true},
    [UMBRA_OP_pool] = {pool, true},
    [UMBRA_OP_previous_log] = {previous_log, false},
};

static_assert(sizeof(struct umbra_op) == 128, "the size is part of the interface");

/* -ERESTART restarts the whole call, with what it has copied back. */
static long run(struct umbra_op *op, bool *copyback)
{
    unsigned int cmd = (unsigned int)array_index_nospec(op->cmd, ARRAY_SIZE(table));
    struct domain *d = NULL;
    long rc;

    if (table[cmd].needs_domain) {
        d = op->domain <= DOMID_SELF ? domain_get((domid_t)op->domain) : NULL;
        if (!d)
            return -ESRCH;
    }
    rc = table[cmd].fn(d, op, copyback);
    if (d)
        domain_put(d);
    return rc;
}

long do_umbra_op(struct hcall *hc)
{
    struct umbra_op *g = guest_ptr(struct umbra_op, hc->arg[0]);
    struct umbra_op op;
    bool copyback = false;
    long rc;

    if (copy_from_guest(&op, g, 1))
        return -EFAULT;
    if (op.interface_version != UMBRA_OP_INTERFACE_VERSION)
        return -EACCES;
    if (op.cmd >= ARRAY_SIZE(table) || !table[array_index_nospec(op.cmd, ARRAY_SIZE(table))].fn)
        return -ENOSYS;
    stretch_name(__HYPERVISOR_umbra_op, op.cmd);
    rc = run(&op, &copyback);
    if (copyback && copy_to_guest(g, &op, 1) && (!rc || rc == -ERESTART))
        rc = -EFAULT;
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}
