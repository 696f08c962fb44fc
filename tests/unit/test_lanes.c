// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guests that are sent on several connections while they run: whichever of these is slow, and for however long, what is
 * restored is what they were when they fell asleep; a connection that is lost, stands still or lies is the end of it,
 * and nothing is left. The machine is saved_guest.c, the guest that runs saved_live.c. UMBRA_SEED chooses the first
 * seed.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_pieces.h"

#define ROUNDS  16
#define MOST    5
#define DAMAGES 120
#define WHOLE   (~0ul)

/* What went, or comes, on each connection; the first is the stream. */
static struct part {
    uint8_t *data;
    size_t size;
} part[MOST];
static unsigned parts;

static struct ctl_send how;
static struct ctl_send_state state;

static int tick(void *ctx, const struct ctl_send_state *now, struct ctl_error *e)
{
    live_run();
    return 0;
}

static void make(uint64_t seed, unsigned stores)
{
    machine_seed(seed);
    if (seed % 3 == 0) {
        machine_make_pvh(1500 + machine_random() % 2400, 2);
    } else {
        machine_make(1500 + machine_random() % 2000, seed % 3 == 1, 2);
    }
    live_begin(stores);
    how = (struct ctl_send){.live = true, .suspend_ms = 60000, .timeout_ms = 4000, .force = true, .tick = tick};
    live.step_ms = 3;
}

/* --- processes at the other end of a pipe, each with its own moods --- */

static unsigned mood(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

static void dawdle(unsigned *seed)
{
    unsigned m = mood(seed, 64);

    if (m < 8) {
        usleep(m ? 200 : 15000);
    }
}

static size_t some(unsigned *seed, size_t left)
{
    size_t n = 1 + mood(seed, mood(seed, 16) ? 65536 : 40);

    return n < left ? n : left;
}

/* Takes so many bytes, into the file, and goes. */
static void take(int from, int file, size_t most, unsigned seed)
{
    static uint8_t buf[65536];

    for (size_t n = 1; n && most; most -= n) {
        n = (size_t)read(from, buf, some(&seed, most));
        if (write(file, buf, n) != (ssize_t)n) {
            _exit(1);
        }
        dawdle(&seed);
    }
    _exit(0);
}

static void give(int to, const struct part *p, unsigned seed)
{
    for (size_t at = 0, n; at < p->size; at += n) {
        n = some(&seed, p->size - at);
        if (write(to, p->data + at, n) != (ssize_t)n) {
            _exit(1);
        }
        dawdle(&seed);
    }
    _exit(0);
}

static void close_but(int one, int other)
{
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
        if (fd != one && fd != other) {
            close(fd);
        }
    }
}

/* The end that is written to; a process takes what comes. */
static int taker(int file, size_t most, unsigned seed)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    fflush(NULL);
    if (fork() == 0) {
        close_but(ends[0], file);
        fcntl(ends[0], F_SETFL, 0);
        take(ends[0], file, most, seed);
    }
    close(ends[0]);
    return ends[1];
}

/* The end that is read from. */
static int giver(const struct part *p, unsigned seed)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    if (fork() == 0) {
        close_but(ends[1], -1);
        give(ends[1], p, seed);
    }
    close(ends[1]);
    return ends[0];
}

static void reap_all(void)
{
    while (wait(NULL) > 0) {
    }
}

/* --- both ends --- */

static void forget_parts(void)
{
    for (unsigned i = 0; i < MOST; i++) {
        free(part[i].data);
        part[i] = (struct part){0};
    }
}

static struct ctl_stream *open_streams(const int *fds)
{
    struct ctl_stream *s = ctl_stream_open(fds[0], "stream", &err);
    char name[32];

    for (unsigned i = 1; i < parts; i++) {
        snprintf(name, sizeof(name), "connection %u", i + 1);
        assert_int_equal(ctl_stream_beside(s, fds[i], name, &err), 0);
    }
    err = (struct ctl_error){0};
    return s;
}

static void keep_part(unsigned i, int file)
{
    part[i].size = (size_t)lseek(file, 0, SEEK_END);
    part[i].data = malloc(part[i].size + 1);
    assert_int_equal(pread(file, part[i].data, part[i].size, 0), (ssize_t)part[i].size);
    close(file);
}

/*
 * Sends domain 1 on n connections. seed: how slow they are; 0: not at all. lost: the connection that ends after so many
 * bytes.
 */
