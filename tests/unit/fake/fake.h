/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for host tests of the hypervisor's modules: some frames of RAM, a few CPUs with TLBs that really go stale,
 * domains, locks that check their ranks. One thread; "on CPU n" is a variable.
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include <hv/domain.h>
#include <hv/heap.h>
#include <hv/x86.h>

#define FAKE_CPUS      4u
#define FAKE_RAM_START 0x100ul /* first valid frame */
#define FAKE_FRAMES    256u
#define FAKE_MMIO_OK   0x5000ul /* frames here: iomem_permitted for the control domain */
#define FAKE_MMIO_NR   16u

/* base.c: one generator, seeded by UMBRA_SEED or the clock and printed by fake_seed. */
uint64_t fake_seed(const char *test);
uint64_t fake_rand(void);
/* The next numbers are taken from these bytes; when no more are left, from the generator, which starts anew. */
void fake_feed(const uint8_t *bytes, size_t n);
bool fake_fed(void); /* are there any left? */
unsigned int fake_below(unsigned int n);
bool fake_chance(unsigned int percent);
unsigned long fake_ops(unsigned long normal); /* UMBRA_OPS, or the argument */
extern bool fake_verbose;                     /* printk goes to stderr */
extern unsigned int fake_preempt_percent;     /* how often preempt_needed says yes */
extern unsigned int fake_locks_held;
/* The one lock that is held, if any, is another CPU's until fake_lock_back. */
const spinlock_t *fake_lock_aside(void);
void fake_lock_back(const spinlock_t *l);
void fake_run_on(unsigned int cpu, struct vcpu *v);

/* mem.c */
void fake_memory_init(void);
uint64_t fake_frames_free(void);
extern uint64_t fake_claimed, fake_claim_changes; /* what the heap says of claims; nobody makes any */
extern const struct page_info *fake_in_heap;      /* the heap says that it has this one too */

/* domains.c: a domain with its vCPUs, on CPUs cpu, cpu + 1, ... */
struct domain *fake_domain(domid_t id, bool control, unsigned int vcpus, unsigned int cpu);
void fake_domain_free(struct domain *d);
/* Called before each copy from or to guest memory, or NULL: what other CPUs do meanwhile. */
extern void (*fake_copy_hook)(void);
/* Before a lock is taken. */
extern void (*fake_lock_hook)(const spinlock_t *l);
/* A whole audit: how many invariants are broken, or -errno. */
static inline int fake_audit(struct domain *d)
{
    struct pv_audit_report r;
    int rc;

    while ((rc = pv_audit(d, &r)) == -ERESTART)
        ;
    return rc ? rc : (int)r.broken;
}
extern unsigned int fake_injected; /* exceptions given to guests */

/* tlb.c */
struct fake_access {
    bool ok;
    mfn_t frame;
};
/* The MMU of a CPU that runs v's tables: through its TLB, its cache of table pointers, or a walk that fills both. */
struct fake_access fake_mmu(unsigned int cpu, unsigned long linear, bool write);
/* The processor has looked at a descriptor through the hypervisor's own mapping of its page. */
void fake_tlb_window(unsigned int cpu, unsigned long linear, mfn_t frame);
/* Visits every CPU's translations. */
void fake_tlb_each(void (*fn)(mfn_t frame, bool writable, bool window, void *data), void *data);
/* Does a TLB let a CPU reach the frame at all? */
bool fake_tlb_any(mfn_t frame);
/* Visits every CPU's cached pointers to tables. */
void fake_psc_each(void (*fn)(mfn_t table, unsigned int level, void *data), void *data);
void fake_tlb_reset(void);

#endif
