// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: LMSW changes the four lowest bits of CR0, of which it cannot clear PE; SMSW fills a register of
 * its operand's size, or stores two bytes whatever that size is.
 */
#include "hvm.h"

void guest_main(void)
{
    unsigned long cr0 = read_cr0(), value = ~0ul;
    uint32_t stored = 0xffffffff;

    __asm__ __volatile__("lmsw %w0" ::"r"(8)); /* TS, and not PE */
    CHECK_IS(read_cr0(), (cr0 & ~0xeul) | 8);
    __asm__ __volatile__("smsw %w0" : "+r"(value));
    CHECK_IS(value, (~0xfffful) | (read_cr0() & 0xffff));
    __asm__ __volatile__("smsw %0" : "+m"(stored));
    CHECK_IS(stored, 0xffff0000 | (read_cr0() & 0xffff));
    __asm__ __volatile__("clts");
    CHECK_IS(read_cr0(), cr0 & ~0xeul);
    stored = (uint32_t)cr0;
    __asm__ __volatile__("lmsw %0" ::"m"(stored));
    CHECK_IS(read_cr0(), cr0);
    say("CR0 is %lx", cr0);
}
