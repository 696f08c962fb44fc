/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `migrate --check`: would the other host take the guest? All that can be known before the first page is: the versions
 * of the stream, the name, that each disk and bridge is there and free, the type and paging, what the processors must
 * be able to do, and memory, which is set aside for a moment. Kernel and RAM disk need not be there before the guest
 * reboots.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arrivals.h"
#include "cli/guest_devices.h"
#include "cli/migrate.h"
#include "cli/saved_config.h"

#define LIBXC_VERSION 3
#define LIBXL_VERSION 2

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

static int make_question(struct migration *m, struct json_out **question, struct ctl_error *err)
{
    struct ctl_policy policy;
    struct saved_more more;
    struct json_value *tree = NULL;
    char *config = NULL;
    int rc = ctl_policy_get(m->cli->ctl, m->domid, &policy, err);

    if (rc >= 0)
        rc = saved_more_get(m->cli->ctl, &m->info, &more, err);
    if (rc >= 0)
        rc = migrate_config(m, &config, err);
    if (rc >= 0) {
        tree = config ? json_parse(config, strlen(config), NULL, NULL) : NULL;
        rc = tree ? 0
                  : ctl_error_set(err, -ENOENT, "check", m->name, NULL,
                                  "its configuration is not known: umbra did not create it");
    }
    if (rc >= 0) {
        *question = migrate_question("check", m->info.name, m->info.uuid);
        json_out_uint(*question, "libxc", LIBXC_VERSION);
        json_out_uint(*question, "libxl", LIBXL_VERSION);
        if (m->streams > 1)
            json_out_uint(*question, "streams", m->streams);
        json_out_copy(*question, "config", tree);
        json_out_uint(*question, "target_kib", more.asked.target_kib);
        put_list(*question, "cpuid", policy.leaves, policy.leaves_size);
        put_list(*question, "msrs", policy.msrs, policy.msrs_size);
        json_out_close(*question);
    }
    json_free(tree);
    free(config);
    ctl_policy_free(&policy);
    return rc;
}

static int show_answer(struct migration *m, const struct json_value *answer)
{
    const char *message = json_text(answer, "message"), *hint = json_text(answer, "hint");
    struct ctl_error err = {0};
    struct json_out *o;
    char streams[32];

    if (m->cli->json) {
        o = json_out_new(true);
        json_out_object(o, NULL);
        json_out_str(o, "schema", "umbra.migrate-check/1");
        json_out_str(o, "name", m->info.name);
        json_out_str(o, "host", m->way.host);
        json_out_bool(o, "ok", migrate_says_ok(answer));
        json_out_str(o, "hypervisor", json_text(answer, "hypervisor"));
        json_out_str(o, "message", migrate_says_ok(answer) ? NULL : message);
        json_out_str(o, "hint", hint);
        json_out_uint(o, "streams", migrate_streams_of(answer));
        json_out_close(o);
        return cli_json(m->cli, o) || !migrate_says_ok(answer) ? EXIT_FAILED : EXIT_OK;
    }
    if (migrate_says_ok(answer)) {
        migrate_streams_text(migrate_streams_of(answer), streams);
        printf("%s: %s would take it%s%s\n", m->info.name, m->way.host, m->streams > 1 ? ", on " : "",
               m->streams > 1 ? streams : "");
        return EXIT_OK;
    }
    ctl_error_set(&err, -EPERM, "check", m->way.host, hint, "it would not take the guest: %s", message ? message : "?");
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
    if (rc < 0)
        return cli_fail(m->cli, m->name, &err, m->domid);
    rc = show_answer(m, answer);
    json_free(answer);
    return rc;
}

/* --- answering --- */

static int check_versions(const struct json_value *question, struct ctl_error *err)
{
    int64_t libxc = 0, libxl = 0;

    if (json_member(question, "libxc"))
        json_int(json_member(question, "libxc"), &libxc);
    if (json_member(question, "libxl"))
        json_int(json_member(question, "libxl"), &libxl);
    if (libxc == LIBXC_VERSION && libxl == LIBXL_VERSION)
        return 0;
    return ctl_error_set(err, -EOPNOTSUPP, "check the stream", NULL, NULL,
                         "streams of version %lld in %lld are not read here, only %d in %d", (long long)libxc,
                         (long long)libxl, LIBXC_VERSION, LIBXL_VERSION);
}

