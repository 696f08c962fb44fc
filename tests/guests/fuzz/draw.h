/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the grammar's files: what a call is made of, while it is made. */
#ifndef FUZZ_DRAW_H
#define FUZZ_DRAW_H

#include "grammar.h"
#include "random.h"

#define ARRAY_SIZE_(a) (sizeof(a) / sizeof((a)[0]))

/* Kinds of values, and those that are made where the structure is. */
enum kind {
#define KIND(name) K_##name,
#include "kinds.def"
#undef KIND
    NR_VALUES,
    K_SUB = NR_VALUES, /* the number of the sub-operation */
    K_ALIGN,           /* nothing: what follows begins where such a field may */
    K_KEEP,            /* filled by the field before it */
    K_LIST,            /* a pointer to NR of a shape */
    K_ONE,             /* a pointer to one */
    K_CALL,            /* a call within a call, with its arguments */
    K_WRAP,            /* a sub-operation of another call, and its structure behind it */
    K_OUT_PORT,
    K_OUT_HANDLE,
    K_OUT_FRAME,
};

/* bytes: 0 for what is as long as a pointer. */
struct field {
    uint8_t bytes, kind;
    uint16_t times;
    uint32_t par;
};

struct draw {
    struct fuzz_world *w;
    struct fuzz_vcpu *v;
    struct fuzz_call *c;
    uint64_t state; /* of the generator */
    uint64_t base;  /* where the arguments lie */
    uint32_t limit, used;
    uint32_t nr;   /* elements of the list that is filled, or of the one before */
    uint32_t sub;  /* the sub-operation */
    uint32_t pick; /* what was remembered there belongs together */
    unsigned int depth;
};

/* A number below n, which is less than 2^32. */
static inline uint32_t below(struct draw *d, uint32_t n)
{
    return (uint32_t)(((fuzz_next(&d->state) >> 32) * n) >> 32);
}

static inline bool chance(struct draw *d, unsigned int percent)
{
    return below(d, 100) < percent;
}

/* A value of a kind below NR_VALUES. */
uint64_t fuzz_value(struct draw *d, enum kind kind, uint32_t par);
/* One of the guest's. */
uint64_t fuzz_listed(struct draw *d, enum fuzz_list list);

#endif
