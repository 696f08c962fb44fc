/* SPDX-License-Identifier: BSD-2-Clause */
/* tools/cli: `save` and `restore`: the file, the record and the guest, whatever fails, and killed at every call. */
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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest_world.h"
#include "cli/saved_config.h"
#include "fake_ctl.h"

#define FILE_NAME "web2.save"

/* Names in directories do not reach the disk. */
static bool may_not_sync;

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    if (!S_ISDIR(st.st_mode) || !may_not_sync)
        return __real_fsync(fd);
    errno = EIO;
    return -1;
}

static void no_files(void)
{
    unlink(FILE_NAME);
    unlink(FILE_NAME ".partial");
}

static bool exists(const char *file)
{
    return access(file, F_OK) == 0;
}

static void created(void **state)
{
    fresh(state);
    no_files();
    assert_int_equal(world_config(), 0);
    assert_int_equal(umbra("create -e g.json"), 0);
    fake->calls = 0;
}

static struct ctl_domain_info *guest(void)
{
    return fake->n == 2 ? &fake->domains[1] : NULL;
}

static enum guest_phase phase(void)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, NULL);
    enum guest_phase found = n == 1 ? list[0].phase : GUEST_PHASES;

    free(list);
    return found;
}

static void settle_all(void)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, NULL);

    fake->kill_at = 0;
    for (int i = 0; i < n; i++)
        assert_int_equal(settle(&list[i]), 0);
    free(list);
}

static void runs(void)
{
    assert_non_null(guest());
    assert_false(guest()->shutdown);
    assert_false(guest()->paused);
}

static void test_save_and_restore(void **state)
{
    char uuid[CTL_UUID_TEXT], again[CTL_UUID_TEXT];

    created(state);
    ctl_uuid_format(guest()->uuid, uuid);
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
    assert_non_null(strstr(out, "web2: saved to " FILE_NAME));
    assert_int_equal(fake->suspend_ms, 60000);
    assert_int_equal(records(), 0);
    assert_null(guest());
    assert_true(exists(FILE_NAME) && !exists(FILE_NAME ".partial"));
    unlink("g.json"); /* the kernel: nothing of it is needed */
    assert_int_equal(umbra("restore -e " FILE_NAME), 0);
    assert_non_null(strstr(out, "web2: restored as domain"));
    assert_int_equal(phase(), GUEST_RUNNING);
    runs();
    ctl_uuid_format(guest()->uuid, again);
    assert_string_equal(uuid, again);
    assert_int_equal(umbra("restore -e " FILE_NAME), 1);
    assert_non_null(strstr(err_text, " exists"));
    assert_int_equal(fake->n, 2);
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(umbra("restore -p -e " FILE_NAME), 0);
    assert_true(guest()->paused);
}

/* With -D it has its number again, unless another domain has it; -d shows the configuration. */
static void test_keeps_number(void **state)
{
    uint32_t domid;

    created(state);
    domid = guest()->domid;
    assert_int_equal(umbra("save -Dc web2 " FILE_NAME), 0);
    assert_int_equal(umbra("rename web2 other"), 0);
    assert_int_equal(umbra("save web2 no-such"), 1);
    assert_int_equal(umbra("destroy other"), 0);
    assert_int_equal(umbra("restore -de " FILE_NAME), 0);
    assert_non_null(strstr(err_text, "\n  \"name\": \"web2\",\n"));
    assert_int_equal(guest()->domid, domid);
    fake_stop(domid, REBOOT);
    assert_int_equal(umbra("destroy web2"), 0);
    fake_add(domid, "taken");
    assert_int_equal(umbra("restore -e " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "its number is taken"));
    assert_int_equal(records(), 0);
    unlink(FILE_NAME);
}

