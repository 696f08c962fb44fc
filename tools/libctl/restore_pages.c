// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory of a guest that is restored: frames are populated as they are first named, contents written, and page tables
 * of PV guests get machine frame numbers. A PVH guest's frames keep their numbers; where a record names a whole range
 * of 2 MiB that has no memory yet, it is populated in one piece if the host has one.
 *
 * A table may name guest frames whose contents come later, so these are populated with it. While contents are written
 * no frame is a page table yet; they are pinned when all of them are there, and it is the hypervisor that decides then
 * whether they may be.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/restore.h"

static unsigned type_of(uint64_t word)
{
    return (unsigned)(word >> PAGE_TYPE_SHIFT);
}

/* --- frames --- */

/* Guest frames that are to be populated, as many as go into one call. */
struct wanted {
    uint64_t pfn[PAGE_BATCH], frame[PAGE_BATCH];
    unsigned n;
};

/* A frame is marked until it has one, so that none is asked for twice. */
#define ASKED_FOR (~0ull)

#define LARGE_ORDER 9
#define LARGE       (1u << LARGE_ORDER)

bool ctl_restore_has(const struct ctl_restore *r, uint64_t pfn)
{
    if (pfn >= r->nr_pfns) {
        return false;
    }
    return r->there ? r->there[pfn / 64] >> pfn % 64 & 1 : r->frame[pfn] != 0;
}

/* Are the next ones wanted all of an aligned range? */
static bool is_large(const struct wanted *w, unsigned i)
{
    if (w->pfn[i] % LARGE || w->n - i < LARGE) {
        return false;
    }
    for (unsigned k = 1; k < LARGE; k++) {
        if (w->pfn[i + k] != w->pfn[i] + k) {
            return false;
        }
    }
    return true;
}

/* Populates whole ranges; those that are left are in w->pfn then. */
static void populate_large(struct ctl_restore *r, struct wanted *w)
{
    unsigned left = 0;

    for (unsigned i = 0; i < w->n;) {
        uint64_t frame = w->pfn[i];

        if (is_large(w, i) && ctl_memory_populate(r->b->ctl, r->b->domid, LARGE_ORDER, &frame, 1, NULL) == 1) {
            i += LARGE;
        } else {
            w->pfn[left++] = w->pfn[i++];
        }
    }
    w->n = left;
}

static int populate(struct ctl_restore *r, struct wanted *w)
{
    long done;

    if (r->there) {
        populate_large(r, w);
    }
    if (w->n == 0) {
        return 0;
    }
    memcpy(w->frame, w->pfn, w->n * sizeof(*w->pfn));
    done = ctl_memory_populate(r->b->ctl, r->b->domid, 0, w->frame, w->n, r->b->err);
    for (long i = 0; !r->there && i < (long)w->n; i++) {
        r->frame[w->pfn[i]] = i < done ? w->frame[i] : 0;
    }
    if (done >= 0 && done < (long)w->n) {
        return ctl_stream_fail(r->s, -ENOMEM, "no memory for guest frame 0x%llx: more than %s, or than the host has",
                               (unsigned long long)w->pfn[done], r->there ? "maxmem or shadow_memory" : "maxmem");
    }
    w->n = 0;
    return done < 0 ? (int)done : 0;
}

static int want(struct ctl_restore *r, struct wanted *w, uint64_t pfn)
{
    if (ctl_restore_has(r, pfn)) {
        return 0;
    }
    if (r->there) {
        r->there[pfn / 64] |= 1ull << pfn % 64;
    } else {
        r->frame[pfn] = ASKED_FOR;
    }
    w->pfn[w->n++] = pfn;
    return w->n == PAGE_BATCH ? populate(r, w) : 0;
}

/* --- one record --- */

struct pages {
    const uint64_t *word; /* types and guest frames */
    uint8_t *data;
    uint32_t count, nr_data;
    struct wanted wanted;
    uint64_t frame[PAGE_BATCH]; /* of those with data */
    uint64_t where[PAGE_BATCH];
};

