// SPDX-License-Identifier: BSD-2-Clause
/* What guests on hardware virtualisation see by CPUID, MSRs and I/O ports. The PV policy is an invented one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/cpuid.h>
#include <hv/console.h>
#include <hv/hvm.h>
#include <hv/x86.h>
#include "../../hypervisor/hvm/lapic.h"
#include "fake/fake.h"

#define NONE XEN_CPUID_NO_SUBLEAF

struct cpu_features cpu_features = {.smep = true, .fsgsbase = true, .rdtscp = true, .syscall32 = true};
struct cpuid_policy pv_cpuid_policy;
static const struct cpuid_policy machine = {.count = 6,
                                            .leaf = {{0, NONE, 0xd, 1, 2, 3},
                                                     {1, NONE, 0x600f20, 0x10800, 1u << 26 | 1u << 31, 0x11},
                                                     {7, 0, 0, 0x20, 0, 0},
                                                     {0xb, 0, 0, 0, 0, 0},
                                                     {0x80000001, NONE, 0, 0, 0x33, 0x20100800},
                                                     {0x80000008, NONE, 0x3034, 0, 0, 0}}};
static const struct guest_cpu guest = {.phys_bits = 40, .nx = true};
static struct lapic lapic;
static struct hvm_vcpu h;
static struct vcpu v, *table[] = {&v};
static struct domain d = {.id = 17, .paging_pool = (struct paging_pool *)&d, .vcpu = table};
static struct vcpu v = {.hvm = &h, .domain = &d, .vcpu_id = 3};
static struct hvm_segment es;
static enum insn_mode mode;
static uint8_t code[INSN_MAX_LEN], memory[4 * PAGE_SIZE], *page = memory;
static unsigned int stores, fault_at, injected, completed;
static uint64_t kept, tsc_aux;
static char logged[256];

/* ---- the rest of the hypervisor ---- */

void hvm_latch_width(struct domain *of)
{
}

void time_update_vcpu(struct vcpu *of)
{
}

const struct cpuid_policy *domain_cpuid_policy(const struct domain *of)
{
    return &hvm_cpuid_policy;
}

void cpuid_of_policy(const struct vcpu *of, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    memset(r, 0, 16);
    for (unsigned int i = 0; i < hvm_cpuid_policy.count; i++)
        if (hvm_cpuid_policy.leaf[i].leaf == leaf)
            memcpy(r, &hvm_cpuid_policy.leaf[i].a, 16);
}

void cpuid_hypervisor_leaf(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    r[2] = leaf;
}

int lapic_read_msr(struct vcpu *of, uint32_t msr, uint64_t *value)
{
    *value = lapic.base;
    return msr == MSR_APIC_BASE ? 0 : -EINVAL;
}

int lapic_write_msr(struct vcpu *of, uint32_t msr, uint64_t value)
{
    return -EINVAL;
}

const struct guest_cpu *shadow_cpu(const struct shadow *s)
{
    return &guest;
}

static bool read_msr(const struct vcpu *of, uint32_t msr, uint64_t *value)
{
    *value = kept;
    return msr == MSR_PAT;
}

static bool write_msr(struct vcpu *of, uint32_t msr, uint64_t value)
{
    if (msr == MSR_PAT)
        kept = value;
    return msr == MSR_PAT;
}

static void get_segment(const struct vcpu *of, enum hvm_seg seg, struct hvm_segment *s)
{
    assert_int_equal(seg, HVM_ES);
    *s = es;
}

static const struct hvm_ops ops = {.read_msr = read_msr, .write_msr = write_msr, .get_segment = get_segment};
const struct hvm_ops *hvm_ops = &ops;

int wrmsr_safe(uint32_t msr, uint64_t value)
{
    assert_int_equal(msr, MSR_TSC_AUX);
    tsc_aux = value;
    return 0;
}

int hvm_set_efer(struct vcpu *of, uint64_t value)
{
    h.efer = value;
    return 0;
}

int shadow_write(struct domain *of, gpa_t at, unsigned int bytes, const void *src)
{
    if (at.n + bytes > sizeof(memory))
        return -EFAULT;
    memcpy(page + at.n, src, bytes);
    return 0;
}

enum insn_mode hvm_mode(const struct vcpu *of)
{
    return mode;
}

unsigned int hvm_fetch(struct vcpu *of, uint8_t *buf)
{
    memcpy(buf, code, sizeof(code));
    return sizeof(code);
}

void hvm_inject(struct vcpu *of, unsigned int vector, bool has_error, uint32_t error)
{
    injected = vector;
}

bool hvm_completed(struct vcpu *of)
{
    completed++;
    return false;
}

bool hvm_store(struct vcpu *of, unsigned long linear, const void *src, unsigned int n)
{
    if (++stores == fault_at) {
        injected = TRAP_PF;
        return false;
    }
    assert_true(linear + n <= sizeof(memory));
    memcpy(memory + linear, src, n);
    return true;
}

