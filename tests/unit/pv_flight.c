// SPDX-License-Identifier: BSD-2-Clause
/* Choices, and calls in flight: see pv_random.h. */
#include <hv/hypercall.h>
#include <xen/vcpu.h>
#include "pv_random.h"

#define MAX_TRIES 20000u

struct domain *dom[3];
struct vcpu *actor;
struct tally tally;

static struct flight flights[MAX_FLIGHTS];
static const struct flight *last_mover;
static unsigned long now;
static bool book_behind;  /* a grant call is under way */
static int busy_cpu = -1; /* it is inside a call that others intrude on */

void act_as(struct vcpu *v)
{
    actor = v;
    fake_run_on(v->processor, v);
}

bool may_act(const struct vcpu *v)
{
    return v->is_running && (int)v->processor != busy_cpu;
}

void put_on(struct vcpu *v)
{
    fake_run_on(v->processor, v);
    v->is_running = true;
    switch_cr3(pv_cr3(v));
    cpumask_set(&v->domain->dirty_cpus, v->processor);
}

void take_off(struct vcpu *v)
{
    fake_run_on(v->processor, NULL);
    switch_cr3(0);
    v->is_running = false;
    cpumask_clear(&v->domain->dirty_cpus, v->processor);
}

void check_all(void)
{
    if (busy_cpu >= 0) /* the call intruded on holds this and that */
        return;
    for (unsigned int i = 0; i < 3; i++)
        if (dom[i]->dying && dom[i]->teardown_step < STEP_AFTER_GRANTS)
            return;
    model_check(dom, 3);
}

/* ---- who was preempted ---- */

#define ANY        (~0u)
#define EXT(cmd)   do_mmuext_op, MMUEXT_##cmd, "mmuext_op " #cmd
#define MEMORY(op) do_memory_op, XENMEM_##op, "memory_op " #op
#define GRANT(op)  do_grant_table_op, GNTTABOP_##op, "grant_table_op " #op

/* What of the walk's calls asks whether it is to be preempted: in it, or in a batch before it. */
static const struct {
    hypercall_fn *fn;
    unsigned int sub;
    const char *name;
} preemptible[] = {
    {do_mmu_update, MMU_NORMAL_PT_UPDATE, "mmu_update NORMAL_PT_UPDATE"},
    {do_mmu_update, MMU_MACHPHYS_UPDATE, "mmu_update MACHPHYS_UPDATE"},
    {do_mmu_update, MMU_PT_UPDATE_PRESERVE_AD, "mmu_update PT_UPDATE_PRESERVE_AD"},
    {do_mmu_update, MMU_PT_UPDATE_NO_TRANSLATE, "mmu_update PT_UPDATE_NO_TRANSLATE"},
    {do_mmu_update, ANY, "mmu_update, unknown"},
    {EXT(PIN_L1_TABLE)},
    {EXT(PIN_L2_TABLE)},
    {EXT(PIN_L3_TABLE)},
    {EXT(PIN_L4_TABLE)},
    {EXT(UNPIN_TABLE)},
    {EXT(NEW_BASEPTR)},
    {EXT(TLB_FLUSH_LOCAL)},
    {EXT(INVLPG_LOCAL)},
    {EXT(TLB_FLUSH_MULTI)},
    {EXT(INVLPG_MULTI)},
    {EXT(TLB_FLUSH_ALL)},
    {EXT(INVLPG_ALL)},
    {EXT(FLUSH_CACHE)},
    {EXT(SET_LDT)},
    {EXT(NEW_USER_BASEPTR)},
    {EXT(CLEAR_PAGE)},
    {EXT(COPY_PAGE)},
    {EXT(FLUSH_CACHE_GLOBAL)},
    {EXT(MARK_SUPER)},
    {EXT(UNMARK_SUPER)},
    {do_mmuext_op, ANY, "mmuext_op, unknown"},
    {do_set_gdt, ANY, "set_gdt"},
    {do_vcpu_op, VCPUOP_initialise, "vcpu_op initialise"},
    {set_context_by_domctl, ANY, "domctl setvcpucontext"},
    {MEMORY(increase_reservation)},
    {MEMORY(decrease_reservation)},
    {MEMORY(populate_physmap)},
    {MEMORY(exchange)},
    {GRANT(map_grant_ref)},
    {GRANT(unmap_grant_ref)},
    {GRANT(unmap_and_replace)},
    {GRANT(copy)},
};
static unsigned long restarts_of[ARRAY_SIZE(preemptible)];

