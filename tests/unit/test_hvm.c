// SPDX-License-Identifier: BSD-2-Clause
/* Which control registers a guest may load, and what the hardware's account of an exit means. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/fpu.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include <xen/hvm/hvm_vcpu.h>
#include "../../hypervisor/hvm/svm/vmcb.h"
#include "../../hypervisor/hvm/lapic.h"
#include "fake/fake.h"

static struct guest_cpu guest = {.phys_bits = 40, .nx = true};
static struct lapic lapic;
static struct hvm_vcpu h;
static struct domain d;
static struct vcpu v = {.hvm = &h, .domain = &d};
static struct hvm_segment cs;
static uint64_t memory[512];

struct cpu_features cpu_features = {.fsgsbase = true, .smep = true, .smap = true};

/* The vector for upcalls as another CPU sets it in the middle of a change of registers. */
static uint8_t vector_meanwhile;

static void another_cpu(void)
{
    if (vector_meanwhile)
        h.upcall_vector = vector_meanwhile;
}

static void get_segment(const struct vcpu *of, enum hvm_seg seg, struct hvm_segment *s)
{
    another_cpu();
    *s = cs;
}

static struct hvm_segment segs[HVM_SEGS];

static void set_segment(struct vcpu *of, enum hvm_seg seg, const struct hvm_segment *s)
{
    segs[seg] = *s;
}

void fpu_import_legacy(struct vcpu *of, const void *fxsave)
{
    fail();
}

void fpu_export_legacy(struct vcpu *of, void *fxsave)
{
    fail();
}

static unsigned int resets;

void fpu_reset(struct vcpu *of)
{
    resets++;
}

static unsigned int syncs;

void hvm_sync_tsc(struct vcpu *of)
{
    syncs++;
}

static bool write_msr(struct vcpu *of, uint32_t msr, uint64_t value)
{
    assert_int_equal(value, 0);
    return true;
}

static unsigned int cleared;

static void clear_events(struct vcpu *of)
{
    cleared++;
}

static const struct hvm_ops ops = {
    .get_segment = get_segment, .set_segment = set_segment, .clear_events = clear_events, .write_msr = write_msr};
const struct hvm_ops *hvm_ops = &ops;

const struct guest_cpu *shadow_cpu(const struct shadow *s)
{
    return &guest;
}

static bool mem_read(void *ctx, gpa_t at, unsigned int bytes, uint64_t *value)
{
    another_cpu();
    if (at.n + bytes > sizeof(memory))
        return false;
    memcpy(value, (uint8_t *)memory + at.n, bytes);
    return true;
}

struct guest_mem shadow_memory(struct shadow *s)
{
    return (struct guest_mem){.read = mem_read};
}

static int begin(void **state)
{
    h = (struct hvm_vcpu){.cr0 = CR0_ET, .lapic = &lapic};
    cleared = vector_meanwhile = resets = syncs = 0;
    cs = (struct hvm_segment){0};
    d.hap = false;
    memset(memory, 0, sizeof(memory));
    return 0;
}
#define HVM_TEST(f) cmocka_unit_test_setup(f, begin)

/* Nothing is left of a value that is refused. */
static void refused(int (*set)(struct vcpu *, uint64_t), uint64_t value)
{
    struct hvm_vcpu before = h;

    assert_int_equal(set(&v, value), -EINVAL);
    assert_memory_equal(&before, &h, sizeof(h));
}

static void test_cr0(void **state)
{
    refused(hvm_set_cr0, 1ull << 32);
    refused(hvm_set_cr0, CR0_PG);             /* without PE */
    refused(hvm_set_cr0, CR0_PE | 1ul << 29); /* NW without CD */
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_WP | 1 << 7), 0);
    assert_int_equal(h.cr0, CR0_PE | CR0_WP | CR0_ET); /* ET is fixed, what is not there reads as 0 */
    assert_null(h.shadow.paging.fmt);
    assert_true(h.paging_due);
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_PG | CR0_WP), 0);
    assert_ptr_equal(h.shadow.paging.fmt, &guest_fmt_2);
    assert_true(h.shadow.paging.wp);
}

