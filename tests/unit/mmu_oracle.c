// SPDX-License-Identifier: BSD-2-Clause
/* See mmu_oracle.h. Long-winded on purpose: each mode spells out its own levels. */
#include <string.h>
#include "mmu_oracle.h"

#define BIT(n) (1ull << (n))

struct entry {
    uint64_t value;
    uint64_t address; /* where it stands */
    unsigned int size;
    bool in_memory;
};

struct walk {
    struct oracle_cpu *c;
    enum oracle_kind kind;
    bool user;
    /* the entries used so far, and what they allow together */
    struct entry used[4];
    unsigned int n;
    bool all_writable, all_user, any_nx;
    uint64_t physical;
    bool faults;
    uint32_t error_code;
};

static bool paging(const struct oracle_cpu *c)
{
    return c->cr0 & BIT(31);
}

static bool pae(const struct oracle_cpu *c)
{
    return c->cr4 & BIT(5);
}

static bool long_mode(const struct oracle_cpu *c)
{
    return c->efer & BIT(10);
}

static bool nxe(const struct oracle_cpu *c)
{
    return c->has_nx && (c->efer & BIT(11));
}

static bool smep(const struct oracle_cpu *c)
{
    return c->cr4 & BIT(20);
}

static bool smap(const struct oracle_cpu *c)
{
    return c->cr4 & BIT(21);
}

static bool wp(const struct oracle_cpu *c)
{
    return c->cr0 & BIT(16);
}

static void raise_fault(struct walk *w, bool present, bool reserved)
{
    w->faults = true;
    w->error_code = 0;
    if (present)
        w->error_code |= BIT(0);
    if (w->kind == ORACLE_WRITE)
        w->error_code |= BIT(1);
    if (w->user)
        w->error_code |= BIT(2);
    if (reserved)
        w->error_code |= BIT(3);
    if (w->kind == ORACLE_FETCH && ((pae(w->c) && nxe(w->c)) || smep(w->c)))
        w->error_code |= BIT(4);
}

static bool has_memory(const struct oracle_cpu *c, uint64_t address, unsigned int size)
{
    return address + size <= c->memory_size && !(c->hidden && c->hidden(address));
}

static struct entry load(const struct walk *w, uint64_t address, unsigned int size)
{
    struct entry e = {.value = size == 4 ? 0xffffffffull : ~0ull, .address = address, .size = size, .in_memory = true};

    if (has_memory(w->c, address, size)) {
        e.value = 0;
        memcpy(&e.value, w->c->memory + address, size);
    }
    if (w->c->recall)
        e.value = w->c->recall(w->c->recall_ctx, address, size, e.value);
    return e;
}

/* False: the walk ends here, with a fault. */
static bool use(struct walk *w, struct entry e, uint64_t reserved)
{
    if (!(e.value & BIT(0))) {
        raise_fault(w, false, false);
        return false;
    }
    if (e.value & reserved) {
        raise_fault(w, true, true);
        return false;
    }
    w->used[w->n++] = e;
    if (!(e.value & BIT(1)))
        w->all_writable = false;
    if (!(e.value & BIT(2)))
        w->all_user = false;
    if (pae(w->c) && nxe(w->c) && (e.value & BIT(63)))
        w->any_nx = true;
    return true;
}

static uint64_t from_to(unsigned int low, unsigned int high)
{
    uint64_t mask = 0;

    for (unsigned int i = low; i <= high; i++)
        mask |= BIT(i);
    return mask;
}

/* 32-bit paging: SDM 4.3, table 4-4 for the PDE of a 4 MiB page. */
static void walk_32bit(struct walk *w, uint32_t linear)
{
    const struct oracle_cpu *c = w->c;
    struct entry pde = load(w, (c->cr3 & 0xfffff000) + (linear >> 22) * 4, 4), pte;

    if ((pde.value & BIT(7)) && (c->cr4 & BIT(4))) {
        unsigned int m = c->maxphyaddr < 40 ? c->maxphyaddr : 40;
        uint64_t reserved = 0, high = 0;

        for (unsigned int i = 13; i <= 21; i++) {
            bool is_address = c->has_pse36 && i - 13 + 32 < m && i != 21;

            if (is_address)
                high |= (pde.value >> i & 1) << (i - 13 + 32);
            else
                reserved |= BIT(i);
        }
        if (use(w, pde, reserved))
            w->physical = high | (pde.value & 0xffc00000) | (linear & 0x3fffff);
        return;
    }
    if (!use(w, pde, 0))
        return;
    pte = load(w, (pde.value & 0xfffff000) + ((linear >> 12) & 0x3ff) * 4, 4);
    if (use(w, pte, 0))
        w->physical = (pte.value & 0xfffff000) | (linear & 0xfff);
}

/* Bits above the physical address in 8-byte entries, up to the one below the last; the last is NX, or reserved too. */
static uint64_t high_reserved(const struct oracle_cpu *c, unsigned int last)
{
    uint64_t mask = 0;

    for (unsigned int i = c->maxphyaddr; i <= last; i++)
        mask |= BIT(i);
    return nxe(c) ? mask : mask | BIT(63);
}

static uint64_t frame(uint64_t entry)
{
    return entry & from_to(12, 51);
}

