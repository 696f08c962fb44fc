/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shadow paging: hardware runs a translated domain on tables made from the guest's own and the P2M. The guest's tables
 * stay the guest's; a frame that is shadowed is write-protected, and a store to it is carried out here, on the table
 * and on what was made from it, in one step. So a shadow entry always says what the guest's entry says now, cut down to
 * what the P2M gives, or nothing yet.
 *
 * Shadows are like a TLB: any of them may be thrown away at any moment and is made again when it is needed.
 *
 * All functions take the domain's paging lock themselves (the P2M's lock, mm/p2m) and do bounded work.
 */
#ifndef HV_SHADOW_H
#define HV_SHADOW_H

#include <hv/emulate.h>
#include <hv/guest_walk.h>
#include <hv/p2m.h>

struct shadow;      /* of a domain */
struct shadow_page; /* one table of 512 entries */

enum shadow_result {
    SHADOW_FIXED,   /* go on: the access works now, or is worth another try */
    SHADOW_REFLECT, /* the guest's own fault, with error */
    SHADOW_EMULATE, /* a store that hardware must not do: to a shadowed table, or past WP with SMAP; emulate it */
    SHADOW_MMIO,    /* no memory is there: gpa is for a device */
    SHADOW_NOMEM,   /* the pool is too small to hold one translation */
};
#define SHADOW_RESULTS (SHADOW_NOMEM + 1)

/* What a vCPU takes the paging lock for: a fault, one of the guest's own, a load of a control register, INVLPG, and to
 * give up a table. Stores are made for a domain, and not counted. */
enum shadow_lock { SHADOW_LOCK_FAULT, SHADOW_LOCK_REFLECT, SHADOW_LOCK_LOAD, SHADOW_LOCK_INVLPG, SHADOW_LOCK_GIVE_UP };
#define SHADOW_LOCKS (SHADOW_LOCK_GIVE_UP + 1)

/* Loads of control registers and the like: all, those for which another root was there, and was not. */
enum shadow_load { SHADOW_LOAD_ALL, SHADOW_LOAD_FOUND, SHADOW_LOAD_MADE };
#define SHADOW_LOADS (SHADOW_LOAD_MADE + 1)

/* Of a vCPU; its own, or with the vCPU paused. */
struct shadow_vcpu {
    struct shadow *s;
    struct guest_paging paging;
    /* An access of at most 8 bytes, within a page, where no memory is. */
    void (*device)(gpa_t at, unsigned int bytes, bool write, uint64_t *value);
    struct shadow_page *root; /* paging lock; never reclaimed while it stands here */
    uint64_t flush;           /* since when it is to see the guest's stores (paging lock); 0: no flush is under way */
    bool apart;               /* its shadows are a TLB of its own until it flushes: see shadow_give_up */
    uint64_t gave_up;         /* where it was when it last needed that */
    uint64_t reflected;       /* its last fault of the guest's own was about an entry in these 8 bytes */
    /* Others may read: how many had that result; how often it took the lock, and another had it when it came. */
    uint64_t faults[SHADOW_RESULTS], emulated[EMULATE_RESULTS], loads[SHADOW_LOADS];
    uint64_t locked[SHADOW_LOCKS], lock_busy[SHADOW_LOCKS];
};

struct shadow_fault {
    /* in */
    uint64_t linear;
    uint32_t access; /* PFEC_W, PFEC_U, PFEC_I as in struct guest_walk */
    bool smap_exempt;
    bool not_emulated; /* so it was answered with SHADOW_EMULATE, and it was no store to a table: an entry has to do */
    /* out */
    uint32_t error; /* with SHADOW_REFLECT */
    gpa_t gpa;      /* with SHADOW_EMULATE and SHADOW_MMIO */
    bool table;     /* with SHADOW_EMULATE: it is a store to a table, which can be given up */
};

