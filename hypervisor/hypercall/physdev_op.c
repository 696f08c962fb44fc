/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * physdev_op: interrupts, IO-APICs, MSI and port rights of the control domain's devices; end-of-interrupt for everybody
 * who has a pirq. <xen/physdev.h>.
 *
 * One function per sub-operation in the table below, which says how much is copied in, who may call, and whether the
 * structure goes back. Each gets a private copy of the guest's structure. Sub-operations that are not in the table,
 * among them those for HVM's emulated interrupts and the obsolete ones, are refused with -ENOSYS.
 */
#include <hv/boot.h>
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/irq_desc.h>
#include <xen/physdev.h>

union physdev_arg {
    struct physdev_eoi eoi;
    struct physdev_pirq_eoi_gmfn eoi_gmfn;
    struct physdev_irq_status_query status;
    struct physdev_set_iopl iopl;
    struct physdev_set_iobitmap iobitmap;
    struct physdev_apic apic;
    struct physdev_irq irq;
    struct physdev_map_pirq map;
    struct physdev_unmap_pirq unmap;
    struct physdev_manage_pci pci_old;
    struct physdev_manage_pci_ext pci_ext;
    struct physdev_setup_gsi gsi;
    struct physdev_get_free_pirq free_pirq;
    struct physdev_pci_mmcfg_reserved mmcfg;
    struct physdev_pci_device_add pci_add;
    struct physdev_pci_device pci;
    struct physdev_dbgp_op dbgp;
};

/* ---- end of interrupt, status ---- */

static long op_eoi(struct domain *d, union physdev_arg *a)
{
    if (pirq_to_irq(d, a->eoi.irq) < 0)
        return -EINVAL;
    pirq_guest_eoi(d, a->eoi.irq);
    return 0;
}

static long op_eoi_gmfn(struct domain *d, union physdev_arg *a)
{
    /* Others have no pirqs to finish; they fall back to asking for each, which costs them nothing. */
    if (!d->is_control)
        return -ENOSYS;
    return pirq_set_eoi_map(d, _mfn(a->eoi_gmfn.gmfn));
}

static long op_status(struct domain *d, union physdev_arg *a)
{
    uint32_t pirq = a->status.irq;

    if (pirq >= nr_irqs)
        return -EINVAL;
    a->status.flags = pirq_needs_eoi(d, pirq) ? XENIRQSTAT_needs_eoi : 0;
    if (pirq_shared(d, pirq))
        a->status.flags |= XENIRQSTAT_shared;
    return 0;
}

/* ---- port rights of the current vCPU; the checks at the access are pv/'s ---- */

static long op_set_iopl(struct domain *d, union physdev_arg *a)
{
    if (a->iopl.iopl > 3)
        return -EINVAL;
    current->pv.iopl = a->iopl.iopl;
    return 0;
}

static long op_set_iobitmap(struct domain *d, union physdev_arg *a)
{
    unsigned long bitmap = (unsigned long)a->iobitmap.bitmap.p;

    if (a->iobitmap.nr_ports > 65536 || !guest_range_ok(bitmap, (a->iobitmap.nr_ports + 7) / 8))
        return -EINVAL;
    current->pv.iobmp = bitmap;
    current->pv.iobmp_limit = a->iobitmap.nr_ports;
    return 0;
}

/* ---- IO-APIC ---- */

static long op_apic_read(struct domain *d, union physdev_arg *a)
{
    return ioapic_guest_read(a->apic.apic_physbase, a->apic.reg, &a->apic.value);
}

static long op_apic_write(struct domain *d, union physdev_arg *a)
{
    return ioapic_guest_write(a->apic.apic_physbase, a->apic.reg, a->apic.value);
}

/* Vectors are the hypervisor's; the guest's only use for one is to name the interrupt, for which its number will do. */
static long op_alloc_vector(struct domain *d, union physdev_arg *a)
{
    if (a->irq.irq >= nr_irqs)
        return -EINVAL;
    if (!irq_permitted(d, a->irq.irq))
        return -EPERM;
    a->irq.vector = a->irq.irq;
    return 0;
}

static long op_setup_gsi(struct domain *d, union physdev_arg *a)
{
    if (a->gsi.gsi < 0 || a->gsi.triggering > 1 || a->gsi.polarity > 1)
        return -EINVAL;
    return ioapic_setup_gsi((unsigned int)a->gsi.gsi, a->gsi.triggering, a->gsi.polarity);
}

/* ---- mapping ---- */

static struct pci_addr pci_of(const struct physdev_map_pirq *m)
{
    bool has_seg = m->type == MAP_PIRQ_TYPE_MSI_SEG || m->type == MAP_PIRQ_TYPE_MULTI_MSI;

    return (struct pci_addr){has_seg ? (uint16_t)(m->bus >> 16) : 0, (uint8_t)m->bus, (uint8_t)m->devfn};
}

