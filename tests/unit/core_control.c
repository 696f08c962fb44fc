// SPDX-License-Identifier: BSD-2-Clause
/*
 * The control domain's calls - domctl, sysctl, platform_op - and vcpu_op: success, errors, bad pointers, the wrong
 * interface version. The random test throws every sub-call number with odd arguments at them.
 */
#include <hv/boot.h>
#include <hv/timer.h>
#include <xen/domctl.h>
#include <xen/platform.h>
#include <xen/sysctl.h>
#include "fake/core.h"

static struct xen_domctl *op;

static long domctl(unsigned int cmd, domid_t id)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    return CALL(domctl, op, 0, 0);
}

static domid_t created(void)
{
    op = guest_new(struct xen_domctl);
    op->u.createdomain = core_config(2);
    assert_int_equal(domctl(XEN_DOMCTL_createdomain, 0), 0);
    return op->domain;
}

static void test_envelopes(void **state)
{
    struct xen_sysctl *s = guest_new(struct xen_sysctl);
    struct xen_platform_op *p = guest_new(struct xen_platform_op);
    struct vcpu *callers[] = {control_domain->vcpu[0], core_guest(1, 0)->vcpu[0]};

    op = guest_new(struct xen_domctl);
    for (unsigned int i = 0; i < ARRAY_SIZE(callers); i++) {
        core_as(callers[i]);
        op->interface_version = s->interface_version = p->interface_version = 0;
        assert_int_equal(CALL(domctl, op, 0, 0), -EACCES);
        assert_int_equal(CALL(sysctl, s, 0, 0), -EACCES);
        assert_int_equal(CALL(platform_op, p, 0, 0), -EACCES);
        op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        p->interface_version = XENPF_INTERFACE_VERSION;
        op->cmd = s->cmd = p->cmd = ~0u;
        assert_int_equal(CALL(domctl, op, 0, 0), i ? -EPERM : -ENOSYS);
        assert_int_equal(CALL(sysctl, s, 0, 0), i ? -EPERM : -ENOSYS);
        assert_int_equal(CALL(platform_op, p, 0, 0), i ? -EPERM : -ENOSYS);
        for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++) {
            assert_int_equal(CALL(domctl, core_bad_pointer(kind, sizeof(*op)), 0, 0), -EFAULT);
            assert_int_equal(CALL(sysctl, core_bad_pointer(kind, sizeof(*s)), 0, 0), -EFAULT);
            assert_int_equal(CALL(platform_op, core_bad_pointer(kind, sizeof(*p)), 0, 0), -EFAULT);
        }
    }
}

static void test_domain_life(void **state)
{
    domid_t id = created();
    struct domain *d = domain_get(id);

    assert_int_equal(domctl(XEN_DOMCTL_createdomain, id), -EEXIST);
    op->u.max_vcpus.max = 3;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), -EINVAL);
    op->u.max_vcpus.max = 2;
    core.preempt = 1;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    core.preempt = 0;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    op->u.max_mem.max_memkb = 40;
    assert_int_equal(domctl(XEN_DOMCTL_max_mem, id), 0);
    assert_int_equal(d->max_pages, 10);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), -EINVAL);
    for (unsigned int i = 0; i < 255; i++)
        assert_int_equal(domctl(XEN_DOMCTL_pausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, id), -EOVERFLOW);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, 0), -EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    assert_int_equal(op->domain, id);
    assert_int_equal(op->u.getdomaininfo.max_pages, 10);
    assert_true(op->u.getdomaininfo.flags & XEN_DOMINF_paused);
    assert_false(op->u.getdomaininfo.flags & XEN_DOMINF_blocked);                    /* none of its vCPUs is online */
    assert_int_equal(op->u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift, 0xffff); /* no code yet */
    assert_int_equal(op->u.getdomaininfo.outstanding_pages, 0);
    d->dying = DOM_DYING;
    op->u.max_vcpus.max = d->max_vcpus;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), -EINVAL);
    d->dying = DOM_ALIVE;
    assert_int_equal(domain_claim_pages(d, 4), 0);
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    assert_int_equal(op->u.getdomaininfo.outstanding_pages, 4);
    assert_int_equal(op->u.getdomaininfo.shared_info_frame, virt_to_mfn(d->shared_info).n);
    assert_int_equal(op->u.getdomaininfo.cpupool, 0);
    assert_int_equal(op->u.getdomaininfo.arch_config.emulation_flags, 0);
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, (domid_t)(id + 1)), -ESRCH);
    domain_put(d);
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, 0), -EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), 0);
    core_settle();
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), -ESRCH);
}