/* The request of a batch before which, or in which, the call was preempted; if none is left, the last one. */
static unsigned int sub_of(hypercall_fn *fn, const struct hcall *hc)
{
    unsigned int over = !(hc->arg[1] & ~0x80000000ul);

    if (fn == do_mmu_update)
        return ((const struct mmu_update *)hc->arg[0] - over)->ptr & 7;
    if (fn == do_mmuext_op)
        return ((const struct mmuext_op *)hc->arg[0] - over)->cmd;
    return hc->arg[0] & 63; /* above it is where memory_op goes on */
}

static void count_restart(hypercall_fn *fn, const struct hcall *hc)
{
    unsigned int sub = sub_of(fn, hc);

    tally.restarts++;
    for (unsigned int i = 0; i < ARRAY_SIZE(preemptible); i++)
        if (preemptible[i].fn == fn && (preemptible[i].sub == sub || preemptible[i].sub == ANY)) {
            restarts_of[i]++;
            return;
        }
    panic("a call is preempted of which nobody knew that it can be: sub-operation %u\n", sub);
}

void restarts_tell(bool enough)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(preemptible); i++) {
        printf("%s%s %lu", i ? ", " : "restarts: ", preemptible[i].name, restarts_of[i]);
        if (enough && !restarts_of[i])
            panic("%s was never preempted\n", preemptible[i].name);
    }
    printf("\n");
}

/* ---- choices ---- */

unsigned int frame_no(const struct page_info *pg)
{
    return (unsigned int)(page_to_mfn(pg).n - FAKE_RAM_START);
}

struct page_info *random_frame(const struct domain *of)
{
    struct page_info *pg = NULL;

    for (unsigned int i = 0; i < 64; i++) {
        pg = mfn_to_page(_mfn(FAKE_RAM_START + fake_below(FAKE_FRAMES)));
        if (pg->owner == of)
            break;
    }
    return pg;
}

struct page_info *frame_leaning_to(const struct domain *of, unsigned int type)
{
    for (unsigned int i = 0; i < 48; i++) {
        struct page_info *pg = mfn_to_page(_mfn(FAKE_RAM_START + fake_below(FAKE_FRAMES)));

        if (pg->owner == of && (page_type(pg) == type || (i > 28 && frame_no(pg) % 7 == type)))
            return pg;
    }
    return random_frame(of);
}

unsigned int random_index(void)
{
    return model_index[fake_chance(80) ? fake_below(6) : fake_below(model_indices)];
}

unsigned long random_linear(void)
{
    static const uint16_t l4[] = {0, 0, 0, 0, 0, 1, 255, 256, 260, 272, 511};
    unsigned long a = l4[fake_below(ARRAY_SIZE(l4))];

    for (unsigned int i = 0; i < 3; i++)
        a = a << 9 | (fake_chance(60) ? 0 : random_index());
    return (unsigned long)((long)(a << (16 + 12)) >> 16);
}

static mfn_t random_target(const struct domain *of, unsigned int level)
{
    unsigned int r = fake_below(100);

    if (r < 80)
        return page_to_mfn(level > 1 ? frame_leaning_to(of, level - 1) : random_frame(of));
    if (r < 90)
        return page_to_mfn(random_frame(dom[fake_below(3)]));
    if (r < 95)
        return _mfn(FAKE_MMIO_OK + fake_below(FAKE_MMIO_NR * 2));
    return _mfn(fake_rand() & ((1ull << 40) - 1));
}

