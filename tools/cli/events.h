/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has happened between two looks at the host: the difference of two views, in order. Pure.
 */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "cli/guest_state.h"

/* A domain, or a guest that has none at the moment (domid UINT32_MAX). */
struct event_domain {
    uint32_t domid;
    char name[CTL_NAME_MAX];
    uint8_t uuid[16];
    bool paused, dying;
    const char *reason; /* of its shutdown; NULL: it has not shut down */
};

struct event_guest {
    uint8_t uuid[16];
    char name[CTL_NAME_MAX];
    enum guest_phase phase;
};

struct event_view {
    struct event_domain *domains; /* in order of domid */
    int n;
    struct event_guest *guests;
    int n_guests;
};

#define EVENT_NO_DOMAIN UINT32_MAX

struct event {
    const char *what;
    uint32_t domid; /* or EVENT_NO_DOMAIN: it is about the guest */
    const char *name;
    const uint8_t *uuid;
    const char *detail; /* reason of a shutdown, state of a guest, the old name; or NULL */
};

typedef void event_fn(void *ctx, const struct event *e);

void events_domains(const struct event_view *before, const struct event_view *now, event_fn *tell, void *ctx);
void events_guests(const struct event_view *before, const struct event_view *now, event_fn *tell, void *ctx);

#endif
