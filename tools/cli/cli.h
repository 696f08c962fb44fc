/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the verbs share: the table's row, parsed options, the handle to the hypervisor, how failures are shown.
 *
 * Flow: main.c reads the global options -> commands.c finds the verb in its table -> options.c parses by the row's
 * options -> the row's function does it and returns the exit code.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libctl/ctl.h"

/* Exit codes. */
#define EXIT_OK     0
#define EXIT_FAILED 1 /* the operation failed */
#define EXIT_USAGE  2 /* wrong usage, or wrong configuration */

#define CLI_MAX_OPTIONS 20

/* An option of a verb. Every one has a letter, under which its value is found. */
struct cli_option {
    char letter;
    const char *name; /* --name, or NULL */
    const char *arg;  /* what its argument is called; NULL: takes none */
    const char *help;
};

struct cli;

struct cli_args {
    const char *value[128]; /* by letter: NULL not given, "" given without an argument */
    char **operand;
    int n;
};

struct command {
    const char *name;
    const char *usage;                /* operands */
    const char *help;                 /* one line */
    int min, max;                     /* number of operands; max -1: any */
    const struct cli_option *options; /* ends with letter 0; or NULL */
    int (*run)(struct cli *cli, const struct cli_args *args);
    bool lists_keys; /* `help` shows the configuration keys as well */
};

struct cli {
    bool json;
    int verbose;
    const struct command *command;
    struct ctl *ctl; /* NULL until cli_open() */
    char *log_mark;  /* the hypervisor's log at cli_log_mark() */
};

/* --- commands.c --- */
extern const struct command commands[]; /* ends with name NULL */
/* The verb of this name or unambiguous prefix. NULL: *matches is 0 (none) or the number it could be. */
const struct command *command_find(const char *word, int *matches);
void command_usage(const struct command *c, FILE *f);
void commands_help(FILE *f);
int cli_main(int argc, char **argv);

/* --- options.c --- */
/* EXIT_OK, or EXIT_USAGE after a message; *help is set for -h. */
int cli_parse(struct cli *cli, int argc, char **argv, struct cli_args *args, bool *help);

/* --- report.c --- */
/* "umbra: VERB: ..." on stderr; returns EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * Shows a failure whole: what, why, the hint, and the hypervisor's last lines about it - those about domid if it is
 * not CLI_NO_DOMAIN, otherwise those since cli_log_mark(). Returns EXIT_FAILED.
 */
#define CLI_NO_DOMAIN UINT32_MAX
int cli_fail(struct cli *cli, const char *subject, const struct ctl_error *err, uint32_t domid);
void cli_log_mark(struct cli *cli);
/* Does a line of the hypervisor's log speak of the domain? */
bool log_line_about(const char *line, size_t len, uint32_t domid);
/* Opens the hypervisor once. EXIT_OK or EXIT_FAILED after a message. */
int cli_open(struct cli *cli);
/* Opens, and finds a domain by name or number. EXIT_OK or EXIT_FAILED after a message. */
int cli_domain(struct cli *cli, const char *name_or_id, uint32_t *domid);
/* The same for a verb that would harm the control domain: refuses domain 0. */
int cli_guest(struct cli *cli, const char *name_or_id, uint32_t *domid);
/* For a verb that the guest's kernel carries out. EXIT_OK, or EXIT_FAILED after a message: it hears nothing (spare.h).
 */
int cli_hears(struct cli *cli, const char *subject, uint32_t domid);
/* Shows reports about a configuration on stderr, as text or as a document. */
struct diags;
void cli_show_reports(const struct cli *cli, struct diags *d);
/* Writes a finished document to stdout. EXIT_OK or EXIT_FAILED. */
struct json_out;
int cli_json(struct cli *cli, struct json_out *o);

/* --- the verbs, one function a row of the table --- */
int cmd_claims(struct cli *cli, const struct cli_args *args);
int cmd_audit(struct cli *cli, const struct cli_args *args);
int cmd_autostart(struct cli *cli, const struct cli_args *args);
int cmd_bug_info(struct cli *cli, const struct cli_args *args);
int cmd_completion(struct cli *cli, const struct cli_args *args);
int cmd_block_attach(struct cli *cli, const struct cli_args *args);
int cmd_block_detach(struct cli *cli, const struct cli_args *args);
int cmd_block_list(struct cli *cli, const struct cli_args *args);
int cmd_config(struct cli *cli, const struct cli_args *args);
int cmd_console(struct cli *cli, const struct cli_args *args);
int cmd_create(struct cli *cli, const struct cli_args *args);
int cmd_debug_keys(struct cli *cli, const struct cli_args *args);
int cmd_destroy(struct cli *cli, const struct cli_args *args);
int cmd_dmesg(struct cli *cli, const struct cli_args *args);
int cmd_domid(struct cli *cli, const struct cli_args *args);
int cmd_domname(struct cli *cli, const struct cli_args *args);
int cmd_dump_core(struct cli *cli, const struct cli_args *args);
int cmd_events(struct cli *cli, const struct cli_args *args);
int cmd_help(struct cli *cli, const struct cli_args *args);
int cmd_info(struct cli *cli, const struct cli_args *args);
int cmd_list(struct cli *cli, const struct cli_args *args);
int cmd_mem_max(struct cli *cli, const struct cli_args *args);
int cmd_mem_set(struct cli *cli, const struct cli_args *args);
int cmd_metrics(struct cli *cli, const struct cli_args *args);
int cmd_migrate(struct cli *cli, const struct cli_args *args);
int cmd_migrate_abort(struct cli *cli, const struct cli_args *args);
int cmd_migrate_receive(struct cli *cli, const struct cli_args *args);
int cmd_migrate_resolve(struct cli *cli, const struct cli_args *args);
int cmd_migrate_status(struct cli *cli, const struct cli_args *args);
int cmd_network_attach(struct cli *cli, const struct cli_args *args);
int cmd_network_detach(struct cli *cli, const struct cli_args *args);
int cmd_network_list(struct cli *cli, const struct cli_args *args);
int cmd_pause(struct cli *cli, const struct cli_args *args);
int cmd_reboot(struct cli *cli, const struct cli_args *args);
int cmd_rename(struct cli *cli, const struct cli_args *args);
int cmd_restore(struct cli *cli, const struct cli_args *args);
int cmd_save(struct cli *cli, const struct cli_args *args);
int cmd_sched_credit2(struct cli *cli, const struct cli_args *args);
int cmd_set_parameters(struct cli *cli, const struct cli_args *args);
int cmd_shadow(struct cli *cli, const struct cli_args *args);
int cmd_shutdown(struct cli *cli, const struct cli_args *args);
int cmd_supervise(struct cli *cli, const struct cli_args *args);
int cmd_sysrq(struct cli *cli, const struct cli_args *args);
int cmd_top(struct cli *cli, const struct cli_args *args);
int cmd_trigger(struct cli *cli, const struct cli_args *args);
int cmd_unpause(struct cli *cli, const struct cli_args *args);
int cmd_uptime(struct cli *cli, const struct cli_args *args);
int cmd_vcpu_list(struct cli *cli, const struct cli_args *args);
int cmd_vcpu_pin(struct cli *cli, const struct cli_args *args);
int cmd_vcpu_set(struct cli *cli, const struct cli_args *args);
int cmd_vm_list(struct cli *cli, const struct cli_args *args);

#endif
