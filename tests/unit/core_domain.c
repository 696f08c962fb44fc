// SPDX-License-Identifier: BSD-2-Clause
/*
 * Domains from creation to the last reference. core_end checks after each test that nothing is left; here creation also
 * fails at every single allocation, teardown restarts at every chance, frames outlive their dead owner.
 */
#include <hv/guest_copy.h>
#include "fake/core.h"

/* The whole creation; 0 or the first error, with the domain killed if there was one. */
static int create_all(domid_t id, unsigned int vcpus, unsigned int pages)
{
    struct xen_domctl_createdomain config = core_config(vcpus);
    struct domain *d;
    int rc = domain_create(id, &config, false, &d);

    if (rc)
        return rc;
    d->max_pages = pages;
    for (unsigned int i = 0; i < vcpus && !rc; i++)
        rc = vcpu_create(d, i);
    for (unsigned int i = 0; i < pages && !rc; i++)
        rc = alloc_domain_pages(d, 0, 0) ? 0 : -ENOMEM;
    core.fail_alloc = 0;
    core_kill(d);
    return rc;
}

static void test_every_allocation_fails(void **state)
{
    uint64_t before = heap_free_pages();
    unsigned int n = 1;
    int rc;

    do {
        core.fail_alloc = n++;
        rc = create_all(5, 3, 2);
        core_settle();
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_null(domain_get(5));
        assert_int_equal(heap_free_pages(), before);
    } while (rc);
    assert_true(n > 15);
}

static void test_creation_errors(void **state)
{
    struct xen_domctl_createdomain config = core_config(2);
    struct domain *d = core_guest(1, 0), *other;

    assert_int_equal(domain_create(d->id, &config, false, &other), -EEXIST);
    core_settle();
    config.max_grant_frames = 0;
    assert_int_equal(domain_create(9, &config, false, &other), -EINVAL);
    core_settle();
    assert_null(domain_get(9));
    assert_int_equal(vcpu_create(d, 1), -EINVAL);
    assert_int_equal(vcpu_create(d, 0), -EEXIST);
}

static void test_lookup(void **state)
{
    struct domain *a = core_guest(1, 0), *b = core_guest(1, 0), *d;

    assert_ptr_equal(domain_get(a->id), a);
    assert_ptr_equal(domain_get_next((domid_t)(a->id + 1)), b);
    assert_null(domain_get_next((domid_t)(b->id + 1)));
    assert_ptr_equal(domain_get_next(0), control_domain);
    core_as(b->vcpu[0]);
    assert_ptr_equal(d = domain_get(DOMID_SELF), b);
    domain_put(a);
    domain_put(b);
    domain_put(b);
    domain_put(control_domain);
    core_as(control_domain->vcpu[0]);
    for (unsigned int id = DOMID_FIRST_RESERVED; id < 0x10000; id++)
        if (id != DOMID_SELF)
            assert_null(domain_get((domid_t)id));
    assert_null(domain_vcpu(a, 1));
    assert_null(domain_vcpu(a, ~0u));
    assert_ptr_equal(domain_vcpu(a, 0), a->vcpu[0]);
}

static void test_teardown_restarts(void **state)
{
    struct domain *d = core_guest(2, 700);
    unsigned int restarts = 0;
    domid_t id = d->id;

    core.preempt = 1;
    for (int rc; (rc = domain_kill(d)) != 0; restarts++)
        assert_int_equal(rc, -ERESTART);
    assert_true(restarts >= 700 / 64);
    core.preempt = 0;
    core_settle();
    assert_null(domain_get(id));
}

/* The base is the last that keeps its table in use, and the vCPU has more to give back than that. */
static void test_end_of_an_unpinned_base(void **state)
{
    struct domain *d = core_guest(1, 1);
    struct mmuext_op *op = guest_new(struct mmuext_op);
    mfn_t table = page_to_mfn(list_first(&d->page_list, struct page_info, list));

    memset(mfn_to_virt(table), 0, PAGE_SIZE);
    *op = (struct mmuext_op){.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = table.n};
    d->vcpu[0]->pv.kernel_mode = true;
    core_as(d->vcpu[0]);
    assert_int_equal(core_call4(__HYPERVISOR_mmuext_op, (unsigned long)op, 1, 0, DOMID_SELF), 0);
    core_as(control_domain->vcpu[0]);
    core_kill(d); /* core_end knows the bound */
}

