// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: an instruction that a hypervisor completes is one like any other. With EFLAGS.TF a trap follows it, after each
 * element if it is repeated, and DR6 says so; none follows if it faults.
 */
#include "form.h"

#define DR6_BS (1ul << 14)
#define X      (TEST_AREA + 5 * PAGE_SIZE) /* nothing is there; its entry is stored to */
#if LEVELS == 4
#define X_TEXT "0x8040005000"
#else
#define X_TEXT "0x40005000"
#endif

/*
 * S(name, what comes before TF, the instruction, exception, whether it points behind the instruction, what the entry
 * is then). The entry is at DI, and 0x10100 before.
 */
#define STEPS(S)                                                                   \
    S(nop, "", "nop", TRAP_DB, after, 0x10100)                                     \
    S(cpuid, "xor %eax, %eax", "cpuid", TRAP_DB, after, 0x10100)                   \
    S(rdmsr, "mov $0xc0000080, %ecx", "rdmsr", TRAP_DB, after, 0x10100)            \
    S(fault, "mov $" X_TEXT ", " DI, "orl $0x200, (" DI ")", TRAP_PF, at, 0x10100) \
    S(from_cr, "", "mov %cr3, " AX, TRAP_DB, after, 0x10100)                       \
    S(to_cr, "mov %cr3, " AX, "mov " AX ", %cr3", TRAP_DB, after, 0x10100)         \
    S(from_dr, "", "mov %dr7, " AX, TRAP_DB, after, 0x10100)                       \
    S(clts, "", "clts", TRAP_DB, after, 0x10100)                                   \
    S(in, "", "inb $0x80, %al", TRAP_DB, after, 0x10100)                           \
    S(store, "", "orl $0x200, (" DI ")", TRAP_DB, after, 0x10300)                  \
    S(shift, "", "shll $1, (" DI ")", TRAP_DB, after, 0x20200)                     \
    S(once, "xor %eax, %eax; mov $1, %ecx", "rep stosl", TRAP_DB, after, 0)        \
    S(many, "inc " DI "; xor %eax, %eax; mov $3, %ecx", "rep stosb", TRAP_DB, at, 0x10000)

#if LEVELS == 4
#define ARGUMENT "" /* is in DI */
#else
#define ARGUMENT "mov %eax, %edi\n"
#endif
#define CODE(name, before, insn, vector, ip, value) \
    "step_" #name ": " ARGUMENT before "\n"         \
    "pushf; orl $0x100, (" SP "); popf\n"           \
    "at_" #name ": " insn "\n"                      \
    "after_" #name ": nop; int $0x80\n"
__asm__(".pushsection .text\n" STEPS(CODE) ".popsection\n");

#define DECLARE(name, before, insn, vector, ip, value) \
    void step_##name(void *);                          \
    extern const uint8_t at_##name[], after_##name[];
STEPS(DECLARE)

static const struct {
    void (*code)(void *);
    unsigned int vector;
    const uint8_t *ip;
    entry_t value;
} steps[] = {
#define STEP(name, before, insn, vector, ip, value) {step_##name, vector, ip##_##name, value},
    STEPS(STEP)};

static unsigned long read_dr6(void)
{
    unsigned long v;

    __asm__ __volatile__("mov %%dr6, %0" : "=r"(v));
    return v;
}

static void single_step(volatile entry_t *entry)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        struct fault f;

        *entry = 0x10100;
        __asm__ __volatile__("mov %0, %%dr6" ::"r"(0ul));
        CHECK(!(read_dr6() & DR6_BS));
        f = try_call(steps[i].code, (void *)entry);
        CHECK_IS(f.vector, steps[i].vector);
        CHECK_IS(f.ip, (unsigned long)steps[i].ip);
        CHECK_IS(!!(read_dr6() & DR6_BS), f.vector == TRAP_DB);
        CHECK_IS(*entry, steps[i].value);
    }
    *entry = 0;
}

void guest_main(void)
{
    use_tables();
    map(X - PAGE_SIZE, new_page(), PTE_ALL);
    CHECK_ACCESS(READ, X - PAGE_SIZE); /* the table is in use */
    single_step(slot(X, 1));
    say("%u instructions with a trap after them or without", (unsigned int)ARRAY_SIZE(steps));
}
