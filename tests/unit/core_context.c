// SPDX-License-Identifier: BSD-2-Clause
/*
 * The state of translated domains in the public save format: what is asked, and of whom; and that a call about all of
 * it goes on where it was preempted, while others about the same domain wait. hvm/restore.c is a fake here.
 */
#include <hv/hvm.h>
#include <xen/hvm/save.h>
#include "fake/core.h"

#define MANY MAX_VIRT_CPUS

static struct domain *d;
static struct xen_domctl *op;

static void without_vcpus(void)
{
    struct xen_domctl_createdomain config = core_config(1);

    config.flags = XEN_DOMCTL_CDF_hvm;
    assert_int_equal(domain_create(3, &config, false, &d), 0);
    op = guest_new(struct xen_domctl);
    core_as(control_domain->vcpu[0]);
}

static long domctl(domid_t id, unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    return CALL(domctl, op, 0, 0);
}

static long context(domid_t id, unsigned int cmd, const void *buf, uint32_t size)
{
    op->u.hvmcontext.size = size;
    op->u.hvmcontext.buffer.p = (uint8_t *)buf;
    return domctl(id, cmd);
}

static long set_context(domid_t id, const void *buf, uint32_t size)
{
    return context(id, XEN_DOMCTL_sethvmcontext, buf, size);
}

static void test_set_context(void **state)
{
    struct hvm_save_descriptor *desc;

    without_vcpus();
    desc = guest_new(struct hvm_save_descriptor);
    desc->typecode = HVM_SAVE_CODE(HEADER);
    assert_int_equal(set_context(0, desc, sizeof(*desc)), -EINVAL); /* a PV domain */
    assert_int_equal(set_context(99, desc, sizeof(*desc)), -ESRCH);
    assert_int_equal(set_context(3, desc, 0), -EINVAL);
    assert_int_equal(set_context(3, desc, ~0u), -EINVAL);
    assert_int_equal(set_context(3, FAULT, sizeof(*desc)), -EFAULT);
    assert_int_equal(core.restored, 0);
    assert_int_equal(set_context(3, desc, sizeof(*desc)), 0);
    assert_int_equal(core.restored, sizeof(*desc));
    desc->typecode = HVM_SAVE_CODE(CPU);
    assert_int_equal(set_context(3, desc, sizeof(*desc)), -EINVAL);
    assert_int_equal(d->pause_count, 1); /* that of its creation */
    core.fail_alloc = 1;
    assert_int_equal(set_context(3, desc, sizeof(*desc)), -ENOMEM);
    op->u.vcpucontext.vcpu = 0;
    assert_int_equal(domctl(3, XEN_DOMCTL_setvcpucontext), -EINVAL); /* no vCPU yet */
    assert_int_equal(vcpu_create(d, 0), 0);
    assert_int_equal(domctl(3, XEN_DOMCTL_setvcpucontext), -EOPNOTSUPP); /* that of a PV guest */
}

/* vCPU 0 is down. */
static void with_vcpus(unsigned int n)
{
    d = core_translated(3, n, 1000);
    op = guest_new(struct xen_domctl);
    core_as(control_domain->vcpu[0]);
    set_bit(VPF_down, &d->vcpu[0]->pause_flags);
}

/* As a PV guest's is read; xenctx does so. */
static void test_context_of_translated(void **state)
{
    struct vcpu_guest_context *c;

    with_vcpus(2);
    c = guest_new(struct vcpu_guest_context);
    op->u.vcpucontext.vcpu = 1;
    op->u.vcpucontext.ctxt.p = c;
    d->vcpu[1]->is_initialised = false;
    assert_int_equal(domctl(3, XEN_DOMCTL_getvcpucontext), -ENODATA);
    d->vcpu[1]->is_initialised = true;
    assert_int_equal(domctl(3, XEN_DOMCTL_getvcpucontext), 0);
    assert_int_equal(c->user_regs.rip, 78);
    assert_int_equal(c->ctrlreg[3], 0x3000);
    assert_int_equal(d->vcpu[1]->pause_count, 0);
    op->u.vcpucontext.ctxt.p = FAULT;
    assert_int_equal(domctl(3, XEN_DOMCTL_getvcpucontext), -EFAULT);
    core.fail_alloc = 1;
    assert_int_equal(domctl(3, XEN_DOMCTL_getvcpucontext), -ENOMEM);
}

struct cpu_record {
    struct hvm_save_descriptor desc;
    struct hvm_hw_cpu cpu;
} __attribute__((packed));

