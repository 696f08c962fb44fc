/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of verbs, and the way from the command line to one of them. Usage and help texts come from the table.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/config.h"

static const struct cli_option create_options[] = {
    {'c', "console", NULL, "attach to the guest's console, from its first line on"},
    {'p', "paused", NULL, "leave the guest paused"},
    {'F', "foreground", NULL, "return when the guest has stopped for good"},
    {'n', "dry-run", NULL, "only check, and print the resulting configuration as JSON"},
    {'q', "quiet", NULL, "say nothing if all goes well"},
    {'f', "defconfig", "FILE", "the configuration file, instead of the first operand"},
    {'e', "no-watch", NULL, "do not supervise the guest: whoever calls cleans up when it ends"},
    {'U', "allow-unknown", NULL, "unknown keys are warnings"},
    {'s', "strict", NULL, "what comes as a warning is an error"},
    {0},
};

static const struct cli_option console_options[] = {
    {'t', "type", "pv|serial", "which console; pv is the default"},
    {'n', "num", "NUMBER", "number of the console; only 0 exists"},
    {'e', "escape", "CHAR", "leave with this character: ^X or a character; ^] is the default"},
    {'l', "lines", "NUMBER", "on a terminal, first show so many lines of the guest's log; 20 is the default"},
    {0},
};

static const struct cli_option shutdown_options[] = {
    {'a', "all", NULL, "every guest"},
    {'w', "wait", NULL, "wait until it is done"},
    {'F', "fallback", NULL, "accepted for scripts made for xl; PV guests need no fall-back"},
    {0},
};

static const struct cli_option dmesg_options[] = {
    {'c', "clear", NULL, "empty the log after it is shown"},
    {'p', "previous", NULL, "what was logged before the machine was restarted"},
    {0},
};

static const struct cli_option list_options[] = {
    {'l', "long", NULL, "the configurations, as JSON in the form of xl's `list -l`"},
    {'v', "verbose", NULL, "uuids, and why they shut down, as well"},
    {'c', "cpupool", NULL, "their CPU pools as well"},
    {'n', "numa", NULL, "the memory nodes that their memory is to come from as well"},
    {0},
};

static const struct cli_option info_options[] = {
    {'n', "numa", NULL, "the CPUs' topology and the memory nodes as well"},
    {0},
};

static const struct cli_option uptime_options[] = {
    {'s', "short", NULL, "a sentence for each"},
    {0},
};

static const struct cli_option detach_options[] = {
    {'f', "force", NULL, "whether the guest lets go of it or not"},
    {0},
};

static const struct cli_option vcpu_set_options[] = {
    {'i', "ignore-host", NULL, "even if there are more than the host has CPUs"},
    {0},
};

static const struct cli_option sched_options[] = {
    {'d', "domain", "DOMAIN", "of this domain; all if not given"},
    {'w', "weight", "WEIGHT", "set its weight: 1 to 65535"},
    {'c', "cap", "CAP", "set its cap, in percent of one CPU; 0 is none"},
    {0},
};

static const struct cli_option shadow_options[] = {
    {'d', "dot", NULL, "dump: a graph for Graphviz"},
    {0},
};

static const struct cli_option save_options[] = {
    {'c', "checkpoint", NULL, "let the guest go on when it is saved"},
    {'p', "paused", NULL, "likewise, but leave it paused"},
    {'D', "keep-domid", NULL, "the guest has its number again when it is restored"},
    {'t', "timeout", "SECONDS", "how long the guest may take to suspend; 60 is the default"},
    {0},
};

static const struct cli_option restore_options[] = {
    {'c', "console", NULL, "attach to the guest's console"},
    {'p', "paused", NULL, "leave the guest paused"},
    {'q', "quiet", NULL, "say nothing if all goes well"},
    {'e', "no-watch", NULL, "do not supervise the guest: whoever calls cleans up when it ends"},
    {'d', "debug", NULL, "print the configuration that the file has to standard error"},
    {0},
};

