// SPDX-License-Identifier: BSD-2-Clause
/* domctl: what of a vCPU's state is saved besides its context, and which images of it are refused. */
#include <hv/fpu.h>
#include <hv/vmce.h>
#include <hv/x86.h>
#include <xen/domctl.h>
#include "fake/core.h"

#define MASK (XCR0_X87 | XCR0_SSE | XCR0_AVX)
#define FULL (16u + 832u)
#define BV   66 /* words of the image: component bitmap, format */
#define COMP 67

static struct xen_domctl *op;
static struct domain *d;
static struct vcpu *v;
static uint64_t *image;

static long domctl(unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = d->id;
    return CALL(domctl, op, 0, 0);
}

static void guest(uint64_t mask)
{
    op = guest_new(struct xen_domctl);
    image = guest_alloc(FULL + 8);
    d = core_guest(2, 0);
    v = d->vcpu[1];
    core_as(control_domain->vcpu[0]);
    cpu_features.xsave = mask != 0;
    cpu_features.xcr0_mask = mask;
    cpu_features.xsave_size = 832;
}

static void no_xsave(void)
{
    cpu_features.xsave = false;
    cpu_features.xcr0_mask = 0;
}

static long extstate(unsigned int cmd, uint64_t size)
{
    op->u.vcpuextstate = (struct xen_domctl_vcpuextstate){
        .vcpu = 1, .xfeature_mask = cpu_features.xcr0_mask, .size = size, .buffer.p = image};
    return domctl(cmd);
}

static void fill_area(void)
{
    uint8_t *area = v->xsave_area;

    for (unsigned int i = 0; i < 832; i++)
        area[i] = (uint8_t)(i * 7 + 1);
    memset(area + 512, 0, 64);
    *(uint32_t *)(area + MXCSR_OFFSET) = 0x1f80;
    *(uint64_t *)(area + 512) = MASK;
    v->xcr0 = XCR0_X87 | XCR0_SSE;
    v->xcr0_accum = MASK;
}

static void test_extended_state(void **state)
{
    uint8_t before[832];

    guest(MASK);
    fill_area();
    memcpy(before, v->xsave_area, sizeof(before));
    assert_int_equal(extstate(XEN_DOMCTL_getvcpuextstate, FULL - 1), -EINVAL);
    op->u.vcpuextstate.size = op->u.vcpuextstate.xfeature_mask = 0;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuextstate), 0);
    assert_int_equal(op->u.vcpuextstate.size, FULL);
    assert_int_equal(op->u.vcpuextstate.xfeature_mask, MASK);
    assert_int_equal(extstate(XEN_DOMCTL_getvcpuextstate, FULL + 8), 0);
    assert_int_equal(op->u.vcpuextstate.size, FULL);
    assert_int_equal(image[0], v->xcr0);
    assert_int_equal(image[1], MASK);
    memset(v->xsave_area, 0xee, 832);
    v->xcr0 = v->xcr0_accum = XCR0_X87;
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, FULL), 0);
    assert_memory_equal(v->xsave_area, before, sizeof(before));
    assert_int_equal(v->xcr0, XCR0_X87 | XCR0_SSE);
    assert_int_equal(v->xcr0_accum, MASK);
    /* Components that the guest never turned on are not shown, and nothing of them is left when it is set. */
    v->xcr0_accum = XCR0_X87 | XCR0_SSE;
    assert_int_equal(extstate(XEN_DOMCTL_getvcpuextstate, FULL), 0);
    assert_int_equal(op->u.vcpuextstate.size, 16 + 576);
    assert_int_equal(image[BV], XCR0_X87 | XCR0_SSE);
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, 16 + 576), 0);
    for (unsigned int i = 576; i < 832; i++)
        assert_int_equal(((uint8_t *)v->xsave_area)[i], 0);
    no_xsave();
}

static void refused(unsigned int word, uint64_t value, long error)
{
    uint64_t kept = image[word];

    image[word] = value;
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, FULL), error);
    image[word] = kept;
}

