/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor (see supervisor.h): it waits, looks, and starts a worker for each guest with something to do.
 *
 *   wait: xenstore's watches on the records and on @releaseDomain; a worker's end; a while, if a guest is unsettled
 *   look: the domains (one hypercall), the records that changed
 *   work: a child takes the guest's lock, does guest_settle(), and ends
 *
 * A guest whose lock another process holds is left alone: its builder, a verb or a worker is at it, and the supervisor
 * looks again soon, because a process that is killed leaves a free lock and no event. What a worker could not do is
 * tried again, each time after twice the while. Exactly one supervisor: it holds LOCK_SUPERVISOR while it lives. A
 * worker outlives a supervisor that is killed, and its lock keeps the next one from doing the same again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "cli/console_logs.h"
#include "cli/guest.h"
#include "cli/lock.h"
#include "cli/spare.h"
#include "cli/supervisor.h"

#define WATCHED     "/umbra/guest"
#define PID_NODE    "/umbra/supervisor"
#define MAX_WORKERS 4
#define SOON_MS     250  /* look again: somebody is at work, or something is due */
#define LATER_MS    2000 /* look again, though nothing is known to be due: is xenstored there? */
#define FIRST_MS    1000 /* between two tries of a worker, at first and at most */
#define LONGEST_MS  60000
#define LEAVE_MS    1000 /* for one that was just killed, to be gone */
#define MISSING_MS  2000 /* for a guest to follow the process that served its disks, when both are ended */
#define LOG_MAX     (1 << 20)

struct ward {
    struct guest_state gs;
    bool present; /* seen when the records were last listed */
    pid_t worker; /* 0: none */
    uint64_t not_before;
    unsigned delay;
    bool gone;  /* at its last look, no domain had its handle */
    bool stale; /* its copy (spare.h) is older than its record */
    struct {    /* the process that serves its disks, if there is one */
        int pid;
        int64_t domid;
        uint64_t ended; /* when that was seen; 0: it lives */
    } server;
};

struct supervisor {
    struct ctl *ctl;
    struct ward *wards;
    int n, workers;
    bool unsettled; /* some guest has something to do now or soon */
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the records ----------------------------------------------------------------------------------------------------
 */

static struct ward *ward_of(struct supervisor *s, const uint8_t uuid[16])
{
    struct ward *bigger;

