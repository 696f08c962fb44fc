/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `migrate --check`: would the other host take the guest? All that can be known before the first page is: the versions
 * of the stream, the name, the uuid and the number, that each disk and bridge is there and free, the type and paging,
 * what the processors must be able to do, and memory, which is set aside for a moment. Kernel and RAM disk need not be
 * there before the guest reboots.
 *
 * The question has the configuration that the stream would have, and it is looked at by what takes a guest
 * (migrate_take.c). Both sides say the question's form: what one of another version did not ask, or did not look at,
 * must not pass for a yes.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arrivals.h"
#include "cli/migrate.h"
#include "cli/saved_config.h"

#define FORM         2 /* 1 had no number */
#define BOOT_ID_SIZE 64

const char *migrate_boot_id = "/proc/sys/kernel/random/boot_id";

/* A guest that is asked for by its own host has name, uuid and disks there without being in its own way. */
static int read_boot_id(char id[BOOT_ID_SIZE], struct ctl_error *err)
{
    FILE *f = fopen(migrate_boot_id, "r");
    bool ok = f && fscanf(f, "%63s", id) == 1;

    if (f)
        fclose(f);
    return ok ? 0 : ctl_error_set(err, -ENOENT, "check", migrate_boot_id, NULL, "it does not say which host this is");
}

/* --- lists as text --- */

static char *to_hex(const void *from, size_t size)
{
    const uint8_t *p = from;
    char *text = malloc(2 * size + 1);

    for (size_t i = 0; i < size && text; i++)
        sprintf(text + 2 * i, "%02x", p[i]);
    if (text)
        text[2 * size] = '\0';
    return text;
}

static int from_hex(const char *text, void **to, size_t *size)
{
    uint8_t *p;

    *size = text ? strlen(text) / 2 : 0;
    *to = p = malloc(*size + 1);
    for (size_t i = 0; i < *size && p; i++) {
        if (sscanf(text + 2 * i, "%2hhx", &p[i]) != 1)
            return -EINVAL;
    }
    return p && text ? 0 : -EINVAL;
}

/* --- asking --- */

static void put_list(struct json_out *o, const char *key, const void *list, size_t size)
{
    char *text = to_hex(list, size);

    json_out_str(o, key, text);
    free(text);
}

static void put_versions(struct json_out *o)
{
    json_out_uint(o, "form", FORM);
    json_out_uint(o, "libxc", ctl_versions.libxc);
    json_out_uint(o, "libxl", ctl_versions.libxl);
    json_out_uint(o, "abi_major", ctl_versions.abi_major);
    json_out_uint(o, "abi_minor", ctl_versions.abi_minor);
}

static int put_config(struct migration *m, struct json_out *o, struct ctl_error *err)
{
    struct json_value *tree;
    char *config;
    int rc = migrate_config(m, &config, err);

    if (rc < 0)
        return rc;
    tree = json_parse(config, strlen(config), NULL, NULL);
    if (tree)
        json_out_copy(o, "config", tree);
    else
        rc = ctl_error_set(err, -ENOMEM, "check", m->name, NULL, "out of memory");
    json_free(tree);
    free(config);
    return rc;
}

/* *question is to be ended in every case. */
static int make_question(struct migration *m, struct json_out **question, struct ctl_error *err)
{
    struct json_out *o = *question = migrate_question("check", m->info.name, m->info.uuid);
    struct ctl_policy policy;
    char host[BOOT_ID_SIZE];
    int rc = ctl_policy_get(m->cli->ctl, m->domid, &policy, err);

    if (rc >= 0)
        rc = read_boot_id(host, err);
    if (rc >= 0)
        rc = put_config(m, o, err);
    if (rc >= 0) {
        put_versions(o);
        json_out_str(o, "host", host);
        if (m->streams > 1)
            json_out_uint(o, "streams", m->streams);
        put_list(o, "cpuid", policy.leaves, policy.leaves_size);
        put_list(o, "msrs", policy.msrs, policy.msrs_size);
    }
    json_out_close(o);
    ctl_policy_free(&policy);
    return rc;
}

