// SPDX-License-Identifier: BSD-2-Clause
/*
 * The processor that a PV guest sees, as far as it is pure: the frame it finds on its stack, the flags, selectors,
 * debug registers and descriptors it may have, and which MSRs exist for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "../../hypervisor/pv/internal.h"
#include <hv/vmce.h>

struct cpu_features cpu_features;
struct page_info *frame_table;

void *mfn_to_virt(mfn_t m)
{
    return NULL;
}

static uint64_t tsc_aux;

int wrmsr_safe(uint32_t msr, uint64_t value)
{
    assert_int_equal(msr, MSR_TSC_AUX);
    tsc_aux = value;
    return 0;
}

int rdmsr_safe(uint32_t msr, uint64_t *v)
{
    *v = 0x1234;
    return 0;
}

struct page_info *get_page_from_mfn(mfn_t m, struct domain *d)
{
    return NULL;
}

int get_page_type(struct page_info *pg, enum page_type type)
{
    return -EINVAL;
}

void put_page_type(struct page_info *pg)
{
}

void put_page(struct page_info *pg)
{
}

void hypercall_page_init(void *p);
void hypercall_page_init(void *p)
{
}

static struct cpu_user_regs sample_regs(void)
{
    return (struct cpu_user_regs){.rcx = 0xc,
                                  .r11 = 0x11,
                                  .rip = 0x1000,
                                  .cs = 0xe033,
                                  .rflags = 0x246 | EFLAGS_IOPL,
                                  .rsp = 0x7000,
                                  .ss = 0xe02b};
}

static void test_bounce_exception(void **state)
{
    struct cpu_user_regs regs = sample_regs();
    struct pv_bounce b = {.rip = 1, .has_error = true, .error = 6};
    uint64_t w[BOUNCE_WORDS_MAX];

    assert_int_equal(pv_bounce_words(w, &regs, &b, false, 0, 0), 8);
    assert_int_equal(w[0], 0xc);
    assert_int_equal(w[1], 0x11);
    assert_int_equal(w[2], 6);
    assert_int_equal(w[3], 0x1000);
    assert_int_equal(w[4], 0xe033);
    assert_int_equal(w[5], 0x246); /* IF: not masked; the real IOPL is not shown */
    assert_int_equal(w[6], 0x7000);
    assert_int_equal(w[7], 0xe02b);
}

static void test_bounce_kernel_masked(void **state)
{
    struct cpu_user_regs regs = sample_regs();
    struct pv_bounce b = {.rip = 1};
    uint64_t w[BOUNCE_WORDS_MAX];

    assert_int_equal(pv_bounce_words(w, &regs, &b, true, 1, 1), 7);
    assert_int_equal(w[3], 0xe030 | 1ull << 32); /* RPL 0 tells the kernel that it interrupted itself */
    assert_int_equal(w[4], 0x1046);              /* IF is the inverse of the mask; IOPL is the virtual one */
}

static void test_bounce_failsafe(void **state)
{
    struct cpu_user_regs regs = sample_regs();
    struct pv_selectors sel = {.ds = 1, .es = 2, .fs = 3, .gs = 4};
    struct pv_bounce b = {.rip = 1, .failsafe = &sel};
    uint64_t w[BOUNCE_WORDS_MAX];

    assert_int_equal(pv_bounce_words(w, &regs, &b, false, 0, 0), 11);
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(w[2 + i], i + 1);
    assert_int_equal(w[6], 0x1000);
}

static void test_rflags(void **state)
{
    assert_int_equal(pv_guest_rflags(0), EFLAGS_IF | EFLAGS_MBS);
    assert_false(pv_guest_rflags(~0ul) & (EFLAGS_IOPL | EFLAGS_VM | EFLAGS_VIF | EFLAGS_VIP));
    assert_int_equal(pv_guest_rflags(~0ul) >> 22, 0);
    assert_true(pv_guest_rflags(EFLAGS_TF | EFLAGS_DF | EFLAGS_AC | EFLAGS_ID) & EFLAGS_DF);
}

