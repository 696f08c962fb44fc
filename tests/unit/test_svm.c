// SPDX-License-Identifier: BSD-2-Clause
/*
 * Events of guests on SVM: what becomes of an exception while another event is delivered. AMD64 manual volume 2,
 * section 8.2.9. The guest itself is never entered.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "../../hypervisor/hvm/svm/svm.c"
#include "fake/fake.h"

#define NONE       0u
#define THIRD      0x100u
#define EXCEPTIONS 32u

struct cpu_features cpu_features;
bool hvm_nested;
uint32_t svm_features;
static struct vmcb block;
static struct hvm_vcpu h = {.vendor = &block};
static struct domain d;
static struct vcpu v = {.hvm = &h, .domain = &d};
static unsigned int ended, interrupts;

/* ---- the rest of the hypervisor ---- */

void hvm_triple_fault(struct vcpu *of)
{
    ended++;
}

void hvm_inject(struct vcpu *of, unsigned int vector, bool has_error, uint32_t error)
{
    h.exception.valid = true;
    h.exception.vector = (uint8_t)vector;
    h.exception.has_error = has_error;
    h.exception.error = error;
}

void svm_enter(struct cpu_user_regs *of, uint64_t guest_vmcb, uint64_t host)
{
    fail();
}

void apic_send_ipi(unsigned int cpu, uint8_t vector)
{
    assert_int_equal(cpu, smp_processor_id());
    assert_int_equal(vector, VECTOR_EVENT_CHECK);
    interrupts++;
}

struct page_info *frame_table;

void *alloc_hv_mem(unsigned int order)
{
    return NULL;
}

void free_hv_mem(void *p, unsigned int order)
{
}

struct page_info *alloc_hv_pages(unsigned int order, unsigned int flags)
{
    return NULL;
}

void *mfn_to_virt(mfn_t m)
{
    return NULL;
}

maddr_t virt_to_maddr(const void *p)
{
    return _maddr(0);
}

int rdmsr_safe(uint32_t msr, uint64_t *value)
{
    return -EFAULT;
}

mfn_t p2m_root(const struct domain *of)
{
    return INVALID_MFN;
}

uint64_t shadow_losses(const struct shadow_vcpu *of)
{
    return 0;
}

void asid_init(uint32_t number)
{
}

void asid_begin_again(void)
{
}

void asid_set_root(struct hvm_vcpu *of, uint64_t root, uint64_t losses)
{
}

void asid_take(struct hvm_vcpu *of, struct vmcb *c)
{
    fail();
}

void svm_decode(const struct vmcb *c, struct vmexit *x)
{
    fail();
}

/* ---- tests ---- */

/* What the guest gets when `second` is raised while `first` is delivered: a vector, or THIRD. */
static unsigned int both(unsigned int first, unsigned int second)
{
    ended = 0;
    block.exitintinfo = EVENT_VALID | EVENT_EXCEPTION | first;
    hvm_inject(&v, second, false, 0);
    if (!inject(&v, &block)) {
        assert_int_equal(ended, 1);
        return THIRD;
    }
    assert_int_equal(ended, 0);
    assert_true(block.eventinj & EVENT_VALID);
    return block.eventinj & 0xff;
}

static void test_two_exceptions(void **state)
{
    for (unsigned int first = 0; first < EXCEPTIONS; first++)
        for (unsigned int second = 0; second < EXCEPTIONS; second++) {
            bool contributes = second == 0 || (second >= 10 && second <= 13);
            bool fault =
                first == 14 ? contributes || second == 14 : (first == 0 || (first >= 10 && first <= 13)) && contributes;

            assert_int_equal(both(first, second), first == TRAP_DF ? THIRD : fault ? TRAP_DF : second);
            assert_int_equal(block.exitintinfo, 0);
            assert_false(h.exception.valid);
        }
}

/* The third ends the guest: it is not entered once more, with the second one for an excuse. */
static void test_third_is_the_last(void **state)
{
    struct vmexit x = {0};

    ended = 0;
    block.exitintinfo = EVENT_VALID | EVENT_EXCEPTION | TRAP_DF;
    hvm_inject(&v, TRAP_PF, true, 0);
    svm_ops.enter(&v, &x);
    assert_int_equal(ended, 1);
    assert_int_equal(x.reason, HVM_EXIT_NOTHING);
    assert_int_equal(block.eventinj, NONE);
    assert_false(h.exception.valid);
    assert_int_equal(svm_ops.get_event(&v), NONE);
}

/* On QEMU's translator the guest comes back at once after an interrupt, and only then. */
static void test_injected_is_forgotten(void **state)
{
    static const struct {
        bool tcg;
        uint64_t event;
        unsigned int interrupts;
    } cases[] = {{true, EVENT_VALID | 0xf3, 1},
                 {true, EVENT_VALID | 0, 1},
                 {true, 0xf3, 0},
                 {true, EVENT_VALID | EVENT_NMI | 2, 0},
                 {true, EVENT_VALID | EVENT_EXCEPTION | TRAP_PF, 0},
                 {false, EVENT_VALID | 0xf3, 0}};

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        cpu_features.tcg = cases[i].tcg;
        block.eventinj = cases[i].event;
        interrupts = 0;
        forget_injected(&block);
        assert_int_equal(interrupts, cases[i].interrupts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_exceptions),
        cmocka_unit_test(test_third_is_the_last),
        cmocka_unit_test(test_injected_is_forgotten),
    };

    return cmocka_run_group_tests_name("svm: events", tests, NULL, NULL);
}
