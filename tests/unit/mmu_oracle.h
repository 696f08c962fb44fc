/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slow, obvious x86 MMU, written from the manuals and from nothing else in this tree: no tables of formats, one
 * function per paging mode, one statement per rule. What it says is what every other translation is compared with.
 * Source: Intel SDM volume 3, sections 4.3 to 4.7; AMD64 manual volume 2, sections 5.2 to 5.6.
 */
#ifndef MMU_ORACLE_H
#define MMU_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

struct oracle_cpu {
    /* fixed */
    unsigned int maxphyaddr;
    bool has_nx, has_pse36, has_1gb;
    /* registers */
    uint64_t cr0, cr3, cr4, efer;
    uint64_t pdpte[4];
    bool eflags_ac;
    /* memory: all of it, from physical address 0; beyond it everything reads as ones and stores are lost */
    uint8_t *memory;
    uint64_t memory_size;
    /* Or NULL. Is that address no place for tables? Then it is as if beyond memory for who looks for one there. */
    bool (*hidden)(uint64_t address);
    /*
     * Or NULL. What a TLB has of an entry in memory (size bytes at an address, which holds now): then the access stores
     * nothing, and a translation through entries without the A and D bits that it needs is none: a fault without code.
     */
    uint64_t (*recall)(void *ctx, uint64_t address, unsigned int size, uint64_t now);
    void *recall_ctx;
};

enum oracle_kind { ORACLE_READ, ORACLE_WRITE, ORACLE_FETCH };

struct oracle_result {
    bool faults;
    uint32_t error_code; /* if it faults */
    uint64_t physical;   /* if not */
};

/* Performs the translation with its side effects: A and D bits are set in memory when the access is allowed. */
struct oracle_result oracle_access(struct oracle_cpu *c, uint64_t linear, enum oracle_kind kind, bool user);

#endif
