/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Domains and vCPUs. Lifetime: a domain is found by domain_get (a reference), lives until the last reference is dropped
 * after it was destroyed; its vCPUs live as long as it does. Fields are grouped by the lock that guards them; "own"
 * means only code running on that vCPU, or with the vCPU paused, touches them.
 */
#ifndef HV_DOMAIN_H
#define HV_DOMAIN_H

#include <hv/cpumask.h>
#include <hv/list.h>
#include <hv/logdirty.h>
#include <hv/percpu.h>
#include <hv/pv.h>
#include <hv/rangeset.h>
#include <hv/spinlock.h>
#include <hv/timer.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/vcpu.h>
#include <xen/hvm/params.h>

struct evtchn_domain; /* event.h */
struct evtchn_vcpu;
struct grant_table; /* grant.h */
struct irq_domain;  /* irq.h */
struct memory_map;  /* hypercall/memory_map.c */
struct p2m;         /* p2m.h */
struct paging_pool; /* paging_pool.h */
struct sched_vcpu;  /* sched.h */
struct shadow;      /* mm/shadow */
struct umbra_op_holders;

/* A domain as the scheduler sees it (RANK_SCHED). */
struct sched_domain {
    uint16_t weight, cap; /* as credit2's: share relative to others; per cent of one CPU, 0: no limit */
    uint64_t vruntime;    /* run time of all vCPUs by weight; compared by difference, so that it may wrap */
    uint64_t per_ms;      /* what a millisecond of running adds */
    bool parked;          /* no budget is left: what is queued waits for the next period of the cap */
    unsigned int queued;  /* vCPUs */
    s_time_t budget;      /* ns left of this period beside what running vCPUs hold; negative: used beforehand */
    s_time_t period_end;
    struct timer refill;
    struct queue_entry *entry; /* [nr_cpus] */
};

/* SCHEDOP_watchdog: not poked in time, it shuts the domain down. */
struct watchdog {
    struct timer timer;
    bool armed;
};
#define NR_WATCHDOGS 2

/* How far teardown has come; only ever grows. domain_kill (destroydomain) drives it, restartably. */
enum domain_dying { DOM_ALIVE, DOM_DYING, DOM_DEAD };

/* A block on its way to a domain, of which a part is zeroed: mm/fresh.c. */
struct fresh_block {
    struct page_info *pg; /* NULL: none */
    unsigned int order, memf;
    unsigned long zeroed;
    uint64_t from_claim;
};

/* Of a translated domain. */
struct hvm_domain {
    uint64_t param[HVM_NR_PARAMS]; /* HVMOP_set_param */
    uint8_t callback_vector; /* by which events are announced to all vCPUs without a vector of their own; 0: none */
    bool has_32bit_shinfo;   /* what it shares with the hypervisor is laid out as i386 does (life_lock to change it) */
    uint64_t save_tsc;       /* the host's counter at one moment, by which those of all vCPUs are saved and restored */
    struct hvm_transfer *transfer; /* of its context, preempted (RANK_DOMCTL); NULL: none */
};

/*
 * XEN_DOMCTL_settscinfo, of PV and of translated domains. The counter is native whatever it says: these are kept for
 * who asks. What the counters of a translated domain say travels in its vCPUs' CPU and TSC_ADJUST records (hv/hvm.h).
 */
struct domain_tsc {
    uint32_t mode, incarnation;
    s_time_t start; /* the domain's time is 0 then */
};

#define SHUTDOWN_CODE_INVALID (~0u)

struct domain {
    domid_t id;
    bool is_control; /* privileged: may use control hypercalls and hardware */
    bool is_idle;
    bool is_system;          /* dom_xen, dom_io: owners only, no vCPUs */
    enum domain_dying dying; /* written under RANK_DOMCTL */
    int refcount;            /* atomic */
    bool is_listed;          /* is found by its id (RANK_DOMLIST) */
    xen_domain_handle_t handle;
    struct xen_domctl_createdomain config; /* as given at creation */
    unsigned int max_vcpus;
    struct vcpu **vcpu; /* [max_vcpus]; entries NULL until created */

    /* page_alloc_lock */
    spinlock_t page_alloc_lock;
    struct list_head page_list;    /* owned frames */
    struct list_head hv_page_list; /* PGC_hv_page frames */
    struct list_head relinquished; /* teardown: frames looked at, still referenced by others */
    uint64_t tot_pages, max_pages;
    uint64_t claimed_pages; /* set aside for it in the heap; also under the heap's lock */
    struct fresh_block fresh;
    unsigned int teardown_step, teardown_next; /* domain_kill: the step to go on with, and where in it */

