/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shadows as a tree: from those that vCPUs run on down to what is mapped. The guest changed them while they were told,
 * so an entry may name one that is not there, or that is of another level by now: it is shown as such and not followed.
 */
#ifndef CLI_SHADOW_TREE_H
#define CLI_SHADOW_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/json.h"
#include "libctl/ctl.h"

struct shadow_tree {
    const struct ctl_shadow *list;
    size_t n;
    size_t *place; /* by number of a shadow: where it stands in the list, plus one; 0: nowhere */
    bool *shown;   /* likewise */
    uint32_t numbers;
};

/* Of a list that stays the caller's. False: no memory. */
bool shadow_tree_make(struct shadow_tree *t, const struct ctl_shadow *list, size_t n);
void shadow_tree_free(struct shadow_tree *t);
void shadow_tree_print(struct shadow_tree *t, FILE *f);
/* For Graphviz. */
void shadow_tree_dot(struct shadow_tree *t, FILE *f);
struct json_out *shadow_tree_json(const struct shadow_tree *t, uint32_t domid);

#endif
