// SPDX-License-Identifier: BSD-2-Clause
/* What a translated domain asks of the hypervisor: which calls it has, and that it can name nothing but its own. */
#include <hv/grant.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/memory.h>
#include <xen/version.h>
#include "fake/core.h"

static struct domain *d;
static struct xen_hvm_param *param;

static void populate(unsigned int n, xen_pfn_t first)
{
    struct xen_memory_reservation *r = guest_new(struct xen_memory_reservation);
    xen_pfn_t *list = guest_alloc(n * sizeof(*list));

    for (unsigned int i = 0; i < n; i++)
        list[i] = first + i;
    *r = (struct xen_memory_reservation){.extent_start.p = list, .nr_extents = n, .domid = DOMID_SELF};
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, r, 0), n);
}

/* A guest of two vCPUs with memory from guest frame 0x10 on; the first one calls. */
static void translated(unsigned int pages)
{
    d = core_translated(3, 2, 100);
    core_as(d->vcpu[0]);
    if (pages)
        populate(pages, 0x10);
    param = guest_new(struct xen_hvm_param);
}

static mfn_t mfn_at(unsigned long gfn)
{
    return p2m_lookup(d, _gfn(gfn)).mfn;
}

static void test_calls(void **state)
{
    static const uint8_t who[64] = {
#define HYPERCALL(nr, name, nargs, caller) [nr] = caller,
#include "../../hypervisor/hypercall/table.def"
#undef HYPERCALL
    };
    multicall_entry_t *e = guest_new(multicall_entry_t);

    translated(0);
    for (unsigned int nr = 0; nr < 64; nr++) {
        long expected = who[nr] == HC_CONTROL ? -EPERM : -ENOSYS;

        if (who[nr] == HC_ALL)
            continue;
        if (who[nr] == HC_ENVELOPE)
            expected = -EFAULT;
        assert_int_equal(core_call(nr, 0, 0, 0), expected);
        if (nr == __HYPERVISOR_iret)
            continue;
        *e = (multicall_entry_t){.op = nr};
        assert_int_equal(CALL(multicall, e, 1, 0), 0);
        assert_int_equal((long)e->result, expected);
    }
}

/* The instruction is passed when the call is over, and made again when it is not. */
static void test_instruction(void **state)
{
    struct cpu_user_regs regs = {.rax = __HYPERVISOR_multicall, .rsi = 2, .rip = 0x1000};
    multicall_entry_t *e = guest_alloc(2 * sizeof(*e));

    translated(0);
    for (unsigned int i = 0; i < 2; i++)
        e[i] = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
    regs.rdi = (unsigned long)e;
    core.preempt = 1;
    hvm_hypercall(&regs);
    assert_int_equal(regs.rip, 0x1000);
    assert_int_equal(regs.rax, __HYPERVISOR_multicall);
    assert_int_equal(regs.rsi, 1);
    hvm_hypercall(&regs);
    assert_int_equal(regs.rip, 0x1003);
    assert_int_equal(regs.rax, 0);
    assert_int_equal(e[1].result, 4 << 16 | 17);
}

static long set(domid_t id, uint32_t index, uint64_t value)
{
    *param = (struct xen_hvm_param){.domid = id, .index = index, .value = value};
    return CALL(hvm_op, HVMOP_set_param, param, 0);
}

static long get(domid_t id, uint32_t index)
{
    *param = (struct xen_hvm_param){.domid = id, .index = index, .value = 0xdead};
    return CALL(hvm_op, HVMOP_get_param, param, 0);
}