static int send_on(unsigned n, unsigned seed, unsigned lost, size_t after)
{
    int files[MOST], fds[MOST], rc;
    struct ctl_stream *s;

    forget_parts();
    parts = n;
    for (unsigned i = 0; i < n; i++) {
        files[i] = memory_file("", 0);
        fds[i] = seed ? taker(files[i], i == lost ? after : WHOLE, seed + i) : dup(files[i]);
    }
    s = open_streams(fds);
    rc = ctl_domain_send(NULL, SOURCE, s, &how, &state, &err);
    assert_int_equal(rc, err.code);
    ctl_stream_close(s);
    for (unsigned i = 0; i < n; i++) {
        close(fds[i]);
    }
    reap_all();
    for (unsigned i = 0; i < n; i++) {
        keep_part(i, files[i]);
    }
    assert_int_equal(live_resources, 0);
    assert_int_equal(domains[SOURCE].suspended, rc == 0);
    assert_true(rc == 0 || !live.logs);
    return rc;
}

/* Restores domain 2 from them; nothing but it is left. */
static int restore_from(unsigned seed, unsigned patience_ms)
{
    static struct ctl_domain_config config;
    int fds[MOST], rc;

    machine_empty(&b, &config, &err);
    for (unsigned i = 0; i < parts; i++) {
        fds[i] = seed ? giver(&part[i], seed + i) : memory_file(part[i].data, part[i].size);
    }
    domains[TARGET].populate_limit = MAX_PFNS;
    b.stream = open_streams(fds);
    ctl_stream_patience(b.stream, patience_ms);
    rc = ctl_build_restore(&b);
    ctl_stream_close(b.stream);
    for (unsigned i = 0; i < parts; i++) {
        close(fds[i]);
    }
    reap_all();
    assert_int_equal(live_resources, 0);
    assert_int_equal(rc, err.code);
    return rc;
}

static void arrives(uint64_t seed, unsigned slow)
{
    const char *wrong;

    live.runs = false;
    if (restore_from(slow, 0) != 0) {
        fail_msg("seed %llu: %s: %s: %s", (unsigned long long)seed, err.step, err.object, err.message);
    }
    wrong = machine_compare(&b);
    if (wrong) {
        fail_msg("seed %llu: %s is not the same", (unsigned long long)seed, wrong);
    }
}

static void fails_with(const char *object, const char *text)
{
    assert_true(restore_from(0, 0) < 0);
    if (!strstr(err.object, object) || !strstr(err.message, text)) {
        fail_msg("\"%s: %s\" does not say \"%s: %s\"", err.object, err.message, object, text);
    }
}

/* --- whole ones --- */

static void test_copies(void **unused)
{
    uint64_t seed = first_seed("test_lanes");
    unsigned rounds = 0;

    for (uint64_t end = seed + ROUNDS; seed < end; seed++) {
        unsigned n = 2 + (unsigned)seed % (MOST - 1), slow = (unsigned)seed % 997 + 1;

        make(seed, (unsigned)(seed % 4) * 15);
        if (send_on(n, seed % 2 ? slow : 0, n, 0) != 0) {
            fail_msg("seed %llu: %s: %s: %s", (unsigned long long)seed, err.step, err.object, err.message);
        }
        arrives(seed, slow);
        for (unsigned i = 0; i < n; i++) {
            assert_true(part[i].size > 4 * 4096); /* each has a part in it */
        }
        rounds += state.rounds;
    }
    assert_true(rounds > 3 * ROUNDS);
}

