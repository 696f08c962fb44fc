/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to hypercall/: parts of memory_op. */
#ifndef HYPERCALL_MEMORY_OP_H
#define HYPERCALL_MEMORY_OP_H

#include <hv/hypercall.h>
#include <xen/memory.h>

/* Domain named by a call, with a reference: the caller itself, or any for the control domain; else NULL. */
struct domain *get_target_domain(domid_t id);
/* M2P entries of n frames that d just got. What d has given up already, from another vCPU, is left alone: it may be
 * somebody else's by now. */
void set_owned_gpfns(struct domain *d, mfn_t first, unsigned long pfn, unsigned long n);
/* Ends the allocation of one of d's frames; mappings that somebody still has keep it until they go. False: it is none.
 */
bool release_own_frame(struct domain *d, mfn_t m);
/* increase, decrease, populate from extent start on: extents done, or fewer when memory ran out; -errno when the
 * arguments are bad. */
long memory_reservation(struct hcall *hc, unsigned int cmd, unsigned int start, unsigned int cmd_bits);
/* Sets frames aside for a domain, before it is populated. */
long memory_claim(unsigned long guest);
/* Memory maps: the machine's, the caller's, one for a domain. */
long machine_memory_map(unsigned long guest);
long memory_map(unsigned long guest);
long set_memory_map(unsigned long guest);
long reserved_device_memory(unsigned long guest);
/* XENMEM_exchange: 0 or -errno, nr_exchanged says how far it came. */
long memory_exchange(struct hcall *hc, unsigned long guest);

/* physmap.c: translated domains. An extent of 2^order frames: 0, -ERESTART, or another error and nothing changed. */
int physmap_populate(struct domain *d, xen_pfn_t gfn, unsigned int order, unsigned int memf);
int physmap_release(struct domain *d, xen_pfn_t gfn, unsigned int order);
/* add_to_physmap and _batch from element start on, remove_from_physmap; -EACCES about PV domains. */
long physmap_add(struct hcall *hc, unsigned int start, unsigned int cmd_bits);
long physmap_add_batch(struct hcall *hc, unsigned int start, unsigned int cmd_bits);
long physmap_remove(struct hcall *hc);

#endif
