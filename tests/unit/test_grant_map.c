/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grant mappings, by linear address and by page-table entry, as gntdev does: every status, reference counts back to
 * zero, limits, a granter that changes its entries while they are claimed, teardown in every order, random operations.
 */
#include <pthread.h>
#include "grant_guests.h"

/* ---- map and unmap ---- */

static void map_writable(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map, VA(1));
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(m.dev_bus_addr, page.n << PAGE_SHIFT);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(frame_refs(page), 2);
    assert_int_equal(frame_type_refs(page), 1);
    assert_int_equal(fake_pte_at(VA(1)).n & ~PTE_AVAIL, (page.n << 12) | PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D);
    assert_int_equal(unmap(m.handle, VA(2), 0), GNTST_general_error);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_int_equal(machine.flushes, 1);
    assert_int_equal(fake_pte_at(VA(1)).n, 0);
    assert_quiet(page, 8);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_bad_handle);
}

static void map_readonly(void **state)
{
    struct gnttab_map_grant_ref r, w;

    grant(8, 0, page, 0);
    r = map(1, 8, GNTMAP_host_map | GNTMAP_readonly, VA(1));
    assert_int_equal(in_use(8), GTF_reading);
    assert_int_equal(frame_type_refs(page), 0);
    assert_false(fake_pte_at(VA(1)).n & PTE_RW);
    w = map(1, 8, GNTMAP_host_map, VA(2));
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(frame_refs(page), 3);
    assert_int_equal(unmap(w.handle, VA(1), 0), GNTST_general_error); /* the other writability */
    assert_int_equal(unmap(w.handle, VA(2), 0), GNTST_okay);
    assert_int_equal(in_use(8), GTF_reading);
    /* The entry is the granter's to make read-only now. */
    grant(8, 0, page, GTF_readonly | GTF_reading);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(2)), GNTST_general_error);
    assert_int_equal(unmap(r.handle, VA(1), 0), GNTST_okay);
    assert_quiet(page, 8);
}

static void map_host_and_device(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map | GNTMAP_device_map, VA(1));
    assert_int_equal(frame_refs(page), 3);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr + 4096), GNTST_general_error);
    assert_int_equal(unmap(m.handle, 0, 0), GNTST_okay); /* nothing named, nothing done */
    assert_int_equal(frame_refs(page), 3);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_int_equal(frame_refs(page), 2);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_quiet(page, 8);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_bad_handle);
    assert_int_equal(unmap(12345678, VA(1), 0), GNTST_bad_handle);
}

/* As the stock xenstored does through gntdev: the address of an entry, and a software bit for the kernel. */
static void map_by_entry(void **state)
{
    uint64_t entry = 0x1234568;
    struct gnttab_map_grant_ref m;

    grant(GNTTAB_RESERVED_XENSTORE, 0, page, 0);
    m = map(1, GNTTAB_RESERVED_XENSTORE,
            GNTMAP_host_map | GNTMAP_application_map | GNTMAP_contains_pte | (1u << _GNTMAP_guest_avail0), entry);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(fake_pte_at(entry).n & PTE_AVAIL, 1u << 9);
    assert_int_equal(unmap(m.handle, entry, 0), GNTST_okay);
    assert_quiet(page, GNTTAB_RESERVED_XENSTORE);
}

