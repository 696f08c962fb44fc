// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest on hardware virtualisation that makes hypercalls at random, on two vCPUs, from 64-bit and from 32-bit code.
 * What calls may take away are guest frames above the image, mapped where they are; one of them is a page table, too.
 * It takes no interrupts, so whatever waits for one is left out.
 */
#include "../hvm/lib/internal.h"
#include "run.h"
#include "../hvm/lib/smp.h"

#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/vcpu.h>

#define PAGES      24u
#define SPARES     64u
#define MAX_VALUES 160u
#define MENDED     2u

/* Guest frames; what is behind the image's map is mapped one to one. */
#define FIRST_PAGE  0x800ul
#define GRANT_PAGE  0x830ul
#define SHARED_PAGE 0x831ul
#define FIRST_SPARE 0x840ul
#define FIRST_HOLE  0x2000ul
#define WINDOW      0xc00000ul /* its table is one of the pages */
#define READONLY    0xe00000ul
#define EVENTS      0x800ul /* of shared_info */
#define LINEAR(gfn) ((gfn)*PAGE_SIZE)

long narrow_call(uint32_t nr, const uint64_t *arg);
long wide_call(uint32_t nr, const uint64_t *arg);

static uint64_t values[NR_LISTS][MAX_VALUES];
static struct fuzz_world world = {.translated = true, .narrow = true};
static struct fuzz_vcpu callers[FUZZ_VCPUS];
static struct fuzz_options options = {.seed = 1, .calls = 10000, .trace = ~0ul};
static uint8_t areas[FUZZ_VCPUS][FUZZ_AREA + PAGE_SIZE] __attribute__((aligned(4096)));

static void list(enum fuzz_list of, uint64_t value)
{
    REQUIRE(world.list[of].count < MAX_VALUES);
    values[of][world.list[of].count++] = value;
    world.list[of].values = values[of];
}

static long call(uint32_t nr, const uint64_t *arg, bool narrow)
{
    return narrow ? narrow_call(nr, arg) : wide_call(nr, arg);
}

static long call3(uint32_t nr, uint64_t a, uint64_t b, const void *c)
{
    const uint64_t arg[FUZZ_ARGS] = {a, b, (unsigned long)c};

    return wide_call(nr, arg);
}

/* ---- memory that may fault, inside a call that is tried ---- */

static bool caught(void (*fn)(void *), void *arg)
{
    struct cpu *c = this_cpu();
    unsigned long outer = c->caught;
    unsigned int vector = try_call(fn, arg).vector;

    c->caught = outer;
    return vector != VEC_END;
}

static void store(uint64_t to, const void *from, size_t n)
{
    (void)caught(fuzz_do_copy, &(struct fuzz_copy){(void *)to, from, n});
}

static bool load(void *to, uint64_t from, size_t n)
{
    return !caught(fuzz_do_copy, &(struct fuzz_copy){to, (const void *)from, n});
}

/* When this vCPU began to run: not long ago. */
static uint64_t now(void)
{
    struct vcpu_runstate_info r = {.state_entry_time = 1};

    (void)call3(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, this_cpu()->id, &r);
    return r.state_entry_time;
}

/* ---- what is put right ---- */

static void populate(unsigned long gfn)
{
    xen_pfn_t frame = gfn;
    struct xen_memory_reservation res = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(res.extent_start, &frame);
    (void)call3(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (unsigned long)&res, NULL);
}

static void add(unsigned int space, unsigned long gfn)
{
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = space, .gpfn = gfn};

    (void)call3(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (unsigned long)&a, NULL);
}

/* The table of these is what calls and stores have made of it. */
static void touch(void *page)
{
    *(volatile uint8_t *)page += 1;
}

static void mend_all(unsigned int n)
{
    for (unsigned int i = 0; i < MENDED; i++)
        populate(FIRST_PAGE + (n + i) % PAGES);
    for (unsigned int i = 0; i < MENDED; i++) {
        unsigned long window = WINDOW + (n + i) % PAGES * PAGE_SIZE;

        invlpg(window);
        (void)caught(touch, (void *)window);
    }
    if (n % 8)
        return;
    add(XENMAPSPACE_grant_table, GRANT_PAGE);
    add(XENMAPSPACE_shared_info, SHARED_PAGE);
}

static void mend(unsigned int vcpu, unsigned int what)
{
    static unsigned int next;

    if (vcpu == 0)
        (void)call3(__HYPERVISOR_vcpu_op, VCPUOP_up, 1, NULL);
    if (!what)
        mend_all(next += MENDED);
}

static void wake(void)
{
}

