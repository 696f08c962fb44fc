/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction of a guest, completed for it because its store met a page that the guest may not write, a page table
 * of its own, or because it met a device. docs/emulator.md has the forms and the rules.
 *
 * The emulator owns no memory and no state: it works on a register file and reaches guest memory through struct
 * emul_ops. Who may access what, translation, and what a store means are its caller's.
 */
#ifndef HV_EMULATE_H
#define HV_EMULATE_H

#include <hv/insn.h>

enum emulate_result {
    EMULATE_DONE,  /* completed: the registers are those after it */
    EMULATE_RETRY, /* the guest has to execute it (again): how far it has come stands in the registers */
    EMULATE_FAULT, /* it faults: e->fault. A repeated one has done what the registers say, all others nothing */
    /* Nothing was done. The caller lets the guest execute it by itself: progress comes from giving up the protection.
     */
    EMULATE_UNHANDLED,
};
#define EMULATE_RESULTS (EMULATE_UNHANDLED + 1)

struct emul_fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t linear; /* of a page fault */
};

/* One operand in memory. Bytes of 16 take two values, the low one first. */
struct emul_access {
    uint64_t linear;
    uint8_t bytes;   /* 1, 2, 4, 8 or 16 */
    bool write;      /* a store; of a read: one is to follow, so that it faults as the store would */
    bool locked;     /* other processors must see it as one */
    bool misaligned; /* linear is no multiple of bytes */
    bool crosses;    /* it reaches into the next page */
};

struct emul;

/*
 * Access to guest memory. Each gives EMULATE_DONE, or what the whole instruction is to give: EMULATE_FAULT with
 * e->fault filled, EMULATE_UNHANDLED for what the caller does not want to do - a store across two pages, for one. A
 * store that does not give EMULATE_DONE has stored nothing.
 */
struct emul_ops {
    enum emulate_result (*fetch)(struct emul *e, uint64_t linear, uint8_t *buf, unsigned int bytes); /* in one page */
    enum emulate_result (*read)(struct emul *e, const struct emul_access *a, uint64_t *value);
    enum emulate_result (*write)(struct emul *e, const struct emul_access *a, const uint64_t *value);
    /* Stores new if memory holds old, in one step. EMULATE_RETRY: it does not. */
    enum emulate_result (*cmpxchg)(struct emul *e, const struct emul_access *a, const uint64_t *old,
                                   const uint64_t *new);
};

struct emul_segment {
    uint64_t base;
    uint32_t limit; /* in bytes; not looked at in 64-bit code */
    bool plain;     /* writable data that expands upwards; others are not handled. Not looked at in 64-bit code */
    bool big;       /* of SS: the stack pointer has 32 bits, not 16 */
};

struct emul {
    const struct emul_ops *ops;
    void *ctx; /* the caller's */
    enum insn_mode mode;
    bool loads; /* also what only reads memory is completed */
    struct cpu_user_regs *regs;
    const struct emul_segment *seg; /* SEG_COUNT of them; in 64-bit code only the bases of FS and GS count */
    const uint8_t *bytes;           /* of the instruction, as far as the processor has fetched it already */
    unsigned int fetched;           /* so many */
    /* results */
    struct insn insn; /* valid in read, write and cmpxchg */
    struct emul_fault fault;
    bool single_step; /* after EMULATE_DONE and EMULATE_RETRY: the guest is owed a #DB for EFLAGS.TF */
};

/* Elements of a repeated string instruction that one call does at most, all in one page (of movs: one page each). */
#define EMULATE_REP_MAX 512u
/* How often one call computes anew because memory changed under a locked store. */
#define EMULATE_ATTEMPTS 8u

enum emulate_result emulate_store(struct emul *e);
/* Fills a with the operand of so many bytes at seg:offset, or raises what the segment or the address asks for. */
enum emulate_result emul_locate(struct emul *e, enum insn_seg seg, uint64_t offset, unsigned int bytes,
                                struct emul_access *a);

#endif
