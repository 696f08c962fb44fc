/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `autostart`: the guests that start with the host. A guest is enabled by a file or link of the name NAME.json in
 * /etc/umbra/auto; `run` creates them in order of their names, `stop` asks every guest of umbra's to power off or saves
 * it, as its configuration says. What `stop` saved, `run` restores first.
 *
 * Each guest is seen to by a verb in a process of its own, so that what one of them meets with leaves the others alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "cli/autostart.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/diag.h"
#include "cli/guest.h"
#include "cli/lock.h"
#include "cli/partial.h"
#include "cli/supervisor.h"
#include "cli/verb_child.h"

#define SUFFIX     ".json" /* of links that `enable` makes */
#define SUFFIX_XL  ".cfg"  /* of files that stand there in xl's form */
#define SUFFIX_OFF ".off"  /* of what `disable` has put aside */
#define SAVED      ".save" /* what follows a guest's name in the directory of those that were saved */
#define STOP_S     180
#define LOOK_MS    200
#define AGAIN_MS   5000
#define PATH_BYTES 512

const char *autostart_dir = "/etc/umbra/auto";
const char *autostart_saved = "/var/lib/umbra/save";
unsigned autostart_again_ms = AGAIN_MS;

static int failed(struct cli *cli, const char *subject, int code, const char *step, const char *object,
                  const char *message)
{
    struct ctl_error err = {0};

    ctl_error_set(&err, code, step, object, NULL, "%s", message);
    return cli_fail(cli, subject, &err, CLI_NO_DOMAIN);
}

/* --- files ---------------------------------------------------------------------------------------------------------
 */

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), end = strlen(suffix);

    return name[0] != '.' && n > end && strcmp(name + n - end, suffix) == 0;
}

static int is_ours(const struct dirent *entry)
{
    return ends_in(entry->d_name, SUFFIX) || ends_in(entry->d_name, SUFFIX_XL);
}

/* What somebody may have meant for a guest. */
static int is_strange(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && !is_ours(entry) && !ends_in(entry->d_name, SUFFIX_OFF);
}

static int is_of_saved(const struct dirent *entry)
{
    return ends_in(entry->d_name, SAVED);
}

/* See move_saved(). */
static int is_aside(const struct dirent *entry)
{
    return entry->d_name[0] == '.' && ends_in(entry->d_name + 1, SAVED);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Names in order; no directory is none of them. Freed by the caller, one by one. */
static int files_of(const char *dir, int (*wanted)(const struct dirent *), struct dirent ***list)
{
    int n = scandir(dir, list, wanted, by_bytes);

    return n < 0 && errno != ENOENT ? -errno : n < 0 ? 0 : n;
}

static void free_files(struct dirent **list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i]);
    if (n > 0)
        free(list);
}

static void entry_path(char out[PATH_BYTES], const char *name)
{
    snprintf(out, PATH_BYTES, "%s/%s" SUFFIX, autostart_dir, name);
}

/* The one that there is, in either form; the path of a new one if there is none. */
static bool find_entry(char out[PATH_BYTES], const char *name)
{
    struct stat st;

    snprintf(out, PATH_BYTES, "%s/%s" SUFFIX_XL, autostart_dir, name);
    if (lstat(out, &st) == 0)
        return true;
    entry_path(out, name);
    return lstat(out, &st) == 0;
}

static void saved_path(char out[PATH_BYTES], const char *name)
{
    snprintf(out, PATH_BYTES, "%s/%s" SAVED, autostart_saved, name);
}

/* Under this name it is not restored: no guest's name begins with a point. */
static void aside_path(char out[PATH_BYTES], const char *name)
{
    snprintf(out, PATH_BYTES, "%s/.%s" SAVED, autostart_saved, name);
}

static bool is_saved(const char *name)
{
    char path[PATH_BYTES];

    saved_path(path, name);
    return access(path, F_OK) == 0;
}

/* --- list ----------------------------------------------------------------------------------------------------------
 */

/* 1: there is a guest or another domain of this name; 0: there is none; or why that is not known. */
static int presence(struct cli *cli, const char *name, struct ctl_error *err)
{
    struct guest_state gs;
    uint32_t domid;
    int rc = guest_state_find(cli->ctl, name, &gs, err);

    if (rc != -ENOENT)
        return rc < 0 ? rc : 1;
    rc = ctl_domain_find(cli->ctl, name, &domid, err);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : 1;
}

static bool guest_exists(struct cli *cli, const char *name)
{
    return presence(cli, name, NULL) > 0;
}

