// SPDX-License-Identifier: BSD-2-Clause
/*
 * The loop that makes the calls. It says its seed first and how far it has come now and then, in the hypervisor's log,
 * since a guest that does what it likes may lose its console. A call or a store that ends in a fault is counted, and
 * the next one is made.
 */
#include "run.h"

#include "../lib/format.h"

#include <xen/xen.h>

#include <xen/sched.h>

#define LINE_MAX 120
#define REPORT   2000u
#define MEND     64u     /* calls between two mendings */
#define WATCHDOG 4u      /* seconds without a mending until the domain is shut down: it waits for what never comes */
#define PATIENCE 200000u /* yields */

struct run {
    const struct fuzz_guest *g;
    const struct fuzz_options *o;
    unsigned int vcpu;
    uint64_t i;
    struct fuzz_call call;
    uint64_t refused, faults;
    struct sched_watchdog watchdog;
};

static struct run runs[FUZZ_VCPUS];
static volatile bool over[FUZZ_VCPUS];

static uint64_t number(const char *s)
{
    unsigned int base = s[0] == '0' && (s[1] | 32) == 'x' ? 16 : 10;
    uint64_t v = 0;

    for (s += base == 16 ? 2 : 0;; s++) {
        char c = (char)(*s | 32);
        unsigned int digit = *s >= '0' && *s <= '9' ? (unsigned int)(*s - '0') : (unsigned int)(c - 'a') + 10;

        if (digit >= base || *s < '0')
            return v;
        v = v * base + digit;
    }
}

void fuzz_do_copy(void *copy)
{
    const struct fuzz_copy *c = copy;

    __builtin_memcpy(c->to, c->from, c->n);
}

/* The value of a word NAME=VALUE, or NULL. */
static const char *value_of(const char *words, const char *name)
{
    for (const char *at = words; *at; at++) {
        unsigned int n = 0;

        while (name[n] && at[n] == name[n])
            n++;
        if (!name[n] && at[n] == '=' && (at == words || at[-1] == ' '))
            return at + n + 1;
    }
    return NULL;
}

void fuzz_parse(const char *words, struct fuzz_options *o)
{
    const struct {
        const char *name;
        uint64_t *value;
    } known[] = {{"seed", &o->seed}, {"calls", &o->calls}, {"from", &o->from}, {"trace", &o->trace}};

    for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *text = value_of(words, known[i].name);

        if (text)
            *known[i].value = number(text);
    }
}

void fuzz_say(const struct fuzz_guest *g, const char *fmt, ...)
{
    char line[LINE_MAX];
    uint64_t arg[FUZZ_ARGS] = {CONSOLEIO_write};
    va_list ap;

    va_start(ap, fmt);
    arg[1] = format(line, sizeof(line), fmt, ap);
    va_end(ap);
    arg[2] = (unsigned long)line;
    (void)g->call(__HYPERVISOR_console_io, arg, false);
}

static void tell(const struct run *r, const char *what)
{
    fuzz_say(r->g, "fuzz: seed %lu vcpu %u %s %lu: %lu refused, %lu faults", (unsigned long)r->o->seed, r->vcpu, what,
             (unsigned long)(r->i - r->o->from), (unsigned long)r->refused, (unsigned long)r->faults);
}

static void trace(const struct run *r)
{
    const struct fuzz_call *c = &r->call;

    fuzz_say(r->g, "fuzz: %u %lu %s%s %u(%lx %lx %lx %lx %lx)", r->vcpu, (unsigned long)r->i, c->name,
             c->narrow ? " narrow" : "", c->nr, (unsigned long)c->arg[0], (unsigned long)c->arg[1],
             (unsigned long)c->arg[2], (unsigned long)c->arg[3], (unsigned long)c->arg[4]);
}

static void one_call(void *data)
{
    struct run *r = data;
    struct fuzz_call *c = &r->call;
    long result;

    c->flags = 0;
    fuzz_make(r->g->world, r->o->seed, r->vcpu, r->i, c);
    if (r->i >= r->o->trace)
        trace(r);
    if (c->flags & FUZZ_ACT)
        return;
    if (c->flags & FUZZ_WAKE)
        r->g->wake();
    result = r->g->call(c->nr, c->arg, c->narrow);
    r->refused += result < 0;
    if (c->flags & (FUZZ_TRAPS | FUZZ_VCPU)) /* before anything may fault */
        r->g->mend(r->vcpu, c->flags & (FUZZ_TRAPS | FUZZ_VCPU));
    if (result >= 0)
        fuzz_learn(r->g->world, c);
}

/* Sets the vCPU's watchdog again, or a new one if a call at random has taken it away. 0 seconds: gives it up. */
static void set_watchdog(struct run *r, uint32_t seconds)
{
    const uint64_t arg[FUZZ_ARGS] = {SCHEDOP_watchdog, (unsigned long)&r->watchdog};
    long result;

    r->watchdog.timeout = seconds;
    result = r->g->call(__HYPERVISOR_sched_op, arg, false);
    if (result != 0) /* a new one's number, or an error: there is none */
        r->watchdog.id = result > 0 ? (uint32_t)result : 0;
}

static void mend_all(void *data)
{
    struct run *r = data;

    r->g->mend(r->vcpu, 0);
    set_watchdog(r, WATCHDOG);
}

void fuzz_run(const struct fuzz_guest *g, const struct fuzz_options *o, unsigned int vcpu)
{
    struct run *r = &runs[vcpu];

    *r = (struct run){.g = g, .o = o, .vcpu = vcpu, .i = o->from};
    tell(r, "begins at");
    r->faults += g->caught(mend_all, r);
    while (r->i - o->from < o->calls) {
        r->faults += g->caught(one_call, r);
        r->i++;
        if (r->i % MEND == 0)
            r->faults += g->caught(mend_all, r);
        if ((r->i - o->from) % REPORT == 0)
            tell(r, "has made");
    }
    set_watchdog(r, 0);
    tell(r, "ends after");
    over[vcpu] = true;
}

void fuzz_end(const struct fuzz_guest *g, const struct fuzz_options *o)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_poweroff};
    const uint64_t shutdown[FUZZ_ARGS] = {SCHEDOP_shutdown, (unsigned long)&how};
    static const uint64_t yield[FUZZ_ARGS] = {SCHEDOP_yield};

    for (unsigned int i = 0; i < PATIENCE && !over[1]; i++) {
        g->mend(0, FUZZ_VCPU);
        (void)g->call(__HYPERVISOR_sched_op, yield, false);
    }
    fuzz_say(g, "fuzz: seed %lu is over%s", (unsigned long)o->seed, over[1] ? "" : ", but for vcpu 1");
    for (;;)
        (void)g->call(__HYPERVISOR_sched_op, shutdown, false);
}
