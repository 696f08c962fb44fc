/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices of guests that exist: block-attach, block-detach, block-list, and the same for network interfaces.
 *
 * What is attached or detached is so in the guest's configuration as well, so that it is the same after a reboot, a
 * save or a move. The domain comes first and the record second: if we are killed in between, the record tells of the
 * time before, and the device can still be detached.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/spare.h"

#define LOCK_MS   60000 /* for whoever is at work on the guest */
#define LET_GO_MS 10000 /* for the guest, to let go of a device */

struct job {
    struct cli *cli;
    enum config_kind kind;
    const struct spec_table *t;
    const char *subject;
    struct ctl_domain_info info;
    struct guest_state gs;
    bool recorded; /* the guest has a record, and this is its configuration: */
    struct config config;
    struct spec spec; /* attach */
    uint32_t devid;
};

static enum ctl_device_kind device_kind(const struct job *j)
{
    return j->kind == KIND_DISKS ? CTL_DISK : CTL_VIF;
}

/* --- the guest and its record ---------------------------------------------------------------------------------------
 */

static int load(struct job *j, struct ctl_error *err)
{
    int rc = guest_state_get(j->cli->ctl, j->info.uuid, &j->gs, err);

    if (rc == -ENOENT)
        return 0; /* another tool made it */
    if (rc < 0)
        return rc;
    if (j->gs.phase != GUEST_RUNNING)
        return ctl_error_set(err, -EBUSY, j->cli->command->name, NULL, "try again later, or see `umbra list`",
                             "the guest is %s", guest_phase_name(j->gs.phase));
    rc = guest_hears(&j->gs, j->info.domid, j->cli->command->name, err);
    if (rc == 0)
        rc = guest_config(j->cli->ctl, &j->gs, &j->config, err);
    j->recorded = rc == 0;
    return rc;
}

static int store(struct job *j, struct ctl_error *err)
{
    struct json_out *o = json_out_new(false);
    char *text;
    int rc;

    config_json(&j->config, o, NULL);
    text = json_out_end(o);
    rc = text ? guest_state_put_config(j->cli->ctl, j->gs.uuid, text, err)
              : ctl_error_set(err, -ENOMEM, "write the configuration", NULL, NULL, "out of memory");
    free(text);
    return rc;
}

static struct config_devices *devices_of(struct job *j)
{
    return j->kind == KIND_DISKS ? &j->config.disks : &j->config.vifs;
}

/* With the guest locked: what the record says does not change. */
static int locked(struct job *j, int (*work)(struct job *j, struct ctl_error *err))
{
    struct ctl_error err = {0};
    uint32_t domid;
    int rc;

    if (cli_guest(j->cli, j->subject, &domid))
        return EXIT_FAILED;
    rc = ctl_domain_info(j->cli->ctl, domid, &j->info, &err);
    if (rc >= 0)
        rc = guest_lock(j->info.uuid, LOCK_MS, &err);
    if (rc < 0)
        return cli_fail(j->cli, j->subject, &err, domid);
    rc = load(j, &err);
    if (rc >= 0)
        rc = work(j, &err);
    guest_unlock(j->info.uuid);
    config_free(&j->config);
    return rc < 0 ? cli_fail(j->cli, j->subject, &err, domid) : EXIT_OK;
}

/* --- attach ---------------------------------------------------------------------------------------------------------
 */

/* The parts of a spec may be operands of their own, as with xl. */
static int read_spec(struct job *j, const struct cli_args *args, const struct settings *settings)
{
    struct spec_fault fault = {0};
    bool ok = spec_parse_texts(j->t, args->operand + 1, args->n - 1, &j->spec, &fault) &&
              spec_complete(j->t, &j->spec, &fault);

    if (ok && j->kind == KIND_VIFS)
        ok = settings_for_vif(settings, &j->spec, &fault);
    if (ok)
        return EXIT_OK;
    return cli_usage(j->cli, "%s%s%s", fault.message, fault.hint ? "; " : "", fault.hint ? fault.hint : "");
}