static void test_selectors(void **state)
{
    assert_int_equal(pv_guest_selector(0), 0);
    assert_int_equal(pv_guest_selector(3), 3);
    assert_int_equal(pv_guest_selector(0x10), 0x13);
    assert_int_equal(pv_guest_selector(HV_CS), HV_CS | 3);
}

static int debugreg(unsigned int reg, unsigned long in, unsigned long *out)
{
    *out = in;
    return pv_check_debugreg(reg, out);
}

static void test_debug_registers(void **state)
{
    unsigned long v;

    assert_int_equal(debugreg(0, 0x1000, &v), 0);
    assert_int_equal(debugreg(1, HYPERVISOR_BASE, &v), -EPERM);
    assert_int_equal(debugreg(2, HYPERVISOR_LIMIT - 1, &v), -EPERM);
    assert_int_equal(debugreg(3, HYPERVISOR_LIMIT, &v), 0);
    assert_int_equal(debugreg(3, 0x0000800000000000, &v), -EPERM);
    assert_int_equal(debugreg(3, 0x00007ffffffffff9, &v), -EPERM); /* eight bytes would leave the lower half */
    assert_int_equal(debugreg(4, 0, &v), -ENODEV);
    assert_int_equal(debugreg(6, 1ul << 32, &v), -EINVAL);
    assert_int_equal(debugreg(6, 0xf, &v), 0);
    assert_int_equal(v, DR6_DEFAULT | 0xf);
    assert_int_equal(debugreg(7, 0, &v), 0);
    assert_int_equal(v, DR7_DEFAULT);
    assert_int_equal(debugreg(7, 1ul << 13 | 1, &v), -EPERM);
    assert_int_equal(debugreg(7, 2ul << 16 | 1, &v), -EPERM); /* I/O breakpoint, enabled */
    assert_int_equal(debugreg(7, 2ul << 16, &v), 0);          /* not enabled: dropped */
    assert_int_equal(v, DR7_DEFAULT);
    assert_int_equal(debugreg(7, 13ul << 16 | 2, &v), 0); /* four bytes, write, global */
    assert_int_equal(v, DR7_DEFAULT | 13ul << 16 | 2);
}

static void test_descriptors(void **state)
{
    static const struct {
        uint64_t desc;
        bool ok;
        uint64_t becomes;
    } cases[] = {
        {0, true, 0},
        {0x00cf9a000000ffff, true, 0x00cffa000000ffff}, /* code, DPL 0 -> 3 */
        {0x00cf92000000ffff, true, 0x00cff2000000ffff}, /* data */
        {0x00af9a000000ffff, true, 0x00affa000000ffff}, /* 64-bit code */
        {0x00af9e000000ffff, true, 0x00affe000000ffff}, /* conforming code */
        {0x00cf1a000000ffff, true, 0x00cf1a000000ffff}, /* not present: as it is */
        {0x0000000000000000 | 0x8cull << 40, false, 0}, /* call gate */
        {0x8eull << 40, false, 0},                      /* interrupt gate */
        {0x8full << 40, false, 0},                      /* trap gate */
        {0x89ull << 40, false, 0},                      /* TSS */
        {0x8bull << 40, false, 0},                      /* busy TSS */
        {0x82ull << 40, false, 0},                      /* LDT */
        {0xe5ull << 40, false, 0},                      /* task gate, DPL 3 */
        {0x80ull << 40, true, 0x80ull << 40},           /* reserved null type: every use faults */
        {0x0cull << 40, true, 0x0cull << 40},           /* gate, not present */
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t d = cases[i].desc;

        assert_int_equal(pv_check_descriptor(&d), cases[i].ok);
        if (cases[i].ok)
            assert_int_equal(d, cases[i].becomes);
    }
}

static void test_cr4(void **state)
{
    assert_int_equal(pv_cr4_shown(CR4_PAE | CR4_SMEP | CR4_SMAP, CR4_TSD | CR4_PSE), CR4_PAE | CR4_TSD);
    assert_int_equal(pv_cr4_shown(CR4_PAE, CR4_FSGSBASE), CR4_PAE);
    assert_int_equal(pv_cr4_shown(CR4_PAE | CR4_FSGSBASE, 0), CR4_PAE);
    assert_int_equal(pv_cr4_shown(CR4_PAE | CR4_FSGSBASE, CR4_FSGSBASE), CR4_PAE | CR4_FSGSBASE);
}

