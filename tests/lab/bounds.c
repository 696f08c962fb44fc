// SPDX-License-Identifier: BSD-2-Clause
/*
 * The worst that the control domain can ask of the hypervisor, for tests of how long it works without a preemption
 * point, and what it measured meanwhile:
 *
 *   bounds reset | read         forgets the longest stretches; lists them: family, sub-operation, units, ticks
 *   bounds tables MIB           a domain all of whose frames are page tables of one L4: pin, unpin, pin, destroy
 *   bounds batches              batches as large as they may be: mmu_update, mmuext_op, multicall, grants, event ports
 */
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#define __XEN_TOOLS__ 1 /* without it the headers name the older calls */
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/version.h>

#include "calls.h"
#include "libctl/ctl.h"
#include "umbra/umbra_op.h"

#define ENTRIES 512u
#define TABLE   0x7ull /* present, writable, user */
#define LEAF    0x5ull /* present, user: what is mapped may be a table */
#define BATCH   (1u << 15)
#define PORTS   4095u
#define MAPPED  512u

static struct ctl *ctl;

static void umbra_op(struct umbra_op *op)
{
    op->interface_version = UMBRA_OP_INTERFACE_VERSION;
    must(xencall1(calls, __HYPERVISOR_umbra_op, (uintptr_t)op) == 0, "umbra_op");
}

static void show_stretch(const struct umbra_op_stretch *s)
{
    printf("stretch %u %u %u %llu", s->family, s->sub, s->work, (unsigned long long)s->ticks);
    for (unsigned i = 0; i < UMBRA_STRETCH_SIZES; i++)
        printf(" %llu", (unsigned long long)s->times[i]);
    putchar('\n');
}

static void stretches(bool reset, bool show)
{
    struct umbra_op *op = buffer(sizeof(*op));

    op->cmd = UMBRA_OP_stretch;
    op->u.stretch.flags = reset ? UMBRA_STRETCH_reset : 0;
    do {
        umbra_op(op);
        if (op->u.stretch.found && show)
            show_stretch(&op->u.stretch);
    } while (op->u.stretch.found);
}

static void timed(const char *what, bool ok)
{
    static struct timespec last;
    struct timespec now;

    must(ok, what);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (last.tv_sec)
        printf("%s %lld ms\n", what, (now.tv_sec - last.tv_sec) * 1000LL + (now.tv_nsec - last.tv_nsec) / 1000000);
    last = now;
}

/* --- a domain of page tables ----------------------------------------------------------------------------------------
 */

static uint32_t new_domain(uint64_t frames)
{
    struct ctl_domain_create args = {
        .uuid = {1}, .vcpus = 1, .max_event_ports = PORTS, .grant_frames = 4, .maptrack_frames = 4};
    uint32_t domid = 0;

    must(ctl_domain_create(ctl, &args, &domid, NULL) == 0, "create");
    must(ctl_domain_set_vcpus(ctl, domid, 1, NULL) == 0, "vcpus");
    must(ctl_domain_set_maxmem(ctl, domid, frames * 4, NULL) == 0, "maxmem");
    return domid;
}

static uint64_t *populate(uint32_t domid, uint64_t frames)
{
    uint64_t *list = calloc(frames, sizeof(*list));

    must(list != NULL, "memory");
    for (uint64_t i = 0; i < frames; i++)
        list[i] = i;
    must(ctl_memory_populate(ctl, domid, 0, list, frames, NULL) == (long)frames, "populate");
    return list;
}

/*
 * Frame 0 is the L4, 1 the L3, the next `l2s` the L2 tables, the rest L1 tables without an empty slot. What frame n
 * holds at place i.
 */
static uint64_t content(const uint64_t *list, uint64_t frames, uint64_t n, unsigned i)
{
    uint64_t l2s = (frames + ENTRIES) / (ENTRIES + 1), child;

    if (n == 0)
        return i == 0 ? list[1] << 12 | TABLE : 0;
    if (n == 1)
        return i < l2s ? list[2 + i] << 12 | TABLE : 0;
    if (n >= 2 + l2s)
        return list[(n * ENTRIES + i) % frames] << 12 | LEAF;
    child = 2 + l2s + (n - 2) * ENTRIES + i;
    return child < frames ? list[child] << 12 | TABLE : 0;
}

static void write_tables(uint32_t domid, const uint64_t *list, uint64_t frames)
{
    for (uint64_t first = 0; first < frames; first += MAPPED) {
        uint64_t count = frames - first < MAPPED ? frames - first : MAPPED;
        uint64_t *p = ctl_foreign_map(ctl, domid, PROT_READ | PROT_WRITE, list + first, count, NULL);

        must(p != NULL, "map");
        for (uint64_t n = 0; n < count; n++)
            for (unsigned i = 0; i < ENTRIES; i++)
                p[n * ENTRIES + i] = content(list, frames, first + n, i);
        ctl_foreign_unmap(ctl, p, count);
    }
}

