// SPDX-License-Identifier: BSD-2-Clause
/* Domains and vCPUs as bare structures, permissions, guest memory (host pointers), exceptions that are only counted. */
#include <stdlib.h>
#include <hv/grant.h>
#include <hv/guest_copy.h>
#include "fake.h"

struct domain *control_domain, *dom_idle, *dom_xen, *dom_io;
unsigned int fake_injected;
void (*fake_copy_hook)(void);

static struct domain *domains[8];
static struct domain system_domains[2];

static void init_domain(struct domain *d, domid_t id)
{
    d->id = id;
    d->refcount = 1;
    d->max_pages = ~0ull;
    spin_lock_init(&d->page_alloc_lock, RANK_PAGE_ALLOC);
    list_init(&d->page_list);
    list_init(&d->hv_page_list);
    list_init(&d->relinquished);
    logdirty_init(&d->logdirty);
}

static void init_system_domains(void)
{
    if (dom_xen)
        return;
    dom_xen = &system_domains[0];
    dom_io = &system_domains[1];
    init_domain(dom_xen, DOMID_XEN);
    init_domain(dom_io, DOMID_IO);
    dom_xen->is_system = dom_io->is_system = true;
}

struct domain *fake_domain(domid_t id, bool control, unsigned int vcpus, unsigned int cpu)
{
    struct domain *d = calloc(1, sizeof(*d));

    init_system_domains();
    init_domain(d, id);
    d->is_control = control;
    d->max_vcpus = vcpus;
    d->vcpu = calloc(vcpus, sizeof(*d->vcpu));
    d->pv.perdomain_l3 = _mfn(FAKE_RAM_START + FAKE_FRAMES - 1);
    for (unsigned int i = 0; i < vcpus; i++) {
        struct vcpu *v = d->vcpu[i] = calloc(1, sizeof(*v));

        v->domain = d;
        v->vcpu_id = i;
        v->processor = cpu + i;
        v->is_running = true;
        v->pv.kernel_mode = true;
        v->pv.l4_kernel = v->pv.l4_user = INVALID_MFN;
        cpumask_set(&d->dirty_cpus, cpu + i);
    }
    domains[id] = d;
    if (control)
        control_domain = d;
    return d;
}

void fake_domain_free(struct domain *d)
{
    domains[d->id] = NULL;
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        free(d->vcpu[i]);
    free(d->vcpu);
    free(d);
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = id == DOMID_SELF ? current->domain : id < ARRAY_SIZE(domains) ? domains[id] : NULL;

    if (d)
        d->refcount++;
    return d;
}

struct domain *domain_get_next(domid_t id)
{
    while (id < ARRAY_SIZE(domains) && !domains[id])
        id++;
    return id < ARRAY_SIZE(domains) ? domain_get(id) : NULL;
}

void domain_hold(struct domain *d)
{
    d->refcount++;
}

void domain_put(struct domain *d)
{
    if (--d->refcount <= 0)
        panic("domain %u: reference dropped too often\n", d->id);
}

bool iomem_permitted(const struct domain *d, mfn_t m)
{
    return d->is_control && m.n >= FAKE_MMIO_OK && m.n < FAKE_MMIO_OK + FAKE_MMIO_NR;
}

int guest_copy_from(void *dst, const void *guest_src, size_t n)
{
    if (fake_copy_hook)
        fake_copy_hook();
    if ((unsigned long)guest_src < PAGE_SIZE)
        return -EFAULT;
    memcpy(dst, guest_src, n);
    return 0;
}

int guest_copy_to(void *guest_dst, const void *src, size_t n)
{
    if (fake_copy_hook)
        fake_copy_hook();
    if ((unsigned long)guest_dst < PAGE_SIZE)
        return -EFAULT;
    memcpy(guest_dst, src, n);
    return 0;
}

/* Tests without the real pv/: the page may be a GDT if no entry has this bit. */
__attribute__((weak)) bool pv_check_descriptor(uint64_t *desc)
{
    return !(*desc & (1ull << 63));
}

__attribute__((weak)) bool grant_host_mapping(const struct domain *d, unsigned int handle, mfn_t *frame)
{
    return false;
}

__attribute__((weak)) int pv_set_ldt(struct vcpu *v, unsigned long base, unsigned long ents)
{
    return 0;
}

/* Tests without mm/logdirty.c. */
__attribute__((weak)) void logdirty_init(struct logdirty *l)
{
}

__attribute__((weak)) void logdirty_mark_frame(struct domain *d, mfn_t m)
{
}

void pv_inject(struct vcpu *v, unsigned int vector, uint32_t error_code)
{
    fake_injected++;
}
