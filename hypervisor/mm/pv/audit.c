// SPDX-License-Identifier: BSD-2-Clause
/*
 * Audit of one domain: counts, from the tables and descriptor windows alone, which references they hold, and compares
 * with the frame table. Numbers are those of docs/invariants.md. Slow and obvious on purpose; it shares no code with
 * the routes that it checks.
 *
 * The domain is paused, the rest of the machine is not. Three passes: what vCPUs and mappings by grant hold; every
 * frame of the domain, and what tables among them hold on others; every frame again, to compare. Before and after them
 * comes what the machine around the domain says of it: audit_machine.c. Between slices
 * anything may happen but a change of the domain's tables, windows and frames: pv_changed counts those, and an audit
 * that sees one has no result. Holders outside - other domains' mappings, registered areas - are not known here, so the
 * counts of a frame that is no table may be higher than those found, never lower.
 *
 * The counters take 16 bytes for each frame that the domain owns or names, in single pages, made when first needed.
 * What an audit has so far belongs to the domain: whoever calls next goes on with it, and teardown frees it.
 */
#include <hv/grant.h>
#include <hv/heap.h>
#include <hv/sched.h>
#include "audit.h"

#define COUNTS_PER_PAGE 256u
#define PAGES_PER_MID   512u
#define FRAME_COST      8u                  /* units of work of one frame */
#define NAME_COST       (2 * STRETCH_FRAME) /* of the first look at what is named: two pages of counters */
#define WINDOW_PAGES    (GDT_PAGES + LDT_PAGES)
#define FREE_PER_SLICE  64u

struct audit_count {
    uint32_t general, typed;
    uint32_t granted, entries; /* of another domain's frame: what may be mapped of it, and what is */
};

void audit_found(struct pv_audit *a, const char *rule, const char *what, mfn_t m)
{
    if (a->r.broken++ < PV_AUDIT_FINDINGS) {
        const struct page_info *pg = mfn_valid(m) ? mfn_to_page(m) : NULL;

        a->r.finding[a->r.broken - 1] = (struct pv_audit_finding){
            .rule = rule,
            .what = what,
            .mfn = m,
            .count_info = pg ? pg->count_info : 0,
            .type_info = pg ? pg->type_info : 0,
        };
    }
}

/* ---- counters ---- */

static void *new_page(struct pv_audit *a)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

    if (!pg) {
        a->rc = -ENOMEM;
        return NULL;
    }
    stretch_work(STRETCH_FRAME);
    list_add(&pg->list, &a->memory);
    return page_to_virt(pg);
}

/* NULL: none yet, or with make: no memory. */
static struct audit_count *count_of(struct pv_audit *a, mfn_t m, bool make)
{
    struct audit_count ***mid = &a->top[m.n / COUNTS_PER_PAGE / PAGES_PER_MID], **leaf;

    if (!*mid && make)
        *mid = new_page(a);
    if (!*mid)
        return NULL;
    leaf = &(*mid)[m.n / COUNTS_PER_PAGE % PAGES_PER_MID];
    if (!*leaf && make)
        *leaf = new_page(a);
    return *leaf ? &(*leaf)[m.n % COUNTS_PER_PAGE] : NULL;
}

static void expect(struct pv_audit *a, mfn_t m, unsigned int general, unsigned int typed)
{
    struct audit_count *c = count_of(a, m, true);

    if (c) {
        c->general += general;
        c->typed += typed;
    }
}

/* ---- vCPUs: base pointers and descriptor windows ---- */

static void audit_base(struct pv_audit *a, mfn_t m)
{
    const struct page_info *pg;

    if (mfn_eq(m, INVALID_MFN))
        return;
    if (!mfn_valid(m)) {
        audit_found(a, "P3", "base pointer names no RAM", m);
        return;
    }
    pg = mfn_to_page(m);
    expect(a, m, 1, 1);
    if (page_type(pg) != PT_L4 || !(pg->type_info & PGT_validated) || pg->owner != a->d)
        audit_found(a, "P3", "base pointer names no live L4 of the domain", m);
}

