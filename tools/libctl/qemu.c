// SPDX-License-Identifier: BSD-2-Clause
/*
 * qemu as back end of disks: one process for a domain, of Debian's package qemu-system-xen, which opens the images that
 * the domain's nodes below backend/qdisk name and serves them over the same ring as the kernel would. It is no device
 * model: its machine "xenpv" has no hardware, for PV and PVH guests alike.
 *
 * Place: called by disk.c, between the disk's nodes and the guest's use of it, and by device.c when disks go.
 *
 *   begin   with the first disk: two forks away from us, so that it is init's child and outlives us
 *   more    it watches the nodes and takes each disk that appears, and lets go of each that is told to close
 *   end     with the last disk, or the domain: asked to, so that it closes its images; killed if it does not
 *
 * Who it is, is never read from a node or a file: it holds a lock on a file of the domain's number from before it is
 * qemu until its end, and the kernel tells who holds that. So there is at most one for a number, one whose maker was
 * killed is found, and a number that came to mean another process is not mistaken for it.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libctl/device.h"

#define STEP      "serve a disk by qemu"
#define LOCK      "qemu-%u"
#define SOCKET    "qmp-%u"
#define LOOK_MS   500   /* between two looks at what it says while it is waited for */
#define QUIET     4     /* looks without a further word: what it said is a complaint, and all of it */
#define ANSWER_MS 30000 /* for an order, which may have much to write */
#define BREATH_MS 10    /* for a request of the guest's to come from its ring */
#define KILLED_MS 5000
#define MODEL     "/local/domain/0/device-model"

const char *qemu_program = "/usr/libexec/xen-qemu-system-i386";
const char *qemu_logs = "/var/log/umbra";
const char *qemu_group = "/sys/fs/cgroup/system.slice/umbra-supervisor.service/cgroup.procs";
unsigned qemu_begin_ms = 60000, qemu_end_ms = 10000;

int qemu_check(const char *step, const char *object, struct ctl_error *err)
{
    if (access(qemu_program, X_OK) == 0) {
        return 0;
    }
    return ctl_error_set(err, -errno, step, object, "install the package qemu-system-xen, or use a raw disk",
                         "the program %s, which serves such disks, cannot be run", qemu_program);
}

/* --- who it is --- */

static void lock_path(char path[CTL_PATH_MAX], uint32_t domid)
{
    ctl_path(path, "%s/" LOCK, hotplug_locks, domid);
}

int ctl_disks_process(uint32_t domid)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[CTL_PATH_MAX];
    int fd, rc;

    lock_path(path, domid);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return 0;
    }
    rc = fcntl(fd, F_GETLK, &lock);
    close(fd);
    return rc == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

void ctl_disks_log_trim(uint32_t domid, size_t most)
{
    int pid = ctl_disks_process(domid), rc = 0;
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, STDERR_FILENO);
    if (pid && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size > most) {
        rc = truncate(path, 0); /* it appends */
    }
    (void)rc; /* the next look tries it again */
}

/* --- its log --- */

/* Of a process that lives, where it writes; else by the domain's name, which the tools let be a part of a path. */
static void log_path(struct ctl *ctl, uint32_t domid, char path[CTL_PATH_MAX])
{
    int pid = ctl_disks_process(domid);
    char link[64], *name;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/%d/fd/%d", pid, STDERR_FILENO);
    n = pid ? readlink(link, path, CTL_PATH_MAX - 1) : -1;
    if (n > 0) {
        path[n] = '\0';
        return;
    }
    name = ctl_store_read_domain(ctl, domid, "name", NULL);
    if (name && *name && !strchr(name, '/')) {
        ctl_path(path, "%s/qemu-%.100s.log", qemu_logs, name);
    } else {
        ctl_path(path, "%s/qemu-domain%u.log", qemu_logs, domid);
    }
    free(name);
}

/* That of the process before is kept. */
static int open_log(const char *path)
{
    char old[CTL_PATH_MAX];

    mkdir(qemu_logs, 0750);
    if (words_log_end(path) > 0 && ctl_path(old, "%s.1", path) == 0) {
        rename(path, old);
    }
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
}