/* What stands there already is a file of ours, with the right mode, or it is not touched. */
static void test_partial(void **state)
{
    struct stat st;
    FILE *f;

    created(state);
    f = fopen(FILE_NAME ".partial", "w");
    fclose(f);
    assert_int_equal(chmod(FILE_NAME ".partial", 0666), 0);
    assert_int_equal(umbra("save -c web2 " FILE_NAME), 0);
    assert_int_equal(stat(FILE_NAME, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(link(FILE_NAME, "victim"), 0);
    assert_int_equal(symlink("victim", FILE_NAME ".partial"), 0);
    assert_int_equal(umbra("save -c web2 " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "it is a link"));
    assert_int_equal(rename("victim", FILE_NAME ".partial"), 0);
    unlink(FILE_NAME ".partial");
    assert_int_equal(link(FILE_NAME, FILE_NAME ".partial"), 0);
    assert_int_equal(umbra("save -c web2 " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "is no file of ours alone"));
    assert_int_equal(stat(FILE_NAME, &st), 0);
    assert_true(st.st_size > 0);
    assert_int_equal(phase(), GUEST_RUNNING);
    unlink(FILE_NAME ".partial");
}

/* Two guests that are saved under one name: one of them is, the other stays. */
static void test_two_savers(void **state)
{
    int fd;

    created(state);
    fd = open(FILE_NAME ".partial", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "another process is writing it"));
    assert_int_equal(phase(), GUEST_RUNNING);
    assert_int_equal(lseek(fd, 0, SEEK_END), 4);
    close(fd);
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
}

static void test_goes_on(void **state)
{
    created(state);
    assert_int_equal(umbra("save -c -t 5 web2 " FILE_NAME), 0);
    assert_int_equal(fake->suspend_ms, 5000);
    assert_int_equal(phase(), GUEST_RUNNING);
    runs();
    assert_true(exists(FILE_NAME));
    assert_int_equal(umbra("--json save -p web2 " FILE_NAME), 0);
    assert_non_null(strstr(out, "umbra.save/1"));
    assert_int_equal(phase(), GUEST_RUNNING);
    assert_true(guest()->paused && !guest()->shutdown);
    assert_int_equal(umbra("save -c -p web2 " FILE_NAME), 2);
    assert_int_equal(umbra("save -t 0 web2 " FILE_NAME), 2);
    assert_int_equal(umbra("save -t -1 web2 " FILE_NAME), 2);
    assert_int_equal(umbra("save Domain-0 " FILE_NAME), 1);
    assert_int_equal(umbra("save nobody " FILE_NAME), 1);
    fake_add(77, "strange");
    assert_int_equal(umbra("save strange " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "umbra did not create it"));
}

/* The guest runs as before, and there is no file; an older one of the name stays. */
static void test_failures(void **state)
{
    created(state);
    assert_int_equal(umbra("save web2 no/such/place"), 1);
    assert_int_equal(phase(), GUEST_RUNNING);
    fake->suspend_fails = -EOPNOTSUPP;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "Freezing of tasks failed"));
    assert_int_equal(phase(), GUEST_RUNNING);
    assert_false(exists(FILE_NAME) || exists(FILE_NAME ".partial"));
    fake->suspend_fails = 0;
    fake->save_fails = -ENOSPC;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_int_equal(phase(), GUEST_RUNNING);
    assert_int_equal(fake->woken, 1);
    assert_false(exists(FILE_NAME) || exists(FILE_NAME ".partial"));
    runs();
    fake->save_fails = 0;
    assert_int_equal(umbra("save -c web2 " FILE_NAME), 0);
    fake->save_fails = -EIO;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_true(exists(FILE_NAME) && !exists(FILE_NAME ".partial"));
    runs();
}

/* It is not let go of before its file has its name on the disk, or else goes on without a file. */
static void test_name_is_on_disk(void **state)
{
    created(state);
    may_not_sync = true;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    may_not_sync = false;
    assert_non_null(strstr(err_text, "write the file's name to the disk"));
    assert_int_equal(phase(), GUEST_RUNNING);
    assert_false(exists(FILE_NAME) || exists(FILE_NAME ".partial"));
    runs();
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
    assert_true(exists(FILE_NAME) && !guest());
}