/* The lowest number that neither the domain nor the record has. */
static int free_number(struct job *j, uint32_t *devid, struct ctl_error *err)
{
    struct ctl_device *list;
    int n = ctl_device_list(j->cli->ctl, j->info.domid, CTL_VIF, &list, err);
    bool taken = true;

    if (n < 0)
        return n;
    for (*devid = 0; taken && *devid < CONFIG_VIFS; *devid += taken) {
        taken = config_devices_has(j->kind, devices_of(j), devices_of(j)->n, *devid);
        for (int i = 0; i < n; i++)
            taken |= list[i].devid == *devid;
    }
    free(list);
    if (!taken)
        return 0;
    return ctl_error_set(err, -ENOSPC, "give it a number", NULL, NULL, "the guest has %d network interfaces",
                         CONFIG_VIFS);
}

static int attach_to_domain(struct job *j, struct ctl_error *err)
{
    struct ctl_disk disk;
    struct ctl_vif vif;
    uint32_t devid = 0;
    int rc;

    if (j->kind == KIND_DISKS) {
        disk = spec_disk(&j->spec);
        rc = ctl_disk_number(disk.vdev, &j->devid);
        return rc < 0 ? rc : ctl_disk_attach(j->cli->ctl, j->info.domid, &disk, err);
    }
    rc = free_number(j, &devid, err);
    if (rc == 0 && spec_vif_fill(&j->spec, devid) < 0)
        rc = ctl_error_set(err, -EIO, "give it an address", NULL, NULL, "no memory, or no random numbers");
    if (rc < 0)
        return rc;
    vif = spec_vif(&j->spec);
    j->devid = vif.devid;
    return ctl_vif_attach(j->cli->ctl, j->info.domid, &vif, err);
}

static void take_back(struct job *j)
{
    const struct ctl_detach how = {.force = true};

    ctl_device_detach(j->cli->ctl, j->info.domid, device_kind(j), j->devid, &how, NULL);
}

static void say_attached(const struct job *j)
{
    char mac[40] = "";

    if (j->kind == KIND_VIFS)
        snprintf(mac, sizeof(mac), ", address %s", spec_get(j->t, &j->spec, "mac"));
    printf("%s: %s %s attached%s\n", j->subject, j->kind == KIND_DISKS ? "disk" : "network interface",
           spec_get(j->t, &j->spec, j->kind == KIND_DISKS ? "vdev" : "devid"), mac);
}

static int print_attached(struct job *j, struct ctl_error *err)
{
    struct json_out *o;

    if (!j->cli->json) {
        say_attached(j);
        return 0;
    }
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.device/1");
    json_out_uint(o, "domid", j->info.domid);
    json_out_uint(o, "devid", j->devid);
    json_out_str(o, j->kind == KIND_DISKS ? "vdev" : "mac",
                 spec_get(j->t, &j->spec, j->kind == KIND_DISKS ? "vdev" : "mac"));
    json_out_close(o);
    return cli_json(j->cli, o) == EXIT_OK ? 0 : ctl_error_set(err, -EIO, "print", NULL, NULL, "it cannot be printed");
}

static int attach(struct job *j, struct ctl_error *err)
{
    struct spec copy = {0};
    int rc = attach_to_domain(j, err);

    spare_hint(j->cli->ctl, rc, err);
    if (rc < 0)
        return rc;
    if (j->recorded) {
        config_devices_remove(j->kind, devices_of(j), j->devid); /* the domain had none, whatever was said */
        rc = spec_copy(&copy, &j->spec);
        rc = rc ? rc : config_devices_add(devices_of(j), &copy);
        spec_free(&copy);
        rc = rc ? ctl_error_set(err, rc, "write the configuration", NULL, NULL, "out of memory") : store(j, err);
    }
    if (rc < 0) {
        take_back(j);
        return rc;
    }
    return print_attached(j, err);
}

