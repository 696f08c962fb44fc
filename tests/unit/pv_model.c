// SPDX-License-Identifier: BSD-2-Clause
/* The model. Shares no code with mm/pv: rules are written down again, from docs/invariants.md. */
#include <stdlib.h>
#include <hv/boot.h>
#include "pv_model.h"

uint32_t held_general[FAKE_FRAMES], held_typed[FAKE_FRAMES];
unsigned int granted[MODEL_DOMAINS][FAKE_FRAMES];
const uint16_t model_index[] = {0, 1, 2, 3, 4, 5, 255, 256, 260, 271, 272, 511};
const unsigned int model_indices = ARRAY_SIZE(model_index);

static uint32_t general[FAKE_FRAMES], typed[FAKE_FRAMES];
static uint32_t outside[FAKE_FRAMES]; /* of the typed ones: by others than the owner's entries */
static uint32_t foreign[MODEL_DOMAINS][FAKE_FRAMES];

#define UPPER_REFUSED (PTE_PWT | PTE_PCD | PTE_PSE | PTE_G)
#define CACHE_ATTRS   (PTE_PWT | PTE_PCD | PTE_PAT)

static unsigned int slot_of(mfn_t m)
{
    return (unsigned int)(m.n - FAKE_RAM_START);
}

static struct page_info *page_of(unsigned int f)
{
    return mfn_to_page(_mfn(FAKE_RAM_START + f));
}

static void broken(const char *which, const char *what, unsigned int f)
{
    const struct page_info *pg = page_of(f);

    panic("%s: %s: frame %u owner %d count %lx type %lx nr %u; counted %u general %u typed\n", which, what, f,
          pg->owner ? pg->owner->id : -1, pg->count_info, pg->type_info, pg->nr_validated, general[f], typed[f]);
}

void model_reset(void)
{
    memset(held_general, 0, sizeof(held_general));
    memset(held_typed, 0, sizeof(held_typed));
    memset(granted, 0, sizeof(granted));
}

static bool is_table(enum page_type t)
{
    return t >= PT_L1 && t <= PT_L4;
}

static bool is_live_table(const struct page_info *pg, unsigned int level)
{
    return page_type(pg) == level && (pg->type_info & PGT_validated) && (pg->type_info & PGT_count_mask);
}

static bool hv_slot(unsigned int level, unsigned int i)
{
    return level == 4 && i >= 256 && i < 272;
}

/* ---- recount ---- */

static void count_entry(const struct page_info *table, unsigned int level, pte_t e)
{
    unsigned int f = slot_of(pte_mfn(e));
    unsigned int t = slot_of(page_to_mfn(table));
    const struct page_info *pg;

    if (!(e.n & PTE_US) || (level == 1 && (e.n & PTE_G)) || (level > 1 && (e.n & UPPER_REFUSED)) ||
        (level == 1 && !table->owner->is_control && (e.n & CACHE_ATTRS)))
        broken("P6", "entry with wrong attributes", t);
    if (!mfn_is_ram(pte_mfn(e))) {
        if (level > 1 || !iomem_permitted(table->owner, pte_mfn(e)))
            broken("P4", "entry names memory that is not the domain's", t);
        return;
    }
    pg = page_of(f);
    general[f]++;
    if (level > 1 || (e.n & PTE_RW))
        typed[f]++;
    if (level == 1 && (e.n & PTE_RW) && pg->owner != table->owner)
        outside[f]++;
    if (!pg->owner)
        broken("P4", "entry names a free frame", f);
    if (level > 1 && (pg->owner != table->owner || !is_live_table(pg, level - 1)))
        broken("P3", "entry names no table of the next level", f);
    if (level == 1 && (e.n & PTE_RW) && page_type(pg) != PT_WRITABLE)
        broken("P2", "writable mapping of another type", f);
    if (level == 1 && pg->owner != table->owner && !table->owner->is_control &&
        ++foreign[table->owner->id][f] > granted[table->owner->id][f])
        broken("P4", "foreign frame mapped", f);
}

