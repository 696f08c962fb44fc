/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Caps: a domain may use cap per cent of one CPU's time in each period. A vCPU takes a part of what is left before it
 * runs and gives back what it did not use, so that several CPUs together cannot use more than there is. What a late
 * timer lets it use beyond is taken from the next periods. Periods begin only when somebody asks: a domain within its
 * cap has no timer.
 */
#include "queue.h"

#define PERIOD      MILLISECS(10)
#define LEAST       MICROSECS(50)  /* less is not worth a switch */
#define LEAST_GRANT MICROSECS(500) /* if there is so much */
#define MAX_PERIODS 100000         /* of overuse that a pause makes up for */

static s_time_t quota(const struct sched_domain *d)
{
    return PERIOD * d->cap / 100;
}

static void begin_period(struct sched_domain *d, s_time_t now)
{
    s_time_t periods;

    if (now < d->period_end)
        return;
    periods = (now - d->period_end) / PERIOD + 1;
    d->period_end += periods * PERIOD;
    d->budget = MIN(quota(d), d->budget + MIN(periods, (s_time_t)MAX_PERIODS) * quota(d));
}

bool budget_left(struct sched_domain *d, s_time_t now)
{
    if (!d->cap)
        return true;
    begin_period(d, now);
    return d->budget >= LEAST;
}

void budget_take(struct vcpu *v, s_time_t now)
{
    struct sched_domain *d = &v->domain->sched;

    if (!d->cap)
        return;
    begin_period(d, now);
    v->sched->grant = MIN(d->budget, MAX(d->budget / (s_time_t)MIN(v->domain->max_vcpus, nr_cpus), LEAST_GRANT));
    d->budget -= v->sched->grant;
    v->sched->grant_end = d->period_end;
}

/* What is left of a grant is lost if another CPU has begun the next period already; what was overdrawn is not. */
void budget_give_back(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;

    if (v->sched->grant < 0 || v->sched->grant_end == d->period_end)
        d->budget += v->sched->grant;
    v->sched->grant = 0;
}

/* A grant ends with its period, or the next one would see more than its own budget used. */
s_time_t budget_deadline(const struct vcpu *v, s_time_t now)
{
    return v->domain->sched.cap ? MIN(now + MAX(v->sched->grant, (s_time_t)0), v->sched->grant_end) : STIME_MAX;
}

void budget_set_cap(struct sched_domain *d, uint16_t cap, s_time_t now)
{
    d->cap = cap;
    d->budget = quota(d);
    d->period_end = now + PERIOD;
}
