/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests on hardware virtualisation. Common code acts, a vendor's back end (hvm_ops) enters the guest and says in one
 * structure why it came back. General registers are in guest_cpu_user_regs() while the vCPU is on a CPU, as those of PV
 * guests are; rip, rsp, rflags and rax too, whatever the hardware does with them.
 */
#ifndef HV_HVM_H
#define HV_HVM_H

#include <hv/domain.h>
#include <hv/shadow.h>

/* As hardware encodes the order of the first six in instructions. */
enum hvm_seg { HVM_ES, HVM_CS, HVM_SS, HVM_DS, HVM_FS, HVM_GS, HVM_GDTR, HVM_LDTR, HVM_IDTR, HVM_TR, HVM_SEGS };

struct hvm_segment {
    uint16_t sel;
    uint16_t attr; /* bits 0-7: type, S, DPL, P; 8-11: AVL, L, D, G */
    uint32_t limit;
    uint64_t base;
};
#define SEG_ATTR_L (1u << 9)
#define SEG_ATTR_D (1u << 10)

enum hvm_exit_reason {
    HVM_EXIT_NOTHING, /* an interrupt of the host's, or what the back end has done itself */
    HVM_EXIT_PAGE_FAULT,
    HVM_EXIT_NESTED_FAULT, /* the P2M does not allow it */
    HVM_EXIT_EXCEPTION,    /* others that are looked at: goes back to the guest */
    HVM_EXIT_CPUID,
    HVM_EXIT_HLT,
    HVM_EXIT_HYPERCALL,
    HVM_EXIT_RDMSR,
    HVM_EXIT_WRMSR,
    HVM_EXIT_CR, /* MOV to or from a control register, CLTS, LMSW, SMSW: decoded from the instruction */
    HVM_EXIT_DR,
    HVM_EXIT_IO,
    HVM_EXIT_XSETBV,
    HVM_EXIT_INVLPG,     /* with shadows that do not follow the guest's tables */
    HVM_EXIT_SKIP,       /* an instruction that does nothing here */
    HVM_EXIT_UNDEFINED,  /* one that the guest does not have */
    HVM_EXIT_PRIVILEGED, /* one that it may not use: #GP */
    HVM_EXIT_TRIPLE_FAULT,
    HVM_EXIT_FATAL, /* the guest cannot go on; code says what hardware said */
    HVM_EXIT_REASONS
};

struct vmexit {
    enum hvm_exit_reason reason;
    uint64_t linear; /* page fault; INVLPG with has_operand */
    gpa_t gpa;       /* nested fault */
    uint32_t error;  /* faults: PFEC_*; exception: error code */
    uint8_t vector;  /* exception */
    bool has_error;
    uint64_t code; /* hardware's own number of the exit */
    struct {
        uint16_t port;
        uint8_t bytes;
        bool in, string;
    } io;
    /* What not every processor tells. */
    uint64_t next;    /* rip behind the instruction, which I/O always has; 0: unknown */
    bool has_operand; /* CR, DR: it is this MOV; INVLPG: linear is its operand */
    struct {
        bool to; /* the control or debug register nr, from the general register rm */
        uint8_t nr, rm;
    } mov;
    uint8_t fetched, bytes[INSN_MAX_LEN]; /* faults: so many bytes of the instruction, and these */
};

/* Memory types: kept for the guest. */
#define HVM_MTRR_VAR   8u
#define HVM_MTRR_FIXED 11u
struct hvm_mtrr {
    uint64_t def_type, var[2 * HVM_MTRR_VAR], fixed[HVM_MTRR_FIXED];
};

/* What hardware keeps of the translations through one root. */
#define HVM_TLBS 4u
struct hvm_tlb {
    uint64_t root;   /* 0: whatever the guest's own registers say */
    uint64_t time;   /* tlb_flush_time() since when; 0: it may keep none */
    uint64_t losses; /* shadow_losses() at that time, or before */
    uint32_t asid;
};

