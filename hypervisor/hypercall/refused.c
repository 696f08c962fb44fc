/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls that are out of scope and that Xen 4.17 refuses with something else than -ENOSYS when a PV domain makes
 * them, or makes them about a PV domain: the same errors here, because kernels and tools tell by them what to do
 * without. What Xen refuses with -ENOSYS is just not in the table. tests/lab/test_abi_probe.py compares.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <xen/hvm/dm_op.h>
#include <xen/xenoprof.h>

/* There are no counters, so nobody ever becomes the profiling domain. */
long do_xenoprof_op(struct hcall *hc)
{
    struct xenoprof_init init;

    switch ((int)hc->arg[0]) {
    case XENOPROF_init:
        return guest_copy_from(&init, (void *)hc->arg[1], sizeof(init)) ? -EFAULT : -ENODEV;
    case XENOPROF_get_buffer:
        return -ENODEV;
    case XENOPROF_reset_active_list ... XENOPROF_shutdown:
    case XENOPROF_set_backtrace ... XENOPROF_last_op:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

/* About another domain always, which would have to be an HVM one. */
long do_dm_op(struct hcall *hc)
{
    struct domain *d = domain_get((domid_t)hc->arg[0]);
    long rc;

    if (!d)
        return -ESRCH;
    rc = d == current->domain ? -EPERM : -EINVAL;
    domain_put(d);
    return rc;
}

long do_xenpmu_op(struct hcall *hc)
{
    return -EOPNOTSUPP;
}

/* For the control domain only; others are told so in the table. */
long do_kexec_op(struct hcall *hc)
{
    return -ENOSYS;
}

long do_hypfs_op(struct hcall *hc)
{
    return -ENOSYS;
}

long do_mca(struct hcall *hc)
{
    return -ENOSYS;
}
