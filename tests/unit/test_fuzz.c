// SPDX-License-Identifier: BSD-2-Clause
/*
 * The calls of the guests that make hypercalls at random (tests/guests/fuzz), made to all of the hypervisor that runs
 * on the host, of a PV domain and of a translated one: two vCPUs of which one goes on where the other was preempted,
 * with allocations and copies that fail, while tools pause the domain and log its stores. Whatever happens, no
 * assertion fires, no work is longer than its bound, no lock stays held, audits find nothing, and all memory comes
 * back.
 *
 * UMBRA_SEED and UMBRA_OPS replay a run; UMBRA_VERBOSE=1 shows each call.
 */
#include <hv/fpu.h>
#include <hv/grant.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include "../guests/fuzz/run.h"
#include "../../hypervisor/pv/internal.h"
#include "fake/core.h"
#include "fuzz_grammar.h"

#define FRAMES 96u
#define LIVE   4u /* tables */
#define PAGES  16u
#define WINDOW 0x8000000000ul /* slot 1 of the top table */

static struct fuzz_world world;
static struct fuzz_vcpu callers[FUZZ_VCPUS];
static uint64_t values[NR_LISTS][2 * FRAMES];

static void set_list(enum fuzz_list list, unsigned int count)
{
    world.list[list].values = values[list];
    world.list[list].count = count;
}

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
static uint8_t *areas_of_tool;
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

/* A number that no domain has, be it dead and held. */
static domid_t free_number(void)
{
    struct domain *other;
    domid_t id = 1;

    while ((other = domain_get(id)) != NULL) {
        domain_put(other);
        id++;
    }
    return id;
}

static void new_translated(void)
{
    struct xen_memory_reservation *res;
    xen_pfn_t *frames;

    new_world(true);
    d = core_translated(free_number(), FUZZ_VCPUS + 1, 2 * FRAMES);
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
        core.code_32 = f->call.narrow;
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

static void end_call(unsigned int k, struct flight *f)
{
    long result = f->call.narrow ? (int32_t)f->regs.rax : (long)f->regs.rax;

    if (f->under_way)
        return;
    if (fake_verbose)
        printf("%u %lu: %s is %ld\n", k, f->next - 1, f->call.name, result);
    if (result >= 0)
        fuzz_learn(&world, &f->call);
    refused += result < 0;
}

/* The vCPU that is not the current one, if it runs, makes a call or goes on with one. */
static void other_acts(void)
{
    unsigned int k = !current->vcpu_id, cpu = smp_processor_id();
    struct flight *f = &flights[k];

    if (!d->vcpu[k]->is_running)
        return;
    core_as(d->vcpu[k]);
    if (f->under_way || begin_call(k, f)) {
        run_once(f);
        end_call(k, f);
    }
    core_on(cpu);
}

/* While a call copies from or to its guest: the arguments change, or the other vCPU makes a call. */
static void meanwhile(void)
{
    static bool within;

    if (within || fake_locks_held || current->domain != d || !fake_chance(2))
        return;
    within = true;
    if (fake_chance(50))
        ((uint64_t *)areas)[fake_below(FUZZ_VCPUS * FUZZ_AREA / 8)] = fake_chance(50) ? fake_below(64) : fake_rand();
    else
        other_acts();
    within = false;
}

static void step(unsigned int k)
{
    struct flight *f = &flights[k];

    if (!ready(k))
        return;
    core_as(d->vcpu[k]);
    if (!f->under_way && !begin_call(k, f))
        return;
    core.copy_hook = meanwhile;
    core.fail_alloc = fake_chance(3) ? 1 + fake_below(3) : 0;
    core.fail_copy = fake_chance(3) ? 1 + fake_below(12) : 0;
    run_once(f);
    core.copy_hook = NULL;
    core.fail_alloc = core.fail_copy = 0;
    end_call(k, f);
    core_settle();
}

/* To a CPU that runs none of the domain's vCPUs. */
static void go_elsewhere(const struct domain *from)
{
    for (unsigned int cpu = 0; cpu < FAKE_CPUS && current->domain == from; cpu++)
        core_on(cpu);
    assert_ptr_not_equal(current->domain, from);
}

/* ---- what tools do to the guest meanwhile ---- */

static long ask(uint32_t cmd)
{
    struct xen_domctl *op = argument;

    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = d->id;
    return CALL(domctl, op, 0, 0);
}

/* The log of stores goes on and off and is read; of a PV guest shadows come and go with it. */
static void ask_log(struct xen_domctl *op)
{
    static const uint32_t what[] = {XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, XEN_DOMCTL_SHADOW_OP_CLEAN,
                                    XEN_DOMCTL_SHADOW_OP_CLEAN, XEN_DOMCTL_SHADOW_OP_PEEK, XEN_DOMCTL_SHADOW_OP_OFF};

    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = what[fake_below(ARRAY_SIZE(what))], .pages = RAM_END};
    op->u.shadow_op.dirty_bitmap.p = areas_of_tool;
    (void)ask(XEN_DOMCTL_shadow_op);
}

