/* SPDX-License-Identifier: BSD-2-Clause */
/* umbra_op's commands about shadow paging: figures, audit, a new beginning, and what there is. And the debug key. */
#include <hv/console.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/timer.h>
#include "shadow_op.h"

/* ---- figures ---- */

static const char *const exit_names[HVM_EXIT_REASONS] = {
    [HVM_EXIT_NOTHING] = "host",
    [HVM_EXIT_PAGE_FAULT] = "page_fault",
    [HVM_EXIT_NESTED_FAULT] = "nested_fault",
    [HVM_EXIT_EXCEPTION] = "exception",
    [HVM_EXIT_CPUID] = "cpuid",
    [HVM_EXIT_HLT] = "hlt",
    [HVM_EXIT_HYPERCALL] = "hypercall",
    [HVM_EXIT_RDMSR] = "rdmsr",
    [HVM_EXIT_WRMSR] = "wrmsr",
    [HVM_EXIT_CR] = "cr",
    [HVM_EXIT_DR] = "dr",
    [HVM_EXIT_IO] = "io",
    [HVM_EXIT_XSETBV] = "xsetbv",
    [HVM_EXIT_INVLPG] = "invlpg",
    [HVM_EXIT_SKIP] = "skip",
    [HVM_EXIT_UNDEFINED] = "undefined",
    [HVM_EXIT_PRIVILEGED] = "privileged",
    [HVM_EXIT_TRIPLE_FAULT] = "triple_fault",
    [HVM_EXIT_FATAL] = "fatal",
};

static int tell(void *ctx, const char *group, const char *name, uint64_t value)
{
    struct umbra_op_shadow_stats *s = ctx;
    struct umbra_figure f = {.value = value}, *g = guest_ptr(struct umbra_figure, s->figures);

    if (s->nr == s->room)
        return -ENOBUFS;
    strlcpy(f.group, group, sizeof(f.group));
    strlcpy(f.name, name, sizeof(f.name));
    stretch_work(1);
    if (copy_to_guest(g + s->nr, &f, 1))
        return -EFAULT;
    s->nr++;
    return 0;
}

static int tell_vcpu(const struct hvm_vcpu *h, struct umbra_op_shadow_stats *s)
{
    int rc = shadow_tell_vcpu(&h->shadow, tell, s);

    for (unsigned int i = 0; i < HVM_EXIT_REASONS && !rc; i++)
        rc = tell(s, "exits", exit_names[i] ? exit_names[i] : "other", h->exits[i]);
    return rc ? rc : tell(s, "tlb", "begun", h->tlbs);
}

long shadow_op_stats(struct domain *d, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_shadow_stats *s = &op->u.shadow_stats;
    const struct vcpu *v = NULL;
    int rc = 0;

    if (!d->p2m)
        return -EOPNOTSUPP;
    s->nr = 0;
    *copyback = true;
    if (!s->position)
        rc = shadow_tell(d, tell, s);
    else if (s->position <= d->max_vcpus)
        v = d->vcpu[array_index_nospec(s->position - 1, d->max_vcpus)];
    if (v && v->hvm)
        rc = tell_vcpu(v->hvm, s);
    s->position = s->position < d->max_vcpus ? s->position + 1 : UMBRA_FIGURES_end;
    return rc;
}

/* ---- audit ---- */

static int tell_findings(struct umbra_op_shadow_audit *a, const struct audit_log *log)
{
    struct umbra_shadow_finding *g = guest_ptr(struct umbra_shadow_finding, a->findings);

    a->broken += log->count;
    for (unsigned int i = 0; i < log->nr && a->nr < a->room; i++, a->nr++) {
        const struct audit_found *from = &log->found[i];
        struct umbra_shadow_finding f = {.gfn = from->gfn, .entry = from->entry, .index = from->index};

        strlcpy(f.rule, from->rule, sizeof(f.rule));
        strlcpy(f.what, from->what, sizeof(f.what));
        if (copy_to_guest(g + a->nr, &f, 1))
            return -EFAULT;
    }
    return 0;
}

#define SHADOWS_DONE UINT32_MAX

static long audit_shadows(struct domain *d, struct umbra_op_shadow_audit *a)
{
    struct shadow_audit s = {.next = a->next, .tables = a->tables, .entries = a->entries};
    int rc = shadow_audit(d, &s);

    a->next = rc ? s.next : SHADOWS_DONE;
    a->tables = s.tables;
    a->entries = s.entries;
    return tell_findings(a, &s.broken) ? -EFAULT : rc;
}

static long audit_p2m(struct domain *d, struct umbra_op_shadow_audit *a)
{
    struct p2m_audit p = {.next = a->p2m_next, .changes = a->p2m_changes, .tables = a->p2m_tables};
    int rc;

    memcpy(p.seen, a->p2m_seen, sizeof(p.seen));
    rc = p2m_audit(d, &p);
    a->p2m_next = p.next;
    a->p2m_changes = p.changes;
    a->p2m_tables = p.tables;
    memcpy(a->p2m_seen, p.seen, sizeof(p.seen));
    if (tell_findings(a, &p.broken))
        return -EFAULT;
    return rc == -EINVAL ? -EBUSY : rc;
}

long shadow_op_audit(struct domain *d, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_shadow_audit *a = &op->u.shadow_audit;
    long rc = 0;

    if (!d->p2m)
        return -EOPNOTSUPP;
    *copyback = true;
    if (a->next != SHADOWS_DONE)
        rc = audit_shadows(d, a);
    return rc || d->identity ? rc : audit_p2m(d, a);
}

/* ---- the other two ---- */

long shadow_op_blow(struct domain *d, struct umbra_op *op, bool *copyback)
{
    return shadow_blow(d);
}

long shadow_op_dump(struct domain *d, struct umbra_op *op, bool *copyback)
{
    struct umbra_op_shadow_dump *u = &op->u.shadow_dump;
    struct umbra_shadow_record r[16], *g = guest_ptr(struct umbra_shadow_record, u->records);

    *copyback = true;
    u->nr = 0;
    do {
        int n = shadow_dump(d, &u->position, r, MIN(u->room - u->nr, (uint32_t)ARRAY_SIZE(r)));

        if (n < 0)
            return n;
        if (copy_to_guest(g + u->nr, r, n))
            return -EFAULT;
        u->nr += (uint32_t)n;
    } while (u->position != UMBRA_SHADOW_end && u->nr < u->room && !preempt_needed());
    return 0;
}

/* ---- the debug key: one domain after the other, in slices with room for others between them ---- */

#define BLOW_PAUSE MICROSECS(100)

static struct timer blow_timer;
static domid_t blow_next; /* the timer's, once it runs */

static void blow_slice(void *unused)
{
    struct domain *d = domain_get_next(blow_next);

    if (!d)
        return;
    blow_next = d->id;
    if (shadow_blow(d) != -ERESTART)
        blow_next++;
    domain_put(d);
    timer_set(&blow_timer, system_time() + BLOW_PAUSE);
}

static void key_blow(void)
{
    blow_next = 0;
    timer_set(&blow_timer, system_time());
}

void shadow_boot_init(void)
{
    timer_init(&blow_timer, blow_slice, NULL, 0);
    register_debug_key('S', "throw all shadows away; they are made again", key_blow);
}
