// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a domain shares with the hypervisor, in the layout of its kernel: that of x86-64, or that of i386 where a
 * translated domain's kernel is of 32 bits. Which it is follows from the mode in which the kernel does what each does
 * first (hvm_latch_width), and may change while it runs, as from a boot loader to a kernel.
 *
 * Pending bits, vCPUs' records and the time in them stand at the same place in both. Selectors, masks, the wall clock
 * and the runstate area do not. Source: <xen/xen.h>, <xen/vcpu.h>, <xen/foreign/x86_32.h>.
 */
#include <hv/domain.h>
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/x86.h>
#include <xen/foreign/x86_32.h>

static_assert(offsetof(struct shared_info, evtchn_pending) == offsetof(struct shared_info_x86_32, evtchn_pending) &&
                  offsetof(vcpu_info_t, time) == offsetof(struct vcpu_info_x86_32, time) &&
                  sizeof(vcpu_info_t) == sizeof(struct vcpu_info_x86_32),
              "what stands at the same place");

/* life_lock: no record moves meanwhile (VCPUOP_register_vcpu_info), and of two changes one is the last. */
static void change_width(struct domain *d, bool narrow)
{
    struct vcpu *v;

    WRITE_ONCE(d->hvm.has_32bit_shinfo, narrow);
    smp_mb(); /* who did not see it has set the other selector by now, or looks again */
    for_each_vcpu (d, v)
        evtchn_width_changed(v);
    time_update_wallclock(d);
}

void hvm_latch_width(struct domain *d)
{
    bool narrow = hvm_mode(current) != INSN_64;

    spin_lock(&d->life_lock);
    if (narrow != d->hvm.has_32bit_shinfo)
        change_width(d, narrow);
    spin_unlock(&d->life_lock);
}

/* The version and the two numbers that follow it; the high half of the seconds stands elsewhere. */
void write_wallclock(struct domain *d, uint64_t seconds, uint32_t nsecs)
{
    struct shared_info *s = d->shared_info;
    struct shared_info_x86_32 *s32 = (struct shared_info_x86_32 *)s;
    bool narrow = has_32bit_shinfo(d);
    uint32_t *wc = narrow ? &s32->wc_version : &s->wc_version;
    uint32_t version = READ_ONCE(*wc) & ~1u;

    WRITE_ONCE(*wc, version | 1);
    smp_wmb();
    *(narrow ? &s32->wc_sec : &s->wc_sec) = (uint32_t)seconds;
    *(narrow ? &s32->arch.wc_sec_hi : &s->wc_sec_hi) = (uint32_t)(seconds >> 32);
    *(narrow ? &s32->wc_nsec : &s->wc_nsec) = nsecs;
    smp_wmb();
    WRITE_ONCE(*wc, version + 2);
}

/* ---- the runstate area ---- */

/* Where its parts stand. */
static const struct {
    uint8_t entered, time, size;
} runstate_layout[] = {
    [false] = {offsetof(struct vcpu_runstate_info, state_entry_time), offsetof(struct vcpu_runstate_info, time), 48},
    [true] = {4, 12, 44},
};
static_assert(sizeof(struct vcpu_runstate_info) == 48, "the larger of the two");

/* With runstate_update_flag the time of entry says, before and until all of it is there, that it is being written. */
void vcpu_write_runstate_area(struct vcpu *v, const struct vcpu_runstate_info *r)
{
    bool narrow = has_32bit_shinfo(v->domain);
    unsigned int entered = runstate_layout[narrow].entered, time = runstate_layout[narrow].time;
    uint64_t marked = r->state_entry_time | XEN_RUNSTATE_UPDATE;
    uint8_t area[48] = {0}, *guest = (uint8_t *)v->runstate_guest;

    memcpy(area, &r->state, sizeof(r->state));
    memcpy(area + entered, &r->state_entry_time, sizeof(marked));
    memcpy(area + time, r->time, sizeof(r->time));
    if (!test_bit(VMASST_TYPE_runstate_update_flag, &v->domain->vm_assist)) {
        (void)guest_copy_to(guest, area, runstate_layout[narrow].size);
        return;
    }
    (void)guest_copy_to(guest + entered, &marked, sizeof(marked));
    smp_wmb();
    (void)guest_copy_to(guest, area, entered);
    (void)guest_copy_to(guest + time, area + time, sizeof(r->time));
    smp_wmb();
    (void)guest_copy_to(guest + entered, area + entered, sizeof(marked));
}
