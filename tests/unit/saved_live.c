// SPDX-License-Identifier: BSD-2-Clause
/*
 * Domain 1 while it runs (saved_guest.h): stores at random, the log of them, sleep, and a clock.
 *
 * The log has what a hypervisor's has: stores by the guest. It does not have a change of a page's type or of which
 * frame a PV guest has for a number, so that a saver that trusts the log with these is found out. Some pages are held
 * by somebody who may store to them at any time: their bits are always set.
 */
#include <string.h>

#include "saved_guest.h"

#define WORDS (MAX_PFNS / 64)
#define HELD  5

struct saved_live live;

/* A plain page that looks like a table becomes one; some turns later it is none, and has what no table may have. */
static struct {
    uint64_t pfn;
    enum { NONE, LOOKS, IS } now;
} made;

static uint64_t log_bits[WORDS], clock_ms, held[HELD];

static uint64_t below(uint64_t n)
{
    return (machine_random() >> 16) % n;
}

static struct saved_domain *guest(void)
{
    return &domains[SOURCE];
}

static void note(uint64_t pfn)
{
    log_bits[pfn / 64] |= live.logs ? 1ull << pfn % 64 : 0;
}

static void *page(uint64_t pfn)
{
    return machine[guest()->frame[pfn]];
}

static bool is_held(uint64_t pfn)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i] == pfn) {
            return true;
        }
    }
    return false;
}

static void store(uint64_t pfn, unsigned slot, uint64_t value)
{
    ((uint64_t *)page(pfn))[slot % 512] = value;
    if (!is_held(pfn)) { /* theirs is always set */
        note(pfn);
    }
}

/* A guest frame that may be stored to at will. */
static uint64_t any_plain(void)
{
    uint64_t pfn;

    if (!guest()->hvm) {
        return machine_plain();
    }
    do {
        pfn = below(guest()->nr_pfns - 2); /* not the rings */
    } while (!guest()->frame[pfn]);
    return pfn;
}

static void store_plain(void)
{
    uint64_t pfn = below(4) ? any_plain() : held[below(HELD)];

    if (made.now == NONE || pfn != made.pfn) {
        store(pfn, (unsigned)below(512), below(4) ? machine_random() : 0);
    }
}

/* --- what PV guests do besides --- */

static void store_table(void)
{
    uint64_t pfn = machine_table(1, (unsigned)below(8));

    if (pfn != NO_FRAME) {
        unsigned slot = (unsigned)below(448); /* the last ones lead to the list of frames */
        uint64_t e = guest()->frame[machine_plain()] << 12 | 0x67;

        store(pfn, slot + 64, below(3) ? e : machine_random() & ~PTE_PRESENT);
    }
}

static void change_type(void)
{
    struct saved_domain *d = guest();
    uint64_t pfn = made.now == NONE ? machine_plain() : made.pfn;

    if (made.now == NONE && (is_held(pfn) || pfn == places.store || pfn == places.console)) {
        return;
    }
    for (unsigned i = 0; i < 512 && made.now == NONE; i++) {
        store(pfn, i, below(3) ? machine_random() & ~PTE_PRESENT : d->frame[machine_plain()] << 12 | 0x67);
    }
    if (made.now == LOOKS) {
        d->type[pfn] = PAGE_L1;
        live.retyped++;
    }
    if (made.now == IS) {
        d->type[pfn] = PAGE_NORMAL;
        store(pfn, 7, 0xffffffff000ull | PTE_PRESENT);
    }
    made.pfn = pfn;
    made.now = made.now == IS ? NONE : made.now + 1;
}

static void replace_in(uint64_t table, uint64_t old, uint64_t new)
{
    uint64_t *e = page(table);

    for (unsigned i = 0; i < 512; i++) {
        if ((e[i] & PTE_PRESENT) && (e[i] & PTE_FRAME) >> 12 == old) {
            store(table, i, (e[i] & ~PTE_FRAME) | new << 12);
        }
    }
}

