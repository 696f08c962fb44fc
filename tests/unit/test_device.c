/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/libctl: a device's way from its nodes to its end, on a store with a back end's driver and a guest that do what
 * the test wants: whatever the guest does or leaves, detaching and removing end in time, and nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "libctl/device.h"
#include "fake_xs.h"
#include "store_bench.h"

#define PLACE "test_device.dir"
#define BACK  "/local/domain/0/backend/vbd/5/51712"
#define VIF   "/local/domain/0/backend/vif/5/3"
#define FRONT "/local/domain/5/device/vbd/51712"

static char place[300], disk[400], script[400], bridge_script[400], log_file[400];
static enum { OBLIGING, STUBBORN } guest;

static struct ctl_domain_info domain;

/* --- what the library stands on --- */

int ctl_domain_info(struct ctl *c, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *e)
{
    *info = domain;
    return 0;
}

/* --- the others --- */

/* The back end's driver, as Linux's: it takes a new device, waits for the guest to close, and lets go of one whose
 * front end is gone only if it was told to close. The script's word is there at once. */
static void driver(const char *path)
{
    if (strcmp(path, BACK "/state") == 0 && is(path, "1")) {
        xs_fake_set(BACK "/hotplug-status", "connected");
        xs_fake_set(BACK "/state", "2");
    } else if (strcmp(path, BACK "/state") == 0 && is(path, "5") && guest == OBLIGING) {
        xs_fake_set(BACK "/state", "6");
    } else if (strcmp(path, FRONT) == 0 && is(BACK "/state", "5")) {
        xs_fake_set(BACK "/state", "6");
    }
}

static void put_file(const char *name, const char *text, mode_t mode)
{
    put_bytes(name, text, strlen(text));
    assert_int_equal(chmod(name, mode), 0);
}

static int count_lines(const char *word)
{
    FILE *f = fopen(log_file, "r");
    char line[64];
    int n = 0;

    while (f && fgets(line, sizeof(line), f))
        n += strstr(line, word) != NULL;
    if (f)
        fclose(f);
    return n;
}

static int fresh(void **state)
{
    char text[600];

    bench_fresh(driver);
    xs_fake_set("/local/domain/5/vm", "/vm/five");
    xs_fake_set("/local/domain/6/vm", "/vm/six");
    guest = OBLIGING;
    snprintf(text, sizeof(text), "#!/bin/sh\necho $1 $XENBUS_PATH >>%s\n", log_file);
    put_file(script, text, 0755);
    put_file(disk, "", 0600);
    unlink(log_file);
    return truncate(disk, 4096);
}

static int attach(uint32_t domid, bool readonly)
{
    const struct ctl_disk d = {.vdev = "xvda", .target = disk, .readonly = readonly};

    return ctl_disk_attach(ctl, domid, &d, &err);
}

static int detach(bool force, unsigned timeout_ms)
{
    const struct ctl_detach how = {.force = force, .timeout_ms = timeout_ms};

    return ctl_device_detach(ctl, 5, CTL_DISK, 51712, &how, &err);
}

static int nodes_left(void)
{
    return xs_fake_count("/device/vbd") + xs_fake_count("/backend/vbd") + xs_fake_count("/libxl/5/");
}

static void test_comes_and_goes(void **state)
{
    assert_int_equal(attach(5, false), 0);
    assert_true(is(BACK "/params", disk));
    assert_true(is(FRONT "/backend", BACK));
    assert_true(is("/libxl/5/device/vbd/51712/frontend", FRONT));
    assert_int_equal(count_lines("add /local/domain/0/backend/vbd/5/51712"), 1);
    assert_int_equal(attach(5, false), -EEXIST);
    xs_fake_set("/local/domain/0/error/backend/vbd/5/51712/error", "22 saw state -1 at frontend");
    xs_fake_set("/local/domain/0/error/backend/vbd/6/51712/error", "of another domain");
    assert_int_equal(detach(false, 1000), 0);
    assert_int_equal(xs_fake_count("/error/backend/vbd/5"), 0);
    assert_non_null(xs_fake_get("/local/domain/0/error/backend/vbd/6/51712/error"));
    xs_fake_remove("/local/domain/0/error");
    assert_int_equal(count_lines("remove"), 1);
    assert_int_equal(nodes_left(), 0);
}

