/* SPDX-License-Identifier: BSD-2-Clause */
/* Tasklets: small pieces of work run from a softirq. */
#ifndef HV_TASKLET_H
#define HV_TASKLET_H

#include <hv/list.h>

/* Work that must not be done in interrupt context or with locks held: fn runs once on this CPU from a softirq. */
struct tasklet {
    struct list_head link;
    void (*fn)(void *);
    void *data;
};
void tasklet_init(struct tasklet *t, void (*fn)(void *), void *data);
void tasklet_schedule(struct tasklet *t);

#endif
