/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single instructions that store, with registers that are given and looked at afterwards: forms.def is the list. Each
 * is code that returns; it stores at DI and may read at SI.
 */
#ifndef HVM_FORM_H
#define HVM_FORM_H

#include "hvm.h"

/* Registers in assembler text, and the bytes of a word of the stack. */
#if LEVELS == 4
#define R(name) "%r" name
#define WORD    "8"
#else
#define R(name) "%e" name
#define WORD    "4"
#endif
#define AX R("ax")
#define BX R("bx")
#define CX R("cx")
#define DX R("dx")
#define SI R("si")
#define DI R("di")
#define SP R("sp")

struct form_regs { /* in start.S's order */
    unsigned long ax, bx, cx, dx, si, di, flags;
};

/* What the accumulator has, or what else, beside the value that is there and the other one. */
enum value { OTHER, SAME, DIFFERENCE, BACK, FLIP, MASK, PAIR, PAIR_16 };
/* What it needs, or is: one byte; in parts, or elsewhere; a stack at DI; repeated; its operand aligned. */
enum need { NOTHING, BYTE, PARTS, STACK, REPEAT, ALIGNED, SSE, XSAVE, AVX };

struct form {
    const uint8_t *code;
    const char *name;
    enum value value;
    unsigned long flags; /* that it defines */
    enum need need;
};
extern const struct form forms[];
extern const unsigned int nr_forms;

/* Turns on what the processor has of SSE, AVX and XSAVE. */
void enable_forms(void);
bool form_possible(const struct form *f);
/* Registers for a store at `to`, which has `now` and may have `other`; `source` has that 16 times. */
struct form_regs form_registers(const struct form *f, volatile void *to, entry_t now, const entry_t *source);
/* Runs it at both places; memory around, registers and flags must be equal afterwards. */
void check_form(const struct form *f, volatile void *live, volatile void *plain, entry_t now, const entry_t *source);
/* Makes all that forms store to what it was; only what differs is stored. */
void refill(volatile entry_t *to, entry_t now);
/* How many entries differ. */
unsigned int differences(const volatile entry_t *a, const volatile entry_t *b);
/* Runs it; registers and flags go in and come out. */
void run_form(struct form_regs *r, const void *code);

#endif