pte_t random_entry(const struct domain *of, unsigned int level)
{
    uint64_t f = PTE_A, r = fake_rand();

    if (fake_chance(15))
        return fake_chance(60) ? _pte(0) : _pte(fake_rand() & ~PTE_P);
    f |= r % 128 < 124 ? PTE_P : 0;
    f |= (r >> 8) % 64 < 38 ? PTE_RW : 0;
    f |= (r >> 16) % 2 ? PTE_US : 0;
    f |= (r >> 20) % 32 == 0 ? PTE_NX : 0;
    f |= (r >> 28) % 128 == 0 ? PTE_PCD : 0;
    f |= (r >> 36) % 128 == 0 ? PTE_PSE : 0;
    f |= (r >> 44) % 64 == 0 ? PTE_G : 0;
    f |= (r >> 52) % 16 == 0 ? fake_rand() & (PTE_AVAIL | PTE_AVAIL_HI) : 0;
    return pte_make(random_target(of, level), f);
}

uint64_t random_descriptor(void)
{
    static const uint64_t usual[] = {0x00cffa000000ffff,
                                     0x00cf9a000000ffff,
                                     0x00affb000000ffff,
                                     0x00cff2000000ffff,
                                     0x00cf92000000ffff,
                                     0x0000e80000080000, /* task gate */
                                     0x00008c0000080000, /* call gate */
                                     0x00008b0000000067, /* TSS */
                                     0x0000820000000fff, /* LDT */
                                     0x0000800000000000, /* null system type */
                                     0x0000050000000000, /* not present */
                                     0};
    unsigned int k = fake_below(ARRAY_SIZE(usual) + 4);

    return k < ARRAY_SIZE(usual) ? usual[k] : fake_rand();
}

uint64_t random_word(const struct domain *of)
{
    return fake_chance(30) ? random_descriptor() : random_entry(of, 1 + fake_below(4)).n;
}

struct domain *random_domain(void)
{
    for (unsigned int i = 0; i < 3; i++)
        if (dom[i]->dying == DOM_DYING && fake_chance(50))
            return dom[i];
    return dom[fake_below(3)];
}

domid_t name_of(const struct domain *d)
{
    return d == self() ? (domid_t)DOMID_SELF : d->id;
}

/* ---- calls in flight ---- */

void moment_passes(void)
{
    last_mover = NULL;
    now++;
}

unsigned long moment_now(void)
{
    return now;
}

static void moved_by(const struct flight *f)
{
    now += last_mover != f;
    last_mover = f;
}

bool flight_alone(const struct flight *f)
{
    return f->moment == now;
}

void tell(bool expected, long rc, const char *what)
{
    tally.foretold++;
    if (expected != (rc == 0))
        panic("%s: the model says %s, the result is %ld\n", what, expected ? "accepted" : "refused", rc);
}

struct flight *flight_new(hypercall_fn *fn, const char *what)
{
    for (unsigned int i = 0; i < MAX_FLIGHTS; i++)
        if (!flights[i].v) {
            struct flight *f = &flights[i];

            memset(f, 0, offsetof(struct flight, u));
            f->v = actor;
            f->fn = fn;
            f->what = what;
            return f;
        }
    panic("too many calls in flight\n");
}

void flight_args(struct flight *f, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3)
{
    f->hc = (struct hcall){.arg = {a0, a1, a2, a3}};
}

void flight_tell(struct flight *f, bool known, bool expected)
{
    f->told = known;
    f->expected = expected;
}

static void flight_end(struct flight *f, long rc)
{
    f->told = f->told && flight_alone(f) && rc != GIVEN_UP;
    if (f->told)
        tell(f->expected, rc, f->what);
    if (f->after)
        f->after(f, rc, true);
    f->v = NULL;
    if (rc == GIVEN_UP) {
        tally.given_up++;
        return;
    }
    rc < 0 ? tally.refused++ : tally.accepted++;
}

/* What became of a slice; the book of grants is up to date afterwards. */
static void flight_sliced(struct flight *f, long rc)
{
    if (fake_locks_held)
        panic("%s returns with a lock held\n", f->what);
    if (!f->hc.restart) {
        flight_end(f, rc);
        return;
    }
    count_restart(f->fn, &f->hc);
    if (++f->tries > MAX_TRIES)
        panic("%s makes no progress\n", f->what);
    if (f->after)
        f->after(f, rc, false);
}