static void test_bad_images(void **state)
{
    guest(MASK);
    fill_area();
    assert_int_equal(extstate(XEN_DOMCTL_getvcpuextstate, FULL), 0);
    memset(v->xsave_area, 0, 832);
    refused(0, MASK << 1 | 1, -EINVAL);
    refused(0, XCR0_SSE, -EINVAL);
    refused(0, 0, -EINVAL);
    refused(1, MASK | 1ull << 9, -EINVAL);
    refused(1, XCR0_X87 | XCR0_AVX, -EINVAL);
    refused(1, XCR0_X87 | XCR0_SSE, -EINVAL); /* its size is not that of the image */
    refused(1, 0, -EINVAL);
    refused(2 + MXCSR_OFFSET / 8, 0x1001f80, -EINVAL);
    refused(BV, 1ull << 9, -EINVAL);
    refused(COMP, 1ull << 63, -EOPNOTSUPP);
    refused(COMP, 1, -EINVAL);
    for (unsigned int i = 1; i <= 6; i++)
        refused(COMP + i, 1, -EINVAL);
    for (unsigned int size = 0; size < FULL + 64; size += 8)
        if (size != FULL)
            assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, size), -EINVAL);
    core.fail_alloc = 1;
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, FULL), -ENOMEM);
    for (unsigned int kind = 1; kind < NR_BAD_POINTERS; kind++) {
        extstate(XEN_DOMCTL_getvcpuextstate, 0);
        op->u.vcpuextstate.size = FULL;
        op->u.vcpuextstate.xfeature_mask = MASK;
        op->u.vcpuextstate.buffer.p = core_bad_pointer(kind, FULL);
        assert_int_equal(domctl(XEN_DOMCTL_setvcpuextstate), -EFAULT);
        assert_int_equal(domctl(XEN_DOMCTL_getvcpuextstate), -EFAULT);
    }
    for (unsigned int i = 0; i < 832; i++)
        assert_int_equal(((uint8_t *)v->xsave_area)[i], 0);
    op->u.vcpuextstate.vcpu = 2;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuextstate), -ESRCH);
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuextstate), -ESRCH);
    no_xsave();
}

/* A processor without XSAVE has, and takes, no more than the two words that say so. */
static void test_without_xsave(void **state)
{
    guest(0);
    v->xcr0 = v->xcr0_accum = XCR0_X87;
    assert_int_equal(extstate(XEN_DOMCTL_getvcpuextstate, 0), 0);
    assert_int_equal(op->u.vcpuextstate.size, 16);
    assert_int_equal(extstate(XEN_DOMCTL_getvcpuextstate, 16), 0);
    assert_int_equal(image[0] | image[1], 0);
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, 16), 0);
    image[0] = 1;
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, 16), -EINVAL);
    image[0] = image[1] = XCR0_X87;
    assert_int_equal(extstate(XEN_DOMCTL_setvcpuextstate, 16), -EINVAL);
    assert_int_equal(v->xcr0, XCR0_X87);
}

