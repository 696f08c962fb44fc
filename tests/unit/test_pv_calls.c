// SPDX-License-Identifier: BSD-2-Clause
/*
 * The small hypercalls of pv/hypercalls.c that only change what is remembered of a vCPU: callbacks, debug registers as
 * they are read, assists, refusals of segment bases. What loads a register of the processor is not called here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <xen/callback.h>
#include <xen/nmi.h>
#include "../../hypervisor/pv/internal.h"

#define BAD           ((void *)16)         /* a guest address that faults */
#define NOT_CANONICAL 0x0000800000000000ul /* the first above the lower half */
#define KERNEL        0xffffffff81000000ul

static struct cpu_info cpu;
static struct domain d;
static struct vcpu self, other;
struct cpu_features cpu_features;

struct cpu_info *get_cpu_info(void)
{
    return &cpu;
}

int guest_copy_from(void *dst, const void *src, size_t n)
{
    if (src == BAD)
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

static unsigned int preempted; /* how often preempt_needed said yes */
static bool impatient;

bool preempt_needed(void)
{
    preempted += impatient;
    return impatient;
}

static int begin(void **state)
{
    d = (struct domain){.id = 1};
    self = (struct vcpu){.domain = &d};
    other = (struct vcpu){.domain = &d, .vcpu_id = 1};
    cpu.cur_vcpu = &self;
    return 0;
}

static long call(long (*fn)(struct hcall *), unsigned long a0, unsigned long a1, unsigned long a2)
{
    struct hcall hc = {.arg = {a0, a1, a2}};

    return fn(&hc);
}

static long set(unsigned int type, unsigned int flags, unsigned long address)
{
    struct callback_register reg = {.type = (uint16_t)type, .flags = (uint16_t)flags, .address = address};

    return call(do_callback_op, CALLBACKOP_register, (unsigned long)&reg, 0);
}

static long unset(unsigned int type)
{
    struct callback_unregister unreg = {.type = (uint16_t)type};

    return call(do_callback_op, CALLBACKOP_unregister, (unsigned long)&unreg, 0);
}

static void test_set_callbacks(void **state)
{
    assert_int_equal(call(do_set_callbacks, KERNEL, KERNEL + 1, KERNEL + 2), 0);
    assert_int_equal(call(do_set_callbacks, NOT_CANONICAL, 0, 0), -EINVAL);
    assert_int_equal(call(do_set_callbacks, 0, NOT_CANONICAL, 0), -EINVAL);
    assert_int_equal(call(do_set_callbacks, 0, 0, NOT_CANONICAL), -EINVAL);
    /* A refused call changes none of the three. */
    assert_int_equal(self.pv.event_callback, KERNEL);
    assert_int_equal(self.pv.failsafe_callback, KERNEL + 1);
    assert_int_equal(self.pv.syscall_callback, KERNEL + 2);
}

static void test_register(void **state)
{
    assert_int_equal(set(CALLBACKTYPE_event, 0, KERNEL), 0);
    assert_int_equal(set(CALLBACKTYPE_failsafe, CALLBACKF_mask_events, KERNEL + 1), 0);
    assert_int_equal(set(CALLBACKTYPE_syscall, CALLBACKF_mask_events, KERNEL + 2), 0);
    assert_int_equal(set(CALLBACKTYPE_syscall32, 0, KERNEL + 3), 0);
    assert_int_equal(set(CALLBACKTYPE_sysenter, CALLBACKF_mask_events, KERNEL + 4), 0);
    assert_int_equal(set(CALLBACKTYPE_nmi, 0, KERNEL + 5), 0);
    assert_int_equal(self.pv.event_callback, KERNEL);
    assert_int_equal(self.pv.failsafe_callback, KERNEL + 1);
    assert_int_equal(self.pv.syscall_callback, KERNEL + 2);
    assert_int_equal(self.pv.syscall32_callback, KERNEL + 3);
    assert_int_equal(self.pv.sysenter_callback, KERNEL + 4);
    assert_int_equal(self.pv.trap[TRAP_NMI].address, KERNEL + 5);
    assert_int_equal(self.pv.trap[TRAP_NMI].cs & 3, 3);
    assert_true(self.pv.failsafe_disables_events);
    assert_true(self.pv.syscall_disables_events);
    assert_false(self.pv.syscall32_disables_events);
    assert_true(self.pv.sysenter_disables_events);
    assert_int_equal(set(CALLBACKTYPE_event, 0, NOT_CANONICAL), -EINVAL);
    assert_int_equal(self.pv.event_callback, KERNEL);
    assert_int_equal(set(0xffff, 0, KERNEL), -ENOSYS);
    assert_int_equal(call(do_callback_op, CALLBACKOP_register, (unsigned long)BAD, 0), -EFAULT);
    assert_int_equal(other.pv.event_callback, 0);
}

static void test_unregister(void **state)
{
    static const unsigned int kept[] = {CALLBACKTYPE_event, CALLBACKTYPE_failsafe, CALLBACKTYPE_syscall,
                                        CALLBACKTYPE_sysenter, CALLBACKTYPE_syscall32};

    assert_int_equal(set(CALLBACKTYPE_nmi, 0, KERNEL), 0);
    assert_int_equal(unset(CALLBACKTYPE_nmi), 0);
    assert_int_equal(self.pv.trap[TRAP_NMI].address, 0);
    assert_int_equal(unset(CALLBACKTYPE_nmi), 0);
    assert_int_equal(set(CALLBACKTYPE_event, 0, KERNEL), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(kept); i++)
        assert_int_equal(unset(kept[i]), -EINVAL);
    assert_int_equal(self.pv.event_callback, KERNEL);
    assert_int_equal(unset(0xffff), -ENOSYS);
    assert_int_equal(call(do_callback_op, CALLBACKOP_unregister, (unsigned long)BAD, 0), -EFAULT);
}

static void test_unknown_callback_op(void **state)
{
    assert_int_equal(call(do_callback_op, 2, 0, 0), -ENOSYS);
    assert_int_equal(call(do_callback_op, ~0ul, 0, 0), -ENOSYS);
}

static void test_nmi_op(void **state)
{
    struct xennmi_callback cb = {.handler_address = KERNEL};

    assert_int_equal(call(do_nmi_op, XENNMI_register_callback, (unsigned long)&cb, 0), 0);
    assert_int_equal(self.pv.trap[TRAP_NMI].address, KERNEL);
    assert_true(TI_GET_IF(&self.pv.trap[TRAP_NMI]));
    cb.handler_address = NOT_CANONICAL;
    assert_int_equal(call(do_nmi_op, XENNMI_register_callback, (unsigned long)&cb, 0), -EINVAL);
    assert_int_equal(call(do_nmi_op, XENNMI_register_callback, (unsigned long)BAD, 0), -EFAULT);
    assert_int_equal(self.pv.trap[TRAP_NMI].address, KERNEL);
    assert_int_equal(call(do_nmi_op, XENNMI_unregister_callback, 0, 0), 0);
    assert_int_equal(self.pv.trap[TRAP_NMI].address, 0);
    assert_int_equal(call(do_nmi_op, XENNMI_unregister_callback, 0, 0), 0);
    assert_int_equal(call(do_nmi_op, 2, 0, 0), -ENOSYS);
    assert_int_equal(other.pv.trap[TRAP_NMI].address, 0);
}

static struct trap_info *traps(struct trap_info *t, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        t[i] = (struct trap_info){.vector = (uint8_t)i, .cs = 8, .address = KERNEL + i};
    t[n] = (struct trap_info){.vector = 77};
    return t;
}

/* Up to the terminator, one entry after the other; a long table in slices. */
static void test_set_trap_table(void **state)
{
    struct trap_info t[257];
    struct hcall hc = {.arg = {(unsigned long)traps(t, 256)}};
    long rc;

    assert_int_equal(call(do_set_trap_table, (unsigned long)traps(t, 3), 0, 0), 0);
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(self.pv.trap[i].address, i < 3 ? KERNEL + i : 0);
    assert_int_equal(self.pv.trap[2].cs & 3, 3);
    t[1].address = NOT_CANONICAL;
    t[0].address = KERNEL + 7;
    assert_int_equal(call(do_set_trap_table, (unsigned long)t, 0, 0), -EINVAL);
    assert_int_equal(self.pv.trap[0].address, KERNEL + 7);
    assert_int_equal(self.pv.trap[1].address, KERNEL + 1);
    assert_int_equal(call(do_set_trap_table, (unsigned long)BAD, 0, 0), -EFAULT);
    traps(t, 256);
    preempted = 0;
    impatient = true;
    while ((rc = do_set_trap_table(&hc)) == -ERESTART)
        assert_true(preempted < 100);
    impatient = false;
    assert_int_equal(rc, 0);
    assert_int_equal(preempted, 256 / 32);
    assert_int_equal(self.pv.trap[255].address, KERNEL + 255);
    assert_int_equal(call(do_set_trap_table, 0, 0, 0), 0);
    assert_int_equal(self.pv.trap[255].address, 0);
    assert_int_equal(other.pv.trap[0].address, 0);
}

static void test_stack_switch(void **state)
{
    assert_int_equal(call(do_stack_switch, 0x10, NOT_CANONICAL, 0), 0);
    assert_int_equal(self.pv.kernel_ss & 3, 3);
    assert_int_equal(self.pv.kernel_sp, NOT_CANONICAL); /* its own loss, when a frame is pushed there */
    assert_int_equal(other.pv.kernel_sp, 0);
}

/* Set while the vCPU is not running, which leaves the processor alone; read by the vCPU itself. */
static void test_get_debugreg(void **state)
{
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(pv_set_debugreg(&other, i, 0x1000 + i), 0);
    assert_int_equal(pv_set_debugreg(&other, 6, 0xf), 0);
    assert_int_equal(pv_set_debugreg(&other, 5, 13ul << 16 | 2), 0); /* another name of 7 */
    cpu.cur_vcpu = &other;
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(call(do_get_debugreg, i, 0, 0), 0x1000 + i);
    assert_int_equal(call(do_get_debugreg, 4, 0, 0), DR6_DEFAULT | 0xf);
    assert_int_equal(call(do_get_debugreg, 6, 0, 0), DR6_DEFAULT | 0xf);
    assert_int_equal(call(do_get_debugreg, 5, 0, 0), DR7_DEFAULT | 13ul << 16 | 2);
    assert_int_equal(call(do_get_debugreg, 7, 0, 0), DR7_DEFAULT | 13ul << 16 | 2);
    assert_int_equal(call(do_get_debugreg, 8, 0, 0), -ENODEV);
    assert_int_equal(call(do_get_debugreg, 1ul << 32, 0, 0), -ENODEV);
}

static void test_vm_assist(void **state)
{
    const unsigned long type = VMASST_TYPE_runstate_update_flag;

    assert_int_equal(call(do_vm_assist, VMASST_CMD_enable, type, 0), 0);
    assert_int_equal(d.vm_assist, 1ul << type);
    assert_int_equal(call(do_vm_assist, 2, type, 0), -ENOSYS);
    assert_int_equal(call(do_vm_assist, ~0ul, type, 0), -ENOSYS);
    assert_int_equal(call(do_vm_assist, 2, 64, 0), -EINVAL);
    assert_int_equal(call(do_vm_assist, VMASST_CMD_enable, 63, 0), -EINVAL);
    assert_int_equal(call(do_vm_assist, VMASST_CMD_enable, ~0ul, 0), -EINVAL);
    assert_int_equal(d.vm_assist, 1ul << type);
    assert_int_equal(call(do_vm_assist, VMASST_CMD_disable, type, 0), 0);
    assert_int_equal(d.vm_assist, 0);
    /* A translated domain has no page tables or segments to be assisted with. */
    d.paging_pool = (struct paging_pool *)&d;
    for (unsigned long t = 0; t < 64; t++)
        assert_int_equal(call(do_vm_assist, VMASST_CMD_enable, t, 0), t == type ? 0 : -EINVAL);
    assert_int_equal(d.vm_assist, 1ul << type);
    d.paging_pool = NULL;
    d.vm_assist = 0;
}

static void test_segment_base_refusals(void **state)
{
    assert_int_equal(call(do_set_segment_base, SEGBASE_FS, NOT_CANONICAL, 0), -EINVAL);
    assert_int_equal(call(do_set_segment_base, SEGBASE_GS_USER, NOT_CANONICAL, 0), -EINVAL);
    assert_int_equal(call(do_set_segment_base, SEGBASE_GS_KERNEL, NOT_CANONICAL, 0), -EINVAL);
    assert_int_equal(call(do_set_segment_base, SEGBASE_GS_USER_SEL + 1, KERNEL, 0), -EINVAL);
    assert_int_equal(call(do_set_segment_base, ~0ul, KERNEL, 0), -EINVAL);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup(fn, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_set_callbacks),         TEST(test_register),     TEST(test_unregister),
        TEST(test_unknown_callback_op),   TEST(test_get_debugreg), TEST(test_vm_assist),
        TEST(test_segment_base_refusals), TEST(test_nmi_op),       TEST(test_set_trap_table),
        TEST(test_stack_switch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