static const struct cli_option migrate_options[] = {
    {'T', "transport", "ssh|tcp|COMMAND", "the way to HOST; COMMAND leads to `umbra migrate-receive` there"},
    {'s', "ssh", "COMMAND", "this instead of ssh, before HOST and `umbra migrate-receive`"},
    {'k', "key", "FILE", "of tcp: what both hosts have, 64 hexadecimal digits"},
    {'d', "max-downtime", "TIME", "suspend the guest when the rest can be sent in this time; 300ms"},
    {'t', "timeout", "TIME", "how long it may be copied while it runs; 10m, 0 for ever"},
    {'o', "on-timeout", "cancel|force", "after that: it stays, which is the default; or is suspended all the same"},
    {'w', "suspend-timeout", "TIME", "how long its kernel may take to fall asleep; 60s"},
    {'b', "bandwidth", "BYTES", "no more in a second while the guest runs: 100M"},
    {'N', "streams", "N", "send its pages on N connections, 16 at most; one is the default"},
    {'S', "non-live", NULL, "the guest sleeps for all the time of the copy"},
    {'l', "live", NULL, "accepted for scripts made for xl: it is the default"},
    {'C', "config", "FILE", "send this configuration instead of the guest's own"},
    {'D', "keep-domid", NULL, "the guest has the same number there"},
    {'e', "no-watch", NULL, "it is not supervised there: whoever calls cleans up when it ends"},
    {'p', "paused", NULL, "leave it paused there"},
    {'n', "check", NULL, "only ask HOST whether it would take the guest"},
    {0},
};

static const struct cli_option receive_options[] = {
    {'L', "listen", "ADDRESS:PORT", "wait there for hosts that have the key, and take a guest from each"},
    {'k', "key", "FILE", "of --listen: what both hosts have, 64 hexadecimal digits"},
    {'1', "once", NULL, "end after one connection, and have a guest's pages on that"},
    {'p', "paused", NULL, "leave the guest paused"},
    {'e', "no-watch", NULL, "do not supervise the guest: whoever calls cleans up when it ends"},
    {0},
};

static const struct cli_option resolve_options[] = {
    {'H', "here", NULL, "the guest goes on here"},
    {'T', "there", NULL, "it is on the other host: what is here is removed"},
    {'f', "force", NULL, "with --here: even though it may have run there since, and is gone"},
    {0},
};

static const struct cli_option dump_options[] = {
    {'l', "live", NULL, "let the guest run meanwhile: what it changes may not fit together"},
    {'c', "crash", NULL, "crash the guest afterwards: what on_crash says is done"},
    {'r', "reset", NULL, "reboot it afterwards, at once: what on_reboot says is done"},
    {0},
};

static const struct cli_option metrics_options[] = {
    {'f', "format", "prometheus|json", "how; prometheus is the default"},
    {'o', "output", "FILE", "into this file, which is replaced at once, instead of standard output"},
    {0},
};

static const struct cli_option events_options[] = {
    {'1', "once", NULL, "end after the first event"},
    {'t', "timeout", "SECONDS", "end after this time"},
    {'p', "present", NULL, "tell first which domains there are"},
    {0},
};

static const struct cli_option top_options[] = {
    {'b', "batch", NULL, "as text, without a screen"},
    {'d', "delay", "SECONDS", "between two looks: 3 is the default"},
    {'i', "iterations", "NUMBER", "end after so many looks"},
    {'f', "full-name", NULL, "names in full, which may shift columns"},
    {0},
};

static const struct cli_option autostart_options[] = {
    {'t', "timeout", "SECONDS", "stop: how long guests may take; 180 is the default"},
    {0},
};

static const struct cli_option config_options[] = {
    {'q', "quiet", NULL, "say nothing about files that are valid"},
    {'U', "allow-unknown", NULL, "unknown keys are warnings"},
    {'s', "strict", NULL, "what comes as a warning is an error"},
    {0},
};

