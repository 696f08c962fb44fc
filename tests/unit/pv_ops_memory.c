// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_pv_random: grants, and frames that come and go. The book holds what mappings by grant there are, from the
 * results of the calls alone: an L1 entry of another domain's frame needs one, and a device's use holds references.
 */
#include "../../hypervisor/grant/internal.h"
#include "pv_log.h"

#define MAX_MAPPED 64u
#define SLACK      (MAX_FLIGHTS * MAX_ELEMS)

static struct mapped {
    struct domain *d;
    struct vcpu *by, *granter;
    uint32_t handle, flags;
    uint64_t addr;
    struct page_info *pg;
} mapped[MAX_MAPPED + SLACK];
static unsigned int nr_mapped;

/* ---- the book ---- */

void grants_forget(void)
{
    nr_mapped = 0;
}

static void count_host(const struct mapped *m, int by)
{
    granted[m->d->id][frame_no(m->pg)] += by;
}

static void count_device(const struct mapped *m, int by)
{
    held_general[frame_no(m->pg)] += (uint32_t)by;
    held_typed[frame_no(m->pg)] += (m->flags & GNTMAP_readonly) ? 0 : (uint32_t)by;
}

/* Teardown gave all handles back. Entries of host mappings may still stand. */
void grants_of_dead(const struct domain *d)
{
    for (unsigned int i = 0; i < nr_mapped;)
        if (mapped[i].d == d) {
            if (mapped[i].flags & GNTMAP_device_map)
                count_device(&mapped[i], -1);
            mapped[i] = mapped[--nr_mapped];
        } else
            i++;
}

static struct mapped *find_mapped(const struct domain *d, uint32_t handle)
{
    for (unsigned int i = 0; i < nr_mapped; i++)
        if (mapped[i].d == d && mapped[i].handle == handle)
            return &mapped[i];
    panic("a mapping was undone that nobody made\n");
}

static void book_map(const struct flight *f, const struct gnttab_map_grant_ref *op)
{
    struct domain *granter = dom[op->dom % 3];
    struct mapped m = {f->v->domain,
                       f->v,
                       granter->vcpu[0],
                       op->handle,
                       op->flags,
                       op->host_addr,
                       mfn_to_page(_mfn(op->dev_bus_addr >> PAGE_SHIFT))};

    if (m.pg->owner != granter)
        panic("P4: frame %u was mapped by a grant of a domain that does not own it\n", frame_no(m.pg));
    if (op->flags & GNTMAP_host_map)
        count_host(&m, 1);
    if (op->flags & GNTMAP_device_map)
        count_device(&m, 1);
    mapped[nr_mapped++] = m;
    if ((op->flags & GNTMAP_host_map) && !(op->flags & GNTMAP_contains_pte))
        guest_mmu(f->v, op->host_addr, !(op->flags & GNTMAP_readonly));
}

/* The granter makes a table of the frame at once: whoever still could write to it shows. */
static void reuse(const struct mapped *m)
{
    struct vcpu *before = actor;

    if (!may_act(m->granter) || m->pg->owner != m->granter->domain)
        return;
    act_as(m->granter);
    mmuext_now(MMUEXT_PIN_L1_TABLE, page_to_mfn(m->pg).n, 0);
    act_as(before);
}

static void book_unmap(const struct flight *f, uint32_t handle, bool host, bool device)
{
    struct mapped *m, copy;

    if (!host && !device) /* nothing was asked for */
        return;
    m = find_mapped(f->v->domain, handle);
    copy = *m;
    if (host && (m->flags & GNTMAP_host_map)) {
        count_host(m, -1);
        m->flags &= ~GNTMAP_host_map;
    }
    if (device && (m->flags & GNTMAP_device_map)) {
        count_device(m, -1);
        m->flags &= ~GNTMAP_device_map;
    }
    if (!(m->flags & (GNTMAP_host_map | GNTMAP_device_map)))
        *m = mapped[--nr_mapped];
    reuse(&copy);
}

/* ---- grant table calls ---- */

