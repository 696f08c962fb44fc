// SPDX-License-Identifier: BSD-2-Clause
/*
 * The audit of a PV guest: the hypervisor recounts what the guest's page tables hold, see docs/invariants.md.
 *
 * Place: the verb audit. The guest is paused by the hypervisor for as long as it takes.
 */
#include <string.h>

#include "libctl/internal.h"

#define TRIES 3

/* What the hypervisor needs for its counters, in KiB: 16 bytes for each frame, and some pages of pointers. */
static unsigned long long counters_kib(struct ctl *ctl, uint32_t domid)
{
    struct ctl_domain_info info = {0};

    ctl_domain_info(ctl, domid, &info, NULL);
    return info.memory_kib / 256 + 16;
}

static int fail(struct ctl *ctl, struct ctl_error *err, int code, uint32_t domid)
{
    struct ctl_at at = CTL_AT("audit", domid);

    switch (code) {
    case -ENOSYS:
        return ctl_fail_domain(ctl, err, code, at, "this hypervisor has no audit");
    case -EOPNOTSUPP:
        if (domid != 0) {
            return ctl_fail_domain(ctl, err, code, at, "it has no page tables of a PV guest; see `umbra shadow audit`");
        }
        return ctl_fail_domain(ctl, err, code, at, "the control domain cannot be paused, and so not be audited");
    case -ESRCH:
        return ctl_fail_domain(ctl, err, code, at, "it does not exist");
    case -EBUSY:
        return ctl_fail_domain(ctl, err, code, at, "it is dying");
    case -EAGAIN:
        return ctl_fail_domain(ctl, err, code, at, "its page tables were changed by a tool meanwhile, %d times", TRIES);
    case -ENOMEM:
        return ctl_fail_domain(ctl, err, code, at, "the counters need about %llu KiB of free memory on the host",
                               counters_kib(ctl, domid));
    default:
        return ctl_fail_domain(ctl, err, code, at, "no answer");
    }
}

static void copy_result(struct ctl_audit *out, const struct umbra_op_audit *a, const struct umbra_audit_finding *f)
{
    memset(out, 0, sizeof(*out));
    out->broken = a->broken;
    out->frames = a->frames;
    out->tables = a->tables;
    out->entries = a->entries;
    out->descriptor_pages = a->descriptor_pages;
    out->shared = a->shared;
    for (; out->n < a->nr && out->n < CTL_AUDIT_FINDINGS; out->n++, f++) {
        struct ctl_audit_finding *to = &out->finding[out->n];

        memcpy(to->rule, f->rule, sizeof(to->rule));
        memcpy(to->what, f->what, sizeof(to->what));
        to->rule[sizeof(to->rule) - 1] = to->what[sizeof(to->what) - 1] = 0;
        to->frame = f->frame;
        to->count_info = f->count_info;
        to->type_info = f->type_info;
    }
}

int ctl_domain_audit(struct ctl *ctl, uint32_t domid, struct ctl_audit *out, struct ctl_error *err)
{
    struct umbra_audit_finding *findings = ctl_buffer_get(ctl, CTL_AUDIT_FINDINGS * sizeof(*findings));
    struct umbra_op op = {.cmd = UMBRA_OP_audit, .domain = domid};
    int rc = -EAGAIN;

    if (!findings) {
        return ctl_fail_domain(ctl, err, -ENOMEM, CTL_AT("audit", domid), "no buffer for the findings");
    }
    op.u.audit.room = CTL_AUDIT_FINDINGS;
    op.u.audit.findings = (uintptr_t)findings;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
        rc = ctl_call_umbra(ctl, &op);
    }
    if (rc == 0) {
        copy_result(out, &op.u.audit, findings);
    }
    ctl_buffer_put(ctl, findings);
    return rc < 0 ? fail(ctl, err, rc, domid) : 0;
}
