// SPDX-License-Identifier: BSD-2-Clause
/*
 * Grants on the whole machine: who holds a domain (umbra_op holders), with real page tables and teardown in every
 * order, slice by slice; their audit; hostile arrays; tables as resources.
 */
#include <string.h>
#include <hv/grant.h>
#include <umbra/umbra_op.h>
#include <xen/memory.h>
#include "../../hypervisor/grant/internal.h"
#include "fake/core.h"

/* ---- a granting guest and an L1 table of the control domain ---- */

static struct domain *d;
static struct page_info *table;
static struct umbra_op *uop;

static mfn_t frame_of(struct domain *owner, unsigned int n)
{
    struct page_info *pg;

    list_for_each (pg, &owner->page_list, list)
        if (n-- == 0)
            return page_to_mfn(pg);
    fail();
    return INVALID_MFN;
}

static void grant(grant_ref_t ref, domid_t to, mfn_t frame)
{
    grant_entry_v1_t *e;
    mfn_t m;

    assert_int_equal(grant_get_frame(d, 0, &m), 0);
    e = mfn_to_virt(m);
    e[ref] = (grant_entry_v1_t){.flags = GTF_permit_access, .domid = to, .frame = (uint32_t)frame.n};
}

static void begin(void)
{
    d = core_guest(1, 5);
    uop = guest_new(struct umbra_op);
    table = mfn_to_page(frame_of(control_domain, 0));
    spin_lock(&control_domain->pv.pt_lock);
    assert_int_equal(get_page_and_type(table, control_domain, PT_L1), 0);
    spin_unlock(&control_domain->pv.pt_lock);
    core_as(control_domain->vcpu[0]);
}

static void end(void)
{
    spin_lock(&control_domain->pv.pt_lock);
    put_page_and_type(table);
    pv_drain_dead(control_domain);
    spin_unlock(&control_domain->pv.pt_lock);
}

static uint64_t slot(unsigned int n)
{
    return (page_to_mfn(table).n << PAGE_SHIFT) + n * sizeof(pte_t);
}

/* The current domain maps a grant of d; slot 0: for a device. */
static grant_handle_t map(grant_ref_t ref, unsigned int n)
{
    struct gnttab_map_grant_ref *m = guest_new(struct gnttab_map_grant_ref);

    *m = (struct gnttab_map_grant_ref){.ref = ref, .dom = d->id, .flags = n ? GNTMAP_host_map : GNTMAP_device_map};
    m->flags |= n ? GNTMAP_contains_pte : 0;
    m->host_addr = n ? slot(n) : 0;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_map_grant_ref, m, 1), 0);
    assert_int_equal(m->status, GNTST_okay);
    return m->handle;
}

static void unmap(grant_handle_t handle, unsigned int n, mfn_t frame)
{
    struct gnttab_unmap_grant_ref *u = guest_new(struct gnttab_unmap_grant_ref);

    u->handle = handle;
    u->host_addr = n ? slot(n) : 0;
    u->dev_bus_addr = n ? 0 : frame.n << PAGE_SHIFT;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_unmap_grant_ref, u, 1), 0);
    assert_int_equal(u->status, GNTST_okay);
}

/* The control domain's page-table update that names d as the frame's owner. */
static void set_foreign(unsigned int n, uint64_t entry)
{
    struct mmu_update *u = guest_new(struct mmu_update);
    struct hcall hc = {.arg = {(unsigned long)u, 1, 0, d->id}};

    *u = (struct mmu_update){.ptr = slot(n), .val = entry};
    assert_int_equal(do_mmu_update(&hc), 0);
}

/* ---- the search ---- */

struct sums {
    unsigned int calls;
    uint64_t frames, shared, references;
    struct umbra_op_holder of[8]; /* by domain */
};

static struct sums search(uint64_t from)
{
    struct sums s = {0};