/* What the guest set; hardware's registers follow from it (hvm/cr.c). */
struct hvm_vcpu {
    struct shadow_vcpu shadow;
    uint64_t cr0, cr2, cr3, cr4, efer;
    uint64_t dr[4]; /* breakpoints, which are kept, but none is ever set: DR7 stays what it is after a reset */
    uint64_t dr6;
    struct lapic *lapic;   /* hvm/lapic.h */
    uint8_t upcall_vector; /* of the local APIC, by which events are announced; 0: the domain's callback_vector is */
    uint64_t root_loaded;  /* what hardware's CR3 was set to */
    struct hvm_tlb tlb[HVM_TLBS]; /* svm/asid.c */
    unsigned int tlb_in_use;
    uint64_t tlbs;   /* how often hardware began anew to keep translations */
    bool paging_due; /* shadow_set_paging has to be called before the guest is entered */
    bool flush_due;  /* likewise, told by any CPU */
    struct {
        bool valid, has_error;
        uint8_t vector;
        uint32_t error;
    } exception;                      /* to be injected at the next entry */
    void *vendor;                     /* the back end's: SVM's VMCB */
    uint64_t exits[HVM_EXIT_REASONS]; /* how many; others may read */
    uint32_t tsc_aux;
    struct hvm_mtrr mtrr;
    uint64_t mcg_cap;    /* machine-check banks that it was told of, where it was saved */
    uint64_t tsc_offset; /* the guest's counter less the host's */
    uint64_t tsc_adjust; /* the MSR: what of the offset the guest itself has added */
    uint8_t line_len;
    char line[80]; /* what it has written to the log so far */
};

enum hvm_event { HVM_EVENT_INTERRUPT, HVM_EVENT_NMI };

struct hvm_ops {
    const char *name;
    int (*cpu_init)(void);
    int (*vcpu_init)(struct vcpu *v);
    void (*vcpu_free)(struct vcpu *v);
    /* With interrupts off; they are off again, and x is filled, when it returns. */
    void (*enter)(struct vcpu *v, struct vmexit *x);
    /* CR0, CR3, CR4 and EFER of hardware are those given. */
    void (*set_control)(struct vcpu *v, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer);
    void (*get_segment)(const struct vcpu *v, enum hvm_seg seg, struct hvm_segment *s);
    void (*set_segment)(struct vcpu *v, enum hvm_seg seg, const struct hvm_segment *s);
    unsigned int (*cpl)(const struct vcpu *v);
    /* Would the guest take it with the next instruction? */
    bool (*can_inject)(const struct vcpu *v, enum hvm_event type);
    /* It can: the next entry begins with it. */
    void (*inject)(struct vcpu *v, enum hvm_event type, uint8_t vector);
    /* The guest comes back as soon as it can be interrupted, or does not for that reason. */
    void (*window)(struct vcpu *v, bool wanted);
    /* Whether INVLPG exits; loads of CR3 always do on shadows. */
    void (*watch_flushes)(struct vcpu *v, bool wanted);
    bool (*in_shadow)(const struct vcpu *v);   /* interrupts are held back until the next instruction is done */
    bool (*in_delivery)(const struct vcpu *v); /* it came back in the middle of an event's delivery */
    bool (*in_nmi)(const struct vcpu *v);      /* an NMI was injected, and IRET has not ended it */
    /* Nothing is delivered, or held back, any more. */
    void (*clear_events)(struct vcpu *v);
    /* An MSR that the back end keeps. False: it does not. */
    bool (*read_msr)(const struct vcpu *v, uint32_t msr, uint64_t *value);
    bool (*write_msr)(struct vcpu *v, uint32_t msr, uint64_t value);
    /* Of a paused vCPU, the event that it begins with: pending_event of struct hvm_hw_cpu, above it the error code. */
    uint64_t (*get_event)(struct vcpu *v);
    void (*set_event)(struct vcpu *v, uint64_t event); /* after clear_events */
};

