// SPDX-License-Identifier: BSD-2-Clause
/*
 * Runs the scripts that connect a device with the control domain's disks and networks: those of Debian's
 * xen-utils-common, or others made for libxl, in the environment that libxl gives them, and with the guest's name and
 * uuid.
 *
 * Place: called by device.c, between the nodes and the guest's use of the device. A script says in the node
 * hotplug-status how it went, and in hotplug-error why not; the stock ones send what their commands say to a log that
 * all share. Both, and what a script writes itself, come back in the error. A script that does not end in time is
 * killed with all that it started. It never learns anything from nodes that the guest can write.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libctl/device.h"

#define LOG       "/var/log/xen/xen-hotplug.log"
#define STATUS_MS 5000 /* from a script's end until its word is there */
#define POLL_MS   20
#define VM        "/vm/"
#define INCOMING  "--incoming" /* of guests that migrate-receive receives, xl's too */
#define KILL_MS   2000         /* what hangs in the kernel does not end: it is left then, with its lock */

const char *hotplug_scripts = "/etc/xen/scripts";
const char *hotplug_locks = "/run/umbra"; /* nobody else writes there */
unsigned hotplug_script_ms = 40000;

char *hotplug_path(const char *script)
{
    bool whole = *script == '/'; /* xl looks for all others there, with slashes in them too */
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", whole ? "" : hotplug_scripts, whole ? "" : "/", script) < 0) {
        return NULL;
    }
    return path;
}

int hotplug_check(const char *script, const char *step, const char *object, struct ctl_error *err)
{
    char *path = hotplug_path(script);
    int rc = !path ? -ENOMEM : access(path, X_OK) ? -errno : 0;

    if (rc < 0) {
        ctl_error_set(err, rc, step, object, NULL, "the script %.180s%s cannot be run", path ? path : script,
                      path_cut(path ? path : script));
    }
    free(path);
    return rc;
}

static const char *action_name(const struct device *d, bool comes)
{
    if (d->kind == CTL_VIF) {
        return comes ? "online" : "offline";
    }
    return comes ? "add" : "remove";
}

/* --- running it --- */

static void set_or_not(const char *variable, const char *value)
{
    if (value) {
        setenv(variable, value, 1);
    } else {
        unsetenv(variable);
    }
}

/* The guest by the name that it is to have: one on its way here has another meanwhile. No guest can write these nodes.
 */
static void set_guest(const struct device *d)
{
    char *name = ctl_store_read_domain(d->ctl, d->domid, "name", NULL);
    char *vm = ctl_store_read_domain(d->ctl, d->domid, "vm", NULL);
    size_t n = name ? strlen(name) : 0, end = strlen(INCOMING);

    if (n > end && strcmp(name + n - end, INCOMING) == 0) {
        name[n - end] = '\0';
    }
    set_or_not("UMBRA_GUEST_NAME", name);
    set_or_not("UMBRA_GUEST_UUID", vm && strncmp(vm, VM, strlen(VM)) == 0 ? vm + strlen(VM) : NULL);
    free(name);
    free(vm);
}

static void set_environment(const struct device *d, const char *script)
{
    char vif[32];

    setenv("script", script, 1);
    setenv("XENBUS_TYPE", device_back_name(d->by), 1);
    setenv("XENBUS_PATH", d->back, 1);
    setenv("XENBUS_BASE_PATH", "backend", 1);
    if (d->kind == CTL_VIF) {
        char *netdev = device_read(d, "gatewaydev");

        snprintf(vif, sizeof(vif), "vif%u.%u", d->domid, d->devid);
        setenv("vif", vif, 1);
        set_or_not("netdev", netdev);
        free(netdev);
    }
    set_guest(d);
}