/*
 * xenstored ends at any moment: the guest is in the file and nowhere else, or goes on without one; a copy is there as
 * well as the guest.
 */
static void test_store_dies(void **state)
{
    for (int copy = 0; copy < 2; copy++) {
        bool dies = true;
        int told = 0;

        for (int point = 1; dies; point++) {
            int rc;

            created(state);
            fake->store_dies_at = point;
            rc = umbra(copy ? "save -c web2 " FILE_NAME : "save web2 " FILE_NAME);
            told += rc == 0 && strstr(err_text, "it is saved all the same");
            dies = fake->store_fails;
            fake->store_fails = fake->store_dies_at = 0;
            assert_int_equal(exists(FILE_NAME), rc == 0);
            assert_false(exists(FILE_NAME ".partial"));
            assert_int_equal(guest() != NULL, rc || copy);
            settle_all();
            assert_int_equal(records(), rc || copy);
            if (guest())
                runs();
        }
        assert_true(told > 0);
    }
}

/* A guest that was let go is a restored one, whatever xenstored does then; any other leaves nothing. */
static void test_store_dies_in_restore(void **state)
{
    int ran = 0;

    for (bool dies = true; dies;) {
        static int point;
        int rc;

        created(state);
        assert_int_equal(umbra("save web2 " FILE_NAME), 0);
        *fake->acts = '\0';
        fake->store_dies_at = fake->calls + ++point;
        rc = umbra("restore -q " FILE_NAME);
        dies = fake->store_fails;
        fake->store_fails = fake->store_dies_at = 0;
        ran += dies && strstr(fake->acts, "unpause ");
        assert_int_equal(rc == 0, strstr(fake->acts, "unpause ") != NULL);
        assert_int_equal(guest() != NULL, rc == 0);
        settle_all();
        assert_int_equal(records(), rc == 0);
        assert_int_equal(unlink(FILE_NAME), 0);
    }
    assert_true(ran > 0);
}

/* One that suspends when nobody waits any more is woken by whoever looks after it. */
static void test_too_late(void **state)
{
    created(state);
    fake->suspend_fails = -ETIMEDOUT;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_int_equal(phase(), GUEST_SAVING);
    settle_all();
    assert_int_equal(phase(), GUEST_SAVING);
    runs();
    fake_stop(guest()->domid, SUSPEND);
    settle_all();
    assert_int_equal(phase(), GUEST_RUNNING);
    assert_int_equal(fake->woken, 1);
    runs();
    fake->suspend_fails = 0;
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
    assert_int_equal(records(), 0);
}

/* It cannot be let go on at once, or it is not known whether it sleeps: whoever looks after it wakes it. */
static void test_wakes_later(void **state)
{
    created(state);
    fake->save_fails = -EIO;
    fake->go_on_fails = -EIO;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_int_equal(phase(), GUEST_SAVING);
    assert_true(guest()->shutdown);
    fake->go_on_fails = fake->save_fails = 0;
    settle_all();
    assert_int_equal(phase(), GUEST_RUNNING);
    runs();
    fake->suspend_fails = -EIO;
    assert_int_equal(umbra("save web2 " FILE_NAME), 1);
    assert_int_equal(phase(), GUEST_SAVING);
    fake_stop(guest()->domid, SUSPEND);
    settle_all();
    assert_int_equal(phase(), GUEST_RUNNING);
    runs();
}

static void target_path(char path[64])
{
    snprintf(path, 64, "/local/domain/%u/memory/target", guest()->domid);
}

/* What mem-set asked for is asked for again; not more than its configuration lets it have, whatever a file says. */
static void test_target(void **state)
{
    static const char *const targets[][2] = {{"49152", "49152"}, {"65536", "65536"}, {"99999999", "65536"}};
    char path[64];

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        created(state);
        target_path(path);
        assert_string_equal(fake_node(path), "65536");
        assert_int_equal(ctl_store_write(ctl, path, targets[i][0], NULL), 0);
        assert_int_equal(umbra("save web2 " FILE_NAME), 0);
        assert_int_equal(umbra("restore -e " FILE_NAME), 0);
        target_path(path);
        assert_string_equal(fake_node(path), targets[i][1]);
    }
}

