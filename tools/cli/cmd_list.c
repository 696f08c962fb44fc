/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that read domains: list, vcpu-list, domid, domname.
 *
 * A guest that is being rebuilt for a reboot does not exist for a moment as a domain. It stays in the list all the
 * same (its state file says so), because scripts start a guest that they do not see a second time.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "cli/cli.h"
#include "cli/guest_state.h"
#include "cli/output.h"

struct rows {
    struct ctl_domain_info *info; /* live ones, then those that reboot */
    size_t n, n_live;
    struct guest_state *states;
    size_t n_states;
};

static void free_rows(struct rows *r)
{
    free(r->info);
    guest_state_list_free(r->states, r->n_states);
}

static const struct guest_state *state_of(const struct rows *r, const struct ctl_domain_info *info)
{
    char uuid[CTL_UUID_TEXT];

    ctl_uuid_format(info->uuid, uuid);
    for (size_t i = 0; i < r->n_states; i++) {
        if (strcmp(r->states[i].uuid, uuid) == 0)
            return &r->states[i];
    }
    return NULL;
}

static bool is_live(const struct rows *r, const char *uuid)
{
    char text[CTL_UUID_TEXT];

    for (size_t i = 0; i < r->n_live; i++) {
        ctl_uuid_format(r->info[i].uuid, text);
        if (strcmp(text, uuid) == 0)
            return true;
    }
    return false;
}

static void add_rebooting(struct rows *r)
{
    for (size_t i = 0; i < r->n_states; i++) {
        const struct guest_state *gs = &r->states[i];
        struct ctl_domain_info *bigger;

        if (strcmp(gs->state, "rebooting") != 0 || is_live(r, gs->uuid) || !guest_state_watched(gs))
            continue;
        bigger = realloc(r->info, (r->n + 1) * sizeof(*bigger));
        if (!bigger)
            return;
        r->info = bigger;
        bigger[r->n] = (struct ctl_domain_info){.domid = (uint32_t)gs->domid, .shutdown = true};
        bigger[r->n].shutdown_reason = SHUTDOWN_reboot;
        ctl_uuid_parse(gs->uuid, bigger[r->n].uuid);
        snprintf(bigger[r->n].name, CTL_NAME_MAX, "%s", guest_state_text(gs, "name", ""));
        r->n++;
    }
}

static int get_rows(struct cli *cli, struct rows *r)
{
    struct ctl_error err = {0};
    int n;

    memset(r, 0, sizeof(*r));
    if (cli_open(cli))
        return EXIT_FAILED;
    /* States first: a guest that comes back in between is then found live, never in neither place. */
    r->n_states = guest_state_list(&r->states);
    n = ctl_domain_list(cli->ctl, &r->info, &err);
    if (n < 0) {
        r->info = NULL;
        free_rows(r);
        return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    }
    r->n = r->n_live = (size_t)n;
    add_rebooting(r);
    return EXIT_OK;
}

/* By name first, then by number. */
static const struct ctl_domain_info *find_row(const struct rows *r, const char *operand)
{
    char name[CTL_NAME_MAX], *end;
    unsigned long id;

    for (size_t i = 0; i < r->n; i++) {
        print_name(name, &r->info[i]);
        if (strcmp(name, operand) == 0)
            return &r->info[i];
    }
    id = strtoul(operand, &end, 10);
    for (size_t i = 0; i < r->n && *operand >= '0' && *operand <= '9' && !*end; i++) {
        if (r->info[i].domid == id)
            return &r->info[i];
    }
    return NULL;
}

typedef void row_fn(struct cli *cli, const struct rows *r, const struct ctl_domain_info *info, struct json_out *o);

/* Calls fn for all, or for those named in their order. A name that does not exist fails, after the others. */
static int each_row(struct cli *cli, const struct cli_args *args, const struct rows *r, row_fn *fn, struct json_out *o)
{
    int rc = EXIT_OK;

    for (size_t i = 0; args->n == 0 && i < r->n; i++)
        fn(cli, r, &r->info[i], o);
    for (int i = 0; i < args->n; i++) {
        const struct ctl_domain_info *info = find_row(r, args->operand[i]);
        struct ctl_error err = {0};

        if (info) {
            fn(cli, r, info, o);
            continue;
        }
        ctl_error_set(&err, -ESRCH, "find the domain", NULL, "`umbra list` shows the domains there are",
                      "there is no such domain");
        rc = cli_fail(cli, args->operand[i], &err, CLI_NO_DOMAIN);
    }
    return rc;
}

static int print_rows(struct cli *cli, const struct cli_args *args, void (*header)(FILE *), row_fn *fn)
{
    struct json_out *o = cli->json ? json_out_new(true) : NULL;
    struct rows r;
    int rc = get_rows(cli, &r), rc2;

    if (rc) {
        free(json_out_end(o));
        return rc;
    }
    json_out_array(o, NULL);
    if (!cli->json)
        header(stdout);
    rc = each_row(cli, args, &r, fn, o);
    json_out_close(o);
    rc2 = cli->json ? cli_json(cli, o) : EXIT_OK;
    free_rows(&r);
    return rc ? rc : rc2;
}

