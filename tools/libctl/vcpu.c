// SPDX-License-Identifier: BSD-2-Clause
/*
 * vCPUs: state, registers, where they may run. Typed forms of the domctl calls on one vCPU.
 */
#include <string.h>

#include "libctl/internal.h"

static int vcpu_fail(struct ctl *ctl, struct ctl_error *err, int rc, const char *step, uint32_t domid, uint32_t vcpu)
{
    return ctl_fail_domain(ctl, err, rc, CTL_AT(step, domid), rc == -ESRCH ? "vCPU %u does not exist" : "vCPU %u",
                           vcpu);
}

int ctl_vcpu_info(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_vcpu_info *info, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_getvcpuinfo, .domain = domid, .u.getvcpuinfo.vcpu = vcpu};
    int rc = ctl_call_domctl(ctl, &domctl);

    if (rc < 0) {
        /* A number beyond the domain's limit and one that was never made are the same to the caller: absent. */
        return vcpu_fail(ctl, err, rc == -EINVAL ? -ESRCH : rc, "look at a vCPU", domid, vcpu);
    }
    info->vcpu = vcpu;
    info->online = domctl.u.getvcpuinfo.online;
    info->blocked = domctl.u.getvcpuinfo.blocked;
    info->running = domctl.u.getvcpuinfo.running;
    info->cpu_time_ns = domctl.u.getvcpuinfo.cpu_time;
    info->cpu = domctl.u.getvcpuinfo.cpu;
    return 0;
}

/* Both directions of the register state: the buffer is filled before a set and read after a get. */
static int vcpu_context(struct ctl *ctl, uint32_t cmd, uint32_t domid, uint32_t vcpu, vcpu_guest_context_t *state)
{
    struct xen_domctl domctl = {.cmd = cmd, .domain = domid, .u.vcpucontext.vcpu = vcpu};
    vcpu_guest_context_t *buffer = ctl_buffer_get(ctl, sizeof(*buffer));
    int rc;

    if (!buffer) {
        return -ENOMEM;
    }
    memcpy(buffer, state, sizeof(*buffer));
    set_xen_guest_handle(domctl.u.vcpucontext.ctxt, buffer);
    do {
        rc = ctl_call_domctl(ctl, &domctl);
    } while (rc == -ERESTART || rc == -EINTR);
    memcpy(state, buffer, sizeof(*buffer));
    ctl_buffer_put(ctl, buffer);
    return rc;
}

int ctl_vcpu_get_context(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct vcpu_guest_context *out,
                         struct ctl_error *err)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = vcpu_context(ctl, XEN_DOMCTL_getvcpucontext, domid, vcpu, out);
    return rc < 0 ? vcpu_fail(ctl, err, rc, "read registers", domid, vcpu) : 0;
}

int ctl_vcpu_set_context(struct ctl *ctl, uint32_t domid, uint32_t vcpu, const struct vcpu_guest_context *in,
                         struct ctl_error *err)
{
    vcpu_guest_context_t copy = *in;
    int rc = vcpu_context(ctl, XEN_DOMCTL_setvcpucontext, domid, vcpu, &copy);

    return rc < 0 ? vcpu_fail(ctl, err, rc, "set registers", domid, vcpu) : 0;
}

/* Both directions: the locked copy is filled before a set and read after a get. */
static int vcpu_affinity(struct ctl *ctl, uint32_t cmd, uint32_t domid, uint32_t vcpu, struct ctl_affinity *maps)
{
    struct xen_domctl domctl = {.cmd = cmd, .domain = domid};
    struct xen_domctl_vcpuaffinity *arg = &domctl.u.vcpuaffinity;
    struct ctl_affinity *buffer = ctl_buffer_get(ctl, sizeof(*buffer));
    int rc;

    if (!buffer) {
        return -ENOMEM;
    }
    *buffer = *maps;
    arg->vcpu = vcpu;
    arg->flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    set_xen_guest_handle(arg->cpumap_hard.bitmap, buffer->hard);
    arg->cpumap_hard.nr_bits = sizeof(buffer->hard) * 8;
    set_xen_guest_handle(arg->cpumap_soft.bitmap, buffer->soft);
    arg->cpumap_soft.nr_bits = sizeof(buffer->soft) * 8;
    rc = ctl_call_domctl(ctl, &domctl);
    *maps = *buffer;
    ctl_buffer_put(ctl, buffer);
    return rc;
}

int ctl_vcpu_get_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_affinity *out,
                          struct ctl_error *err)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = vcpu_affinity(ctl, XEN_DOMCTL_getvcpuaffinity, domid, vcpu, out);
    return rc < 0 ? vcpu_fail(ctl, err, rc, "read affinity", domid, vcpu) : 0;
}

int ctl_vcpu_set_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, const struct ctl_affinity *in,
                          struct ctl_error *err)
{
    struct ctl_affinity copy = *in;
    int rc = vcpu_affinity(ctl, XEN_DOMCTL_setvcpuaffinity, domid, vcpu, &copy);

    return rc < 0 ? vcpu_fail(ctl, err, rc, "set affinity", domid, vcpu) : 0;
}
