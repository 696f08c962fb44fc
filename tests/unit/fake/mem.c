// SPDX-License-Identifier: BSD-2-Clause
/* RAM, the frame table, M2P and an allocator that gives frames of domains out at random. */
#include <stdlib.h>
#include <hv/boot.h>
#include "fake.h"

struct page_info *frame_table;
unsigned long *m2p_table;
uint64_t max_page, total_pages;
uint64_t fake_claimed, fake_claim_changes;
const struct page_info *fake_in_heap;

static uint8_t *ram;
static bool is_free[FAKE_FRAMES];
static uint64_t nr_free;
static uint32_t freed_at[FAKE_FRAMES];

bool mfn_is_ram(mfn_t m)
{
    return m.n >= FAKE_RAM_START && m.n < FAKE_RAM_START + FAKE_FRAMES;
}

void *mfn_to_virt(mfn_t m)
{
    if (!mfn_is_ram(m))
        panic("mfn %lx has no memory\n", m.n);
    return ram + (m.n - FAKE_RAM_START) * PAGE_SIZE;
}

maddr_t virt_to_maddr(const void *p)
{
    return _maddr((uint64_t)((const uint8_t *)p - ram) + (FAKE_RAM_START << PAGE_SHIFT));
}

void fake_memory_init(void)
{
    max_page = FAKE_RAM_START + FAKE_FRAMES;
    total_pages = FAKE_FRAMES;
    free(ram);
    free(frame_table);
    free(m2p_table);
    ram = aligned_alloc(PAGE_SIZE, FAKE_FRAMES * PAGE_SIZE);
    frame_table = calloc(max_page, sizeof(*frame_table));
    m2p_table = calloc(max_page, sizeof(*m2p_table));
    memset(ram, 0xcc, FAKE_FRAMES * PAGE_SIZE);
    for (unsigned int i = 0; i < FAKE_FRAMES; i++) {
        is_free[i] = true;
        freed_at[i] = 0;
        list_init(&frame_table[FAKE_RAM_START + i].list);
    }
    nr_free = FAKE_FRAMES;
    fake_claimed = 0;
    fake_in_heap = NULL;
    fake_tlb_reset();
}

uint64_t heap_free_pages(void)
{
    return nr_free;
}

uint64_t heap_claimed_pages(void)
{
    return fake_claimed;
}

void heap_read_claims(struct heap_claims *c)
{
    *c = (struct heap_claims){.claimed = fake_claimed, .free = nr_free, .changes = fake_claim_changes};
}

bool heap_has(const struct page_info *pg)
{
    return pg == fake_in_heap || is_free[page_to_mfn(pg).n - FAKE_RAM_START];
}

uint64_t fake_frames_free(void)
{
    return nr_free;
}

static bool block_free(unsigned int i, unsigned int order)
{
    for (unsigned int k = 0; k < 1u << order; k++)
        if (i + k >= FAKE_FRAMES || !is_free[i + k])
            return false;
    return true;
}

static void take_frame(unsigned int i)
{
    struct page_info *pg = &frame_table[FAKE_RAM_START + i];

    is_free[i] = false;
    nr_free--;
    if (freed_at[i])
        tlb_flush_mask(tlb_filter(cpu_online_map, freed_at[i]));
    if (fake_tlb_any(page_to_mfn(pg)))
        panic("mfn %lx is given out while a TLB knows it\n", page_to_mfn(pg).n);
    pg->count_info = pg->type_info = 0;
    pg->owner = NULL;
}

struct page_info *alloc_hv_pages(unsigned int order, unsigned int memf)
{
    unsigned int start = fake_below(FAKE_FRAMES);

    for (unsigned int n = 0; n < FAKE_FRAMES; n++) {
        unsigned int i = ((start + n) % FAKE_FRAMES) & ~((1u << order) - 1);
        struct page_info *pg = &frame_table[FAKE_RAM_START + i];

        if (!block_free(i, order))
            continue;
        for (unsigned int k = 0; k < 1u << order; k++)
            take_frame(i + k);
        if (memf & MEMF_ZERO)
            memset(page_to_virt(pg), 0, PAGE_SIZE << order);
        return pg;
    }
    return NULL;
}

