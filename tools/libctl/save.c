// SPDX-License-Identifier: BSD-2-Clause
/*
 * A suspended guest as a stream: the order of the records, and those of a PV guest's processors.
 *
 * Flow: headers -> what is fixed for all its life (CPU policy; of PV guests the word size) -> P2M frames of a PV guest
 * (save_p2m.c) -> pages (save_pages.c) -> time -> shared information, one set of records for each vCPU that is up; or
 * a PVH guest's parameters and context (save_hvm.c) -> end. Frame numbers in a PV vCPU's registers become guest frame
 * numbers, as in page tables. Does not suspend the guest, nor let it go on.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/live.h"

#define MAX_LEAVES 512
#define MAX_MSRS   64

int ctl_save_domctl(struct ctl_save *v, struct xen_domctl *op, const char *step)
{
    int rc;

    op->domain = (domid_t)v->info.domid;
    rc = ctl_call_domctl(v->ctl, op);
    if (rc < 0) {
        return ctl_fail_domain(v->ctl, v->err, rc, CTL_AT(step, v->info.domid), "the hypervisor refused");
    }
    return rc;
}

int ctl_save_put(struct ctl_save *v, uint32_t type, const void *body, size_t size)
{
    return ctl_record_write(v->s, type, (struct ctl_piece){body, size}, (struct ctl_piece){0});
}

/* --- fixed for all its life --- */

static int save_policy(struct ctl_save *v)
{
    xen_cpuid_leaf_t *leaves = ctl_buffer_get(v->ctl, MAX_LEAVES * sizeof(*leaves));
    xen_msr_entry_t *msrs = ctl_buffer_get(v->ctl, MAX_MSRS * sizeof(*msrs));
    struct xen_domctl op = {.cmd = XEN_DOMCTL_get_cpu_policy,
                            .u.cpu_policy = {.nr_leaves = MAX_LEAVES, .nr_msrs = MAX_MSRS}};
    int rc = -ENOMEM;

    if (leaves && msrs) {
        set_xen_guest_handle(op.u.cpu_policy.leaves, leaves);
        set_xen_guest_handle(op.u.cpu_policy.msrs, msrs);
        rc = ctl_save_domctl(v, &op, "read the CPU policy");
    } else {
        ctl_stream_fail(v->s, rc, "no locked memory for the CPU policy");
    }
    if (rc >= 0) {
        rc = ctl_save_put(v, REC_CPUID_POLICY, leaves, op.u.cpu_policy.nr_leaves * sizeof(*leaves));
    }
    if (rc == 0 && op.u.cpu_policy.nr_msrs) {
        rc = ctl_save_put(v, REC_MSR_POLICY, msrs, op.u.cpu_policy.nr_msrs * sizeof(*msrs));
    }
    ctl_buffer_put(v->ctl, msrs);
    ctl_buffer_put(v->ctl, leaves);
    return rc;
}

static int save_static(struct ctl_save *v)
{
    struct pv_info info = {.width = 8, .levels = 4};
    int rc = v->info.hvm ? 0 : ctl_save_put(v, REC_PV_INFO, &info, sizeof(info));

    if (rc == 0) {
        rc = save_policy(v);
    }
    return rc == 0 ? ctl_save_put(v, REC_STATIC_DATA_END, NULL, 0) : rc;
}

static int save_tsc(struct ctl_save *v)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_gettscinfo};
    int rc = ctl_save_domctl(v, &op, "read the state of the time stamp counter");
    struct tsc_info t = {.mode = op.u.tsc_info.tsc_mode,
                         .khz = op.u.tsc_info.gtsc_khz,
                         .nsec = op.u.tsc_info.elapsed_nsec,
                         .incarnation = op.u.tsc_info.incarnation};

    return rc < 0 ? rc : ctl_save_put(v, REC_TSC_INFO, &t, sizeof(t));
}

/* --- vCPUs --- */

static int put_vcpu(struct ctl_save *v, uint32_t type, uint32_t vcpu, struct ctl_piece body)
{
    struct vcpu_header h = {.vcpu = vcpu};

    return ctl_record_write(v->s, type, (struct ctl_piece){&h, sizeof(h)}, body);
}

