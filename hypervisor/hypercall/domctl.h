/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hypercall/: control calls. */
#ifndef HYPERCALL_DOMCTL_H
#define HYPERCALL_DOMCTL_H

#include <hv/hypercall.h>
#include <xen/domctl.h>

/*
 * A sub-operation: op is the caller's structure, copied once; it is copied back when *copyback is set. d: the domain
 * named, referenced (NULL for those that need none). -ERESTART restarts the whole call.
 */
typedef long domctl_fn(struct domain *d, struct xen_domctl *op, bool *copyback);

domctl_fn domctl_create, domctl_destroy, domctl_pause, domctl_unpause, domctl_resume, domctl_getinfo, domctl_max_mem,
    domctl_max_vcpus, domctl_sethandle, domctl_settimeoffset, domctl_hypercall_init, domctl_set_virq_handler,
    domctl_address_size, domctl_subscribe, domctl_setnodeaffinity, domctl_getnodeaffinity, domctl_get_cpu_policy,
    domctl_set_cpu_policy;
domctl_fn domctl_gethvmcontext, domctl_gethvmcontext_partial, domctl_sethvmcontext;
/* A transfer of d's context is under way that op does not go on with, and that op could spoil. RANK_DOMCTL. */
bool domctl_must_wait(const struct domain *d, struct xen_domctl *op);
domctl_fn domctl_setcontext, domctl_getcontext, domctl_getvcpuinfo, domctl_setaffinity, domctl_getaffinity,
    domctl_scheduler, domctl_sendtrigger;
domctl_fn domctl_getvcpuextstate, domctl_setvcpuextstate, domctl_getextcontext, domctl_setextcontext,
    domctl_getvcpumsrs, domctl_setvcpumsrs;
domctl_fn domctl_ioport, domctl_iomem, domctl_irq, domctl_pageframeinfo, domctl_gettscinfo, domctl_settscinfo;
domctl_fn domctl_shadow_op, domctl_get_mempool, domctl_set_mempool;

/*
 * Copy as many bits as the caller's map has. 0 or -EFAULT. What is told is cut to the CPUs that there are, and the map
 * is cleared behind it, a page at most: none that is larger is of use to anybody.
 */
int mask_from_guest(cpumask_t *m, const struct xenctl_bitmap *b);
int mask_to_guest(const struct xenctl_bitmap *b, cpumask_t m);
void get_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

#endif
