// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plain TCP in large pieces, so that a measurement of a migration has little of the wire's own work.
 *
 *   wire listen PORT PROGRAM [ARGUMENT...]
 *   wire ADDRESS PORT
 *
 * The first takes one connection, and is the program then, with it as input and output. The second has its own input
 * and output over there.
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (256u << 10)

static char piece[PIECE];

static struct sockaddr_in address(const char *text, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

    if (text && inet_pton(AF_INET, text, &a.sin_addr) != 1)
        errx(1, "%s is no address", text);
    return a;
}

static int new_socket(void)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s < 0)
        err(1, "socket");
    return s;
}

static void take(const char *port, char **program)
{
    struct sockaddr_in a = address(NULL, port);
    int s = new_socket(), one = 1, peer;

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 1))
        err(1, "port %s", port);
    peer = accept(s, NULL, NULL);
    if (peer < 0 || dup2(peer, STDIN_FILENO) < 0 || dup2(peer, STDOUT_FILENO) < 0)
        err(1, "accept");
    execvp(program[0], program);
    err(1, "%s", program[0]);
}

/* False at the end of what comes. */
static bool carry(int from, int to)
{
    ssize_t n = read(from, piece, sizeof(piece));

    for (ssize_t done = 0, now; done < n; done += now) {
        now = write(to, piece + done, (size_t)(n - done));
        if (now < 0)
            err(1, "write");
    }
    if (n < 0)
        err(1, "read");
    return n > 0;
}

static void join(int s)
{
    struct pollfd from[] = {{.fd = s, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

    while (poll(from, 2, -1) > 0) {
        if (from[0].revents && !carry(s, STDOUT_FILENO))
            return;
        if (from[1].revents && !carry(STDIN_FILENO, s)) {
            shutdown(s, SHUT_WR);
            from[1].fd = -1;
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in a;
    int s;

    if (argc > 3 && strcmp(argv[1], "listen") == 0)
        take(argv[2], argv + 3);
    if (argc != 3)
        errx(2, "usage: wire listen PORT PROGRAM [ARGUMENT...] | wire ADDRESS PORT");
    a = address(argv[1], argv[2]);
    s = new_socket();
    if (connect(s, (struct sockaddr *)&a, sizeof(a)))
        err(1, "%s", argv[1]);
    join(s);
    return 0;
}
