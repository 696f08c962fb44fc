// SPDX-License-Identifier: BSD-2-Clause
/*
 * The grammar of the guests that make hypercalls at random (tests/guests/fuzz): the same seed gives the same calls
 * whatever they brought, every row comes up, structures are as long as their types. Then its calls are made, of a PV
 * domain and of a translated one, to all of the hypervisor that runs on the host: two vCPUs of which one goes on where
 * the other was preempted, with allocations and copies that fail. Whatever happens, no assertion fires, no work is
 * longer than its bound, no lock stays held and all memory comes back (core_end).
 *
 * UMBRA_SEED and UMBRA_OPS replay a run; UMBRA_VERBOSE=1 shows each call.
 */
#include <hv/fpu.h>
#include <hv/grant.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <xen/arch-x86/xen-mca.h>
#include <xen/callback.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include "../guests/fuzz/run.h"
#include "../../hypervisor/pv/internal.h"
#include "fake/core.h"

#define FRAMES 96u
#define LIVE   4u /* tables */
#define PAGES  16u
#define WINDOW 0x8000000000ul /* slot 1 of the top table */

static struct fuzz_world world;
static struct fuzz_vcpu callers[FUZZ_VCPUS];
static uint64_t values[NR_LISTS][2 * FRAMES];

/* ---- the grammar alone ---- */

static uint64_t hash;

static void add(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3ul;
}

static void add_store(uint64_t to, const void *from, size_t n)
{
    add(&to, sizeof(to));
    add(from, n);
}

static bool load_nothing(void *to, uint64_t from, size_t n)
{
    return false;
}

static uint64_t no_time(void)
{
    return 1000000;
}

static void set_list(enum fuzz_list list, unsigned int count)
{
    world.list[list].values = values[list];
    world.list[list].count = count;
}

/* A world of numbers that mean nothing. */
static void plain_world(uint64_t salt)
{
    world = (struct fuzz_world){.now = no_time, .store = add_store, .load = load_nothing};
    for (unsigned int list = 0; list < NR_LISTS; list++) {
        for (unsigned int i = 0; i < 16; i++)
            values[list][i] = (salt + list) << 20 | i << 12;
        set_list(list, 16);
    }
    for (unsigned int i = 0; i < NR_RINGS * FUZZ_RING; i++)
        world.ring[i / FUZZ_RING][i % FUZZ_RING] = salt * i;
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++) {
        world.vcpu[i] = &callers[i];
        callers[i].area = 0x100000 * (i + 1);
    }
}

static uint64_t hash_of(uint64_t seed, unsigned int vcpu, uint64_t i)
{
    struct fuzz_call c;

    hash = 0xcbf29ce484222325ul;
    fuzz_make(&world, seed, vcpu, i, &c);
    add(&c.nr, sizeof(c.nr));
    add(&c.flags, sizeof(c.flags));
    add(c.arg, sizeof(c.arg));
    return hash;
}

static void test_same_seed_same_calls(void **state)
{
    static uint64_t first[4000];
    unsigned int same = 0;

    plain_world(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++)
        first[i] = hash_of(7, 0, i);
    for (unsigned int i = ARRAY_SIZE(first); i-- > 0;) /* in any order */
        assert_int_equal(hash_of(7, 0, i), first[i]);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++)
        same += (hash_of(7, 1, i) == first[i]) + (hash_of(8, 0, i) == first[i]);
    assert_in_range(same, 0, 40); /* a few have no arguments at all */
}

/* What the guest has and what earlier calls brought decides values, and never what is chosen. */
static void test_choices_do_not_depend_on_values(void **state)
{
    static struct fuzz_call first[4000];
    struct fuzz_call c;

    plain_world(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++)
        fuzz_make(&world, 3, 1, i, &first[i]);
    plain_world(999);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++) {
        fuzz_make(&world, 3, 1, i, &c);
        assert_string_equal(c.name, first[i].name);
        assert_int_equal(c.flags, first[i].flags);
        assert_int_equal(c.outs, first[i].outs);
        assert_int_equal(c.narrow, first[i].narrow);
    }
}

