/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small objects on top of the heap: size classes 32..2048 bytes, each page cut into objects of one class with its free
 * list in the frame-table entry; larger objects are whole blocks. Objects come zeroed.
 */
#include <hv/heap.h>
#include <hv/spinlock.h>

#define CLASS_FIRST 5 /* 32 bytes */
#define CLASS_LAST  11
#define CLASS_LARGE 0xff

/* Frame-table fields of an object page: nr_validated = class, reserved[0] = objects in use, reserved[1] = first free
 * object. */
static spinlock_t lock = SPINLOCK_INIT(RANK_OBJECTS);
static struct list_head partial[CLASS_LAST + 1];

static unsigned int class_of(size_t size)
{
    unsigned int c = CLASS_FIRST;

    while ((size_t)1 << c < size)
        c++;
    return c;
}

static struct page_info *new_object_page(unsigned int c)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);
    char *base;

    if (!pg)
        return NULL;
    base = page_to_virt(pg);
    pg->nr_validated = (uint16_t)c;
    pg->reserved[0] = 0;
    pg->reserved[1] = (uint64_t)base;
    for (size_t off = 0; off + (2ul << c) <= PAGE_SIZE; off += 1ul << c)
        *(char **)(base + off) = base + off + (1ul << c);
    return pg;
}

/* lock held; the page has a free object. */
static void *take_object(struct page_info *pg)
{
    void *p = (void *)pg->reserved[1];

    pg->reserved[1] = *(uint64_t *)p;
    pg->reserved[0]++;
    if (!pg->reserved[1])
        list_del(&pg->list);
    *(uint64_t *)p = 0;
    return p;
}

static void *alloc_small(unsigned int c)
{
    unsigned long flags = spin_lock_irqsave(&lock);
    struct page_info *pg;
    void *p = NULL;

    if (!partial[c].next)
        list_init(&partial[c]);
    if (list_empty(&partial[c]) && (pg = new_object_page(c)) != NULL)
        list_add(&pg->list, &partial[c]);
    if (!list_empty(&partial[c]))
        p = take_object(list_first(&partial[c], struct page_info, list));
    spin_unlock_irqrestore(&lock, flags);
    return p;
}

static void *alloc_large(size_t size)
{
    unsigned int order = get_order_bytes(size);
    struct page_info *pg = alloc_hv_pages(order, MEMF_ZERO);

    if (!pg)
        return NULL;
    pg->nr_validated = CLASS_LARGE;
    pg->order = (uint8_t)order;
    return page_to_virt(pg);
}

void *hv_alloc(size_t size)
{
    unsigned int c;

    if (size > PAGE_SIZE << MAX_ORDER || alloc_fault_due())
        return NULL;
    c = class_of(size);
    return c <= CLASS_LAST ? alloc_small(c) : alloc_large(size);
}

void hv_free(void *p)
{
    struct page_info *pg;
    unsigned long flags;
    unsigned int c;

    if (!p)
        return;
    pg = virt_to_page(p);
    c = pg->nr_validated;
    if (c == CLASS_LARGE) {
        free_hv_pages(pg, pg->order);
        return;
    }
    BUG_ON(c < CLASS_FIRST || c > CLASS_LAST || ((unsigned long)p & ((1ul << c) - 1)));
    memset(p, 0, 1ul << c);
    flags = spin_lock_irqsave(&lock);
    *(uint64_t *)p = pg->reserved[1];
    if (!pg->reserved[1])
        list_add(&pg->list, &partial[c]);
    pg->reserved[1] = (uint64_t)p;
    if (--pg->reserved[0] == 0) {
        list_del(&pg->list);
        free_hv_pages(pg, 0);
    }
    spin_unlock_irqrestore(&lock, flags);
}
