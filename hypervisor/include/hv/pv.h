/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 64-bit PV guests: per-domain and per-vCPU state, and the face of pv/ (processor interface) and mm/pv/ (page tables).
 * A PV guest's kernel and user mode both run in ring 3; mode is tracked in pv.kernel_mode, each has its own L4.
 */
#ifndef HV_PV_H
#define HV_PV_H

#include <hv/frame.h>
#include <hv/spinlock.h>
#include <xen/xen.h>

struct domain;
struct shadow_page;
struct vcpu;

struct pv_domain {
    spinlock_t pt_lock;   /* RANK_PT: contents and types of the domain's page tables */
    uint32_t dead_tables; /* pt_lock: the first of the tables without typed references whose entries still hold some, by
                           * frame number; 0: none */
    bool drain_preempted; /* pt_lock: whoever released dead tables last was preempted, and some may be left */
    uint64_t relinquish_left;   /* pt_lock: frames that teardown has still to look at, plus one; 0: not begun */
    uint64_t changes;           /* atomic: see pv_changed */
    struct pv_audit *audit;     /* pt_lock: the audit under way, or NULL */
    mfn_t perdomain_l3;         /* per-domain area, slot 260 of each of its L4s */
    pte_t **gdt_ldt_l1;         /* [max_vcpus]: 32 entries each, inside the L1s of the per-domain area */
    bool pool_chosen;           /* a control tool has said how large the pool for shadows is to be */
    struct cpuid_policy *cpuid; /* what CPUID shows; NULL: host default */
};

/* Something that an audit of d has counted, or will count, is changing: tables, types, windows, frames given up. */
#define pv_changed(d) ((void)__atomic_fetch_add(&(d)->pv.changes, 1, __ATOMIC_RELAXED))

struct pv_vcpu {
    /* own */
    struct trap_info trap[256];
    unsigned long event_callback, failsafe_callback, syscall_callback, syscall32_callback, sysenter_callback;
    uint16_t syscall32_cs, sysenter_cs;
    uint64_t mcg_cap; /* banks of machine checks that it knows of from where it was saved: hv/vmce.h */
    bool syscall32_disables_events, sysenter_disables_events, failsafe_disables_events, syscall_disables_events;
    uint16_t gdt_ents;
    unsigned int ldt_ents;
    unsigned long ldt_base;
    mfn_t gdt_frames[FIRST_RESERVED_GDT_PAGE]; /* SEGDESC references */
    bool kernel_mode;
    unsigned long kernel_sp;
    uint16_t kernel_ss;
    unsigned long cr0_guest; /* TS and the like, as the guest set them */
    unsigned long cr4_guest;
    unsigned long cr2;
    unsigned long fs_base, gs_base_kernel, gs_base_user;
    uint16_t fs, gs, ds, es; /* selectors while not running */
    unsigned long dr[4], dr6, dr7;
    uint32_t tsc_aux;    /* what RDTSCP gives in RCX: a kernel's number of the processor */
    unsigned int iopl;   /* virtual IOPL set by PHYSDEVOP_set_iopl */
    unsigned long iobmp; /* guest linear address of its I/O bitmap */
    unsigned int iobmp_limit;
    bool nmi_masked;  /* an NMI was delivered: the next iret hypercall ends it */
    bool areas_due;   /* the records of run state and time were not written, for want of the kernel's tables */
    uint32_t pci_cf8; /* last value written to I/O port 0xcf8 */

    /* pt_lock: references of type L4, or INVALID_MFN */
    mfn_t l4_kernel, l4_user;
    struct page_info *restart_page; /* old base pointer whose put was preempted */

    /* On shadows (mm/shadow/pv.c): what hardware starts at in place of l4_user and l4_kernel. */
    struct pv_root {
        struct shadow_page *page; /* pt_lock; NULL: there are no shadows */
        unsigned long cr3;        /* own; 0: the vCPU runs on its own tables */
    } root[2];
};

/* ---- mm/pv: page tables (mm/pv/README) ---- */
/* Initialises the part of d->pv that mm/pv owns; before any frame is given to d. */
void pv_pt_domain_init(struct domain *d);
/*
 * The emulated direct write: a write fault of the current vCPU's kernel on a read-only mapping (error code P and W).
 * True: the store was done, or found to need no help any more; retry. False: the fault is the guest's.
 */
bool pv_ptwrite_fault(struct vcpu *v, unsigned long linear, struct cpu_user_regs *regs);
/*
 * Makes kernel_l4 and user_l4 (INVALID_MFN: none) the tables of v, with typed references, and drops the former ones.
 * v is current or does not run; CR3 is not loaded here. 0, -EINVAL or -ERESTART (call again with the same arguments).
 */
