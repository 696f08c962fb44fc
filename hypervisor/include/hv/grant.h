/* SPDX-License-Identifier: BSD-2-Clause */
/* Grant tables, versions 1 and 2. Source: <xen/grant_table.h>. */
#ifndef HV_GRANT_H
#define HV_GRANT_H

#include <hv/domain.h>
#include <xen/grant_table.h>

struct umbra_op_grant_audit;

#define MAX_GRANT_FRAMES 256u /* largest limit a tool may set */

/* opts: XEN_DOMCTL_GRANT_version of the highest version that the domain may use; it begins with 1. */
int grant_domain_init(struct domain *d, unsigned int max_frames, unsigned int max_maptrack, uint32_t opts);
/* Teardown of d's own mappings of others' frames, in bounded slices: -ERESTART or 0. */
int grant_relinquish_mappings(struct domain *d);
/* At the domain's end, likewise. */
int grant_domain_free(struct domain *d);
/* Counts, from handle on, mappings that mapper has of granter's frames; looks at 512 handles at most and returns where
 * to go on, 0: there are no more. */
unsigned int grant_count_mappings(struct domain *mapper, const struct domain *granter, unsigned int handle,
                                  unsigned int *host, unsigned int *device);
/* Frame number idx of d's grant table, growing it up to the limit (acquire_resource). 0, -ERESTART when there are some
 * more, but not that many, or -errno. */
int grant_get_frame(struct domain *d, unsigned long idx, mfn_t *mfn);
/* Likewise for status frames, which a table has in version 2 only. */
int grant_get_status_frame(struct domain *d, unsigned long idx, mfn_t *mfn);
unsigned int grant_nr_frames(struct domain *d);
/* For audits of a paused domain: the frame that a handle stands for in d's page tables; INVALID_MFN: none. False: no
 * handle so high. */
bool grant_host_mapping(const struct domain *d, unsigned int handle, mfn_t *frame);
/* The limits; status frames: 0 when the domain may not use version 2. */
unsigned int grant_max_frames(const struct domain *d);
unsigned int grant_max_status_frames(const struct domain *d);
/* Debug key 'g'. */
void grant_dump(void);
/*
 * Recounts d's grants and mappings, in slices; *a is as <umbra/umbra_op.h> says. -ERESTART, -EAGAIN: somebody used its
 * grants meanwhile and there is no result, or 0: so many of the invariants G1-G5 are broken as *a says, and the
 * console.
 */
int grant_audit_slice(struct domain *d, struct umbra_op_grant_audit *a);
/* What the check of a finding says, in words, and the number of its invariant. */
const char *grant_audit_what(uint32_t check, const char **rule);
/* All at once, for debug keys: number of broken ones, or -EAGAIN after some attempts. */
int grant_audit(struct domain *d);

/*
 * Services of mm/pv for grant mappings: sets or clears the L1 entry of the current domain that maps the frame.
 * addr: GNTMAP_contains_pte: machine address of the entry; else linear address.
 *
 * References: the caller of pv_grant_map_pte holds a general reference on the frame, and a WRITABLE one if the entry is
 * writable, by get_own_writable if the frame is the current domain's. When it succeeds they belong to the L1 entry, as
 * those of any entry do: mm/pv drops them when the entry goes by another way than an unmap (overwritten, table
 * devalidated, teardown). pv_grant_unmap_pte and pv_grant_replace_pte clear the entry without dropping them: they are
 * the caller's again, who drops them after the TLB flush.
 */
int pv_grant_map_pte(struct domain *d, uint64_t addr, bool contains_pte, pte_t entry);
/* Replaces the entry by a not-present one if it still maps frame with the same writability; -EINVAL otherwise. */
int pv_grant_unmap_pte(struct domain *d, uint64_t addr, bool contains_pte, mfn_t frame, bool readonly,
                       pte_t replacement);
/* GNTTABOP_unmap_and_replace: moves the entry at linear address new_addr into place, leaving that one empty. */
int pv_grant_replace_pte(struct domain *d, uint64_t addr, mfn_t frame, bool readonly, uint64_t new_addr);

#endif