/* The hypervisor's slots of an L4 that hardware may load. */
static void check_hv_slots(const struct page_info *pg)
{
    const pte_t *l4 = page_to_virt(pg);

    for (unsigned int i = 256; i < 272; i++) {
        uint64_t want = i == 260 ? mfn_to_maddr(pg->owner->pv.perdomain_l3).n | 0x63 : idle_l4[i].n;

        /* m2p_strict: slot 256 is shown or not. */
        if (l4[i].n != want && (i != 256 || l4[i].n))
            broken("P6", "a slot of the hypervisor is not its own", slot_of(page_to_mfn(pg)));
    }
}

static void count_table(const struct page_info *pg, unsigned int n)
{
    unsigned int level = page_type(pg);

    for (unsigned int i = 0; i < n; i++) {
        pte_t e = ((pte_t *)page_to_virt(pg))[i];

        if ((e.n & PTE_P) && !hv_slot(level, i))
            count_entry(pg, level, e);
    }
}

/* Present: code and data of ring 3, or the null system type. The accessed bit is the processor's. */
static bool harmless(uint64_t desc)
{
    bool present = (desc >> 47) & 1, code_or_data = (desc >> 44) & 1;

    return !present || (code_or_data ? ((desc >> 45) & 3) == 3 : ((desc >> 40) & 15) == 0);
}

/* Shown or not: whoever shows it next trusts it. */
static void check_descriptors(unsigned int f)
{
    const uint64_t *desc = page_to_virt(page_of(f));

    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        if (!harmless(desc[i]))
            broken("D1", "a validated descriptor page has a harmful descriptor", f);
}

static void count_frame(unsigned int f)
{
    const struct page_info *pg = page_of(f);
    uint64_t t = pg->type_info;

    general[f] += held_general[f] + ((pg->count_info & PGC_allocated) ? 1 : 0);
    outside[f] += held_typed[f];
    typed[f] += held_typed[f] + ((pg->count_info & PGC_hv_page) ? 1 : 0); /* for as long as it is shared */
    if (t & PGT_busy)
        broken("S3", "busy", f);
    if (page_type(pg) == PT_SEGDESC && (t & PGT_validated))
        check_descriptors(f);
    if (t & PGT_pinned) {
        general[f]++;
        typed[f]++;
    }
    if (t & PGT_partial) {
        if (!is_table(page_type(pg)) || (t & (PGT_count_mask | PGT_validated | PGT_pinned)))
            broken("P5", "partial and in use", f);
        general[f]++;
        count_table(pg, pg->nr_validated);
    } else if (is_table(page_type(pg)) && (t & PGT_count_mask)) {
        if (!(t & PGT_validated))
            broken("P5", "in use, not validated", f);
        count_table(pg, PT_ENTRIES);
        if (page_type(pg) == PT_L4)
            check_hv_slots(pg);
    }
}

/* ---- descriptor windows ---- */

static void count_window_page(mfn_t m)
{
    const struct page_info *pg = mfn_to_page(m);

    general[slot_of(m)]++;
    typed[slot_of(m)]++;
    if (page_type(pg) != PT_SEGDESC || !(pg->type_info & PGT_validated))
        broken("D1", "a descriptor window shows a frame of another type", slot_of(m));
}

static void count_windows(const struct vcpu *v)
{
    const pte_t *window = v->domain->pv.gdt_ldt_l1 ? v->domain->pv.gdt_ldt_l1[v->vcpu_id] : NULL;
    unsigned int pages = (v->pv.gdt_ents + 511u) / 512;

    if (!window)
        return;
    for (unsigned int i = 0; i < 14; i++) {
        if (!(window[i].n & PTE_P) != (i >= pages) || (i < pages && !mfn_eq(pte_mfn(window[i]), v->pv.gdt_frames[i])))
            panic("D1: page %u of a GDT window is not what the vCPU has\n", i);
        if (i < pages)
            count_window_page(pte_mfn(window[i]));
    }
    for (unsigned int i = 16; i < 32; i++)
        if (window[i].n & PTE_P) {
            if ((i - 16) * 512 >= v->pv.ldt_ents)
                panic("D1: page %u of an LDT window lies behind the table\n", i);
            count_window_page(pte_mfn(window[i]));
        }
}

static void count_base(mfn_t m)
{
    if (mfn_eq(m, INVALID_MFN))
        return;
    general[slot_of(m)]++;
    typed[slot_of(m)]++;
    if (!is_live_table(mfn_to_page(m), 4))
        broken("P3", "base pointer is no L4", slot_of(m));
}