static void list_one(struct cli *cli, const char *file, struct json_out *o)
{
    char path[PATH_BYTES], target[PATH_BYTES], name[CTL_NAME_MAX];
    ssize_t n;

    snprintf(name, sizeof(name), "%.*s", (int)(strrchr(file, '.') - file), file);
    snprintf(path, sizeof(path), "%s/%s", autostart_dir, file);
    n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        snprintf(target, sizeof(target), "%s", path);
    else
        target[n] = '\0';
    if (cli->json) {
        json_out_object(o, NULL);
        json_out_str(o, "name", name);
        json_out_str(o, "file", target);
        json_out_bool(o, "running", guest_exists(cli, name));
        json_out_close(o);
        return;
    }
    put_clean(stdout, name);
    printf("%*s %-8s ", strlen(name) < 32 ? 32 - (int)strlen(name) : 0, "", guest_exists(cli, name) ? "running" : "-");
    put_clean(stdout, target);
    putchar('\n');
}

static int list(struct cli *cli, const struct cli_args *args)
{
    struct dirent **files = NULL;
    struct json_out *o;
    int n;

    if (cli_open(cli))
        return EXIT_FAILED;
    n = files_of(autostart_dir, is_ours, &files);
    if (n < 0)
        return failed(cli, NULL, n, "read the directory", autostart_dir, "it cannot be listed");
    o = cli->json ? json_out_new(true) : NULL;
    json_out_array(o, NULL);
    if (!cli->json)
        printf("%-32s %-8s %s\n", "Name", "State", "File");
    for (int i = 0; i < n; i++)
        list_one(cli, files[i]->d_name, o);
    json_out_close(o);
    free_files(files, n);
    return cli->json ? cli_json(cli, o) : EXIT_OK;
}

/* --- enable, disable -------------------------------------------------------------------------------------------------
 */

/* A file that `create` would take, from any directory if that is wanted; its guest's name in name. */
static int check_file(struct cli *cli, const char *file, bool from_any, char name[CTL_NAME_MAX])
{
    struct config_input in = {.file = file};
    struct config c = {0};
    struct diags d = {0};
    int rc;

    config_load(&in, &c, &d);
    if (from_any)
        config_check_absolute(&c, &d);
    config_check_keys(&c, &d);
    cli_show_reports(cli, &d);
    rc = diags_failed(&d) ? EXIT_USAGE : EXIT_OK;
    if (rc == EXIT_OK)
        snprintf(name, CTL_NAME_MAX, "%s", c.name);
    diags_free(&d);
    config_free(&c);
    return rc;
}

static int say_done(struct cli *cli, const char *name, const char *what)
{
    struct json_out *o;

    if (!cli->json) {
        put_clean(stdout, name);
        printf(": %s\n", what);
        return EXIT_OK;
    }
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.autostart/1");
    json_out_str(o, "name", name);
    json_out_str(o, "autostart", what);
    json_out_close(o);
    return cli_json(cli, o);
}

static int enable_file(struct cli *cli, const char *file)
{
    char name[CTL_NAME_MAX], path[PATH_BYTES], *target;
    int rc = check_file(cli, file, true, name);

    if (rc)
        return rc;
    target = realpath(file, NULL);
    rc = target ? partial_directories(autostart_dir) : -errno;
    if (rc == 0 && find_entry(path, name))
        rc = -EEXIST;
    if (rc == 0 && symlink(target, path))
        rc = -errno;
    free(target);
    if (rc == -EEXIST)
        return failed(cli, name, rc, "enable", path, "it is enabled already; disable it first");
    return rc < 0 ? failed(cli, name, rc, "enable", path, "the link cannot be made") : say_done(cli, name, "enabled");
}

/* A file that was not there, for root alone: a command line may have secrets. Half of one is none. */
static int write_new(const char *path, const char *text)
{
    mode_t before = umask(077);
    FILE *f = fopen(path, "wxe");
    int rc = 0;

    umask(before);
    if (!f)
        return -errno;
    if (fputs(text, f) < 0)
        rc = -EIO;
    if (fclose(f) && rc == 0)
        rc = -errno;
    if (rc < 0)
        unlink(path);
    return rc;
}

