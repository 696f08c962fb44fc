// SPDX-License-Identifier: BSD-2-Clause
/*
 * Near-valid values: most of them right, or right for something else, some at a boundary, few at random. How many
 * numbers are drawn never depends on what the guest's lists hold or on what calls brought, nor on a compiler's order.
 */
#define __XEN_TOOLS__ 1
#include "draw.h"

#include <xen/xen.h>

#define PICK(d, a) ((a)[below(d, ARRAY_SIZE_(a))])

enum { PERCENT = 100 };
#define ALL_BITS (~0ull)

uint64_t fuzz_listed(struct draw *d, enum fuzz_list list)
{
    /* Drawn before the length is looked at; a list may have one element. */
    return d->w->list[list].values[below(d, d->w->list[list].count)];
}

static uint64_t remembered(struct draw *d, enum fuzz_ring ring)
{
    return d->w->ring[ring][below(d, FUZZ_RING)];
}

static uint64_t value_ZERO(struct draw *d, uint32_t par)
{
    (void)d, (void)par;
    return 0;
}

static uint64_t value_ANY(struct draw *d, uint32_t par)
{
    static const uint64_t odd[] = {1,          2,          ALL_BITS,   1u << 31,      0x7fffffff,
                                   0xffffffff, 1ull << 32, 1ull << 63, ALL_BITS >> 1, 0xffff8000ul,
                                   0x7ff0,     0x1000,     0xfff};

    (void)par;
    switch (below(d, 5)) {
    case 0:
        return 0;
    case 1:
        return below(d, 64);
    case 2:
        return PICK(d, odd);
    default:
        return fuzz_next(&d->state);
    }
}

/* One of the first numbers, seldom one behind them. */
static uint64_t value_SMALL(struct draw *d, uint32_t par)
{
    if (chance(d, 92))
        return below(d, par);
    return chance(d, 50) ? par + below(d, 3) : value_ANY(d, 0);
}

/* Few of the lowest bits. */
static uint64_t value_BITS(struct draw *d, uint32_t par)
{
    uint64_t v = 0;

    for (unsigned int n = below(d, 4); n; n--)
        v |= 1ull << below(d, par);
    if (chance(d, 3))
        v |= 1ull << below(d, 64);
    return v;
}

static uint64_t value_IS(struct draw *d, uint32_t par)
{
    return chance(d, 90) ? par : par ^ 1ull << below(d, 64);
}

static uint64_t value_MOSTLY_ZERO(struct draw *d, uint32_t par)
{
    return chance(d, 88) ? 0 : value_ANY(d, par);
}

static uint64_t value_DOM(struct draw *d, uint32_t par)
{
    static const uint16_t odd[] = {0,
                                   DOMID_FIRST_RESERVED,
                                   DOMID_FIRST_RESERVED - 1,
                                   DOMID_IO,
                                   DOMID_XEN,
                                   DOMID_COW,
                                   DOMID_INVALID,
                                   DOMID_IDLE,
                                   0xffff,
                                   0x8000};
    uint32_t r = below(d, PERCENT);

    (void)par;
    if (r < 74)
        return DOMID_SELF;
    if (r < 88)
        return fuzz_listed(d, LIST_DOMAIN);
    return r < 98 ? PICK(d, odd) : below(d, 1u << 16);
}

static uint64_t value_PORT(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {0, 63, 64, 1023, 1024, 4095, 4096, 131071, 131072, 0x7fffffff, 0xffffffff};
    uint32_t r = below(d, PERCENT);

    (void)par;
    if (r < 45)
        return remembered(d, RING_PORT);
    if (r < 85)
        return 1 + below(d, 24);
    return r < 95 ? PICK(d, odd) : below(d, 1u << 18);
}

static uint64_t value_VCPU(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {3, 31, 32, 63, 64, 0x80000000, 0xffffffff};

    (void)par;
    return chance(d, 85) ? below(d, FUZZ_VCPUS + 1) : PICK(d, odd);
}

/* Not the first, so that somebody is there to bring it up again, and not the third, which has nothing to run. */
static uint64_t value_OTHER_VCPU(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {3, 31, 64, 0x80000000, 0xffffffff};

    (void)par;
    return chance(d, 80) ? 1 : PICK(d, odd);
}

/* One that does not run, or none: those that run would lose sight of their events. */
static uint64_t value_IDLE_VCPU(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {3, 31, 32, 63, 64, 0x80000000, 0xffffffff};

    (void)par;
    return chance(d, 80) ? FUZZ_VCPUS : PICK(d, odd);
}