/* All bytes are counted, and one connection is Xen's stream: none of our records is in it. */
static void test_sums(void **unused)
{
    uint64_t bytes = 0;
    uint32_t type = 0;

    make(9, 10);
    assert_int_equal(send_on(3, 0, 3, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        bytes += part[i].size;
    }
    assert_int_equal(state.bytes, bytes);
    make(9, 10);
    assert_int_equal(send_on(1, 0, 1, 0), 0);
    for (size_t at = HEADERS; at + 8 < part[0].size;) {
        uint32_t head[2];

        memcpy(head, part[0].data + at, 8);
        type = head[0];
        assert_true(type < REC_OPTIONAL);
        at += 8 + ((head[1] + 7) & ~7u);
    }
    assert_int_equal(type, REC_END);
    arrives(9, 0);
}

static void test_asleep(void **unused)
{
    make(10, 10);
    how.live = false;
    assert_int_equal(send_on(4, 5, 4, 0), 0);
    assert_int_equal(state.rounds, 1);
    arrives(10, 6);
}

static void test_bandwidth(void **unused)
{
    make(3, 0);
    how.bandwidth = 100u << 20;
    assert_int_equal(send_on(3, 0, 3, 0), 0);
    arrives(3, 0);
    assert_true(state.bytes <=
                (state.asked_ms - state.began_ms) * how.bandwidth / 1000 + how.bandwidth / 10 + (1 << 20));
}

/* --- lost ones --- */

static void test_sender_loses(void **unused)
{
    static const size_t after[] = {0, 4, 100000};

    for (unsigned lost = 0; lost < 3; lost++) {
        for (size_t i = 0; i < CTL_ARRAY(after); i++) {
            make(4, 10);
            assert_int_equal(send_on(3, 7, lost, after[i]), -EPIPE);
            assert_non_null(strstr(err.object, lost ? "connection" : "stream"));
            assert_true(live.runs);
        }
    }
}

static void test_sender_waits(void **unused)
{
    int file = memory_file("", 0), ends[2];
    struct ctl_stream *s;

    make(4, 0);
    parts = 2;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    s = open_streams((int[]){file, ends[1]});
    ctl_stream_patience(s, 300);
    assert_int_equal(ctl_domain_send(NULL, SOURCE, s, &how, &state, &err), -ETIMEDOUT);
    assert_string_equal(err.object, "connection 2");
    assert_non_null(strstr(err.message, "nothing was taken for 300 ms"));
    assert_true(live.runs);
    ctl_stream_close(s);
    close(ends[0]);
    close(ends[1]);
    close(file);
}

/* Each call fails in turn: the guest goes on. */
static void test_failures(void **unused)
{
    int rc = -1;

    for (int at = 1; rc < 0; at++) {
        make(4, 5);
        fail_domctl = at;
        rc = send_on(2, 0, 2, 0);
        assert_true(rc == 0 || live.runs);
    }
    rc = -1;
    for (int at = 1; rc < 0; at++) {
        fail_domctl = at;
        rc = restore_from(0, 0);
    }
    fail_domctl = 0;
    arrives(4, 0);
}

static void sent(unsigned n)
{
    make(4, 20);
    assert_int_equal(send_on(n, 0, n, 0), 0);
}

/* Cut after any byte, wherever that is. */
static void test_receiver_loses(void **unused)
{
    sent(3);
    for (unsigned i = 0; i < 3; i++) {
        size_t whole = part[i].size;

        for (unsigned k = 0; k < 24; k++) {
            part[i].size = k < 20 ? machine_random() % whole : whole - 1 - 8 * (k - 20);
            fails_with(i ? "connection" : "stream", "it ends after");
            assert_int_equal(err.code, -EBADMSG);
        }
        part[i].size = 0;
        fails_with(i ? "connection" : "stream", "it ends after 0 bytes");
        part[i].size = whole;
    }
    arrives(4, 0);
}

/* The cable of one was cut: the others have all, and wait. */
static void test_silence(void **unused)
{
    static struct ctl_domain_config config;
    int fds[3], ends[2];

    sent(3);
    machine_empty(&b, &config, &err);
    domains[TARGET].populate_limit = MAX_PFNS;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], part[2].data, 5000), 5000);
    fds[0] = memory_file(part[0].data, part[0].size);
    fds[1] = memory_file(part[1].data, part[1].size);
    fds[2] = ends[0];
    b.stream = open_streams(fds);
    ctl_stream_patience(b.stream, 200);
    assert_int_equal(ctl_build_restore(&b), -ETIMEDOUT);
    assert_non_null(strstr(err.message, "nothing came for 200 ms"));
    assert_int_equal(live_resources, 0);
    ctl_stream_close(b.stream);
    for (unsigned i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(ends[1]);
}

/* --- lying ones --- */

/* The n-th record of that type on a connection. */
static size_t find_in(unsigned i, uint32_t type, unsigned n)
{
    size_t at = i ? 0 : HEADERS;
    uint32_t head[2];

    for (;; at += 8 + ((head[1] + 7) & ~7u)) {
        assert_true(at + 8 <= part[i].size);
        memcpy(head, part[i].data + at, 8);
        if (head[0] == type && n-- == 0) {
            return at;
        }
    }
}

static void lie(unsigned i, size_t at, const void *data, size_t size, const char *text)
{
    uint8_t kept[64];

    assert_true(size <= sizeof(kept) && at + size <= part[i].size);
    memcpy(kept, part[i].data + at, size);
    memcpy(part[i].data + at, data, size);
    fails_with(i ? "connection 2" : "stream", text);
    memcpy(part[i].data + at, kept, size);
}

