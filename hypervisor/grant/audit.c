/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Audit of what one domain grants and maps: recounts from the handles of all domains what the active entries count, and
 * the domain's own handles. Numbers are those of docs/invariants.md. What the guest can write - shared entries, status
 * - says nothing and is not looked at.
 *
 * Others use the domain's grants meanwhile, paused or not, and the recount takes many slices. So it counts only if no
 * operation was under way when it began, and none was begun before its end: the table's two numbers tell. Otherwise
 * what was found may be wrong and is forgotten, and the caller may try again. An audit counts as an operation itself,
 * for its recount is kept in the active entries: of two at once the first one has no result.
 */
#include <hv/sched.h>
#include <umbra/umbra_op.h>
#include "internal.h"

#define STEP       32u /* entries or handles at a time */
#define KEY_ROUNDS 16u

enum check {
    NO_ENTRY,
    DISAGREES,
    OTHER_USES,
    ENTRIES_USED,
    HALF_FREE,
    HANDLES_LOST,
    BAD_VERSION,
    TOO_MANY_FRAMES,
    FRAMES_WITHOUT_STATUS,
    DEVICE_UNHELD,
};

static const struct {
    const char *rule, *what;
} checks[] = {
    [NO_ENTRY] = {"G2", "a handle names no entry"},
    [DISAGREES] = {"G2", "a handle disagrees with its entry"},
    [OTHER_USES] = {"G1", "an entry counts other uses than the handles"},
    [ENTRIES_USED] = {"G3", "entries in use are more or fewer than those counted"},
    [HALF_FREE] = {"G4", "a handle is neither in use nor free"},
    [HANDLES_LOST] = {"G4", "handles are lost: those in use and free ones are not all"},
    [BAD_VERSION] = {"G5", "a version that the domain may not use"},
    [TOO_MANY_FRAMES] = {"G5", "more frames than the limit"},
    [FRAMES_WITHOUT_STATUS] = {"G5", "frames without status"},
    [DEVICE_UNHELD] = {"G7", "a device may use a frame that nothing holds for it"},
};

static void found(struct umbra_op_grant_audit *a, enum check check, uint32_t number)
{
    if (a->broken < ARRAY_SIZE(a->found)) {
        a->found[array_index_nospec(a->broken, ARRAY_SIZE(a->found))].check = check;
        a->found[array_index_nospec(a->broken, ARRAY_SIZE(a->found))].number = number;
    }
    a->broken++;
}

/* A step of the audit is done; the next one begins there. */
static bool done(struct umbra_op_grant_audit *a, uint32_t next)
{
    a->next = next;
    return true;
}

static unsigned int nr_entries(const struct grant_table *t)
{
    return t->nr_frames * V1_PER_FRAME;
}

static struct active *active_at(const struct grant_table *t, unsigned int ref)
{
    ref = (unsigned int)array_index_nospec(ref, nr_entries(t));
    return &t->active[ref / V1_PER_FRAME][ref % V1_PER_FRAME];
}

/* t->map_lock held. */
static const struct mapping *handle_at(const struct grant_table *t, unsigned int handle)
{
    handle = (unsigned int)array_index_nospec(handle, t->nr_handles);
    return &t->track[handle / MAPPINGS_PER_CHUNK][handle % MAPPINGS_PER_CHUNK];
}

/* ---- steps: each looks at some entries or handles, from a->next on; true: at all of them ---- */

static bool begin(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct grant_table *t = d->grant;

    a->begun = __atomic_load_n(&t->ended, __ATOMIC_SEQ_CST) + 1;
    __atomic_fetch_add(&t->begun, 1, __ATOMIC_SEQ_CST); /* a->begun now, unless others are under way */
    __atomic_fetch_add(&t->ended, 1, __ATOMIC_SEQ_CST);
    return done(a, 0);
}

