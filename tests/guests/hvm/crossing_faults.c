// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a store that lies on two pages of which the second may not be written faults there, and has stored nothing in
 * the first: whether that is an ordinary page or a page table in use, with every form of store that is done in one
 * piece, where the second page is not there and where it is read-only. After that the first page may be stored to as
 * before.
 */
#include "form.h"

#define WINDOW (TEST_AREA + 3 * SPAN(2)) /* where the two pages are written */
#define MAPPED (TEST_AREA + 9 * SPAN(2)) /* what the first one maps, if it is a table */
#define BORDER ((volatile entry_t *)(WINDOW + PAGE_SIZE))

static entry_t now, source[16];
static volatile entry_t *plain;
static const struct form *form;
static unsigned int tried;

static void run(void *regs)
{
    run_form(regs, form->code);
}

static void try_form(volatile void *second, entry_t rights)
{
    unsigned long last = MAPPED + SPAN(2) - PAGE_SIZE;
    struct form_regs r;
    struct fault f;

    refill(plain, now);
    refill(BORDER, now);
    CHECK_ACCESS(READ | USER, last);
    r = form_registers(form, (uint8_t *)BORDER - 1, now, source);
    map(WINDOW + PAGE_SIZE, second, rights);
    f = try_call(run, &r);
    map(WINDOW + PAGE_SIZE, second, PTE_ALL);
    if (f.vector != TRAP_PF || f.cr2 != WINDOW + PAGE_SIZE || differences(BORDER, plain))
        say("%s: vector %u, error code %lx, CR2 %lx", form->name, f.vector, f.error, f.cr2);
    CHECK_IS(f.vector, TRAP_PF);
    CHECK_IS(f.cr2, WINDOW + PAGE_SIZE);
    /* The emulator's processor reads what it is to change before it looks whether it may: W is left out then. */
    CHECK_IS(f.error & ~(unsigned long)(rights & PTE_P ? 0 : PFEC_W), rights & PTE_P ? PFEC_P | PFEC_W : 0);
    CHECK_IS(differences(BORDER, plain), 0);
    invlpg(last);
    CHECK_ACCESS(READ | USER, last);
    tried++;
}

static void try_pages(volatile void *first, volatile void *second)
{
    map(WINDOW, first, PTE_ALL);
    map(WINDOW + PAGE_SIZE, second, PTE_ALL);
    for (form = forms; form < forms + nr_forms; form++) {
        if (form->need != NOTHING)
            continue;
        try_form(second, PTE_US);
        try_form(second, PTE_US | PTE_P);
        check_form(form, (uint8_t *)BORDER - 16, (uint8_t *)plain - 16, now, source);
    }
}

void guest_main(void)
{
    volatile void *table = slot(MAPPED, 1);

    use_tables();
    plain = (entry_t *)new_page() + ENTRIES / 2;
    now = entry_of(new_page(), PTE_KEPT);
    for (unsigned int i = 0; i < ARRAY_SIZE(source); i++)
        source[i] = i ? source[0] : entry_of(new_page(), PTE_KEPT);
    try_pages(new_page(), new_page());
    try_pages(table, new_page());
    try_pages(table, slot(MAPPED + SPAN(2), 1));
    say("%u stores that fault in their second page", tried);
    CHECK(tried > 100);
}