static int failed(const struct device *d, int code, off_t said, const char *what, struct ctl_error *err)
{
    struct words w = {0};
    char path[CTL_PATH_MAX], hint[CTL_PATH_MAX + 32];

    log_path(d->ctl, d->domid, path);
    words_of_log(&w, path, said);
    snprintf(hint, sizeof(hint), "all that it said is in %s", path);
    return device_fail(d, err, code, STEP, hint, "qemu %s%s%s", what, *w.text ? ": " : "", w.text);
}

/* --- beginning --- */

#define REPORT (STDERR_FILENO + 1) /* descriptor on which the process says who it is */

/* In the process that becomes qemu: its number, or -errno, to whoever waits. If nobody does any more, SIGPIPE ends it:
 * nobody would give it a disk. */
static void report(int number)
{
    if (write(REPORT, &number, sizeof(number)) < 0) {
        _exit(1);
    }
}

/*
 * systemd ends what a login has begun when the host goes down, at once with the guests that need it. The supervisor's
 * unit (tools/package/units) leaves to itself what it has begun, and ends after the guests. A host without that unit
 * has no such group.
 */
static void leave_session(void)
{
    int fd = open(qemu_group, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : write(fd, "0", 1);

    (void)n; /* then it ends with the login's */
    if (fd >= 0) {
        close(fd);
    }
}

static void plain_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++) {
        signal(sig, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing of the caller's stays open. */
static void plain_files(int log, int to_report)
{
    int null = open("/dev/null", O_RDONLY);

    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    dup2(to_report, REPORT);
    close_range(REPORT + 1, ~0u, 0);
    fcntl(REPORT, F_SETFD, FD_CLOEXEC);
}

/* The descriptor stays open for as long as the process lives, and with it the lock. -EEXIST: another process has it. */
static int take_lock(uint32_t domid)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[CTL_PATH_MAX];
    int fd;

    lock_path(path, domid);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    if (fcntl(fd, F_SETLK, &lock)) {
        return errno == EAGAIN || errno == EACCES ? -EEXIST : -errno;
    }
    return 0;
}

static void run(uint32_t domid, const char *name)
{
    char number[16], title[CTL_NAME_MAX + 16], monitor[CTL_PATH_MAX + 64];

    snprintf(number, sizeof(number), "%u", domid);
    snprintf(title, sizeof(title), "%.*s,process=qemu-%u", CTL_NAME_MAX, name, domid);
    snprintf(monitor, sizeof(monitor), "socket,id=umbra,server=on,wait=off,path=%s/" SOCKET, hotplug_locks, domid);
    execl(qemu_program, qemu_program, "-xen-domid", number, "-xen-attach", "-name", title, "-machine", "xenpv",
          "-nodefaults", "-no-user-config", "-display", "none", "-chardev", monitor, "-mon",
          "chardev=umbra,mode=control", (char *)NULL);
    dprintf(STDERR_FILENO, "%s cannot be run: %s\n", qemu_program, strerror(errno));
    _exit(127);
}

static void become(const struct device *d, const char *name, int log, int to_report)
{
    char socket_path[CTL_PATH_MAX];
    int rc = -EIO;

    setsid();
    plain_signals();
    plain_files(log, to_report);
    umask(077);
    leave_session();
    if (chdir("/") == 0) {
        rc = take_lock(d->domid);
    }
    report(rc < 0 ? rc : (int)getpid());
    if (rc == 0) {
        ctl_path(socket_path, "%s/" SOCKET, hotplug_locks, d->domid);
        unlink(socket_path);
        run(d->domid, name);
    }
    _exit(1);
}

/* The number that the process says, or -errno. */
static int hear_number(int fd)
{
    int number;
    ssize_t n;

    do {
        n = read(fd, &number, sizeof(number));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(number) ? number : -EIO;
}

static int fork_twice(const struct device *d, const char *name, int log)
{
    int fds[2], rc;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC)) {
        return -errno;
    }
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (fork() == 0) {
            become(d, name, log, fds[1]);
        }
        _exit(0);
    }
    rc = child < 0 ? -errno : 0;
    close(fds[1]);
    rc = rc < 0 ? rc : hear_number(fds[0]);
    close(fds[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        continue;
    }
    return rc;
}