static void lie_type(unsigned i, size_t at, uint32_t type, const char *text)
{
    lie(i, at, &type, sizeof(type), text);
}

static void test_lies(void **unused)
{
    static const uint32_t not_here[] = {REC_TSC_INFO, REC_SHARED_INFO, REC_PV_VCPU_BASIC, REC_OPTIONAL | 5};
    uint64_t far = PAGE_PFN_MASK, table = 5ull << PAGE_TYPE_SHIFT | 1, round = 7;
    uint32_t most = 8 + 1024 * 4104 + 1, none = 0, early[4] = {REC_ROUND, 8};
    size_t pages, mark;

    sent(2);
    pages = find_in(1, REC_PAGE_DATA, 0);
    mark = find_in(1, REC_ROUND, 0);
    for (size_t k = 0; k < CTL_ARRAY(not_here); k++) {
        lie_type(1, pages, not_here[k], "does not belong on a connection for pages");
    }
    lie_type(1, pages, 0x55, "mandatory and not known");
    lie_type(1, pages, REC_END, "bytes where 0 belong");
    lie(1, pages + 4, &most, 4, "more than any record has");
    lie(1, pages + 8, &none, 4, "0 pages where");
    lie(1, pages + 16, &far, 8, "beyond the last");
    lie(1, pages + 16, &table, 8, "is not known");
    lie(1, mark + 8, &round, 8, "the end of round 7 where that of round 1 belongs");
    lie(1, mark + 4, &none, 4, "0 bytes where 8 belong");
    lie(0, HEADERS, early, sizeof(early), "rounds begin before it is known what pages there may be");
    lie(0, find_in(0, REC_ROUND, 0) + 8, &round, 8, "the end of round 7 where that of round 0 belongs");
    lie(0, find_in(0, REC_ROUND, 1) + 8, &round, 8, "the end of round 7 where that of round 1 belongs");
    arrives(4, 0);
}

/* One that does not keep step with the stream. */
static void test_out_of_step(void **unused)
{
    static const uint32_t end[2] = {REC_END}, over = REC_OPTIONAL | 1;
    size_t last, first;
    uint64_t kept;

    sent(2);
    last = find_in(0, REC_ROUND, state.rounds);
    memcpy(part[0].data + last, &over, 4);
    fails_with("connection 2", ", the last");
    memcpy(part[0].data + last, &(uint32_t){REC_ROUND}, 4);
    first = find_in(1, REC_ROUND, 0);
    memcpy(&kept, part[1].data + first, 8);
    memcpy(part[1].data + first, end, 8);
    fails_with("connection 2", "it is at the end of round 0, the last, and the stream at that of round 1");
    memcpy(part[1].data + first, &kept, 8);
    lie_type(0, find_in(0, REC_ROUND, 0), over, "the end of round 1 where that of round 0 belongs");
    arrives(4, 0);
}

/* Any byte may be any other: no fault, no leak, and an answer. */
static void test_damaged(void **unused)
{
    unsigned good = 0;

    sent(3);
    for (unsigned i = 0; i < DAMAGES; i++) {
        struct part *p = &part[machine_random() % 3];
        size_t at = machine_random() % 2 ? machine_random() % p->size : machine_random() % 9000;
        uint8_t kept = p->data[at];

        p->data[at] ^= (uint8_t)(1 << machine_random() % 8);
        good += restore_from(0, 0) == 0;
        p->data[at] = kept;
    }
    assert_in_range(good, 1, DAMAGES - 1);
}

static void test_too_many(void **unused)
{
    struct ctl_stream *s = ctl_stream_open(0, "stream", &err);

    for (unsigned i = 1; i < CTL_STREAMS_MAX; i++) {
        assert_int_equal(ctl_stream_beside(s, 0, "another", &err), 0);
    }
    assert_int_equal(ctl_stream_beside(s, 0, "another", &err), -E2BIG);
    ctl_stream_close(s);
}

static int setup(void **unused)
{
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int teardown(void **unused)
{
    forget_parts();
    return forget_image(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),    cmocka_unit_test(test_sums),           cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_bandwidth), cmocka_unit_test(test_sender_loses),   cmocka_unit_test(test_sender_waits),
        cmocka_unit_test(test_failures),  cmocka_unit_test(test_receiver_loses), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_lies),      cmocka_unit_test(test_out_of_step),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
