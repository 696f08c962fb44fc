// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory of a guest that is saved: records of up to 1024 guest frames, with the contents of those that have any.
 *
 * A PVH guest's frames are asked for by the numbers that it has for them, and those without memory are not written. A
 * PV guest's are those of its list. A page table's entries are written with guest frame numbers, since the machine
 * frames are others on arrival. The type of each frame comes from the hypervisor, which is why a guest cannot pass off
 * anything as a table; an entry for a frame that is not in its memory map cannot be saved, and is told.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/live.h"

struct batch {
    uint64_t pfn[PAGE_BATCH]; /* with their types above, as the record has them */
    uint64_t mfn[PAGE_BATCH];
    uint64_t data_pfn[PAGE_BATCH], data_mfn[PAGE_BATCH]; /* of those with contents */
    unsigned n, nr_data;
    uint8_t *pages;
    xen_pfn_t *types; /* locked */
};

/* By what number calls know a guest frame; NO_FRAME: it has no memory. */
static uint64_t frame_of(const struct ctl_save *v, uint64_t pfn)
{
    return v->info.hvm ? pfn : v->p2m[pfn];
}

static unsigned type_of(uint64_t pfn)
{
    return (unsigned)(pfn >> PAGE_TYPE_SHIFT);
}

/* Memory that was sent has gone. A PV guest that runs may have another frame for it, which is looked at in the end. */
static bool gave_back(const struct ctl_save *v, uint64_t pfn)
{
    return v->live && ctl_live_was_sent(v->live, pfn) && (v->info.hvm || v->live->now->stage != CTL_SEND_LIVE);
}

static int get_types(struct ctl_save *v, struct batch *b)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getpageframeinfo3, .u.getpageframeinfo3.num = b->n};
    int rc;

    memcpy(b->types, b->mfn, b->n * sizeof(*b->types));
    set_xen_guest_handle(op.u.getpageframeinfo3.array, b->types);
    rc = ctl_save_domctl(v, &op, "ask for the types of pages");
    b->nr_data = 0;
    for (unsigned i = 0; i < b->n && rc == 0; i++) {
        unsigned type = (uint32_t)b->types[i] >> XEN_DOMCTL_PFINFO_LTAB_SHIFT;

        if (type == PAGE_INVALID && gave_back(v, b->pfn[i])) {
            rc = ctl_stream_fail(v->s, -EAGAIN, "the guest gave memory back while it was sent");
        } else if (!page_type_known(type) || (v->info.hvm && page_level(type))) {
            rc = ctl_stream_fail(v->s, -EIO, "guest frame 0x%llx has type %u", (unsigned long long)b->pfn[i], type);
        }
        if (page_has_data(type) && v->live && ctl_live_take_empty(v->live, b->pfn[i])) {
            type = PAGE_ALLOC;
        }
        if (page_has_data(type)) {
            b->data_mfn[b->nr_data] = b->mfn[i];
            b->data_pfn[b->nr_data++] = b->pfn[i] | (uint64_t)type << PAGE_TYPE_SHIFT;
        }
        b->pfn[i] |= (uint64_t)type << PAGE_TYPE_SHIFT;
    }
    return rc;
}

static int normalise_entry(struct ctl_save *v, uint64_t where, unsigned slot, uint64_t *e)
{
    unsigned level = page_level(type_of(where));
    uint64_t pfn;

    if (!(*e & PTE_PRESENT)) {
        return 0;
    }
    pfn = ctl_save_pfn(v, (*e & PTE_FRAME) >> CTL_PAGE_SHIFT);
    if ((level > 1 && (*e & PTE_LARGE)) || pfn == NO_FRAME) {
        return ctl_fail_domain(v->ctl, v->err, -EINVAL, CTL_AT("save a page table", v->info.domid),
                               "entry %u of its L%u table in guest frame 0x%llx, 0x%llx, is not for its own memory",
                               slot, level, (unsigned long long)(where & PAGE_PFN_MASK), (unsigned long long)*e);
    }
    *e = (*e & ~PTE_FRAME) | pfn << CTL_PAGE_SHIFT;
    return 0;
}