/* After paging_pool_init and p2m_init: 0 or -ENOMEM. */
int shadow_init(struct domain *d, const struct guest_cpu *cpu);
/* Everything goes, no vCPU has a root any more: -ERESTART, or 0 and the structure is freed. */
int shadow_relinquish(struct domain *d);

/* Are shadows TLBs of their vCPUs, which follow the guest's tables only when it flushes (mm/shadow/vtlb.c)? Said at
 * boot.
 */
bool shadow_vtlb(void);

/* The guest's registers are what v->paging says now, or it flushes its TLB; makes the root. 0; else the vCPU must not
 * run: -ERESTART, call again; -ENOMEM, the pool is too small. */
int shadow_set_paging(struct shadow_vcpu *v);
/* The vCPU's INVLPG has to be told too: asked before each entry, with interrupts off. */
bool shadow_needs_flushes(const struct shadow_vcpu *v);
/* INVLPG: shadows say of the address what the guest's tables say. False: shadow_set_paging has to be called for it. */
bool shadow_invlpg(struct shadow_vcpu *v, uint64_t linear);
/* The vCPU may enter the guest. False: call again in a new stretch. */
bool shadow_ready(const struct shadow_vcpu *v);
/* It may not any more: asked again with interrupts off. */
bool shadow_behind(const struct shadow_vcpu *v);
/* The value for the hardware's CR3; it is below 4 GiB unless the guest runs on 4 levels. */
maddr_t shadow_root(const struct shadow_vcpu *v);
/* How often entries of the domain's shadows have lost a right: what a TLB has of a root, and was true, still is as long
 * as this does not change. */
uint64_t shadow_losses(const struct shadow_vcpu *v);
/* The vCPU runs no more on any root. */
void shadow_drop_root(struct shadow_vcpu *v);

/* A page fault of the vCPU. A fault of the guest's own changes nothing. */
enum shadow_result shadow_fault(struct shadow_vcpu *v, struct shadow_fault *f);
/*
 * A store of up to 8 bytes within a page, by emulation or for a hypercall. Who sees it translates by it, after a flush
 * of his own. 0; -EFAULT: no writable memory there.
 */
int shadow_store(struct domain *d, gpa_t at, unsigned int bytes, uint64_t value);
/* As shadow_store, any number of bytes within a frame; src NULL: zeros. More than 8 the shadows follow later: before
 * shadow_ready. */
int shadow_write(struct domain *d, gpa_t at, unsigned int bytes, const void *src);
/* As shadow_store, a compare and swap. 0: *old is what was found, and new is there if that was what *old said before.
 */
int shadow_swap(struct domain *d, gpa_t at, unsigned int bytes, uint64_t *old, uint64_t new);

/*
 * Completes the instruction of a SHADOW_EMULATE or SHADOW_MMIO: e has mode, loads, regs and seg. Results as of
 * emulate_store; with EMULATE_UNHANDLED it did nothing and the guest has to execute it by itself, which a store to a
 * table takes shadow_give_up for, and another one shadow_fault with not_emulated.
 */
enum emulate_result shadow_emulate(struct shadow_vcpu *v, struct emul *e, bool user, bool smap_exempt);
/*
 * What stores to the table at gpa is not emulated: the frame is no table any more, and the vCPU tries again. If that
 * does not take it on from where its registers say that it is, because the way to its code, its stack or its operands
 * goes through the table, its shadows are a TLB of its own until it flushes that. False: not done yet.
 */
bool shadow_give_up(struct shadow_vcpu *v, const struct cpu_user_regs *regs, gpa_t at);

/*
 * The P2M is about to change the entry of a frame: nothing leads to it any more in tables, and, after all frames that
 * change together, in TLBs (shadow_forgotten). With the paging lock held until then. False: not done yet, call again in
 * a new stretch.
 */
bool shadow_forget(struct domain *d, struct p2m_entry old);
void shadow_forgotten(struct domain *d);

