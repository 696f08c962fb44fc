// SPDX-License-Identifier: BSD-2-Clause
/* A guest's console on the user's terminal: bytes pass both ways, and the terminal is as before at the end. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/terminal.h"
#include "cli_run.h"

void test_escape(void **state)
{
    assert_int_equal(escape_parse("^]"), 0x1d);
    assert_int_equal(escape_parse("^a"), 1);
    assert_int_equal(escape_parse("x"), 'x');
    assert_int_equal(escape_parse("^"), '^');
    assert_int_equal(escape_parse(""), -EINVAL);
    assert_int_equal(escape_parse("^1"), -EINVAL);
    assert_int_equal(escape_parse("ab"), -EINVAL);
}

/* A terminal pair in place of the user's, and one in place of the guest's: bytes pass both ways, ^] ends it, and the
 * user's terminal is as before, even when a signal ends it. */
static void run_terminal(int user, int guest)
{
    dup2(user, STDIN_FILENO);
    dup2(user, STDOUT_FILENO);
    _exit(terminal_run(guest, ESCAPE_DEFAULT) == 1 ? 0 : 1);
}

static void expect_bytes(int fd, const char *text)
{
    char buf[64];
    size_t n = 0;

    while (n < strlen(text)) {
        ssize_t got = read(fd, buf + n, sizeof(buf) - n);

        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
}

static void try_terminal(const char *last, int sig)
{
    int user[2], guest[2], status;
    struct termios before, during, after;
    char name[64];
    pid_t child;

    assert_int_equal(openpty(&user[0], &user[1], NULL, NULL, NULL), 0);
    assert_int_equal(openpty(&guest[0], &guest[1], name, NULL, NULL), 0);
    close(guest[1]);
    guest[1] = terminal_open(name);
    assert_true(guest[1] >= 0);
    assert_int_equal(tcgetattr(user[1], &before), 0);
    child = fork();
    if (child == 0)
        run_terminal(user[1], guest[1]);
    assert_int_equal(write(guest[0], "login: ", 7), 7);
    expect_bytes(user[0], "login: ");
    assert_int_equal(tcgetattr(user[1], &during), 0);
    assert_false(during.c_lflag & (ICANON | ECHO | ISIG));
    assert_int_equal(write(user[0], "\003root\r", 6), 6);
    expect_bytes(guest[0], "\003root\r");
    if (last)
        assert_true(write(user[0], last, strlen(last)) > 0);
    else
        kill(child, sig);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (last) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        expect_bytes(guest[0], "x");
    } else {
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
    }
    assert_int_equal(tcgetattr(user[1], &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    assert_int_equal(after.c_iflag, before.c_iflag);
    assert_int_equal(after.c_oflag, before.c_oflag);
    for (int i = 0; i < 2; i++) {
        close(user[i]);
        close(guest[i]);
    }
}

void test_terminal(void **state)
{
    try_terminal("x\035rest", 0);
    try_terminal(NULL, SIGTERM);
    try_terminal(NULL, SIGHUP);
}

/* The guest's side hangs up: that is the end, and what it wrote before is not lost. */
void test_terminal_hangup(void **state)
{
    int out_pipe[2], guest[2], in = dup(STDIN_FILENO), status;
    pid_t child;

    assert_int_equal(pipe(out_pipe), 0);
    assert_int_equal(pipe(guest), 0);
    child = fork();
    if (child == 0) {
        close(guest[1]);
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        dup2(out_pipe[1], STDOUT_FILENO);
        _exit(terminal_run(guest[0], ESCAPE_DEFAULT) == 0 ? 0 : 1);
    }
    close(guest[0]);
    usleep(50000); /* the end of input must not have ended it by now */
    assert_int_equal(write(guest[1], "last words", 10), 10);
    close(guest[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_bytes(out_pipe[0], "last words");
    close(out_pipe[0]);
    close(out_pipe[1]);
    close(in);
}