/* Of a guest that is there: the configuration that it was created with. */
static int enable_guest(struct cli *cli, const char *name)
{
    char path[PATH_BYTES], *config = NULL;
    struct ctl_error err = {0};
    struct guest_state gs;
    int rc;

    if (cli_open(cli))
        return EXIT_FAILED;
    rc = guest_state_find(cli->ctl, name, &gs, &err);
    if (rc == -ENOENT)
        return failed(cli, name, rc, "enable", NULL, "there is neither a file nor a guest of umbra's of that name");
    if (rc == 0)
        rc = guest_state_config(cli->ctl, gs.uuid, &config, &err);
    if (rc < 0 || !config)
        return rc < 0 ? cli_fail(cli, name, &err, CLI_NO_DOMAIN)
                      : failed(cli, name, -ENODATA, "enable", NULL, "its configuration is not known");
    rc = partial_directories(autostart_dir);
    if (rc == 0)
        rc = find_entry(path, gs.name) ? -EEXIST : write_new(path, config);
    if (rc < 0)
        rc = failed(cli, gs.name, rc, "enable", path,
                    rc == -EEXIST ? "it is enabled already; disable it first" : "the file cannot be written");
    else
        rc = say_done(cli, gs.name, "enabled");
    free(config);
    return rc;
}

static int enable(struct cli *cli, const struct cli_args *args)
{
    const char *what = args->operand[1];

    return config_names_file(what) ? enable_file(cli, what) : enable_guest(cli, what);
}

/* A file that stands there itself may be all there is of a configuration: it is put aside, and not over an older one.
 */
static int disable(struct cli *cli, const struct cli_args *args)
{
    const char *name = args->operand[1];
    char path[PATH_BYTES], aside[PATH_BYTES + 8];
    struct stat st;
    int rc;

    if (config_name_fault(name))
        return cli_usage(cli, "%s: not a name of a guest", name);
    if (!find_entry(path, name) || lstat(path, &st))
        return failed(cli, name, -ENOENT, "disable", path, "it is not enabled");
    snprintf(aside, sizeof(aside), "%s" SUFFIX_OFF, path);
    rc = S_ISLNK(st.st_mode) ? unlink(path) : renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE);
    if (rc && errno == EEXIST)
        return failed(cli, name, -EEXIST, "disable", aside, "an older configuration lies there: move or remove it");
    return rc ? failed(cli, name, -errno, "disable", path, "it cannot be removed") : say_done(cli, name, "disabled");
}

/* --- run -----------------------------------------------------------------------------------------------------------
 */

static int move_saved(const char *name, bool aside)
{
    char seen[PATH_BYTES], hidden[PATH_BYTES];

    saved_path(seen, name);
    aside_path(hidden, name);
    if (aside ? rename(seen, hidden) : rename(hidden, seen))
        return -errno;
    return partial_sync_names(seen);
}

/* A restore that did not end well may have let its guest go all the same: then the file is not to be restored again. */
static int not_restored(struct cli *cli, const char *name, const char *hidden, int status)
{
    if (presence(cli, name, NULL) != 0)
        return failed(cli, name, -EEXIST, "restore", hidden,
                      "it may run: what was saved of it stays aside; remove the file, or restore it if it does not");
    if (move_saved(name, false) < 0)
        return failed(cli, name, -errno, "restore", hidden, "what was saved of it cannot be put back");
    return status;
}

/*
 * The file is put aside, on the disk, before the guest may run, and done with when it does: after a power cut it would
 * be restored once more, to memory that knows nothing of what has been written to its disks meanwhile.
 */
static int restore_one(struct cli *cli, const char *name)
{
    char hidden[PATH_BYTES];
    int rc = move_saved(name, true);

    aside_path(hidden, name);
    if (rc < 0)
        return failed(cli, name, rc, "restore", autostart_saved, "what was saved of it cannot be put aside");
    rc = verb_run("restore", "--", hidden, NULL);
    if (rc)
        return not_restored(cli, name, hidden, rc);
    return unlink(hidden) ? failed(cli, name, -errno, "restore", hidden, "the file cannot be removed") : EXIT_OK;
}

/* A guest that runs, or ran, since it was saved: its disks have gone on without what is in the file. */
static int drop_saved(struct cli *cli, const char *name)
{
    if (!is_saved(name))
        return EXIT_OK;
    if (move_saved(name, true) < 0)
        return failed(cli, name, -errno, "put aside", autostart_saved,
                      "what was saved of it is out of date, and stays");
    fputs("umbra: autostart: ", stderr);
    put_clean(stderr, name);
    fprintf(stderr, ": it has run since it was saved: the file is put aside in %s\n", autostart_saved);
    return EXIT_OK;
}