    *uop = (struct umbra_op){.cmd = UMBRA_OP_holders, .interface_version = UMBRA_OP_INTERFACE_VERSION};
    uop->domain = d->id;
    uop->u.holders.position = from;
    while (uop->u.holders.position != UMBRA_HOLDERS_end) {
        const struct umbra_op_holders *h = &uop->u.holders;

        assert_int_equal(CALL(umbra_op, uop, 0, 0), 0);
        assert_true(h->nr_rows <= UMBRA_HOLDERS_slice && ++s.calls < 100000);
        s.frames += h->frames;
        s.shared += h->shared_frames;
        s.references += h->references;
        for (unsigned int i = 0; i < h->nr_rows; i++) {
            assert_true(h->row[i].domain < ARRAY_SIZE(s.of));
            assert_true(i == 0 || h->row[i].domain != h->row[i - 1].domain);
            s.of[h->row[i].domain].host_grants += h->row[i].host_grants;
            s.of[h->row[i].domain].device_grants += h->row[i].device_grants;
            s.of[h->row[i].domain].entries += h->row[i].entries;
        }
    }
    return s;
}

static bool listed_as_dying(domid_t id)
{
    struct xen_domctl *op = guest_new(struct xen_domctl);

    *op = (struct xen_domctl){.cmd = XEN_DOMCTL_getdomaininfo,
                              .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                              .domain = id};
    return CALL(domctl, op, 0, 0) == 0 && op->domain == id && (op->u.getdomaininfo.flags & XEN_DOMINF_dying);
}

/* Something of another guest, which is no concern of d's holders. */
static void map_of_another(void)
{
    struct domain *mine = d;

    d = core_guest(1, 1);
    grant(8, 0, frame_of(d, 0));
    map(8, 0);
    map(8, 6);
    d = mine;
}

/* Every kind of holder, before the domain dies and after it, and each that lets go. */
static void test_holders_of_a_dead_domain(void **state)
{
    mfn_t f[4];
    grant_handle_t host, device;
    struct sums s;
    domid_t id;

    begin();
    id = d->id;
    for (unsigned int i = 0; i < 4; i++)
        f[i] = frame_of(d, i);
    grant(8, 0, f[0]);
    host = map(8, 3);
    device = map(8, 0);
    map_of_another();
    set_foreign(4, f[1].n << PAGE_SHIFT | PTE_P | PTE_US);
    set_foreign(5, f[1].n << PAGE_SHIFT | PTE_P | PTE_US | PTE_RW);
    assert_true(get_page(mfn_to_page(f[2]), d));
    s = search(0);
    assert_int_equal(s.frames, 5);
    assert_int_equal(s.shared, 2);
    assert_int_equal(s.references, 5);
    assert_false(listed_as_dying(id));

    core_kill(d);
    core.preempt = 1;
    s = search(0);
    core.preempt = 0;
    assert_true(s.calls > RAM_FRAMES / 64);
    assert_int_equal(s.frames, 3);
    assert_int_equal(s.shared, 0);
    assert_int_equal(s.references, 5);
    assert_int_equal(s.of[0].host_grants, 1);
    assert_int_equal(s.of[0].device_grants, 1);
    assert_int_equal(s.of[0].entries, 3);
    assert_true(listed_as_dying(id));

    unmap(host, 3, f[0]);
    unmap(device, 0, f[0]);
    set_foreign(4, 0);
    set_foreign(5, 0);
    s = search(0);
    assert_int_equal(s.frames, 1);
    assert_int_equal(s.references, 1);
    assert_int_equal(s.of[0].host_grants + s.of[0].device_grants + s.of[0].entries, 0);
    put_page(mfn_to_page(f[2]));
    core_settle();
    assert_false(listed_as_dying(id));
    assert_null(domain_get(id));
    assert_int_equal(CALL(umbra_op, uop, 0, 0), -ESRCH);
    end();
}