static void test_params(void **state)
{
    static const uint8_t for_guest[] = {HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN, HVM_PARAM_CONSOLE_PFN,
                                        HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_VM_GENERATION_ID_ADDR};
    static const uint32_t unknown[] = {HVM_PARAM_VIRIDIAN, HVM_PARAM_NESTEDHVM, HVM_PARAM_ALTP2M,
                                       HVM_NR_PARAMS - 1,  HVM_NR_PARAMS,       ~0u};
    struct domain *pv = core_guest(1, 0);

    translated(0);
    assert_int_equal(get(DOMID_SELF, HVM_PARAM_STORE_PFN), 0);
    assert_int_equal(param->value, 0);
    core_as(control_domain->vcpu[0]);
    for (unsigned int i = 0; i < sizeof(for_guest); i++)
        assert_int_equal(set(3, for_guest[i], 0x100000000 + i), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++) {
        assert_int_equal(set(3, unknown[i], 0), -EINVAL);
        assert_int_equal(get(3, unknown[i]), -EINVAL);
    }
    assert_int_equal(get(3, HVM_PARAM_TRIPLE_FAULT_REASON), 0);
    assert_int_equal(param->value, SHUTDOWN_reboot);
    assert_int_equal(set(3, HVM_PARAM_TRIPLE_FAULT_REASON, SHUTDOWN_MAX + 1), -EINVAL);
    assert_int_equal(set(3, HVM_PARAM_TRIPLE_FAULT_REASON, SHUTDOWN_crash), 0);
    assert_int_equal(set(pv->id, HVM_PARAM_STORE_PFN, 1), -EINVAL);
    assert_int_equal(set(DOMID_SELF, HVM_PARAM_STORE_PFN, 1), -EINVAL);
    assert_int_equal(get(999, HVM_PARAM_STORE_PFN), -ESRCH);
    core_as(d->vcpu[0]);
    for (unsigned int i = 0; i < sizeof(for_guest); i++) {
        assert_int_equal(get(DOMID_SELF, for_guest[i]), 0);
        assert_int_equal(param->value, 0x100000000 + i);
        assert_int_equal(set(DOMID_SELF, for_guest[i], 7), -EPERM);
    }
    assert_int_equal(set(3, HVM_PARAM_TRIPLE_FAULT_REASON, 0), -EPERM);
    assert_int_equal(get(3, HVM_PARAM_TRIPLE_FAULT_REASON), -EPERM);
    assert_int_equal(d->hvm.param[HVM_PARAM_TRIPLE_FAULT_REASON], SHUTDOWN_crash);
    assert_int_equal(get(0, HVM_PARAM_STORE_PFN), -EINVAL);
    assert_int_equal(CALL(hvm_op, HVMOP_get_param, FAULT, 0), -EFAULT);
    assert_int_equal(CALL(hvm_op, HVMOP_set_param, FAULT, 0), -EFAULT);
    core_as(pv->vcpu[0]);
    assert_int_equal(get(3, HVM_PARAM_STORE_PFN), -EPERM);
    assert_int_equal(set(3, HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 0x30), -EPERM);
}

static void test_callback(void **state)
{
    translated(0);
    assert_int_equal(set(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 0xf3), 0);
    assert_int_equal(d->hvm.callback_vector, 0xf3);
    assert_int_equal(set(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 0xf), -EINVAL);
    assert_int_equal(d->hvm.callback_vector, 0xf3);
    assert_int_equal(get(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ), 0);
    assert_int_equal(param->value, 2ull << 56 | 0xf3);
    assert_int_equal(set(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, 1), 0); /* a line: there is none */
    assert_int_equal(d->hvm.callback_vector, 0);
}

static void test_upcall_vector(void **state)
{
    struct xen_hvm_evtchn_upcall_vector *u = guest_new(struct xen_hvm_evtchn_upcall_vector);

    translated(0);
    *u = (struct xen_hvm_evtchn_upcall_vector){.vcpu = 1, .vector = 0x40};
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, u, 0), 0);
    assert_int_equal(d->vcpu[1]->hvm->upcall_vector, 0x40);
    assert_int_equal(core.upcalls, 0);
    d->vcpu[1]->vcpu_info->evtchn_upcall_pending = 1; /* before there was a vector */
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, u, 0), 0);
    assert_int_equal(core.upcalls, 1);
    u->vector = 15;
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, u, 0), -EINVAL);
    *u = (struct xen_hvm_evtchn_upcall_vector){.vcpu = 2, .vector = 0x40};
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, u, 0), -ENOENT);
    u->vcpu = ~0u;
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, u, 0), -ENOENT);
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, FAULT, 0), -EFAULT);
    core_as(control_domain->vcpu[0]);
    u->vcpu = 0;
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, u, 0), -EINVAL);
}

