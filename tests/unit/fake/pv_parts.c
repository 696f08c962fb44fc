// SPDX-License-Identifier: BSD-2-Clause
/* What the real pv/, grant/, domain/teardown.c and hypercall/memory_op.c want of parts that a test of page tables has
 * not. */
#include <hv/hvm.h>
#include <hv/boot.h>
#include <hv/event.h>
#include <hv/fpu.h>
#include <hv/irq.h>
#include "../../../hypervisor/pv/internal.h"
#include "fake.h"

struct boot_info boot_info;

/* ---- the processor ---- */
void pv_ldt_load(struct vcpu *v)
{
}

void pv_cpuid_init(void)
{
}

int fpu_vcpu_init(struct vcpu *v)
{
    return 0;
}

void fpu_vcpu_free(struct vcpu *v)
{
}

void fpu_import_legacy(struct vcpu *v, const void *fxsave)
{
}

void fpu_export_legacy(struct vcpu *v, void *fxsave)
{
}

mfn_t m2p_frame(unsigned long rw_address)
{
    return INVALID_MFN;
}

/* ---- teardown's other steps ---- */
void timer_kill(struct timer *t)
{
}

void vcpu_kill_timers(struct vcpu *v)
{
}

void watchdog_kill(struct domain *d)
{
}

int evtchn_relinquish(struct domain *d)
{
    return 0;
}

int irq_relinquish(struct domain *d)
{
    return 0;
}

void irq_domain_free(struct domain *d)
{
}

void vcpu_unregister_info(struct vcpu *v)
{
}

void send_global_virq(unsigned int virq)
{
}

void hvm_latch_width(struct domain *d)
{
}

void hvm_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    panic("no domain here is on hardware virtualisation\n");
}

void hvm_drop_transfer(struct domain *d)
{
}

void hvm_vcpu_stop(struct vcpu *v)
{
}
