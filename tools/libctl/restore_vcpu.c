// SPDX-License-Identifier: BSD-2-Clause
/*
 * What of a restored PV guest needs all its memory: its list of frames, shared information, page tables, registers, and
 * the page (start_info) by which its kernel finds its rings again.
 *
 * Order: the list and start_info are written while their frames are plain memory; then page tables are pinned; then
 * registers, which refer to them. The rings keep their frames; their event channels are new.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/restore.h"

#define PER_FRAME 512
/* Linux's mark of a guest frame that is its own machine frame: device memory. It is true on any host. */
#define IS_IDENTITY(e) ((e) >> 62 == 1)

/* --- the list of frames --- */

static void fill_list(const struct ctl_restore *r, uint64_t first, uint64_t *list)
{
    for (unsigned i = 0; i < PER_FRAME; i++) {
        uint64_t frame = ctl_restore_frame(r, first + i);

        if (frame) {
            list[i] = frame;
        } else if (!IS_IDENTITY(list[i])) {
            list[i] = NO_FRAME;
        }
    }
}

static int restore_list(struct ctl_restore *r)
{
    uint64_t frame[PAGE_BATCH];

    for (uint64_t i = 0; i < r->nr_p2m; i += PAGE_BATCH) {
        uint64_t n = r->nr_p2m - i < PAGE_BATCH ? r->nr_p2m - i : PAGE_BATCH;
        uint64_t *list;

        for (uint64_t j = 0; j < n; j++) {
            frame[j] = ctl_restore_frame(r, r->p2m_pfn[i + j]);
            if (!frame[j] || r->type[r->p2m_pfn[i + j]] != PAGE_NORMAL) {
                return ctl_stream_fail(r->s, -EBADMSG, "guest frame 0x%llx, of the list of frames, is no plain memory",
                                       (unsigned long long)r->p2m_pfn[i + j]);
            }
        }
        list = ctl_foreign_map(r->b->ctl, r->b->domid, PROT_READ | PROT_WRITE, frame, n, r->b->err);
        if (!list) {
            return r->b->err->code;
        }
        for (uint64_t j = 0; j < n; j++) {
            fill_list(r, (i + j) * PER_FRAME, list + j * PER_FRAME);
        }
        ctl_foreign_unmap(r->b->ctl, list, n);
    }
    return 0;
}

/* --- shared information --- */

/* No event is pending on channels that are gone, and none is let through before the kernel has made new ones. */
static void merge_shared(struct shared_info *to, const struct shared_info *from)
{
    memcpy(to->vcpu_info, from->vcpu_info, sizeof(to->vcpu_info));
    memcpy(&to->arch, &from->arch, sizeof(to->arch));
    to->arch.pfn_to_mfn_frame_list_list = 0;
    memset(to->evtchn_pending, 0, sizeof(to->evtchn_pending));
    memset(to->evtchn_mask, 0xff, sizeof(to->evtchn_mask));
    for (unsigned i = 0; i < CTL_ARRAY(to->vcpu_info); i++) {
        to->vcpu_info[i].evtchn_pending_sel = 0;
    }
}

static int restore_shared(struct ctl_restore *r)
{
    struct ctl_domain_info info;
    struct shared_info *to;
    int rc = ctl_domain_info(r->b->ctl, r->b->domid, &info, r->b->err);

    if (rc < 0) {
        return rc;
    }
    r->b->shared_info_frame = info.shared_info_frame;
    to = ctl_foreign_map(r->b->ctl, r->b->domid, PROT_READ | PROT_WRITE, &r->b->shared_info_frame, 1, r->b->err);
    if (!to) {
        return r->b->err->code;
    }
    merge_shared(to, (const struct shared_info *)(const void *)r->shared);
    ctl_foreign_unmap(r->b->ctl, to, 1);
    return 0;
}

/* --- start_info --- */

/* A guest frame that has to be there, by its number in something the guest wrote. */
static int needed(struct ctl_restore *r, uint64_t *pfn, const char *what)
{
    uint64_t frame = ctl_restore_frame(r, *pfn);

    if (!frame) {
        return ctl_stream_fail(r->s, -EBADMSG, "%s is in guest frame 0x%llx, which has no memory", what,
                               (unsigned long long)*pfn);
    }
    *pfn = frame;
    return 0;
}

