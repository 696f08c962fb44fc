/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GDT and LDT of a vCPU. The guest names frames (GDT) or a linear range (LDT); the hypervisor maps these frames into
 * the vCPU's window of the per-domain area, and the processor uses the window.
 *
 * Invariants:
 *   - Every window entry of guest frames holds a SEGDESC reference: the frame cannot become writable, so its checked
 *     descriptors stay checked. References are dropped only after the mapping is gone from all TLBs.
 *   - GDT pages are mapped when the table is set, LDT pages when the processor first looks at them.
 *   - Only the vCPU itself, or code that paused it, changes its window.
 *
 * What looks at the tables through the processor is in desc_load.c.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include "internal.h"

/* The processor sets the accessed bit of descriptors, so the window is writable for it. */
#define WINDOW_FLAGS (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)

#define MAX_LDT_ENTRIES 8192

static pte_t *gdt_window(const struct vcpu *v)
{
    return v->domain->pv.gdt_ldt_l1[v->vcpu_id];
}

static pte_t *ldt_window(const struct vcpu *v)
{
    return gdt_window(v) + GDT_PAGES;
}

static uint64_t window_flags(void)
{
    return cpu_features.nx ? WINDOW_FLAGS : WINDOW_FLAGS & ~PTE_NX;
}

/* Mappings of v's window are gone from every TLB afterwards. */
static void flush_window(const struct vcpu *v)
{
    if (v == current)
        tlb_flush_local();
    else
        tlb_flush_mask(v->domain->dirty_cpus);
}

/* ---- GDT ---- */

static void put_frames(const mfn_t *frame, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        put_page_and_type(mfn_to_page(frame[i]));
}

/* A frame that the guest named becomes a descriptor page, with both references; false: it cannot. */
static bool get_descriptor_page(mfn_t m, struct domain *d)
{
    struct page_info *pg = get_page_from_mfn(m, d);

    if (pg && get_page_type(pg, PT_SEGDESC)) {
        put_page(pg);
        pg = NULL;
    }
    return pg;
}

/* All or none. A page that was checked stays so without a reference: a restarted call goes on behind it. */
static int get_frames(struct domain *d, const unsigned long *gfn, mfn_t *frame, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        frame[i] = _mfn(gfn[i]);
        if (!get_descriptor_page(frame[i], d)) {
            gprintk("GDT frame %lx refused\n", gfn[i]);
            put_frames(frame, i);
            return -EINVAL;
        }
        if (i + 1 < n && preempt_after_work()) {
            put_frames(frame, i + 1);
            return -ERESTART;
        }
    }
    return 0;
}

static unsigned int gdt_frame_count(unsigned int entries)
{
    return (entries + 511) / 512;
}

/* Window entries 0..13 take the n frames given; the old frames' references are dropped. */
static void install_gdt(struct vcpu *v, const mfn_t *frame, unsigned int n, unsigned int entries)
{
    pte_t *window = gdt_window(v);
    mfn_t old[FIRST_RESERVED_GDT_PAGE];
    unsigned int old_count = gdt_frame_count(v->pv.gdt_ents);

    memcpy(old, v->pv.gdt_frames, sizeof(old));
    for (unsigned int i = 0; i < FIRST_RESERVED_GDT_PAGE; i++) {
        mfn_t m = frame && i < n ? frame[i] : INVALID_MFN;

        window[i] = i < n ? pte_make(m, window_flags()) : _pte(0);
        v->pv.gdt_frames[i] = m;
    }
    v->pv.gdt_ents = (uint16_t)entries;
    pv_changed(v->domain);
    if (old_count) {
        flush_window(v);
        put_frames(old, old_count);
    }
}

int pv_set_gdt(struct vcpu *v, const unsigned long *frames, unsigned int entries)
{
    mfn_t frame[FIRST_RESERVED_GDT_PAGE];
    unsigned int n = gdt_frame_count(entries);
    int rc;

    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return -EINVAL;
    rc = get_frames(v->domain, frames, frame, n);
    if (!rc)
        install_gdt(v, frame, n, entries);
    return rc;
}