static uint64_t value_REF(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {255, 256, 511, 512, 1023, 0x8000, 0xffff, 0x7fffffff, 0xffffffff};

    (void)par;
    if (chance(d, 75))
        return below(d, 16);
    return chance(d, 50) ? below(d, 512) : PICK(d, odd);
}

static uint64_t value_HANDLE(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {255, 256, 1023, 4096, 0x7fffffff, 0x80000000, 0xffffffff};
    uint32_t r = below(d, PERCENT);

    (void)par;
    if (r < 70)
        return d->w->ring[RING_HANDLE][d->pick];
    return r < 88 ? below(d, 12) : PICK(d, odd);
}

/* A frame whatever for. A translated domain can be told to copy over its tables: they would be gone at once. */
static uint64_t value_FRAME(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, PERCENT);

    (void)par;
    if (r < 55)
        return fuzz_listed(d, LIST_FRAME);
    if (r < 70)
        return fuzz_listed(d, d->w->translated ? LIST_FRAME : LIST_TABLE);
    if (r < 82)
        return fuzz_listed(d, LIST_ODD);
    if (r < 90)
        return fuzz_listed(d, LIST_SPARE);
    return r < 96 ? remembered(d, RING_FRAME) : fuzz_next(&d->state) >> (r & 3) * 12;
}

/*
 * One to be given away or taken; no tables of a translated domain either, and seldom those of another: without its
 * tables' frames a PV guest can change no mapping any more.
 */
static uint64_t value_GIVE(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, PERCENT), rare = below(d, 50);

    (void)par;
    if (r < 50)
        return fuzz_listed(d, LIST_SPARE);
    if (r < 76)
        return remembered(d, RING_FRAME);
    if (r < 95)
        return fuzz_listed(d, rare || d->w->translated ? LIST_FRAME : LIST_TABLE);
    return r < 98 ? fuzz_listed(d, LIST_ODD) : fuzz_next(&d->state) | 1u << 20;
}

/* Which frame of a table, or which frame. */
static uint64_t value_INDEX(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, PERCENT);

    if (r < 45)
        return below(d, 5) | (r < 12 ? 1u << 31 : 0);
    return r < 95 ? value_GIVE(d, par) : value_ANY(d, par);
}

static uint64_t value_MACHINE(struct draw *d, uint32_t par)
{
    uint64_t frame = value_FRAME(d, par);

    return frame << 12 | (chance(d, 80) ? below(d, 512) * 8 : below(d, FUZZ_PAGE));
}

/*
 * An entry, and in the lowest bits what is to be done to it. Of the tables in use those of the list are meant: others
 * map the guest itself.
 */
static uint64_t value_ENTRY(struct draw *d, uint32_t par)
{
    uint32_t offset = 8 * below(d, 512), what = below(d, 8);
    uint64_t frame;

    (void)par;
    if (chance(d, 80))
        return fuzz_listed(d, LIST_ENTRY) | d->sub;
    frame = chance(d, 70) ? fuzz_listed(d, LIST_FRAME) : fuzz_listed(d, LIST_ODD);
    return frame << 12 | offset | (chance(d, 90) ? d->sub : what);
}

static uint64_t value_PTE(struct draw *d, uint32_t par)
{
    static const uint16_t usual[] = {0x67, 0x67, 0x65, 0x65, 0x63, 0x61, 0x27, 0x25, 0x7, 0x5, 0x1, 0xe7, 0x167};
    uint32_t r = below(d, PERCENT);
    uint64_t frame = value_FRAME(d, par), flags = PICK(d, usual), more = value_BITS(d, 12);

    if (r < 12)
        return 0;
    if (r < 70)
        return frame << 12 | flags;
    if (r < 92)
        return frame << 12 | (flags ^ more);
    return r < 97 ? frame << 12 | flags | 1ull << (52 + below(d, 12)) : fuzz_next(&d->state);
}

static uint64_t value_VA(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, PERCENT), offset = chance(d, 60) ? 8 * below(d, 128) : below(d, FUZZ_PAGE);

    (void)par;
    if (r < 50)
        return fuzz_listed(d, LIST_PAGE) + (r < 25 ? 0 : offset);
    if (r < 65)
        return fuzz_listed(d, LIST_WINDOW);
    return r < 95 ? fuzz_listed(d, LIST_BAD) : fuzz_next(&d->state);
}

/* Where something is to be mapped. */
static uint64_t value_WINDOW(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, PERCENT);

    if (r < 50)
        return fuzz_listed(d, LIST_WINDOW);
    return r < 92 ? fuzz_listed(d, LIST_PAGE) : value_VA(d, par);
}

