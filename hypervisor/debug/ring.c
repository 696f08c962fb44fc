/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log ring: keeps the last bytes that were logged. Pure; console.c holds the lock.
 *
 * Positions are 32-bit counters that wrap; only differences are compared.
 */
#include "console_private.h"

void ring_put(struct log_ring *r, const char *s, size_t n)
{
    if (n > r->size) {
        s += n - r->size;
        n = r->size;
    }
    for (size_t i = 0; i < n; i++)
        r->buf[(r->end + i) & (r->size - 1)] = s[i];
    r->end += (uint32_t)n;
    if (r->end - r->start > r->size)
        r->start = r->end - r->size;
}

size_t ring_get(const struct log_ring *r, char *buf, size_t n, uint32_t *index)
{
    uint32_t pos = *index;
    size_t done = 0;

    if (pos - r->start > r->end - r->start)
        pos = r->start;
    while (done < n && pos != r->end)
        buf[done++] = r->buf[pos++ & (r->size - 1)];
    *index = pos;
    return done;
}

void ring_grow(struct log_ring *r, char *buf, uint32_t size)
{
    for (uint32_t pos = r->start; pos != r->end; pos++)
        buf[pos & (size - 1)] = r->buf[pos & (r->size - 1)];
    r->buf = buf;
    r->size = size;
}
