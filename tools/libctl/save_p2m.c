// SPDX-License-Identifier: BSD-2-Clause
/*
 * The P2M of a PV guest that is saved: which machine frames it has, under which numbers.
 *
 * The guest keeps it in its own memory and says in the shared information where: as a flat list in its address space,
 * found through its page tables (p2m_cr3, p2m_vaddr), or as a tree of two levels of frame numbers. Nothing of it is
 * trusted: frames are only ever mapped as the domain's own, which the hypervisor checks, and sizes have limits. The way
 * back is made from the same list, and so is never at odds with it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/save.h"

#define PER_FRAME 512
/* A guest frame's number may lie beyond its memory, but not anywhere. */
#define SPARSE      16
#define SPARSE_PFNS (1ull << 18)

static int fail(struct ctl_save *v, int code, const char *what, uint64_t value)
{
    return ctl_fail_domain(v->ctl, v->err, code, CTL_AT("read the guest's memory map", v->info.domid), "%s: 0x%llx",
                           what, (unsigned long long)value);
}

/* Copies one frame of the domain. */
static int read_frame(struct ctl_save *v, uint64_t mfn, void *to)
{
    void *from = ctl_foreign_map(v->ctl, v->info.domid, PROT_READ, &mfn, 1, v->err);

    if (!from) {
        return v->err->code;
    }
    memcpy(to, from, CTL_PAGE_SIZE);
    ctl_foreign_unmap(v->ctl, from, 1);
    return 0;
}

/* --- where the list lies --- */

struct table {
    uint64_t mfn, entry[PTE_COUNT];
};

/* One table for each level is kept: neighbours share them. */
static int walk(struct ctl_save *v, struct table *tables, uint64_t address, uint64_t *mfn)
{
    for (int level = 3; level >= 0; level--) {
        struct table *t = &tables[level];
        uint64_t e;

        if (t->mfn != *mfn) {
            int rc = read_frame(v, *mfn, t->entry);

            if (rc < 0) {
                return rc;
            }
            t->mfn = *mfn;
        }
        e = t->entry[address >> (12 + 9 * level) & 511];
        if (!(e & PTE_PRESENT) || (level && (e & PTE_LARGE))) {
            return fail(v, -EINVAL, "its page tables do not map the list at", address);
        }
        *mfn = (e & PTE_FRAME) >> CTL_PAGE_SHIFT;
    }
    return 0;
}

static int find_flat(struct ctl_save *v)
{
    const struct arch_shared_info *arch = &v->shared->arch;
    struct table *tables = calloc(4, sizeof(*tables));
    int rc = 0;

    if (!tables) {
        return fail(v, -ENOMEM, "no memory for tables", 4);
    }
    for (int i = 0; i < 4; i++) {
        tables[i].mfn = NO_FRAME;
    }
    if (arch->p2m_vaddr & CTL_PAGE_MASK) {
        rc = fail(v, -EINVAL, "the list is not at the beginning of a page", arch->p2m_vaddr);
    }
    for (uint64_t i = 0; i < v->nr_p2m && rc == 0; i++) {
        v->p2m_frames[i] = xen_cr3_to_pfn(arch->p2m_cr3);
        rc = walk(v, tables, arch->p2m_vaddr + (i << CTL_PAGE_SHIFT), &v->p2m_frames[i]);
    }
    free(tables);
    return rc;
}

static int find_tree(struct ctl_save *v)
{
    uint64_t top[PER_FRAME], leaf[PER_FRAME];
    int rc = read_frame(v, v->shared->arch.pfn_to_mfn_frame_list_list, top);

    if (v->nr_p2m > (uint64_t)PER_FRAME * PER_FRAME) {
        return fail(v, -EINVAL, "more frames than a tree can have", v->nr_p2m);
    }
    for (uint64_t i = 0; i < v->nr_p2m && rc == 0; i++) {
        if (i % PER_FRAME == 0) {
            rc = read_frame(v, top[i / PER_FRAME], leaf);
        }
        v->p2m_frames[i] = leaf[i % PER_FRAME];
    }
    return rc;
}

static int find_list(struct ctl_save *v)
{
    const struct arch_shared_info *arch = &v->shared->arch;
    uint64_t most = ctl_memory_most_kib(v->ctl, &v->info) / 4 * SPARSE + SPARSE_PFNS;

    v->nr_pfns = arch->max_pfn;
    if (v->nr_pfns == 0 || v->nr_pfns > most) {
        return fail(v, -EINVAL, "it is still booting, or its list has an impossible length", v->nr_pfns);
    }
    v->nr_p2m = (v->nr_pfns + PER_FRAME - 1) / PER_FRAME;
    v->p2m_frames = malloc(v->nr_p2m * sizeof(*v->p2m_frames));
    v->p2m = malloc(v->nr_p2m * PER_FRAME * sizeof(*v->p2m));
    if (!v->p2m_frames || !v->p2m) {
        return fail(v, -ENOMEM, "no memory for its list of frames", v->nr_pfns);
    }
    return arch->p2m_cr3 ? find_flat(v) : find_tree(v);
}

