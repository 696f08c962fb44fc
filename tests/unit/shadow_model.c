// SPDX-License-Identifier: BSD-2-Clause
/* See shadow_model.h and test_shadow.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/paging_pool.h>
#include "fake/ram.h"
#include "shadow_lend.h"
#include "shadow_log.h"
#include "shadow_tlb.h"
#include "shadow_past.h"

extern unsigned long *m2p_table;
struct domain *d;
static struct domain *other;
struct test_vcpu vcpu[VCPUS];
bool model_vtlb;
static uint8_t model[SIZE]; /* guest physical memory as it should be */
static struct guest_cpu cpu;
#define TRIES 3000u
#define ERA   10000u /* operations on one domain */
static unsigned int meddle_percent, starve_percent;
static unsigned int running = VCPUS; /* the others stay where they are */
static unsigned long starved;
static bool accessing, meddled;
static bool tidy;                /* each table is of one level */
static unsigned int entry_bytes; /* of most tables now; others make nonsense of what is in them */
static unsigned long counts[SHADOW_NOMEM + 1], unsynced, synced;
static bool change_words;
bool model_alternate;
uint32_t model_longest;

/* What frame.c wants of mm/pv. */
int pv_get_table_type(struct page_info *pg, enum page_type type)
{
    return -EINVAL;
}

void pv_put_table_type(struct page_info *pg)
{
}

bool preempt_needed(void)
{
    model_longest = MAX(model_longest, this_cpu(stretch_now).work);
    assert_in_range(this_cpu(stretch_now).work, 0, STRETCH_BOUND);
    stretch_point();
    return fake_preempt_percent && fake_chance(fake_preempt_percent);
}

/* Allocations that are refused though the pool has frames: at random, or so many from the first one on. */
static unsigned int allocations, refuse_first, refuse_times, refused;
unsigned int model_phys_bits = 40;

unsigned int model_refuse(unsigned int first, unsigned int times)
{
    unsigned int n = refused;

    allocations = refused = 0;
    refuse_first = first;
    refuse_times = times;
    return n;
}

static bool refuse(void)
{
    allocations++;
    return (allocations >= refuse_first && allocations - refuse_first < refuse_times) ||
           (starve_percent && fake_chance(starve_percent));
}

bool model_try_again(int rc)
{
    return rc == -ERESTART || (rc == -ENOMEM && (starve_percent || refuse_times));
}

struct page_info *__real_paging_pool_alloc(struct domain *domain, enum paging_use use, bool below_4g);
struct page_info *__wrap_paging_pool_alloc(struct domain *domain, enum paging_use use, bool below_4g);
struct page_info *__wrap_paging_pool_alloc(struct domain *domain, enum paging_use use, bool below_4g)
{
    if (refuse()) {
        starved++;
        refused++;
        return NULL;
    }
    return __real_paging_pool_alloc(domain, use, below_4g);
}

/* ---- memory ---- */

mfn_t model_frame(uint64_t gfn)
{
    return p2m_lookup(d, _gfn(gfn)).mfn;
}

static uint8_t *real(uint64_t at)
{
    return (uint8_t *)mfn_to_virt(model_frame(at >> PAGE_SHIFT)) + (at & (PAGE_SIZE - 1));
}

static const void *now(uint64_t at)
{
    return real(at);
}

/* Before memory changes. */
void model_will_store(uint64_t at, unsigned int bytes)
{
    past_note(at, bytes, now);
}

void model_wrote(uint64_t at, unsigned int bytes, uint64_t value)
{
    memcpy(model + at, &value, bytes);
}

/* As an emulator or a hypercall stores. */
void model_store(uint64_t at, unsigned int bytes, uint64_t value)
{
    model_will_store(at, bytes);
    stretch_begin(STRETCH_TRAP, 14);
    assert_int_equal(shadow_store(d, _gpa(at), bytes, value), 0);
    assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
    stretch_end();
    model_wrote(at, bytes, value);
}