/* A script learns whose device it is, by the name that the guest is to have. */
static void test_script_knows_guest(void **state)
{
    char text[600];

    snprintf(text, sizeof(text), "#!/bin/sh\necho $1 ${UMBRA_GUEST_NAME-none} ${UMBRA_GUEST_UUID-none} >>%s\n",
             log_file);
    put_file(script, text, 0755);
    xs_fake_set("/local/domain/5/name", "web1--incoming");
    assert_int_equal(attach(5, false), 0);
    assert_int_equal(count_lines("add web1 five"), 1);
    xs_fake_set("/local/domain/5/name", "--incoming");
    xs_fake_remove("/local/domain/5/vm");
    assert_int_equal(detach(true, 1000), 0);
    assert_int_equal(count_lines("remove --incoming none"), 1);
    xs_fake_remove("/local/domain/5/name");
}

/* One that never closes: asking ends in time, and taking it away without asking does. */
static void test_never_closes(void **state)
{
    uint64_t before;

    guest = STUBBORN;
    assert_int_equal(attach(5, false), 0);
    before = ctl_now_ms();
    assert_int_equal(detach(false, 200), -EBUSY);
    assert_in_range(ctl_now_ms() - before, 150, 2000);
    assert_true(xs_fake_get(BACK "/state") != NULL);
    assert_int_equal(detach(true, 0), 0);
    assert_true(ctl_now_ms() - before < 3000);
    assert_int_equal(nodes_left(), 0);
    assert_int_equal(attach(5, false), 0);
    before = ctl_now_ms();
    assert_int_equal(ctl_devices_end(ctl, 5, &err), 0);
    assert_true(ctl_now_ms() - before < 2000);
    assert_int_equal(nodes_left(), 0);
}

/* The guest's driver connects between our look and our word. */
static void connects(void)
{
    if (is(BACK "/state", "2"))
        xs_fake_set(BACK "/state", "4");
}

static void test_connects_meanwhile(void **state)
{
    assert_int_equal(attach(5, false), 0);
    xs_fake_begins = connects;
    assert_int_equal(detach(false, 500), 0);
    xs_fake_begins = NULL;
    assert_int_equal(nodes_left(), 0);
    guest = STUBBORN;
    assert_int_equal(attach(5, false), 0);
    xs_fake_begins = connects;
    assert_int_equal(ctl_devices_end(ctl, 5, &err), 0);
    assert_int_equal(nodes_left(), 0);
}

static void note(int sig)
{
}

/* From its second transaction on, which is the one that withdraws what was asked. */
static void hammer(void)
{
    xs_fake_conflicts = is("/local/domain/5/control/shutdown", "poweroff");
}

/* Signals that somebody handles do not end a wait. */
static void test_signals(void **state)
{
    struct sigaction action = {.sa_handler = note}, before;
    struct itimerval often = {{0, 20000}, {0, 20000}}, never = {0};
    uint64_t began;

    guest = STUBBORN;
    assert_int_equal(attach(5, false), 0);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    began = ctl_now_ms();
    assert_int_equal(detach(false, 400), -EBUSY);
    assert_true(ctl_now_ms() - began >= 350);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
}

