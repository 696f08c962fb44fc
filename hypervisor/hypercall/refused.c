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
    struct xenoprof_get_buffer buffer;
    struct xenoprof_init init;

    switch ((int)hc->arg[0]) {
    case XENOPROF_init:
        return guest_copy_from(&init, (void *)hc->arg[1], sizeof(init)) ? -EFAULT : -ENODEV;
    case XENOPROF_get_buffer:
        return guest_copy_from(&buffer, (void *)hc->arg[1], sizeof(buffer)) ? -EFAULT : -ENODEV;
    case XENOPROF_reset_active_list ... XENOPROF_shutdown:
    case XENOPROF_set_backtrace ... XENOPROF_last_op:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

#define DM_OP_BUFFERS 2u

/*
 * About another domain always, which would have to be an HVM one. The list of buffers has to be there first: of two
 * words each, which are of 32 bits for 32-bit code.
 */
long do_dm_op(struct hcall *hc)
{
    unsigned int n = (unsigned int)hc->arg[1];
    uint32_t buf[DM_OP_BUFFERS][2];
    struct domain *d;
    long rc;

    if (n > DM_OP_BUFFERS)
        return -E2BIG;
    if (guest_copy_from(buf, (void *)hc->arg[2], n * sizeof(buf[0])))
        return -EFAULT;
    d = domain_get((domid_t)hc->arg[0]);
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

long do_mca(struct hcall *hc)
{
    return -ENOSYS;
}