long do_set_gdt(struct hcall *hc)
{
    unsigned long frames[FIRST_RESERVED_GDT_PAGE];
    unsigned long entries = hc->arg[1];
    int rc;

    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return -EINVAL;
    if (copy_from_guest(frames, guest_ptr(unsigned long, hc->arg[0]), gdt_frame_count((unsigned int)entries)))
        return -EFAULT;
    rc = pv_set_gdt(current, frames, (unsigned int)entries);
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}

/* ---- LDT ---- */

bool pv_in_ldt_window(const struct vcpu *v, unsigned long linear)
{
    return linear - LDT_VIRT(v->vcpu_id) < LDT_PAGES * PAGE_SIZE;
}

void pv_ldt_invalidate(struct vcpu *v)
{
    pte_t *window = ldt_window(v), old[LDT_PAGES];
    bool any = false;

    for (unsigned int i = 0; i < LDT_PAGES; i++) {
        old[i] = window[i];
        window[i] = _pte(0);
        any |= old[i].n & PTE_P;
    }
    if (!any)
        return;
    pv_changed(v->domain);
    flush_window(v);
    for (unsigned int i = 0; i < LDT_PAGES; i++)
        if (old[i].n & PTE_P)
            put_page_and_type(mfn_to_page(pte_mfn(old[i])));
}

int pv_set_ldt(struct vcpu *v, unsigned long base, unsigned long ents)
{
    if (ents > MAX_LDT_ENTRIES || (base & (PAGE_SIZE - 1)) || (ents && !guest_range_ok(base, ents * 8)))
        return -EINVAL;
    pv_ldt_invalidate(v);
    v->pv.ldt_base = base;
    v->pv.ldt_ents = (unsigned int)ents;
    if (v == current) {
        unsigned long flags = irq_save();

        pv_ldt_load(v);
        irq_restore(flags);
    }
    return 0;
}

/*
 * The processor met a window page that is not mapped: take the guest's page at that place of its LDT, if it can be a
 * descriptor page. May run with interrupts off, under no lock.
 */
bool pv_ldt_fault(struct vcpu *v, unsigned long linear)
{
    unsigned long page = (linear - LDT_VIRT(v->vcpu_id)) >> PAGE_SHIFT;
    pte_t *slot = &ldt_window(v)[array_index_nospec(page, LDT_PAGES)];
    unsigned int level;
    pte_t leaf;
    mfn_t m;

    if (page * 512 >= v->pv.ldt_ents || (slot->n & PTE_P))
        return false;
    /* The table lies in the guest kernel's memory, whatever mode looks at a descriptor of it. */
    if (pv_walk_from(v->pv.l4_kernel, v->pv.ldt_base + page * PAGE_SIZE, &leaf, &level) || level != 1)
        return false;
    m = pte_mfn(leaf);
    if (!get_descriptor_page(m, v->domain))
        return false;
    *slot = pte_make(m, window_flags());
    return true;
}

/* ---- both ---- */

void pv_drop_descriptors(struct vcpu *v)
{
    if (!v->domain->pv.gdt_ldt_l1 || !v->domain->pv.gdt_ldt_l1[v->vcpu_id])
        return;
    pv_ldt_invalidate(v);
    install_gdt(v, NULL, 0, 0);
}

/* Writes one descriptor while the page's type keeps it what it is. */
static int write_descriptor(struct page_info *pg, unsigned int offset, uint64_t desc)
{
    uint64_t *slot = (uint64_t *)((uint8_t *)page_to_virt(pg) + offset);
    int rc = get_page_type(pg, page_type(pg) == PT_SEGDESC ? PT_SEGDESC : PT_WRITABLE);

    if (rc)
        return rc;
    WRITE_ONCE(*slot, desc);
    put_page_type(pg);
    return 0;
}

long do_update_descriptor(struct hcall *hc)
{
    uint64_t desc = hc->arg[1];
    struct page_info *pg;
    int rc;

    if ((hc->arg[0] & 7) || !pv_check_descriptor(&desc))
        return -EINVAL;
    pg = get_page_from_mfn(_mfn(hc->arg[0] >> PAGE_SHIFT), current->domain);
    if (!pg)
        return -EINVAL;
    rc = write_descriptor(pg, hc->arg[0] & (PAGE_SIZE - 1), desc);
    put_page(pg);
    return rc;
}
