/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: `migrate` and `migrate-receive`, two processes on one host, whatever fails, with the connection cut at
 * every message, and either of them killed at every call: at most one copy of the guest may ever run, and one does in
 * the end.
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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "move_world.h"
#include "cli/cli.h"
#include "cli/handover.h"
#include "cli/lock.h"
#include "fake_ctl.h"

#define READY "domain received, ready to unpause"
#define GO    "domain is yours, you are cleared to unpause"
#define SAVED "web2.save"

static void test_moves(void **state)
{
    created(state);
    assert_int_equal(run(MOVE), 0);
    assert_non_null(strstr(out, "web2: moved to localhost in"));
    assert_non_null(strstr(out, "2 rounds, 1000 pages"));
    assert_int_equal(fake->suspend_ms, 60000);
    assert_false(check(0));
    assert_int_equal(run("--json " MOVE), 0); /* and again: from where it is now */
    assert_non_null(strstr(out, "umbra.migrate-progress/1"));
    assert_non_null(strstr(out, "\"rounds\":[900,100]"));
    assert_int_equal(running(), 1);
    assert_string_equal(the_record().name, "web2");
}

/* What mem-set asked for is asked for there. */
static void test_target(void **state)
{
    char path[64];

    created(state);
    snprintf(path, sizeof(path), "/local/domain/%u/memory/target", fake->domains[1].domid);
    assert_int_equal(ctl_store_write(ctl, path, "49152", NULL), 0);
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 0);
    assert_int_equal(run(MOVE), 0);
    snprintf(path, sizeof(path), "/local/domain/%u/memory/target", fake->domains[1].domid);
    assert_string_equal(fake_node(path), "49152");
}

/* What it would only fail by once it is asleep is told before. */
static void test_another_sleeps_here(void **state)
{
    static const char *const moves[] = {"migrate -n -T relay web2 localhost", MOVE};
    struct guest_state old = {
        .phase = GUEST_HANDED_OVER, .name = "web2--migratedaway", .real = "web2", .uuid = {0xaa}, .domid = 5};

    created(state);
    assert_int_equal(guest_state_add(ctl, &old, CONFIG(""), NULL, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run(moves[i]), 1);
        assert_non_null(strstr(err_text, "it would sleep here as web2--migratedaway"));
        assert_non_null(strstr(err_text, "migrate-resolve"));
        assert_false(fake->domains[1].paused);
        assert_int_equal(fake->suspend_ms, 0);
    }
}

/* Its new name goes with it. */
static void test_renamed_moves(void **state)
{
    created(state);
    assert_int_equal(run("rename web2 shop"), 0);
    assert_int_equal(run("migrate -T relay shop localhost"), 0);
    assert_string_equal(the_record().name, "shop");
    assert_int_equal(run("config get shop name"), 0);
    assert_string_equal(out, "shop\n");
}

/* The words of both sides, and what has gone before each of them. */
static long words_to(void)
{
    return fake->seen_to - (long)sizeof(GO);
}

static void test_cut(void **state)
{
    long sizes[2], stream;
    int unresolved = 0;

    created(state);
    assert_int_equal(run(MOVE), 0);
    stream = words_to();
    sizes[0] = fake->seen_to;
    sizes[1] = fake->seen_back;
    for (long at = 0; at < sizes[0]; at += at < stream - 60 && at > 60 ? 97 : at < 60 ? 12 : 1) {
        created(state);
        fake->cut_to = at;
        assert_int_equal(run(MOVE), 1);
        assert_true(running() == 1 || at >= stream);
        unresolved += check(1);
    }
    assert_true(unresolved > 0); /* a word that went, but did not arrive whole */
    for (long at = 0; at < sizes[1]; at += 1 + (at % 7 == 3) * 4) {
        created(state);
        fake->cut_back = at;
        assert_int_equal(run(MOVE), 1);
        check(1);
    }
}

