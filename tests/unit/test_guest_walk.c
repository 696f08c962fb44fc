// SPDX-License-Identifier: BSD-2-Clause
/*
 * The software walk of guest tables against the oracle: every combination of the bits that decide, then random tables,
 * registers, addresses and stores in all four paging modes. Both sides have a copy of guest memory; after each access
 * the results agree, and so do the copies. Replay with UMBRA_SEED; UMBRA_OPS sets the length.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/guest_walk.h>
#include "fake/fake.h"
#include "mmu_oracle.h"

#define FRAMES 48u
#define SIZE   (FRAMES * PAGE_SIZE)

static uint8_t memory_oracle[SIZE], memory_walk[SIZE];
static struct oracle_cpu oracle = {.memory = memory_oracle, .memory_size = SIZE};
static struct guest_cpu cpu;
static struct guest_paging paging;
static unsigned int meddle_percent;
static unsigned long faults, translations, retries;

/* ---- memory, for the walk ---- */

static bool mem_read(void *ctx, gpa_t at, unsigned int bytes, uint64_t *value)
{
    *value = 0;
    if (at.n + bytes > SIZE)
        return false;
    memcpy(value, memory_walk + at.n, bytes);
    return true;
}

static void poke(uint64_t at, unsigned int bytes, uint64_t value)
{
    memcpy(memory_walk + at, &value, bytes);
    memcpy(memory_oracle + at, &value, bytes);
}

/* Sometimes another processor of the guest is faster. */
static bool mem_swap(void *ctx, gpa_t at, unsigned int bytes, uint64_t old, uint64_t new)
{
    uint64_t value = 0;

    if (at.n + bytes > SIZE)
        return true; /* a store that nobody takes */
    if (meddle_percent && fake_chance(meddle_percent))
        poke(at.n, bytes, old ^ (1ull << fake_below(12)));
    memcpy(&value, memory_walk + at.n, bytes);
    if (value != old)
        return false;
    memcpy(memory_walk + at.n, &new, bytes);
    return true;
}

static const struct guest_mem mem = {.read = mem_read, .swap = mem_swap};

/* ---- one access, both ways ---- */

static void set_registers(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    oracle.cr0 = cr0;
    oracle.cr4 = cr4;
    oracle.efer = efer;
    cpu = (struct guest_cpu){.phys_bits = (uint8_t)oracle.maxphyaddr,
                             .nx = oracle.has_nx,
                             .pse36 = oracle.has_pse36,
                             .page1gb = oracle.has_1gb};
    guest_paging_set(&paging, &cpu, cr0, cr4, efer);
    paging.cr3 = oracle.cr3;
    memcpy(paging.pdpte, oracle.pdpte, sizeof(paging.pdpte));
}

static void complain(const struct guest_walk *w, const struct oracle_result *o, const char *what)
{
    fprintf(stderr, "linear %lx access %x cr0 %lx cr4 %lx efer %lx cr3 %lx phys %u\n", w->linear, w->access, oracle.cr0,
            oracle.cr4, oracle.efer, oracle.cr3, oracle.maxphyaddr);
    for (unsigned int i = paging.fmt ? paging.fmt->levels : 0; i && i >= w->level; i--)
        fprintf(stderr, "  level %u at %lx: %lx\n", i, w->slot[i].n, w->entry[i].n);
    fail_msg("%s: oracle %s %x physical %lx; walk error %x gfn %lx", what, o->faults ? "faults" : "translates",
             o->error_code, o->physical, w->error, w->gfn.n);
}

static void same_slots(const struct guest_walk *w, const struct oracle_result *o)
{
    for (unsigned int i = paging.fmt ? paging.fmt->levels : 0; i && i >= w->level; i--)
        if (paging.fmt->level[i].accessed && w->slot[i].n + 8 <= SIZE &&
            memcmp(memory_walk + w->slot[i].n, memory_oracle + w->slot[i].n, paging.fmt->entry_bytes))
            complain(w, o, "A and D bits");
}