    for (int i = 0; i < s->n; i++) {
        if (memcmp(s->wards[i].gs.uuid, uuid, 16) == 0)
            return &s->wards[i];
    }
    bigger = realloc(s->wards, (size_t)(s->n + 1) * sizeof(*bigger));
    if (!bigger)
        return NULL;
    s->wards = bigger;
    memset(&bigger[s->n], 0, sizeof(*bigger));
    memcpy(bigger[s->n].gs.uuid, uuid, 16);
    return &bigger[s->n++];
}

static void say_not_understood(const struct ward *w)
{
    char id[CTL_UUID_TEXT];

    ctl_uuid_format(w->gs.uuid, id);
    guest_say(w->gs.name, "the record /umbra/guest/%s is not understood, and nothing is done with this guest", id);
}

/* Its record has been read: is there a process that serves its disks? */
static void server_find(struct ward *w)
{
    int pid = w->gs.phase == GUEST_RUNNING && w->gs.domid > 0 ? ctl_disks_process((uint32_t)w->gs.domid) : 0;

    if (pid && pid != w->server.pid) {
        w->server.pid = pid;
        w->server.domid = w->gs.domid;
        w->server.ended = 0;
    }
}

/* Reads one record again; what cannot be read stays as it was. A guest in another state than before starts afresh with
 * its tries. */
static void refresh(struct supervisor *s, const uint8_t uuid[16])
{
    struct ward *w = ward_of(s, uuid);
    enum guest_phase before = w ? w->gs.phase : GUEST_PARTIAL;
    int rc = w ? guest_state_get(s->ctl, uuid, &w->gs, NULL) : -ENOMEM;

    if (rc == -ENOENT)
        w->present = false;
    if (w)
        w->stale |= rc == 0 || rc == -ENOENT;
    if (rc < 0)
        return;
    w->present = true;
    server_find(w);
    if (w->gs.phase == before)
        return;
    w->delay = 0;
    w->not_before = 0;
    if (w->gs.phase == GUEST_UNKNOWN)
        say_not_understood(w);
}

static void refresh_all(struct supervisor *s)
{
    char **names;
    int n = ctl_store_list(s->ctl, WATCHED, &names, NULL);
    uint8_t uuid[16];

    for (int i = 0; i < n; i++) {
        if (ctl_uuid_parse(names[i], uuid) == 0)
            refresh(s, uuid);
    }
    free(names);
}

/* Once for all events that have come. */
static void copy_changed(struct supervisor *s)
{
    for (int i = 0; i < s->n; i++) {
        if (s->wards[i].stale)
            spare_keep(s->ctl, s->wards[i].gs.uuid);
        s->wards[i].stale = false;
    }
}

static void forget_absent(struct supervisor *s)
{
    for (int i = 0; i < s->n; i++) {
        if (!s->wards[i].present && !s->wards[i].worker)
            s->wards[i--] = s->wards[--s->n];
    }
}

/* An event's node: a record, a piece of its configuration, the directory of records, or @releaseDomain. */
static void on_event(struct supervisor *s, const char *path)
{
    size_t n = strlen(WATCHED);
    char id[CTL_UUID_TEXT];
    uint8_t uuid[16];

    if (strncmp(path, WATCHED, n) != 0)
        return;
    if (path[n] != '/') {
        refresh_all(s);
        return;
    }
    snprintf(id, sizeof(id), "%s", path + n + 1);
    if (ctl_uuid_parse(id, uuid) == 0)
        refresh(s, uuid);
}

/* --- the processes that serve disks ---------------------------------------------------------------------------------
 */

/* It is ended before the guest's domain is, when both are: only one whose guest stays is missed. */
static void server_look(struct supervisor *s, struct ward *w)
{
    if (!w->server.pid)
        return;
    if (ctl_disks_process((uint32_t)w->server.domid) == w->server.pid) {
        ctl_disks_log_trim((uint32_t)w->server.domid, LOG_MAX);
        return;
    }
    w->server.ended = w->server.ended ? w->server.ended : now_ms();
    s->unsettled = true;
    if (now_ms() < w->server.ended + MISSING_MS)
        return;
    if (w->gs.phase == GUEST_RUNNING && w->gs.domid == w->server.domid &&
        ctl_disks_unserved(s->ctl, (uint32_t)w->server.domid))
        guest_say(w->gs.name,
                  "process %d (qemu), which served its disks, has ended: domain %lld gets no answer from them until it "
                  "is started again",
                  w->server.pid, (long long)w->server.domid);
    w->server.pid = 0;
}

/* --- looking --------------------------------------------------------------------------------------------------------
 */

static bool has_any(const struct ctl_domain_info *list, int n, const uint8_t uuid[16])
{
    for (int i = 0; i < n; i++) {
        if (memcmp(list[i].uuid, uuid, 16) == 0)
            return true;
    }
    return false;
}

/* Is there something to do for it, if nobody is doing it already? */
static bool needs_work(const struct guest_state *gs, const struct ctl_domain_info *d)
{
    switch (gs->phase) {
    case GUEST_RUNNING:
        return !d || (gs->watched && d->shutdown && d->shutdown_reason != SHUTDOWN_suspend);
    case GUEST_PRESERVED:
    case GUEST_HANDED_OVER:
        return !d;
    case GUEST_SAVING:
        return !d || d->shutdown;
    case GUEST_UNKNOWN:
        return false;
    default:
        return true;
    }
}

static void work(const struct guest_state *gs)
{
    struct ctl_error err = {0};
    struct ctl *ctl = ctl_open(&err);
    int rc = ctl ? guest_lock(gs->uuid, 0, NULL) : -ENODEV;

    if (rc >= 0)
        rc = guest_settle(ctl, gs->uuid, &err);
    if (rc < 0 && rc != -EAGAIN && err.code)
        guest_say_error(gs->name, &err);
    _exit(rc < 0);
}

static void start_worker(struct supervisor *s, struct ward *w)
{
    pid_t child;

    w->delay = w->delay ? w->delay * 2 : FIRST_MS;
    if (w->delay > LONGEST_MS)
        w->delay = LONGEST_MS;
    w->not_before = now_ms() + w->delay;
    child = fork();
    if (child == 0) {
        lock_forget();
        close_range(STDERR_FILENO + 1, ~0u, 0);
        guest_log_again();
        prctl(PR_SET_NAME, "umbra-worker");
        work(&w->gs);
    }
    if (child < 0)
        guest_say(w->gs.name, "no process can be made for it: %s", strerror(errno));
    else
        s->workers++;
    w->worker = child < 0 ? 0 : child;
}

static void look_at(struct supervisor *s, struct ward *w, const struct ctl_domain_info *list, int n)
{
    bool gone = !has_any(list, n, w->gs.uuid);

    if (w->worker || !w->present || !needs_work(&w->gs, guest_domain(list, n, w->gs.uuid)))
        return;
    s->unsettled = true;
    if (gone && !w->gone)
        w->not_before = 0; /* what it waited for has come */
    w->gone = gone;
    if (s->workers < MAX_WORKERS && now_ms() >= w->not_before && !lock_holder(lock_of_guest(w->gs.uuid)))
        start_worker(s, w);
}

static void look(struct supervisor *s)
{
    struct ctl_domain_info *list;
    struct ctl_error err = {0};
    int n = ctl_domain_scan(s->ctl, &list, &err);

    s->unsettled = n < 0;
    if (n < 0) {
        guest_say_error("", &err);
        return;
    }
    for (int i = 0; i < s->n; i++) {
        look_at(s, &s->wards[i], list, n);
        server_look(s, &s->wards[i]);
    }
    free(list);
    forget_absent(s);
}

/* A record may have changed without our having seen the event yet: what a worker leaves is read at once. */
static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < s->n; i++) {
            struct ward *w = &s->wards[i];

            if (w->worker != pid)
                continue;
            w->worker = 0;
            s->workers--;
            if (!WIFEXITED(status))
                guest_say(w->gs.name, "its worker was ended by signal %d", WTERMSIG(status));
            else if (WEXITSTATUS(status) == 0)
                w->delay = w->not_before = 0;
            refresh(s, w->gs.uuid);
        }
    }
}