static void test_entry_points(void **state)
{
    struct xen_domctl_ext_vcpucontext *e;

    guest(0);
    e = &op->u.ext_vcpucontext;
    *e = (struct xen_domctl_ext_vcpucontext){.vcpu = 1,
                                             .size = sizeof(*e),
                                             .syscall32_callback_eip = 0x1234,
                                             .sysenter_callback_eip = 0xffff880000001000ul,
                                             .syscall32_callback_cs = 0xe023,
                                             .sysenter_callback_cs = 0xe033,
                                             .syscall32_disables_events = 1};
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), 0);
    assert_int_equal(v->pv.syscall32_callback, 0x1234);
    memset(e, 0xff, sizeof(*e));
    e->vcpu = 1;
    assert_int_equal(domctl(XEN_DOMCTL_get_ext_vcpucontext), 0);
    assert_int_equal(e->size, sizeof(*e));
    assert_int_equal(e->syscall32_callback_eip, 0x1234);
    assert_int_equal(e->sysenter_callback_eip, 0xffff880000001000ul);
    assert_int_equal(e->syscall32_callback_cs, 0xe023);
    assert_int_equal(e->sysenter_callback_cs, 0xe033);
    assert_int_equal(e->syscall32_disables_events, 1);
    assert_int_equal(e->sysenter_disables_events, 0);
    assert_int_equal(e->vmce.caps | e->vmce.mci_ctl2_bank0, 0);
    e->vmce.caps = 2;
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), 0);
    assert_int_equal(v->pv.mcg_cap, 2);
    e->vmce.caps = 2 | MCG_TES_P | MCG_SER_P;
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), 0);
    assert_int_equal(v->pv.mcg_cap, 0x1000802);
    e->vmce.caps = 2 | 1u << 10; /* interrupts by banks are not there */
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), -EINVAL);
    e->vmce.caps = 3;
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), -EINVAL);
    e->size = offsetof(struct xen_domctl_ext_vcpucontext, vmce);
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), 0);
    assert_int_equal(v->pv.mcg_cap, 0);
    e->sysenter_callback_eip = 1ull << 50;
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), -EINVAL);
    e->sysenter_callback_eip = 0;
    e->size = offsetof(struct xen_domctl_ext_vcpucontext, vmce) - 1;
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), -EINVAL);
    assert_int_equal(v->pv.sysenter_callback, 0xffff880000001000ul);
    e->vcpu = 2;
    assert_int_equal(domctl(XEN_DOMCTL_set_ext_vcpucontext), -ESRCH);
    assert_int_equal(domctl(XEN_DOMCTL_get_ext_vcpucontext), -ESRCH);
}

static void test_msrs(void **state)
{
    struct xen_domctl_vcpu_msr *list = guest_alloc(8 * sizeof(*list));
    struct xen_domctl_vcpu_msrs *m;

    guest(0);
    m = &op->u.vcpu_msrs;
    m->vcpu = 1;
    assert_int_equal(domctl(XEN_DOMCTL_get_vcpu_msrs), 0);
    assert_int_equal(m->msr_count, 7);
    m->msrs.p = list;
    assert_int_equal(domctl(XEN_DOMCTL_get_vcpu_msrs), 0);
    assert_int_equal(m->msr_count, 0);
    list[0].index = 0x48;
    list[1].index = MSR_TSC_AUX;
    m->msr_count = 2;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), 0);
    list[1].value = 1;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), -EINVAL);
    assert_int_equal(m->msr_count, 1);
    cpu_features.rdtscp = true;
    list[1].value = 5;
    m->msr_count = 2;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), 0);
    memset(list, 0, 2 * sizeof(*list));
    m->msr_count = 1;
    assert_int_equal(domctl(XEN_DOMCTL_get_vcpu_msrs), 0);
    assert_int_equal(m->msr_count, 1);
    assert_int_equal(list[0].index, MSR_TSC_AUX);
    assert_int_equal(list[0].value, 5);
    m->msr_count = 0;
    assert_int_equal(domctl(XEN_DOMCTL_get_vcpu_msrs), -ENOBUFS);
    list[0].value = 1ull << 32;
    m->msr_count = 1;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), -EINVAL);
    cpu_features.rdtscp = false;
    list[0] = (struct xen_domctl_vcpu_msr){.index = MSR_EFER};
    m->msr_count = 2;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), -EINVAL);
    assert_int_equal(m->msr_count, 0);
    m->msr_count = 8;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), -EINVAL);
    m->msr_count = 1;
    m->msrs.p = FAULT;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), -EFAULT);
    m->vcpu = 2;
    assert_int_equal(domctl(XEN_DOMCTL_set_vcpu_msrs), -ESRCH);
    assert_int_equal(domctl(XEN_DOMCTL_get_vcpu_msrs), -ESRCH);
}

int core_state_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_extended_state), CORE_TEST(test_bad_images), CORE_TEST(test_without_xsave),
        CORE_TEST(test_entry_points),   CORE_TEST(test_msrs),
    };

    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
