/* SPDX-License-Identifier: BSD-2-Clause */
/* umbra_op's commands about shadow paging, for umbra_op.c. */
#ifndef HYPERCALL_SHADOW_OP_H
#define HYPERCALL_SHADOW_OP_H

#include <hv/domain.h>
#include <umbra/umbra_op.h>

typedef long umbra_op_fn(struct domain *d, struct umbra_op *op, bool *copyback);

umbra_op_fn shadow_op_stats, shadow_op_audit, shadow_op_blow, shadow_op_dump;

#endif