static int load(const struct json_value *question, struct config *c, struct ctl_error *err)
{
    const struct json_value *tree = json_member(question, "config");
    struct json_out *o = json_out_new(false);
    struct config_input in = {.file = "question"};
    struct diags d = {0};
    int rc = 0;

    if (tree)
        json_out_copy(o, NULL, tree);
    else
        json_out_null(o, NULL);
    in.text = json_out_end(o);
    config_load(&in, c, &d);
    if (diags_failed(&d) || d.out_of_memory || !c->name || !c->memory)
        rc = ctl_error_set(err, -EINVAL, "read the configuration", NULL, NULL, "%s",
                           d.n && d.list[0].message ? d.list[0].message : "name or memory is missing");
    diags_free(&d);
    free(in.text);
    return rc;
}

/* A guest that comes from here has its name, and gets another uuid. */
static int check_name(struct cli *cli, const struct json_value *question, const char *name, struct ctl_error *err)
{
    const char *id = json_text(question, "uuid");
    struct guest_state gs;
    uint8_t uuid[16];
    int rc;

    if (!id || ctl_uuid_parse(id, uuid))
        return ctl_error_set(err, -EINVAL, "check", NULL, NULL, "the question names no guest");
    rc = guest_state_get(cli->ctl, uuid, &gs, err);
    if (rc == 0 && (strcmp(gs.name, name) == 0 || (gs.phase == GUEST_HANDED_OVER && strcmp(gs.real, name) == 0)))
        return 0;
    rc = guest_names_lock(err);
    if (rc == 0) {
        rc = guest_name_free(cli->ctl, name, err);
        guest_names_unlock();
    }
    return rc;
}

static int try_it(struct cli *cli, const struct json_value *question, struct config *c, struct ctl_error *err)
{
    const struct json_value *target = json_member(question, "target_kib");
    struct ctl_domain_config build;
    struct ctl_policy policy = {0};
    struct guest_asked asked = {0};
    int64_t kib = 0;
    int rc = 0;

    if (target && (json_int(target, &kib) || kib < 0))
        kib = 0;
    asked.target_kib = (uint64_t)kib;
    build = guest_build_config(c, &asked);
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

/* On the host that it is on, the guest may have what it has. What is wrong is told with the device's name. */
static int check_devices(struct cli *cli, const struct json_value *question, const struct config *c,
                         struct ctl_error *err)
{
    const char *id = json_text(question, "uuid");
    struct ctl_error own = {0};
    struct guest_state gs;
    uint8_t uuid[16];
    bool is_here = id && ctl_uuid_parse(id, uuid) == 0 && guest_state_get(cli->ctl, uuid, &gs, NULL) == 0 &&
                   gs.phase != GUEST_HANDED_OVER;
    int rc = guest_devices_movable(c, &own);

    rc = rc < 0 ? rc : guest_devices_check(cli->ctl, c, is_here ? gs.domid : CTL_NO_TWIN, &own);
    return rc < 0
               ? ctl_error_set(err, rc, own.step, NULL, own.hint, "%s: %s: %s", own.object, own.message, strerror(-rc))
               : 0;
}

void migrate_answer_check(struct cli *cli, const struct json_value *question, struct json_out *o)
{
    struct ctl_host_info host;
    struct ctl_error err = {0};
    struct config c = {0};
    char version[64];
    int rc = check_versions(question, &err);

    if (rc >= 0)
        rc = load(question, &c, &err);
    if (rc >= 0)
        rc = check_name(cli, question, c.name, &err);
    if (rc >= 0)
        rc = check_devices(cli, question, &c, &err);
    if (rc >= 0)
        rc = try_it(cli, question, &c, &err);
    if (rc >= 0)
        rc = arrivals_ready(&err);
    config_free(&c);
    json_out_bool(o, "ok", rc >= 0);
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
