// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a store to a live page table does what the same store to other memory does, to memory, registers and flags,
 * whatever instruction it is, and the table is then what the processor goes by. Each form of lib/forms.def is run on
 * memory that is no table and, with the same values, on a table of level 1 and one of level 2 that are in use; then
 * what the entries around it map is accessed as they now say. With 2 levels, the latter maps the instruction, too.
 */
#include "form.h"

#define FIRST            16u /* entry that is stored to; those that are looked at begin NEAR before it */
#define NEAR             8u
#define LINEAR(level, n) (TEST_AREA + (n)*SPAN(level))

static entry_t now[3], source[3][16]; /* by level: what is in all entries, what may be stored */
static volatile entry_t *tables[3];
static entry_t *plain;

/* Where the entries lead to pages of ours, or nowhere. */
static void look(unsigned int level)
{
    for (unsigned int n = FIRST - NEAR; n < FIRST + NEAR; n++) {
        entry_t e = tables[level][n], frame = e & PTE_ADDR;

        invlpg(LINEAR(level, n));
        if ((e & PTE_P) && frame != (now[level] & PTE_ADDR) && frame != (source[level][0] & PTE_ADDR))
            continue;
        if (CHECK_ACCESS(READ | (n & 1 ? USER : 0), LINEAR(level, n)))
            CHECK_IS(*at(LINEAR(level, n)) >> 16, frame == (now[level] & PTE_ADDR) ? 1 : 2);
    }
}

static void try_form(const struct form *f, unsigned int level)
{
    volatile entry_t *to = tables[level] + FIRST;

    refill(plain, now[level]);
    refill(to, now[level]);
    look(level); /* it is in use */
    check_form(f, to, plain, now[level], source[level]);
    look(level);
}

static void prepare(void)
{
    volatile uint32_t *pages[] = {new_page(), new_page()};
    entry_t *below[] = {new_page(), new_page()};

    for (unsigned int i = 0; i < 2; i++) {
        pages[i][0] = (i + 1) << 16 | CODE_END;
        below[i][0] = entry_of(pages[i], PTE_KEPT);
    }
    now[1] = entry_of(pages[0], PTE_KEPT);
    now[2] = entry_of(below[0], PTE_KEPT);
    for (unsigned int i = 0; i < 16; i++) {
        source[1][i] = entry_of(pages[1], PTE_KEPT);
        source[2][i] = entry_of(below[1], PTE_KEPT);
    }
    plain = (entry_t *)new_page() + FIRST;
    tables[1] = slot(TEST_AREA, 1);
    tables[2] = slot(TEST_AREA, 2);
}

void guest_main(void)
{
    unsigned int tried = 0;

    use_tables();
    enable_forms();
    prepare();
    for (const struct form *f = forms; f < forms + nr_forms; f++)
        for (unsigned int level = 1; level <= 2 && form_possible(f); level++) {
            try_form(f, level);
            tried++;
        }
    say("%u forms of stores on tables of 2 levels, %u in all", nr_forms, tried);
    CHECK(tried > 80);
}
