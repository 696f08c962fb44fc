// SPDX-License-Identifier: BSD-2-Clause
/*
 * From a seed to a call: a row of calls.def by its weight, an argument for each of its fields, and the structures they
 * point to, which are laid out in a buffer, stored in one piece, and may be anywhere: in memory of the vCPU's own, at
 * the end of it, in a page that the other vCPU fills at the same time, or where there is none.
 */
#define __XEN_TOOLS__ 1
#include "draw.h"

#include <xen/xen.h>

#include <xen/arch-x86/xen-mca.h>
#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

/* Names of what has none in the headers. */
#define __HYPERVISOR_umbra_op    __HYPERVISOR_arch_7
#define __HYPERVISOR_store_grant 0
#define __HYPERVISOR_store_word  0
#define __HYPERVISOR_no_call     0

#define FUZZ_ANY   0xffffffffu /* in place of a sub-operation: any but those that are dangerous */
#define NO_SUB     0xfffffffeu
#define MAX_FIELDS 44u
#define MAX_LIST   64u
#define MAX_DEPTH  2u
#define NO_HANDLE  0xfffffff0u
/* Of a handle behind the address that it is for, in what maps a grant. */
#define HANDLE_OFFSET 20u

#define L                  0
#define F(bits, k)         {(bits) / 8, K_##k, 1, 0},
#define FP(bits, k, par)   {(bits) / 8, K_##k, 1, par},
#define FN(times, bits, k) {(bits) / 8, K_##k, times, 0},
#define A(k)               {0, K_##k, 1, 0},
#define AP(k, par)         {0, K_##k, 1, par},
#define PTR(shape)         {0, K_LIST, 1, SHAPE_##shape},

enum {
#define SHAPE(name, type, ...) SHAPE_##name,
#include "shapes.def"
#undef SHAPE
    NR_SHAPES
};

/* A field of no times ends it. */
#define SHAPE(name, type, ...) static const struct field shape_##name[] = {__VA_ARGS__{0, 0, 0, 0}};
#include "shapes.def"
#undef SHAPE

static const struct field *const shapes[NR_SHAPES] = {
#define SHAPE(name, type, ...) [SHAPE_##name] = shape_##name,
#include "shapes.def"
#undef SHAPE
};

struct row {
    const char *name;
    uint32_t sub;
    uint8_t nr, weight;
    uint16_t flags;
    struct field arg[FUZZ_ARGS];
};