static void every_row(bool translated)
{
    static unsigned int seen[256];
    unsigned int rows = 0;
    struct fuzz_call c;

    plain_world(1);
    world.translated = translated;
    memset(seen, 0, sizeof(seen));
    for (unsigned int i = 0; i < 100000; i++) {
        fuzz_make(&world, 11, 0, i, &c);
        for (unsigned int row = 0; fuzz_row(row); row++)
            seen[row] += c.name == fuzz_row(row);
    }
    for (; fuzz_row(rows); rows++)
        if (!seen[rows] && !(translated && !strcmp(fuzz_row(rows), "SCHEDOP_block")))
            fail_msg("%s never comes up", fuzz_row(rows));
    assert_in_range(rows, 150, ARRAY_SIZE(seen));
}

static void test_every_row_comes_up(void **state)
{
    every_row(false);
    every_row(true);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t size;
    } types[] = {
#define SHAPE(name, type, ...) {#name, sizeof(type)},
#include "../guests/fuzz/shapes.def"
#undef SHAPE
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
        if (fuzz_shape_size(i, false) != types[i].size)
            fail_msg("%s has %u bytes, its type %zu", types[i].name, fuzz_shape_size(i, false), types[i].size);
    assert_int_equal(fuzz_shape_size(ARRAY_SIZE(types), false), 0);
}

/* By 32-bit code: pointers and longs of 4 bytes, and no more alignment than that. */
static void test_narrow_sizes(void **state)
{
    static const struct {
        const char *name;
        unsigned int size;
    } known[] = {{"reservation", 20}, {"exchange", 44},   {"multicall", 32}, {"poll", 16},
                 {"grant_copy", 24},  {"singleshot", 12}, {"add_batch", 20}, {"memory_map", 8}};
    static const char *const names[] = {
#define SHAPE(name, type, ...) #name,
#include "../guests/fuzz/shapes.def"
#undef SHAPE
    };
    unsigned int found = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
        for (unsigned int k = 0; k < ARRAY_SIZE(known); k++)
            if (!strcmp(names[i], known[k].name)) {
                assert_int_equal(fuzz_shape_size(i, true), known[k].size);
                found++;
            }
    assert_int_equal(found, ARRAY_SIZE(known));
}

static void test_options(void **state)
{
    struct fuzz_options o = {.seed = 1, .calls = 2, .trace = 3};

    fuzz_parse("", &o);
    fuzz_parse("reseed=4 seed calls 5", &o);
    assert_true(o.seed == 1 && o.calls == 2 && o.from == 0 && o.trace == 3);
    fuzz_parse("quiet seed=0xFfe calls=1200000 from=7 trace=0x10 seed=9", &o);
    assert_true(o.seed == 0xffe && o.calls == 1200000 && o.from == 7 && o.trace == 16);
    fuzz_parse("seed=99", &o);
    assert_true(o.seed == 99 && o.from == 7);
}

/* ---- the loop, with calls that only count ---- */

static char said[4096];
static size_t said_len;
static unsigned int numbers[64], mended, over_after;

static long count_call(uint32_t nr, const uint64_t *arg, bool narrow)
{
    bool on_stack = arg[2] >> 30 == (uintptr_t)&nr >> 30; /* what the run says; others are calls of the grammar */

    numbers[nr % 64]++;
    if (nr != __HYPERVISOR_console_io || arg[0] != CONSOLEIO_write)
        return nr % 2 ? -1 : 0;
    if (on_stack && arg[1] < 128 && said_len + arg[1] < sizeof(said) && strncmp((char *)arg[2], "fuzz: ", 6) == 0) {
        memcpy(said + said_len, (char *)arg[2], arg[1]);
        said_len += arg[1];
    }
    return 0;
}

static void count_mend(unsigned int vcpu, unsigned int what)
{
    mended++;
}

static void wake_nobody(void)
{
}

static bool just_call(void (*fn)(void *), void *arg)
{
    fn(arg);
    return ++over_after % 100 == 0; /* as if it had faulted at its end */
}