static void audit_window_page(struct pv_audit *a, pte_t e)
{
    mfn_t m = pte_mfn(e);

    if (!mfn_valid(m) || page_type(mfn_to_page(m)) != PT_SEGDESC || !(mfn_to_page(m)->type_info & PGT_validated)) {
        audit_found(a, "D1", "descriptor window shows a frame of another type", m);
        return;
    }
    if (mfn_to_page(m)->owner != a->d)
        audit_found(a, "P4", "descriptor window shows another domain's frame", m);
    expect(a, m, 1, 1);
}

static void audit_window(struct pv_audit *a, const struct vcpu *v, unsigned int i)
{
    const pte_t *window = a->d->pv.gdt_ldt_l1 ? a->d->pv.gdt_ldt_l1[v->vcpu_id] : NULL;
    unsigned int gdt_pages = (v->pv.gdt_ents + 511u) / 512, ldt_pages = (v->pv.ldt_ents + 511) / 512;
    bool gdt = i < GDT_PAGES;
    unsigned int page = gdt ? i : i - GDT_PAGES;

    /* The last pages of the GDT's window are the hypervisor's own. */
    if (!window || (gdt && page >= FIRST_RESERVED_GDT_PAGE) || !(window[i].n & PTE_P))
        return;
    if (page >= (gdt ? gdt_pages : ldt_pages))
        audit_found(a, "D1", "descriptor window shows a page behind the table's end", pte_mfn(window[i]));
    audit_window_page(a, window[i]);
    a->r.windows++;
}

static enum progress audit_vcpus(struct pv_audit *a)
{
    const struct vcpu *v;

    if (a->next >= a->d->max_vcpus * WINDOW_PAGES)
        return DONE;
    if (preempt_before_work(1 + 3 * NAME_COST))
        return LATER;
    stretch_work(1);
    v = a->d->vcpu[a->next / WINDOW_PAGES];
    if (v && a->next % WINDOW_PAGES == 0) {
        audit_base(a, v->pv.l4_kernel);
        audit_base(a, v->pv.l4_user);
    }
    if (v)
        audit_window(a, v, (unsigned int)(a->next % WINDOW_PAGES));
    a->next++;
    return MORE;
}

/* ---- mappings by grant ---- */

static enum progress audit_mapping(struct pv_audit *a)
{
    struct audit_count *c;
    mfn_t m;

    if (preempt_before_work(1 + NAME_COST))
        return LATER;
    stretch_work(1);
    if (!grant_host_mapping(a->d, (unsigned int)a->next++, &m))
        return DONE;
    c = mfn_valid(m) ? count_of(a, m, true) : NULL;
    if (c)
        c->granted++;
    return MORE;
}

/* ---- frames: each by itself, and what tables hold on others ---- */

static void audit_foreign(struct pv_audit *a, mfn_t m)
{
    struct audit_count *c = count_of(a, m, true);

    if (c && ++c->entries > c->granted)
        audit_found(a, "P4", "entry names another domain's frame that was not granted", m);
}

/* An entry of an L1 table, of RAM. */
static void audit_l1_entry(struct pv_audit *a, pte_t e)
{
    const struct page_info *pg = mfn_to_page(pte_mfn(e));

    if (!(pg->count_info & PGC_count_mask))
        audit_found(a, "P4", "entry names a free frame", pte_mfn(e));
    else if (pg->owner != a->d && !a->d->is_control)
        audit_foreign(a, pte_mfn(e));
    if ((e.n & PTE_RW) && page_type(pg) != PT_WRITABLE)
        audit_found(a, "P2", "writable mapping of a frame of another type", pte_mfn(e));
}

static bool attributes_ok(const struct pv_audit *a, unsigned int level, pte_t e)
{
    uint64_t bad = level > 1 ? PTE_PWT | PTE_PCD | PTE_PSE | PTE_G : PTE_G;

    if (level == 1 && !a->d->is_control)
        bad |= PTE_PWT | PTE_PCD | PTE_PAT;
    return (e.n & PTE_US) && !(e.n & bad);
}

