/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: the supervisor, a real process with real workers, on the stand-in for libctl.
 */
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest_world.h"
#include "cli/autostart.h"
#include "cli/cli.h"
#include "cli/lock.h"
#include "cli/spare.h"
#include "cli/supervisor.h"
#include "fake_ctl.h"

/* Whoever ends a verb by the words of its command line does not end the supervisor that it started. */
static void test_title(void **state)
{
    char path[64], shown[256];

    assert_int_equal(umbra("create g.json"), 0);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)supervisor_pid());
    slurp(path, shown, sizeof(shown));
    assert_string_equal(shown, "umbra supervise");
    assert_int_equal(kill_supervisor(), 0);
}

static void test_supervisor(void **state)
{
    char log[4096];
    pid_t first;

    assert_int_equal(umbra("create g.json"), 0);
    first = supervisor_pid();
    assert_int_equal(lock_holder(LOCK_SUPERVISOR), first);
    fake_stop(7, REBOOT);
    wait_domain(8);
    /* A second guest finds it running; a third one cannot be it. */
    assert_int_equal(umbra("create g.json name=web3"), 0);
    assert_int_equal(supervisor_pid(), first);
    assert_int_equal(umbra("supervise"), 1);
    assert_non_null(strstr(err_text, "is it already"));
    fake_stop(8, POWEROFF);
    wait_records(1);
    assert_int_equal(umbra("destroy web3"), 0);
    wait_records(0);
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, "Z web2: domain 7 rebooted\n"));
    assert_non_null(strstr(log, "Z web2: started again as domain 8\n"));
    assert_non_null(strstr(log, "Z web2: domain 8 powered off\n"));
    assert_int_equal(kill_supervisor(), 0);
}

/* create -F returns when the guest has stopped for good, even if the supervisor is killed meanwhile. */
static void test_foreground(void **state)
{
    int status;
    pid_t child;

    assert_int_equal(umbra("create -eF g.json"), 2);
    child = fork();
    if (child == 0) {
        lock_forget();
        _exit(umbra("create -qF g.json"));
    }
    wait_domain(7);
    fake_stop(7, REBOOT);
    wait_domain(8);
    kill_supervisor();
    usleep(700000);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    fake_stop(8, POWEROFF);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    wait_records(0);
    assert_int_equal(kill_supervisor(), 0);
}

/* The process that serves a guest's disks ends, and the guest stays: that is told. One that goes with its guest is not
 * missed. */
static void test_server_missed(void **state)
{
    const char *line = "Z web2: process 4242 (qemu), which served its disks, has ended: domain 7 gets no answer";
    char log[4096], *said;

    fake->server.domid = 7;
    fake->server.pid = 4242;
    assert_int_equal(umbra("create g.json"), 0);
    usleep(500000);
    fake->server.pid = 0;
    for (int i = 0; i < 800; i++) {
        slurp(log_path, log, sizeof(log));
        if (strstr(log, line))
            break;
        usleep(10000);
    }
    said = strstr(log, line);
    assert_non_null(said);
    fake->server.pid = 4243;
    assert_int_equal(umbra("rename web2 web4"), 0);
    usleep(500000);
    fake->server.pid = 0;
    assert_int_equal(umbra("destroy web4"), 0);
    usleep(3000000);
    slurp(log_path, log, sizeof(log));
    assert_null(strstr(log, "4243"));
    assert_int_equal(kill_supervisor(), 0);
}

/* Nothing is lost while there is none, and the next verb that needs it starts it. */
static void test_supervisor_killed(void **state)
{
    pid_t first;

    assert_int_equal(umbra("create g.json"), 0);
    first = supervisor_pid();
    assert_int_equal(kill_supervisor(), 0);
    fake_stop(7, REBOOT);
    usleep(50000);
    assert_int_equal(fake->domains[1].domid, 7);
    assert_int_equal(umbra("create g.json name=web3"), 0);
    for (int i = 0; i < 500 && !(strstr(fake->acts, "unpause 8;") && strstr(fake->acts, "unpause 9;")); i++)
        usleep(10000);
    assert_non_null(strstr(fake->acts, "destroy 7;"));
    assert_int_equal(fake->n, 3);
    assert_int_not_equal(supervisor_pid(), first);
    assert_int_equal(kill_supervisor(), 0);
}

