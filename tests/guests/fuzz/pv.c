// SPDX-License-Identifier: BSD-2-Clause
/*
 * The PV guest that makes hypercalls at random, on two vCPUs: what it has for the grammar's lists, how it makes a call,
 * and how it puts right what it has done to itself. It may be crashed by the hypervisor; its run is then over.
 *
 * What calls may take away are pages of its own for that; the image, the tables that map it and each vCPU's arguments
 * are in none of the lists of what is given away, and what is done to them has to be refused.
 */
#include "../lib/internal.h"
#include "run.h"

#define PAGES      24u
#define WINDOWS    16u
#define SPARES     64u
#define MAX_VALUES 160u
#define MENDED     4u /* pages at a time */

static uint64_t values[NR_LISTS][MAX_VALUES];
static struct fuzz_world world;
static struct fuzz_vcpu callers[FUZZ_VCPUS];
static struct fuzz_options options = {.seed = 1, .calls = 10000, .trace = ~0ul};
static char areas[FUZZ_VCPUS][FUZZ_AREA + PAGE_SIZE] __attribute__((aligned(4096)));
static struct {
    char *at;
    unsigned long mfn; /* that was its own last */
} pages[PAGES];

static void list(enum fuzz_list of, uint64_t value)
{
    REQUIRE(world.list[of].count < MAX_VALUES);
    values[of][world.list[of].count++] = value;
    world.list[of].values = values[of];
}

/* ---- memory that may fault ---- */

/* Inside a call that is tried: what is tried here ends, and the call goes on being tried. */
static bool copied(const struct fuzz_copy *c)
{
    struct cpu *cpu = this_cpu();
    __typeof__(cpu->caught) outer = cpu->caught;
    bool done = !faults(fuzz_do_copy, (void *)c, NULL);

    cpu->caught = outer;
    cpu->catching = true;
    return done;
}

static void store(uint64_t to, const void *from, size_t n)
{
    (void)copied(&(struct fuzz_copy){(void *)to, from, n});
}

static bool load(void *to, uint64_t from, size_t n)
{
    return copied(&(struct fuzz_copy){to, (const void *)from, n});
}

/* ---- calls ---- */

static long call(uint32_t nr, const uint64_t *arg, bool narrow)
{
    (void)narrow;
    return raw_hypercall(nr, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

static bool caught(void (*fn)(void *), void *arg)
{
    return faults(fn, arg, NULL);
}

static void wake(void)
{
    WRITE_ONCE(shared_info->vcpu_info[this_cpu()->id].evtchn_upcall_pending, 1);
}

/* ---- what is put right ---- */

/* Another frame for a page whose own has been given away. */
static void replace(unsigned int n)
{
    xen_pfn_t frame = m2p()[pages[n].mfn];
    struct xen_memory_reservation res = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(res.extent_start, &frame);
    if (HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &res) != 1)
        return;
    if (map_at(pages[n].at, make_pte(frame, PTE_ALL), UVMF_INVLPG | UVMF_ALL) == 0)
        values[LIST_FRAME][n] = pages[n].mfn = frame;
}

static void mend_page(unsigned int n)
{
    (void)mmuext(MMUEXT_UNPIN_TABLE, pages[n].mfn, 0);
    if (map_at(pages[n].at, make_pte(pages[n].mfn, PTE_ALL), UVMF_INVLPG | UVMF_ALL) == 0)
        return;
    if (map_at(pages[n].at, make_pte(pages[n].mfn, PTE_ALL & ~PTE_RW), UVMF_INVLPG | UVMF_ALL))
        replace(n);
}

static void mend(unsigned int vcpu, unsigned int what)
{
    static unsigned int next;

    if (what & FUZZ_TRAPS)
        init_traps();
    if (vcpu == 0)
        HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0);
    if (what)
        return;
    HYPERCALL2(__HYPERVISOR_set_debugreg, 7, 0);
    for (unsigned int i = 0; i < MENDED; i++)
        mend_page(next++ % PAGES);
}

/* ---- the world ---- */

static void add_pages(void)
{
    for (unsigned int i = 0; i < PAGES; i++) {
        pages[i].at = new_page();
        pages[i].mfn = mfn_of(pages[i].at);
        list(LIST_PAGE, P(pages[i].at));
        list(LIST_FRAME, pages[i].mfn);
        list(LIST_ENTRY, maddr_of(entry_of(pages[i].at, 1)));
        list(LIST_ENTRY, pages[i].mfn * PAGE_SIZE + 8 * i);
        list(LIST_STORE, P(pages[i].at));
    }
    for (unsigned int i = 0; i < WINDOWS; i++) {
        char *at = new_page();

        list(LIST_WINDOW, P(at));
        list(LIST_ENTRY, maddr_of(entry_of(at, 1)));
        REQUIRE(map_at(at, 0, UVMF_INVLPG) == 0);
    }
    for (unsigned int i = 0; i < SPARES; i++)
        list(LIST_SPARE, spare_mfn(i));
}