static void put_list_json(const struct rows *r, const struct ctl_domain_info *info, struct json_out *o)
{
    const struct guest_state *gs = state_of(r, info);
    bool live = info < r->info + r->n_live;
    char name[CTL_NAME_MAX], uuid[CTL_UUID_TEXT];

    print_name(name, info);
    ctl_uuid_format(info->uuid, uuid);
    json_out_object(o, NULL);
    json_out_uint(o, "domid", info->domid);
    json_out_str(o, "name", name);
    json_out_str(o, "uuid", uuid);
    json_out_str(o, "type", gs ? guest_state_text(gs, "type", "pv") : info->hvm ? "hvm" : "pv");
    json_out_str(o, "state", live ? domain_state(info) : "rebooting");
    json_out_str(o, "shutdown_reason", shutdown_reason(info));
    json_out_uint(o, "vcpus", info->vcpus_online);
    json_out_uint(o, "memory_kib", info->memory_kib);
    json_out_uint(o, "max_memory_kib", info->maxmem_kib);
    json_out_uint(o, "cpu_time_ns", info->cpu_time_ns);
    if (gs)
        json_out_copy(o, "config", gs->config);
    else
        json_out_null(o, "config");
    json_out_close(o);
}

static void put_list(struct cli *cli, const struct rows *r, const struct ctl_domain_info *info, struct json_out *o)
{
    if (cli->json)
        put_list_json(r, info, o);
    else
        list_row(stdout, info);
}

int cmd_list(struct cli *cli, const struct cli_args *args)
{
    return print_rows(cli, args, list_header, put_list);
}

/* --- vcpu-list ------------------------------------------------------------------------------------------------------
 */

struct affinity {
    char hard[256], soft[256], both[520];
};

static void get_affinity(struct cli *cli, uint32_t domid, uint32_t vcpu, struct affinity *a)
{
    struct ctl_affinity map = {0};
    struct ctl_host_info host;
    unsigned n = 0;

    if (ctl_host_info(cli->ctl, &host, NULL) == 0)
        n = host.max_cpu_id + 1 < CONFIG_MAX_CPUS ? host.max_cpu_id + 1 : CONFIG_MAX_CPUS;
    if (ctl_vcpu_get_affinity(cli->ctl, domid, vcpu, &map, NULL) < 0)
        n = 0;
    cpu_ranges(a->hard, sizeof(a->hard), map.hard, n);
    cpu_ranges(a->soft, sizeof(a->soft), map.soft, n);
    snprintf(a->both, sizeof(a->both), "%s / %s", a->hard, a->soft);
}

static void put_vcpu_json(const struct ctl_domain_info *info, const struct ctl_vcpu_info *v, const struct affinity *a,
                          struct json_out *o)
{
    char name[CTL_NAME_MAX];

    print_name(name, info);
    json_out_object(o, NULL);
    json_out_str(o, "name", name);
    json_out_uint(o, "domid", info->domid);
    json_out_uint(o, "vcpu", v->vcpu);
    if (v->online)
        json_out_uint(o, "cpu", v->cpu);
    else
        json_out_null(o, "cpu");
    json_out_str(o, "state", !v->online ? "offline" : v->running ? "running" : v->blocked ? "blocked" : "runnable");
    json_out_uint(o, "cpu_time_ns", v->cpu_time_ns);
    json_out_str(o, "hard_affinity", a->hard);
    json_out_str(o, "soft_affinity", a->soft);
    json_out_close(o);
}

static void put_vcpus(struct cli *cli, const struct rows *r, const struct ctl_domain_info *info, struct json_out *o)
{
    struct ctl_vcpu_info v;
    struct affinity a;

    /* A domain that is being rebuilt or is dying has none to show. */
    for (uint32_t i = 0; info < r->info + r->n_live && i < info->vcpus_max; i++) {
        if (ctl_vcpu_info(cli->ctl, info->domid, i, &v, NULL) < 0)
            continue;
        get_affinity(cli, info->domid, i, &a);
        if (cli->json)
            put_vcpu_json(info, &v, &a, o);
        else
            vcpu_row(stdout, info, &v, a.both);
    }
}

int cmd_vcpu_list(struct cli *cli, const struct cli_args *args)
{
    return print_rows(cli, args, vcpu_header, put_vcpus);
}

/* --- domid, domname -------------------------------------------------------------------------------------------------
 */

static int print_identity(struct cli *cli, const char *operand, bool want_name)
{
    struct json_out *o;
    struct ctl_error err = {0};
    struct ctl_domain_info info;
    char name[CTL_NAME_MAX];
    uint32_t domid;

    if (cli_domain(cli, operand, &domid))
        return EXIT_FAILED;
    if (ctl_domain_info(cli->ctl, domid, &info, &err) < 0)
        return cli_fail(cli, operand, &err, CLI_NO_DOMAIN);
    print_name(name, &info);
    if (!cli->json) {
        if (want_name)
            puts(name);
        else
            printf("%u\n", domid);
        return EXIT_OK;
    }
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.domain/1");
    json_out_uint(o, "domid", domid);
    json_out_str(o, "name", name);
    json_out_close(o);
    return cli_json(cli, o);
}

int cmd_domid(struct cli *cli, const struct cli_args *args)
{
    return print_identity(cli, args->operand[0], false);
}

int cmd_domname(struct cli *cli, const struct cli_args *args)
{
    return print_identity(cli, args->operand[0], true);
}
