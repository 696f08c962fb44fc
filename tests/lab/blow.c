// SPDX-License-Identifier: BSD-2-Clause
/*
 * Throws a guest's shadows away, over and over: blow DOMID MILLISECONDS TIMES
 *
 * One every so many milliseconds, for as long as so many of them take. Where the machine is slow those that are late
 * are left out: a flush waits for the other CPUs, which on a busy host may take seconds. Prints "blows NUMBER in
 * MILLISECONDS ms, longest MICROSECONDS us".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libctl/ctl.h"

#define MILLION 1000000u

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * MILLION + (uint64_t)t.tv_nsec;
}

static void wait_until(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / (1000 * MILLION)), .tv_nsec = (long)(ns % (1000 * MILLION))};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(int argc, char **argv)
{
    uint64_t start = now(), longest = 0, period, end;
    unsigned done = 0;
    struct ctl_error err = {0};
    struct ctl *ctl = argc == 4 ? ctl_open(&err) : NULL;

    if (!ctl) {
        fprintf(stderr, "blow DOMID MILLISECONDS TIMES %s\n", err.message);
        return 2;
    }
    period = strtoull(argv[2], NULL, 10) * MILLION;
    end = start + period * strtoull(argv[3], NULL, 10);
    for (uint64_t begin = start; begin < end; done++) {
        uint64_t took;

        if (ctl_shadow_blow(ctl, (uint32_t)atoi(argv[1]), &err) != 0) {
            fprintf(stderr, "blow %u: %s\n", done, err.message);
            return 1;
        }
        took = now() - begin;
        longest = took > longest ? took : longest;
        wait_until(begin + (took / period + 1) * period);
        begin = now();
    }
    printf("blows %u in %llu ms, longest %llu us\n", done, (unsigned long long)(now() - start) / MILLION,
           (unsigned long long)longest / 1000);
    ctl_close(ctl);
    return 0;
}