/* The tables of the guest's own map, from the top one on, and entries of them that map nothing. */
static void add_tables(void)
{
    list(LIST_TABLE, mfn_of((void *)start_info->pt_base));
    for (unsigned int level = 3; level; level--)
        list(LIST_TABLE, mfn_of((void *)(P(entry_of(callers, level)) & ~(PAGE_SIZE - 1))));
    list(LIST_ENTRY, maddr_of(entry_of((void *)HV_FIRST, 4)));
    list(LIST_ENTRY, maddr_of(entry_of((void *)HV_DIRECTMAP, 4)));
    for (unsigned long i = 0; i < 8; i++) {
        list(LIST_ENTRY, maddr_of(entry_of((void *)(i << 39), 4)));
        list(LIST_ENTRY, maddr_of(entry_of((void *)(VIRT_BASE - ((i + 1) << 30)), 3)));
        list(LIST_ENTRY, maddr_of(entry_of((void *)(VIRT_BASE + ((i + 64) << 21)), 2)));
    }
}

static void add_odd(void)
{
    char *readonly = new_page();
    const uint64_t frames[] = {0, 1, 0x9f, 0xa0, 0x100, 0xfee00, 1ul << 20, 1ul << 28, 1ul << 40, ~0ul, ~0ul >> 12};
    const uint64_t bad[] = {0,
                            8,
                            NOT_MAPPED,
                            NONCANONICAL,
                            NONCANONICAL - 4,
                            HV_FIRST,
                            HV_PERDOMAIN,
                            HV_TEXT,
                            HV_DIRECTMAP,
                            HV_END - 4,
                            ~7ul,
                            ~0ul,
                            P(readonly),
                            P(readonly) + PAGE_SIZE - 4,
                            P(entry_of(readonly, 1)),
                            P(entry_of(readonly, 4))};
    const uint64_t code[] = {P(event_entry),     P(failsafe_entry), P(syscall_entry),
                             P(syscall32_entry), P(trap_stubs),     P(trap_stubs) + 16 * TRAP_GP};

    __builtin_memset(readonly, 0xff, PAGE_SIZE); /* no zeros: they would be a good argument for many a call */
    REQUIRE(set_readonly(readonly) == 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++)
        list(LIST_ODD, frames[i]);
    list(LIST_ODD, pages[0].mfn + 4096);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        list(LIST_BAD, bad[i]);
    for (unsigned int i = 0; i < ARRAY_SIZE(code); i++)
        list(LIST_CODE, code[i]);
}

static void add_rest(void)
{
    unsigned long grants = P(grant_entries());
    domid_t self = own_domid();

    list(LIST_DOMAIN, self);
    list(LIST_DOMAIN, self - 1u);
    list(LIST_DOMAIN, self + 1u);
    list(LIST_DOMAIN, 0);
    list(LIST_GRANT, grants);
    list(LIST_STORE, grants);
    list(LIST_STORE, P(shared_info) + offsetof(struct shared_info, evtchn_pending));
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++) {
        REQUIRE(map_at(areas[i] + FUZZ_AREA, 0, UVMF_INVLPG) == 0);
        callers[i].area = P(areas[i]);
        world.vcpu[i] = &callers[i];
    }
    for (unsigned int i = 0; i < FUZZ_RING; i++)
        world.ring[RING_FRAME][i] = values[LIST_SPARE][i];
    world.now = now;
    world.store = store;
    world.load = load;
}

static const struct fuzz_guest guest = {.world = &world, .call = call, .wake = wake, .mend = mend, .caught = caught};

static void second(void)
{
    fuzz_run(&guest, &options, 1);
    for (;;)
        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

/* Nobody tried what led here: an event, or an NMI. */
static void ignore(struct regs *r)
{
    (void)r;
}

void guest_main(void)
{
    fuzz_parse((const char *)start_info->cmd_line, &options);
    on_entry = ignore;
    add_pages();
    add_tables();
    add_odd();
    add_rest();
    start_vcpu(1, second);
    fuzz_run(&guest, &options, 0);
    fuzz_end(&guest, &options);
}