static bool look_at_sizes(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct grant_table *t = d->grant;

    spin_lock(&t->lock);
    if (t->version < 1 || t->version > t->max_version || t->next_version > t->max_version)
        found(a, BAD_VERSION, t->version);
    if (t->nr_frames > t->max_frames)
        found(a, TOO_MANY_FRAMES, t->nr_frames);
    if (t->version == 2 && t->nr_status * FRAMES_PER_STATUS < t->nr_frames)
        found(a, FRAMES_WITHOUT_STATUS, t->nr_frames);
    spin_unlock(&t->lock);
    return done(a, 0);
}

static bool forget_recount(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct grant_table *t = d->grant;
    bool last;

    spin_lock(&t->lock);
    for (unsigned int i = 0; i < STEP && a->next < nr_entries(t); i++, a->next++)
        memset(active_at(t, a->next)->seen, 0, sizeof(active_at(t, a->next)->seen));
    last = a->next >= nr_entries(t);
    spin_unlock(&t->lock);
    return last && done(a, 0);
}

/* A handle for one of d's grants. */
static void recount(struct domain *d, struct umbra_op_grant_audit *a, const struct domain *mapper,
                    const struct mapping *m)
{
    unsigned int kinds = grant_kinds(m->flags, m->flags);
    struct grant_table *t = d->grant;

    spin_lock(&t->lock);
    if (m->ref >= nr_entries(t)) {
        found(a, NO_ENTRY, m->ref);
    } else {
        struct active *active = active_at(t, m->ref);

        if (active->what.frame != m->frame || active->what.domid != mapper->id || active->what.kind != GRANT_PAGE)
            found(a, DISAGREES, m->ref);
        for (unsigned int i = 0; i < NR_PINS; i++)
            active->seen[i] = (uint16_t)(active->seen[i] + ((kinds >> i) & 1));
    }
    spin_unlock(&t->lock);
}

/* True: there are no handles so high. */
static bool look_at_mapper(struct domain *d, struct umbra_op_grant_audit *a, const struct domain *mapper)
{
    struct grant_table *t = mapper->grant;
    bool last = false;

    for (unsigned int i = 0; i < STEP && !last; i++) {
        struct mapping m = {0};

        spin_lock(&t->map_lock);
        last = a->next >= t->nr_handles;
        if (!last)
            m = *handle_at(t, a->next++);
        spin_unlock(&t->map_lock);
        if (m.granter == d) {
            recount(d, a, mapper, &m);
            a->handles++;
        }
    }
    return last;
}

static bool look_at_mappers(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct domain *mapper = domain_get_next(a->mapper);

    if (!mapper)
        return done(a, 0);
    if (mapper->id != a->mapper)
        a->next = 0;
    a->mapper = mapper->id;
    if (!mapper->grant || look_at_mapper(d, a, mapper)) {
        a->mapper++;
        a->next = 0;
    }
    domain_put(mapper);
    return false;
}

/* A handle that a device uses holds the frame by itself. What entries hold is counted where the tables are. */
static bool devices_hold(const struct domain *d, const struct active *active)
{
    unsigned int writes = grant_pins(active, PIN_DEV_WRITE), uses = writes + grant_pins(active, PIN_DEV_READ);
    const struct page_info *pg;
    uint64_t held;

    if (!uses)
        return true;
    if (!mfn_valid(_mfn(active->what.frame)))
        return false;
    pg = mfn_to_page(_mfn(active->what.frame));
    if (READ_ONCE(pg->owner) != d)
        return false;
    held = READ_ONCE(pg->count_info);
    if ((held & PGC_count_mask) < uses + ((held & PGC_allocated) ? 1 : 0))
        return false;
    return !writes || (page_type(pg) == PT_WRITABLE && (READ_ONCE(pg->type_info) & PGT_count_mask) >= writes);
}

