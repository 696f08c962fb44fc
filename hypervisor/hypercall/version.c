/* SPDX-License-Identifier: BSD-2-Clause */
/* xen_version: what guests and tools may know of the hypervisor. Source: <xen/version.h>, <xen/features.h>. */
#include <hv/boot.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/hypercall.h>
#include <hv/layout.h>
#include <xen/features.h>
#include <xen/version.h>

/* What can be created; the second where the processor has what it takes. */
#define PV_GUESTS  "xen-3.0-x86_64 "
#define HVM_GUESTS "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "

#define ABI_VERSION (HV_MAJOR << 16 | HV_MINOR)

extern const char note_build_id_start[], note_build_id_end[];

static long copy_string(unsigned long guest, const char *s, size_t size)
{
    char buf[1024] = {0};

    strlcpy(buf, s, size);
    return guest_copy_to((void *)guest, buf, size);
}

static long compile_info(unsigned long guest)
{
    struct xen_compile_info info = {0};

    strlcpy(info.compiler, HV_COMPILER, sizeof(info.compiler));
    strlcpy(info.compile_by, "umbra", sizeof(info.compile_by));
    strlcpy(info.compile_domain, "localhost", sizeof(info.compile_domain));
    strlcpy(info.compile_date, "reproducible", sizeof(info.compile_date));
    return guest_copy_to((void *)guest, &info, sizeof(info));
}

static uint32_t feature_bits(const struct domain *d)
{
    uint32_t bits = 1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_not_direct_mapped;

    if (paging_mode_translate(d))
        return bits | 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
               1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock;
    bits |=
        1u << XENFEAT_mmu_pt_update_preserve_ad | 1u << XENFEAT_highmem_assist | 1u << XENFEAT_gnttab_map_avail_bits;

    if (d->vm_assist & (1u << VMASST_TYPE_pae_extended_cr3))
        bits |= 1u << XENFEAT_pae_pgdir_above_4gb;
    if (d->is_control)
        bits |= 1u << XENFEAT_dom0;
    return bits;
}

static long get_features(unsigned long guest)
{
    xen_feature_info_t fi;

    if (guest_copy_from(&fi, (void *)guest, sizeof(fi)))
        return -EFAULT;
    fi.submap = fi.submap_idx == 0 ? feature_bits(current->domain) : 0;
    return guest_copy_to((void *)guest, &fi, sizeof(fi));
}

static long platform_parameters(unsigned long guest)
{
    xen_platform_parameters_t p = {.virt_start = HYPERVISOR_BASE};

    return guest_copy_to((void *)guest, &p, sizeof(p));
}

/* The note's descriptor is the id. With a null pointer only its length is asked for. Others are not to know it. */
static long build_id(unsigned long guest)
{
    const uint32_t *note = (const uint32_t *)(const void *)note_build_id_start;
    uint32_t name_size, len, room;

    if (!current->domain->is_control)
        return -EPERM;
    if (note_build_id_end - note_build_id_start < 12)
        return -ENODATA;
    name_size = note[0];
    len = note[1];
    if (!guest)
        return len;
    if (guest_copy_from(&room, (void *)guest, sizeof(room)))
        return -EFAULT;
    if (room < len)
        return -ENOBUFS;
    if (guest_copy_to((char *)guest + offsetof(xen_build_id_t, buf), note_build_id_start + 12 + ROUND_UP(name_size, 4u),
                      len))
        return -EFAULT;
    return len;
}

long do_xen_version(struct hcall *hc)
{
    unsigned long guest = hc->arg[1];

    switch (hc->arg[0]) {
    case XENVER_version:
        return ABI_VERSION;
    case XENVER_extraversion:
        return copy_string(guest, HV_EXTRA, sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(guest);
    case XENVER_capabilities:
        return copy_string(guest, hvm_ops ? PV_GUESTS HVM_GUESTS : PV_GUESTS, sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return copy_string(guest, HV_CHANGESET, sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return platform_parameters(guest);
    case XENVER_get_features:
        return get_features(guest);
    case XENVER_pagesize:
        return guest ? -EINVAL : (long)PAGE_SIZE;
    case XENVER_guest_handle:
        return guest_copy_to((void *)guest, current->domain->handle, sizeof(current->domain->handle));
    case XENVER_commandline:
        return copy_string(guest, current->domain->is_control ? boot_info.cmdline : "<denied>",
                           sizeof(xen_commandline_t));
    case XENVER_build_id:
        return build_id(guest);
    default:
        return -ENOSYS;
    }
}