static void map_errors(void **state)
{
    mfn_t foreign = guest_frame(b), typed = guest_frame(a);

    grant(8, 0, page, 0);
    assert_int_equal(map_status(1, 8, 0, VA(1)), GNTST_bad_gntref);
    assert_int_equal(map_status(9, 8, GNTMAP_host_map, VA(1)), GNTST_bad_domain);
    assert_int_equal(map_status(DOMID_SELF, 8, GNTMAP_host_map, VA(1)), GNTST_bad_domain);
    assert_int_equal(map_status(1, 512, GNTMAP_host_map, VA(1)), GNTST_bad_gntref);
    assert_int_equal(map_status(1, ~0u, GNTMAP_host_map, VA(1)), GNTST_bad_gntref);
    assert_int_equal(map_status(1, 9, GNTMAP_host_map, VA(1)), GNTST_general_error); /* invalid entry */
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, 8), GNTST_general_error);     /* no such address */
    assert_quiet(page, 8);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map | GNTMAP_device_map, 8), GNTST_general_error);
    assert_quiet(page, 8);
    grant(8, 2, page, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error); /* for another */
    grant(8, 0, page, GTF_readonly);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant(8, 0, page, GTF_sub_page);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant(8, 0, foreign, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    grant(8, 0, _mfn(5), 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    grant(8, 0, _mfn(0xffffffff), 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    assert_int_equal(in_use(8), 0);
    table[8].flags = GTF_accept_transfer;
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    assert_int_equal(get_page_and_type(mfn_to_page(typed), a, PT_SEGDESC), 0);
    grant(8, 0, typed, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_general_error);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0), GNTST_okay);
    put_page_and_type(mfn_to_page(typed));
    machine.fail_alloc = 1;
    run_on(b->vcpu[0]);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_no_space);
}

static void one_user_at_a_time(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    grant(8, 2, page, GTF_reading | GTF_writing); /* the granter changes its mind while in use */
    run_on(b->vcpu[0]);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_general_error);
    run_on(ctl->vcpu[0]);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    run_on(b->vcpu[0]);
    m = map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_quiet(page, 8);
}

/* The pinned frame is the one of the first use, whatever the entry says later. */
static void frame_changes_under_use(void **state)
{
    mfn_t other = guest_frame(a);
    struct gnttab_map_grant_ref m, n;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    table[8].frame = (uint32_t)other.n;
    n = map(1, 8, GNTMAP_host_map, VA(1));
    assert_int_equal(n.dev_bus_addr, page.n << PAGE_SHIFT);
    assert_int_equal(frame_refs(other), 1);
    table[8].flags = 0;
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_int_equal(unmap(n.handle, VA(1), 0), GNTST_okay);
    assert_quiet(page, 8);
}

static void unmap_and_replace(void **state)
{
    struct gnttab_unmap_and_replace u = {.host_addr = VA(1), .new_addr = VA(2)};
    mfn_t own = guest_frame(ctl);

    grant(8, 0, page, 0);
    u.handle = map(1, 8, GNTMAP_host_map, VA(1)).handle;
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_general_error); /* nothing at new_addr */
    get_page_and_type(mfn_to_page(own), ctl, PT_WRITABLE);
    pv_grant_map_pte(ctl, VA(2), false, pte_make(own, PTE_P | PTE_RW));
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_okay);
    assert_int_equal(pte_mfn(fake_pte_at(VA(1))).n, own.n);
    assert_int_equal(fake_pte_at(VA(2)).n, 0);
    assert_quiet(page, 8);
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_bad_handle);
    u.host_addr = 0x8888;
    u.handle = map(1, 8, GNTMAP_host_map | GNTMAP_contains_pte, 0x8888).handle;
    u.new_addr = VA(1);
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_general_error);
    u.new_addr = 0;
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_okay);
    assert_quiet(page, 8);
}

static void batches(void **state)
{
    struct gnttab_map_grant_ref m[100];
    struct gnttab_unmap_grant_ref u[101];

    for (unsigned int i = 0; i < 100; i++) {
        grant(8 + i, 0, page, 0);
        m[i] = (struct gnttab_map_grant_ref){.host_addr = VA(i), .flags = GNTMAP_host_map, .ref = 8 + i, .dom = 1};
    }
    machine.preempt_every = 7;
    assert_int_equal(op(GNTTABOP_map_grant_ref, m, 100), 0);
    assert_true(machine.restarts >= 13);
    for (unsigned int i = 0; i < 100; i++) {
        assert_int_equal(m[i].status, GNTST_okay);
        u[i] = (struct gnttab_unmap_grant_ref){.host_addr = VA(i), .handle = m[i].handle, .status = 77};
    }
    assert_int_equal(frame_refs(page), 101);
    u[100] = u[99]; /* the same handle twice in one flush */
    machine.preempt_every = 1;
    machine.flushes = 0;
    assert_int_equal(op(GNTTABOP_unmap_grant_ref, u, 101), 0);
    assert_int_equal(machine.restarts, 3);
    assert_int_equal(machine.flushes, 4);
    for (unsigned int i = 0; i < 100; i++)
        assert_int_equal(u[i].status, GNTST_okay);
    assert_int_equal(u[100].status, GNTST_bad_handle);
    assert_quiet(page, 8);
}

