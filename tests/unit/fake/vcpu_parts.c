// SPDX-License-Identifier: BSD-2-Clause
/* What the real hypercall/vcpu_op.c and domctl_vcpu.c want of time, the scheduler and translated domains, in tests that
 * only set contexts. */
#include <hv/boot.h>
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/timer.h>
#include "fake.h"

DEFINE_PER_CPU(uint32_t, apicid);
DEFINE_PER_CPU(uint32_t, acpi_id);

struct vcpu *domain_vcpu(struct domain *d, unsigned int id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

void vcpu_pause(struct vcpu *v)
{
}

void vcpu_pause_nosync(struct vcpu *v)
{
}

void vcpu_unpause(struct vcpu *v)
{
}

void vcpu_wake(struct vcpu *v)
{
}

void vcpu_sleep_nosync(struct vcpu *v)
{
}

void vcpu_kick(struct vcpu *v)
{
}

void domain_shutdown(struct domain *d, unsigned int reason)
{
}

int guest_clear(void *guest_dst, size_t n)
{
    return 0;
}

s_time_t system_time(void)
{
    return 0;
}

void time_update_vcpu(struct vcpu *v)
{
}

void timer_set(struct timer *t, s_time_t expires)
{
}

void timer_stop(struct timer *t)
{
}

void timer_migrate(struct timer *t, unsigned int cpu)
{
}

void vcpu_get_runstate(struct vcpu *v, struct vcpu_runstate_info *r)
{
}

void vcpu_write_runstate_area(struct vcpu *v, const struct vcpu_runstate_info *r)
{
}

int vcpu_register_info(struct vcpu *v, gfn_t gfn, unsigned int offset)
{
    return -EINVAL;
}

int hvm_set_start(struct vcpu *v, const struct vcpu_hvm_context *c)
{
    return -EINVAL;
}

int vcpu_set_affinity(struct vcpu *v, cpumask_t hard)
{
    return -EINVAL;
}

int vcpu_set_soft_affinity(struct vcpu *v, cpumask_t soft)
{
    return -EINVAL;
}

int vcpu_override_affinity(struct vcpu *v, int cpu)
{
    return -EINVAL;
}

int sched_adjust(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    return -EINVAL;
}