/* Another domain's end of what the guest offers: some of it is held beyond the guest's end. */
static void use_grant(void)
{
    static grant_handle_t last;
    struct gnttab_map_grant_ref *m = (void *)areas_of_tool;
    struct gnttab_unmap_grant_ref *u = (void *)(m + 1);

    *m = (struct gnttab_map_grant_ref){.flags = GNTMAP_device_map, .ref = fake_below(16), .dom = d->id};
    *u = (struct gnttab_unmap_grant_ref){.handle = last};
    (void)CALL(grant_table_op, GNTTABOP_unmap_grant_ref, u, 1);
    assert_int_equal(CALL(grant_table_op, GNTTABOP_map_grant_ref, m, 1), 0);
    last = m->handle;
}

static void use_port(void)
{
    struct evtchn_bind_interdomain *b = (void *)areas_of_tool;
    struct evtchn_send *s = (void *)(b + 1);

    *b = (struct evtchn_bind_interdomain){.remote_dom = d->id, .remote_port = 1 + fake_below(24)};
    if (CALL(event_channel_op, EVTCHNOP_bind_interdomain, b, 0))
        return;
    s->port = b->local_port;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_send, s, 0), 0);
    if (fake_chance(80))
        assert_int_equal(CALL(event_channel_op, EVTCHNOP_close, s, 0), 0);
}

static void control_acts(void)
{
    struct xen_domctl *op = argument;

    go_elsewhere(d);
    for (unsigned int cpu = 0; cpu < FAKE_CPUS && current->domain != control_domain; cpu++)
        core_on(cpu);
    if (current->domain != control_domain)
        return;
    memset(op, 0, sizeof(*op));
    switch (fake_below(8)) {
    case 0:
        assert_int_equal(ask(XEN_DOMCTL_pausedomain), 0);
        core_settle();
        assert_int_equal(ask(XEN_DOMCTL_unpausedomain), 0);
        break;
    case 1:
        assert_int_equal(ask(XEN_DOMCTL_getdomaininfo), 0);
        break;
    case 2:
        op->u.max_mem.max_memkb = (FRAMES + fake_below(128)) * 4;
        (void)ask(XEN_DOMCTL_max_mem);
        break;
    case 3:
        use_port();
        break;
    case 4:
        use_grant();
        break;
    default:
        ask_log(op);
    }
    core_settle();
}

/*
 * No work between two preemption points was longer than its bound, but for what docs/debugging.md says: an exchange of
 * 2 MiB for single frames; the log's own frames for an extent; shadows of the table that another one is put into.
 */
static uint32_t bound_of(const struct stretch *s)
{
    if (s->family == __HYPERVISOR_memory_op && s->sub == XENMEM_exchange)
        return STRETCH_BOUND * (STRETCH_FRAME + 1);
    if (s->family == __HYPERVISOR_memory_op && s->sub == XENMEM_populate_physmap)
        return STRETCH_BOUND + 4 * STRETCH_FRAME;
    return STRETCH_BOUND + (s->family == __HYPERVISOR_mmu_update ? 8 : 0);
}

static void check_stretches(void)
{
    unsigned int next = 0;
    struct stretch s;

    while (stretch_read(&next, true, &s)) {
        if (s.work > bound_of(&s))
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
    areas_of_tool = guest_alloc(2 * PAGE_SIZE);
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
        for (unsigned int i = 0; i < 6000 && made < calls && !d->is_shutting_down; i++) {
            step(fake_below(FUZZ_VCPUS));
            if (fake_chance(1))
                control_acts();
        }
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
    const struct CMUnitTest calls[] = {CORE_TEST(test_context_in_stretches), CORE_TEST(test_pv_calls),
                                       CORE_TEST(test_translated_calls)};

    fake_seed("test_fuzz");
    return fuzz_grammar_tests() + cmocka_run_group_tests_name("calls", calls, NULL, NULL);
}
