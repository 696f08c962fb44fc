/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/libctl: disks that a process of qemu's serves, from its beginning to its end. qemu is this program once more,
 * told by a variable of its environment how to behave; its half of xenstore is played by the test.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "libctl/device.h"
#include "fake_xs.h"
#include "store_bench.h"

#define PLACE  "test_qemu.dir"
#define MODE   "TEST_QEMU_MODE"
#define BACK   "/local/domain/0/backend/qdisk/5/51712"
#define SECOND "/local/domain/0/backend/qdisk/5/51728"
#define FRONT  "/local/domain/5/device/vbd/51712"
#define PID    "/local/domain/5/image/device-model-pid"

static char place[300], image[400], other_image[400], log_file[400], old_log[400], orders[400], group[400];
static bool takes; /* does it take a new device? */

/* --- as qemu --- */

static void note_order(const char *line)
{
    FILE *f = fopen(getenv("TEST_QEMU_ORDERS"), "a");

    if (f) {
        fputs(line, f);
        fclose(f);
    }
}

static void say(int client, const char *line)
{
    if (write(client, line, strlen(line)) != (ssize_t)strlen(line))
        exit(1);
}

/* One that talks to it: events come between the answers, and with them. */
static void answer(int client)
{
    FILE *from = fdopen(client, "r");
    const char *with = strcmp(getenv(MODE), "refuses") == 0 ? "{\"error\": {}}" : "{\"return\": {}}";
    char line[200], said[200];

    snprintf(said, sizeof(said), "{\"event\": \"STOP\"}\n%s\n{\"event\": \"RESUME\"}\n", with);
    say(client, "{\"QMP\": {\"version\": {}}}\n");
    while (from && fgets(line, sizeof(line), from)) {
        note_order(line);
        say(client, said);
    }
    if (from)
        fclose(from);
}

static int serve(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1))
        return 1;
    fprintf(stderr, "begins\n"); /* up() */
    for (;;) {
        int client = accept(fd, NULL, NULL);

        if (client < 0)
            return 1;
        answer(client);
    }
}

static int as_qemu(int argc, char **argv)
{
    const char *path = NULL, *mode = getenv(MODE);

    for (int i = 1; i < argc; i++)
        path = strstr(argv[i], "path=") ? strstr(argv[i], "path=") + 5 : path;
    if (strcmp(mode, "dies") == 0) {
        fprintf(stderr, "no such machine\n");
        _exit(1);
    }
    if (strcmp(mode, "stubborn") == 0)
        signal(SIGTERM, SIG_IGN);
    return path ? serve(path) : 1;
}

/* --- the others --- */

static void play(const char *back)
{
    char state[200], status[200];

    snprintf(state, sizeof(state), "%s/state", back);
    snprintf(status, sizeof(status), "%s/hotplug-status", back);
    if (is(state, "1") && takes) {
        xs_fake_set(status, "connected");
        xs_fake_set(state, "2");
    } else if (is(state, "5") && takes) {
        xs_fake_remove(back);
    }
}

/* It removes its half when it has let go. One that has ended does nothing. */
static void driver(const char *path)
{
    if (strstr(path, "/state") && ctl_disks_process(5)) {
        play(BACK);
        play(SECOND);
    }
}

static void put_image(const char *name, const void *bytes, size_t n)
{
    put_bytes(name, bytes, n);
    assert_int_equal(truncate(name, 8192), 0);
}

static void be(const char *mode)
{
    setenv(MODE, mode, 1);
}

static int fresh(void **state)
{
    (void)state;
    bench_fresh(driver);
    xs_fake_set("/local/domain/5/name", "web");
    xs_fake_set("/local/domain/6/name", "other");
    takes = true;
    put_image(image, "QFI\xfb\0\0\0\3", 8);
    put_image(other_image, "QFI\xfb\0\0\0\2", 8);
    unlink(log_file);
    unlink(old_log);
    unlink(orders);
    put_bytes(group, "", 0);
    qemu_program = "/proc/self/exe";
    qemu_end_ms = 10000;
    be("good");
    return 0;
}