/* Its builder is killed while the supervisor runs: it notices by the lock, without an event. */
static void test_supervisor_removes_half_built(void **state)
{
    assert_int_equal(umbra("create g.json"), 0);
    fake->calls = 0;
    fake->kill_at = 6; /* the domain is there, its nodes are not */
    assert_int_equal(umbra("create g.json name=web3"), -SIGKILL);
    fake->kill_at = 0;
    wait_records(1);
    for (int i = 0; i < 500 && fake->n != 2; i++)
        usleep(10000);
    assert_int_equal(fake->n, 2);
    assert_int_equal(kill_supervisor(), 0);
}

/* Its worker is killed: another one goes on. */
static void test_worker_killed(void **state)
{
    char log[4096];

    assert_int_equal(umbra("create g.json"), 0);
    fake->calls = 0;
    fake->kill_at = 9;
    fake_stop(7, REBOOT);
    for (int i = 0; i < 500 && !strstr(fake->acts, "unpause 8;unpause") && fake->n; i++) {
        if (fake->n == 2 && fake->domains[1].domid > 7 && !fake->domains[1].paused)
            break;
        usleep(10000);
    }
    assert_int_equal(fake->n, 2);
    assert_true(fake->domains[1].domid > 7 && !fake->domains[1].paused);
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, "web2: its worker was ended by signal 9\n"));
    assert_int_equal(kill_supervisor(), 0);
}

/* It says so once, and looks on. */
static void test_record_not_understood(void **state)
{
    const char *log_line = "web1: the record /umbra/guest/ab000000-0000-0000-0000-000000000000 is not understood";
    char log[4096];

    ctl_store_write(ctl, "/umbra/guest/ab000000-0000-0000-0000-000000000000", "{\"state\":\"new\",\"name\":\"web1\"}",
                    NULL);
    assert_int_equal(umbra("create g.json"), 0);
    fake_stop(7, REBOOT);
    wait_domain(8);
    fake_stop(8, POWEROFF);
    wait_records(1);
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, log_line));
    assert_null(strstr(strstr(log, log_line) + 1, log_line));
    assert_int_equal(kill_supervisor(), 0);
}

static void wait_no_supervisor(void)
{
    for (int i = 0; i < 500 && lock_holder(LOCK_SUPERVISOR); i++)
        usleep(10000);
    assert_int_equal(lock_holder(LOCK_SUPERVISOR), 0);
}

/* A supervisor that hears nothing any more must not keep others from starting. */
static void test_xenstored_dies(void **state)
{
    char log[4096];
    pid_t first;

    assert_int_equal(umbra("create g.json"), 0);
    first = supervisor_pid();
    fake->store_fails = -EIO;
    wait_no_supervisor();
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, "xenstored is gone"));
    fake->store_fails = 0;
    fake_stop(7, REBOOT);
    assert_int_equal(umbra("create g.json name=web3"), 0);
    wait_domain(8);
    assert_int_not_equal(supervisor_pid(), first);
    /* It came back, and knows nothing of us. */
    ctl_store_write(ctl, "/umbra/supervisor", "", NULL);
    wait_no_supervisor();
}

static int copies(void)
{
    int n = 0;
    DIR *dir = opendir(spare_dir);
    const struct dirent *e;

    while (dir && (e = readdir(dir)) != NULL)
        n += *e->d_name != '.';
    if (dir)
        closedir(dir);
    return n;
}

static void wait_copies(int n)
{
    for (int i = 0; i < 500 && copies() != n; i++)
        usleep(10000);
    assert_int_equal(copies(), n);
}

/* Until the copy has what was done last. */
static void wait_copy_has(const char *name, const char *text)
{
    char path[200], copy[4096] = "";
    struct guest_state gs;

    assert_int_equal(guest_state_find(ctl, name, &gs, NULL), 0);
    for (int i = 0; i < 500 && !strstr(copy, text); i++) {
        char id[CTL_UUID_TEXT];

        usleep(10000);
        ctl_uuid_format(gs.uuid, id);
        snprintf(path, sizeof(path), "%s/%s", spare_dir, id);
        slurp(path, copy, sizeof(copy));
    }
    assert_non_null(strstr(copy, text));
}