static bool needs_memory(uint64_t word)
{
    return type_of(word) != PAGE_BROKEN && type_of(word) != PAGE_INVALID;
}

/* A PVH guest's page tables are memory like any other; and others write of all numbers that there is nothing. */
static int check_words(struct ctl_restore *r, struct pages *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        uint64_t pfn = p->word[i] & PAGE_PFN_MASK;

        if (!page_type_known(type_of(p->word[i])) || (r->there && page_level(type_of(p->word[i])))) {
            return ctl_stream_fail(r->s, -EBADMSG, "type %u of guest frame 0x%llx is not known", type_of(p->word[i]),
                                   (unsigned long long)pfn);
        }
        if (pfn >= r->nr_pfns && !(r->there && !needs_memory(p->word[i]))) {
            return ctl_stream_fail(r->s, -EBADMSG, "guest frame 0x%llx is beyond the last, 0x%llx",
                                   (unsigned long long)pfn, (unsigned long long)r->nr_pfns - 1);
        }
        p->nr_data += page_has_data(type_of(p->word[i]));
    }
    return ctl_record_exact(r->s, sizeof(struct page_header) + p->count * sizeof(*p->word) +
                                      ((size_t)p->nr_data << CTL_PAGE_SHIFT));
}

static int check_record(struct ctl_restore *r, struct pages *p)
{
    struct page_header h;
    int rc = ctl_record_least(r->s, sizeof(h));

    if (rc < 0) {
        return rc;
    }
    memcpy(&h, r->s->rec.body, sizeof(h));
    if (h.count == 0 || h.count > PAGE_BATCH) {
        return ctl_stream_fail(r->s, -EBADMSG, "%u pages where 1 to %d belong", h.count, PAGE_BATCH);
    }
    rc = ctl_record_least(r->s, sizeof(h) + h.count * sizeof(uint64_t));
    p->count = h.count;
    p->word = (const uint64_t *)(const void *)(r->s->rec.body + sizeof(h));
    p->data = r->s->rec.body + sizeof(h) + h.count * sizeof(uint64_t);
    return rc == 0 ? check_words(r, p) : rc;
}

static int populate_named(struct ctl_restore *r, struct pages *p)
{
    int rc = 0;

    for (uint32_t i = 0; i < p->count && rc == 0; i++) {
        uint64_t pfn = p->word[i] & PAGE_PFN_MASK;

        if (r->type) {
            r->type[pfn] = (uint8_t)type_of(p->word[i]);
        }
        if (needs_memory(p->word[i])) {
            rc = want(r, &p->wanted, pfn);
        }
    }
    return rc == 0 ? populate(r, &p->wanted) : rc;
}

static bool next_table(const struct pages *p, uint32_t i)
{
    return page_level(type_of(p->where[i])) != 0;
}

static uint64_t *table_at(const struct pages *p, uint32_t i)
{
    return (uint64_t *)(void *)(p->data + ((size_t)i << CTL_PAGE_SHIFT));
}

static int check_entry(struct ctl_restore *r, const struct pages *p, uint32_t i, uint64_t e)
{
    uint64_t pfn = (e & PTE_FRAME) >> CTL_PAGE_SHIFT;

    if (pfn >= r->nr_pfns || (page_level(type_of(p->where[i])) > 1 && (e & PTE_LARGE))) {
        return ctl_stream_fail(r->s, -EBADMSG, "entry 0x%llx of the L%u table in guest frame 0x%llx is not possible",
                               (unsigned long long)e, page_level(type_of(p->where[i])),
                               (unsigned long long)(p->where[i] & PAGE_PFN_MASK));
    }
    return 0;
}

/* First all that a table names is populated, then its entries are changed. */
static int populate_entries(struct ctl_restore *r, struct pages *p, uint32_t i)
{
    const uint64_t *table = table_at(p, i);
    int rc = 0;

    for (unsigned slot = 0; slot < PTE_COUNT && rc == 0; slot++) {
        if (!(table[slot] & PTE_PRESENT)) {
            continue;
        }
        rc = check_entry(r, p, i, table[slot]);
        if (rc == 0) {
            rc = want(r, &p->wanted, (table[slot] & PTE_FRAME) >> CTL_PAGE_SHIFT);
        }
    }
    return rc;
}

