/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of host CPUs, as in "0-3,6,^2": into a bitmap, and out of one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"

/* "N" or "N-M" at *s; moves *s past it. */
static int parse_range(const char **s, unsigned long *lo, unsigned long *hi)
{
    for (int i = 0; i < 2; i++) {
        size_t digits = strspn(*s, "0123456789");

        if (digits == 0)
            return -EINVAL;
        *(i ? hi : lo) = digits > 6 ? ~0ul : strtoul(*s, NULL, 10);
        *s += digits;
        if (i == 0) {
            *hi = *lo;
            if (**s != '-')
                break;
            ++*s;
        }
    }
    return *hi >= CONFIG_MAX_CPUS ? -ERANGE : *hi < *lo ? -EINVAL : 0;
}

int config_cpu_map(const char *text, uint8_t map[CONFIG_MAX_CPUS / 8])
{
    unsigned long lo, hi;
    bool any = false;
    int rc;

    memset(map, 0, CONFIG_MAX_CPUS / 8);
    for (;;) {
        bool out = *text == '^';

        text += out;
        if (strncmp(text, "all", 3) == 0) {
            lo = 0;
            hi = CONFIG_MAX_CPUS - 1;
            text += 3;
        } else {
            rc = parse_range(&text, &lo, &hi);
            if (rc)
                return rc;
        }
        for (unsigned long i = lo; i <= hi; i++)
            map[i / 8] = (uint8_t)(out ? map[i / 8] & ~(1u << i % 8) : map[i / 8] | 1u << i % 8);
        if (*text == '\0')
            break;
        if (*text++ != ',')
            return -EINVAL;
    }
    for (size_t i = 0; i < CONFIG_MAX_CPUS / 8; i++)
        any |= map[i] != 0;
    return any ? 0 : -EINVAL;
}

static bool bit(const uint8_t *map, unsigned i)
{
    return map[i / 8] >> i % 8 & 1;
}

void cpu_ranges(char *out, size_t size, const uint8_t *map, unsigned n_cpus)
{
    size_t n = 0;
    unsigned i = 0, first, count = 0;

    snprintf(out, size, "none");
    while (i < n_cpus) {
        if (!bit(map, i)) {
            i++;
            continue;
        }
        for (first = i; i < n_cpus && bit(map, i); i++)
            count++;
        if (n >= size)
            continue;
        n += (size_t)snprintf(out + n, size - n, "%s%u", n ? "," : "", first);
        if (i - 1 > first && n < size)
            n += (size_t)snprintf(out + n, size - n, "-%u", i - 1);
    }
    if (n_cpus && count == n_cpus)
        snprintf(out, size, "all");
}