/* The report is lost behind a guest that runs there. */
static void test_lost_report(void **state)
{
    long all;

    created(state);
    assert_int_equal(run(MOVE), 0);
    all = fake->seen_back;
    for (int less = 1; less < 40; less += 13) {
        created(state);
        fake->cut_back = all - less;
        assert_int_equal(run(MOVE), 1);
        assert_non_null(strstr(err_text, "did not say whether web2 runs"));
        assert_int_equal(running(), 1);
        assert_true(check(1));
    }
}

/* It is just being restarted when it is to move: it is the new domain that moves. */
static void test_restarted_meanwhile(void **state)
{
    struct guest_state gs;
    pid_t child;

    created(state);
    gs = the_record();
    child = fork();
    if (child == 0) {
        lock_forget();
        if (guest_lock(gs.uuid, 0, NULL))
            _exit(1);
        usleep(500000);
        gs.domid = fake->domains[1].domid = 77;
        fake->devices[0].domid = fake->devices[1].domid = 77;
        _exit(guest_state_put(ctl, &gs, NULL) != 0);
    }
    while (!lock_holder(lock_of_guest(gs.uuid)))
        usleep(1000);
    assert_int_equal(run(MOVE), 0);
    assert_false(check(0));
}

/* Control-C while the report is on its way: what has been given away is not asked back, and the report is heard. */
static void test_signal_after_go(void **state)
{
    long all;

    created(state);
    assert_int_equal(run(MOVE), 0);
    all = fake->seen_to;
    created(state);
    fake->signal_at = all;
    assert_int_equal(run(MOVE), 0);
    assert_false(check(0));
    created(state);
    fake->signal_at = all - (long)sizeof(GO);
    assert_int_equal(run(MOVE), 1);
    assert_non_null(strstr(err_text, "interrupted"));
    one_guest(true);
}

static void test_killed_anywhere(void **state)
{
    int rc = 1, point, last = 0;

    for (point = 1; rc || last < point - 1; point++) {
        created(state);
        fake->kill_at = point;
        rc = run(MOVE);
        last = fake->calls; /* those of the receiver's at its end may come after ours */
        check(rc);
        if (point > last + 2)
            break;
    }
    assert_true(point > 40);
}

/* xenstored dies, and comes back: what was done without it, and what could not be. */
static void test_store_dies(void **state)
{
    created(state);
    assert_int_equal(run(MOVE), 0);
    for (int point = 1, calls = fake->calls; point < calls; point++) {
        created(state);
        fake->store_dies_at = point;
        assert_in_range(run(MOVE), 0, 1);
        check(-1);
    }
}

/* A write that fails, once: of the source's, or of the receiver's. */
static void test_write_fails(void **state)
{
    created(state);
    assert_int_equal(run(MOVE), 0);
    for (int point = 1, calls = fake->calls; point < calls; point++) {
        created(state);
        fake->write_fails_at = point;
        assert_in_range(run(MOVE), 0, 1);
        check(-1);
    }
}

static void fails_and_stays(const char *line, const char *text)
{
    assert_int_equal(run(line), 1);
    if (!strstr(err_text, text))
        fail_msg("\"%s\" does not say \"%s\"", err_text, text);
    assert_int_equal(the_record().phase, GUEST_RUNNING);
    one_guest(true);
}

static void test_failures(void **state)
{
    created(state);
    for (int stage = CTL_SEND_LIVE; stage <= CTL_SEND_REST; stage++) {
        fake->send_fails = -ETIME;
        fake->send_stage = stage;
        fails_and_stays(MOVE, "copy its memory");
    }
    fake->send_fails = 0;
    fake->suspend_fails = -EOPNOTSUPP;
    fails_and_stays(MOVE, "Freezing of tasks failed");
    fake->suspend_fails = 0;
    fake->build_fails = -ENOMEM;
    assert_int_equal(run(MOVE), 1); /* the other side ends: there is nothing to write to, or to read from */
    one_guest(true);
    slurp("err.there", err_text, sizeof(err_text));
    assert_non_null(strstr(err_text, "131072 KiB are missing"));
    fake->build_fails = 0;
    fails_and_stays("migrate -T relay web2 nowhere", "start the transport");
    assert_int_equal(run("migrate -T relay -S web2 localhost"), 0);
    one_guest(false);
}