static uint64_t table_frame(void);
static unsigned int random_index(unsigned int per_page);
static uint64_t random_entry(uint64_t table, unsigned int bytes);

/* As a guest changes an entry's rights, or takes its A or D away. */
static uint64_t changed_entry(uint64_t at, unsigned int bytes)
{
    static const uint64_t flags[] = {PTE_RW, PTE_RW, PTE_US, PTE_NX, PTE_A, PTE_D};
    uint64_t e = 0;

    memcpy(&e, real(at), bytes);
    e ^= flags[fake_below(ARRAY_SIZE(flags))];
    return fake_chance(95) ? e | PTE_P : e & ~PTE_P;
}

/* By a compare and swap, which finds what it expects or does not. */
static void swap_entry(uint64_t at, unsigned int bytes, uint64_t value)
{
    uint64_t old = fake_rand(), found;
    bool same = fake_chance(80);

    if (same)
        memcpy(&old, real(at), bytes);
    found = old;
    model_will_store(at, bytes);
    stretch_begin(STRETCH_TRAP, 14);
    assert_int_equal(shadow_swap(d, _gpa(at), bytes, &found, value), 0);
    stretch_end();
    same = !memcmp(&found, &old, bytes);
    assert_memory_equal(&found, model + at, bytes);
    if (same)
        model_wrote(at, bytes, value);
}

static void store_table(void)
{
    unsigned int bytes = fake_chance(99) ? entry_bytes : 12 - entry_bytes, way = fake_below(100);
    uint64_t gfn = table_frame(), at = (gfn << PAGE_SHIFT) + random_index((unsigned int)PAGE_SIZE / bytes) * bytes;
    uint64_t value = fake_chance(30) ? changed_entry(at, bytes) : random_entry(gfn, bytes);

    if (way < 80)
        model_store(at, bytes, value);
    else if (way < 90)
        swap_entry(at, bytes, value);
    else if (way < 95)
        model_store(at, bytes / 2, value); /* one half, then the other */
    else
        model_store(MIN(at + fake_below(bytes), (gfn << PAGE_SHIFT) + PAGE_SIZE - bytes), bytes, value);
    if (way >= 90 && way < 95)
        model_store(at + bytes / 2, bytes / 2, value >> (4 * bytes));
    model_look_at_table(gfn);
}

/* The first entries of a table, by a hypercall. */
static void overwrite_table(void)
{
    uint8_t bytes[64];
    uint64_t gfn = table_frame();

    for (unsigned int i = 0; i < sizeof(bytes); i += entry_bytes) {
        uint64_t e = random_entry(gfn, entry_bytes);

        memcpy(bytes + i, &e, entry_bytes);
    }
    model_overwrite(gfn << PAGE_SHIFT, 1 + fake_below(sizeof(bytes)), bytes);
}

static bool same_memory(unsigned int first, unsigned int n)
{
    for (unsigned int f = first; f < first + n; f++)
        if (memcmp(model + f * PAGE_SIZE, real(f * PAGE_SIZE), PAGE_SIZE))
            return false;
    return true;
}

/* What differs goes on differing, unless it is taken over. */
static void check_tables(void)
{
    static unsigned int turn;

    if (meddle_percent || ++turn % 8 == 0)
        assert_true(same_memory(0, TABLES) && same_memory(SMALL, LARGE_TABLES));
}

void model_take_over(void)
{
    for (unsigned int f = 0; f < FRAMES; f++)
        memcpy(model + f * PAGE_SIZE, real(f * PAGE_SIZE), PAGE_SIZE);
}

/* ---- random things ---- */

struct mode {
    uint64_t cr0, cr4, efer;
    unsigned int levels, bytes;
};
#define PAGED (CR0_PE | CR0_PG)
static const struct mode modes[] = {
    {PAGED, CR4_PAE, EFER_LME | EFER_LMA, 4, 8},
    {PAGED, CR4_PAE, 0, 3, 8},
    {PAGED, CR4_PSE, 0, 2, 4},
    {PAGED, 0, 0, 2, 4},
    {CR0_PE, 0, 0, 0, 4},
};

