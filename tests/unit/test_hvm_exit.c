// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an exit does: instructions that are completed, with the traps that are due after them; registers of control and
 * debugging; stores that the hypervisor makes for the guest. Memory is one page, as the guest sees it. Each test runs
 * on a processor that tells nothing of instructions, and on one that tells all that it can.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/event.h>
#include <hv/fpu.h>
#include <hv/hvm.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "../../hypervisor/hvm/lapic.h"
#include "fake/fake.h"

#define RIP  0x1000ul
#define FAIL 0x900ul /* where memory ends: accesses fault there */
#define NONE 0xffu

struct cpu_features cpu_features;
static const struct guest_cpu guest = {.phys_bits = 40, .nx = true};
static struct hvm_vcpu h;
static struct domain d;
static struct vcpu v = {.hvm = &h, .domain = &d};
static uint8_t code[INSN_MAX_LEN], memory[PAGE_SIZE];
static enum insn_mode mode;
static unsigned int privilege, gave_up, crashed, blocked;
static bool in_delivery, tells;
static uint64_t invalidated;
static enum shadow_result fault_is;
static bool fault_is_table, exempt, by_entry; /* an entry is enough for what is not emulated */
static enum p2m_type memory_is;               /* on nested paging */

/* ---- the rest of the hypervisor ---- */

static void get_segment(const struct vcpu *of, enum hvm_seg seg, struct hvm_segment *s)
{
    *s = (struct hvm_segment){.base = seg == HVM_FS ? 0x100 : 0, .limit = 0xfff, .attr = seg == HVM_CS ? 0x9b : 0x93};
}

static unsigned int cpl(const struct vcpu *of)
{
    return privilege;
}

static bool delivers(const struct vcpu *of)
{
    return in_delivery;
}

static const struct hvm_ops ops = {.get_segment = get_segment, .cpl = cpl, .in_delivery = delivers};
const struct hvm_ops *hvm_ops = &ops;

enum insn_mode hvm_mode(const struct vcpu *of)
{
    return mode;
}

unsigned int hvm_fetch(struct vcpu *of, uint8_t *buf)
{
    memcpy(buf, code, sizeof(code));
    return sizeof(code);
}

static bool faults(unsigned long linear, unsigned int n)
{
    if (linear + n <= FAIL)
        return false;
    hvm_inject(&v, TRAP_PF, true, 0);
    return true;
}

bool hvm_load(struct vcpu *of, unsigned long linear, void *dst, unsigned int n)
{
    if (faults(linear, n))
        return false;
    memcpy(dst, memory + linear, n);
    return true;
}

bool hvm_store(struct vcpu *of, unsigned long linear, const void *src, unsigned int n)
{
    if (faults(linear, n))
        return false;
    memcpy(memory + linear, src, n);
    return true;
}

static enum emulate_result fetch(struct emul *e, uint64_t linear, uint8_t *buf, unsigned int bytes)
{
    assert_int_equal(linear, RIP);
    memcpy(buf, code, bytes);
    return EMULATE_DONE;
}

static enum emulate_result read(struct emul *e, const struct emul_access *a, uint64_t *value)
{
    value[0] = 0;
    memcpy(value, memory + a->linear, a->bytes);
    return EMULATE_DONE;
}

static enum emulate_result write(struct emul *e, const struct emul_access *a, const uint64_t *value)
{
    if (a->linear + a->bytes > FAIL) {
        e->fault = (struct emul_fault){TRAP_PF, true, PFEC_W, a->linear};
        return EMULATE_FAULT;
    }
    memcpy(memory + a->linear, value, a->bytes);
    return EMULATE_DONE;
}

static enum emulate_result cmpxchg(struct emul *e, const struct emul_access *a, const uint64_t *old,
                                   const uint64_t *new)
{
    return write(e, a, new);
}

enum emulate_result shadow_emulate(struct shadow_vcpu *of, struct emul *e, bool user, bool smap_exempt)
{
    static const struct emul_ops to_memory = {fetch, read, write, cmpxchg};

