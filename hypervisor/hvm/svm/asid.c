// SPDX-License-Identifier: BSD-2-Clause
/*
 * Address space identifiers: what the TLB keeps of a guest bears one, and is of use to entries with the same one only.
 * A vCPU keeps its own until its translations have to go, and then takes one that this CPU has given to nobody since
 * the whole TLB was flushed; when there is none left the next entry flushes it. AMD64 manual volume 2, section 15.16.
 *
 * They have to go when hardware's control registers or memory types are set, when the back end is told to
 * (hvm_forget_translations), and whenever the CPU itself has flushed: a shoot-down, or a switch between vCPUs, is for
 * guests' translations too. The time of a CPU's last flush tells: no two flushes, of whichever CPUs, have the same.
 */
#include <hv/boot.h>
#include <hv/x86.h>
#include "vmcb.h"

static bool opt_asid = true;
CMDLINE_PARAM("asid", PARAM_BOOL, opt_asid);

/* 0 is the hypervisor's. Those from next on are free; none is at first. */
static DEFINE_PER_CPU(uint32_t, asids);
static DEFINE_PER_CPU(uint32_t, next_asid);

void asid_init(uint32_t number)
{
    this_cpu(asids) = opt_asid ? MAX(number, 2u) : 2;
    asid_begin_again();
}

void asid_begin_again(void)
{
    this_cpu(next_asid) = this_cpu(asids);
}

void asid_take(struct hvm_vcpu *h, struct vmcb *c)
{
    uint64_t time = tlb_flush_time();

    c->tlb_control = TLB_KEEP;
    if (h->tlb_time == time && opt_asid)
        return;
    h->tlb_time = time;
    h->tlbs++;
    if (this_cpu(next_asid) >= this_cpu(asids)) {
        c->tlb_control = TLB_FLUSH_ALL;
        this_cpu(next_asid) = 1;
    }
    c->asid = this_cpu(next_asid);
    this_cpu(next_asid) = c->asid + 1;
}
