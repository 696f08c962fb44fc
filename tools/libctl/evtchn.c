// SPDX-License-Identifier: BSD-2-Clause
/*
 * Event channels of other domains: allocated for the builder, counted for those who look for leaks.
 */

#include "libctl/internal.h"

/* Ports are dense at the low end: so many closed ones in a row mean that there are no more. */
#define CLOSED_RUN 128

int ctl_evtchn_alloc(struct ctl *ctl, uint32_t domid, uint32_t remote, struct ctl_error *err)
{
    struct evtchn_alloc_unbound arg = {.dom = domid, .remote_dom = remote};
    int rc = ctl_call_evtchn(ctl, EVTCHNOP_alloc_unbound, &arg, sizeof(arg));

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("allocate an event channel", domid), "for domain %u", remote);
    }
    return arg.port;
}

int ctl_evtchn_count(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    int used = 0, closed = 0;

    for (unsigned port = 1; closed < CLOSED_RUN; port++) {
        struct evtchn_status arg = {.dom = domid, .port = port};
        int rc = ctl_call_evtchn(ctl, EVTCHNOP_status, &arg, sizeof(arg));

        if (rc == -EINVAL) {
            break;
        }
        if (rc < 0) {
            return ctl_fail_domain(ctl, err, rc, CTL_AT("count event channels", domid), "at port %u", port);
        }
        closed = arg.status == EVTCHNSTAT_closed ? closed + 1 : 0;
        used += arg.status != EVTCHNSTAT_closed;
    }
    return used;
}
