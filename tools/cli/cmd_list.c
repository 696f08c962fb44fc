/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that read domains: list, vcpu-list, domid, domname.
 *
 * A guest that is being rebuilt for a reboot does not exist for a moment as a domain. It stays in the list all the
 * same (its record says so), because scripts start a guest that they do not see a second time.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/health.h"
#include "cli/list_long.h"
#include "cli/output.h"

#define LOOKS 3

struct row {
    struct ctl_domain_info info;
    bool has_domain;
    const struct guest_state *gs; /* in rows.states; NULL: another tool made it */
};

struct rows {
    struct row *row; /* those with a domain, then those without */
    size_t n;
    struct guest_state *states;
    int n_states;
};

static void free_rows(struct rows *r)
{
    free(r->row);
    free(r->states);
}

static bool same(const uint8_t a[16], const uint8_t b[16])
{
    return memcmp(a, b, 16) == 0;
}

static const struct guest_state *state_of(const struct rows *r, const uint8_t uuid[16])
{
    for (int i = 0; i < r->n_states; i++) {
        if (same(r->states[i].uuid, uuid))
            return &r->states[i];
    }
    return NULL;
}

/* A domain that others hold has lost its nodes, and one half-built has none yet: the record knows the name. */
static void add_domains(struct rows *r, const struct ctl_domain_info *list, int n)
{
    for (int i = 0; i < n; i++) {
        struct row *row = &r->row[r->n++];

        *row = (struct row){.info = list[i], .has_domain = true, .gs = state_of(r, list[i].uuid)};
        if (row->gs && *row->gs->name)
            snprintf(row->info.name, sizeof(row->info.name), "%s", row->gs->name);
    }
}

/*
 * Guests without a domain. Returns how many of them ought to have one: those that began to reboot after their record
 * was read.
 */
static int add_absent(struct rows *r, const struct ctl_domain_info *list, int n)
{
    int puzzling = 0;

    for (int i = 0; i < r->n_states; i++) {
        const struct guest_state *gs = &r->states[i];
        struct row *row = &r->row[r->n];

        if (guest_domain(list, n, gs->uuid))
            continue;
        puzzling += gs->phase == GUEST_RUNNING || gs->phase == GUEST_STARTING || gs->phase == GUEST_SAVING ||
                    gs->phase == GUEST_MIGRATING;
        if (gs->phase != GUEST_REBOOTING && gs->phase != GUEST_RENAMING)
            continue;
        *row = (struct row){.gs = gs, .info = {.domid = (uint32_t)gs->domid, .shutdown = true}};
        row->info.shutdown_reason = SHUTDOWN_reboot;
        memcpy(row->info.uuid, gs->uuid, sizeof(gs->uuid));
        snprintf(row->info.name, sizeof(row->info.name), "%s", gs->name);
        r->n++;
    }
    return puzzling;
}

/* Records first: a guest that comes back in between is then found with a domain, never in neither place. */
static int read_rows(struct ctl *ctl, struct rows *r, struct ctl_error *err)
{
    struct ctl_domain_info *list = NULL;
    int n, puzzling = 0;

    memset(r, 0, sizeof(*r));
    r->n_states = guest_state_list(ctl, &r->states, err);
    if (r->n_states < 0)
        r->n_states = 0; /* without xenstored there are no guests but still domains */
    n = ctl_domain_list(ctl, &list, err);
    if (n < 0) {
        free_rows(r);
        return n;
    }
    r->row = calloc((size_t)(n + r->n_states) + 1, sizeof(*r->row));
    if (r->row) {
        add_domains(r, list, n);
        puzzling = add_absent(r, list, n);
    }
    free(list);
    return puzzling;
}

static int get_rows(struct cli *cli, struct rows *r)
{
    struct ctl_error err = {0};
    int rc;

    if (cli_open(cli))
        return EXIT_FAILED;
    /* A second look tells a guest that began to reboot from one that is gone, of which the supervisor is to learn. */
    rc = read_rows(cli->ctl, r, &err);
    for (int i = 0; i < LOOKS && rc > 0; i++) {
        free_rows(r);
        rc = read_rows(cli->ctl, r, &err);
    }
    return rc < 0 ? cli_fail(cli, NULL, &err, CLI_NO_DOMAIN) : EXIT_OK;
}

/* By name first, then by number. */
static const struct row *find_row(const struct rows *r, const char *operand)
{
    const struct row *found = NULL;
    char name[CTL_NAME_MAX], *end;
    unsigned long id;

    for (size_t i = 0; i < r->n; i++) {
        print_name(name, &r->row[i].info);
        if (strcmp(name, operand) == 0 && (!found || found->info.dying))
            found = &r->row[i]; /* rather a guest's new domain than its old one that others still hold */
    }
    id = strtoul(operand, &end, 10);
    for (size_t i = 0; i < r->n && !found && *operand >= '0' && *operand <= '9' && !*end; i++)
        found = r->row[i].info.domid == id ? &r->row[i] : NULL;
    return found;
}