static void log_has(const char *text)
{
    char log[8192];

    slurp(log_path, log, sizeof(log));
    if (!strstr(log, text))
        fail_msg("\"%s\" is not in the log:\n%s", text, log);
}

/* xenstored dies and an empty one comes: the supervisor's records are put back, by the next supervisor. */
static void lose_xenstored(void)
{
    wait_copy_has("web2", "running");
    fake_forget();
    wait_no_supervisor();
}

/* Each record has a copy as long as it is there, whoever removes it. */
static void test_copies(void **state)
{
    assert_int_equal(umbra("create g.json"), 0);
    assert_int_equal(umbra("create g.json name=web3"), 0);
    wait_copies(2);
    wait_copy_has("web2", "\"rings\":[71,72,73,74]");
    assert_int_equal(umbra("destroy web3"), 0);
    wait_copies(1);
    assert_int_equal(kill_supervisor(), 0);
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(copies(), 1);
    assert_int_equal(umbra("create g.json name=web4"), 0);
    wait_copies(1); /* the new one's */
    assert_int_equal(umbra("list"), 0);
    assert_string_equal(err_text, "");
    assert_int_equal(kill_supervisor(), 0);
    /* A supervisor that is started again with all there brings nothing back. */
    assert_int_equal(umbra("create g.json name=web5"), 0);
    wait_copies(2);
    assert_int_equal(records(), 2);
    assert_null(fake_node(SPARE_MARK));
    assert_int_equal(kill_supervisor(), 0);
}

static void test_xenstored_forgot(void **state)
{
    char id[CTL_UUID_TEXT];

    assert_int_equal(umbra("create g.json on_reboot=\"restart\""), 0);
    ctl_uuid_format(fake->domains[1].uuid, id);
    lose_xenstored();
    assert_int_equal(umbra("list"), 0);
    assert_non_null(strstr(err_text, "note: xenstored was started again and has forgotten all guests\n"));
    assert_null(strstr(out, "web2"));
    assert_int_equal(umbra("create g.json name=web3"), 0); /* starts the supervisor */
    log_has("xenstored was started again and knew nothing: 1 guests are back");
    assert_int_equal(records(), 2);
    assert_string_equal(fake_node("/local/domain/7/name"), "web2");
    assert_string_equal(fake_node("/umbra/name/web2"), id);
    assert_int_equal(umbra("list"), 0);
    assert_non_null(strstr(out, "\nweb2 "));
    assert_non_null(strstr(err_text, "note: xenstored was started again: guests that ran then take no request"));
    assert_int_equal(umbra("list --json web2"), 0);
    assert_non_null(strstr(out, "\"deaf\": true"));
    assert_int_equal(umbra("list --json web3"), 0);
    assert_non_null(strstr(out, "\"deaf\": false"));
    assert_int_equal(kill_supervisor(), 0);
}

/* Such a guest is refused at once what it would not hear; stopped otherwise, it goes the way of all, and hears again.
 */
static void test_deaf(void **state)
{
    static const char *const verbs[] = {"shutdown -w web2",      "reboot web2",
                                        "save web2 file",        "block-attach web2 g.json,,xvda",
                                        "network-detach web2 0", "mem-set web2 32",
                                        "vcpu-set web2 1",       "sysrq web2 h"};

    assert_int_equal(umbra("create g.json on_reboot=\"restart\""), 0);
    lose_xenstored();
    assert_int_equal(umbra("create g.json name=web3"), 0);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        assert_int_equal(umbra(verbs[i]), 1);
        assert_non_null(strstr(err_text, "it ran when xenstored was started again, and takes no request any more"));
    }
    assert_int_equal(umbra("pause web2"), 0);
    assert_int_equal(umbra("unpause web2"), 0);
    assert_int_equal(umbra("rename web2 web1"), 0);
    fake_stop(7, REBOOT);
    for (int i = 0; i < 500 && !strstr(fake->acts, "unpause 9;"); i++)
        usleep(10000);
    assert_non_null(strstr(fake->acts, "destroy 7;"));
    for (int i = 0; i < 500 && umbra("reboot web1") != 0; i++)
        usleep(10000);
    assert_int_equal(umbra("reboot web1"), 0);
    assert_int_equal(umbra("destroy web1"), 0);
    assert_int_equal(kill_supervisor(), 0);
}

