/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the parts of test_pv_random: who acts, what is chosen, and the calls in flight.
 *
 * A call in flight is a hypercall that was preempted. It keeps its arguments and goes on when the walk picks it again,
 * if ever: meanwhile any vCPU - the same one too, as an interrupt handler - makes other calls. So there is no order
 * among the calls but the one that the hypervisor itself enforces.
 */
#ifndef TESTS_PV_RANDOM_H
#define TESTS_PV_RANDOM_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/grant.h>
#include <hv/hypercall.h>
#include <hv/stretch.h>
#include <xen/memory.h>
#include "pv_model.h"

#define MAX_FLIGHTS 6u
#define MAX_BATCH   70u
#define MAX_ELEMS   4u
#define MAX_UNMAPS  40u /* of one call: more than are flushed at once */
#define GIVEN_UP    (-512L)
#define STATUS_OPEN 0x7f /* of a grant operation's element that is not done */

extern struct domain *dom[3]; /* control, guest, granter */
extern struct vcpu *actor;
static inline struct domain *self(void)
{
    return actor->domain;
}

/* Operations: calls of guests and emulated faults. Loads and stores of guests are counted by themselves. */
struct tally {
    unsigned long calls, accesses, accepted, refused, foretold, restarts, overlapped, given_up, intrusions;
};
extern struct tally tally;

/* The vCPU goes on as the acting one. */
void act_as(struct vcpu *v);
/* It runs, and its CPU is not inside a call that another CPU intrudes on. */
bool may_act(const struct vcpu *v);
/* On its CPU, or off it: then nothing of it is in that CPU's TLB. */
void put_on(struct vcpu *v);
void take_off(struct vcpu *v);

/* model_check of the three domains, unless one is just giving its mappings by grant back: the book is behind then. */
void check_all(void);
/* Of teardown: from here on a domain's mappings by grant are gone. */
#define STEP_AFTER_GRANTS 3

/* ---- choices ---- */
unsigned int frame_no(const struct page_info *pg);
struct page_info *random_frame(const struct domain *of);
/* Frames have leanings, so that whole trees come about. */
struct page_info *frame_leaning_to(const struct domain *of, unsigned int type);
unsigned int random_index(void);
unsigned long random_linear(void);
pte_t random_entry(const struct domain *of, unsigned int level);
/* What a guest stores in its memory: entries, descriptors. */
uint64_t random_word(const struct domain *of);
uint64_t random_descriptor(void);
/* Any of the three; one that is dying is the more interesting. */
struct domain *random_domain(void);
domid_t name_of(const struct domain *d); /* as the acting domain calls it */

/* ---- calls in flight ---- */
struct flight {
    struct vcpu *v; /* NULL: free */
    hypercall_fn *fn;
    struct hcall hc;
    const char *what;
    bool told, expected;  /* does the model say how it ends? */
    bool intruded;        /* another CPU acted during the last slice */
    unsigned long moment; /* when it began; the model's word is good until something else happens */
    unsigned int tries;
    /* After each slice; ended: rc is the result, or GIVEN_UP. */
    void (*after)(struct flight *f, long rc, bool ended);

    struct domain *on; /* whose tables or frames */
    struct vcpu *target;
    pte_t *slot, want;
    mfn_t frame;
    unsigned int level, n, seen, done;
    union {
        struct mmu_update mmu[MAX_BATCH];
        struct mmuext_op ext[MAX_ELEMS];
        struct gnttab_map_grant_ref map[MAX_ELEMS];
        struct gnttab_unmap_grant_ref unmap[MAX_UNMAPS];
        struct gnttab_unmap_and_replace replace[MAX_UNMAPS];
        struct gnttab_copy copy[MAX_ELEMS];
        struct gnttab_set_version version;
        struct {
            struct xen_memory_reservation r;
            struct xen_memory_exchange x;
            xen_pfn_t in[16], out[16];
        } mem;
        struct vcpu_guest_context context;
        unsigned long frames[FIRST_RESERVED_GDT_PAGE + 2];
    } u;
};

/* A call of the acting vCPU, to be filled in. */
struct flight *flight_new(hypercall_fn *fn, const char *what);
void flight_args(struct flight *f, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3);
/* The model's word on it, if it has one. */
void flight_tell(struct flight *f, bool known, bool expected);
/* Starts it: one slice. */
void flight_go(struct flight *f);
unsigned int flights_in_the_air(void);
/* Another vCPU of the caller's domain writes to the arguments of a call that has begun. */
void flights_scribble(void);
/*
 * What other CPUs do while the hypervisor copies from or to a guest, without a lock: step is made by a vCPU of another
 * CPU. Not during grant calls, whose book is behind until they are done.
 */
void intrude(void (*step)(void));
/* Another slice of any of them; may_give_up: or it is never taken up again. */
void flight_any(bool may_give_up);
void flights_give_up(void);
/* A call that is repeated until it is done, nothing in between. */
long call_now(hypercall_fn *fn, const unsigned long arg[4]);
long mmuext_now(unsigned int cmd, uint64_t arg1, uint64_t arg2);
/* Prints how often each call and sub-operation was preempted; enough: none that can be may have got away. */
void restarts_tell(bool enough);
/* Of the control domain: setvcpucontext. Arguments: vCPU, context. */
hypercall_fn set_context_by_domctl;
/* Did nothing else happen since the call began? */
bool flight_alone(const struct flight *f);
void tell(bool expected, long rc, const char *what);
/* Something happened that is no flight; a number that grows with all that happens. */
void moment_passes(void);
unsigned long moment_now(void);

/* The book of mappings that grants made: pv_ops_memory.c. */
void grants_forget(void);
void grants_of_dead(const struct domain *d);

extern const struct pv_operation {
    void (*fn)(void);
    unsigned int weight;
} table_ops[], desc_ops[], memory_ops[];
extern const unsigned int nr_table_ops, nr_desc_ops, nr_memory_ops;

#endif