static int check_plain(struct ctl_restore *r, uint64_t pfn, const char *what)
{
    return r->type[pfn] == PAGE_NORMAL
               ? 0
               : ctl_stream_fail(r->s, -EBADMSG, "%s, in guest frame 0x%llx, is no plain memory", what,
                                 (unsigned long long)pfn);
}

/*
 * The console's ring begins empty: what is in it was said where the guest comes from, whose console daemon has read it,
 * or does before the guest's last domain goes there.
 */
static int empty_console(struct ctl_restore *r, uint64_t pfn)
{
    int rc = needed(r, &r->b->console_frame, "the console's ring");

    if (rc == 0) {
        rc = check_plain(r, pfn, "the console's ring");
    }
    return rc == 0 ? ctl_restore_clear(r, r->b->console_frame) : rc;
}

static int fill_start_info(struct ctl_restore *r, struct start_info *si)
{
    int rc;

    r->b->store_frame = si->store_mfn;
    r->b->console_frame = si->console.domU.mfn;
    rc = needed(r, &r->b->store_frame, "xenstore's ring");
    if (rc == 0) {
        rc = empty_console(r, r->b->console_frame);
    }
    if (rc < 0) {
        return rc;
    }
    snprintf(si->magic, sizeof(si->magic), "xen-3.0-x86_64");
    si->nr_pages = r->nr_pfns;
    si->shared_info = r->b->shared_info_frame << CTL_PAGE_SHIFT;
    si->flags = SIF_VIRT_P2M_4TOOLS;
    si->store_mfn = r->b->store_frame;
    si->store_evtchn = (uint32_t)r->b->store_port;
    si->console.domU.mfn = r->b->console_frame;
    si->console.domU.evtchn = (uint32_t)r->b->console_port;
    return 0;
}

/* vCPU 0 went to sleep in a call whose argument is the frame of start_info. */
static int restore_start_info(struct ctl_restore *r)
{
    struct vcpu_guest_context *c = (struct vcpu_guest_context *)(void *)r->vcpu[0][PART_BASIC].data;
    uint64_t pfn = c->user_regs.rdx;
    struct start_info *si;
    int rc = needed(r, &c->user_regs.rdx, "start_info");

    if (rc == 0) {
        rc = check_plain(r, pfn, "start_info");
    }
    if (rc < 0) {
        return rc;
    }
    si = ctl_foreign_map(r->b->ctl, r->b->domid, PROT_READ | PROT_WRITE, (uint64_t *)&c->user_regs.rdx, 1, r->b->err);
    if (!si) {
        return r->b->err->code;
    }
    rc = fill_start_info(r, si);
    ctl_foreign_unmap(r->b->ctl, si, 1);
    return rc;
}

/* --- vCPUs --- */

static int check_parts(struct ctl_restore *r)
{
    for (uint32_t i = 0; i < r->b->maxvcpus; i++) {
        const struct ctl_part *p = r->vcpu[i];

        if ((p[PART_BASIC].size && p[PART_BASIC].size != sizeof(struct vcpu_guest_context)) ||
            p[PART_MSRS].size % sizeof(xen_domctl_vcpu_msr_t)) {
            return ctl_stream_fail(r->s, -EBADMSG, "the records of vCPU %u have sizes that they cannot have", i);
        }
        if (!p[PART_BASIC].size && (p[PART_EXTENDED].size || p[PART_XSAVE].size || p[PART_MSRS].size)) {
            return ctl_stream_fail(r->s, -EBADMSG, "X86_PV_VCPU_BASIC of vCPU %u is missing", i);
        }
    }
    return 0;
}

static int convert_context(struct ctl_restore *r, struct vcpu_guest_context *c)
{
    uint64_t kernel = xen_cr3_to_pfn(c->ctrlreg[3]), user = xen_cr3_to_pfn(c->ctrlreg[1]);
    int rc = needed(r, &kernel, "a top-level page table");

    if (c->gdt_ents > CTL_ARRAY(c->gdt_frames) * 512) {
        return ctl_stream_fail(r->s, -EBADMSG, "a GDT of %lu entries", (unsigned long)c->gdt_ents);
    }
    for (unsigned i = 0; i < (c->gdt_ents + 511) / 512 && rc == 0; i++) {
        rc = needed(r, &c->gdt_frames[i], "a page of the GDT");
    }
    c->ctrlreg[3] = xen_pfn_to_cr3(kernel);
    if (rc == 0 && (c->ctrlreg[1] & 1)) {
        rc = needed(r, &user, "a top-level page table of user mode");
        c->ctrlreg[1] = xen_pfn_to_cr3(user);
    }
    c->flags |= VGCF_online;
    return rc;
}