/* What the other host does not have is told before the guest sleeps; what it cannot attach, before it is its. */
static void test_devices(void **state)
{
    created(state);
    fake->inherited = 0;
    assert_int_equal(run(MOVE), 0);
    one_guest(false);
    assert_int_equal(fake->inherited, 0); /* a script that leaves something running does not hold the connection */
    for (int i = 0; i < fake->n_nodes; i++)
        assert_true(!strstr(fake->nodes[i].path, "/target") || strstr(fake->nodes[i].path, "/memory/target"));
    created(state);
    fake->attach_fails = -EIO;
    fails_and_stays(MOVE, "the other side ended");
    assert_int_equal(fake->suspend_ms, 60000);
    slurp("err.there", err_text, sizeof(err_text));
    assert_non_null(strstr(err_text, "the script says no"));
    for (int i = 0; i < 2; i++) {
        created(state);
        snprintf(fake->missing, sizeof(fake->missing), "%s", i ? "xenbr0" : disk);
        fails_and_stays(MOVE, "umbra: migrate: web2:"); /* there is nothing to write to, or to read from */
        slurp("err.there", err_text, sizeof(err_text));
        assert_non_null(strstr(err_text, i ? "there is no bridge xenbr0" : "cannot be found"));
        assert_int_equal(run("migrate -n -T relay web2 localhost"), 1);
        assert_non_null(strstr(err_text, "localhost: it would not take the guest:"));
        assert_non_null(strstr(err_text, i ? "network interface 0: there is no bridge xenbr0" : "disk xvda: /"));
    }
}

/* An image of qemu's cannot be open on two hosts: the other one does not take the guest, and says so. */
static void test_disk_does_not_move(void **state)
{
    created(state);
    assert_int_equal(umbra("block-attach web2 /etc/hostname,qcow2,xvdb"), 0);
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 1);
    assert_non_null(strstr(err_text, "disk xvdb: qemu serves it, and cannot have it open on two hosts"));
    assert_int_equal(run(MOVE), 1);
    slurp("err.there", err_text, sizeof(err_text));
    assert_non_null(strstr(err_text, "save the guest and restore it"));
    assert_int_equal(the_record().phase, GUEST_RUNNING);
    assert_int_equal(fake->n_devices, 3);
}

/* Another guest has got the disk there. */
static void test_disk_is_used_there(void **state)
{
    created(state);
    fake_add(9, "other");
    fake->devices[fake->n_devices++] = (struct fake_device){.domid = 9, .kind = CTL_DISK};
    snprintf(fake->devices[2].device.target, sizeof(disk), "%s", disk);
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 1);
    assert_non_null(strstr(err_text, "is in use by domain 9"));
    assert_int_equal(run(MOVE), 1);
    assert_int_equal(the_record().phase, GUEST_RUNNING);
    assert_int_equal(fake->n_devices, 3);
}

/* What can be known before: nothing is copied for it, and --check says the same. */
static void test_cannot_sleep(void **state)
{
    unlink(SAVED);
    created(state);
    fake->domains[1].paused = true;
    for (int i = 0; i < 2; i++) {
        fake->opened = 0;
        assert_int_equal(run(MOVE), 1);
        assert_non_null(strstr(err_text, i ? "not announced" : "it is paused"));
        assert_int_equal(run("migrate -n -T relay web2 localhost"), 1);
        assert_non_null(strstr(err_text, i ? "not announced" : "it is paused"));
        assert_int_equal(umbra("save web2 " SAVED), 1);
        assert_int_not_equal(access(SAVED, F_OK), 0);
        assert_int_equal(fake->opened, 0); /* nobody was asked */
        assert_int_equal(the_record().phase, GUEST_RUNNING);
        fake->domains[1].paused = false;
        fake->cannot_suspend = -EOPNOTSUPP;
    }
    fake->cannot_suspend = 0;
    assert_int_equal(run(MOVE), 0);
    assert_false(check(0));
}