/* Others' references keep frames and domain: seen as dying, gone with the last one. Its number is not given again. */
static void test_zombie(void **state)
{
    struct domain *d = core_guest(1, 10);
    struct page_info *pg = list_first(&d->page_list, struct page_info, list);
    struct xen_domctl_createdomain config = core_config(1);
    struct domain *other;
    domid_t id = d->id;

    assert_true(get_page(pg, d));
    core_kill(d);
    assert_int_equal(d->dying, DOM_DEAD);
    assert_int_equal(d->tot_pages, 1);
    assert_int_equal(domain_kill(d), 0); /* again: nothing to do */
    assert_false(get_page(pg, d));
    assert_true(get_page_owned(pg, d));
    put_page(pg);
    assert_null(alloc_domain_pages(d, 0, 0));
    assert_int_equal(domain_create(id, &config, false, &other), -EEXIST);
    core_settle();
    put_page(pg);
    core_settle();
    assert_null(domain_get(id));
}

/* The last reference of a large domain: freed in slices with time between them, its id not given again until then. */
static void test_freed_in_slices(void **state)
{
    uint64_t before = heap_free_pages();
    struct domain *d = core_guest(64, 0);
    domid_t id = d->id;

    while (domain_kill(d) == -ERESTART)
        ;
    core.preempt = 1;
    core_settle();
    assert_true(heap_free_pages() < before);
    assert_null(domain_get(id));
    assert_int_not_equal(domain_unused_id((domid_t)(id - 1)), id);
    core_pass(MILLISECS(10));
    core.preempt = 0;
    assert_int_equal(heap_free_pages(), before);
    assert_int_equal(domain_unused_id((domid_t)(id - 1)), id);
}

static void test_reference_outlives_kill(void **state)
{
    struct domain *d = core_guest(1, 1);
    domid_t id = d->id;

    assert_ptr_equal(domain_get(id), d);
    core_kill(d);
    assert_int_equal(d->dying, DOM_DEAD);
    domain_put(d);
    core_settle();
    assert_null(domain_get(id));
}

/* ---- vcpu_info ---- */
static void test_register_info(void **state)
{
    struct domain *d = core_guest(2, 3), *stranger = core_guest(1, 1);
    struct vcpu *v = d->vcpu[0], *up = d->vcpu[1];
    struct page_info *pg = list_first(&d->page_list, struct page_info, list);
    mfn_t m = page_to_mfn(pg), foreign = page_to_mfn(list_first(&stranger->page_list, struct page_info, list));
    gfn_t g = _gfn(m.n);
    vcpu_info_t *info = (vcpu_info_t *)((char *)mfn_to_virt(m) + 128);

    core_as(v);
    assert_int_equal(vcpu_register_info(v, g, PAGE_SIZE - sizeof(vcpu_info_t) + 8), -EINVAL);
    assert_int_equal(vcpu_register_info(v, g, ~0u), -EINVAL);
    assert_int_equal(vcpu_register_info(v, g, 4), -EINVAL);
    assert_int_equal(vcpu_register_info(v, _gfn(foreign.n), 0), -EINVAL);
    assert_int_equal(vcpu_register_info(v, _gfn(RAM_HOLE), 0), -EINVAL);
    assert_int_equal(vcpu_register_info(v, _gfn(~0ull), 0), -EINVAL);
    assert_int_equal(vcpu_register_info(up, g, 0), -EINVAL); /* it runs, and does not ask */
    assert_int_equal(pg->count_info, PGC_allocated | 1);
    v->vcpu_info->evtchn_upcall_mask = 1;
    v->vcpu_info->time.tsc_timestamp = 77;
    assert_int_equal(vcpu_register_info(v, g, 128), 0);
    assert_ptr_equal(v->vcpu_info, info);
    assert_int_equal(info->evtchn_upcall_mask, 1);
    assert_int_equal(info->evtchn_upcall_pending, 1); /* look at everything: nothing is lost in the move */
    assert_int_equal(info->evtchn_pending_sel, ~0ul);
    assert_int_equal(info->time.tsc_timestamp, 77);
    assert_int_equal(pg->count_info, PGC_allocated | 2);
    assert_int_equal(vcpu_register_info(v, g, 0), -EINVAL); /* once */
    set_bit(VPF_down, &up->pause_flags);
    vcpu_sleep_nosync(up);
    assert_int_equal(vcpu_register_info(up, g, 1024), 0);
    assert_int_equal(page_type(pg), PT_WRITABLE);
    vcpu_unregister_info(up);
    vcpu_unregister_info(up);
    assert_ptr_equal(up->vcpu_info, &up->early_info);
    core_as(control_domain->vcpu[0]);
    core_kill(d); /* v's record goes with it */
}