static void test_msr_policy(void **state)
{
    static const uint32_t refused[] = {0x48,  0x49,       0x10a,      0x10b, 0x186, 0xc1,        0x6e0,
                                       0x802, 0xc0010010, 0xc0010117, 0x480, 0x3a,  MSR_TSC_AUX, 0xdeadbeef};
    struct domain d = {0};
    struct vcpu v = {.domain = &d};
    uint64_t value;

    cpu_features.syscall32 = true;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        assert_int_equal(pv_rdmsr(&v, refused[i], &value), -EPERM);
        assert_int_equal(pv_wrmsr(&v, refused[i], 0), -EPERM);
    }
    assert_int_equal(pv_rdmsr(&v, MSR_PAT, &value), 0);
    assert_int_equal(value, HOST_PAT);
    assert_int_equal(pv_wrmsr(&v, MSR_PAT, HOST_PAT), 0);
    assert_int_equal(pv_wrmsr(&v, MSR_PAT, 0x0606060606060606), -EPERM);
    assert_int_equal(pv_wrmsr(&v, MSR_LSTAR, 0x1000), 0); /* taken, without effect */
    assert_int_equal(pv_wrmsr(&v, MSR_GS_BASE, 0x0000800000000000), -EPERM);
    assert_int_equal(pv_wrmsr(&v, 0x40000000, 0x1000), -EPERM); /* hypercall page in a frame of somebody else */
}

/* The kernel's number of the processor, for RDTSCP. */
static void test_msr_tsc_aux(void **state)
{
    struct domain d = {0};
    struct vcpu v = {.domain = &d};
    uint64_t value;

    cpu_features.rdtscp = true;
    assert_int_equal(pv_rdmsr(&v, MSR_TSC_AUX, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(pv_wrmsr(&v, MSR_TSC_AUX, 1ull << 32), -EPERM);
    assert_int_equal(pv_wrmsr(&v, MSR_TSC_AUX, 0x1003), 0);
    assert_int_equal(tsc_aux, 0x1003);
    assert_int_equal(pv_rdmsr(&v, MSR_TSC_AUX, &value), 0);
    assert_int_equal(value, 0x1003);
    cpu_features.rdtscp = false;
    assert_int_equal(pv_wrmsr(&v, MSR_TSC_AUX, 0), -EPERM);
}

/* Banks of machine checks are there for who was told of them, and empty. */
static void test_msr_banks(void **state)
{
    struct domain d = {0};
    struct vcpu v = {.domain = &d};
    uint64_t value;

    for (uint32_t msr = 0x400; msr <= 0x408; msr++)
        assert_int_equal(pv_rdmsr(&v, msr, &value), -EPERM);
    v.pv.mcg_cap = 2 | MCG_CTL_P;
    assert_int_equal(pv_rdmsr(&v, MSR_MCG_CAP, &value), 0);
    assert_int_equal(value, 2 | MCG_CTL_P);
    assert_int_equal(pv_rdmsr(&v, MSR_MCG_CTL, &value), 0);
    for (uint32_t msr = 0x400; msr < 0x408; msr++) {
        assert_int_equal(pv_rdmsr(&v, msr, &value), 0);
        assert_int_equal(value, msr % 4 ? 0 : ~0ull);
        assert_int_equal(pv_wrmsr(&v, msr, 0), 0);
        assert_int_equal(pv_wrmsr(&v, msr, 1), msr % 4 ? -EPERM : 0);
    }
    assert_int_equal(pv_rdmsr(&v, 0x408, &value), -EPERM);
    assert_int_equal(pv_wrmsr(&v, 0x408, 0), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounce_exception),
        cmocka_unit_test(test_bounce_kernel_masked),
        cmocka_unit_test(test_bounce_failsafe),
        cmocka_unit_test(test_rflags),
        cmocka_unit_test(test_selectors),
        cmocka_unit_test(test_debug_registers),
        cmocka_unit_test(test_msr_banks),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_cr4),
        cmocka_unit_test(test_msr_policy),
        cmocka_unit_test(test_msr_tsc_aux),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
