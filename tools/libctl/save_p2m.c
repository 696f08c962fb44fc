// SPDX-License-Identifier: BSD-2-Clause
/*
 * The P2M of a PV guest that is saved: which machine frames it has, under which numbers.
 *
 * The guest keeps it in its own memory and says in the shared information where: as a flat list in its address space,
 * found through its page tables (p2m_cr3, p2m_vaddr), or as a tree of two levels of frame numbers. Nothing of it is
 * trusted: frames are only ever mapped as the domain's own, which the hypervisor checks, and sizes have limits: of the
 * numbers, for the list itself, and of those that have a frame, for the way back. The way back is made from the same
 * list, and so is never at odds with it; what it costs, in memory and in time, does not depend on which frames the
 * guest names.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "libctl/save.h"

#define PER_FRAME 512
/*
 * A guest frame's number may lie beyond its memory, but not anywhere: Linux has its list for all that it may be given,
 * rounded up to 1 GiB, and with the host's memory map it has holes below 4 GiB.
 */
#define SPARSE      4
#define SPARSE_PFNS (1ull << 20)
/*
 * Frames of others that its list may name: as many as it can map with a table of grants of the size that is usual.
 * Linux marks them, and has none that count.
 */
#define FOREIGN (1ull << 18)

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

/* 32 bits are what the stream has for a number; the control domain's memory may have no limit. */
static uint64_t most_pfns(const struct ctl_save *v)
{
    uint64_t frames = ctl_memory_most_kib(v->ctl, &v->info) / 4;

    return frames < (UINT32_MAX - SPARSE_PFNS) / SPARSE ? frames * SPARSE + SPARSE_PFNS : UINT32_MAX;
}

static int find_list(struct ctl_save *v)
{
    const struct arch_shared_info *arch = &v->shared->arch;

    v->nr_pfns = arch->max_pfn;
    if (v->nr_pfns == 0 || v->nr_pfns > most_pfns(v)) {
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

/*
 * The guest chooses the frames' numbers, and must not be able to choose such as fall together: the factor is random,
 * and odd. Then any two numbers have the same head with a chance of at most 2 in the number of heads, whichever they
 * are.
 */
static int new_factor(struct ctl_save *v)
{
    uint64_t *factor = &v->back.factor;

    if (getrandom(factor, sizeof(*factor), 0) != (ssize_t)sizeof(*factor)) {
        return fail(v, -EIO, "no random numbers for the way back", sizeof(*factor));
    }
    *factor |= 1;
    return 0;
}

static uint32_t *head_of(const struct ctl_back *b, uint64_t mfn)
{
    return &b->head[mfn * b->factor >> (64 - b->bits)];
}

/* The entry of a machine frame, or 0. Counts those that are another's. */
static uint32_t find_back(const struct ctl_back *b, uint64_t mfn, uint64_t *steps)
{
    uint32_t i = *head_of(b, mfn);

    for (; i && b->entry[i].mfn != mfn; i = b->entry[i].next) {
        ++*steps;
    }
    return i;
}

uint64_t ctl_save_pfn(const struct ctl_save *v, uint64_t mfn)
{
    uint64_t steps = 0;
    uint32_t i = find_back(&v->back, mfn, &steps);

    return i ? v->back.entry[i].pfn : NO_FRAME;
}

/* Of a frame that is named twice the first number counts. False: too many steps. */
static bool link_back(struct ctl_save *v, uint64_t most_steps)
{
    struct ctl_back *b = &v->back;
    uint32_t used = 0;

    memset(b->head, 0, sizeof(*b->head) << b->bits);
    b->steps = 0;
    for (uint64_t pfn = 0; pfn < v->nr_pfns && b->steps <= most_steps; pfn++) {
        uint64_t mfn = v->p2m[pfn];

        if (mfn != NO_FRAME && !find_back(b, mfn, &b->steps)) {
            uint32_t *head = head_of(b, mfn);

            b->entry[++used] = (struct ctl_back_entry){.mfn = mfn, .pfn = (uint32_t)pfn, .next = *head};
            *head = used;
        }
    }
    return b->steps <= most_steps;
}

/* At most two steps for each entry are to be expected, so not even one factor in 16 needs 32. */
static int fill_back(struct ctl_save *v, uint64_t entries)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        int rc = new_factor(v);

        if (rc < 0 || link_back(v, 32 * entries)) {
            return rc;
        }
    }
    return fail(v, -EIO, "no random number orders its list of frames", entries);
}

static uint64_t count_entries(const struct ctl_save *v)
{
    uint64_t n = 0;

    for (uint64_t pfn = 0; pfn < v->nr_pfns; pfn++) {
        n += v->p2m[pfn] != NO_FRAME;
    }
    return n;
}

/* It may get frames up to its limit while the list is read; and have more than that, if its limit is a new one. */
static uint64_t most_entries(const struct ctl_save *v)
{
    uint64_t kib = v->info.maxmem_kib > v->info.memory_kib ? v->info.maxmem_kib : v->info.memory_kib;

    return kib / 4 + FOREIGN;
}

static int make_back(struct ctl_save *v)
{
    struct ctl_back *b = &v->back;
    uint64_t n = count_entries(v);

    if (n > most_entries(v)) {
        return ctl_fail_domain(v->ctl, v->err, -EINVAL, CTL_AT("read the guest's memory map", v->info.domid),
                               "its list names %llu frames, and it can have %llu, with those of others",
                               (unsigned long long)n, (unsigned long long)most_entries(v));
    }
    for (b->bits = 10; 1ull << b->bits < n; b->bits++)
        ;
    b->head = malloc(sizeof(*b->head) << b->bits);
    b->entry = malloc((n + 1) * sizeof(*b->entry));
    if (!b->head || !b->entry) {
        return fail(v, -ENOMEM, "no memory for its list of frames", n);
    }
    return fill_back(v, n);
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
    free(v->back.head);
    free(v->back.entry);
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
