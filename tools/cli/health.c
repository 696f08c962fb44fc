/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether xenstored, the supervisor and the console daemon are there (see health.h). The first is asked, the second
 * holds a lock, the third has left its number in a file, as every start of it does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/health.h"
#include "cli/lock.h"
#include "cli/spare.h"

#define PID_NODE "/umbra/supervisor"
#define DAEMON   "xenconsoled"

const char *health_console_file = "/run/xenconsoled.pid";

static bool has_node(struct ctl *ctl, const char *path, int *code)
{
    struct ctl_error err = {0};
    char *text = ctl_store_read(ctl, path, &err);

    *code = text ? 0 : err.code;
    free(text);
    return *code == 0;
}

static enum health_store look_at_store(struct ctl *ctl)
{
    int code, ignored;

    if (has_node(ctl, PID_NODE, &code))
        return has_node(ctl, SPARE_MARK, &ignored) ? HEALTH_RESTORED : HEALTH_RUNS;
    if (code != -ENOENT)
        return HEALTH_GONE;
    return spare_any() ? HEALTH_FORGOT : HEALTH_RUNS;
}

/* The first line of a file; false if there is none. */
static bool first_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    bool found = f && fgets(line, size, f);

    if (f)
        fclose(f);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}

/* A number may have become another process's. */
pid_t health_console(void)
{
    char text[32], path[64];
    long pid;

    if (!first_line(health_console_file, text, sizeof(text)))
        return -1;
    pid = strtol(text, NULL, 10);
    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    return pid > 0 && first_line(path, text, sizeof(text)) && strcmp(text, DAEMON) == 0 ? (pid_t)pid : 0;
}

struct health health_look(struct ctl *ctl)
{
    return (struct health){.store = look_at_store(ctl),
                           .supervisor = lock_holder(LOCK_SUPERVISOR),
                           .console = health_console()};
}

const char *health_store_name(enum health_store store)
{
    static const char *const names[] = {[HEALTH_RUNS] = "running",
                                        [HEALTH_GONE] = "not answering",
                                        [HEALTH_FORGOT] = "restarted",
                                        [HEALTH_RESTORED] = "restarted, restored"};

    return names[store];
}

void health_tell(const struct health *h, bool watched)
{
    static const char *const stores[] = {
        [HEALTH_GONE] =
            "note: xenstored does not answer: guests run on, but their names are not known, and none can be "
            "created, shut down, saved or moved\nhint: start it again, and the supervisor: umbra(1), "
            "DAEMONS\n",
        [HEALTH_FORGOT] = "note: xenstored was started again and has forgotten all guests\nhint: the supervisor brings "
                          "them back: systemctl start umbra-supervisor, or umbra supervise\n",
        [HEALTH_RESTORED] =
            "note: xenstored was started again: guests that ran then take no request, and no device can "
            "be attached before the host is started again\nhint: umbra(1), DAEMONS\n",
    };

    if (h->store != HEALTH_RUNS)
        fputs(stores[h->store], stderr);
    if (h->store == HEALTH_RUNS && watched && !h->supervisor)
        fputs("note: no supervisor runs: nobody sees to guests that stop\nhint: systemctl start umbra-supervisor; "
              "create, shutdown and reboot start one as well\n",
              stderr);
    if (h->console == 0)
        fputs("note: the console daemon has ended: consoles are neither shown nor logged until it runs again\nhint: "
              "umbra(1), DAEMONS\n",
              stderr);
}