static void test_get_context(void **state)
{
    struct {
        struct hvm_save_descriptor head_desc;
        struct hvm_save_header head;
        struct cpu_record cpu[2];
        struct hvm_save_descriptor end;
    } __attribute__((packed)) * c;

    with_vcpus(2);
    c = guest_new(typeof(*c));
    assert_int_equal(context(0, XEN_DOMCTL_gethvmcontext, NULL, 0), -EINVAL);
    assert_int_equal(context(99, XEN_DOMCTL_gethvmcontext, NULL, 0), -ESRCH);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, NULL, 0), 0);
    assert_int_equal(op->u.hvmcontext.size, sizeof(*c));
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, sizeof(*c) - 1), -ENOSPC);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, FAULT, sizeof(*c)), -EFAULT);
    core.fail_alloc = 1;
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, sizeof(*c)), -ENOMEM);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, sizeof(*c)), 0);
    assert_int_equal(op->u.hvmcontext.size, sizeof(*c) - sizeof(c->cpu[0])); /* one is down */
    assert_int_equal(c->head_desc.typecode, HVM_SAVE_CODE(HEADER));
    assert_int_equal(c->head.magic, HVM_FILE_MAGIC);
    assert_int_equal(c->head.version, HVM_FILE_VERSION);
    assert_int_equal(c->cpu[0].desc.instance, 1);
    assert_int_equal(c->cpu[0].cpu.rip, 1);
    assert_int_equal(c->cpu[1].desc.typecode, HVM_SAVE_CODE(END));
    assert_int_equal(c->cpu[1].desc.length, 0);
    assert_int_equal(d->pause_count, 0);
}

static long partial(domid_t id, unsigned int type, unsigned int instance, void *buf, uint64_t size)
{
    op->u.hvmcontext_partial.type = type;
    op->u.hvmcontext_partial.instance = instance;
    op->u.hvmcontext_partial.bufsz = size;
    op->u.hvmcontext_partial.buffer.p = buf;
    return domctl(id, XEN_DOMCTL_gethvmcontext_partial);
}

static void test_get_one_record(void **state)
{
    struct hvm_hw_cpu *c;

    with_vcpus(2);
    c = guest_new(struct hvm_hw_cpu);
    assert_int_equal(partial(0, HVM_SAVE_CODE(CPU), 0, c, sizeof(*c)), -EINVAL);
    assert_int_equal(partial(3, HVM_SAVE_CODE(END), 0, c, sizeof(*c)), -EINVAL);
    assert_int_equal(partial(3, HVM_SAVE_CODE(HEADER), 0, c, sizeof(*c)), -EINVAL);
    assert_int_equal(partial(3, HVM_SAVE_CODE_MAX + 1, 0, c, sizeof(*c)), -EINVAL);
    assert_int_equal(partial(3, HVM_SAVE_CODE(PIC), 0, c, sizeof(*c)), -ENOENT);
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), 0, c, sizeof(*c)), -ENOENT); /* down */
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), 2, c, sizeof(*c)), -ENOENT);
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), ~0u, c, sizeof(*c)), -ENOENT);
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), 1, c, sizeof(*c) - 1), -ENOBUFS);
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), 1, FAULT, sizeof(*c)), -EFAULT);
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), 1, NULL, 0), 0);
    assert_int_equal(op->u.hvmcontext_partial.bufsz, sizeof(*c));
    assert_int_equal(partial(3, HVM_SAVE_CODE(CPU), 1, c, 4096), 0);
    assert_int_equal(op->u.hvmcontext_partial.bufsz, sizeof(*c));
    assert_int_equal(c->rip, 1);
    assert_int_equal(d->vcpu[1]->pause_count, 0);
}

/* ---- in slices ---- */

static struct xen_domctl *other; /* another caller's */
static unsigned int interruptions;

/* It comes back to do the same again. */
static bool waits(unsigned int cmd)
{
    struct cpu_user_regs regs = {.rax = __HYPERVISOR_domctl, .rdi = (unsigned long)other, .rip = 0x1000};

    other->cmd = cmd;
    other->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    other->domain = 3;
    pv_hypercall(&regs);
    return regs.rip != 0x1000;
}

/* More than this machine has CPUs for: it is paused, as it is when a tool saves it. */
static void with_many_vcpus(void)
{
    with_vcpus(MANY);
    domain_pause(d);
}

static void another_call(void)
{
    interruptions++;
    assert_int_equal(d->pause_count, 2);
    assert_true(waits(XEN_DOMCTL_pausedomain));
    assert_true(waits(XEN_DOMCTL_gethvmcontext));
    assert_true(waits(XEN_DOMCTL_sethvmcontext));
    assert_true(waits(XEN_DOMCTL_gethvmcontext_partial));
    assert_int_equal(d->pause_count, 2);
}

static void interrupted(void (*hook)(void))
{
    other = guest_new(struct xen_domctl);
    interruptions = 0;
    core.preempt = 1;
    core.restart_hook = hook;
}

static uint32_t context_size(void)
{
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, NULL, 0), 0);
    return op->u.hvmcontext.size;
}