int pv_set_base(struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4);
/* Drops both base references; -ERESTART when preempted, then call again. CR3 of no CPU may hold them any more. */
int pv_drop_base(struct vcpu *v);
/* Pins an L4 in d's name as MMUEXT_PIN_L4_TABLE does (control-domain build). 0, -EINVAL or -ERESTART. */
int pv_pin_l4(struct domain *d, mfn_t m);
/* Fills the hypervisor's slots of an L4 that is becoming valid for d. */
void pv_init_l4_slots(pte_t *l4, struct domain *d);
/* Releases what dead tables refer to, table by table: 0, or -ERESTART while some are left. pt_lock held. */
int pv_drain_dead(struct domain *d);
/* Teardown, after pv_drop_base of all vCPUs: unpins and devalidates d's tables, one bounded slice at a time: -ERESTART
 * or 0. */
int pv_relinquish_tables(struct domain *d);
/* The L4 table of the mode that v is in; without one of its own the hypervisor's. */
mfn_t pv_base(const struct vcpu *v);
/* CR3 value for the mode v is in. */
unsigned long pv_cr3(const struct vcpu *v);
/* Does v run on shadows? */
static inline bool pv_on_shadows(const struct pv_vcpu *pv)
{
    return pv->root[pv->kernel_mode].cr3;
}
/* frame.c's way to the table types; pt_lock held. Everyone else calls get_page_type and put_page_type. */
int pv_get_table_type(struct page_info *pg, enum page_type type);
void pv_put_table_type(struct page_info *pg);

/* ---- mm/pv/audit.c ---- */
#define PV_AUDIT_FINDINGS 16 /* the first so many are told one by one */

struct pv_audit_finding {
    const char *rule, *what; /* number in docs/invariants.md, and in words */
    mfn_t mfn;
    uint64_t count_info, type_info;
};

struct pv_audit_report {
    uint32_t broken; /* invariants found broken, each time counted */
    int pauses; /* what this slice adds to the reasons for d to stay paused: 1 begun, -1 ended, 0 both or neither */
    uint64_t frames, tables, entries, windows; /* looked at */
    uint64_t shared;                           /* frames with references from outside the domain's tables */
    struct pv_audit_finding finding[PV_AUDIT_FINDINGS];
};

/*
 * A slice of d's audit: recounts what its tables and descriptor windows hold, and compares with the frame table. d is
 * paused, and stays so until the audit ends. -ERESTART: call again, *r has nothing but pauses. 0: done, what is broken
 * is in *r and on the console. -EBUSY: d is dying. -ENOMEM: not enough memory for the counters. -EAGAIN: somebody
 * changed d's tables meanwhile.
 */
int pv_audit(struct domain *d, struct pv_audit_report *r);
/* Teardown: frees what an audit under way has. pt_lock held. -ERESTART or 0. */
int pv_audit_cancel(struct domain *d);

/* ---- pv/: the processor as the guest sees it ---- */
int pv_domain_init(struct domain *d);
void pv_domain_free(struct domain *d);
int pv_vcpu_init(struct vcpu *v);
void pv_vcpu_free(struct vcpu *v);
/* Context switch halves: descriptor windows, segment bases, debug registers, FPU, CR3. Interrupts are off. */
void pv_switch_from(struct vcpu *v);
void pv_switch_to(struct vcpu *v);
/* vCPU context as the ABI has it (VCPUOP_initialise, XEN_DOMCTL_set/getvcpucontext); set validates all and is
 * restartable. */
int pv_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);
void pv_get_context(struct vcpu *v, struct vcpu_guest_context *ctx);
/* Releases GDT and LDT page references. */
void pv_drop_descriptors(struct vcpu *v);
/* Drops cached LDT mappings of v (base or contents changed); flushes TLBs that may hold them. */
void pv_ldt_invalidate(struct vcpu *v);
/* MMUEXT_SET_LDT: invalidates, takes over the new table and, for the current vCPU, loads it. 0 or -EINVAL. */
int pv_set_ldt(struct vcpu *v, unsigned long base, unsigned long ents);
/*
 * What the hardware would find for a linear address in the tables of v's present mode: 0 and the leaf entry (its level
 * in *level, 1-3) with RW, US and NX already combined over the levels; -ENOENT when nothing is mapped. Reads without
 * locks: the answer may be stale.
 */
int pv_walk(const struct vcpu *v, unsigned long linear, pte_t *leaf, unsigned int *level);
/* Exception for the guest kernel of the current vCPU: builds the bounce frame. */
void pv_inject(struct vcpu *v, unsigned int vector, uint32_t error_code);
void pv_inject_page_fault(struct vcpu *v, uint32_t error_code, unsigned long cr2);
/* Before return to the guest with interrupts off: events, NMIs -> bounce frame. Called from entry.S. */
void pv_deliver_events(void);
/* user <-> kernel switch of the current vCPU: swaps GS base and CR3. */
void pv_toggle_mode(struct vcpu *v);
/* Makes *desc harmless or refuses: true when the guest may have it in a GDT or LDT. */
bool pv_check_descriptor(uint64_t *desc);
/* Enters the guest with current's registers; never returns. */
void pv_enter_guest(void) __attribute__((noreturn));

#endif
