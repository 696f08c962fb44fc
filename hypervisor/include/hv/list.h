/* SPDX-License-Identifier: BSD-2-Clause */
/* Doubly linked circular lists with the link inside the element. */
#ifndef HV_LIST_H
#define HV_LIST_H

#include <hv/lib.h>

struct list_head {
    struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name) \
    {                        \
        &(name), &(name)     \
    }

static inline void list_init(struct list_head *h)
{
    h->next = h->prev = h;
}

static inline bool list_empty(const struct list_head *h)
{
    return h->next == h;
}

static inline void list_insert(struct list_head *e, struct list_head *prev, struct list_head *next)
{
    e->next = next;
    e->prev = prev;
    next->prev = e;
    prev->next = e;
}

/* Add after h (list_add) or before h, that is at the tail (list_add_tail). */
static inline void list_add(struct list_head *e, struct list_head *h)
{
    list_insert(e, h, h->next);
}

static inline void list_add_tail(struct list_head *e, struct list_head *h)
{
    list_insert(e, h->prev, h);
}

/* Removes e and leaves it as an empty list, so that list_empty(&e) tells "not queued". */
static inline void list_del(struct list_head *e)
{
    e->next->prev = e->prev;
    e->prev->next = e->next;
    list_init(e);
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first(h, type, member) list_entry((h)->next, type, member)
#define list_for_each(pos, head, member)                                               \
    for (pos = list_entry((head)->next, typeof(*pos), member); &pos->member != (head); \
         pos = list_entry(pos->member.next, typeof(*pos), member))
#define list_for_each_safe(pos, tmp, head, member)                \
    for (pos = list_entry((head)->next, typeof(*pos), member),    \
        tmp = list_entry(pos->member.next, typeof(*pos), member); \
         &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, typeof(*tmp), member))

#endif
