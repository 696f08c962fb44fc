/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stand-in for the hypervisor and for the libraries that lead to it (fake_host.c): room for one guest, of which only
 * that it is there matters. With fake_xs.c it is all that libctl needs to build one.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct fake_host {
    bool guest;        /* it is there */
    long calls;        /* that may fail, so far: to the hypervisor, for a mapping, to xenstored */
    long fails_at;     /* that one does, with ENOMEM */
    const char *fails; /* its name; NULL: it has not come yet */
    uint64_t max_kib;  /* the guest's limit of memory */
    uint64_t claimed;  /* pages that are set aside for it */
    uint64_t came;     /* pages that it was given, */
    uint64_t strays;   /* and those of them that were not set aside */
    uint64_t left;     /* pages that were still set aside when it was destroyed */
    unsigned taken;    /* the number of a domain that another guest wants; 0: none */
    int held;          /* handles, buffers and mappings that are not given back */
    unsigned physcaps; /* XEN_SYSCTL_PHYSCAP_* of the host: hardware virtualisation and shadows, to begin with */
    unsigned flags;    /* XEN_DOMCTL_CDF_* that the guest was made with */
};
extern struct fake_host host;

/* No guest, no nodes, nothing under way; the n-th call fails, 0: none. */
void host_reset(long n);

#endif
