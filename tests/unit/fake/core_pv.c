// SPDX-License-Identifier: BSD-2-Clause
/* core.h: descriptors and contexts of PV vCPUs, for programs that have no use for the real ones (pv/desc.c,
 * pv/context.c, pv/walk.c). */
#include "core.h"

void pv_drop_descriptors(struct vcpu *v)
{
}

void pv_ldt_invalidate(struct vcpu *v)
{
}

int pv_set_ldt(struct vcpu *v, unsigned long base, unsigned long ents)
{
    return -EINVAL;
}

bool pv_check_descriptor(uint64_t *desc)
{
    return true;
}

int pv_walk(const struct vcpu *v, unsigned long linear, pte_t *leaf, unsigned int *level)
{
    return -EFAULT;
}

int pv_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
    assert_true(v->domain->pause_count || spin_is_locked(&v->domain->life_lock));
    if (core.context_restarts) {
        core.context_restarts--;
        return -ERESTART;
    }
    if (core.context_error)
        return core.context_error;
    v->regs = ctx->user_regs;
    v->is_initialised = true;
    return 0;
}

void pv_get_context(struct vcpu *v, struct vcpu_guest_context *ctx)
{
    memset(ctx, 0, sizeof(*ctx));
    ctx->user_regs = v->regs;
}

long do_set_gdt(struct hcall *hc)
{
    return -EOPNOTSUPP;
}

long do_update_descriptor(struct hcall *hc)
{
    return -EOPNOTSUPP;
}