static void test_long_mode(void **state)
{
    assert_int_equal(hvm_set_efer(&v, EFER_LME | EFER_NXE), 0);
    refused(hvm_set_cr0, CR0_PE | CR0_PG); /* PAE first */
    assert_int_equal(hvm_set_cr4(&v, CR4_PAE), 0);
    assert_int_equal(hvm_set_cr3(&v, 0x5000), 0);
    cs.attr = SEG_ATTR_L;
    refused(hvm_set_cr0, CR0_PE | CR0_PG); /* 64-bit code before long mode */
    cs.attr = 0;
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_PG), 0);
    assert_int_equal(h.efer, EFER_LME | EFER_NXE | EFER_LMA);
    assert_ptr_equal(h.shadow.paging.fmt, &guest_fmt_4);
    refused(hvm_set_efer, EFER_NXE); /* LME while paging is on */
    refused(hvm_set_cr4, 0);         /* PAE in long mode */
    refused(hvm_set_cr3, 1ull << 40);
    assert_int_equal(hvm_set_cr3(&v, 0x123456000 | 0x18), 0);
    assert_int_equal(h.shadow.paging.cr3, 0x123456018);
    cs.attr = SEG_ATTR_L;
    refused(hvm_set_cr0, CR0_PE); /* from 64-bit code */
    cs.attr = 0;
    assert_int_equal(hvm_set_cr0(&v, CR0_PE), 0);
    assert_int_equal(h.efer, EFER_LME | EFER_NXE);
}

/* The four roots come from memory with CR3, with PAE and with paging; a bad one is refused. */
static void test_pae_roots(void **state)
{
    memory[64] = 0x7001;
    memory[67] = 0x8001;
    assert_int_equal(hvm_set_cr4(&v, CR4_PAE), 0);
    assert_int_equal(hvm_set_cr3(&v, 64 * 8), 0);
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_PG), 0);
    assert_ptr_equal(h.shadow.paging.fmt, &guest_fmt_3);
    assert_int_equal(h.shadow.paging.pdpte[0], 0x7001);
    assert_int_equal(h.shadow.paging.pdpte[3], 0x8001);
    memory[65] = 0x9001;
    assert_int_equal(h.shadow.paging.pdpte[1], 0); /* a store alone changes nothing */
    assert_int_equal(hvm_set_cr3(&v, 64 * 8), 0);
    assert_int_equal(h.shadow.paging.pdpte[1], 0x9001);
    memory[66] = PTE_P | PTE_RW;
    refused(hvm_set_cr3, 64 * 8);
    refused(hvm_set_cr3, 1 << 20); /* no memory there */
    assert_int_equal(hvm_set_cr0(&v, CR0_PE), 0);
    refused(hvm_set_cr0, CR0_PE | CR0_PG);
}

/* On nested paging CR3 is loaded without an exit: a walk reads the roots, and A in them does not count. */
static void test_nested_roots(void **state)
{
    d.hap = true;
    memory[64] = 0x7001 | PTE_A;
    assert_int_equal(hvm_set_cr4(&v, CR4_PAE), 0);
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_PG), 0);
    h.cr3 = 64 * 8;
    assert_int_equal(hvm_paging(&v)->pdpte[0], 0x7001);
    assert_int_equal(hvm_paging(&v)->cr3, 64 * 8);
    memory[64] = PTE_P | PTE_RW; /* not what hardware would walk with */
    assert_int_equal(hvm_paging(&v)->pdpte[0], 0x7001);
    h.cr3 = 1 << 20;
    assert_int_equal(hvm_paging(&v)->pdpte[0], 0x7001);
}

static void test_reserved_bits(void **state)
{
    static const uint64_t cr4_fine = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
                                     CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP;
    static const uint64_t efer_fine = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

    for (unsigned int bit = 0; bit < 64; bit++) {
        begin(state);
        assert_int_equal(hvm_set_cr4(&v, 1ull << bit), cr4_fine >> bit & 1 ? 0 : -EINVAL);
        begin(state);
        assert_int_equal(hvm_set_efer(&v, 1ull << bit), efer_fine >> bit & 1 ? 0 : -EINVAL);
    }
    assert_int_equal(h.efer & EFER_LMA, 0); /* not the guest's to set */
}

