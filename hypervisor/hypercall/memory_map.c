/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_op: memory maps in the format of the BIOS call E820. The machine's own for the control domain; of any domain,
 * the one that whoever built it has set. A PV guest without one takes its number of frames for one region.
 */
#include "memory_op.h"

#include <hv/boot.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/sched.h>

#define MAX_ENTRIES 1024u /* of a map that is set, as in Xen */

struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __attribute__((packed));

struct memory_map {
    unsigned int n;
    struct e820_entry entry[];
};

static struct memory_map *new_map(unsigned int n)
{
    struct memory_map *map = hv_alloc(sizeof(*map) + n * sizeof(map->entry[0]));

    if (map)
        map->n = n;
    return map;
}

/* Without a buffer the caller asks how many entries there are. */
long machine_memory_map(unsigned long guest)
{
    struct xen_memory_map m;
    unsigned int n;

    if (!current->domain->is_control)
        return -EPERM;
    if (guest_copy_from(&m, (void *)guest, sizeof(m)))
        return -EFAULT;
    if (m.buffer.p && m.nr_entries < boot_info.region_count)
        return -EINVAL;
    for (n = 0; n < boot_info.region_count && m.buffer.p; n++) {
        const struct mem_region *r = &boot_info.region[n];
        struct e820_entry e = {r->start, r->size, r->type};

        if (guest_copy_to((char *)m.buffer.p + n * sizeof(e), &e, sizeof(e)))
            return -EFAULT;
    }
    m.nr_entries = boot_info.region_count;
    return guest_copy_to((void *)guest, &m, sizeof(m));
}

/* Guest memory is not touched with the lock held: a copy of the map is made first. */
static struct memory_map *copy_of_map(struct domain *d, long *rc)
{
    struct memory_map *copy = NULL;

    *rc = 0;
    spin_lock(&d->life_lock);
    if (!d->memory_map)
        *rc = -ENOSYS;
    else if ((copy = new_map(d->memory_map->n)) == NULL)
        *rc = -ENOMEM;
    else
        memcpy(copy, d->memory_map, sizeof(*copy) + copy->n * sizeof(copy->entry[0]));
    spin_unlock(&d->life_lock);
    return copy;
}

long memory_map(unsigned long guest)
{
    struct xen_memory_map m;
    struct memory_map *map;
    long rc;

    if (guest_copy_from(&m, (void *)guest, sizeof(m)))
        return -EFAULT;
    map = copy_of_map(current->domain, &rc);
    if (!rc) {
        m.nr_entries = MIN(m.nr_entries, map->n);
        rc = guest_copy_to(m.buffer.p, map->entry, m.nr_entries * sizeof(map->entry[0]));
    }
    if (!rc)
        rc = guest_copy_to((void *)guest, &m, sizeof(m));
    hv_free(map);
    return rc;
}

/* An empty map is none: the guest is told so again. */
long set_memory_map(unsigned long guest)
{
    struct xen_foreign_memory_map f;
    struct memory_map *map, *old;
    struct domain *d;

    if (guest_copy_from(&f, (void *)guest, sizeof(f)))
        return -EFAULT;
    if (f.map.nr_entries > MAX_ENTRIES)
        return -EINVAL;
    d = domain_get(f.domid);
    if (!d)
        return -ESRCH;
    if (!current->domain->is_control) {
        domain_put(d);
        return -EPERM;
    }
    map = new_map(f.map.nr_entries);
    if (!map || guest_copy_from(map->entry, f.map.buffer.p, map->n * sizeof(map->entry[0]))) {
        long rc = map ? -EFAULT : -ENOMEM;

        hv_free(map);
        domain_put(d);
        return rc;
    }
    if (map->n == 0) {
        hv_free(map);
        map = NULL;
    }
    spin_lock(&d->life_lock);
    old = d->memory_map;
    d->memory_map = map;
    spin_unlock(&d->life_lock);
    hv_free(old);
    domain_put(d);
    return 0;
}

/* Without an IOMMU no region has to be left to a device. */
long reserved_device_memory(unsigned long guest)
{
    struct xen_reserved_device_memory_map *g = guest_ptr(struct xen_reserved_device_memory_map, guest);
    struct xen_reserved_device_memory_map m;

    if (copy_from_guest(&m, g, 1))
        return -EFAULT;
    if (m.flags & ~(uint32_t)XENMEM_RDM_ALL)
        return -EINVAL;
    m.nr_entries = 0;
    return copy_field_to_guest(g, &m, nr_entries);
}