static void test_other_hvm_ops(void **state)
{
    struct xen_hvm_get_mem_type *m = guest_new(struct xen_hvm_get_mem_type);

    translated(1);
    assert_int_equal(CALL(hvm_op, HVMOP_flush_tlbs, 0, 0), 0);
    assert_true(current->hvm->flush_due);
    assert_int_equal(CALL(hvm_op, HVMOP_flush_tlbs, m, 0), -EINVAL);
    *m = (struct xen_hvm_get_mem_type){.domid = DOMID_SELF, .pfn = 0x10};
    assert_int_equal(CALL(hvm_op, HVMOP_get_mem_type, m, 0), 0);
    assert_int_equal(m->mem_type, HVMMEM_ram_rw);
    m->pfn = ~0ull;
    assert_int_equal(CALL(hvm_op, HVMOP_get_mem_type, m, 0), 0);
    assert_int_equal(m->mem_type, HVMMEM_mmio_dm);
    m->domid = 0;
    assert_int_equal(CALL(hvm_op, HVMOP_get_mem_type, m, 0), -EINVAL);
    assert_int_equal(CALL(hvm_op, HVMOP_altp2m, m, 0), -EOPNOTSUPP);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(CALL(hvm_op, HVMOP_flush_tlbs, 0, 0), -EINVAL);
}

/* A read-only frame at 0x11, a foreign one at 0x12: neither may the hypervisor be made to write to. */
static void protect(struct domain *other)
{
    struct p2m_retype ro = {.gfn = _gfn(0x11), .n = 1, .from = P2M_RAM_RW, .to = P2M_RAM_RO};
    struct p2m_range foreign = {.gfn = _gfn(0x12), .type = P2M_FOREIGN};
    struct page_info *pg = list_first(&other->page_list, struct page_info, list);

    assert_int_equal(p2m_change_type(d, &ro), 0);
    assert_int_equal(get_page_and_type(pg, other, PT_WRITABLE), 0);
    foreign.mfn = page_to_mfn(pg);
    assert_int_equal(p2m_set(d, &foreign), 0);
}

static long register_info(unsigned int vcpu, uint64_t frame)
{
    struct vcpu_register_vcpu_info *i = guest_new(struct vcpu_register_vcpu_info);

    *i = (struct vcpu_register_vcpu_info){.mfn = frame, .offset = 64};
    return CALL(vcpu_op, VCPUOP_register_vcpu_info, vcpu, i);
}

static void test_info_by_guest_frame(void **state)
{
    struct xen_memory_reservation *r = guest_new(struct xen_memory_reservation);
    xen_pfn_t *gfn = guest_new(xen_pfn_t);
    struct domain *other = core_guest(1, 1);
    uint64_t bad[] = {0x11, 0x12, 0x13, ~0ull, 1ull << 52, 0};
    mfn_t m;

    translated(2);
    protect(other);
    m = mfn_at(0x10);
    bad[5] = m.n; /* a machine frame, which it cannot name */
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(register_info(0, bad[i]), -EINVAL);
    assert_int_equal(register_info(0, 0x10), 0);
    assert_ptr_equal(d->vcpu[0]->vcpu_info, (char *)mfn_to_virt(m) + 64);
    assert_int_equal(register_info(0, 0x10), -EINVAL);
    /* Its own mask does not count, but that of the flags does; the record outlives the guest frame. */
    d->vcpu[0]->vcpu_info->evtchn_upcall_mask = 1;
    guest_cpu_user_regs()->rflags = 0;
    assert_false(vcpu_event_pending(d->vcpu[0]));
    guest_cpu_user_regs()->rflags = EFLAGS_IF;
    assert_true(vcpu_event_pending(d->vcpu[0]));
    *gfn = 0x10;
    *r = (struct xen_memory_reservation){.extent_start.p = gfn, .nr_extents = 1, .domid = DOMID_SELF};
    assert_int_equal(CALL(memory_op, XENMEM_decrease_reservation, r, 0), 1);
    assert_int_equal(mfn_at(0x10).n, INVALID_MFN.n);
    assert_int_equal(mfn_to_page(m)->count_info & PGC_count_mask, 1);
}

static long init_control(uint64_t frame)
{
    struct evtchn_init_control *c = guest_new(struct evtchn_init_control);

    *c = (struct evtchn_init_control){.control_gfn = frame};
    return CALL(event_channel_op, EVTCHNOP_init_control, c, 0);
}

static long expand_array(uint64_t frame)
{
    struct evtchn_expand_array *a = guest_new(struct evtchn_expand_array);

    a->array_gfn = frame;
    return CALL(event_channel_op, EVTCHNOP_expand_array, a, 0);
}