/* References whose words in the table are among those of model_index, in both versions or in version 1. */
static grant_ref_t random_ref(void)
{
    return fake_chance(60) ? fake_below(3) : random_index();
}

/* The acting domain writes an entry of its table: as it likes, in use or not. */
static void op_grant(void)
{
    bool v2 = grant_version(self()) == 2;
    grant_ref_t ref = v2 ? fake_below(3) : random_ref();
    uint64_t flags, frame, *word;
    mfn_t m;

    if (grant_get_frame(self(), 0, &m))
        return;
    moment_passes();
    tally.accesses++;
    word = (uint64_t *)mfn_to_virt(m) + (v2 ? 2 * ref : ref);
    frame = page_to_mfn(random_frame(fake_chance(90) ? self() : dom[fake_below(3)])).n;
    flags = fake_chance(90) ? GTF_permit_access | (fake_chance(30) ? GTF_readonly : 0) : fake_rand() & 0xffff;
    word[0] = flags | (uint64_t)dom[fake_below(3)]->id << 16 | (v2 ? 0 : frame << 32);
    if (v2)
        word[1] = frame;
}

static void op_grant_version(void)
{
    struct flight *f = flight_new(do_grant_table_op, "grant version");

    f->u.version.version = fake_chance(90) ? 1 + fake_below(2) : fake_below(5);
    flight_args(f, GNTTABOP_set_version, (unsigned long)&f->u.version, 1, 0);
    flight_go(f);
}

static void after_map(struct flight *f, long rc, bool ended)
{
    for (; f->seen < f->n && f->u.map[f->seen].status != STATUS_OPEN; f->seen++)
        if (f->u.map[f->seen].status == GNTST_okay)
            book_map(f, &f->u.map[f->seen]);
}

static void op_grant_map(void)
{
    struct flight *f;

    if (nr_mapped >= MAX_MAPPED)
        return;
    f = flight_new(do_grant_table_op, "grant map");
    f->n = 1 + fake_below(MAX_ELEMS);
    for (unsigned int i = 0; i < f->n; i++) {
        struct gnttab_map_grant_ref *op = &f->u.map[i];
        bool by_pte = fake_chance(40);

        *op = (struct gnttab_map_grant_ref){.status = STATUS_OPEN, .ref = random_ref(), .dom = dom[fake_below(3)]->id};
        op->flags = fake_chance(85) ? GNTMAP_host_map : 0;
        op->flags |= !op->flags || fake_chance(15) ? GNTMAP_device_map : 0;
        op->flags |= (fake_chance(40) ? GNTMAP_readonly : 0) | (by_pte ? GNTMAP_contains_pte : 0);
        op->host_addr =
            by_pte ? mfn_to_maddr(page_to_mfn(frame_leaning_to(self(), 1))).n + random_index() * 8ul : random_linear();
    }
    f->after = after_map;
    flight_args(f, GNTTABOP_map_grant_ref, (unsigned long)f->u.map, f->n, 0);
    flight_go(f);
}

static void after_unmap(struct flight *f, long rc, bool ended)
{
    for (; f->seen < f->n && f->u.unmap[f->seen].status != STATUS_OPEN; f->seen++) {
        const struct gnttab_unmap_grant_ref *op = &f->u.unmap[f->seen];

        if (op->status == GNTST_okay)
            book_unmap(f, op->handle, op->host_addr, op->dev_bus_addr);
    }
}

static void after_replace(struct flight *f, long rc, bool ended)
{
    for (; f->seen < f->n && f->u.replace[f->seen].status != STATUS_OPEN; f->seen++)
        if (f->u.replace[f->seen].status == GNTST_okay)
            book_unmap(f, f->u.replace[f->seen].handle, f->u.replace[f->seen].host_addr, false);
}

/* A mapping of the acting domain, or of none. */
static const struct mapped *random_mapping(void)
{
    static const struct mapped none;

    for (unsigned int i = 0; i < 8 && nr_mapped; i++) {
        const struct mapped *m = &mapped[fake_below(nr_mapped)];

        if (m->d == self())
            return m;
    }
    return &none;
}