static int to_pfn(struct ctl_save *v, uint64_t *frame, const char *what)
{
    uint64_t mfn = *frame;

    *frame = ctl_save_pfn(v, mfn);
    if (*frame != NO_FRAME) {
        return 0;
    }
    return ctl_fail_domain(v->ctl, v->err, -EINVAL, CTL_AT("save the registers", v->info.domid),
                           "%s is in frame 0x%llx, which is not in its memory map", what, (unsigned long long)mfn);
}

/* The register of user mode's tables has a mark of its own: it may be that there are none. */
static int convert_context(struct ctl_save *v, uint32_t vcpu, struct vcpu_guest_context *c)
{
    uint64_t kernel = xen_cr3_to_pfn(c->ctrlreg[3]), user = xen_cr3_to_pfn(c->ctrlreg[1]);
    int rc = vcpu == 0 ? to_pfn(v, &c->user_regs.rdx, "start_info") : 0;

    for (unsigned i = 0; i < (c->gdt_ents + 511) / 512 && i < CTL_ARRAY(c->gdt_frames) && rc == 0; i++) {
        rc = to_pfn(v, &c->gdt_frames[i], "a page of the GDT");
    }
    if (rc == 0) {
        rc = to_pfn(v, &kernel, "the top-level page table");
    }
    c->ctrlreg[3] = xen_pfn_to_cr3(kernel);
    if (rc == 0 && c->ctrlreg[1]) {
        rc = to_pfn(v, &user, "the top-level page table of user mode");
        c->ctrlreg[1] = xen_pfn_to_cr3(user) | 1;
    }
    return rc;
}

static int save_basic(struct ctl_save *v, uint32_t vcpu)
{
    struct vcpu_guest_context *c = ctl_buffer_get(v->ctl, sizeof(*c));
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getvcpucontext, .u.vcpucontext.vcpu = vcpu};
    int rc;

    if (!c) {
        return ctl_stream_fail(v->s, -ENOMEM, "no locked memory for registers");
    }
    op.u.vcpucontext.ctxt.p = (void *)c;
    rc = ctl_save_domctl(v, &op, "read registers");
    if (rc >= 0) {
        rc = convert_context(v, vcpu, c);
    }
    if (rc == 0) {
        rc = put_vcpu(v, REC_PV_VCPU_BASIC, vcpu, (struct ctl_piece){c, sizeof(*c)});
    }
    ctl_buffer_put(v->ctl, c);
    return rc;
}

static int save_extended(struct ctl_save *v, uint32_t vcpu)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_get_ext_vcpucontext, .u.ext_vcpucontext.vcpu = vcpu};
    int rc = ctl_save_domctl(v, &op, "read entry points");

    if (rc < 0) {
        return rc;
    }
    return put_vcpu(v, REC_PV_VCPU_EXTENDED, vcpu,
                    (struct ctl_piece){&op.u.ext_vcpucontext, sizeof(op.u.ext_vcpucontext)});
}

static int save_xstate(struct ctl_save *v, uint32_t vcpu)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getvcpuextstate, .u.vcpuextstate.vcpu = vcpu};
    int rc = ctl_save_domctl(v, &op, "ask for the size of the extended state");
    void *image = rc < 0 ? NULL : ctl_buffer_get(v->ctl, op.u.vcpuextstate.size);

    if (rc >= 0 && !image) {
        rc = ctl_stream_fail(v->s, -ENOMEM, "no locked memory for the extended state");
    }
    if (rc >= 0) {
        op.u.vcpuextstate.buffer.p = image;
        rc = ctl_save_domctl(v, &op, "read the extended state");
    }
    if (rc >= 0) {
        rc = put_vcpu(v, REC_PV_VCPU_XSAVE, vcpu, (struct ctl_piece){image, op.u.vcpuextstate.size});
    }
    ctl_buffer_put(v->ctl, image);
    return rc;
}