static void test_fifo_by_guest_frame(void **state)
{
    struct domain *other = core_guest(1, 1);
    struct evtchn_bind_ipi *b = guest_new(struct evtchn_bind_ipi);
    struct evtchn_send *s = guest_new(struct evtchn_send);
    uint64_t bad[] = {0x11, 0x12, 0x14, ~0ull, 0};
    mfn_t array;

    translated(4);
    protect(other);
    bad[4] = mfn_at(0x10).n;
    array = mfn_at(0x13);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(init_control(bad[i]), -EINVAL);
    assert_int_equal(init_control(0x10), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(expand_array(bad[i]), -EINVAL);
    assert_int_equal(expand_array(0x13), 0);
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_ipi, b, 0), 0);
    s->port = b->port;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_send, s, 0), 0);
    assert_true(((uint32_t *)mfn_to_virt(array))[b->port] & 1u << EVTCHN_FIFO_PENDING);
}

/* Machine frames are not told, neither is anything taken for one. */
static void test_no_machine_frames(void **state)
{
    static const unsigned int hidden[] = {XENMEM_machphys_mapping, XENMEM_machphys_mfn_list, XENMEM_machine_memory_map};
    struct gnttab_setup_table *t = guest_new(struct gnttab_setup_table);
    struct xen_add_to_physmap *x = guest_new(struct xen_add_to_physmap);
    struct gnttab_cache_flush *f = guest_new(struct gnttab_cache_flush);
    xen_pfn_t *frame = guest_alloc(2 * sizeof(*frame));

    translated(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(hidden); i++)
        assert_int_equal(CALL(memory_op, hidden[i], guest_alloc(256), 0), -ENOSYS);
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, guest_alloc(256), 0), -EPERM);
    *x = (struct xen_add_to_physmap){.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = 0x20};
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap, x, 0), 0);
    *t = (struct gnttab_setup_table){.dom = DOMID_SELF, .nr_frames = 2, .frame_list.p = frame};
    assert_int_equal(CALL(grant_table_op, GNTTABOP_setup_table, t, 1), 0);
    assert_int_equal(t->status, GNTST_okay);
    assert_int_equal(frame[0], 0x20);
    assert_int_equal(frame[1], ~0ul);
    *f = (struct gnttab_cache_flush){.a.dev_bus_addr = 0x10000, .length = 64, .op = GNTTAB_CACHE_CLEAN};
    assert_int_equal(CALL(grant_table_op, GNTTABOP_cache_flush, f, 1), 0);
    f->a.dev_bus_addr = mfn_at(0x10).n << PAGE_SHIFT;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_cache_flush, f, 1), -EPERM);
}

/* ---- grants of others in its P2M ---- */

#define GRANT_REF 8u
#define HOLE      0x80000ul /* an address without memory */

static struct domain *granter;
static struct page_info *granted;

/* A PV guest that grants a frame to d, and d, which calls. */
static void with_granter(uint16_t flags)
{
    struct gnttab_setup_table *s = guest_new(struct gnttab_setup_table);
    grant_entry_v1_t *e;

    granter = core_guest(1, 2);
    core_as(granter->vcpu[0]);
    *s = (struct gnttab_setup_table){.dom = DOMID_SELF, .nr_frames = 1};
    s->frame_list.p = guest_alloc(sizeof(xen_pfn_t));
    assert_int_equal(CALL(grant_table_op, GNTTABOP_setup_table, s, 1), 0);
    assert_int_equal(s->status, GNTST_okay);
    e = (grant_entry_v1_t *)mfn_to_virt(_mfn(*s->frame_list.p)) + GRANT_REF;
    granted = list_first(&granter->page_list, struct page_info, list);
    *e = (grant_entry_v1_t){.flags = flags, .domid = 3, .frame = (uint32_t)page_to_mfn(granted).n};
    translated(4);
}

static struct gnttab_map_grant_ref *map(uint64_t at, unsigned int flags)
{
    struct gnttab_map_grant_ref *m = guest_new(struct gnttab_map_grant_ref);

    *m = (struct gnttab_map_grant_ref){.host_addr = at, .flags = flags, .ref = GRANT_REF, .dom = granter->id};
    m->dev_bus_addr = 77;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_map_grant_ref, m, 1), 0);
    return m;
}

