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
    char rule[8];                          /* number of the invariant */
    char what[72];                         /* in words */
    uint64_t frame, count_info, type_info; /* frame all ones: it is about none */
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
 * Audit of the invariants G1 to G5 and G7 of what a domain grants and has mapped, which is paused for each slice of it.
 * All but room and findings is 0 to begin with; a call that is preempted finds there how far it has come. -EOPNOTSUPP:
 * the control domain; -EBUSY: the domain is dying; -EAGAIN: somebody used its grants, or audited them, meanwhile: there
 * is no result, another try may have one.
 */
#define UMBRA_OP_grant_audit 17
struct umbra_grant_finding {
    char rule[8];         /* number of the invariant */
    char what[72];        /* in words */
    uint32_t number, pad; /* of the entry or handle; or as many as there are */
};
struct umbra_op_grant_audit {
    uint32_t room;             /* IN: findings that fit */
    uint32_t nr;               /* OUT: findings stored: the first ones */
    uint64_t findings;         /* IN: pointer to struct umbra_grant_finding[room] */
    uint32_t broken;           /* OUT: invariants found broken, counted each time */
    uint32_t entries, handles; /* OUT: looked at: the domain's entries, and handles that others have for them */
    uint32_t begun, next, used, in_use, free;
    uint16_t step, mapper;
    struct {
        uint32_t check, number;
    } found[7];
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
 * The stretches of work between two preemption points, operation by operation, since the boot or the last reset. One
 * operation per call; the next call begins with first as it was returned, until found is 0. Takes no domain.
 */
#define UMBRA_OP_stretch    10
#define UMBRA_STRETCH_SIZES 5
struct umbra_op_stretch {
    uint32_t first;  /* IN: 0 for the first call; OUT: where to go on */
    uint32_t flags;  /* IN: UMBRA_STRETCH_* */
    uint32_t found;  /* OUT: 1, or 0 if there are no more */
    uint16_t family; /* OUT: number of a hypercall, or 64 exceptions, 65 softirqs, 66 steps of teardown, 67 end */
    uint16_t sub;    /* OUT: sub-operation, vector, softirq, step */
    uint32_t work;   /* OUT: most units: an entry is 1, a frame 8; bound 512 */
    uint32_t pad;
    uint64_t ticks;                      /* OUT: longest time, by the time-stamp counter */
    uint64_t times[UMBRA_STRETCH_SIZES]; /* OUT: stretches of 0 to 7 units, to 63, to 255, to 512, of more */
};
#define UMBRA_STRETCH_reset 1u /* what was read is forgotten */

/*
 * Debug builds: the n-th allocation that hypercalls other than this one make from now on fails, once; 0 disarms.
 * -EOPNOTSUPP in other builds. Takes no domain.
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
    uint32_t flags, pad;        /* OUT: UMBRA_POOL_* */
};
#define UMBRA_POOL_vtlb 1u /* its shadows are in the reference mode, shadow=vtlb */

/*
 * What the hypervisor logged last before the machine was restarted without losing its memory. At most a slice of it per
 * call; the caller adds to offset what was copied, and goes on until that is 0. Takes no domain. -ENOENT: nothing is
 * known of a boot before; -EINVAL: offset is beyond its end.
 */
#define UMBRA_OP_previous_log    18
#define UMBRA_PREVIOUS_LOG_slice 4096u
#define UMBRA_PREVIOUS_LOG_max   (64u << 10)
struct umbra_op_previous_log {
    uint32_t offset; /* IN: of the first byte wanted */
    uint32_t count;  /* IN: bytes that fit; OUT: bytes copied */
    uint64_t buffer; /* IN: pointer to char[count] */
};

/*
 * Shadow paging of a translated domain, which runs on. Errors of the four: -EOPNOTSUPP the domain has no shadows;
 * -EBUSY it is dying.
 *
 * Figures of the domain at position 0, then of its vCPUs one by one; the caller adds up what has the same group and
 * name, and goes on until position comes back as UMBRA_FIGURES_end. -ENOBUFS: there is too little room.
 */
#define UMBRA_OP_shadow_stats 12
#define UMBRA_FIGURES_end     UINT32_MAX
struct umbra_figure {
    char group[12], name[20];
    uint64_t value;
};
struct umbra_op_shadow_stats {
    uint32_t position; /* IN, OUT */
    uint32_t room;     /* IN: figures that fit */
    uint64_t figures;  /* IN: pointer to struct umbra_figure[room] */
    uint32_t nr, pad;  /* OUT */
};

