// SPDX-License-Identifier: BSD-2-Clause
/*
 * A library to preload before a tool of the control domain. With FAULT_AT=N in the environment the N-th call that
 * leaves the process for the hypervisor, the mapping device or xenstored fails with "no memory", which is said on
 * standard error. With KILL_AT=N the process is killed before its N-th step: these calls, and those that only read or
 * watch xenstore, end a transaction, or wait. With FAULT_COUNT=FILE a line is added to the file when the process ends:
 * how many calls it made, how many nodes it read, how many steps it took, and its CPU time in milliseconds. Only the
 * process that was started is meant, not the children that it forks.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

static long calls, reads, steps;
static pid_t started;

static long number(const char *name)
{
    const char *text = getenv(name);

    return text ? atol(text) : 0;
}

/* A step of the process that was started; false: of a child of it. */
static bool step(void)
{
    static long kill_at;

    if (!started) {
        started = getpid();
        kill_at = number("KILL_AT");
    }
    if (getpid() != started) {
        return false;
    }
    if (++steps == kill_at) {
        kill(getpid(), SIGKILL);
    }
    return true;
}

static bool due(const char *name)
{
    if (!step() || ++calls != number("FAULT_AT")) {
        return false;
    }
    fprintf(stderr, "fault %ld: %s\n", calls, name);
    errno = ENOMEM;
    return true;
}

static long cpu_ms(void)
{
    struct timespec used = {0};

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void __attribute__((destructor)) say_count(void)
{
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path && getpid() == started ? fopen(path, "a") : NULL;

    if (file) {
        fprintf(file, "%ld %ld %ld %ld\n", calls, reads, steps, cpu_ms());
        fclose(file);
    }
}

/* Never made to fail: that a node cannot be read means that it is not there. */
void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    static void *(*real)(struct xs_handle *, xs_transaction_t, const char *, unsigned *);

    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "xs_read");
    }
    reads += step();
    return real(h, t, path, len);
}

/* Steps that are not made to fail either. */
#define PASS(type, name, params, args)                 \
    type name params                                   \
    {                                                  \
        static type(*real) params;                     \
                                                       \
        if (!real) {                                   \
            *(void **)&real = dlsym(RTLD_NEXT, #name); \
        }                                              \
        step();                                        \
        return real args;                              \
    }

PASS(char **, xs_directory, (struct xs_handle * h, xs_transaction_t t, const char *path, unsigned *count),
     (h, t, path, count))
PASS(bool, xs_rm, (struct xs_handle * h, xs_transaction_t t, const char *path), (h, t, path))
PASS(bool, xs_transaction_end, (struct xs_handle * h, xs_transaction_t t, bool abandon), (h, t, abandon))
PASS(bool, xs_watch, (struct xs_handle * h, const char *path, const char *token), (h, path, token))
PASS(bool, xs_unwatch, (struct xs_handle * h, const char *path, const char *token), (h, path, token))
PASS(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
PASS(int, nanosleep, (const struct timespec *want, struct timespec *left), (want, left))

#define DISTURB(type, name, params, args, failed)      \
    type name params                                   \
    {                                                  \
        static type(*real) params;                     \
                                                       \
        if (!real) {                                   \
            *(void **)&real = dlsym(RTLD_NEXT, #name); \
        }                                              \
        return due(#name) ? (failed) : real args;      \
    }

DISTURB(int, xencall1, (xencall_handle * x, unsigned op, uint64_t a), (x, op, a), -1)
DISTURB(int, xencall2, (xencall_handle * x, unsigned op, uint64_t a, uint64_t b), (x, op, a, b), -1)
DISTURB(long, xencall2L, (xencall_handle * x, unsigned op, uint64_t a, uint64_t b), (x, op, a, b), -1)
DISTURB(int, xencall3, (xencall_handle * x, unsigned op, uint64_t a, uint64_t b, uint64_t c), (x, op, a, b, c), -1)
DISTURB(int, xencall4, (xencall_handle * x, unsigned op, uint64_t a, uint64_t b, uint64_t c, uint64_t d),
        (x, op, a, b, c, d), -1)
DISTURB(void *, xencall_alloc_buffer, (xencall_handle * x, size_t size), (x, size), NULL)
DISTURB(void *, xenforeignmemory_map,
        (xenforeignmemory_handle * m, uint32_t dom, int prot, size_t pages, const xen_pfn_t *frames, int *errors),
        (m, dom, prot, pages, frames, errors), NULL)
DISTURB(xenforeignmemory_resource_handle *, xenforeignmemory_map_resource,
        (xenforeignmemory_handle * m, domid_t dom, unsigned type, unsigned id, unsigned long frame, unsigned long count,
         void **address, int prot, int flags),
        (m, dom, type, id, frame, count, address, prot, flags), NULL)
DISTURB(bool, xs_write, (struct xs_handle * h, xs_transaction_t t, const char *path, const void *data, unsigned size),
        (h, t, path, data, size), false)
DISTURB(bool, xs_mkdir, (struct xs_handle * h, xs_transaction_t t, const char *path), (h, t, path), false)
DISTURB(bool, xs_set_permissions,
        (struct xs_handle * h, xs_transaction_t t, const char *path, struct xs_permissions *perms, unsigned count),
        (h, t, path, perms, count), false)
DISTURB(xs_transaction_t, xs_transaction_start, (struct xs_handle * h), (h), XBT_NULL)
DISTURB(bool, xs_introduce_domain, (struct xs_handle * h, unsigned dom, unsigned long frame, unsigned port),
        (h, dom, frame, port), false)