static uint64_t value_MAP_AT(struct draw *d, uint32_t par)
{
    if (d->w->translated)
        return chance(d, 85) ? value_GIVE(d, par) << 12 : value_MACHINE(d, par);
    return chance(d, 75) ? value_WINDOW(d, par) : value_ENTRY(d, par) & ~7ull;
}

static uint64_t value_CODE(struct draw *d, uint32_t par)
{
    static const uint64_t odd[] = {0, 1ull << 47, ALL_BITS, 0x7fffffffffff};

    (void)par;
    return chance(d, 85) ? fuzz_listed(d, LIST_CODE) : PICK(d, odd);
}

/* There are hundreds of them in one structure, and one that is bad is enough. */
static uint64_t value_MAYBE_CODE(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, 10000);

    if (r < 9000)
        return 0;
    return r < 9997 ? fuzz_listed(d, LIST_CODE) : value_CODE(d, par);
}

static uint64_t value_SELECTOR(struct draw *d, uint32_t par)
{
    static const uint16_t usual[] = {
        FLAT_KERNEL_CS64, FLAT_KERNEL_SS64, FLAT_USER_CS64, 0xe030, 0xe008, 0, 3, 8, 0x10, 0xffff};

    (void)par;
    return chance(d, 90) ? PICK(d, usual) : below(d, 1u << 16);
}

/* The table that a vCPU runs on: others than the guest's own are such as must be refused. */
static uint64_t value_BASE(struct draw *d, uint32_t par)
{
    (void)par;
    return chance(d, 70) ? fuzz_listed(d, LIST_TABLE) : fuzz_listed(d, LIST_ODD);
}

static uint64_t value_BASE_ADDRESS(struct draw *d, uint32_t par)
{
    return chance(d, 40) ? 0 : (chance(d, 70) ? fuzz_listed(d, LIST_TABLE) : value_FRAME(d, par)) << 12;
}

static uint64_t value_ROOT(struct draw *d, uint32_t par)
{
    return chance(d, 80) ? d->w->list[LIST_TABLE].values[0] << 12 : value_BASE_ADDRESS(d, par);
}

static uint64_t value_FLUSH(struct draw *d, uint32_t par)
{
    uint32_t what = below(d, 8);

    return chance(d, 85) ? what : (value_VA(d, par) & ~7ull) | what;
}

static uint64_t value_DEBUG(struct draw *d, uint32_t par)
{
    return chance(d, 50) ? value_VA(d, par) : value_BITS(d, 32);
}

/* How many, for the most part as many as there are. */
static uint64_t value_NR(struct draw *d, uint32_t par)
{
    static const uint64_t odd[] = {0,    1,          2,          31,         32,         33,         128,
                                   129,  511,        512,        513,        4096,       0xffff,     0x10000,
                                   1023, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, 1ull << 60, ALL_BITS};

    (void)par;
    if (chance(d, 85))
        return d->nr;
    return chance(d, 30) ? d->nr + 1 : PICK(d, odd);
}

static uint64_t value_GDT_ENTRIES(struct draw *d, uint32_t par)
{
    uint64_t nr = value_NR(d, par);

    return chance(d, 60) ? d->nr * 512ull : chance(d, 50) ? nr : nr * 14;
}

static uint64_t value_ORDER(struct draw *d, uint32_t par)
{
    uint32_t r = below(d, PERCENT);

    if (r < 80)
        return 0;
    return r < 92 ? below(d, 5) : r < 96 ? 9 : value_ANY(d, par);
}

static uint64_t value_OFFSET(struct draw *d, uint32_t par)
{
    static const uint32_t odd[] = {4095, 4096, 4088, 4080, 4032, 0xffff, 0xffffffff, 0x80000000};

    (void)par;
    if (chance(d, 70))
        return chance(d, 40) ? 0 : 8 * below(d, 512);
    return chance(d, 50) ? below(d, FUZZ_PAGE) : PICK(d, odd);
}

static uint64_t value_LEN(struct draw *d, uint32_t par)
{
    static const uint64_t usual[] = {0, 1, 4, 8, 60, 64, 127, 128, 512, 4095, 4096, 4097, 8192, 8193, 65535, 65536};

    return chance(d, 85) ? PICK(d, usual) : value_ANY(d, par);
}

/* Where the mapping is whose handle comes next. */
static uint64_t value_UNMAP_AT(struct draw *d, uint32_t par)
{
    d->pick = below(d, FUZZ_RING);
    return chance(d, 85) ? d->w->ring[RING_ADDRESS][d->pick] : value_MAP_AT(d, par);
}