/* Where other tools look for it: when xl ends the domain, it ends the process with it. */
static int note_number(const struct device *d, int pid, struct ctl_error *err)
{
    char path[CTL_PATH_MAX], number[16];

    ctl_path(path, "/local/domain/%u/image/device-model-pid", d->domid);
    snprintf(number, sizeof(number), "%d", pid);
    return ctl_store_write_domain(d->ctl, d->domid, path, number, err);
}

/* Its number, or 0: another process has the lock since we looked. */
static int begin_with(const struct device *d, int log, struct ctl_error *err)
{
    char *name = ctl_store_read_domain(d->ctl, d->domid, "name", NULL);
    int rc;

    mkdir(hotplug_locks, 0755);
    rc = fork_twice(d, name && !strpbrk(name, ",=") ? name : "guest", log);
    free(name);
    if (rc == -EEXIST) {
        return 0;
    }
    return rc < 0
               ? device_fail(d, err, rc, STEP, NULL, "no process with a lock in %s can be made for it", hotplug_locks)
               : rc;
}

static int begin(const struct device *d, const char *path, off_t *said, struct ctl_error *err)
{
    int log = open_log(path), rc;

    if (log < 0) {
        return device_fail(d, err, -errno, STEP, NULL, "its log %s cannot be written", path);
    }
    *said = words_log_end(path);
    rc = begin_with(d, log, err);
    close(log);
    return rc > 0 ? note_number(d, rc, err) : rc;
}

int qemu_start(const struct device *d, off_t *said, struct ctl_error *err)
{
    char path[CTL_PATH_MAX];

    log_path(d->ctl, d->domid, path);
    *said = words_log_end(path);
    return ctl_disks_process(d->domid) ? 0 : begin(d, path, said, err);
}

/* What its log had at the last look, and how many looks ago that was there first. */
struct silence {
    off_t length;
    int looks;
};

/* Has it said something behind `said`, and then nothing for a while? On a slow host a mere remark is not the end. */
static bool complains(const struct device *d, off_t said, struct silence *last)
{
    char path[CTL_PATH_MAX];
    off_t now;

    log_path(d->ctl, d->domid, path);
    now = words_log_end(path);
    last->looks = now == last->length ? last->looks + 1 : 0;
    last->length = now;
    return now > said && last->looks >= QUIET;
}

int qemu_wait_taken(const struct device *d, off_t said, struct ctl_error *err)
{
    uint64_t until = ctl_deadline(qemu_begin_ms);
    struct silence last = {.length = said};
    int rc;

    while ((rc = device_wait(d, "hotplug-status", "connected", LOOK_MS)) == -ETIMEDOUT) {
        if (!ctl_disks_process(d->domid)) {
            return failed(d, -EPIPE, said, "has ended", err);
        }
        if (complains(d, said, &last)) {
            return failed(d, -EIO, said, "does not take it", err);
        }
        if (ctl_now_ms() > until) {
            return failed(d, rc, said, "does not take it in time", err);
        }
    }
    /* One that it could not make it has taken away again. */
    return rc < 0 ? failed(d, rc == -ENOENT ? -EIO : rc, said, "does not take it", err) : 0;
}

/* --- orders --- */

static int connect_to(uint32_t domid)
{
    const struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0) {
        return -errno;
    }
    rc = snprintf(to.sun_path, sizeof(to.sun_path), "%s/" SOCKET, hotplug_locks, domid);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* for connect(2) as well */
    if (rc >= (int)sizeof(to.sun_path)) {
        errno = ENAMETOOLONG;
    } else if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
        return fd;
    }
    rc = -errno;
    close(fd);
    return rc;
}

/*
 * An order of its monitor's protocol (QEMU's docs/interop/qmp-spec.txt), carried out when this returns 0. The stream is
 * read alone: one that is written to as well loses what has been read ahead.
 */
static int order(FILE *monitor, const char *name)
{
    uint64_t until = ctl_deadline(ANSWER_MS);
    char *line = NULL, text[64];
    size_t size = 0;
    int n = snprintf(text, sizeof(text), "{\"execute\": \"%s\"}\n", name);
    int rc = send(fileno(monitor), text, (size_t)n, MSG_NOSIGNAL) == n ? 1 : -EPIPE;

    while (rc > 0) { /* events come in between */
        errno = 0;
        if (ctl_now_ms() > until) {
            rc = -ETIMEDOUT;
        } else if (getline(&line, &size, monitor) < 0) {
            rc = errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
        } else if (strncmp(line, "{\"return\"", 9) == 0) {
            rc = 0;
        } else if (strncmp(line, "{\"error\"", 8) == 0) {
            rc = -EIO;
        }
    }
    free(line);
    return rc;
}