static int after(void **state)
{
    (void)state;
    ctl_devices_end(ctl, 5, NULL);
    return ctl_disks_process(5) != 0;
}

static int attach(const char *vdev, const char *target, enum ctl_disk_format format)
{
    const struct ctl_disk d = {.vdev = vdev, .target = target, .format = format, .qemu = true};

    return ctl_disk_attach(ctl, 5, &d, &err);
}

static int detach(uint32_t devid)
{
    const struct ctl_detach how = {.timeout_ms = 1000};

    return ctl_device_detach(ctl, 5, CTL_DISK, devid, &how, &err);
}

/* The process is what it is to become, and answers. */
static void up(void)
{
    for (int i = 0; i < 2000 && words_log_end(log_file) == 0; i++)
        usleep(10000);
    assert_true(words_log_end(log_file) > 0);
}

static int left(void)
{
    char lock[500], monitor[500];

    snprintf(lock, sizeof(lock), "%s/qemu-5", place);
    snprintf(monitor, sizeof(monitor), "%s/qmp-5", place);
    return xs_fake_count("/device/vbd") + xs_fake_count("/backend") + xs_fake_count("/libxl/5/") +
           xs_fake_count("/device-model") + xs_fake_count("device-model-pid") + !access(lock, F_OK) +
           !access(monitor, F_OK);
}

static void slurp(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;

    text[n] = '\0';
    if (f)
        fclose(f);
}

/* --- tests --- */

static void test_formats(void **state)
{
    static const struct {
        enum ctl_disk_format format;
        const char *bytes;
        int is;
    } files[] = {
        {CTL_QCOW2, "QFI\xfb\0\0\0\2", 1}, {CTL_QCOW2, "QFI\xfb\0\0\0\3", 1}, {CTL_QCOW2, "QFI\xfb\0\0\0\1", 0},
        {CTL_QCOW2, "QFI\xfb\0\0\0\4", 0}, {CTL_QCOW2, "QFI\xfc\0\0\0\2", 0}, {CTL_QCOW, "QFI\xfb\0\0\0\1", 1},
        {CTL_QCOW, "QFI\xfb\0\0\0\2", 0},  {CTL_QED, "QED\0\0\0\0\0", 1},     {CTL_QED, "QEDx\0\0\0\0", 0},
        {CTL_VHD, "conectix", 1},          {CTL_VHD, "connecti", 0},
    };
    FILE *f;

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        put_image(image, files[i].bytes, 8);
        assert_int_equal(disk_image_is(image, files[i].format), files[i].is);
    }
    f = fopen(image, "r+"); /* one of fixed size has it at its end alone */
    assert_non_null(f);
    fseek(f, 8192 - 512, SEEK_SET);
    fputs("conectix", f);
    fclose(f);
    assert_int_equal(disk_image_is(image, CTL_VHD), 1);
    assert_int_equal(truncate(image, 5), 0);
    assert_int_equal(disk_image_is(image, CTL_QCOW2), 0);
    assert_int_equal(disk_image_is(image, CTL_VHD), 0);
    assert_int_equal(disk_image_is("/nowhere/at.all", CTL_QED), -ENOENT);
}

