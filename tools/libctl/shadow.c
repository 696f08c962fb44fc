// SPDX-License-Identifier: BSD-2-Clause
/*
 * Shadow paging of a guest: figures, audit, a new beginning, and what there is. What the hypervisor tells in slices is
 * put together here.
 *
 * Place: the verb shadow. The guest is never paused for it.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

#define TRIES   5
#define FIGURES 128u  /* per call */
#define RECORDS 4096u /* likewise */

static int fail(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at)
{
    switch (code) {
    case -ENOSYS:
        return ctl_fail_domain(ctl, err, code, at, "this hypervisor cannot tell");
    case -EOPNOTSUPP:
        return ctl_fail_domain(ctl, err, code, at, "it is a PV guest, which has no shadows");
    case -ESRCH:
        return ctl_fail_domain(ctl, err, code, at, "it does not exist");
    case -EBUSY:
        return ctl_fail_domain(ctl, err, code, at, "it is dying");
    case -EAGAIN:
        return ctl_fail_domain(ctl, err, code, at, "its memory map was changed meanwhile, %d times", TRIES);
    default:
        return ctl_fail_domain(ctl, err, code, at, "no answer");
    }
}

/* ---- figures ---- */

/* Adds one to those of the same name, behind the last one of its group. -ENOMEM or 0. */
static int add_figure(struct ctl_figure **list, int *n, const struct umbra_figure *f)
{
    struct ctl_figure *bigger, new = {.value = f->value};
    int at = *n;

    memcpy(new.group, f->group, sizeof(new.group) - 1);
    memcpy(new.name, f->name, sizeof(new.name) - 1);
    for (int i = 0; i < *n; i++) {
        if (strcmp((*list)[i].group, new.group) != 0) {
            continue;
        }
        if (strcmp((*list)[i].name, new.name) == 0) {
            (*list)[i].value += new.value;
            return 0;
        }
        at = i + 1;
    }
    bigger = realloc(*list, (*n + 1) * sizeof(*bigger));
    if (!bigger) {
        return -ENOMEM;
    }
    *list = bigger;
    memmove(bigger + at + 1, bigger + at, (*n - at) * sizeof(*bigger));
    bigger[at] = new;
    ++*n;
    return 0;
}

static int read_figures(struct ctl *ctl, uint32_t domid, struct umbra_figure *buffer, struct ctl_figure **list)
{
    struct umbra_op op = {.cmd = UMBRA_OP_shadow_stats, .domain = domid};
    struct umbra_op_shadow_stats *s = &op.u.shadow_stats;
    int n = 0, rc = 0;

    s->room = FIGURES;
    s->figures = (uintptr_t)buffer;
    while (rc >= 0 && s->position != UMBRA_FIGURES_end) {
        rc = ctl_call_umbra(ctl, &op);
        for (uint32_t i = 0; rc >= 0 && i < s->nr && i < FIGURES; i++) {
            rc = add_figure(list, &n, &buffer[i]);
        }
    }
    return rc < 0 ? rc : n;
}

int ctl_shadow_stats(struct ctl *ctl, uint32_t domid, struct ctl_figure **list, struct ctl_error *err)
{
    struct umbra_figure *buffer = ctl_buffer_get(ctl, FIGURES * sizeof(*buffer));
    int rc;

    *list = NULL;
    rc = buffer ? read_figures(ctl, domid, buffer, list) : -ENOMEM;
    ctl_buffer_put(ctl, buffer);
    if (rc >= 0) {
        return rc;
    }
    free(*list);
    *list = NULL;
    return fail(ctl, err, rc, CTL_AT("ask for shadow figures", domid));
}

/* ---- audit ---- */