static void audit_entry(struct pv_audit *a, const struct page_info *table, unsigned int level, pte_t e)
{
    const struct page_info *pg;

    a->r.entries++;
    if (!attributes_ok(a, level, e))
        audit_found(a, "P6", "entry with attributes that it may not have", page_to_mfn(table));
    if (!mfn_valid(pte_mfn(e))) {
        if (level > 1 || !iomem_permitted(a->d, pte_mfn(e)))
            audit_found(a, "P4", "entry names memory that is not the domain's", page_to_mfn(table));
        return;
    }
    expect(a, pte_mfn(e), 1, level > 1 || (e.n & PTE_RW));
    if (level == 1) {
        audit_l1_entry(a, e);
        return;
    }
    pg = mfn_to_page(pte_mfn(e));
    if (page_type(pg) != level - 1 || !(pg->type_info & PGT_validated) || pg->owner != a->d)
        audit_found(a, "P3", "entry names a frame that is no table of the next level", pte_mfn(e));
}

static void audit_hv_slot(struct pv_audit *a, const struct page_info *pg, unsigned int i)
{
    pte_t own = idle_l4[i], e = pt_read(pt_slot(pg, i));

    if (i == PERDOMAIN_L4_SLOT)
        own = pte_make(a->d->pv.perdomain_l3, PTE_P | PTE_RW | PTE_A | PTE_D);
    if (i == M2P_L4_SLOT && !e.n) /* hidden from user mode: base.c */
        return;
    /* The processor marks its own copy of an entry as it walks. */
    if ((e.n ^ own.n) & ~(PTE_A | PTE_D))
        audit_found(a, "P6", "slot of the hypervisor that is not its own", page_to_mfn(pg));
}

/* From a->entry on. False: later. */
static bool audit_table(struct pv_audit *a, const struct page_info *pg)
{
    unsigned int level = page_type(pg);
    bool partial = pg->type_info & PGT_partial;
    unsigned int n = partial ? pg->nr_validated : PT_ENTRIES;

    for (; a->entry < n; a->entry++) {
        pte_t e = pt_read(pt_slot(pg, a->entry));

        if (preempt_before_work(1 + NAME_COST))
            return false;
        stretch_work(1);
        if (pt_is_hv_slot(level, a->entry)) {
            if (!partial)
                audit_hv_slot(a, pg, a->entry);
        } else if (e.n & PTE_P)
            audit_entry(a, pg, level, e);
    }
    a->r.tables++;
    return true;
}

/* Present ones: code and data of ring 3, or the null system type. */
static bool harmless(uint64_t desc)
{
    if (!((desc >> 47) & 1))
        return true;
    return (desc >> 44) & 1 ? ((desc >> 45) & 3) == 3 : ((desc >> 40) & 15) == 0;
}

/* False: later. */
static bool audit_descriptors(struct pv_audit *a, const struct page_info *pg)
{
    const uint64_t *desc = page_to_virt(pg);
    unsigned int bad = 0;

    if (preempt_before_work(PT_ENTRIES))
        return false;
    stretch_work(PT_ENTRIES);
    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*desc); i++)
        bad += !harmless(READ_ONCE(desc[i]));
    if (bad)
        audit_found(a, "D1", "descriptor page with a gate, a system segment or another ring", page_to_mfn(pg));
    return true;
}

/* Another CPU may be giving the frame a type just now, for a grant. */
static bool stays_busy(const struct page_info *pg)
{
    for (unsigned int i = 0; i < MAX_LOOKS; i++) {
        if (!(READ_ONCE(pg->type_info) & PGT_busy))
            return false;
        cpu_relax();
    }
    return true;
}

static void audit_type(struct pv_audit *a, const struct page_info *pg, uint64_t t)
{
    mfn_t m = page_to_mfn(pg);
    bool table = page_type(pg) >= PT_L1 && page_type(pg) <= PT_L4, used = t & PGT_count_mask;

    if (stays_busy(pg))
        audit_found(a, "S3", "busy although nobody works on it", m);
    if (t & PGT_partial)
        audit_dead_neighbours(a, pg);
    if ((t & PGT_partial) && (!table || (t & (PGT_count_mask | PGT_validated | PGT_pinned))))
        audit_found(a, "P5", "partial and in use", m);
    if (table && used && !(t & PGT_validated))
        audit_found(a, "P5", "in use and not validated", m);
    if ((t & PGT_pinned) && (!used || !table))
        audit_found(a, "P7", "pinned without a reference", m);
    if ((pg->count_info & PGC_hv_page) && (table || !used))
        audit_found(a, "S6", "shared page of the hypervisor without its type", m);
}