/* What it was when xenstored died is what is done with it: gone meanwhile, stopped meanwhile, about to be removed. */
static void test_forgot_others(void **state)
{
    assert_int_equal(umbra("create g.json on_reboot=\"restart\""), 0);
    assert_int_equal(umbra("create g.json name=web3"), 0);
    wait_copies(2);
    wait_copy_has("web2", "running");
    wait_copy_has("web3", "running");
    assert_int_equal(kill_supervisor(), 0);
    fake_forget();
    fake_stop(7, REBOOT);
    assert_int_equal(ctl_domain_destroy(ctl, 8, NULL), 0);
    assert_int_equal(umbra("create g.json name=web4"), 0);
    for (int i = 0; i < 500 && (!strstr(fake->acts, "unpause 10;") || records() != 2); i++)
        usleep(10000);
    assert_int_equal(records(), 2);
    assert_int_equal(fake->n, 3);
    log_has("web2: domain 7 rebooted");
    log_has("web3: domain 8 is gone");
    wait_copies(2);
    assert_int_equal(kill_supervisor(), 0);
}

/* Its record is there even if xenstored does not take the domain, or nobody knows its rings. */
static void test_not_readmitted(void **state)
{
    assert_int_equal(umbra("create g.json"), 0);
    lose_xenstored();
    fake->readmit_fails = -EINVAL;
    assert_int_equal(umbra("create g.json name=web3"), 0);
    assert_int_equal(records(), 2);
    log_has("web2: introduce to xenstore: xenstored could not use the domain's ring");
    fake->readmit_fails = 0;
    assert_int_equal(umbra("list web2"), 0); /* by its record */
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(umbra("destroy web3"), 0);
    assert_int_equal(records(), 0);
    wait_copies(0);
    assert_int_equal(kill_supervisor(), 0);
}

/* A supervisor that is killed while it puts records back: the next one does all of it. */
static void test_killed_while_restoring(void **state)
{
    for (int at = 1; at < 12; at++) {
        assert_int_equal(fresh(NULL), 0);
        assert_int_equal(umbra("create g.json"), 0);
        lose_xenstored();
        fake->calls = 0;
        fake->kill_at = at;
        umbra("create g.json name=web3");
        fake->kill_at = 0;
        if (!lock_holder(LOCK_SUPERVISOR))
            assert_int_equal(umbra("create g.json name=web4"), 0);
        assert_int_equal(umbra("list web2"), 0);
        assert_non_null(strstr(out, "\nweb2 "));
        assert_int_equal(umbra("destroy web2"), 0);
        assert_int_equal(kill_supervisor(), 0);
    }
}

/* Whether a guest may run, its copy knows as well; of one that has none nobody does. */
static void test_unpaused_without_xenstored(void **state)
{
    struct guest_state gs;

    assert_int_equal(umbra("create g.json"), 0);
    wait_copy_has("web2", "running");
    assert_int_equal(guest_state_find(ctl, "web2", &gs, NULL), 0);
    assert_int_equal(umbra("create -p g.json name=web3"), 0);
    wait_copies(2);
    gs.phase = GUEST_HANDED_OVER;
    assert_int_equal(guest_state_put(ctl, &gs, NULL), 0);
    wait_copy_has("web2", "handed-over");
    wait_copy_has("web3", "running");
    fake->store_fails = -EIO;
    assert_int_equal(umbra("unpause 7"), 1);
    assert_non_null(strstr(err_text, "its record says handed-over"));
    assert_int_equal(umbra("unpause 8"), 0);
    wait_no_supervisor();
    forget_copies();
    assert_int_equal(umbra("pause 8"), 0);
    assert_int_equal(umbra("unpause 8"), 1);
}

/* A file that is no copy is said and left out; the others come back. */
static void test_bad_copy(void **state)
{
    char path[200];
    FILE *f;

    assert_int_equal(umbra("create g.json"), 0);
    lose_xenstored();
    snprintf(path, sizeof(path), "%s/ab000000-0000-0000-0000-000000000000", spare_dir);
    f = fopen(path, "w");
    fputs("{\"record\":\"{}\",\"config\":\"{}\",\"rings\":[1]}", f);
    fclose(f);
    assert_int_equal(umbra("create g.json name=web3"), 0);
    log_has("ab000000-0000-0000-0000-000000000000 is no copy of a record");
    log_has("1 guests are back");
    assert_int_equal(records(), 2);
    assert_int_equal(kill_supervisor(), 0);
}