/* A guest that writes to its nodes all the time makes every transaction on them fail, and must keep nobody for ever. */
static void test_conflicts(void **state)
{
    const struct ctl_store_change change = {"/local/domain/5/data", "1", NULL};

    xs_fake_conflicts = true;
    alarm(20);
    assert_int_equal(attach(6, false), -EEXIST); /* of the second try: this store keeps what was given up */
    assert_int_equal(ctl_store_write_domain(ctl, 5, "/local/domain/5/control/sysrq", "s", &err), -EAGAIN);
    assert_non_null(strstr(err.message, "all the time"));
    assert_int_equal(ctl_store_change(ctl, &change, 1, &err), -EAGAIN);
    ctl_store_prune(ctl, "/local/domain/5/empty");
    xs_fake_begun = 0;
    domain.paused = false;
    assert_int_equal(ctl_domain_request(ctl, 5, CTL_REQUEST_POWEROFF, 100, &err), -EAGAIN);
    assert_in_range(xs_fake_begun, 2, 1000);
    xs_fake_conflicts = false;
    xs_fake_begins = hammer;
    xs_fake_set("/local/domain/5/control/shutdown", "");
    assert_int_equal(ctl_domain_request(ctl, 5, CTL_REQUEST_POWEROFF, 100, &err), 0); /* taken, as far as one can see */
    alarm(0);
}

/* --- disks that others have --- */

/* Another guest's device, with nodes as far as they matter. */
static void other_has_it(const char *mode)
{
    xs_fake_set("/local/domain/0/backend/vbd/6/51728/params", disk);
    xs_fake_set("/local/domain/0/backend/vbd/6/51728/mode", mode);
}

static void comes_first(void)
{
    xs_fake_begins = NULL;
    other_has_it("w");
}

static void test_shared(void **state)
{
    other_has_it("w");
    assert_int_equal(attach(5, false), -EBUSY);
    assert_non_null(strstr(err.message, "is in use by domain 6"));
    assert_int_equal(attach(5, true), -EBUSY);
    other_has_it("r");
    assert_int_equal(attach(5, false), -EBUSY);
    assert_int_equal(attach(5, true), 0);
    assert_int_equal(detach(false, 1000), 0);
    other_has_it("w");
    xs_fake_set("/local/domain/6/vm", "/vm/five");
    assert_int_equal(attach(5, false), 0);
}

static bool no_lists(const char *call)
{
    errno = EIO;
    return strcmp(call, "xs_directory") == 0;
}

/* Who has which disk is not known: it is not taken for nobody's. */
static void test_shared_unknown(void **state)
{
    xs_fake_fails = no_lists;
    assert_int_equal(attach(5, false), -EIO);
    assert_string_equal(err.step, "list in xenstore");
    xs_fake_fails = NULL;
    assert_int_equal(nodes_left(), 0);
    assert_int_equal(count_lines("add"), 0);
}

/* Another guest gets the disk between our question and our nodes. */
static void test_shared_meanwhile(void **state)
{
    xs_fake_begins = comes_first;
    assert_int_equal(attach(5, false), -EBUSY);
    assert_non_null(strstr(err.message, "is in use by domain 6"));
    assert_int_equal(count_lines("add"), 0);
    xs_fake_remove("/local/domain/0/backend/vbd/6");
    assert_int_equal(nodes_left(), 1); /* the other's directory was */
}

/* --- what is still to come --- */

static int check(const char *target, bool readonly, int64_t twin)
{
    const struct ctl_disk d = {.vdev = "xvda", .target = target, .readonly = readonly};

    memset(&err, 0, sizeof(err));
    return ctl_disk_check(ctl, &d, twin, &err);
}