const struct command commands[] = {
    {"create", "FILE [KEY=VALUE]...", "Build a guest from its configuration and start it.", 0, -1, create_options,
     cmd_create, true},
    {"list", "[DOMAIN]...", "List domains.", 0, -1, list_options, cmd_list, false},
    {"vm-list", "", "List the uuids of domains.", 0, 0, NULL, cmd_vm_list, false},
    {"console", "DOMAIN", "Attach to a guest's console.", 1, 1, console_options, cmd_console, false},
    {"pause", "DOMAIN", "Stop a guest's processors.", 1, 1, NULL, cmd_pause, false},
    {"unpause", "DOMAIN", "Let a paused guest run.", 1, 1, NULL, cmd_unpause, false},
    {"shutdown", "DOMAIN... | -a", "Ask a guest to power off.", 0, -1, shutdown_options, cmd_shutdown, false},
    {"reboot", "DOMAIN... | -a", "Ask a guest to reboot.", 0, -1, shutdown_options, cmd_reboot, false},
    {"destroy", "DOMAIN", "End a guest at once and free what it holds.", 1, 1, NULL, cmd_destroy, false},
    {"save", "DOMAIN FILE", "Suspend a guest, write it to a file and remove it.", 2, 2, save_options, cmd_save, false},
    {"restore", "FILE", "Bring back a guest from the file it was saved to.", 1, 1, restore_options, cmd_restore, false},
    {"migrate", "DOMAIN HOST", "Move a guest to another host while it runs.", 2, 2, migrate_options, cmd_migrate,
     false},
    {"migrate-status", "NAME", "Show how a guest's migration goes.", 1, 1, NULL, cmd_migrate_status, false},
    {"migrate-abort", "NAME", "Give up a guest's migration; it goes on here.", 1, 1, NULL, cmd_migrate_abort, false},
    {"migrate-resolve", "NAME", "Say where a guest is after a migration whose end was not heard.", 1, 1,
     resolve_options, cmd_migrate_resolve, false},
    {"migrate-receive", "", "Take a guest: the other end of `migrate`.", 0, 0, receive_options, cmd_migrate_receive,
     false},
    {"dump-core", "DOMAIN FILE", "Write a guest's memory and registers to a core file.", 2, 2, dump_options,
     cmd_dump_core, false},
    {"domid", "NAME", "Print the number of a domain.", 1, 1, NULL, cmd_domid, false},
    {"domname", "DOMAIN", "Print the name of a domain.", 1, 1, NULL, cmd_domname, false},
    {"rename", "DOMAIN NAME", "Give a guest another name.", 2, 2, NULL, cmd_rename, false},
    {"uptime", "[DOMAIN]...", "Show how long domains have been up.", 0, -1, uptime_options, cmd_uptime, false},
    {"sysrq", "DOMAIN KEY", "Send a guest's kernel a magic SysRq key.", 2, 2, NULL, cmd_sysrq, false},
    {"trigger", "DOMAIN nmi [VCPU]", "Send a guest a non-maskable interrupt.", 2, 3, NULL, cmd_trigger, false},
    {"vcpu-pin", "DOMAIN VCPU|all CPUS|- [CPUS|-]", "Choose the host CPUs of virtual CPUs: must run on, prefer.", 3, 4,
     NULL, cmd_vcpu_pin, false},
    {"vcpu-set", "DOMAIN NUMBER", "Choose how many virtual CPUs are online.", 2, 2, vcpu_set_options, cmd_vcpu_set,
     false},
    {"mem-set", "DOMAIN SIZE", "Ask a domain's kernel to have this much memory.", 2, 2, NULL, cmd_mem_set, false},
    {"mem-max", "DOMAIN SIZE", "Limit how much memory a domain can have.", 2, 2, NULL, cmd_mem_max, false},
    {"block-attach", "DOMAIN SPEC...", "Give a guest a disk: TARGET,raw,xvdb,rw or KEY=VALUE...", 2, -1, NULL,
     cmd_block_attach, false},
    {"block-list", "DOMAIN...", "List the disks of guests.", 1, -1, NULL, cmd_block_list, false},
    {"block-detach", "DOMAIN VDEV", "Take a disk away from a guest.", 2, 2, detach_options, cmd_block_detach, false},
    {"network-attach", "DOMAIN [KEY=VALUE]...", "Give a guest a network interface.", 1, -1, NULL, cmd_network_attach,
     false},
    {"network-list", "DOMAIN...", "List the network interfaces of guests.", 1, -1, NULL, cmd_network_list, false},
    {"network-detach", "DOMAIN NUMBER|MAC", "Take a network interface away from a guest.", 2, 2, detach_options,
     cmd_network_detach, false},
    {"sched-credit2", "", "Show or set shares of CPU time.", 0, 0, sched_options, cmd_sched_credit2, false},
    {"claims", "", "List domains with the memory set aside for them.", 0, 0, NULL, cmd_claims, false},
    {"vcpu-list", "[DOMAIN]...", "List virtual CPUs.", 0, -1, NULL, cmd_vcpu_list, false},
    {"audit", "DOMAIN", "Check the invariants of a guest's page tables and grants; the guest is paused meanwhile.", 1,
     1, NULL, cmd_audit, false},
    {"shadow", "stats|audit|blow|dump DOMAIN",
     "Show, check or throw away what a guest's shadow paging has made; the guest runs on.", 2, 2, shadow_options,
     cmd_shadow, false},
    {"info", "", "Show the host and the hypervisor.", 0, 0, info_options, cmd_info, false},
    {"top", "", "Show what domains use, as it changes.", 0, 0, top_options, cmd_top, false},
    {"metrics", "", "Show figures of the host and its domains, for monitoring.", 0, 0, metrics_options, cmd_metrics,
     false},
    {"events", "", "Tell what happens to domains, as it happens.", 0, 0, events_options, cmd_events, false},
    {"dmesg", "", "Show the hypervisor's log.", 0, 0, dmesg_options, cmd_dmesg, false},
    {"debug-keys", "KEYS", "Send debug keys to the hypervisor; `dmesg` shows the answers.", 1, 1, NULL, cmd_debug_keys,
     false},
    {"set-parameters", "STRING...", "Set words of the hypervisor's command line while the machine runs.", 1, -1, NULL,
     cmd_set_parameters, false},
    {"config",
     "validate FILE... | convert FILE | import-xml FILE | export-xml FILE | get NAME|FILE [KEY] | schema | settings",
     "Check configuration files, print one as JSON, translate from and to libvirt's XML, or print a guest's.", 1, -1,
     config_options, cmd_config, true},
    {"autostart", "enable NAME|FILE | disable NAME | list | run | stop",
     "Choose the guests that start with the host, start them, or stop all.", 1, 2, autostart_options, cmd_autostart,
     false},
    {"bug-info", "", "Print what a report of a fault wants, without secrets.", 0, 0, NULL, cmd_bug_info, false},
    {"completion", "bash|zsh", "Print a script that completes command lines.", 1, 1, NULL, cmd_completion, false},
    {"supervise", "", "Be the supervisor, in the foreground; `create` starts it by itself.", 0, 0, NULL, cmd_supervise,
     false},
    {"help", "[VERB]", "Show the verbs, or one of them.", 0, 1, NULL, cmd_help, false},
    {0},
};