/* The number that the domain was created with, one after the other; what failed goes on where it was. */
static void test_vcpus_are_made(void **state)
{
    domid_t id = created();
    struct domain *d = domain_get(id);
    unsigned int failed = 0;
    long rc;

    op->u.max_vcpus.max = 1;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), -EINVAL);
    op->u.max_vcpus.max = control_domain->max_vcpus;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, 0), -EINVAL);
    op->u.max_vcpus.max = 2;
    do {
        core.fail_alloc = ++failed;
        rc = domctl(XEN_DOMCTL_max_vcpus, id);
    } while (rc == -ENOMEM);
    core.fail_alloc = 0;
    assert_int_equal(rc, 0);
    assert_true(failed > 2 && d->vcpu[0] && d->vcpu[1]);
    domain_put(d);
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), 0);
}

static void test_bad_configurations(void **state)
{
    created();
#define REFUSED(error, change)                                       \
    do {                                                             \
        op->u.createdomain = core_config(1);                         \
        change;                                                      \
        assert_int_equal(domctl(XEN_DOMCTL_createdomain, 0), error); \
    } while (0)
    REFUSED(-EOPNOTSUPP, op->u.createdomain.flags = XEN_DOMCTL_CDF_hvm);
    REFUSED(-EINVAL, op->u.createdomain.flags = 1u << 31);
    REFUSED(-EINVAL, op->u.createdomain.max_vcpus = 0);
    REFUSED(-ERANGE, op->u.createdomain.max_vcpus = ~0u);
    REFUSED(-ERANGE, op->u.createdomain.max_vcpus = MAX_VIRT_CPUS + 1);
    REFUSED(-EINVAL, op->u.createdomain.iommu_opts = 1);
    REFUSED(-EINVAL, op->u.createdomain.arch.emulation_flags = XEN_X86_EMU_LAPIC);
    REFUSED(-EINVAL, op->u.createdomain.max_grant_frames = 0);
    REFUSED(-EINVAL, op->u.createdomain.max_maptrack_frames = 0x7fffffff);
#undef REFUSED
    core_settle();
}

static bool is_down(domid_t id, unsigned int vcpu)
{
    struct domain *d = domain_get(id);
    bool down = test_bit(VPF_down, &d->vcpu[vcpu]->pause_flags);

    domain_put(d);
    return down;
}

static void test_contexts(void **state)
{
    struct vcpu_guest_context *ctx = guest_new(struct vcpu_guest_context);
    domid_t id = created();

    op->u.max_vcpus.max = 2;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    op->u.vcpucontext.vcpu = 1;
    op->u.vcpucontext.ctxt.p = ctx;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, id), -ENODATA);
    ctx->user_regs.rip = 0x1234;
    ctx->flags = VGCF_online;
    core.context_restarts = 3;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, id), 0);
    assert_int_equal(core.restarts, 3);
    assert_false(is_down(id, 1));
    ctx->flags = 0;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, id), 0);
    assert_true(is_down(id, 1));
    ctx->user_regs.rip = 0;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, id), 0);
    assert_int_equal(ctx->user_regs.rip, 0x1234);
    core.context_error = -EINVAL;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, id), -EINVAL);
    op->u.vcpucontext.ctxt.p = FAULT;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, id), -EFAULT);
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, id), -EFAULT);
    op->u.vcpucontext.ctxt.p = ctx;
    core.fail_alloc = 1;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, id), -ENOMEM);
    core.fail_alloc = 1;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, id), -ENOMEM);
    op->u.vcpucontext.vcpu = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, id), -EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, id), -ESRCH);
}

static void test_permissions(void **state)
{
    domid_t id = created();
    struct domain *d = domain_get(id);

    op->u.iomem_permission = (struct xen_domctl_iomem_permission){.first_mfn = 0x1000, .nr_mfns = 4, .allow_access = 1};
    assert_int_equal(domctl(XEN_DOMCTL_iomem_permission, id), 0);
    assert_true(iomem_permitted(d, _mfn(0x1003)) && !iomem_permitted(d, _mfn(0x1004)));
    op->u.iomem_permission.first_mfn = ~0ul - 1;
    assert_int_equal(domctl(XEN_DOMCTL_iomem_permission, id), -EINVAL);
    op->u.iomem_permission.first_mfn = 0x1000000; /* more than the caller has */
    assert_int_equal(domctl(XEN_DOMCTL_iomem_permission, id), -EPERM);
    op->u.ioport_permission =
        (struct xen_domctl_ioport_permission){.first_port = 0x60, .nr_ports = 1, .allow_access = 1};
    assert_int_equal(domctl(XEN_DOMCTL_ioport_permission, id), 0);
    assert_true(ioport_permitted(d, 0x60, 1) && !ioport_permitted(d, 0x60, 2) && !ioport_permitted(d, 0x60, 0));
    op->u.ioport_permission.nr_ports = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_ioport_permission, id), -EINVAL);
    op->u.irq_permission = (struct xen_domctl_irq_permission){.pirq = 9, .allow_access = 1};
    assert_int_equal(domctl(XEN_DOMCTL_irq_permission, id), 0);
    assert_true(irq_permitted(d, 9));
    op->u.irq_permission.pirq = 0;
    assert_int_equal(domctl(XEN_DOMCTL_irq_permission, id), -EPERM);
    domain_put(d);
}

