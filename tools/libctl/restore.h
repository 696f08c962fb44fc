/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain being restored: what the restorer's files pass to each other. Internal to libctl.
 */
#ifndef CTL_RESTORE_H
#define CTL_RESTORE_H

#include "libctl/build.h"
#include "libctl/stream.h"

/* Records of a vCPU, as they came. */
enum { PART_BASIC, PART_EXTENDED, PART_XSAVE, PART_MSRS, PARTS };

struct ctl_part {
    uint8_t *data;
    size_t size;
};

struct ctl_restore {
    struct ctl_build *b;
    struct ctl_stream *s;
    bool static_end, has_tsc;
    uint64_t nr_pfns; /* guest frames with memory have numbers below that; 0: not told yet */
    struct tsc_info tsc;

    /* Of a guest that comes on several connections: rounds whose end was seen, on the stream and on each other one. */
    bool rounds_begun;
    uint64_t rounds;
    struct {
        uint64_t rounds;
        bool ended;
    } lane[CTL_STREAMS_MAX - 1];

    /* PV */
    bool has_info, has_shared;
    uint64_t nr_p2m;
    uint64_t *p2m_pfn; /* guest frames of the guest's list of frames */
    uint64_t *frame;   /* by guest frame: machine frame; 0: none, since frame 0 is the firmware's */
    uint8_t *type;
    uint8_t *shared;
    struct ctl_part (*vcpu)[PARTS]; /* b->maxvcpus of them */

    /* PVH */
    uint64_t *there; /* a bit for each guest frame: it has memory */
    bool has_params;
    uint64_t param[HVM_NR_PARAMS];
    struct ctl_part context;
};

static inline bool ctl_restore_hvm(const struct ctl_restore *r)
{
    return r->b->config->type == CTL_PVH;
}

/*
 * Numbers of guest frames are below that: somewhat more than savers write, since what maxmem is may be rounded. What is
 * kept here for each of them is little beside the guest's memory, whatever a stream says.
 */
static inline uint64_t ctl_restore_most_pfns(const struct ctl_restore *r)
{
    return 2 * hvm_pfns(r->b->maxmem_kib);
}

/* The machine frame of a PV guest's guest frame, or 0. */
uint64_t ctl_restore_frame(const struct ctl_restore *r, uint64_t pfn);
int ctl_restore_domctl(struct ctl_restore *r, struct xen_domctl *op, const char *step);
int ctl_restore_tsc(struct ctl_restore *r);
/* Zeroes a frame of the guest's, by its number for calls. */
int ctl_restore_clear(struct ctl_restore *r, uint64_t frame);

/* restore_pages.c: a PAGE_DATA record; the pins at the end. */
int ctl_restore_pages(struct ctl_restore *r);
int ctl_restore_pins(struct ctl_restore *r);
/* Is there memory at a guest frame of any number? */
bool ctl_restore_has(const struct ctl_restore *r, uint64_t pfn);

/*
 * restore_lanes.c: before the first record; the next record of the stream, while the others are read; its mark of the
 * end of a round, and its last record, which wait for the others. Without others they read the stream.
 */
void ctl_restore_lanes_begin(struct ctl_restore *r);
int ctl_restore_next(struct ctl_restore *r);
int ctl_restore_round(struct ctl_restore *r);
int ctl_restore_lanes_end(struct ctl_restore *r);

/* restore_vcpu.c: everything of a PV guest that waits for all memory to be there. */
int ctl_restore_state(struct ctl_restore *r);

/* restore_hvm.c: before the first record; records; is anything missing; all that waits for memory. */
int ctl_restore_hvm_begin(struct ctl_restore *r);
int ctl_restore_hvm_context(struct ctl_restore *r);
int ctl_restore_hvm_params(struct ctl_restore *r);
int ctl_restore_hvm_end(struct ctl_restore *r);
int ctl_restore_hvm_state(struct ctl_restore *r);

#endif
