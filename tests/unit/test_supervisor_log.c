/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: the logs: what the supervisor says, in the background and in the foreground, and what guests print.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest_world.h"
#include "cli/cli.h"
#include "cli/console_logs.h"
#include "cli/health.h"
#include "cli/lock.h"
#include "fake_ctl.h"

/* In the foreground, with this as its standard error, which the caller closes. */
static pid_t foreground(int errors, bool journal)
{
    char *argv[] = {"umbra", "supervise", NULL}, stream[64];
    struct stat st;
    pid_t child = fork();

    if (child == 0) {
        lock_forget();
        dup2(errors, STDERR_FILENO);
        close_range(STDERR_FILENO + 1, ~0u, 0);
        fstat(STDERR_FILENO, &st);
        snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", journal ? stream : "1:1", 1);
        _exit(cli_main(2, argv));
    }
    for (int i = 0; i < 500 && supervisor_pid() != child; i++)
        usleep(10000);
    assert_int_equal(supervisor_pid(), child);
    return child;
}

/* With a log that nobody reads any more. */
static void test_log_reader_ends(void **state)
{
    int fds[2];
    pid_t child;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    child = foreground(fds[1], false);
    close(fds[1]);
    close(fds[0]);
    assert_int_equal(umbra("create g.json"), 0);
    fake_stop(7, REBOOT);
    wait_domain(8);
    ctl_store_write(ctl, "/umbra/guest/ab000000-0000-0000-0000-000000000000", "?", NULL);
    fake_stop(8, POWEROFF);
    wait_records(1);
    assert_int_equal(lock_holder(LOCK_SUPERVISOR), child);
    assert_int_equal(kill_supervisor(), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* What it and its workers say in the foreground is in the file, too. */
static void test_log_in_foreground(void **state)
{
    char text[4096], log[4096];
    int fd = open("err", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    pid_t child = foreground(fd, false);

    assert_int_equal(umbra("create g.json"), 0);
    fake_stop(7, POWEROFF);
    wait_records(0);
    usleep(300000);
    assert_int_equal(kill_supervisor(), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    text[pread(fd, text, sizeof(text) - 1, 0)] = '\0';
    close(fd);
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, "supervisor: process "));
    assert_non_null(strstr(log, "Z web2: domain 7 is removed\n"));
    assert_string_equal(log + strlen(log) - strlen("web2: domain 7 is removed\n"), "web2: domain 7 is removed\n");
    assert_non_null(strstr(text, "Z web2: domain 7 is removed\n"));
}

/* Where standard error is the journal's, a line has the guest's name as a field. */
static void test_log_in_journal(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "journal"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fds[2];
    char text[2048] = "";
    pid_t child;

    guest_log_journal = "journal";
    assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    child = foreground(fds[1], true);
    assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
    assert_non_null(strstr(text, "MESSAGE=supervisor: process "));
    assert_null(strstr(text, "DOMAIN="));
    assert_int_equal(umbra("create g.json"), 0);
    fake_stop(7, POWEROFF);
    for (int i = 0; i < 8 && !strstr(text, "removed"); i++) {
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
    }
    assert_string_equal(text, "MESSAGE=web2: domain 7 is removed\nPRIORITY=6\nSYSLOG_IDENTIFIER=umbra\nDOMAIN=web2\n");
    assert_int_equal(read(fds[0], text, sizeof(text)), -1); /* nothing twice */
    close(fd);
    unlink("journal");
    /* without a journal there is standard error */
    ctl_store_write(ctl, "/umbra/guest/ab000000-0000-0000-0000-000000000000", "?", NULL);
    for (int i = 0; i < 500 && read(fds[0], text, sizeof(text)) < 0; i++)
        usleep(10000);
    assert_non_null(strstr(text, "is not understood"));
    assert_int_equal(kill_supervisor(), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(fds[0]);
    close(fds[1]);
}

/* Guests decide how often something is said: the log is moved aside while the supervisor lives. */
static void test_log_is_bounded(void **state)
{
    char old[sizeof(log_path) + 4];
    struct stat st;

    assert_int_equal(umbra("create g.json"), 0);
    assert_int_equal(truncate(log_path, 2 << 20), 0);
    fake_stop(7, REBOOT);
    wait_domain(8);
    snprintf(old, sizeof(old), "%s.1", log_path);
    for (int i = 0; i < 500 && stat(old, &st); i++)
        usleep(10000);
    assert_true(st.st_size >= 2 << 20);
    assert_int_equal(stat(log_path, &st), 0);
    assert_true(st.st_size < 1 << 20);
    unlink(old);
    assert_int_equal(kill_supervisor(), 0);
}

static void reopen(int sig)
{
    close(open("reopened", O_CREAT | O_WRONLY, 0600));
}

/* A process of the console daemon's name, its number where that leaves it. */
static pid_t console_daemon(void)
{
    FILE *f;
    pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "xenconsoled");
        signal(SIGHUP, reopen);
        for (;;)
            pause();
    }
    f = fopen("console.pid", "w");
    fprintf(f, "%d\n", (int)child);
    fclose(f);
    return child;
}

static long size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) ? -1 : (long)st.st_size;
}

static void sized(const char *path, long size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

/* Whatever guests print: a log that is large is moved aside, the daemon begins a new one, and four are kept. */
static void test_console_logs(void **state)
{
    static char logs[128], number[128]; /* the supervisor is in another directory */
    const long large = (4 << 20) + 1;
    pid_t daemon;

    snprintf(logs, sizeof(logs), "%s/consoles", directory);
    snprintf(number, sizeof(number), "%s/console.pid", directory);
    console_logs_dir = logs;
    health_console_file = number;
    assert_int_equal(mkdir("consoles", 0700), 0);
    sized("consoles/guest-web2.log", large);
    for (int i = 1; i <= 4; i++) {
        char path[64];

        snprintf(path, sizeof(path), "consoles/guest-web2.log.%d", i);
        sized(path, i);
    }
    sized("consoles/guest-small.log", large - 1);
    sized("consoles/notes", large);
    assert_int_equal(symlink("notes", "consoles/guest-link.log"), 0);
    console_logs_trim();
    assert_int_equal(size_of("consoles/guest-web2.log"), large); /* without a daemon nobody would begin a new one */
    daemon = console_daemon();
    assert_int_equal(umbra("create g.json"), 0);
    for (int i = 0; i < 500 && size_of("reopened") < 0; i++)
        usleep(10000);
    assert_int_equal(size_of("reopened"), 0);
    assert_int_equal(size_of("consoles/guest-web2.log"), -1);
    assert_int_equal(size_of("consoles/guest-web2.log.1"), large);
    assert_int_equal(size_of("consoles/guest-web2.log.2"), 1);
    assert_int_equal(size_of("consoles/guest-web2.log.4"), 3);
    assert_int_equal(size_of("consoles/guest-web2.log.5"), -1);
    assert_int_equal(size_of("consoles/guest-small.log"), large - 1);
    assert_int_equal(size_of("consoles/guest-link.log"), large);
    assert_int_equal(kill_supervisor(), 0);
    kill(daemon, SIGKILL);
    assert_int_equal(waitpid(daemon, NULL, 0), daemon);
    unlink("console.pid");
    unlink("reopened");
    assert_int_equal(system("rm -r consoles"), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_log_reader_ends, fresh), cmocka_unit_test_setup(test_log_in_foreground, fresh),
        cmocka_unit_test_setup(test_log_in_journal, fresh),  cmocka_unit_test_setup(test_log_is_bounded, fresh),
        cmocka_unit_test_setup(test_console_logs, fresh),
    };

    supervisor_arguments(argc, argv);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
