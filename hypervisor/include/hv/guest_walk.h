/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own translation of a linear address, done in software exactly as the processor would: the entries it
 * reads, the rights it combines, the fault it raises, the A and D bits it sets.
 */
#ifndef HV_GUEST_WALK_H
#define HV_GUEST_WALK_H

#include <hv/guest_fmt.h>

/* Guest physical memory as the walk needs it. False: there is no memory at that address. */
struct guest_mem {
    bool (*read)(void *ctx, gpa_t at, unsigned int bytes, uint64_t *value);
    /* Compare and swap of one entry; false also when the entry is not old any more. */
    bool (*swap)(void *ctx, gpa_t at, unsigned int bytes, uint64_t old, uint64_t new);
    void *ctx;
};

enum walk_result {
    WALK_OK,
    WALK_FAULT, /* the access faults with w->error */
    WALK_RETRY, /* the guest changed an entry meanwhile: A and D could not be set; walk again */
};

struct guest_walk {
    /* in */
    uint64_t linear;
    uint32_t access;  /* PFEC_W, PFEC_U, PFEC_I: what is done, and from where */
    bool smap_exempt; /* explicit access of the supervisor with EFLAGS.AC set */
    /* out */
    unsigned int level;             /* of the last entry read; 0: paging is off */
    gpa_t slot[GUEST_LEVELS + 1];   /* where the entries stand; PAE's roots have no place in memory */
    gpte_t entry[GUEST_LEVELS + 1]; /* as read, from the top level down to w->level */
    uint64_t rights;                /* PTE_RW, PTE_US and PTE_NX of all levels combined; meaningful with WALK_OK */
    gfn_t gfn;                      /* of the 4 KiB frame that linear lies in; with WALK_OK */
    uint32_t error;                 /* PFEC_*; with WALK_FAULT */
};

/* A and D bits are set only when the access is allowed, then all of them, from the top down. */
enum walk_result guest_walk(const struct guest_paging *g, const struct guest_mem *m, struct guest_walk *w);

#endif
