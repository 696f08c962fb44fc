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

/* ---- version 2 ---- */

extern grant_entry_v2_t *table2; /* table in version 2 */
extern grant_status_t *status2;  /* its status */
extern mfn_t copy_side;          /* the caller's side of copies */

/* d asks for a version of its table; the result of the call. */
int set_version(struct domain *d, unsigned int version);
int16_t get_status_frames(domid_t id, unsigned int nr, uint64_t *list);
void to_v2(void); /* a's */
void grant2(grant_ref_t ref, domid_t to, mfn_t frame, uint16_t flags);
void grant_part(grant_ref_t ref, mfn_t frame, uint16_t start, uint16_t length); /* to domain 0 */
void grant_through(grant_ref_t ref, domid_t to, domid_t trans, grant_ref_t trans_ref);
void assert_quiet2(mfn_t m, grant_ref_t ref);
/* Between copy_side and a grant of dom, at the same place of the page or at its beginning; the status. */
int copy(domid_t dom, grant_ref_t ref, bool to, uint16_t offset, uint16_t len);

#endif