/* ---- vcpu_op ---- */
static void test_vcpu_op(void **state)
{
    struct domain *d = core_guest(2, 1);
    struct vcpu *v = d->vcpu[0];
    struct vcpu_guest_context *ctx = guest_new(struct vcpu_guest_context);
    struct vcpu_set_singleshot_timer *t = guest_new(struct vcpu_set_singleshot_timer);
    struct vcpu_set_periodic_timer *p = guest_new(struct vcpu_set_periodic_timer);

    core_as(v);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 2, 0), -ENOENT);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, ~0u, 0), -ENOENT);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 1, 0), 1);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    core_settle();
    assert_false(d->vcpu[1]->is_running);
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, ctx), -EEXIST);
    d->vcpu[1]->is_initialised = false;
    assert_int_equal(CALL(vcpu_op, VCPUOP_up, 1, 0), -EINVAL);
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, FAULT), -EFAULT);
    core.fail_alloc = 1;
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, ctx), -ENOMEM);
    core.context_restarts = 2;
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, ctx), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_up, 1, 0), 0);
    core_settle();
    assert_true(d->vcpu[1]->is_running);
    core_as(v);
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 1, t), -EINVAL);
    t->timeout_abs_ns = (uint64_t)core.now - 1;
    t->flags = VCPU_SSHOTTMR_future;
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, t), -ETIME);
    t->timeout_abs_ns = ~0ull;
    t->flags = 0;
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, t), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0), 0);
    p->period_ns = 1;
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_periodic_timer, 0, p), -EINVAL);
    p->period_ns = ~0ull;
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_periodic_timer, 0, p), -EINVAL);
    p->period_ns = (uint64_t)MILLISECS(1);
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_periodic_timer, 0, p), 0);
    core_settle();
    core_pass(MILLISECS(10));
    core_as(v);
    assert_int_equal(CALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
    assert_int_equal(CALL(vcpu_op, 99, 0, 0), -ENOSYS);
}

/* ---- everything with anything ---- */
static uint64_t odd_number(void)
{
    static const uint64_t odd[] = {0, 1, 2, 64, 255, 65535, 0x7fffffff, 0xffffffff, 1ul << 40, ~0ul, ~0ul >> 1};

    switch (fake_below(4)) {
    case 0:
        return (uint64_t)core_bad_pointer(fake_below(NR_BAD_POINTERS), 64);
    case 1:
        return (uint64_t)guest_memory + 65536 + fake_below(4096);
    case 2:
        return fake_rand();
    default:
        return odd[fake_below(ARRAY_SIZE(odd))];
    }
}

static void scramble(void *p, size_t n)
{
    for (uint64_t *w = p; n >= 8; w++, n -= 8)
        *w = fake_chance(50) ? odd_number() : odd_number() << 32 | (odd_number() & 0xffffffff);
}

static void test_random_control_calls(void **state)
{
    struct xen_sysctl *s = guest_new(struct xen_sysctl);
    struct xen_platform_op *p = guest_new(struct xen_platform_op);
    domid_t id = created();
    struct domain *d;

    for (unsigned long n = 0; n < fake_ops(6000); n++) {
        core_as(control_domain->vcpu[0]);
        switch (fake_below(3)) {
        case 0:
            scramble(&op->u, sizeof(op->u));
            (void)domctl(fake_below(90), fake_chance(80) ? id : (domid_t)fake_rand());
            break;
        case 1:
            scramble(&s->u, sizeof(s->u));
            s->cmd = fake_below(32);
            s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
            s->u.readconsole.count &= 0xffff;
            (void)CALL(sysctl, s, 0, 0);
            break;
        default:
            scramble(&p->u, sizeof(p->u));
            p->cmd = fake_below(70);
            p->interface_version = XENPF_INTERFACE_VERSION;
            if (p->cmd != XENPF_enter_acpi_sleep)
                (void)CALL(platform_op, p, 0, 0);
        }
        core_settle();
        if ((d = domain_get(id)) != NULL)
            domain_put(d);
        else
            id = created();
        memset(core.console, 0, sizeof(core.console));
    }
}

int core_control_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_envelopes),      CORE_TEST(test_domain_life),
        CORE_TEST(test_vcpus_are_made), CORE_TEST(test_bad_configurations),
        CORE_TEST(test_contexts),       CORE_TEST(test_permissions),
        CORE_TEST(test_vcpu_op),        CORE_TEST(test_random_control_calls),
    };

    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
