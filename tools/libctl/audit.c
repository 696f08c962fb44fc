// SPDX-License-Identifier: BSD-2-Clause
/*
 * The audit of a guest: the hypervisor recounts what a PV guest's page tables hold, and then who uses the guest's
 * grants; see docs/invariants.md. What a PVH guest has for page tables is audited elsewhere (shadow.c).
 *
 * Place: the verb audit. The guest is paused by the hypervisor for as long as it takes, but others go on using its
 * grants: the hypervisor has a result only if nobody did meanwhile, so it is asked again and again.
 */
#include <string.h>
#include <time.h>

#include "libctl/internal.h"

#define TRIES       3
#define GRANT_TRIES 100

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

static void copy_words(struct ctl_audit_finding *to, const char rule[8], const char what[72])
{
    memcpy(to->rule, rule, sizeof(to->rule));
    memcpy(to->what, what, sizeof(to->what));
    to->rule[sizeof(to->rule) - 1] = to->what[sizeof(to->what) - 1] = 0;
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

        copy_words(to, f->rule, f->what);
        to->frame = f->frame;
        to->count_info = f->count_info;
        to->type_info = f->type_info;
    }
}

static void add_grants(struct ctl_audit *out, const struct umbra_op_grant_audit *a, const struct umbra_grant_finding *f)
{
    out->broken += a->broken;
    out->grants = a->entries;
    out->handles = a->handles;
    for (uint32_t i = 0; i < a->nr && i < CTL_AUDIT_FINDINGS; i++, f++) {
        struct ctl_audit_finding *to = &out->finding[out->n++];

        copy_words(to, f->rule, f->what);
        to->is_grant = true;
        to->number = f->number;
    }
}

/* 0 with what was found, or that they are in use; or -errno. */
static int audit_grants(struct ctl *ctl, uint32_t domid, struct ctl_audit *out)
{
    struct umbra_grant_finding *findings = ctl_buffer_get(ctl, CTL_AUDIT_FINDINGS * sizeof(*findings));
    const struct timespec pause = {.tv_nsec = 5000000};
    struct umbra_op op = {.cmd = UMBRA_OP_grant_audit, .domain = domid};
    int rc = findings ? -EAGAIN : -ENOMEM;

    for (int i = 0; i < GRANT_TRIES && rc == -EAGAIN; i++) {
        if (i) {
            nanosleep(&pause, NULL);
        }
        op.u.grant_audit = (struct umbra_op_grant_audit){.room = CTL_AUDIT_FINDINGS, .findings = (uintptr_t)findings};
        rc = ctl_call_umbra(ctl, &op);
    }
    if (rc == 0) {
        add_grants(out, &op.u.grant_audit, findings);
    }
    if (findings) {
        ctl_buffer_put(ctl, findings);
    }
    out->grants_in_use = rc == -EAGAIN;
    return rc == -EAGAIN ? 0 : rc;
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
    if (rc == -EOPNOTSUPP) { /* no PV guest; or none at all, which the next call says too */
        *out = (struct ctl_audit){.only_grants = true};
        rc = 0;
    }
    if (rc == 0) {
        rc = audit_grants(ctl, domid, out);
    }
    return rc < 0 ? fail(ctl, err, rc, domid) : 0;
}