static void test_would_take(void **state)
{
    struct ctl_disk d = {.vdev = "xvda", .target = "anything", .script = "block"};
    struct ctl_vif v = {.devid = 3, .bridge = "lo"};

    assert_int_equal(check(disk, false, CTL_NO_TWIN), 0);
    assert_int_equal(check("/nowhere/at.all", false, CTL_NO_TWIN), -ENOENT);
    assert_string_equal(err.object, "disk xvda");
    assert_string_equal(err.message, "/nowhere/at.all cannot be found");
    assert_int_equal(check(place, false, CTL_NO_TWIN), -EINVAL);
    other_has_it("w");
    assert_int_equal(check(disk, false, CTL_NO_TWIN), -EBUSY);
    assert_int_equal(check(disk, false, 6), 0);
    assert_int_equal(check(disk, false, 7), -EBUSY);
    assert_int_equal(ctl_disk_check(ctl, &d, CTL_NO_TWIN, &err), 0);
    d.script = "block-nothing";
    assert_int_equal(ctl_disk_check(ctl, &d, CTL_NO_TWIN, &err), -ENOENT);
    assert_non_null(strstr(err.message, "block-nothing cannot be run"));
    v.script = "sub/nothing"; /* one of that directory, too */
    assert_int_equal(ctl_vif_check(&v, &err), -ENOENT);
    assert_non_null(strstr(err.message, PLACE "/sub/nothing cannot be run"));
    v.script = script;
    assert_int_equal(ctl_vif_check(&v, &err), 0);
    v.script = "vif-bridge";
    assert_int_equal(ctl_vif_check(&v, &err), -ENOENT);
    assert_int_equal(symlink("block", bridge_script), 0);
    assert_int_equal(ctl_vif_check(&v, &err), 0);
    v.bridge = "nobr7";
    assert_int_equal(ctl_vif_check(&v, &err), -ENODEV);
    assert_string_equal(err.object, "network interface 3");
    assert_string_equal(err.message, "there is no bridge nobr7");
    assert_int_equal(unlink(bridge_script), 0);
}

/* However long a path is, what is wrong with it is said. */
static void test_long_paths(void **state)
{
    struct ctl_disk d = {.vdev = "xvda", .target = "anything"};
    char longest[256];

    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[255] = '\0';
    assert_int_equal(check(longest, false, CTL_NO_TWIN), -ENOENT);
    assert_non_null(strstr(err.message, "xxx... cannot be found"));
    d.script = longest;
    assert_int_equal(ctl_disk_check(ctl, &d, CTL_NO_TWIN, &err), -ENOENT);
    assert_non_null(strstr(err.message, "xxx... cannot be run"));
}

static bool online_came;

static void sees_online(const char *path)
{
    online_came |= strcmp(path, BACK "/online") == 0 && is(path, "0");
    driver(path);
}

static void takes_back_away(void)
{
    xs_fake_begins = NULL;
    assert_true(is(BACK "/state", "2"));
    xs_fake_remove(BACK);
}

/* A back end that another takes away just before it is told to close does not come back by that. */
static void test_taken_away_meanwhile(void **state)
{
    for (int away = 0; away < 2; away++) {
        assert_int_equal(attach(5, false), 0);
        online_came = false;
        xs_fake_changed = sees_online;
        xs_fake_begins = away ? takes_back_away : NULL;
        detach(true, 200);
        assert_null(xs_fake_begins);
        assert_int_equal(online_came, !away);
        assert_int_equal(nodes_left(), 0);
        xs_fake_changed = driver;
    }
}

/* It may have the disk of the one that it takes over from, as long as that is said. */
static void test_twin(void **state)
{
    other_has_it("w");
    assert_int_equal(ctl_domain_set_twin(ctl, 5, 6, &err), 0);
    assert_true(is("/local/domain/5/target", "6"));
    assert_int_equal(attach(5, false), 0);
    assert_int_equal(detach(false, 1000), 0);
    assert_int_equal(ctl_domain_set_twin(ctl, 5, 7, &err), 0);
    assert_int_equal(attach(5, false), -EBUSY);
    assert_int_equal(ctl_domain_set_twin(ctl, 5, CTL_NO_TWIN, &err), 0);
    assert_null(xs_fake_get("/local/domain/5/target"));
    assert_int_equal(attach(5, false), -EBUSY);
    assert_int_equal(ctl_domain_set_twin(ctl, 9, 6, &err), -ESRCH);
}

/* --- what was written is on the disk --- */

/* Other processes count as well. */
static struct flushes {
    int done, fails;
    unsigned takes_ms;
} * flushes;

int fsync(int fd)
{
    struct stat st, ours;

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(stat(disk, &ours), 0);
    usleep(flushes->takes_ms * 1000);
    flushes->done += st.st_ino == ours.st_ino;
    errno = flushes->fails;
    return flushes->fails ? -1 : 0;
}

