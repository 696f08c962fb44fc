// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guests that are sent while they run: whatever they store, and whenever, what is restored from the stream is what they
 * were when they fell asleep. The machine is saved_guest.c, the guest that runs saved_live.c. UMBRA_SEED chooses the
 * first seed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream_pieces.h"

#define ROUNDS 60

static struct ctl_send how;
static struct ctl_send_state state;
static unsigned ticks, give_up_at;

static int tick(void *ctx, const struct ctl_send_state *now, struct ctl_error *e)
{
    live_run();
    return ++ticks == give_up_at ? ctl_error_set(e, -EINTR, "tick", NULL, NULL, "enough") : 0;
}

static int write_sent(struct ctl_stream *s)
{
    return ctl_domain_send(NULL, SOURCE, s, &how, &state, &err);
}

/* Sends domain 1; 0 and the image, or the error. */
static int send(void)
{
    int rc;

    ticks = 0;
    rc = into_image(write_sent);
    assert_int_equal(domains[SOURCE].suspended, rc == 0);
    assert_true(rc == 0 || !live.logs);
    return rc;
}

static void make(uint64_t seed, unsigned stores)
{
    machine_seed(seed);
    if (seed % 3 == 0) {
        machine_make_pvh(520 + machine_random() % 2000, 2);
    } else {
        machine_make(600 + machine_random() % 1000, seed % 3 == 1, 2);
    }
    live_begin(stores);
    how = (struct ctl_send){.live = true, .max_downtime_ms = 5, .suspend_ms = 60000, .tick = tick};
    give_up_at = 0;
}

/* What it was when it fell asleep. */
static void arrives(uint64_t seed)
{
    live.runs = false;
    is_a_copy(seed);
}

static void test_copies(void **unused)
{
    uint64_t seed = first_seed("test_live");
    unsigned rounds = 0, skipped = 0, moved = 0, retyped = 0;

    for (uint64_t end = seed + ROUNDS; seed < end; seed++) {
        make(seed, (unsigned)(seed % 5) * 20);
        how.timeout_ms = seed % 4 ? 0 : 1 + (unsigned)(machine_random() % 300);
        how.force = true;
        domains[SOURCE].no_large |= how.timeout_ms != 0; /* a round that is cut short may part a range */
        live.step_ms = 1 + (unsigned)(seed % 3) * 7;
        if (send() != 0) {
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, err.step, err.message);
        }
        arrives(seed);
        assert_int_equal(state.stage, CTL_SEND_DONE);
        assert_true(state.rounds >= 2 && state.rounds <= CTL_SEND_ROUNDS + 1);
        rounds += state.rounds;
        skipped += (unsigned)state.skipped_pages;
        moved += live.moved;
        retyped += live.retyped;
    }
    assert_true(rounds > 2 * ROUNDS);
    assert_true(skipped > 0);
    assert_true(moved > 0);
    assert_true(retyped > 0);
}

/* The time is over in the middle of a round: what is left of it comes when the guest sleeps. */
static void test_cut_short(void **unused)
{
    unsigned short_ones = 0;

    for (unsigned ms = 1; ms < 60; ms += 2) {
        machine_seed(ms);
        if (ms % 4 == 1) {
            machine_make_pvh(3500, 1);
        } else {
            machine_make(3500, true, 1);
        }
        domains[SOURCE].no_large = true;
        live_begin(30);
        how = (struct ctl_send){.live = true, .timeout_ms = ms, .force = true, .suspend_ms = 1, .tick = tick};
        assert_int_equal(send(), 0);
        short_ones += state.rounds == 2 && state.sent[0] < 2500;
        arrives(ms);
    }
    assert_true(short_ones > 0);
}

static void test_sums(void **unused)
{
    uint64_t pages = 0, sent = 0;

    make(3, 10);
    assert_int_equal(send(), 0);
    assert_int_equal(state.bytes, image_size);
    for (unsigned i = 0; i < state.rounds; i++) {
        sent += state.sent[i];
    }
    assert_int_equal(sent, state.pages);
    for (uint64_t pfn = 0; pfn < domains[SOURCE].nr_pfns; pfn++) {
        pages += domains[SOURCE].frame[pfn] != 0;
    }
    assert_true(state.pages + state.skipped_pages >= pages);
    assert_int_equal(state.guest_pages, domains[SOURCE].nr_pfns);
    assert_true(state.began_ms <= state.asked_ms && state.asked_ms <= state.asleep_ms);
    make(3, 0); /* one that stores nothing is sent in two rounds, the last of what is held */
    memset(machine[domains[SOURCE].frame[domains[SOURCE].nr_pfns - 1]], 0, 4096);
    assert_int_equal(send(), 0);
    assert_int_equal(state.rounds, 2);
    assert_true(state.sent[1] <= 5);
    assert_true(state.zero_pages >= 1);
}

