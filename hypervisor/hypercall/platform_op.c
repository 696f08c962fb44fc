/* SPDX-License-Identifier: BSD-2-Clause */
/* platform_op: what the control domain's kernel asks of the machine: wallclock, sleep states, processors. Source:
 * <xen/platform.h>. */
#include <hv/boot.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/timer.h>
#include <hv/x86.h>
#include "platform_op.h"

#define PM1_SLEEP_ENABLE 0x2000

static long set_time(const struct xen_platform_op *op)
{
    if (op->cmd == XENPF_settime32)
        time_set_wallclock(op->u.settime32.secs, op->u.settime32.nsecs, (s_time_t)op->u.settime32.system_time);
    else if (op->u.settime64.mbz)
        return -EINVAL;
    else
        time_set_wallclock(op->u.settime64.secs, op->u.settime64.nsecs, (s_time_t)op->u.settime64.system_time);
    return 0;
}

/* S5 only: the values for the PM1 control registers come from the control domain's ACPI interpreter. */
static long enter_sleep(const struct xenpf_enter_acpi_sleep *s)
{
    if (s->sleep_state < 1 || s->sleep_state > 5)
        return -EINVAL;
    if (s->sleep_state != 5 || (s->flags & XENPF_ACPI_SLEEP_EXTENDED))
        return -EOPNOTSUPP;
    printk("Entering ACPI S5\n");
    if (acpi_info.pm1a_cnt)
        outw(acpi_info.pm1a_cnt, s->val_a | PM1_SLEEP_ENABLE);
    if (acpi_info.pm1b_cnt)
        outw(acpi_info.pm1b_cnt, s->val_b | PM1_SLEEP_ENABLE);
    machine_power_off();
}

static long cpu_info_of(struct xenpf_pcpuinfo *p)
{
    uint32_t cpu = p->xen_cpuid;

    p->max_present = nr_cpus - 1;
    if (cpu >= nr_cpus) {
        p->flags = XEN_PCPU_FLAGS_INVALID;
        return 0;
    }
    cpu = (uint32_t)array_index_nospec(cpu, nr_cpus);
    p->flags = cpumask_test(&cpu_online_map, cpu) ? XEN_PCPU_FLAGS_ONLINE : 0;
    p->apic_id = per_cpu(apicid, cpu);
    p->acpi_id = per_cpu(acpi_id, cpu);
    return 0;
}

static long cpu_version(struct xenpf_pcpu_version *p)
{
    if (p->xen_cpuid >= nr_cpus)
        return -ENODEV;
    p->max_present = nr_cpus - 1;
    memcpy(p->vendor_id, cpu_features.vendor, sizeof(p->vendor_id));
    p->family = cpu_features.family;
    p->model = cpu_features.model;
    p->stepping = cpu_features.stepping;
    return 0;
}

/* Nothing is collected from real-mode services but the keyboard's shift state, which is unknown: none held. */
static long firmware_info(struct xenpf_firmware_info *f)
{
    switch (f->type) {
    case XEN_FW_DISK_INFO:
    case XEN_FW_DISK_MBR_SIGNATURE:
        return -ESRCH;
    case XEN_FW_VBEDDC_INFO:
        return -ESRCH;
    case XEN_FW_EFI_INFO:
        return efi_firmware_info(f->index, &f->u.efi_info);
    case XEN_FW_KBD_SHIFT_FLAGS:
        f->u.kbd_shift_flags = 0;
        return 0;
    default:
        return -EINVAL;
    }
}

static long idle_times(struct xen_platform_op *op)
{
    struct xenpf_getidletime *t = &op->u.getidletime;
    uint64_t map = 0;

    if (guest_copy_from(&map, t->cpumap_bitmap.p, (MIN(t->cpumap_nr_cpus, 64u) + 7) / 8))
        return -EFAULT;
    for (uint32_t cpu = 0; cpu < MIN(t->cpumap_nr_cpus, nr_cpus); cpu++) {
        uint64_t idle = cpu_idle_time(cpu);
        unsigned long to = (unsigned long)t->idletime.p + cpu * sizeof(idle); /* may wrap, as a guest's number */

        if (((map >> cpu) & 1) && guest_copy_to((void *)to, &idle, sizeof(idle)))
            return -EFAULT;
    }
    t->now = (uint64_t)system_time();
    return 0;
}

static long run(struct xen_platform_op *op, bool *copyback)
{
    *copyback = true;
    switch (op->cmd) {
    case XENPF_settime32:
    case XENPF_settime64:
        *copyback = false;
        return set_time(op);
    case XENPF_enter_acpi_sleep:
        return enter_sleep(&op->u.enter_acpi_sleep);
    case XENPF_get_cpuinfo:
        return cpu_info_of(&op->u.pcpu_info);
    case XENPF_get_cpu_version:
        return cpu_version(&op->u.pcpu_version);
    case XENPF_firmware_info:
        return firmware_info(&op->u.firmware_info);
    case XENPF_efi_runtime_call:
        return efi_runtime_call(&op->u.efi_runtime_call);
    case XENPF_getidletime:
        return idle_times(op);
    case XENPF_platform_quirk:
        return -EINVAL;
    default:
        *copyback = false;
        return -ENOSYS;
    }
}

long do_platform_op(struct hcall *hc)
{
    struct xen_platform_op *g = guest_ptr(struct xen_platform_op, hc->arg[0]);
    struct xen_platform_op op;
    bool copyback;
    long rc;

    if (copy_from_guest(&op, g, 1))
        return -EFAULT;
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return -EACCES;
    if (!current->domain->is_control)
        return -EPERM;
    rc = run(&op, &copyback);
    if (rc == -ERESTART)
        return hypercall_restart(hc);
    if (copyback && !rc && copy_to_guest(g, &op, 1))
        rc = -EFAULT;
    return rc;
}
