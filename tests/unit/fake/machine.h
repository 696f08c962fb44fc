/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for host tests of hypercall code: frames with real reference counting (mm/frame.c), domains, locks that
 * check their ranks, guest memory that is the test's own memory, an allocator that counts and can fail. Single
 * threaded, except that a test may let another thread scribble over "guest" memory.
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/event.h>
#include <hv/grant.h>
#include <hv/heap.h>
#include <hv/hypercall.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/x86.h>

extern unsigned long *m2p_table;

#define FIRST_FRAME 0x100u /* frames below are I/O */
#define NR_FRAMES   1024u
#define FAULT       ((void *)16) /* a guest address that faults */

/* Empty machine: no domains, all frames free. Checks that the last one left nothing. */
void machine_reset(void);
struct domain *machine_domain(domid_t id, unsigned int vcpus, bool control);
/* Takes the domain off the machine and frees it; nothing else may hold it. */
void machine_destroy(struct domain *d);
void run_on(struct vcpu *v);
/* A frame owned by d, zeroed. */
mfn_t guest_frame(struct domain *d);
void give_up_frame(struct domain *d, mfn_t m);
uint64_t frame_refs(mfn_t m);
uint64_t frame_type_refs(mfn_t m);

/* Calls a hypercall as the current vCPU until it is done; the number of restarts is in machine.restarts. */
long hypercall(hypercall_fn *fn, unsigned long a0, const void *a1, unsigned long a2);

struct machine {
    unsigned int allocs;        /* live objects */
    unsigned int fail_alloc;    /* the n-th allocation from now fails; 0: none */
    unsigned int fail_copy_to;  /* the n-th copy to the guest from now faults; 0: none */
    unsigned int preempt_every; /* every n-th question is answered yes; 0: never */
    unsigned int preempt_asked, restarts;
    unsigned int locks_held;
    unsigned int ipis, flushes, kicks;
    s_time_t now;
    bool still;              /* time does; else a second passes with each question */
    void (*meanwhile)(void); /* what another CPU does in the middle of a map or an unmap, once; NULL: nothing */
    unsigned int pirq_error; /* what pirq_guest_bind refuses with */
    struct domain *pirq_owner[64];
    unsigned int pirq_cpu[64];
};
extern struct machine machine;

/* Page-table entries that grant mappings installed, by address. */
struct fake_pte {
    uint64_t addr;
    bool contains_pte;
    pte_t pte;
};
#define NR_FAKE_PTES 512
extern struct fake_pte fake_pte[NR_FAKE_PTES];
pte_t fake_pte_at(uint64_t addr);
/* The guest, or teardown, throws all entries away: their references are dropped. */
void fake_ptes_drop(void);

/* Repeatable random numbers; the seed comes from UMBRA_SEED or the clock and is printed. */
void seed_init(const char *test);
uint32_t random_below(uint32_t n);
/* Number of operations for property tests: UMBRA_OPS, or the default given. */
unsigned int random_ops(unsigned int dflt);

#endif