    assert_false(in_delivery);
    e->ops = &to_memory;
    return emulate_store(e);
}

bool shadow_give_up(struct shadow_vcpu *of, const struct cpu_user_regs *regs, gpa_t at)
{
    gave_up++;
    return true;
}

enum shadow_result shadow_fault(struct shadow_vcpu *of, struct shadow_fault *f)
{
    f->table = fault_is_table;
    exempt = f->smap_exempt;
    return f->not_emulated && by_entry ? SHADOW_FIXED : fault_is;
}

void domain_crash(struct domain *of, const char *fmt, ...)
{
    crashed++;
}

void hvm_triple_fault(struct vcpu *of)
{
    fail();
}

bool shadow_invlpg(struct shadow_vcpu *of, uint64_t linear)
{
    invalidated = linear;
    return linear != FAIL;
}

const struct guest_cpu *shadow_cpu(const struct shadow *s)
{
    return &guest;
}

struct guest_mem shadow_memory(struct shadow *s)
{
    fail();
    return (struct guest_mem){0};
}

struct p2m_entry p2m_lookup(struct domain *of, gfn_t gfn)
{
    assert_true(memory_is < P2M_TYPES);
    return (struct p2m_entry){.type = memory_is};
}

void p2m_stored(struct domain *of, gfn_t gfn)
{
    fail();
}

void hvm_cpuid(struct vcpu *of, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    r[0] = r[1] = r[2] = r[3] = 0x1234;
}

int hvm_read_msr(struct vcpu *of, uint32_t msr, uint64_t *value)
{
    *value = 0x5678;
    return msr ? 0 : -EINVAL;
}

int hvm_write_msr(struct vcpu *of, uint32_t msr, uint64_t value)
{
    return -EINVAL;
}

bool hvm_interrupt_pending(const struct vcpu *of)
{
    blocked++;
    return true;
}

void hvm_stop_for_good(struct vcpu *of)
{
    blocked++;
}

void hvm_hypercall(struct cpu_user_regs *regs)
{
    if (regs->rax)
        regs->rip += 3; /* 0: it is preempted */
}

void hvm_hypercall_32(struct cpu_user_regs *regs)
{
    fail();
}

unsigned int lapic_get_cr8(const struct vcpu *of)
{
    return 0;
}

int lapic_set_cr8(struct vcpu *of, uint64_t value)
{
    return -EINVAL;
}

bool fpu_set_xcr0(struct vcpu *of, uint64_t value)
{
    return false;
}

void hvm_io(struct vcpu *of, const struct vmexit *x)
{
    fail();
}

void raise_softirq(unsigned int nr)
{
    fail();
}

/* ---- running one instruction ---- */

static struct cpu_user_regs *regs(void)
{
    return guest_cpu_user_regs();
}

static int begin(void **state)
{
    tells = *state;
    h = (struct hvm_vcpu){.cr0 = CR0_PE | CR0_ET, .dr6 = HVM_DR6_RESET};
    mode = INSN_64;
    privilege = gave_up = crashed = blocked = 0;
    in_delivery = fault_is_table = by_entry = false;
    fault_is = SHADOW_EMULATE;
    memory_is = P2M_TYPES;
    memset(memory, 0, sizeof(memory));
    *regs() = (struct cpu_user_regs){.rip = RIP, .rflags = EFLAGS_MBS | EFLAGS_RF, .rax = 1, .rcx = 1};
    return 0;
}
#define EXIT_TEST(f)                       \
    cmocka_unit_test_setup(f, begin),      \
    {                                      \
#f "_told", f, begin, NULL, &tells \
    }

static uint64_t operand(const struct insn *in)
{
    uint64_t linear = insn_address(in, regs(), RIP) + (in->seg == SEG_FS ? 0x100 : 0);

    return mode == INSN_64 ? linear : (uint32_t)linear;
}

