/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Audit of what one domain grants and maps: recounts from the handles of all domains what the active entries count, and
 * the lists of handles. Numbers are those of docs/invariants.md. Exact while no grant operation is under way; what the
 * guest can write - shared entries, status - says nothing and is not looked at.
 */
#include <hv/heap.h>
#include "internal.h"

struct audit {
    struct domain *d;
    uint16_t (*uses)[NR_PINS]; /* of each entry, by the handles */
    unsigned int nr;           /* entries */
    int broken;
};

static void report(struct audit *a, const char *which, const char *what, unsigned int number)
{
    if (a->broken++ >= (int)LINES_PER_DOMAIN)
        return;
    printk(XLOG_ERR "audit d%u: %s: %s: %u\n", a->d->id, which, what, number);
}

static struct active *active_at(const struct grant_table *t, unsigned int ref)
{
    return &t->active[ref / V1_PER_FRAME][ref % V1_PER_FRAME];
}

/* A handle for one of d's grants. */
static void audit_mapping(struct audit *a, const struct domain *mapper, const struct mapping *m)
{
    unsigned int kinds = grant_kinds(m->flags, m->flags);
    const struct active *active;

    if (m->ref >= a->nr) {
        report(a, "G2", "a handle names no entry", m->ref);
        return;
    }
    active = active_at(a->d->grant, m->ref);
    if (active->what.frame != m->frame || active->domid != mapper->id || active->what.kind != GRANT_PAGE)
        report(a, "G2", "a handle disagrees with its entry", m->ref);
    for (unsigned int i = 0; i < NR_PINS; i++)
        a->uses[m->ref][i] = (uint16_t)(a->uses[m->ref][i] + ((kinds >> i) & 1));
}

static void audit_mapper(struct audit *a, const struct domain *mapper)
{
    struct grant_table *t = mapper->grant;

    for (unsigned int h = 0; h < READ_ONCE(t->nr_handles); h++) {
        struct mapping m;

        /* A copy is judged: debug key 'g' comes here while guests map and unmap. */
        spin_lock(&t->map_lock);
        m = t->track[h / MAPPINGS_PER_CHUNK][h % MAPPINGS_PER_CHUNK];
        spin_unlock(&t->map_lock);
        if (m.granter == a->d)
            audit_mapping(a, mapper, &m);
    }
}

static void audit_mappers(struct audit *a)
{
    struct domain *mapper = domain_get_next(0);

    while (mapper) {
        domid_t next = (domid_t)(mapper->id + 1);

        if (mapper->grant)
            audit_mapper(a, mapper);
        domain_put(mapper);
        mapper = domain_get_next(next);
    }
}

static void audit_entries(struct audit *a)
{
    const struct grant_table *t = a->d->grant;
    unsigned int used = 0;

    for (unsigned int ref = 0; ref < a->nr; ref++) {
        const struct active *active = active_at(t, ref);

        if (memcmp(active->pin, a->uses[ref], sizeof(active->pin)) != 0)
            report(a, "G1", "an entry counts other uses than the handles", ref);
        used += ref >= GNTTAB_NR_RESERVED_ENTRIES && grant_pins(active, ~0u);
    }
    if (used != t->nr_used)
        report(a, "G3", "number of entries in use, counted", used);
}

/* What d has mapped itself. */
static void audit_handles(struct audit *a)
{
    const struct grant_table *t = a->d->grant;
    unsigned int used = 0, free = 0, h;

    for (h = 0; h < t->nr_handles; h++) {
        const struct mapping *m = &t->track[h / MAPPINGS_PER_CHUNK][h % MAPPINGS_PER_CHUNK];

        used += m->granter != NULL;
        if (!m->granter != !m->flags || m->busy)
            report(a, "G4", "a handle is neither in use nor free", h);
    }
    for (h = t->free_handle; h < t->nr_handles && free <= t->nr_handles; free++)
        h = t->track[h / MAPPINGS_PER_CHUNK][h % MAPPINGS_PER_CHUNK].ref;
    if (h != NO_HANDLE || used != t->in_use || used + free != t->nr_handles || used > t->max_handles)
        report(a, "G4", "handles are lost, free ones", free);
}

static void audit_sizes(struct audit *a)
{
    const struct grant_table *t = a->d->grant;

    if (t->version < 1 || t->version > t->max_version || t->next_version > t->max_version)
        report(a, "G5", "version", t->version);
    if (t->nr_frames > t->max_frames || (t->version == 2 && t->nr_status * FRAMES_PER_STATUS < t->nr_frames))
        report(a, "G5", "frames without status, of", t->nr_frames);
}

int grant_audit(struct domain *d)
{
    struct audit a = {.d = d, .nr = d->grant->nr_frames * V1_PER_FRAME};

    a.uses = hv_alloc_array(sizeof(a.uses[0]), a.nr);
    if (!a.uses)
        return -ENOMEM;
    audit_mappers(&a);
    audit_entries(&a);
    audit_handles(&a);
    audit_sizes(&a);
    hv_free(a.uses);
    return a.broken;
}
