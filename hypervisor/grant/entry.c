/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a grant is: its entry in the shared frames, in the format of the table's version, its "in use" bits, and the
 * active entry that counts its uses.
 */
#include "internal.h"

bool grant_find_entry(const struct grant_table *t, grant_ref_t ref, struct entry *e)
{
    unsigned int per_frame = t->version == 2 ? V2_PER_FRAME : V1_PER_FRAME, nr = t->nr_frames * per_frame;
    void *frame;

    if (ref >= nr)
        return false;
    ref = (grant_ref_t)array_index_nospec(ref, nr);
    frame = t->shared[array_index_nospec(ref / per_frame, t->nr_frames)];
    *e = (struct entry){.active = &t->active[ref / V1_PER_FRAME][ref % V1_PER_FRAME]};
    if (t->version == 2) {
        e->v2 = (grant_entry_v2_t *)frame + ref % V2_PER_FRAME;
        e->word = (uint32_t *)(void *)e->v2;
        e->use = &t->status[array_index_nospec(ref / STATUS_PER_FRAME, t->nr_status)][ref % STATUS_PER_FRAME];
    } else {
        e->v1 = (grant_entry_v1_t *)frame + ref % V1_PER_FRAME;
        e->word = (uint32_t *)(void *)e->v1;
        e->use = &e->v1->flags;
    }
    return true;
}

unsigned int grant_pins(const struct active *a, unsigned int kinds)
{
    unsigned int sum = 0;

    for (unsigned int i = 0; i < NR_PINS; i++)
        if (kinds & (1u << i))
            sum += a->pin[i];
    return sum;
}

uint16_t grant_use_bits(const struct active *a)
{
    return (uint16_t)((grant_pins(a, ~0u) ? GTF_reading : 0) | (grant_pins(a, PIN_WRITES) ? GTF_writing : 0));
}
