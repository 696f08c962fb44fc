/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rangesets: a sorted array of disjoint, non-adjacent inclusive ranges under a lock of its own (RANK_LEAF). The array
 * has its full size from the start, so that removal, which may split a range, fails only at the limit.
 */
#include <hv/heap.h>
#include <hv/rangeset.h>
#include <hv/spinlock.h>

#define MAX_RANGES 512

struct range {
    uint64_t start, end;
};

struct rangeset {
    spinlock_t lock;
    unsigned int count;
    struct range r[MAX_RANGES];
};

struct rangeset *rangeset_new(void)
{
    struct rangeset *s = hv_new(struct rangeset);

    if (s)
        spin_lock_init(&s->lock, RANK_LEAF);
    return s;
}

void rangeset_free(struct rangeset *s)
{
    hv_free(s);
}

static void erase(struct rangeset *s, unsigned int i)
{
    s->count--;
    memmove(&s->r[i], &s->r[i + 1], (s->count - i) * sizeof(s->r[0]));
}

static int insert(struct rangeset *s, unsigned int i, uint64_t start, uint64_t end)
{
    if (s->count == MAX_RANGES)
        return -ENOMEM;
    memmove(&s->r[i + 1], &s->r[i], (s->count - i) * sizeof(s->r[0]));
    s->r[i] = (struct range){start, end};
    s->count++;
    return 0;
}

/* First range that ends at or after x. */
static unsigned int first_from(const struct rangeset *s, uint64_t x)
{
    unsigned int i = 0;

    while (i < s->count && s->r[i].end < x)
        i++;
    return i;
}

static int add_locked(struct rangeset *s, uint64_t start, uint64_t end)
{
    unsigned int i = first_from(s, start ? start - 1 : 0);

    if (i == s->count || (end != UINT64_MAX && s->r[i].start > end + 1))
        return insert(s, i, start, end);
    s->r[i].start = MIN(s->r[i].start, start);
    s->r[i].end = MAX(s->r[i].end, end);
    while (i + 1 < s->count && (s->r[i].end == UINT64_MAX || s->r[i + 1].start <= s->r[i].end + 1)) {
        s->r[i].end = MAX(s->r[i].end, s->r[i + 1].end);
        erase(s, i + 1);
    }
    return 0;
}

static int remove_locked(struct rangeset *s, uint64_t start, uint64_t end)
{
    unsigned int i = first_from(s, start);

    if (i < s->count && s->r[i].start < start && s->r[i].end > end) {
        int rc = insert(s, i + 1, end + 1, s->r[i].end);

        if (!rc)
            s->r[i].end = start - 1;
        return rc;
    }
    while (i < s->count && s->r[i].start <= end) {
        if (s->r[i].start < start)
            s->r[i++].end = start - 1;
        else if (s->r[i].end > end)
            s->r[i].start = end + 1;
        else
            erase(s, i);
    }
    return 0;
}

static int update(struct rangeset *s, uint64_t start, uint64_t end, int (*fn)(struct rangeset *, uint64_t, uint64_t))
{
    unsigned long flags;
    int rc;

    if (start > end)
        return -EINVAL;
    flags = spin_lock_irqsave(&s->lock);
    rc = fn(s, start, end);
    spin_unlock_irqrestore(&s->lock, flags);
    return rc;
}

int rangeset_add(struct rangeset *s, uint64_t start, uint64_t end)
{
    return update(s, start, end, add_locked);
}

int rangeset_remove(struct rangeset *s, uint64_t start, uint64_t end)
{
    return update(s, start, end, remove_locked);
}

bool rangeset_contains(const struct rangeset *s, uint64_t start, uint64_t end)
{
    struct rangeset *w = (struct rangeset *)(uintptr_t)s;
    unsigned long flags;
    unsigned int i;
    bool found;

    if (!s || start > end)
        return false;
    flags = spin_lock_irqsave(&w->lock);
    i = first_from(s, start);
    found = i < s->count && s->r[i].start <= start && s->r[i].end >= end;
    spin_unlock_irqrestore(&w->lock, flags);
    return found;
}
