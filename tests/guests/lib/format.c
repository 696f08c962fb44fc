// SPDX-License-Identifier: BSD-2-Clause
/* Text from numbers. Compiled for guests of 32 bits too, which have no division of 64. */
#include "format.h"

#include <stdbool.h>
#include <stdint.h>

struct out {
    char *at, *end;
};

static void put(struct out *o, char c)
{
    if (o->at < o->end)
        *o->at++ = c;
}

static void put_text(struct out *o, const char *s)
{
    while (*s)
        put(o, *s++);
}

static void put_decimal(struct out *o, unsigned long v)
{
    char digits[20];
    unsigned int n = 0;

    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        put(o, digits[--n]);
}

static void put_hex(struct out *o, uint64_t v)
{
    unsigned int shift = 60;

    while (shift && !(v >> shift))
        shift -= 4;
    for (;; shift -= 4) {
        put(o, "0123456789abcdef"[(v >> shift) & 15]);
        if (!shift)
            return;
    }
}

static void put_signed(struct out *o, long v)
{
    if (v < 0)
        put(o, '-');
    put_decimal(o, v < 0 ? -(unsigned long)v : (unsigned long)v);
}

static void put_argument(struct out *o, char kind, unsigned int longs, va_list *ap)
{
    switch (kind) {
    case 's':
        put_text(o, va_arg(*ap, const char *));
        break;
    case 'd':
        put_signed(o, longs ? va_arg(*ap, long) : va_arg(*ap, int));
        break;
    case 'x':
        put_hex(o, longs == 2   ? va_arg(*ap, unsigned long long)
                   : longs == 1 ? va_arg(*ap, unsigned long)
                                : va_arg(*ap, unsigned int));
        break;
    default:
        put_decimal(o, longs ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int));
    }
}

size_t format(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct out o = {buf, buf + size};
    va_list args;

    va_copy(args, ap);
    for (; *fmt; fmt++) {
        unsigned int longs = 0;

        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        while (*++fmt == 'l')
            longs++;
        put_argument(&o, *fmt, longs, &args);
    }
    va_end(args);
    return (size_t)(o.at - buf);
}