const struct command *command_find(const char *word, int *matches)
{
    const struct command *found = NULL;
    size_t n = strlen(word);

    *matches = 0;
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(c->name, word) == 0) {
            *matches = 1;
            return c;
        }
        if (n && strncmp(c->name, word, n) == 0) {
            ++*matches;
            found = c;
        }
    }
    return *matches == 1 ? found : NULL;
}

void command_usage(const struct command *c, FILE *f)
{
    fprintf(f, "Usage: umbra %s %s%s%s\n\n%s\n", c->name, c->options ? "[OPTION]..." : "",
            c->options && *c->usage ? " " : "", c->usage, c->help);
    if (c->options)
        fputs("\nOptions:\n", f);
    for (const struct cli_option *o = c->options; o && o->letter; o++) {
        char both[64];

        snprintf(both, sizeof(both), "-%c%s%s%s%s", o->letter, o->name ? ", --" : "", o->name ? o->name : "",
                 o->arg ? " " : "", o->arg ? o->arg : "");
        fprintf(f, "  %-24s %s\n", both, o->help);
    }
    if (c->lists_keys) {
        fputs("\nKeys of a configuration:\n", f);
        config_keys_print(f);
    }
}

void commands_help(FILE *f)
{
    fputs("Usage: umbra [--json] [-v] VERB [OPTION]... [OPERAND]...\n\n", f);
    for (const struct command *c = commands; c->name; c++)
        fprintf(f, "  %-11s %s\n", c->name, c->help);
    fputs("\nA verb may be shortened as long as it is clear which is meant. DOMAIN is a name or a number.\n"
          "`umbra help VERB` shows a verb's options. --json makes every verb that reads print JSON.\n"
          "Exit codes: 0 done; 1 the operation failed; 2 wrong usage or configuration.\n",
          f);
}