/* --- the loop -------------------------------------------------------------------------------------------------------
 */

static void note_child(int sig)
{
}

/*
 * The descriptor of the watches does not tell when xenstored dies: it is a pipe of the library's own. One that was
 * started again knows neither our watches nor this node.
 */
static bool connected(struct supervisor *s)
{
    struct ctl_error err = {0};
    char *text = ctl_store_read(s->ctl, PID_NODE, &err);
    bool ours = text ? atoi(text) == (int)getpid() : err.code == -ENOMEM; /* which passes */

    free(text);
    return ours;
}

static void wait_for_something(struct supervisor *s)
{
    struct pollfd fd = {.fd = ctl_store_fd(s->ctl), .events = POLLIN};
    unsigned ms = s->unsettled || s->workers ? SOON_MS : LATER_MS;
    struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    sigset_t none;
    char *path;

    sigemptyset(&none);
    ppoll(&fd, 1, &limit, &none);
    if (!connected(s)) {
        guest_say("", "xenstored is gone, or forgot us: the supervisor ends");
        exit(EXIT_FAILED); /* without it there is nothing to go by, and the next one needs the lock */
    }
    while ((path = ctl_store_event(s->ctl)) != NULL) {
        on_event(s, path);
        free(path);
    }
}

/* The number of an earlier supervisor stays in xenstore: one that has none has forgotten all, if there was anything. */
static int take_up(struct supervisor *s, struct ctl_error *err)
{
    struct ctl_error why = {0};
    char pid[24], *before = ctl_store_read(s->ctl, PID_NODE, &why);
    int rc = 0;

    if (!before && why.code == -ENOENT)
        rc = spare_restore(s->ctl, err);
    else if (!before)
        rc = ctl_error_set(err, why.code, why.step, why.object, why.hint, "%s", why.message);
    free(before);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    return rc < 0 ? rc : ctl_store_write(s->ctl, PID_NODE, pid, err);
}

/* SIGCHLD only ever arrives while it waits. */
static int prepare(struct supervisor *s, struct ctl_error *err)
{
    struct sigaction action = {.sa_handler = note_child};
    sigset_t child;
    int rc;

    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    s->ctl = ctl_open(err);
    if (!s->ctl)
        return -ENODEV;
    rc = take_up(s, err);
    if (rc >= 0)
        rc = ctl_store_watch(s->ctl, WATCHED, err);
    if (rc >= 0)
        rc = ctl_store_watch(s->ctl, "@releaseDomain", err);
    return rc;
}

