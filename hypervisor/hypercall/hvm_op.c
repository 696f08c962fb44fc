/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hvm_op: parameters of translated domains, and how their events are announced. A parameter is a number that a tool
 * leaves for the guest, but for the few that say what the hypervisor is to do. What is not here is refused as Xen
 * refuses it. Source: <xen/hvm/hvm_op.h>, <xen/hvm/params.h>.
 */
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include <xen/hvm/hvm_op.h>

#define KEPT         1 /* tools set and read it */
#define GUEST_READS  2
#define GUEST_WRITES 4

#define LOWEST_VECTOR 16u /* those below are no interrupts */

static const uint8_t rights[HVM_NR_PARAMS] = {
    [HVM_PARAM_CALLBACK_IRQ] = KEPT | GUEST_READS | GUEST_WRITES,
    [HVM_PARAM_STORE_PFN] = KEPT | GUEST_READS,
    [HVM_PARAM_STORE_EVTCHN] = KEPT | GUEST_READS,
    [HVM_PARAM_CONSOLE_PFN] = KEPT | GUEST_READS,
    [HVM_PARAM_CONSOLE_EVTCHN] = KEPT | GUEST_READS,
    [HVM_PARAM_VM_GENERATION_ID_ADDR] = KEPT | GUEST_READS,
    [HVM_PARAM_IDENT_PT] = KEPT,
    [HVM_PARAM_PAGING_RING_PFN] = KEPT,
    [HVM_PARAM_MONITOR_RING_PFN] = KEPT,
    [HVM_PARAM_SHARING_RING_PFN] = KEPT,
    [HVM_PARAM_TRIPLE_FAULT_REASON] = KEPT,
};

/* The translated domain of a call, with a reference: the caller itself, or any for the control domain. */
static int get_hvm_domain(domid_t id, struct domain **out)
{
    struct domain *d = domain_get(id);
    int rc = 0;

    if (!d)
        return -ESRCH;
    if (!paging_mode_translate(d))
        rc = -EINVAL;
    else if (d != current->domain && !current->domain->is_control)
        rc = -EPERM;
    if (rc)
        domain_put(d);
    else
        *out = d;
    return rc;
}

/* Of the ways to announce events only a vector is there: no interrupt controller has the lines of the others. */
static int set_callback(struct domain *d, uint64_t via)
{
    uint8_t vector = via >> 56 == HVM_PARAM_CALLBACK_TYPE_VECTOR ? (uint8_t)via : 0;

    if (via >> 56 == HVM_PARAM_CALLBACK_TYPE_VECTOR && vector < LOWEST_VECTOR)
        return -EINVAL;
    WRITE_ONCE(d->hvm.callback_vector, vector);
    if (d == current->domain)
        hvm_latch_width(d);
    return 0;
}

static int set_param(struct domain *d, unsigned int index, uint64_t value)
{
    int rc = 0;

    if (!(rights[index] & KEPT))
        return -EINVAL;
    if (d == current->domain && !(rights[index] & GUEST_WRITES))
        return -EPERM;
    if (index == HVM_PARAM_CALLBACK_IRQ)
        rc = set_callback(d, value);
    else if (index == HVM_PARAM_TRIPLE_FAULT_REASON && value > SHUTDOWN_MAX)
        rc = -EINVAL;
    if (!rc)
        WRITE_ONCE(d->hvm.param[index], value);
    return rc;
}

static int get_param(const struct domain *d, unsigned int index, uint64_t *value)
{
    if (!(rights[index] & KEPT))
        return -EINVAL;
    if (d == current->domain && !(rights[index] & GUEST_READS))
        return -EPERM;
    *value = READ_ONCE(d->hvm.param[index]);
    return 0;
}

static long param_op(unsigned long guest, bool set)
{
    struct xen_hvm_param p, *g = guest_ptr(struct xen_hvm_param, guest);
    unsigned int index;
    struct domain *d;
    long rc;

    if (copy_from_guest(&p, g, 1))
        return -EFAULT;
    if (p.index >= HVM_NR_PARAMS)
        return -EINVAL;
    index = (unsigned int)array_index_nospec(p.index, HVM_NR_PARAMS);
    rc = get_hvm_domain(p.domid, &d);
    if (rc)
        return rc;
    rc = set ? set_param(d, index, p.value) : get_param(d, index, &p.value);
    domain_put(d);
    return rc || set ? rc : copy_field_to_guest(g, &p, value);
}

/* From now on events for that vCPU raise a vector of its local APIC. */
static long set_upcall_vector(unsigned long guest)
{
    struct xen_hvm_evtchn_upcall_vector u;
    struct vcpu *v;

    if (!paging_mode_translate(current->domain))
        return -EINVAL;
    if (copy_from_guest(&u, guest_ptr(struct xen_hvm_evtchn_upcall_vector, guest), 1))
        return -EFAULT;
    if (u.vector < LOWEST_VECTOR)
        return -EINVAL;
    v = domain_vcpu(current->domain, u.vcpu);
    if (!v)
        return -ENOENT;
    WRITE_ONCE(v->hvm->upcall_vector, u.vector);
    smp_mb();
    if (READ_ONCE(READ_ONCE(v->vcpu_info)->evtchn_upcall_pending)) /* these were not announced so */
        hvm_upcall(v);
    return 0;
}

/* Entering a guest flushes hardware's TLB: it is enough that each CPU that runs it leaves it once. */
static long flush_tlbs(unsigned long guest)
{
    struct domain *d = current->domain;
    struct vcpu *v;

    if (guest || !paging_mode_translate(d))
        return -EINVAL;
    for_each_vcpu (d, v)
        if (v->hvm)
            WRITE_ONCE(v->hvm->flush_due, true);
    smp_mb(); /* before it is seen who may have entered without having seen it */
    tlb_flush_mask((cpumask_t){READ_ONCE(d->dirty_cpus.bits)});
    return 0;
}

static uint16_t mem_type(enum p2m_type type)
{
    if (type == P2M_MMIO_DM || type == P2M_MMIO_DIRECT)
        return HVMMEM_mmio_dm;
    return type == P2M_RAM_RO || type == P2M_GRANT_RO ? HVMMEM_ram_ro : HVMMEM_ram_rw;
}

static long get_mem_type(unsigned long guest)
{
    struct xen_hvm_get_mem_type m, *g = guest_ptr(struct xen_hvm_get_mem_type, guest);
    struct domain *d;
    long rc;

    if (copy_from_guest(&m, g, 1))
        return -EFAULT;
    rc = get_hvm_domain(m.domid, &d);
    if (rc)
        return rc;
    m.mem_type = mem_type(p2m_lookup(d, _gfn(m.pfn)).type);
    domain_put(d);
    return copy_field_to_guest(g, &m, mem_type);
}

long do_hvm_op(struct hcall *hc)
{
    unsigned long guest = hc->arg[1];

    switch (hc->arg[0]) {
    case HVMOP_set_param:
        return param_op(guest, true);
    case HVMOP_get_param:
        return param_op(guest, false);
    case HVMOP_set_evtchn_upcall_vector:
        return set_upcall_vector(guest);
    case HVMOP_flush_tlbs:
        return flush_tlbs(guest);
    case HVMOP_get_mem_type:
        return get_mem_type(guest);
    case HVMOP_guest_request_vm_event:
        return guest ? -EINVAL : 0; /* nobody listens */
    case HVMOP_pagetable_dying:
    case HVMOP_altp2m:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}
