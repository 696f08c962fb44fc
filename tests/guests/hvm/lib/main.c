// SPDX-License-Identifier: BSD-2-Clause
/*
 * Start and end of guests, their checks, and the verdict of each, its last line: "guest-test: NAME: ok (N checks)" or
 * "guest-test: NAME: failed". All run one after the other, each on tables of its own; "only NAME..." on the command
 * line chooses. Text goes to port 0xe9, which is a log under a hypervisor and on an emulator's processor. The end is
 * HLT for good, which powers a domain off, and on the emulator its own device for that.
 */
#include "format.h"
#include "internal.h"

#define LINE_MAX       200
#define FAILURES_SHOWN 8
#define PORT_LOG       0xe9
#define PORT_END       0xf4 /* isa-debug-exit */

struct features has;
bool on_xen, walks_by_hardware;
char stacks[MAX_CPUS][STACK_BYTES] __attribute__((aligned(STACK_BYTES)));

char command_line[100];
static const struct guest *guest_now = guests;
static volatile unsigned long nr_checks, nr_failures;
static volatile bool busy;

void say(const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = format(line, sizeof(line), fmt, ap);
    va_end(ap);
    while (__atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE))
        ;
    for (size_t i = 0; i < n; i++)
        out8(PORT_LOG, (uint8_t)line[i]);
    out8(PORT_LOG, '\n');
    __atomic_store_n(&busy, false, __ATOMIC_RELEASE);
}

static void verdict(void)
{
    if (nr_failures)
        say("guest-test: %s: failed (%lu of %lu checks)", guest_now->name, nr_failures, nr_checks);
    else
        say("guest-test: %s: ok (%lu checks)", guest_now->name, nr_checks);
    nr_checks = nr_failures = 0;
}

static void end(void)
{
    if (!on_xen)
        out8(PORT_END, 0);
    for (;;)
        __asm__ __volatile__("cli; hlt");
}

/* True: it is to be told. */
static bool failed(bool ok)
{
    __atomic_fetch_add(&nr_checks, 1, __ATOMIC_SEQ_CST);
    return !ok && __atomic_fetch_add(&nr_failures, 1, __ATOMIC_SEQ_CST) < FAILURES_SHOWN;
}

void check_at(bool ok, const char *file, int line, const char *what)
{
    if (failed(ok))
        say("FAIL: %s:%d: %s", file, line, what);
}

void check_value_at(uint64_t value, uint64_t wanted, const char *file, int line, const char *what)
{
    if (failed(value == wanted))
        say("FAIL: %s:%d: %s is 0x%llx, not 0x%llx", file, line, what, (unsigned long long)value,
            (unsigned long long)wanted);
}

void fail_now(const char *file, int line, const char *what)
{
    check_at(false, file, line, what);
    verdict();
    end();
    for (;;)
        ;
}

uint32_t random32(void)
{
    static uint32_t state = 2463534242u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid r = {.a = leaf};

    __asm__ __volatile__("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
    return r;
}

/* Is the word one of the command line's? */
static bool told(const char *word)
{
    for (const char *at = command_line; *at; at++) {
        unsigned int n = 0;

        while (word[n] && at[n] == word[n])
            n++;
        if (!word[n] && (at[n] == ' ' || !at[n]) && (at == command_line || at[-1] == ' '))
            return true;
    }
    return false;
}

/* The start information names it; it goes away with what memory is used for. */
static void read_command_line(const uint32_t *start_info)
{
    const char *given = (const char *)(unsigned long)start_info[6];

    for (unsigned int i = 0; given && given[i] && i < sizeof(command_line) - 1; i++)
        command_line[i] = given[i];
    walks_by_hardware = told("hardware");
}

static void find_features(void)
{
    struct cpuid one = cpuid(1), seven = cpuid(7), ext = cpuid(0x80000001), size = cpuid(0x80000008);

    on_xen = (one.c >> 31) && cpuid(0x40000000).b == 0x566e6558; /* XenV */
    has = (struct features){
        .nx = LEVELS > 2 && (ext.d >> 20 & 1),
        .smep = seven.b >> 7 & 1,
        .smap = seven.b >> 20 & 1,
        .pge = one.d >> 13 & 1,
        .pse36 = one.d >> 17 & 1,
        .xsave = one.c >> 26 & 1,
        .avx = one.c >> 28 & 1,
        .phys_bits = size.a & 0xff,
    };
}

void hvm_main(const uint32_t *start_info)
{
    read_command_line(start_info);
    find_features();
    init_traps(0);
    for (guest_now = guests; guest_now->name; guest_now++) {
        if (told("only") && !told(guest_now->name))
            continue;
        init_tables();
        guest_now->main();
        verdict();
    }
    end();
    for (;;)
        ;
}