static void under_way(const char *figures)
{
    char path[500];

    snprintf(path, sizeof(path), "%s/7:16", place);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%s/7:16/inflight", place);
    put_file(path, figures, 0600);
}

static int enough(void *ctx, struct ctl_error *e)
{
    int *times = ctx;

    return ++*times < 3 ? 0 : ctl_error_set(e, -EINTR, "wait", NULL, NULL, "interrupted");
}

/* Requests are under way for ever, and whoever waits is told to give up: its word is the error. */
static void test_flush_given_up(void **state)
{
    int times = 0;

    flush_dir = flush_nodes = place;
    *flushes = (struct flushes){0};
    under_way("1 1\n");
    assert_int_equal(attach(5, false), 0);
    xs_fake_set(BACK "/physical-device", "7:10");
    xs_fake_set(BACK "/physical-device-path", disk);
    assert_int_equal(ctl_disks_flush(ctl, 5, enough, &times, &err), -EINTR);
    assert_string_equal(err.message, "interrupted");
    assert_int_equal(times, 3);
    assert_int_equal(flushes->done, 0);
    under_way("");
}

static void test_flush(void **state)
{
    uint64_t began;
    pid_t child;

    flush_dir = flush_nodes = place;
    *flushes = (struct flushes){0};
    under_way("       0        1\n");
    assert_int_equal(attach(5, false), 0);
    xs_fake_set(BACK "/physical-device", "7:10");
    xs_fake_set(BACK "/physical-device-path", disk);
    child = fork();
    if (child == 0) {
        usleep(200000);
        under_way("0 0\n");
        _exit(0);
    }
    began = ctl_now_ms();
    assert_int_equal(ctl_disks_flush(ctl, 5, NULL, NULL, &err), 0);
    assert_true(ctl_now_ms() - began >= 150);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(flushes->done, 1);
    flushes->fails = EIO;
    assert_int_equal(ctl_disks_flush(ctl, 5, NULL, NULL, &err), -EIO);
    assert_non_null(strstr(err.message, "may not be on the disk"));
    flushes->fails = 0;
    xs_fake_set(BACK "/mode", "r");
    assert_int_equal(ctl_disks_flush(ctl, 5, NULL, NULL, &err), 0);
    assert_int_equal(flushes->done, 2);
    assert_int_equal(ctl_disks_flush(ctl, 77, NULL, NULL, &err), 0);
    xs_fake_set(BACK "/mode", "w");
    under_way("1 1\n"); /* which it always is with one that runs */
    began = ctl_now_ms();
    assert_int_equal(ctl_disks_flush_early(ctl, 5, NULL, NULL, &err), 0);
    assert_true(ctl_now_ms() - began < 2000);
    assert_int_equal(flushes->done, 3);
    under_way("");
}

static int flush_early(int *times)
{
    return ctl_disks_flush_early(ctl, 5, enough, times, &err);
}

static int flush_asleep(int *times)
{
    return ctl_disks_flush(ctl, 5, enough, times, &err);
}

/* A device that does not answer: whoever waits is told so all the time, and need not wait for it. */
static void test_flush_hangs(void **state)
{
    int (*const flush[])(int *times) = {flush_early, flush_asleep};

    flush_dir = flush_nodes = place;
    assert_int_equal(attach(5, false), 0);
    xs_fake_set(BACK "/physical-device", "7:10");
    xs_fake_set(BACK "/physical-device-path", disk);
    for (int i = 0; i < 2; i++) {
        uint64_t began = ctl_now_ms();
        int times = i ? -3 : 0; /* those before it is flushed */

        *flushes = (struct flushes){.takes_ms = 20000};
        assert_int_equal(flush[i](&times), -EINTR);
        assert_string_equal(err.message, "interrupted");
        assert_int_equal(times, 3);
        assert_in_range(ctl_now_ms() - began, 150, 10000);
    }
    flush_early_ms = 200;
    assert_int_equal(ctl_disks_flush_early(ctl, 5, NULL, NULL, &err), 0);
    flush_early_ms = 30000;
    flushes->takes_ms = 0;
    flushes->fails = EIO; /* which is told when it sleeps */
    assert_int_equal(ctl_disks_flush_early(ctl, 5, NULL, NULL, &err), 0);
    assert_int_equal(flushes->done, 1);
    flushes->fails = 0;
    while (waitpid(-1, NULL, 0) > 0)
        ;
    assert_int_equal(flushes->done, 1);
}

