/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * platform_op's parts about UEFI, for the control domain's kernel: where the firmware's tables are, and variables,
 * which its runtime services keep. The firmware gets copies: it never sees guest memory. Source: <xen/platform.h>.
 *
 * Not called are the services for the clock, which is the CMOS of the PC and the control domain's own: the firmware
 * would change its index register meanwhile. Nor are capsules, which end in a restart by the firmware.
 */
#include <hv/efi.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include "platform_op.h"

#define NAME_BYTES 2048u
#define DATA_BYTES (64ul << 10)

/* ---- tables ---- */

static long vendor_name(union xenpf_efi_info *info)
{
    uint32_t n = 0, room = info->vendor.bufsz / sizeof(efi.vendor[0]);

    if (!efi.vendor[0])
        return -EOPNOTSUPP;
    while (n < EFI_VENDOR_MAX && efi.vendor[n])
        n++;
    info->vendor.revision = efi.vendor_version;
    return guest_copy_to(info->vendor.name.p, efi.vendor, MIN(n + 1, room) * sizeof(efi.vendor[0]));
}

/* What is said of an address holds to the end of its region at most. */
static long memory_info(union xenpf_efi_info *info)
{
    const struct efi_region *r = efi_region_of(&efi, info->mem.addr);
    uint64_t rest;

    if (!r)
        return -ESRCH;
    rest = (r->pages << PAGE_SHIFT) - (info->mem.addr - r->start);
    info->mem.size = MIN(info->mem.size, rest);
    info->mem.attr = r->attr;
    info->mem.type = r->type;
    return 0;
}

long efi_firmware_info(uint32_t index, union xenpf_efi_info *info)
{
    if (!efi.present)
        return -ENOSYS;
    switch (index) {
    case XEN_FW_EFI_VERSION:
        info->version = efi.version;
        return 0;
    case XEN_FW_EFI_RT_VERSION:
        info->version = efi.runtime_version;
        return efi.runtime ? 0 : -EOPNOTSUPP;
    case XEN_FW_EFI_CONFIG_TABLE:
        info->cfg.addr = efi.config;
        info->cfg.nent = efi.config_entries;
        return 0;
    case XEN_FW_EFI_VENDOR:
        return vendor_name(info);
    case XEN_FW_EFI_MEM_INFO:
        return memory_info(info);
    case XEN_FW_EFI_PCI_ROM: /* both are collected while boot services run */
        return -ESRCH;
    case XEN_FW_EFI_APPLE_PROPERTIES:
        return -ENODATA;
    default:
        return -EINVAL;
    }
}

/* ---- services ---- */

static long call(enum efi_service service, const unsigned long args[6], struct xenpf_efi_runtime_call *c)
{
    unsigned long status = EFI_ABORTED;
    int rc = efi_call(service, args, &status);

    c->status = status;
    return rc == -EBUSY ? -ERESTART : rc;
}

static bool has_end(const uint16_t *name, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*name); i++)
        if (!name[i])
            return true;
    return false;
}

/* A string of unknown length: read page by page, because nothing need be mapped behind its end. */
static long read_name(const void *guest, uint16_t *name)
{
    unsigned long from = (unsigned long)guest;
    size_t have = 0;

    while (have < NAME_BYTES && !has_end(name, have)) {
        size_t n = MIN((size_t)NAME_BYTES - have, PAGE_SIZE - ((from + have) & ~PAGE_MASK));

        if (guest_copy_from((char *)name + have, (const void *)(from + have), n))
            return -EFAULT;
        have += n;
    }
    return has_end(name, have) ? 0 : -EINVAL;
}

/* Name and data of a variable in the hypervisor's memory. */
struct variable {
    uint16_t *name;
    void *data;
    unsigned long size; /* of data */
};

static void variable_free(struct variable *v)
{
    hv_free(v->name);
    hv_free(v->data);
}

/* 0, or an error and nothing to free. */
static long variable_new(struct variable *v, const void *guest_name, unsigned long size)
{
    long rc = -ENOMEM;

    *v = (struct variable){.name = hv_alloc(NAME_BYTES), .size = size};
    if (size && size <= DATA_BYTES)
        v->data = hv_alloc(size);
    if (v->name && (v->data || !size))
        rc = read_name(guest_name, v->name);
    if (rc)
        variable_free(v);
    return rc;
}

