/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual machine control block. AMD64 manual volume 2, appendix B; exits: appendix C. */
#ifndef HVM_SVM_VMCB_H
#define HVM_SVM_VMCB_H

#include <hv/hvm.h>

struct vmcb_seg {
    uint16_t sel, attr;
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    /* control area */
    uint32_t cr_intercepts; /* low half: reads of CR0-15, high half: writes */
    uint32_t dr_intercepts;
    uint32_t exception_intercepts;
    uint32_t general1, general2;
    uint8_t pad1[0x40 - 0x14];
    uint64_t iopm, msrpm, tsc_offset;
    uint32_t asid;
    uint8_t tlb_control;
    uint8_t pad2[3];
    uint64_t vintr, interrupt_shadow;
    uint64_t exitcode, exitinfo1, exitinfo2, exitintinfo;
    uint64_t np_enable;
    uint8_t pad3[0xa8 - 0x98];
    uint64_t eventinj, ncr3, lbr_virt, clean, nrip;
    uint8_t fetched, bytes[INSN_MAX_LEN];
    uint8_t pad4[0x400 - 0xe0];
    /* state save area */
    struct vmcb_seg seg[HVM_SEGS]; /* in the order of enum hvm_seg */
    uint8_t pad5[0x4cb - 0x4a0];
    uint8_t cpl;
    uint8_t pad6[4];
    uint64_t efer;
    uint8_t pad7[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t pad8[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t pad9[0x5f8 - 0x5e0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t pad10[0x668 - 0x648];
    uint64_t g_pat;
    uint8_t pad11[0x1000 - 0x670];
};
static_assert(sizeof(struct vmcb) == 4096, "a page");
static_assert(offsetof(struct vmcb, iopm) == 0x40 && offsetof(struct vmcb, asid) == 0x58, "control area");
static_assert(offsetof(struct vmcb, exitcode) == 0x70 && offsetof(struct vmcb, np_enable) == 0x90, "control area");
static_assert(offsetof(struct vmcb, nrip) == 0xc8 && offsetof(struct vmcb, bytes) == 0xd1, "control area");
static_assert(offsetof(struct vmcb, eventinj) == 0xa8 && offsetof(struct vmcb, seg) == 0x400, "control area");
static_assert(offsetof(struct vmcb, cpl) == 0x4cb && offsetof(struct vmcb, efer) == 0x4d0, "save area");
static_assert(offsetof(struct vmcb, cr4) == 0x548 && offsetof(struct vmcb, rip) == 0x578, "save area");
static_assert(offsetof(struct vmcb, rsp) == 0x5d8 && offsetof(struct vmcb, rax) == 0x5f8, "save area");
static_assert(offsetof(struct vmcb, cr2) == 0x640 && offsetof(struct vmcb, g_pat) == 0x668, "save area");

#define G1_INTR       (1u << 0)
#define G1_NMI        (1u << 1)
#define G1_SMI        (1u << 2)
#define G1_INIT       (1u << 3)
#define G1_VINTR      (1u << 4)
#define G1_RDPMC      (1u << 15)
#define G1_CPUID      (1u << 18)
#define G1_RSM        (1u << 19)
#define G1_IRET       (1u << 20)
#define G1_INVD       (1u << 22)
#define G1_HLT        (1u << 24)
#define G1_INVLPG     (1u << 25)
#define G1_INVLPGA    (1u << 26)
#define G1_IOIO       (1u << 27)
#define G1_MSR        (1u << 28)
#define G1_TASK       (1u << 29)
#define G1_SHUTDOWN   (1u << 31)
#define G2_VMRUN      (1u << 0)
#define G2_VMMCALL    (1u << 1)
#define G2_VMLOAD     (1u << 2)
#define G2_VMSAVE     (1u << 3)
#define G2_STGI       (1u << 4)
#define G2_CLGI       (1u << 5)
#define G2_SKINIT     (1u << 6)
#define G2_WBINVD     (1u << 9)
#define G2_MONITOR    (1u << 10)
#define G2_MWAIT      (1u << 11)
#define G2_XSETBV     (1u << 13)
#define G2_RDPRU      (1u << 14)
#define VINTR_MASKING (1ull << 24)
#define VINTR_WINDOW  (1ull << 8 | 1ull << 20) /* V_IRQ whatever V_TPR says */
#define TLB_KEEP      0u
#define TLB_FLUSH_ALL 1u

#define EXIT_CR_FIRST  0x000u
#define EXIT_CR_LAST   0x01fu
#define EXIT_DR_FIRST  0x020u
#define EXIT_DR_LAST   0x03fu
#define EXIT_EXC_FIRST 0x040u
#define EXIT_EXC_LAST  0x05fu
#define EXIT_INTR      0x060u
#define EXIT_NMI       0x061u
#define EXIT_SMI       0x062u
#define EXIT_INIT      0x063u
#define EXIT_VINTR     0x064u
#define EXIT_CPUID     0x072u
#define EXIT_RSM       0x073u
#define EXIT_RDPMC     0x06fu
#define EXIT_IRET      0x074u
#define EXIT_INVD      0x076u
#define EXIT_HLT       0x078u
#define EXIT_INVLPG    0x079u
#define EXIT_INVLPGA   0x07au
#define EXIT_IOIO      0x07bu
#define EXIT_MSR       0x07cu
#define EXIT_SHUTDOWN  0x07fu
#define EXIT_VMRUN     0x080u
#define EXIT_VMMCALL   0x081u
#define EXIT_SKINIT    0x086u
#define EXIT_WBINVD    0x089u
#define EXIT_MONITOR   0x08au
#define EXIT_MWAIT     0x08bu
#define EXIT_XSETBV    0x08du
#define EXIT_RDPRU     0x08eu
#define EXIT_NPF       0x400u
#define EXIT_INVALID   ~0ull /* the control block is refused */

#define EVENT_VALID     (1ull << 31)
#define EVENT_HAS_ERROR (1ull << 11)
#define EVENT_TYPE      (7ull << 8)
#define EVENT_EXCEPTION (3ull << 8)
#define EVENT_NMI       (2ull << 8)
#define EVENT_SOFTWARE  (4ull << 8)
#define EVENT_ALL       (0xffffffffull << 32 | EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | 0xff)

/* Those of CPUID_SVM's EDX that all CPUs have so far. */
extern uint32_t svm_features;
#define SVM_NP             (1u << 0)
#define SVM_NRIP_SAVE      (1u << 3)
#define SVM_DECODE_ASSISTS (1u << 7)

/* What hardware said, in common terms, as far as svm_features go. */
void svm_decode(const struct vmcb *c, struct vmexit *x);

/* This CPU has so many identifiers; all are to be given again, the TLB flushed before (svm/asid.c). */
void asid_init(uint32_t number);
void asid_begin_again(void);
/* Hardware's CR3 is set to the shadow root, at a time when shadow_losses() was as given. */
void asid_set_root(struct hvm_vcpu *h, uint64_t root, uint64_t losses);
/* The entry that follows, interrupts being off, uses what this vCPU's identifier has, or begins with nothing. */
void asid_take(struct hvm_vcpu *h, struct vmcb *c);

#endif
