// SPDX-License-Identifier: BSD-2-Clause
/*
 * Figures for control tools. Those of a domain are counted where its lock is held, those of a vCPU are its own: nothing
 * is shared between CPUs that was not before.
 */
#include <hv/sched.h>
#include "internal.h"

static const char *const work_names[WORKS] = {"fault", "store", "unshadow", "blow", "reclaim", "p2m", "destroy"};

static DEFINE_PER_CPU(struct work_count, work_here); /* of all domains, those that have gone too */

void work_done(struct shadow *s, enum work_of what, uint32_t begun)
{
    unsigned int size = stretch_size(this_cpu(stretch_now).work - begun);

    s->count.work.n[what][size]++;
    this_cpu(work_here).n[what][size]++;
}

void vcpu_lock(struct shadow_vcpu *v, enum shadow_lock what)
{
    v->lock_busy[what] += paging_is_locked(v->s->d);
    v->locked[what]++;
    paging_lock(v->s->d);
}

static int tell_work(const struct work_count *w, shadow_tell_fn *tell, void *ctx)
{
    char name[24];
    int rc = 0;

    for (unsigned int what = 0; what < WORKS; what++)
        for (unsigned int size = 0; size < STRETCH_SIZES && !rc; size++) {
            (void)snprintf(name, sizeof(name), "%s.%s", work_names[what], stretch_sizes[size]);
            rc = tell(ctx, "work", name, w->n[what][size]);
        }
    return rc;
}

int shadow_tell_work(shadow_tell_fn *tell, void *ctx)
{
    struct work_count sum = {0};

    for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
        for (unsigned int what = 0; what < WORKS; what++)
            for (unsigned int size = 0; size < STRETCH_SIZES; size++)
                sum.n[what][size] += READ_ONCE(per_cpu(work_here, cpu).n[what][size]);
    return tell_work(&sum, tell, ctx);
}

struct row {
    const char *group, *name;
    uint64_t value;
};

static int tell_rows(const struct row *row, unsigned int n, shadow_tell_fn *tell, void *ctx)
{
    int rc = 0;

    for (unsigned int i = 0; i < n && !rc; i++)
        rc = tell(ctx, row[i].group, row[i].name, row[i].value);
    return rc;
}

static int tell_tables(const struct shadow_count *c, shadow_tell_fn *tell, void *ctx)
{
    int rc = 0;

    for (unsigned int levels = 0; levels <= GUEST_LEVELS; levels++)
        for (unsigned int level = 1; level <= MAX(levels, 3u) && levels != 1 && !rc; level++) {
            const char name[] = {(char)('0' + levels), '.', (char)('0' + level), '\0'};

            rc = tell(ctx, "tables", name, c->tables[levels][level]);
        }
    return rc;
}

int shadow_tell(struct domain *d, shadow_tell_fn *tell, void *ctx)
{
    const struct paging_pool *p = d->paging_pool;
    struct shadow_count c;
    bool vtlb;
    int rc = shadow_lock(d);

    if (rc)
        return rc;
    c = d->shadow->count;
    vtlb = d->shadow->vtlb;
    shadow_unlock(d->shadow);
    rc = tell_tables(&c, tell, ctx);
    if (!rc)
        rc = tell_work(&c.work, tell, ctx);
    if (rc)
        return rc;
    const struct row rows[] = {
        {"mode", "vtlb", vtlb},
        {"tables", "direct", c.direct},
        {"rmap", "leaves_4k", c.entries[RING_4K]},
        {"rmap", "frames_4k", c.rings[RING_4K]},
        {"rmap", "leaves_2m", c.entries[RING_2M]},
        {"rmap", "frames_2m", c.rings[RING_2M]},
        {"rmap", "leaves_borrowed", c.entries[RING_BORROWED]},
        {"rmap", "links", c.entries[RING_PARENTS]},
        {"rmap", "linked_tables", c.rings[RING_PARENTS]},
        {"events", "made", c.made},
        {"events", "freed", c.freed},
        {"events", "reclaimed", c.reclaimed},
        {"events", "unshadowed", c.unshadowed},
        {"events", "table_stores", c.stores},
        {"events", "unsynced", c.unsynced},
        {"events", "synced_entries", c.synced},
        {"events", "apart", c.apart},
        {"events", "flushes", c.flushes},
        {"events", "blows", c.blows},
        {"stretch", "longest", c.longest},
        {"stretch", "bound", STRETCH_BOUND},
        {"pool", "size", p->size},
        {"pool", "free", p->free},
        {"pool", "p2m", p->used[PAGING_P2M]},
        {"pool", "shadow", p->used[PAGING_SHADOW]},
        {"pool", "logdirty", p->used[PAGING_LOGDIRTY]},
    };
    return tell_rows(rows, ARRAY_SIZE(rows), tell, ctx);
}

static int tell_locks(const struct shadow_vcpu *v, shadow_tell_fn *tell, void *ctx)
{
    static const char *const names[SHADOW_LOCKS] = {"fault", "reflect", "load", "invlpg", "give_up"};
    char name[24];
    int rc = 0;

    for (unsigned int i = 0; i < SHADOW_LOCKS && !rc; i++) {
        rc = tell(ctx, "lock", names[i], v->locked[i]);
        (void)snprintf(name, sizeof(name), "%s.busy", names[i]);
        rc = rc ? rc : tell(ctx, "lock", name, v->lock_busy[i]);
    }
    return rc;
}

int shadow_tell_vcpu(const struct shadow_vcpu *v, shadow_tell_fn *tell, void *ctx)
{
    const struct row rows[] = {
        {"faults", "fixed", v->faults[SHADOW_FIXED]},
        {"faults", "reflected", v->faults[SHADOW_REFLECT]},
        {"faults", "emulated", v->faults[SHADOW_EMULATE]},
        {"faults", "device", v->faults[SHADOW_MMIO]},
        {"faults", "no_memory", v->faults[SHADOW_NOMEM]},
        {"emulated", "done", v->emulated[EMULATE_DONE]},
        {"emulated", "again", v->emulated[EMULATE_RETRY]},
        {"emulated", "faulted", v->emulated[EMULATE_FAULT]},
        {"emulated", "unhandled", v->emulated[EMULATE_UNHANDLED]},
        {"loads", "all", v->loads[SHADOW_LOAD_ALL]},
        {"loads", "found", v->loads[SHADOW_LOAD_FOUND]},
        {"loads", "made", v->loads[SHADOW_LOAD_MADE]},
    };
    int rc = tell_rows(rows, ARRAY_SIZE(rows), tell, ctx);

    return rc ? rc : tell_locks(v, tell, ctx);
}