typedef void row_fn(struct cli *cli, const struct row *row, struct json_out *o);

/* Calls fn for all, or for those named in their order. A name that does not exist fails, after the others. */
static int each_row(struct cli *cli, const struct cli_args *args, const struct rows *r, row_fn *fn, struct json_out *o)
{
    int rc = EXIT_OK;

    for (size_t i = 0; args->n == 0 && i < r->n; i++)
        fn(cli, &r->row[i], o);
    for (int i = 0; i < args->n; i++) {
        const struct row *row = find_row(r, args->operand[i]);
        struct ctl_error err = {0};

        if (row) {
            fn(cli, row, o);
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

/* What is going on with the guest goes before what its domain does. */
static const char *row_state(const struct row *row)
{
    enum guest_phase phase = row->gs ? row->gs->phase : GUEST_RUNNING;

    if (row->info.dying || phase == GUEST_DYING)
        return "dying";
    if (phase == GUEST_REBOOTING || phase == GUEST_RENAMING)
        return "rebooting";
    return phase == GUEST_BUILDING ? "building" : domain_state(&row->info);
}

/* The configuration that the guest was created with; returns its tree, or NULL. */
static struct json_value *row_config(struct cli *cli, const struct row *row)
{
    struct json_value *tree = NULL;
    char *text = NULL;

    if (row->gs && guest_state_config(cli->ctl, row->gs->uuid, &text, NULL) == 0 && text)
        tree = json_parse(text, strlen(text), NULL, NULL);
    free(text);
    return tree;
}

/* Why a dead domain is still there; null for all others, and if the hypervisor cannot tell. */
static void put_holders(struct cli *cli, const struct row *row, struct json_out *o)
{
    struct ctl_holder *list;
    struct ctl_holders sums;
    int n = row->info.dying ? ctl_domain_holders(cli->ctl, row->info.domid, &sums, &list, NULL) : -1;

    if (n < 0) {
        json_out_null(o, "holders");
        return;
    }
    json_out_array(o, "holders");
    for (int i = 0; i < n; i++) {
        json_out_object(o, NULL);
        json_out_uint(o, "domid", list[i].domid);
        json_out_uint(o, "granted_frames", list[i].grants);
        json_out_uint(o, "foreign_frames", list[i].foreign);
        json_out_close(o);
    }
    json_out_close(o);
    free(list);
}

/* How a guest's page tables are walked, and what the hypervisor keeps for that; null for PV guests. */
static void put_paging(struct cli *cli, const struct row *row, struct json_out *o)
{
    struct ctl_pool pool;

    bool known = row->info.hvm && ctl_domain_pool(cli->ctl, row->info.domid, &pool, NULL) >= 0;

    json_out_str(o, "paging", known && pool.vtlb ? "vtlb" : paging_name(&row->info));
    if (known) {
        json_out_uint(o, "shadow_memory_kib", pool.size_kib);
        json_out_uint(o, "shadow_memory_used_kib", pool.p2m_kib + pool.shadow_kib);
        return;
    }
    json_out_null(o, "shadow_memory_kib");
    json_out_null(o, "shadow_memory_used_kib");
}

static void put_list_json(struct cli *cli, const struct row *row, struct json_out *o)
{
    const struct ctl_domain_info *info = &row->info;
    struct json_value *config = row_config(cli, row);
    const struct json_value *type = json_member(config, "type");
    char name[CTL_NAME_MAX], uuid[CTL_UUID_TEXT];

    print_name(name, info);
    ctl_uuid_format(info->uuid, uuid);
    json_out_object(o, NULL);
    json_out_uint(o, "domid", info->domid);
    json_out_str(o, "name", name);
    json_out_str(o, "uuid", uuid);
    json_out_str(o, "type", type && type->type == JSON_STRING ? type->text : info->hvm ? "pvh" : "pv");
    json_out_str(o, "state", row_state(row));
    json_out_str(o, "shutdown_reason", shutdown_reason(info));
    json_out_bool(o, "deaf", row->has_domain && row->gs && row->gs->deaf == info->domid && info->domid);
    json_out_uint(o, "vcpus", info->vcpus_online);
    json_out_uint(o, "memory_kib", info->memory_kib);
    json_out_uint(o, "max_memory_kib", info->maxmem_kib);
    json_out_uint(o, "cpu_time_ns", info->cpu_time_ns);
    put_paging(cli, row, o);
    put_holders(cli, row, o);
    if (config)
        json_out_copy(o, "config", config);
    else
        json_out_null(o, "config");
    json_out_close(o);
    json_free(config);
}

/* Not of domains that are gone or going: libxl shows none of these either. */
static void put_long(struct cli *cli, const struct row *row, struct json_out *o)
{
    struct ctl_domain_info named = row->info;
    struct list_facts facts = {.domid = LIST_NO_DOMID};
    struct json_value *config;
    struct ctl_sched sched;

    if (!row->has_domain || row->info.dying)
        return;
    config = row_config(cli, row);
    facts.cpus = list_host_cpus(cli->ctl);
    facts.sched = ctl_sched_get(cli->ctl, row->info.domid, &sched, NULL) >= 0 ? &sched : NULL;
    print_name(named.name, &row->info);
    list_long(&named, config, &facts, o);
    json_free(config);
}

/* What the options of `list` ask for. */
static struct list_more more;

static void header_more(FILE *f)
{
    list_header(f, &more);
}

/* Of the host's nodes, whose number is asked for each time: nobody does so with many domains. */
static const char *nodes_of(struct cli *cli, const struct row *row, char text[256])
{
    uint8_t map[CTL_NODES_MAX / 8];
    struct ctl_host_info host;

    snprintf(text, 256, "-");
    if (row->has_domain && ctl_host_info(cli->ctl, &host, NULL) == 0 &&
        ctl_domain_nodes(cli->ctl, row->info.domid, map, NULL) == 0)
        cpu_ranges(text, 256, map, host.nr_nodes < CTL_NODES_MAX ? host.nr_nodes : CTL_NODES_MAX);
    return text;
}

static void put_list(struct cli *cli, const struct row *row, struct json_out *o)
{
    char nodes[256];

    if (cli->json)
        put_list_json(cli, row, o);
    else
        list_row(stdout, &row->info, &more, more.nodes ? nodes_of(cli, row, nodes) : NULL);
}

/* To whoever looks at the guests, what of the daemons is not as it should be. */
static void tell_health(struct cli *cli)
{
    struct health h = health_look(cli->ctl);
    struct guest_state *list;
    int n = guest_state_list(cli->ctl, &list, NULL);
    bool watched = false;

    for (int i = 0; i < n; i++)
        watched |= list[i].watched;
    if (n >= 0)
        free(list);
    health_tell(&h, watched);
}

int cmd_list(struct cli *cli, const struct cli_args *args)
{
    bool detailed = args->value['l'] != NULL;
    int rc;

    more = (struct list_more){args->value['v'] != NULL, args->value['c'] != NULL, args->value['n'] != NULL};
    cli->json |= detailed;
    rc = print_rows(cli, args, header_more, detailed ? put_long : put_list);
    if (cli->ctl)
        tell_health(cli);
    return rc;
}

/* --- vm-list --------------------------------------------------------------------------------------------------------
 */

/* Of domains that are there: what is half removed has no name to go by. */
static void put_vm(struct cli *cli, const struct row *row, struct json_out *o)
{
    char name[CTL_NAME_MAX], uuid[CTL_UUID_TEXT];

    if (!row->has_domain || row->info.dying)
        return;
    if (!cli->json) {
        vm_row(stdout, &row->info);
        return;
    }
    print_name(name, &row->info);
    ctl_uuid_format(row->info.uuid, uuid);
    json_out_object(o, NULL);
    json_out_str(o, "uuid", uuid);
    json_out_uint(o, "domid", row->info.domid);
    json_out_str(o, "name", name);
    json_out_close(o);
}

int cmd_vm_list(struct cli *cli, const struct cli_args *args)
{
    return print_rows(cli, args, vm_header, put_vm);
}

/* --- claims ---------------------------------------------------------------------------------------------------------
 */

static void put_claim(struct cli *cli, const struct row *row, struct json_out *o)
{
    char name[CTL_NAME_MAX];

    if (!cli->json) {
        claim_row(stdout, &row->info);
        return;
    }
    print_name(name, &row->info);
    json_out_object(o, NULL);
    json_out_uint(o, "domid", row->info.domid);
    json_out_str(o, "name", name);
    json_out_uint(o, "memory_kib", row->info.memory_kib);
    json_out_uint(o, "claimed_kib", row->info.outstanding_kib);
    json_out_close(o);
}

int cmd_claims(struct cli *cli, const struct cli_args *args)
{
    return print_rows(cli, args, claim_header, put_claim);
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

static void put_vcpus(struct cli *cli, const struct row *row, struct json_out *o)
{
    const struct ctl_domain_info *info = &row->info;
    struct ctl_vcpu_info v;
    struct affinity a;

    /* A domain that is being rebuilt or is dying has none to show. */
    for (uint32_t i = 0; row->has_domain && i < info->vcpus_max; i++) {
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
    struct guest_state gs;
    char name[CTL_NAME_MAX];
    uint32_t domid;

    if (cli_domain(cli, operand, &domid))
        return EXIT_FAILED;
    if (ctl_domain_info(cli->ctl, domid, &info, &err) < 0)
        return cli_fail(cli, operand, &err, CLI_NO_DOMAIN);
    if (guest_state_get(cli->ctl, info.uuid, &gs, NULL) == 0 && *gs.name)
        snprintf(info.name, sizeof(info.name), "%s", gs.name);
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