/*
 * Audit of the invariants H1 to H4, M1 and M3 to M8 (docs/invariants.md). All but room and findings is 0 to begin with;
 * a call that is preempted finds there how far it has come. -EAGAIN: the domain's memory map was changed meanwhile.
 */
#define UMBRA_OP_shadow_audit 13
struct umbra_shadow_finding {
    char rule[8];        /* number of the invariant */
    char what[72];       /* in words */
    uint64_t gfn;        /* guest frame of the table, or that the entry is for */
    uint64_t entry;      /* as hardware has it */
    uint32_t index, pad; /* of the entry in its shadow */
};
struct umbra_op_shadow_audit {
    uint32_t room;     /* IN: findings that fit */
    uint32_t nr;       /* OUT: findings stored: the first ones */
    uint64_t findings; /* IN: pointer to struct umbra_shadow_finding[room] */
    uint64_t entries;  /* OUT: looked at, in shadows */
    uint32_t tables;   /* OUT: shadows looked at */
    uint32_t broken;   /* OUT: invariants found broken, counted each time */
    uint32_t next, p2m_seen[5];
    uint64_t p2m_next, p2m_changes, p2m_tables; /* OUT, the last one: tables of the memory map */
};

/* Everything is thrown away and made again as the guest needs it. */
#define UMBRA_OP_shadow_blow 14

/*
 * What there is: a record of each shadow, followed by those of its entries. As many as fit per call; the caller begins
 * at position 0 and goes on until UMBRA_SHADOW_end. The guest changes it meanwhile: an entry may name a shadow that is
 * not told, or has become another one.
 */
#define UMBRA_OP_shadow_dump 15
#define UMBRA_SHADOW_end     UINT64_MAX
#define UMBRA_SHADOW_none    UINT64_MAX
#define UMBRA_SHADOW_table   0xffffu
struct umbra_shadow_record {
    uint32_t shadow;                /* its number */
    uint16_t index;                 /* of the entry; UMBRA_SHADOW_table: of the shadow itself */
    uint8_t level;                  /* of the shadow */
    uint8_t format;                 /* levels of the guest's tables; 0: it runs without paging */
    uint64_t gfn;                   /* the guest's table, or the first frame of what is mapped; or UMBRA_SHADOW_none */
    uint64_t entry;                 /* as hardware has it; of the shadow itself: its machine frame */
    uint32_t child;                 /* an entry that names a shadow: which; else 0 */
    uint16_t flags;                 /* of the shadow itself: UMBRA_SHADOW_* */
    uint16_t quadrant, roots, used; /* likewise: part of a table of 1024, vCPUs that run on it, entries */
    uint16_t pad[2];
};
#define UMBRA_SHADOW_direct 0x01 /* of a large page, or of unpaged memory: there is no guest table */
#define UMBRA_SHADOW_wp     0x02 /* settings and rights that it was made for */
#define UMBRA_SHADOW_nx     0x04
#define UMBRA_SHADOW_smep   0x08
#define UMBRA_SHADOW_smap   0x10
#define UMBRA_SHADOW_write  0x20
#define UMBRA_SHADOW_user   0x40
#define UMBRA_SHADOW_noexec 0x80
struct umbra_op_shadow_dump {
    uint64_t position; /* IN, OUT */
    uint64_t records;  /* IN: pointer to struct umbra_shadow_record[room] */
    uint32_t room;     /* IN: records that fit */
    uint32_t nr;       /* OUT: records stored */
};

struct umbra_op {
    uint32_t cmd;
    uint32_t interface_version;
    uint32_t domain;
    uint32_t pad;
    union {
        struct umbra_op_build_info build_info;
        struct umbra_op_audit audit;
        struct umbra_op_grant_audit grant_audit;
        struct umbra_op_holders holders;
        struct umbra_op_stretch stretch;
        struct umbra_op_alloc_fault alloc_fault;
        struct umbra_op_pool pool;
        struct umbra_op_previous_log previous_log;
        struct umbra_op_shadow_stats shadow_stats;
        struct umbra_op_shadow_audit shadow_audit;
        struct umbra_op_shadow_dump shadow_dump;
        uint8_t space[112];
    } u;
};

#endif