static bool compare(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct grant_table *t = d->grant;
    bool last;

    spin_lock(&t->lock);
    for (unsigned int i = 0; i < STEP && a->next < nr_entries(t); i++, a->next++, a->entries++) {
        const struct active *active = active_at(t, a->next);

        if (memcmp(active->pin, active->seen, sizeof(active->pin)) != 0)
            found(a, OTHER_USES, a->next);
        if (!devices_hold(d, active))
            found(a, DEVICE_UNHELD, a->next);
        a->used += a->next >= GNTTAB_NR_RESERVED_ENTRIES && grant_pins(active, ~0u);
    }
    last = a->next >= nr_entries(t);
    if (last && a->used != t->nr_used)
        found(a, ENTRIES_USED, a->used);
    spin_unlock(&t->lock);
    return last && done(a, 0);
}

/* What d has mapped itself. */
static bool look_at_own(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct grant_table *t = d->grant;
    uint32_t head;
    bool last;

    spin_lock(&t->map_lock);
    for (unsigned int i = 0; i < STEP && a->next < t->nr_handles; i++, a->next++) {
        const struct mapping *m = handle_at(t, a->next);

        a->in_use += m->granter != NULL;
        if (!m->granter != !m->flags || m->busy)
            found(a, HALF_FREE, a->next);
    }
    last = a->next >= t->nr_handles;
    head = t->free_handle;
    spin_unlock(&t->map_lock);
    return last && done(a, head);
}

/* The list of free handles, which may be broken: it ends at the latest when it is longer than there are handles. */
static bool look_at_free(struct domain *d, struct umbra_op_grant_audit *a)
{
    struct grant_table *t = d->grant;
    bool last;

    spin_lock(&t->map_lock);
    for (unsigned int i = 0; i < STEP && a->next < t->nr_handles && a->free <= t->nr_handles; i++, a->free++)
        a->next = handle_at(t, a->next)->ref;
    last = a->next >= t->nr_handles || a->free > t->nr_handles;
    if (last && (a->next != NO_HANDLE || a->in_use != t->in_use || a->in_use + a->free != t->nr_handles ||
                 a->in_use > t->max_handles))
        found(a, HANDLES_LOST, a->free);
    spin_unlock(&t->map_lock);
    return last && done(a, 0);
}

static bool (*const steps[])(struct domain *d, struct umbra_op_grant_audit *a) = {
    begin, look_at_sizes, forget_recount, look_at_mappers, compare, look_at_own, look_at_free,
};

/* ---- the audit ---- */

const char *grant_audit_what(uint32_t check, const char **rule)
{
    check = (uint32_t)array_index_nospec(check, ARRAY_SIZE(checks));
    *rule = checks[check].rule;
    return checks[check].what;
}

static void say(const struct domain *d, const struct umbra_op_grant_audit *a)
{
    for (unsigned int i = 0; i < MIN(a->broken, ARRAY_SIZE(a->found)); i++) {
        const char *rule, *what = grant_audit_what(a->found[i].check, &rule);

        printk(XLOG_ERR "audit d%u: %s: %s: %u\n", d->id, rule, what, a->found[i].number);
    }
}

int grant_audit_slice(struct domain *d, struct umbra_op_grant_audit *a)
{
    while (a->step < ARRAY_SIZE(steps)) {
        if (preempt_before_work(STEP))
            return -ERESTART;
        if (steps[array_index_nospec(a->step, ARRAY_SIZE(steps))](d, a))
            a->step++;
        stretch_work(STEP);
        if (__atomic_load_n(&d->grant->begun, __ATOMIC_SEQ_CST) != a->begun)
            return -EAGAIN;
    }
    say(d, a);
    return 0;
}

int grant_audit(struct domain *d)
{
    int rc = -EAGAIN;

    for (unsigned int i = 0; i < KEY_ROUNDS && rc == -EAGAIN; i++) {
        struct umbra_op_grant_audit a = {0};

        do
            rc = grant_audit_slice(d, &a);
        while (rc == -ERESTART);
        if (!rc)
            return (int)a.broken;
    }
    return rc;
}