static void run(struct supervisor *s)
{
    guest_say("", "supervisor: process %d", (int)getpid());
    spare_keep_all(s->ctl);
    refresh_all(s);
    for (;;) {
        guest_log_trim();
        console_logs_trim();
        reap(s);
        copy_changed(s);
        look(s);
        wait_for_something(s);
    }
}

/* --- becoming it ----------------------------------------------------------------------------------------------------
 */

bool supervisor_runs(void)
{
    return lock_holder(LOCK_SUPERVISOR) != 0;
}

static char *shown; /* arguments and their NULs stand one after the other */
static size_t shown_size;

void supervisor_arguments(int argc, char **argv)
{
    if (argc < 1)
        return;
    shown = argv[0];
    shown_size = (size_t)(argv[argc - 1] - argv[0]) + strlen(argv[argc - 1]) + 1;
}

static void show_title(void)
{
    prctl(PR_SET_NAME, "umbra-super");
    if (!shown)
        return;
    memset(shown, 0, shown_size);
    snprintf(shown, shown_size, "umbra supervise");
}

/* Nothing of the caller's may stay open: someone may be waiting for the end of a pipe. */
static void detach(int *report)
{
    int null = open("/dev/null", O_RDWR);

    setsid();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (chdir("/") == 0 && null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    guest_log_open();
    dup2(*report, STDERR_FILENO + 1);
    *report = STDERR_FILENO + 1;
    close_range(STDERR_FILENO + 2, ~0u, 0);
    fcntl(*report, F_SETFD, FD_CLOEXEC);
    show_title();
}

static void tell(int fd, const struct ctl_error *err)
{
    ssize_t n = write(fd, err, sizeof(*err));

    (void)n; /* a parent that died needs no answer */
    close(fd);
}

static void become(int report)
{
    struct supervisor s = {0};
    struct ctl_error err = {0};
    int rc;

    lock_forget();
    detach(&report);
    rc = lock_try(LOCK_SUPERVISOR);
    if (rc && rc != -EAGAIN)
        ctl_error_set(&err, rc, "start the supervisor", lock_file, NULL, "the file cannot be locked");
    if (rc == 0)
        rc = prepare(&s, &err);
    tell(report, &err);
    if (rc >= 0)
        run(&s);
}

/* In the parent: what it said, if it came to say anything. */
static int hear(int fd, struct ctl_error *err)
{
    struct ctl_error said;
    ssize_t n;

    do {
        n = read(fd, &said, sizeof(said));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(said))
        return ctl_error_set(err, -EIO, "start the supervisor", NULL, "see /var/log/umbra/supervisor.log",
                             "it ended at once");
    if (said.code && err)
        *err = said;
    return said.code;
}

int supervisor_start(struct ctl_error *err)
{
    int fds[2], status, rc;
    pid_t child;

    if (supervisor_runs())
        return 0;
    if (pipe2(fds, O_CLOEXEC))
        return ctl_error_set(err, -errno, "start the supervisor", NULL, NULL, "it cannot be prepared");
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (fork() == 0)
            become(fds[1]);
        _exit(0); /* no exit handlers: they belong to the parent */
    }
    close(fds[1]);
    if (child < 0)
        rc = ctl_error_set(err, -errno, "start the supervisor", NULL, NULL, "no process can be made");
    else
        rc = hear(fds[0], err);
    close(fds[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return rc;
}

/* For a host whose own supervision (an init system) is to keep it running. */
int cmd_supervise(struct cli *cli, const struct cli_args *args)
{
    struct supervisor s = {0};
    struct ctl_error err = {0};
    int rc = lock_wait(LOCK_SUPERVISOR, LEAVE_MS);

    signal(SIGPIPE, SIG_IGN); /* whoever reads the log may end before us */
    if (rc == -EAGAIN)
        ctl_error_set(&err, rc, "be the supervisor", NULL, NULL, "process %d is it already",
                      (int)lock_holder(LOCK_SUPERVISOR));
    else if (rc)
        ctl_error_set(&err, rc, "be the supervisor", lock_file, NULL, "the file cannot be locked");
    if (rc == 0) {
        guest_log_on();
        rc = prepare(&s, &err);
    }
    if (rc >= 0)
        run(&s);
    return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
}
