/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libctl: the control domain's library for hypercalls, xenstore and building domains. The whole public interface.
 *
 * Place: between the command line tool (or any other program) and the stable libraries xencall, xenforeignmemory,
 * xenevtchn, xengnttab and xenstore. It speaks the interface of Xen 4.17 (domctl and sysctl interface version 0x15).
 *
 * Rules that hold for every function unless its comment says otherwise:
 *  - it returns 0 or a positive result, or -errno; on failure *err (which may be NULL) says which step failed, on what,
 * and what to do; on success *err is left alone;
 *  - sizes of memory are in KiB, times in nanoseconds or, where named so, milliseconds; frames are 4 KiB machine
 * frames;
 *  - strings handed out are copies, released with free(); a struct ctl belongs to one thread at a time;
 *  - "source" names the hypercall or node behind a function; include <stdint.h> before <xen/...> headers.
 *
 * Does not do: policy (what to do on reboot), output, reading of configuration files.
 */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_DOMID_MAX    0x7fefu /* highest id of a real domain */
#define CTL_NAME_MAX     64      /* bytes of a domain name, with its NUL */
#define CTL_UUID_TEXT    37      /* bytes of a uuid as text, with its NUL */
#define CTL_OBJECT_MAX   160     /* bytes of an error's object, with its NUL */
#define CTL_TEXT_MAX     256     /* bytes of an error's message and hint, with their NUL */
#define CTL_CPU_BYTES    128     /* bytes of a bitmap of CPUs */
#define CTL_WAIT_FOREVER (~0u)   /* a timeout in milliseconds that never ends */

/* --- errors (error.c) --- */

struct ctl_error {
    int code;                    /* -errno; 0 while nothing has failed */
    char step[48];               /* what was being done: "populate memory" */
    char object[CTL_OBJECT_MAX]; /* on what: "domain 3 (web)", a file's path, a node's path; may be empty */
    char field[24];              /* the configuration key at fault ("kernel", "memory", ...), or empty */
    char message[CTL_TEXT_MAX];  /* what went wrong, with figures */
    char hint[CTL_TEXT_MAX];     /* what to do about it; may be empty */
};

/* Fills *err (NULL is fine), printf-like, and returns `code`, which is negative. `hint` and `object` may be NULL. */
int ctl_error_set(struct ctl_error *err, int code, const char *step, const char *object, const char *hint,
                  const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Names the configuration key at fault in an error already set; err may be NULL here, too. */
void ctl_error_field(struct ctl_error *err, const char *field);
/* Writes "step: object: message (reason)\n  hint" into buf, always terminated. Returns the length that was wanted. */
size_t ctl_error_format(const struct ctl_error *err, char *buf, size_t size);

/* --- handle (call.c) --- */

struct ctl;

/*
 * Opens the privileged interface and checks that a hypervisor with the 4.17 interface answers. Xenstore, foreign
 * mapping and event devices are opened when first needed. Returns NULL and fills *err: no hypervisor, no rights, or
 * another interface. After fork() only ctl_close() may be used in the child.
 */
struct ctl *ctl_open(struct ctl_error *err);
void ctl_close(struct ctl *ctl);

/* --- domains (domain.c, lookup.c, destroy.c, holders.c) --- */

struct ctl_domain_info {
    uint32_t domid;
    char name[CTL_NAME_MAX]; /* empty when xenstore knows none (a domain being built or destroyed) */
    uint8_t uuid[16];
    bool dying, hvm, hap, shutdown, paused, blocked, running, debugged;
    uint8_t shutdown_reason;  /* SHUTDOWN_* of <xen/sched.h>; only meaningful when `shutdown` */
    uint64_t memory_kib;      /* held now */
    uint64_t maxmem_kib;      /* hypervisor's limit */
    uint64_t outstanding_kib; /* claimed and not yet populated */
    uint64_t shared_kib, paged_kib;
    uint64_t cpu_time_ns;
    uint32_t vcpus_online, vcpus_max;
    uint32_t ssidref, cpupool;
    uint64_t shared_info_frame;
};

struct ctl_domain_create {
    uint32_t domid; /* the number that it is to have; 0: any */
    uint8_t uuid[16];
    uint32_t flags; /* XEN_DOMCTL_CDF_*; 0 = PV */
    uint32_t vcpus;
    uint32_t max_event_ports;
    int32_t grant_frames, maptrack_frames; /* negative: the hypervisor's default */
    uint32_t grant_version;                /* highest that it may use; 0 = 2 */
    uint32_t ssidref, cpupool;
    uint32_t emulation; /* XEN_X86_EMU_*; 0 for PV */
};

/* One domain, its name included. -ESRCH if there is none. Source: getdomaininfo, node "name". */
int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *err);
/* All domains in order of id, names included where xenstore answers; *list is freed by the caller. Returns their
 * number. */
int ctl_domain_list(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err);
/* The same without names: one hypercall for 64 domains, no word with xenstored. */
int ctl_domain_scan(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err);
/* Finds a domain by name or by decimal id ("0x"-less); a name goes first. -ESRCH if there is none. */
int ctl_domain_find(struct ctl *ctl, const char *name_or_id, uint32_t *domid, struct ctl_error *err);
/* The name of a domain as a copy in *name. -ENOENT if it has none. Source: /local/domain/N/name. */
int ctl_domain_name(struct ctl *ctl, uint32_t domid, char **name, struct ctl_error *err);