/* --- the list, and the way back --- */

static int read_list(struct ctl_save *v)
{
    for (uint64_t i = 0; i < v->nr_p2m; i += PAGE_BATCH) {
        uint64_t n = v->nr_p2m - i < PAGE_BATCH ? v->nr_p2m - i : PAGE_BATCH;
        void *from = ctl_foreign_map(v->ctl, v->info.domid, PROT_READ, v->p2m_frames + i, n, v->err);

        if (!from) {
            return v->err->code;
        }
        memcpy(v->p2m + i * PER_FRAME, from, n << CTL_PAGE_SHIFT);
        ctl_foreign_unmap(v->ctl, from, n);
    }
    /* Numbers that no frame can have are marks of the guest's. */
    for (uint64_t pfn = 0; pfn < v->nr_pfns; pfn++) {
        if (v->p2m[pfn] > PTE_FRAME >> CTL_PAGE_SHIFT) {
            v->p2m[pfn] = NO_FRAME;
        }
    }
    return 0;
}

static uint64_t slot_of(const struct ctl_save *v, uint64_t mfn)
{
    uint64_t i = (mfn * 0x9e3779b97f4a7c15ull) >> 20;

    while (v->back[i & (v->back_size - 1)].pfn != NO_FRAME && v->back[i & (v->back_size - 1)].mfn != mfn) {
        i++;
    }
    return i & (v->back_size - 1);
}

uint64_t ctl_save_pfn(const struct ctl_save *v, uint64_t mfn)
{
    return v->back[slot_of(v, mfn)].pfn;
}

static int make_back(struct ctl_save *v)
{
    for (v->back_size = 1024; v->back_size < 2 * v->nr_pfns; v->back_size *= 2)
        ;
    v->back = malloc(v->back_size * sizeof(*v->back));
    if (!v->back) {
        return fail(v, -ENOMEM, "no memory for its list of frames", v->nr_pfns);
    }
    memset(v->back, 0xff, v->back_size * sizeof(*v->back));
    for (uint64_t pfn = 0; pfn < v->nr_pfns; pfn++) {
        uint64_t slot = v->p2m[pfn] == NO_FRAME ? 0 : slot_of(v, v->p2m[pfn]);

        if (v->p2m[pfn] != NO_FRAME && v->back[slot].pfn == NO_FRAME) {
            v->back[slot].mfn = v->p2m[pfn];
            v->back[slot].pfn = pfn;
        }
    }
    return 0;
}

int ctl_save_open(struct ctl_save *v)
{
    int rc;

    v->shared = malloc(CTL_PAGE_SIZE);
    rc = v->shared ? read_frame(v, v->info.shared_info_frame, v->shared) : fail(v, -ENOMEM, "no memory", 1);
    if (rc == 0) {
        rc = find_list(v);
    }
    if (rc == 0) {
        rc = read_list(v);
    }
    return rc == 0 ? make_back(v) : rc;
}

void ctl_save_close(struct ctl_save *v)
{
    free(v->shared);
    free(v->p2m);
    free(v->p2m_frames);
    free(v->back);
}

int ctl_save_p2m_frames(struct ctl_save *v)
{
    struct p2m_header h = {.last = (uint32_t)(v->nr_pfns - 1)};
    uint64_t *pfns = malloc(v->nr_p2m * sizeof(*pfns));
    int rc = pfns ? 0 : fail(v, -ENOMEM, "no memory for its list of frames", v->nr_pfns);

    for (uint64_t i = 0; i < v->nr_p2m && rc == 0; i++) {
        pfns[i] = ctl_save_pfn(v, v->p2m_frames[i]);
        if (pfns[i] == NO_FRAME) {
            rc = fail(v, -EINVAL, "its list lies in a frame that is not in it", v->p2m_frames[i]);
        }
    }
    if (rc == 0) {
        rc = ctl_record_write(v->s, REC_PV_P2M_FRAMES, (struct ctl_piece){&h, sizeof(h)},
                              (struct ctl_piece){pfns, v->nr_p2m * sizeof(*pfns)});
    }
    free(pfns);
    return rc;
}