static void test_loop(void **state)
{
    static const struct fuzz_guest guest = {&world, count_call, wake_nobody, count_mend, just_call};
    struct fuzz_options o = {.seed = 5, .calls = 2000, .from = 10, .trace = ~0ul};

    plain_world(1);
    memset(numbers, 0, sizeof(numbers));
    fuzz_run(&guest, &o, 0);
    assert_non_null(strstr(said, "fuzz: seed 5 vcpu 0 begins at 0: 0 refused, 0 faults"));
    assert_non_null(strstr(said, "fuzz: seed 5 vcpu 0 has made 2000: "));
    assert_non_null(strstr(said, "fuzz: seed 5 vcpu 0 ends after 2000: "));
    assert_non_null(strstr(said, ", 40 faults"));
    assert_in_range(mended, 2000 / 64, 400);
    for (unsigned int nr = 12; nr <= 20; nr += 8) /* memory_op, grant_table_op */
        assert_in_range(numbers[nr], 100, 1000);
}

/* ---- on the hypervisor ---- */

static struct domain *d, *neighbour;
static struct flight {
    struct cpu_user_regs regs;
    struct fuzz_call call;
    bool under_way;
    uint64_t next; /* number of the next call */
} flights[FUZZ_VCPUS];
static uint64_t seed;
static unsigned long made, refused;
static mfn_t grants;

/* Of guest memory, for one guest after the other. */
static uint8_t (*pages)[PAGE_SIZE], (*areas)[FUZZ_AREA];
static void *argument;

#define RIP 0x1000ul
#define AT  (1ul << 62) /* and a machine address: where a guest of the domain's stores to */

static bool inside(uint64_t at, size_t n, const void *memory, size_t size)
{
    uint64_t offset = at - (uintptr_t)memory;

    return offset < size && n <= size - offset;
}

/* As a page of the domain's lets it: not if it is a table, or has been given away. */
static void store_to_frame(uint64_t at, const void *from, size_t n)
{
    mfn_t m = _mfn((at & ~AT) >> PAGE_SHIFT), first;
    struct page_info *pg = get_page_from_mfn(m, d);

    if (at % PAGE_SIZE + n > PAGE_SIZE)
        return;
    if (pg && get_page_type(pg, PT_WRITABLE) == 0) {
        memcpy((uint8_t *)mfn_to_virt(m) + at % PAGE_SIZE, from, n);
        put_page_type(pg);
    } else if (mfn_eq(m, grants) && grant_get_frame(d, 0, &first) == 0 && mfn_eq(m, first)) {
        memcpy((uint8_t *)mfn_to_virt(m) + at % PAGE_SIZE, from, n);
    }
    if (pg)
        put_page(pg);
}

static void store(uint64_t to, const void *from, size_t n)
{
    if (to >= AT)
        store_to_frame(to, from, n);
    else if (inside(to, n, guest_memory, GUEST_SIZE) || inside(to, n, guest_low(), GUEST_LOW))
        memcpy((void *)to, from, n);
}

static bool load(void *to, uint64_t from, size_t n)
{
    if (!inside(from, n, guest_memory, GUEST_SIZE))
        return false;
    memcpy(to, (void *)from, n);
    return true;
}

static uint64_t time_now(void)
{
    return (uint64_t)core.now;
}

static void list(enum fuzz_list of, uint64_t value)
{
    assert_in_range(world.list[of].count, 0, ARRAY_SIZE(values[of]) - 1);
    values[of][world.list[of].count] = value;
    set_list(of, world.list[of].count + 1);
}

static void common_lists(void)
{
    static const uint64_t odd_frames[] = {0, RAM_START, RAM_HOLE, RAM_END - 1, RAM_END, 1ul << 40, ~0ul, ~0ul >> 12};

    list(LIST_DOMAIN, d->id);
    list(LIST_DOMAIN, neighbour->id);
    for (unsigned int i = 0; i < ARRAY_SIZE(odd_frames); i++)
        list(LIST_ODD, odd_frames[i]);
    list(LIST_ODD, page_to_mfn(list_first(&neighbour->page_list, struct page_info, list)).n);
    for (unsigned int i = 0; i < PAGES; i++)
        list(LIST_PAGE, (uintptr_t)pages[i]);
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++)
        list(LIST_BAD, (uintptr_t)core_bad_pointer(i, 8));
    list(LIST_CODE, RIP);
    assert_int_equal(grant_get_frame(d, 0, &grants), 0);
    list(LIST_GRANT, AT | grants.n << PAGE_SHIFT);
    list(LIST_STORE, AT | grants.n << PAGE_SHIFT);
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++)
        callers[i].area = (uintptr_t)areas[i];
}

