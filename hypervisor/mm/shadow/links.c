// SPDX-License-Identifier: BSD-2-Clause
/* Circular lists of shadow entries, linked through the tables of links. A head names the first member, or 0. */
#include "internal.h"

static struct entry_link *link_of(const struct shadow *s, entry_ref r)
{
    return &ref_page(s, r)->link[r % PT_ENTRIES];
}

void links_add_last(const struct shadow *s, entry_ref *head, entry_ref r)
{
    struct entry_link *l = link_of(s, r), *first;

    if (!*head) {
        *l = (struct entry_link){r, r};
        *head = r;
        return;
    }
    first = link_of(s, *head);
    *l = (struct entry_link){.next = *head, .prev = first->prev};
    link_of(s, first->prev)->next = r;
    first->prev = r;
}

void links_add_first(const struct shadow *s, entry_ref *head, entry_ref r)
{
    links_add_last(s, head, r); /* in a ring the last is the one before the first */
    *head = r;
}

void links_del(const struct shadow *s, entry_ref *head, entry_ref r)
{
    struct entry_link l = *link_of(s, r);

    link_of(s, l.prev)->next = l.next;
    link_of(s, l.next)->prev = l.prev;
    if (*head == r)
        *head = l.next == r ? 0 : l.next;
    *link_of(s, r) = (struct entry_link){0, 0};
}
