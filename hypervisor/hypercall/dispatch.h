/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hypercall/: one hypercall with its arguments, for dispatch.c and multicall.c. */
#ifndef HYPERCALL_DISPATCH_H
#define HYPERCALL_DISPATCH_H

#include <hv/hypercall.h>

/* Result of the handler; -ENOSYS for an unknown number, -EPERM for one the caller may not make. hc->restart tells
 * whether to restart. */
long hypercall_run(struct hcall *hc);
/* The same for a caller in 32-bit code; -ENOSYS also for what looks different there. */
long hypercall_run_32(struct hcall *hc);

#endif