static uint64_t nth_table(unsigned int n)
{
    return n < TABLES ? n : SMALL + n - TABLES;
}

static uint64_t table_frame(void)
{
    return nth_table(fake_below(TABLES + LARGE_TABLES));
}

/* A tidy guest has tables of one level each, by their numbers: of level n those from first[n - 1] to first[n]. */
static const unsigned int first_of_level[] = {0, 6, 10, 12, TABLES + LARGE_TABLES};

static uint64_t table_of_level(unsigned int level)
{
    unsigned int first = first_of_level[level - 1];

    return nth_table(first + fake_below(first_of_level[level] - first));
}

/* 0: it is no table. */
static unsigned int level_of(uint64_t gfn)
{
    unsigned int level = GUEST_LEVELS, n = (unsigned int)(gfn < TABLES ? gfn : gfn - SMALL + TABLES);

    if (gfn >= TABLES && (gfn < SMALL || gfn >= SMALL + LARGE_TABLES))
        return 0;
    while (n < first_of_level[level - 1])
        level--;
    return level;
}

static uint64_t some_frame(void)
{
    unsigned int p = fake_below(100);

    if (p < 60)
        return table_frame();
    return p < 97 ? fake_below(FRAMES) : FRAMES + fake_below(64);
}

static uint64_t random_entry(uint64_t table, unsigned int bytes)
{
    unsigned int level = tidy ? level_of(table) : 0;
    uint64_t e = (level > 1 ? table_of_level(level - 1) : some_frame()) << PAGE_SHIFT | PTE_P | PTE_RW | PTE_US;

    if (fake_chance(tidy ? 90 : 60))
        e |= PTE_A | PTE_D;
    if (level > 1 && fake_chance(95))
        return bytes == 8 ? e : (uint32_t)e;
    if (fake_chance(12))
        e ^= 1ull << fake_below(13);
    if (fake_chance(6))
        e ^= PTE_PSE;
    if (fake_chance(3))
        e ^= PTE_NX;
    if (fake_chance(1))
        e ^= 1ull << fake_below(64);
    if ((e & PTE_PSE) && fake_chance(80))
        e &= ~(PTE_ADDR & 0x1fffff);
    return bytes == 8 ? e : (uint32_t)e;
}

/* Where entries are that random_linear uses. */
static unsigned int random_index(unsigned int per_page)
{
    unsigned int i = fake_below(4);

    return fake_chance(50) ? i : per_page - 1 - i;
}

static uint64_t random_linear(const struct mode *m)
{
    uint64_t a = fake_rand() & 0xfff;
    unsigned int bits = m->bytes == 8 ? 9 : 10;

    if (!m->levels)
        return fake_chance(95) ? fake_rand() % SIZE : (uint32_t)fake_rand();
    for (unsigned int i = 0; i < m->levels; i++)
        a |= (uint64_t)random_index(1u << bits) << (12 + bits * i);
    return m->levels == 4 ? (uint64_t)((int64_t)(a << 16) >> 16) : (uint32_t)a;
}

static const struct mode *mode_of(const struct test_vcpu *t)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++)
        if (!((t->guest.cr0 ^ modes[i].cr0) & CR0_PG) && !((t->guest.cr4 ^ modes[i].cr4) & (CR4_PAE | CR4_PSE)) &&
            !((t->guest.efer ^ modes[i].efer) & EFER_LMA))
            return &modes[i];
    fail();
    return NULL;
}

unsigned int model_levels(const struct test_vcpu *t)
{
    return mode_of(t)->levels;
}

uint64_t model_linear(const struct test_vcpu *t)
{
    return random_linear(mode_of(t));
}

