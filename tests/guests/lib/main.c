// SPDX-License-Identifier: BSD-2-Clause
/*
 * Start and end of a test guest, its checks and its verdict.
 *
 * The verdict is the last line on the console: "guest-test: NAME: ok (N checks)" or "guest-test: NAME: failed"; each
 * check that fails says "FAIL: file:line: what" before it. A guest that is to be crashed announces it, and that line is
 * then the last. The end waits for the console's reader, so that no line is lost with the domain.
 */
#include "internal.h"

struct start_info *start_info;
struct shared_info *shared_info;

static char shared_page[PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned int nr_checks, nr_failures;

static void end(void)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_poweroff};

    flush_console();
    for (;;)
        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &how);
}

static void verdict(void)
{
    if (nr_failures)
        say("guest-test: %s: failed", guest_name);
    else
        say("guest-test: %s: ok (%u checks)", guest_name, nr_checks);
    end();
}

void check_at(bool ok, const char *file, int line, const char *what)
{
    __atomic_fetch_add(&nr_checks, 1, __ATOMIC_SEQ_CST);
    if (ok)
        return;
    __atomic_fetch_add(&nr_failures, 1, __ATOMIC_SEQ_CST);
    say("FAIL: %s:%d: %s", file, line, what);
}

void check_value_at(long value, long wanted, const char *file, int line, const char *what)
{
    __atomic_fetch_add(&nr_checks, 1, __ATOMIC_SEQ_CST);
    if (value == wanted)
        return;
    __atomic_fetch_add(&nr_failures, 1, __ATOMIC_SEQ_CST);
    say("FAIL: %s:%d: %s is %ld, not %ld", file, line, what, value, wanted);
}

void fail_now(const char *file, int line, const char *what)
{
    check_at(false, file, line, what);
    verdict();
    for (;;)
        ;
}

void must_crash(const char *how)
{
    say("guest-test: %s: must crash: %s (%u checks, %u failed)", guest_name, how, nr_checks, nr_failures);
    flush_console();
    /* Survived: the announcement is not the last line, so the verdict fails. */
    __atomic_fetch_add(&nr_failures, 1, __ATOMIC_SEQ_CST);
}

bool on_umbra(void)
{
    xen_extraversion_t extra = "";

    HYPERCALL2(__HYPERVISOR_xen_version, XENVER_extraversion, extra);
    return extra[0] == '.' && extra[1] == 'u'; /* ".umbra-" and the version */
}

uint64_t now(void)
{
    const struct vcpu_time_info *t = &shared_info->vcpu_info[this_cpu()->id].time;
    uint32_t version, low, high;
    uint64_t delta;
    unsigned __int128 ns;

    do {
        version = READ_ONCE(t->version) & ~1u;
        __asm__ __volatile__("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
        delta = ((uint64_t)high << 32 | low) - t->tsc_timestamp;
        delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
        ns = ((unsigned __int128)delta * t->tsc_to_system_mul >> 32) + t->system_time;
    } while (READ_ONCE(t->version) != version);
    return (uint64_t)ns;
}

void lib_main(struct start_info *si)
{
    start_info = si;
    this_cpu()->id = 0;
    init_traps();
    REQUIRE(map_at(shared_page, si->shared_info | PTE_ALL, UVMF_INVLPG) == 0);
    shared_info = (struct shared_info *)shared_page;
    guest_main();
    verdict();
    for (;;)
        ;
}
