/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every hypercall that is given a pointer, and what it may answer: for guests that try bad pointers on all of them.
 * docs/abi.md has the same in words; tests/meta/test_hostile_guests.py compares. Left out are calls that have no
 * pointer, and those that act whatever their arguments are: they end the guest or stop its vCPU.
 */
#ifndef GUEST_CALLS_H
#define GUEST_CALLS_H

#include "guest.h"

/* Where the pointer goes; what stands in the other arguments is right. */
enum place {
    FIRST,  /* the only argument, before a count of 1 */
    SECOND, /* behind the sub-operation, before a count of 1 */
    THIRD,  /* behind the sub-operation and 1, which is a length, a count, or a vCPU */
    OWN,    /* behind the sub-operation and 0: a vCPU's number */
    NONE,   /* behind the sub-operation and a vCPU that there is not */
    DONE,   /* where a batch, of no elements, stores how far it came */
    FLUSH,  /* the bitmap of vCPUs in the flags of update_va_mapping */
    BITMAP, /* the same in an element of mmuext_op */
    PORTS,  /* the list in the argument of a poll */
};

enum {
    NULL_MEANS = 1,  /* a null pointer is no error */
    ENDS = 2,        /* only with a pointer that cannot be read: the guest would end, or could not speak any more */
    XEN_DIFFERS = 4, /* docs/abi.md, "Differences from Xen" */
};

struct pointer_call {
    uint8_t nr, first, last; /* sub-operations first to last */
    uint8_t place, flags;
    uint8_t bad;             /* the error for a pointer that cannot be read or written; 0: the result is 0 */
    unsigned __int128 other; /* errors that there are besides, a bit each */
    unsigned long most;      /* the largest result that is none */
};

extern const struct pointer_call pointer_calls[];
extern const unsigned int nr_pointer_calls;

/* Makes the call with sub-operation sub and pointer p; the answer. One vCPU at a time. */
long call_with_pointer(const struct pointer_call *c, unsigned int sub, unsigned long p);
/* Fails the check, and says of which call, unless the answer is one that the call may give; on Xen, any error. */
void check_documented(const struct pointer_call *c, unsigned int sub, unsigned long p, long answer);
/* The same unless it is the one for a pointer that cannot be read; on Xen, if there is to be no difference. */
void check_refused(const struct pointer_call *c, unsigned int sub, unsigned long p, long answer);

#endif