static bool ext(uint32_t domid, unsigned cmd, uint64_t mfn)
{
    struct mmuext_op *op = buffer(sizeof(*op));
    bool ok;

    op->cmd = cmd;
    op->arg1.mfn = mfn;
    ok = xencall4(calls, __HYPERVISOR_mmuext_op, (uintptr_t)op, 1, 0, domid) == 0;
    xencall_free_buffer(calls, op);
    return ok;
}

static void tables(uint64_t mib)
{
    uint64_t frames = mib << 8;
    uint32_t domid = new_domain(frames);
    uint64_t *list = populate(domid, frames);

    write_tables(domid, list, frames);
    timed("write", true);
    timed("pin", ext(domid, MMUEXT_PIN_L4_TABLE, list[0]));
    timed("unpin", ext(domid, MMUEXT_UNPIN_TABLE, list[0]));
    timed("pin", ext(domid, MMUEXT_PIN_L4_TABLE, list[0]));
    timed("destroy", ctl_domain_destroy(ctl, domid, NULL) == 0);
}

/* --- batches --------------------------------------------------------------------------------------------------------
 */

/* Plain stores to a frame that is no table, a whole batch to one place. */
static void many_updates(uint32_t domid, uint64_t mfn)
{
    struct mmu_update *u = buffer(BATCH * sizeof(*u));

    for (unsigned i = 0; i < BATCH; i++)
        u[i].ptr = mfn << 12 | i % ENTRIES * 8;
    timed("mmu_update",
          xencall4(calls, __HYPERVISOR_mmu_update, (uintptr_t)u, BATCH, 0, (domid + 1) << 16 | domid) == 0);
    xencall_free_buffer(calls, u);
}

static void many_copies(uint32_t domid, uint64_t to, uint64_t from)
{
    struct mmuext_op *op = buffer(BATCH * sizeof(*op));

    for (unsigned i = 0; i < BATCH; i++) {
        op[i].cmd = MMUEXT_COPY_PAGE;
        op[i].arg1.mfn = to;
        op[i].arg2.src_mfn = from;
    }
    timed("mmuext_op", xencall4(calls, __HYPERVISOR_mmuext_op, (uintptr_t)op, BATCH, 0, domid) == 0);
    xencall_free_buffer(calls, op);
}

static void many_calls(void)
{
    struct multicall_entry *e = buffer(BATCH * sizeof(*e));

    for (unsigned i = 0; i < BATCH; i++)
        e[i].op = __HYPERVISOR_xen_version;
    timed("multicall", xencall2(calls, __HYPERVISOR_multicall, (uintptr_t)e, BATCH) == 0);
    for (unsigned i = 0; i < BATCH; i++)
        must(e[i].result == (4 << 16 | 17), "a call of the list");
    xencall_free_buffer(calls, e);
}

/* None of them names a grant that exists: each says so. */
static void many_grants(void)
{
    struct gnttab_copy *c = buffer(BATCH * sizeof(*c));

    for (unsigned i = 0; i < BATCH; i++) {
        c[i].source.domid = c[i].dest.domid = DOMID_SELF;
        c[i].source.u.ref = 1u << 30;
        c[i].flags = GNTCOPY_source_gref;
        c[i].len = 64;
    }
    timed("grant copy", xencall3(calls, __HYPERVISOR_grant_table_op, GNTTABOP_copy, (uintptr_t)c, BATCH) == 0);
    must(c[BATCH - 1].status == GNTST_bad_gntref, "the last of the grants");
    xencall_free_buffer(calls, c);
}

static void all_ports(uint32_t domid)
{
    struct evtchn_reset *r = buffer(sizeof(*r));
    unsigned n = 0;

    while (ctl_evtchn_alloc(ctl, domid, 0, NULL) > 0)
        n++;
    timed("ports", n == PORTS);
    r->dom = (domid_t)domid;
    timed("reset", xencall2(calls, __HYPERVISOR_event_channel_op, EVTCHNOP_reset, (uintptr_t)r) == 0);
    must(ctl_evtchn_count(ctl, domid, NULL) == 0, "all ports are closed");
}

static void batches(void)
{
    uint32_t domid = new_domain(16);
    uint64_t *list = populate(domid, 16);

    timed("begin", true);
    many_updates(domid, list[0]);
    many_copies(domid, list[0], list[1]);
    many_calls();
    many_grants();
    all_ports(domid);
    timed("destroy", ctl_domain_destroy(ctl, domid, NULL) == 0);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

    calls = xencall_open(NULL, 0);
    ctl = ctl_open(NULL);
    must(calls && ctl, "open");
    if (strcmp(verb, "reset") == 0)
        stretches(true, false);
    else if (strcmp(verb, "read") == 0)
        stretches(false, true);
    else if (strcmp(verb, "tables") == 0 && n)
        tables(n);
    else if (strcmp(verb, "batches") == 0)
        batches();
    else {
        fprintf(stderr, "usage: bounds reset|read|tables MIB|batches\n");
        return 2;
    }
    return 0;
}