/* PAE paging: SDM 4.4. The four page-directory-pointer entries are registers. */
static void walk_pae(struct walk *w, uint32_t linear)
{
    const struct oracle_cpu *c = w->c;
    uint64_t pdpte = c->pdpte[linear >> 30], reserved = high_reserved(c, 62), pdpte_reserved = 0;
    struct entry pde, pte;

    if (!(pdpte & BIT(0))) {
        raise_fault(w, false, false);
        return;
    }
    for (unsigned int i = 0; i < 64; i++)
        if (i == 1 || i == 2 || (i >= 5 && i <= 8) || i >= c->maxphyaddr)
            pdpte_reserved |= BIT(i);
    if (pdpte & pdpte_reserved) {
        raise_fault(w, true, true);
        return;
    }
    pde = load(w, frame(pdpte) + ((linear >> 21) & 511) * 8, 8);
    if (pde.value & BIT(7)) {
        if (use(w, pde, reserved | from_to(13, 20)))
            w->physical = (frame(pde.value) & ~from_to(12, 20)) | (linear & 0x1fffff);
        return;
    }
    if (!use(w, pde, reserved))
        return;
    pte = load(w, frame(pde.value) + ((linear >> 12) & 511) * 8, 8);
    if (use(w, pte, reserved))
        w->physical = frame(pte.value) | (linear & 0xfff);
}

/* 4-level paging: SDM 4.5. */
static void walk_long(struct walk *w, uint64_t linear)
{
    const struct oracle_cpu *c = w->c;
    uint64_t reserved = high_reserved(c, 51);
    struct entry pml4e, pdpte, pde, pte;

    pml4e = load(w, frame(c->cr3) + ((linear >> 39) & 511) * 8, 8);
    if (!use(w, pml4e, reserved | BIT(7)))
        return;
    pdpte = load(w, frame(pml4e.value) + ((linear >> 30) & 511) * 8, 8);
    if (pdpte.value & BIT(7)) {
        if (use(w, pdpte, reserved | (c->has_1gb ? from_to(13, 29) : BIT(7))))
            w->physical = (frame(pdpte.value) & ~from_to(12, 29)) | (linear & 0x3fffffff);
        return;
    }
    if (!use(w, pdpte, reserved))
        return;
    pde = load(w, frame(pdpte.value) + ((linear >> 21) & 511) * 8, 8);
    if (pde.value & BIT(7)) {
        if (use(w, pde, reserved | from_to(13, 20)))
            w->physical = (frame(pde.value) & ~from_to(12, 20)) | (linear & 0x1fffff);
        return;
    }
    if (!use(w, pde, reserved))
        return;
    pte = load(w, frame(pde.value) + ((linear >> 12) & 511) * 8, 8);
    if (use(w, pte, reserved))
        w->physical = frame(pte.value) | (linear & 0xfff);
}

/* SDM 4.6.1. */
static bool allowed(const struct walk *w)
{
    const struct oracle_cpu *c = w->c;

    if (w->user) {
        if (!w->all_user)
            return false;
        if (w->kind == ORACLE_FETCH)
            return !w->any_nx;
        return w->kind == ORACLE_READ || w->all_writable;
    }
    if (w->kind == ORACLE_FETCH) {
        if (w->all_user && smep(c))
            return false;
        return !w->any_nx;
    }
    if (w->all_user && smap(c) && !c->eflags_ac)
        return false;
    if (w->kind == ORACLE_READ)
        return true;
    return w->all_writable || !wp(c);
}

static void store_bits(struct oracle_cpu *c, const struct entry *e, uint64_t bits)
{
    uint64_t value = e->value | bits;

    if (e->in_memory && has_memory(c, e->address, e->size))
        memcpy(c->memory + e->address, &value, e->size);
}

static uint64_t needed_bits(const struct walk *w, unsigned int i)
{
    return BIT(5) | (i + 1 == w->n && w->kind == ORACLE_WRITE ? BIT(6) : 0);
}

static bool has_bits(const struct walk *w)
{
    for (unsigned int i = 0; i < w->n; i++)
        if (needed_bits(w, i) & ~w->used[i].value)
            return false;
    return true;
}

struct oracle_result oracle_access(struct oracle_cpu *c, uint64_t linear, enum oracle_kind kind, bool user)
{
    struct walk w = {.c = c, .kind = kind, .user = user, .all_writable = true, .all_user = true};

    if (!paging(c))
        return (struct oracle_result){.physical = (uint32_t)linear};
    if (!pae(c))
        walk_32bit(&w, (uint32_t)linear);
    else if (!long_mode(c))
        walk_pae(&w, (uint32_t)linear);
    else
        walk_long(&w, linear);
    if (!w.faults && !allowed(&w))
        raise_fault(&w, true, false);
    if (w.faults)
        return (struct oracle_result){.faults = true, .error_code = w.error_code};
    if (c->recall)
        return (struct oracle_result){.faults = !has_bits(&w), .physical = w.physical};
    for (unsigned int i = 0; i < w.n; i++)
        store_bits(c, &w.used[i], needed_bits(&w, i));
    return (struct oracle_result){.physical = w.physical};
}
