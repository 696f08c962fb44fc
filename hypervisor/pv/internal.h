/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files of pv/ only. What others may use is in <hv/pv.h>. */
#ifndef PV_INTERNAL_H
#define PV_INTERNAL_H

#include <hv/domain.h>
#include <hv/insn.h>
#include <hv/x86.h>

/* Selectors that the ABI puts at the end of every GDT. */
#define SEL_KERNEL_CS64 FLAT_RING3_CS64
#define SEL_KERNEL_SS   FLAT_RING3_SS64

/* entry_vector of a SYSCALL from compatibility code (TRAP_SYSCALL: from 64-bit code). */
#define VECTOR_SYSCALL32 0x101

/* ---- flags.c: pure ---- */
struct callback_register;

struct pv_selectors {
    uint16_t ds, es, fs, gs;
};

struct pv_bounce {
    unsigned long rip; /* in the flat code segment: the selector of a trap's entry is for compatibility only */
    bool mask_events;  /* set the upcall mask after saving it */
    bool has_error;
    uint32_t error;
    const struct pv_selectors *failsafe; /* failsafe callback: the selectors it is told; else NULL */
};
#define BOUNCE_WORDS_MAX 12
/*
 * The words that the guest kernel finds on its stack, lowest address first; returns how many. iopl is what the frame's
 * flags show.
 */
unsigned int pv_bounce_words(uint64_t *words, const struct cpu_user_regs *regs, const struct pv_bounce *b,
                             bool was_kernel, uint8_t upcall_mask, unsigned int iopl);
/* RFLAGS that guest code may run with, from what the guest asked for. */
unsigned long pv_guest_rflags(unsigned long wanted);
/* A guest's code or data selector as hardware gets it: RPL 3, unless it is null. */
uint16_t pv_guest_selector(uint16_t sel);
/* Debug registers: 0 and the value to load in *value; -EPERM, -EINVAL. */
int pv_check_debugreg(unsigned int reg, unsigned long *value);
/* What a load of CR4 by the guest leaves. */
unsigned long pv_cr4_shown(unsigned long hw, unsigned long guest);
#define DR6_DEFAULT 0xffff0ff0ul
#define DR7_DEFAULT 0x00000400ul
#define DR7_ACTIVE  0x000000fful

/* ---- callback.c ---- */
void pv_bounce(struct vcpu *v, const struct pv_bounce *b);
/* Failsafe callback with the selectors given; crashes a domain that has none. */
void pv_failsafe(struct vcpu *v, const struct pv_selectors *sel);
/* IOPL that the guest sees in its flags. */
unsigned int pv_shown_iopl(const struct vcpu *v);
void pv_read_selectors(struct pv_selectors *sel);

/* From entry.S. */
void do_trap(struct cpu_user_regs *regs);
void pv_syscall(struct cpu_user_regs *regs);
void pv_iret_fault(struct cpu_user_regs *regs);
void exit_to_guest_work(void);

/* ---- hypercalls of the processor interface, as used elsewhere in pv/ ---- */
int pv_set_debugreg(struct vcpu *v, unsigned int reg, unsigned long value);
unsigned long pv_get_debugreg(struct vcpu *v, unsigned int reg);
void pv_fpu_taskswitch(struct vcpu *v, bool set);
void pv_debug_load(const struct vcpu *v);
void pv_debug_unload(void);
int pv_set_callback(struct vcpu *v, const struct callback_register *reg);

/* Assists that a guest may ask for. */
#define PV_VM_ASSIST_MASK                                                           \
    (1ul << VMASST_TYPE_4gb_segments | 1ul << VMASST_TYPE_4gb_segments_notify |     \
     1ul << VMASST_TYPE_writable_pagetables | 1ul << VMASST_TYPE_pae_extended_cr3 | \
     1ul << VMASST_TYPE_architectural_iopl | 1ul << VMASST_TYPE_runstate_update_flag | 1ul << VMASST_TYPE_m2p_strict)

/* ---- desc.c ---- */
/* Maps the page of v's LDT that holds the fault address; false: let the guest have the fault. */
bool pv_ldt_fault(struct vcpu *v, unsigned long linear);
bool pv_in_ldt_window(const struct vcpu *v, unsigned long linear);
void pv_ldt_load(struct vcpu *v);
/* Replaces v's GDT: frames as in the ABI, one per 512 entries. 0 or -EINVAL, then unchanged. */
int pv_set_gdt(struct vcpu *v, const unsigned long *frames, unsigned int entries);
/* pv_walk from a given L4 table, or INVALID_MFN. */
int pv_walk_from(mfn_t l4, unsigned long linear, pte_t *leaf, unsigned int *level);
/* Descriptor that a selector of the current vCPU names; false when there is none. */
bool pv_read_descriptor(struct vcpu *v, uint16_t sel, uint64_t *desc);

/* ---- perdomain.c ---- */
int pv_perdomain_init(struct domain *d);
void pv_perdomain_free(struct domain *d);
int pv_perdomain_add_vcpu(struct domain *d, unsigned int vcpu_id);

/* ---- emulation ---- */
struct pv_emul {
    struct vcpu *v;
    struct cpu_user_regs *regs;
    struct insn insn;
    bool long_mode;
    unsigned long rip; /* linear address of the instruction */
};
enum emul_result {
    EMUL_DONE,    /* go on after the instruction */
    EMUL_RETRY,   /* execute it again */
    EMUL_REFUSED, /* the guest gets the fault */
    EMUL_FAULTED, /* another exception was injected */
};
/* True: done; false: inject the fault. */
bool pv_emulate_privileged(struct vcpu *v, struct cpu_user_regs *regs);
bool pv_emulate_forced_cpuid(struct vcpu *v, struct cpu_user_regs *regs);
/* INT n, INT3 and the like that met a gate of DPL 0. */
bool pv_emulate_int(struct vcpu *v, struct cpu_user_regs *regs);
bool pv_emul_fetch(struct pv_emul *e);
bool pv_long_mode(struct vcpu *v, const struct cpu_user_regs *regs, unsigned long *cs_base);
enum emul_result pv_emul_io(struct pv_emul *e);
enum emul_result pv_emul_ins_outs(struct pv_emul *e);
/* 0, or -EPERM: #GP. */
int pv_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
int pv_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);
void pv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4]);
void pv_cpuid_init(void);

/* CR4.TSD of the guest's kernel, which is for its user mode: the kernel itself may always read the counter. */
void pv_load_tsd(const struct vcpu *v);

#endif
