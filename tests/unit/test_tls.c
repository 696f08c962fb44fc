/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/tls: both ends of an encrypted connection, with the library as it is, in processes of their own. Whoever has
 * not the key is told so and gets nothing started; a silent peer keeps nobody; a connection that is cut or changed
 * after any byte is an error at the receiver, and what has come by then is a beginning of what was sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tls/key.h"
#include "tls/net.h"
#include "tls/relay.h"
#include "tls/serve.h"

#define KEY_FILE "test_tls.key"
#define SENT     "test_tls.sent"
#define GOT      "test_tls.got"
#define SAID     "test_tls.said"
#define BULK     (3u << 20)
#define LITTLE   2000

static const uint8_t key[TLS_KEY_SIZE] = {1, 2, 3}, other_key[TLS_KEY_SIZE] = {1, 2, 4};
static char *const take[] = {"/bin/sh", "-c", "cat >" GOT, NULL};
static uint8_t sent[BULK], got[BULK + 1];
static char said[2048];

static void put_file(const char *name, const void *data, size_t size, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

/* -1: there is no such file. */
static ssize_t get_file(const char *name, void *to, size_t size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    size_t all = 0;
    ssize_t n;

    if (fd < 0)
        return -1;
    while ((n = read(fd, (char *)to + all, size - all)) > 0)
        all += (size_t)n;
    close(fd);
    return (ssize_t)all;
}

static void pair_of(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static int status_of(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void say_to_file(void)
{
    int fd = open(SAID, O_WRONLY | O_CREAT | O_APPEND, 0600);

    dup2(fd, STDERR_FILENO);
    signal(SIGPIPE, SIG_IGN);
}

/* --- the two ends --- */

static pid_t receiver(int sock, int not_ours)
{
    const struct serve s = {.key = key, .command = take};
    pid_t child = fork();
    bool let_in;

    if (child)
        return child;
    close(not_ours);
    say_to_file();
    _exit(serve_one(&s, sock, "sender", &let_in));
}

/* Sends the file. */
static pid_t sender(int sock, int not_ours, const uint8_t *with)
{
    struct relay r = {.sock = sock, .follows = true};
    pid_t child = fork();
    int rc;

    if (child)
        return child;
    close(not_ours);
    say_to_file();
    r.in = open(SENT, O_RDONLY);
    r.out = open("/dev/null", O_WRONLY);
    r.tls = tls_new(sock, false, with);
    rc = tls_handshake(r.tls, HANDSHAKE_MS);
    if (rc < 0)
        say_refused("receiver", rc, tls_why(r.tls));
    else
        rc = relay_run(&r);
    tls_free(r.tls);
    _exit(rc < 0);
}

struct accident {
    long cut_at, flip_at; /* bytes towards the receiver; -1: none */
    long seen;
};

static bool pass(int from, int to, struct accident *a)
{
    uint8_t buf[4096];
    size_t room =
        a && a->cut_at >= 0 && a->cut_at - a->seen < (long)sizeof(buf) ? (size_t)(a->cut_at - a->seen) : sizeof(buf);
    ssize_t n = room ? read(from, buf, room) : 0;

    if (n <= 0)
        return false;
    if (a && a->flip_at >= a->seen && a->flip_at < a->seen + n)
        buf[a->flip_at - a->seen] ^= 1;
    if (a)
        a->seen += n;
    return send(to, buf, (size_t)n, MSG_NOSIGNAL) == n;
}

/* What the network is: bytes both ways, until one end is gone or there is an accident. */
static void network(int there, int here, struct accident *a)
{
    for (bool open = true; open;) {
        struct pollfd p[2] = {{.fd = here, .events = POLLIN}, {.fd = there, .events = POLLIN}};

        poll(p, 2, -1);
        if (p[1].revents)
            open = pass(there, here, NULL);
        else
            open = pass(here, there, a);
    }
    close(there);
    close(here);
}

struct outcome {
    int sender, receiver; /* exit codes */
    ssize_t got;          /* -1: the command was not started */
};

static struct outcome transfer(size_t size, const uint8_t *with, struct accident *a)
{
    struct outcome o;
    int here[2], there[2];
    pid_t to, from;

    unlink(GOT);
    unlink(SAID);
    put_file(SENT, sent, size, 0600);
    pair_of(there);
    to = receiver(there[1], there[0]);
    close(there[1]);
    pair_of(here);
    from = sender(here[1], here[0], with);
    close(here[1]);
    network(there[0], here[0], a);
    o.sender = status_of(from);
    o.receiver = status_of(to);
    o.got = get_file(GOT, got, sizeof(got));
    said[get_file(SAID, said, sizeof(said) - 1) < 0 ? 0 : strnlen(said, sizeof(said) - 1)] = '\0';
    return o;
}

static void says(const char *text)
{
    if (!strstr(said, text))
        fail_msg("\"%s\" does not say \"%s\"", said, text);
}

/* --- with and without the key --- */

static void test_right_key(void **state)
{
    static const size_t sizes[] = {0, 1, LITTLE, BULK};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct accident none = {-1, -1, 0};
        struct outcome o = transfer(sizes[i], key, &none);

        assert_int_equal(o.sender, 0);
        assert_int_equal(o.receiver, 0);
        assert_int_equal(o.got, sizes[i]);
        assert_memory_equal(got, sent, sizes[i]);
        says("sender: has the key");
        says("sender: done, status 0");
    }
}

static void test_wrong_key(void **state)
{
    struct accident none = {-1, -1, 0};
    struct outcome o = transfer(LITTLE, other_key, &none);

    assert_int_equal(o.sender, 1);
    assert_int_equal(o.receiver, 1);
    assert_int_equal(o.got, -1);
    says("receiver: refused: the key is not the same on both hosts");
    says("sender: refused: the key is not the same on both hosts");
}

/* A peer that says what it wants, or nothing, to the end that expects a sender. */
static int meet(void (*peer)(int sock), unsigned timeout_ms)
{
    struct tls *t;
    int ends[2], rc;
    pid_t child;

    pair_of(ends);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        signal(SIGPIPE, SIG_IGN);
        peer(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    t = tls_new(ends[0], true, key);
    rc = tls_handshake(t, timeout_ms);
    tls_free(t);
    close(ends[0]);
    assert_int_equal(status_of(child), 0);
    return rc;
}

static void until_it_ends(int sock)
{
    uint8_t byte;

    while (read(sock, &byte, 1) > 0)
        ;
}

static void speaks_plainly(int sock)
{
    if (write(sock, "Xen saved domain, xl format\n", 28) == 28)
        until_it_ends(sock);
}

/* A handshake's record that never becomes whole, a byte at a time. */
static void drips(int sock)
{
    static const uint8_t head[] = {22, 3, 1, 1, 0, 1, 0, 0, 252};

    for (int i = 0; i < 1000; i++) {
        uint8_t byte = i < (int)sizeof(head) ? head[i] : 3;

        if (write(sock, &byte, 1) != 1)
            return;
        poll(NULL, 0, 20);
    }
    _exit(1);
}

static void has_no_key(int sock)
{
    gnutls_certificate_credentials_t certificates;
    gnutls_anon_client_credentials_t anonymous;
    gnutls_session_t session;

    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_certificate_allocate_credentials(&certificates);
    gnutls_anon_allocate_client_credentials(&anonymous);
    gnutls_priority_set_direct(session, "NORMAL:+ANON-ECDH:+ANON-DH:+DHE-PSK:+PSK", NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, certificates);
    gnutls_credentials_set(session, GNUTLS_CRD_ANON, anonymous);
    gnutls_transport_set_int(session, sock);
    if (gnutls_handshake(session) >= 0)
        _exit(1);
}

static void goes_away(int sock)
{
}

static void test_strangers(void **state)
{
    uint64_t before;
    struct timespec now;

    assert_int_equal(meet(speaks_plainly, 5000), -EACCES);
    assert_int_equal(meet(has_no_key, 5000), -EACCES);
    assert_int_equal(meet(goes_away, 5000), -EPIPE);
    clock_gettime(CLOCK_MONOTONIC, &now);
    before = (uint64_t)now.tv_sec;
    assert_int_equal(meet(until_it_ends, 300), -ETIMEDOUT);
    assert_int_equal(meet(drips, 300), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_in_range((uint64_t)now.tv_sec - before, 0, 8);
}

/* --- accidents --- */

/* Whatever is lost: the receiver's end says so, and nothing was made up. */
static void lost(size_t size, struct accident a)
{
    struct outcome o = transfer(size, key, &a);

    assert_int_not_equal(o.receiver, 0);
    assert_true(o.got <= (ssize_t)size);
    if (o.got > 0)
        assert_memory_equal(got, sent, o.got);
    assert_true(o.got == -1 || strstr(said, "sender: the connection was cut"));
}

static long whole(size_t size)
{
    struct accident none = {-1, -1, 0};

    assert_int_equal(transfer(size, key, &none).receiver, 0);
    return none.seen;
}

static void test_cut(void **state)
{
    long all = whole(LITTLE);

    assert_true(all > LITTLE + 300);
    for (long at = 0; at<all; at += at> all - 40 ? 1 : 41)
        lost(LITTLE, (struct accident){at, -1, 0});
    lost(BULK, (struct accident){BULK / 2, -1, 0});
}

static void test_changed(void **state)
{
    long all = whole(LITTLE);

    for (long at = 0; at < all; at += 53)
        lost(LITTLE, (struct accident){-1, at, 0});
}

/* --- key files --- */

static void key_is(const char *text, mode_t mode, const char *complaint)
{
    uint8_t k[TLS_KEY_SIZE] = {0};
    char why[256] = "";
    int rc;

    put_file(KEY_FILE, text, strlen(text), mode);
    rc = key_read(KEY_FILE, k, why, sizeof(why));
    assert_int_equal(rc == 0, complaint == NULL);
    if (complaint && !strstr(why, complaint))
        fail_msg("\"%s\" does not say \"%s\"", why, complaint);
    if (!complaint) {
        assert_int_equal(k[0], 0xab);
        assert_int_equal(k[31], 0x01);
    }
}

#define NIBBLES "ab000000000000000000000000000000"
#define REST    "0000000000000000000000000000000"

static void test_key_files(void **state)
{
    uint8_t k[TLS_KEY_SIZE];
    char why[256];

    key_is(NIBBLES REST "1\n", 0600, NULL);
    key_is(NIBBLES REST "1", 0400, NULL);
    key_is("AB" REST REST "1", 0600, "64 digits but at least 65");
    key_is(NIBBLES REST "1\n", 0640, "mode 640");
    key_is(NIBBLES REST "1\n", 0604, "chmod 600");
    key_is(NIBBLES REST "1\n", 0620, "chmod 600");
    key_is("", 0600, "is empty");
    key_is("\n", 0600, "is empty");
    key_is(NIBBLES "\n", 0600, "does not have 64 digits but 32");
    key_is(NIBBLES REST "11\n", 0600, "64 digits but at least 65");
    key_is(NIBBLES REST "x\n", 0600, "at 64");
    key_is(" " NIBBLES REST "1", 0600, "at 1");
    key_is(NIBBLES REST "1\r\n", 0600, "at 65");
    assert_int_equal(key_read("nowhere/key", k, why, sizeof(why)), -ENOENT);
    assert_int_equal(key_read("/", k, why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "is not a file"));
}

/* --- sockets --- */

static void test_addresses(void **state)
{
    static const char *const bad[] = {"",           "localhost",      "127.0.0.1",       ":7",
                                      "127.0.0.1:", "127.0.0.1:http", "::1:7",           "[::1]7",
                                      "[]:7",       "1.2.3.4:x",      "1.2.3.4:-1",      "1.2.3.4:123456",
                                      "*:7",        "1.2.3.4.5:7",    "127.0.0.1:65536", "localhost:7"};
    char why[256], name[NET_NAME_SIZE], from[NET_NAME_SIZE];
    int listener, there, here;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        *why = '\0';
        if (net_listen(bad[i], why, sizeof(why)) >= 0)
            fail_msg("listens at \"%s\"", bad[i]);
        assert_int_not_equal(*why, '\0');
    }
    listener = net_listen("127.0.0.1:0", why, sizeof(why));
    assert_true(listener >= 0);
    assert_int_equal(net_accept(listener, from), -EAGAIN);
    net_name(listener, name);
    assert_true(net_listen(name, why, sizeof(why)) < 0);
    there = net_connect(name, 1000, why, sizeof(why));
    assert_true(there >= 0);
    here = net_accept(listener, from);
    assert_true(here >= 0);
    net_name(there, name);
    assert_string_equal(name, from);
    close(listener);
    close(there);
    close(here);
    assert_true(net_connect("127.0.0.1:1", 1000, why, sizeof(why)) < 0);
    assert_string_equal(why, "Connection refused");
}

/* Who has not the key does not count; after one that has it is over. */
static void test_once(void **state)
{
    struct serve s = {.key = key, .once = true, .command = take};
    char why[256], name[NET_NAME_SIZE];
    const uint8_t *const keys[] = {other_key, key};
    pid_t server;

    unlink(GOT);
    unlink(SAID);
    put_file(SENT, sent, LITTLE, 0600);
    s.listener = net_listen("127.0.0.1:0", why, sizeof(why));
    net_name(s.listener, name);
    server = fork();
    if (server == 0) {
        say_to_file();
        _exit(serve(&s));
    }
    for (int i = 0; i < 2; i++) {
        int sock = net_connect(name, 1000, why, sizeof(why));
        pid_t child;

        assert_true(sock >= 0);
        child = sender(sock, s.listener, keys[i]);
        close(sock);
        assert_int_equal(status_of(child), keys[i] == key ? 0 : 1);
    }
    assert_int_equal(status_of(server), 0);
    close(s.listener);
    assert_int_equal(get_file(GOT, got, sizeof(got)), LITTLE);
    assert_memory_equal(got, sent, LITTLE);
}

static pid_t server_of(struct serve *s, char name[NET_NAME_SIZE])
{
    char why[256];
    pid_t server;

    unlink(GOT);
    unlink(SAID);
    put_file(SENT, sent, LITTLE, 0600);
    s->listener = net_listen("127.0.0.1:0", why, sizeof(why));
    assert_true(s->listener >= 0);
    net_name(s->listener, name);
    server = fork();
    if (server == 0) {
        say_to_file();
        _exit(serve(s));
    }
    return server;
}

#define LOOKS 3000 /* of 10 ms */

static void until_said(const char *text)
{
    said[0] = '\0';
    for (int i = 0; i < LOOKS && !strstr(said, text); i++) {
        ssize_t n = get_file(SAID, said, sizeof(said) - 1);

        said[n < 0 ? 0 : n] = '\0';
        usleep(10000);
    }
    says(text);
}

static void until_it_has(pid_t server, int children)
{
    char path[64], list[1024];
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", server, server);
    for (int look = 0; look < LOOKS && n < children; look++) {
        ssize_t size = get_file(path, list, sizeof(list));

        n = 0;
        for (ssize_t i = 0; i < size; i++)
            n += list[i] == ' ';
        usleep(10000);
    }
    assert_true(n >= children);
}

/* The oldest of as many as there may be shows its key just before one more comes: it is not who goes. */
static void test_key_at_the_last_moment(void **state)
{
    struct serve s = {.key = key, .once = true, .command = take};
    char why[256], name[NET_NAME_SIZE];
    pid_t server = server_of(&s, name), child = -1;
    int sock[33];

    (void)state;
    for (int i = 0; i < 33; i++) {
        if (i == 32) {
            until_it_has(server, i);
            kill(server, SIGSTOP);
            child = sender(sock[0], s.listener, key);
            until_said("has the key");
        }
        sock[i] = net_connect(name, 5000, why, sizeof(why));
        assert_true(sock[i] >= 0);
    }
    kill(server, SIGCONT);
    assert_int_equal(status_of(child), 0);
    close(sock[0]);
    assert_int_equal(status_of(server), 0);
    for (int i = 1; i < 33; i++)
        close(sock[i]);
    close(s.listener);
    assert_int_equal(get_file(GOT, got, sizeof(got)), LITTLE);
}

/* Silent ones are ahead of one that has the key, which is through all the same before they are let go. */
static void behind_silent_ones(bool once, int n)
{
    struct serve s = {.key = key, .once = once, .command = take};
    char why[256], name[NET_NAME_SIZE];
    pid_t server = server_of(&s, name), child;
    time_t before = time(NULL);
    int silent[40], sock;

    for (int i = 0; i < n; i++) {
        silent[i] = net_connect(name, 5000, why, sizeof(why));
        assert_true(silent[i] >= 0);
    }
    sock = net_connect(name, 5000, why, sizeof(why));
    assert_true(sock >= 0);
    child = sender(sock, s.listener, key);
    close(sock);
    assert_int_equal(status_of(child), 0);
    if (!once)
        kill(server, SIGTERM);
    assert_int_equal(status_of(server), once ? 0 : -1);
    assert_true(time(NULL) - before < 5);
    for (int i = 0; i < n; i++)
        close(silent[i]);
    close(s.listener);
    assert_int_equal(get_file(GOT, got, sizeof(got)), LITTLE);
    assert_memory_equal(got, sent, LITTLE);
}

static void test_silent_ones(void **state)
{
    behind_silent_ones(true, 2);
    behind_silent_ones(true, 40);
    behind_silent_ones(false, 40);
}

/* What is said on standard error, when that was closed, does not go to the other host. */
static void test_closed_standard_files(void **state)
{
    char why[200];
    pid_t child = fork();
    int status;

    if (child == 0) {
        close(STDIN_FILENO);
        close(STDERR_FILENO);
        net_fill_standard_files();
        status = net_listen("127.0.0.1:0", why, sizeof(why));
        _exit(status > STDERR_FILENO ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A connection that cannot be taken, since there are no descriptors left, waits; meanwhile the server does, too. */
static void test_no_descriptors(void **state)
{
    struct serve s = {.key = key, .command = take};
    const struct rlimit few = {64, 64};
    struct rusage used;
    char name[NET_NAME_SIZE], why[200];
    pid_t server;
    int there, status;

    s.listener = net_listen("127.0.0.1:0", why, sizeof(why));
    net_name(s.listener, name);
    there = net_connect(name, 1000, why, sizeof(why));
    assert_true(there >= 0);
    server = fork();
    if (server == 0) {
        setrlimit(RLIMIT_NOFILE, &few);
        while (dup(s.listener) >= 0)
            continue;
        alarm(1);
        _exit(serve(&s));
    }
    assert_int_equal(wait4(server, &status, 0, &used), server);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    assert_true(used.ru_utime.tv_sec + used.ru_stime.tv_sec == 0);
    assert_in_range(used.ru_utime.tv_usec + used.ru_stime.tv_usec, 0, 150000);
    close(there);
    close(s.listener);
}

static int setup(void **state)
{
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof(sent); i++) {
        x = x * 1664525 + 1013904223;
        sent[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

static int teardown(void **state)
{
    unlink(KEY_FILE);
    unlink(SENT);
    unlink(GOT);
    unlink(SAID);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_key),
        cmocka_unit_test(test_wrong_key),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_key_files),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_key_at_the_last_moment),
        cmocka_unit_test(test_silent_ones),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_closed_standard_files),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