static unsigned online(void)
{
    char path[64];
    unsigned n = 0;

    for (unsigned v = 0; v < guest()->vcpus_max; v++) {
        snprintf(path, sizeof(path), "/local/domain/%u/cpu/%u/availability", guest()->domid, v);
        n += strcmp(fake_node(path), "online") == 0;
    }
    return n;
}

/* What vcpu-set and sched-credit2 were told holds again; a share that was not touched is not set. */
static void test_vcpus_and_share(void **state)
{
    static const struct ctl_sched plain = {.weight = 256}, given = {.weight = 512, .cap = 50};
    char path[64];

    fresh(state);
    no_files();
    assert_int_equal(world_config(), 0);
    assert_int_equal(umbra("create -e g.json maxvcpus=3"), 0);
    assert_int_equal(online(), 1);
    snprintf(path, sizeof(path), "/local/domain/%u/cpu/1/availability", guest()->domid);
    assert_int_equal(ctl_store_write(ctl, path, "online", NULL), 0);
    fake->share = given;
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
    fake->share = plain;
    assert_int_equal(umbra("restore -e " FILE_NAME), 0);
    assert_int_equal(online(), 2);
    assert_int_equal(fake->share.weight, 512);
    assert_int_equal(fake->share.cap, 50);
}

/* What a stopped guest of that state does is as of any other. */
static void test_stops_while_saving(void **state)
{
    struct guest_state gs;

    fresh(state);
    gs = left(GUEST_SAVING, CONFIG(""));
    domain_of(&gs, 5);
    fake_stop(5, POWEROFF);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(records(), 0);
    gs = left(GUEST_SAVING, CONFIG(""));
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(records(), 0);
}

/* Exactly one of the two is left: the guest, running; or its file, complete. */
static void test_save_killed_anywhere(void **state)
{
    int rc = -SIGKILL, point;

    for (point = 1; rc == -SIGKILL; point++) {
        created(state);
        fake->kill_at = point;
        rc = umbra("save web2 " FILE_NAME);
        settle_all();
        if (records()) {
            assert_true(phase() == GUEST_RUNNING || phase() == GUEST_SAVING);
            runs();
        } else {
            assert_null(guest());
            assert_true(exists(FILE_NAME));
        }
    }
    assert_int_equal(rc, 0);
    assert_true(point > 12);
}

static void test_restore_killed_anywhere(void **state)
{
    int rc = -SIGKILL, point;

    created(state);
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
    for (point = 1; rc == -SIGKILL; point++) {
        fresh(state);
        fake->kill_at = point;
        rc = umbra("restore -e " FILE_NAME);
        settle_all();
        assert_int_equal(records(), fake->n - 1);
        if (records())
            runs();
    }
    assert_int_equal(rc, 0);
    assert_true(point > 12);
}

static void test_bad_files(void **state)
{
    FILE *f;

    created(state);
    assert_int_equal(umbra("restore -e no/such/file"), 1);
    f = fopen(FILE_NAME, "w");
    fprintf(f, "%100s", "");
    fclose(f);
    assert_int_equal(umbra("restore -e " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "no saved domain"));
    assert_int_equal(umbra("save web2 " FILE_NAME), 0);
    assert_int_equal(truncate(FILE_NAME, 100), 0);
    assert_int_equal(umbra("restore -e " FILE_NAME), 1);
    assert_non_null(strstr(err_text, "it ends after 100 bytes"));
    assert_int_equal(records(), 0);
    assert_int_equal(fake->n, 1);
}

/* --- the configuration in the file --- */

static int read_back(const char *text, struct config *c, struct ctl_error *err)
{
    config_free(c);
    *err = (struct ctl_error){0};
    return saved_config_read(text, "file", c, NULL, err);
}

