/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The watcher of one guest (see watch.h).
 *
 *   start: fork twice -> own session, own handle, log -> state file "running" -> tell the parent
 *   loop:  wait for the domain's end -> gone: leave | its reason chooses the action
 *          destroy:  drain the console, remove the domain, leave
 *          preserve: state "preserved", stay until it is gone
 *          restart:  state "rebooting", remove, build anew with the same uuid, go on
 *
 * The console is drained first because a guest's last words are still in its ring when it stops, and the ring's page
 * goes with the domain. A guest may keep its ring full for ever: the time for that is bounded.
 *
 * Invariant: the state file exists exactly while this process is in charge. If the process is killed the file stays,
 * and shows a process id that is not alive.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/io/console.h>

#include "cli/guest_state.h"
#include "cli/watch.h"

#define LOG_MAX      (1 << 20)
#define DRAIN_MS     2000 /* at most, for the console daemon to take what is in the ring */
#define GRACE_MS     200  /* and to pass it on */
#define POLL_MS      20
#define BUILD_TRIES  5  /* memory of the old domain may come back late */
#define FAST_SECONDS 10 /* a guest that lived shorter than this ... */
#define FAST_LIMIT   5  /* ... this often in a row is not restarted again */

const char *watch_log_dir = "/var/log/umbra";

struct watch {
    const struct config *config;
    struct ctl *ctl;
    uint32_t domid;
    time_t born;
    int fast; /* short lives in a row */
};

enum next { NEXT_GO_ON, NEXT_LEAVE };

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
    char stamp[32] = "";
    struct timespec now;
    struct tm tm;
    va_list args;

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm))
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(stderr, "%s.%03ldZ ", stamp, now.tv_nsec / 1000000);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
}

static void say_error(const struct ctl_error *err)
{
    char text[800];

    ctl_error_format(err, text, sizeof(text));
    say("%s", text);
}

static void put_state(const struct watch *w, const char *state)
{
    int rc = guest_state_write(w->config->uuid.bytes, w->domid, getpid(), state, w->config);

    if (rc)
        say("the state file cannot be written: %s", strerror(-rc));
}

/* --- building -------------------------------------------------------------------------------------------------------
 */

static int set_affinity(struct ctl *ctl, const struct config *c, uint32_t domid, struct ctl_error *err)
{
    struct ctl_affinity map = {0};
    int rc = 0;

    if (!c->cpus || config_cpu_map(c->cpus, map.hard))
        return 0;
    memset(map.soft, 0xff, sizeof(map.soft));
    for (uint32_t v = 0; v < (uint32_t)c->maxvcpus && rc >= 0; v++)
        rc = ctl_vcpu_set_affinity(ctl, domid, v, &map, err);
    if (rc < 0)
        ctl_error_field(err, "cpus");
    return rc;
}

int guest_build(struct ctl *ctl, const struct config *c, uint32_t *domid, struct ctl_error *err)
{
    struct ctl_domain_config build = config_build(c);
    int rc = ctl_build_pv(ctl, &build, domid, err);

    if (rc < 0)
        return rc;
    rc = set_affinity(ctl, c, *domid, err);
    if (rc < 0)
        ctl_domain_destroy(ctl, *domid, NULL);
    return rc < 0 ? rc : 0;
}

/* --- what the configuration says -------------------------------------------------------------------------------------
 */

static bool ring_empty(const volatile struct xencons_interface *ring)
{
    return ring->out_cons == ring->out_prod;
}

static void drain_console(struct watch *w)
{
    const volatile struct xencons_interface *ring;
    char path[64], *ref;
    uint64_t frame;

    snprintf(path, sizeof(path), "/local/domain/%u/console/ring-ref", w->domid);
    ref = ctl_store_read(w->ctl, path, NULL);
    if (!ref)
        return;
    frame = strtoull(ref, NULL, 10);
    free(ref);
    ring = ctl_foreign_map(w->ctl, w->domid, PROT_READ, &frame, 1, NULL);
    if (!ring)
        return;
    for (int ms = 0; ms < DRAIN_MS && !ring_empty(ring); ms += POLL_MS)
        nap(POLL_MS);
    if (!ring_empty(ring))
        say("the console daemon leaves output of domain %u unread", w->domid);
    ctl_foreign_unmap(w->ctl, (void *)(uintptr_t)ring, 1);
    nap(GRACE_MS);
}

static void remove_domain(struct watch *w)
{
    struct ctl_error err = {0};

    drain_console(w);
    if (ctl_domain_destroy(w->ctl, w->domid, &err) < 0 && err.code != -ESRCH)
        say_error(&err);
}

static enum next do_destroy(struct watch *w)
{
    remove_domain(w);
    say("domain %u is removed", w->domid);
    return NEXT_LEAVE;
}

/* Until someone destroys it: there is no event to wait for but a domain's disappearance. */
static enum next do_preserve(struct watch *w)
{
    struct ctl_domain_info info;

    say("domain %u is preserved", w->domid);
    put_state(w, "preserved");
    while (ctl_domain_info(w->ctl, w->domid, &info, NULL) == 0 && !info.dying)
        nap(500);
    return NEXT_LEAVE;
}

static int rebuild(struct watch *w)
{
    struct ctl_error err = {0};
    int rc = -ENOMEM;

    for (int i = 0; i < BUILD_TRIES && rc == -ENOMEM; i++) {
        if (i)
            nap(1000);
        rc = guest_build(w->ctl, w->config, &w->domid, &err);
    }
    if (rc < 0) {
        say_error(&err);
        return rc;
    }
    put_state(w, "running");
    rc = ctl_domain_unpause(w->ctl, w->domid, &err);
    if (rc < 0) {
        say_error(&err);
        ctl_domain_destroy(w->ctl, w->domid, NULL);
    }
    return rc;
}