bool model_is_table(uint64_t gfn)
{
    return level_of(gfn);
}

/* ---- registers ---- */

void model_load(struct test_vcpu *t)
{
    int rc;

    guest_paging_set(&t->v.paging, &cpu, t->guest.cr0, t->guest.cr4, t->guest.efer);
    t->v.paging.cr3 = t->guest.cr3;
    memcpy(t->v.paging.pdpte, t->guest.pdpte, sizeof(t->guest.pdpte));
    do {
        stretch_begin(STRETCH_TRAP, 0);
        rc = shadow_set_paging(&t->v);
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
    } while (model_try_again(rc));
    assert_int_equal(rc, 0);
    past_flushed(t);
    tlb_load(t);
}

static uint64_t random_root(const struct mode *m)
{
    if (!fake_chance(98))
        return FRAMES + 5;
    return tidy && m->levels ? table_of_level(m->levels) : table_frame();
}

static void random_registers(struct test_vcpu *t)
{
    const struct mode *m;

    if (fake_chance(50)) { /* the TLB is flushed, no more */
        if (fake_chance(50))
            model_load(t);
        else
            model_invlpg(t, random_linear(mode_of(t)));
        return;
    }
    do
        m = fake_chance(30) ? mode_of(t) : &modes[fake_below(ARRAY_SIZE(modes))];
    while (m->bytes != entry_bytes && !fake_chance(5));

    t->guest.eflags_ac = fake_chance(50);
    t->guest.cr0 = m->cr0 | (fake_chance(60) ? CR0_WP : 0);
    t->guest.cr4 = m->cr4 | (fake_chance(30) ? CR4_SMEP : 0) | (fake_chance(15) ? CR4_SMAP : 0);
    t->guest.efer = m->efer | (fake_chance(80) ? EFER_NXE : 0);
    t->guest.cr3 = random_root(m) << PAGE_SHIFT | (fake_chance(10) ? PTE_PWT : 0);
    for (unsigned int i = 0; i < 4; i++) {
        t->guest.pdpte[i] = ((tidy ? table_of_level(2) : some_frame()) << PAGE_SHIFT) | (fake_chance(90) ? PTE_P : 0);
        if (fake_chance(2))
            t->guest.pdpte[i] ^= 1ull << fake_below(64);
    }
    model_load(t);
}

unsigned long model_locks;

/* ---- one access ---- */

static void complain(const struct test_vcpu *t, const struct access *a, const struct oracle_result *o)
{
    fprintf(stderr, "cr0 %lx cr4 %lx efer %lx cr3 %lx\n", t->guest.cr0, t->guest.cr4, t->guest.efer, t->guest.cr3);
    fail_msg("linear %lx kind %u user %u: result %u at %lx error %x after %u faults; oracle %s %x at %lx, frame %lx",
             a->linear, a->kind, a->user, a->result, a->at, a->error, a->tries, o->faults ? "faults" : "translates",
             o->error_code, o->physical, o->faults ? 0 : model_frame(o->physical >> PAGE_SHIFT).n);
}

static struct oracle_result hardware(struct test_vcpu *t, const struct access *a)
{
    t->hw.memory = (uint8_t *)mfn_to_virt(_mfn(RAM_START)) - RAM_START * PAGE_SIZE;
    t->hw.memory_size = RAM_END * PAGE_SIZE;
    t->hw.maxphyaddr = 52;
    t->hw.has_nx = true;
    t->hw.cr3 = shadow_root(&t->v).n;
    if (!(t->hw.efer & EFER_LMA)) {
        assert_true(t->hw.cr3 < 1ull << 32);
        memcpy(t->hw.pdpte, t->hw.memory + t->hw.cr3, sizeof(t->hw.pdpte));
    }
    return oracle_access(&t->hw, a->linear, a->kind, a->user);
}

