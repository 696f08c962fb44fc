/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines run within a test: see cli_run.h. What they print goes through files of a directory of the test's own.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/health.h"
#include "cli/lock.h"
#include "cli/settings.h"
#include "cli/spare.h"
#include "cli_run.h"
#include "fake_ctl.h"

static char directory[64] = "/tmp/umbra-cli-";
static char lock_path[96];
char out[CLI_OUT_SIZE], err[CLI_OUT_SIZE];

static int redirect(int fd, const char *file)
{
    int saved = dup(fd);

    assert_non_null(freopen(file, "w+", fd == 1 ? stdout : stderr));
    return saved;
}

static void give_back(FILE *f, int fd, int saved, char *buf, const char *file)
{
    FILE *in;
    size_t n;

    fflush(f);
    dup2(saved, fd);
    close(saved);
    in = fopen(file, "r");
    n = fread(buf, 1, sizeof(out) - 1, in);
    buf[n] = '\0';
    fclose(in);
}

int umbra(const char *line)
{
    char copy[512], *argv[32] = {"umbra"};
    int argc = 1, rc, saved_out, saved_err;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    fflush(NULL);
    saved_out = redirect(1, "out");
    saved_err = redirect(2, "err");
    rc = cli_main(argc, argv);
    give_back(stdout, 1, saved_out, out, "out");
    give_back(stderr, 2, saved_err, err, "err");
    return rc;
}

int cli_fresh(void **state)
{
    fake_reset();
    fake_add(0, "Domain-0")->running = true;
    fake->domains[0].blocked = false;
    fake->domains[0].cpu_time_ns = 12345678901ull;
    fake->domains[0].vcpus_online = 4;
    fake->domains[0].memory_kib = 1048572;
    fake_add(3, "web1");
    return 0;
}

int cli_setup(void **state)
{
    memset(directory + strlen(directory), 'X', 6); /* mkdtemp() replaces these */
    if (!mkdtemp(directory) || chdir(directory))
        return -1;
    snprintf(lock_path, sizeof(lock_path), "%s/run/lock", directory); /* its directory is made when first needed */
    lock_file = lock_path;
    spare_dir = "records"; /* nobody makes it */
    health_console_file = "console.pid";
    settings_file = "umbra.conf";
    return 0;
}

int cli_teardown(void **state)
{
    static const char *const files[] = {"out", "err", "k", "g.json", "bad.json", "umbra.conf", "run/lock"};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i]);
    rmdir("run");
    return chdir("/") || rmdir(directory) ? -1 : 0;
}
