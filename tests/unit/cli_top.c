/* SPDX-License-Identifier: BSD-2-Clause */
/* `top`: its lines, its figures of devices, and the live screen on a terminal of the test's own. */
#include <errno.h>
#include <poll.h>
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
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/top.h"
#include "cli_run.h"
#include "fake_ctl.h"

#define HEADING                                                                                                       \
    "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   " \
    "VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID\n"

void test_top_batch(void **state)
{
    top_devices_dir = "/nowhere";
    fake->domains[0].maxmem_kib = UINT64_MAX;
    snprintf(fake->domains[1].name, sizeof(fake->domains[1].name), "a-long-name-it-is");
    assert_int_equal(umbra("top -b -i 1"), 0);
    assert_string_equal(
        out, HEADING
        "  Domain-0 -----r         12    0.0    1048572   25.0   no limit       n/a     4    0        0        0    0"
        "        0        0        0          0          0    0\n"
        "a-long-nam --b---          0    0.0     262144    6.2     262144       6.2     1    0        0        0    0"
        "        0        0        0          0          0    0\n");
    assert_int_equal(umbra("top -b -i 2 -d 0.1 -f"), 0);
    assert_non_null(strstr(out + strlen(HEADING), HEADING));
    assert_non_null(strstr(out, "\na-long-name-it-is --b---"));
    assert_int_equal(umbra("--json top -i 2 -d 0.1"), 0);
    assert_non_null(strstr(out, "}\n{\"schema\":\"umbra.top/1\",\"monotonic_ns\":"));
    assert_non_null(strstr(out, "\"state\":\"blocked\",\"cpu_time_ns\":0,\"cpu_permille\":0,\"memory_kib\":262144"));
    assert_true(top_percent(100, 600, 1000, 2000) == 50.0);
    assert_true(top_percent(600, 100, 1000, 2000) == 0.0);
    assert_true(top_percent(100, 600, 1000, 1000) == 0.0);
}

#define NETS "sys/bus/xen-backend/devices/"

static void figure(const char *device, const char *name, const char *value)
{
    char line[256];

    snprintf(line, sizeof(line), "mkdir -p %s/statistics && printf '%s' >%s/statistics/%s", device, value, device,
             name);
    assert_int_equal(system(line), 0);
}

void test_top_devices(void **state)
{
    figure(NETS "vif-3-0/net/vif3.0", "rx_bytes", "4096\n");
    figure(NETS "vif-3-0/net/vif3.0", "tx_bytes", "8192\n");
    figure(NETS "vif-3-1/net/lan", "rx_bytes", "1024\n");
    figure(NETS "vif-3-1x/net/vif3.1-emu", "rx_bytes", "777777\n"); /* another's */
    figure(NETS "vif-9-0/net/vif9.0", "rx_bytes", "777777\n");      /* of no domain */
    figure(NETS "vif-3-2", "rx_bytes", "777777\n");                 /* which has no interface yet */
    figure("sys/bus/xen-backend/devices/vbd-3-51712", "rd_req", "11\n");
    figure("sys/bus/xen-backend/devices/vbd-3-51712", "wr_sect", "22\n");
    figure("sys/bus/xen-backend/devices/vbd-3-51712", "oo_req", "no number");
    top_devices_dir = "sys";
    assert_int_equal(umbra("top -b -i 1"), 0);
    assert_non_null(
        strstr(out, "    2        5        8    1        0       11        0          0         22    0\n"));
    assert_int_equal(system("rm -r sys"), 0);
}

void test_top_usage(void **state)
{
    static const char *const lines[] = {"top -d 0",  "top -d 0.01",   "top -d x",  "top -d 1.",         "top -d 1.2345",
                                        "top -d -1", "top -d 123456", "top -i 0",  "top -i -1",         "top -i 1x",
                                        "top web1",  "top -d 1e3",    "top -d .5", "top -i 99999999999"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(umbra(lines[i]), 2);
        assert_true(*err);
    }
    assert_int_equal(umbra("top"), 2); /* there is no terminal */
    assert_non_null(strstr(err, "use -b"));
}

/* --- the screen ----------------------------------------------------------------------------------------------------
 */

static char seen[1 << 18];
static size_t seen_size;
static struct termios before;

static pid_t start(int *terminal, const char *term)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    int slave, status;
    pid_t child;

    top_devices_dir = "/nowhere";
    assert_int_equal(openpty(terminal, &slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(*terminal, &before), 0);
    child = fork();
    if (child == 0) {
        char *argv[] = {"umbra", "top", "-d", "0.3", NULL};

        close(*terminal);
        setsid();
        dup2(slave, 0);
        dup2(slave, 1);
        dup2(slave, 2);
        setenv("TERM", term, 1);
        unsetenv("LINES");
        unsetenv("COLUMNS");
        status = cli_main(4, argv);
        fflush(NULL); /* standard error was a file before, and has a buffer */
        _exit(status);
    }
    close(slave);
    seen_size = 0;
    *seen = '\0';
    return child;
}

/* Reads until the terminal has got that text since `from`, for ten seconds. */
static void wait_for_text(int terminal, size_t from, const char *text)
{
    for (int tries = 0; tries < 100 && !strstr(seen + from, text); tries++) {
        struct pollfd fd = {.fd = terminal, .events = POLLIN};
        ssize_t n = poll(&fd, 1, 100) > 0 ? read(terminal, seen + seen_size, sizeof(seen) - 1 - seen_size) : 0;

        seen_size += n > 0 ? (size_t)n : 0;
        seen[seen_size] = '\0';
    }
    if (!strstr(seen + from, text))
        fail_msg("no \"%s\" on the screen: %s", text, seen + from);
}

/* What is left of the output; the terminal is as it was. */
static int end_of(pid_t child, int terminal)
{
    struct termios after;
    int status;

    wait_for_text(terminal, 0, "\033[?1049l"); /* the other screen is back */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(tcgetattr(terminal, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    assert_int_equal(after.c_iflag, before.c_iflag);
    assert_int_equal(after.c_oflag, before.c_oflag);
    close(terminal);
    return status;
}

void test_top_live(void **state)
{
    struct winsize wide = {.ws_row = 10, .ws_col = 200};
    int terminal, status;
    pid_t child = start(&terminal, "xterm");
    size_t at;

    wait_for_text(terminal, 0, "umbra top");
    wait_for_text(terminal, 0, "2 domains: 1 running, 1 blocked");
    wait_for_text(terminal, 0, "web1");
    assert_null(strstr(seen, "VBD_RSECT")); /* beyond the 80th column */
    at = seen_size;
    assert_int_equal(write(terminal, "s", 1), 1);
    wait_for_text(terminal, at, "CPU"); /* only what changes is written */
    at = seen_size;
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &wide), 0);
    kill(child, SIGWINCH);
    wait_for_text(terminal, at, "VBD_RSECT");
    assert_int_equal(write(terminal, "q", 1), 1);
    status = end_of(child, terminal);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void test_top_signals(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    int terminal, status;
    pid_t child;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        child = start(&terminal, "xterm");
        wait_for_text(terminal, 0, "web1");
        kill(child, signals[i]);
        status = end_of(child, terminal);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
    }
    child = start(&terminal, "no-such-terminal");
    wait_for_text(terminal, 0, "open the screen: no-such-terminal");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(terminal);
}
