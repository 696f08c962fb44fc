// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a PV domain needs between its creation and its first instruction.
 *
 * Flow: memory -> shared info -> contents (start_info.c) -> hypercall page, page tables pinned, registers of vCPU 0.
 * Place: build.c takes these steps, after those that all domains have, and undoes them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/build.h"

#define SUPERPAGE_ORDER 9

/* As much as possible in 2 MiB extents. Returns pages populated or -errno. */
static long populate_large(struct ctl_build *b)
{
    size_t count = b->layout.nr_pages >> SUPERPAGE_ORDER;
    uint64_t *frames = malloc((count ? count : 1) * sizeof(*frames));
    long done;

    if (!frames) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        frames[i] = (uint64_t)i << SUPERPAGE_ORDER;
    }
    done = ctl_memory_populate(b->ctl, b->domid, SUPERPAGE_ORDER, frames, count, NULL);
    for (long i = 0; i < done; i++) {
        for (uint64_t j = 0; j < 1u << SUPERPAGE_ORDER; j++) {
            b->p2m[((uint64_t)i << SUPERPAGE_ORDER) + j] = frames[i] + j;
        }
    }
    free(frames);
    return done < 0 ? 0 : done << SUPERPAGE_ORDER;
}

static int step_memory(struct ctl_build *b)
{
    uint64_t pages = b->layout.nr_pages, done;
    long rc;

    b->p2m = malloc(pages * sizeof(*b->p2m));
    if (!b->p2m) {
        return ctl_error_set(b->err, -ENOMEM, "populate memory", b->config->name, NULL,
                             "no memory for the list of frames");
    }
    rc = ctl_memory_claim(b->ctl, b->domid, pages, b->err);
    if (rc < 0) {
        return rc;
    }
    done = populate_large(b);
    for (uint64_t pfn = done; pfn < pages; pfn++) {
        b->p2m[pfn] = pfn;
    }
    rc = ctl_memory_populate(b->ctl, b->domid, 0, b->p2m + done, pages - done, b->err);
    if (rc < 0) {
        return rc;
    }
    if (done + rc < pages) {
        return ctl_fail_domain(b->ctl, b->err, -ENOMEM, CTL_AT("populate memory", b->domid),
                               "the host's memory ran out at %llu of %llu MiB", (unsigned long long)(done + rc) / 256,
                               (unsigned long long)pages / 256);
    }
    b->store_frame = b->p2m[b->layout.store_pfn];
    b->console_frame = b->p2m[b->layout.console_pfn];
    return 0;
}

/* Events stay masked until the kernel is ready for them. */
static int step_shared_info(struct ctl_build *b)
{
    struct ctl_domain_info info;
    struct shared_info *shared;
    int rc = ctl_domain_info(b->ctl, b->domid, &info, b->err);

    if (rc < 0) {
        return rc;
    }
    b->shared_info_frame = info.shared_info_frame;
    shared = ctl_foreign_map(b->ctl, b->domid, PROT_READ | PROT_WRITE, &b->shared_info_frame, 1, b->err);
    if (!shared) {
        return b->err->code;
    }
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) {
        shared->vcpu_info[i].evtchn_upcall_mask = 1;
    }
    ctl_foreign_unmap(b->ctl, shared, 1);
    return 0;
}

/* Newer kernels make their hypercalls without the page and name none. */
static int step_hypercall_page(struct ctl_build *b)
{
    const struct ctl_notes *notes = &b->image.notes;
    uint64_t pfn = (notes->hypercall_page - notes->virt_base) >> CTL_PAGE_SHIFT;
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_hypercall_init, .domain = b->domid};
    int rc;

    if (!notes->has_hypercall_page) {
        return 0;
    }
    domctl.u.hypercall_init.gmfn = b->p2m[pfn];
    rc = ctl_call_domctl(b->ctl, &domctl);
    if (rc < 0) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("fill the hypercall page", b->domid),
                               "the hypervisor refused");
    }
    return 0;
}

static int step_pin(struct ctl_build *b)
{
    int rc = ctl_call_pin_l4(b->ctl, b->domid, b->p2m[b->layout.l4_pfn]);

    if (rc < 0) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("pin the page tables", b->domid),
                               "the hypervisor did not accept the first page tables");
    }
    return 0;
}

static int step_registers(struct ctl_build *b)
{
    const struct ctl_layout *l = &b->layout;
    struct vcpu_guest_context *state = calloc(1, sizeof(*state));
    int rc;

    if (!state) {
        return ctl_error_set(b->err, -ENOMEM, "set registers", b->config->name, NULL, "out of memory");
    }
    state->flags = VGCF_in_kernel | VGCF_online;
    state->user_regs.rip = b->image.notes.entry;
    state->user_regs.rsp = ctl_layout_virt(l, l->stack_pfn + 1);
    state->user_regs.rsi = ctl_layout_virt(l, l->start_info_pfn);
    state->user_regs.rflags = 1 << 9; /* events are masked by shared_info, not by IF */
    state->user_regs.cs = FLAT_KERNEL_CS;
    state->user_regs.ss = FLAT_KERNEL_SS;
    state->kernel_ss = state->user_regs.ss;
    state->kernel_sp = state->user_regs.rsp;
    state->ctrlreg[3] = xen_pfn_to_cr3(b->p2m[l->l4_pfn]);
    rc = ctl_vcpu_set_context(b->ctl, b->domid, 0, state, b->err);
    free(state);
    return rc;
}

int (*const ctl_build_steps_pv[])(struct ctl_build *) = {
    step_memory, step_shared_info, ctl_build_load, step_hypercall_page, step_pin, step_registers, NULL,
};
