// SPDX-License-Identifier: BSD-2-Clause
/* Requests to xenstored by the ring that the start-of-day page names. */
#include "store.h"
#include "format.h"

#include <xen/io/xs_wire.h>

#define MS        1000000ul /* ns */
#define DEADLINE  (60000 * MS)
#define DIGITS    24
#define REPLY_MAX 256

static struct xenstore_domain_interface *ring(void)
{
    return virt_of(start_info->store_mfn);
}

void pause_ms(unsigned int ms)
{
    uint64_t until = now() + ms * MS, t;

    while ((t = now()) < until) {
        struct sched_poll poll = {.nr_ports = 0, .timeout = until};

        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
    }
}

static void notify(void)
{
    struct evtchn_send send = {.port = start_info->store_evtchn};

    evtchn_op(EVTCHNOP_send, &send);
}

/* Once around a loop that waits for xenstored. */
static void wait(uint64_t deadline)
{
    REQUIRE(now() < deadline);
    notify();
    pause_ms(1);
}

static void put(const void *bytes, size_t n)
{
    struct xenstore_domain_interface *r = ring();
    uint64_t deadline = now() + DEADLINE;

    for (size_t i = 0; i < n; i++) {
        while (r->req_prod - READ_ONCE(r->req_cons) >= sizeof(r->req))
            wait(deadline);
        r->req[MASK_XENSTORE_IDX(r->req_prod)] = ((const char *)bytes)[i];
        __atomic_store_n(&r->req_prod, r->req_prod + 1, __ATOMIC_RELEASE);
    }
}

/* The next n bytes; those beyond size are dropped. */
static void get(void *bytes, size_t n, size_t size)
{
    struct xenstore_domain_interface *r = ring();
    uint64_t deadline = now() + DEADLINE;

    for (size_t i = 0; i < n; i++) {
        while (__atomic_load_n(&r->rsp_prod, __ATOMIC_ACQUIRE) == r->rsp_cons)
            wait(deadline);
        if (i < size)
            ((char *)bytes)[i] = r->rsp[MASK_XENSTORE_IDX(r->rsp_cons)];
        __atomic_store_n(&r->rsp_cons, r->rsp_cons + 1, __ATOMIC_RELEASE);
    }
    notify();
}

/* The length of the reply, of which there are size bytes at most; -1: it is an error. */
static long request(unsigned int type, const char *body, size_t n, char *reply, size_t size)
{
    struct xsd_sockmsg head = {.type = type, .len = (uint32_t)n};

    put(&head, sizeof(head));
    put(body, n);
    notify();
    get(&head, sizeof(head), sizeof(head));
    get(reply, head.len, size);
    return head.type == XS_ERROR ? -1 : (long)head.len;
}

static size_t length(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

void text(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf[format(buf, size - 1, fmt, ap)] = '\0';
    va_end(ap);
}

bool store_read(const char *dir, const char *node, char *value, size_t size)
{
    char path[STORE_TEXT];
    long n;

    text(path, sizeof(path), "%s/%s", dir, node);
    n = request(XS_READ, path, length(path) + 1, value, size - 1);
    value[n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1] = '\0';
    return n >= 0;
}

long store_number(const char *dir, const char *node)
{
    char value[DIGITS];
    long number = 0;

    if (!store_read(dir, node, value, sizeof(value)) || value[0] < '0' || value[0] > '9')
        return -1;
    for (const char *c = value; *c >= '0' && *c <= '9'; c++)
        number = number * 10 + (*c - '0');
    return number;
}

bool store_write(const char *dir, const char *node, const char *value)
{
    char body[2 * STORE_TEXT], reply[REPLY_MAX];
    size_t n;

    text(body, STORE_TEXT, "%s/%s", dir, node);
    n = length(body) + 1; /* the path's end is part of it, that of the value is not */
    text(body + n, STORE_TEXT, "%s", value);
    return request(XS_WRITE, body, n + length(body + n), reply, sizeof(reply)) >= 0;
}

bool store_write_number(const char *dir, const char *node, unsigned long value)
{
    char digits[DIGITS];

    text(digits, sizeof(digits), "%lu", value);
    return store_write(dir, node, digits);
}

bool store_remove(const char *dir, const char *node)
{
    char path[STORE_TEXT], reply[REPLY_MAX];

    text(path, sizeof(path), "%s/%s", dir, node);
    return request(XS_RM, path, length(path) + 1, reply, sizeof(reply)) >= 0;
}
