/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small verbs on one guest: rename, sysrq, trigger; and uptime.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/guest_move.h"
#include "cli/output.h"

#define LOCK_MS 60000 /* for whoever is at work on the guest */

/* --- rename ---------------------------------------------------------------------------------------------------------
 */

static int cannot_rename(int code, const char *message, struct ctl_error *err)
{
    return ctl_error_set(err, code, "rename", NULL, NULL, "%s", message);
}

/* 0; -ENOENT: it has none, as guests of other tools; or another -errno. */
static int rename_record(struct ctl *ctl, const uint8_t uuid[16], const char *name, struct ctl_error *err)
{
    struct guest_state gs;
    int rc = guest_state_get(ctl, uuid, &gs, err);

    if (rc < 0)
        return rc;
    if (gs.phase == GUEST_PARTIAL)
        return -ENOENT;
    if (gs.phase == GUEST_UNKNOWN)
        return cannot_rename(-EOPNOTSUPP, "its record is not understood", err);
    return guest_state_rename_all(ctl, &gs, name, err);
}

/* Record, if it has one, and nodes, if it has a domain now: what was so before the locks were taken may have changed.
 */
static int rename_locked(struct ctl *ctl, const uint8_t uuid[16], const char *name, struct ctl_error *err)
{
    const struct ctl_domain_info *d;
    struct ctl_domain_info *list;
    int rc = guest_name_free(ctl, name, err), n;

    if (rc < 0)
        return rc;
    n = ctl_domain_scan(ctl, &list, err);
    if (n < 0)
        return n;
    d = guest_domain(list, n, uuid);
    rc = rename_record(ctl, uuid, name, err);
    if (rc == -ENOENT)
        rc = d ? 0 : cannot_rename(-ESRCH, "it is dying, or gone", err);
    if (rc == 0 && d)
        rc = guest_name_nodes(ctl, d->uuid, d->domid, name, err);
    free(list);
    return rc;
}

static int rename_guest(struct ctl *ctl, const uint8_t uuid[16], const char *name, struct ctl_error *err)
{
    int rc = guest_lock(uuid, LOCK_MS, err);

    if (rc < 0)
        return rc;
    rc = guest_names_lock(err);
    if (rc >= 0) {
        rc = rename_locked(ctl, uuid, name, err);
        guest_names_unlock();
    }
    guest_unlock(uuid);
    return rc;
}

int cmd_rename(struct cli *cli, const struct cli_args *args)
{
    const char *name = args->operand[1], *fault = config_name_fault(name);
    struct ctl_domain_info info;
    struct ctl_error err = {0};
    uint32_t domid;

    if (fault)
        return cli_usage(cli, "%s: %s", name, fault);
    if (cli_guest(cli, args->operand[0], &domid))
        return EXIT_FAILED;
    if (ctl_domain_info(cli->ctl, domid, &info, &err) < 0 || rename_guest(cli->ctl, info.uuid, name, &err) < 0)
        return cli_fail(cli, args->operand[0], &err, CLI_NO_DOMAIN);
    return EXIT_OK;
}

/* --- sysrq, trigger -------------------------------------------------------------------------------------------------
 */

int cmd_sysrq(struct cli *cli, const struct cli_args *args)
{
    const char *key = args->operand[1];
    struct ctl_error err = {0};
    char path[64];
    uint32_t domid;

    if (strlen(key) != 1 || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *key))
        return cli_usage(cli, "%s: not a key; it is one letter or digit", key);
    if (cli_guest(cli, args->operand[0], &domid) || cli_hears(cli, args->operand[0], domid))
        return EXIT_FAILED;
    snprintf(path, sizeof(path), "/local/domain/%u/control/sysrq", domid);
    if (ctl_store_write_domain(cli->ctl, domid, path, key, &err) < 0)
        return cli_fail(cli, args->operand[0], &err, domid);
    return EXIT_OK;
}