static void flight_slice(struct flight *f)
{
    bool outer = book_behind;
    unsigned long intrusions = tally.intrusions;
    long rc;

    moved_by(f);
    act_as(f->v);
    f->hc.restart = false;
    stretch_point();
    book_behind = f->fn == do_grant_table_op;
    rc = f->fn(&f->hc);
    f->intruded = tally.intrusions != intrusions;
    flight_sliced(f, rc);
    book_behind = outer;
}

void flight_go(struct flight *f)
{
    tally.calls++;
    tally.overlapped += flights_in_the_air() > 1;
    moment_passes();
    moved_by(f);
    f->moment = now;
    flight_slice(f);
}

unsigned int flights_in_the_air(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < MAX_FLIGHTS; i++)
        n += flights[i].v != NULL;
    return n;
}

void flight_any(bool may_give_up)
{
    unsigned int start = fake_below(MAX_FLIGHTS);

    for (unsigned int i = 0; i < MAX_FLIGHTS; i++) {
        struct flight *f = &flights[(start + i) % MAX_FLIGHTS];

        if (!f->v || !may_act(f->v))
            continue;
        if (fake_copy_hook && fake_chance(5))
            flights_scribble();
        if (may_give_up && fake_chance(10))
            flight_end(f, GIVEN_UP);
        else
            flight_slice(f);
        return;
    }
}

static void scribble(struct flight *f)
{
    unsigned int k = fake_below(MAX_ELEMS), other = fake_below(MAX_BATCH);

    f->told = false;
    if (f->fn == do_mmu_update) {
        f->u.mmu[k].val = f->u.mmu[other].val;
        f->u.mmu[other].ptr = f->u.mmu[k].ptr;
    } else if (f->fn == do_mmuext_op) {
        f->u.ext[k].arg1.mfn = page_to_mfn(random_frame(f->v->domain)).n;
        f->u.ext[k].cmd = fake_chance(50) ? MMUEXT_PIN_L1_TABLE + fake_below(5) : f->u.ext[0].cmd;
    } else if (f->fn == do_memory_op) {
        f->u.mem.in[k] = page_to_mfn(random_frame(f->v->domain)).n;
        f->u.mem.out[k] = fake_below(256);
        f->u.mem.x.out.extent_order = fake_below(3);
        f->u.mem.r.extent_order = fake_below(2);
    } else if (f->fn == do_set_gdt) {
        f->u.frames[k] = page_to_mfn(random_frame(f->v->domain)).n;
    }
}

void flights_scribble(void)
{
    struct flight *f = &flights[fake_below(MAX_FLIGHTS)];

    if (f->v)
        scribble(f);
}

void intrude(void (*step)(void))
{
    struct vcpu *before = actor, *running = current;
    unsigned int cpu = smp_processor_id();

    if (busy_cpu >= 0 || book_behind || fake_locks_held || !fake_chance(3))
        return;
    busy_cpu = (int)cpu;
    tally.intrusions++;
    if (fake_chance(30))
        flights_scribble();
    moment_passes();
    step();
    moment_passes();
    busy_cpu = -1;
    actor = before;
    fake_run_on(cpu, running);
}

void flights_give_up(void)
{
    for (unsigned int i = 0; i < MAX_FLIGHTS; i++)
        if (flights[i].v)
            flight_end(&flights[i], GIVEN_UP);
}

long call_now(hypercall_fn *fn, const unsigned long arg[4])
{
    struct hcall hc = {.arg = {arg[0], arg[1], arg[2], arg[3]}};

    moment_passes();
    tally.calls++;
    for (unsigned int tries = 0; tries < MAX_TRIES; tries++) {
        long rc;

        hc.restart = false;
        stretch_point();
        rc = fn(&hc);
        if (!hc.restart)
            return rc;
        count_restart(fn, &hc);
    }
    panic("no progress in a restarted call\n");
}

long mmuext_now(unsigned int cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2};
    unsigned int done = 0;

    return call_now(do_mmuext_op, (unsigned long[4]){(unsigned long)&op, 1, (unsigned long)&done, DOMID_SELF});
}