/* What such a processor says of the instruction in code. False: the hypervisor still has to look at it. */
static bool tell(struct vmexit *x)
{
    struct insn in;

    if (insn_decode(&in, code, sizeof(code), mode))
        return false;
    x->next = RIP + in.len;
    x->has_operand = x->reason == HVM_EXIT_INVLPG || (in.map == 1 && in.opcode >= 0x20 && in.opcode <= 0x23);
    x->mov.to = in.opcode & 2;
    x->mov.nr = in.reg;
    x->mov.rm = in.rm;
    if (x->reason == HVM_EXIT_INVLPG)
        x->linear = operand(&in);
    if (x->reason == HVM_EXIT_PAGE_FAULT || x->reason == HVM_EXIT_NESTED_FAULT) {
        x->next = 0;
        x->fetched = in.len;
        memcpy(x->bytes, code, in.len);
        return true;
    }
    return x->has_operand || (x->reason != HVM_EXIT_CR && x->reason != HVM_EXIT_DR);
}

/* The exception that it ends with, or NONE. */
static unsigned int run(enum hvm_exit_reason reason, const char *bytes, unsigned int n)
{
    struct vmexit x = {.reason = reason};
    unsigned int vector;

    memset(code, 0x90, sizeof(code));
    memcpy(code, bytes, n);
    regs()->rip = RIP;
    if (tells && reason != HVM_EXIT_NOTHING && tell(&x))
        memset(code, 0xcc, sizeof(code)); /* whoever looks finds another one */
    hvm_exit(&v, &x);
    vector = h.exception.valid ? h.exception.vector : NONE;
    h.exception.valid = false;
    return vector;
}
#define RUN(reason, bytes) run(HVM_EXIT_##reason, bytes, sizeof(bytes) - 1)

/* ---- traps after instructions ---- */

static const struct {
    enum hvm_exit_reason reason;
    const char *bytes;
    unsigned int len;
} completed[] = {
    {HVM_EXIT_CPUID, "\x0f\xa2", 2},         {HVM_EXIT_RDMSR, "\x0f\x32", 2},
    {HVM_EXIT_SKIP, "\x0f\x09", 2},          {HVM_EXIT_CR, "\x0f\x06", 2},
    {HVM_EXIT_CR, "\x0f\x20\xc3", 3},        {HVM_EXIT_DR, "\x0f\x21\xf3", 3},
    {HVM_EXIT_HYPERCALL, "\x0f\x01\xd9", 3}, {HVM_EXIT_INVLPG, "\x0f\x01\x38", 3},
    {HVM_EXIT_PAGE_FAULT, "\x89\x0f", 2}, /* mov %ecx, (%rdi) */
    {HVM_EXIT_PAGE_FAULT, "\xf3\xaa", 2}, /* rep stosb, of one */
};

/* With TF a trap follows, and DR6 says why; RF is gone with either. */
static void test_single_step(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(completed); i++)
        for (unsigned int step = 0; step < 2; step++) {
            begin(state);
            if (step)
                regs()->rflags |= EFLAGS_TF;
            assert_int_equal(run(completed[i].reason, completed[i].bytes, completed[i].len), step ? TRAP_DB : NONE);
            assert_int_equal(regs()->rip, RIP + completed[i].len);
            assert_int_equal(regs()->rflags, EFLAGS_MBS | (step ? EFLAGS_TF : 0));
            assert_int_equal(h.dr6, HVM_DR6_RESET | (step ? HVM_DR6_BS : 0));
        }
}

/* An instruction that faults is not done. */
static void test_fault_before_trap(void **state)
{
    regs()->rflags |= EFLAGS_TF;
    regs()->rcx = 0;
    assert_int_equal(RUN(RDMSR, "\x0f\x32"), TRAP_GP);
    regs()->rdi = FAIL;
    assert_int_equal(RUN(PAGE_FAULT, "\x89\x0f"), TRAP_PF);
    assert_int_equal(h.cr2, FAIL);
    assert_int_equal(regs()->rip, RIP);
    assert_true(regs()->rflags & EFLAGS_RF);
    assert_int_equal(h.dr6, HVM_DR6_RESET);
    regs()->rax = 0;
    assert_int_equal(RUN(HYPERCALL, "\x0f\x01\xd9"), NONE); /* it goes on */
}