/* One that suspends when nobody waits any more is woken by whoever looks after it. */
static void test_too_late(void **state)
{
    static const int fails[] = {-ETIMEDOUT, -EIO}; /* it took the request, and then it could not be waited for */

    for (size_t i = 0; i < sizeof(fails) / sizeof(fails[0]); i++) {
        created(state);
        fake->suspend_fails = fails[i];
        assert_int_equal(run(MOVE), 1);
        assert_int_equal(the_record().phase, GUEST_SAVING);
        fake_stop(fake->domains[1].domid, SUSPEND);
        settle_all();
        assert_int_equal(the_record().phase, GUEST_RUNNING);
        one_guest(true);
    }
}

static void test_left_by_the_dead(void **state)
{
    struct guest_state gs;

    fresh(state);
    gs = left(GUEST_MIGRATING, CONFIG(""));
    domain_of(&gs, 5);
    fake_stop(5, SUSPEND);
    fake->logging = 1;
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_int_equal(fake->logging, 0);
    assert_int_equal(fake->woken, 1);
    fresh(state);
    gs = left(GUEST_INCOMING, CONFIG(""));
    domain_of(&gs, 5)->paused = true;
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(records(), 0);
    assert_int_equal(fake->n, 1);
    fresh(state);
    gs = left(GUEST_HANDED_OVER, CONFIG(""));
    domain_of(&gs, 5);
    fake_stop(5, SUSPEND);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_HANDED_OVER);
    assert_int_equal(fake->woken, 0);
    assert_int_equal(umbra("migrate -T relay web2 localhost"), 1);
    assert_non_null(strstr(err_text, "it was handed over already"));
    assert_int_equal(umbra("migrate-resolve web2"), 0);
    assert_non_null(strstr(out, "cannot be asked: it is not written down"));
    fake->n = 1; /* its domain goes */
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(records(), 0);
}

/* By whoever is impatient: there may be another copy. */
static void test_unpaused_by_hand(void **state)
{
    static const enum guest_phase phases[] = {GUEST_BUILDING, GUEST_INCOMING, GUEST_HANDED_OVER, GUEST_RUNNING};
    struct ctl_domain_info *d;
    struct guest_state gs;

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        bool may = phases[i] == GUEST_RUNNING;

        fresh(state);
        gs = left(phases[i], CONFIG(""));
        d = domain_of(&gs, 5);
        d->paused = true;
        assert_int_equal(umbra("unpause 5"), !may);
        assert_int_equal(d->paused, !may);
        assert_true(may || strstr(err_text, "it may not run"));
    }
}

/* --- from another host: what was saved is what is sent --- */

static int receive(const char *options, const char *word, size_t size)
{
    FILE *f = fopen(SAVED, "a");
    char line[64];
    int in, rc, keep = dup(STDIN_FILENO);

    fwrite(word, 1, size, f);
    fclose(f);
    in = open(SAVED, O_RDONLY);
    dup2(in, STDIN_FILENO);
    snprintf(line, sizeof(line), "migrate-receive -e%s", options);
    rc = run(line);
    dup2(keep, STDIN_FILENO);
    close(keep);
    close(in);
    return rc;
}

static void saved(void **state)
{
    created(state);
    assert_int_equal(umbra("save web2 " SAVED), 0);
    assert_int_equal(records(), 0);
}

static bool said(const char *word)
{
    return memmem(out, sizeof(out), word, strlen(word) + 1) != NULL;
}

static void test_receives(void **state)
{
    saved(state);
    assert_int_equal(receive("", GO, sizeof(GO)), 0);
    assert_true(said(READY));
    one_guest(true);
    assert_int_equal(receive("", "", 0), 1);
    assert_non_null(strstr(err_text, " exists"));
    one_guest(true);
    saved(state);
    assert_int_equal(receive("p", GO, sizeof(GO)), 0);
    assert_true(fake->domains[1].paused);
    assert_int_equal(the_record().phase, GUEST_RUNNING);
    saved(state);
    assert_int_equal(receive("", GO, sizeof(GO) - 1), 1);
    assert_true(said(READY));
    assert_int_equal(records(), 0);
    assert_int_equal(fake->n, 1);
    saved(state);
    assert_int_equal(receive("", READY "..........", sizeof(GO)), 1);
    assert_non_null(strstr(err_text, "did not say the permission to go on but"));
    assert_int_equal(fake->n, 1);
}

