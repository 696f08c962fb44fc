// SPDX-License-Identifier: BSD-2-Clause
/* Text on the guest's console ring, whole lines at a time, whichever vCPU speaks. */
#include "internal.h"

#include <xen/io/console.h>

#define LINE_MAX      256
#define FLUSH_TRIES   2000
#define FLUSH_WAIT_NS 1000000

static volatile bool busy;

static struct xencons_interface *ring(void)
{
    return virt_of(start_info->console.domU.mfn);
}

static void notify(void)
{
    struct evtchn_send send = {.port = start_info->console.domU.evtchn};

    HYPERCALL2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send);
}

static void yield(void)
{
    HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

void console_write(const char *text, size_t n)
{
    struct xencons_interface *r = ring();

    while (__atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE))
        yield();
    for (size_t i = 0; i < n; i++) {
        while (r->out_prod - READ_ONCE(r->out_cons) >= sizeof(r->out)) {
            notify();
            yield();
        }
        r->out[MASK_XENCONS_IDX(r->out_prod, r->out)] = text[i];
        __atomic_store_n(&r->out_prod, r->out_prod + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&busy, false, __ATOMIC_RELEASE);
    notify();
}

void flush_console(void)
{
    struct xencons_interface *r = ring();

    for (unsigned int i = 0; i < FLUSH_TRIES && READ_ONCE(r->out_cons) != r->out_prod; i++) {
        struct sched_poll poll = {.nr_ports = 0, .timeout = shared_info ? now() + FLUSH_WAIT_NS : 1};

        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
    }
}

/* ---- formatting ---- */

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

static void put_number(struct out *o, uint64_t v, unsigned int base)
{
    char digits[20];
    unsigned int n = 0;

    do
        digits[n++] = "0123456789abcdef"[v % base];
    while (v /= base);
    while (n)
        put(o, digits[--n]);
}

static void put_signed(struct out *o, long v)
{
    if (v < 0)
        put(o, '-');
    put_number(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

static void put_argument(struct out *o, char kind, bool is_long, va_list *ap)
{
    switch (kind) {
    case 's':
        put_text(o, va_arg(*ap, const char *));
        break;
    case 'd':
        put_signed(o, is_long ? va_arg(*ap, long) : va_arg(*ap, int));
        break;
    default:
        put_number(o, is_long ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int), kind == 'x' ? 16 : 10);
    }
}

size_t format(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct out o = {buf, buf + size};
    va_list args;

    va_copy(args, ap);
    for (; *fmt; fmt++) {
        bool is_long;

        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        is_long = *++fmt == 'l';
        fmt += is_long;
        put_argument(&o, *fmt, is_long, &args);
    }
    va_end(args);
    return (size_t)(o.at - buf);
}

void say(const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = format(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    console_write(line, n);
}