static void test_asleep(void **unused)
{
    for (uint64_t seed = 30; seed < 33; seed++) {
        make(seed, 10);
        how.live = false;
        live.no_log = true;
        assert_int_equal(send(), 0);
        assert_int_equal(state.rounds, 1);
        arrives(seed);
    }
}

/* A guest that stores faster than it is sent. */
static void test_no_end(void **unused)
{
    make(3, 2000);
    how.max_downtime_ms = 0;
    assert_int_equal(send(), -ETIME);
    assert_int_equal(state.rounds, CTL_SEND_ROUNDS);
    assert_non_null(strstr(err.message, "after 30 rounds"));
    assert_true(live.runs);
    how.timeout_ms = 100;
    assert_int_equal(send(), -ETIME);
    how.force = true;
    assert_int_equal(send(), 0);
    arrives(3);
    make(3, 2000);
    how.max_downtime_ms = 0;
    how.force = true; /* without any limit: it is seen that it comes no nearer */
    assert_int_equal(send(), 0);
    assert_true(state.rounds < 10);
    arrives(3);
}

static void test_no_log(void **unused)
{
    make(3, 5);
    live.no_log = true;
    assert_int_equal(send(), -EOPNOTSUPP);
    assert_non_null(strstr(err.hint, "--non-live"));
    make(3, 5);
    live.logs = true; /* left on by someone who was killed */
    assert_int_equal(send(), 0);
    arrives(3);
}

static void test_gives_up(void **unused)
{
    for (give_up_at = 1;; give_up_at++) {
        unsigned at = give_up_at;

        make(4, 5);
        live.step_ms = 50;
        live.flush_ms = 300; /* and is told to give up meanwhile */
        live.suspend_ms = 1000;
        how.force = true;
        give_up_at = at;
        if (send() == 0) {
            break;
        }
        assert_int_equal(err.code, -EINTR);
        assert_true(live.runs);
    }
    assert_true(give_up_at > 8);
    arrives(4);
}

static void test_does_not_suspend(void **unused)
{
    make(3, 5);
    live.suspends_after = 1;
    assert_int_equal(send(), -ETIMEDOUT);
    assert_int_equal(state.stage, CTL_SEND_SUSPEND);
}

static void test_gives_memory_back(void **unused)
{
    unsigned refused = 0, taken = 0;

    for (unsigned i = 0; i < 140; i++) {
        make(3 + 3 * i, 5 + i);
        live.give_back = 1 + i % 20;
        how.force = true;
        if (send() != 0) {
            assert_int_equal(err.code, -EAGAIN);
            assert_true(live.runs);
            refused++;
        } else { /* before anything of that page was in the stream */
            arrives(3 + 3 * i);
            taken++;
        }
    }
    assert_true(refused > 0 && taken > 0);
}

/* Each call fails in turn: the guest goes on. */
static void test_failures(void **unused)
{
    for (uint64_t seed = 9; seed < 12; seed++) {
        int rc = -1;

        for (int at = 1; rc < 0; at++) {
            make(seed, 5);
            fail_domctl = at;
            rc = send();
            if (rc < 0) {
                assert_true(live.runs);
            }
        }
        fail_domctl = 0;
        arrives(seed);
    }
}

/* Bytes a second, by a clock that the sender's own looks move. */
static void test_bandwidth(void **unused)
{
    make(3, 0);
    how.bandwidth = 100u << 20;
    live.step_ms = 5;
    assert_int_equal(send(), 0);
    arrives(3);
    /* no more than the limit, a bucket of a tenth of a second, and a piece */
    assert_true(state.bytes <=
                (state.asked_ms - state.began_ms) * how.bandwidth / 1000 + how.bandwidth / 10 + (1 << 20));
}

/* A disk that takes its time between rounds: the connection is as fast as it is, and the guest is not given up. */
static void test_slow_disk(void **unused)
{
    unsigned rounds = 0;
    uint64_t rate = 0;

    for (unsigned flush_ms = 0; flush_ms <= 20000; flush_ms += 10000) {
        make(3, 200);
        how.tick = NULL; /* it stores whenever it is called */
        live.flush_ms = flush_ms;
        assert_int_equal(send(), 0);
        assert_true(rounds == 0 || (state.rounds == rounds && state.rate == rate));
        rounds = state.rounds;
        rate = state.rate;
        arrives(3);
    }
    assert_true(rounds > 2 && rate > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_no_end),
        cmocka_unit_test(test_no_log),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_does_not_suspend),
        cmocka_unit_test(test_gives_memory_back),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_bandwidth),
        cmocka_unit_test(test_slow_disk),
    };

    return cmocka_run_group_tests(tests, NULL, forget_image);
}