void __wrap_gprintk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void __wrap_gprintk(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), fmt, ap);
    va_end(ap);
}

static int begin(void **state)
{
    pv_cpuid_policy = machine;
    hvm_cpuid_init();
    lapic.base = LAPIC_MMIO | LAPIC_BASE_EN;
    h = (struct hvm_vcpu){.lapic = &lapic};
    hvm_msr_init(&v);
    es = (struct hvm_segment){.limit = ~0u};
    mode = INSN_64;
    memset(memory, 0, sizeof(memory));
    stores = fault_at = injected = completed = 0;
    logged[0] = 0;
    *guest_cpu_user_regs() = (struct cpu_user_regs){.rip = 0x1000, .rflags = 2};
    return 0;
}
#define INSN_TEST(f) cmocka_unit_test_setup(f, begin)

/* ---- CPUID ---- */

static void test_features(void **state)
{
    uint32_t r[4], host[4];

    cpuid(1, 0, host);
    hvm_cpuid(&v, 1, 0, r);
    assert_int_equal(r[0], 0x600f20);
    assert_int_equal(r[1], 6u << 24 | 0x10800); /* APIC id */
    assert_int_equal(r[2], 1u << 21 | 1u << 26 | 1u << 31);
    assert_int_equal(r[3], 0x11 | 1 << 9 | (host[3] & 0x2380a & ~0x8000u));
    h.cr4 = CR4_OSXSAVE;
    hvm_cpuid(&v, 1, 0, r);
    assert_int_equal(r[2], 1u << 21 | 3u << 26 | 1u << 31);
    hvm_cpuid(&v, 7, 0, r);
    assert_int_equal(r[1], 0x20 | 1 << 7 | 1); /* no SMAP, as the processor has none */
    hvm_cpuid(&v, 0xb, 1, r);
    assert_int_equal(r[2], 1);
    assert_int_equal(r[3], 6);
    hvm_cpuid(&v, 0x80000008, 0, r);
    assert_int_equal(r[0], 0x3030); /* no more bits than tables can hold */
    hvm_cpuid(&v, 0x80000001, 0, r);
    assert_int_equal(r[2] & 4, 0); /* no SVM */
    cpuid(0x80000001, 0, host);
    assert_int_equal(r[3], 0x20100800 | (host[3] & (1u << 27 | 0x2300a)));
}

static void test_apic_is_hidden(void **state)
{
    uint32_t r[4];

    lapic.base = LAPIC_MMIO;
    hvm_cpuid(&v, 1, 0, r);
    assert_int_equal(r[3] & 1 << 9, 0);
}

static void test_hypervisor_leaves(void **state)
{
    uint32_t r[4];

    hvm_cpuid(&v, 0x40000000, 0, r);
    assert_int_equal(r[0], 0x40000004);
    hvm_cpuid(&v, 0x40000002, 0, r);
    assert_int_equal(r[2], 0);
    hvm_cpuid(&v, 0x40000003, 2, r);
    assert_int_equal(r[2], 0x40000003);
    hvm_cpuid(&v, 0x40000004, 0, r);
    assert_int_equal(r[0], 1 << 3 | 1 << 4);
    assert_int_equal(r[1], 3);
    assert_int_equal(r[2], 17);
    hvm_cpuid(&v, 0x40000004, 1, r);
    assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
    hvm_cpuid(&v, 0x40000005, 0, r);
    assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
    hvm_cpuid(&v, 0x8fffffff, ~0u, r);
    assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
}

/* ---- MSRs ---- */

static uint64_t value_of(uint32_t msr)
{
    uint64_t value = ~0ull;

    assert_int_equal(hvm_read_msr(&v, msr, &value), 0);
    return value;
}