static void localise(struct ctl_restore *r, uint64_t *table)
{
    for (unsigned slot = 0; slot < PTE_COUNT; slot++) {
        uint64_t e = table[slot];

        if (e & PTE_PRESENT) {
            table[slot] = (e & ~PTE_FRAME) | r->frame[(e & PTE_FRAME) >> CTL_PAGE_SHIFT] << CTL_PAGE_SHIFT;
        }
    }
}

static int localise_tables(struct ctl_restore *r, struct pages *p)
{
    int rc = 0;

    for (uint32_t i = 0; i < p->nr_data && rc == 0; i++) {
        rc = next_table(p, i) ? populate_entries(r, p, i) : 0;
    }
    if (rc == 0) {
        rc = populate(r, &p->wanted);
    }
    for (uint32_t i = 0; i < p->nr_data && rc == 0; i++) {
        if (next_table(p, i)) {
            localise(r, table_at(p, i));
        }
    }
    return rc;
}

static int write_contents(struct ctl_restore *r, struct pages *p)
{
    void *to = ctl_foreign_map(r->b->ctl, r->b->domid, PROT_READ | PROT_WRITE, p->frame, p->nr_data, r->b->err);

    if (!to) {
        return r->b->err->code;
    }
    memcpy(to, p->data, (size_t)p->nr_data << CTL_PAGE_SHIFT);
    ctl_foreign_unmap(r->b->ctl, to, p->nr_data);
    return 0;
}

static int take_record(struct ctl_restore *r, struct pages *p)
{
    int rc = check_record(r, p);
    uint32_t n = 0;

    if (rc == 0) {
        rc = populate_named(r, p);
    }
    for (uint32_t i = 0; i < p->count && rc == 0; i++) {
        if (page_has_data(type_of(p->word[i]))) {
            p->where[n] = p->word[i];
            p->frame[n++] = r->there ? p->word[i] & PAGE_PFN_MASK : r->frame[p->word[i] & PAGE_PFN_MASK];
        }
    }
    if (rc == 0) {
        rc = localise_tables(r, p);
    }
    return rc == 0 && n ? write_contents(r, p) : rc;
}

int ctl_restore_pages(struct ctl_restore *r)
{
    struct pages *p = calloc(1, sizeof(*p));
    int rc = p ? take_record(r, p) : ctl_stream_fail(r->s, -ENOMEM, "no memory for it");

    free(p);
    return rc;
}

/* --- pins --- */

static int pin(struct ctl_restore *r, struct mmuext_op *ops, unsigned n)
{
    int rc = n ? ctl_call_mmuext(r->b->ctl, ops, n, r->b->domid) : 0;

    if (rc < 0) {
        return ctl_fail_domain(r->b->ctl, r->b->err, rc, CTL_AT("pin the page tables", r->b->domid),
                               "the hypervisor did not accept a page table that %s has", r->s->name);
    }
    return 0;
}

int ctl_restore_pins(struct ctl_restore *r)
{
    struct mmuext_op *ops = ctl_buffer_get(r->b->ctl, PAGE_BATCH * sizeof(*ops));
    unsigned n = 0;
    int rc = 0;

    if (!ops) {
        return ctl_stream_fail(r->s, -ENOMEM, "no locked memory for pins");
    }
    for (uint64_t pfn = 0; pfn < r->nr_pfns && rc == 0; pfn++) {
        if (!(r->type[pfn] & PAGE_PINNED) || !page_level(r->type[pfn])) {
            continue;
        }
        ops[n].cmd = MMUEXT_PIN_L1_TABLE + page_level(r->type[pfn]) - 1;
        ops[n++].arg1.mfn = r->frame[pfn];
        if (n == PAGE_BATCH) {
            rc = pin(r, ops, n);
            n = 0;
        }
    }
    rc = rc == 0 ? pin(r, ops, n) : rc;
    ctl_buffer_put(r->b->ctl, ops);
    return rc;
}