static void copy_audit(struct ctl_shadow_audit *out, const struct umbra_op_shadow_audit *a,
                       const struct umbra_shadow_finding *f)
{
    memset(out, 0, sizeof(*out));
    out->broken = a->broken;
    out->tables = a->tables;
    out->entries = a->entries;
    out->map_tables = a->p2m_tables;
    for (; out->n < a->nr && out->n < CTL_AUDIT_FINDINGS; out->n++, f++) {
        struct ctl_shadow_finding *to = &out->finding[out->n];

        memcpy(to->rule, f->rule, sizeof(to->rule) - 1);
        memcpy(to->what, f->what, sizeof(to->what) - 1);
        to->gfn = f->gfn;
        to->entry = f->entry;
        to->index = f->index;
    }
}

int ctl_shadow_audit(struct ctl *ctl, uint32_t domid, struct ctl_shadow_audit *out, struct ctl_error *err)
{
    struct umbra_shadow_finding *findings = ctl_buffer_get(ctl, CTL_AUDIT_FINDINGS * sizeof(*findings));
    int rc = findings ? -EAGAIN : -ENOMEM;

    for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
        struct umbra_op op = {.cmd = UMBRA_OP_shadow_audit, .domain = domid};

        op.u.shadow_audit.room = CTL_AUDIT_FINDINGS;
        op.u.shadow_audit.findings = (uintptr_t)findings;
        rc = ctl_call_umbra(ctl, &op);
        if (rc >= 0) {
            copy_audit(out, &op.u.shadow_audit, findings);
        }
    }
    ctl_buffer_put(ctl, findings);
    return rc < 0 ? fail(ctl, err, rc, CTL_AT("audit the shadows", domid)) : 0;
}

int ctl_shadow_blow(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct umbra_op op = {.cmd = UMBRA_OP_shadow_blow, .domain = domid};
    int rc = ctl_call_umbra(ctl, &op);

    return rc < 0 ? fail(ctl, err, rc, CTL_AT("blow the shadows", domid)) : 0;
}

/* ---- what there is ---- */

static struct ctl_shadow shadow_from(const struct umbra_shadow_record *r)
{
    return (struct ctl_shadow){
        .shadow = r->shadow,
        .is_entry = r->index != UMBRA_SHADOW_table,
        .index = r->index,
        .level = r->level,
        .format = r->format,
        .gfn = r->gfn,
        .entry = r->entry,
        .child = r->child,
        .has_gfn = r->gfn != UMBRA_SHADOW_none,
        .is_part = r->flags & UMBRA_SHADOW_direct,
        .quadrant = r->quadrant,
        .vcpus = r->roots,
        .used = r->used,
    };
}

static long read_records(struct ctl *ctl, uint32_t domid, struct umbra_shadow_record *buffer, struct ctl_shadow **list)
{
    struct umbra_op op = {.cmd = UMBRA_OP_shadow_dump, .domain = domid};
    struct umbra_op_shadow_dump *d = &op.u.shadow_dump;
    size_t n = 0, room = 0;

    while (d->position != UMBRA_SHADOW_end) {
        int rc;

        d->records = (uintptr_t)buffer;
        d->room = RECORDS;
        rc = ctl_call_umbra(ctl, &op);
        if (rc < 0) {
            return rc;
        }
        if (n + RECORDS > room) {
            struct ctl_shadow *bigger = realloc(*list, (2 * room + RECORDS) * sizeof(*bigger));

            if (!bigger) {
                return -ENOMEM;
            }
            *list = bigger;
            room = 2 * room + RECORDS;
        }
        for (uint32_t i = 0; i < d->nr && i < RECORDS; i++) {
            (*list)[n++] = shadow_from(&buffer[i]);
        }
    }
    return (long)n;
}

long ctl_shadow_dump(struct ctl *ctl, uint32_t domid, struct ctl_shadow **list, struct ctl_error *err)
{
    struct umbra_shadow_record *buffer = ctl_buffer_get(ctl, RECORDS * sizeof(*buffer));
    long rc;

    *list = NULL;
    rc = buffer ? read_records(ctl, domid, buffer, list) : -ENOMEM;
    ctl_buffer_put(ctl, buffer);
    if (rc >= 0) {
        return rc;
    }
    free(*list);
    *list = NULL;
    return fail(ctl, err, (int)rc, CTL_AT("dump the shadows", domid));
}
