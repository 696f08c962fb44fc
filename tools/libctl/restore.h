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
    bool has_info, static_end, has_shared, has_tsc;
    uint64_t nr_pfns, nr_p2m; /* 0: not told yet */
    uint64_t *p2m_pfn;        /* guest frames of the guest's list of frames */
    uint64_t *frame;          /* by guest frame: machine frame; 0: none, since frame 0 is the firmware's */
    uint8_t *type;
    uint8_t *shared;
    struct tsc_info tsc;
    struct ctl_part (*vcpu)[PARTS]; /* b->maxvcpus of them */
};

/* The machine frame of a guest frame, or 0. */
uint64_t ctl_restore_frame(const struct ctl_restore *r, uint64_t pfn);
int ctl_restore_domctl(struct ctl_restore *r, struct xen_domctl *op, const char *step);

/* restore_pages.c: a PAGE_DATA record; the pins at the end. */
int ctl_restore_pages(struct ctl_restore *r);
int ctl_restore_pins(struct ctl_restore *r);

/* restore_vcpu.c: everything that waits for all memory to be there. */
int ctl_restore_state(struct ctl_restore *r);

#endif