void model_run(struct test_vcpu *t, struct access *a)
{
    struct shadow_fault f = {.linear = a->linear, .smap_exempt = t->guest.eflags_ac};

    f.access = (a->kind == ORACLE_WRITE ? PFEC_W : 0) | (a->kind == ORACLE_FETCH ? PFEC_I : 0) | (a->user ? PFEC_U : 0);
    do {
        struct oracle_result h = hardware(t, a);

        if (!h.faults) {
            a->at = h.physical;
            a->result = SHADOW_FIXED;
            return;
        }
        stretch_begin(STRETCH_TRAP, 14);
        a->result = shadow_fault(&t->v, &f);
        if (this_cpu(stretch_now).work > STRETCH_BOUND)
            fail_msg("%u units in a fault", this_cpu(stretch_now).work);
        stretch_end();
        counts[a->result]++;
        if (a->result == SHADOW_NOMEM && model_try_again(-ENOMEM))
            a->result = SHADOW_FIXED; /* what was refused is there the next time */
        if (++a->tries > TRIES)
            fail_msg("no end: linear %lx kind %u user %u", a->linear, a->kind, a->user);
    } while (a->result == SHADOW_FIXED);
    a->at = f.gpa.n;
    a->error = f.error;
}

static void check_walk(struct test_vcpu *t, const struct access *a)
{
    struct oracle_result o = oracle_access(&t->guest, a->linear, a->kind, a->user);
    enum p2m_type type = o.faults ? P2M_MMIO_DM : p2m_lookup(d, _gfn(o.physical >> PAGE_SHIFT)).type;
    bool fine = false;

    switch (a->result) {
    case SHADOW_FIXED:
        fine = !o.faults && !p2m_refuses(type, false, a->kind == ORACLE_FETCH) &&
               model_frame(o.physical >> PAGE_SHIFT).n == a->at >> PAGE_SHIFT && (a->at ^ o.physical) % PAGE_SIZE == 0;
        if (a->kind == ORACLE_WRITE)
            fine = fine && lend_may_store(_mfn(a->at >> PAGE_SHIFT));
        if (a->tries && !past_on_tlb(t)) /* the last fault made a way to old entries, and no more than that */
            fine = fine || past_had(t, a);
        break;
    case SHADOW_REFLECT:
        fine = o.faults && o.error_code == a->error;
        break;
    case SHADOW_EMULATE:
        fine = a->kind == ORACLE_WRITE && !o.faults && o.physical == a->at;
        break;
    case SHADOW_MMIO:
        fine = !o.faults && o.physical == a->at && p2m_refuses(type, a->kind == ORACLE_WRITE, a->kind == ORACLE_FETCH);
        break;
    case SHADOW_NOMEM:
        break;
    }
    if (!fine)
        complain(t, a, &o);
}

void model_check(struct test_vcpu *t, const struct access *a)
{
    /* A vtlb has what its walk found. */
    bool at_once = a->result == SHADOW_FIXED && (!a->tries || (meddled && past_on_tlb(t)));

    if (!at_once || !past_had(t, a))
        check_walk(t, a);
}

/* What the access is for. Entries of tables now and then, to be found by random_linear. */
static void do_store(struct test_vcpu *t, const struct access *a)
{
    unsigned int bytes = mode_of(t)->bytes;
    uint64_t gfn = a->result == SHADOW_FIXED ? lend_gfn_of(_mfn(a->at >> PAGE_SHIFT)) : a->at >> PAGE_SHIFT;
    uint64_t value = fake_chance(95) ? random_entry(gfn, bytes) : 0, at = a->at;

    if (fake_chance(5)) /* across entries */
        at = (at & ~(PAGE_SIZE - 1)) + fake_below((unsigned int)PAGE_SIZE - 8);
    else
        at = (at & ~(PAGE_SIZE - 1)) + random_index((unsigned int)PAGE_SIZE / bytes) * bytes;
    if (a->result == SHADOW_EMULATE) {
        if (!fake_chance(30) || !insn_store(t, a, (a->linear & ~(PAGE_SIZE - 1)) + at % PAGE_SIZE, value))
            model_store(at, bytes, value);
    } else if (a->result == SHADOW_FIXED) {
        model_will_store((gfn << PAGE_SHIFT) + at % PAGE_SIZE, bytes);
        memcpy(model + (gfn << PAGE_SHIFT) + at % PAGE_SIZE, &value, bytes);
        memcpy(real((gfn << PAGE_SHIFT) + at % PAGE_SIZE), &value, bytes);
    }
}

