/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules for values that go from a guest into the processor's control, and the layout of the frame that a guest
 * kernel gets. Pure functions, also built for host tests.
 */
#include "internal.h"

unsigned int pv_bounce_words(uint64_t *words, const struct cpu_user_regs *regs, const struct pv_bounce *b,
                             bool was_kernel, uint8_t upcall_mask, unsigned int iopl)
{
    unsigned int n = 0;
    uint64_t cs = was_kernel ? regs->cs & ~3u : regs->cs;

    words[n++] = regs->rcx;
    words[n++] = regs->r11;
    if (b->failsafe) {
        words[n++] = b->failsafe->ds;
        words[n++] = b->failsafe->es;
        words[n++] = b->failsafe->fs;
        words[n++] = b->failsafe->gs;
    } else if (b->has_error) {
        words[n++] = b->error;
    }
    words[n++] = regs->rip;
    words[n++] = cs | ((uint64_t)upcall_mask << 32);
    words[n++] = (regs->rflags & ~(EFLAGS_IF | EFLAGS_IOPL)) | (upcall_mask ? 0 : EFLAGS_IF) | ((iopl & 3ul) << 12);
    words[n++] = regs->rsp;
    words[n++] = regs->ss;
    return n;
}

unsigned long pv_guest_rflags(unsigned long wanted)
{
    const unsigned long allowed =
        0xd5 | EFLAGS_TF | EFLAGS_DF | EFLAGS_OF | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_ID;

    return (wanted & allowed) | EFLAGS_IF | EFLAGS_MBS;
}

uint16_t pv_guest_selector(uint16_t sel)
{
    return sel & ~3u ? sel | 3u : sel;
}

/* Enabled breakpoints: no I/O type (it would need CR4.DE, and shows nothing to ring 3). */
static int check_dr7(unsigned long *value)
{
    unsigned long v = *value & 0xffff03fful;

    if (*value >> 32)
        return -EINVAL;
    if (*value & (1ul << 13)) /* general detect would trap the hypervisor's own accesses */
        return -EPERM;
    for (unsigned int i = 0; i < 4; i++) {
        unsigned long field = 15ul << (16 + 4 * i);

        if (!((v >> (2 * i)) & 3))
            v &= ~field;
        else if (((v >> (16 + 4 * i)) & 3) == 2)
            return -EPERM;
    }
    *value = v | DR7_DEFAULT;
    return 0;
}

int pv_check_debugreg(unsigned int reg, unsigned long *value)
{
    switch (reg) {
    case 0 ... 3:
        return guest_range_ok(*value, 8) ? 0 : -EPERM;
    case 6:
        if (*value >> 32)
            return -EINVAL;
        *value = (*value & 0xe00ful) | DR6_DEFAULT;
        return 0;
    case 7:
        return check_dr7(value);
    default:
        return -ENODEV;
    }
}

unsigned long pv_cr4_shown(unsigned long hw, unsigned long guest)
{
    const unsigned long from_hw = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_MCE;
    /* Hardware always has what the processor can do of the last: on another hypervisor it is as the guest wants it. */
    const unsigned long from_guest = CR4_TSD | CR4_DE | (hw & CR4_FSGSBASE);

    return (hw & from_hw) | (guest & from_guest);
}
