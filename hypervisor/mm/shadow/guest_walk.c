// SPDX-License-Identifier: BSD-2-Clause
/*
 * One loop for all formats: read, judge, go down; then rights; then A and D. No lock is taken and nothing of the
 * hypervisor is changed, so a fault that is the guest's own goes back to it from here.
 *
 * An address without memory behind it reads as all ones, as from a bus that nobody answers on.
 *
 * Deliberately not here: protection keys, CET, 5 levels; what a guest frame is mapped to.
 */
#include <hv/guest_walk.h>
#include <hv/x86.h>

static enum walk_result fault(const struct guest_paging *g, struct guest_walk *w, uint32_t why)
{
    /* Instruction fetches are told apart only where something depends on them. */
    uint32_t shown = PFEC_W | PFEC_U | (g->nx || g->smep ? PFEC_I : 0);

    w->error = (w->access & shown) | why;
    return WALK_FAULT;
}

static gpa_t root(const struct guest_paging *g)
{
    /* Low bits of CR3 are flags; 32-bit formats look at 32 bits only. */
    return _gpa(g->cr3 & (g->fmt == &guest_fmt_4 ? PTE_ADDR : 0xfffff000ull));
}

static void read_entry(const struct guest_paging *g, const struct guest_mem *m, struct guest_walk *w, gpa_t table)
{
    unsigned int bytes = g->fmt->entry_bytes, index = guest_index(g->fmt, w->level, w->linear);
    uint64_t value;

    if (!g->fmt->level[w->level].accessed) {
        w->entry[w->level] = _gpte(g->pdpte[index]);
        return;
    }
    w->slot[w->level] = _gpa(table.n + index * bytes);
    if (!m->read(m->ctx, w->slot[w->level], bytes, &value))
        value = ~0ull >> (64 - 8 * bytes);
    w->entry[w->level] = _gpte(value);
}

/* Down to the entry that maps a page. */
static enum walk_result descend(const struct guest_paging *g, const struct guest_mem *m, struct guest_walk *w)
{
    gpa_t table = root(g);

    w->rights = PTE_RW | PTE_US;
    for (w->level = g->fmt->levels;; w->level--) {
        gpte_t e;
        bool page;

        read_entry(g, m, w, table);
        e = w->entry[w->level];
        if (!(e.n & PTE_P))
            return fault(g, w, 0);
        page = guest_maps_page(g, w->level, e);
        if (e.n & (page ? g->reserved_page : g->reserved_table)[w->level])
            return fault(g, w, PFEC_P | PFEC_RSVD);
        if (g->fmt->level[w->level].accessed)
            w->rights = (w->rights & (e.n | PTE_NX)) | (g->nx ? e.n & PTE_NX : 0);
        if (page)
            return WALK_OK;
        table = _gpa(guest_entry_gfn(g, w->level, e).n << PAGE_SHIFT);
    }
}

static bool user_allowed(const struct guest_walk *w)
{
    return (w->rights & PTE_US) && (!(w->access & PFEC_W) || (w->rights & PTE_RW)) &&
           (!(w->access & PFEC_I) || !(w->rights & PTE_NX));
}

static bool supervisor_allowed(const struct guest_paging *g, const struct guest_walk *w)
{
    if (w->access & PFEC_I)
        return !(w->rights & PTE_NX) && !(g->smep && (w->rights & PTE_US));
    if (g->smap && (w->rights & PTE_US) && !w->smap_exempt)
        return false;
    return !(w->access & PFEC_W) || (w->rights & PTE_RW) || !g->wp;
}

static enum walk_result set_accessed(const struct guest_paging *g, const struct guest_mem *m, struct guest_walk *w)
{
    for (unsigned int level = g->fmt->levels; level >= w->level; level--) {
        uint64_t e = w->entry[level].n, want = e | PTE_A;

        if (!g->fmt->level[level].accessed)
            continue;
        if (level == w->level && (w->access & PFEC_W))
            want |= PTE_D;
        if (want != e && !m->swap(m->ctx, w->slot[level], g->fmt->entry_bytes, e, want))
            return WALK_RETRY;
        w->entry[level] = _gpte(want);
    }
    return WALK_OK;
}

enum walk_result guest_walk(const struct guest_paging *g, const struct guest_mem *m, struct guest_walk *w)
{
    uint64_t linear = w->linear;
    enum walk_result r;

    if (!g->fmt) {
        w->level = 0;
        w->rights = PTE_RW | PTE_US;
        w->gfn = _gfn((uint32_t)linear >> PAGE_SHIFT);
        return WALK_OK;
    }
    r = descend(g, m, w);
    if (r != WALK_OK)
        return r;
    if ((w->access & PFEC_U) ? !user_allowed(w) : !supervisor_allowed(g, w))
        return fault(g, w, PFEC_P);
    linear &= (1ull << g->fmt->level[w->level].shift) - 1;
    w->gfn = _gfn(guest_entry_gfn(g, w->level, w->entry[w->level]).n + (linear >> PAGE_SHIFT));
    return set_accessed(g, m, w);
}
