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
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/console_logs.h"
#include "cli/terminal.h"
#include "cli_run.h"
#include "fake_ctl.h"

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

static pid_t terminal_of(int input, int output, int master, const char *guest)
{
    pid_t child = fork();

    if (child)
        return child;
    close(master);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    _exit(terminal_run(terminal_open(guest), ESCAPE_DEFAULT) == 1 ? 0 : 1);
}

/* The guest takes nothing: who types more than can wait hears it, and gets away. */
void test_terminal_stuck(void **state)
{
    int user[2], guest[2], status;
    static char typed[100000], heard[4096];
    char name[64];
    pid_t child;

    assert_int_equal(openpty(&user[0], &user[1], NULL, NULL, NULL), 0);
    assert_int_equal(openpty(&guest[0], &guest[1], name, NULL, NULL), 0);
    memset(typed, 'x', sizeof(typed));
    child = terminal_of(user[1], user[1], user[0], name);
    assert_int_equal(write(guest[0], "login: ", 7), 7);
    expect_bytes(user[0], "login: ");
    assert_int_equal(write(user[0], typed, sizeof(typed)), sizeof(typed));
    assert_int_equal(write(user[0], "\035", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(read(user[0], heard, sizeof(heard)) > 0);
    assert_int_equal(heard[0], '\a');
    for (int i = 0; i < 2; i++) {
        close(user[i]);
        close(guest[i]);
    }
}

/* A file waits for the guest, and all of it arrives. */
void test_terminal_file(void **state)
{
    int in[2], guest[2], status;
    static char piece[4096];
    char name[64];
    size_t got = 0, all = 300000;
    pid_t child, writer;

    assert_int_equal(pipe(in), 0);
    assert_int_equal(openpty(&guest[0], &guest[1], name, NULL, NULL), 0);
    writer = fork();
    if (writer == 0) {
        memset(piece, 'y', sizeof(piece));
        for (size_t n; all; all -= n) {
            n = all < sizeof(piece) ? all : sizeof(piece);
            if (write(in[1], piece, n) != (ssize_t)n)
                _exit(1);
        }
        _exit(write(in[1], "\035", 1) != 1);
    }
    child = terminal_of(in[0], open("/dev/null", O_WRONLY), guest[0], name);
    usleep(200000);
    while (got < all) {
        ssize_t n = read(guest[0], piece, sizeof(piece));

        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(piece[i], 'y');
        got += (size_t)n;
    }
    assert_int_equal(got, all);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(guest[i]);
    }
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

#define LOG "guest-web1.log"

static void write_log(const char *text)
{
    FILE *f = fopen(LOG, "w");

    fputs(text, f);
    fclose(f);
}

/* `umbra console OPTION web1`, on a terminal or not: what it shows until the guest says "login: ". */
static void console_shows(const char *option, bool on_terminal, const char *text)
{
    char *argv[] = {"umbra", "console", (char *)option, "web1", NULL}, name[64], shown[20000] = "";
    int user[2], guest[2], out_pipe[2], status;
    size_t n = 0;
    pid_t child;

    console_logs_dir = ".";
    assert_int_equal(openpty(&user[0], &user[1], NULL, NULL, NULL), 0);
    assert_int_equal(openpty(&guest[0], &guest[1], name, NULL, NULL), 0);
    assert_int_equal(pipe(out_pipe), 0);
    fake->console = name;
    child = fork();
    if (child == 0) {
        dup2(user[1], STDIN_FILENO);
        dup2(on_terminal ? user[1] : out_pipe[1], STDOUT_FILENO);
        _exit(cli_main(4, argv));
    }
    assert_int_equal(write(guest[0], "login: ", 7), 7);
    while (!strstr(shown, "login: ")) {
        ssize_t got = read(on_terminal ? user[0] : out_pipe[0], shown + n, sizeof(shown) - 1 - n);

        assert_true(got > 0);
        n += (size_t)got;
        shown[n] = '\0';
    }
    assert_int_equal(write(user[0], "\035", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(shown, text);
    for (int i = 0; i < 2; i++) {
        close(user[i]);
        close(guest[i]);
        close(out_pipe[i]);
    }
}

#define BEFORE "--- the end of ./guest-web1.log:\r\n"
#define BEHIND "--- the console itself:\r\n"

void test_console_log(void **state)
{
    write_log("one\ntwo\r\n\033[1mthree\n\nfive");
    console_shows("--lines=3", true, BEFORE "?[1mthree\r\n\r\nfive\r\n" BEHIND "login: ");
    console_shows("-l1", true, BEFORE "five\r\n" BEHIND "login: ");
    console_shows("-tpv", true, BEFORE "one\r\ntwo\r\n?[1mthree\r\n\r\nfive\r\n" BEHIND "login: ");
    console_shows("-l0", true, "login: ");
    console_shows("-l3", false, "login: ");
    write_log("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n21\n22\n");
    console_shows("-tpv", true,
                  BEFORE "3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n11\r\n12\r\n13\r\n14\r\n15\r\n16\r\n17\r\n18"
                         "\r\n19\r\n20\r\n21\r\n22\r\n" BEHIND "login: ");
    unlink(LOG);
}

/* There is no log, or what there is is none; a large one is read from its end. */
void test_console_log_refused(void **state)
{
    FILE *f;

    console_shows("-l3", true, "login: ");
    assert_int_equal(symlink("/etc/passwd", LOG), 0);
    console_shows("-l3", true, "login: ");
    unlink(LOG);
    assert_int_equal(mkfifo(LOG, 0600), 0);
    console_shows("-l3", true, "login: ");
    unlink(LOG);
    write_log("");
    console_shows("-l3", true, "login: ");
    f = fopen(LOG, "w");
    fseek(f, 1 << 30, SEEK_SET);
    fputs("\nend\n", f);
    fclose(f);
    console_shows("-l1", true, BEFORE "end\r\n" BEHIND "login: ");
    unlink(LOG);
}