/* The domain that grants: itself, by its number. */
static uint64_t value_GRANTER(struct draw *d, uint32_t par)
{
    return chance(d, 80) ? d->w->list[LIST_DOMAIN].values[0] : value_DOM(d, par);
}

/* Frames of a domain, and in the upper half tables of another one. */
static uint64_t value_FOREIGN(struct draw *d, uint32_t par)
{
    uint64_t dom = value_DOM(d, par), tables = value_DOM(d, par);

    return chance(d, 90) ? dom : dom | (tables + 1) << 16;
}

static uint64_t value_VERSION(struct draw *d, uint32_t par)
{
    static const uint32_t usual[] = {1, 1, 1, 2, 2, 0, 3, 0xffffffff};

    (void)par;
    return PICK(d, usual);
}

/* For the processor, for a device, by an entry, for reading. */
static uint64_t value_MAP_FLAGS(struct draw *d, uint32_t par)
{
    static const uint32_t usual[] = {2, 2, 2, 6, 6, 1, 3, 7, 0x12, 0x16};
    uint64_t more = value_BITS(d, 32);

    (void)par;
    return chance(d, 85) ? PICK(d, usual) : more;
}

static uint64_t value_SHORT(struct draw *d, uint32_t par)
{
    static const uint16_t usual[] = {1, 8, 16, 64, 64, 100, 256, 512};

    return chance(d, 80) ? PICK(d, usual) : value_LEN(d, par);
}

static uint64_t value_REF_OR_FRAME(struct draw *d, uint32_t par)
{
    return chance(d, 60) ? value_REF(d, par) : value_FRAME(d, par);
}

static uint64_t value_PARAM(struct draw *d, uint32_t par)
{
    switch (below(d, 4)) {
    case 0:
        return value_FRAME(d, par);
    case 1:
        return value_PORT(d, par);
    case 2:
        return (uint64_t)below(d, 4) << 56 | 0x31; /* the type of a callback, and a vector */
    default:
        return value_ANY(d, par);
    }
}

/* Access rights of a segment. */
static uint64_t value_SEGMENT(struct draw *d, uint32_t par)
{
    static const uint16_t usual[] = {0xc9b, 0xa9b, 0xc93, 0x893, 0x08b, 0x0f3, 0xcfb, 0x09b, 0x1c9b};

    return chance(d, 85) ? PICK(d, usual) : value_ANY(d, par);
}

static uint64_t value_CACHE_OP(struct draw *d, uint32_t par)
{
    uint64_t op = value_BITS(d, 3) | par;

    return chance(d, 20) ? op | 1u << 31 : op;
}

static uint64_t value_CONTROL_VERSION(struct draw *d, uint32_t par)
{
    static const uint32_t usual[] = {0x15, 0x15, 0x03000001, 1, 2, 3};

    return chance(d, 90) ? PICK(d, usual) : value_ANY(d, par);
}

/* No reason for a shutdown. */
static uint64_t value_NO_REASON(struct draw *d, uint32_t par)
{
    (void)par;
    return chance(d, 50) ? 6 + below(d, 250) : 1ull << (3 + below(d, 29));
}

/* Seconds: longer than any run. None at all is at once for a watchdog that is new. */
static uint64_t value_LONG_TIME(struct draw *d, uint32_t par)
{
    static const uint32_t usual[] = {100000, 1u << 24, 0x7fffffff, 0x80000000, 0xffffffff};

    (void)par;
    return PICK(d, usual);
}

static uint64_t value_SOON(struct draw *d, uint32_t par)
{
    uint32_t wait = below(d, 200000);

    (void)par;
    return chance(d, 60) ? 1 + below(d, 1000) : d->w->now() + wait;
}

static uint64_t value_TIME(struct draw *d, uint32_t par)
{
    static const uint64_t odd[] = {0, 1, ALL_BITS, 1ull << 63, ALL_BITS >> 1, 1ull << 62};
    uint32_t wait = below(d, 50000000);

    (void)par;
    return chance(d, 60) ? d->w->now() + wait - 500000 : PICK(d, odd);
}

static uint64_t value_PERIOD(struct draw *d, uint32_t par)
{
    static const uint64_t usual[] = {0, 1, 999999, 1000000, 1000001, 10000000, 86400000000000, 86400000000001};

    return chance(d, 90) ? PICK(d, usual) : value_ANY(d, par);
}

uint64_t fuzz_value(struct draw *d, enum kind kind, uint32_t par)
{
    static uint64_t (*const make[NR_VALUES])(struct draw * d, uint32_t par) = {
#define KIND(name) [K_##name] = value_##name,
#include "kinds.def"
#undef KIND
    };

    return make[kind](d, par);
}