static int take_saved(struct cli *cli, const char *name)
{
    struct ctl_error err = {0};
    int rc = presence(cli, name, &err);

    if (rc < 0)
        return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
    return rc ? drop_saved(cli, name) : restore_one(cli, name);
}

/* What was saved when the host went down; a file that cannot be restored stays, and its guest is not created anew. */
static int restore_saved(struct cli *cli)
{
    struct dirent **files = NULL;
    int n = files_of(autostart_saved, is_of_saved, &files), rc = EXIT_OK;

    for (int i = 0; i < n && !lock_holder(LOCK_STOPPING); i++) {
        char *name = files[i]->d_name;

        name[strlen(name) - strlen(SAVED)] = '\0';
        if (take_saved(cli, name))
            rc = EXIT_FAILED;
    }
    free_files(files, n);
    return n < 0 ? failed(cli, NULL, n, "read the directory", autostart_saved, "it cannot be listed") : rc;
}

static int start_one(struct cli *cli, const char *file)
{
    char path[PATH_BYTES], name[CTL_NAME_MAX];
    int rc;

    snprintf(path, sizeof(path), "%s/%s", autostart_dir, file);
    rc = check_file(cli, path, false, name);
    if (rc)
        return rc;
    if (guest_exists(cli, name))
        return say_done(cli, name, "is there already");
    if (is_saved(name))
        return failed(cli, name, -EEXIST, "start", autostart_saved, "what was saved of it could not be restored");
    return verb_run("create", "--", path, NULL);
}

static void tell_files(const char *dir, int (*which)(const struct dirent *), const char *what)
{
    struct dirent **files = NULL;
    int n = files_of(dir, which, &files);

    for (int i = 0; i < n; i++) {
        fprintf(stderr, "umbra: autostart: %s/", dir);
        put_clean(stderr, files[i]->d_name);
        fprintf(stderr, ": %s\n", what);
    }
    free_files(files, n);
}

/* A file that is aside before anything is restored may be all that a power cut has left of a guest's memory. */
static void tell_left(void)
{
    tell_files(autostart_dir, is_strange, "not read: its name ends in neither " SUFFIX " nor " SUFFIX_XL);
    tell_files(autostart_saved, is_aside,
               "not restored: its guest has run since, or began to; remove it if it is of no use");
}

static int create_enabled(struct cli *cli)
{
    struct dirent **files = NULL;
    int n = files_of(autostart_dir, is_ours, &files), rc = EXIT_OK;

    for (int i = 0; i < n && !lock_holder(LOCK_STOPPING); i++) {
        if (start_one(cli, files[i]->d_name))
            rc = EXIT_FAILED;
    }
    free_files(files, n);
    return n < 0 ? failed(cli, NULL, n, "read the directory", autostart_dir, "it cannot be listed") : rc;
}

/* The host may go down again before all are started: `stop`, which waits for LOCK_STARTING, finds those that are. */
static int run(struct cli *cli, const struct cli_args *args)
{
    int rc, created;

    if (cli_open(cli))
        return EXIT_FAILED;
    lock_try(LOCK_STARTING); /* or another one is at it */
    tell_left();
    rc = restore_saved(cli);
    created = create_enabled(cli);
    lock_drop(LOCK_STARTING);
    if (lock_holder(LOCK_STOPPING))
        return failed(cli, NULL, -ECANCELED, "start", autostart_dir,
                      "all guests are being stopped: no more are started");
    return rc ? rc : created;
}

/* --- stop ----------------------------------------------------------------------------------------------------------
 */

static bool wants_save(struct cli *cli, const uint8_t uuid[16])
{
    struct json_value *tree;
    const char *word;
    char *text = NULL;
    bool save;

    if (guest_state_config(cli->ctl, uuid, &text, NULL) < 0 || !text)
        return false;
    tree = json_parse(text, strlen(text), NULL, NULL);
    word = json_text(tree, "on_host_shutdown");
    save = word && strcmp(word, "save") == 0;
    json_free(tree);
    free(text);
    return save;
}

struct stopped {
    pid_t child; /* 0: it has ended */
    uint32_t domid;
    char name[CTL_NAME_MAX];
    bool there;     /* it still runs */
    bool failed;    /* the last attempt has */
    uint64_t again; /* when it is tried once more, ms */
};

