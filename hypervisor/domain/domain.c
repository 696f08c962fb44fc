/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Domains: the list, references, creation. A domain is on the list from creation until its last reference is gone, also
 * while it is dying, so that tools can see it and who still holds it.
 *
 * References: one from creation to the end of domain_kill, one while it owns any frame, one while any of its hypervisor
 * pages is still mapped by others, and those of domain_get. The last one, which may be dropped with locks held, arms a
 * timer that frees it, in slices with room for guests between them.
 */
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/event.h>
#include <hv/grant.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>
#include <hv/shadow.h>
#include <hv/x86.h>

struct domain *control_domain, *dom_idle, *dom_xen, *dom_io;
struct vcpu *idle_vcpu[NR_CPUS];

#define FREE_PAUSE    MICROSECS(100) /* between two slices of freeing */
#define WORK_PER_VCPU 32u            /* its descriptor pages */

/* domlist_lock. Both are indexed by id: a look-up takes as long with many domains as with one. */
static struct domain *domains[DOMID_FIRST_RESERVED];
static unsigned long ids_in_use[BITS_TO_LONGS(DOMID_FIRST_RESERVED)];
static spinlock_t domlist_lock = SPINLOCK_INIT(RANK_DOMLIST);

static bool hold_unless_zero(struct domain *d)
{
    int ref = __atomic_load_n(&d->refcount, __ATOMIC_RELAXED);

    while (ref)
        if (__atomic_compare_exchange_n(&d->refcount, &ref, ref + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return true;
    return false;
}

struct domain *domain_get_next(domid_t id)
{
    struct domain *found = NULL;

    spin_lock(&domlist_lock);
    for (unsigned int i = id; !found; i++) {
        i = find_next_bit(ids_in_use, DOMID_FIRST_RESERVED, i);
        if (i == DOMID_FIRST_RESERVED)
            break;
        if (hold_unless_zero(domains[i]))
            found = domains[i];
    }
    spin_unlock(&domlist_lock);
    return found;
}

domid_t domain_unused_id(domid_t after)
{
    unsigned int id;

    spin_lock(&domlist_lock);
    id = find_next_zero_bit(ids_in_use, DOMID_FIRST_RESERVED, after + 1u);
    if (id == DOMID_FIRST_RESERVED)
        id = find_next_zero_bit(ids_in_use, DOMID_FIRST_RESERVED, 1);
    spin_unlock(&domlist_lock);
    return id == DOMID_FIRST_RESERVED ? (domid_t)DOMID_INVALID : (domid_t)id;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d;

    if (id == DOMID_SELF || (current && !current->domain->is_idle && id == current->domain->id)) {
        domain_hold(current->domain);
        return current->domain;
    }
    if (id >= DOMID_FIRST_RESERVED)
        return NULL;
    spin_lock(&domlist_lock);
    d = domains[array_index_nospec(id, DOMID_FIRST_RESERVED)];
    if (d && !hold_unless_zero(d))
        d = NULL;
    spin_unlock(&domlist_lock);
    return d;
}

void domain_hold(struct domain *d)
{
    __atomic_fetch_add(&d->refcount, 1, __ATOMIC_SEQ_CST);
}

/* What there may be much of: 0, or -ERESTART after a slice. */
static int free_many(struct domain *d)
{
    int rc;

    for (; d->teardown_next < d->max_vcpus; d->teardown_next++) {
        if (preempt_before_work(WORK_PER_VCPU))
            return -ERESTART;
        if (d->vcpu[d->teardown_next])
            vcpu_free(d->vcpu[d->teardown_next]);
        d->vcpu[d->teardown_next] = NULL;
        stretch_work(WORK_PER_VCPU);
    }
    rc = grant_domain_free(d);
    return rc ? rc : evtchn_domain_free(d);
}

static void domain_free(void *data)
{
    struct domain *d = data;

    stretch_name(STRETCH_FREE, 0);
    if (free_many(d)) {
        timer_set(&d->free_timer, system_time() + FREE_PAUSE);
        return;
    }
    if (d->is_listed) {
        spin_lock(&domlist_lock);
        domains[d->id] = NULL;
        clear_bit(d->id, ids_in_use);
        spin_unlock(&domlist_lock);
    }
    irq_domain_free(d);
    pv_domain_free(d);
    p2m_destroy(d);
    paging_pool_destroy(d);
    rangeset_free(d->iomem_caps);
    rangeset_free(d->irq_caps);
    rangeset_free(d->ioport_caps);
    free_hv_mem(d->shared_info, 0);
    hv_free(d->memory_map);
    hv_free(d->vcpu);
    sched_domain_free(d);
    hv_free(d);
}

void domain_put(struct domain *d)
{
    if (__atomic_sub_fetch(&d->refcount, 1, __ATOMIC_SEQ_CST) == 0)
        timer_set(&d->free_timer, system_time());
}

/* Refuses an id in use. */
static int domlist_add(struct domain *d)
{
    spin_lock(&domlist_lock);
    if (!domains[d->id]) {
        domains[d->id] = d;
        set_bit(d->id, ids_in_use);
        d->is_listed = true;
    }
    spin_unlock(&domlist_lock);
    return d->is_listed ? 0 : -EEXIST;
}

static struct domain *domain_alloc(domid_t id, unsigned int max_vcpus)
{
    struct domain *d = hv_new(struct domain);

    if (!d)
        return NULL;
    d->id = id;
    d->refcount = 1;
    d->max_vcpus = max_vcpus;
    d->shutdown_code = SHUTDOWN_CODE_INVALID;
    watchdog_init(d);
    spin_lock_init(&d->page_alloc_lock, RANK_PAGE_ALLOC);
    spin_lock_init(&d->life_lock, RANK_DOMAIN_LIFE);
    list_init(&d->page_list);
    list_init(&d->hv_page_list);
    list_init(&d->relinquished);
    logdirty_init(&d->logdirty);
    timer_init(&d->free_timer, domain_free, d, smp_processor_id());
    if (max_vcpus && ((d->vcpu = hv_new_array(struct vcpu *, max_vcpus)) == NULL || sched_domain_init(d))) {
        hv_free(d->vcpu);
        hv_free(d);
        return NULL;
    }
    return d;
}

static int init_shared_info(struct domain *d)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

    if (!pg)
        return -ENOMEM;
    d->shared_info = page_to_virt(pg);
    share_hv_page_with_guest(pg, d, true);
    return 0;
}

static int init_parts(struct domain *d, const struct xen_domctl_createdomain *config)
{
    const struct guest_cpu cpu = {(uint8_t)MIN(cpu_features.phys_bits, HVM_PHYS_BITS_MAX), cpu_features.nx, true,
                                  false};
    int rc;

    d->iomem_caps = rangeset_new();
    d->irq_caps = rangeset_new();
    d->ioport_caps = rangeset_new();
    if (!d->iomem_caps || !d->irq_caps || !d->ioport_caps)
        return -ENOMEM;
    rc = init_shared_info(d);
    if (!rc)
        rc = pv_domain_init(d);
    if (!rc)
        rc = evtchn_domain_init(d, config->max_evtchn_port);
    if (!rc)
        rc = irq_domain_init(d);
    if (!rc)
        rc = grant_domain_init(d, config->max_grant_frames, config->max_maptrack_frames, config->grant_opts);
    d->hap = config->flags & XEN_DOMCTL_CDF_hap;
    if (!rc && (config->flags & XEN_DOMCTL_CDF_hvm)) {
        rc = paging_pool_init(d);
        if (!rc)
            rc = p2m_init(d);
        if (!rc)
            rc = shadow_init(d, &cpu);
        d->hvm.param[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;
    }
    return rc;
}

int domain_create(domid_t id, const struct xen_domctl_createdomain *config, bool is_control, struct domain **out)
{
    struct domain *d = domain_alloc(id, config->max_vcpus);
    int rc;

    if (!d)
        return -ENOMEM;
    d->is_control = is_control;
    d->config = *config;
    memcpy(d->handle, config->handle, sizeof(d->handle));
    d->pause_count = 1;
    d->controller_pause_count = is_control ? 0 : 1;
    rc = init_parts(d, config);
    if (!rc)
        rc = domlist_add(d);
    if (rc) {
        d->dying = DOM_DEAD;
        while (shadow_relinquish(d) == -ERESTART || release_hv_pages(d) == -ERESTART ||
               p2m_relinquish(d) == -ERESTART || paging_pool_relinquish(d) == -ERESTART)
            ; /* a handful: the domain never ran */
        domain_put(d);
        return rc;
    }
    d->tsc = (struct domain_tsc){.incarnation = 1, .start = system_time()};
    time_update_wallclock(d);
    *out = d;
    return 0;
}

static struct domain *system_domain(domid_t id)
{
    struct domain *d = domain_alloc(id, id == DOMID_IDLE ? NR_CPUS : 0);

    if (!d)
        panic("no memory for system domain %u", id);
    d->is_system = true;
    d->is_idle = id == DOMID_IDLE;
    d->max_pages = UINT64_MAX;
    return d;
}

void domain_boot_init(void)
{
    dom_idle = system_domain(DOMID_IDLE);
    dom_xen = system_domain(DOMID_XEN);
    dom_io = system_domain(DOMID_IO);
    register_debug_key('e', "dump event channels", evtchn_dump);
    register_debug_key('g', "dump grant tables", grant_dump);
    shadow_boot_init();
}

bool iomem_permitted(const struct domain *d, mfn_t m)
{
    return rangeset_contains(d->iomem_caps, m.n, m.n);
}

bool irq_permitted(const struct domain *d, unsigned int pirq)
{
    return rangeset_contains(d->irq_caps, pirq, pirq);
}

bool ioport_permitted(const struct domain *d, unsigned int port, unsigned int bytes)
{
    return bytes && rangeset_contains(d->ioport_caps, port, port + bytes - 1);
}
