// SPDX-License-Identifier: BSD-2-Clause
/* The instructions of forms.def, and registers for them. */
#include "form.h"

/* Entries that forms may store to, before DI and from it on. */
#define BEFORE 16
#define BEHIND ((int)(1024 / sizeof(entry_t)))

#define CARRY   0x001ul
#define FLAGS   0x8d5ul /* OF SF ZF AF PF CF */
#define LOGIC   0x8c5ul /* AF is undefined */
#define SHIFTED 0x0c5ul

#define F(name, text, value, flags, need) \
    extern const uint8_t form_##name[];   \
    __asm__(".pushsection .text\nform_" #name ": " text "\nret\n.popsection\n");
#include "forms.def"
#undef F

const struct form forms[] = {
#define F(name, text, value, flags, need) {form_##name, #name, value, flags, need},
#include "forms.def"
};
const unsigned int nr_forms = ARRAY_SIZE(forms);

void enable_forms(void)
{
    write_cr4(read_cr4() | CR4_OSFXSR);
    if (has.xsave) {
        write_cr4(read_cr4() | CR4_OSXSAVE);
        __asm__ __volatile__("xsetbv" ::"c"(0), "d"(0), "a"(has.avx ? 7 : 3));
    }
    __asm__ __volatile__("fninit");
}

bool form_possible(const struct form *f)
{
    return f->need == XSAVE ? has.xsave : f->need == AVX ? has.avx && has.xsave : true;
}

struct form_regs form_registers(const struct form *f, volatile void *to, entry_t now, const entry_t *source)
{
    entry_t other = source[0];
    unsigned long values[] = {(unsigned long)other,
                              (unsigned long)now,
                              (unsigned long)(other - now),
                              (unsigned long)(now - other),
                              (unsigned long)(now ^ other),
                              ~(unsigned long)PTE_RW,
                              0,
                              0};
    struct form_regs r = {
        .ax = values[f->value],
        .bx = (unsigned long)other,
        .cx = (unsigned long)other,
        .si = (unsigned long)source,
        .di = (unsigned long)to,
        .flags = 2,
    };

    if (f->value == PAIR) { /* two halves of what is compared, and of what is stored */
        r.ax = ((volatile uint32_t *)to)[0];
        r.dx = ((volatile uint32_t *)to)[1];
        r.bx = ((const uint32_t *)source)[0];
        r.cx = ((const uint32_t *)source)[1];
    } else if (f->value == PAIR_16) {
        r.ax = ((volatile unsigned long *)to)[0];
        r.dx = ((volatile unsigned long *)to)[1];
    }
    return r;
}

void refill(volatile entry_t *to, entry_t now)
{
    for (int i = -BEFORE; i < BEHIND; i++)
        if (to[i] != now)
            to[i] = now;
}

unsigned int differences(const volatile entry_t *a, const volatile entry_t *b)
{
    unsigned int n = 0;

    for (int i = -BEFORE; i < BEHIND; i++)
        n += a[i] != b[i];
    return n;
}

/* The entry that an address is in. */
static const volatile entry_t *entry_around(volatile void *p)
{
    return (const volatile entry_t *)((unsigned long)p & ~(sizeof(entry_t) - 1));
}

void check_form(const struct form *f, volatile void *live, volatile void *plain, entry_t now, const entry_t *source)
{
    struct form_regs expected = form_registers(f, plain, now, source), r = form_registers(f, live, now, source);
    unsigned long moved = (unsigned long)live - (unsigned long)plain;
    unsigned int different;
    bool right;

    run_form(&expected, f->code);
    run_form(&r, f->code);
    different = differences(entry_around(live), entry_around(plain));
    right = !different && r.ax == expected.ax && r.bx == expected.bx && r.cx == expected.cx && r.dx == expected.dx &&
            r.di == expected.di + moved && !((r.flags ^ expected.flags) & f->flags);
    check_at(right, f->name, 0, "memory, registers and flags as elsewhere");
    if (!right)
        say("  at %lx: %u entries differ; AX %lx, not %lx; flags %lx, not %lx", (unsigned long)live, different, r.ax,
            expected.ax, r.flags, expected.flags);
}