/*
 * With the paging lock held, for the log of stores (<hv/logdirty.h>): hardware's next store to a frame of d's own makes
 * a fault, once TLBs are flushed. False: it has more writable mappings than there was room for in this stretch.
 */
bool shadow_stop_stores(struct domain *d, mfn_t m);
/* Likewise, where hardware's D bits say what was stored to: all of them so far set the log's bits, from *next on.
 * False: in a new stretch. */
bool shadow_harvest(struct domain *d, uint64_t *next);
/* With the lock held: when it returns, no CPU can do more than the entries allow. */
void shadow_flush(struct shadow *s);

/*
 * PV domains, for as long as stores to their memory are logged (mm/shadow/pv.c). The first four with pt_lock held.
 */

/* An entry of d's tables has changed, or a slot of the hypervisor's in one: shadows follow. */
void shadow_pv_stored(struct domain *d, const pte_t *slot);
/* A table is about to go out of use: its shadow goes. False: not done yet, call again in a new stretch. */
bool shadow_pv_end(struct domain *d, mfn_t table);
/* v's mode (1: its kernel) is to have another base than it has now: what its root says of that goes. False: likewise.
 */
bool shadow_pv_leave(struct vcpu *v, unsigned int mode, mfn_t base);
/* It has it; INVALID_MFN: none. */
void shadow_pv_enter(struct vcpu *v, unsigned int mode, mfn_t base);
/*
 * A page fault of the current vCPU, or of the hypervisor's at one of its addresses, with the processor's error code.
 * SHADOW_REFLECT: the fault is not of the shadows' making, and *error is what the guest's own tables would have given.
 */
enum shadow_result shadow_pv_fault(struct vcpu *v, uint64_t linear, uint32_t *error);
/* For the log of stores: from its return on all vCPUs run on shadows: 0; -ERESTART; -ENOMEM: the pool is too small. */
int shadow_pv_start(struct domain *d);
/* They run on their own tables again, and shadows go: 0 or -ERESTART. */
int shadow_pv_stop(struct domain *d);
/* Frames that shadows of d need at the least. */
unsigned long shadow_pv_least(const struct domain *d);

/* The guest's memory as its tables are walked in it, and the processor that it was promised. */
struct guest_mem shadow_memory(struct shadow *s);
const struct guest_cpu *shadow_cpu(const struct shadow *s);

/* What control tools ask for (<umbra/umbra_op.h>) while the guest runs. -EOPNOTSUPP: no shadows; -EBUSY: dying. */

/* A slice of throwing everything away: -ERESTART or 0. The guest goes on. */
int shadow_blow(struct domain *d);
/* The debug key that does so to all domains. */
void shadow_boot_init(void);

struct shadow_audit {
    uint32_t next;           /* 0 to begin with */
    uint32_t tables;         /* result: looked at */
    uint64_t entries;        /* likewise */
    struct audit_log broken; /* result */
};
/* A slice of a comparison of every shadow with what it was made from: -ERESTART or 0. */
int shadow_audit(struct domain *d, struct shadow_audit *a);

/* Takes figures of a domain by group and name; what is not 0 ends the telling and is its result. */
typedef int shadow_tell_fn(void *ctx, const char *group, const char *name, uint64_t value);
/* Of its shadows and its pool; of a vCPU. */
int shadow_tell(struct domain *d, shadow_tell_fn *tell, void *ctx);
/* How long operations on shadows work, of all domains together. */
int shadow_tell_work(shadow_tell_fn *tell, void *ctx);
int shadow_tell_vcpu(const struct shadow_vcpu *v, shadow_tell_fn *tell, void *ctx);

/* Up to max records from *position on: their number, at most max; *position at the end: UMBRA_SHADOW_end. */
struct umbra_shadow_record;
int shadow_dump(struct domain *d, uint64_t *position, struct umbra_shadow_record *out, unsigned int max);

#endif