static int16_t unmap(uint64_t at, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref *u = guest_new(struct gnttab_unmap_grant_ref);

    *u = (struct gnttab_unmap_grant_ref){.host_addr = at, .handle = handle};
    assert_int_equal(CALL(grant_table_op, GNTTABOP_unmap_grant_ref, u, 1), 0);
    return u->status;
}

static void holds(unsigned int pages, unsigned int writers)
{
    assert_int_equal(granted->count_info & PGC_count_mask, 1 + pages);
    assert_int_equal(granted->type_info & PGT_count_mask, writers);
}

static void test_map_grant(void **state)
{
    for (unsigned int readonly = 0; readonly < 2; readonly++) {
        struct gnttab_map_grant_ref *m;

        with_granter(readonly ? GTF_permit_access | GTF_readonly : GTF_permit_access);
        m = map(HOLE, readonly ? GNTMAP_host_map | GNTMAP_readonly : GNTMAP_host_map);
        assert_int_equal(m->status, GNTST_okay);
        assert_int_equal(m->dev_bus_addr, 0); /* a machine address */
        assert_int_equal(p2m_lookup(d, _gfn(HOLE >> 12)).type, readonly ? P2M_GRANT_RO : P2M_GRANT_RW);
        assert_int_equal(mfn_at(HOLE >> 12).n, page_to_mfn(granted).n);
        holds(1, !readonly);
        assert_int_equal(grant_audit(granter), 0);
        assert_int_equal(grant_audit(d), 0);
        assert_int_equal(unmap(HOLE + PAGE_SIZE, m->handle), GNTST_general_error); /* not there */
        holds(1, !readonly);
        assert_int_equal(unmap(HOLE, m->handle), GNTST_okay);
        assert_int_equal(p2m_lookup(d, _gfn(HOLE >> 12)).type, P2M_MMIO_DM);
        holds(0, 0);
        assert_int_equal(unmap(HOLE, m->handle), GNTST_bad_handle);
        assert_int_equal(grant_audit(granter), 0);
        core_as(control_domain->vcpu[0]);
        core_kill(d);
        core_kill(granter);
    }
}

/* What has no place in a P2M. */
static void test_map_grant_refusals(void **state)
{
    static const unsigned int flags[] = {GNTMAP_device_map, GNTMAP_host_map | GNTMAP_device_map,
                                         GNTMAP_host_map | GNTMAP_contains_pte};

    with_granter(GTF_permit_access);
    for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++)
        assert_int_equal(map(HOLE, flags[i])->status, GNTST_general_error);
    assert_int_equal(map(HOLE, 0)->status, GNTST_bad_gntref);
    assert_int_equal(map(P2M_GFNS << 12, GNTMAP_host_map)->status, GNTST_general_error);
    assert_int_equal(map(~0ull, GNTMAP_host_map)->status, GNTST_general_error);
    holds(0, 0);
    assert_int_equal(grant_audit(granter), 0);
    assert_int_equal(grant_audit(d), 0);
}

/* Memory that stood there is given up. What the guest puts there instead of a grant, and its end, give back the grant.
 */
static void test_grant_is_replaced(void **state)
{
    struct gnttab_unmap_and_replace *r = guest_new(struct gnttab_unmap_and_replace);
    struct gnttab_map_grant_ref *m;

    with_granter(GTF_permit_access);
    assert_int_equal(d->tot_pages, 4);
    m = map(0x10000, GNTMAP_host_map);
    assert_int_equal(m->status, GNTST_okay);
    assert_int_equal(d->tot_pages, 3);
    *r = (struct gnttab_unmap_and_replace){.host_addr = 0x10000, .new_addr = 0x11000, .handle = m->handle};
    assert_int_equal(CALL(grant_table_op, GNTTABOP_unmap_and_replace, r, 1), 0);
    assert_int_equal(r->status, GNTST_general_error);
    holds(1, 1);
    r->new_addr = 0;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_unmap_and_replace, r, 1), 0);
    assert_int_equal(r->status, GNTST_okay);
    holds(0, 0);
    m = map(HOLE, GNTMAP_host_map);
    populate(1, HOLE >> 12);
    holds(0, 0);
    assert_int_equal(unmap(HOLE, m->handle), GNTST_general_error); /* another frame is there */
    assert_true(p2m_is_ram(p2m_lookup(d, _gfn(HOLE >> 12)).type));
    assert_int_equal(map(HOLE + PAGE_SIZE, GNTMAP_host_map)->status, GNTST_okay);
    holds(1, 1);
    core_as(control_domain->vcpu[0]);
    core_kill(d);
    holds(0, 0);
    assert_int_equal(grant_audit(granter), 0);
}

