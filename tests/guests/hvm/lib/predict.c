// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the manuals say an access does (AMD64 manual volume 2, chapter 5; Intel's volume 3, chapter 4), read off the
 * guest's tables as they stand: the fault with its error code, and the A and D bits afterwards. Written for the guest's
 * one format, level by level, without a look at how a hypervisor walks.
 *
 * The manuals leave open whether A is set on the way to a fault: it may be, in entries that led further. It is not set
 * in the entry that maps the page, since the page is not accessed, nor D anywhere.
 */
#include "internal.h"

#define BITS(from, to) ((to) < (from) ? 0 : (~0ull >> (63 - ((to) - (from)))) << (from))

static bool nx_on(void)
{
    return LEVELS > 2 && has.nx && (read_msr(MSR_EFER) & EFER_NXE);
}

static bool maps_page(unsigned int level, entry_t e)
{
    return level == 1 || (level == 2 && (e & PTE_PSE) && (LEVELS > 2 || (read_cr4() & CR4_PSE)));
}

static uint64_t reserved(unsigned int level, bool page)
{
    uint64_t bits = LEVELS == 2 ? 0 : BITS(has.phys_bits, LEVELS == 3 ? 62u : 51u) | (nx_on() ? 0 : 1ull << 63);

    if (page && level == 2 && LEVELS == 2)
        bits |= BITS(13 + (has.pse36 ? (has.phys_bits < 40 ? has.phys_bits : 40) - 32 : 0), 21u);
    else if (page && level == 2)
        bits |= BITS(13u, 20u);
    if (level == 4)
        bits |= PTE_PSE;
    return bits;
}

static bool forbidden(unsigned int access, entry_t rights, bool nx)
{
    unsigned int kind = access & 3;

    if (kind == FETCH && nx)
        return true;
    if (access & USER)
        return !(rights & PTE_US) || (kind == WRITE && !(rights & PTE_RW));
    if (kind == FETCH)
        return (rights & PTE_US) && (read_cr4() & CR4_SMEP);
    if ((rights & PTE_US) && (read_cr4() & CR4_SMAP) && !(access & AC))
        return true;
    return kind == WRITE && !(rights & PTE_RW) && (read_cr0() & CR0_WP);
}

static void fault(struct prediction *p, unsigned int access, unsigned long why)
{
    p->vector = TRAP_PF;
    p->error = why | ((access & 3) == WRITE ? PFEC_W : 0) | (access & USER ? PFEC_U : 0);
    if ((access & 3) == FETCH && (nx_on() || (read_cr4() & CR4_SMEP)))
        p->error |= PFEC_I;
}

void predict(struct prediction *p, unsigned int access, unsigned long linear)
{
    volatile entry_t *table = root;
    entry_t rights = PTE_RW | PTE_US;
    bool nx = false;

    *p = (struct prediction){.vector = VEC_END};
    for (unsigned int level = LEVELS; !p->leaf; level--) {
        volatile entry_t *s = &table[INDEX(linear, level)];
        entry_t e = *s;

        if (level <= TOP) {
            p->last = level;
            p->slot[level] = s;
            p->before[level] = e;
            if (!(e & PTE_P) || (e & reserved(level, maps_page(level, e)))) {
                fault(p, access, e & PTE_P ? PFEC_P | PFEC_RSVD : 0);
                return;
            }
            rights &= e;
            nx |= (e & PTE_NX) && nx_on();
            p->leaf = maps_page(level, e) ? level : 0;
        }
        table = (volatile entry_t *)(unsigned long)(e & PTE_ADDR);
    }
    if (forbidden(access, rights, nx))
        fault(p, access, PFEC_P);
}

/* Whether an entry is now what it may be. */
static bool entry_right(const struct prediction *p, unsigned int access, unsigned int level)
{
    entry_t now = *p->slot[level], before = p->before[level];

    if (p->vector != VEC_END)
        return now == before || (level > p->last && now == (before | PTE_A));
    return now == (before | PTE_A | (level == p->leaf && (access & 3) == WRITE ? PTE_D : 0));
}

static void tell(const struct prediction *p, unsigned int access, const struct fault *f)
{
    for (unsigned int level = TOP; level >= p->last; level--)
        say("  level %u: %llx, now %llx", level, (unsigned long long)p->before[level],
            (unsigned long long)*p->slot[level]);
    say("  access %x: vector %u error %lx cr2 %lx, not %u error %lx; CR0 %lx CR4 %lx EFER %llx", access, f->vector,
        f->error, f->cr2, p->vector, p->error, read_cr0(), read_cr4(), (unsigned long long)read_msr(MSR_EFER));
}

bool check_access_at(unsigned int access, unsigned long linear, const char *file, int line)
{
    struct prediction p;
    struct fault f;
    bool right;

    predict(&p, access, linear);
    f = try_access(access, linear);
    if (walks_by_hardware && (p.error & PFEC_RSVD))
        f.error |= PFEC_P; /* the emulator's processor leaves it out */
    right = f.vector == p.vector && (f.vector != TRAP_PF || (f.error == p.error && f.cr2 == linear));
    for (unsigned int level = TOP; level >= p.last; level--)
        right &= entry_right(&p, access, level);
    check_at(right, file, line, "an access as predicted");
    if (!right)
        tell(&p, access, &f);
    return f.vector == VEC_END;
}