/* --- loop devices whose file is gone --- */

static char loop_of[400]; /* what the only one is made of; empty: nothing */

int ioctl(int fd, unsigned long request, ...)
{
    struct loop_info64 *info;
    va_list args;

    va_start(args, request);
    info = va_arg(args, void *);
    va_end(args);
    if (!*loop_of) {
        errno = ENXIO;
        return -1;
    }
    if (request == LOOP_CLR_FD)
        *loop_of = '\0';
    else
        memcpy(info->lo_file_name, loop_of, LO_NAME_SIZE - 1);
    return 0;
}

/* A disk that the script has put on a loop device comes; `change` happens to it; it goes. Is the loop device free? */
static bool loop_freed(const char *name, void (*change)(void))
{
    xs_fake_remove(BACK);
    put_file(disk, "", 0600);
    assert_int_equal(truncate(disk, 4096), 0);
    assert_int_equal(attach(5, false), 0);
    xs_fake_set(BACK "/node", log_file);
    snprintf(loop_of, sizeof(loop_of), "%s", name);
    if (change)
        change();
    assert_int_equal(detach(false, 1000), 0);
    assert_int_equal(nodes_left(), 0);
    unlink(disk);
    return !*loop_of;
}

static void removed(void)
{
    assert_int_equal(unlink(disk), 0);
}

static void leads_nowhere(void)
{
    removed();
    assert_int_equal(symlink("/nowhere.img", disk), 0);
}

static void other_script(void)
{
    removed();
    xs_fake_set(BACK "/script", "/bin/true");
}

/* The stock script leaves it then. One that is another file's by now, or another script's, is not touched. */
static void test_file_gone(void **state)
{
    assert_true(loop_freed(disk, removed));
    assert_true(loop_freed("/nowhere.img", leads_nowhere));
    assert_false(loop_freed(disk, NULL)); /* which is the script's */
    assert_false(loop_freed("/srv/another.img", removed));
    assert_false(loop_freed(disk, other_script));
    *loop_of = '\0';
}

static void vif_ends(const char *name, const char *stray)
{
    xs_fake_set(VIF "/state", "6");
    xs_fake_set(VIF "/script", "/bin/true");
    xs_fake_set(VIF "/vifname", name);
    xs_fake_set(stray, "1500");
    assert_int_equal(ctl_device_detach(ctl, 5, CTL_VIF, 3, &(struct ctl_detach){.timeout_ms = 1000}, &err), 0);
}

/* What the stock script writes below a domain that it makes of the interface's name goes with it, and nothing else. */
static void test_stray_mtu(void **state)
{
    xs_fake_set("/local/domain/web/device/vif/eth.1/state", "4");
    vif_ends("lan0", "/local/domain/lan0/device/vif/lan0/mtu");
    assert_int_equal(xs_fake_count("/local/domain/lan0"), 0);
    vif_ends("vifweb.eth.0", "/local/domain/web.eth/device/vif/eth.0/mtu");
    assert_int_equal(xs_fake_count("/local/domain/web.eth"), 0);
    vif_ends("web.eth", "/local/domain/web/device/vif/eth/mtu");
    assert_null(xs_fake_get("/local/domain/web/device/vif/eth/mtu"));
    assert_non_null(xs_fake_get("/local/domain/web/device/vif/eth.1/state"));
    vif_ends("vif7.0", "/local/domain/7/device/vif/0/mtu");
    assert_non_null(xs_fake_get("/local/domain/7/device/vif/0/mtu"));
    xs_fake_remove("/local/domain/web");
    xs_fake_remove("/local/domain/7");
}

