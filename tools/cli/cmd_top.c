/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `top`: what domains use, again and again: on a live screen (top_screen.c), as text with -b, or as a JSON object for
 * each look. The first look has no CPU percent, since that is of the time between two.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/top.h"

#define DELAY_MS 3000

struct top {
    struct cli *cli;
    unsigned delay_ms;
    long iterations; /* -1: no end */
    bool full;
};

/* Seconds, with up to three decimals. */
static bool read_delay(const char *text, unsigned *ms)
{
    size_t whole = strspn(text, "0123456789"), more = 0;
    double seconds;

    if (text[whole] == '.')
        more = 1 + strspn(text + whole + 1, "0123456789");
    if (whole == 0 || whole > 5 || more == 1 || more > 4 || text[whole + more])
        return false;
    seconds = strtod(text, NULL);
    *ms = (unsigned)(seconds * 1000 + 0.5);
    return *ms >= 100;
}

static int parse(struct top *t, const struct cli_args *args)
{
    const char *delay = args->value['d'], *count = args->value['i'];

    t->full = args->value['f'] != NULL;
    if (delay && !read_delay(delay, &t->delay_ms))
        return cli_usage(t->cli, "-d %s: not a number of seconds, 0.1 to 99999", delay);
    if (count) {
        if (!*count || strlen(count) > 9 || count[strspn(count, "0123456789")] || strtol(count, NULL, 10) == 0)
            return cli_usage(t->cli, "-i %s: not a number of looks", count);
        t->iterations = strtol(count, NULL, 10);
    }
    return EXIT_OK;
}

static void print_text(const struct top *t, const struct top_sample *s)
{
    char line[TOP_LINE];

    top_header(line);
    puts(line);
    for (int i = 0; i < s->n; i++) {
        top_row(line, s, &s->rows[i], t->full);
        puts(line);
    }
}

static void put_devices(struct json_out *o, const struct top_devices *d)
{
    json_out_uint(o, "nets", d->nets);
    json_out_uint(o, "net_sent_bytes", d->net_sent);
    json_out_uint(o, "net_received_bytes", d->net_received);
    json_out_uint(o, "vbds", d->vbds);
    json_out_uint(o, "vbd_waits", d->vbd_waits);
    json_out_uint(o, "vbd_reads", d->vbd_reads);
    json_out_uint(o, "vbd_writes", d->vbd_writes);
    json_out_uint(o, "vbd_read_sectors", d->vbd_read_sectors);
    json_out_uint(o, "vbd_written_sectors", d->vbd_written_sectors);
}

static void put_row(struct json_out *o, const struct top_row *row)
{
    char name[CTL_NAME_MAX];

    print_name(name, &row->info);
    json_out_object(o, NULL);
    json_out_uint(o, "domid", row->info.domid);
    json_out_str(o, "name", name);
    json_out_str(o, "state", domain_state(&row->info));
    json_out_uint(o, "cpu_time_ns", row->info.cpu_time_ns);
    json_out_uint(o, "cpu_permille", (uint64_t)(row->cpu_percent * 10 + 0.5));
    json_out_uint(o, "memory_kib", row->info.memory_kib);
    json_out_uint(o, "max_memory_kib", row->info.maxmem_kib);
    json_out_uint(o, "vcpus", row->info.vcpus_online);
    put_devices(o, &row->devices);
    json_out_close(o);
}

/* A line, so that a reader has it at once. */
static int print_json(struct cli *cli, const struct top_sample *s)
{
    struct json_out *o = json_out_new(false);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.top/1");
    json_out_uint(o, "monotonic_ns", s->at_ns);
    json_out_uint(o, "total_memory_kib", s->host.total_kib);
    json_out_uint(o, "free_memory_kib", s->host.free_kib + s->host.scrub_kib);
    json_out_array(o, "domains");
    for (int i = 0; i < s->n; i++)
        put_row(o, &s->rows[i]);
    json_out_close(o);
    json_out_close(o);
    return cli_json(cli, o);
}

static int batch(const struct top *t)
{
    struct top_sample now, before = {0};
    struct ctl_error err = {0};
    int rc = EXIT_OK;

    for (long i = 0; rc == EXIT_OK && i != t->iterations; i++) {
        if (i)
            nanosleep(&(struct timespec){t->delay_ms / 1000, t->delay_ms % 1000 * 1000000L}, NULL);
        if (top_take(t->cli->ctl, &now, i ? &before : NULL, &err) < 0) {
            rc = cli_fail(t->cli, NULL, &err, CLI_NO_DOMAIN);
            break;
        }
        free(before.rows);
        before = now;
        if (t->cli->json)
            rc = print_json(t->cli, &now);
        else
            print_text(t, &now);
        if (fflush(stdout)) /* told by cli_main() */
            break;
    }
    free(before.rows);
    return rc;
}

static int live(const struct top *t)
{
    struct top_screen how = {t->cli->ctl, t->delay_ms, t->iterations, t->full};
    struct ctl_error err = {0};
    int rc = top_screen(&how, &err);

    if (rc < 0)
        return cli_fail(t->cli, NULL, &err, CLI_NO_DOMAIN);
    if (rc > 0)
        raise(rc);
    return EXIT_OK;
}

int cmd_top(struct cli *cli, const struct cli_args *args)
{
    struct top t = {.cli = cli, .delay_ms = DELAY_MS, .iterations = -1};
    int rc = parse(&t, args);

    if (rc)
        return rc;
    if (cli_open(cli))
        return EXIT_FAILED;
    if (args->value['b'] || cli->json)
        return batch(&t);
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
        return cli_usage(cli, "standard input and output are no terminal: use -b");
    return live(&t);
}