#define XL_GUEST                                                                                        \
    "{\"c_info\":{\"type\":\"pv\",\"name\":\"old\",\"uuid\":\"aa000000-0000-0000-0000-000000000000\"}," \
    "\"b_info\":{\"max_vcpus\":4,\"avail_vcpus\":[0,1],\"max_memkb\":131072,\"target_memkb\":65536,"    \
    "\"kernel\":\"/k\",\"cmdline\":\"quiet\",\"type.pv\":{}},\"on_reboot\":\"rename_restart\""

static void test_config_of_xl(void **state)
{
    struct config c = {0};
    struct ctl_error err;

    assert_int_equal(read_back(XL_GUEST ",\"disks\":[],\"nics\":[]}", &c, &err), 0);
    assert_string_equal(c.name, "old");
    assert_string_equal(c.kernel, "/k");
    assert_string_equal(c.cmdline, "quiet");
    assert_int_equal(c.memory, 65536);
    assert_int_equal(c.maxmem, 131072);
    assert_int_equal(c.vcpus, 2);
    assert_int_equal(c.maxvcpus, 4);
    assert_int_equal(c.on_reboot, CTL_ACTION_RENAME_RESTART);
    assert_int_equal(c.on_crash, CTL_ACTION_DESTROY);
    assert_true(c.uuid.given && c.uuid.bytes[0] == 0xaa);
    assert_int_equal(read_back(XL_GUEST ",\"disks\":[{\"vdev\":\"xvda\"}]}", &c, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.message, "disks"));
    assert_int_equal(read_back("{\"c_info\":{\"type\":\"pvh\",\"hap\":\"True\",\"name\":\"n\"},\"b_info\":"
                               "{\"target_memkb\":65536,\"shadow_memkb\":4096,\"kernel\":\"/k\"}}",
                               &c, &err),
                     0);
    assert_true(c.type == CONFIG_PVH && c.hap == CONFIG_TRUE && c.shadow_memory == 4096);
    assert_int_equal(c.on_reboot, CTL_ACTION_DESTROY); /* which xl does not write */
    assert_int_equal(read_back("[]", &c, &err), -EINVAL);
    assert_int_equal(read_back("{}", &c, &err), -EINVAL);
    assert_int_equal(read_back("{\"umbra\":{\"name\":\"x\"}}", &c, &err), -EINVAL);
    assert_int_equal(read_back("{\"umbra\":{\"name\":\"x\",\"memory\":\"much\"}}", &c, &err), -EINVAL);
    assert_int_equal(read_back("{\"umbra\":3}", &c, &err), -EINVAL);
    assert_int_equal(read_back("{", &c, &err), -EINVAL);
    config_free(&c);
}

static int teardown(void **state)
{
    no_files();
    return world_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_keeps_number, fresh),
        cmocka_unit_test_setup(test_save_and_restore, fresh),
        cmocka_unit_test_setup(test_partial, fresh),
        cmocka_unit_test_setup(test_two_savers, fresh),
        cmocka_unit_test_setup(test_goes_on, fresh),
        cmocka_unit_test_setup(test_failures, fresh),
        cmocka_unit_test_setup(test_name_is_on_disk, fresh),
        cmocka_unit_test_setup(test_store_dies, fresh),
        cmocka_unit_test_setup(test_store_dies_in_restore, fresh),
        cmocka_unit_test_setup(test_too_late, fresh),
        cmocka_unit_test_setup(test_wakes_later, fresh),
        cmocka_unit_test_setup(test_target, fresh),
        cmocka_unit_test_setup(test_vcpus_and_share, fresh),
        cmocka_unit_test_setup(test_stops_while_saving, fresh),
        cmocka_unit_test_setup(test_save_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_restore_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_bad_files, fresh),
        cmocka_unit_test_setup(test_config_of_xl, fresh),
    };

    return cmocka_run_group_tests(tests, world_setup, teardown);
}