/* A part of a vCPU in locked memory. */
static void *locked(struct ctl_restore *r, const struct ctl_part *part)
{
    void *buffer = ctl_buffer_get(r->b->ctl, part->size ? part->size : 1);

    if (!buffer) {
        ctl_stream_fail(r->s, -ENOMEM, "no locked memory for the state of a vCPU");
        return NULL;
    }
    memcpy(buffer, part->data, part->size);
    return buffer;
}

static int set_basic(struct ctl_restore *r, uint32_t vcpu, const struct ctl_part *part)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_setvcpucontext, .u.vcpucontext.vcpu = vcpu};
    struct vcpu_guest_context *c = locked(r, part);
    int rc = c ? convert_context(r, c) : -ENOMEM;

    if (rc == 0) {
        op.u.vcpucontext.ctxt.p = (void *)c;
        rc = ctl_restore_domctl(r, &op, "set registers");
    }
    ctl_buffer_put(r->b->ctl, c);
    return rc;
}

static int set_extended(struct ctl_restore *r, uint32_t vcpu, const struct ctl_part *part)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_set_ext_vcpucontext};

    memcpy(&op.u.ext_vcpucontext, part->data, part->size);
    op.u.ext_vcpucontext.vcpu = vcpu;
    op.u.ext_vcpucontext.size = (uint32_t)part->size;
    return ctl_restore_domctl(r, &op, "set entry points");
}

static int set_xstate(struct ctl_restore *r, uint32_t vcpu, const struct ctl_part *part)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_setvcpuextstate, .u.vcpuextstate = {.vcpu = vcpu, .size = part->size}};
    void *image = locked(r, part);
    int rc = -ENOMEM;

    if (image) {
        op.u.vcpuextstate.buffer.p = image;
        rc = ctl_restore_domctl(r, &op, "set the extended state");
    }
    ctl_buffer_put(r->b->ctl, image);
    return rc;
}

static int set_msrs(struct ctl_restore *r, uint32_t vcpu, const struct ctl_part *part)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_set_vcpu_msrs,
                            .u.vcpu_msrs = {.vcpu = vcpu,
                                            .msr_count = (uint32_t)(part->size / sizeof(xen_domctl_vcpu_msr_t))}};
    void *msrs = locked(r, part);
    int rc = -ENOMEM;

    if (msrs) {
        op.u.vcpu_msrs.msrs.p = msrs;
        rc = ctl_restore_domctl(r, &op, "set MSRs");
    }
    ctl_buffer_put(r->b->ctl, msrs);
    return rc;
}

/* A vCPU without records was down, and stays so. */
static int restore_vcpus(struct ctl_restore *r)
{
    static int (*const set[PARTS])(struct ctl_restore *, uint32_t, const struct ctl_part *) = {
        [PART_BASIC] = set_basic, [PART_EXTENDED] = set_extended, [PART_XSAVE] = set_xstate, [PART_MSRS] = set_msrs};
    int rc = 0;

    for (uint32_t i = 0; i < r->b->maxvcpus; i++) {
        for (unsigned part = 0; part < PARTS && rc >= 0; part++) {
            rc = r->vcpu[i][part].size ? set[part](r, i, &r->vcpu[i][part]) : 0;
        }
    }
    return rc;
}

int ctl_restore_tsc(struct ctl_restore *r)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_settscinfo,
                            .u.tsc_info = {.tsc_mode = r->tsc.mode,
                                           .gtsc_khz = r->tsc.khz,
                                           .incarnation = r->tsc.incarnation,
                                           .elapsed_nsec = r->tsc.nsec}};

    return r->has_tsc ? ctl_restore_domctl(r, &op, "set the state of the time stamp counter") : 0;
}

int ctl_restore_state(struct ctl_restore *r)
{
    static int (*const steps[])(struct ctl_restore *) = {check_parts,        restore_list,     restore_shared,
                                                         restore_start_info, ctl_restore_pins, ctl_restore_tsc,
                                                         restore_vcpus};
    int rc = 0;

    for (size_t i = 0; i < CTL_ARRAY(steps) && rc >= 0; i++) {
        rc = steps[i](r);
    }
    return rc < 0 ? rc : 0;
}