/* What VCPUOP_initialise takes. */
static void test_start(void **state)
{
    struct vcpu_hvm_context s = {.mode = VCPU_HVM_MODE_64B};
    struct hvm_vcpu before = h;

    lapic.start = 0x101; /* what it was told before counts no more */
    h.exception.valid = true;
    s.cpu_regs.x86_64 = (struct vcpu_hvm_x86_64){
        .rip = 0x1234, .cr0 = CR0_PG | CR0_PE, .cr3 = 0x123456000, .cr4 = CR4_PAE, .efer = EFER_LME | EFER_LMA};
    assert_int_equal(hvm_set_start(&v, &s), 0);
    assert_int_equal(h.cr3, 0x123456000);
    assert_int_equal(h.efer, EFER_LME | EFER_LMA);
    assert_int_equal(segs[HVM_CS].attr, 0xa9b);
    assert_int_equal(v.regs.rip, 0x1234);
    assert_true(v.is_initialised);
    assert_false(lapic.start || h.exception.valid);
    assert_int_equal(cleared, 1);
    assert_int_equal(resets, 1);
    assert_int_equal(syncs, 1);
    h = before;
    s.cpu_regs.x86_64.efer = 0; /* that is not 64-bit code */
    assert_int_equal(hvm_set_start(&v, &s), -EINVAL);
    s.cpu_regs.x86_64.efer = EFER_LMA; /* not to be had without LME */
    assert_int_equal(hvm_set_start(&v, &s), -EINVAL);
    s.mode = 2;
    assert_int_equal(hvm_set_start(&v, &s), -EINVAL);
    assert_int_equal(h.cr0 | h.cr3 | h.cr4 | h.efer, before.cr0);
    s = (struct vcpu_hvm_context){.mode = VCPU_HVM_MODE_32B};
    s.cpu_regs.x86_32 = (struct vcpu_hvm_x86_32){.eip = 0x5678, .cr0 = CR0_PE, .cs_ar = 0xc9b, .cs_base = 0x10000};
    assert_int_equal(hvm_set_start(&v, &s), 0);
    assert_int_equal(h.cr0, CR0_PE | CR0_ET);
    assert_int_equal(segs[HVM_CS].attr, 0xc9b);
    assert_int_equal(segs[HVM_CS].base, 0x10000);
    s.pad = 1;
    assert_int_equal(hvm_set_start(&v, &s), -EINVAL);
}

/* What others set meanwhile stays, whether the registers are loaded or refused. */
static void test_set_meanwhile(void **state)
{
    struct vcpu_hvm_context s = {.mode = VCPU_HVM_MODE_32B};

    assert_int_equal(hvm_set_efer(&v, EFER_LME), 0);
    assert_int_equal(hvm_set_cr4(&v, CR4_PAE), 0);
    vector_meanwhile = 0x41;
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_PG), 0);
    assert_int_equal(h.upcall_vector, 0x41);
    vector_meanwhile = 0x42;
    cs.attr = SEG_ATTR_L;
    assert_int_equal(hvm_set_cr0(&v, CR0_PE), -EINVAL);
    assert_int_equal(h.upcall_vector, 0x42);
    begin(state);
    assert_int_equal(hvm_set_cr4(&v, CR4_PAE), 0);
    assert_int_equal(hvm_set_cr3(&v, 1 << 20), 0);
    vector_meanwhile = 0x43;
    assert_int_equal(hvm_set_cr0(&v, CR0_PE | CR0_PG), -EINVAL); /* no roots there */
    assert_int_equal(h.upcall_vector, 0x43);
    assert_int_equal(h.cr0, CR0_ET);
    vector_meanwhile = 0x44;
    s.cpu_regs.x86_32 = (struct vcpu_hvm_x86_32){.cr0 = CR0_PE | CR0_PG, .cr3 = 2 << 20, .cr4 = CR4_PAE};
    assert_int_equal(hvm_set_start(&v, &s), -EINVAL);
    assert_int_equal(h.upcall_vector, 0x44);
    assert_int_equal(h.cr3, 1 << 20);
}

static void test_exits(void **state)
{
    static const struct {
        uint64_t code, info1;
        enum hvm_exit_reason reason;
    } table[] = {
        {0, 0, HVM_EXIT_CR},           {0x13, 0, HVM_EXIT_CR},           {0x27, 0, HVM_EXIT_DR},
        {0x41, 0, HVM_EXIT_EXCEPTION}, {0x51, 0, HVM_EXIT_EXCEPTION},    {0x52, 0, HVM_EXIT_NOTHING},
        {0x60, 0, HVM_EXIT_NOTHING},   {0x64, 0, HVM_EXIT_NOTHING}, /* the window */
        {0x74, 0, HVM_EXIT_NOTHING},                                /* IRET */
        {0x61, 0, HVM_EXIT_NOTHING},   {0x72, 0, HVM_EXIT_CPUID},        {0x78, 0, HVM_EXIT_HLT},
        {0x7c, 0, HVM_EXIT_RDMSR},     {0x7c, 1, HVM_EXIT_WRMSR},        {0x400, 6, HVM_EXIT_NESTED_FAULT},
        {0x7d, 0, HVM_EXIT_FATAL},     {0x7f, 0, HVM_EXIT_TRIPLE_FAULT}, {0x80, 0, HVM_EXIT_UNDEFINED},
        {0x81, 0, HVM_EXIT_HYPERCALL}, {0x86, 0, HVM_EXIT_UNDEFINED},    {0x89, 0, HVM_EXIT_SKIP},
        {0x8d, 0, HVM_EXIT_XSETBV},    {0x79, 0, HVM_EXIT_INVLPG},       {0x401, 0, HVM_EXIT_FATAL},
        {~0ull, 0, HVM_EXIT_FATAL},    {0x6f, 0, HVM_EXIT_PRIVILEGED},   {0x8e, 0, HVM_EXIT_UNDEFINED}, /* RDPRU */
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
        struct vmcb c = {.exitcode = table[i].code, .exitinfo1 = table[i].info1};
        struct vmexit x = {0};

        svm_decode(&c, &x);
        assert_int_equal(x.reason, table[i].reason);
        assert_int_equal(x.code, table[i].code);
    }
}