static void test_memory_types(void **state)
{
    static const uint64_t refused[][2] = {
        {0x2ff, 2},
        {0x2ff, 7},
        {0x2ff, 1 << 9},
        {0x2ff, 1ull << 32},
        {0x200, 1 << 8},
        {0x200, 3},
        {0x200, 1ull << 40},
        {0x201, 1},
        {0x201, 1 << 10},
        {0x201, 1ull << 40},
        {0x250, 0x0600000002000606},
        {0x26f, 0x06060606060606ff},
        {0xfe, 0x508},
        {0x210, 0},
        {0x251, 0},
    };

    assert_int_equal(value_of(0xfe), 0x508);
    assert_int_equal(value_of(0x2ff), 0x806);
    assert_int_equal(hvm_write_msr(&v, 0x2ff, 0xc00), 0);
    assert_int_equal(value_of(0x2ff), 0xc00);
    for (uint32_t msr = 0x200; msr < 0x210; msr++) {
        assert_int_equal(hvm_write_msr(&v, msr, msr & 1 ? 0xfff0000800 : 0x12345006), 0);
        assert_int_equal(value_of(msr), msr & 1 ? 0xfff0000800 : 0x12345006);
    }
    assert_int_equal(hvm_write_msr(&v, 0x26f, 0x0605040100060606), 0);
    assert_int_equal(value_of(0x26f), 0x0605040100060606);
    assert_int_equal(value_of(0x250), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
        assert_int_equal(hvm_write_msr(&v, (uint32_t)refused[i][0], refused[i][1]), -EINVAL);
}

static void test_msrs(void **state)
{
    uint64_t value;

    assert_int_equal(hvm_write_msr(&v, MSR_PAT, 0x0007040600070406), 0);
    assert_int_equal(value_of(MSR_PAT), 0x0007040600070406);
    assert_int_equal(hvm_write_msr(&v, MSR_TSC_AUX, 1ull << 32), -EINVAL);
    assert_int_equal(hvm_write_msr(&v, MSR_TSC_AUX, 0xabcd), 0);
    assert_int_equal(value_of(MSR_TSC_AUX), 0xabcd);
    assert_int_equal(tsc_aux, 0xabcd);
    cpu_features.rdtscp = false;
    assert_int_equal(hvm_read_msr(&v, MSR_TSC_AUX, &value), -EINVAL);
    assert_int_equal(hvm_write_msr(&v, MSR_TSC_AUX, 0), -EINVAL);
    cpu_features.rdtscp = true;
    assert_int_equal(value_of(0xc0010015), 1 << 24);
    assert_int_equal(hvm_write_msr(&v, 0xc0010015, 1 << 24), 0); /* as it is */
    assert_int_equal(hvm_write_msr(&v, 0xc0010015, 0), -EINVAL);
}

/* Of all others none is there; those that are pass whatever is written, or refuse it, and nothing falls over. */
static void test_all_msrs(void **state)
{
    static const uint32_t ranges[] = {0, 0x40000000, 0xc0000000, 0xc0010000};
    unsigned int there = 0;
    uint64_t value;

    for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
        for (uint32_t msr = ranges[i]; msr < ranges[i] + 0x2000; msr++) {
            if (msr >= 0x800 && msr < 0x900)
                continue; /* the local APIC's */
            there += !hvm_read_msr(&v, msr, &value);
            (void)hvm_write_msr(&v, msr, ~0ull);
            (void)hvm_write_msr(&v, msr, 1ull << 47);
        }
    /* Constants; memory types; EFER APIC_BASE TSC TSC_ADJUST TSC_AUX MTRR_CAP PAT MCG_CAP. */
    assert_int_equal(there, 12 + 28 + 8);
}

static void test_hypercall_page(void **state)
{
    static const uint8_t last[] = {0xb8, 127, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3};
    uint64_t value;

    assert_int_equal(hvm_write_msr(&v, 0x40000000, 0x1000), 0);
    assert_memory_equal(memory + 0x1000 + 127 * 32, last, sizeof(last));
    assert_int_equal(memory[0xfff], 0);
    assert_int_equal(memory[0x2000], 0);
    assert_int_equal(hvm_write_msr(&v, 0x40000000, 0x1001), -EINVAL);
    assert_int_equal(hvm_write_msr(&v, 0x40000000, 0x100000), -EINVAL); /* no memory there */
    assert_int_equal(hvm_write_msr(&v, 0x40000000, ~0xfffull), -EINVAL);
    assert_int_equal(hvm_read_msr(&v, 0x40000000, &value), -EINVAL);
}

/* ---- ports ---- */

static struct cpu_user_regs *io(uint16_t port, uint8_t bytes, bool in)
{
    struct vmexit x = {.io = {port, bytes, in, false}, .next = 0x1002};

    hvm_io(&v, &x);
    return guest_cpu_user_regs();
}

static void test_ports(void **state)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    regs->rax = 0x1122334455667788;
    assert_int_equal(io(0x3f8, 1, true)->rax, 0x11223344556677ff);
    assert_int_equal(regs->rip, 0x1002);
    assert_int_equal(io(0x3f8, 2, true)->rax, 0x112233445566ffff);
    assert_int_equal(io(0xcfc, 4, true)->rax, 0xffffffff);
    assert_int_equal(io(0xcfc, 4, false)->rax, 0xffffffff);
    assert_int_equal(injected, 0);
}

static void test_log(void **state)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    for (const char *s = "one\x1b%s\ntwo"; *s; s++) {
        regs->rax = (uint8_t)*s;
        io(0xe9, 1, false);
    }
    assert_string_equal(logged, "one%s\n");
    for (unsigned int i = 0; i < 100; i++) {
        regs->rax = 'x';
        io(0xe9, 1, false);
    }
    assert_int_equal(strlen(logged), 6 + 80); /* in pieces that the buffer holds */
    regs->rax = '\n';
    io(0xe9, 2, false); /* not a character */
    assert_int_equal(strlen(logged), 6 + 80);
}