/* Scripts of one device, by several processes that come one after the other: never two at a time. */
static void test_one_script_at_a_time(void **state)
{
    char text[1000], line[64], last[64] = "end";
    pid_t child[8];
    int status, n = 0;
    FILE *f;

    snprintf(text, sizeof(text), "#!/bin/sh\necho begin >>%s; sleep 0.05; echo end >>%s\n", log_file, log_file);
    put_file(script, text, 0755);
    for (int i = 0; i < 8; i++) {
        child[i] = fork();
        if (child[i] == 0)
            _exit(attach(5, false) != 0);
        usleep(30000);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    f = fopen(log_file, "r");
    assert_non_null(f);
    for (; fgets(line, sizeof(line), f); n++) {
        line[strcspn(line, "\n")] = '\0';
        assert_string_not_equal(line, last);
        snprintf(last, sizeof(last), "%s", line);
    }
    fclose(f);
    assert_int_equal(n, 16);
}

/* One that says something all the time is ended all the same, and what it said last is told. */
static void test_script_never_stops(void **state)
{
    unsigned before = hotplug_script_ms;

    put_file(script, "#!/bin/sh\n[ $1 = remove ] || exec yes what now\n", 0755);
    hotplug_script_ms = 300;
    alarm(20);
    assert_int_equal(attach(5, false), -ETIMEDOUT);
    alarm(0);
    hotplug_script_ms = before;
    assert_non_null(strstr(err.message, "did not end in"));
    assert_non_null(strstr(err.message, "what now"));
    assert_int_equal(nodes_left(), 0);
}

static int setup(void **state)
{
    char here[200];

    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(place, sizeof(place), "%s/" PLACE, here);
    snprintf(disk, sizeof(disk), "%s/disk.img", place);
    snprintf(script, sizeof(script), "%s/block", place);
    snprintf(bridge_script, sizeof(bridge_script), "%s/vif-bridge", place);
    snprintf(log_file, sizeof(log_file), "%s/log", place);
    hotplug_scripts = hotplug_locks = place;
    flushes = mmap(NULL, sizeof(*flushes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(flushes, MAP_FAILED);
    return mkdir(place, 0700) && errno != EEXIST;
}

static int teardown(void **state)
{
    unlink(disk);
    unlink(script);
    unlink(log_file);
    snprintf(script, sizeof(script), "%s/7:16/inflight", place);
    unlink(script);
    *strrchr(script, '/') = '\0';
    rmdir(script);
    return rmdir(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_comes_and_goes, fresh),
        cmocka_unit_test_setup(test_script_knows_guest, fresh),
        cmocka_unit_test_setup(test_never_closes, fresh),
        cmocka_unit_test_setup(test_connects_meanwhile, fresh),
        cmocka_unit_test_setup(test_signals, fresh),
        cmocka_unit_test_setup(test_conflicts, fresh),
        cmocka_unit_test_setup(test_shared, fresh),
        cmocka_unit_test_setup(test_shared_unknown, fresh),
        cmocka_unit_test_setup(test_shared_meanwhile, fresh),
        cmocka_unit_test_setup(test_would_take, fresh),
        cmocka_unit_test_setup(test_long_paths, fresh),
        cmocka_unit_test_setup(test_taken_away_meanwhile, fresh),
        cmocka_unit_test_setup(test_twin, fresh),
        cmocka_unit_test_setup(test_flush, fresh),
        cmocka_unit_test_setup(test_flush_given_up, fresh),
        cmocka_unit_test_setup(test_flush_hangs, fresh),
        cmocka_unit_test_setup(test_file_gone, fresh),
        cmocka_unit_test_setup(test_stray_mtu, fresh),
        cmocka_unit_test_setup(test_one_script_at_a_time, fresh),
        cmocka_unit_test_setup(test_script_never_stops, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