/* Whoever lists the guests is told of daemons that are not there. */
static void test_told(void **state)
{
    char line[32];
    FILE *f;

    assert_int_equal(umbra("create g.json"), 0);
    assert_int_equal(umbra("list"), 0);
    assert_string_equal(err_text, "");
    assert_int_equal(kill_supervisor(), 0);
    assert_int_equal(umbra("list"), 0);
    assert_non_null(strstr(err_text, "note: no supervisor runs: nobody sees to guests that stop\n"));
    assert_int_equal(umbra("info"), 0);
    assert_non_null(strstr(out, "supervisor             : none\n"));
    assert_non_null(strstr(out, "xenstored              : running\n"));
    assert_non_null(strstr(out, "console_daemon         : unknown\n"));
    f = fopen("console.pid", "w");
    fprintf(f, "%d\n", (int)getpid()); /* which is another program */
    fclose(f);
    assert_int_equal(umbra("list"), 0);
    assert_non_null(strstr(err_text, "note: the console daemon has ended"));
    assert_int_equal(prctl(PR_SET_NAME, "xenconsoled"), 0);
    assert_int_equal(umbra("info"), 0);
    snprintf(line, sizeof(line), "console_daemon         : %d\n", (int)getpid());
    assert_non_null(strstr(out, line));
    unlink("console.pid");
    fake->store_fails = -EIO;
    assert_int_equal(umbra("list"), 0);
    assert_non_null(strstr(err_text, "note: xenstored does not answer: guests run on"));
    assert_int_equal(umbra("--json info"), 0);
    assert_non_null(strstr(out, "\"xenstored\": \"not answering\",\n  \"supervisor\": null,"));
}

/* A caller without standard files: what is printed must not end up in the file of locks. */
static void test_closed_files(void **state)
{
    char *argv[] = {"umbra", "create", "g.json", NULL};
    struct stat st;
    pid_t child = fork();
    int status;

    if (child == 0) {
        lock_forget();
        for (int fd = 0; fd < 64; fd++)
            close(fd);
        _exit(cli_main(3, argv));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 1 << 8); /* that it could not say what it did */
    assert_int_equal(records(), 1);
    assert_int_equal(supervisor_pid(), lock_holder(LOCK_SUPERVISOR));
    assert_int_equal(stat("lock", &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(kill_supervisor(), 0);
}

/* --- the end of the host ---------------------------------------------------------------------------------------------
 */

static bool logged(const char *text)
{
    char log[4096];

    slurp(log_path, log, sizeof(log));
    return strstr(log, text) != NULL;
}

/* A guest between two of its lives is not there to be asked: it is not built again, wherever it is on its way. */
static void test_stop_between_lives(void **state)
{
    static const enum guest_phase phases[] = {GUEST_RUNNING, GUEST_RENAMING, GUEST_REBOOTING};

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct guest_state gs;

        fresh(NULL);
        gs = left(phases[i], CONFIG(",\"on_reboot\":\"restart\""));
        if (phases[i] == GUEST_RUNNING) {
            domain_of(&gs, 5);
            fake_stop(5, REBOOT);
        }
        assert_int_equal(umbra("autostart stop -t 20"), 0);
        assert_int_equal(phase_of(&gs), GUEST_PHASES);
        assert_null(strstr(fake->acts, "poweroff"));
        assert_null(strstr(fake->acts, "build"));
        assert_true(logged("web2: all guests are being stopped: it is not started again"));
        assert_int_equal(kill_supervisor(), 0);
    }
}

/* Another process has taken it. */
static void wait_held(off_t lock)
{
    for (int i = 0; i < 1000 && !lock_holder(lock); i++)
        usleep(10000);
    assert_true(lock_holder(lock) != 0);
}

/* The supervisor is beyond the point when `stop` begins, or somebody creates one: it is asked when it runs. */
static void test_stop_waits_for_builder(void **state)
{
    static const enum guest_phase phases[] = {GUEST_REBOOTING, GUEST_BUILDING, GUEST_INCOMING};

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct guest_state gs;
        pid_t builder;

        fresh(NULL);
        fake->obeys = true;
        gs = left(phases[i], CONFIG(""));
        builder = fork();
        if (builder == 0) {
            lock_forget();
            lock_try(lock_of_guest(gs.uuid));
            usleep(700000);
            gs.domid = 9;
            domain_of(&gs, 9);
            guest_start(ctl, &gs, true, NULL);
            _exit(0);
        }
        wait_held(lock_of_guest(gs.uuid));
        assert_int_equal(umbra("autostart stop -t 20"), 0);
        assert_int_equal(waitpid(builder, NULL, 0), builder);
        assert_non_null(strstr(fake->acts, "poweroff 9;"));
        assert_int_equal(phase_of(&gs), GUEST_PHASES);
        assert_int_equal(kill_supervisor(), 0);
    }
}

