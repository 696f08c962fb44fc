/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPUs: creation, the shared record (vcpu_info) and the runstate area. A vCPU lives as long as its domain. Its
 * vcpu_info lies in the shared_info page for the first 32, elsewhere in early_info until the guest registers a place of
 * its own.
 */
#include <hv/domain.h>
#include <hv/event.h>
#include <hv/fpu.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/sched.h>

struct vcpu *domain_vcpu(struct domain *d, unsigned int id)
{
    if (id >= d->max_vcpus)
        return NULL;
    return d->vcpu[array_index_nospec(id, d->max_vcpus)];
}

static void poll_expired(void *data)
{
    struct vcpu *v = data;

    if (test_and_clear_bit(VPF_poll, &v->pause_flags))
        vcpu_wake(v);
}

static void singleshot_expired(void *data)
{
    send_vcpu_virq(data, VIRQ_TIMER);
}

/* The next tick in the rhythm of the last one; ticks that were missed are not made up for. */
static void next_tick(struct vcpu *v)
{
    s_time_t period = READ_ONCE(v->periodic_period), now = system_time();

    if (period)
        timer_set(&v->periodic_timer, now + period - (now - v->periodic_timer.expires) % period);
}

/* A vCPU that does not run has one tick pending; more come when it runs again. */
static void periodic_expired(void *data)
{
    struct vcpu *v = data;

    send_vcpu_virq(v, VIRQ_TIMER);
    if (READ_ONCE(v->is_running))
        next_tick(v);
}

void vcpu_load_timers(struct vcpu *v)
{
    timer_migrate(&v->poll_timer, v->processor);
    timer_migrate(&v->singleshot_timer, v->processor);
    timer_migrate(&v->periodic_timer, v->processor);
    if (v->periodic_period && list_empty(&v->periodic_timer.link))
        next_tick(v);
}

static void init_timers(struct vcpu *v)
{
    timer_init(&v->poll_timer, poll_expired, v, v->processor);
    timer_init(&v->singleshot_timer, singleshot_expired, v, v->processor);
    timer_init(&v->periodic_timer, periodic_expired, v, v->processor);
    timer_init(&v->self_timer, evtchn_self_expired, v, v->processor);
}

static int init_guest_parts(struct vcpu *v)
{
    struct domain *d = v->domain;
    int rc;

    v->vcpu_info = v->vcpu_id < XEN_LEGACY_MAX_VCPUS ? &d->shared_info->vcpu_info[v->vcpu_id] : &v->early_info;
    v->vcpu_info->evtchn_upcall_mask = 1;
    init_timers(v);
    rc = evtchn_vcpu_init(v);
    if (!rc)
        rc = pv_vcpu_init(v);
    if (!rc && paging_mode_translate(d)) {
        v->vcpu_info->evtchn_upcall_mask = 0;
        rc = hvm_vcpu_init(v);
    }
    return rc;
}

int vcpu_create(struct domain *d, unsigned int id)
{
    struct vcpu *v;
    int rc;

    if (id >= d->max_vcpus)
        return -EINVAL;
    if (d->vcpu[id])
        return -EEXIST;
    if (d->identity && d->shadow) /* it would have no roots in them */
        return -EBUSY;
    v = hv_new(struct vcpu);
    if (!v)
        return -ENOMEM;
    v->domain = d;
    v->vcpu_id = id;
    v->vcpu_info_mfn = INVALID_MFN;
    v->pause_flags = 1ul << VPF_down;
    rc = sched_vcpu_init(v);
    if (!rc && !d->is_idle)
        rc = init_guest_parts(v);
    if (rc) {
        vcpu_free(v);
        return rc;
    }
    spin_lock(&d->life_lock);
    v->pause_count = d->is_shut_down; /* domain_resume ends it, as for the others */
    __atomic_store_n(&d->vcpu[id], v, __ATOMIC_RELEASE);
    spin_unlock(&d->life_lock);
    return 0;
}

void vcpu_kill_timers(struct vcpu *v)
{
    timer_kill(&v->poll_timer);
    timer_kill(&v->singleshot_timer);
    timer_kill(&v->periodic_timer);
    timer_kill(&v->self_timer);
}

void vcpu_free(struct vcpu *v)
{
    vcpu_kill_timers(v);
    hvm_vcpu_free(v);
    pv_vcpu_free(v);
    evtchn_vcpu_free(v);
    sched_vcpu_free(v);
    hv_free(v);
}

/* Moves the record; events that came meanwhile are announced anew, so none is lost. */
static void move_info(struct vcpu *v, shared_vcpu_info_t *to)
{
    to->evtchn_upcall_mask = v->vcpu_info->evtchn_upcall_mask;
    to->arch = v->vcpu_info->arch;
    to->time = v->vcpu_info->time;
    WRITE_ONCE(v->vcpu_info, to);
    smp_mb();
    evtchn_vcpu_info_moved(v);
}

int vcpu_register_info(struct vcpu *v, gfn_t gfn, unsigned int offset)
{
    unsigned int alignment = has_32bit_shinfo(v->domain) ? sizeof(uint32_t) : sizeof(uint64_t);
    struct page_info *pg;

    if (offset > PAGE_SIZE - sizeof(vcpu_info_t) || (offset & (alignment - 1)))
        return -EINVAL;
    if (!mfn_eq(v->vcpu_info_mfn, INVALID_MFN))
        return -EINVAL;
    if (v != current && !test_bit(VPF_down, &v->pause_flags))
        return -EINVAL;
    pg = get_writable_page(v->domain, gfn);
    if (!pg)
        return -EINVAL;
    v->vcpu_info_mfn = page_to_mfn(pg);
    move_info(v, (shared_vcpu_info_t *)((char *)page_to_virt(pg) + offset));
    return 0;
}

void vcpu_unregister_info(struct vcpu *v)
{
    mfn_t mfn = v->vcpu_info_mfn;

    if (mfn_eq(mfn, INVALID_MFN))
        return;
    v->early_info = *v->vcpu_info;
    WRITE_ONCE(v->vcpu_info, &v->early_info);
    v->vcpu_info_mfn = INVALID_MFN;
    put_page_and_type(mfn_to_page(mfn));
}

/*
 * The area is a linear address of the guest kernel: in user mode its tables are not loaded, and the update is made when
 * the guest next enters its kernel (pv_toggle_mode calls here).
 */
void vcpu_update_runstate_area(struct vcpu *v)
{
    struct vcpu_runstate_info r;

    if (!v->runstate_guest || (!is_hvm_vcpu(v) && !v->pv.kernel_mode))
        return;
    vcpu_get_runstate(v, &r);
    vcpu_write_runstate_area(v, &r);
}