static void audit_words(struct pv_audit *a, const struct page_info *pg, uint64_t t)
{
    unsigned int self = ((t & PGT_pinned) ? 1 : 0) + ((t & PGT_partial) ? 1 : 0);

    a->r.frames++;
    audit_type(a, pg, t);
    expect(a, page_to_mfn(pg), self + ((pg->count_info & PGC_allocated) ? 1 : 0),
           ((t & PGT_pinned) ? 1 : 0) + ((pg->count_info & PGC_hv_page) ? 1 : 0));
}

/* False: later, from a->entry on. A descriptor page is trusted as long as it is validated, shown or not. */
static bool audit_frame(struct pv_audit *a, const struct page_info *pg)
{
    uint64_t t = READ_ONCE(pg->type_info);
    bool table = page_type(pg) >= PT_L1 && page_type(pg) <= PT_L4;

    if (a->entry == NOT_BEGUN) {
        audit_words(a, pg, t);
        a->entry = 0;
    }
    if (table && (t & (PGT_validated | PGT_partial)) && (t & (PGT_count_mask | PGT_partial)))
        return audit_table(a, pg);
    return page_type(pg) != PT_SEGDESC || !(t & PGT_validated) || audit_descriptors(a, pg);
}

/* ---- comparison ---- */

/* Both words as they were at one moment. */
static void read_words(const struct page_info *pg, uint64_t *count, uint64_t *type)
{
    unsigned int i = 0;

    do {
        *count = READ_ONCE(pg->count_info);
        *type = READ_ONCE(pg->type_info);
    } while ((*count != READ_ONCE(pg->count_info) || *type != READ_ONCE(pg->type_info)) && ++i < MAX_LOOKS);
}

static bool compare_frame(struct pv_audit *a, const struct page_info *pg)
{
    const struct audit_count *c = count_of(a, page_to_mfn(pg), false);
    mfn_t m = page_to_mfn(pg);
    enum page_type type = page_type(pg);
    uint64_t general, typed;

    if (!c) /* it came to the domain after its turn */
        return true;
    read_words(pg, &general, &typed);
    general &= PGC_count_mask;
    typed &= PGT_count_mask;
    if (c->general > general)
        audit_found(a, "S1", "fewer general references than holders", m);
    if (c->typed > typed)
        audit_found(a, "S2", "fewer typed references than holders", m);
    else if (c->typed < typed && type >= PT_L1 && type <= PT_L4)
        audit_found(a, "P1", "typed reference of a table without a holder", m);
    else if (c->typed < typed && type == PT_SEGDESC)
        audit_found(a, "D1", "typed reference of a descriptor page without a window", m);
    /* That of a shared page is the sharer's: it stays when the domain gives the page up. */
    if (typed > general + ((pg->count_info & PGC_hv_page) ? 1 : 0))
        audit_found(a, "S2", "typed references without general ones", m);
    a->r.shared += c->general < general;
    return true;
}

/* ---- slices ---- */

static enum progress each_frame(struct pv_audit *a, bool (*look)(struct pv_audit *a, const struct page_info *pg))
{
    mfn_t m = _mfn(a->next);
    const struct page_info *pg = mfn_to_page(m);

    if (a->next >= max_page)
        return DONE;
    if (preempt_before_work(FRAME_COST + HEAP_COST + NAME_COST))
        return LATER;
    if (a->entry == NOT_BEGUN) { /* what goes on has paid, and may need a whole stretch */
        stretch_work(FRAME_COST);
        if (a->phase == AUDIT_FRAMES && mfn_valid(m))
            audit_in_heap(a, pg);
    }
    /* Where there is no RAM, there need not be a frame table. */
    if (mfn_valid(m) && READ_ONCE(pg->owner) == a->d && (READ_ONCE(pg->count_info) & PGC_count_mask) && !look(a, pg))
        return LATER;
    a->entry = NOT_BEGUN;
    a->next++;
    return MORE;
}