static enum next do_restart(struct watch *w)
{
    w->fast = time(NULL) - w->born < FAST_SECONDS ? w->fast + 1 : 0;
    if (w->fast >= FAST_LIMIT) {
        say("it lived less than %d seconds %d times in a row: not restarted", FAST_SECONDS, w->fast);
        return do_destroy(w);
    }
    put_state(w, "rebooting");
    remove_domain(w);
    if (rebuild(w) < 0) {
        say("it could not be started again");
        return NEXT_LEAVE;
    }
    w->born = time(NULL);
    say("started again as domain %u", w->domid);
    return NEXT_GO_ON;
}

static enum next on_end(struct watch *w, unsigned reason)
{
    static const char *const names[] = {"powered off", "rebooted", "suspended", "crashed",
                                        "was bitten by its watchdog"};
    int action;

    if (reason == SHUTDOWN_suspend) { /* whoever asked for that will resume or destroy it */
        nap(500);
        return NEXT_GO_ON;
    }
    say("domain %u %s", w->domid, reason < 5 ? names[reason] : "stopped for an unknown reason");
    action = reason == SHUTDOWN_poweroff ? w->config->on_poweroff
             : reason == SHUTDOWN_reboot ? w->config->on_reboot
                                         : w->config->on_crash;
    if (action == CTL_ACTION_PRESERVE)
        return do_preserve(w);
    return action == CTL_ACTION_RESTART ? do_restart(w) : do_destroy(w);
}

static void watch_loop(struct watch *w)
{
    struct ctl_domain_end end;
    enum next next = NEXT_GO_ON;

    while (next == NEXT_GO_ON) {
        struct ctl_error err = {0};
        int rc = ctl_domain_wait(w->ctl, w->domid, CTL_WAIT_FOREVER, &end, &err);

        if (rc == -ESRCH || (rc >= 0 && end.gone)) {
            say("domain %u is gone", w->domid);
            return;
        }
        if (rc < 0) {
            say_error(&err);
            nap(1000);
            continue;
        }
        next = on_end(w, end.reason);
    }
}

/* --- becoming a background process -----------------------------------------------------------------------------------
 */

static int open_log(const char *name)
{
    char path[256], old[sizeof(path) + 4];
    struct stat st;

    mkdir(watch_log_dir, 0750);
    snprintf(path, sizeof(path), "%s/%s.log", watch_log_dir, name);
    snprintf(old, sizeof(old), "%s.1", path);
    if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
        rename(path, old);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
}

/* Nothing of the caller's may stay open: someone may be waiting for the end of a pipe. */
static void detach(const char *name)
{
    int null = open("/dev/null", O_RDWR), log = open_log(name);

    setsid();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    if (chdir("/"))
        say("chdir: %s", strerror(errno));
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    if (null > 2)
        close(null);
    if (log > 2)
        close(log);
    prctl(PR_SET_NAME, "umbra-watch");
}

static void tell(int fd, const struct ctl_error *err)
{
    ssize_t n = write(fd, err, sizeof(*err));

    (void)n; /* a parent that died needs no answer */
    close(fd);
}

static void run_watcher(const struct config *c, struct ctl *inherited, uint32_t domid, int report)
{
    struct watch w = {.config = c, .domid = domid, .born = time(NULL)};
    struct ctl_error err = {0};
    int rc;

    detach(c->name);
    ctl_close(inherited);
    w.ctl = ctl_open(&err);
    if (!w.ctl) {
        tell(report, &err);
        return;
    }
    rc = guest_state_write(c->uuid.bytes, domid, getpid(), "running", c);
    if (rc)
        ctl_error_set(&err, rc, "start the watcher", guest_state_dir, NULL, "the state file cannot be written");
    tell(report, &err);
    if (rc == 0) {
        say("watching domain %u", domid);
        watch_loop(&w);
        guest_state_remove(c->uuid.bytes);
    }
    ctl_close(w.ctl);
}

/* In the parent: what the watcher said, if it came to say anything. */
static int hear(int fd, struct ctl_error *err)
{
    struct ctl_error said;
    ssize_t n;

    do {
        n = read(fd, &said, sizeof(said));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(said))
        return ctl_error_set(err, -EIO, "start the watcher", watch_log_dir, "see the guest's log there",
                             "it ended at once");
    if (said.code == 0)
        return 0;
    if (err)
        *err = said;
    return said.code;
}

/* Kernel and RAM disk must be found again when the guest is rebuilt, from another directory. */
static int make_absolute(char **path)
{
    char *absolute;

    if (!*path || **path == '/')
        return 0;
    absolute = realpath(*path, NULL);
    if (!absolute)
        return -errno;
    free(*path);
    *path = absolute;
    return 0;
}

int watch_start(struct config *c, struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    int fds[2], status, rc = make_absolute(&c->kernel);
    pid_t child;

    if (!rc)
        rc = make_absolute(&c->ramdisk);
    if (!rc && pipe2(fds, O_CLOEXEC))
        rc = -errno;
    if (rc)
        return ctl_error_set(err, rc, "start the watcher", NULL, NULL, "it cannot be prepared");
    fflush(NULL);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        if (fork() == 0)
            run_watcher(c, ctl, domid, fds[1]);
        _exit(0); /* no exit handlers: they belong to the parent */
    }
    close(fds[1]);
    if (child < 0)
        rc = ctl_error_set(err, -errno, "start the watcher", NULL, NULL, "no process can be made");
    else
        rc = hear(fds[0], err);
    close(fds[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return rc;
}