/* More holders than a slice has rows, and more handles than a slice looks at. */
static void test_holders_in_slices(void **state)
{
    struct domain *mapper[5];
    mfn_t frame;
    struct sums s;
    domid_t id;

    begin();
    id = d->id;
    frame = frame_of(d, 0);
    for (unsigned int i = 0; i < 5; i++) {
        mapper[i] = core_guest(1, 0);
        grant(8 + i, mapper[i]->id, frame);
        core_as(mapper[i]->vcpu[0]);
        for (unsigned int n = 0; n < 100 + i * 150; n++)
            map(8 + i, 0);
        core_as(control_domain->vcpu[0]);
        domain_pause(mapper[i]); /* its CPU is the next one's */
    }
    core_kill(d);
    for (core.preempt = 0; core.preempt < 3; core.preempt++) {
        s = search(0);
        assert_true(s.calls > 1);
        assert_int_equal(s.frames, 1);
        assert_int_equal(s.references, 100 + 250 + 400 + 550 + 700);
        for (unsigned int i = 0; i < 5; i++)
            assert_int_equal(s.of[mapper[i]->id].device_grants, 100 + i * 150);
    }
    core.preempt = 0;
    for (unsigned int i = 0; i < 5; i++)
        core_kill(mapper[i]);
    assert_null(domain_get(id));
    end();
}

/* A position that no call gave out is a place like any other. */
static void test_holders_anywhere(void **state)
{
    begin();
    for (unsigned int i = 0; i < 2000; i++) {
        struct sums s = search(fake_rand() >> fake_below(64));

        assert_true(s.frames <= 5 && s.shared <= 2);
    }
    assert_int_equal(search(1ull << 63).frames, 5);
    assert_int_equal(search(UMBRA_HOLDERS_end - 1).frames, 0);
    end();
}

/* ---- hostile arrays ---- */

static const struct {
    unsigned int op;
    size_t size, status; /* of an element; where its status is */
} arrays[] = {
#define ARRAY(op, type)                                                   \
    {                                                                     \
        GNTTABOP_##op, sizeof(struct type), offsetof(struct type, status) \
    }
    ARRAY(map_grant_ref, gnttab_map_grant_ref),
    ARRAY(unmap_grant_ref, gnttab_unmap_grant_ref),
    ARRAY(unmap_and_replace, gnttab_unmap_and_replace),
    ARRAY(copy, gnttab_copy),
    ARRAY(transfer, gnttab_transfer),
    ARRAY(swap_grant_ref, gnttab_swap_grant_ref),
};

/* The largest count, in memory that ends after three elements: they are done, one per slice, then the call faults. */
static void test_longest_batches(void **state)
{
    begin();
    for (unsigned int i = 0; i < ARRAY_SIZE(arrays); i++) {
        uint8_t *array = guest_memory + GUEST_SIZE - 3 * arrays[i].size;

        memset(array, 0xff, 3 * arrays[i].size);
        core.preempt = 1;
        assert_int_equal(CALL(grant_table_op, arrays[i].op, array, INT32_MAX), -EFAULT);
        core.preempt = 0;
        for (unsigned int n = 0; n < 3; n++) {
            int16_t status;

            memcpy(&status, array + n * arrays[i].size + arrays[i].status, sizeof(status));
            assert_true(status < 0 && status >= GNTST_no_space);
        }
        assert_int_equal(CALL(grant_table_op, arrays[i].op, array, INT32_MAX + 1u), -EINVAL);
        for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
            assert_int_equal(CALL(grant_table_op, arrays[i].op, core_bad_pointer(kind, arrays[i].size), 1), -EFAULT);
    }
    assert_int_equal(grant_audit(d) + grant_audit(control_domain), 0);
    end();
}