static void check_cr3(const struct vcpu *v)
{
    mfn_t m = maddr_to_mfn(_maddr(cpu_cr3(v->processor)));

    if (v->is_running && pv_on_shadows(&v->pv)) {
        if (cpu_cr3(v->processor) != v->pv.root[v->pv.kernel_mode].cr3)
            panic("P8: CR3 of a CPU is not its vCPU's root\n");
        return;
    }
    if (v->is_running && !is_live_table(mfn_to_page(m), 4))
        broken("P8", "CR3 of a CPU names no L4", slot_of(m));
    if (v->is_running && !mfn_eq(m, v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user))
        broken("P8", "CR3 of a CPU is not its vCPU's base pointer", slot_of(m));
}

/*
 * A stale pointer to a table may only lead to a frame that was no other type since, and never to a table of which only
 * a part is validated: whoever begins to validate it has flushed.
 */
static void check_psc(mfn_t table, unsigned int level, void *data)
{
    const struct page_info *pg;

    if (!mfn_is_ram(table))
        return;
    pg = mfn_to_page(table);
    if (!pg->owner)
        return;
    if (page_type(pg) != level)
        broken("S4", "a CPU still walks a frame that has become another type", slot_of(table));
    if ((pg->type_info & PGT_partial) && pg->nr_validated < PT_ENTRIES)
        broken("P5", "a CPU walks a table that is validated in part", slot_of(table));
}

static void check_tlb(mfn_t frame, bool writable, bool window, void *data)
{
    const struct page_info *pg;

    if (!mfn_is_ram(frame))
        return;
    pg = mfn_to_page(frame);
    if (window && (page_type(pg) != PT_SEGDESC || !(pg->type_info & PGT_validated)))
        broken("D1", "a TLB has a descriptor window on a frame that is none", slot_of(frame));
    if (pg->owner && writable && page_type(pg) != PT_WRITABLE && page_type(pg) != PT_NONE)
        broken("S4", "a TLB lets a CPU write to a frame that has become another type", slot_of(frame));
}

static void check_frame(unsigned int f)
{
    const struct page_info *pg = page_of(f);

    if (!pg->owner)
        return;
    if (general[f] != (pg->count_info & PGC_count_mask))
        broken("S1", "general references", f);
    if (typed[f] != (pg->type_info & PGT_count_mask))
        broken("S2", "typed references", f);
    if (page_type(pg) == PT_WRITABLE && typed[f] && pg->nr_outside != outside[f])
        broken("L2", "writable references by others", f);
}

static void count_vcpu(const struct vcpu *v)
{
    count_base(v->pv.l4_kernel);
    count_base(v->pv.l4_user);
    count_windows(v);
    check_cr3(v);
}

void model_check(struct domain *const *domains, unsigned int n)
{
    memset(general, 0, sizeof(general));
    memset(typed, 0, sizeof(typed));
    memset(outside, 0, sizeof(outside));
    memset(foreign, 0, sizeof(foreign));
    for (unsigned int f = 0; f < FAKE_FRAMES; f++)
        if (page_of(f)->owner)
            count_frame(f);
    for (unsigned int i = 0; i < n; i++)
        for (unsigned int v = 0; v < domains[i]->max_vcpus; v++)
            count_vcpu(domains[i]->vcpu[v]);
    for (unsigned int f = 0; f < FAKE_FRAMES; f++)
        check_frame(f);
    fake_psc_each(check_psc, NULL);
    fake_tlb_each(check_tlb, NULL);
    if (fake_locks_held)
        panic("a lock is still held\n");
}

bool model_orphans(const struct domain *d)
{
    for (unsigned int f = 0; f < FAKE_FRAMES; f++)
        if (page_of(f)->owner == d && (page_of(f)->type_info & PGT_partial) && !page_of(f)->dead.prev &&
            d->pv.dead_tables != FAKE_RAM_START + f)
            return true;
    return false;
}

bool model_unsettled(const struct domain *d)
{
    for (unsigned int f = 0; f < FAKE_FRAMES; f++)
        if (page_of(f)->owner == d && (page_of(f)->type_info & PGT_partial))
            return true;
    return false;
}

/* ---- foretelling: what types frames would have after the steps so far ---- */