    /* life_lock */
    spinlock_t life_lock;
    bool is_shutting_down, is_shut_down;
    unsigned int shutdown_code; /* why it is shut down, or will be: the guest may say so before */
    evtchn_port_t suspend_port; /* of the domain: told when it has shut down for suspension; 0: none */
    struct watchdog watchdog[NR_WATCHDOGS];
    int pause_count;            /* atomic: paused while not 0 */
    int controller_pause_count; /* of these, held by control-domain pauses */

    struct memory_map *memory_map;   /* XENMEM_set_memory_map, or NULL (life_lock) */
    struct shared_info *shared_info; /* one PGC_hv_page */
    cpumask_t dirty_cpus;            /* CPUs that run a vCPU of this domain now, and may hold its TLB entries; atomic */
    uint64_t time_offset_s;
    struct domain_tsc tsc; /* RANK_DOMCTL */

    struct evtchn_domain *evtchn;
    struct grant_table *grant;
    struct irq_domain *irq;
    struct rangeset *iomem_caps;  /* mfns */
    struct rangeset *irq_caps;    /* pirqs */
    struct rangeset *ioport_caps; /* x86 ports */
    struct sched_domain sched;
    unsigned long vm_assist;         /* bits VMASST_TYPE_* */
    struct timer free_timer;         /* frees the domain after its last reference */
    struct paging_pool *paging_pool; /* of a translated domain, or of one whose stores have been logged; else NULL */
    struct p2m *p2m;                 /* likewise */
    bool identity;                   /* PV: guest frame numbers are those of the machine, in that P2M */
    struct shadow
        *shadow; /* of a translated one, or of PV while its stores are logged (pt_lock, paging lock); else NULL
                  */
    bool hap;    /* runs on nested paging: there are no shadows in it */
    struct logdirty logdirty;
    struct hvm_domain hvm;
    struct pv_domain pv;
};

/* A vCPU's shared record. A 32-bit kernel aligns it as i386 does; what differs there is in event/two_level.c. */
typedef vcpu_info_t shared_vcpu_info_t __attribute__((aligned(4)));

/* Reasons for a vCPU not to be runnable: bits of v->pause_flags, atomic. */
enum {
    VPF_blocked, /* SCHEDOP_block: until an event */
    VPF_down,    /* not brought up */
    VPF_poll,    /* SCHEDOP_poll */
};

struct vcpu {
    struct domain *domain;
    unsigned int vcpu_id;
    unsigned int processor;    /* CPU it runs on or last ran on (RANK_SCHED) */
    bool is_running;           /* its state is on a CPU */
    bool is_initialised;       /* context was set */
    unsigned long pause_flags; /* VPF_*, atomic */
    int pause_count;           /* atomic */
    cpumask_t hard_affinity;   /* where it may run, and where it would rather (RANK_SCHED) */
    cpumask_t soft_affinity;
    struct sched_vcpu *sched;

    shared_vcpu_info_t *vcpu_info; /* in shared_info, or in the guest's registered frame */
    mfn_t vcpu_info_mfn;           /* INVALID_MFN until the guest registers a frame */
    vcpu_info_t early_info;        /* of vCPUs beyond shared_info, until then */
    struct evtchn_vcpu *evtchn;
    unsigned int poll_evtchn; /* port SCHEDOP_poll waits for; 0: several */

    struct vcpu_runstate_info runstate;
    unsigned long runstate_guest;  /* linear address registered by the guest, 0: none */
    unsigned long time_area_guest; /* VCPUOP_register_vcpu_time_memory_area */
    struct timer poll_timer, singleshot_timer, periodic_timer, self_timer;
    s_time_t periodic_period;
    uint32_t time_version; /* of the last published time record */

    struct cpu_user_regs regs; /* own: guest registers while not running */
    void *xsave_area;          /* 64-byte aligned; see fpu.h */
    uint64_t xcr0, xcr0_accum;
    bool nmi_pending, mce_pending;
    struct pv_vcpu pv;
    struct hvm_vcpu *hvm; /* of a translated domain: hvm.h; else NULL */
    struct {
        unsigned long op, arg[6]; /* own: multicall or hypercall in progress */
        bool in_multicall, restart;
    } hcall;
};

extern struct domain *control_domain; /* domain 0 */
extern struct domain *dom_idle;
extern struct domain *dom_xen; /* owner of frames shared read-only with all (M2P) */
extern struct domain *dom_io;  /* DOMID_IO */

