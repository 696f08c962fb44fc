// SPDX-License-Identifier: BSD-2-Clause
/* hvm_state_host.h. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/cpuid.h>
#include <hv/event.h>
#include <hv/fpu.h>
#include <hv/heap.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "../../hypervisor/hvm/lapic.h"
#include "hvm_state_host.h"
#include "fake/fake.h"

struct cpu_features cpu_features = {
    .smep = true, .smap = true, .fsgsbase = true, .rdtscp = true, .xsave = true, .xcr0_mask = 7, .xsave_size = 832};

static const struct guest_cpu guest = {.phys_bits = 40, .nx = true};
uint64_t memory[512];
s_time_t now;

const struct guest_cpu *shadow_cpu(const struct shadow *s)
{
    return &guest;
}

static bool mem_read(void *ctx, gpa_t at, unsigned int bytes, uint64_t *value)
{
    if (at.n + bytes > sizeof(memory))
        return false;
    memcpy(value, (uint8_t *)memory + at.n, bytes);
    return true;
}

struct guest_mem shadow_memory(struct shadow *s)
{
    return (struct guest_mem){.read = mem_read};
}

int shadow_write(struct domain *d, gpa_t at, unsigned int bytes, const void *src)
{
    if (at.n + bytes > sizeof(memory))
        return -EFAULT;
    memcpy((uint8_t *)memory + at.n, src, bytes);
    return 0;
}

unsigned int latches;

void hvm_latch_width(struct domain *d)
{
    latches++;
}

int wrmsr_safe(uint32_t msr, uint64_t value)
{
    return 0;
}

unsigned int xstate_size(uint64_t mask)
{
    return mask & XCR0_AVX ? XSAVE_AVX : 576;
}

void *alloc_hv_mem(unsigned int order)
{
    return aligned_alloc(64, PAGE_SIZE << order);
}

void free_hv_mem(void *p, unsigned int order)
{
    free(p);
}

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
}

void timer_kill(struct timer *t)
{
}

bool no_memory;

void *hv_alloc(size_t size)
{
    return no_memory ? NULL : calloc(1, size);
}

void hv_free(void *p)
{
    free(p);
}

void vcpu_kick(struct vcpu *v)
{
}

/* Nobody is woken while the domain is paused. */
void vcpu_wake(struct vcpu *v)
{
    fail();
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    fail();
}

void raise_softirq(enum softirq nr)
{
}

unsigned int time_updates;
uint64_t offset_told;

void time_update_vcpu(struct vcpu *v)
{
    time_updates++;
    offset_told = hvm_tsc_offset(v);
}

void domain_shutdown(struct domain *d, unsigned int reason)
{
    fail();
}

static struct cpuid_policy policy = {.count = 1, .leaf = {{.leaf = 1, .subleaf = XEN_CPUID_NO_SUBLEAF, .a = 0x800f12}}};

const struct cpuid_policy *domain_cpuid_policy(const struct domain *of)
{
    return &policy;
}

const xen_cpuid_leaf_t *cpuid_find(const struct cpuid_policy *p, uint32_t leaf, uint32_t sub)
{
    return &p->leaf[0];
}

struct vcpu *domain_vcpu(struct domain *d, unsigned int id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

/* ---- a back end that keeps what it is given ---- */

const uint32_t kept_msrs[KEPT_MSRS] = {MSR_PAT,         MSR_STAR,         MSR_LSTAR,
                                       MSR_CSTAR,       MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE,
                                       MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};

static void get_segment(const struct vcpu *v, enum hvm_seg seg, struct hvm_segment *s)
{
    *s = ((struct back_end *)v->hvm->vendor)->seg[seg];
}

static void set_segment(struct vcpu *v, enum hvm_seg seg, const struct hvm_segment *s)
{
    ((struct back_end *)v->hvm->vendor)->seg[seg] = *s;
}

static unsigned int cpl(const struct vcpu *v)
{
    return ((struct back_end *)v->hvm->vendor)->seg[HVM_SS].attr >> 5 & 3;
}

uint64_t *kept(const struct vcpu *v, uint32_t msr)
{
    for (unsigned int i = 0; i < KEPT_MSRS; i++)
        if (kept_msrs[i] == msr)
            return &((struct back_end *)v->hvm->vendor)->msr[i];
    return NULL;
}

static bool read_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
    if (kept(v, msr))
        *value = *kept(v, msr);
    return kept(v, msr);
}

static bool write_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    if (kept(v, msr))
        *kept(v, msr) = value;
    return kept(v, msr);
}

static void clear_events(struct vcpu *v)
{
    ((struct back_end *)v->hvm->vendor)->event = 0;
}

static uint64_t get_event(struct vcpu *v)
{
    return ((struct back_end *)v->hvm->vendor)->event;
}

static void set_event(struct vcpu *v, uint64_t event)
{
    ((struct back_end *)v->hvm->vendor)->event = event;
}

static const struct hvm_ops ops = {
    .get_segment = get_segment,
    .set_segment = set_segment,
    .cpl = cpl,
    .read_msr = read_msr,
    .write_msr = write_msr,
    .clear_events = clear_events,
    .get_event = get_event,
    .set_event = set_event,
};
const struct hvm_ops *hvm_ops = &ops;

/* ---- two domains ---- */

struct world from, to;

void make_world(struct world *w)
{
    *w = (struct world){.d = {.max_vcpus = VCPUS, .vcpu = w->table}};
    spin_lock_init(&w->d.life_lock, RANK_DOMAIN_LIFE);
    for (unsigned int i = 0; i < VCPUS; i++) {
        struct vcpu *v = &w->vcpu[i];

        w->table[i] = v;
        *v = (struct vcpu){.domain = &w->d, .vcpu_id = i, .hvm = &w->hvm[i], .pause_flags = 1ul << VPF_down};
        v->hvm->vendor = &w->back_end[i];
        v->hvm->cr0 = CR0_ET;
        hvm_msr_init(v);
        *kept(v, MSR_PAT) = 0x0007040600070406;
        assert_int_equal(lapic_init(v), 0);
        assert_int_equal(fpu_vcpu_init(v), 0);
        hvm_paging_changed(v);
    }
}

void unmake_world(struct world *w)
{
    for (unsigned int i = 0; i < VCPUS; i++) {
        lapic_free(&w->vcpu[i]);
        fpu_vcpu_free(&w->vcpu[i]);
    }
}
