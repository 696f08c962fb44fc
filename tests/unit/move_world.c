/* SPDX-License-Identifier: BSD-2-Clause */
/* See move_world.h. */
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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "move_world.h"
#include "cli/lock.h"
#include "fake_ctl.h"

static uint8_t old_uuid[16];
char disk[80];

/* Processes that outlive the one that made them are ours then. */
static void reap_all(void)
{
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

int run(const char *line)
{
    int rc = umbra(line);

    reap_all();
    return rc;
}

void created(void **state)
{
    char line[160];

    fresh(state);
    assert_non_null(getcwd(disk, sizeof(disk) - 8));
    strcat(disk, "/g.json"); /* a file that is there */
    unlink("err.there");
    assert_int_equal(world_config(), 0);
    assert_int_equal(lock_try(LOCK_SUPERVISOR), 0); /* none is started: the test settles */
    snprintf(line, sizeof(line), "create -e g.json disk=[\"%s,,xvda,w\"] vif=[{}]", disk);
    assert_int_equal(umbra(line), 0);
    memcpy(old_uuid, fake->domains[1].uuid, 16);
    fake->calls = 0;
}

static bool may_run(const struct ctl_domain_info *d)
{
    return d->domid && !d->paused && !d->shutdown && !d->dying;
}

int running(void)
{
    int n = 0;

    for (int i = 0; i < fake->n; i++)
        n += may_run(&fake->domains[i]);
    return n;
}

struct guest_state the_record(void)
{
    struct guest_state *list, gs = {.phase = GUEST_PHASES};
    int n = guest_state_list(ctl, &list, NULL);

    if (n == 1)
        gs = list[0];
    free(list);
    return gs;
}

void settle_all(void)
{
    struct guest_state *list;
    int n;

    fake->kill_at = fake->store_dies_at = fake->store_fails = fake->write_fails_at = 0;
    n = guest_state_list(ctl, &list, NULL);
    for (int i = 0; i < n; i++)
        assert_int_equal(settle(&list[i]), 0);
    free(list);
}

/* Each device once, and the guest's that there is. */
static void devices_are_its(void)
{
    assert_int_equal(fake->n_devices, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fake->devices[i].domid, fake->domains[1].domid);
    assert_true(fake->devices[0].kind != fake->devices[1].kind);
}

void one_guest(bool here)
{
    struct guest_state gs = the_record();

    assert_int_equal(records(), 1);
    assert_int_equal(fake->n, 2);
    assert_int_equal(running(), 1);
    assert_true(gs.phase == GUEST_RUNNING || gs.phase == GUEST_SAVING);
    assert_string_equal(gs.name, "web2");
    assert_string_equal(fake->domains[1].name, "web2");
    assert_true(!here || !fake->logging);
    assert_int_equal(memcmp(gs.uuid, old_uuid, 16) == 0, here);
    assert_int_equal(nodes_below("/umbra/name/"), 1);
    devices_are_its();
    for (int i = 0; i < fake->n_nodes; i++)
        assert_null(strstr(fake->nodes[i].path, "/move"));
}

/* What is there is told, and only what is true is done. */
static void resolve(void)
{
    const char *good = "migrate-resolve -H web2", *bad = "migrate-resolve -T web2";
    bool there = running() == 1;

    fake->cut_to = fake->cut_back = -1;
    assert_int_equal(run("migrate-status web2"), 0);
    assert_non_null(strstr(out, "web2: unresolved"));
    assert_int_equal(run("migrate-resolve web2"), 0);
    assert_non_null(strstr(out, there ? "the other host says: running" : "the other host says: absent"));
    assert_int_equal(run(there ? good : bad), 1);
    assert_non_null(strstr(err_text, there ? "the other host has it" : "the other host does not have it"));
    assert_int_equal(run(there ? bad : good), 0);
    one_guest(!there);
}

bool check(int rc)
{
    bool unresolved = false;
    struct guest_state *list;
    int n;

    assert_true(running() <= 1);
    settle_all();
    n = guest_state_list(ctl, &list, NULL);
    for (int i = 0; i < n; i++)
        unresolved |= list[i].phase == GUEST_HANDED_OVER;
    free(list);
    assert_true(running() <= 1);
    if (unresolved)
        resolve();
    else if (rc >= 0)
        one_guest(rc != 0);
    else
        one_guest(memcmp(the_record().uuid, old_uuid, 16) == 0);
    return unresolved;
}

int move_setup(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    return world_setup(state) || prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int move_teardown(void **state)
{
    unlink("err.there");
    return world_teardown(state);
}