static const struct row rows[] = {
#define CALL(hypercall, sub, weight, flags, ...) {#sub, sub, __HYPERVISOR_##hypercall, weight, flags, {__VA_ARGS__}},
#define CALL0(hypercall, weight, flags, ...) \
    {#hypercall, NO_SUB, __HYPERVISOR_##hypercall, weight, flags, {__VA_ARGS__}},
#define LEFT_OUT(sub, why)
#include "calls.def"
#undef CALL
#undef CALL0
#undef LEFT_OUT
};
#define NR_ROWS ((unsigned int)ARRAY_SIZE_(rows))

static void make_row(struct draw *d, const struct row *r, uint64_t *arg);

/* ---- layout ---- */

static unsigned int width_of(const struct draw *d, const struct field *f)
{
    return f->bytes ? f->bytes : d->c->narrow ? 4 : 8;
}

/* i386 aligns 64 bits as it does 32. */
static unsigned int align_of(const struct draw *d, const struct field *f)
{
    unsigned int width = width_of(d, f);

    return d->c->narrow && width == 8 ? 4 : width;
}

static unsigned int round_up(unsigned int at, unsigned int align)
{
    return (at + align - 1) & ~(align - 1);
}

static unsigned int size_of(const struct draw *d, unsigned int shape)
{
    unsigned int at = 0, most = 1;

    for (const struct field *f = shapes[shape]; f->times; f++) {
        unsigned int align = align_of(d, f);

        most = align > most ? align : most;
        at = round_up(at, align) + (f->kind == K_ALIGN ? 0 : f->times * width_of(d, f));
    }
    return round_up(at, most);
}

/* What lies beyond the end is lost. */
static void put(struct draw *d, uint32_t at, uint64_t value, unsigned int width)
{
    if (at + width > d->limit)
        return;
    if (at + width > d->v->end)
        d->v->end = at + width;
    for (unsigned int i = 0; i < width; i++)
        d->v->stage[at + i] = (uint8_t)(value >> 8 * i);
}

static uint32_t reserve(struct draw *d, uint32_t bytes)
{
    uint32_t at = round_up(d->used, 8);

    d->used = at + bytes;
    return at;
}

/* ---- structures ---- */

static uint64_t number_of_elements(struct draw *d)
{
    uint32_t r = below(d, 100), more = below(d, MAX_LIST);

    if (r < 60)
        return 1;
    if (r < 85)
        return 2 + more % 3;
    return r < 90 ? 0 : r < 97 ? more % 20 : more;
}

static void fill(struct draw *d, unsigned int shape, uint32_t at);

static uint64_t list_at(struct draw *d, unsigned int shape, unsigned int n)
{
    unsigned int size = size_of(d, shape);
    uint32_t at = reserve(d, n * size);

    for (unsigned int i = 0; i < n && at + i * size < d->limit; i++)
        fill(d, shape, at + i * size);
    return d->base + at;
}

/* A pointer inside a structure. */
static uint64_t pointer(struct draw *d, const struct field *f)
{
    uint32_t nr = d->nr;
    uint64_t to;

    if (chance(d, 6))
        return fuzz_value(d, K_VA, 0);
    to = list_at(d, f->par, f->kind == K_ONE ? 1 : nr);
    d->nr = nr;
    return to;
}

/* Something worth remembering will be here, if it is another value then. */
static uint64_t note(struct draw *d, uint32_t at, unsigned int width, enum fuzz_ring ring, uint64_t was)
{
    struct fuzz_call *c = d->c;

    if (c->outs == FUZZ_OUTS || at + width > d->limit)
        return was;
    c->out[c->outs].at = d->base + at;
    c->out[c->outs].was = was & (~0ull >> (64 - 8 * width));
    c->out[c->outs].width = (uint8_t)width;
    c->out[c->outs++].ring = (uint8_t)ring;
    return was;
}

/* Any row but those whose arguments are a list of rows again. */
static const struct row *inner_row(struct draw *d)
{
    const struct row *r;

    do
        r = &rows[below(d, NR_ROWS)];
    while (r->nr == __HYPERVISOR_multicall || (r->flags & (FUZZ_ACT | FUZZ_PRIVATE | FUZZ_VCPU)) ||
           (d->w->translated && (r->flags & FUZZ_PV)));
    return r;
}

/* The number, and behind it the result's place and six arguments. */
static uint64_t call_within(struct draw *d, uint32_t at)
{
    const struct row *r = inner_row(d);
    unsigned int width = d->c->narrow ? 4 : 8;
    uint32_t nr = d->nr, sub = d->sub;
    uint64_t arg[FUZZ_ARGS] = {0};

    if (d->depth == MAX_DEPTH)
        return __HYPERVISOR_xen_version;
    d->depth++;
    make_row(d, r, arg);
    d->depth--;
    for (unsigned int i = 0; i < FUZZ_ARGS; i++)
        put(d, at + (2 + i) * width, arg[i], width);
    d->nr = nr;
    d->sub = sub;
    d->c->flags |= r->flags & (FUZZ_TRAPS | FUZZ_WAKE);
    return chance(d, 97) ? r->nr : below(d, 4) ? __HYPERVISOR_multicall : __HYPERVISOR_iret;
}

/* The command of a call, with its structure behind it. */
static uint64_t wrapped(struct draw *d, unsigned int nr, uint32_t at)
{
    const struct row *r;

    do
        r = &rows[below(d, NR_ROWS)];
    while (r->nr != nr || r->sub >= 64 || r->arg[0].kind != K_LIST);
    fill(d, r->arg[0].par, at + 4);
    return r->sub;
}

static uint64_t field_value(struct draw *d, const struct field *f, uint32_t at, unsigned int width)
{
    switch (f->kind) {
    case K_SUB:
        return d->sub;
    case K_LIST:
    case K_ONE:
        return pointer(d, f);
    case K_CALL:
        return call_within(d, at);
    case K_WRAP:
        return wrapped(d, f->par, at);
    case K_OUT_PORT:
        return note(d, at, width, RING_PORT, fuzz_value(d, K_PORT, 0));
    case K_OUT_HANDLE:
        return note(d, at, width, RING_HANDLE, NO_HANDLE);
    case K_OUT_FRAME:
        return note(d, at, width, RING_FRAME, fuzz_value(d, K_GIVE, 0));
    default:
        return fuzz_value(d, f->kind, f->par);
    }
}

static void fill(struct draw *d, unsigned int shape, uint32_t at)
{
    for (const struct field *f = shapes[shape]; f->times; f++) {
        unsigned int width = width_of(d, f);

        at = round_up(at, align_of(d, f));
        if (f->kind == K_ALIGN)
            continue;
        for (unsigned int i = 0; i < f->times; i++, at += width)
            if (f->kind != K_KEEP)
                put(d, at, field_value(d, f, at, width), width);
    }
}

/* ---- calls ---- */

/* A pointer that is an argument: to a list, to one that the end of the memory cuts off, or to nothing of the kind. */
static uint64_t pointer_argument(struct draw *d, const struct field *f)
{
    uint32_t r = below(d, 100), nr = d->nr, cut = below(d, 64);
    uint64_t to;

    if (r >= 92)
        return d->c->flags & FUZZ_PRIVATE ? fuzz_listed(d, LIST_BAD) : fuzz_value(d, K_VA, 0);
    if (r >= 86)
        d->used = d->limit - cut;
    to = list_at(d, f->par, nr);
    d->nr = nr;
    return to;
}

/* Numbers that no header has, and of those that there are all but what ends the guest or stops a vCPU. */
static uint32_t any_sub(struct draw *d, const struct row *r)
{
    bool careful = r->nr == __HYPERVISOR_sched_op || r->nr == __HYPERVISOR_vcpu_op;
    uint32_t low = careful ? 16 + below(d, 48) : below(d, 64), shift = below(d, 32);

    return chance(d, 75) ? low : low | 64u << shift;
}

/* The sub-operation as an argument; of memory_op sometimes as that of a call that goes on with a later extent. */
static uint64_t first_argument(struct draw *d, const struct row *r)
{
    uint32_t start = below(d, 1u << 10);

    return r->nr == __HYPERVISOR_memory_op && chance(d, 4) ? d->sub | start << 6 : d->sub;
}

static void make_row(struct draw *d, const struct row *r, uint64_t *arg)
{
    unsigned int n = 0;

    d->sub = r->sub == FUZZ_ANY ? any_sub(d, r) : r->sub;
    d->nr = (uint32_t)number_of_elements(d);
    if (!d->nr && (r->flags & FUZZ_PRIVATE)) /* else it would take what was there before */
        d->nr = 1;
    if (r->sub != NO_SUB && !(r->flags & FUZZ_INSIDE))
        arg[n++] = first_argument(d, r);
    for (unsigned int i = 0; i < FUZZ_ARGS && n < FUZZ_ARGS && r->arg[i].times; i++) {
        if (r->arg[i].kind == K_LIST)
            arg[n++] = pointer_argument(d, &r->arg[i]);
        else
            arg[n++] = fuzz_value(d, r->arg[i].kind, r->arg[i].par);
    }
}

static const struct row *choose(struct draw *d)
{
    static uint32_t total;
    uint32_t sum = 0, at;

    for (unsigned int i = 0; !total && i <= NR_ROWS; i++) { /* whoever comes first; all find the same */
        if (i == NR_ROWS)
            total = sum;
        else
            sum += rows[i].weight;
    }
    at = below(d, total);
    for (unsigned int i = 0;; at -= rows[i++].weight)
        if (at < rows[i].weight)
            return &rows[i];
}

/* Own memory, or now and then a page that the other vCPU uses too and that may be anything. */
static void choose_place(struct draw *d)
{
    bool shared = chance(d, 25);
    uint64_t page = fuzz_listed(d, LIST_PAGE);
    uint32_t place = 64 * below(d, 48);

    shared = shared && !(d->c->flags & FUZZ_PRIVATE);
    d->base = shared ? page : d->v->area;
    d->limit = shared ? FUZZ_PAGE : FUZZ_AREA;
    d->used = place;
    if (shared)
        d->used = 0;
    d->v->first = d->v->end = d->used;
}

/* A number that is none, or has bits that are not looked at. */
static uint32_t no_number(struct draw *d)
{
    static const uint8_t none[] = {11, 27, 38, 39, 43, 44, 45, 46, 47, 49, 50, 51, 52, 53, 54, 56, 63};
    uint32_t nr = none[below(d, ARRAY_SIZE_(none))], shift = below(d, 26);

    return chance(d, 70) ? nr : nr | 64u << shift;
}

static uint64_t random_word(struct draw *d)
{
    return fuzz_value(d, chance(d, 50) ? K_ANY : K_PTE, 0);
}

/* An entry of either version of the table of grants: for itself mostly, a frame of its own. */
static void store_entry(struct draw *d, uint64_t table, uint32_t ref)
{
    static const uint16_t types[] = {1, 1, 1, 1, 1, 1, 5, 5, 5, 0, 2, 3, 0x101, 0x105, 9, 0x19};
    uint16_t flags = types[below(d, ARRAY_SIZE_(types))];
    uint64_t dom = fuzz_value(d, K_GRANTER, 0), offset = fuzz_value(d, K_OFFSET, 0);
    uint64_t frame = chance(d, 70) ? fuzz_listed(d, LIST_FRAME) : fuzz_value(d, K_FRAME, 0);
    uint64_t entry[2] = {flags | (dom & 0xffff) << 16, frame};

    if (chance(d, 75)) {
        entry[0] |= frame << 32;
        d->w->store(table + ref % 16 * 8, entry, 8);
    } else {
        entry[0] |= (offset & 0xffff) << 32 | 64ull << 48;
        d->w->store(table + ref % 16 * 16, entry, 16);
    }
}

static void store_grants(struct draw *d, uint32_t ref)
{
    uint64_t table = fuzz_listed(d, LIST_GRANT);

    for (unsigned int n = 1 + below(d, 4); n; n--)
        store_entry(d, table, ref++);
}

static void act(struct draw *d, const uint64_t *arg, const struct row *r)
{
    uint64_t at = fuzz_listed(d, LIST_STORE) + 8 * below(d, STORE_WORDS), word = random_word(d);

    if (r->arg[0].kind == K_REF)
        store_grants(d, (uint32_t)arg[0]);
    else
        d->w->store(at, &word, sizeof(word));
}

static void begin(struct draw *d, struct fuzz_vcpu *v)
{
    /* What the call before left there must not be seen. */
    __builtin_memset(v->stage + v->first, 0, v->end - v->first);
    d->v = v;
    __builtin_memset(d->c, 0, sizeof(*d->c));
}

void fuzz_make(struct fuzz_world *w, uint64_t seed, unsigned int vcpu, uint64_t i, struct fuzz_call *c)
{
    struct draw d = {.w = w, .c = c, .state = fuzz_begin(seed, vcpu, i)};
    const struct row *r;

    begin(&d, w->vcpu[vcpu]);
    do
        r = choose(&d);
    while (w->translated && ((r->flags & FUZZ_WAKE) || ((r->flags & FUZZ_PV) && !chance(&d, 5))));
    c->name = r->name;
    c->flags = r->flags;
    c->narrow = chance(&d, 30) && w->narrow;
    c->nr = r->nr;
    choose_place(&d);
    if (r->flags & FUZZ_NO_CALL)
        c->nr = no_number(&d);
    make_row(&d, r, c->arg);
    if (r->flags & FUZZ_ACT)
        act(&d, c->arg, r);
    else if (d.v->end > d.v->first)
        w->store(d.base + d.v->first, d.v->stage + d.v->first, d.v->end - d.v->first);
}

void fuzz_learn(struct fuzz_world *w, const struct fuzz_call *c)
{
    for (unsigned int i = 0; i < c->outs; i++) {
        uint64_t value = 0;
        unsigned int ring = c->out[i].ring;

        if (!w->load(&value, c->out[i].at, c->out[i].width) || value == c->out[i].was)
            continue;
        w->ring[ring][value % FUZZ_RING] = value;
        if (ring == RING_HANDLE)
            (void)w->load(&w->ring[RING_ADDRESS][value % FUZZ_RING], c->out[i].at - HANDLE_OFFSET, sizeof(value));
    }
}

const char *fuzz_row(unsigned int row)
{
    return row < NR_ROWS ? rows[row].name : NULL;
}

unsigned int fuzz_shape_size(unsigned int shape, bool narrow)
{
    struct fuzz_call c = {.narrow = narrow};
    struct draw d = {.c = &c};

    return shape < NR_SHAPES ? size_of(&d, shape) : 0;
}
