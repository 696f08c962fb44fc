/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `config get NAME|FILE [KEY]`: the configuration that a guest of umbra's was created with, as its record has it, with
 * what was changed since; or what a file says, in either form, or the file of a saved guest. Whole as JSON, or the
 * value of one key.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/config_actions.h"
#include "cli/guest.h"
#include "cli/saved_config.h"

#define SAVED "Xen saved domain" /* how the file of a saved guest begins; no configuration does */

static int failed(struct cli *cli, const char *subject, int code, const char *object, const char *message)
{
    struct ctl_error err = {0};

    ctl_error_set(&err, code, "get the configuration", object, NULL, "%s", message);
    return cli_fail(cli, subject, &err, CLI_NO_DOMAIN);
}

/* *text is freed by the caller. */
static int of_file(struct cli *cli, const struct cli_args *args, char **text)
{
    struct config_input in = {.file = args->operand[1], .allow_unknown = args->value['U'] != NULL};
    struct diags d = {.strict = args->value['s'] != NULL};
    struct json_out *o = json_out_new(false);
    struct config c;
    int rc;

    config_load(&in, &c, &d);
    config_given_json(&c, o);
    *text = json_out_end(o);
    d.out_of_memory |= !*text;
    cli_show_reports(cli, &d);
    rc = diags_failed(&d) ? EXIT_USAGE : EXIT_OK;
    diags_free(&d);
    config_free(&c);
    return rc;
}

/* A descriptor at the begin of a saved guest's file; -1: it is none, or cannot be read. */
static int open_saved(const char *file)
{
    char begin[sizeof(SAVED) - 1];
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -1;
    if (pread(fd, begin, sizeof(begin), 0) == (ssize_t)sizeof(begin) && memcmp(begin, SAVED, sizeof(begin)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int of_saved(struct cli *cli, const char *file, int fd, char **text)
{
    struct ctl_error err = {0};
    struct ctl_stream *s = ctl_stream_open(fd, file, &err);
    struct json_out *o = json_out_new(false);
    struct config c = {0};
    char *saved = NULL;
    int rc = s ? ctl_stream_read_config(s, &saved, &err) : -ENOMEM;

    if (rc == 0)
        rc = saved_config_read(saved, file, &c, NULL, &err);
    config_given_json(&c, o);
    *text = json_out_end(o);
    if (rc == 0 && !*text)
        rc = ctl_error_set(&err, -ENOMEM, "get the configuration", NULL, NULL, "out of memory");
    config_free(&c);
    free(saved);
    ctl_stream_close(s);
    close(fd);
    return rc < 0 ? cli_fail(cli, file, &err, CLI_NO_DOMAIN) : EXIT_OK;
}

static int of_guest(struct cli *cli, const char *name, char **text)
{
    struct ctl_error err = {0};
    struct guest_state gs;
    int rc;

    if (cli_open(cli))
        return EXIT_FAILED;
    rc = guest_state_find(cli->ctl, name, &gs, &err);
    if (rc == -ENOENT)
        return failed(cli, name, rc, NULL, "there is neither a file nor a guest of umbra's of that name");
    if (rc == 0)
        rc = guest_state_config(cli->ctl, gs.uuid, text, &err);
    if (rc < 0)
        return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
    return *text ? EXIT_OK : failed(cli, name, -ENODATA, NULL, "its configuration is not known");
}

static int print_json(struct cli *cli, const struct json_value *v)
{
    struct json_out *o = json_out_new(true);

    json_out_copy(o, NULL, v);
    return cli_json(cli, o);
}

/* A text as such, for scripts. */
static int print_value(struct cli *cli, const struct json_value *v)
{
    if (v->type != JSON_STRING || cli->json)
        return print_json(cli, v);
    put_clean(stdout, v->text);
    putchar('\n');
    return EXIT_OK;
}

static int print(struct cli *cli, const struct cli_args *args, const char *text)
{
    const char *subject = args->operand[1], *key = args->n > 2 ? args->operand[2] : NULL;
    struct json_value *tree = json_parse(text, strlen(text), NULL, NULL);
    const struct json_value *v = key ? json_member(tree, key) : tree;
    int rc;

    if (!tree)
        rc = failed(cli, subject, -EBADMSG, NULL, "it is not JSON");
    else if (v)
        rc = key ? print_value(cli, v) : print_json(cli, v);
    else
        rc = failed(cli, subject, -ENODATA, key, "the key is not given");
    json_free(tree);
    return rc;
}

static int no_such_key(const struct cli *cli, const char *key)
{
    const char *near = config_key_suggest(key);

    if (near)
        return cli_usage(cli, "get: %s: not a key of configurations; did you mean \"%s\"?", key, near);
    return cli_usage(cli, "get: %s: not a key of configurations", key);
}

int config_get(struct cli *cli, const struct cli_args *args)
{
    const char *what = args->operand[1];
    char *text = NULL;
    int rc, fd;

    if (args->n > 2 && config_key_find(args->operand[2]) < 0)
        return no_such_key(cli, args->operand[2]);
    fd = open_saved(what);
    if (fd >= 0)
        rc = of_saved(cli, what, fd, &text);
    else if (config_names_file(what))
        rc = of_file(cli, args, &text);
    else
        rc = of_guest(cli, what, &text);
    if (rc == EXIT_OK)
        rc = print(cli, args, text);
    free(text);
    return rc;
}