static int normalise(struct ctl_save *v, uint64_t where, uint64_t *table)
{
    int rc = 0;

    if (page_level(type_of(where)) == 4) {
        memset(table + L4_HV_FIRST, 0, (L4_HV_END - L4_HV_FIRST) * sizeof(*table));
    }
    for (unsigned i = 0; i < PTE_COUNT && rc == 0; i++) {
        rc = normalise_entry(v, where, i, &table[i]);
    }
    return rc;
}

static uint64_t *page_at(const struct batch *b, unsigned i)
{
    return (uint64_t *)(void *)(b->pages + ((size_t)i << CTL_PAGE_SHIFT));
}

/* A guest that runs may be changing what is read; then it comes in a later round. */
static bool may_put_off(struct ctl_save *v)
{
    if (!v->live || v->live->now->stage != CTL_SEND_LIVE) {
        return false;
    }
    *v->err = (struct ctl_error){0};
    return true;
}

static void put_off_all(struct ctl_save *v, struct batch *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        ctl_live_put_off(v->live, b->pfn[i] & PAGE_PFN_MASK);
    }
    b->n = b->nr_data = 0;
}

static void put_off_one(struct ctl_save *v, struct batch *b, unsigned i)
{
    uint64_t word = b->data_pfn[i];
    unsigned at = 0;

    ctl_live_put_off(v->live, word & PAGE_PFN_MASK);
    while (b->pfn[at] != word) {
        at++;
    }
    b->n--;
    b->nr_data--;
    memmove(b->pfn + at, b->pfn + at + 1, (b->n - at) * sizeof(*b->pfn));
    memmove(b->data_pfn + i, b->data_pfn + i + 1, (b->nr_data - i) * sizeof(*b->data_pfn));
    memmove(page_at(b, i), page_at(b, i + 1), (size_t)(b->nr_data - i) << CTL_PAGE_SHIFT);
}

static int normalise_tables(struct ctl_save *v, struct batch *b)
{
    for (unsigned i = 0; i < b->nr_data;) {
        int rc = page_level(type_of(b->data_pfn[i])) ? normalise(v, b->data_pfn[i], page_at(b, i)) : 0;

        if (rc == 0) {
            i++;
        } else if (may_put_off(v)) {
            put_off_one(v, b, i);
        } else {
            return rc;
        }
    }
    return 0;
}

static int copy_pages(struct ctl_save *v, struct batch *b)
{
    void *from;

    if (b->nr_data == 0) {
        return 0;
    }
    from = ctl_foreign_map(v->ctl, v->info.domid, PROT_READ, b->data_mfn, b->nr_data, v->err);
    if (!from) {
        int code = v->err->code;

        if (!may_put_off(v)) {
            return code;
        }
        put_off_all(v, b);
        return 0;
    }
    memcpy(b->pages, from, (size_t)b->nr_data << CTL_PAGE_SHIFT);
    ctl_foreign_unmap(v->ctl, from, b->nr_data);
    return normalise_tables(v, b);
}

static int write_batch(struct ctl_save *v, struct batch *b)
{
    struct {
        struct page_header h;
        uint64_t pfn[PAGE_BATCH];
    } head = {.h.count = b->n};

    if (v->live && v->live->lanes) {
        return ctl_lanes_put(v, &(struct ctl_pages){b->pfn, b->n, b->nr_data, &b->pages});
    }
    memcpy(head.pfn, b->pfn, b->n * sizeof(*b->pfn));
    return ctl_record_write(v->s, REC_PAGE_DATA, (struct ctl_piece){&head, sizeof(head.h) + b->n * sizeof(head.pfn[0])},
                            (struct ctl_piece){b->pages, (size_t)b->nr_data << CTL_PAGE_SHIFT});
}

/* Of all numbers that a PVH guest may have memory at, most have none. */
static void forget_holes(struct batch *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->n; i++) {
        if (type_of(b->pfn[i]) != PAGE_INVALID) {
            b->pfn[n++] = b->pfn[i];
        }
    }
    b->n = n;
}