/* NULL: the machine has none, or the firmware has locked it. */
extern const struct hvm_ops *hvm_ops;
extern const struct hvm_ops svm_ops;
/* All CPUs can translate guest physical addresses by the P2M themselves (d->hap). */
extern bool hvm_nested;

/* Each CPU, at boot. */
void hvm_cpu_init(void);

#define HVM_PHYS_BITS_MAX 48u /* of a guest's physical addresses; the processor's own may be less */

/* As Xen numbers them. */
static inline uint32_t hvm_apic_id(const struct vcpu *v)
{
    return v->vcpu_id * 2;
}

/* What the vCPU's counter is ahead of this CPU's. */
static inline uint64_t hvm_tsc_offset(const struct vcpu *v)
{
    return v->hvm ? v->hvm->tsc_offset : 0;
}

/* Its next entry finds no translation in the TLB. Of the current vCPU, or one that does not run. */
static inline void hvm_forget_translations(struct hvm_vcpu *h)
{
    for (unsigned int i = 0; i < HVM_TLBS; i++)
        h->tlb[i].time = 0;
}

static inline bool is_hvm_vcpu(const struct vcpu *v)
{
    return v->hvm;
}

/* A vCPU of a translated domain: 0 or -ENOMEM. */
int hvm_vcpu_init(struct vcpu *v);
void hvm_vcpu_free(struct vcpu *v);
/* It runs no more: its root goes. */
void hvm_vcpu_stop(struct vcpu *v);
void hvm_switch_from(struct vcpu *v);
void hvm_switch_to(struct vcpu *v);
/* Runs the current vCPU for good; what is on the stack is forgotten. */
void hvm_run(void) __attribute__((noreturn));
void hvm_exit(struct vcpu *v, const struct vmexit *x);

/* ---- control registers (hvm/cr.c): 0, or -EINVAL: #GP ---- */
int hvm_set_cr0(struct vcpu *v, uint64_t value);
int hvm_set_cr3(struct vcpu *v, uint64_t value);
int hvm_set_cr4(struct vcpu *v, uint64_t value);
int hvm_set_efer(struct vcpu *v, uint64_t value);
/* What is put back when a change of several is refused. Other fields of struct hvm_vcpu other CPUs may set meanwhile.
 */
struct hvm_control {
    uint64_t cr0, cr3, cr4, efer, pdpte[4];
};
struct hvm_control hvm_get_control(const struct hvm_vcpu *h);
void hvm_put_control(struct hvm_vcpu *h, const struct hvm_control *c);
/* How the guest translates now, for walks in software. */
const struct guest_paging *hvm_paging(struct vcpu *v);
/* Hardware's registers and the shadows follow what h says now. */
void hvm_paging_changed(struct vcpu *v);

/* ---- guest memory by linear address, as the current vCPU's kernel sees it: 0 or -EFAULT ---- */
int hvm_copy_from(void *dst, unsigned long linear, size_t n);
int hvm_copy_to(unsigned long linear, const void *src, size_t n);
int hvm_clear(unsigned long linear, size_t n);
/* A load or store of the guest's own, at its present privilege. False: it faults, and has the fault. */
bool hvm_load(struct vcpu *v, unsigned long linear, void *dst, unsigned int n);
bool hvm_store(struct vcpu *v, unsigned long linear, const void *src, unsigned int n);
/* The instruction at rip, as far as it can be read: bytes, 1 to 15. 0: the fetch faults, and the guest has the fault.
 */
unsigned int hvm_fetch(struct vcpu *v, uint8_t *buf);
enum insn_mode hvm_mode(const struct vcpu *v);
/* d, whose vCPU is current, shares memory with the hypervisor in the layout of the mode that it runs in now. Where a
 * kernel begins: it writes a hypercall page, sets HVM_PARAM_CALLBACK_IRQ, gives shared_info a frame. */
void hvm_latch_width(struct domain *d);