/* An empty, paused domain; *domid receives its id. No memory, no nodes. Source: createdomain. */
int ctl_domain_create(struct ctl *ctl, const struct ctl_domain_create *args, uint32_t *domid, struct ctl_error *err);
/* Counted by the hypervisor: as many unpauses as pauses let it run again. Source: pausedomain, unpausedomain. */
int ctl_domain_pause(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
int ctl_domain_unpause(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/* Kills the domain, releases all its memory (restarting as often as the hypervisor asks), nothing else. Source:
 * destroydomain. */
int ctl_domain_kill(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/*
 * The whole removal: kill, release in xenstore, remove its nodes. Nodes go even when the kill fails. -EBUSY: the domain
 * is dying but others still hold some of its frames; the hint says so and the rest goes when they let go.
 */
int ctl_domain_destroy(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

/* What one domain has of another's memory. */
struct ctl_holder {
    uint32_t domid;
    uint64_t grants;  /* grant mappings, each of one frame: by page table or for a device */
    uint64_t foreign; /* entries of its page tables for frames that were not granted to it */
};

struct ctl_holders {
    uint64_t frames;        /* of the domain's own memory that are left */
    uint64_t shared_frames; /* left of those that the hypervisor shares with it: grant table, shared information */
    uint64_t other;         /* references to these frames, once the domain is torn down, that no holder explains */
};

/*
 * Who holds a domain's memory: for a dying one, why it is still there. *list, in order of id and freed by the caller,
 * has every domain but itself that maps something of it. Returns their number; -ENOSYS on a hypervisor that is not
 * Umbra. The search takes time in proportion to the host's memory, and what changes during it may be counted or not.
 * Source: umbra_op holders.
 */
int ctl_domain_holders(struct ctl *ctl, uint32_t domid, struct ctl_holders *sums, struct ctl_holder **list,
                       struct ctl_error *err);

/* The nodes alone, of a domain that is gone: what a removal leaves that was ended in the middle. */
int ctl_domain_forget(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/* Limit of memory in KiB. Source: max_mem. */
int ctl_domain_set_maxmem(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err);
/* Number of vCPUs the domain can ever have; once, before it runs. Source: max_vcpus. */
int ctl_domain_set_vcpus(struct ctl *ctl, uint32_t domid, uint32_t vcpus, struct ctl_error *err);
/* Gives a domain another identity. Source: setdomainhandle. */
int ctl_domain_set_uuid(struct ctl *ctl, uint32_t domid, const uint8_t uuid[16], struct ctl_error *err);
/* Lets a domain go on that has shut down for suspending. Source: resumedomain. */
int ctl_domain_resume(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/* Ends a domain from outside with a reason SHUTDOWN_*, as if it had asked. Source: sched_op remote_shutdown. */
int ctl_domain_set_shutdown(struct ctl *ctl, uint32_t domid, unsigned reason, struct ctl_error *err);

/* --- asking a guest to stop, and waiting (request.c) --- */

enum ctl_request { CTL_REQUEST_POWEROFF, CTL_REQUEST_REBOOT, CTL_REQUEST_SUSPEND, CTL_REQUEST_HALT };

/*
 * Writes the request to control/shutdown and waits for the guest to take it (it empties the node). -ETIMEDOUT: the
 * guest did not answer in time (the request is withdrawn); -EBUSY: it is paused and cannot answer; -EOPNOTSUPP: its
 * kernel cannot suspend; -ESRCH: no such domain.
 */
int ctl_domain_request(struct ctl *ctl, uint32_t domid, enum ctl_request what, unsigned timeout_ms,
                       struct ctl_error *err);
/* Could it be written? 0, or what ctl_domain_request() would refuse it for. */
int ctl_domain_takes(struct ctl *ctl, uint32_t domid, enum ctl_request what, struct ctl_error *err);

struct ctl_domain_end {
    bool gone;      /* the domain no longer exists (or is dying) */
    uint8_t reason; /* SHUTDOWN_*, when not gone */
};

/* Waits until the domain has shut down, crashed or gone. -ETIMEDOUT when it still runs. Source: @releaseDomain,
 * getdomaininfo. */
int ctl_domain_wait(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, struct ctl_domain_end *end,
                    struct ctl_error *err);

/* --- sleep (suspend.c) --- */

/* How long something is waited for. go_on (may be NULL) is called several times a second meanwhile; a negative result,
 * with the error filled, ends that. */
struct ctl_wait {
    unsigned timeout_ms;
    int (*go_on)(void *ctx, struct ctl_error *err);
    void *ctx;
};

/*
 * Asks the guest to suspend and waits until it has; one that is suspended already is fine. -ETIMEDOUT: it did not take
 * the request, or took it and still runs; others as ctl_domain_request(), or go_on's. *asked: after a failure, it was
 * asked, and is asleep or may fall asleep yet: then somebody has to see to it that it goes on.
 */
int ctl_domain_suspend(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, bool *asked, struct ctl_error *err);
/* 0, or why the guest could not be asked to suspend. */
int ctl_domain_can_suspend(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/* A suspended guest goes on where it was; one that is not suspended is left alone. Source: resumedomain. */
int ctl_domain_go_on(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/* The last lines of a guest's output, as far as its ring still has them, made printable. -ENOENT: no console. */
int ctl_console_tail(struct ctl *ctl, uint32_t domid, char *text, size_t size, unsigned lines);

/* --- vCPUs (vcpu.c) --- */

struct vcpu_guest_context; /* <xen/xen.h> */

struct ctl_vcpu_info {
    uint32_t vcpu;
    bool online, blocked, running;
    uint64_t cpu_time_ns;
    uint32_t cpu; /* where it ran last */
};

/* One vCPU. -ESRCH if the domain or vCPU does not exist. Source: getvcpuinfo. */
int ctl_vcpu_info(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_vcpu_info *info, struct ctl_error *err);
/* Register state of a PV vCPU (paused domain). Source: getvcpucontext, setvcpucontext. */
int ctl_vcpu_get_context(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct vcpu_guest_context *out,
                         struct ctl_error *err);
int ctl_vcpu_set_context(struct ctl *ctl, uint32_t domid, uint32_t vcpu, const struct vcpu_guest_context *in,
                         struct ctl_error *err);
/* Where a vCPU may run (hard) and prefers to (soft): CPU 0 in bit 0 of byte 0. Source: getvcpuaffinity,
 * setvcpuaffinity. */
struct ctl_affinity {
    uint8_t hard[CTL_CPU_BYTES], soft[CTL_CPU_BYTES];
};

int ctl_vcpu_get_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_affinity *out,
                          struct ctl_error *err);
int ctl_vcpu_set_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, const struct ctl_affinity *in,
                          struct ctl_error *err);

/* --- shares of CPU time, events from outside (sched.c) --- */

struct ctl_sched {
    uint32_t weight; /* relative to other domains */
    uint32_t cap;    /* percent of one CPU; 0: none */
};

/* Source: domctl scheduler_op, for credit2. */
int ctl_sched_get(struct ctl *ctl, uint32_t domid, struct ctl_sched *sched, struct ctl_error *err);
int ctl_sched_set(struct ctl *ctl, uint32_t domid, const struct ctl_sched *sched, struct ctl_error *err);
/* A non-maskable interrupt for a vCPU. Source: sendtrigger. */
int ctl_domain_nmi(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_error *err);

/* --- the audit (audit.c) --- */

#define CTL_AUDIT_FINDINGS 16

struct ctl_audit_finding {
    char rule[8];  /* number of the invariant: docs/invariants.md */
    char what[72]; /* in words */
    uint64_t frame, count_info, type_info;
    bool is_grant;
    uint32_t number; /* is_grant: of the entry or handle, or as many as there are, and no frame */
};

struct ctl_audit {
    uint32_t broken;                                    /* invariants found broken, counted each time */
    uint64_t frames, tables, entries, descriptor_pages; /* looked at */
    uint64_t shared;                                    /* frames on which others hold references */
    bool only_grants;                                   /* it is no PV guest: none of these were looked at */
    bool grants_in_use;                                 /* too much to be audited */
    uint32_t grants, handles;                           /* looked at: its entries, and others' handles for them */
    unsigned n;                                         /* of the first findings */
    struct ctl_audit_finding finding[2 * CTL_AUDIT_FINDINGS];
};

/*
 * Are the invariants of a PV guest's page tables kept, and of any guest's grants? It is paused for as long as that
 * takes, but between attempts to see its grants while nobody uses them. Succeeds when some are broken, too, and when no
 * attempt did. -EOPNOTSUPP: the control domain; -EBUSY: it is dying; -ENOMEM: no memory for the counters; -ENOSYS:
 * another hypervisor. Source: umbra_op audit and grant_audit.
 */
int ctl_domain_audit(struct ctl *ctl, uint32_t domid, struct ctl_audit *out, struct ctl_error *err);

/* --- shadow paging (shadow.c): the guest runs on. -EOPNOTSUPP: it has no shadows; -EBUSY: it is dying --- */

/* A figure: exits of hardware, faults, shadows, ... by group and name; of all vCPUs together. */
struct ctl_figure {
    char group[12], name[20];
    uint64_t value;
};
/* In the hypervisor's order, those of a group together; *list is freed by the caller. Returns their number. Source:
 * umbra_op shadow_stats. */
int ctl_shadow_stats(struct ctl *ctl, uint32_t domid, struct ctl_figure **list, struct ctl_error *err);

struct ctl_shadow_finding {
    char rule[8];  /* number of the invariant in docs/invariants.md */
    char what[72]; /* in words */
    uint64_t gfn, entry;
    uint32_t index;
};
struct ctl_shadow_audit {
    uint32_t broken;                      /* invariants found broken, counted each time */
    uint64_t tables, entries, map_tables; /* looked at: of shadows, and of the memory map */
    unsigned n;                           /* of the first findings */
    struct ctl_shadow_finding finding[CTL_AUDIT_FINDINGS];
};
/* Succeeds when some are broken, too. -EAGAIN: the memory map was changed meanwhile. Source: umbra_op shadow_audit. */
int ctl_shadow_audit(struct ctl *ctl, uint32_t domid, struct ctl_shadow_audit *out, struct ctl_error *err);
/* Everything is thrown away, and made again as the guest needs it. Source: umbra_op shadow_blow. */
int ctl_shadow_blow(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

/* A shadow, or an entry of the one told last before. */
struct ctl_shadow {
    uint32_t shadow; /* its number */
    bool is_entry;
    uint16_t index;                 /* of the entry */
    uint8_t level, format;          /* of the shadow; levels of the guest's tables, 0: without paging */
    uint64_t gfn;                   /* the guest's table, or what is mapped from there on */
    uint64_t entry;                 /* as hardware has it; of a shadow its machine frame */
    uint32_t child;                 /* the shadow that the entry names, or 0 */
    bool has_gfn, is_part;          /* a part of a large page or of unpaged memory has no guest table */
    uint16_t quadrant, vcpus, used; /* of a shadow: part of a table of 1024; vCPUs that run on it; entries */
};
/* What there is while the guest goes on changing it; *list is freed by the caller. Returns the number. Source: umbra_op
 * shadow_dump. */
long ctl_shadow_dump(struct ctl *ctl, uint32_t domid, struct ctl_shadow **list, struct ctl_error *err);

/* --- guests on hardware virtualisation (hvm.c) --- */

/* Size of the pool for P2M and shadows, in KiB. Source: shadow_op set_allocation (whole MiB). */
int ctl_domain_set_pool(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err);
struct ctl_pool {
    uint64_t size_kib, p2m_kib, shadow_kib; /* all of it; what the memory map and the shadows use */
    bool vtlb;                              /* the shadows are in the hypervisor's reference mode */
};

/* -EOPNOTSUPP: a PV domain; -ENOSYS: a hypervisor that is not Umbra. Source: umbra_op pool. */
int ctl_domain_pool(struct ctl *ctl, uint32_t domid, struct ctl_pool *pool, struct ctl_error *err);
/* A parameter HVM_PARAM_* of <xen/hvm/params.h>. Source: hvm_op set_param. */
int ctl_domain_set_param(struct ctl *ctl, uint32_t domid, uint32_t index, uint64_t value, struct ctl_error *err);
/* Source: hvm_op get_param. */
int ctl_domain_get_param(struct ctl *ctl, uint32_t domid, uint32_t index, uint64_t *value, struct ctl_error *err);
/* vCPU 0 begins at a physical address in 32-bit code without paging, `ebx` as given. Source: sethvmcontext. */
int ctl_vcpu_set_flat(struct ctl *ctl, uint32_t domid, uint32_t entry, uint32_t ebx, struct ctl_error *err);

/* --- memory (memory.c, target.c, foreign.c) --- */

/* Has that many pages set aside for the domain, so that populating cannot run out half-way; 0 gives it up. A
 * hypervisor without claims sets nothing aside, which is no error. */
int ctl_memory_claim(struct ctl *ctl, uint32_t domid, uint64_t pages, struct ctl_error *err);
/* How much memory a domain has, and is to have. */
struct ctl_memory_limits {
    uint64_t now_kib;    /* held */
    uint64_t target_kib; /* what its kernel was asked to have */
    uint64_t most_kib;   /* what it was made for: no target is above that */
    uint64_t limit_kib;  /* the hypervisor's: the target, or what ctl_memory_set_limit() set, and 1 MiB */
};
/* Source: getdomaininfo, nodes memory/target and memory/static-max. */
int ctl_memory_limits(struct ctl *ctl, uint32_t domid, struct ctl_memory_limits *limits, struct ctl_error *err);
/*
 * Asks the domain's kernel to have that much, and sets the limit with it; does not wait for the kernel. -ERANGE: more
 * than it was made for; -ENOMEM: the host does not have it, or other domains were asked to take it. Source: max_mem,
 * memory/target.
 */
int ctl_memory_set_target(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err);
/* What a domain may hold beyond its target, as xl leaves it: frames that a running one needs besides its memory. */
#define CTL_MEMORY_SLACK_KIB 1024
/* The limit alone. -ERANGE: below the target. */
int ctl_memory_set_limit(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err);
/* The most it can ever have had: what it was made for, or its limit, if that is more. */
uint64_t ctl_memory_most_kib(struct ctl *ctl, const struct ctl_domain_info *info);
/*
 * Of a domain whose memory has just come from a stream: the limit of one that is to have target_kib, but what it came
 * with stays its own: if that is more, it is the target, up to most_kib.
 */
int ctl_memory_keep(struct ctl *ctl, uint32_t domid, uint64_t target_kib, uint64_t most_kib, struct ctl_error *err);
/*
 * Populates `count` extents of 2^order frames. frames[] holds the guest frame numbers on entry and, for a PV domain,
 * the first machine frame of each extent on return. Returns how many were done; fewer than `count` means that memory
 * ran out (the rest of frames[] is as it was). Restarts itself where the hypervisor was preempted. Source:
 * populate_physmap.
 */
long ctl_memory_populate(struct ctl *ctl, uint32_t domid, unsigned order, uint64_t *frames, size_t count,
                         struct ctl_error *err);
/* Gives `count` frames back to the heap. Returns how many went. Source: decrease_reservation. */
long ctl_memory_free(struct ctl *ctl, uint32_t domid, const uint64_t *frames, size_t count, struct ctl_error *err);
/* Maps `count` frames of a domain contiguously; prot as for mmap(2). NULL on failure: all or nothing. */
void *ctl_foreign_map(struct ctl *ctl, uint32_t domid, int prot, const uint64_t *frames, size_t count,
                      struct ctl_error *err);
/* The same for reading, and with those missing that are not there: missing[i] is not 0 for these. */
void *ctl_foreign_map_some(struct ctl *ctl, uint32_t domid, const uint64_t *frames, size_t count, int *missing,
                           struct ctl_error *err);
void ctl_foreign_unmap(struct ctl *ctl, void *address, size_t count);

/* --- event channels (evtchn.c) --- */

/* An unbound channel in `domid` that `remote` may bind. Returns the port. Source: evtchn alloc_unbound. */
int ctl_evtchn_alloc(struct ctl *ctl, uint32_t domid, uint32_t remote, struct ctl_error *err);
/* Channels of a domain that are in use, counted. Source: evtchn status. */
int ctl_evtchn_count(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

/* --- xenstore (xenstore.c) --- */

/* Value of a node as a terminated copy; NULL with err->code -ENOENT if there is none. */
char *ctl_store_read(struct ctl *ctl, const char *path, struct ctl_error *err);
int ctl_store_write(struct ctl *ctl, const char *path, const char *value, struct ctl_error *err);
/* The same of a node that belongs to a domain: -ESRCH, and nothing is written, once the domain's nodes are gone. */
int ctl_store_write_domain(struct ctl *ctl, uint32_t domid, const char *path, const char *value, struct ctl_error *err);
/* One of several changes that are made together or not at all. */
struct ctl_store_change {
    const char *path;
    const char *value;   /* NULL: the node and all below it are removed, if there is one */
    const char *only_if; /* left out unless this is the node's value; NULL: never left out */
};
int ctl_store_change(struct ctl *ctl, const struct ctl_store_change *changes, unsigned n, struct ctl_error *err);
/* Removes a node and all below it; no node is no error. */
int ctl_store_remove(struct ctl *ctl, const char *path, struct ctl_error *err);
/* Names directly below a node: one allocation in *names, freed by the caller. Returns their number; 0 when the node is
 * absent. */
int ctl_store_list(struct ctl *ctl, const char *path, char ***names, struct ctl_error *err);
/*
 * Watches, for a program that waits for several things. A watch fires once when it is set, and whenever the node or one
 * below it changes; "@releaseDomain" when a domain has stopped or gone. A handle with watches waits for nothing else.
 */
int ctl_store_watch(struct ctl *ctl, const char *path, struct ctl_error *err);
/* Readable while events are there; -1 before the first watch. */
int ctl_store_fd(struct ctl *ctl);
/* The node of the next event, a copy; NULL when none is there. */
char *ctl_store_event(struct ctl *ctl);
/* Tells xenstored of a domain's ring and channel, or that it is gone. */
int ctl_store_introduce(struct ctl *ctl, uint32_t domid, uint64_t ring_frame, uint32_t port, struct ctl_error *err);
int ctl_store_release(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

/* --- disks and network interfaces (device.c, vdev.c, disk.c, disk_image.c, vif.c, hotplug.c, qemu.c) --- */

enum ctl_device_kind { CTL_DISK, CTL_VIF };
enum ctl_disk_format { CTL_RAW, CTL_QCOW, CTL_QCOW2, CTL_VHD, CTL_QED };

struct ctl_disk {
    const char *vdev;   /* its name in the guest: "xvda" */
    const char *target; /* path of a file or block device; with `script`, what that understands */
    const char *script; /* NULL: block; one of /etc/xen/scripts unless it begins with a slash */
    enum ctl_disk_format format;
    bool qemu; /* served by a process of qemu's, as all but raw ones must be, without a script; else by the kernel */
    bool readonly, no_discard, direct_io_safe, untrusted;
};

struct ctl_vif {
    uint32_t devid;
    uint8_t mac[6];
    const char *bridge, *gatewaydev, *ip, *vifname; /* each may be NULL */
    const char *script;                             /* NULL: vif-bridge */
    uint32_t mtu;                                   /* 0: the bridge's */
    uint64_t rate_bytes;                            /* that it may send in each interval; 0: no limit */
    uint32_t rate_usecs;                            /* the interval */
    bool untrusted;                                 /* the guest is told not to trust the back end */
};

/* The number of a virtual disk. -EINVAL: no such name; -ERANGE: too high. */
int ctl_disk_number(const char *vdev, uint32_t *devid);
/*
 * Give a domain a device; it may run. Returns when the control domain's side is ready: when the guest uses it is the
 * guest's matter. A failure leaves nothing. -EEXIST: it has one of this number; -EBUSY: another guest has the disk;
 * -EIO: the script failed, and its words are in *err.
 */
int ctl_disk_attach(struct ctl *ctl, uint32_t domid, const struct ctl_disk *disk, struct ctl_error *err);
int ctl_vif_attach(struct ctl *ctl, uint32_t domid, const struct ctl_vif *vif, struct ctl_error *err);

/*
 * Could a domain that is still to come have the device? What it names is there, can be used, and is not in use by a
 * domain other than its twin, which it takes over from. -errno as of attaching; of scripts only that they are there.
 */
#define CTL_NO_TWIN (-1)
int ctl_disk_check(struct ctl *ctl, const struct ctl_disk *disk, int64_t twin, struct ctl_error *err);
int ctl_vif_check(const struct ctl_vif *vif, struct ctl_error *err);
/* While its devices are attached: it may have the disks of a domain on this host that sleeps. CTL_NO_TWIN: no more. */
int ctl_domain_set_twin(struct ctl *ctl, uint32_t domid, int64_t twin, struct ctl_error *err);

struct ctl_detach {
    bool force;          /* the guest is not asked, and may lose what it has not written yet */
    unsigned timeout_ms; /* else: for it to let go */
};
/* -ENOENT: no such device; -EBUSY: the guest still uses it. It has been asked, so it may be taken again later. */
int ctl_device_detach(struct ctl *ctl, uint32_t domid, enum ctl_device_kind kind, uint32_t devid,
                      const struct ctl_detach *how, struct ctl_error *err);
/* All of a domain's, by force; none is no error. Part of ctl_domain_destroy() and ctl_domain_forget(). */
int ctl_devices_end(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

struct ctl_device {
    uint32_t devid;
    int64_t state; /* of the back end: 4 is connected, ...; -1: not known */
    char back[96]; /* its nodes */
    char script[128];
    char vdev[16], target[256], format[8];
    bool readonly;
    int64_t process; /* that serves the disk: 0: it has ended; -1: the kernel does */
    char mac[18], bridge[32], vifname[32];
    int64_t channel, ring, rx_ring; /* that the guest's driver offers; -1: none, or several */
};
/*
 * The process of qemu's that serves a domain's disks, or 0. It begins with the first such disk, and ends with the last
 * one or with the domain. Source: who has the lock on /run/umbra/qemu-N.
 */
int ctl_disks_process(uint32_t domid);
/* Has the domain a disk that such a process is to serve, and none that does? */
bool ctl_disks_unserved(struct ctl *ctl, uint32_t domid);
/* Empties that process' log if it is longer than `most` bytes: what it says may be for the guest to decide. */
void ctl_disks_log_trim(uint32_t domid, size_t most);

/* *list is freed by the caller. Returns their number. */
int ctl_device_list(struct ctl *ctl, uint32_t domid, enum ctl_device_kind kind, struct ctl_device **list,
                    struct ctl_error *err);

/* --- console (console.c) --- */

/*
 * Path of the terminal that xenconsoled serves for a guest, a copy in *path. Waits up to timeout_ms for it to appear;
 * -ESRCH if the domain does not exist, -ETIMEDOUT (hint: is xenconsoled running?). Source: console/tty, serial/0/tty.
 */
int ctl_console_tty(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, char **path, struct ctl_error *err);

/* --- host (host.c) --- */

struct ctl_host_info {
    uint32_t threads_per_core, cores_per_socket, nr_cpus, max_cpu_id, nr_nodes, cpu_khz;
    uint32_t capabilities; /* XEN_SYSCTL_PHYSCAP_* */
    uint32_t hw_caps[8];
    uint64_t total_kib, free_kib, scrub_kib, outstanding_kib;
    uint32_t sched_id; /* XEN_SCHEDULER_*; ctl_sched_name() */
    uint32_t major, minor;
    char extra[16], compiler[64], compile_by[16], compile_domain[32], compile_date[32];
    char caps[1024], changeset[64], command_line[1024], build_id[64];
    uint64_t virt_start;
    uint32_t page_size;
    bool is_umbra, debug_build; /* the second is known of Umbra only */
};

struct ctl_cpu_topology {
    uint32_t cpu, core, socket, node; /* ~0u where not known */
};

/* Everything that `info` shows. Source: sysctl physinfo and sched_id, xen_version, umbra_op build_info. */
int ctl_host_info(struct ctl *ctl, struct ctl_host_info *info, struct ctl_error *err);
/* "credit2", "credit", ... or "unknown". */
const char *ctl_sched_name(uint32_t sched_id);
/* Online CPUs; *cpus is freed by the caller. Returns their number. Source: sysctl cputopoinfo. */
int ctl_host_topology(struct ctl *ctl, struct ctl_cpu_topology **cpus, struct ctl_error *err);
/* Memory of the host that some of its CPUs are near to. */
#define CTL_NODES_MAX 64
struct ctl_node {
    uint64_t size_kib, free_kib;
    uint32_t distance[CTL_NODES_MAX]; /* to each node, 10 to itself */
};
/* *nodes is freed by the caller. Returns their number. Source: sysctl numainfo. */
int ctl_host_nodes(struct ctl *ctl, struct ctl_node **nodes, struct ctl_error *err);
/* Those that a domain's memory is to come from. Source: domctl getnodeaffinity. */
int ctl_domain_nodes(struct ctl *ctl, uint32_t domid, uint8_t map[CTL_NODES_MAX / 8], struct ctl_error *err);
/* The hypervisor's log as a terminated copy in *text; `clear` empties it at once. Returns its length. Source: sysctl
 * readconsole. */
long ctl_host_log(struct ctl *ctl, bool clear, char **text, struct ctl_error *err);
/* What the hypervisor logged last before the machine was restarted, likewise; a NUL in it becomes '?'. -ENOENT: nothing
 * is known of a boot before; -ENOSYS: a hypervisor that is not Umbra. Source: umbra_op previous_log. */
long ctl_host_previous_log(struct ctl *ctl, char **text, struct ctl_error *err);
/* Sends keys to the hypervisor's debug-key handlers; the answers are in its log. Source: sysctl debug_keys. */
int ctl_host_debug_keys(struct ctl *ctl, const char *keys, struct ctl_error *err);

/* --- words of the hypervisor's command line (parameter.c) --- */

struct ctl_parameter {
    bool is_switch;  /* on or off */
    char value[128]; /* as the command line would say it: "on", "off", a number, or text, which may be cut */
};

/* Looks at one. -ENOENT: there is none of this name, or none at all. Source: hypfs_op. */
int ctl_parameter_get(struct ctl *ctl, const char *name, struct ctl_parameter *p, struct ctl_error *err);
/*
 * Sets one, from now on until the machine is started again. A switch takes the words that the command line takes.
 * -ENOENT, -EACCES: not while the machine runs, -EINVAL: not a value of it. Source: hypfs_op.
 */
int ctl_parameter_set(struct ctl *ctl, const char *name, const char *value, struct ctl_error *err);

/* --- building domains (check.c, build.c) --- */

enum ctl_action { CTL_ACTION_DESTROY, CTL_ACTION_RESTART, CTL_ACTION_PRESERVE, CTL_ACTION_RENAME_RESTART };

enum ctl_type { CTL_PV, CTL_PVH };
/* Of a PVH guest: AUTO is nested paging where the hypervisor has it, else shadows. */
enum ctl_hap { CTL_HAP_AUTO, CTL_HAP_OFF, CTL_HAP_ON };

struct ctl_domain_config {
    char name[CTL_NAME_MAX];
    bool name_taken; /* by the caller, who knows that no other domain has it: it is not looked for */
    uint32_t domid;  /* the number that it is to have; 0: any */
    enum ctl_type type;
    enum ctl_hap hap;    /* PVH only, as the next */
    uint64_t shadow_kib; /* its pool; 0: ctl_shadow_default_kib() */
    uint8_t uuid[16];    /* all zero: a random one is made */
    uint64_t memory_kib;
    uint64_t maxmem_kib;                                           /* 0: as memory_kib */
    uint64_t target_kib;                                           /* of one restored: asked for last; 0: memory_kib */
    uint32_t vcpus;                                                /* online at start; 0 = 1 */
    uint32_t maxvcpus;                                             /* 0: as vcpus */
    uint32_t grant_version;                                        /* highest version of grant tables; 0 = 2 */
    const char *kernel;                                            /* path */
    const char *ramdisk;                                           /* path, or NULL */
    const char *cmdline;                                           /* or NULL */
    enum ctl_action on_poweroff, on_reboot, on_crash, on_watchdog; /* kept in /vm/UUID for whoever supervises */
};

struct ctl_build_facts {
    char format[16];     /* "bzImage" or "ELF" */
    char compression[8]; /* "none", "gzip", "xz", "zstd", "lz4", "lzma", "bzip2" */
    char guest_os[32], guest_version[32];
    uint64_t kernel_bytes, ramdisk_bytes; /* as loaded */
    uint64_t least_memory_kib;            /* less memory than this cannot hold what is loaded */
};

/*
 * All checks of a configuration that need no hypervisor: limits, name, files, their formats and notes, memory. Fills
 * *facts (may be NULL) as far as known and errors[] with every fault found, `field` set. Returns the number of faults,
 * at most max.
 */
int ctl_build_check(const struct ctl_domain_config *config, struct ctl_build_facts *facts, struct ctl_error *errors,
                    unsigned max);
/*
 * Builds a domain and leaves it paused, known to xenstore, its id in *domid. A failure leaves no trace. Refuses a name
 * that is taken (-EEXIST), a kind of guest or paging that the host does not have (-EOPNOTSUPP), and memory that it does
 * not have (-ENOMEM), before anything is made.
 */
int ctl_build_domain(struct ctl *ctl, const struct ctl_domain_config *config, uint32_t *domid, struct ctl_error *err);
/* --- domains that outlive their xenstored (readmit.c) --- */

/* A domain's rings, as it names their frames, and its event channels for them: the same for all of its life. */
struct ctl_rings {
    uint64_t store_port, store_frame, console_port, console_frame;
};

/* -ENOENT: its nodes are not there. Source: nodes store/ and console/ of the domain. */
int ctl_domain_rings(struct ctl *ctl, uint32_t domid, struct ctl_rings *rings, struct ctl_error *err);
/*
 * Makes the nodes of a domain anew, as ctl_build_domain() makes them, and tells xenstored of its ring. For one that
 * another xenstored knew: it has no devices and no watches then, and what it wrote is gone. Source: introduce.
 */
int ctl_domain_readmit(struct ctl *ctl, uint32_t domid, const struct ctl_domain_config *config,
                       const struct ctl_rings *rings, struct ctl_error *err);

/* --- (build.c) --- */

/* The pool of a guest on shadows that names none, as libxl has it: 1 MiB for each vCPU, 8 KiB for each MiB of memory.
 */
uint64_t ctl_shadow_default_kib(uint64_t memory_kib, uint32_t vcpus);

/* --- saving and restoring (stream.c, save.c, restore.c) --- */

struct ctl_stream;

/* What a stream's headers say of its form, and of the hypervisor's ABI that its guest ran on. */
struct ctl_versions {
    uint32_t libxl, libxc, abi_major, abi_minor;
};
extern const struct ctl_versions ctl_versions; /* of those that are written here */
/* 0, or -EOPNOTSUPP: such a stream is not read here, and `why` says so. */
int ctl_versions_check(const struct ctl_versions *v, char why[CTL_TEXT_MAX]);
/* A stream over a descriptor, which stays the caller's; `name` is for messages. NULL: out of memory. */
struct ctl_stream *ctl_stream_open(int fd, const char *name, struct ctl_error *err);
void ctl_stream_close(struct ctl_stream *s);
/*
 * One more connection of the same move, on which pages go or come beside the stream: before ctl_domain_send() or
 * ctl_restore_domain(), as many at both ends. The descriptor stays the caller's. -E2BIG: they would be too many.
 */
#define CTL_STREAMS_MAX 16 /* the stream itself is one of them */
int ctl_stream_beside(struct ctl_stream *s, int fd, const char *name, struct ctl_error *err);
/* Of a stream to or from another host: -ETIMEDOUT when not a byte could be read, or written, for so long. */
void ctl_stream_patience(struct ctl_stream *s, unsigned ms);
/* The header of the whole, with a configuration as text, which the library does not look into. */
int ctl_stream_write_config(struct ctl_stream *s, const char *json, struct ctl_error *err);
/* *json is freed by the caller. -EBADMSG: this is no saved domain, or a damaged one. */
int ctl_stream_read_config(struct ctl_stream *s, char **json, struct ctl_error *err);
/* The first byte, which stays there. */
int ctl_stream_first(struct ctl_stream *s, uint8_t *byte, struct ctl_error *err);
/* Writes a suspended guest, and leaves it as it is. -EBUSY: it is not suspended. */
int ctl_domain_save(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, struct ctl_error *err);
/*
 * As ctl_build_domain(), with contents from the stream instead of the files that *config names. The memory that it may
 * come with is set aside before the first of it is read, and nothing any more when this returns.
 */
int ctl_restore_domain(struct ctl *ctl, const struct ctl_domain_config *config, struct ctl_stream *stream,
                       uint32_t *domid, struct ctl_error *err);

/* --- sending a guest that runs (live.c) --- */

#define CTL_SEND_ROUNDS 30 /* live ones, at most */

enum ctl_send_stage { CTL_SEND_BEGIN, CTL_SEND_LIVE, CTL_SEND_SUSPEND, CTL_SEND_REST, CTL_SEND_DONE };

/* How far it is. Times are of the monotonic clock, in milliseconds. */
struct ctl_send_state {
    enum ctl_send_stage stage;
    uint64_t guest_pages;                            /* when it began */
    unsigned rounds;                                 /* begun, the last one, of a sleeping guest, included */
    uint64_t round_pages, round_at;                  /* to send in this one; looked at so far */
    uint32_t sent[CTL_SEND_ROUNDS + 1];              /* by round */
    uint64_t pages, zero_pages;                      /* sent; those of them without a bit set */
    uint64_t skipped_pages;                          /* left for later, because they had been stored to again */
    uint64_t bytes;                                  /* of the stream */
    uint64_t rate;                                   /* bytes a second, of late; 0: not known */
    uint64_t dirty_rate;                             /* pages a second, in the last live round */
    uint64_t dirty_pages;                            /* as looked at last */
    uint64_t estimate_ms;                            /* to send these */
    uint64_t began_ms, asked_ms, asleep_ms, done_ms; /* 0: not yet */
    bool asked;                                      /* as ctl_domain_suspend() has it */
};

struct ctl_send {
    bool live;                /* else it sleeps all the time */
    unsigned max_downtime_ms; /* rounds end when what is left can be sent in this time */
    unsigned timeout_ms;      /* and when they took that long, or were as many as there may be: */
    bool force;               /* then the guest is suspended all the same; else it stays */
    unsigned suspend_ms;      /* how long it may take to suspend */
    uint64_t bandwidth;       /* bytes a second while it runs; 0: no limit */
    /* Called several times a second; a negative result, with the error filled, ends it all. */
    int (*tick)(void *ctx, const struct ctl_send_state *now, struct ctl_error *err);
    void *ctx;
};

/*
 * Writes a guest to a stream while it runs, round after round, the last one when it has suspended. On success it is
 * suspended, and its log of stores is still on: ctl_log_off() if it is to go on. On failure it goes on - but one that
 * was asked to suspend (state->asked) may do so later. -EOPNOTSUPP: the hypervisor keeps no log of this guest's stores.
 * -ETIME: given up at the end of the rounds. Source: shadow_op enable_logdirty, clean, peek.
 */
int ctl_domain_send(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, const struct ctl_send *how,
                    struct ctl_send_state *state, struct ctl_error *err);
/* No log is no error. Source: shadow_op off. */
int ctl_log_off(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

/* --- core files (dump.c) --- */

struct ctl_dump {
    int fd;           /* of a file that is empty, where one can seek */
    const char *name; /* for messages */
    /* Called now and then; a negative result, with the error filled, ends it. May be NULL. */
    int (*tick)(void *ctx, struct ctl_error *err);
    void *ctx;
};

struct ctl_dump_result {
    uint64_t pages;
    unsigned vcpus;
};

/*
 * Writes memory and registers of a domain as an ELF file in Xen's dump-core format, which crash(8) reads. Consistent
 * if the domain stands still meanwhile. On failure the file has no header. -EINVAL: a PV guest that has not booted far
 * enough to say where its memory is.
 */
int ctl_domain_dump(struct ctl *ctl, uint32_t domid, const struct ctl_dump *how, struct ctl_dump_result *result,
                    struct ctl_error *err);

/* --- would a guest be taken (policy.c, build.c) --- */

/* What a domain's processors can do, as the hypervisor's lists of leaves and MSRs. */
struct ctl_policy {
    void *leaves, *msrs;
    size_t leaves_size, msrs_size; /* bytes */
};

/* Freed by the caller with ctl_policy_free(), on failure too. Source: get_cpu_policy. */
int ctl_policy_get(struct ctl *ctl, uint32_t domid, struct ctl_policy *policy, struct ctl_error *err);
void ctl_policy_free(struct ctl_policy *policy);
/* Of a domain that never ran. -EINVAL: no list of that form; -EOPNOTSUPP: the guest was told of features that this
 * machine's processor does not have. Source: set_cpu_policy. */
int ctl_policy_set(struct ctl *ctl, uint32_t domid, const struct ctl_policy *policy, struct ctl_error *err);
/*
 * Would ctl_restore_domain() find a host for it? A domain is made with name, limits, policy and pool, its memory is set
 * aside, and it is removed again.
 */
int ctl_build_trial(struct ctl *ctl, const struct ctl_domain_config *config, const struct ctl_policy *policy,
                    struct ctl_error *err);

/* --- uuids (uuid.c) --- */

int ctl_uuid_random(uint8_t uuid[16]);                  /* version 4; -errno if there is no randomness */
int ctl_uuid_parse(const char *text, uint8_t uuid[16]); /* 8-4-4-4-12 hex digits; -EINVAL otherwise */
void ctl_uuid_format(const uint8_t uuid[16], char text[CTL_UUID_TEXT]);

#endif
