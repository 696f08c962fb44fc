/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Privileged instructions of PV guests. They run in ring 3, so these fault with #GP, or #UD for the forced form of
 * CPUID. What Linux needs is completed here, as the table says; everything else stays the guest's fault.
 *
 * The instruction's bytes are fetched once. Another vCPU may change them meanwhile: each form re-checks what it may do,
 * not what the processor objected to.
 */
#include <hv/fpu.h>
#include <hv/guest_copy.h>
#include <hv/sched.h>
#include "internal.h"

#define FORCED_PREFIX_LEN 5

bool pv_long_mode(struct vcpu *v, const struct cpu_user_regs *regs, unsigned long *cs_base)
{
    uint64_t desc;

    *cs_base = 0;
    if (regs->cs == FLAT_RING3_CS64)
        return true;
    if (regs->cs == FLAT_RING3_CS32 || !pv_read_descriptor(v, regs->cs, &desc))
        return false;
    if (desc & (1ull << 53)) /* L */
        return true;
    *cs_base = ((desc >> 16) & 0xffffff) | ((desc >> 32) & 0xff000000);
    return false;
}

/* Up to INSN_MAX_LEN bytes at the instruction pointer; as many as there are before a page that is not there. */
static size_t fetch_bytes(struct pv_emul *e, uint8_t *buf)
{
    size_t first = MIN((size_t)INSN_MAX_LEN, PAGE_SIZE - (e->rip & (PAGE_SIZE - 1)));

    if (guest_copy_from(buf, (void *)e->rip, first))
        return 0;
    if (first < INSN_MAX_LEN && !guest_copy_from(buf + first, (void *)(e->rip + first), INSN_MAX_LEN - first))
        return INSN_MAX_LEN;
    return first;
}

bool pv_emul_fetch(struct pv_emul *e)
{
    uint8_t buf[INSN_MAX_LEN];
    unsigned long cs_base;
    size_t n;

    e->long_mode = pv_long_mode(e->v, e->regs, &cs_base);
    e->rip = e->long_mode ? e->regs->rip : (uint32_t)(cs_base + e->regs->rip);
    n = fetch_bytes(e, buf);
    return n && insn_decode(&e->insn, buf, n, e->long_mode ? INSN_64 : INSN_32) == 0 && !e->insn.lock;
}

static void finish(struct pv_emul *e, unsigned int bytes)
{
    struct cpu_user_regs *regs = e->regs;

    regs->rip += bytes;
    if (!e->long_mode)
        regs->rip = (uint32_t)regs->rip;
    regs->rflags &= ~EFLAGS_RF;
    if (regs->rflags & EFLAGS_TF) {
        e->v->pv.dr6 |= 1ul << 14;
        pv_inject(e->v, TRAP_DB, 0);
    }
}

static void set_pair(struct cpu_user_regs *regs, uint64_t value)
{
    regs->rax = (uint32_t)value;
    regs->rdx = value >> 32;
}

static uint64_t get_pair(const struct cpu_user_regs *regs)
{
    return (uint32_t)regs->rax | (regs->rdx << 32);
}

/* ---- control and debug registers ---- */

static enum emul_result write_cr3_guest(struct vcpu *v, unsigned long value)
{
    int rc = pv_set_base(v, _mfn(xen_cr3_to_pfn(value)), v->pv.l4_user);

    if (rc && rc != -ERESTART)
        return EMUL_REFUSED;
    switch_cr3(pv_cr3(v));
    return rc ? EMUL_RETRY : EMUL_DONE;
}

static enum emul_result mov_from_cr(struct pv_emul *e)
{
    struct vcpu *v = e->v;
    unsigned long value;

    switch (e->insn.reg) {
    case 0:
        value = (read_cr0() & ~CR0_TS) | (v->pv.cr0_guest & CR0_TS);
        break;
    case 2:
        value = v->pv.cr2;
        break;
    case 3:
        value = xen_pfn_to_cr3(mfn_x(v->pv.l4_kernel));
        break;
    case 4:
        value = pv_cr4_shown(read_cr4(), v->pv.cr4_guest);
        break;
    default:
        return EMUL_REFUSED;
    }
    insn_write_reg(e->regs, e->insn.rm, 8, true, value);
    return EMUL_DONE;
}