/* Some work of the present phase. */
static enum progress work(struct pv_audit *a)
{
    switch (a->phase) {
    case AUDIT_CPUS:
        return audit_cpus(a);
    case AUDIT_CLAIMS:
        return audit_claims(a);
    case AUDIT_VCPUS:
        return audit_vcpus(a);
    case AUDIT_GRANTS:
        return audit_mapping(a);
    case AUDIT_FRAMES:
        return each_frame(a, audit_frame);
    case AUDIT_COMPARE:
        return each_frame(a, compare_frame);
    default:
        return audit_dead(a);
    }
}

static void say(const struct pv_audit *a)
{
    for (unsigned int i = 0; i < MIN(a->r.broken, PV_AUDIT_FINDINGS); i++) {
        const struct pv_audit_finding *f = &a->r.finding[i];

        printk(XLOG_ERR "audit d%u: %s: %s: mfn %lx count %lx type %lx\n", a->d->id, f->rule, f->what, f->mfn.n,
               f->count_info, f->type_info);
    }
}

/* -ERESTART, or 0: all is looked at, or a->rc says why not. */
static int audit_slice(struct pv_audit *a)
{
    while (a->phase != AUDIT_RELEASE) {
        enum progress p = MORE;

        if (!a->rc && a->changes != READ_ONCE(a->d->pv.changes))
            a->rc = -EAGAIN;
        if (!a->rc)
            p = work(a);
        if (p == LATER)
            return -ERESTART;
        if (a->rc || p == DONE) {
            a->phase = a->rc ? AUDIT_RELEASE : a->phase + 1;
            a->next = 0;
        }
    }
    return 0;
}

/* -ERESTART, or 0: nothing is left of it. */
static int release(struct pv_audit *a)
{
    for (unsigned int n = 1; !list_empty(&a->memory); n++) {
        struct page_info *pg = list_first(&a->memory, struct page_info, list);

        list_del(&pg->list);
        free_hv_pages(pg, 0);
        if (n % FREE_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
    a->d->pv.audit = NULL;
    hv_free(a->top);
    hv_free(a);
    return 0;
}

static int begin(struct domain *d)
{
    struct pv_audit *a = hv_new(struct pv_audit);

    if (a)
        a->top = hv_new_array(struct audit_count **, max_page / COUNTS_PER_PAGE / PAGES_PER_MID + 1);
    if (!a || !a->top) {
        hv_free(a);
        return -ENOMEM;
    }
    a->d = d;
    a->entry = NOT_BEGUN;
    a->changes = READ_ONCE(d->pv.changes);
    list_init(&a->memory);
    d->pv.audit = a;
    return 0;
}

/* pt_lock held. */
static int audit_locked(struct domain *d, struct pv_audit_report *r)
{
    struct pv_audit *a;
    int rc;

    if (d->dying)
        return -EBUSY;
    if (!d->pv.audit) {
        rc = begin(d);
        if (rc)
            return rc;
        r->pauses++;
    }
    a = d->pv.audit;
    if (a->phase != AUDIT_RELEASE) {
        rc = audit_slice(a);
        if (rc)
            return rc;
        if (!a->rc)
            say(a);
    }
    a->r.pauses = r->pauses - 1;
    *r = a->r;
    rc = a->rc;
    if (release(a)) {
        r->pauses++;
        return -ERESTART;
    }
    return rc;
}

int pv_audit(struct domain *d, struct pv_audit_report *r)
{
    int rc;

    memset(r, 0, sizeof(*r));
    spin_lock(&d->pv.pt_lock);
    rc = audit_locked(d, r);
    spin_unlock(&d->pv.pt_lock);
    return rc;
}

int pv_audit_cancel(struct domain *d)
{
    if (!d->pv.audit)
        return 0;
    d->pv.audit->phase = AUDIT_RELEASE;
    return release(d->pv.audit);
}