/* A status that cannot be told: what was mapped stays, under a handle that nobody knows, until the mapper dies. */
static void test_untold_handles(void **state)
{
    struct gnttab_map_grant_ref *m = guest_new(struct gnttab_map_grant_ref);
    struct domain *mapper = core_guest(1, 0);
    mfn_t frame;

    begin();
    frame = frame_of(d, 0);
    grant(8, mapper->id, frame);
    core_as(mapper->vcpu[0]);
    for (unsigned int i = 0; i < 4; i++) {
        *m = (struct gnttab_map_grant_ref){.ref = 8, .dom = d->id, .flags = GNTMAP_device_map};
        core.fail_copy = 2;
        assert_int_equal(CALL(grant_table_op, GNTTABOP_map_grant_ref, m, 1), -EFAULT);
    }
    core_as(control_domain->vcpu[0]);
    assert_int_equal(search(0).of[mapper->id].device_grants, 4);
    assert_int_equal(grant_audit(d) + grant_audit(mapper), 0);
    core_kill(mapper);
    assert_int_equal(mfn_to_page(frame)->count_info, PGC_allocated | 1);
    assert_int_equal(grant_audit(d), 0);
    end();
}

/* ---- umbra_op grant_audit ---- */

static long grant_audit_call(domid_t id, unsigned int room, const void *findings)
{
    *uop =
        (struct umbra_op){.cmd = UMBRA_OP_grant_audit, .interface_version = UMBRA_OP_INTERFACE_VERSION, .domain = id};
    uop->u.grant_audit = (struct umbra_op_grant_audit){.room = room, .findings = (unsigned long)findings};
    return CALL(umbra_op, uop, 0, 0);
}

/* As a hypercall, in one slice or in many: a domain in order, a broken one, one that is in use; and who has no audit.
 */
static void test_grant_audit(void **state)
{
    struct umbra_grant_finding *f = guest_alloc(2 * sizeof(*f));
    struct domain *mapper = core_guest(1, 0);
    const struct umbra_op_grant_audit *u;
    struct active *active;

    begin();
    u = &uop->u.grant_audit;
    active = &d->grant->active[0][8];
    grant(8, mapper->id, frame_of(d, 0));
    core_as(mapper->vcpu[0]);
    for (unsigned int i = 0; i < 200; i++)
        map(8, 0);
    core_as(control_domain->vcpu[0]);
    for (core.preempt = 0; core.preempt < 2; core.preempt++) {
        assert_int_equal(grant_audit_call(d->id, 2, f), 0);
        assert_int_equal(core.restarts > 1, core.preempt);
        assert_true(!u->broken && !u->nr && u->entries == 512 && u->handles == 200);
        active->pin[0]++;
        for (unsigned int room = 0; room < 3; room++) {
            assert_int_equal(grant_audit_call(d->id, room, f), 0);
            assert_int_equal(u->broken, 1);
            assert_int_equal(u->nr, MIN(room, 1u));
        }
        active->pin[0]--;
        assert_string_equal(f->rule, "G1");
        assert_string_equal(f->what, "an entry counts other uses than the handles");
        assert_int_equal(f->number, 8);
    }
    core.preempt = 0;
    grant_begin(d);
    assert_int_equal(grant_audit_call(d->id, 0, NULL), -EAGAIN);
    grant_end(d);
    active->pin[1]++;
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++)
        assert_int_equal(grant_audit_call(d->id, 1, core_bad_pointer(i, sizeof(*f))), -EFAULT);
    active->pin[1]--;
    assert_int_equal(d->pause_count, 0);
    assert_int_equal(grant_audit_call(control_domain->id, 0, NULL), -EOPNOTSUPP);
    assert_int_equal(grant_audit_call(d->id + 1, 0, NULL), -ESRCH);
    d->dying = DOM_DYING;
    assert_int_equal(grant_audit_call(d->id, 0, NULL), -EBUSY);
    d->dying = DOM_ALIVE;
    core_kill(mapper);
    assert_int_equal(grant_audit_call(d->id, 0, NULL), 0);
    assert_true(!u->broken && !u->handles);
    end();
}

/* ---- XENMEM_acquire_resource ---- */

