/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPIs of a vCPU to itself, many in a row. One that is sent while events are handled is there when the handler ends,
 * before what it interrupted has executed an instruction. If each round sends the next, that never goes on: so Debian's
 * real-time kernel stands still, on any hypervisor that delivers at once (docs/debugging.md). From some number on they
 * come a little later, and the vCPU goes on meanwhile. Fewer are there at once: a guest may look for what it has sent.
 */
#include <hv/sched.h>
#include <hv/timer.h>
#include "internal.h"

#define SOON     MILLISECS(10) /* after the one before: they are in a row */
#define IN_A_ROW 16u
#define PAUSE    MICROSECS(200) /* so long what was interrupted goes on */

bool self_event_waits(struct vcpu *v, const struct channel *ch)
{
    struct evtchn_vcpu *e = v->evtchn;
    s_time_t now = system_time();
    unsigned int waits = READ_ONCE(e->self_port);

    e->self_row = now - e->self_sent < SOON ? MIN(e->self_row + 1, IN_A_ROW) : 0;
    e->self_sent = now;
    if (waits || e->self_row < IN_A_ROW)
        return waits == ch->port;
    WRITE_ONCE(e->self_port, ch->port);
    timer_migrate(&v->self_timer, v->processor);
    timer_set(&v->self_timer, now + PAUSE);
    return true;
}

void self_event_cancel(struct domain *d, const struct channel *ch)
{
    struct evtchn_vcpu *e = d->vcpu[ch->notify_vcpu]->evtchn;

    if (READ_ONCE(e->self_port) == ch->port)
        WRITE_ONCE(e->self_port, 0);
}

void evtchn_self_expired(void *data)
{
    struct vcpu *v = data;
    unsigned int port = READ_ONCE(v->evtchn->self_port);
    struct channel *ch = port ? channel_lookup(v->domain, port) : NULL;
    unsigned long flags;

    if (!ch)
        return;
    flags = spin_lock_irqsave(&ch->lock);
    if (READ_ONCE(v->evtchn->self_port) == port) {
        WRITE_ONCE(v->evtchn->self_port, 0);
        channel_raise(v->domain, ch);
    }
    spin_unlock_irqrestore(&ch->lock, flags);
}