static bool is_zero(const uint64_t *page)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < CTL_PAGE_SIZE / sizeof(*page); i++) {
        any |= page[i];
    }
    return any == 0;
}

static void count_batch(struct ctl_save *v, const struct batch *b)
{
    for (unsigned i = 0; i < b->nr_data; i++) {
        ctl_live_sent(v->live, b->data_pfn[i], is_zero(page_at(b, i)));
    }
    for (unsigned i = 0; i < b->n; i++) {
        if (type_of(b->pfn[i]) == PAGE_ALLOC) {
            ctl_live_named(v->live, b->pfn[i] & PAGE_PFN_MASK);
        }
    }
}

static int send_batch(struct ctl_save *v, struct batch *b)
{
    int rc = b->n ? get_types(v, b) : 0;

    if (rc == 0 && v->info.hvm) {
        forget_holes(b);
    }
    if (rc == 0 && b->n) {
        rc = copy_pages(v, b);
    }
    if (rc == 0 && b->n && v->live) {
        count_batch(v, b);
    }
    if (rc == 0 && b->n) {
        rc = write_batch(v, b);
    }
    b->n = 0;
    return rc == 0 && v->live ? ctl_live_next(v) : rc;
}

/* The next page that is to be written, from this one on; or nr_pfns. */
static uint64_t next_wanted(struct ctl_save *v, uint64_t pfn)
{
    while (pfn < v->nr_pfns) {
        if (v->live && pfn % 64 == 0 && ctl_live_wants_none(v->live, pfn)) {
            pfn += 64;
        } else if ((!v->live || ctl_live_take(v->live, pfn)) && frame_of(v, pfn) != NO_FRAME) {
            return pfn;
        } else {
            pfn++;
        }
    }
    return v->nr_pfns;
}

/* What is done with a batch; it is empty after that. */
typedef int batch_fn(struct ctl_save *v, struct batch *b);
typedef uint64_t next_fn(struct ctl_save *v, uint64_t pfn);

static int for_pages(struct ctl_save *v, struct batch *b, next_fn *next, batch_fn *fn)
{
    int rc = 0;

    for (uint64_t pfn = 0; rc == 0 && (pfn = next(v, pfn)) < v->nr_pfns; pfn++) {
        b->mfn[b->n] = frame_of(v, pfn);
        b->pfn[b->n++] = pfn;
        if (b->n == PAGE_BATCH) {
            rc = fn(v, b);
        }
    }
    return rc == 0 ? fn(v, b) : rc;
}

static int with_batch(struct ctl_save *v, next_fn *next, batch_fn *fn)
{
    struct batch *b = calloc(1, sizeof(*b));
    int rc = -ENOMEM;

    if (b) {
        b->pages = malloc((size_t)PAGE_BATCH << CTL_PAGE_SHIFT);
        b->types = ctl_buffer_get(v->ctl, PAGE_BATCH * sizeof(*b->types));
    }
    if (b && b->pages && b->types) {
        rc = for_pages(v, b, next, fn);
    } else {
        ctl_stream_fail(v->s, rc, "no memory for a batch of pages");
    }
    if (b) {
        ctl_buffer_put(v->ctl, b->types);
        free(b->pages);
    }
    free(b);
    return rc;
}

int ctl_save_pages(struct ctl_save *v)
{
    return with_batch(v, next_wanted, send_batch);
}

/* --- types alone --- */

static uint64_t next_frame(struct ctl_save *v, uint64_t pfn)
{
    while (pfn < v->nr_pfns && frame_of(v, pfn) == NO_FRAME) {
        pfn++;
    }
    return pfn;
}

static int compare_batch(struct ctl_save *v, struct batch *b)
{
    int rc = b->n ? get_types(v, b) : 0;

    for (unsigned i = 0; i < b->n && rc == 0; i++) {
        ctl_live_compare(v->live, b->pfn[i]);
    }
    b->n = 0;
    return rc;
}

int ctl_save_types(struct ctl_save *v)
{
    return with_batch(v, next_frame, compare_batch);
}