static void access_both(uint64_t linear, enum oracle_kind kind, bool user)
{
    struct guest_walk w = {
        .linear = linear,
        .access = (kind == ORACLE_WRITE ? PFEC_W : 0) | (kind == ORACLE_FETCH ? PFEC_I : 0) | (user ? PFEC_U : 0),
        .smap_exempt = oracle.eflags_ac,
    };
    struct oracle_result o;
    enum walk_result r;

    while ((r = guest_walk(&paging, &mem, &w)) == WALK_RETRY) {
        /* What the walk had set by then stays set, as it may on a processor. */
        memcpy(memory_oracle, memory_walk, SIZE);
        retries++;
    }
    o = oracle_access(&oracle, linear, kind, user);
    if ((r == WALK_FAULT) != o.faults)
        complain(&w, &o, "outcome");
    if (o.faults && o.error_code != w.error)
        complain(&w, &o, "error code");
    if (!o.faults && o.physical >> PAGE_SHIFT != w.gfn.n)
        complain(&w, &o, "frame");
    same_slots(&w, &o);
    o.faults ? faults++ : translations++;
}

/* ---- every combination of the bits that decide ---- */

struct mode {
    const char *name;
    uint64_t cr0, cr4, efer;
    unsigned int levels, bytes;
};

#define PAGED (CR0_PE | CR0_PG)

static const struct mode modes[] = {
    {"unpaged", CR0_PE, 0, 0, 0, 4},
    {"2 levels", PAGED, 0, 0, 2, 4},
    {"2 levels, PSE", PAGED, CR4_PSE, 0, 2, 4},
    {"3 levels", PAGED, CR4_PAE, 0, 3, 8},
    {"4 levels", PAGED, CR4_PAE, EFER_LME | EFER_LMA, 4, 8},
};

/* Bits 0 to 5 of a choice: P, RW, US, PS, one that some formats reserve, NX. */
static uint64_t chosen_entry(const struct mode *m, unsigned int choice, uint64_t frame)
{
    uint64_t e = frame << PAGE_SHIFT | (choice & 7);

    if (choice & 8)
        e |= PTE_PSE;
    if (choice & 16)
        e |= m->bytes == 8 ? 1ull << 51 : 1ull << 21;
    if ((choice & 32) && m->bytes == 8)
        e |= PTE_NX;
    return e;
}

/* Tables in frames 1 to levels, all by index 0; data in frame 8 and on. */
static void all_accesses(const struct mode *m, unsigned int low, unsigned int high)
{
    for (unsigned int kind = ORACLE_READ; kind <= ORACLE_FETCH; kind++)
        for (unsigned int user = 0; user < 2; user++) {
            poke(1 * PAGE_SIZE, m->bytes, chosen_entry(m, low, 8));
            poke(2 * PAGE_SIZE, m->bytes, chosen_entry(m, high, 1));
            access_both(0x123, (enum oracle_kind)kind, user);
        }
}

static void enumerate_entries(const struct mode *m)
{
    for (unsigned int low = 0; low < 64; low++)
        for (unsigned int high = 0; high < 64; high++)
            all_accesses(m, low, high);
}

static void test_every_combination(void **state)
{
    oracle.maxphyaddr = 40;
    oracle.has_nx = oracle.has_pse36 = oracle.has_1gb = true;
    meddle_percent = 0;
    for (unsigned int k = 1; k < ARRAY_SIZE(modes); k++) {
        const struct mode *m = &modes[k];

        for (unsigned int level = 3; level <= m->levels; level++)
            poke(level * PAGE_SIZE, 8, (level - 1) << PAGE_SHIFT | 7);
        oracle.cr3 = m->levels << PAGE_SHIFT;
        oracle.pdpte[0] = 2 << PAGE_SHIFT | 1;
        for (unsigned int bits = 0; bits < 32; bits++) {
            oracle.eflags_ac = bits & 16;
            set_registers(m->cr0 | (bits & 1 ? CR0_WP : 0),
                          m->cr4 | (bits & 2 ? CR4_SMEP : 0) | (bits & 4 ? CR4_SMAP : 0),
                          m->efer | (bits & 8 ? EFER_NXE : 0));
            enumerate_entries(m);
        }
    }
}

/* ---- random ---- */

static uint64_t random_frame(void)
{
    return fake_chance(95) ? fake_below(FRAMES) : fake_rand() & ((1ull << (oracle.maxphyaddr - 12)) - 1);
}