static long map_msi(struct domain *d, struct physdev_map_pirq *m)
{
    struct pci_addr addr = pci_of(m);
    unsigned int count = 1;
    int irq = -1, rc;

    if (m->entry_nr < 0)
        return -EINVAL;
    if (m->type == MAP_PIRQ_TYPE_MULTI_MSI) {
        /* MSI-X entries are mapped one by one. */
        if (m->table_base || m->entry_nr < 1 || m->entry_nr > 32)
            return -EINVAL;
        rc = msi_setup(addr, (unsigned int)m->entry_nr, &irq);
    } else if (m->table_base) {
        rc = msix_setup(addr, (unsigned int)m->entry_nr, &irq);
    } else {
        rc = msi_setup(addr, 1, &irq);
    }
    if (rc)
        return rc;
    if (m->type == MAP_PIRQ_TYPE_MULTI_MSI)
        count = irq_to_desc((unsigned int)irq)->msi->count;
    rc = pirq_map(d, m->pirq, (unsigned int)irq, count);
    if (rc < 0) {
        msi_teardown((unsigned int)irq);
        return rc;
    }
    m->pirq = rc;
    return 0;
}

static long map_gsi(struct domain *d, struct physdev_map_pirq *m)
{
    int rc;

    if (m->index < 0 || (unsigned int)m->index >= nr_irqs_gsi || !ioapic_gsi_exists((unsigned int)m->index))
        return -EINVAL;
    rc = pirq_map(d, m->pirq, (unsigned int)m->index, 1);
    if (rc < 0)
        return rc;
    m->pirq = rc;
    return 0;
}

static long op_map(struct domain *caller, union physdev_arg *a)
{
    struct physdev_map_pirq *m = &a->map;
    struct domain *d = domain_get(m->domid);
    long rc;

    if (!d)
        return -ESRCH;
    switch (m->type) {
    case MAP_PIRQ_TYPE_GSI:
        rc = map_gsi(d, m);
        break;
    case MAP_PIRQ_TYPE_MSI:
    case MAP_PIRQ_TYPE_MSI_SEG:
    case MAP_PIRQ_TYPE_MULTI_MSI:
        rc = map_msi(d, m);
        break;
    default:
        rc = -EINVAL;
        break;
    }
    domain_put(d);
    return rc;
}

static long op_unmap(struct domain *caller, union physdev_arg *a)
{
    struct domain *d = domain_get(a->unmap.domid);
    long rc;

    if (!d)
        return -ESRCH;
    rc = a->unmap.pirq < 0 ? -EINVAL : pirq_unmap(d, (unsigned int)a->unmap.pirq);
    domain_put(d);
    return rc;
}

static long op_get_free_pirq(struct domain *d, union physdev_arg *a)
{
    int rc;

    if (a->free_pirq.type != MAP_PIRQ_TYPE_GSI && a->free_pirq.type != MAP_PIRQ_TYPE_MSI)
        return -EINVAL;
    rc = pirq_reserve(d);
    if (rc < 0)
        return rc;
    a->free_pirq.pirq = (uint32_t)rc;
    return 0;
}

/* ---- PCI devices: no record is kept of them, so adding needs no work and removing ends what was mapped ---- */

static long remove_device(struct domain *d, struct pci_addr addr)
{
    for (unsigned int pirq = 0; pirq < nr_irqs; pirq++) {
        int irq = pirq_to_irq(d, pirq);

        if (irq >= 0 && msi_is_of((unsigned int)irq, addr))
            pirq_unmap(d, pirq);
    }
    return 0;
}

static long op_pci_add_old(struct domain *d, union physdev_arg *a)
{
    return 0;
}

static long op_pci_remove_old(struct domain *d, union physdev_arg *a)
{
    return remove_device(d, (struct pci_addr){0, a->pci_old.bus, a->pci_old.devfn});
}

static long op_pci_add_ext(struct domain *d, union physdev_arg *a)
{
    return a->pci_ext.is_extfn > 1 ? -EINVAL : 0;
}

static bool segment_known(unsigned int seg)
{
    return seg == 0 || (acpi_info.mcfg_address && seg == acpi_info.mcfg_segment);
}

static long op_pci_device_add(struct domain *d, union physdev_arg *a)
{
    if (a->pci_add.flags & ~(XEN_PCI_DEV_EXTFN | XEN_PCI_DEV_VIRTFN | XEN_PCI_DEV_PXM))
        return -EINVAL;
    return segment_known(a->pci_add.seg) ? 0 : -ENODEV;
}

static long op_pci_device_remove(struct domain *d, union physdev_arg *a)
{
    return remove_device(d, (struct pci_addr){a->pci.seg, a->pci.bus, a->pci.devfn});
}

static long op_mmcfg(struct domain *d, union physdev_arg *a)
{
    if (a->mmcfg.start_bus > a->mmcfg.end_bus)
        return -EINVAL;
    /* The window is used by the control domain alone; all there is to say is whether it is the one ACPI names. */
    return acpi_info.mcfg_address == a->mmcfg.address && segment_known(a->mmcfg.segment) ? 0 : -ENODEV;
}