/* One that names another file for its contents is none to be opened: what that file is, nobody has looked at. */
static void test_elsewhere(void **state)
{
    static const struct {
        char version, features;
        int is;
    } files[] = {{3, 4, -EMEDIUMTYPE}, {3, 5, -EMEDIUMTYPE}, {3, 1, 1}, {3, 0, 1}, {2, 4, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char head[80] = "QFI\xfb";

        head[7] = files[i].version;
        head[79] = files[i].features;
        put_image(image, head, sizeof(head));
        assert_int_equal(disk_image_is(image, CTL_QCOW2), files[i].is);
        if (files[i].is < 0) {
            assert_int_equal(attach("xvda", image, CTL_QCOW2), -EINVAL);
            assert_non_null(strstr(err.message, "keeps its contents in another file"));
        }
    }
}

static void test_comes_and_goes(void **state)
{
    struct ctl_device *list;
    char params[500], text[300];
    int pid;

    (void)state;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    snprintf(params, sizeof(params), "qcow2:%s", image);
    assert_true(is(BACK "/params", params));
    assert_true(is(BACK "/type", "qdisk") && is(BACK "/mode", "w") && is(BACK "/dev", "xvda"));
    assert_true(is(BACK "/online", "1") && is(BACK "/device-type", "disk") && is(BACK "/discard-enable", "1"));
    assert_null(xs_fake_get(BACK "/script"));
    assert_true(is(FRONT "/backend", BACK));
    assert_true(is("/libxl/5/device/vbd/51712/backend", BACK));
    pid = ctl_disks_process(5);
    assert_true(pid > 0);
    slurp(group, text, sizeof(text)); /* which means: the one that writes this */
    assert_string_equal(text, "0");
    assert_int_equal(atoi(xs_fake_get(PID)), pid);
    assert_int_equal(ctl_disks_process(6), 0);
    assert_false(ctl_disks_unserved(ctl, 5));
    snprintf(params, sizeof(params), "/proc/%d/cmdline", pid);
    up();
    slurp(params, text, sizeof(text));
    assert_string_equal(text, "/proc/self/exe");
    assert_int_equal(attach("xvda", other_image, CTL_QCOW2), -EEXIST);
    assert_int_equal(ctl_device_list(ctl, 5, CTL_DISK, &list, &err), 1);
    assert_string_equal(list[0].target, image);
    assert_string_equal(list[0].format, "qcow2");
    assert_int_equal(list[0].process, pid);
    free(list);
    xs_fake_set("/local/domain/0/device-model/5/state", "running");
    assert_int_equal(detach(51712), 0);
    assert_int_equal(ctl_disks_process(5), 0);
    assert_int_equal(left(), 0);
    assert_int_equal(detach(51712), -ENOENT);
}

/* One process for all of a domain's, until the last one goes. A raw one has a name of its own in qemu's half. */
static void test_two_disks(void **state)
{
    char params[500];
    int pid;

    (void)state;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    pid = ctl_disks_process(5);
    assert_int_equal(attach("xvdb", other_image, CTL_RAW), 0);
    assert_int_equal(ctl_disks_process(5), pid);
    snprintf(params, sizeof(params), "aio:%s", other_image);
    assert_true(is(SECOND "/params", params));
    assert_int_equal(detach(51712), 0);
    assert_int_equal(ctl_disks_process(5), pid);
    assert_int_equal(ctl_devices_end(ctl, 5, &err), 0);
    assert_int_equal(ctl_disks_process(5), 0);
    assert_int_equal(left(), 0);
}

static void test_refused(void **state)
{
    const struct ctl_disk d = {.vdev = "xvda", .target = image, .format = CTL_QCOW2, .qemu = true};

    struct ctl_disk readonly = d;

    (void)state;
    readonly.readonly = true;
    assert_int_equal(ctl_disk_check(ctl, &readonly, CTL_NO_TWIN, &err), -EOPNOTSUPP);
    assert_int_equal(ctl_disk_attach(ctl, 5, &readonly, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.message, "cannot be served read-only"));
    put_image(other_image, "raw", 3);
    assert_int_equal(attach("xvda", other_image, CTL_QCOW2), -EINVAL);
    assert_non_null(strstr(err.message, "is not an image of format qcow2"));
    assert_int_equal(attach("xvda", "/nowhere/at.all", CTL_QCOW2), -ENOENT);
    assert_int_equal(ctl_disk_check(ctl, &d, CTL_NO_TWIN, &err), 0);
    qemu_program = "/nowhere/at.all";
    assert_int_equal(ctl_disk_check(ctl, &d, CTL_NO_TWIN, &err), -ENOENT);
    assert_non_null(strstr(err.hint, "install the package qemu-system-xen"));
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -ENOENT);
    assert_non_null(strstr(err.message, "/nowhere/at.all"));
    assert_int_equal(left(), 0);
}

