/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hypercall/: sysctl sub-operations; the same shape as domctl's. */
#ifndef HYPERCALL_SYSCTL_H
#define HYPERCALL_SYSCTL_H

#include <hv/hypercall.h>
#include <xen/sysctl.h>

typedef long sysctl_fn(struct xen_sysctl *op, bool *copyback);

sysctl_fn sysctl_physinfo, sysctl_cputopo, sysctl_numa, sysctl_cpupool, sysctl_getcpuinfo, sysctl_availheap,
    sysctl_scheduler, sysctl_cpu_policy, sysctl_cpu_featureset, sysctl_levelling_caps;

#endif
