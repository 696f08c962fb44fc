/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watchdogs: timers of a domain that its kernel or a daemon in it has to set anew before they run out. One that runs
 * out shuts the domain down with SHUTDOWN_watchdog. life_lock guards which are in use; a timer that fires while it is
 * poked counts as run out.
 */
#include <hv/console.h>
#include <hv/domain.h>
#include <xen/sched.h>

static void run_out(void *data)
{
    struct domain *d = data;

    if (d->dying != DOM_ALIVE || READ_ONCE(d->is_shutting_down))
        return;
    printk(XLOG_WARNING "d%u: watchdog ran out\n", d->id);
    domain_shutdown(d, SHUTDOWN_watchdog);
}

static void arm(struct watchdog *w, uint32_t seconds)
{
    timer_set(&w->timer, system_time() + SECONDS(seconds));
}

/* life_lock held. */
static int take(struct domain *d, uint32_t seconds)
{
    for (int i = 0; i < NR_WATCHDOGS; i++) {
        struct watchdog *w = &d->watchdog[i];

        if (w->armed)
            continue;
        w->armed = true;
        arm(w, seconds);
        return i + 1;
    }
    return -ENOSPC;
}

/* life_lock held. */
static int poke(struct watchdog *w, uint32_t seconds)
{
    if (!w->armed)
        return -EINVAL;
    if (seconds)
        arm(w, seconds);
    else
        timer_stop(&w->timer);
    w->armed = seconds != 0;
    return 0;
}

int domain_watchdog(struct domain *d, uint32_t id, uint32_t seconds)
{
    int rc;

    if (id > NR_WATCHDOGS)
        return -EINVAL;
    spin_lock(&d->life_lock);
    rc = id ? poke(&d->watchdog[array_index_nospec(id - 1, NR_WATCHDOGS)], seconds) : take(d, seconds);
    spin_unlock(&d->life_lock);
    return rc;
}

void watchdog_init(struct domain *d)
{
    for (int i = 0; i < NR_WATCHDOGS; i++)
        timer_init(&d->watchdog[i].timer, run_out, d, 0);
}

void watchdog_kill(struct domain *d)
{
    for (int i = 0; i < NR_WATCHDOGS; i++)
        timer_kill(&d->watchdog[i].timer);
}