/* A few, or more than one flush is for: between two of them the call may be preempted. */
static unsigned int nr_unmaps(void)
{
    return 1 + (fake_chance(95) ? fake_below(MAX_ELEMS) : MAX_UNMAPS - 1 - fake_below(MAX_ELEMS));
}

static void op_grant_unmap(void)
{
    struct flight *f = flight_new(do_grant_table_op, "grant unmap");

    f->n = nr_unmaps();
    for (unsigned int i = 0; i < f->n; i++) {
        const struct mapped *m = random_mapping();
        uint64_t addr = fake_chance(90) ? m->addr : random_linear();

        f->u.unmap[i] = (struct gnttab_unmap_grant_ref){.handle = m->handle, .status = STATUS_OPEN};
        f->u.unmap[i].host_addr = fake_chance(90) && (m->flags & GNTMAP_host_map) ? addr : 0;
        if (m->pg && (m->flags & GNTMAP_device_map) && fake_chance(80))
            f->u.unmap[i].dev_bus_addr = mfn_to_maddr(page_to_mfn(m->pg)).n;
    }
    f->after = after_unmap;
    flight_args(f, GNTTABOP_unmap_grant_ref, (unsigned long)f->u.unmap, f->n, 0);
    flight_go(f);
}

/* The entry goes without an unmap and without a flush; whoever mapped it may still have it in a TLB. */
static void op_grant_overwrite(void)
{
    const struct mapped *m = random_mapping();

    if (m->by != actor || !(m->flags & GNTMAP_host_map) || (m->flags & GNTMAP_contains_pte))
        return;
    guest_mmu(actor, m->addr, true);
    call_now(do_update_va_mapping, (unsigned long[4]){m->addr, 0, 0, 0});
    reuse(m);
    check_all();
}

static void op_grant_replace(void)
{
    struct flight *f = flight_new(do_grant_table_op, "grant unmap and replace");

    f->n = nr_unmaps();
    for (unsigned int i = 0; i < f->n; i++) {
        const struct mapped *m = random_mapping();

        f->u.replace[i] = (struct gnttab_unmap_and_replace){.host_addr = m->addr,
                                                            .new_addr = fake_chance(80) ? random_linear() : 0,
                                                            .handle = m->handle,
                                                            .status = STATUS_OPEN};
    }
    f->after = after_replace;
    flight_args(f, GNTTABOP_unmap_and_replace, (unsigned long)f->u.replace, f->n, 0);
    flight_go(f);
}

static void random_side(struct gnttab_copy_ptr *p, bool by_ref)
{
    p->domid = by_ref ? dom[fake_below(3)]->id : (domid_t)DOMID_SELF;
    if (by_ref)
        p->u.ref = random_ref();
    else
        p->u.gmfn = page_to_mfn(random_frame(fake_chance(95) ? self() : dom[fake_below(3)])).n;
}

static void op_grant_copy(void)
{
    struct flight *f = flight_new(do_grant_table_op, "grant copy");

    f->n = 1 + fake_below(MAX_ELEMS);
    memset(f->u.copy, 0, sizeof(f->u.copy));
    for (unsigned int i = 0; i < f->n; i++) {
        bool from = fake_chance(50), to = fake_chance(50);

        random_side(&f->u.copy[i].source, from);
        random_side(&f->u.copy[i].dest, to);
        f->u.copy[i].len = 4096;
        f->u.copy[i].flags = (uint16_t)((from ? GNTCOPY_source_gref : 0) | (to ? GNTCOPY_dest_gref : 0));
    }
    flight_args(f, GNTTABOP_copy, (unsigned long)f->u.copy, f->n, 0);
    flight_go(f);
}

/* ---- reservations and exchange ---- */

static struct domain *random_owner(void)
{
    return self()->is_control && fake_chance(20) ? random_domain() : self();
}