/* After each element of a repetition. */
static void test_step_through_repetition(void **state)
{
    regs()->rflags |= EFLAGS_TF;
    regs()->rcx = 3;
    regs()->rdi = 0x10;
    for (unsigned int i = 1; i <= 3; i++) {
        h.dr6 = HVM_DR6_RESET;
        assert_int_equal(RUN(PAGE_FAULT, "\xf3\xaa"), TRAP_DB);
        assert_int_equal(regs()->rcx, 3 - i);
        assert_int_equal(regs()->rip, i == 3 ? RIP + 2 : RIP);
        assert_int_equal(h.dr6, HVM_DR6_RESET | HVM_DR6_BS);
    }
    assert_memory_equal(memory + 0xf, "\0\1\1\1\0", 5);
}

/* The trap ends HLT at once. */
static void test_step_over_hlt(void **state)
{
    regs()->rflags |= EFLAGS_TF;
    assert_int_equal(RUN(HLT, "\xf4"), TRAP_DB);
    assert_int_equal(regs()->rip, RIP + 1);
    assert_int_equal(blocked, 0);
    regs()->rflags &= ~EFLAGS_TF;
    assert_int_equal(RUN(HLT, "\xf4"), NONE);
    assert_int_equal(blocked, 1);
}

/* ---- stores to what is watched ---- */

static void test_not_emulated(void **state)
{
    fault_is_table = true;
    assert_int_equal(RUN(PAGE_FAULT, "\x66\x0f\xd6\x07"), NONE); /* movq %xmm0, (%rdi) */
    assert_int_equal(gave_up, 1);
    assert_int_equal(crashed, 0);
    fault_is_table = false; /* nothing can be given up */
    assert_int_equal(RUN(PAGE_FAULT, "\x66\x0f\xd6\x07"), NONE);
    assert_int_equal(gave_up, 1);
    assert_int_equal(crashed, 1);
    assert_int_equal(regs()->rip, RIP);
    by_entry = true; /* past WP: hardware does it */
    assert_int_equal(RUN(PAGE_FAULT, "\x66\x0f\xd6\x07"), NONE);
    in_delivery = true;
    assert_int_equal(RUN(PAGE_FAULT, "\x89\x0f"), NONE);
    assert_int_equal(gave_up, 1);
    assert_int_equal(crashed, 1);
}

/* Where no memory is, what is not emulated ends the program, or what the guest makes of it, and not the guest. */
static void test_no_memory(void **state)
{
    fault_is = SHADOW_MMIO;
    memory_is = P2M_MMIO_DM;
    assert_int_equal(RUN(PAGE_FAULT, "\x89\x0f"), NONE);
    assert_int_equal(RUN(PAGE_FAULT, "\x66\x0f\xd6\x07"), TRAP_GP); /* movq %xmm0, (%rdi) */
    assert_int_equal(RUN(NESTED_FAULT, "\x66\x0f\xd6\x07"), TRAP_GP);
    in_delivery = true; /* of an event: it is not the instruction's */
    assert_int_equal(RUN(PAGE_FAULT, "\x89\x0f"), TRAP_GP);
    assert_int_equal(regs()->rip, RIP);
    assert_int_equal(crashed, 0);
}

/* It is not the instruction that stores when an event is delivered: shadow_emulate says so if it is asked. */
static void test_delivery(void **state)
{
    in_delivery = fault_is_table = true;
    assert_int_equal(RUN(PAGE_FAULT, "\x89\x0f"), NONE);
    assert_int_equal(gave_up, 1);
    assert_int_equal(regs()->rip, RIP);
}