/* Without a buffer the caller asks for the size. Of a larger buffer no more is used than a variable may have. */
static long get_variable(struct xenpf_efi_runtime_call *c)
{
    void *guest_data = c->u.get_variable.data.p;
    unsigned long size = c->u.get_variable.size;
    struct variable v;
    uint32_t attributes = 0;
    long rc = c->misc ? -EINVAL : variable_new(&v, c->u.get_variable.name.p, guest_data ? MIN(size, DATA_BYTES) : 0);

    if (rc)
        return rc;
    size = guest_data ? v.size : size;
    rc = call(EFI_GET_VARIABLE,
              (unsigned long[6]){(unsigned long)v.name, (unsigned long)&c->u.get_variable.vendor_guid,
                                 (unsigned long)&attributes, (unsigned long)&size, (unsigned long)v.data},
              c);
    c->misc = attributes;
    c->u.get_variable.size = size;
    if (!rc && c->status == EFI_SUCCESS && v.data)
        rc = guest_copy_to(guest_data, v.data, MIN(size, v.size));
    variable_free(&v);
    return rc;
}

static long set_variable(struct xenpf_efi_runtime_call *c)
{
    struct variable v;
    long rc = variable_new(&v, c->u.set_variable.name.p, c->u.set_variable.size);

    if (rc)
        return rc;
    if (v.data && guest_copy_from(v.data, c->u.set_variable.data.p, v.size))
        rc = -EFAULT;
    else
        rc = call(EFI_SET_VARIABLE,
                  (unsigned long[6]){(unsigned long)v.name, (unsigned long)&c->u.set_variable.vendor_guid, c->misc,
                                     v.size, (unsigned long)v.data},
                  c);
    variable_free(&v);
    return rc;
}

/* The caller's buffer holds the name before, and gets the next one. */
static long next_variable_name(struct xenpf_efi_runtime_call *c)
{
    unsigned long size = MIN(c->u.get_next_variable_name.size, (xen_ulong_t)NAME_BYTES), room = size;
    void *guest_name = c->u.get_next_variable_name.name.p;
    uint16_t *name;
    long rc = -EFAULT;

    if (c->misc)
        return -EINVAL;
    name = hv_alloc(NAME_BYTES + sizeof(*name)); /* ends in any case */
    if (!name)
        return -ENOMEM;
    if (!guest_copy_from(name, guest_name, size))
        rc = call(EFI_NEXT_VARIABLE_NAME,
                  (unsigned long[6]){(unsigned long)&size, (unsigned long)name,
                                     (unsigned long)&c->u.get_next_variable_name.vendor_guid},
                  c);
    c->u.get_next_variable_name.size = size;
    if (!rc && c->status == EFI_SUCCESS)
        rc = guest_copy_to(guest_name, name, MIN(size, room));
    hv_free(name);
    return rc;
}

static long query_variable_info(struct xenpf_efi_runtime_call *c)
{
    uint64_t max_store = 0, remaining = 0, max_size = 0;
    long rc;

    if (c->misc & ~XEN_EFI_VARINFO_BOOT_SNAPSHOT)
        return -EINVAL;
    if (c->misc)
        return -EOPNOTSUPP;
    rc = call(EFI_QUERY_VARIABLE_INFO,
              (unsigned long[6]){c->u.query_variable_info.attr, (unsigned long)&max_store, (unsigned long)&remaining,
                                 (unsigned long)&max_size},
              c);
    c->u.query_variable_info.max_store_size = max_store;
    c->u.query_variable_info.remain_store_size = remaining;
    c->u.query_variable_info.max_size = max_size;
    return rc;
}

static long next_high_count(struct xenpf_efi_runtime_call *c)
{
    uint32_t count = 0;
    long rc = c->misc ? -EINVAL : call(EFI_NEXT_HIGH_COUNT, (unsigned long[6]){(unsigned long)&count}, c);

    c->misc = count;
    return rc;
}

long efi_runtime_call(struct xenpf_efi_runtime_call *c)
{
    if (!efi.present)
        return -ENOSYS;
    switch (c->function) {
    case XEN_EFI_get_variable:
        return get_variable(c);
    case XEN_EFI_set_variable:
        return set_variable(c);
    case XEN_EFI_get_next_variable_name:
        return next_variable_name(c);
    case XEN_EFI_query_variable_info:
        return query_variable_info(c);
    case XEN_EFI_get_next_high_monotonic_count:
        return next_high_count(c);
    case XEN_EFI_get_time:
    case XEN_EFI_set_time:
    case XEN_EFI_get_wakeup_time:
    case XEN_EFI_set_wakeup_time:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}
