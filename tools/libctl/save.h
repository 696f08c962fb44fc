/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain being saved: what the saver's files pass to each other. Internal to libctl.
 */
#ifndef CTL_SAVE_H
#define CTL_SAVE_H

#include "libctl/stream.h"

struct ctl_live;

/* The way back: what has the same head, by a hash of the machine frame, is linked. Entry 0 is none. */
struct ctl_back {
    struct ctl_back_entry {
        uint64_t mfn;
        uint32_t pfn, next;
    } * entry;
    uint32_t *head;  /* 2^bits */
    uint64_t factor; /* of the hash: odd, and another one each time */
    uint64_t steps;  /* that making it took */
    unsigned bits;
};

struct ctl_save {
    struct ctl *ctl;
    struct ctl_stream *s;
    struct ctl_error *err;
    struct ctl_domain_info info;
    struct ctl_live *live;      /* of a guest that is sent while it runs, or NULL */
    uint64_t nr_pfns;           /* guest frames have numbers below that */
    struct shared_info *shared; /* a copy; this and what follows, of PV guests */
    uint64_t nr_p2m;            /* frames of the list of guest frames */
    uint64_t *p2m;              /* by guest frame: machine frame, or NO_FRAME */
    uint64_t *p2m_frames;       /* machine frames of that list */
    struct ctl_back back;
};

/* All of it; takes back what it acquires. s->err is set. */
int ctl_save_guest(struct ctl_save *v);

/* A domctl about the domain, with the error filled. */
int ctl_save_domctl(struct ctl_save *v, struct xen_domctl *op, const char *step);
/* A record. */
int ctl_save_put(struct ctl_save *v, uint32_t type, const void *body, size_t size);

/* save_p2m.c: shared information and P2M are read; ends with ctl_save_close(), on failure too. */
int ctl_save_open(struct ctl_save *v);
void ctl_save_close(struct ctl_save *v);
/* The guest frame of a machine frame, or NO_FRAME: not one of the domain's. */
uint64_t ctl_save_pfn(const struct ctl_save *v, uint64_t mfn);
int ctl_save_p2m_frames(struct ctl_save *v);

/* save_pages.c: all guest frames, or those that v->live wants. Positive: it wants no more for now. */
int ctl_save_pages(struct ctl_save *v);

/* save_hvm.c, of PVH guests: how far its memory goes; parameters and processors. */
int ctl_save_hvm_open(struct ctl_save *v);
int ctl_save_hvm_state(struct ctl_save *v);

#endif