/* It comes back to where it was handed over, and is not settled: the copy that sleeps keeps its disks. */
static void test_disk_of_unsettled(void **state)
{
    long all;

    created(state);
    assert_int_equal(run(MOVE), 0);
    all = fake->seen_back;
    created(state);
    assert_int_equal(umbra("save -c web2 " SAVED), 0);
    fake->cut_back = all - 1;
    assert_int_equal(run(MOVE), 1);
    assert_int_equal(running(), 1);
    fake->n_devices = 0;
    fake->devices[fake->n_devices++] = (struct fake_device){.domid = fake->domains[1].domid, .kind = CTL_DISK};
    snprintf(fake->devices[0].device.target, sizeof(disk), "%s", disk);
    assert_int_equal(receive("", GO, sizeof(GO)), 1);
    assert_non_null(strstr(err_text, "is in use by domain"));
}

/* The connection is there, but nothing comes any more: the cable was cut. */
static void test_silence(void **state)
{
    int ends[2], keep = dup(STDIN_FILENO);
    unsigned patience = handover_silence_ms;
    static char all[1 << 14];
    FILE *f;

    created(state);
    assert_int_equal(run("migrate --suspend-timeout 100s -T relay web2 localhost"), 0);
    assert_true(patience > 2 * fake->suspend_ms); /* besides that its disks are flushed */
    saved(state);
    f = fopen(SAVED, "r");
    assert_int_equal(pipe(ends), 0);
    assert_true(fread(all, 1, sizeof(all), f) > 100 && feof(f));
    assert_int_equal(write(ends[1], all, 100), 100);
    fclose(f);
    dup2(ends[0], STDIN_FILENO);
    handover_silence_ms = 200;
    assert_int_equal(run("migrate-receive -e"), 1);
    handover_silence_ms = patience;
    dup2(keep, STDIN_FILENO);
    close(keep);
    close(ends[0]);
    close(ends[1]);
    assert_non_null(strstr(err_text, "nothing came for 200 ms"));
    assert_int_equal(records(), 0);
    assert_int_equal(fake->n, 1);
}

/* It said that it is ready, and stopped reading: the permission to go on does not wait for ever, and has not gone. */
static void test_deaf(void **state)
{
    int ends[2];
    unsigned patience = handover_stuck_ms;
    static char all[1 << 12];
    struct ctl_error err = {0};

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, sizeof(all)), sizeof(all));
    assert_int_equal(write(ends[1], all, sizeof(all) - 1), sizeof(all) - 1);
    handover_stuck_ms = 200;
    assert_int_equal(handover_say(ends[1], HANDOVER_GO, &err), -ETIMEDOUT);
    handover_stuck_ms = patience;
    assert_string_equal(err.message, "the other side does not answer");
    assert_int_equal(read(ends[0], all, sizeof(all)), sizeof(all) - 1);
    assert_int_equal(read(ends[0], all, sizeof(all)), -1);
    close(ends[0]);
    close(ends[1]);
}

static void test_name_taken_there(void **state)
{
    saved(state);
    fake_add(9, "web2");
    assert_int_equal(receive("", GO, sizeof(GO)), 1);
    assert_non_null(strstr(err_text, "domain 9 has this name"));
    assert_false(said(READY));
    assert_int_equal(records(), 0);
}

