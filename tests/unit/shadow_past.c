// SPDX-License-Identifier: BSD-2-Clause
/* See shadow_past.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "shadow_lend.h"
#include "shadow_past.h"
#include "shadow_tlb.h"

#define PAST    4096u /* stores that are remembered */
#define DEPTH   4u    /* entries on a way */
#define VALUES  16u   /* of one entry that are tried: the latest ones */
#define INVLPGS 8u    /* that are remembered of each vCPU */

static struct {
    uint64_t at, value; /* 8 bytes, aligned, before the store */
} past[PAST];
unsigned long past_old, past_invlpgs;
static unsigned long stores, flushed[VCPUS];
static struct {
    uint64_t page; /* linear */
    unsigned long stores;
} flushed_page[VCPUS][INVLPGS];
static unsigned int invlpgs;

/* Does a value count that stood there before? */
typedef bool past_may_fn(uint64_t at);

/* One way out of all that there are: which value of each entry, of how many. */
struct choice {
    unsigned long since;
    past_may_fn *may_be_old;
    unsigned int depth, value[DEPTH], values[DEPTH];
};

void past_begin(void)
{
    stores = 0;
    memset(flushed, 0, sizeof(flushed));
    memset(flushed_page, 0, sizeof(flushed_page));
}

static void note(uint64_t at, const void *now)
{
    past[stores % PAST].at = at;
    memcpy(&past[stores % PAST].value, now, 8);
    stores++;
}

void past_note(uint64_t at, unsigned int bytes, const void *(*now)(uint64_t at))
{
    uint64_t first = at & ~7ull, last = (at + bytes - 1) & ~7ull;

    note(first, now(first));
    if (last != first)
        note(last, now(last));
}

void past_flushed(const struct test_vcpu *t)
{
    flushed[t - vcpu] = stores;
}

void past_invlpg(const struct test_vcpu *t, uint64_t linear)
{
    flushed_page[t - vcpu][invlpgs].page = linear >> PAGE_SHIFT;
    flushed_page[t - vcpu][invlpgs].stores = stores;
    invlpgs = (invlpgs + 1) % INVLPGS;
}

static struct {
    uint64_t linear;
    unsigned int levels; /* of the tables that it was used with */
} last_invlpg[VCPUS];

void model_invlpg(struct test_vcpu *t, uint64_t linear)
{
    bool done;

    stretch_begin(STRETCH_TRAP, 0);
    done = shadow_invlpg(&t->v, linear);
    assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
    stretch_end();
    last_invlpg[t - vcpu].linear = linear;
    last_invlpg[t - vcpu].levels = model_levels(t);
    past_invlpgs += done;
    if (!done) {
        model_load(t);
        return;
    }
    past_invlpg(t, linear);
    tlb_forget_page(t, linear);
}

/* Where INVLPG was about, or elsewhere in the same table. */
uint64_t past_linear(const struct test_vcpu *t)
{
    uint64_t linear = model_linear(t), last = last_invlpg[t - vcpu].linear, far = PT_ENTRIES * PAGE_SIZE - 1;

    if (last_invlpg[t - vcpu].levels != model_levels(t) || !fake_chance(20))
        return linear;
    return fake_chance(50) ? last : (last & ~far) | (linear & far);
}

/* Since when the vCPU has to see stores to what translates the address. */
static unsigned long since(const struct test_vcpu *t, uint64_t linear)
{
    unsigned long n = flushed[t - vcpu];

    for (unsigned int i = 0; i < INVLPGS; i++)
        if (flushed_page[t - vcpu][i].page == linear >> PAGE_SHIFT)
            n = MAX(n, flushed_page[t - vcpu][i].stores);
    return n;
}

bool past_is_long(const struct test_vcpu *t)
{
    return stores - flushed[t - vcpu] > PAST / 2;
}

/* Values of an entry since then, the latest first; the number of them. */
static unsigned int values_of(uint64_t at, unsigned int size, uint64_t now, unsigned long since, uint64_t *value)
{
    unsigned int n = 1;

    value[0] = now;
    for (unsigned long i = stores; i > since && n < VALUES; i--) {
        uint64_t old = 0;

        if (past[(i - 1) % PAST].at != (at & ~7ull))
            continue;
        memcpy(&old, (const uint8_t *)&past[(i - 1) % PAST].value + at % 8, size);
        if (old != value[n - 1])
            value[n++] = old;
    }
    return n;
}

static uint64_t recall(void *ctx, uint64_t at, unsigned int size, uint64_t now)
{
    struct choice *c = ctx;
    unsigned int depth = c->depth++;
    uint64_t value[VALUES];

    assert_in_range(depth, 0, DEPTH - 1);
    value[0] = now;
    c->values[depth] = c->may_be_old(at) ? values_of(at, size, now, c->since, value) : 1;
    return value[c->value[depth]];
}

/* The next one, or false. */
static bool other_choice(struct choice *c)
{
    while (c->depth--) {
        if (++c->value[c->depth] < c->values[c->depth])
            return true;
        c->value[c->depth] = 0;
    }
    return false;
}

static bool explains(const struct test_vcpu *t, const struct access *a, uint64_t physical, past_may_fn *may_be_old)
{
    struct oracle_cpu cpu = t->guest;
    struct choice c = {.since = since(t, a->linear), .may_be_old = may_be_old};
    bool tried = false;

    cpu.recall = recall;
    cpu.recall_ctx = &c;
    do {
        struct oracle_result o;

        c.depth = 0;
        o = oracle_access(&cpu, a->linear, a->kind, a->user);
        if (!o.faults && o.physical == physical) {
            past_old += tried;
            return true;
        }
        tried = true;
    } while (other_choice(&c));
    return false;
}

static bool in_memory(uint64_t at)
{
    return at < SIZE;
}

/* Is it in a table that stores go to without an exit? */
static bool out_of_sync(uint64_t at)
{
    return at < SIZE && is_unsynced(d->shadow, model_frame(at >> PAGE_SHIFT));
}

bool past_on_tlb(const struct test_vcpu *t)
{
    return is_tlb(t->v.root);
}

bool past_had(const struct test_vcpu *t, const struct access *a)
{
    past_may_fn *old = past_on_tlb(t) ? in_memory : out_of_sync;
    uint64_t gfn = lend_gfn_of(_mfn(a->at >> PAGE_SHIFT));

    return gfn < FRAMES && explains(t, a, (gfn << PAGE_SHIFT) + a->at % PAGE_SIZE, old) &&
           (a->kind != ORACLE_WRITE || lend_may_store(_mfn(a->at >> PAGE_SHIFT)));
}
