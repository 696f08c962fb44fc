// SPDX-License-Identifier: BSD-2-Clause
/*
 * Runs a program on a terminal of its own, as a person would: what comes on standard input is typed, what the program
 * prints goes to standard output. Its exit status.
 *
 *   on_tty PROGRAM [ARGUMENT...]
 */
#include <err.h>
#include <poll.h>
#include <pty.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

static bool carry(int from, int to)
{
    char text[512];
    ssize_t n = read(from, text, sizeof(text));

    return n > 0 && write(to, text, (size_t)n) == n;
}

int main(int argc, char **argv)
{
    int terminal, status;
    pid_t child = argc > 1 ? forkpty(&terminal, NULL, NULL, NULL) : -1;

    if (child < 0)
        err(2, "no terminal, or no program");
    if (child == 0) {
        execvp(argv[1], argv + 1);
        err(127, "%s", argv[1]);
    }
    for (struct pollfd from[] = {{.fd = terminal, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
         poll(from, 2, -1) > 0;) {
        if (from[0].revents && !carry(terminal, STDOUT_FILENO))
            break;
        if (from[1].revents && !carry(STDIN_FILENO, terminal))
            from[1].fd = -1;
    }
    if (waitpid(child, &status, 0) != child)
        err(2, "wait");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