static int cmd_attach(struct cli *cli, const struct cli_args *args, enum config_kind kind)
{
    struct job j = {.cli = cli, .kind = kind, .t = config_device_table(kind), .subject = args->operand[0]};
    struct settings settings = {0};
    int rc = kind == KIND_VIFS ? settings_load(cli, &settings) : EXIT_OK;

    if (rc == EXIT_OK)
        rc = read_spec(&j, args, &settings);
    if (rc == EXIT_OK)
        rc = locked(&j, attach);
    settings_free(&settings);
    spec_free(&j.spec);
    return rc;
}

int cmd_block_attach(struct cli *cli, const struct cli_args *args)
{
    return cmd_attach(cli, args, KIND_DISKS);
}

int cmd_network_attach(struct cli *cli, const struct cli_args *args)
{
    return cmd_attach(cli, args, KIND_VIFS);
}

/* --- detach ---------------------------------------------------------------------------------------------------------
 */

struct detach {
    struct job j; /* first */
    const char *which;
    bool force;
};

/* By number; a disk by its name as well, a network interface by its address. */
static int find_device(struct detach *d, struct ctl_error *err)
{
    struct ctl_device *list;
    int n = ctl_device_list(d->j.cli->ctl, d->j.info.domid, device_kind(&d->j), &list, err), found = -1;
    uint32_t number = UINT32_MAX;

    if (n < 0)
        return n;
    if (d->which[strspn(d->which, "0123456789")] == '\0' && strlen(d->which) < 10)
        number = (uint32_t)strtoul(d->which, NULL, 10);
    else if (d->j.kind == KIND_DISKS)
        ctl_disk_number(d->which, &number);
    for (int i = 0; i < n && found < 0; i++) {
        if (list[i].devid == number || (d->j.kind == KIND_VIFS && strcasecmp(list[i].mac, d->which) == 0))
            found = i;
    }
    if (found >= 0)
        d->j.devid = list[found].devid;
    free(list);
    if (found >= 0)
        return 0;
    return ctl_error_set(err, -ENOENT, "detach a device", NULL,
                         d->j.kind == KIND_DISKS ? "`umbra block-list` shows the disks that it has"
                                                 : "`umbra network-list` shows those that it has",
                         "the guest has no %s %s", d->j.kind == KIND_DISKS ? "disk" : "network interface", d->which);
}

/* One whose script failed is gone all the same; one that could not be asked, or waited for, is not. */
static bool still_there(struct job *j)
{
    struct ctl_device *list;
    int n = ctl_device_list(j->cli->ctl, j->info.domid, device_kind(j), &list, NULL);
    bool found = n < 0;

    for (int i = 0; i < n; i++)
        found |= list[i].devid == j->devid;
    free(list);
    return found;
}

static int detach(struct job *j, struct ctl_error *err)
{
    struct detach *d = (struct detach *)j;
    const struct ctl_detach how = {.force = d->force, .timeout_ms = LET_GO_MS};
    struct ctl_error own = {0};
    int rc = find_device(d, err), rc2 = 0;

    if (rc < 0)
        return rc;
    rc = ctl_device_detach(j->cli->ctl, j->info.domid, device_kind(j), j->devid, &how, err);
    if (rc < 0 && still_there(j))
        return rc;
    if (j->recorded && config_devices_remove(j->kind, devices_of(j), j->devid))
        rc2 = store(j, rc < 0 ? &own : err); /* the device is gone even if its script failed */
    return rc < 0 ? rc : rc2;
}

static int cmd_detach(struct cli *cli, const struct cli_args *args, enum config_kind kind)
{
    struct detach d = {.j = {.cli = cli, .kind = kind, .t = config_device_table(kind), .subject = args->operand[0]},
                       .which = args->operand[1],
                       .force = args->value['f'] != NULL};

    return locked(&d.j, detach);
}

