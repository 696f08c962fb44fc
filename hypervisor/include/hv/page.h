/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64 page-table entries and the direct map. pte_t is an entry that hardware walks (PV guest tables and the
 * hypervisor's own); shadow paging has its own distinct types. AMD64 manual volume 2, section 5.3.
 */
#ifndef HV_PAGE_H
#define HV_PAGE_H

#include <hv/layout.h>
#include <hv/lib.h>

BOXED(pte_t, _pte, pte_x)

#define PTE_P        (1ull << 0)
#define PTE_RW       (1ull << 1)
#define PTE_US       (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_A        (1ull << 5)
#define PTE_D        (1ull << 6)
#define PTE_PSE      (1ull << 7) /* L2, L3: superpage; L1: PAT */
#define PTE_PAT      (1ull << 7)
#define PTE_G        (1ull << 8)
#define PTE_AVAIL    (7ull << 9)
#define PTE_NX       (1ull << 63)
#define PTE_ADDR     0x000ffffffffff000ull
#define PTE_AVAIL_HI (0x7ffull << 52)

#define PT_ENTRIES 512u

static inline mfn_t pte_mfn(pte_t e)
{
    return _mfn((e.n & PTE_ADDR) >> PAGE_SHIFT);
}

/*
 * The frame of an entry that was seen to be present, for a walk that goes on there. What is not present may hold any
 * number, of the guest's choice: it gives frame 0, computed without a branch, so that a mispredicted look at PTE_P
 * cannot make the CPU read a frame as a table, and what it finds there as the next one's address.
 */
static inline mfn_t pte_mfn_nospec(pte_t e)
{
    uint64_t present = e.n;

    __asm__ __volatile__("" : "+r"(present)); /* else the compiler knows what it was seen to be */
    return pte_mfn(_pte(e.n & -(present & PTE_P)));
}

static inline pte_t pte_make(mfn_t m, uint64_t flags)
{
    return _pte((m.n << PAGE_SHIFT) | flags);
}

/* Index of a linear address in a table of the given level (1-4). */
static inline unsigned int pt_index(unsigned long linear, unsigned int level)
{
    return (linear >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}

#ifndef UMBRA_HOST
/* All RAM is mapped at DIRECTMAP_VIRT; MMIO is reached by ioremap only. */
static inline void *maddr_to_virt(maddr_t a)
{
    return (void *)(DIRECTMAP_VIRT + a.n);
}

static inline void *mfn_to_virt(mfn_t m)
{
    return (void *)(DIRECTMAP_VIRT + (m.n << PAGE_SHIFT));
}

/* Inverse of the above for direct-map addresses and for the hypervisor's own image. */
extern unsigned long image_phys_start;
static inline maddr_t virt_to_maddr(const void *p)
{
    unsigned long v = (unsigned long)p;

    return _maddr(v >= DIRECTMAP_VIRT ? v - DIRECTMAP_VIRT : v - XEN_VIRT_START + image_phys_start);
}
#else
void *mfn_to_virt(mfn_t m);
maddr_t virt_to_maddr(const void *p);
#endif

static inline mfn_t virt_to_mfn(const void *p)
{
    return maddr_to_mfn(virt_to_maddr(p));
}

/* Addresses that a guest may name: canonical and outside the hypervisor's slots. */
static inline bool is_canonical(unsigned long a)
{
    return (unsigned long)((long)(a << 16) >> 16) == a;
}

static inline bool guest_range_ok(unsigned long a, unsigned long size)
{
    unsigned long end = a + size;

    if (end < a && end != 0)
        return false;
    return (a < (1ul << 47) && end <= (1ul << 47)) || a >= HYPERVISOR_LIMIT;
}

#endif