struct stopping {
    struct cli *cli;
    struct stopped *list;
    int n, rc;
    char pending[CTL_NAME_MAX]; /* a guest between two of its lives; empty: none is */
    bool waiting;               /* one that runs is to be tried once more */
    bool starting;              /* `run` is still at work */
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A guest that is paused takes no request, and would not outlive the host: it is unpaused as often as it was paused. */
static void let_run(struct cli *cli, const struct ctl_domain_info *info)
{
    struct ctl_domain_info now = *info;

    if (!now.paused)
        return;
    fputs("umbra: autostart: ", stderr);
    put_clean(stderr, info->name);
    fputs(": it is paused: it is unpaused, so that it can stop\n", stderr);
    while (now.paused && verb_run("unpause", "--", info->name, NULL) == EXIT_OK &&
           ctl_domain_info(cli->ctl, info->domid, &now, NULL) >= 0)
        ;
}

/* again: it could not be saved, or did not take the request, which it may when it has booted. */
static pid_t stop_one(struct cli *cli, const struct ctl_domain_info *info, bool again)
{
    char path[PATH_BYTES];

    let_run(cli, info);
    if (again || !wants_save(cli, info->uuid)) {
        drop_saved(cli, info->name);
        return verb_begin("shutdown", "--wait", info->name, NULL);
    }
    if (partial_directories(autostart_saved) < 0)
        return -1;
    saved_path(path, info->name);
    return verb_begin("save", "--", info->name, path);
}

/* What is known of a domain, from now on if it was nothing; NULL: no memory. */
static struct stopped *entry_of(struct stopping *s, const struct ctl_domain_info *info)
{
    struct stopped *bigger;

    for (int i = 0; i < s->n; i++) {
        if (s->list[i].domid == info->domid)
            return &s->list[i];
    }
    bigger = realloc(s->list, (size_t)(s->n + 1) * sizeof(*bigger));
    if (!bigger)
        return NULL;
    s->list = bigger;
    bigger[s->n] = (struct stopped){.domid = info->domid};
    memcpy(bigger[s->n].name, info->name, sizeof(info->name));
    return &bigger[s->n++];
}

/* One that runs: it is asked, unless it has been, and once more after a while if that has failed. */
static void begin_stop(struct stopping *s, const struct ctl_domain_info *info)
{
    int known = s->n;
    struct stopped *e = entry_of(s, info);
    bool again = e && e < s->list + known;

    if (!e) {
        s->rc = failed(s->cli, info->name, -ENOMEM, "stop", NULL, "out of memory");
        return;
    }
    e->there = true;
    s->waiting |= e->failed;
    if (again && (!e->failed || now_ms() < e->again))
        return;
    e->failed = false;
    e->child = stop_one(s->cli, info, again);
    if (e->child < 0) {
        s->rc = failed(s->cli, info->name, -errno, "stop", autostart_saved,
                       "no process or no directory can be made for it");
        e->child = 0;
    }
}

/* It has no domain that could be asked, and is about to have one, or to go. */
static bool is_between(const struct guest_state *gs, const struct ctl_domain_info *d)
{
    switch (gs->phase) {
    case GUEST_BUILDING:
    case GUEST_STARTING:
    case GUEST_RENAMING:
    case GUEST_REBOOTING:
    case GUEST_INCOMING:
        return true;
    case GUEST_RUNNING:
        return d && d->shutdown && gs->watched && d->shutdown_reason != SHUTDOWN_suspend;
    default:
        return false;
    }
}

/* Guests of other tools have no record, and are those tools' to stop: xendomains saves them, libvirt-guests too. */
static void look_at_guest(struct stopping *s, const struct guest_state *gs, const struct ctl_domain_info *list, int n)
{
    const struct ctl_domain_info *d = guest_domain(list, n, gs->uuid);

    if (is_between(gs, d)) {
        drop_saved(s->cli, gs->name);
        snprintf(s->pending, sizeof(s->pending), "%s", gs->name);
    } else if (d && d->domid && !d->shutdown && *d->name && gs->phase != GUEST_DYING) {
        begin_stop(s, d);
    }
}

static int look(struct stopping *s)
{
    struct ctl_domain_info *domains = NULL;
    struct guest_state *guests = NULL;
    struct ctl_error err = {0};
    int m = guest_state_list(s->cli->ctl, &guests, &err); /* first: what runs by its record is among the domains then */
    int n = m < 0 ? m : ctl_domain_list(s->cli->ctl, &domains, &err);

    *s->pending = '\0';
    s->waiting = false;
    for (int i = 0; i < s->n; i++)
        s->list[i].there = false;
    for (int i = 0; n >= 0 && i < m; i++)
        look_at_guest(s, &guests[i], domains, n);
    if (n >= 0)
        free(domains);
    free(guests);
    if (n >= 0 && (!*s->pending || supervisor_start(&err) >= 0)) /* else nobody sees to it */
        return EXIT_OK;
    *s->pending = '\0';
    return cli_fail(s->cli, NULL, &err, CLI_NO_DOMAIN);
}

/* How many are still at it. */
static int reap(struct stopping *s)
{
    int left = 0, status;

    for (int i = 0; i < s->n; i++) {
        pid_t ended = s->list[i].child ? waitpid(s->list[i].child, &status, WNOHANG) : 0;

        if (ended) {
            s->list[i].child = 0;
            s->list[i].failed = ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status);
            s->list[i].again = now_ms() + autostart_again_ms;
            s->waiting |= s->list[i].failed; /* until somebody has looked whether it still runs */
        }
        left += s->list[i].child != 0;
    }
    return left;
}