#define for_each_vcpu(d, v)                                       \
    for (unsigned int i_##v = 0; i_##v < (d)->max_vcpus; i_##v++) \
        if (((v) = (d)->vcpu[i_##v]) != NULL)

/* Whether a vCPU of v's domain other than v is up. life_lock held. */
static inline bool other_vcpu_up(const struct vcpu *v)
{
    const struct vcpu *other;

    for_each_vcpu (v->domain, other)
        if (other != v && !test_bit(VPF_down, &other->pause_flags))
            return true;
    return false;
}

/* Boot: the idle, DOMID_XEN and DOMID_IO domains; idle vCPU of this CPU. */
void domain_boot_init(void);
extern struct vcpu *idle_vcpu[NR_CPUS];

/* Reference to a live or dying domain by id; DOMID_SELF is the current one. NULL: none. */
struct domain *domain_get(domid_t id);
/* The domain with the lowest id >= id, with a reference; NULL: none. For listing. */
struct domain *domain_get_next(domid_t id);
/* An id that nobody has, the first behind the one given, or else from 1 on; DOMID_INVALID: none. */
domid_t domain_unused_id(domid_t after);
void domain_hold(struct domain *d);
void domain_put(struct domain *d);
/* vCPU of d by guest-supplied number; NULL when there is none. Speculation-safe. */
struct vcpu *domain_vcpu(struct domain *d, unsigned int id);

/* Creates a domain in the control-paused state (no memory, no vCPUs). 0 and *out, or -errno with nothing left. */
int domain_create(domid_t id, const struct xen_domctl_createdomain *config, bool is_control, struct domain **out);
/* Makes vCPU id of d (down, not initialised). 0 or -errno. */
int vcpu_create(struct domain *d, unsigned int id);
void vcpu_free(struct vcpu *v); /* by domain_free and failed creation */
/* Teardown of a domain, restartable: -ERESTART after a bounded slice, 0 when nothing but references of others is left.
 */
int domain_kill(struct domain *d);
/* Takes the owner's reference from each hypervisor page shared with d, in bounded slices: -ERESTART or 0. */
int release_hv_pages(struct domain *d);
/* A slice of the search for what others have of d's frames, from h->position on: see <umbra/umbra_op.h>. */
void domain_find_holders(struct domain *d, struct umbra_op_holders *h);

void domain_pause(struct domain *d); /* returns when no vCPU of d runs; not for the current domain */
void domain_pause_nosync(struct domain *d);
void domain_unpause(struct domain *d);
void vcpu_pause(struct vcpu *v);
void vcpu_pause_nosync(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);

/* Guest-requested or fatal stop: all vCPUs stop, VIRQ_DOM_EXC to the control domain. Power-off of the control domain
 * acts on the machine. */
void domain_shutdown(struct domain *d, unsigned int reason);
/* The guest broke the contract: logs the reason and shuts it down with SHUTDOWN_crash. Never returns to guest code
 * afterwards. */
void domain_crash(struct domain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The guest linear address at which the vCPU's shared record lives; updates after a wake-up. */
int vcpu_register_info(struct vcpu *v, gfn_t gfn, unsigned int offset);
void vcpu_unregister_info(struct vcpu *v);
/* SCHEDOP_watchdog. id 0: takes a free one and returns its id, or -ENOSPC. Else sets it to seconds from now, or lets it
 * go with seconds 0: 0, or -EINVAL when that one is not in use. */
int domain_watchdog(struct domain *d, uint32_t id, uint32_t seconds);
void watchdog_init(struct domain *d);
void watchdog_kill(struct domain *d);
/* After SHUTDOWN_suspend: the domain runs on. */
void domain_resume(struct domain *d);
/* v starts to run on v->processor: its timers go there too. */
void vcpu_load_timers(struct vcpu *v);
/* None of them expires any more. */
void vcpu_kill_timers(struct vcpu *v);
/* Copies a changed runstate record to the guest's area of the current vCPU (on switch-in). */
void vcpu_update_runstate_area(struct vcpu *v);
/* Copies r to the area that v has registered, through the tables of the current vCPU. That it faults is v's loss. */
void vcpu_write_runstate_area(struct vcpu *v, const struct vcpu_runstate_info *r);
/* The wall clock at system time 0, in d's shared_info. Callers exclude each other. */
void write_wallclock(struct domain *d, uint64_t seconds, uint32_t nsecs);

static inline bool vcpu_runnable(const struct vcpu *v)
{
    return !READ_ONCE(v->pause_flags) && !READ_ONCE(v->pause_count) && !READ_ONCE(v->domain->pause_count);
}

static inline bool has_32bit_shinfo(const struct domain *d)
{
    return READ_ONCE(d->hvm.has_32bit_shinfo);
}

/* PVH and HVM: what the guest takes for physical addresses is not what the machine has. */
static inline bool paging_mode_translate(const struct domain *d)
{
    return d->paging_pool != NULL && !d->identity;
}

static inline bool is_idle_vcpu(const struct vcpu *v)
{
    return v->domain->is_idle;
}

/* Permission of d for machine resources. */
bool iomem_permitted(const struct domain *d, mfn_t m);
bool irq_permitted(const struct domain *d, unsigned int pirq);
bool ioport_permitted(const struct domain *d, unsigned int port, unsigned int bytes);

#endif
