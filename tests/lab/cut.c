// SPDX-License-Identifier: BSD-2-Clause
/*
 * A library to preload before a tool of the control domain: on SIGUSR1 the process loses its connection to xenstored,
 * as if the daemon had died.
 */
#include <signal.h>
#include <sys/socket.h>

static void cut(int sig)
{
    (void)sig;
    for (int fd = 3; fd < 64; fd++) {
        shutdown(fd, SHUT_RDWR); /* of all descriptors only the socket takes notice */
    }
}

__attribute__((constructor)) static void prepare(void)
{
    signal(SIGUSR1, cut);
}
