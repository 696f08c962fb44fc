/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Version 2 of grant tables in motion: a granter that changes its entries while they are claimed, one that revokes them
 * by the rules, and random operations over many changes of version against a model.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include "grant_guests.h"

/* ---- a granter that races ---- */

static volatile bool stop_racing;

static void *racer(void *arg)
{
    for (uint32_t n = 0; !stop_racing; n++) {
        uint32_t flags = n % 3 ? GTF_permit_access | (n % 2 ? GTF_sub_page : 0) : n % 4 ? GTF_transitive : 0;

        __atomic_store_n(&table2[8].sub_page.page_off, (uint16_t)(n % 2 ? 100 : 2), __ATOMIC_SEQ_CST);
        __atomic_store_n(&table2[8].sub_page.length, (uint16_t)(n % 7 * 10), __ATOMIC_SEQ_CST);
        __atomic_store_n(&table2[8].full_page.frame, n % 5 ? page.n : n % 2 ? 20 : ~0ull, __ATOMIC_SEQ_CST);
        __atomic_store_n(&status2[8], (uint16_t)n, __ATOMIC_SEQ_CST);
        __atomic_store_n((uint32_t *)(void *)&table2[8], flags | (n % 11 == 0) << 16, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* As long as nobody races, the grant can be had: what is refused later is refused for the race. */
static void maps_undisturbed(void)
{
    struct gnttab_map_grant_ref m;

    grant2(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
}

static void racing_granter(void **state)
{
    unsigned int okay = 0, maps = 0;
    pthread_t thread;

    to_v2();
    copy_side = guest_frame(ctl);
    maps_undisturbed();
    stop_racing = false;
    assert_int_equal(pthread_create(&thread, NULL, racer, NULL), 0);
    for (unsigned int i = 0; i < 50000; i++) {
        int rc = copy(1, 8, i % 2, (uint16_t)(i % 200), 3);
        struct gnttab_map_grant_ref m = map(1, 8, GNTMAP_device_map | (i % 3 ? GNTMAP_readonly : 0), 0);

        okay += rc == GNTST_okay;
        assert_true(rc == GNTST_okay || rc == GNTST_general_error || rc == GNTST_bad_page || rc == GNTST_bad_copy_arg ||
                    rc == GNTST_bad_gntref);
        if (m.status == GNTST_okay) {
            maps++;
            assert_int_equal(m.dev_bus_addr, page.n << PAGE_SHIFT);
            assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
        }
        assert_int_equal(frame_refs(page) + frame_type_refs(page) + frame_refs(copy_side) + frame_type_refs(copy_side),
                         2);
    }
    stop_racing = true;
    pthread_join(thread, NULL);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
    print_message("racing granter: %u of 50000 copies, %u maps succeeded\n", okay, maps);
}

/*
 * A granter that keeps the protocol: it clears the entry, and when it sees no mark then, the frame is its own again and
 * nobody may get it.
 */
static bool revoked;

/* Not the generator that the other thread draws from. */
static unsigned int random_wait(void)
{
    static uint32_t x = 12345;

    x = x * 1664525 + 1013904223;
    return x >> 26;
}

static void *revoker(void *arg)
{
    uint32_t *word = (uint32_t *)(void *)&table2[8];
    unsigned long *rounds = arg;

    while (!stop_racing) {
        __atomic_store_n(word, GTF_permit_access, __ATOMIC_SEQ_CST);
        for (unsigned int i = random_wait(); i-- > 0;)
            __atomic_load_n(word, __ATOMIC_SEQ_CST);
        __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
        while ((__atomic_load_n(&status2[8], __ATOMIC_SEQ_CST) & (GTF_reading | GTF_writing)) && !stop_racing)
            ;
        __atomic_store_n(&revoked, !stop_racing, __ATOMIC_SEQ_CST);
        ++*rounds;
        for (unsigned int i = random_wait(); i-- > 0;)
            __atomic_load_n(word, __ATOMIC_SEQ_CST);
        __atomic_store_n(&revoked, false, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void revoking_granter(void **state)
{
    unsigned int okay = 0;
    unsigned long rounds = 0;
    pthread_t thread;

    to_v2();
    maps_undisturbed();
    stop_racing = revoked = false;
    assert_int_equal(pthread_create(&thread, NULL, revoker, &rounds), 0);
    for (unsigned int i = 0; i < 200000; i++) {
        struct gnttab_map_grant_ref m = map(1, 8, GNTMAP_device_map, 0);

        if (m.status == GNTST_okay) {
            okay++;
            assert_false(__atomic_load_n(&revoked, __ATOMIC_SEQ_CST));
            assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
        } else {
            assert_int_equal(m.status, GNTST_general_error);
        }
        /* Nothing is in use here: a mark that is left would keep the granter waiting for ever. */
        assert_int_equal(status2[8], 0);
    }
    stop_racing = true;
    pthread_join(thread, NULL);
    assert_quiet2(page, 8);
    print_message("revoking granter: %u of 200000 maps, %lu times revoked\n", okay, rounds);
}

/*
 * The narrowest moment of it: the entry was looked at, the mark is not yet set. The status page is read-only then, so
 * the mark faults, and the handler is the granter.
 */
static uint16_t new_flags;

static void revoke_now(int sig)
{
    mprotect(status2, PAGE_SIZE, PROT_READ | PROT_WRITE);
    table2[8].hdr.flags = new_flags;
    revoked = !(status2[8] & GTF_writing);
}

static int map_while_revoked(uint16_t flags)
{
    struct sigaction granter = {.sa_handler = revoke_now}, old;
    int status;

    new_flags = flags;
    revoked = false;
    assert_int_equal(sigaction(SIGSEGV, &granter, &old), 0);
    assert_int_equal(mprotect(status2, PAGE_SIZE, PROT_READ), 0);
    status = map_status(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
    assert_true(revoked);
    return status;
}

static void revoked_in_between(void **state)
{
    struct gnttab_map_grant_ref r;

    to_v2();
    grant2(8, 0, page, 0);
    assert_int_equal(map_while_revoked(0), GNTST_general_error);
    assert_quiet2(page, 8);
    grant2(8, 0, page, 0);
    r = map(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0);
    assert_int_equal(r.status, GNTST_okay);
    assert_int_equal(map_while_revoked(GTF_permit_access | GTF_readonly), GNTST_general_error);
    assert_int_equal(status2[8], GTF_reading);
    table2[8].hdr.flags = GTF_permit_access;
    assert_int_equal(map_while_revoked(GTF_permit_access | GTF_sub_page), GNTST_general_error);
    assert_int_equal(status2[8], GTF_reading);
    assert_int_equal(unmap(r.handle, 0, r.dev_bus_addr), GNTST_okay);
    assert_quiet2(page, 8);
}

/* ---- random operations over changes of version ---- */

#define SLOTS 60
#define REFS  24 /* the first 8 are the reserved ones */
static struct {
    bool used;
    uint32_t flags, handle;
    unsigned int ref;
} slot[SLOTS];
static mfn_t frame[REFS];
static unsigned int version;

static void random_grant(void)
{
    unsigned int ref = random_below(REFS);
    uint16_t flags = random_below(3) ? 0 : GTF_readonly;

    for (unsigned int i = 0; i < SLOTS; i++)
        if (slot[i].used && slot[i].ref == ref)
            return;
    if (version == 1)
        grant(ref, 0, frame[ref], flags);
    else
        grant2(ref, 0, frame[ref], flags);
}

static uint16_t flags_of(unsigned int ref)
{
    return version == 1 ? table[ref].flags : table2[ref].hdr.flags;
}

static void random_slot(void)
{
    static const uint32_t kinds[] = {GNTMAP_host_map, GNTMAP_device_map, GNTMAP_host_map | GNTMAP_device_map};
    unsigned int i = random_below(SLOTS), ref = random_below(REFS);
    uint32_t flags = kinds[random_below(3)] | (random_below(2) ? GNTMAP_readonly : 0);
    struct gnttab_map_grant_ref m;
    bool granted;

    if (slot[i].used) {
        uint64_t dev = slot[i].flags & GNTMAP_device_map ? frame[slot[i].ref].n << PAGE_SHIFT : 0;

        assert_int_equal(unmap(slot[i].handle, VA(i), dev), GNTST_okay);
        slot[i].used = false;
        return;
    }
    granted = (flags_of(ref) & GTF_permit_access) && (!(flags_of(ref) & GTF_readonly) || (flags & GNTMAP_readonly));
    m = map(1, ref, flags, VA(i));
    assert_int_equal(m.status, granted ? GNTST_okay : GNTST_general_error);
    if (!granted)
        return;
    slot[i].used = true;
    slot[i].flags = flags;
    slot[i].handle = m.handle;
    slot[i].ref = ref;
}

static void random_copy(void)
{
    unsigned int ref = random_below(REFS);
    bool to = random_below(2);
    bool granted = (flags_of(ref) & GTF_permit_access) && !(to && (flags_of(ref) & GTF_readonly));

    assert_int_equal(copy(1, ref, to, 0, 8), granted ? GNTST_okay : GNTST_general_error);
}

static void random_version(void)
{
    unsigned int wanted = 1 + random_below(2);
    bool busy = false;
    int rc;

    for (unsigned int i = 0; i < SLOTS; i++)
        busy = busy || (slot[i].used && slot[i].ref >= GNTTAB_NR_RESERVED_ENTRIES);
    rc = set_version(a, wanted);
    assert_int_equal(rc, wanted != version && busy ? -EBUSY : 0);
    if (rc == 0 && wanted == 2 && version == 1)
        to_v2();
    version = rc ? version : wanted;
}

/* So that a change may succeed. */
static void unmap_some(void)
{
    for (unsigned int i = 0; i < SLOTS; i++)
        if (slot[i].used && (slot[i].ref >= GNTTAB_NR_RESERVED_ENTRIES || random_below(2))) {
            uint64_t dev = slot[i].flags & GNTMAP_device_map ? frame[slot[i].ref].n << PAGE_SHIFT : 0;

            assert_int_equal(unmap(slot[i].handle, VA(i), dev), GNTST_okay);
            slot[i].used = false;
        }
    random_version();
}

static void check_counts(void)
{
    for (unsigned int r = 0; r < REFS; r++) {
        unsigned int refs = 1, types = 0;
        uint16_t use;

        for (unsigned int i = 0; i < SLOTS; i++)
            if (slot[i].used && slot[i].ref == r) {
                unsigned int n = !!(slot[i].flags & GNTMAP_host_map) + !!(slot[i].flags & GNTMAP_device_map);

                refs += n;
                types += slot[i].flags & GNTMAP_readonly ? 0 : n;
            }
        use = (uint16_t)((refs > 1 ? GTF_reading : 0) | (types ? GTF_writing : 0));
        assert_int_equal(frame_refs(frame[r]), refs);
        assert_int_equal(frame_type_refs(frame[r]), types);
        assert_int_equal(version == 1 ? in_use(r) : status2[r], use);
    }
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
}

static void random_operations(void **state)
{
    unsigned int changes = 0;

    seed_init("random_operations");
    memset(slot, 0, sizeof(slot));
    version = 1;
    copy_side = guest_frame(ctl);
    for (unsigned int r = 0; r < REFS; r++)
        frame[r] = guest_frame(a);
    for (unsigned int n = random_ops(200000); n-- > 0;) {
        unsigned int what = random_below(100), before = version;

        if (what < 20)
            random_grant();
        else if (what < 75)
            random_slot();
        else if (what < 95)
            random_copy();
        else if (what < 98)
            random_version();
        else
            unmap_some();
        changes += version != before;
        if (n % 64 == 0)
            check_counts();
    }
    assert_true(changes > 0);
    print_message("random operations: %u changes of version\n", changes);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, grant_setup, grant_teardown)
    const struct CMUnitTest tests[] = {
        T(racing_granter),
        T(revoking_granter),
        T(revoked_in_between),
        T(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
