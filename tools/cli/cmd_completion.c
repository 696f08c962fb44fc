/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `completion`: a script for bash, made from the table of verbs, that completes verbs, options, names of domains and
 * files. What an operand is, its usage line says: DOMAIN and a first NAME are domains, FILE is a file, words in small
 * letters with | between them are a choice. What bash is offered it expands, commands in it included: of names, which
 * other tools may have given, only harmless ones are.
 *
 * zsh runs the same script by its bashcompinit. It may also be a file _umbra where zsh looks for completions, which is
 * read as a function of that name at the first use, and has to complete the line at once then.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define KIND_TEXT 64

static const char program[] =
    "_umbra_words() { # KIND\n"
    "    case $1 in\n"
    "    DOMAIN) umbra list 2>/dev/null | sed -n '2,$s/^\\([A-Za-z0-9_.+@%:=-]*\\)[[:blank:]].*/\\1/p' ;;\n"
    "    VERB) echo \"$_umbra_verbs\" ;;\n"
    "    *) echo \"$1\" | tr '|' ' ' ;;\n"
    "    esac\n"
    "}\n"
    "_umbra_fill() { # KIND: COMPREPLY from what was typed\n"
    "    case $1 in\n"
    "    '') return ;;\n"
    "    FILE) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "    *) COMPREPLY=($(compgen -W \"$(_umbra_words \"$1\")\" -- \"$cur\")) ;;\n"
    "    esac\n"
    "}\n"
    "_umbra_argument() { # OPTION: kind of its argument; fails if it takes none\n"
    "    local word\n"
    "    for word in $arguments; do\n"
    "        [ \"${word%%=*}\" = \"$1\" ] && kind=${word#*=} && return 0\n"
    "    done\n"
    "    return 1\n"
    "}\n"
    "_umbra_operand() { # NUMBER, from 0: kind of that operand\n"
    "    local word n=0\n"
    "    kind=\n"
    "    for word in $operands; do\n"
    "        kind=${word%...}\n"
    "        [ $n = \"$1\" ] || [ \"$kind\" != \"$word\" ] && break\n"
    "        kind=\n"
    "        n=$((n + 1))\n"
    "    done\n"
    "    [ \"$kind\" != - ] || kind=\n"
    "}\n"
    "_umbra() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} verb= kind= options= operands= arguments= i=1 n=0 pending=\n"
    "    COMPREPLY=()\n"
    "    while [ $i -lt \"$COMP_CWORD\" ]; do\n"
    "        if [ -n \"$pending\" ]; then pending=\n"
    "        elif [ \"${COMP_WORDS[i]#-}\" != \"${COMP_WORDS[i]}\" ]; then _umbra_argument \"${COMP_WORDS[i]}\" && "
    "pending=1\n"
    "        elif [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; _umbra_about \"$verb\"\n"
    "        else n=$((n + 1))\n"
    "        fi\n"
    "        i=$((i + 1))\n"
    "    done\n"
    "    if [ -n \"$pending\" ]; then _umbra_fill \"$kind\"\n"
    "    elif [ \"${cur#-}\" != \"$cur\" ]; then _umbra_fill \"--json|--help|$options\"\n"
    "    elif [ -z \"$verb\" ]; then _umbra_fill VERB\n"
    "    else _umbra_operand $n; _umbra_fill \"$kind\"\n"
    "    fi\n"
    "}\n"
    "complete -F _umbra umbra\n";

static const char first_use[] = "[ \"${funcstack[1]-}\" != _umbra ] || _bash_complete -F _umbra\n";

/* --- what the table says ---------------------------------------------------------------------------------------------
 */

/* The words in small letters of one like "on|off" or "VCPU|all"; "-" if there are none. */
static void choice(char out[KIND_TEXT], const char *token, size_t n)
{
    size_t at = 0, begin = 0;

    for (size_t i = 0; i <= n; i++) {
        if (i < n && token[i] != '|')
            continue;
        if (islower((unsigned char)token[begin]) && at + (i - begin) + 2 < KIND_TEXT)
            at += (size_t)snprintf(out + at, KIND_TEXT - at, "%s%.*s", at ? "|" : "", (int)(i - begin), token + begin);
        begin = i + 1;
    }
    if (at == 0)
        snprintf(out, KIND_TEXT, "-");
}

static void kind_of(char out[KIND_TEXT], const char *token, size_t n, bool first)
{
    static const char *const domains[] = {"DOMAIN", "NAME"}, *const others[] = {"FILE", "VERB"};

    for (int i = 0; i < 2; i++) {
        if (n == strlen(domains[i]) && memcmp(token, domains[i], n) == 0 && (i == 0 || first)) {
            snprintf(out, KIND_TEXT, "DOMAIN");
            return;
        }
        if (n == strlen(others[i]) && memcmp(token, others[i], n) == 0) {
            snprintf(out, KIND_TEXT, "%s", others[i]);
            return;
        }
    }
    choice(out, token, n);
}

/* One word of a usage line, without brackets; *more: it may come again. Returns where the next begins. */
static const char *next_token(const char *at, const char **token, size_t *n, bool *more)
{
    size_t length = strcspn(at, " ");
    const char *end = at + length;

    *more = length > 3 && memcmp(end - 3, "...", 3) == 0;
    length -= *more ? 3 : 0;
    while (length && (*at == '[')) {
        at++;
        length--;
    }
    while (length && at[length - 1] == ']')
        length--;
    *token = at;
    *n = length;
    return end + strspn(end, " ");
}

/* The first operand of all forms of the verb, "validate FILE... | schema", as one choice. */
static void first_of_forms(char out[KIND_TEXT], const char *usage)
{
    size_t at = 0;

    for (const char *form = usage; form; form = strstr(form, " | ") ? strstr(form, " | ") + 3 : NULL) {
        size_t n = strcspn(form, " ");

        if (islower((unsigned char)*form) && at + n + 2 < KIND_TEXT)
            at += (size_t)snprintf(out + at, KIND_TEXT - at, "%s%.*s", at ? "|" : "", (int)n, form);
    }
}

/* Of the first form; several have the same operands, or fewer. */
static void print_operands(const char *usage)
{
    bool first = true, more = false;

    for (const char *at = usage, *token; *at && strncmp(at, "| ", 2) != 0; first = false) {
        char kind[KIND_TEXT];
        size_t n;

        at = next_token(at, &token, &n, &more);
        kind_of(kind, token, n, first);
        if (first && strstr(usage, " | ") && islower((unsigned char)*usage))
            first_of_forms(kind, usage);
        printf("%s%s%s", first ? "" : " ", kind, more ? "..." : "");
    }
}

static void print_options(const struct cli_option *o)
{
    for (bool first = true; o && o->letter; o++, first = false)
        printf("%s-%c%s%s", first ? "" : "|", o->letter, o->name ? "|--" : "", o->name ? o->name : "");
}

static void print_arguments(const struct cli_option *o)
{
    bool first = true;

    for (; o && o->letter; o++) {
        char kind[KIND_TEXT];

        if (!o->arg)
            continue;
        kind_of(kind, o->arg, strlen(o->arg), false);
        printf("%s-%c=%s", first ? "" : " ", o->letter, kind);
        if (o->name)
            printf(" --%s=%s", o->name, kind);
        first = false;
    }
}

static void print_table(void)
{
    fputs("_umbra_verbs='", stdout);
    for (const struct command *c = commands; c->name; c++)
        printf("%s%s", c == commands ? "" : " ", c->name);
    fputs("'\n_umbra_about() { # VERB\n    case $1 in\n", stdout);
    for (const struct command *c = commands; c->name; c++) {
        printf("    %s) options='", c->name);
        print_options(c->options);
        fputs("' operands='", stdout);
        print_operands(c->usage);
        fputs("' arguments='", stdout);
        print_arguments(c->options);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n}\n", stdout);
}

int cmd_completion(struct cli *cli, const struct cli_args *args)
{
    const char *shell = args->operand[0];
    bool zsh = strcmp(shell, "zsh") == 0;

    if (!zsh && strcmp(shell, "bash") != 0)
        return cli_usage(cli, "%s: there are bash and zsh", shell);
    if (zsh)
        puts("#compdef umbra");
    printf("# Completion of umbra's command line, made by `umbra completion %s` of version " UMBRA_VERSION ".\n",
           shell);
    if (zsh)
        puts("autoload -U +X bashcompinit && bashcompinit");
    print_table();
    fputs(program, stdout);
    if (zsh)
        fputs(first_use, stdout);
    return EXIT_OK;
}