/* Another guest has the image, whoever serves it to whom. */
static void test_shared(void **state)
{
    const struct ctl_disk raw = {.vdev = "xvda", .target = image};
    char params[500];

    (void)state;
    snprintf(params, sizeof(params), "qcow2:%s", image);
    xs_fake_set("/local/domain/0/backend/qdisk/6/51712/params", params);
    xs_fake_set("/local/domain/0/backend/qdisk/6/51712/mode", "w");
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -EBUSY);
    assert_non_null(strstr(err.message, "is in use by domain 6"));
    assert_int_equal(ctl_disk_attach(ctl, 5, &raw, &err), -EBUSY);
    xs_fake_remove("/local/domain/0/backend/qdisk");
    xs_fake_set("/local/domain/0/backend/vbd/6/51712/params", image);
    xs_fake_set("/local/domain/0/backend/vbd/6/51712/mode", "w");
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -EBUSY);
    xs_fake_remove("/local/domain/0/backend/vbd");
}

/* What it said is told; nothing is left. */
static void test_fails(void **state)
{
    uint64_t began = ctl_now_ms();
    char text[200];

    (void)state;
    takes = false;
    be("dies");
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -EPIPE);
    assert_non_null(strstr(err.message, "qemu has ended: "));
    assert_non_null(strstr(err.message, "no such machine"));
    assert_non_null(strstr(err.hint, "qemu-web.log"));
    assert_int_equal(left(), 0);
    be("good");
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -EIO);
    assert_non_null(strstr(err.message, "qemu does not take it: begins"));
    assert_int_equal(left(), 0);
    assert_true(ctl_now_ms() - began < 20000);
    slurp(old_log, text, sizeof(text)); /* that of the process before is kept */
    assert_non_null(strstr(text, "no such machine"));
}

static uint64_t later;

/* Asked all the time, it is a clock. */
static bool takes_late(const char *call)
{
    if (!takes && ctl_now_ms() > later) {
        takes = true;
        play(BACK);
    }
    return false;
}

/* A remark, and then a while nothing, is no complaint yet. */
static void test_slow(void **state)
{
    (void)state;
    takes = false;
    later = ctl_now_ms() + 1300;
    xs_fake_fails = takes_late;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    assert_true(ctl_now_ms() >= later);
}

static bool no_writes(const char *call)
{
    errno = EIO;
    return strcmp(call, "xs_write") == 0;
}

/* A process that others could not find does not stay; one that can have no lock is not begun. */
static void test_not_noted(void **state)
{
    char lock[500];

    (void)state;
    xs_fake_fails = no_writes;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -EIO);
    xs_fake_fails = NULL;
    assert_int_equal(ctl_disks_process(5), 0);
    assert_int_equal(left(), 0);
    snprintf(lock, sizeof(lock), "%s/qemu-5", place);
    assert_int_equal(mkdir(lock, 0700), 0);
    assert_int_equal(attach("xvda", image, CTL_QCOW2), -EISDIR);
    assert_non_null(strstr(err.message, "no process with a lock"));
    assert_int_equal(rmdir(lock), 0);
    assert_int_equal(left(), 0);
}

/* It is killed: the guest stays, without an answer; nobody waits for it when the disk goes. */
static void test_killed(void **state)
{
    uint64_t began;
    int pid;

    (void)state;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    pid = ctl_disks_process(5);
    assert_int_equal(kill(pid, SIGKILL), 0);
    for (int i = 0; i < 500 && ctl_disks_process(5); i++)
        usleep(10000);
    assert_true(ctl_disks_unserved(ctl, 5));
    began = ctl_now_ms();
    assert_int_equal(ctl_devices_end(ctl, 5, &err), 0);
    assert_true(ctl_now_ms() - began < 5000);
    assert_int_equal(left(), 0);
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    assert_int_not_equal(ctl_disks_process(5), pid);
}