/* Moved from a host to itself: what sleeps is found by the name that its copy has, in whatever order they come. */
static void test_two_of_a_name(void **state)
{
    struct guest_state copy = {.phase = GUEST_RUNNING, .name = "web2", .uuid = {0x11}, .domid = 6}, old;

    for (int older = 0; older < 2; older++) {
        fresh(state);
        old = (struct guest_state){
            .phase = GUEST_HANDED_OVER, .name = "web2--migratedaway", .real = "web2", .uuid = {0xaa}, .domid = 5};
        assert_int_equal(guest_state_add(ctl, older ? &old : &copy, CONFIG(""), NULL, NULL), 0);
        assert_int_equal(guest_state_add(ctl, older ? &copy : &old, CONFIG(""), NULL, NULL), 0);
        assert_int_equal(umbra("migrate-status web2"), 0);
        assert_string_equal(out, "web2: unresolved\n");
        assert_int_equal(umbra("migrate-resolve web2"), 0);
        assert_non_null(strstr(out, "web2: here it sleeps as web2--migratedaway"));
        copy.phase = GUEST_MIGRATING;
        assert_int_equal(guest_state_put(ctl, &copy, NULL), 0);
        assert_int_equal(umbra("migrate-status web2"), 0);
        assert_string_equal(out, "web2: migrating\n");
        copy.phase = GUEST_RUNNING;
    }
}

/* What the other host says goes to a terminal. */
static void test_rude_answers(void **state)
{
    static const char *const moves[] = {"{\"transport\":\"rude-state\",\"host\":\"b\"}",
                                        "{\"transport\":\"rude-message\",\"host\":\"b\"}"};
    struct guest_state gs;

    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        fresh(state);
        gs = left(GUEST_HANDED_OVER, CONFIG(""));
        assert_int_equal(guest_state_put_move(ctl, gs.uuid, moves[i], NULL), 0);
        assert_int_equal(umbra("migrate-resolve web2"), 0);
        assert_non_null(strstr(out, i ? "cannot be asked: ?]0;ours?\n" : "the other host says: ?]0;ours?\n"));
    }
}

/* --- status, abort --- */

static void test_abort(void **state)
{
    struct guest_state gs;
    pid_t child;
    int status;

    created(state);
    assert_int_equal(umbra("migrate-abort web2"), 1);
    assert_non_null(strstr(err_text, "it is not being migrated"));
    assert_int_equal(umbra("migrate-abort nobody"), 1);
    assert_int_equal(umbra("migrate-status web2"), 0);
    assert_non_null(strstr(out, "is not being migrated"));
    gs = the_record();
    gs.phase = GUEST_MIGRATING;
    assert_int_equal(guest_state_put(ctl, &gs, NULL), 0);
    child = fork();
    if (child == 0) {
        lock_forget();
        _exit(guest_lock(gs.uuid, 0, NULL) || pause());
    }
    while (!lock_holder(lock_of_guest(gs.uuid)))
        usleep(1000);
    assert_int_equal(umbra("--json migrate-status web2"), 0);
    assert_non_null(strstr(out, "\"migrating\""));
    assert_int_equal(umbra("migrate-abort web2"), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void test_options(void **state)
{
    static const char *const bad[][2] = {{"-T tcp", "needs --key FILE"},
                                         {"-T tcp -k g.json", "tcp needs HOST:PORT"},
                                         {"-k g.json", "only --transport tcp has one"},
                                         {"-d 3x", "not a time"},
                                         {"-d -1", "not a time"},
                                         {"-d 9999999999h", "not a time"},
                                         {"-t 8d", "not a time"},
                                         {"-w 3x", "not a time"},
                                         {"-w 999ms", "not a time from 1s to 100s"},
                                         {"-w 2m", "not a time from 1s to 100s"},
                                         {"-o maybe", "neither cancel nor force"},
                                         {"-b 1", "64K at least"},
                                         {"-b 99999999999G", "64K at least"},
                                         {"-b 1T", "64K at least"},
                                         {"-N 0", "1 to 16"},
                                         {"-N 17", "1 to 16"},
                                         {"-N two", "is not a number of connections"},
                                         {"-S -d 1s", "there are no rounds"},
                                         {"-S -o force", "there are no rounds"}};
    char line[128];

    created(state);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "migrate %s web2 localhost", bad[i][0]);
        assert_int_equal(umbra(line), 2);
        if (!strstr(err_text, bad[i][1]))
            fail_msg("%s: \"%s\" does not say \"%s\"", line, err_text, bad[i][1]);
    }
    assert_int_equal(umbra("migrate -T tcp -k nowhere web2 localhost:7"), 2);
    assert_non_null(strstr(err_text, "No such file"));
    assert_int_equal(umbra("migrate web2"), 2);
    assert_int_equal(umbra("migrate-receive -L 127.0.0.1:7"), 2);
    assert_non_null(strstr(err_text, "--listen: needs --key FILE"));
    assert_int_equal(umbra("migrate-receive -k g.json"), 2);
    assert_non_null(strstr(err_text, "goes with --listen"));
    assert_int_equal(umbra("migrate-receive -1 -p -L 127.0.0.1:7 -k g.json"), 1);
    assert_non_null(strstr(err_text, "once -p with g.json"));
    assert_int_equal(umbra("migrate-resolve -H -T web2"), 2);
    assert_int_equal(umbra("migrate Domain-0 localhost"), 1);
    assert_int_equal(umbra("migrate nobody localhost"), 1);
    fake_add(77, "strange");
    assert_int_equal(umbra("migrate -T relay strange localhost"), 1);
    assert_non_null(strstr(err_text, "umbra did not create it"));
    assert_int_equal(run("migrate -T relay -d 1s -t 0 -w 100s -o force -b 10M web2 localhost"), 0);
    assert_int_equal(fake->suspend_ms, 100000);
}