/*
 * A stopped machine has nothing under way and everything written; what a disk's other half sends is served all the
 * same. Twice: what was in a ring at first was not under way yet.
 */
int qemu_flush(const struct device *d, struct ctl_error *err)
{
    static const char *const orders[] = {"qmp_capabilities", "stop", "cont", "stop", "cont"};
    int fd = connect_to(d->domid), rc = fd < 0 ? fd : 0;
    FILE *monitor = fd < 0 ? NULL : fdopen(fd, "r");

    if (fd >= 0 && !monitor) {
        rc = -errno;
        close(fd);
    }
    for (size_t i = 0; i < CTL_ARRAY(orders) && rc == 0; i++) {
        rc = order(monitor, orders[i]);
        nanosleep(&(struct timespec){.tv_nsec = BREATH_MS * 1000000L}, NULL);
    }
    if (monitor) {
        fclose(monitor);
    }
    return rc < 0 ? device_fail(d, err, rc, STEP, NULL, "qemu does not write out what it has") : 0;
}

/* --- ending --- */

static bool ends(int pidfd, int sig, unsigned timeout_ms)
{
    struct pollfd fd = {.fd = pidfd, .events = POLLIN};
    uint64_t until = ctl_deadline(timeout_ms), now;
    int n;

    pidfd_send_signal(pidfd, sig, NULL, 0);
    do {
        now = ctl_now_ms();
        n = poll(&fd, 1, now < until ? (int)(until - now) : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Between the two looks nobody else can have become it. */
static void end_process(uint32_t domid)
{
    int pid = ctl_disks_process(domid), fd = pid ? pidfd_open(pid, 0) : -1;

    if (fd >= 0 && ctl_disks_process(domid) == pid && !ends(fd, SIGTERM, qemu_end_ms)) {
        ends(fd, SIGKILL, KILLED_MS);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* What is above the nodes of its disks, of which it has removed the lowest alone. */
static void prune_backs(struct ctl *ctl, uint32_t domid)
{
    char path[CTL_PATH_MAX];

    ctl_path(path, DEVICE_BACKENDS "/%s/%u", device_back_name(DEVICE_QDISK), domid);
    for (int i = 0; i < 3; i++) {
        ctl_store_prune(ctl, path);
        *strrchr(path, '/') = '\0';
    }
}

void qemu_end(struct ctl *ctl, uint32_t domid)
{
    char path[CTL_PATH_MAX];

    lock_path(path, domid);
    if (access(path, F_OK)) {
        return; /* it never had one */
    }
    end_process(domid);
    if (!ctl_disks_process(domid)) { /* one that even SIGKILL does not end is to be found again */
        unlink(path);
    }
    ctl_path(path, "%s/" SOCKET, hotplug_locks, domid);
    unlink(path);
    ctl_path(path, "/local/domain/%u/image/device-model-pid", domid);
    ctl_store_remove(ctl, path, NULL);
    ctl_path(path, MODEL "/%u", domid);
    ctl_store_remove(ctl, path, NULL);
    ctl_store_prune(ctl, MODEL);
    prune_backs(ctl, domid);
}

/* Disks that the domain has by it, as a number; or -errno. */
static int disks(struct ctl *ctl, uint32_t domid)
{
    char path[CTL_PATH_MAX], **names;
    int n;

    ctl_path(path, DEVICE_BACKENDS "/%s/%u", device_back_name(DEVICE_QDISK), domid);
    n = ctl_store_list(ctl, path, &names, NULL);
    free(names);
    return n;
}

void qemu_end_idle(struct ctl *ctl, uint32_t domid)
{
    if (disks(ctl, domid) == 0) {
        qemu_end(ctl, domid);
    }
}

bool ctl_disks_unserved(struct ctl *ctl, uint32_t domid)
{
    return disks(ctl, domid) > 0 && !ctl_disks_process(domid);
}