static void test_stubborn(void **state)
{
    uint64_t began;

    (void)state;
    be("stubborn");
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    up();
    qemu_end_ms = 300;
    began = ctl_now_ms();
    assert_int_equal(ctl_devices_end(ctl, 5, &err), 0);
    assert_in_range(ctl_now_ms() - began, 250, 5000);
    assert_int_equal(ctl_disks_process(5), 0);
}

/* A domain that sleeps: what it has is written, before somebody reads that it is. */
static void test_flush(void **state)
{
    char text[1000];

    (void)state;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    up();
    assert_int_equal(ctl_disks_flush(ctl, 5, NULL, NULL, &err), 0);
    slurp(orders, text, sizeof(text));
    assert_string_equal(text, "{\"execute\": \"qmp_capabilities\"}\n"
                              "{\"execute\": \"stop\"}\n{\"execute\": \"cont\"}\n"
                              "{\"execute\": \"stop\"}\n{\"execute\": \"cont\"}\n");
    xs_fake_set(BACK "/mode", "r");
    unlink(orders);
    ctl_disks_flush(ctl, 5, NULL, NULL, &err);
    assert_int_not_equal(access(orders, F_OK), 0);
    assert_int_equal(ctl_devices_end(ctl, 5, &err), 0);
    be("refuses");
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    up();
    assert_int_equal(ctl_disks_flush(ctl, 5, NULL, NULL, &err), -EIO);
    assert_non_null(strstr(err.message, "does not write out"));
}

static void test_log_trim(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(attach("xvda", image, CTL_QCOW2), 0);
    up();
    put_image(log_file, "very much", 9);
    ctl_disks_log_trim(5, 8192);
    assert_int_equal(stat(log_file, &st), 0);
    assert_int_equal(st.st_size, 8192);
    ctl_disks_log_trim(5, 8191);
    assert_int_equal(stat(log_file, &st), 0);
    assert_int_equal(st.st_size, 0);
    ctl_disks_log_trim(77, 0);
}

static int setup(void **state)
{
    char here[200];

    (void)state;
    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(place, sizeof(place), "%s/" PLACE, here);
    snprintf(image, sizeof(image), "%s/image", place);
    snprintf(other_image, sizeof(other_image), "%s/other", place);
    snprintf(log_file, sizeof(log_file), "%s/qemu-web.log", place);
    snprintf(old_log, sizeof(old_log), "%s/qemu-web.log.1", place);
    snprintf(orders, sizeof(orders), "%s/orders", place);
    snprintf(group, sizeof(group), "%s/group", place);
    setenv("TEST_QEMU_ORDERS", orders, 1);
    qemu_group = group;
    hotplug_locks = qemu_logs = place;
    return mkdir(place, 0700) && errno != EEXIST;
}

static int teardown(void **state)
{
    const char *const files[] = {image, other_image, log_file, old_log, orders, group};

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i]);
    return rmdir(place);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_formats, fresh, after),
        cmocka_unit_test_setup_teardown(test_elsewhere, fresh, after),
        cmocka_unit_test_setup_teardown(test_comes_and_goes, fresh, after),
        cmocka_unit_test_setup_teardown(test_two_disks, fresh, after),
        cmocka_unit_test_setup_teardown(test_refused, fresh, after),
        cmocka_unit_test_setup_teardown(test_shared, fresh, after),
        cmocka_unit_test_setup_teardown(test_fails, fresh, after),
        cmocka_unit_test_setup_teardown(test_slow, fresh, after),
        cmocka_unit_test_setup_teardown(test_not_noted, fresh, after),
        cmocka_unit_test_setup_teardown(test_killed, fresh, after),
        cmocka_unit_test_setup_teardown(test_stubborn, fresh, after),
        cmocka_unit_test_setup_teardown(test_flush, fresh, after),
        cmocka_unit_test_setup_teardown(test_log_trim, fresh, after),
    };

    if (argc > 2 && strcmp(argv[1], "-xen-domid") == 0)
        return as_qemu(argc, argv);
    return cmocka_run_group_tests(tests, setup, teardown);
}
