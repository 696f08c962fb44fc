/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verb set-parameters: words of the hypervisor's command line, set while the machine runs. Written as there:
 * NAME=VALUE, or NAME and no-NAME of a switch; several in one operand with blanks between them, as xl takes them. What
 * is set is shown as the hypervisor has it then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json.h"

#define BLANKS " \t"

static int wants_value(struct cli *cli, const char *name, struct ctl_error *err)
{
    ctl_error_set(err, -EINVAL, "read the value", NULL, NULL, "it is no switch: give a value, %s=VALUE", name);
    return cli_fail(cli, name, err, CLI_NO_DOMAIN);
}

static int set_word(struct cli *cli, char *word, struct json_out *o)
{
    char *value = strchr(word, '=');
    const char *name = word;
    struct ctl_error err = {0};
    struct ctl_parameter p;
    bool bare = !value;

    if (value) {
        *value++ = '\0';
    } else if (strncmp(word, "no-", 3) == 0) {
        name += 3;
        value = "off";
    } else {
        value = "on";
    }
    if (bare && ctl_parameter_get(cli->ctl, name, &p, &err) < 0)
        return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
    if (bare && !p.is_switch)
        return wants_value(cli, name, &err);
    if (ctl_parameter_set(cli->ctl, name, value, &err) < 0 || ctl_parameter_get(cli->ctl, name, &p, &err) < 0)
        return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
    if (!cli->json)
        printf("%s=%s\n", name, p.value);
    json_out_object(o, NULL);
    json_out_str(o, "name", name);
    json_out_str(o, "value", p.value);
    json_out_close(o);
    return EXIT_OK;
}

/* The words of all operands, up to one that cannot be set. */
static int set_all(struct cli *cli, const struct cli_args *args, struct json_out *o)
{
    int rc = EXIT_OK;

    for (int i = 0; i < args->n; i++) {
        char *rest = NULL;

        for (char *w = strtok_r(args->operand[i], BLANKS, &rest); w && !rc; w = strtok_r(NULL, BLANKS, &rest))
            rc = set_word(cli, w, o);
    }
    return rc;
}

int cmd_set_parameters(struct cli *cli, const struct cli_args *args)
{
    struct json_out *o;
    int rc;

    if (cli_open(cli))
        return EXIT_FAILED;
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.parameters/1");
    json_out_array(o, "parameters");
    rc = set_all(cli, args, o);
    json_out_close(o);
    json_out_close(o);
    if (!rc && cli->json)
        return cli_json(cli, o);
    free(json_out_end(o));
    return rc;
}