static void test_exit_details(void **state)
{
    struct vmcb c = {.exitcode = 0x4e, .exitinfo1 = PFEC_W | PFEC_U, .exitinfo2 = 0x1234567};
    struct vmexit x = {0};

    svm_decode(&c, &x);
    assert_int_equal(x.reason, HVM_EXIT_PAGE_FAULT);
    assert_int_equal(x.linear, 0x1234567);
    assert_int_equal(x.error, PFEC_W | PFEC_U);
    c = (struct vmcb){.exitcode = 0x7b, .exitinfo1 = 0x03f8ull << 16 | 1 << 4 | 1, .exitinfo2 = 0x9002};
    x = (struct vmexit){0};
    svm_decode(&c, &x);
    assert_int_equal(x.reason, HVM_EXIT_IO);
    assert_true(x.io.in && !x.io.string);
    assert_int_equal(x.io.port, 0x3f8);
    assert_int_equal(x.io.bytes, 1);
    assert_int_equal(x.next, 0x9002);
    c = (struct vmcb){.exitcode = 0x400, .exitinfo1 = PFEC_W | PFEC_U, .exitinfo2 = 0x7654321};
    svm_decode(&c, &x);
    assert_int_equal(x.gpa.n, 0x7654321);
    assert_int_equal(x.error, PFEC_W | PFEC_U);
}

static struct vmexit decoded(uint32_t features, const struct vmcb *c)
{
    struct vmexit x = {0};

    svm_features = features;
    svm_decode(c, &x);
    svm_features = ~0u;
    return x;
}

/* Bit 63 of EXITINFO1 says MOV of CLTS, LMSW and SMSW; MOV of debug registers has no other. */
static void test_exit_operands(void **state)
{
    struct vmcb c = {.exitcode = 0x13, .exitinfo1 = 1ull << 63 | 0xb, .nrip = 0x1004};
    struct vmexit x = decoded(SVM_NRIP_SAVE | SVM_DECODE_ASSISTS, &c);

    assert_true(x.has_operand && x.mov.to && x.mov.nr == 3 && x.mov.rm == 0xb && x.next == 0x1004);
    c.exitcode = 0x08;
    x = decoded(~0u, &c);
    assert_true(x.has_operand && !x.mov.to && x.mov.nr == 8 && x.mov.rm == 0xb);
    x = decoded(~SVM_DECODE_ASSISTS, &c);
    assert_true(!x.has_operand && x.next == 0x1004);
    x = decoded(~SVM_NRIP_SAVE, &c);
    assert_true(x.has_operand && x.next == 0);
    c.exitinfo1 = 0;
    assert_false(decoded(~0u, &c).has_operand);
    c.exitcode = 0x37;
    x = decoded(~0u, &c);
    assert_true(x.reason == HVM_EXIT_DR && x.has_operand && x.mov.to && x.mov.nr == 7);
    c = (struct vmcb){.exitcode = 0x79, .exitinfo1 = 0x12345000};
    x = decoded(~0u, &c);
    assert_true(x.has_operand && x.linear == 0x12345000);
    assert_false(decoded(0, &c).has_operand);
}

/* The bytes of an instruction that faulted, of which there may be none. */
static void test_exit_bytes(void **state)
{
    static const uint64_t faults[] = {0x4e, 0x400};

    for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
        struct vmcb c = {.exitcode = faults[i], .fetched = 0xf2, .bytes = {0x89, 0x0f}};
        struct vmexit x = decoded(SVM_DECODE_ASSISTS, &c);

        assert_int_equal(x.fetched, 2);
        assert_memory_equal(x.bytes, c.bytes, 2);
        assert_int_equal(decoded(SVM_NRIP_SAVE, &c).fetched, 0);
        c.fetched = 0;
        assert_int_equal(decoded(~0u, &c).fetched, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HVM_TEST(test_cr0),          HVM_TEST(test_long_mode),     HVM_TEST(test_pae_roots),
        HVM_TEST(test_nested_roots), HVM_TEST(test_reserved_bits), HVM_TEST(test_exits),
        HVM_TEST(test_start),        HVM_TEST(test_exit_details),  HVM_TEST(test_exit_operands),
        HVM_TEST(test_exit_bytes),   HVM_TEST(test_set_meanwhile),
    };

    return cmocka_run_group_tests_name("hvm", tests, NULL, NULL);
}