static long op_restore_msi(struct domain *d, union physdev_arg *a)
{
    return msi_restore((struct pci_addr){0, a->pci_old.bus, a->pci_old.devfn});
}

static long op_restore_msi_ext(struct domain *d, union physdev_arg *a)
{
    return msi_restore((struct pci_addr){a->pci.seg, a->pci.bus, a->pci.devfn});
}

/* Before a device goes to another domain, and after: nothing of it is kept here. */
static long op_msix(struct domain *d, union physdev_arg *a)
{
    struct pci_addr addr = {a->pci.seg, a->pci.bus, a->pci.devfn};

    return pci_find_cap(addr, 0x11) ? 0 : -ENODEV;
}

/* The USB debug port is not used by the hypervisor's console. */
static long op_dbgp(struct domain *d, union physdev_arg *a)
{
    return a->dbgp.op == PHYSDEVOP_DBGP_RESET_PREPARE || a->dbgp.op == PHYSDEVOP_DBGP_RESET_DONE ? 0 : -EINVAL;
}

/* ---- dispatch ---- */

struct physdev_sub {
    uint8_t cmd, size, who;
    bool copy_back;
    long (*fn)(struct domain *d, union physdev_arg *a);
};

#define SUB(cmd, type, who, back, fn)                                 \
    {                                                                 \
        PHYSDEVOP_##cmd, sizeof(struct physdev_##type), who, back, fn \
    }
#define ALL          0
#define CONTROL      1 /* others get -EPERM, if their argument can be read */
#define CONTROL_ASKS 2 /* others get -EPERM before that */
#define IN           false
#define INOUT        true

static const struct physdev_sub subs[] = {
    SUB(eoi, eoi, ALL, IN, op_eoi),
    SUB(pirq_eoi_gmfn_v2, pirq_eoi_gmfn, ALL, IN, op_eoi_gmfn),
    SUB(irq_status_query, irq_status_query, ALL, INOUT, op_status),
    SUB(set_iopl, set_iopl, ALL, IN, op_set_iopl),
    SUB(set_iobitmap, set_iobitmap, ALL, IN, op_set_iobitmap),
    SUB(apic_read, apic, CONTROL, INOUT, op_apic_read),
    SUB(apic_write, apic, CONTROL, IN, op_apic_write),
    SUB(alloc_irq_vector, irq, ALL, INOUT, op_alloc_vector),
    SUB(map_pirq, map_pirq, CONTROL, INOUT, op_map),
    SUB(unmap_pirq, unmap_pirq, CONTROL, IN, op_unmap),
    SUB(setup_gsi, setup_gsi, CONTROL, IN, op_setup_gsi),
    SUB(get_free_pirq, get_free_pirq, CONTROL, INOUT, op_get_free_pirq),
    SUB(manage_pci_add, manage_pci, CONTROL, IN, op_pci_add_old),
    SUB(manage_pci_remove, manage_pci, CONTROL, IN, op_pci_remove_old),
    SUB(manage_pci_add_ext, manage_pci_ext, CONTROL, IN, op_pci_add_ext),
    SUB(pci_device_add, pci_device_add, CONTROL, IN, op_pci_device_add),
    SUB(pci_device_remove, pci_device, CONTROL, IN, op_pci_device_remove),
    SUB(pci_mmcfg_reserved, pci_mmcfg_reserved, CONTROL_ASKS, IN, op_mmcfg),
    SUB(restore_msi, restore_msi, CONTROL, IN, op_restore_msi),
    SUB(restore_msi_ext, pci_device, CONTROL, IN, op_restore_msi_ext),
    SUB(prepare_msix, pci_device, CONTROL, IN, op_msix),
    SUB(release_msix, pci_device, CONTROL, IN, op_msix),
    SUB(dbgp_op, dbgp_op, CONTROL_ASKS, IN, op_dbgp),
};

static const struct physdev_sub *find_sub(unsigned long cmd)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(subs); i++)
        if (subs[i].cmd == cmd)
            return &subs[i];
    return NULL;
}

long do_physdev_op(struct hcall *hc)
{
    struct domain *d = current->domain;
    const struct physdev_sub *sub = find_sub((uint32_t)hc->arg[0]);
    void *guest = guest_ptr(void, hc->arg[1]);
    union physdev_arg a;
    bool refused;
    long rc;

    if (!sub)
        return -ENOSYS;
    refused = sub->who != ALL && !d->is_control;
    if (refused && sub->who == CONTROL_ASKS)
        return -EPERM;
    memset(&a, 0, sizeof(a));
    if (guest_copy_from(&a, guest, sub->size) != 0)
        return -EFAULT;
    if (refused)
        return -EPERM;
    rc = sub->fn(d, &a);
    if (rc == 0 && sub->copy_back && guest_copy_to(guest, &a, sub->size) != 0)
        rc = -EFAULT;
    return rc;
}