/* AC is for what the supervisor's instructions access: not for user mode, nor for what a processor looks up itself. */
static void test_smap(void **state)
{
    static const struct {
        unsigned int cpl;
        unsigned long flags;
        uint32_t error;
        bool exempt;
    } cases[] = {
        {0, EFLAGS_AC, 0, true},
        {0, EFLAGS_AC, PFEC_W, true},
        {0, EFLAGS_AC, PFEC_W | PFEC_P, true}, /* there is more than SMAP to refuse a store */
        {0, EFLAGS_AC, PFEC_P, false},         /* an explicit one cannot fail so */
        {2, EFLAGS_AC, 0, true},
        {0, 0, 0, false},
        {3, EFLAGS_AC, 0, false}, /* a descriptor table, of a program that has set AC */
        {3, EFLAGS_AC, PFEC_W, false},
    };

    fault_is = SHADOW_FIXED;
    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmexit x = {.reason = HVM_EXIT_PAGE_FAULT, .error = cases[i].error};

        privilege = cases[i].cpl;
        regs()->rflags = EFLAGS_MBS | cases[i].flags;
        hvm_exit(&v, &x);
        assert_int_equal(exempt, cases[i].exempt);
    }
}

/* ---- debug registers ---- */

static void test_debug_registers(void **state)
{
    regs()->rbx = 0xffffffff;
    assert_int_equal(RUN(DR, "\x0f\x23\xf3"), NONE); /* mov %rbx, %dr6 */
    assert_int_equal(h.dr6, 0xffffeffful);
    regs()->rbx = 0;
    RUN(DR, "\x0f\x23\xf3");
    assert_int_equal(h.dr6, HVM_DR6_RESET);
    RUN(DR, "\x0f\x21\xf3"); /* mov %dr6, %rbx */
    assert_int_equal(regs()->rbx, HVM_DR6_RESET);
    RUN(DR, "\x0f\x21\xfb"); /* mov %dr7, %rbx */
    assert_int_equal(regs()->rbx, HVM_DR7_RESET);
    regs()->rbx = 0x1122334455667788;
    RUN(DR, "\x0f\x23\xdb"); /* mov %rbx, %dr3 */
    RUN(DR, "\x0f\x21\xd8"); /* mov %dr3, %rax */
    assert_int_equal(regs()->rax, 0x1122334455667788);
    assert_int_equal(RUN(DR, "\x0f\x23\xf3"), TRAP_GP);     /* upper half of DR6 */
    assert_int_equal(RUN(DR, "\x0f\x23\xfb"), TRAP_GP);     /* and of DR7 */
    assert_int_equal(RUN(DR, "\x44\x0f\x23\xc3"), TRAP_UD); /* DR8 */
    RUN(DR, "\x0f\x21\xe3");                                /* mov %dr4, %rbx: another name */
    assert_int_equal(regs()->rbx, HVM_DR6_RESET);
    h.cr4 = CR4_DE;
    assert_int_equal(RUN(DR, "\x0f\x21\xe3"), TRAP_UD);
    assert_int_equal(h.dr6, HVM_DR6_RESET);
}

/* ---- the machine status word ---- */

static void test_lmsw(void **state)
{
    h.cr0 = CR0_PE | CR0_ET | CR0_WP;
    regs()->rbx = 0xfff0 | CR0_TS | CR0_MP;
    assert_int_equal(RUN(CR, "\x0f\x01\xf3"), NONE);                     /* lmsw %bx */
    assert_int_equal(h.cr0, CR0_PE | CR0_ET | CR0_WP | CR0_TS | CR0_MP); /* PE stays, what lies above too */
    assert_int_equal(regs()->rip, RIP + 3);
    regs()->rbx = 0;
    RUN(CR, "\x0f\x01\xf3");
    assert_int_equal(h.cr0, CR0_PE | CR0_ET | CR0_WP);
    h.cr0 = CR0_ET;
    regs()->rbx = CR0_PE;
    RUN(CR, "\x0f\x01\xf3");
    assert_int_equal(h.cr0, CR0_PE | CR0_ET);
    assert_true(h.paging_due);
    memory[0x122] = CR0_EM | CR0_TS;
    regs()->rbx = 0x20;
    assert_int_equal(RUN(CR, "\x64\x0f\x01\x73\x02"), NONE); /* lmsw %fs:2(%rbx) */
    assert_int_equal(h.cr0, CR0_PE | CR0_ET | CR0_EM | CR0_TS);
    regs()->rbx = FAIL;
    assert_int_equal(RUN(CR, "\x0f\x01\x33"), TRAP_PF);
    regs()->rbx = 1ul << 47;
    assert_int_equal(RUN(CR, "\x0f\x01\x33"), TRAP_GP);
    assert_int_equal(regs()->rip, RIP);
    assert_int_equal(h.cr0, CR0_PE | CR0_ET | CR0_EM | CR0_TS);
    assert_int_equal(RUN(CR, "\x0f\x06"), NONE); /* clts */
    assert_int_equal(h.cr0, CR0_PE | CR0_ET | CR0_EM);
}

