/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of a verb, by its row of the table. --json and -h are understood by every verb.
 */
#include <getopt.h>
#include <string.h>

#include "cli/cli.h"

#define ID_JSON 256

struct getopt_tables {
    char letters[2 * CLI_MAX_OPTIONS + 4];
    struct option names[CLI_MAX_OPTIONS + 3];
};

static void make_tables(const struct cli_option *o, struct getopt_tables *t)
{
    size_t letters = 0, names = 0;

    t->letters[letters++] = ':'; /* a missing argument is told from an unknown option */
    t->letters[letters++] = 'h';
    t->names[names++] = (struct option){"json", no_argument, NULL, ID_JSON};
    t->names[names++] = (struct option){"help", no_argument, NULL, 'h'};
    for (; o && o->letter; o++) {
        t->letters[letters++] = o->letter;
        if (o->arg)
            t->letters[letters++] = ':';
        if (o->name)
            t->names[names++] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, o->letter};
    }
    t->letters[letters] = '\0';
    t->names[names] = (struct option){0};
}

/* Options of xl's that have nothing to act on here. */
static const struct {
    const char *verb, *word, *why;
} refused[] = {
    {"create", "-V", "there is no device model, and so no VNC"},
    {"create", "--vncviewer", "there is no device model, and so no VNC"},
    {"create", "-A", "there is no device model, and so no VNC"},
    {"list", "-Z", "there are no security labels"},
    {"list", "--context", "there are no security labels"},
    {"restore", "-V", "there is no device model, and so no VNC"},
    {"restore", "-A", "there is no device model, and so no VNC"},
    {"migrate", "--debug",
     "pages are not sent a second time to be compared; ssh and tcp notice what is damaged on the way"},
};

static int bad_option(const struct cli *cli, int what, char **argv)
{
    const char *word = argv[optind > 0 ? optind - 1 : 0];
    char letter[3] = {'-', (char)optopt, '\0'};

    if (optopt > 0 && optopt < 128)
        word = letter;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (strcmp(refused[i].verb, cli->command->name) == 0 && strcmp(refused[i].word, word) == 0)
            return cli_usage(cli, "%s: not supported: %s", word, refused[i].why);
    }
    return cli_usage(cli, what == ':' ? "%s: its argument is missing" : "%s: no such option", word);
}

static int check_count(const struct cli *cli, const struct cli_args *args)
{
    const struct command *c = cli->command;

    if (args->n < c->min)
        return cli_usage(cli, "an operand is missing: %s", c->usage);
    if (c->max >= 0 && args->n > c->max)
        return cli_usage(cli, "%s: one operand too many", args->operand[c->max]);
    return EXIT_OK;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct cli_args *args, bool *help)
{
    struct getopt_tables t;
    int c;

    make_tables(cli->command->options, &t);
    memset(args, 0, sizeof(*args));
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, t.letters, t.names, NULL)) != -1) {
        if (c == ID_JSON)
            cli->json = true;
        else if (c == 'h')
            *help = true;
        else if (c == '?' || c == ':')
            return bad_option(cli, c, argv);
        else
            args->value[c] = optarg ? optarg : "";
    }
    args->operand = argv + optind;
    args->n = argc - optind;
    return *help ? EXIT_OK : check_count(cli, args);
}
