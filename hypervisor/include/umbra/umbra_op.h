/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra_op, hypercall 55 (an architecture's own number in <xen/xen.h>): what the control domain asks of this
 * hypervisor and the Xen 4.17 ABI has no call for. One argument, a pointer to struct umbra_op. Shared by the hypervisor
 * and libctl; not an interface for guests.
 *
 * Errors of every command: -EPERM not the control domain; -EFAULT; -EACCES another interface version; -ENOSYS no such
 * command, or a hypervisor that is not Umbra; -ESRCH no domain of that id, where the command takes one.
 */
#ifndef UMBRA_UMBRA_OP_H
#define UMBRA_UMBRA_OP_H

#include <stdint.h>

#define __HYPERVISOR_umbra_op      55
#define UMBRA_OP_INTERFACE_VERSION 1

/* What was compiled in. Takes no domain. */
#define UMBRA_OP_build_info 1
struct umbra_op_build_info {
    uint32_t flags; /* OUT: UMBRA_BUILD_* */
    uint32_t pad;
};
#define UMBRA_BUILD_debug 1u /* assertions, lock ranks, local audits */

/*
 * Audit of a PV guest (docs/invariants.md), which is paused for it. EOPNOTSUPP: the control domain, which cannot be
 * paused. EBUSY: the domain is dying. ENOMEM: no memory for the counters, 16 bytes for each frame of the domain.
 * EAGAIN: its tables were changed meanwhile, by a control tool.
 */
#define UMBRA_OP_audit 2
struct umbra_audit_finding {
    char rule[8];  /* number of the invariant */
    char what[72]; /* in words */
    uint64_t frame, count_info, type_info;
};
struct umbra_op_audit {
    uint32_t room;     /* IN: findings that fit */
    uint32_t broken;   /* OUT: invariants found broken, counted each time */
    uint64_t findings; /* IN: pointer to struct umbra_audit_finding[room]: the first ones are told one by one */
    uint32_t nr, pad;  /* OUT: findings stored there */
    uint64_t frames, tables, entries, descriptor_pages; /* OUT: looked at */
    uint64_t shared; /* OUT: frames on which others hold references: grants, foreign mappings, registered areas */
};

/*
 * Who holds a domain, dying or not: its frames that are left, and what other domains have of them. Looks at a slice of
 * the host per call: the caller begins at position 0, adds up frames, references and rows, and calls again until
 * position comes back as UMBRA_HOLDERS_end. The host goes on meanwhile; of a domain that has been torn down the sums
 * can only be too large.
 */
#define UMBRA_OP_holders    4
#define UMBRA_HOLDERS_end   UINT64_MAX
#define UMBRA_HOLDERS_slice 4
struct umbra_op_holder {
    uint32_t domain;        /* who */
    uint32_t host_grants;   /* grant mappings with a page-table entry */
    uint32_t device_grants; /* grant mappings for devices */
    uint32_t entries;       /* page-table entries that name a frame of the domain, those of host_grants among them */
};
struct umbra_op_holders {
    uint64_t position;      /* IN, OUT: 0, then what came back */
    uint64_t references;    /* OUT: to the frames seen, other than the owner's own */
    uint32_t frames;        /* OUT: the domain's frames seen in this slice */
    uint32_t shared_frames; /* OUT: likewise of the hypervisor's own that it shares with the domain */
    uint32_t nr_rows, pad;  /* OUT: rows filled; a holder may come back in a later slice */
    struct umbra_op_holder row[UMBRA_HOLDERS_slice];
};

/*
 * The longest stretches of work between two preemption points, operation by operation, since the boot or the last
 * reset. Up to UMBRA_STRETCHES per call; the next call begins with first as it was returned, until count is 0. Takes no
 * domain.
 */
#define UMBRA_OP_stretch 10
#define UMBRA_STRETCHES  6
struct umbra_op_stretch {
    uint32_t first; /* IN: 0 for the first call; OUT: where to go on */
    uint32_t flags; /* IN: UMBRA_STRETCH_* */
    uint32_t count; /* OUT */
    uint32_t pad;
    struct {
        uint16_t family;      /* number of a hypercall, or 64 exceptions, 65 softirqs, 66 steps of teardown, 67 end */
        uint16_t sub;         /* sub-operation, vector, softirq, step */
        uint32_t work;        /* most units: an entry is 1, a frame 8; bound 512 */
        uint64_t ticks;       /* longest time, by the time-stamp counter */
    } entry[UMBRA_STRETCHES]; /* OUT */
};
#define UMBRA_STRETCH_reset 1u /* what was read is forgotten */

/*
 * Debug builds: the n-th allocation that domctl and memory_op make from now on fails, once; 0 disarms. -EOPNOTSUPP in
 * other builds. Takes no domain.
 */
#define UMBRA_OP_alloc_fault 11
struct umbra_op_alloc_fault {
    uint32_t n; /* IN; OUT: what was left of the number armed before, 0 when it has come */
    uint32_t pad;
};

/* The pool of a translated domain, in frames: what its P2M and its shadows use of it. -EOPNOTSUPP: a PV domain. */
#define UMBRA_OP_pool 16
struct umbra_op_pool {
    uint64_t size, p2m, shadow; /* OUT */
};

struct umbra_op {
    uint32_t cmd;
    uint32_t interface_version;
    uint32_t domain;
    uint32_t pad;
    union {
        struct umbra_op_build_info build_info;
        struct umbra_op_audit audit;
        struct umbra_op_holders holders;
        struct umbra_op_stretch stretch;
        struct umbra_op_alloc_fault alloc_fault;
        struct umbra_op_pool pool;
        uint8_t space[112];
    } u;
};

#endif