static void test_get_in_slices(void **state)
{
    uint8_t *whole, *sliced;
    uint32_t size, got;

    with_many_vcpus();
    size = context_size();
    whole = guest_alloc(size);
    sliced = guest_alloc(size);
    memset(whole, 0xaa, size);
    memset(sliced, 0xaa, size);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, whole, size), 0);
    got = op->u.hvmcontext.size;
    interrupted(another_call);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, sliced, size), 0);
    assert_true(interruptions >= MANY);
    assert_int_equal(op->u.hvmcontext.size, got);
    assert_memory_equal(whole, sliced, size);
    assert_int_equal(d->pause_count, 1);
    assert_null(d->hvm.transfer);
}

static struct hvm_save_descriptor *large_context(uint32_t *size)
{
    struct hvm_save_descriptor *c;

    with_many_vcpus();
    *size = context_size();
    c = guest_alloc(*size);
    c->typecode = HVM_SAVE_CODE(HEADER);
    return c;
}

static void test_set_in_slices(void **state)
{
    uint32_t size;
    struct hvm_save_descriptor *c = large_context(&size);

    interrupted(another_call);
    assert_int_equal(set_context(3, c, size), 0);
    assert_true(interruptions > size / PAGE_SIZE);
    assert_int_equal(core.restored, size);
    c->typecode = HVM_SAVE_CODE(CPU);
    assert_int_equal(set_context(3, c, size), -EINVAL);
    assert_int_equal(d->pause_count, 1);
    assert_null(d->hvm.transfer);
}

/* What is said when it goes on, but for the place of the memory, was said when it began. */
static void lie(void)
{
    interruptions++;
    op->u.hvmcontext.size = ~0u;
}

static void test_size_changes(void **state)
{
    uint32_t size;
    struct hvm_save_descriptor *c = large_context(&size);

    interrupted(lie);
    assert_int_equal(set_context(3, c, size), 0);
    assert_true(interruptions);
    assert_int_equal(core.restored, size);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, size), 0);
    assert_true(op->u.hvmcontext.size <= size);
    assert_int_equal(d->pause_count, 1);
}

static void buffer_goes(void)
{
    op->u.hvmcontext.buffer.p = FAULT;
}

static void test_buffer_goes(void **state)
{
    uint32_t size;
    struct hvm_save_descriptor *c = large_context(&size);

    interrupted(buffer_goes);
    assert_int_equal(set_context(3, c, size), -EFAULT);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, size), -EFAULT);
    op->u.hvmcontext.buffer.p = NULL;
    assert_int_equal(core.restored, 0);
    assert_int_equal(d->pause_count, 1);
    assert_null(d->hvm.transfer);
}

/* The caller's structure cannot be written any more: third copy from here on. */
static void structure_goes(void)
{
    core.fail_copy = 3;
}

static void test_structure_goes(void **state)
{
    uint32_t size;
    struct hvm_save_descriptor *c = large_context(&size);

    interrupted(structure_goes);
    assert_int_equal(set_context(3, c, size), -EFAULT);
    assert_null(d->hvm.transfer);
    assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, size), -EFAULT);
    assert_null(d->hvm.transfer);
    assert_int_equal(d->pause_count, 1);
}

static void destroy(void)
{
    if (interruptions++)
        return;
    do {
    } while (waits(XEN_DOMCTL_destroydomain));
    assert_null(d->hvm.transfer);
}

static void test_destroyed_meanwhile(void **state)
{
    uint32_t size;
    struct hvm_save_descriptor *c = large_context(&size);

    domain_hold(d);
    interrupted(destroy);
    assert_int_equal(set_context(3, c, size), -EINVAL);
    assert_int_equal(core.restored, 0);
    core.restart_hook = NULL;
    domain_put(d);
}

/* Each allocation fails once. */
static void test_no_memory_for_it(void **state)
{
    uint32_t size;
    struct hvm_save_descriptor *c = large_context(&size);

    for (unsigned int n = 1; n <= 3; n++) {
        core.fail_alloc = n;
        assert_int_equal(set_context(3, c, size), -ENOMEM);
        assert_null(d->hvm.transfer);
    }
    for (unsigned int n = 1; n <= 2; n++) {
        core.fail_alloc = n;
        assert_int_equal(context(3, XEN_DOMCTL_gethvmcontext, c, size), -ENOMEM);
        assert_null(d->hvm.transfer);
    }
    core.fail_alloc = 0;
    assert_int_equal(set_context(3, c, size), 0);
    assert_int_equal(d->pause_count, 1);
}

int core_context_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_set_context),         CORE_TEST(test_context_of_translated), CORE_TEST(test_get_context),
        CORE_TEST(test_get_one_record),      CORE_TEST(test_get_in_slices),         CORE_TEST(test_set_in_slices),
        CORE_TEST(test_size_changes),        CORE_TEST(test_buffer_goes),           CORE_TEST(test_structure_goes),
        CORE_TEST(test_destroyed_meanwhile), CORE_TEST(test_no_memory_for_it),
    };

    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