static struct {
    enum page_type type;
    bool set, done;
} plan[FAKE_FRAMES];

static bool foretell_entry(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t e);

/* Gates and system segments are refused; the ring of the others is put right. */
bool model_descriptor_ok(uint64_t desc)
{
    return harmless(desc | 3ull << 45);
}

static bool bad_nx(pte_t e)
{
    return (e.n & PTE_NX) && !cpu_features.nx;
}

static bool foretell_table(struct domain *d, unsigned int f, enum page_type type)
{
    plan[f].type = type;
    plan[f].set = true;
    plan[f].done = false;
    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        pte_t e = ((pte_t *)page_to_virt(page_of(f)))[i];

        if (e.n && !hv_slot(type, i) && !foretell_entry(d, d, type, e))
            return false;
    }
    plan[f].done = true;
    return true;
}

static bool foretell_type(struct domain *d, unsigned int f, enum page_type type)
{
    const struct page_info *pg = page_of(f);

    if (is_table(type) && d->dying)
        return false;
    if (plan[f].set)
        return plan[f].type == type && plan[f].done;
    if (pg->type_info & PGT_count_mask)
        return page_type(pg) == type;
    if (is_table(type))
        return foretell_table(d, f, type);
    plan[f].type = type;
    plan[f].set = plan[f].done = true;
    if (type == PT_SEGDESC)
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            if (!model_descriptor_ok(((uint64_t *)page_to_virt(pg))[i]))
                return false;
    return true;
}

static bool foretell_l1(struct domain *pt_owner, struct domain *pg_owner, pte_t e)
{
    struct page_info *pg;

    if ((!pt_owner->is_control && (e.n & CACHE_ATTRS)) || bad_nx(e))
        return false;
    if (!mfn_is_ram(pte_mfn(e)))
        return iomem_permitted(pt_owner, pte_mfn(e)) &&
               (pg_owner == dom_io || pg_owner == pt_owner || iomem_permitted(pg_owner, pte_mfn(e)));
    pg = mfn_to_page(pte_mfn(e));
    if (pg->owner != pg_owner || !(pg->count_info & PGC_allocated))
        return false;
    return !(e.n & PTE_RW) || foretell_type(pg_owner, slot_of(pte_mfn(e)), PT_WRITABLE);
}

static bool foretell_entry(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t e)
{
    struct page_info *pg;

    if (!(e.n & PTE_P))
        return true;
    if (level == 1)
        return foretell_l1(pt_owner, pg_owner, e);
    if ((e.n & UPPER_REFUSED) || bad_nx(e) || !mfn_is_ram(pte_mfn(e)) || pt_owner != pg_owner)
        return false;
    pg = mfn_to_page(pte_mfn(e));
    return pg->owner == pt_owner && (pg->count_info & PGC_allocated) &&
           foretell_type(pt_owner, slot_of(pte_mfn(e)), (enum page_type)(level - 1));
}

bool model_accepts(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t e)
{
    memset(plan, 0, sizeof(plan));
    return foretell_entry(pt_owner, pg_owner, level, e);
}

/* Bits that do not change what is referred to may change even when the frame could not be mapped anew. */
bool model_accepts_update(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t old, pte_t e)
{
    bool same = (old.n & PTE_P) && (e.n & PTE_P) && mfn_eq(pte_mfn(old), pte_mfn(e)) && mfn_is_ram(pte_mfn(e)) &&
                (level > 1 || !((old.n ^ e.n) & PTE_RW));

    if (!same)
        return model_accepts(pt_owner, pg_owner, level, e);
    if (bad_nx(e))
        return false;
    if (level == 1)
        return (pt_owner->is_control || !(e.n & CACHE_ATTRS)) && (pg_owner != dom_xen || !(e.n & PTE_RW));
    return pt_owner == pg_owner && !(e.n & UPPER_REFUSED);
}

bool model_accepts_type(struct domain *d, mfn_t m, enum page_type type)
{
    memset(plan, 0, sizeof(plan));
    return foretell_type(d, slot_of(m), type);
}

pte_t model_adjust(unsigned int level, pte_t e)
{
    if (e.n & PTE_P) {
        e.n |= PTE_US;
        if (level == 1)
            e.n &= ~PTE_G;
    }
    return e;
}