/* The verb may have been ended when the file was whole and the guest not marked yet as one that goes. */
static void drop_unless_gone(struct cli *cli, const char *name)
{
    struct guest_state gs;

    if (guest_state_find(cli->ctl, name, &gs, NULL) == 0 && gs.phase != GUEST_DYING)
        drop_saved(cli, name);
}

static void give_up(struct stopping *s)
{
    for (int i = 0; i < s->n; i++) {
        if (s->list[i].failed)
            s->rc = EXIT_FAILED;
        if (!s->list[i].child && !(s->list[i].failed && s->list[i].there))
            continue;
        if (s->list[i].child) {
            kill(s->list[i].child, SIGTERM);
            verb_end(s->list[i].child);
            drop_unless_gone(s->cli, s->list[i].name);
        }
        s->rc = failed(s->cli, s->list[i].name, -ETIMEDOUT, "stop", NULL, "it did not stop in time, and runs on");
    }
    if (s->starting)
        s->rc = failed(s->cli, NULL, -ETIMEDOUT, "stop", NULL, "guests were still being started");
    if (*s->pending)
        s->rc = failed(s->cli, s->pending, -ETIMEDOUT, "stop", NULL, "it was still being built, restarted or removed");
}

static int parse_timeout(const struct cli *cli, const char *text, uint64_t *seconds)
{
    *seconds = STOP_S;
    if (!text)
        return EXIT_OK;
    if (!*text || strlen(text) > 5 || text[strspn(text, "0123456789")])
        return cli_usage(cli, "-t %s: not a number of seconds", text);
    *seconds = strtoul(text, NULL, 10);
    return EXIT_OK;
}

static int look_again(struct stopping *s)
{
    int rc;

    s->starting = lock_holder(LOCK_STARTING); /* first: what was started before it ended is seen */
    rc = look(s);
    s->starting &= rc == EXIT_OK;
    return rc;
}

/*
 * All are asked before any is waited for. A guest that is just restarted is not there to be asked: while LOCK_STOPPING
 * is held it is removed instead, and whatever was beyond that point, or is only being created, is asked when it runs.
 */
static int stop(struct cli *cli, const struct cli_args *args)
{
    struct stopping s = {.cli = cli};
    uint64_t seconds, until;
    int rc = parse_timeout(cli, args->value['t'], &seconds);

    if (rc)
        return rc;
    if (cli_open(cli))
        return EXIT_FAILED;
    until = now_ms() + seconds * 1000;
    lock_try(LOCK_STOPPING); /* or another one is at it, which does as well */
    rc = look_again(&s);
    while ((reap(&s) || *s.pending || s.waiting || s.starting) && now_ms() < until) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        if (!rc)
            rc = look_again(&s);
    }
    give_up(&s);
    lock_drop(LOCK_STOPPING);
    free(s.list);
    return rc ? rc : s.rc;
}

/* --- the verb ------------------------------------------------------------------------------------------------------
 */

int cmd_autostart(struct cli *cli, const struct cli_args *args)
{
    static const struct {
        const char *word;
        int operands;
        int (*act)(struct cli *cli, const struct cli_args *args);
    } acts[] = {{"enable", 2, enable}, {"disable", 2, disable}, {"list", 1, list}, {"run", 1, run}, {"stop", 1, stop}};

    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (strcmp(acts[i].word, args->operand[0]) != 0)
            continue;
        if (args->n != acts[i].operands)
            return cli_usage(cli, "%s: %s", acts[i].word,
                             args->n < 2 ? "an operand is missing" : "one operand too many");
        return acts[i].act(cli, args);
    }
    return cli_usage(cli, "%s: there are enable, disable, list, run and stop", args->operand[0]);
}