/* xl's options: -s in the place of ssh, what the receiver is told, another configuration, the same number. */
static void test_options_of_xl(void **state)
{
    static const char *const bad[][2] = {{"-s x -T tcp", "a way of its own"},
                                         {"-s x -k g.json", "a way of its own"},
                                         {"-T relay -e", "--no-watch: `umbra migrate-receive` on the other host"},
                                         {"-T relay -p", "--paused: `umbra migrate-receive` on the other host"},
                                         {"--debug", "--debug: not supported: pages are not sent a second time"},
                                         {"-C none.json", "none.json"},
                                         {"-C pvh.json", "pvh.json: type: the guest is a pv one"},
                                         {"-C near.json", "near.json: kernel: write it with its whole path"}};
    static const char *const files[][2] = {
        {"pvh.json", "{\"name\":\"x\",\"type\":\"pvh\",\"kernel\":\"/k\",\"memory\":64}"},
        {"near.json", "{\"name\":\"x\",\"kernel\":\"k\",\"memory\":64}"},
        {"other.cfg", "name='x'\nkernel='/there/k'\nmemory=64\non_crash='preserve'\n"}};
    char line[128];

    created(state);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        FILE *f = fopen(files[i][0], "w");

        fputs(files[i][1], f);
        assert_int_equal(fclose(f), 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "migrate %s web2 localhost", bad[i][0]);
        assert_int_equal(umbra(line), 2);
        if (!strstr(err_text, bad[i][1]))
            fail_msg("%s: \"%s\" does not say \"%s\"", line, err_text, bad[i][1]);
    }
    assert_int_equal(run("--json migrate -ep -s socat# web2 localhost"), 0);
    assert_non_null(strstr(out, "\"transport\":\"socat# \\\"$1\\\" umbra migrate-receive -e -p\""));
    assert_int_equal(run("migrate -n -T relay -C other.cfg web2 localhost"), 0);
    assert_int_equal(run("migrate -T relay -C other.cfg web2 localhost"), 0);
    assert_string_equal(the_record().name, "web2");
    assert_int_equal(run("config get web2 kernel"), 0);
    assert_string_equal(out, "/there/k\n");
    assert_int_equal(run("config get web2 on_crash"), 0);
    assert_string_equal(out, "preserve\n");
    assert_int_equal(run("migrate -D -T relay web2 localhost"), 1); /* it is on this host, and has the number */
    assert_int_equal(running(), 1);
    assert_int_equal(the_record().phase, GUEST_RUNNING);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i][0]);
}

