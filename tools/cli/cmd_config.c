/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `config validate FILE...`: everything that create would check, on any machine. One document with --json.
 * `config convert FILE`: what it says, as JSON. `config schema`: the keys as a JSON Schema. The rest is in files of its
 * own: config_get.c, config_xml.c, settings.c.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "cli/config_actions.h"

/* Checks one file; the reports go to o, or to stderr. */
static bool validate(struct cli *cli, const struct cli_args *args, const char *file, struct json_out *o)
{
    struct config_input in = {.file = file, .allow_unknown = args->value['U'] != NULL};
    struct diags d = {.strict = args->value['s'] != NULL};
    struct config c;
    bool ok;

    config_load(&in, &c, &d);
    config_check(&c, &d);
    diags_sort(&d);
    ok = !diags_failed(&d);
    if (cli->json) {
        json_out_object(o, NULL);
        json_out_str(o, "file", file);
        json_out_bool(o, "valid", ok);
        json_out_array(o, "diagnostics");
        diags_json(&d, o);
        json_out_close(o);
        json_out_close(o);
    } else {
        diags_print(&d, stderr);
        if (ok && !args->value['q'])
            printf("%s: valid\n", file);
    }
    diags_free(&d);
    config_free(&c);
    return ok;
}

static int validate_all(struct cli *cli, const struct cli_args *args)
{
    struct json_out *o = cli->json ? json_out_new(true) : NULL;
    bool ok = true;
    int rc = EXIT_OK;

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.validate/1");
    json_out_array(o, "files");
    for (int i = 1; i < args->n; i++)
        ok &= validate(cli, args, args->operand[i], o);
    json_out_close(o);
    json_out_close(o);
    if (cli->json)
        rc = cli_json(cli, o);
    return ok ? rc : EXIT_USAGE;
}

static int print_schema(struct cli *cli, const struct cli_args *args)
{
    struct json_out *o = json_out_new(true);

    config_schema(o);
    return cli_json(cli, o);
}

/* In either form; as JSON. */
static int convert(struct cli *cli, const struct cli_args *args)
{
    struct config_input in = {.file = args->operand[1], .allow_unknown = args->value['U'] != NULL};
    struct diags d = {.strict = args->value['s'] != NULL};
    struct json_out *o = json_out_new(true);
    struct config c;
    bool failed;

    config_load(&in, &c, &d);
    config_given_json(&c, o);
    cli_show_reports(cli, &d);
    failed = diags_failed(&d);
    diags_free(&d);
    config_free(&c);
    if (!failed)
        return cli_json(cli, o);
    free(json_out_end(o));
    return EXIT_USAGE;
}

static const struct action {
    const char *name, *missing;
    int max; /* operands; -1: any number */
    int (*run)(struct cli *cli, const struct cli_args *args);
} actions[] = {
    {"validate", "no file is named", -1, validate_all},
    {"convert", "no file is named", 1, convert},
    {"schema", NULL, 0, print_schema},
    {"settings", NULL, 0, config_settings},
    {"import-xml", "no file is named", 1, config_xml},
    {"export-xml", "no file is named", 1, config_xml},
    {"get", "neither a guest nor a file is named", 2, config_get},
};

#define N_ACTIONS (sizeof(actions) / sizeof(actions[0]))

static int no_such_action(const struct cli *cli, const char *word)
{
    char names[160];
    size_t n = 0;

    for (size_t i = 0; i < N_ACTIONS; i++)
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "", actions[i].name);
    return cli_usage(cli, "%s: not something config can do; there are %s", word, names);
}

int cmd_config(struct cli *cli, const struct cli_args *args)
{
    const char *what = args->operand[0];

    for (size_t i = 0; i < N_ACTIONS; i++) {
        const struct action *a = &actions[i];

        if (strcmp(a->name, what) != 0)
            continue;
        if (a->missing && args->n < 2)
            return cli_usage(cli, "%s: %s", what, a->missing);
        if (a->max >= 0 && args->n > 1 + a->max)
            return cli_usage(cli, "%s: %s: one operand too many", what, args->operand[1 + a->max]);
        return a->run(cli, args);
    }
    return no_such_action(cli, what);
}