/* In the child. The lock goes on to the script: it is held until that has ended, even if we are killed. */
static void become(const char *script, const char *action, bool is_vif, int out, int lock)
{
    static const int usual[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD};
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;

    for (size_t i = 0; i < CTL_ARRAY(usual); i++) {
        signal(usual[i], SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* a key that ends us must not end it in the middle */
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    fcntl(lock, F_SETFD, 0);
    execl(script, script, action, is_vif ? "type_if=vif" : NULL, (char *)NULL);
    dprintf(STDERR_FILENO, "it cannot be run: %s", strerror(errno));
    _exit(127);
}

static void end(pid_t child)
{
    uint64_t until = ctl_deadline(KILL_MS);

    kill(-child, SIGKILL);
    while (waitpid(child, NULL, WNOHANG) == 0 && ctl_now_ms() <= until) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

/* Its status as of waitpid(2), or -errno. */
static int wait_end(pid_t child, int fd, struct words *w)
{
    uint64_t until = ctl_deadline(hotplug_script_ms);
    struct pollfd out = {.fd = fd, .events = POLLIN};
    int status;
    pid_t rc;

    for (;;) {
        poll(&out, 1, POLL_MS);
        if (!words_hear(w, fd)) {
            out.fd = -1; /* nothing more comes */
        }
        rc = waitpid(child, &status, WNOHANG);
        if (rc == child) {
            words_hear(w, fd);
            return status;
        }
        if (rc < 0 && errno != EINTR) {
            return -errno;
        }
        if (ctl_now_ms() > until) {
            end(child);
            return -ETIMEDOUT;
        }
    }
}

static int start(const struct device *d, const char *script, bool comes, int lock, struct words *w)
{
    int fds[2], rc;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC)) {
        return -errno;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    set_environment(d, script);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        become(script, action_name(d, comes), d->kind == CTL_VIF, fds[1], lock);
    }
    rc = child < 0 ? -errno : 0;
    close(fds[1]);
    if (child > 0) {
        setpgid(child, child);
        rc = wait_end(child, fds[0], w);
    }
    close(fds[0]);
    return rc;
}

/* Has a script made anything that is to be undone? Its last word may be missing. */
static bool was_run(const struct device *d)
{
    static const char *const marks[] = {"hotplug-status", "physical-device", "node"};
    bool found = false;

    for (size_t i = 0; i < CTL_ARRAY(marks) && !found; i++) {
        char *mark = device_read(d, marks[i]);

        found = mark != NULL;
        free(mark);
    }
    return found;
}

/* --- one at a time for each device --- */

/* Whoever had it before may have removed the file that we waited for: others would wait for another one. */
static bool is_named(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

static int wait_lock(int fd, uint64_t until)
{
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK) {
            return -errno;
        }
        if (ctl_now_ms() > until) {
            return -ETIMEDOUT;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return 0;
}

/* A script of a process that was killed may still be at work. */
static int lock_device(const struct device *d, char path[CTL_PATH_MAX])
{
    uint64_t until = ctl_deadline(hotplug_script_ms);
    int fd = -1, rc = 0;

    mkdir(hotplug_locks, 0755);
    ctl_path(path, "%s/%s-%u-%u", hotplug_locks, device_back_name(d->by), d->domid, d->devid);
    while (fd < 0 && rc == 0) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        rc = fd < 0 ? -errno : wait_lock(fd, until);
        if (fd >= 0 && (rc < 0 || !is_named(fd, path))) {
            close(fd);
            fd = -1;
        }
    }
    return rc < 0 ? rc : fd;
}

/* --- the whole --- */

static int failed(const struct device *d, int rc, bool comes, const char *script, struct words *w,
                  struct ctl_error *err)
{
    char *why = device_read(d, "hotplug-error");
    char how[48];

    if (rc == -ETIMEDOUT) {
        snprintf(how, sizeof(how), "did not end in %u s", (hotplug_script_ms + 999) / 1000);
    } else if (rc == -EPROTO) {
        snprintf(how, sizeof(how), "ended without saying that it is done");
    } else if (rc < 0) {
        snprintf(how, sizeof(how), "could not be run");
    } else if (WIFEXITED(rc)) {
        snprintf(how, sizeof(how), "failed with status %d", WEXITSTATUS(rc));
    } else {
        snprintf(how, sizeof(how), "was ended by signal %d", WTERMSIG(rc));
    }
    if (why && *why) {
        *w = (struct words){0};
        words_keep(w, why, strlen(why));
    }
    free(why);
    return device_fail(d, err, rc < 0 ? rc : -EIO, "run the script", "what its commands said is in " LOG,
                       "%.100s%s %s %s%s%s", script, strlen(script) > 100 ? "..." : "", action_name(d, comes), how,
                       w->text[0] ? ": " : "", w->text);
}

static int run(const struct device *d, const char *script, bool comes, int lock, struct ctl_error *err)
{
    struct words said = {0}, logged = {0};
    off_t before = words_log_end(LOG);
    int rc = start(d, script, comes, lock, &said);
    char *status;

    if (rc == 0 && comes) {
        device_wait(d, "hotplug-status", "connected", STATUS_MS);
        status = device_read(d, "hotplug-status");
        if (!status || strcmp(status, "connected") != 0) {
            rc = -EPROTO;
        }
        free(status);
    }
    if (rc == 0) {
        return 0;
    }
    words_of_log(&logged, LOG, before);
    return failed(d, rc, comes, script, said.text[0] ? &said : &logged, err);
}

/* Is it a loop device made of what has that path no more? Links that lead there are followed as far as they can be. */
static bool is_loop_of(int fd, const char *file)
{
    char real[PATH_MAX] = "";
    const char *last = realpath(file, real) || !*real ? file : real; /* where it could not go on */
    struct loop_info64 loop;
    const char *name = (const char *)loop.lo_file_name;

    if (ioctl(fd, LOOP_GET_STATUS64, &loop)) {
        return false;
    }
    return strncmp(name, file, LO_NAME_SIZE - 1) == 0 || strncmp(name, last, LO_NAME_SIZE - 1) == 0;
}

/* The stock script asks by the file's name what kind of disk it is: it does nothing if the file was removed or renamed
 * meanwhile, and its loop device would keep it for ever. */
static void free_loop(const struct device *d, const char *script)
{
    char *file = device_read(d, "params"), *node = device_read(d, "node"), *stock = hotplug_path("block");
    bool left = d->by == DEVICE_VBD && file && node && stock && strcmp(script, stock) == 0;
    struct stat st;
    int fd = -1;

    if (left && (stat(file, &st) || !S_ISREG(st.st_mode))) {
        fd = open(node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    }
    if (fd >= 0) {
        if (is_loop_of(fd, file)) {
            ioctl(fd, LOOP_CLR_FD, 0); /* a back end that still has it open keeps it until then */
        }
        close(fd);
    }
    free(file);
    free(node);
    free(stock);
}

int hotplug_run(const struct device *d, bool comes, struct ctl_error *err)
{
    char *script = device_read(d, "script"), path[CTL_PATH_MAX];
    int lock, rc;

    if (!script) {
        return comes ? device_fail(d, err, -ENOENT, "run the script", NULL, "the back end names none") : 0;
    }
    lock = lock_device(d, path);
    if (lock < 0) {
        rc = device_fail(d, err, lock, "wait for an earlier script", NULL, "%s", path);
    } else {
        rc = comes || was_run(d) ? run(d, script, comes, lock, err) : 0;
        if (!comes) {
            free_loop(d, script);
        }
        if (rc != -ETIMEDOUT) {
            unlink(path); /* else a script that hangs may still have it */
        }
        close(lock);
    }
    free(script);
    return rc;
}