static enum emul_result write_cr0_guest(struct vcpu *v, unsigned long value)
{
    if ((value ^ read_cr0()) & ~CR0_TS) {
        gprintk("CR0 %lx refused: only TS can be changed\n", value);
        return EMUL_REFUSED;
    }
    pv_fpu_taskswitch(v, value & CR0_TS);
    return EMUL_DONE;
}

static enum emul_result mov_to_cr(struct pv_emul *e)
{
    unsigned long value = insn_read_reg(e->regs, e->insn.rm, 8, true);
    struct vcpu *v = e->v;

    switch (e->insn.reg) {
    case 0:
        return write_cr0_guest(v, value);
    case 2:
        v->pv.cr2 = value;
        WRITE_ONCE(v->vcpu_info->arch.cr2, value);
        return EMUL_DONE;
    case 3:
        return write_cr3_guest(v, value);
    case 4:
        v->pv.cr4_guest = value;
        return EMUL_DONE;
    default:
        return EMUL_REFUSED;
    }
}

static enum emul_result mov_dr(struct pv_emul *e, bool write)
{
    unsigned int reg = e->insn.reg & 7;

    if (e->insn.reg > 7)
        return EMUL_REFUSED;
    if (!write) {
        insn_write_reg(e->regs, e->insn.rm, 8, true, pv_get_debugreg(e->v, reg));
        return EMUL_DONE;
    }
    return pv_set_debugreg(e->v, reg, insn_read_reg(e->regs, e->insn.rm, 8, true)) ? EMUL_REFUSED : EMUL_DONE;
}

/* ---- MSRs, CPUID, XCR0 ---- */

static enum emul_result emul_rdmsr(struct pv_emul *e)
{
    uint32_t msr = (uint32_t)e->regs->rcx;
    uint64_t value;

    if (pv_rdmsr(e->v, msr, &value)) {
        /* The ABI spares kernels that have no handlers yet. */
        if (e->v->pv.trap[TRAP_GP].address)
            return EMUL_REFUSED;
        value = 0;
    }
    set_pair(e->regs, value);
    return EMUL_DONE;
}

static enum emul_result emul_wrmsr(struct pv_emul *e)
{
    return pv_wrmsr(e->v, (uint32_t)e->regs->rcx, get_pair(e->regs)) ? EMUL_REFUSED : EMUL_DONE;
}

static void emul_cpuid(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint32_t r[4];

    pv_cpuid(v, (uint32_t)regs->rax, (uint32_t)regs->rcx, r);
    regs->rax = r[0];
    regs->rbx = r[1];
    regs->rcx = r[2];
    regs->rdx = r[3];
}

static enum emul_result emul_xsetbv(struct pv_emul *e)
{
    if ((uint32_t)e->regs->rcx || !fpu_set_xcr0(e->v, get_pair(e->regs)))
        return EMUL_REFUSED;
    return EMUL_DONE;
}

static enum emul_result emul_rdtsc(struct pv_emul *e)
{
    if (!e->v->pv.kernel_mode && (e->v->pv.cr4_guest & CR4_TSD))
        return EMUL_REFUSED;
    set_pair(e->regs, rdtsc());
    return EMUL_DONE;
}

static enum emul_result emul_rdtscp(struct pv_emul *e)
{
    enum emul_result result = emul_rdtsc(e);

    if (result == EMUL_DONE)
        e->regs->rcx = e->v->pv.tsc_aux;
    return result;
}

/* Group 0f 01: XSETBV and RDTSCP by their whole modrm byte. */
static enum emul_result emul_group7(struct pv_emul *e, bool kernel)
{
    switch (e->insn.modrm) {
    case 0xd1:
        return kernel ? emul_xsetbv(e) : EMUL_REFUSED;
    case 0xf9:
        return emul_rdtscp(e);
    default:
        return EMUL_REFUSED;
    }
}

/* ---- the table ---- */

static bool iopl_allows(const struct vcpu *v)
{
    bool architectural = v->domain->vm_assist & (1ul << VMASST_TYPE_architectural_iopl);

    return v->pv.kernel_mode && v->pv.iopl >= (architectural ? 0u : 1u);
}