static void moves_by(const char *settings, const char *line, unsigned downtime_ms, uint64_t bandwidth)
{
    FILE *f = fopen("umbra.conf", "w");

    fputs(settings, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(run(line), 0);
    assert_int_equal(fake->how.max_downtime_ms, downtime_ms);
    assert_int_equal(fake->how.bandwidth, bandwidth);
}

/* What umbra.conf says counts, and what an option says more. */
static void test_settings(void **state)
{
    created(state);
    moves_by("{}", "--json migrate web2 localhost", 300, 0);
    assert_non_null(strstr(out, "\"transport\":\"ssh\",\"streams\""));
    moves_by("{\"migrate.transport\": \"relay\", \"migrate.max_downtime\": \"2s\", \"migrate.bandwidth\": \"10M\","
             " \"migrate.key\": \"nowhere\"}",
             "--json migrate web2 localhost", 2000, 10 << 20);
    assert_non_null(strstr(out, "\"transport\":\"relay\",\"streams\""));
    assert_int_equal(run("--json migrate -T ssh -d 1s -b 1M web2 localhost"), 0);
    assert_non_null(strstr(out, "\"transport\":\"ssh\",\"streams\""));
    assert_int_equal(fake->how.max_downtime_ms, 1000);
    assert_int_equal(fake->how.bandwidth, 1 << 20);
    assert_int_equal(run("migrate -S web2 localhost"), 0); /* what it has no use for is no fault of the line */
    assert_int_equal(umbra("migrate -T tcp web2 localhost:7"), 2);
    assert_non_null(strstr(err_text, "nowhere: No such file"));
    moves_by("{\"migrate.transport\": \"tcp\", \"migrate.key\": \"g.json\"}", "--json migrate web2 localhost:7", 300,
             0);
    assert_non_null(strstr(out, "\"transport\":\"tcp\",\"key\":\""));
    assert_int_equal(umbra("migrate -k nowhere web2 localhost:7"), 2);
    assert_non_null(strstr(err_text, "--key: nowhere: No such file"));
    assert_int_equal(umbra("migrate-receive -L 127.0.0.1:7"), 1);
    assert_non_null(strstr(err_text, "with g.json"));
    assert_int_equal(umbra("migrate-receive -L 127.0.0.1:7 -k lock"), 1);
    assert_non_null(strstr(err_text, "with lock"));
    unlink("umbra.conf");
}

static int teardown(void **state)
{
    unlink(SAVED);
    return move_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_renamed_moves, fresh),
        cmocka_unit_test_setup(test_moves, fresh),
        cmocka_unit_test_setup(test_target, fresh),
        cmocka_unit_test_setup(test_another_sleeps_here, fresh),
        cmocka_unit_test_setup(test_cut, fresh),
        cmocka_unit_test_setup(test_lost_report, fresh),
        cmocka_unit_test_setup(test_restarted_meanwhile, fresh),
        cmocka_unit_test_setup(test_signal_after_go, fresh),
        cmocka_unit_test_setup(test_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_store_dies, fresh),
        cmocka_unit_test_setup(test_write_fails, fresh),
        cmocka_unit_test_setup(test_failures, fresh),
        cmocka_unit_test_setup(test_devices, fresh),
        cmocka_unit_test_setup(test_disk_does_not_move, fresh),
        cmocka_unit_test_setup(test_disk_is_used_there, fresh),
        cmocka_unit_test_setup(test_disk_of_unsettled, fresh),
        cmocka_unit_test_setup(test_cannot_sleep, fresh),
        cmocka_unit_test_setup(test_too_late, fresh),
        cmocka_unit_test_setup(test_left_by_the_dead, fresh),
        cmocka_unit_test_setup(test_unpaused_by_hand, fresh),
        cmocka_unit_test_setup(test_receives, fresh),
        cmocka_unit_test_setup(test_silence, fresh),
        cmocka_unit_test(test_deaf),
        cmocka_unit_test_setup(test_name_taken_there, fresh),
        cmocka_unit_test_setup(test_two_of_a_name, fresh),
        cmocka_unit_test_setup(test_rude_answers, fresh),
        cmocka_unit_test_setup(test_abort, fresh),
        cmocka_unit_test_setup(test_options_of_xl, fresh),
        cmocka_unit_test_setup(test_options, fresh),
        cmocka_unit_test_setup(test_settings, fresh),
    };

    return cmocka_run_group_tests(tests, move_setup, teardown);
}
