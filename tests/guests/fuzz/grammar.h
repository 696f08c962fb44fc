/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A grammar of hypercalls with near-valid arguments. Call number i of a vCPU is a function of the seed, the vCPU and i
 * alone: each begins a generator of its own, so that what one of them does cannot move what comes after it, and any one
 * can be made again. What is chosen are positions in lists; the values at these positions (frames, ports, handles) are
 * the guest's, and some of them are what earlier calls brought.
 *
 * The same code is compiled for PV guests, for guests on hardware virtualisation, and for the host
 * (tests/unit/test_fuzz.c). It touches no memory but what it is given.
 */
#ifndef FUZZ_GRAMMAR_H
#define FUZZ_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_PAGE  4096ul
#define FUZZ_AREA  (2 * FUZZ_PAGE) /* of a vCPU: where its arguments lie */
#define FUZZ_ARGS  5
#define FUZZ_OUTS  6
#define FUZZ_VCPUS 2  /* that make calls; the domain has one more, which never runs */
#define FUZZ_RING  16 /* values of one kind that are remembered */

/* Values that only the guest knows. Each list has at least one. */
enum fuzz_list {
    LIST_DOMAIN, /* numbers of domains that are there, besides the names of itself */
    LIST_FRAME,  /* frames of its own that may be lost: they are mapped at LIST_PAGE */
    LIST_SPARE,  /* frames of its own, or guest frames, at which nothing is mapped */
    LIST_TABLE,  /* frames of tables that are in use */
    LIST_ODD,    /* frames that are not the domain's, or do not exist */
    LIST_ENTRY,  /* machine addresses of page-table entries whose loss does no harm */
    LIST_PAGE,   /* linear addresses of pages that may be lost */
    LIST_WINDOW, /* linear addresses at which nothing is mapped */
    LIST_BAD,    /* addresses that the hypervisor must not use: not mapped, not canonical, its own, read-only */
    LIST_CODE,   /* addresses at which the hypervisor may enter the kernel */
    LIST_STORE,  /* where a word may be stored to at any moment, up to STORE_WORDS words further */
    LIST_GRANT,  /* the table of grants */
    NR_LISTS
};
#define STORE_WORDS 128u

/* Values that calls brought. */
enum fuzz_ring { RING_PORT, RING_HANDLE, RING_FRAME, RING_ADDRESS /* of the mapping that a handle is for */, NR_RINGS };

/* What is done about a call before and after it: FUZZ_WAKE before, the others after. */
#define FUZZ_WAKE    1u   /* an event is pending: it does not wait. Not for translated domains, which take no events */
#define FUZZ_TRAPS   2u   /* how the kernel is entered */
#define FUZZ_VCPU    4u   /* the second vCPU may be down */
#define FUZZ_PRIVATE 8u   /* its arguments are not shared, and not taken from memory of another meaning */
#define FUZZ_INSIDE  16u  /* the sub-operation is told by a structure, not by the first argument */
#define FUZZ_PV      32u  /* not made by a translated domain, which would be told no more than ENOSYS */
#define FUZZ_ACT     64u  /* no call: a store to memory that the hypervisor reads */
#define FUZZ_NO_CALL 128u /* a number that there is not */

struct fuzz_vcpu {
    uint64_t area;            /* address of FUZZ_AREA bytes that no call takes away; nothing is mapped behind them */
    uint8_t stage[FUZZ_AREA]; /* what is to be stored there or elsewhere */
    uint32_t first, end;      /* of it is used */
};

struct fuzz_world {
    bool translated;
    bool narrow; /* calls can be made from 32-bit code; then all addresses fit */
    struct {
        const uint64_t *values;
        unsigned int count;
    } list[NR_LISTS];
    uint64_t ring[NR_RINGS][FUZZ_RING];
    struct fuzz_vcpu *vcpu[FUZZ_VCPUS];
    uint64_t (*now)(void); /* nanoseconds, as the hypervisor counts them */
    /* Either may fault, and is then given up. */
    void (*store)(uint64_t to, const void *from, size_t n);
    bool (*load)(void *to, uint64_t from, size_t n);
};

struct fuzz_call {
    const char *name; /* of the sub-operation, or of the call */
    uint32_t nr;
    unsigned int flags; /* FUZZ_* */
    bool narrow;        /* by 32-bit code */
    uint64_t arg[FUZZ_ARGS];
    struct {
        uint64_t at, was;
        uint8_t width, ring;
    } out[FUZZ_OUTS]; /* where something worth remembering will be */
    unsigned int outs;
};

/*
 * Chooses call number i of a vCPU and stores its arguments. A FUZZ_ACT is done with that; anything else is for the
 * caller to make.
 */
void fuzz_make(struct fuzz_world *w, uint64_t seed, unsigned int vcpu, uint64_t i, struct fuzz_call *c);
/* Remembers what a call that succeeded has brought. */
void fuzz_learn(struct fuzz_world *w, const struct fuzz_call *c);

/* ---- for the tests of the grammar ---- */

/* Rows of calls.def: name, and NULL behind the last. */
const char *fuzz_row(unsigned int row);
/* Bytes of a structure of shapes.def, or 0: there is none; narrow: as 32-bit code has it. */
unsigned int fuzz_shape_size(unsigned int shape, bool narrow);

#endif