/* Guests are still being started when the host goes down: `stop` waits for the last of them, and asks it. */
static void test_stop_waits_for_start(void **state)
{
    struct guest_state gs;
    pid_t starter = fork();

    fake->obeys = true;
    if (starter == 0) {
        lock_forget();
        lock_try(LOCK_STARTING);
        usleep(700000);
        gs = left(GUEST_BUILDING, CONFIG(""));
        gs.domid = 9;
        domain_of(&gs, 9);
        guest_start(ctl, &gs, true, NULL);
        _exit(0);
    }
    wait_held(LOCK_STARTING);
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_int_equal(waitpid(starter, NULL, 0), starter);
    assert_non_null(strstr(fake->acts, "poweroff 9;"));
    assert_int_equal(kill_supervisor(), 0);
}

static unsigned requests(const char *what)
{
    unsigned n = 0;

    for (const char *at = fake->acts; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

/* One that has not booted yet takes no request; one that cannot be saved is shut down. */
static void test_stop_tries_again(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));

    autostart_again_ms = 100;
    fake->obeys = true;
    fake->deaf = 2;
    domain_of(&gs, 5);
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_int_equal(requests("poweroff 5;"), 3);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    assert_int_equal(kill_supervisor(), 0); /* it would find the record before the domain */
    gs = left(GUEST_RUNNING, CONFIG(",\"on_host_shutdown\":\"save\""));
    fake->suspend_fails = -EIO;
    domain_of(&gs, 6);
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_int_equal(requests("poweroff 6;"), 1);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    /* and one that never does is told */
    assert_int_equal(kill_supervisor(), 0);
    gs = left(GUEST_RUNNING, CONFIG(""));
    fake->deaf = 1 << 30;
    domain_of(&gs, 8);
    assert_int_equal(umbra("autostart stop -t 1"), 1);
    assert_true(requests("poweroff 8;") > 1);
    assert_non_null(strstr(err_text, "umbra: autostart: web2: stop: it did not stop in time, and runs on"));
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_int_equal(kill_supervisor(), 0);
}

/* One that is paused could neither be saved nor shut down: it is let run first, however often it was paused. */
static void test_stop_paused(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));

    fake->obeys = true;
    domain_of(&gs, 5);
    assert_int_equal(umbra("pause 5"), 0);
    assert_int_equal(umbra("pause 5"), 0);
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_non_null(strstr(err_text, "umbra: autostart: web2: it is paused: it is unpaused, so that it can stop\n"));
    assert_non_null(strstr(fake->acts, "pause 5;pause 5;unpause 5;unpause 5;poweroff 5;"));
    assert_int_equal(requests("poweroff 5;"), 1);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    assert_int_equal(kill_supervisor(), 0);
    gs = left(GUEST_RUNNING, CONFIG(",\"on_host_shutdown\":\"save\""));
    autostart_saved = "saved";
    domain_of(&gs, 5);
    *fake->acts = '\0';
    assert_int_equal(umbra("pause 5"), 0);
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_int_equal(requests("unpause 5;"), 1);
    assert_int_equal(requests("poweroff 5;"), 0);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    assert_int_equal(access("saved/web2.save", F_OK), 0);
    assert_int_equal(system("rm -r saved"), 0);
    assert_int_equal(kill_supervisor(), 0);
    /* and one that cannot be unpaused is told */
    gs = left(GUEST_RUNNING, CONFIG(""));
    domain_of(&gs, 7)->paused = true;
    fake->act_fails = -EINVAL;
    assert_int_equal(umbra("autostart stop -t 1"), 1);
    assert_non_null(strstr(err_text, "web2: stop: it did not stop in time, and runs on"));
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_int_equal(kill_supervisor(), 0);
}