/* ---- pause, shutdown, resume ---- */
static void test_pause_nests(void **state)
{
    struct domain *d = core_guest(2, 0);

    domain_pause(d);
    domain_pause(d);
    assert_false(d->vcpu[0]->is_running || d->vcpu[1]->is_running);
    domain_unpause(d);
    core_settle();
    assert_false(d->vcpu[0]->is_running);
    domain_unpause(d);
    core_settle();
    assert_true(d->vcpu[0]->is_running && d->vcpu[1]->is_running);
}

static void test_shutdown_and_resume(void **state)
{
    struct domain *d = core_guest(2, 0);

    domain_resume(d); /* nothing to resume: no count goes wrong */
    assert_int_equal(d->vcpu[0]->pause_count, 0);
    core_as(d->vcpu[0]);
    domain_shutdown(d, SHUTDOWN_suspend);
    domain_shutdown(d, SHUTDOWN_crash); /* the first one counts */
    core_settle();
    core_as(control_domain->vcpu[0]);
    assert_true(d->is_shut_down);
    assert_int_equal(d->shutdown_code, SHUTDOWN_suspend);
    assert_false(d->vcpu[0]->is_running || d->vcpu[1]->is_running);
    domain_resume(d);
    core_settle();
    assert_true(d->vcpu[0]->is_running && d->vcpu[1]->is_running);
    domain_crash(d, "%s", "because");
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash);
}

/* A vCPU made while the domain is shut down is as paused as the others. */
static void test_new_vcpu_in_shutdown(void **state)
{
    struct xen_domctl_createdomain config = core_config(2);
    struct domain *d;

    assert_int_equal(domain_create(3, &config, false, &d), 0);
    assert_int_equal(vcpu_create(d, 0), 0);
    domain_shutdown(d, SHUTDOWN_suspend);
    assert_int_equal(vcpu_create(d, 1), 0);
    assert_int_equal(d->vcpu[1]->pause_count, 1);
    domain_resume(d);
    assert_int_equal(d->vcpu[0]->pause_count, 0);
    assert_int_equal(d->vcpu[1]->pause_count, 0);
}

/* ---- runstate area ---- */
/* A guest gives up its first shared page while somebody has it mapped: the others come back all the same. */
static void test_given_up_shared_page(void **state)
{
    struct domain *d = core_guest(1, 4);
    struct page_info *pg = list_first(&d->hv_page_list, struct page_info, list), *other;
    unsigned int kept = 0;

    assert_true(get_page(pg, d));
    domain_hold(d);
    unshare_hv_page(pg);
    assert_ptr_equal(list_first(&d->hv_page_list, struct page_info, list), pg);
    core_kill(d);
    list_for_each (other, &d->hv_page_list, list) {
        assert_ptr_equal(other, pg);
        kept++;
    }
    assert_int_equal(kept, 1);
    put_page(pg);
    assert_true(list_empty(&d->hv_page_list));
    domain_put(d);
    core_settle();
}

static void test_runstate_area(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];
    struct vcpu_runstate_info *area = guest_new(struct vcpu_runstate_info);

    core_as(v);
    vcpu_update_runstate_area(v); /* none registered */
    v->runstate_guest = (unsigned long)area;
    v->pv.kernel_mode = false;
    vcpu_update_runstate_area(v); /* the address means nothing under the user's tables */
    assert_int_equal(area->state_entry_time, 0);
    v->pv.kernel_mode = true;
    set_bit(VMASST_TYPE_runstate_update_flag, &v->domain->vm_assist);
    for (unsigned int i = 0; i < 2; i++) {
        core_pass(1000);
        memset(area, 0xff, sizeof(*area));
        vcpu_update_runstate_area(v);
        assert_int_equal(area->state, RUNSTATE_running);
        assert_int_equal(area->state_entry_time, v->runstate.state_entry_time);
        assert_int_equal(area->time[RUNSTATE_running], vcpu_cpu_time(v));
        v->domain->vm_assist = 0;
    }
    v->runstate_guest = (unsigned long)FAULT; /* a bad address is the guest's loss */
    vcpu_update_runstate_area(v);
}

int core_domain_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_every_allocation_fails),
        CORE_TEST(test_creation_errors),
        CORE_TEST(test_lookup),
        CORE_TEST(test_teardown_restarts),
        CORE_TEST(test_end_of_an_unpinned_base),
        CORE_TEST(test_zombie),
        CORE_TEST(test_freed_in_slices),
        CORE_TEST(test_reference_outlives_kill),
        CORE_TEST(test_register_info),
        CORE_TEST(test_pause_nests),
        CORE_TEST(test_shutdown_and_resume),
        CORE_TEST(test_new_vcpu_in_shutdown),
        CORE_TEST(test_given_up_shared_page),
        CORE_TEST(test_runstate_area),
    };

    return cmocka_run_group_tests_name("domains", tests, NULL, NULL);
}
