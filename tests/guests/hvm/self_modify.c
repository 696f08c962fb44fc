// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: an instruction may store to the table that maps the instruction itself, or to the entry that maps what it
 * stores to. It is completed, and what comes after its flush is fetched, or stored to, by the new entry: code that
 * moves itself to another page goes on there; code that takes itself away faults at its next instruction, with the
 * error code of a fetch; and an entry that takes away its own write access is the last that was stored through it.
 */
#include "form.h"

#define X      (TEST_AREA + 11 * PAGE_SIZE) /* the code */
#define WINDOW (TEST_AREA + 12 * PAGE_SIZE) /* the table that maps it and itself */

/* Stores AX to (DI), drops X from the TLB, and shows which page it has come to. */
extern const uint8_t here[], there[], here_end[];
#define CODE(name, answer) #name ": .byte " ACTION "; jmp 1f; .balign 64; 1: mov $" #answer ", %ebx; ret\n"
#if LEVELS == 4
#define ACTION "0x48, 0x89, 0x07, 0x0f, 0x01, 0x3a" /* mov %rax, (%rdi); invlpg (%rdx) */
#else
#define ACTION "0x89, 0x07, 0x0f, 0x01, 0x3a"
#endif
__asm__(".pushsection .text\n.balign 64\n" CODE(here, 1) ".balign 128\n" CODE(there, 2) "here_end:\n.popsection\n");

static volatile uint8_t *a, *b;

static void run(void *regs)
{
    run_form(regs, (const void *)X);
}

static struct form_regs registers(entry_t value, volatile void *to)
{
    return (struct form_regs){.ax = (unsigned long)value, .dx = X, .di = (unsigned long)to, .flags = 2};
}

static void move_code(volatile entry_t *by)
{
    struct form_regs r = registers(entry_of(b, PTE_P | PTE_RW), by);

    map(X, a, PTE_P | PTE_RW);
    run_form(&r, (const void *)X);
    CHECK_IS(r.bx, 2);
    CHECK_IS(*slot(X, 1) & ~(entry_t)PTE_D, entry_of(b, PTE_P | PTE_RW | PTE_A));
    r = registers(entry_of(a, PTE_P), by);
    run_form(&r, (const void *)X); /* and back */
    CHECK_IS(r.bx, 1);
}

static void take_code_away(volatile entry_t *by, entry_t value, unsigned long error)
{
    struct form_regs r = registers(value, by);
    struct fault f;

    map(X, a, PTE_P | PTE_RW);
    f = try_call(run, &r);
    CHECK_IS(f.vector, TRAP_PF);
    CHECK(f.cr2 > X && f.cr2 < X + 16 && f.cr2 == f.ip);
    CHECK_IS(f.error & ~(unsigned long)PFEC_I, error);
    CHECK_IS(*slot(X, 1), value);
}

/* The window's own entry, by way of the window. */
static void end_window(void)
{
    volatile entry_t *own = (volatile entry_t *)WINDOW + INDEX(WINDOW, 1);

    CHECK_IS(*own & ~(PTE_A | PTE_D), entry_of(slot(TEST_AREA, 1), PTE_P | PTE_RW | PTE_US));
    *(volatile uint32_t *)own &= ~(uint32_t)PTE_RW; /* one store: there is none after it */
    invlpg(WINDOW);
    CHECK(!CHECK_ACCESS(WRITE, WINDOW));
    CHECK(CHECK_ACCESS(READ, WINDOW));
    CHECK_IS(*own & (PTE_RW | PTE_P), PTE_P);
}

void guest_main(void)
{
    volatile entry_t *table = slot(TEST_AREA, 1);
    unsigned int index = INDEX(X, 1);

    use_tables();
    a = new_page();
    b = new_page();
    for (unsigned int i = 0; i < 128; i++) {
        a[i] = here[i];
        b[i] = there[i];
    }
    for (unsigned int round = 0; round < 20; round++) {
        map(WINDOW, table, PTE_ALL);
        move_code(&table[index]);
        move_code((volatile entry_t *)WINDOW + index);
        take_code_away((volatile entry_t *)WINDOW + index, 0, 0);
        take_code_away(&table[index], entry_of(a, 0), 0);
        end_window();
    }
    say("code moved itself and took itself away");
}