/* A process that holds the guest's lock until it is killed. */
static pid_t at_work_on(const struct guest_state *gs)
{
    pid_t other = fork();

    if (other == 0) {
        lock_forget();
        lock_try(lock_of_guest(gs->uuid));
        pause();
    }
    wait_held(lock_of_guest(gs->uuid));
    return other;
}

/* One that others are at work on for ever is told. */
static void test_stop_in_vain(void **state)
{
    struct guest_state gs = left(GUEST_REBOOTING, CONFIG(""));
    pid_t builder = at_work_on(&gs);

    assert_int_equal(umbra("autostart stop -t 1"), 1);
    assert_non_null(strstr(err_text, "umbra: autostart: web2: stop: it was still being built, restarted or removed"));
    kill(builder, SIGKILL);
    assert_int_equal(waitpid(builder, NULL, 0), builder);
    /* nobody stops the guests any more: now it is built again */
    for (int i = 0; i < 500 && phase_of(&gs) != GUEST_RUNNING; i++)
        usleep(10000);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_int_equal(kill_supervisor(), 0);
}

/* A save that is ended between its file and the guest's end leaves a file that must not be restored. */
static void test_stop_ends_a_save(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(",\"on_host_shutdown\":\"save\""));
    pid_t other = at_work_on(&gs);

    domain_of(&gs, 5);
    autostart_saved = "saved";
    assert_int_equal(system("mkdir saved && touch saved/web2.save"), 0);
    assert_int_equal(umbra("autostart stop -t 1"), 1);
    assert_non_null(strstr(err_text, "web2: stop: it did not stop in time, and runs on"));
    assert_non_null(strstr(err_text, "web2: it has run since it was saved"));
    assert_int_equal(access("saved/web2.save", F_OK), -1);
    assert_int_equal(system("rm saved/.web2.save && rmdir saved"), 0);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(kill_supervisor(), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_title, fresh),
        cmocka_unit_test_setup(test_supervisor, fresh),
        cmocka_unit_test_setup(test_foreground, fresh),
        cmocka_unit_test_setup(test_server_missed, fresh),
        cmocka_unit_test_setup(test_supervisor_killed, fresh),
        cmocka_unit_test_setup(test_supervisor_removes_half_built, fresh),
        cmocka_unit_test_setup(test_worker_killed, fresh),
        cmocka_unit_test_setup(test_record_not_understood, fresh),
        cmocka_unit_test_setup(test_xenstored_dies, fresh),
        cmocka_unit_test_setup(test_copies, fresh),
        cmocka_unit_test_setup(test_xenstored_forgot, fresh),
        cmocka_unit_test_setup(test_deaf, fresh),
        cmocka_unit_test_setup(test_forgot_others, fresh),
        cmocka_unit_test_setup(test_not_readmitted, fresh),
        cmocka_unit_test_setup(test_killed_while_restoring, fresh),
        cmocka_unit_test_setup(test_unpaused_without_xenstored, fresh),
        cmocka_unit_test_setup(test_bad_copy, fresh),
        cmocka_unit_test_setup(test_told, fresh),
        cmocka_unit_test_setup(test_closed_files, fresh),
        cmocka_unit_test_setup(test_stop_between_lives, fresh),
        cmocka_unit_test_setup(test_stop_waits_for_builder, fresh),
        cmocka_unit_test_setup(test_stop_waits_for_start, fresh),
        cmocka_unit_test_setup(test_stop_tries_again, fresh),
        cmocka_unit_test_setup(test_stop_paused, fresh),
        cmocka_unit_test_setup(test_stop_in_vain, fresh),
        cmocka_unit_test_setup(test_stop_ends_a_save, fresh),
    };

    supervisor_arguments(argc, argv);
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