static enum emul_result emul_map0(struct pv_emul *e)
{
    switch (e->insn.opcode) {
    case 0x6c ... 0x6f:
        return pv_emul_ins_outs(e);
    case 0xe4 ... 0xe7:
    case 0xec ... 0xef:
        return pv_emul_io(e);
    case 0xf4: /* HLT: giving up the CPU is all that can be promised, since the mask decides about wake-ups */
        if (!e->v->pv.kernel_mode)
            return EMUL_REFUSED;
        vcpu_yield();
        return EMUL_DONE;
    case 0xfa: /* CLI, STI: skipped. POPF cannot be followed, so acting on them would only lead to lost interrupts. */
    case 0xfb:
        return iopl_allows(e->v) ? EMUL_DONE : EMUL_REFUSED;
    default:
        return EMUL_REFUSED;
    }
}

/* Two-byte opcodes that only the guest kernel may use. */
static enum emul_result emul_map1_kernel(struct pv_emul *e)
{
    switch (e->insn.opcode) {
    case 0x06: /* CLTS */
        pv_fpu_taskswitch(e->v, false);
        return EMUL_DONE;
    case 0x08: /* INVD, WBINVD: memory is coherent; only a domain with devices has a use for the cache flush */
    case 0x09:
        if (e->v->domain->is_control)
            __asm__ __volatile__("wbinvd" ::: "memory");
        return EMUL_DONE;
    case 0x20:
        return mov_from_cr(e);
    case 0x21:
        return mov_dr(e, false);
    case 0x22:
        return mov_to_cr(e);
    case 0x23:
        return mov_dr(e, true);
    case 0x30:
        return emul_wrmsr(e);
    case 0x32:
        return emul_rdmsr(e);
    default:
        return EMUL_REFUSED;
    }
}

static enum emul_result emul_map1(struct pv_emul *e)
{
    switch (e->insn.opcode) {
    case 0x01:
        return emul_group7(e, e->v->pv.kernel_mode);
    case 0x31:
        return emul_rdtsc(e);
    case 0xa2:
        emul_cpuid(e->v, e->regs);
        return EMUL_DONE;
    default:
        return e->v->pv.kernel_mode ? emul_map1_kernel(e) : EMUL_REFUSED;
    }
}

bool pv_emulate_privileged(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct pv_emul e = {.v = v, .regs = regs};
    enum emul_result result = EMUL_REFUSED;

    if (!pv_emul_fetch(&e))
        return false;
    if (e.insn.map == 0)
        result = emul_map0(&e);
    else if (e.insn.map == 1)
        result = emul_map1(&e);
    if (result == EMUL_DONE)
        finish(&e, e.insn.len);
    return result != EMUL_REFUSED;
}

bool pv_emulate_forced_cpuid(struct vcpu *v, struct cpu_user_regs *regs)
{
    static const uint8_t code[] = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2};
    struct pv_emul e = {.v = v, .regs = regs};
    uint8_t buf[sizeof(code)];
    unsigned long cs_base;

    e.long_mode = pv_long_mode(v, regs, &cs_base);
    e.rip = e.long_mode ? regs->rip : (uint32_t)(cs_base + regs->rip);
    if (guest_copy_from(buf, (void *)e.rip, sizeof(buf)) || memcmp(buf, code, sizeof(code)))
        return false;
    emul_cpuid(v, regs);
    finish(&e, sizeof(code));
    return true;
}

/*
 * INT n met a gate of DPL 0. The error code should name the vector, but emulators get it wrong in 64-bit mode (they
 * scale by 16): the instruction itself is the better witness.
 */
bool pv_emulate_int(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct pv_emul e = {.v = v, .regs = regs};
    const struct trap_info *t;
    unsigned int vector;

    if (!pv_emul_fetch(&e) || e.insn.map != 0)
        return false;
    if (e.insn.opcode == 0xcd)
        vector = (uint8_t)e.insn.imm;
    else if (e.insn.opcode == 0xcc)
        vector = TRAP_BP;
    else if (e.insn.opcode == 0xce && !e.long_mode)
        vector = TRAP_OF;
    else
        return false;
    t = &v->pv.trap[array_index_nospec(vector, ARRAY_SIZE(v->pv.trap))];
    if (TI_GET_DPL(t) < (v->pv.kernel_mode ? 1 : 3) || !t->address)
        return false;
    regs->rip += e.insn.len;
    pv_bounce(v, &(struct pv_bounce){.rip = t->address, .mask_events = TI_GET_IF(t)});
    return true;
}
