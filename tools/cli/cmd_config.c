/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `config validate FILE...`: everything that create would check, on any machine. One document with --json.
 * `config schema`: the keys as a JSON Schema.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"

/* Checks one file; the reports go to o, or to stderr. */
static bool validate(struct cli *cli, const struct cli_args *args, const char *file, struct json_out *o)
{
    struct config_input in = {.file = file, .allow_unknown = args->value['U'] != NULL};
    struct diags d = {0};
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

static int print_schema(struct cli *cli)
{
    struct json_out *o = json_out_new(true);

    config_schema(o);
    return cli_json(cli, o);
}

int cmd_config(struct cli *cli, const struct cli_args *args)
{
    const char *what = args->operand[0];

    if (strcmp(what, "schema") == 0)
        return args->n == 1 ? print_schema(cli) : cli_usage(cli, "schema: %s: one operand too many", args->operand[1]);
    if (strcmp(what, "validate") != 0)
        return cli_usage(cli, "%s: not something config can do; there are `config validate` and `config schema`", what);
    if (args->n < 2)
        return cli_usage(cli, "validate: no file is named");
    return validate_all(cli, args);
}