static void access_once(struct test_vcpu *t)
{
    struct access a = {.linear = past_linear(t), .user = fake_chance(30)};

    a.kind = fake_chance(50) ? ORACLE_WRITE : fake_chance(50) ? ORACLE_READ : ORACLE_FETCH;

    meddled = false;
    accessing = true;
    model_run(t, &a);
    accessing = false;
    if (meddled)
        model_take_over();
    if (!meddled || a.result == SHADOW_FIXED) /* else it may have been done by what stood there before */
        model_check(t, &a);
    if (a.result == SHADOW_FIXED) {
        lend_accesses += lend_has(lend_gfn_of(_mfn(a.at >> PAGE_SHIFT)));
        tlb_remember(t, &a);
    }
    check_tables();
    if (a.kind == ORACLE_WRITE && a.at < SIZE && a.result == SHADOW_EMULATE)
        do_store(t, &a);
    if (a.kind == ORACLE_WRITE && a.result == SHADOW_FIXED)
        do_store(t, &a);
    model_look_at_way(t, a.linear);
}

/* Between a walk and the lock another vCPU stores to a table. */
void __real_paging_lock(struct domain *domain);
void __wrap_paging_lock(struct domain *domain);
void __wrap_paging_lock(struct domain *domain)
{
    static bool inside;

    if (accessing && !inside && fake_chance(meddle_percent)) {
        uint64_t at = (table_frame() << PAGE_SHIFT) + random_index(512) * 8;
        uint64_t value = random_entry(at >> PAGE_SHIFT, 8);

        inside = meddled = true;
        model_will_store(at, 8);
        assert_int_equal(shadow_store(domain, _gpa(at), 8, value), 0);
        inside = false;
    }
    __real_paging_lock(domain);
    model_locks++;
}

/* ---- the other side ---- */

/* A guest frame gets another machine frame, or another domain's, or writes to it are to be noted, or no more. */
static void change_p2m(void)
{
    uint64_t gfn = fake_chance(50) ? table_frame() : fake_below(FRAMES);

    if (fake_chance(25))
        lend_or_return(gfn, level_of(gfn));
    else if (fake_chance(50) && !lend_has(gfn))
        model_retype(gfn, p2m_lookup(d, _gfn(gfn)).type == P2M_RAM_RW ? P2M_LOGDIRTY : P2M_RAM_RW);
    else
        model_replace(gfn);
}

/* A store through what a TLB still knows goes where it always went. */
static bool use_tlb(struct test_vcpu *t)
{
    struct access a;

    for (unsigned int i = 0; i < 4 * TLB_SIZE; i++)
        if (tlb_writable(&a)) {
            do_store(t, &a);
            return true;
        }
    return false;
}

/* Its shadows are a TLB of its own until it flushes, and a table is none any more. */
static void stand_apart(struct test_vcpu *t)
{
    const struct cpu_user_regs here = {.rip = 1};

    for (unsigned int i = 0; i < 2; i++)
        model_give_up(t, &here, table_frame() << PAGE_SHIFT);
    assert_true(t->v.apart);
}

