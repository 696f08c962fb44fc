/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug key 'b': of each operation, by name, the longest stretch between two preemption points (<hv/stretch.h>), and
 * how many there were of each size; and how often an operation on shadows took so many units.
 */
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/shadow.h>
#include <hv/stretch.h>
#include <hv/timer.h>
#include "console_private.h"

#define HYPERCALL(nr, name, nargs, who) [nr] = #name,
static const char *const names[STRETCH_FAMILIES] = {
#include "../hypercall/table.def"
    [STRETCH_TRAP] = "exception",
    [STRETCH_SOFTIRQ] = "softirq",
    [STRETCH_TEARDOWN] = "teardown step",
    [STRETCH_FREE] = "end of a domain",
};
#undef HYPERCALL

static int say_work(void *unused, const char *group, const char *name, uint64_t value)
{
    if (value)
        printk("  shadows: %s units: %lu times\n", name, value);
    return 0;
}

static void dump_one(const struct stretch *s)
{
    char times[160] = ""; /* in one line, or another CPU's messages come between */
    size_t n = 0;

    for (unsigned int size = 0; size < STRETCH_SIZES; size++)
        if (s->times[size])
            n += (size_t)snprintf(times + n, sizeof(times) - n, " %s: %lu", stretch_sizes[size], s->times[size]);
    printk("  %s %u: %u units%s, %lu us;%s\n", names[s->family] ? names[s->family] : "unknown hypercall", s->sub,
           s->work, s->work > STRETCH_BOUND ? " (over the bound)" : "", s->ticks * 1000 / tsc_khz, times);
}

void stretch_dump(void)
{
    unsigned int next = 0;
    struct stretch s;

    printk("Longest stretches between preemption points (bound: %u units; an entry is 1, a frame %u):\n", STRETCH_BOUND,
           STRETCH_FRAME);
    while (stretch_read(&next, false, &s))
        dump_one(&s);
    (void)shadow_tell_work(say_work, NULL);
}