static int save_msrs(struct ctl_save *v, uint32_t vcpu)
{
    xen_domctl_vcpu_msr_t *msrs = ctl_buffer_get(v->ctl, MAX_MSRS * sizeof(*msrs));
    struct xen_domctl op = {.cmd = XEN_DOMCTL_get_vcpu_msrs, .u.vcpu_msrs = {.vcpu = vcpu, .msr_count = MAX_MSRS}};
    int rc;

    if (!msrs) {
        return ctl_stream_fail(v->s, -ENOMEM, "no locked memory for MSRs");
    }
    op.u.vcpu_msrs.msrs.p = msrs;
    rc = ctl_save_domctl(v, &op, "read MSRs");
    if (rc >= 0 && op.u.vcpu_msrs.msr_count) {
        rc = put_vcpu(v, REC_PV_VCPU_MSRS, vcpu, (struct ctl_piece){msrs, op.u.vcpu_msrs.msr_count * sizeof(*msrs)});
    }
    ctl_buffer_put(v->ctl, msrs);
    return rc;
}

static int save_vcpu(struct ctl_save *v, uint32_t vcpu)
{
    static int (*const parts[])(struct ctl_save *, uint32_t) = {save_basic, save_extended, save_xstate, save_msrs};
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getvcpuinfo, .u.getvcpuinfo.vcpu = vcpu};
    int rc = ctl_save_domctl(v, &op, "look at a vCPU");

    if (rc < 0 || !op.u.getvcpuinfo.online) {
        return rc;
    }
    for (size_t i = 0; i < CTL_ARRAY(parts) && rc >= 0; i++) {
        rc = parts[i](v, vcpu);
    }
    return rc;
}

static int save_state(struct ctl_save *v)
{
    int rc = ctl_save_put(v, REC_SHARED_INFO, v->shared, CTL_PAGE_SIZE);

    for (uint32_t i = 0; i < v->info.vcpus_max && rc >= 0; i++) {
        rc = save_vcpu(v, i);
    }
    return rc < 0 ? rc : 0;
}

static int save_end(struct ctl_save *v)
{
    int rc = ctl_save_put(v, REC_END, NULL, 0);

    return rc < 0 ? rc : ctl_stream_finish(v->s);
}

static int save_pages(struct ctl_save *v)
{
    return v->live ? ctl_live_pages(v) : ctl_save_pages(v);
}

static int go_on(void *ctx, struct ctl_error *err)
{
    const struct ctl_save *v = ctx;

    return v->live ? ctl_pace_tick(v->live, err) : 0;
}

static int save_disks(struct ctl_save *v)
{
    return ctl_disks_flush(v->ctl, v->info.domid, go_on, v, v->err);
}

int ctl_save_guest(struct ctl_save *v)
{
    static int (*const pv[])(struct ctl_save *) = {ctl_save_open, save_static, ctl_save_p2m_frames,
                                                   save_pages,    save_tsc,    save_state,
                                                   save_disks,    save_end,    NULL};
    static int (*const hvm[])(struct ctl_save *) = {ctl_save_hvm_open,  save_static, save_pages, save_tsc,
                                                    ctl_save_hvm_state, save_disks,  save_end,   NULL};
    int (*const *step)(struct ctl_save *) = v->info.hvm ? hvm : pv;
    int rc = ctl_stream_begin(v->s, v->info.hvm ? STREAM_TYPE_HVM : STREAM_TYPE_PV);

    for (; *step && rc >= 0; step++) {
        rc = (*step)(v);
    }
    ctl_save_close(v);
    return rc;
}

int ctl_domain_save(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct ctl_save v = {.ctl = ctl, .s = s, .err = err ? err : &own};
    int rc = ctl_domain_info(ctl, domid, &v.info, v.err);

    s->err = v.err;
    s->names = NULL;
    if (rc < 0) {
        return rc;
    }
    if (!v.info.shutdown || v.info.shutdown_reason != SHUTDOWN_suspend) {
        return ctl_error_set(v.err, -EBUSY, "save", v.info.name, NULL, "it is not suspended");
    }
    return ctl_save_guest(&v);
}
