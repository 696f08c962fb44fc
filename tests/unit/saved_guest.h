/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for the saver and the restorer: frames with owners, what the hypervisor knows of two domains, and the calls
 * of libctl that both make. Domain 1 is made at random, PV or PVH, and saved; domain 2 is empty and restored.
 */
#ifndef SAVED_GUEST_H
#define SAVED_GUEST_H

#include "libctl/build.h"
#include "libctl/stream.h"

#define FRAMES    8192
#define MAX_PFNS  4096
#define MAX_VCPUS 4
#define SOURCE    1
#define TARGET    2
#define XSTATE    848
#define CONTEXT   8192

struct saved_vcpu {
    bool online;
    struct vcpu_guest_context basic;
    struct xen_domctl_ext_vcpucontext ext;
    uint8_t xstate[XSTATE];
    uint64_t xstate_size;
    xen_domctl_vcpu_msr_t msrs[4];
    uint32_t nr_msrs;
};

struct saved_domain {
    uint64_t nr_pfns, frame[MAX_PFNS]; /* 0: none */
    uint8_t type[MAX_PFNS];
    uint64_t shared_frame;
    struct saved_vcpu vcpu[MAX_VCPUS];
    uint64_t policy_seed, tsc_nsec;
    uint64_t populate_limit;
    bool suspended;

    /* PVH */
    bool hvm, no_large; /* and no 2 MiB are to be had in one piece */
    uint64_t param[HVM_NR_PARAMS], pool_mib, large;
    uint8_t context[CONTEXT];
    uint32_t context_size;
};

/* Where the generator put things. */
struct saved_places {
    uint64_t start_info, store, console, p2m[MAX_PFNS / 512], nr_p2m;
};

extern uint8_t machine[FRAMES][4096];
extern uint8_t owner[FRAMES];
extern struct saved_domain domains[3];
extern struct saved_places places;
extern int fail_domctl;          /* the n-th domctl or hvm_op from now fails; 0: none */
extern uint32_t processor_lacks; /* in every word of its features */
extern int disks_fail;           /* what flushing its disks comes to */
extern unsigned disks_flushed;   /* times */
extern uint64_t saved_most_kib;  /* what domain 1 was made for, if it is more than its limit */
extern unsigned live_resources;  /* mappings and buffers that are not given back */

uint64_t machine_random(void);
void machine_seed(uint64_t seed);
/* A suspended guest of about that many frames; flat says how it keeps its list of frames. */
void machine_make(uint64_t pfns, bool flat, unsigned vcpus);
/* A PVH one, with holes in its memory. */
void machine_make_pvh(uint64_t pfns, unsigned vcpus);
/* An empty domain 2 of the type of domain 1, as the builder leaves it before the restore. */
void machine_empty(struct ctl_build *b, struct ctl_domain_config *config, struct ctl_error *err);
uint64_t machine_pfn(const struct saved_domain *d, uint64_t frame);
/* What is wrong with domain 2 as a copy of domain 1, or NULL. */
const char *machine_compare(const struct ctl_build *b);

/*
 * saved_live.c: domain 1 runs until it is asked to suspend. Wherever the saver makes a call it stores to its memory, a
 * PV guest to its page tables as well; and it changes what is a page table, and which frames it has.
 */
extern struct saved_live {
    bool runs;               /* not asleep */
    unsigned stores;         /* at each call, at most */
    bool no_log;             /* the hypervisor keeps none */
    bool logs;               /* it is on */
    unsigned give_back;      /* in how many turns the guest gives a page back; 0: never */
    unsigned step_ms;        /* by which time moves at each look */
    unsigned flush_ms;       /* which its disks take to be flushed while it runs */
    unsigned suspend_ms;     /* how long it takes to suspend */
    unsigned suspends_after; /* the request is too late: -ETIMEDOUT; 0: at once */
    unsigned moved, retyped; /* frames, and types, that were changed */
} live;
void live_begin(unsigned stores);
/* The guest has its turn. */
void live_run(void);
void live_pass(unsigned ms);
int live_domctl(struct saved_domain *d, struct xen_domctl_shadow_op *op);

/* Between saved_guest.c and the others. */
uint64_t machine_table(unsigned level, unsigned i); /* NO_FRAME: there is none */
uint64_t machine_plain(void);
uint64_t machine_take(unsigned domid);
void machine_fill(void *to, size_t size);
const char *pvh_compare(const struct ctl_build *b);
bool call_fails(void);
/* getpageframeinfo3 and those that only PVH guests know. */
int pvh_domctl(struct saved_domain *d, struct xen_domctl *op);

#endif