int cmd_block_detach(struct cli *cli, const struct cli_args *args)
{
    return cmd_detach(cli, args, KIND_DISKS);
}

int cmd_network_detach(struct cli *cli, const struct cli_args *args)
{
    return cmd_detach(cli, args, KIND_VIFS);
}

/* --- list -----------------------------------------------------------------------------------------------------------
 */

static const char *state_name(int64_t state)
{
    static const char *const names[] = {"unknown",   "initialising", "waiting", "initialised",
                                        "connected", "closing",      "closed"};

    return state >= 0 && state < 7 ? names[state] : "unknown";
}

static void put_number(struct json_out *o, const char *key, int64_t n)
{
    if (n < 0)
        json_out_null(o, key);
    else
        json_out_int(o, key, n);
}

static void put_text(struct json_out *o, const char *key, const char *text)
{
    json_out_str(o, key, *text ? text : NULL);
}

static void device_json(uint32_t domid, enum config_kind kind, const struct ctl_device *d, struct json_out *o)
{
    json_out_object(o, NULL);
    json_out_uint(o, "domid", domid);
    json_out_uint(o, "devid", d->devid);
    json_out_str(o, "state", state_name(d->state));
    if (kind == KIND_DISKS) {
        put_text(o, "vdev", d->vdev);
        put_text(o, "target", d->target);
        json_out_bool(o, "readonly", d->readonly);
        json_out_str(o, "format", d->format);
        json_out_str(o, "backendtype", d->process < 0 ? "phy" : "qdisk");
        if (d->process >= 0)
            put_number(o, "process", d->process ? d->process : -1);
    } else {
        put_text(o, "mac", d->mac);
        put_text(o, "bridge", d->bridge);
        put_text(o, "vifname", d->vifname);
    }
    put_text(o, "script", d->script);
    json_out_uint(o, "backend_domid", 0);
    json_out_str(o, "backend", d->back);
    put_number(o, "event_channel", d->channel);
    put_number(o, kind == KIND_DISKS ? "ring_ref" : "tx_ring_ref", d->ring);
    if (kind == KIND_VIFS)
        put_number(o, "rx_ring_ref", d->rx_ring);
    json_out_close(o);
}

static int list_one(struct cli *cli, const char *operand, enum config_kind kind, struct json_out *o)
{
    struct ctl_error err = {0};
    struct ctl_device *list;
    uint32_t domid;
    int n;

    if (cli_domain(cli, operand, &domid))
        return EXIT_FAILED;
    n = ctl_device_list(cli->ctl, domid, kind == KIND_DISKS ? CTL_DISK : CTL_VIF, &list, &err);
    if (n < 0)
        return cli_fail(cli, operand, &err, CLI_NO_DOMAIN);
    for (int i = 0; i < n; i++) {
        if (cli->json)
            device_json(domid, kind, &list[i], o);
        else
            (kind == KIND_DISKS ? disk_row : vif_row)(stdout, domid, &list[i]);
    }
    free(list);
    return EXIT_OK;
}

static int cmd_device_list(struct cli *cli, const struct cli_args *args, enum config_kind kind)
{
    struct json_out *o = cli->json ? json_out_new(true) : NULL;
    int rc = EXIT_OK, rc2 = EXIT_OK;

    json_out_array(o, NULL);
    if (!cli->json)
        (kind == KIND_DISKS ? disk_header : vif_header)(stdout);
    for (int i = 0; i < args->n; i++)
        rc |= list_one(cli, args->operand[i], kind, o);
    json_out_close(o);
    if (cli->json)
        rc2 = cli_json(cli, o);
    return rc ? rc : rc2;
}

int cmd_block_list(struct cli *cli, const struct cli_args *args)
{
    return cmd_device_list(cli, args, KIND_DISKS);
}

int cmd_network_list(struct cli *cli, const struct cli_args *args)
{
    return cmd_device_list(cli, args, KIND_VIFS);
}