/* ---- instructions ---- */
void hvm_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4]);
void hvm_io(struct vcpu *v, const struct vmexit *x);
void hvm_msr_init(struct vcpu *v);
/* v, which starts, counts as the domain's first vCPU does. */
void hvm_sync_tsc(struct vcpu *v);
/* 0, or -EINVAL: #GP. */
int hvm_read_msr(struct vcpu *v, uint32_t msr, uint64_t *value);
int hvm_write_msr(struct vcpu *v, uint32_t msr, uint64_t value);

/* ---- interrupts (hvm/interrupt.c) ---- */
/* Something would interrupt v if it had interrupts on. From other CPUs a guess. */
bool hvm_interrupt_pending(const struct vcpu *v);
/* Events are pending for v. Any CPU. */
void hvm_upcall(struct vcpu *v);
void hvm_nmi(struct vcpu *v);
/* What is due goes to the back end. Before each entry, with interrupts off. */
void hvm_deliver(struct vcpu *v);

/* An access of the current vCPU where no memory is (hvm/mmio.c). */
void hvm_device_access(gpa_t at, unsigned int bytes, bool write, uint64_t *value);

/* ---- start and stop (hvm/startup.c) ---- */
void hvm_init_signal(struct vcpu *v);
void hvm_startup_signal(struct vcpu *v, uint8_t vector);
void hvm_start_if_told(struct vcpu *v);
void hvm_stop_for_good(struct vcpu *v);
/* The current vCPU could not deliver a double fault: the domain shuts down for the reason of its parameter. */
void hvm_triple_fault(struct vcpu *v);

#define HVM_DR6_RESET    0xffff0ff0ul
#define HVM_DR6_WRITABLE 0xe00ful
#define HVM_DR6_BS       (1ul << 14)
#define HVM_DR7_RESET    0x400ul
/* An instruction was completed, and rip stands behind it, or a part of a repeated one, which goes on: what a processor
 * does then happens now. True: the guest has a trap. */
bool hvm_completed(struct vcpu *v);

void hvm_inject(struct vcpu *v, unsigned int vector, bool has_error, uint32_t error);
void hvm_hypercall(struct cpu_user_regs *regs);    /* from 64-bit code */
void hvm_hypercall_32(struct cpu_user_regs *regs); /* from 32-bit code */

/* ---- state in the public save format, of a paused domain ---- */
/* A moment begins at which the counters of all vCPUs are read or set. They go on from what their records say, at the
 * frequency of the host; the time by them (struct vcpu_time_info) is the new host's. */
void hvm_note_tsc(struct domain *d);
/* v's record of a type (hvm/save.c): bytes at buf, which has room for hvm_record_max; 0: there is none. */
size_t hvm_save_record(struct vcpu *v, unsigned int type, void *buf);
/* At most; 0: vCPUs have no such records. */
size_t hvm_record_max(unsigned int type);
/* All of d's records are checked, then taken over (hvm/restore.c), in slices, while d stays paused and nobody else
 * changes anything about it. What begins it is freed by hv_free; NULL: no memory. A slice: 0; -ERESTART, call again;
 * -EINVAL, and nothing is changed. */
struct hvm_restore *hvm_restore_begin(const struct domain *d, const void *records, size_t size);
int hvm_restore_slice(struct domain *d, struct hvm_restore *r);
/* A control call about its context that was preempted is given up (hypercall/domctl_hvm.c). RANK_DOMCTL. */
void hvm_drop_transfer(struct domain *d);

/* A paused vCPU's registers as the ABI's record of a PV vCPU has them, for who looks at a guest: what stands for entry
 * points and tables of a PV guest is 0. Source: <xen/arch-x86/xen.h>. */
struct vcpu_guest_context;
void hvm_get_context(struct vcpu *v, struct vcpu_guest_context *c);

/* VCPUOP_initialise: 0 or -EINVAL. The vCPU stays down. */
struct vcpu_hvm_context;
int hvm_set_start(struct vcpu *v, const struct vcpu_hvm_context *s);

#endif