static uint64_t random_entry(unsigned int bytes)
{
    uint64_t e = random_frame() << PAGE_SHIFT | PTE_P | PTE_RW | PTE_US;

    for (unsigned int i = fake_below(3); i; i--)
        e ^= 1ull << fake_below(13);
    if (fake_chance(10))
        e ^= PTE_PSE;
    if (fake_chance(10))
        e ^= PTE_NX;
    if (fake_chance(4))
        e ^= 1ull << fake_below(64);
    /* The address of a large page: aligned, or with one bit where there should be none. */
    if ((e & PTE_PSE) && fake_chance(70))
        e = (e & ~(PTE_ADDR & 0x3fffffff)) | (fake_chance(50) ? 1ull << (12 + fake_below(20)) : 0);
    return bytes == 8 ? e : (uint32_t)e;
}

static void random_store(const struct mode *m)
{
    unsigned int per_page = (unsigned int)PAGE_SIZE / m->bytes, i = fake_below(4);

    poke(fake_below(FRAMES) * PAGE_SIZE + (fake_chance(50) ? i : per_page - 1 - i) * m->bytes, m->bytes,
         random_entry(m->bytes));
}

static void random_registers(const struct mode *m)
{
    oracle.maxphyaddr = (unsigned int[]){32, 36, 39, 40, 46, 52}[fake_below(6)];
    oracle.has_nx = fake_chance(80);
    oracle.has_pse36 = fake_chance(70);
    oracle.has_1gb = fake_chance(50);
    oracle.eflags_ac = fake_chance(50);
    oracle.cr3 = (uint64_t)fake_below(FRAMES) << PAGE_SHIFT | (fake_chance(30) ? PTE_PWT : 0);
    for (unsigned int i = 0; i < 4; i++) {
        oracle.pdpte[i] = (random_frame() << PAGE_SHIFT) | (fake_chance(90) ? PTE_P : 0);
        if (fake_chance(3))
            oracle.pdpte[i] ^= 1ull << fake_below(64);
    }
    set_registers(m->cr0 | (fake_chance(60) ? CR0_WP : 0),
                  m->cr4 | (fake_chance(30) ? CR4_SMEP : 0) | (fake_chance(30) ? CR4_SMAP : 0),
                  m->efer | (fake_chance(70) ? EFER_NXE : 0));
}

/* Indices near both ends of the tables, as random_store fills them. */
static uint64_t random_linear(const struct mode *m)
{
    uint64_t a = fake_rand() & 0xfff;
    unsigned int bits = m->bytes == 8 ? 9 : 10, levels = m->levels ? m->levels : 2;

    for (unsigned int i = 0; i < levels; i++) {
        uint64_t index = fake_below(4);

        a |= (fake_chance(50) ? index : (1u << bits) - 1 - index) << (12 + bits * i);
    }
    return levels == 4 ? (uint64_t)((int64_t)(a << 16) >> 16) : (uint32_t)a;
}

static void test_random(void **state)
{
    unsigned long ops = fake_ops(1000000);

    fake_seed("guest_walk");
    faults = translations = retries = 0;
    for (unsigned long n = 0; n < ops; n++) {
        const struct mode *m = &modes[n / 2000 % ARRAY_SIZE(modes)];

        if (n % 2000 == 0) {
            assert_memory_equal(memory_oracle, memory_walk, SIZE);
            meddle_percent = n / 2000 % 4 == 3 ? 20 : 0;
            for (unsigned int i = 0; i < 400; i++)
                random_store(m);
        }
        if (n % 50 == 0)
            random_registers(m);
        random_store(m);
        access_both(random_linear(m), (enum oracle_kind)fake_below(3), fake_chance(50));
    }
    assert_memory_equal(memory_oracle, memory_walk, SIZE);
    assert_true(faults > ops / 10 && translations > ops / 10 && retries > 0);
    printf("%lu translations, %lu faults, %lu walks again\n", translations, faults, retries);
}

static void test_pdpte_load(void **state)
{
    struct guest_cpu c = {.phys_bits = 40};
    uint64_t roots[4] = {0x1001, 0, 0xfffull << 52, 0x2001};

    assert_true(guest_pdptes_ok(&c, roots)); /* what is not present may hold anything */
    for (unsigned int bit = 0; bit < 64; bit++) {
        bool fine = bit == 0 || bit == 3 || bit == 4 || (bit >= 9 && bit < 40);

        roots[3] = PTE_P | 1ull << bit;
        assert_int_equal(guest_pdptes_ok(&c, roots), fine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_pdpte_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
