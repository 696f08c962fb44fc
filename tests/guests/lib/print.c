// SPDX-License-Identifier: BSD-2-Clause
/* Text on the guest's console ring, whole lines at a time, whichever vCPU speaks. */
#include "format.h"
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