static bool in_gdt(uint64_t frame)
{
    for (unsigned v = 0; v < MAX_VCPUS; v++) {
        const struct vcpu_guest_context *c = &guest()->vcpu[v].basic;

        for (unsigned i = 0; i < c->gdt_ents / 512; i++) {
            if (c->gdt_frames[i] == frame) {
                return true;
            }
        }
    }
    return false;
}

/* A page gets another frame, with other contents: the number's own bit is not set by that. */
static void exchange(void)
{
    struct saved_domain *d = guest();
    uint64_t pfn = machine_plain(), old = d->frame[pfn], new;

    if (in_gdt(old) || is_held(pfn) || (made.now != NONE && pfn == made.pfn)) {
        return;
    }
    new = machine_take(SOURCE);
    machine_fill(machine[new], 4096);
    for (uint64_t i = 0; i < d->nr_pfns; i++) {
        if (d->frame[i] && (page_level(d->type[i]) || (made.now != NONE && i == made.pfn))) {
            replace_in(i, old, new);
        }
    }
    d->frame[pfn] = new;
    owner[old] = 0;
    store(places.p2m[pfn / 512], (unsigned)(pfn % 512), new);
    live.moved++;
}

/* --- its turn --- */

void live_begin(unsigned stores)
{
    live = (struct saved_live){.runs = true, .stores = stores, .step_ms = 1};
    memset(log_bits, 0, sizeof(log_bits));
    made.now = NONE;
    guest()->suspended = false;
    for (unsigned i = 0; i < HELD; i++) {
        held[i] = any_plain();
    }
}

static void give_back(void)
{
    struct saved_domain *d = guest();
    uint64_t pfn = any_plain();

    if (d->hvm && live.logs && !is_held(pfn)) {
        owner[d->frame[pfn]] = 0;
        d->frame[pfn] = 0;
        note(pfn);
    }
}

void live_run(void)
{
    if (!live.runs) {
        return;
    }
    if (live.give_back && --live.give_back == 0) {
        give_back();
    }
    for (unsigned i = (unsigned)below(live.stores + 1); i > 0; i--) {
        store_plain();
    }
    if (guest()->hvm || live.stores == 0) {
        return;
    }
    store_table();
    if (below(4) == 0) {
        change_type();
    }
    if (below(16) == 0) {
        exchange();
    }
}

/* --- the log --- */

static int read_log(struct xen_domctl_shadow_op *op)
{
    if (!live.logs || op->pages != guest()->nr_pfns) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < HELD; i++) {
        note(held[i]);
    }
    memcpy(op->dirty_bitmap.p, log_bits, (op->pages + 7) / 8);
    if (op->op == XEN_DOMCTL_SHADOW_OP_CLEAN) {
        memset(log_bits, 0, sizeof(log_bits));
    }
    live_run(); /* after the reading, before the call is over */
    return 0;
}

int live_domctl(struct saved_domain *d, struct xen_domctl_shadow_op *op)
{
    switch (op->op) {
    case XEN_DOMCTL_SHADOW_OP_OFF:
        live.logs = false;
        return 0;
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        if (live.no_log || live.logs || d != guest()) {
            return -EINVAL;
        }
        live.logs = true;
        memset(log_bits, 0, sizeof(log_bits));
        return 0;
    default:
        return read_log(op);
    }
}

/* --- sleep and time --- */

int ctl_domain_suspend(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, bool *asked, struct ctl_error *err)
{
    int rc;

    live_run();
    *asked = true;
    for (unsigned ms = 0; ms < live.suspend_ms; ms += 200) {
        live_pass(200);
        rc = w->go_on(w->ctx, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (live.suspends_after) {
        return ctl_error_set(err, -ETIMEDOUT, "suspend", "domain", NULL, "it does not");
    }
    live.runs = false;
    guest()->suspended = true;
    return 0;
}

int ctl_domain_go_on(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    live.runs = true;
    guest()->suspended = false;
    return 0;
}

void live_pass(unsigned ms)
{
    clock_ms += ms;
}

uint64_t ctl_now_ms(void)
{
    return clock_ms += live.step_ms;
}