/* One of the operations that come seldom; most change anything, so all is audited. */
static void rare_step(struct test_vcpu *t)
{
    unsigned int percent = fake_below(100);

    if (change_words)
        model_words(true, fake_chance(50));
    if (percent < 50)
        change_p2m();
    else if (percent < 55)
        model_blow();
    else if (percent < 65)
        stand_apart(t);
    else if (percent < 67)
        overwrite_table();
    else if (percent < 85)
        tlb_move(t);
    else
        tlb_forget(t);
    if (percent < 67)
        assert_int_equal(model_audit(), 0);
}

/* One operation and its checks; false: there was nothing to do. */
static bool step(void)
{
    struct test_vcpu *t = &vcpu[fake_below(running)];
    unsigned int percent = fake_below(100);
    bool done = true;

    tlb_run_somewhere(t);
    if (past_is_long(t))
        model_load(t);
    if (percent < 70)
        access_once(t);
    else if (percent < 77)
        done = use_tlb(t);
    else if (percent < 80)
        done = tlb_walk_on();
    else if (percent < 93)
        store_table();
    else if (percent < 98)
        random_registers(t);
    else
        rare_step(t);
    log_step();
    model_look_on();
    tlb_check();
    return done;
}

/* ---- a domain ---- */

void model_begin(unsigned long pool)
{
    struct page_info *pg;

    ram_init();
    fake_tlb_reset();
    fake_preempt_percent = 0;
    for (uint64_t i = 0; i < RAM_END; i++)
        m2p_table[i] = INVALID_M2P_ENTRY;
    d = fake_domain(1, false, VCPUS, 0);
    other = fake_domain(2, false, 1, VCPUS);
    d->max_pages = 4000;
    fake_run_on(0, d->vcpu[0]);
    assert_int_equal(heap_free_pages(), RAM_FRAMES);
    assert_int_equal(paging_pool_init(d), 0);
    stretch_point();
    while (paging_pool_resize(d, pool) == -ERESTART)
        stretch_point();
    assert_int_equal(p2m_init(d), 0);
    cpu = (struct guest_cpu){.phys_bits = model_phys_bits, .nx = true, .pse36 = true, .page1gb = true};
    assert_int_equal(shadow_init(d, &cpu), 0);
    d->shadow->vtlb = model_vtlb;
    for (unsigned int i = 0; i < SMALL; i++)
        assert_int_equal(p2m_place(d, _gfn(i), alloc_domain_pages(d, 0, 0), 0), 0);
    pg = alloc_domain_pages(d, 9, 0);
    assert_int_equal(p2m_place(d, _gfn(SMALL), pg, 9), 0);
    assert_int_equal(p2m_lookup(d, _gfn(SMALL + 7)).order, 9);
    for (unsigned int i = 0; i < FRAMES; i++)
        memset(real(i * PAGE_SIZE), 0, PAGE_SIZE);
    memset(model, 0, SIZE);
    tlb_begin();
    past_begin();
    lend_begin(other);
    for (unsigned int i = 0; i < VCPUS; i++) {
        vcpu[i] = (struct test_vcpu){.cpu = i, .v = {.s = d->shadow}};
        vcpu[i].guest =
            (struct oracle_cpu){.maxphyaddr = model_phys_bits, .has_nx = true, .has_pse36 = true, .has_1gb = true};
        vcpu[i].guest.cr0 = CR0_PE;
        vcpu[i].guest.memory = model;
        vcpu[i].guest.memory_size = SIZE;
        vcpu[i].guest.hidden = lend_hides;
        model_load(&vcpu[i]);
    }
}

void model_end(void)
{
    unsynced += d->shadow->count.unsynced;
    synced += d->shadow->count.synced;
    assert_int_equal(model_audit(), 0);
    for (unsigned int what = 0; what < WORKS; what++)
        assert_int_equal(d->shadow->count.work.n[what][STRETCH_SIZES - 1], 0);
    assert_true(same_memory(0, FRAMES));
    for (unsigned int i = 0; i < VCPUS; i++)
        shadow_drop_root(&vcpu[i].v);
    model_free();
}

