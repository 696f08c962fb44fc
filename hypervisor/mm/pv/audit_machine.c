// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an audit of a domain asks of the machine around it: on which tables its processors are, what the heap has set
 * aside and has free, and whether dead tables are left that nobody goes on with. Numbers are those of
 * docs/invariants.md.
 *
 * The machine runs on meanwhile. What another CPU may be in the middle of is looked at again and again (MAX_LOOKS), or
 * in a later slice, when whoever waited for the domain's pt_lock has had it; a sum over all domains counts if no claim
 * has changed from its begin to its end.
 */
#include <hv/boot.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <hv/x86.h>
#include "audit.h"

/* ---- S4, P8: processors ---- */

/* The domain's vCPU that a CPU runs, or NULL; *ours: its CR3 leads to what is the domain's. */
static const struct vcpu *runs_on(const struct domain *d, unsigned int cpu, bool *ours)
{
    unsigned long cr3 = cpu_cr3(cpu);
    mfn_t m = maddr_to_mfn(_maddr(cr3));
    const struct vcpu *v, *found = NULL;

    *ours = mfn_valid(m) && READ_ONCE(mfn_to_page(m)->owner) == d;
    for_each_vcpu (d, v) {
        if (READ_ONCE(v->is_running) && v->processor == cpu)
            found = v;
        if (cr3 && (cr3 == v->pv.root[0].cr3 || cr3 == v->pv.root[1].cr3))
            *ours = true;
    }
    return found;
}

/* While the domain is paused no CPU runs its vCPUs: then none may be on its tables, and so none knows a translation. */
static void look_at_cpu(struct pv_audit *a, unsigned int cpu)
{
    mfn_t m = maddr_to_mfn(_maddr(cpu_cr3(cpu)));
    bool ours;
    const struct vcpu *v = runs_on(a->d, cpu, &ours);

    if (v && cpu_cr3(cpu) != pv_cr3(v))
        audit_found(a, "P8", "a CPU runs a vCPU on other tables than its own", m);
    if (!v && ours)
        audit_found(a, "P8", "a CPU is on tables of a domain that it does not run", m);
    if ((v || ours) && !cpumask_test(&a->d->dirty_cpus, cpu))
        audit_found(a, "S4", "a CPU that may know the domain's translations would not be flushed", m);
}

enum progress audit_cpus(struct pv_audit *a)
{
    unsigned int units = 1 + a->d->max_vcpus;

    if (a->next >= NR_CPUS)
        return DONE;
    if (preempt_before_work(units))
        return LATER;
    stretch_work(units);
    if (cpumask_test(&cpu_online_map, (unsigned int)a->next))
        look_at_cpu(a, (unsigned int)a->next);
    a->next++;
    return MORE;
}

/* ---- S5: free frames ---- */

/* Asked of the domain's own frames, and of those that nobody refers to and that have a type in use all the same. */
void audit_in_heap(struct pv_audit *a, const struct page_info *pg)
{
    uint64_t in_use = READ_ONCE(pg->type_info) & (PGT_count_mask | PGT_pinned | PGT_partial | PGT_busy);
    bool held = READ_ONCE(pg->count_info) & PGC_count_mask;

    if (held ? READ_ONCE(pg->owner) != a->d : !in_use)
        return;
    stretch_work(HEAP_COST);
    if (heap_has(pg))
        audit_found(a, "S5", "a frame in use is free", page_to_mfn(pg));
}

/* ---- S7: claims ---- */

/* Between a frame's return to its claimant's account and to the heap there is one too many, for a moment. */
static bool stays_short(void)
{
    struct heap_claims c;

    for (unsigned int i = 0; i < MAX_LOOKS; i++) {
        heap_read_claims(&c);
        if (c.claimed <= c.free)
            return false;
        cpu_relax();
    }
    return true;
}

/* A domain's claim goes at once when it begins to die. */
static bool stays_claimed(const struct domain *d)
{
    for (unsigned int i = 0; i < MAX_LOOKS; i++) {
        if (!READ_ONCE(d->dying) || !READ_ONCE(d->claimed_pages))
            return false;
        cpu_relax();
    }
    return true;
}

static void begin_claims(struct pv_audit *a)
{
    heap_read_claims(&a->claims);
    a->claimed = 0;
    a->entry = 0;
    if (stays_short())
        audit_found(a, "S7", "more frames are claimed than are free", INVALID_MFN);
}

static void end_claims(struct pv_audit *a)
{
    struct heap_claims now;

    heap_read_claims(&now);
    if (now.changes == a->claims.changes && now.claimed != a->claimed)
        audit_found(a, "S7", "the claims of all domains are not what is set aside", INVALID_MFN);
    a->entry = NOT_BEGUN;
}

/* A domain in each step. */
enum progress audit_claims(struct pv_audit *a)
{
    struct domain *d;

    if (preempt_before_work(1))
        return LATER;
    stretch_work(1);
    if (a->entry == NOT_BEGUN)
        begin_claims(a);
    d = domain_get_next((domid_t)a->next);
    if (!d) {
        end_claims(a);
        return DONE;
    }
    a->claimed += READ_ONCE(d->claimed_pages);
    if (stays_claimed(d))
        audit_found(a, "S7", "a dying domain has a claim", INVALID_MFN);
    a->next = d->id + 1u;
    domain_put(d);
    return MORE;
}

/* ---- P10: dead tables ---- */

/* Is the frame a dead table of the domain? */
static bool is_dead(const struct pv_audit *a, uint32_t frame)
{
    const struct page_info *pg = mfn_to_page(_mfn(frame));

    return mfn_valid(_mfn(frame)) && READ_ONCE(pg->owner) == a->d && (pg->type_info & PGT_partial);
}

void audit_dead_neighbours(struct pv_audit *a, const struct page_info *pg)
{
    uint32_t self = (uint32_t)page_to_mfn(pg).n, next = pg->dead.next, prev = pg->dead.prev;

    if (!pt_is_queued(pg))
        return;
    if ((prev && (!is_dead(a, prev) || mfn_to_page(_mfn(prev))->dead.next != self)) ||
        (next && (!is_dead(a, next) || mfn_to_page(_mfn(next))->dead.prev != self)))
        audit_found(a, "P10", "a dead table is not in order among the others", page_to_mfn(pg));
}

/*
 * Dead tables are left by a call that was preempted while it released them, and which goes on, or gave up at that
 * point. A call of the control domain's that has just made one waits for the lock that is held here: it has it before
 * the second look.
 */
enum progress audit_dead(struct pv_audit *a)
{
    if (!a->d->pv.dead_tables || a->d->pv.drain_preempted)
        return DONE;
    if (a->entry == NOT_BEGUN) {
        a->entry = 0;
        return LATER;
    }
    audit_found(a, "P10", "dead tables are left that no call goes on with", _mfn(a->d->pv.dead_tables));
    a->entry = NOT_BEGUN;
    return DONE;
}