static void new_world(bool translated)
{
    memset(guest_memory, 0, sizeof(guest_memory));
    memset(callers, 0, sizeof(callers));
    memset(flights, 0, sizeof(flights));
    world = (struct fuzz_world){.now = time_now, .store = store, .load = load, .translated = translated};
    for (unsigned int of = 0; of < NR_LISTS; of++)
        set_list(of, 0);
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++)
        world.vcpu[i] = &callers[i];
    neighbour = core_guest(1, 4);
}

/* The last vCPU is there to be initialised. */
static void keep_down(struct vcpu *v)
{
    v->is_initialised = false;
    set_bit(VPF_down, &v->pause_flags);
    vcpu_sleep_nosync(v);
    core_settle();
}

static void link_tables(const mfn_t *frames)
{
    for (unsigned int i = 0; i + 1 < LIVE; i++)
        ((uint64_t *)mfn_to_virt(frames[i]))[i == 0] = frames[i + 1].n << PAGE_SHIFT | 0x67;
}

/* Two vCPUs on one set of tables: those of four levels come first among the frames. */
static void new_pv(void)
{
    mfn_t frames[FRAMES];
    struct mmuext_op *op;
    struct page_info *pg;
    unsigned int n = 0;

    new_world(false);
    d = core_guest(FUZZ_VCPUS + 1, FRAMES);
    d->max_pages = FRAMES + 64;
    keep_down(d->vcpu[FUZZ_VCPUS]);
    common_lists();
    list_for_each (pg, &d->page_list, list) {
        frames[n] = page_to_mfn(pg);
        memset(mfn_to_virt(frames[n]), 0, PAGE_SIZE);
        list(n < LIVE ? LIST_TABLE : n < FRAMES / 2 ? LIST_FRAME : LIST_SPARE, frames[n].n);
        n++;
    }
    link_tables(frames);
    for (unsigned int i = 0; i < 32; i++) {
        list(LIST_ENTRY, frames[LIVE - 1].n * PAGE_SIZE + i * 8);
        list(LIST_ENTRY, frames[i % 3].n * PAGE_SIZE + (i / 3 + 2) * 8);
        list(LIST_ENTRY, frames[LIVE + i].n * PAGE_SIZE + i * 8);
        list(LIST_WINDOW, WINDOW + i * PAGE_SIZE);
        list(LIST_STORE, AT | frames[LIVE + i].n << PAGE_SHIFT);
    }
    op = argument;
    op->cmd = MMUEXT_NEW_BASEPTR;
    op->arg1.mfn = frames[0].n;
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++) {
        d->vcpu[i]->pv.kernel_mode = true;
        core_as(d->vcpu[i]);
        assert_int_equal(core_call4(__HYPERVISOR_mmuext_op, (uintptr_t)op, 1, 0, DOMID_SELF), 0);
    }
}

static void new_translated(void)
{
    struct xen_memory_reservation *res;
    xen_pfn_t *frames;

    new_world(true);
    d = core_translated(5, FUZZ_VCPUS + 1, 2 * FRAMES);
    keep_down(d->vcpu[FUZZ_VCPUS]);
    common_lists();
    world.narrow = true;
    frames = argument;
    for (unsigned int i = 0; i < FRAMES; i++) {
        frames[i] = 0x100 + i;
        list(i < LIVE ? LIST_TABLE : LIST_FRAME, frames[i]);
        list(LIST_SPARE, 0x400 + i);
        list(LIST_WINDOW, WINDOW + i * PAGE_SIZE);
        list(LIST_ENTRY, frames[i] * PAGE_SIZE);
    }
    res = (void *)(frames + FRAMES);
    *res = (struct xen_memory_reservation){.extent_start.p = frames, .nr_extents = FRAMES, .domid = DOMID_SELF};
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, res, 0), FRAMES);
    callers[1].area = (uintptr_t)guest_low(); /* all that 32-bit code reaches, and half of what it is told */
}

