/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra-tls: the way of a guest to another host by TCP, encrypted, for `umbra migrate --transport tcp` and `umbra
 * migrate-receive --listen`, which start it. A program of its own, so that `umbra`, which is started for every verb,
 * does not carry a TLS library, and what reads from the network holds no handle of the hypervisor's.
 *
 *   umbra-tls connect HOST:PORT KEYFILE                      standard input and output lead to the other end
 *   umbra-tls listen|once ADDRESS:PORT KEYFILE COMMAND...    each connection is COMMAND's input and output
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tls/key.h"
#include "tls/net.h"
#include "tls/relay.h"
#include "tls/serve.h"

#define CONNECT_MS 10000
#define USAGE      2

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "umbra-tls: %s: %s\n", what, why);
    return 1;
}

static int pass_on(const char *where, struct tls *tls, int sock)
{
    struct relay r = {.tls = tls, .sock = sock, .in = STDIN_FILENO, .out = STDOUT_FILENO, .follows = true};
    int rc = tls_handshake(tls, HANDSHAKE_MS);

    if (rc < 0) {
        say_refused(where, rc, tls_why(tls));
        return 1;
    }
    return relay_run(&r) < 0 ? fail(where, "the connection was cut") : 0;
}

static int connect_to(const char *where, const uint8_t key[TLS_KEY_SIZE])
{
    char why[256];
    int sock = net_connect(where, CONNECT_MS, why, sizeof(why)), rc;
    struct tls *tls;

    if (sock < 0)
        return fail(where, why);
    tls = tls_new(sock, false, key);
    rc = tls ? pass_on(where, tls, sock) : fail(where, "no memory");
    tls_free(tls);
    close(sock);
    return rc;
}

static int listen_at(const char *where, const uint8_t key[TLS_KEY_SIZE], bool once, char *const *command)
{
    struct serve s = {.key = key, .once = once, .command = command};
    char why[256], name[NET_NAME_SIZE];

    s.listener = net_listen(where, why, sizeof(why));
    if (s.listener < 0)
        return fail(where, why);
    net_name(s.listener, name);
    fprintf(stderr, "umbra-tls: listens at %s\n", name);
    return serve(&s);
}

int main(int argc, char **argv)
{
    bool connects = argc == 4 && strcmp(argv[1], "connect") == 0;
    bool once = argc > 4 && strcmp(argv[1], "once") == 0, listens = argc > 4 && strcmp(argv[1], "listen") == 0;
    uint8_t key[TLS_KEY_SIZE];
    char why[256];

    net_fill_standard_files();
    signal(SIGPIPE, SIG_IGN);
    if (!connects && !once && !listens) {
        fprintf(stderr, "usage: umbra-tls connect HOST:PORT KEYFILE\n"
                        "       umbra-tls listen|once ADDRESS:PORT KEYFILE COMMAND...\n");
        return USAGE;
    }
    if (key_read(argv[3], key, why, sizeof(why)) < 0)
        return fail(argv[3], why);
    return connects ? connect_to(argv[2], key) : listen_at(argv[2], key, once, argv + 4);
}
