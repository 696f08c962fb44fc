/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `dump-core`: a guest's memory and registers in a file. The file has its name only when it is whole, and is its
 * owner's alone, since what is in it may be secret. The guest stands still meanwhile, unless -l says otherwise, and
 * goes on whatever happens, a signal included; only after SIGKILL it has to be told to, by `unpause`.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "cli/cli.h"
#include "cli/diag.h"
#include "cli/json.h"
#include "cli/partial.h"
#include "cli/supervisor.h"

struct dump {
    struct cli *cli;
    const struct cli_args *args;
    const char *subject, *file;
    char *partial; /* the file's name until it is whole */
    int fd;
    uint32_t domid;
    struct ctl_dump_result result;
    uint64_t bytes;
};

static volatile sig_atomic_t interrupted;

static void note_signal(int sig)
{
    interrupted = sig;
}

static int tick(void *ctx, struct ctl_error *err)
{
    return interrupted ? ctl_error_set(err, -EINTR, "dump memory", NULL, NULL, "interrupted; there is no file") : 0;
}

static int file_failed(const struct dump *d, const char *step, struct ctl_error *err)
{
    return ctl_error_set(err, -errno, step, d->file, errno == ENOSPC ? "free space there" : NULL, "it does not work");
}

static int open_file(struct dump *d, struct ctl_error *err)
{
    struct stat st;

    if (stat(d->file, &st) == 0 && !S_ISREG(st.st_mode))
        return ctl_error_set(err, -EINVAL, "open the file", d->file, "name a file", "it is no regular file");
    d->fd = partial_open(d->file, 0600, &d->partial, err);
    return d->fd;
}

static int name_file(struct dump *d, struct ctl_error *err)
{
    const char *step;

    return partial_finish(d->fd, &d->partial, d->file, &d->bytes, &step) ? 0 : file_failed(d, step, err);
}

static int dump_memory(struct dump *d, struct ctl_error *err)
{
    struct ctl_dump how = {.fd = d->fd, .name = d->file, .tick = tick};
    bool live = d->args->value['l'] != NULL;
    int rc = live ? 0 : ctl_domain_pause(d->cli->ctl, d->domid, err), rc2;

    if (rc < 0)
        return rc;
    rc = ctl_domain_dump(d->cli->ctl, d->domid, &how, &d->result, err);
    rc2 = live ? 0 : ctl_domain_unpause(d->cli->ctl, d->domid, rc < 0 ? NULL : err);
    return rc < 0 ? rc : rc2;
}

/* As if the guest had: the supervisor then does what its configuration says. */
static int end_guest(struct dump *d, struct ctl_error *err)
{
    bool crash = d->args->value['c'] != NULL;
    int rc = 0;

    if (crash || d->args->value['r']) {
        rc = supervisor_start(err);
        if (rc >= 0)
            rc = ctl_domain_set_shutdown(d->cli->ctl, d->domid, crash ? SHUTDOWN_crash : SHUTDOWN_reboot, err);
    }
    return rc;
}

static int report(const struct dump *d)
{
    struct json_out *o;

    if (!d->cli->json) {
        put_clean(stdout, d->subject);
        printf(": %llu pages and %u vCPUs dumped to ", (unsigned long long)d->result.pages, d->result.vcpus);
        put_clean(stdout, d->file);
        printf(", %llu MiB\n", (unsigned long long)(d->bytes + (1 << 20) - 1) >> 20);
        return EXIT_OK;
    }
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.dump/1");
    json_out_uint(o, "domid", d->domid);
    json_out_str(o, "file", d->file);
    json_out_uint(o, "bytes", d->bytes);
    json_out_uint(o, "pages", d->result.pages);
    json_out_uint(o, "vcpus", d->result.vcpus);
    json_out_close(o);
    return cli_json(d->cli, o);
}

static int dump(struct dump *d)
{
    static const int held[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal}, before[3];
    struct ctl_error err = {0};
    int rc;

    interrupted = 0;
    for (size_t i = 0; i < 3; i++)
        sigaction(held[i], &action, &before[i]);
    rc = open_file(d, &err);
    if (rc >= 0)
        rc = dump_memory(d, &err);
    if (rc >= 0)
        rc = name_file(d, &err);
    if (d->fd >= 0 && d->partial)
        unlink(d->partial); /* while it is locked */
    if (d->fd >= 0)
        close(d->fd);
    free(d->partial);
    if (rc >= 0)
        rc = end_guest(d, &err);
    for (size_t i = 0; i < 3; i++)
        sigaction(held[i], &before[i], NULL);
    return rc < 0 ? cli_fail(d->cli, d->subject, &err, d->domid) : report(d);
}

int cmd_dump_core(struct cli *cli, const struct cli_args *args)
{
    struct dump d = {.cli = cli, .args = args, .subject = args->operand[0], .file = args->operand[1], .fd = -1};

    if (args->value['c'] && args->value['r'])
        return cli_usage(cli, "-c and -r say different things");
    if (cli_guest(cli, d.subject, &d.domid))
        return EXIT_FAILED;
    return dump(&d);
}
