/* SPDX-License-Identifier: BSD-2-Clause */
/* vsnprintf for the C99 subset that lib.h names, and number parsing. */
#include <hv/lib.h>

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero, alt, plus, upper;
    int width, precision; /* precision -1: none */
    unsigned int size;    /* bytes of the integer */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_pad(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_string(struct out *o, const struct spec *s, const char *str)
{
    size_t n = strnlen(str ? str : "(null)", s->precision >= 0 ? (size_t)s->precision : SIZE_MAX);

    if (!str)
        str = "(null)";
    if (!s->left)
        put_pad(o, ' ', s->width - (int)n);
    for (size_t i = 0; i < n; i++)
        put(o, str[i]);
    if (s->left)
        put_pad(o, ' ', s->width - (int)n);
}

static void put_number(struct out *o, const struct spec *s, unsigned long long v, unsigned int base, const char *prefix)
{
    const char *digits = s->upper ? "0123456789ABCDEF" : "0123456789abcdef";
    bool zero = s->zero && s->precision < 0;
    char tmp[24];
    int n = 0, zeros, total;

    if (v == 0 && s->precision != 0)
        tmp[n++] = '0';
    for (; v; v /= base)
        tmp[n++] = digits[v % base];
    zeros = s->precision > n ? s->precision - n : 0;
    total = n + zeros + (int)strlen(prefix);
    if (!s->left && !zero)
        put_pad(o, ' ', s->width - total);
    while (*prefix)
        put(o, *prefix++);
    if (!s->left && zero)
        put_pad(o, '0', s->width - total);
    put_pad(o, '0', zeros);
    while (n)
        put(o, tmp[--n]);
    if (s->left)
        put_pad(o, ' ', s->width - total);
}

static const char *parse_flags(const char *f, struct spec *s)
{
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '0')
            s->zero = true;
        else if (*f == '#')
            s->alt = true;
        else if (*f == '+')
            s->plus = true;
        else
            return f;
    }
}

static const char *parse_int(const char *f, int *v)
{
    for (*v = 0; *f >= '0' && *f <= '9'; f++)
        *v = *v * 10 + (*f - '0');
    return f;
}

static const char *parse_size_modifier(const char *f, struct spec *s)
{
    s->size = sizeof(int);
    for (;; f++) {
        if (*f == 'l' || *f == 'z' || *f == 't' || *f == 'j')
            s->size = sizeof(long);
        else if (*f == 'h')
            s->size = s->size == sizeof(int) ? sizeof(short) : 1;
        else
            return f;
    }
}

static void put_signed(struct out *o, const struct spec *s, long long v)
{
    if (s->size == sizeof(short))
        v = (short)v;
    else if (s->size == 1)
        v = (signed char)v;
    put_number(o, s, v < 0 ? -(unsigned long long)v : (unsigned long long)v, 10, v < 0 ? "-" : s->plus ? "+" : "");
}

static void put_unsigned(struct out *o, const struct spec *s, unsigned long long v, char conv)
{
    if (s->size < sizeof(long))
        v &= (1ull << (8 * s->size)) - 1;
    if (conv == 'u')
        put_number(o, s, v, 10, "");
    else
        put_number(o, s, v, 16, !s->alt || !v ? "" : conv == 'X' ? "0X" : "0x");
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct out o = {buf, size, 0};

    for (const char *f = fmt; *f; f++) {
        struct spec s = {.precision = -1};

        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        f = parse_flags(f + 1, &s);
        if (*f == '*') {
            s.width = va_arg(ap, int);
            s.left = s.left || s.width < 0;
            s.width = s.width < 0 ? -s.width : s.width;
            f++;
        } else
            f = parse_int(f, &s.width);
        if (*f == '.' && f[1] == '*') {
            s.precision = va_arg(ap, int);
            f += 2;
        } else if (*f == '.')
            f = parse_int(f + 1, &s.precision);
        f = parse_size_modifier(f, &s);
        s.upper = *f == 'X';
        switch (*f) {
        case 'd':
        case 'i':
            put_signed(&o, &s, s.size == sizeof(long) ? va_arg(ap, long) : va_arg(ap, int));
            break;
        case 'u':
        case 'x':
        case 'X':
            put_unsigned(&o, &s, s.size == sizeof(long) ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int), *f);
            break;
        case 'p':
            s.precision = 16;
            put_number(&o, &s, (unsigned long)va_arg(ap, void *), 16, "");
            break;
        case 's':
            put_string(&o, &s, va_arg(ap, const char *));
            break;
        case 'c':
            put(&o, (char)va_arg(ap, int));
            break;
        case '\0':
            f--;
            break;
        default:
            put(&o, *f);
        }
    }
    if (size)
        buf[o.len < size ? o.len : size - 1] = '\0';
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}

static unsigned int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned int)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a' + 10) : 99;
}

unsigned long long strtoull_hv(const char *s, const char **end, unsigned int base)
{
    unsigned long long v = 0;

    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 0x20) == 'x' && digit_value(s[2]) < 16) {
        s += 2;
        base = 16;
    } else if (base == 0)
        base = 10;
    for (; digit_value(*s) < base; s++)
        v = v * base + digit_value(*s);
    if (end)
        *end = s;
    return v;
}