/* What keeps a vCPU from running ends: timers, events, another vCPU. */
static bool ready(unsigned int k)
{
    struct vcpu *v = d->vcpu[k];

    for (unsigned int i = 0; i < 8 && !v->is_running; i++) {
        if (i > 1)
            vcpu_unblock(v);
        if (i > 2 && test_and_clear_bit(VPF_down, &v->pause_flags))
            vcpu_wake(v);
        core_pass(MICROSECS(300));
        core_settle();
    }
    return v->is_running;
}

static void show_call(unsigned int k, const struct flight *f)
{
    if (fake_verbose)
        printf("%u %lu: %s%s (%u) %lx %lx %lx %lx %lx\n", k, f->next - 1, f->call.name, f->call.narrow ? " narrow" : "",
               f->call.nr, f->call.arg[0], f->call.arg[1], f->call.arg[2], f->call.arg[3], f->call.arg[4]);
}

/* False: it was no call. */
static bool begin_call(unsigned int k, struct flight *f)
{
    const uint64_t *a = f->call.arg;

    fuzz_make(&world, seed, k, f->next++, &f->call);
    show_call(k, f);
    if (f->call.flags & FUZZ_ACT)
        return false;
    if (f->call.flags & FUZZ_WAKE)
        current->vcpu_info->evtchn_upcall_pending = 1;
    f->regs = (struct cpu_user_regs){.rax = f->call.nr, .rip = RIP, .rdi = a[0], .rsi = a[1]};
    if (f->call.narrow) {
        f->regs.rbx = a[0];
        f->regs.rcx = a[1];
        f->regs.rdx = a[2];
        f->regs.rsi = a[3];
        f->regs.rdi = a[4];
    } else {
        f->regs.rdx = a[2];
        f->regs.r10 = a[3];
        f->regs.r8 = a[4];
    }
    f->under_way = true;
    made++;
    return true;
}

static void run_once(struct flight *f)
{
    bool done;

    if (!world.translated) {
        pv_hypercall(&f->regs);
        done = f->regs.rip == RIP;
    } else {
        if (f->call.narrow)
            hvm_hypercall_32(&f->regs);
        else
            hvm_hypercall(&f->regs);
        done = f->regs.rip != RIP;
    }
    f->regs.rip = RIP;
    f->under_way = !done;
    assert_int_equal(fake_locks_held, 0);
}

static void step(unsigned int k)
{
    struct flight *f = &flights[k];
    long result;

    if (!ready(k))
        return;
    core_as(d->vcpu[k]);
    if (!f->under_way && !begin_call(k, f))
        return;
    core.fail_alloc = fake_chance(3) ? 1 + fake_below(3) : 0;
    core.fail_copy = fake_chance(3) ? 1 + fake_below(12) : 0;
    run_once(f);
    core.fail_alloc = core.fail_copy = 0;
    result = f->call.narrow ? (int32_t)f->regs.rax : (long)f->regs.rax;
    if (fake_verbose && !f->under_way)
        printf("%u %lu: %s is %ld\n", k, f->next - 1, f->call.name, result);
    if (!f->under_way && result >= 0)
        fuzz_learn(&world, &f->call);
    refused += !f->under_way && result < 0;
    core_settle();
}

/*
 * No work between two preemption points was longer than its bound, but for what docs/debugging.md says of exchange:
 * 2 MiB for single frames.
 */
static void check_stretches(void)
{
    unsigned int next = 0;
    struct stretch s;

    while (stretch_read(&next, true, &s)) {
        bool exchanged = s.family == __HYPERVISOR_memory_op && s.sub == XENMEM_exchange;
        uint32_t bound = exchanged ? STRETCH_BOUND * (STRETCH_FRAME + 1) : STRETCH_BOUND;

        if (s.work > bound)
            fail_msg("operation %u %u: %u units between two preemption points", s.family, s.sub, s.work);
    }
}

/* ---- what the real pv/ wants of a processor ---- */

void pv_ldt_load(struct vcpu *v)
{
}

void fpu_import_legacy(struct vcpu *v, const void *fxsave)
{
}

void fpu_export_legacy(struct vcpu *v, void *fxsave)
{
}

/* ---- one guest after the other ---- */

