/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest on hardware virtualisation has: a processor, entered by the PVH protocol, its own page tables, faults
 * that can be expected, and a prediction of each access from the manuals. A guest is one C file with guest_main(). All
 * of them are one image, which is built four times:
 *
 *   hvm32     begins without paging; use_tables() turns on 2 levels, without PSE
 *   hvm32pse  2 levels with PSE
 *   hvm32pae  3 levels
 *   hvm64     4 levels, 64-bit code
 *
 * Memory is mapped as it is, for the supervisor, below HOME_END; all that is tried is done from TEST_AREA on. The same
 * image runs under a hypervisor and on an emulator's bare processor, which is the reference. tests/README.md has more.
 */
#ifndef HVM_H
#define HVM_H

#include "layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE     4096ul
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- format: LEVELS and PSE come from the Makefile ---- */

#if LEVELS == 2
typedef uint32_t entry_t;
#define INDEX_BITS 10
#else
typedef uint64_t entry_t;
#define INDEX_BITS 9
#endif
#define ENTRIES              (1u << INDEX_BITS)
#define SHIFT(level)         (12 + INDEX_BITS * ((level)-1))
#define SPAN(level)          (1ul << SHIFT(level)) /* what one entry maps */
#define INDEX(linear, level) ((unsigned int)((linear) >> SHIFT(level)) & (ENTRIES - 1))
/* Levels whose entries have rights, A and D: those of PAE's third are no more than pointers. */
#define TOP (LEVELS == 3 ? 2u : (unsigned int)LEVELS)

#define PTE_P    ((entry_t)0x001)
#define PTE_RW   ((entry_t)0x002)
#define PTE_US   ((entry_t)0x004)
#define PTE_A    ((entry_t)0x020)
#define PTE_D    ((entry_t)0x040)
#define PTE_PSE  ((entry_t)0x080)
#define PTE_G    ((entry_t)0x100)
#define PTE_NX   ((entry_t)(LEVELS == 2 ? 0 : 1ull << 63))
#define PTE_ADDR ((entry_t)0x000ffffffffff000ull)
#define PTE_ALL  (PTE_P | PTE_RW | PTE_US)
#define PTE_KEPT (PTE_ALL | PTE_A | PTE_D)

#define HOME_END  0x800000ul
#define TEST_AREA (LEVELS == 4 ? (unsigned long)0x8040000000ull : 0x40000000ul)

enum { TRAP_DE, TRAP_DB, TRAP_NMI, TRAP_UD = 6, TRAP_DF = 8, TRAP_GP = 13, TRAP_PF = 14 };
enum { PFEC_P = 1, PFEC_W = 2, PFEC_U = 4, PFEC_RSVD = 8, PFEC_I = 16 };

/* ---- the processor ---- */

#define MOV_FROM_CR(n)                                        \
    static inline unsigned long read_cr##n(void)              \
    {                                                         \
        unsigned long v;                                      \
        __asm__ __volatile__("mov %%cr" #n ", %0" : "=r"(v)); \
        return v;                                             \
    }
#define MOV_TO_CR(n)                                                 \
    static inline void write_cr##n(unsigned long v)                  \
    {                                                                \
        __asm__ __volatile__("mov %0, %%cr" #n ::"r"(v) : "memory"); \
    }
MOV_FROM_CR(0)
MOV_FROM_CR(2)
MOV_FROM_CR(3)
MOV_FROM_CR(4)
MOV_TO_CR(0)
MOV_TO_CR(3)
MOV_TO_CR(4)

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t v)
{
    __asm__ __volatile__("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline void invlpg(unsigned long linear)
{
    __asm__ __volatile__("invlpg (%0)" ::"r"(linear) : "memory");
}

static inline void reload_cr3(void)
{
    write_cr3(read_cr3());
}

static inline void out8(uint16_t port, uint8_t v)
{
    __asm__ __volatile__("outb %0, %1" ::"a"(v), "d"(port));
}

struct cpuid {
    uint32_t a, b, c, d;
};
struct cpuid cpuid(uint32_t leaf);

/* What the processor has. */
extern struct features {
    bool nx, smep, smap, pge, pse36, xsave, avx;
    unsigned int phys_bits;
} has;
/* Under a hypervisor of Xen's ABI; else on a processor of an emulator's own. */
extern bool on_xen;
/*
 * The command line says "hardware" where the processor walks these tables: on nested paging, or without a hypervisor.
 */
extern bool walks_by_hardware;

/* ---- main.c: start, checks, verdict ---- */

void guest_main(void); /* the Makefile gives it the guest's name */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void check_at(bool ok, const char *file, int line, const char *what);
void check_value_at(uint64_t value, uint64_t wanted, const char *file, int line, const char *what);
void fail_now(const char *file, int line, const char *what) __attribute__((noreturn));

#define CHECK(condition)        check_at((condition), __FILE__, __LINE__, #condition)
#define CHECK_IS(value, wanted) check_value_at((value), (wanted), __FILE__, __LINE__, #value)
#define REQUIRE(condition)      ((condition) ? (void)0 : fail_now(__FILE__, __LINE__, #condition))

/* Numbers that look random, the same in each run. */
uint32_t random32(void);

/* ---- table.c ---- */

extern volatile entry_t *root; /* the table that CR3 names */
/* A zeroed page, mapped at its own address. */
void *new_page(void);
/* The entry of a level for an address; tables above it are made, with all rights. */
volatile entry_t *slot(unsigned long linear, unsigned int level);
/* Turns paging on where it is not (hvm32). */
void use_tables(void);
/* Maps a page of TEST_AREA, and makes the processor see it. */
void map(unsigned long linear, const volatile void *page, entry_t flags);

static inline entry_t entry_of(const volatile void *page, entry_t flags)
{
    return (entry_t)(unsigned long)page | flags;
}

static inline volatile uint32_t *at(unsigned long linear)
{
    return (volatile uint32_t *)linear;
}

/* ---- trap.c: faults ---- */

struct fault {
    unsigned int vector; /* VEC_END: none */
    unsigned long error, cr2, ip;
};

enum access { READ, WRITE, FETCH, USER = 4, AC = 8 /* the supervisor's EFLAGS.AC */ };

/* Calls fn; how it ended. */
struct fault try_call(void (*fn)(void *), void *arg);
/* One access, to the first byte of a page that CODE_END begins. What is written is what was there. */
struct fault try_access(unsigned int access, unsigned long linear);
#define CODE_END 0x80cd /* int $VEC_END */

/* ---- predict.c: what the manuals say of an access ---- */

struct prediction {
    unsigned int vector;
    unsigned long error;
    unsigned int leaf;         /* the level that maps it; 0: none does */
    unsigned int last;         /* the level of the last entry read */
    volatile entry_t *slot[5]; /* by level; those with A and D */
    entry_t before[5];
};
void predict(struct prediction *p, unsigned int access, unsigned long linear);
/* Predicts, accesses, compares vector, error code, CR2, and the A and D bits in all entries. True: no fault. */
bool check_access_at(unsigned int access, unsigned long linear, const char *file, int line);
#define CHECK_ACCESS(access, linear) check_access_at((access), (linear), __FILE__, __LINE__)

#endif