static void test_smsw(void **state)
{
    h.cr0 = CR0_PE | CR0_ET | CR0_TS | CR0_PG;
    regs()->rbx = ~0ul;
    assert_int_equal(RUN(CR, "\x66\x0f\x01\xe3"), NONE); /* smsw %bx */
    assert_int_equal(regs()->rbx, 0xffffffffffff0000 | (h.cr0 & 0xffff));
    RUN(CR, "\x0f\x01\xe3"); /* smsw %ebx */
    assert_int_equal(regs()->rbx, h.cr0);
    regs()->rbx = ~0ul;
    RUN(CR, "\x48\x0f\x01\xe3");
    assert_int_equal(regs()->rbx, h.cr0);
    memset(memory, 0xee, sizeof(memory));
    regs()->rbx = 0x40;
    privilege = 3;                                       /* anybody may */
    assert_int_equal(RUN(CR, "\x48\x0f\x01\x23"), NONE); /* smsw (%rbx): a word */
    assert_int_equal(memory[0x40], h.cr0 & 0xff);
    assert_int_equal(memory[0x41] | memory[0x3f] << 8 | memory[0x42] << 16, 0xeeee00);
    regs()->rbx = FAIL - 1;
    assert_int_equal(RUN(CR, "\x0f\x01\x23"), TRAP_PF);
    mode = INSN_32; /* segments have ends */
    regs()->rbx = 0xfff;
    assert_int_equal(RUN(CR, "\x0f\x01\x23"), TRAP_GP);
    regs()->rbx = 0x40;
    assert_int_equal(RUN(CR, "\x2e\x0f\x01\x23"), TRAP_GP); /* a code segment: no reason to end the domain */
    assert_int_equal(regs()->rip, RIP);
    assert_int_equal(crashed, 0);
}

/* Which address it is about, by segment and mode; what shadows do not do for one address is done for all. */
static void test_invlpg(void **state)
{
    regs()->rdi = 0x123456789000;
    assert_int_equal(RUN(INVLPG, "\x0f\x01\x3f"), NONE); /* (%rdi) */
    assert_int_equal(invalidated, 0x123456789000);
    assert_int_equal(RUN(INVLPG, "\x64\x0f\x01\x7f\x08"), NONE); /* %fs:8(%rdi) */
    assert_int_equal(invalidated, 0x123456789108);
    assert_int_equal(RUN(INVLPG, "\x26\x67\x0f\x01\x3f"), NONE); /* %es:(%edi) */
    assert_int_equal(invalidated, 0x56789000);
    mode = INSN_32;
    regs()->rdi = 0xffffff80;
    assert_int_equal(RUN(INVLPG, "\x64\x0f\x01\x7f\x08"), NONE); /* %fs:8(%edi): around the end */
    assert_int_equal(invalidated, 0x88);
    assert_false(h.paging_due);
    regs()->rdi = FAIL;
    assert_int_equal(RUN(INVLPG, "\x0f\x01\x3f"), NONE);
    assert_true(h.paging_due);
}