/* Control's call that writes the page of SYSCALL stubs is about PV domains. */
static void test_hypercall_init(void **state)
{
    struct xen_domctl *op = guest_new(struct xen_domctl);

    translated(1);
    core_as(control_domain->vcpu[0]);
    *op = (struct xen_domctl){.cmd = XEN_DOMCTL_hypercall_init,
                              .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                              .domain = 3};
    op->u.hypercall_init.gmfn = mfn_at(0x10).n;
    assert_int_equal(CALL(domctl, op, 0, 0), -EINVAL);
    op->u.hypercall_init.gmfn = 0x10;
    assert_int_equal(CALL(domctl, op, 0, 0), -EINVAL);
    assert_int_equal(*(uint64_t *)mfn_to_virt(mfn_at(0x10)), 0);
}

static void test_features_of_translated(void **state)
{
    xen_feature_info_t *f = guest_new(xen_feature_info_t);

    translated(0);
    assert_int_equal(CALL(xen_version, XENVER_get_features, f, 0), 0);
    assert_int_equal(f->submap, 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
                                    1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock |
                                    1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_not_direct_mapped);
}

static void test_vcpu_areas(void **state)
{
    struct vcpu_register_runstate_memory_area *a = guest_new(struct vcpu_register_runstate_memory_area);
    struct vcpu_register_time_memory_area *t = guest_new(struct vcpu_register_time_memory_area);

    translated(0);
    a->addr.h.p = guest_new(struct vcpu_runstate_info);
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, a), 0);
    assert_int_equal(a->addr.h.p->state, RUNSTATE_running);
    /* Anywhere it likes: in its address space there is no hypervisor. */
    a->addr.h.p = (void *)HYPERVISOR_BASE;
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, a), 0);
    t->addr.h.p = (void *)HYPERVISOR_BASE;
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, t), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_send_nmi, 0, 0), 0); /* it needs no handler to be told of */
    assert_true(d->vcpu[0]->nmi_pending);
}

static void test_initialise(void **state)
{
    struct vcpu_hvm_context *ctx = guest_new(struct vcpu_hvm_context);
    struct cpu_user_regs regs = {.rax = __HYPERVISOR_vcpu_op, .rsi = 1, .rip = 0x1000};
    struct vcpu *other;

    translated(0);
    other = d->vcpu[1];
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 0, ctx), -EEXIST);
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, ctx), -EEXIST);
    /* Stopped, but it has not left its CPU: the call is made again. */
    assert_true(other->is_running);
    other->is_initialised = false;
    set_bit(VPF_down, &other->pause_flags);
    regs.rdx = (unsigned long)ctx;
    hvm_hypercall(&regs);
    assert_int_equal(regs.rip, 0x1000);
    assert_int_equal(other->pause_count, 0);
    vcpu_sleep_nosync(other);
    core_settle();
    assert_false(other->is_running);
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, FAULT), -EFAULT);
    assert_int_equal(CALL(vcpu_op, VCPUOP_up, 1, 0), -EINVAL);
    core.context_error = -EINVAL;
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, ctx), -EINVAL);
    core.context_error = 0;
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, 1, ctx), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_up, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 1, 0), 1);
}

int core_hvm_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_calls),
        CORE_TEST(test_instruction),
        CORE_TEST(test_params),
        CORE_TEST(test_callback),
        CORE_TEST(test_upcall_vector),
        CORE_TEST(test_other_hvm_ops),
        CORE_TEST(test_info_by_guest_frame),
        CORE_TEST(test_fifo_by_guest_frame),
        CORE_TEST(test_no_machine_frames),
        CORE_TEST(test_map_grant),
        CORE_TEST(test_map_grant_refusals),
        CORE_TEST(test_grant_is_replaced),
        CORE_TEST(test_hypercall_init),
        CORE_TEST(test_features_of_translated),
        CORE_TEST(test_vcpu_areas),
        CORE_TEST(test_initialise),
    };

    return cmocka_run_group_tests_name("core: hvm", tests, NULL, NULL);
}
