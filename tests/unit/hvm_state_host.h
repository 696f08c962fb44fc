/* SPDX-License-Identifier: BSD-2-Clause */
/* What test_hvm_state.c puts around guests' state: two domains, a back end that keeps what it is given, a clock. */
#ifndef HVM_STATE_HOST_H
#define HVM_STATE_HOST_H

#include <hv/hvm.h>

#define VCPUS     2u
#define XSAVE_AVX 832u
#define KEPT_MSRS 9u

extern const uint32_t kept_msrs[KEPT_MSRS]; /* PAT is the first */

struct back_end {
    struct hvm_segment seg[HVM_SEGS];
    uint64_t msr[KEPT_MSRS], event;
};

/* Where a back end keeps an MSR; NULL: it does not. */
uint64_t *kept(const struct vcpu *v, uint32_t msr);

struct world {
    struct domain d;
    struct vcpu vcpu[VCPUS], *table[VCPUS];
    struct hvm_vcpu hvm[VCPUS];
    struct back_end back_end[VCPUS];
};
extern struct world from, to;
/* As a domain is made, all vCPUs down. */
void make_world(struct world *w);
void unmake_world(struct world *w);
/* Any state that it may be saved in (hvm_state_random.c). */
void random_vcpu(struct vcpu *v);

extern uint64_t memory[512]; /* of guests, from address 0 */
extern s_time_t now;
extern bool no_memory; /* of the hypervisor */
extern unsigned int time_updates;
extern unsigned int latches; /* of the layout that the guest's mode asks for */
extern uint64_t offset_told; /* by the last of them */

#endif
