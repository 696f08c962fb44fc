/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that tune a domain: vcpu-pin, vcpu-set, sched-credit2. What they change lasts as long as the domain: a guest
 * that reboots starts again with what its configuration says. The control domain may be tuned like any other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "cli/output.h"

#define WEIGHT_MAX 65535

/* A whole decimal number up to max, all of the text. */
static bool number(const char *text, unsigned long max, uint32_t *value)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long n = digits && digits < 8 && !text[digits] ? strtoul(text, NULL, 10) : max + 1;

    *value = (uint32_t)n;
    return n <= max;
}

static int refused(struct cli *cli, const char *subject, int code, const char *hint, const char *message)
{
    struct ctl_error err = {0};

    ctl_error_set(&err, code, cli->command->name, NULL, hint, "%s", message);
    return cli_fail(cli, subject, &err, CLI_NO_DOMAIN);
}

static int look_at(struct cli *cli, const char *operand, struct ctl_domain_info *info)
{
    struct ctl_error err = {0};
    uint32_t domid;

    if (cli_domain(cli, operand, &domid))
        return EXIT_FAILED;
    if (ctl_domain_info(cli->ctl, domid, info, &err) < 0)
        return cli_fail(cli, operand, &err, CLI_NO_DOMAIN);
    return EXIT_OK;
}

/* --- vcpu-pin -------------------------------------------------------------------------------------------------------
 */

/* One of the two lists into a map: "-" leaves it as it is. */
static int read_cpus(struct cli *cli, const char *text, uint8_t map[CTL_CPU_BYTES], unsigned n_cpus, bool *given)
{
    uint8_t wanted[CONFIG_MAX_CPUS / 8];

    *given = strcmp(text, "-") != 0;
    if (!*given)
        return EXIT_OK;
    if (config_cpu_map(text, wanted))
        return cli_usage(cli, "%s: not a list of host CPUs; write it as in 0-3,6,^2 or all, or - to leave it", text);
    for (unsigned i = n_cpus; i < CONFIG_MAX_CPUS && strncmp(text, "all", 3) != 0; i++) {
        if (wanted[i / 8] >> i % 8 & 1)
            return cli_usage(cli, "%s: there is no CPU %u; the host has CPUs 0 to %u", text, i, n_cpus - 1);
    }
    memcpy(map, wanted, CTL_CPU_BYTES);
    return EXIT_OK;
}

struct pin {
    struct ctl_affinity map;
    bool hard, soft; /* which of the two are given */
    uint32_t first, last;
};

static int read_pin(struct cli *cli, const struct cli_args *args, const struct ctl_domain_info *info, struct pin *pin)
{
    struct ctl_host_info host;
    struct ctl_error err = {0};
    int rc;

    if (ctl_host_info(cli->ctl, &host, &err) < 0)
        return cli_fail(cli, args->operand[0], &err, CLI_NO_DOMAIN);
    pin->last = info->vcpus_max ? info->vcpus_max - 1 : 0;
    if (strcmp(args->operand[1], "all") != 0) {
        if (!number(args->operand[1], pin->last, &pin->first))
            return cli_usage(cli, "%s: not a virtual CPU; they are 0 to %u, or all", args->operand[1], pin->last);
        pin->last = pin->first;
    }
    rc = read_cpus(cli, args->operand[2], pin->map.hard, host.max_cpu_id + 1, &pin->hard);
    if (!rc)
        rc = read_cpus(cli, args->n > 3 ? args->operand[3] : "-", pin->map.soft, host.max_cpu_id + 1, &pin->soft);
    return rc;
}

static int pin_one(struct cli *cli, uint32_t domid, uint32_t vcpu, const struct pin *pin, struct ctl_error *err)
{
    struct ctl_affinity now;
    int rc = ctl_vcpu_get_affinity(cli->ctl, domid, vcpu, &now, err);

    if (rc < 0)
        return rc;
    if (pin->hard)
        memcpy(now.hard, pin->map.hard, sizeof(now.hard));
    if (pin->soft)
        memcpy(now.soft, pin->map.soft, sizeof(now.soft));
    return ctl_vcpu_set_affinity(cli->ctl, domid, vcpu, &now, err);
}

int cmd_vcpu_pin(struct cli *cli, const struct cli_args *args)
{
    struct ctl_domain_info info;
    struct ctl_error err = {0};
    struct pin pin = {0};
    int rc = look_at(cli, args->operand[0], &info);

    if (!rc)
        rc = read_pin(cli, args, &info, &pin);
    if (rc)
        return rc;
    for (uint32_t v = pin.first; v <= pin.last; v++) {
        if (pin_one(cli, info.domid, v, &pin, &err) < 0)
            return cli_fail(cli, args->operand[0], &err, info.domid);
    }
    return EXIT_OK;
}

/* --- vcpu-set -------------------------------------------------------------------------------------------------------
 */

