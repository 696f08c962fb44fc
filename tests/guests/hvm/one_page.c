// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: one page may be a page table, the stack and the code that runs, all at once. It maps itself; code in it pushes
 * to it, stores to the entry by which it sees another page, reads through that, and calls (CALL is not emulated where
 * stores to tables are). Each of these stores is to a page table that is in use, and none may be lost.
 */
#include "form.h"

#define X            (TEST_AREA + 3 * PAGE_SIZE) /* what the code sees change */
#define SELF         (TEST_AREA + 2 * PAGE_SIZE) /* the page */
#define CODE         0x400ul                     /* in it */
#define TOP_OF_STACK 0xc00ul
#define ROUNDS       100u

/*
 * AX: what makes one entry the other; BX: the entry; CX: rounds; DX: X; SI: stack; DI: the entry's place, and the sum
 * of what is read stands 16 behind it.
 */
extern const uint8_t code[], code_end[];
__asm__(".pushsection .text\n"
        "code: xchg " SI ", " SP "\n"
        "1: mov " BX ", (" DI ")\n"
        "   invlpg (" DX ")\n"
        "   push " AX "\n"
        "   mov (" DX "), %eax\n"
        "   add %eax, 16(" DI ")\n"
        "   call 2f\n"
        "   pop " AX "\n"
        "   dec %ecx\n"
        "   jnz 1b\n"
        "   xchg " SI ", " SP "\n"
        "   ret\n"
        "2: xor " WORD "(" SP "), " BX "\n"
        "   ret\n"
        "code_end: .popsection\n");

static void run_in_page(volatile entry_t *page, volatile void *a, volatile void *b)
{
    entry_t from = entry_of(a, PTE_KEPT), to = entry_of(b, PTE_KEPT);
    struct form_regs r = {.ax = (unsigned long)(from ^ to), .bx = (unsigned long)from, .cx = ROUNDS, .flags = 2};

    r.dx = X;
    r.di = SELF + ((unsigned long)&page[INDEX(X, 1)] & (PAGE_SIZE - 1));
    r.si = SELF + TOP_OF_STACK;
    *(volatile uint32_t *)(r.di + 16) = 0;
    run_form(&r, (const void *)(SELF + CODE));
    CHECK_IS(r.cx, 0);
    CHECK_IS(r.si, SELF + TOP_OF_STACK);
    CHECK_IS(*(volatile uint32_t *)(r.di + 16), ROUNDS / 2 * (1 + 2));
    CHECK_IS(*slot(X, 1) & PTE_ADDR, to & PTE_ADDR);
}

void guest_main(void)
{
    volatile entry_t *page = slot(TEST_AREA, 1);
    volatile uint32_t *a = new_page(), *b = new_page();

    use_tables();
    *a = 1;
    *b = 2;
    for (unsigned int i = 0; i < (unsigned int)(code_end - code); i++)
        ((volatile uint8_t *)page)[CODE + i] = code[i];
    map(SELF, page, PTE_ALL);
    for (unsigned int i = 0; i < 10; i++) {
        run_in_page(page, a, b);
        CHECK_ACCESS(READ, X);
        CHECK_IS(*slot(SELF, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
    }
    say("%u rounds in a page that is table, stack and code", 10 * ROUNDS);
}