/* ---- the world ---- */

static void identity(unsigned long gfn, entry_t flags)
{
    *slot(LINEAR(gfn), 1) = (entry_t)LINEAR(gfn) | flags;
}

static void add_pages(void)
{
    for (unsigned long i = 0; i < PAGES; i++) {
        identity(FIRST_PAGE + i, PTE_P | PTE_RW);
        list(LIST_PAGE, LINEAR(FIRST_PAGE + i));
        list(LIST_FRAME, FIRST_PAGE + i);
        list(LIST_STORE, LINEAR(FIRST_PAGE + i));
        list(LIST_WINDOW, WINDOW + i * PAGE_SIZE);
    }
    for (unsigned long i = 0; i < SPARES; i++) {
        list(LIST_SPARE, FIRST_SPARE + i);
        list(LIST_SPARE, FIRST_HOLE + i);
    }
    *slot(WINDOW, 2) = (entry_t)LINEAR(FIRST_PAGE) | PTE_ALL;
    identity(GRANT_PAGE, PTE_P | PTE_RW);
    identity(SHARED_PAGE, PTE_P | PTE_RW);
    add(XENMAPSPACE_grant_table, GRANT_PAGE);
    add(XENMAPSPACE_shared_info, SHARED_PAGE);
    list(LIST_GRANT, LINEAR(GRANT_PAGE));
    list(LIST_STORE, LINEAR(GRANT_PAGE));
    list(LIST_STORE, LINEAR(SHARED_PAGE) + EVENTS);
}

static void add_odd(void)
{
    static const uint64_t frames[] = {0xfff,     0xfee00, 0xfec00,    1ul << 20,   1ul << 28, 1ul << 36,
                                      1ul << 40, ~0ul,    ~0ul >> 12, SHARED_PAGE, GRANT_PAGE};
    static const uint64_t bad[] = {0x7fffff000000, 1ul << 47,         ~7ul,     ~0ul,
                                   0xf00000,       0xffffffff,        READONLY, READONLY + PAGE_SIZE - 4,
                                   0xfee00000,     0xffff830000000000};

    unsigned long *readonly = new_page();

    __builtin_memset(readonly, 0xff, PAGE_SIZE); /* no zeros: they would be a good argument for many a call */
    *slot(READONLY, 1) = entry_of(readonly, PTE_P);
    for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++)
        list(LIST_ODD, frames[i]);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        list(LIST_BAD, bad[i]);
    list(LIST_CODE, (unsigned long)guest_main);
    list(LIST_TABLE, (unsigned long)root / PAGE_SIZE);
    for (unsigned int level = 3; level; level--)
        list(LIST_TABLE, (unsigned long)slot(READONLY, level) / PAGE_SIZE);
    list(LIST_ENTRY, (unsigned long)slot(READONLY, 1));
}

/* The status of a port that waits for ourselves says who we are. */
static unsigned int own_domid(void)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_status status = {.dom = DOMID_SELF};

    REQUIRE(call3(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (unsigned long)&alloc, NULL) == 0);
    status.port = alloc.port;
    REQUIRE(call3(__HYPERVISOR_event_channel_op, EVTCHNOP_status, (unsigned long)&status, NULL) == 0);
    return status.u.unbound.dom;
}

static void add_rest(void)
{
    unsigned int self = own_domid();

    list(LIST_DOMAIN, self);
    list(LIST_DOMAIN, self - 1);
    list(LIST_DOMAIN, self + 1);
    list(LIST_DOMAIN, 0);
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++) {
        callers[i].area = (unsigned long)areas[i];
        *slot(callers[i].area + FUZZ_AREA, 1) = 0;
        world.vcpu[i] = &callers[i];
    }
    for (unsigned int i = 0; i < FUZZ_RING; i++) /* not 0: a large extent there would be the guest itself */
        world.ring[RING_FRAME][i] = values[LIST_SPARE][i];
    world.now = now;
    world.store = store;
    world.load = load;
    reload_cr3();
}

static const struct fuzz_guest guest = {.world = &world, .call = call, .wake = wake, .mend = mend, .caught = caught};

static void second(void)
{
    fuzz_run(&guest, &options, 1);
}

void guest_main(void)
{
    if (!on_xen)
        return;
    ignore_nmi = true;
    fuzz_parse(command_line, &options);
    add_pages();
    add_odd();
    add_rest();
    start_cpu(second);
    fuzz_run(&guest, &options, 0);
    fuzz_end(&guest, &options);
}

const struct guest guests[] = {{"fuzz", guest_main}, {NULL, NULL}};
