/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the library's files. */
#ifndef GUEST_INTERNAL_H
#define GUEST_INTERNAL_H

#include "guest.h"

#define POOL_PAGES 96

/* At the lower end of each vCPU's stack, found from the stack pointer. */
struct cpu {
    unsigned int id;
    bool catching;
    struct fault fault;
    struct {
        uint64_t rsp;
    } caught;
};

extern char stacks[MAX_VCPUS][STACK_BYTES];

static inline struct cpu *this_cpu(void)
{
    uint64_t sp;

    __asm__ __volatile__("mov %%rsp, %0" : "=r"(sp));
    return (struct cpu *)(sp & ~(uint64_t)(STACK_BYTES - 1));
}

bool call_caught(void *caught, void (*fn)(void *), void *arg);
void catch_resume(void *caught) __attribute__((noreturn));
void trap(struct regs *r);
void lib_main(struct start_info *si) __attribute__((noreturn));
void lib_vcpu_main(void (*fn)(void)) __attribute__((noreturn));
void vcpu_entry(void);
void console_write(const char *text, size_t n);

#endif