static long acquire(unsigned int id, uint64_t first, uint32_t nr, xen_pfn_t *list)
{
    struct xen_mem_acquire_resource *r = guest_new(struct xen_mem_acquire_resource);
    long rc;

    *r = (struct xen_mem_acquire_resource){
        .domid = d->id, .type = XENMEM_resource_grant_table, .id = id, .nr_frames = nr, .frame = first};
    r->frame_list.p = list;
    rc = CALL(memory_op, XENMEM_acquire_resource, r, 0);
    if (!rc && !list)
        return r->nr_frames;
    return rc;
}

static void set_version(unsigned int version)
{
    struct gnttab_set_version *s = guest_new(struct gnttab_set_version);

    core_as(d->vcpu[0]);
    s->version = version;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_set_version, s, 0), 0);
    core_as(control_domain->vcpu[0]);
}

static void test_grant_resources(void **state)
{
    xen_pfn_t *list = guest_alloc(300 * sizeof(*list));
    struct xen_domctl_createdomain config = core_config(1);
    mfn_t m;

    config.max_grant_frames = 250;
    assert_int_equal(domain_create(7, &config, false, &d), 0);
    assert_int_equal(vcpu_create(d, 0), 0);
    assert_int_equal(acquire(0, 0, 0, NULL), 250);
    assert_int_equal(acquire(1, 0, 0, NULL), 32);
    assert_int_equal(acquire(2, 0, 0, NULL), -EINVAL);
    assert_int_equal(acquire(0, 0, 1, NULL), -EINVAL); /* neither a question nor a list */
    assert_int_equal(acquire(1, 0, 1, list), -EINVAL); /* version 1 */
    assert_int_equal(acquire(0, 250, 1, list), -EINVAL);
    assert_int_equal(acquire(0, ~0ull, 2, list), -EINVAL);
    assert_int_equal(acquire(0, 0, 1, FAULT), -EFAULT);
    core.preempt = 3;
    assert_int_equal(acquire(0, 200, 50, list), 0);
    assert_true(core.restarts >= 249 / 16);
    core.preempt = 0;
    assert_int_equal(grant_get_frame(d, 249, &m), 0);
    assert_int_equal(list[49], m.n);
    clear_bit(VPF_down, &d->vcpu[0]->pause_flags);
    d->controller_pause_count = 0;
    domain_unpause(d);
    core_settle();
    set_version(2);
    assert_int_equal(acquire(1, 0, 32, list), 0);
    assert_int_equal(grant_get_status_frame(d, 31, &m), 0);
    assert_int_equal(list[31], m.n);
    assert_int_equal(acquire(1, 31, 2, list), -EINVAL);
    set_version(1);
    assert_int_equal(acquire(1, 0, 1, list), -EINVAL);
}

/* The limits of a domain by default, and the versions that createdomain allows. */
static void test_grant_limits(void **state)
{
    struct xen_domctl_createdomain config = core_config(1);
    static const uint32_t refused[] = {0, 3, 15, 0x12, ~0u};

    config.max_grant_frames = config.max_maptrack_frames = -1;
    config.grant_opts = XEN_DOMCTL_GRANT_version(1);
    assert_int_equal(domain_create(7, &config, false, &d), 0);
    assert_int_equal(acquire(0, 0, 0, NULL), 64);
    assert_int_equal(acquire(1, 0, 0, NULL), -EINVAL);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
        config.grant_opts = refused[i];
        assert_int_equal(domain_create(8, &config, false, &d), -EINVAL);
        core_settle();
        assert_null(domain_get(8));
    }
}

int core_grants_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_holders_of_a_dead_domain), CORE_TEST(test_holders_in_slices), CORE_TEST(test_holders_anywhere),
        CORE_TEST(test_longest_batches),          CORE_TEST(test_untold_handles),    CORE_TEST(test_grant_audit),
        CORE_TEST(test_grant_resources),          CORE_TEST(test_grant_limits),
    };

    return cmocka_run_group_tests_name("grants", tests, NULL, NULL);
}
