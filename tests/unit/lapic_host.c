// SPDX-License-Identifier: BSD-2-Clause
/* lapic_host.h. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/cpuid.h>
#include <hv/event.h>
#include <hv/heap.h>
#include <hv/sched.h>
#include "lapic_host.h"
#include "fake/fake.h"

s_time_t now;
unsigned int kicks[VCPUS], wakes, sleeps, shutdowns, shut_down_for;
bool open_for[2], nmi_going_on, window;
unsigned int injected, cleared;
struct hvm_segment segs[HVM_SEGS];

s_time_t system_time(void)
{
    return now;
}

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned int cpu)
{
    *t = (struct timer){.fn = fn, .data = data, .expires = STIME_MAX};
}

void timer_set(struct timer *t, s_time_t expires)
{
    t->expires = expires;
}

void timer_migrate(struct timer *t, unsigned int cpu)
{
    t->cpu = cpu;
}

void timer_kill(struct timer *t)
{
    t->expires = STIME_MAX;
}

void *hv_alloc(size_t size)
{
    return calloc(1, size);
}

void hv_free(void *p)
{
    free(p);
}

void vcpu_kick(struct vcpu *v)
{
    kicks[v->vcpu_id]++;
}

void vcpu_wake(struct vcpu *v)
{
    wakes++;
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    sleeps++;
}

void raise_softirq(enum softirq nr)
{
}

void domain_shutdown(struct domain *of, unsigned int reason)
{
    assert_int_equal(fake_locks_held, 0);
    shut_down_for = reason;
    shutdowns++;
}

static struct cpuid_policy policy = {.count = 1, .leaf = {{.leaf = 1, .subleaf = XEN_CPUID_NO_SUBLEAF, .a = 0x800f12}}};

const struct cpuid_policy *domain_cpuid_policy(const struct domain *of)
{
    return &policy;
}

const xen_cpuid_leaf_t *cpuid_find(const struct cpuid_policy *p, uint32_t leaf, uint32_t sub)
{
    return leaf == p->leaf[0].leaf && sub == p->leaf[0].subleaf ? &p->leaf[0] : NULL;
}

void hvm_sync_tsc(struct vcpu *v)
{
    v->hvm->tsc_offset = 7;
}

void hvm_paging_changed(struct vcpu *v)
{
    v->hvm->paging_due = true;
}

/* ---- the back end ---- */

static bool can_inject(const struct vcpu *v, enum hvm_event type)
{
    return open_for[type] && !injected;
}

static void inject(struct vcpu *v, enum hvm_event type, uint8_t vector)
{
    assert_true(can_inject(v, type));
    injected = (unsigned int)type << 8 | vector;
    nmi_going_on = nmi_going_on || type == HVM_EVENT_NMI;
}

static void set_window(struct vcpu *v, bool wanted)
{
    window = wanted;
}

static bool in_nmi(const struct vcpu *v)
{
    return nmi_going_on;
}

static void get_segment(const struct vcpu *v, enum hvm_seg seg, struct hvm_segment *s)
{
    *s = segs[seg];
}

static void set_segment(struct vcpu *v, enum hvm_seg seg, const struct hvm_segment *s)
{
    segs[seg] = *s;
}

static void clear_events(struct vcpu *v)
{
    cleared++;
}

static const struct hvm_ops ops = {
    .can_inject = can_inject,
    .inject = inject,
    .window = set_window,
    .in_nmi = in_nmi,
    .get_segment = get_segment,
    .set_segment = set_segment,
    .clear_events = clear_events,
};
const struct hvm_ops *hvm_ops = &ops;
