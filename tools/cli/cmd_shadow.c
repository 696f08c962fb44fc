/* SPDX-License-Identifier: BSD-2-Clause */
/* The verb shadow: figures, audit, a new beginning and what there is of a guest's shadow paging. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/diag.h"
#include "cli/shadow_tree.h"

/* What a word does: with the domain's name, and -d if it is given. */
struct action {
    const char *word;
    int (*run)(struct cli *cli, const char *name, uint32_t domid, bool dot);
};

/* ---- stats ---- */

static void print_stats(const struct ctl_figure *f, int n)
{
    for (int i = 0; i < n; i++) {
        if (i == 0 || strcmp(f[i].group, f[i - 1].group) != 0) {
            put_clean(stdout, f[i].group);
            putchar('\n');
        }
        fputs("  ", stdout);
        put_clean(stdout, f[i].name);
        printf("%*s %" PRIu64 "\n", 20 - (int)strlen(f[i].name), "", f[i].value);
    }
}

static int json_stats(struct cli *cli, uint32_t domid, const struct ctl_figure *f, int n)
{
    struct json_out *o = json_out_new(true);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.shadow-stats/1");
    json_out_uint(o, "domid", domid);
    for (int i = 0; i < n; i++) {
        if (i == 0 || strcmp(f[i].group, f[i - 1].group) != 0)
            json_out_object(o, f[i].group);
        json_out_uint(o, f[i].name, f[i].value);
        if (i + 1 == n || strcmp(f[i].group, f[i + 1].group) != 0)
            json_out_close(o);
    }
    json_out_close(o);
    return cli_json(cli, o);
}

static int stats(struct cli *cli, const char *name, uint32_t domid, bool dot)
{
    struct ctl_error err = {0};
    struct ctl_figure *list;
    int rc, n = ctl_shadow_stats(cli->ctl, domid, &list, &err);

    if (n < 0)
        return cli_fail(cli, name, &err, domid);
    rc = EXIT_OK;
    if (cli->json)
        rc = json_stats(cli, domid, list, n);
    else
        print_stats(list, n);
    free(list);
    return rc;
}

/* ---- audit ---- */

static void print_audit(const char *name, const struct ctl_shadow_audit *a)
{
    put_clean(stdout, name);
    printf(": %" PRIu32 " invariants broken\n", a->broken);
    printf("looked at: %" PRIu64 " shadows, %" PRIu64 " entries, %" PRIu64 " tables of the memory map\n", a->tables,
           a->entries, a->map_tables);
    for (unsigned i = 0; i < a->n; i++) {
        const struct ctl_shadow_finding *f = &a->finding[i];

        put_clean(stdout, f->rule);
        fputs(": ", stdout);
        put_clean(stdout, f->what);
        printf(": guest frame %" PRIx64 " index %" PRIu32 " entry %" PRIx64 "\n", f->gfn, f->index, f->entry);
    }
    if (a->broken > a->n)
        printf("and %" PRIu32 " more\n", a->broken - a->n);
}

static int json_audit(struct cli *cli, uint32_t domid, const struct ctl_shadow_audit *a)
{
    struct json_out *o = json_out_new(true);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.shadow-audit/1");
    json_out_uint(o, "domid", domid);
    json_out_uint(o, "broken", a->broken);
    json_out_uint(o, "shadows", a->tables);
    json_out_uint(o, "entries", a->entries);
    json_out_uint(o, "map_tables", a->map_tables);
    json_out_array(o, "findings");
    for (unsigned i = 0; i < a->n; i++) {
        json_out_object(o, NULL);
        json_out_str(o, "rule", a->finding[i].rule);
        json_out_str(o, "what", a->finding[i].what);
        json_out_uint(o, "gfn", a->finding[i].gfn);
        json_out_uint(o, "index", a->finding[i].index);
        json_out_uint(o, "entry", a->finding[i].entry);
        json_out_close(o);
    }
    json_out_close(o);
    json_out_close(o);
    return cli_json(cli, o);
}

static int audit(struct cli *cli, const char *name, uint32_t domid, bool dot)
{
    struct ctl_error err = {0};
    struct ctl_shadow_audit a;

    if (ctl_shadow_audit(cli->ctl, domid, &a, &err) < 0)
        return cli_fail(cli, name, &err, domid);
    if (!cli->json)
        print_audit(name, &a);
    else if (json_audit(cli, domid, &a))
        return EXIT_FAILED;
    return a.broken ? EXIT_FAILED : EXIT_OK;
}

/* ---- the other two ---- */

static int blow(struct cli *cli, const char *name, uint32_t domid, bool dot)
{
    struct ctl_error err = {0};

    return ctl_shadow_blow(cli->ctl, domid, &err) < 0 ? cli_fail(cli, name, &err, domid) : EXIT_OK;
}

static int dump(struct cli *cli, const char *name, uint32_t domid, bool dot)
{
    struct ctl_error err = {0};
    struct shadow_tree tree = {0};
    struct ctl_shadow *list;
    long n = ctl_shadow_dump(cli->ctl, domid, &list, &err);
    int rc = EXIT_FAILED;

    if (n < 0)
        return cli_fail(cli, name, &err, domid);
    if (!shadow_tree_make(&tree, list, (size_t)n)) {
        ctl_error_set(&err, -ENOMEM, "put the shadows in order", name, NULL, "no memory");
        cli_fail(cli, name, &err, CLI_NO_DOMAIN);
    } else if (cli->json) {
        rc = cli_json(cli, shadow_tree_json(&tree, domid));
    } else {
        (dot ? shadow_tree_dot : shadow_tree_print)(&tree, stdout);
        rc = EXIT_OK;
    }
    shadow_tree_free(&tree);
    free(list);
    return rc;
}

int cmd_shadow(struct cli *cli, const struct cli_args *args)
{
    static const struct action actions[] = {{"stats", stats}, {"audit", audit}, {"blow", blow}, {"dump", dump}};
    const char *word = args->operand[0], *name = args->operand[1];
    uint32_t domid;

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(word, actions[i].word) != 0)
            continue;
        if (args->value['d'] && actions[i].run != dump)
            return cli_usage(cli, "-d is for `shadow dump` only");
        if (args->value['d'] && cli->json)
            return cli_usage(cli, "-d and --json exclude each other");
        return cli_domain(cli, name, &domid) ? EXIT_FAILED : actions[i].run(cli, name, domid, args->value['d'] != NULL);
    }
    return cli_usage(cli, "%s: not something shadow can do; there are stats, audit, blow and dump", word);
}