static const char *verb_name(const void *ctx, size_t i)
{
    return commands[i].name;
}

/* Says why a word is no verb; returns EXIT_USAGE. */
static int no_such_verb(const struct cli *cli, const char *word, int matches)
{
    const char *near = suggest(word, verb_name, NULL);

    fputs("umbra: ", stderr);
    put_clean(stderr, word);
    if (matches == 0) {
        fputs(": no such verb", stderr);
        if (near)
            fprintf(stderr, "; did you mean \"%s\"?", near);
        fputs("\nhint: `umbra help` lists the verbs\n", stderr);
        return EXIT_USAGE;
    }
    fputs(": could be ", stderr);
    for (const struct command *c = commands; c->name; c++) {
        if (strncmp(c->name, word, strlen(word)) == 0)
            fprintf(stderr, "%s%s", c->name, --matches ? ", " : "\n");
    }
    return EXIT_USAGE;
}

int cmd_help(struct cli *cli, const struct cli_args *args)
{
    const struct command *c;
    int matches;

    if (args->n == 0) {
        commands_help(stdout);
        return EXIT_OK;
    }
    c = command_find(args->operand[0], &matches);
    if (!c)
        return no_such_verb(cli, args->operand[0], matches);
    command_usage(c, stdout);
    return EXIT_OK;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
    struct cli_args args = {0};
    bool help = false;
    int matches, rc;

    cli->command = command_find(argv[0], &matches);
    if (!cli->command)
        return no_such_verb(cli, argv[0], matches);
    rc = cli_parse(cli, argc, argv, &args, &help);
    if (rc)
        return rc;
    if (help) {
        command_usage(cli->command, stdout);
        return EXIT_OK;
    }
    return cli->command->run(cli, &args);
}

static int global_options(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'J'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int c;

    optind = 0; /* start afresh: tests come here more than once */
    while ((c = getopt_long(argc, argv, "+vVh", options, NULL)) != -1) {
        if (c == 'J') {
            cli->json = true;
        } else if (c == 'v') {
            cli->verbose++;
        } else if (c == 'V') {
            puts("umbra " UMBRA_VERSION);
            return EXIT_OK;
        } else if (c == 'h') {
            commands_help(stdout);
            return EXIT_OK;
        } else {
            return EXIT_USAGE;
        }
    }
    if (optind < argc)
        return run_verb(cli, argc - optind, argv + optind);
    fputs("umbra: a verb is missing\n", stderr);
    commands_help(stderr);
    return EXIT_USAGE;
}

/* What is opened later must not become one of the three that are printed to. Printing to these fails. */
static void fill_standard_files(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {0};
    int rc;

    fill_standard_files();
    rc = global_options(&cli, argc, argv);

    if (cli.ctl)
        ctl_close(cli.ctl);
    free(cli.log_mark);
    /* A full disk must not look like success. */
    if (fflush(stdout) || ferror(stdout)) {
        perror("umbra: standard output");
        rc = rc ? rc : EXIT_FAILED;
    }
    return rc;
}