static void give_frame(struct page_info *pg)
{
    uint64_t i = page_to_mfn(pg).n - FAKE_RAM_START;

    if (is_free[i])
        panic("mfn %lx is freed twice\n", page_to_mfn(pg).n);
    is_free[i] = true;
    nr_free++;
    freed_at[i] = tlb_now();
    pg->owner = NULL;
    pg->count_info = pg->type_info = 0;
}

void free_hv_pages(struct page_info *pg, unsigned int order)
{
    for (unsigned int i = 0; pg && i < 1u << order; i++)
        give_frame(pg + i);
}

void *alloc_hv_mem(unsigned int order)
{
    struct page_info *pg = alloc_hv_pages(order, 0);

    return pg ? page_to_virt(pg) : NULL;
}

void free_hv_mem(void *p, unsigned int order)
{
    if (p)
        free_hv_pages(virt_to_page(p), order);
}

static void account(struct domain *d, struct page_info *pg, unsigned int order)
{
    for (unsigned int i = 0; i < 1u << order; i++) {
        pg[i].owner = d;
        pg[i].reserved[0] = pg[i].reserved[1] = 0;
        pg[i].nr_outside = 0;
        pg[i].count_info = PGC_allocated | 1;
        list_add_tail(&pg[i].list, &d->page_list);
        d->tot_pages++;
    }
}

int assign_pages(struct domain *d, struct page_info *pg, unsigned int order)
{
    if (d->dying || d->tot_pages + (1u << order) > d->max_pages)
        return d->dying ? -EINVAL : -ENOMEM;
    account(d, pg, order);
    return 0;
}

struct page_info *alloc_domain_pages(struct domain *d, unsigned int order, unsigned int memf)
{
    struct page_info *pg =
        d->dying || d->tot_pages + (1u << order) > d->max_pages ? NULL : alloc_hv_pages(order, memf | MEMF_ZERO);

    if (pg)
        account(d, pg, order);
    return pg;
}

int exchange_pages(struct domain *d, struct page_info **in, unsigned int in_count, struct page_info **out,
                   unsigned int out_count, unsigned int out_order)
{
    if (d->dying)
        return -EINVAL;
    for (unsigned int i = 0; i < out_count; i++)
        account(d, out[i], out_order);
    for (unsigned int i = 0; i < in_count; i++)
        put_page(in[i]);
    return 0;
}

/* ---- claims: nobody makes any ---- */

struct page_info *alloc_claimed_pages(struct domain *d, unsigned int order, unsigned int memf, uint64_t *from_claim)
{
    *from_claim = 0;
    return alloc_hv_pages(order, memf);
}

void unused_claim(struct domain *d, uint64_t from_claim)
{
}

int domain_claim_pages(struct domain *d, uint64_t total)
{
    return -ENOMEM;
}

void domain_unclaim_pages(struct domain *d)
{
}

void free_domain_page(struct page_info *pg)
{
    struct domain *d = pg->owner;
    bool hv_page = pg->count_info & PGC_hv_page, last;

    if ((pg->type_info & PGT_count_mask) || (pg->type_info & (PGT_partial | PGT_pinned)))
        panic("mfn %lx is freed with type %lx\n", page_to_mfn(pg).n, pg->type_info);
    spin_lock(&d->page_alloc_lock);
    list_del(&pg->list);
    last = hv_page ? list_empty(&d->hv_page_list) : false;
    if (!hv_page)
        d->tot_pages--;
    spin_unlock(&d->page_alloc_lock);
    pg->owner = NULL;
    if (last)
        domain_put(d);
    if (hv_page)
        return;
    set_gpfn_from_mfn(page_to_mfn(pg), INVALID_M2P_ENTRY);
    give_frame(pg);
}

void *hv_alloc(size_t size)
{
    return calloc(1, size);
}

void hv_free(void *p)
{
    free(p);
}