static void exhausted_maptrack(void **state)
{
    struct gnttab_map_grant_ref m[256];

    grant(8, 2, page, 0);
    run_on(b->vcpu[0]);
    for (unsigned int i = 0; i < 256; i++) {
        m[i] = map(1, 8, GNTMAP_device_map, 0);
        assert_int_equal(m[i].status, GNTST_okay);
    }
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_no_space);
    assert_int_equal(unmap(m[100].handle, 0, m[0].dev_bus_addr), GNTST_okay);
    m[100] = map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(m[100].status, GNTST_okay);
    for (unsigned int i = 0; i < 256; i++)
        assert_int_equal(unmap(m[i].handle, 0, m[i].dev_bus_addr), GNTST_okay);
    assert_quiet(page, 8);
}

/* ---- a granter that races ---- */

static volatile bool stop_racing;

static void *racer(void *arg)
{
    uint32_t n = 0;

    while (!stop_racing) {
        uint16_t flags = (uint16_t)(n % 3 ? GTF_permit_access : n % 2 ? GTF_permit_access | GTF_readonly : 0);

        __atomic_store_n(&table[8].frame, n % 5 ? (uint32_t)page.n : n, __ATOMIC_SEQ_CST);
        __atomic_store_n(&table[8].domid, (domid_t)(n % 7 == 0), __ATOMIC_SEQ_CST);
        __atomic_store_n(&table[8].flags, flags, __ATOMIC_SEQ_CST);
        n++;
    }
    return NULL;
}

static void racing_granter(void **state)
{
    unsigned int okay = 0;
    pthread_t thread;

    grant(8, 0, page, 0);
    stop_racing = false;
    assert_int_equal(pthread_create(&thread, NULL, racer, NULL), 0);
    for (unsigned int i = 0; i < 50000; i++) {
        struct gnttab_map_grant_ref m = map(1, 8, GNTMAP_host_map | (i % 2 ? GNTMAP_readonly : 0), VA(1));

        if (m.status == GNTST_okay) {
            okay++;
            assert_int_equal(m.dev_bus_addr, page.n << PAGE_SHIFT);
            assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
        } else {
            assert_true(m.status == GNTST_general_error || m.status == GNTST_bad_page);
        }
        assert_int_equal(frame_refs(page), 1);
        assert_int_equal(frame_type_refs(page), 0);
    }
    stop_racing = true;
    pthread_join(thread, NULL);
    print_message("racing granter: %u of 50000 maps succeeded\n", okay);
}

/* ---- teardown ---- */

static void mapper_dies(void **state)
{
    grant(8, 2, page, 0);
    run_on(b->vcpu[0]);
    for (unsigned int i = 0; i < 200; i++)
        assert_int_equal(map_status(1, 8, i % 2 ? GNTMAP_device_map : GNTMAP_host_map, VA(i)), GNTST_okay);
    assert_int_equal(frame_refs(page), 201);
    finish_domain(b);
    assert_int_equal(in_use(8), 0);
    assert_int_equal(frame_refs(page), 101); /* those of the page tables, which go with them */
    fake_ptes_drop();
    assert_quiet(page, 8);
    assert_int_equal(a->refcount, 3); /* its own, its frame's, its shared pages' */
}

static void granter_dies(void **state)
{
    struct gnttab_map_grant_ref m, n;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map, VA(1));
    n = map(1, 8, GNTMAP_device_map, 0);
    finish_domain(a);
    give_up_frame(a, page);
    assert_int_equal(frame_refs(page), 2); /* the mappings keep it */
    assert_ptr_equal(mfn_to_page(page)->owner, a);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_int_equal(unmap(n.handle, 0, n.dev_bus_addr), GNTST_okay);
    assert_null(mfn_to_page(page)->owner);
}

