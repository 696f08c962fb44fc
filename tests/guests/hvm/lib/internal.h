/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the library's files. */
#ifndef HVM_INTERNAL_H
#define HVM_INTERNAL_H

#include "hvm.h"

/* suite.c: all there are; the last one has no name. */
extern const struct guest {
    const char *name;
    void (*main)(void);
} guests[];

/* What the guest was started with, whole words or cut off. */
extern char command_line[];
/* NMIs are expected, and nothing is done about them. */
extern bool ignore_nmi;

/* Registers at an entry, as start.S leaves them. */
struct regs {
    unsigned long general[sizeof(long) == 8 ? 15 : 8]; /* the last one pushed first */
    unsigned long vector, error, ip, cs, flags, sp, ss;
};

/* At the lower end of each CPU's stack, found from the stack pointer. */
struct cpu {
    unsigned long caught; /* stack pointer of enter(); 0: nothing is tried */
    unsigned int id;
    struct fault fault;
};

extern char stacks[MAX_CPUS][STACK_BYTES];
extern char user_start[], user_end[], trap_stubs[];
extern const uint8_t supervisor_access[], user_access[]; /* code: 8 bytes for each kind of access */

static inline struct cpu *this_cpu(void)
{
    unsigned long here = (unsigned long)__builtin_frame_address(0);

    return (struct cpu *)(here & ~(unsigned long)(STACK_BYTES - 1));
}

/* Goes to the code with an argument in the accumulator; comes back at the next trap. */
void enter(unsigned long code, unsigned long arg, unsigned long access);
void enter_call(unsigned long fn, unsigned long arg);
void leave(unsigned long caught) __attribute__((noreturn));
void trap(struct regs *r);
void hvm_main(const uint32_t *start_info) __attribute__((noreturn));
void init_tables(void);
void init_traps(unsigned int id);
void turn_paging_on(void);

#endif
