/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port I/O of PV guests. Two questions are asked of each access: may this mode of the guest use the port (virtual IOPL,
 * then the I/O bitmap of the guest kernel), else #GP; and does the domain own the port, else reads give ones and writes
 * are dropped, as on a bus without a device - Linux probes some.
 *
 * The address latch of configuration space is the vCPU's own, because the hypervisor uses ports 0xcf8 and 0xcfc as
 * well.
 */
#include <hv/guest_copy.h>
#include <hv/pci.h>
#include "internal.h"

#define PORT_PCI_ADDRESS 0xcf8
#define PORT_PCI_DATA    0xcfc

/* INS and OUTS: iterations done before the instruction is looked at again. */
#define STRING_BATCH 64u

static bool iopl_ok(const struct vcpu *v)
{
    unsigned int architectural = v->domain->vm_assist & (1ul << VMASST_TYPE_architectural_iopl) ? 1 : 0;
    unsigned int ring = v->pv.kernel_mode ? (architectural ? 0 : 1) : 3;

    return v->pv.iopl >= ring;
}

/* The bitmap lies in the guest kernel's memory; a clear bit allows. Two bytes are read: an access may straddle one. */
static bool bitmap_allows(struct vcpu *v, unsigned int port, unsigned int bytes)
{
    uint8_t pair[2] = {0xff, 0xff};
    bool user = !v->pv.kernel_mode, fault;
    unsigned int mask = (1u << bytes) - 1;

    if (port + bytes > v->pv.iobmp_limit)
        return false;
    if (user)
        pv_toggle_mode(v);
    fault = guest_copy_from(pair, (void *)(v->pv.iobmp + port / 8), (port & 7) + bytes > 8 ? 2 : 1);
    if (user)
        pv_toggle_mode(v);
    return !fault && !((((unsigned int)pair[1] << 8 | pair[0]) >> (port & 7)) & mask);
}

static bool guest_may_use(struct vcpu *v, unsigned int port, unsigned int bytes)
{
    return iopl_ok(v) || bitmap_allows(v, port, bytes);
}

static uint32_t ones(unsigned int bytes)
{
    return bytes == 4 ? ~0u : (1u << (8 * bytes)) - 1;
}

static bool is_pci_data(unsigned int port, unsigned int bytes)
{
    return port >= PORT_PCI_DATA && port + bytes <= PORT_PCI_DATA + 4;
}

static uint32_t port_read(struct vcpu *v, unsigned int port, unsigned int bytes)
{
    if (!ioport_permitted(v->domain, port, bytes))
        return ones(bytes);
    if (port == PORT_PCI_ADDRESS && bytes == 4)
        return v->pv.pci_cf8;
    if (is_pci_data(port, bytes))
        return pci_port_read(v->pv.pci_cf8, port - PORT_PCI_DATA, bytes);
    switch (bytes) {
    case 1:
        return inb((uint16_t)port);
    case 2:
        return inw((uint16_t)port);
    default:
        return inl((uint16_t)port);
    }
}

static void port_write(struct vcpu *v, unsigned int port, unsigned int bytes, uint32_t value)
{
    if (!ioport_permitted(v->domain, port, bytes))
        return;
    if (port == PORT_PCI_ADDRESS && bytes == 4) {
        v->pv.pci_cf8 = value;
        return;
    }
    if (is_pci_data(port, bytes)) {
        pci_port_write(v->pv.pci_cf8, port - PORT_PCI_DATA, bytes, value);
        return;
    }
    switch (bytes) {
    case 1:
        outb((uint16_t)port, (uint8_t)value);
        break;
    case 2:
        outw((uint16_t)port, (uint16_t)value);
        break;
    default:
        outl((uint16_t)port, value);
        break;
    }
}

static unsigned int io_bytes(const struct insn *in)
{
    return in->op_bytes == 8 ? 4 : in->op_bytes; /* REX.W does not widen port I/O */
}

enum emul_result pv_emul_io(struct pv_emul *e)
{
    const struct insn *in = &e->insn;
    bool out = in->opcode & 2;
    unsigned int bytes = io_bytes(in);
    unsigned int port = in->opcode < 0xe8 ? (uint8_t)in->imm : (uint16_t)e->regs->rdx;

    if (!guest_may_use(e->v, port, bytes))
        return EMUL_REFUSED;
    if (out)
        port_write(e->v, port, bytes, (uint32_t)e->regs->rax & ones(bytes));
    else
        insn_write_reg(e->regs, 0, bytes, true, port_read(e->v, port, bytes));
    return EMUL_DONE;
}

/* Base that is added to a string operand's offset. In 64-bit code only FS and GS have one. */
static unsigned long string_base(const struct pv_emul *e, bool out)
{
    enum insn_seg seg = out ? e->insn.seg : SEG_ES;
    uint16_t sel;
    uint64_t desc;

    if (seg == SEG_FS)
        return rdmsr(MSR_FS_BASE);
    if (seg == SEG_GS)
        return rdmsr(MSR_GS_BASE);
    if (e->long_mode)
        return 0;
    if (out)
        __asm__ __volatile__("mov %%ds, %0" : "=r"(sel));
    else
        __asm__ __volatile__("mov %%es, %0" : "=r"(sel));
    if (!pv_read_descriptor(e->v, sel, &desc))
        return 0;
    return ((desc >> 16) & 0xffffff) | ((desc >> 32) & 0xff000000);
}

/* One element between memory and the port; false: a page fault was injected. */
static bool string_element(struct pv_emul *e, unsigned long linear, unsigned int bytes, bool out)
{
    unsigned int port = (uint16_t)e->regs->rdx;
    uint32_t value = 0;
    int rc;

    if (out) {
        rc = guest_copy_from(&value, (void *)linear, bytes);
        if (!rc)
            port_write(e->v, port, bytes, value);
    } else {
        /* Fault before the device is read, not after: the datum would be lost. */
        rc = guest_copy_from(&value, (void *)linear, bytes) || guest_copy_to((void *)linear, &value, bytes);
        if (!rc) {
            value = port_read(e->v, port, bytes);
            rc = guest_copy_to((void *)linear, &value, bytes);
        }
    }
    if (rc)
        pv_inject_page_fault(e->v, out ? 0 : PFEC_W, linear);
    return !rc;
}

/* Forms with 67 prefix are refused: nobody writes them. */
enum emul_result pv_emul_ins_outs(struct pv_emul *e)
{
    const struct insn *in = &e->insn;
    bool out = in->opcode & 2, rep = in->rep || in->repne;
    unsigned int bytes = io_bytes(in);
    uint64_t *ptr = out ? &e->regs->rsi : &e->regs->rdi, width = e->long_mode ? ~0ull : 0xffffffffull;
    int64_t step = e->regs->rflags & EFLAGS_DF ? -(int64_t)bytes : (int64_t)bytes;
    unsigned long base = string_base(e, out);

    if (in->addrsize || !guest_may_use(e->v, (uint16_t)e->regs->rdx, bytes))
        return EMUL_REFUSED;
    for (unsigned int i = 0; i < STRING_BATCH; i++) {
        if (rep && !(e->regs->rcx & width))
            return EMUL_DONE;
        if (!string_element(e, (base + (*ptr & width)) & width, bytes, out))
            return EMUL_FAULTED;
        *ptr = (*ptr + (uint64_t)step) & width;
        if (!rep)
            return EMUL_DONE;
        e->regs->rcx = (e->regs->rcx - 1) & width;
    }
    return e->regs->rcx & width ? EMUL_RETRY : EMUL_DONE;
}