/* To a CPU that runs none of the domain's vCPUs. */
static void go_elsewhere(const struct domain *from)
{
    for (unsigned int cpu = 0; cpu < FAKE_CPUS && current->domain == from; cpu++)
        core_on(cpu);
    assert_ptr_not_equal(current->domain, from);
}

static void audit_pv(void)
{
    struct pv_audit_report r = {0};
    int rc;

    do {
        stretch_end();
        domain_pause(d);
        rc = pv_audit(d, &r);
        for (int n = 1 - r.pauses; n > 0; n--)
            domain_unpause(d);
    } while (rc == -ERESTART);
    assert_int_equal(rc, 0);
    assert_int_equal(r.broken, 0);
}

static void audit_translated(void)
{
    struct p2m_audit a = {0};

    while (p2m_audit(d, &a) == -ERESTART)
        stretch_end();
    assert_int_equal(a.broken.count, 0);
}

/* What the calls have left obeys all invariants. */
static void audit(void)
{
    go_elsewhere(d);
    if (world.translated)
        audit_translated();
    else
        audit_pv();
    assert_int_equal(grant_audit(d), 0);
    stretch_end();
    core_settle();
}

static void end_guest(void)
{
    struct page_info *pg;

    core_settle();
    audit();
    go_elsewhere(d);
    core_kill(d);
    go_elsewhere(neighbour);
    list_for_each (pg, &neighbour->page_list, list)
        assert_ptr_equal(pg->owner, neighbour);
    assert_int_equal(neighbour->tot_pages, 4);
    core_kill(neighbour);
    check_stretches();
}

static void alloc_guest_memory(void)
{
    pages = guest_alloc(PAGES * sizeof(*pages));
    areas = guest_alloc(FUZZ_VCPUS * sizeof(*areas));
    argument = guest_alloc(PAGE_SIZE);
}

static void run(void (*new_guest)(void), unsigned long calls)
{
    unsigned long rounds = 0, begun;

    made = refused = 0;
    alloc_guest_memory();
    for (; made < calls; rounds++) {
        seed = fake_rand();
        new_guest();
        begun = made;
        core.preempt = fake_chance(50) ? 1 + fake_below(9) : 0;
        for (unsigned int i = 0; i < 6000 && made < calls && !d->is_shutting_down; i++)
            step(fake_below(FUZZ_VCPUS));
        core.preempt = 0;
        if (fake_verbose)
            printf("%lu calls\n", made - begun);
        end_guest();
    }
    printf("%lu calls of %lu guests, %lu refused\n", made, rounds, refused);
    assert_in_range(refused, made / 4, made - made / 10);
}

static void test_pv_calls(void **state)
{
    run(new_pv, fake_ops(60000));
}

static void test_translated_calls(void **state)
{
    run(new_translated, fake_ops(60000));
}

/* A context has tables that are validated, and then descriptors that are checked: stretches of their own. */
static void test_context_in_stretches(void **state)
{
    struct vcpu_guest_context *c;

    alloc_guest_memory();
    new_pv();
    c = (void *)areas;
    c->flags = VGCF_in_kernel;
    c->ctrlreg[3] = values[LIST_SPARE][0] << PAGE_SHIFT;
    c->gdt_frames[0] = values[LIST_SPARE][1];
    c->gdt_ents = 512;
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_initialise, FUZZ_VCPUS, c), 0);
    assert_true(d->vcpu[FUZZ_VCPUS]->is_initialised);
    assert_int_equal(pv_base(d->vcpu[FUZZ_VCPUS]).n, values[LIST_SPARE][0]);
    end_guest();
}

int main(void)
{
    const struct CMUnitTest grammar[] = {
        cmocka_unit_test(test_same_seed_same_calls),
        cmocka_unit_test(test_choices_do_not_depend_on_values),
        cmocka_unit_test(test_every_row_comes_up),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_narrow_sizes),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_loop),
    };
    const struct CMUnitTest calls[] = {CORE_TEST(test_context_in_stretches), CORE_TEST(test_pv_calls),
                                       CORE_TEST(test_translated_calls)};

    fake_seed("test_fuzz");
    return cmocka_run_group_tests(grammar, NULL, NULL) + cmocka_run_group_tests(calls, NULL, NULL);
}
