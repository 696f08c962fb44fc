// SPDX-License-Identifier: BSD-2-Clause
/*
 * The contents of a new PV domain's memory.
 *
 * Place: builder's step between memory and page-table pin. Two mappings do it all: the boot part (kernel to stack), and
 * the tail (P2M elsewhere, unmapped ramdisk). Invariants: both are undone before the step ends, since a page table must
 * not be writable anywhere; every page that the kernel takes for zero is cleared here, whatever the hypervisor gave.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/build.h"

/* A run of the domain's frames as the builder sees it. */
struct window {
    uint8_t *memory;
    uint64_t pfn, pages;
};

static void *at(const struct window *w, uint64_t pfn)
{
    return w->memory + ((pfn - w->pfn) << CTL_PAGE_SHIFT);
}

static int window_open(struct ctl_build *b, struct window *w, uint64_t pfn, uint64_t end)
{
    w->pfn = pfn;
    w->pages = end - pfn;
    w->memory = NULL;
    if (w->pages == 0) {
        return 0;
    }
    w->memory = ctl_foreign_map(b->ctl, b->domid, PROT_READ | PROT_WRITE, b->p2m + pfn, w->pages, b->err);
    return w->memory ? 0 : b->err->code;
}

static void window_close(struct ctl_build *b, struct window *w)
{
    ctl_foreign_unmap(b->ctl, w->memory, w->pages);
}

static void fill_start_info(struct ctl_build *b, struct start_info *si)
{
    const struct ctl_layout *l = &b->layout;

    memset(si, 0, CTL_PAGE_SIZE);
    snprintf(si->magic, sizeof(si->magic), "xen-3.0-x86_64");
    si->nr_pages = l->nr_pages;
    si->shared_info = b->shared_info_frame << CTL_PAGE_SHIFT;
    si->flags = SIF_VIRT_P2M_4TOOLS;
    si->store_mfn = b->p2m[l->store_pfn];
    si->store_evtchn = b->store_port;
    si->console.domU.mfn = b->p2m[l->console_pfn];
    si->console.domU.evtchn = b->console_port;
    si->pt_base = ctl_layout_virt(l, l->l4_pfn);
    si->nr_pt_frames = l->table_pages;
    si->mfn_list = l->p2m_virt;
    if (l->nr_maps == 2) {
        si->first_p2m_pfn = l->p2m_pfn;
        si->nr_p2m_frames = l->p2m_all_pages;
    }
    if (l->ramdisk_pages) {
        si->mod_start = l->ramdisk_mapped ? ctl_layout_virt(l, l->ramdisk_pfn) : l->ramdisk_pfn;
        si->mod_len = l->ramdisk_bytes;
        si->flags |= l->ramdisk_mapped ? 0 : SIF_MOD_START_PFN;
    }
    snprintf((char *)si->cmd_line, sizeof(si->cmd_line), "%s", b->config->cmdline ? b->config->cmdline : "");
}

/* The P2M and, where it has its own, the tables that map it. */
static void fill_p2m(struct ctl_build *b, const struct window *w, uint64_t *l4)
{
    const struct ctl_layout *l = &b->layout;
    uint64_t bytes = l->nr_pages * sizeof(*b->p2m);
    uint8_t *list = at(w, l->p2m_pfn);

    memcpy(list, b->p2m, bytes);
    memset(list + bytes, 0, (l->p2m_pages << CTL_PAGE_SHIFT) - bytes);
    if (l->nr_maps == 2) {
        ctl_pagetable_build(l, 1, b->p2m, l4, at(w, l->maps[1].tables_pfn));
    }
}

static int fill(struct ctl_build *b, const struct window *boot, const struct window *tail)
{
    const struct ctl_layout *l = &b->layout;
    uint64_t *l4 = at(boot, l->l4_pfn);

    ctl_image_copy(&b->image, boot->memory, boot->pfn << CTL_PAGE_SHIFT);
    memset(at(boot, l->store_pfn), 0, CTL_PAGE_SIZE);
    memset(at(boot, l->console_pfn), 0, CTL_PAGE_SIZE);
    memset(at(boot, l->stack_pfn), 0, CTL_PAGE_SIZE);
    fill_start_info(b, at(boot, l->start_info_pfn));
    memset(l4, 0, CTL_PAGE_SIZE);
    ctl_pagetable_build(l, 0, b->p2m, l4, l4 + 512);
    fill_p2m(b, l->nr_maps == 2 ? tail : boot, l4);
    return ctl_file_fill(b->config->ramdisk, at(l->ramdisk_mapped ? boot : tail, l->ramdisk_pfn), l->ramdisk_bytes,
                         b->err);
}

int ctl_build_load(struct ctl_build *b)
{
    const struct ctl_layout *l = &b->layout;
    struct window boot, tail = {0};
    int rc = window_open(b, &boot, l->kernel_pfn, l->boot_end_pfn);

    if (rc == 0) {
        rc = window_open(b, &tail, l->maps[0].pages, l->needed_pages);
    }
    if (rc == 0) {
        rc = fill(b, &boot, &tail);
    }
    window_close(b, &tail);
    window_close(b, &boot);
    return rc;
}
