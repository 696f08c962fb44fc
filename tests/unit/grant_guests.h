/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A granting guest (a), a control domain (ctl) that maps and copies, and a third domain (b), for host tests: one call
 * per operation, made as the current vCPU, which is the control domain's at first.
 */
#ifndef GRANT_GUESTS_H
#define GRANT_GUESTS_H

#include "fake/machine.h"

extern struct domain *ctl, *a, *b;
extern grant_entry_v1_t *table; /* a's first frame */
extern mfn_t page;              /* a frame of a */

/* Where the caller maps its n-th grant. */
#define VA(n) (0x7f0000000000ull + (n)*4096ull)

/* frames, track: the limits of its table and of its maptrack. */
struct domain *new_domain(domid_t id, bool control, unsigned int frames, unsigned int track);
/* What teardown does for events and mappings, as slowly as it may; the domain is dying then. */
void finish_domain(struct domain *d);

/* Around each test: ctl, a and b live, table and page set; nothing of them left at the end. */
int grant_setup(void **state);
int grant_teardown(void **state);

long op(unsigned int cmd, const void *arg, unsigned int count);
/* a writes an entry of its table. */
void grant(grant_ref_t ref, domid_t to, mfn_t frame, uint16_t flags);
struct gnttab_map_grant_ref map(domid_t dom, grant_ref_t ref, uint32_t flags, uint64_t addr);
int map_status(domid_t dom, grant_ref_t ref, uint32_t flags, uint64_t addr);
/* Its status; an address of 0 is not named. */
int unmap(grant_handle_t handle, uint64_t addr, uint64_t dev);

uint16_t in_use(grant_ref_t ref);
/* Nobody but the owner uses m, nobody uses the entry. */
void assert_quiet(mfn_t m, grant_ref_t ref);

#endif