/* The guest's kernel watches these nodes. */
static int set_online(struct cli *cli, const struct ctl_domain_info *info, uint32_t count, struct ctl_error *err)
{
    int rc = 0;

    for (uint32_t v = 0; v < info->vcpus_max && rc >= 0; v++) {
        char path[64];

        snprintf(path, sizeof(path), "/local/domain/%u/cpu/%u/availability", info->domid, v);
        rc = ctl_store_write_domain(cli->ctl, info->domid, path, v < count ? "online" : "offline", err);
    }
    return rc;
}

int cmd_vcpu_set(struct cli *cli, const struct cli_args *args)
{
    const char *subject = args->operand[0];
    struct ctl_domain_info info;
    struct ctl_host_info host;
    struct ctl_error err = {0};
    uint32_t count;
    char text[96];

    if (look_at(cli, subject, &info) || cli_hears(cli, subject, info.domid))
        return EXIT_FAILED;
    if (!number(args->operand[1], 9999, &count) || count == 0)
        return cli_usage(cli, "%s: not a number of virtual CPUs", args->operand[1]);
    if (count > info.vcpus_max) {
        snprintf(text, sizeof(text), "%u virtual CPUs are more than its maxvcpus, %u", count, info.vcpus_max);
        return refused(cli, subject, -ERANGE, "maxvcpus is fixed when the guest is created", text);
    }
    if (!args->value['i'] && ctl_host_info(cli->ctl, &host, NULL) >= 0 && count > host.nr_cpus) {
        snprintf(text, sizeof(text), "%u virtual CPUs are more than the host's %u CPUs", count, host.nr_cpus);
        return refused(cli, subject, -ERANGE, "-i allows it", text);
    }
    if (set_online(cli, &info, count, &err) < 0)
        return cli_fail(cli, subject, &err, info.domid);
    return EXIT_OK;
}

/* --- sched-credit2 --------------------------------------------------------------------------------------------------
 */

static void put_share(struct cli *cli, const struct ctl_domain_info *info, struct json_out *o)
{
    struct ctl_sched sched;
    char name[CTL_NAME_MAX];

    if (ctl_sched_get(cli->ctl, info->domid, &sched, NULL) < 0)
        return; /* it went meanwhile */
    print_name(name, info);
    if (!cli->json) {
        sched_row(stdout, name, info->domid, &sched);
        return;
    }
    json_out_object(o, NULL);
    json_out_uint(o, "domid", info->domid);
    json_out_str(o, "name", name);
    json_out_uint(o, "weight", sched.weight);
    json_out_uint(o, "cap", sched.cap);
    json_out_close(o);
}

static int show_shares(struct cli *cli, const struct cli_args *args)
{
    struct ctl_domain_info *list = NULL, one;
    struct ctl_error err = {0};
    struct json_out *o;
    int n = 1;

    if (args->value['d']) {
        if (look_at(cli, args->value['d'], &one))
            return EXIT_FAILED;
    } else if (cli_open(cli)) {
        return EXIT_FAILED;
    } else if ((n = ctl_domain_list(cli->ctl, &list, &err)) < 0) {
        return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    }
    o = cli->json ? json_out_new(true) : NULL;
    json_out_array(o, NULL);
    if (!cli->json)
        sched_header(stdout);
    for (int i = 0; i < n; i++)
        put_share(cli, list ? &list[i] : &one, o);
    json_out_close(o);
    free(list);
    return cli->json ? cli_json(cli, o) : EXIT_OK;
}

/* What is not given stays as it is. */
static int read_share(struct cli *cli, const struct cli_args *args, const struct ctl_domain_info *info,
                      struct ctl_sched *sched)
{
    uint32_t most = 100 * (info->vcpus_max ? info->vcpus_max : 1);

    if (args->value['w'] && (!number(args->value['w'], WEIGHT_MAX, &sched->weight) || sched->weight == 0))
        return cli_usage(cli, "-w %s: a weight is 1 to %u", args->value['w'], WEIGHT_MAX);
    if (args->value['c'] && !number(args->value['c'], most, &sched->cap))
        return cli_usage(cli, "-c %s: a cap is 0 (none) to %u, 100 for each virtual CPU", args->value['c'], most);
    return EXIT_OK;
}

int cmd_sched_credit2(struct cli *cli, const struct cli_args *args)
{
    const char *subject = args->value['d'];
    struct ctl_domain_info info;
    struct ctl_sched sched;
    struct ctl_error err = {0};

    if (!args->value['w'] && !args->value['c'])
        return show_shares(cli, args);
    if (!subject)
        return cli_usage(cli, "-w and -c need a domain: -d DOMAIN");
    if (look_at(cli, subject, &info))
        return EXIT_FAILED;
    if (ctl_sched_get(cli->ctl, info.domid, &sched, &err) < 0)
        return cli_fail(cli, subject, &err, info.domid);
    if (read_share(cli, args, &info, &sched))
        return EXIT_USAGE;
    if (ctl_sched_set(cli->ctl, info.domid, &sched, &err) < 0)
        return cli_fail(cli, subject, &err, info.domid);
    return EXIT_OK;
}