int cmd_trigger(struct cli *cli, const struct cli_args *args)
{
    static const char *const others[] = {"reset", "init", "power", "sleep", "s3resume"};
    const char *what = args->operand[1], *vcpu = args->n > 2 ? args->operand[2] : "0";
    struct ctl_error err = {0};
    uint32_t domid;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(what, others[i]) == 0)
            return cli_usage(cli, "%s: PV guests take no such trigger; they take nmi", what);
    }
    if (strcmp(what, "nmi") != 0)
        return cli_usage(cli, "%s: no trigger; there is nmi", what);
    if (!*vcpu || strlen(vcpu) > 4 || vcpu[strspn(vcpu, "0123456789")])
        return cli_usage(cli, "%s: not a number of a virtual CPU", vcpu);
    if (cli_guest(cli, args->operand[0], &domid))
        return EXIT_FAILED;
    if (ctl_domain_nmi(cli->ctl, domid, (uint32_t)strtoul(vcpu, NULL, 10), &err) < 0)
        return cli_fail(cli, args->operand[0], &err, domid);
    return EXIT_OK;
}

/* --- uptime ---------------------------------------------------------------------------------------------------------
 */

/* Seconds since a domain was built, or since the control domain's kernel began; -1: not known. */
static int64_t uptime_of(struct ctl *ctl, uint32_t domid)
{
    char path[128], *vm, *start = NULL;
    struct timespec now;
    int64_t begin;

    if (domid == 0) {
        clock_gettime(CLOCK_BOOTTIME, &now);
        return now.tv_sec;
    }
    snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
    vm = ctl_store_read(ctl, path, NULL);
    if (vm && strlen(vm) < 64) {
        snprintf(path, sizeof(path), "%.63s/start_time", vm);
        start = ctl_store_read(ctl, path, NULL);
    }
    begin = start ? strtoll(start, NULL, 10) : 0; /* with a fraction, if another tool wrote it */
    free(vm);
    free(start);
    return begin > 0 && begin <= time(NULL) ? time(NULL) - begin : -1;
}

static void put_uptime(struct cli *cli, const struct ctl_domain_info *info, bool brief, struct json_out *o)
{
    int64_t seconds = uptime_of(cli->ctl, info->domid);
    char name[CTL_NAME_MAX];

    print_name(name, info);
    if (!cli->json) {
        uptime_row(stdout, name, info->domid, seconds, brief);
        return;
    }
    json_out_object(o, NULL);
    json_out_uint(o, "domid", info->domid);
    json_out_str(o, "name", name);
    if (seconds >= 0)
        json_out_int(o, "uptime_seconds", seconds);
    else
        json_out_null(o, "uptime_seconds");
    json_out_close(o);
}

static int put_named(struct cli *cli, const struct cli_args *args, bool brief, struct json_out *o)
{
    struct ctl_domain_info info;
    struct ctl_error err = {0};
    int rc = EXIT_OK;

    for (int i = 0; i < args->n; i++) {
        uint32_t domid;

        if (cli_domain(cli, args->operand[i], &domid))
            rc = EXIT_FAILED;
        else if (ctl_domain_info(cli->ctl, domid, &info, &err) < 0)
            rc = cli_fail(cli, args->operand[i], &err, CLI_NO_DOMAIN);
        else
            put_uptime(cli, &info, brief, o);
    }
    return rc;
}

static int put_all(struct cli *cli, bool brief, struct json_out *o)
{
    struct ctl_domain_info *list;
    struct ctl_error err = {0};
    int n = ctl_domain_list(cli->ctl, &list, &err);

    if (n < 0)
        return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    for (int i = 0; i < n; i++)
        put_uptime(cli, &list[i], brief, o);
    free(list);
    return EXIT_OK;
}

int cmd_uptime(struct cli *cli, const struct cli_args *args)
{
    bool brief = args->value['s'] != NULL;
    struct json_out *o;
    int rc, rc2;

    if (cli_open(cli))
        return EXIT_FAILED;
    o = cli->json ? json_out_new(true) : NULL;
    json_out_array(o, NULL);
    if (!cli->json && !brief)
        uptime_header(stdout);
    rc = args->n ? put_named(cli, args, brief, o) : put_all(cli, brief, o);
    json_out_close(o);
    rc2 = cli->json ? cli_json(cli, o) : EXIT_OK;
    return rc ? rc : rc2;
}
