// SPDX-License-Identifier: BSD-2-Clause
/*
 * I/O ports of guests on hardware virtualisation: there are none. What is read is all ones, what is written goes
 * nowhere, but for what is written to the port by which Xen's guests write a log. A repeated instruction is done in
 * pieces, between which the guest may be interrupted as it may on a processor.
 */
#include <hv/console.h>
#include <hv/hvm.h>
#include <hv/x86.h>

#define LOG_PORT       0xe9
#define REPEAT_AT_ONCE 64ul
#define STORES_AT_ONCE 2ul /* each may be to two page tables */

/* A line goes to the log when it ends, or when there is no more room for it. */
static void log_character(struct vcpu *v, char c)
{
    struct hvm_vcpu *h = v->hvm;

    if (c >= ' ' && c <= '~')
        h->line[h->line_len++] = c;
    if (c != '\n' && h->line_len < sizeof(h->line) - 1)
        return;
    h->line[h->line_len] = '\0';
    h->line_len = 0;
    gprintk("%s\n", h->line);
}

static unsigned long low(unsigned long value, unsigned int bytes)
{
    return value & insn_mask(bytes);
}

/* One element of INS. False: it faults, or is to be tried again. */
static bool store_element(struct vcpu *v, unsigned long offset, unsigned int bytes)
{
    static const uint32_t ones = ~0u;
    struct hvm_segment es = {0};

    if (hvm_mode(v) == INSN_64)
        return hvm_store(v, offset, &ones, bytes);
    hvm_ops->get_segment(v, HVM_ES, &es);
    if (offset > es.limit || es.limit - offset < bytes - 1) {
        hvm_inject(v, TRAP_GP, true, 0);
        return false;
    }
    return hvm_store(v, (uint32_t)(es.base + offset), &ones, bytes);
}

/*
 * As many elements as are done at once, only one when a trap is due after each; the registers say how far it has come.
 * False: there are more, or a fault was injected. What OUTS writes is not looked at, its memory neither.
 */
static bool do_elements(struct vcpu *v, const struct insn *in, const struct vmexit *x)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    unsigned int width = in->addr_bytes, reg = x->io.in ? 7 : 6; /* DI, SI */
    bool repeated = in->rep || in->repne;
    unsigned long count = repeated ? low(regs->rcx, width) : 1;
    unsigned long n = MIN(count, regs->rflags & EFLAGS_TF ? 1 : x->io.in ? STORES_AT_ONCE : REPEAT_AT_ONCE);

    for (unsigned long i = 0; i < n; i++) {
        unsigned long at = insn_read_reg(regs, reg, 8, true);

        if (x->io.in && !store_element(v, low(at, width), x->io.bytes))
            return false;
        insn_write_reg(regs, reg, width, true, regs->rflags & EFLAGS_DF ? at - x->io.bytes : at + x->io.bytes);
        if (repeated)
            insn_write_reg(regs, 1, width, true, regs->rcx - 1);
    }
    if (n < count)
        hvm_completed(v);
    return n == count;
}

static bool do_string(struct vcpu *v, const struct vmexit *x)
{
    uint8_t bytes[INSN_MAX_LEN];
    unsigned int n = hvm_fetch(v, bytes);
    struct insn in;

    if (!n)
        return false;
    if (insn_decode(&in, bytes, n, hvm_mode(v)) || in.map || in.opcode < 0x6c || in.opcode > 0x6f ||
        (in.opcode < 0x6e) != x->io.in) {
        hvm_inject(v, TRAP_UD, false, 0); /* it was another one when the processor looked at it */
        return false;
    }
    return do_elements(v, &in, x);
}

void hvm_io(struct vcpu *v, const struct vmexit *x)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    if (x->io.string) {
        if (!do_string(v, x))
            return;
    } else if (x->io.in) {
        insn_write_reg(regs, 0, x->io.bytes, true, insn_mask(x->io.bytes));
    } else if (x->io.port == LOG_PORT && x->io.bytes == 1) {
        log_character(v, (char)regs->rax);
    }
    regs->rip = x->next;
    hvm_completed(v);
}
