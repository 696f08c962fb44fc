/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside mm/pv: an audit under way. audit.c recounts what the domain's tables hold, audit_machine.c asks others. */
#ifndef MM_PV_AUDIT_H
#define MM_PV_AUDIT_H

#include <hv/heap.h>
#include "pt.h"

#define MAX_LOOKS 1000u /* at what another CPU may be about to put right */
#define HEAP_COST 8u    /* units of work of one question to the heap */
#define NOT_BEGUN (~0u)

enum audit_phase {
    AUDIT_CPUS,
    AUDIT_CLAIMS,
    AUDIT_VCPUS,
    AUDIT_GRANTS,
    AUDIT_FRAMES,
    AUDIT_COMPARE,
    AUDIT_DEAD,
    AUDIT_RELEASE,
};

/* What a phase has to say after a piece of work. */
enum progress { MORE, DONE, LATER };

struct audit_count;

struct pv_audit {
    struct domain *d;
    enum audit_phase phase;
    unsigned long next;        /* CPU, domain, page of a vCPU's windows, handle or frame */
    unsigned int entry;        /* of the frame's table: those before were looked at; NOT_BEGUN */
    uint64_t changes;          /* d->pv.changes when it began */
    int rc;                    /* why there is no result */
    struct heap_claims claims; /* when the sum was begun */
    uint64_t claimed;          /* the sum so far */
    struct list_head memory;   /* frames of the counters */
    struct audit_count ***top; /* by frame number: pointers to pages of pointers to pages of counters */
    struct pv_audit_report r;
};

/* An invariant is broken: its number, in words what, and the frame or INVALID_MFN. */
void audit_found(struct pv_audit *a, const char *rule, const char *what, mfn_t m);

/* audit_machine.c: phases. pt_lock held. */
enum progress audit_cpus(struct pv_audit *a);
enum progress audit_claims(struct pv_audit *a);
enum progress audit_dead(struct pv_audit *a);
/* Of one frame: is it free and in use, and of a partial table, is it in order among the dead ones? */
void audit_in_heap(struct pv_audit *a, const struct page_info *pg);
void audit_dead_neighbours(struct pv_audit *a, const struct page_info *pg);

#endif