/* 0: it is not there, or no number of that kind. */
static uint32_t number(const struct json_value *object, const char *key)
{
    const struct json_value *v = json_member(object, key);
    int64_t n;

    return v && json_int(v, &n) == 0 && n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

struct verdict {
    bool ok;
    const char *message, *hint;
};

/* One of another form may be a yes to less than was asked. One that cannot be asked at all has said so. */
static struct verdict read_verdict(const struct json_value *answer)
{
    struct verdict v = {migrate_says_ok(answer), json_text(answer, "message"), json_text(answer, "hint")};

    if (v.ok && number(answer, "form") != FORM)
        v = (struct verdict){false, "it does not look at all that was asked: it has another version of umbra",
                             "update the older of the two; a move that is refused leaves the guest where it is"};
    else if (!v.ok && !v.message)
        v.message = "?";
    return v;
}

static int show_json(struct migration *m, const struct json_value *answer, const struct verdict *v)
{
    struct json_out *o = json_out_new(true);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.migrate-check/1");
    json_out_str(o, "name", m->info.name);
    json_out_str(o, "host", m->way.host);
    json_out_bool(o, "ok", v->ok);
    json_out_str(o, "hypervisor", json_text(answer, "hypervisor"));
    json_out_str(o, "message", v->ok ? NULL : v->message);
    json_out_str(o, "hint", v->hint);
    json_out_uint(o, "streams", migrate_streams_of(answer));
    json_out_close(o);
    return cli_json(m->cli, o) || !v->ok ? EXIT_FAILED : EXIT_OK;
}

static int show_answer(struct migration *m, const struct json_value *answer)
{
    struct verdict v = read_verdict(answer);
    struct ctl_error err = {0};
    char streams[32];

    if (m->cli->json)
        return show_json(m, answer, &v);
    if (v.ok) {
        migrate_streams_text(migrate_streams_of(answer), streams);
        printf("%s: %s would take it%s%s\n", m->info.name, m->way.host, m->streams > 1 ? ", on " : "",
               m->streams > 1 ? streams : "");
        return EXIT_OK;
    }
    ctl_error_set(&err, -EPERM, "check", m->way.host, v.hint, "it would not take the guest: %s", v.message);
    return cli_fail(m->cli, m->name, &err, CLI_NO_DOMAIN);
}

/* What would be refused here. */
static int check_here(struct migration *m, struct ctl_error *err)
{
    int rc = ctl_domain_info(m->cli->ctl, m->domid, &m->info, err);

    if (rc >= 0)
        rc = guest_state_get(m->cli->ctl, m->info.uuid, &m->gs, err);
    if (rc == -ENOENT)
        ctl_error_set(err, rc, "check", m->name, NULL, "its configuration is not known: umbra did not create it");
    if (rc >= 0)
        rc = guest_can_sleep(m->cli->ctl, "check", &m->gs, m->domid, err);
    return rc < 0 ? rc : guest_may_leave(m->cli->ctl, &m->gs, err);
}

int migrate_check(struct migration *m)
{
    struct json_value *answer = NULL;
    struct json_out *question = NULL;
    struct ctl_error err = {0};
    int rc = check_here(m, &err);

    signal(SIGPIPE, SIG_IGN);
    if (rc >= 0)
        rc = make_question(m, &question, &err);
    if (rc >= 0)
        rc = migrate_ask(&m->way, question, &answer, &err);
    else if (question)
        free(json_out_end(question));
    if (rc < 0)
        return cli_fail(m->cli, m->name, &err, m->domid);
    rc = show_answer(m, answer);
    json_free(answer);
    return rc;
}

/* --- answering --- */

static int check_versions(const struct json_value *question, struct ctl_error *err)
{
    const struct ctl_versions versions = {.libxl = number(question, "libxl"),
                                          .libxc = number(question, "libxc"),
                                          .abi_major = number(question, "abi_major"),
                                          .abi_minor = number(question, "abi_minor")};
    unsigned form = number(question, "form") ? number(question, "form") : 1;
    char why[CTL_TEXT_MAX];
    int rc = 0;

    if (form != FORM)
        return ctl_error_set(err, -EOPNOTSUPP, "check", NULL, "update the older of the two, or just move it",
                             "it cannot say: the question is of form %u, as of another version of umbra, and those of "
                             "form %d are answered here",
                             form, FORM);
    rc = ctl_versions_check(&versions, why);
    return rc < 0 ? ctl_error_set(err, rc, "check the stream", NULL, NULL, "%s", why) : 0;
}

static int load(const struct json_value *question, struct config *c, struct saved_more *more, struct ctl_error *err)
{
    const struct json_value *tree = json_member(question, "config");
    struct json_out *o = json_out_new(false);
    char *text;
    int rc;

    if (tree)
        json_out_copy(o, NULL, tree);
    else
        json_out_null(o, NULL);
    text = json_out_end(o);
    rc = text ? saved_config_read(text, "the question", c, more, err)
              : ctl_error_set(err, -ENOMEM, "check", NULL, NULL, "out of memory");
    free(text);
    return rc;
}

/* What is wrong with a device is told with its name. */
static int told_with_object(const struct ctl_error *own, int rc, struct ctl_error *err)
{
    if (!*own->object)
        return ctl_error_set(err, rc, own->step, NULL, own->hint, "%s", own->message);
    return ctl_error_set(err, rc, own->step, NULL, own->hint, "%s: %s: %s", own->object, own->message, strerror(-rc));
}

/* As it would be taken, but that nothing is. */
static int check_taking(struct cli *cli, const struct json_value *question, struct config *c, struct ctl_error *err)
{
    const char *asker = json_text(question, "host");
    struct ctl_error own = {0};
    char host[BOOT_ID_SIZE];
    struct taking taking;
    int rc = read_boot_id(host, &own);

    if (rc >= 0)
        rc = migrate_may_come(cli->ctl, c, asker && strcmp(asker, host) == 0, &taking, &own);
    if (rc >= 0)
        rc = guest_names_lock(&own);
    if (rc >= 0) {
        rc = guest_state_may_add(cli->ctl, &taking.gs, &own);
        guest_names_unlock();
    }
    return rc < 0 ? told_with_object(&own, rc, err) : 0;
}

static int try_it(struct cli *cli, const struct json_value *question, const struct config *c,
                  const struct saved_more *more, struct ctl_error *err)
{
    struct ctl_domain_config build = guest_build_config(c, &more->asked);
    struct ctl_policy policy = {0};
    int rc = 0;

    guest_incoming_name(build.name, c->name);
    if (from_hex(json_text(question, "cpuid"), &policy.leaves, &policy.leaves_size) ||
        from_hex(json_text(question, "msrs"), &policy.msrs, &policy.msrs_size))
        rc = ctl_error_set(err, -EINVAL, "check", NULL, NULL, "the question has no lists of its processors");
    if (rc == 0 && ctl_uuid_random(build.uuid) < 0)
        rc = ctl_error_set(err, -EIO, "make a uuid", NULL, NULL, "no random numbers");
    if (rc == 0)
        rc = ctl_build_trial(cli->ctl, &build, &policy, err);
    ctl_policy_free(&policy);
    return rc;
}

static int check(struct cli *cli, const struct json_value *question, struct ctl_error *err)
{
    struct config c = {0};
    struct saved_more more;
    int rc = check_versions(question, err);

    if (rc >= 0)
        rc = load(question, &c, &more, err);
    if (rc >= 0)
        rc = check_taking(cli, question, &c, err);
    if (rc >= 0)
        rc = try_it(cli, question, &c, &more, err);
    if (rc >= 0)
        rc = arrivals_ready(err);
    config_free(&c);
    return rc;
}

void migrate_answer_check(struct cli *cli, const struct json_value *question, struct json_out *o)
{
    struct ctl_host_info host;
    struct ctl_error err = {0};
    char version[64];
    int rc = check(cli, question, &err);

    json_out_bool(o, "ok", rc >= 0);
    json_out_uint(o, "form", FORM);
    if (json_member(question, "streams"))
        json_out_uint(o, "streams", migrate_streams_of(question));
    if (rc < 0) {
        json_out_str(o, "message", err.message);
        json_out_str(o, "hint", err.hint[0] ? err.hint : NULL);
    }
    if (ctl_host_info(cli->ctl, &host, NULL) >= 0) {
        snprintf(version, sizeof(version), "%u.%u%s", host.major, host.minor, host.extra);
        json_out_str(o, "hypervisor", version);
    }
}