/* Others of the group, and other instructions: it was changed since the processor looked at it. */
static void test_other_instruction(void **state)
{
    assert_int_equal(RUN(CR, "\x0f\x01\x3b"), TRAP_UD); /* invlpg */
    assert_int_equal(RUN(CR, "\x89\x0f"), TRAP_UD);
    assert_int_equal(RUN(DR, "\x89\x0f"), TRAP_UD);
    assert_int_equal(regs()->rip, RIP);
}

/* On nested paging: code is not fetched from memory that is another domain's, and nothing else is wrong with it. */
static void test_borrowed_memory(void **state)
{
    for (memory_is = P2M_RAM_RW; memory_is < P2M_TYPES; memory_is++)
        for (unsigned int write = 0; write < 2; write++) {
            struct vmexit x = {.reason = HVM_EXIT_NESTED_FAULT, .error = write ? PFEC_W : PFEC_I};
            bool own = memory_is <= P2M_LOGDIRTY;

            if (write && (memory_is == P2M_RAM_RO || memory_is == P2M_GRANT_RO || memory_is == P2M_LOGDIRTY))
                continue;
            hvm_exit(&v, &x);
            assert_int_equal(h.exception.valid, !write && !own);
            assert_true(own || write || h.exception.vector == TRAP_UD);
            h.exception.valid = false;
        }
}

/*
 * User mode gets here by SMSW. Another thread puts a privileged instruction in its place before it is fetched: that one
 * is not done.
 */
static void test_smsw_replaced(void **state)
{
    static const char *const others[] = {
        "\x0f\x22\xd8", /* mov %rax, %cr3 */
        "\x0f\x22\xe0", /* mov %rax, %cr4 */
        "\x0f\x22\xc0", /* mov %rax, %cr0 */
        "\x0f\x20\xd8", /* mov %cr3, %rax */
        "\x0f\x01\xf0", /* lmsw %ax */
        "\x0f\x06",     /* clts */
    };

    for (privilege = 1; privilege <= 3; privilege++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
            h.cr0 = CR0_PE | CR0_ET | CR0_TS;
            h.cr3 = 0x5000;
            regs()->rax = CR4_PAE | CR4_PSE;
            assert_int_equal(run(HVM_EXIT_CR, others[i], (unsigned int)strlen(others[i])), TRAP_GP);
            assert_int_equal(regs()->rip, RIP);
            assert_int_equal(regs()->rax, CR4_PAE | CR4_PSE);
            assert_int_equal(h.cr0, CR0_PE | CR0_ET | CR0_TS);
            assert_int_equal(h.cr3, 0x5000);
            assert_int_equal(h.cr4, 0);
        }
        assert_int_equal(RUN(CR, "\x0f\x01\xe0"), NONE); /* smsw %eax */
        assert_int_equal(regs()->rax, CR0_PE | CR0_ET | CR0_TS);
    }
}

/* Where the next one begins is not told, and is no number of bytes from 0 either. */
static void test_end_of_memory(void **state)
{
    struct vmexit x = {.reason = HVM_EXIT_CPUID};

    memcpy(code, "\x0f\xa2", 2);
    regs()->rip = -4ul;
    hvm_exit(&v, &x);
    assert_int_equal(regs()->rip, -2ul);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXIT_TEST(test_end_of_memory),
        EXIT_TEST(test_single_step),
        EXIT_TEST(test_fault_before_trap),
        EXIT_TEST(test_step_through_repetition),
        EXIT_TEST(test_step_over_hlt),
        EXIT_TEST(test_not_emulated),
        EXIT_TEST(test_no_memory),
        EXIT_TEST(test_delivery),
        EXIT_TEST(test_smap),
        EXIT_TEST(test_debug_registers),
        EXIT_TEST(test_lmsw),
        EXIT_TEST(test_smsw),
        EXIT_TEST(test_smsw_replaced),
        EXIT_TEST(test_invlpg),
        EXIT_TEST(test_other_instruction),
        EXIT_TEST(test_borrowed_memory),
    };

    return cmocka_run_group_tests_name("hvm: exits", tests, NULL, NULL);
}
