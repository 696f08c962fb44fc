/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of guests and of the supervisor share (see guest_world.h). */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest_world.h"
#include "cli/arrivals.h"
#include "cli/cli.h"
#include "cli/health.h"
#include "cli/lock.h"
#include "cli/settings.h"
#include "cli/spare.h"
#include "cli/userdata.h"
#include "fake_ctl.h"

char directory[64] = "/tmp/umbra-guest-";
static char lock_path[96], records_path[96], userdata_path[96];
char log_path[112];
char out[16384], err_text[4096];
struct ctl *ctl;

void slurp(const char *file, char *buf, size_t size)
{
    FILE *f = fopen(file, "r");
    size_t n = f ? fread(buf, 1, size - 1, f) : 0;

    buf[n] = '\0';
    if (f)
        fclose(f);
}

/* Runs a command line in a child, since it may be killed: its exit code, or minus the signal. */
int umbra(const char *line)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        char copy[512], *argv[16] = {"umbra"};
        int argc = 1;

        lock_forget();
        fake->verb = getpid();
        fake->steps = 0;
        snprintf(copy, sizeof(copy), "%s", line);
        for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
            argv[argc++] = word;
        if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr))
            _exit(99);
        status = cli_main(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    slurp("out", out, sizeof(out));
    slurp("err", err_text, sizeof(err_text));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int kill_supervisor(void)
{
    pid_t pid = lock_holder(LOCK_SUPERVISOR);

    if (pid)
        kill(pid, SIGKILL);
    for (int i = 0; i < 500 && lock_holder(LOCK_SUPERVISOR); i++)
        usleep(10000);
    return lock_holder(LOCK_SUPERVISOR) ? -1 : 0;
}

void forget_copies(void)
{
    DIR *dir = opendir(records_path);
    struct dirent *e;

    while (dir && (e = readdir(dir)) != NULL) {
        if (*e->d_name != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* A test that failed may have left its supervisor. */
int fresh(void **state)
{
    if (kill_supervisor())
        return -1;
    forget_copies();
    fake_reset();
    snprintf(fake->events, sizeof(fake->events), "%s/events", directory);
    fake_add(0, "Domain-0");
    unlink(log_path);
    ctl = (struct ctl *)fake;
    return 0;
}

/* A guest as a killed or living process left it: a record in a phase, and perhaps a domain. */
struct guest_state left(enum guest_phase phase, const char *config)
{
    struct guest_state gs = {.phase = phase, .name = "web2", .uuid = {0xaa}, .domid = 5, .watched = true};

    gs.started = 0;
    assert_int_equal(guest_state_add(ctl, &gs, config, NULL, NULL), 0);
    return gs;
}

struct ctl_domain_info *domain_of(const struct guest_state *gs, uint32_t domid)
{
    struct ctl_domain_info *d = fake_add(domid, gs->name);

    memcpy(d->uuid, gs->uuid, sizeof(d->uuid));
    return d;
}

int settle(const struct guest_state *gs)
{
    struct ctl_error err = {0};

    return guest_settle(ctl, gs->uuid, &err);
}

enum guest_phase phase_of(const struct guest_state *gs)
{
    struct guest_state now;

    return guest_state_get(ctl, gs->uuid, &now, NULL) < 0 ? GUEST_PHASES : now.phase; /* GUEST_PHASES: no record */
}

int records(void)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, NULL);

    free(list);
    return n;
}

pid_t supervisor_pid(void)
{
    const char *text = fake_node("/umbra/supervisor");

    return text ? (pid_t)atoi(text) : 0;
}

void wait_records(int n)
{
    for (int i = 0; i < 500 && records() != n; i++)
        usleep(10000);
    assert_int_equal(records(), n);
}

void wait_domain(uint32_t domid)
{
    for (int i = 0; i < 500; i++) {
        if (fake->n > 1 && fake->domains[1].domid == domid && !fake->domains[1].paused)
            return;
        usleep(10000);
    }
    fail_msg("domain %u does not come", domid);
}

int nodes_below(const char *path)
{
    int found = 0;

    for (int i = 0; i < fake->n_nodes; i++)
        found += strncmp(fake->nodes[i].path, path, strlen(path)) == 0;
    return found;
}

int world_config(void)
{
    FILE *f = fopen("g.json", "w");

    fputs("{\"name\":\"web2\",\"kernel\":\"g.json\",\"memory\":64}", f);
    return fclose(f);
}

int world_setup(void **state)
{
    memset(directory + strlen(directory), 'X', 6); /* mkdtemp() replaces these */
    if (!mkdtemp(directory) || chdir(directory) || mkfifo("events", 0600))
        return -1;
    snprintf(lock_path, sizeof(lock_path), "%s/lock", directory);
    snprintf(log_path, sizeof(log_path), "%s/supervisor.log", directory);
    lock_file = lock_path;
    guest_log_dir = directory;
    snprintf(records_path, sizeof(records_path), "%s/records", directory);
    spare_dir = records_path;
    snprintf(userdata_path, sizeof(userdata_path), "%s/userdata", directory);
    userdata_dir = userdata_path; /* which is not there */
    health_console_file = "console.pid";
    settings_file = "umbra.conf";
    arrivals_file = "arrivals";
    return world_config();
}

int world_teardown(void **state)
{
    static const char *const files[] = {"out",        "err",  "events",         "g.json",
                                        "umbra.conf", "lock", "supervisor.log", "arrivals"};

    kill_supervisor();
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i]);
    forget_copies();
    rmdir("records");
    return chdir("/") || rmdir(directory) ? -1 : 0;
}