/* The mapper overwrites the entry behind the back of the grant code: the handle is stuck, nothing else. */
static void entry_overwritten(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map, VA(1));
    fake_ptes_drop();
    assert_int_equal(frame_refs(page), 1);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_general_error);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    finish_domain(ctl);
    assert_quiet(page, 8);
}

/* ---- random operations ---- */

#define SLOTS 200
static struct {
    bool used;
    uint32_t flags, handle;
    unsigned int ref;
} slot[SLOTS];

static void random_map(unsigned int i)
{
    static const uint32_t kinds[] = {GNTMAP_host_map, GNTMAP_device_map, GNTMAP_host_map | GNTMAP_device_map};
    uint32_t flags = kinds[random_below(3)] | (random_below(2) ? GNTMAP_readonly : 0);
    unsigned int ref = 8 + random_below(12);
    struct gnttab_map_grant_ref m = map(1, ref, flags, VA(i));
    bool ok =
        (table[ref].flags & GTF_permit_access) && (!(table[ref].flags & GTF_readonly) || (flags & GNTMAP_readonly));

    assert_int_equal(m.status, ok ? GNTST_okay : GNTST_general_error);
    if (!ok)
        return;
    slot[i].used = true;
    slot[i].flags = flags;
    slot[i].handle = m.handle;
    slot[i].ref = ref;
}

static void random_unmap(unsigned int i, mfn_t *frame)
{
    uint64_t host = random_below(2) ? VA(i) : 0, dev = random_below(2) ? frame[slot[i].ref - 8].n << PAGE_SHIFT : 0;

    assert_int_equal(unmap(slot[i].handle, host, dev), GNTST_okay);
    if (host)
        slot[i].flags &= ~(uint32_t)GNTMAP_host_map;
    if (dev)
        slot[i].flags &= ~(uint32_t)GNTMAP_device_map;
    slot[i].used = slot[i].flags & (GNTMAP_host_map | GNTMAP_device_map);
}

static void check_counts(mfn_t *frame)
{
    for (unsigned int r = 0; r < 12; r++) {
        unsigned int refs = 1, types = 0;

        for (unsigned int i = 0; i < SLOTS; i++)
            if (slot[i].used && slot[i].ref == 8 + r) {
                unsigned int n = !!(slot[i].flags & GNTMAP_host_map) + !!(slot[i].flags & GNTMAP_device_map);

                refs += n;
                types += slot[i].flags & GNTMAP_readonly ? 0 : n;
            }
        assert_int_equal(frame_refs(frame[r]), refs);
        assert_int_equal(frame_type_refs(frame[r]), types);
        assert_int_equal(in_use(8 + r), (refs > 1 ? GTF_reading : 0) | (types ? GTF_writing : 0));
    }
}

static void random_operations(void **state)
{
    mfn_t frame[12];

    seed_init("random_operations");
    memset(slot, 0, sizeof(slot));
    for (unsigned int r = 0; r < 12; r++) {
        frame[r] = guest_frame(a);
        grant(8 + r, 0, frame[r], r % 3 == 0 ? GTF_readonly : 0);
    }
    table[19].flags = 0;
    for (unsigned int n = random_ops(100000); n-- > 0;) {
        unsigned int i = random_below(SLOTS);

        if (slot[i].used)
            random_unmap(i, frame);
        else
            random_map(i);
        if (n % 128 == 0)
            check_counts(frame);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, grant_setup, grant_teardown)
    const struct CMUnitTest tests[] = {
        T(map_writable), T(map_readonly),       T(map_host_and_device),     T(map_by_entry),
        T(map_errors),   T(one_user_at_a_time), T(frame_changes_under_use), T(unmap_and_replace),
        T(batches),      T(exhausted_maptrack), T(racing_granter),          T(mapper_dies),
        T(granter_dies), T(entry_overwritten),  T(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