void model_free(void)
{
    stretch_point();
    while (shadow_relinquish(d) == -ERESTART)
        stretch_point();
    assert_int_equal(d->paging_pool->used[PAGING_SHADOW], 0);
    d->dying = DOM_DYING;
    while (p2m_relinquish(d) == -ERESTART)
        stretch_point();
    while (paging_pool_relinquish(d) == -ERESTART)
        stretch_point();
    p2m_destroy(d);
    paging_pool_destroy(d);
    lend_end();
    assert_int_equal(heap_free_pages(), RAM_FRAMES);
    assert_int_equal(fake_locks_held, 0);
    fake_domain_free(d);
    fake_domain_free(other);
}

/* Another domain: with another pool, number of vCPUs, size of entries, and with other disturbances. */
static void begin_era(unsigned long era, unsigned int stores)
{
    if (model_alternate)
        model_vtlb = era % 7 == 6;
    change_words = model_alternate && era % 5 == 4;                                /* now and then */
    model_words(model_alternate && era % 5 == 1, model_alternate && era % 4 == 3); /* every fifth without some */
    model_begin(era % 2 ? 60 : 400);
    log_begin();
    running = 1 + (unsigned int)(era / 3 + 2) % VCPUS;
    meddle_percent = era % 3 == 2 ? 5 : 0;
    starve_percent = era % 5 == 3 ? 10 : 0;
    entry_bytes = era % 3 == 1 ? 4 : 8;
    tidy = era % 4 >= 2;
    for (unsigned int i = 0; i < stores; i++)
        store_table();
}

static void end_era(void)
{
    meddle_percent = starve_percent = 0;
    log_end();
    model_end();
    model_words(false, false);
}

void model_random(unsigned long ops)
{
    memset(counts, 0, sizeof(counts));
    memset(insn_results, 0, sizeof(insn_results));
    tlb_stores = tlb_flushes = tlb_found = lend_accesses = unsynced = synced = past_invlpgs = past_old = 0;
    for (unsigned long n = 0, done = 0; done < ops; n++) {
        if (n % ERA == 0) {
            if (n)
                end_era();
            begin_era(n / ERA, 6000);
        }
        done += step();
        if (n % 64 == 0)
            assert_int_equal(model_audit(), 0);
    }
    end_era();
    model_vtlb &= !model_alternate;
    printf("%lu operations: %lu fixed, %lu reflected, %lu emulated, %lu devices, %lu stores by TLBs, %lu flushes, "
           "%lu allocations failed, %lu tables out of sync, %lu entries synced, %lu of INVLPG, %lu old translations, "
           "%lu instructions done, %lu given up, %lu accesses to borrowed memory, %lu kept by TLBs through loads\n",
           ops, counts[SHADOW_FIXED], counts[SHADOW_REFLECT], counts[SHADOW_EMULATE], counts[SHADOW_MMIO], tlb_stores,
           tlb_flushes, starved, unsynced, synced, past_invlpgs, past_old, insn_results[EMULATE_DONE],
           insn_results[EMULATE_UNHANDLED], lend_accesses, tlb_found);
    log_tell(ops);
    assert_true(counts[SHADOW_REFLECT] > ops / 20);
    assert_true(model_vtlb || (counts[SHADOW_EMULATE] > ops / 50 && tlb_stores > ops / 100));
    if (ops >= 2 * 6 * ERA) /* two guests of each kind */
        assert_true(past_old > ops / 10000 && past_invlpgs > ops / 1000 && lend_accesses > ops / 10000 &&
                    tlb_found > ops / 50000 &&
                    (model_vtlb || (unsynced > ops / 1000 && insn_results[EMULATE_DONE] > ops / 2000)));
}

void model_bytes(const uint8_t *bytes, size_t n)
{
    if (!n)
        return;
    fake_feed(NULL, 0);
    begin_era(bytes[0], 300);
    fake_feed(bytes + 1, n - 1);
    while (fake_fed())
        (void)step();
    end_era();
}