static unsigned long string(const char *bytes, bool in, uint8_t size)
{
    struct vmexit x = {.io = {0x60, size, in, true}, .next = 0x1003};

    memset(code, 0x90, sizeof(code));
    memcpy(code, bytes, strlen(bytes));
    guest_cpu_user_regs()->rip = 0x1000;
    hvm_io(&v, &x);
    return guest_cpu_user_regs()->rip;
}

static void test_string_input(void **state)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    regs->rdi = 0x100;
    regs->rcx = 70;
    for (unsigned int done = 2; done < 70; done += 2) {
        assert_int_equal(string("\xf3\x6d", true, 4), 0x1000); /* more to do */
        assert_int_equal(stores, done);
        assert_int_equal(regs->rcx, 70 - done);
    }
    assert_int_equal(string("\xf3\x6d", true, 4), 0x1003);
    assert_int_equal(regs->rcx, 0);
    assert_int_equal(regs->rdi, 0x100 + 280);
    assert_int_equal(memory[0xff] | memory[0x100 + 280], 0);
    assert_int_equal(memory[0x100] & memory[0x100 + 279], 0xff);
    assert_int_equal(string("\xf3\x6d", true, 4), 0x1003); /* none at all */
    assert_int_equal(stores, 70);
    regs->rflags |= EFLAGS_DF;
    regs->rcx = 5;
    assert_int_equal(string("\x6c", true, 1), 0x1003);
    assert_int_equal(regs->rcx, 5);
    assert_int_equal(regs->rdi, 0x100 + 279);
    assert_int_equal(completed, 34 + 3);
    /* A trap after each element. */
    regs->rflags |= EFLAGS_TF;
    regs->rcx = 2;
    assert_int_equal(string("\xf3\x6c", true, 1), 0x1000);
    assert_int_equal(regs->rcx, 1);
    assert_int_equal(completed, 34 + 4);
    assert_int_equal(string("\xf3\x6c", true, 1), 0x1003);
    assert_int_equal(completed, 34 + 5);
    regs->rdi += 2;
    regs->rcx = 5;
    regs->rflags &= ~EFLAGS_TF;
    /* A fault in the middle: the registers say where. */
    regs->rflags &= ~EFLAGS_DF;
    fault_at = stores + 2;
    assert_int_equal(string("\xf3\x6c", true, 1), 0x1000);
    assert_int_equal(injected, TRAP_PF);
    assert_int_equal(regs->rcx, 4);
    assert_int_equal(regs->rdi, 0x100 + 280);
}

static void test_string_widths(void **state)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    mode = INSN_32;
    es = (struct hvm_segment){.base = 0x1000, .limit = 0xff};
    regs->rdi = 0xffffffff000000f0;
    regs->rcx = 0xffffffff00000002;
    assert_int_equal(string("\xf3\x6d", true, 4), 0x1003);
    assert_int_equal(memory[0x10f0] & memory[0x10f7], 0xff);
    regs->rdi = 0xfd;
    assert_int_equal(string("\x6d", true, 4), 0x1000); /* beyond the segment */
    assert_int_equal(injected, TRAP_GP);
    regs->rdi = ~0ul;
    assert_int_equal(string("\x6d", true, 4), 0x1000);
    regs->rsi = 0xffff;
    regs->rcx = 0x10002;
    assert_int_equal(string("\xf3\x67\x6e", false, 1), 0x1003); /* 16-bit addresses and count */
    assert_int_equal(regs->rsi, 1);
    assert_int_equal(regs->rcx, 0x10000);
}

/* Another vCPU has changed the instruction since. */
static void test_other_instruction(void **state)
{
    static const char *const others[] = {"\x90", "\x6e", "\x0f\x6c\xc0", "\xe4\x60", "\x06"};

    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        injected = 0;
        assert_int_equal(string(others[i], true, 1), 0x1000);
        assert_int_equal(injected, TRAP_UD);
    }
    assert_int_equal(stores, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSN_TEST(test_features),       INSN_TEST(test_apic_is_hidden), INSN_TEST(test_hypervisor_leaves),
        INSN_TEST(test_memory_types),   INSN_TEST(test_msrs),           INSN_TEST(test_all_msrs),
        INSN_TEST(test_hypercall_page), INSN_TEST(test_ports),          INSN_TEST(test_log),
        INSN_TEST(test_string_input),   INSN_TEST(test_string_widths),  INSN_TEST(test_other_instruction),
    };

    return cmocka_run_group_tests_name("hvm: instructions", tests, NULL, NULL);
}
