// SPDX-License-Identifier: BSD-2-Clause
/*
 * Faults that are expected. Each CPU has a task segment that names its stack for traps from user mode; all have the one
 * table of gates. A trap ends what enter() began; one that nobody tried is a failure.
 */
#include "internal.h"

#define GATES      (VEC_END + 1)
#define GATE_WORDS (sizeof(long) == 8 ? 4 : 2) /* of 32 bits */
#define TSS_BYTES  104
#define STUB_BYTES 16

bool ignore_nmi;
static uint32_t idt[GATES * GATE_WORDS] __attribute__((aligned(16)));
static uint32_t tss[MAX_CPUS][TSS_BYTES / 4] __attribute__((aligned(128)));
extern uint32_t gdt[];

struct __attribute__((packed)) pointer {
    uint16_t limit;
    unsigned long base;
};

static void set_gate(unsigned int vector)
{
    uint32_t handler = (uint32_t)(unsigned long)trap_stubs + vector * STUB_BYTES;
    uint32_t code = sizeof(long) == 8 ? SEL_CODE64 : SEL_CODE32, dpl = vector == VEC_END ? 3 : 0;

    idt[vector * GATE_WORDS] = code << 16 | (handler & 0xffff);
    idt[vector * GATE_WORDS + 1] = (handler & 0xffff0000) | 0x8e00 | dpl << 13;
}

static void load_task(unsigned int id)
{
    uint32_t *descriptor = gdt + SEL_TSS / 4, base = (uint32_t)(unsigned long)tss[id];
    uint16_t selector = SEL_TSS;

    tss[id][1] = (uint32_t)(unsigned long)stacks[id] + STACK_BYTES / 2; /* ESP0, RSP0 */
    tss[id][2] = sizeof(long) == 8 ? 0 : SEL_DATA;
    descriptor[0] = base << 16 | (TSS_BYTES - 1);
    descriptor[1] = (base & 0xff000000) | (base >> 16 & 0xff) | 0x8900;
    __asm__ __volatile__("ltr %0" ::"r"(selector) : "memory");
}

void init_traps(unsigned int id)
{
    struct pointer p = {sizeof(idt) - 1, (unsigned long)idt};

    for (unsigned int i = 0; i < GATES; i++)
        set_gate(i);
    __asm__ __volatile__("lidt %0" ::"m"(p));
    load_task(id);
    this_cpu()->id = id;
}

void trap(struct regs *r)
{
    struct cpu *c = this_cpu();
    unsigned long caught = c->caught;

    if (ignore_nmi && r->vector == TRAP_NMI)
        return;
    c->fault = (struct fault){(unsigned int)r->vector, r->error, r->vector == TRAP_PF ? read_cr2() : 0, r->ip};
    if (!caught) {
        say("FAIL: exception %u, error code %lx, at %lx, CR2 %lx", (unsigned int)r->vector, r->error, r->ip,
            c->fault.cr2);
        fail_now("trap", 0, "nobody expects it");
    }
    c->caught = 0;
    leave(caught);
}

struct fault try_call(void (*fn)(void *), void *arg)
{
    enter_call((unsigned long)fn, (unsigned long)arg);
    return this_cpu()->fault;
}

struct fault try_access(unsigned int access, unsigned long linear)
{
    const uint8_t *code = access & USER ? user_access : supervisor_access;

    enter((unsigned long)(code + 8 * (access & 3)), linear, access);
    return this_cpu()->fault;
}
