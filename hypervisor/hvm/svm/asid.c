// SPDX-License-Identifier: BSD-2-Clause
/*
 * Address space identifiers: what the TLB keeps of a guest bears one, and is of use to entries with the same one only.
 * A vCPU keeps its own until its translations have to go, and then takes one that this CPU has given to nobody since
 * the whole TLB was flushed; when there is none left the next entry flushes it. AMD64 manual volume 2, section 15.16.
 *
 * On shadows it has one for each of the roots that it used last. A load of CR3 is to flush, but that of a root is as
 * good as flushed if no entry of any shadow has lost a right since it was begun: there is nothing that it could have
 * wrong.
 *
 * They have to go when hardware's control registers or memory types are set, when the back end is told to
 * (hvm_forget_translations), and whenever the CPU itself has flushed: a shoot-down, or a switch between vCPUs, is for
 * guests' translations too. The time of a CPU's last flush tells: no two flushes, of whichever CPUs, have the same.
 */
#include <hv/boot.h>
#include <hv/x86.h>
#include "vmcb.h"

static bool opt_asid = true, opt_asid_roots = true;
CMDLINE_RUNTIME("asid", PARAM_BOOL, opt_asid);
CMDLINE_RUNTIME("asid_roots", PARAM_BOOL, opt_asid_roots);

/* 0 is the hypervisor's. Those from next on are free; none is at first. */
static DEFINE_PER_CPU(uint32_t, asids);
static DEFINE_PER_CPU(uint32_t, next_asid);

void asid_init(uint32_t number)
{
    this_cpu(asids) = MAX(number, 2u);
    asid_begin_again();
}

void asid_begin_again(void)
{
    this_cpu(next_asid) = this_cpu(asids);
}

void asid_set_root(struct hvm_vcpu *h, uint64_t root, uint64_t losses)
{
    unsigned int n = 0;

    while (n < HVM_TLBS && h->tlb[n].root != root)
        n++;
    if (n == HVM_TLBS)
        n = (h->tlb_in_use + 1) % HVM_TLBS;
    if (h->tlb[n].root != root || h->tlb[n].losses != losses || !opt_asid_roots)
        h->tlb[n].time = 0;
    h->tlb[n].root = root;
    h->tlb[n].losses = losses;
    h->tlb_in_use = n;
}

void asid_take(struct hvm_vcpu *h, struct vmcb *c)
{
    struct hvm_tlb *t = &h->tlb[h->tlb_in_use];
    uint64_t time = tlb_flush_time();
    bool keep = READ_ONCE(opt_asid);

    c->tlb_control = TLB_KEEP;
    c->asid = t->asid;
    if (t->time == time && keep)
        return;
    h->tlbs++;
    if (this_cpu(next_asid) >= this_cpu(asids) || !keep) {
        hvm_forget_translations(h); /* nobody else has any here: it would be from before the last flush */
        c->tlb_control = TLB_FLUSH_ALL;
        this_cpu(next_asid) = 1;
    }
    t->time = time;
    c->asid = t->asid = this_cpu(next_asid);
    this_cpu(next_asid) = t->asid + 1;
}