static void op_reservation(void)
{
    static const uint8_t cmds[] = {XENMEM_decrease_reservation, XENMEM_decrease_reservation,
                                   XENMEM_increase_reservation, XENMEM_populate_physmap};
    unsigned int cmd = cmds[fake_below(ARRAY_SIZE(cmds))];
    struct flight *f = flight_new(do_memory_op, "reservation");
    struct domain *of = random_owner();

    f->u.mem.r = (struct xen_memory_reservation){.nr_extents = 1 + fake_below(4), .domid = name_of(of)};
    f->u.mem.r.extent_order = fake_chance(85) ? 0 : fake_below(3);
    f->u.mem.r.extent_start.p = f->u.mem.in;
    for (unsigned int i = 0; i < f->u.mem.r.nr_extents; i++)
        f->u.mem.in[i] = cmd == XENMEM_decrease_reservation ? page_to_mfn(random_frame(of)).n : fake_below(256);
    flight_args(f, cmd, (unsigned long)&f->u.mem.r, 0, 0);
    flight_go(f);
}

static bool only_owned(const struct domain *of, const struct page_info *pg)
{
    return pg->owner == of && pg->count_info == (PGC_allocated | 1) && !(pg->type_info & PGT_count_mask);
}

static void after_exchange(struct flight *f, long rc, bool ended)
{
    const struct xen_memory_exchange *x = &f->u.mem.x;

    if (!ended || rc || !f->told)
        return;
    if (x->nr_exchanged != x->in.nr_extents)
        panic("an exchange is done, but %lu of %lu\n", (unsigned long)x->nr_exchanged, (unsigned long)x->in.nr_extents);
    for (unsigned int i = 0; i < x->out.nr_extents; i++)
        if (mfn_to_page(_mfn(f->u.mem.out[i]))->owner != f->on)
            panic("P4: an exchange gave a frame of another domain\n");
}

/* Single frames for a block, blocks for single frames, or frame for frame. */
static void op_exchange(void)
{
    struct flight *f = flight_new(do_memory_op, "exchange");
    struct domain *of = random_owner();
    unsigned int in_order = fake_below(3), out_order = fake_below(3), n = 4u << fake_below(2);
    struct xen_memory_exchange *x = &f->u.mem.x;
    bool expected = true, again = false;

    *x = (struct xen_memory_exchange){.in = {.nr_extents = n >> in_order, .extent_order = in_order},
                                      .out = {.nr_extents = n >> out_order, .extent_order = out_order}};
    x->in.domid = x->out.domid = name_of(of);
    x->in.extent_start.p = f->u.mem.in;
    x->out.extent_start.p = f->u.mem.out;
    for (unsigned int i = 0; i < n >> in_order; i++) {
        struct page_info *pg = random_frame(of);

        for (unsigned int k = 0; k < 16 && !only_owned(of, pg) && fake_chance(95); k++)
            pg = random_frame(of);
        f->u.mem.in[i] = page_to_mfn(pg).n;
        f->u.mem.out[i] = fake_below(256);
        expected = expected && only_owned(of, pg);
        again = again || !pg->owner;
        for (unsigned int k = 0; k < i; k++)
            again = again || f->u.mem.in[k] == f->u.mem.in[i];
    }
    f->on = of;
    f->after = after_exchange;
    /* A frame that is named twice, or is nobody's, may be the caller's when its turn comes, by the exchange itself. */
    flight_tell(f, in_order == 0 && out_order == 0 && !again && !of->dying && fake_frames_free() > n, expected);
    flight_args(f, XENMEM_exchange, (unsigned long)x, 0, 0);
    flight_go(f);
}

const struct pv_operation memory_ops[] = {{op_grant, 3},         {op_grant_map, 5},       {op_grant_unmap, 4},
                                          {op_grant_replace, 1}, {op_grant_overwrite, 2}, {op_grant_version, 1},
                                          {op_grant_copy, 1},    {op_reservation, 2},     {op_exchange, 1}};
const unsigned int nr_memory_ops = ARRAY_SIZE(memory_ops);
