/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra.conf: one table says which keys there are; the reader, `config settings` and the manual page's test go by it.
 * What a value may be is not said again here: that is asked of who uses it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_actions.h"
#include "cli/migrate.h"
#include "cli/settings.h"

const char *settings_file = "/etc/umbra/umbra.conf";

static const char *no_text(const char *text)
{
    return *text ? NULL : "is empty";
}

static const char *no_time(const char *text)
{
    unsigned ms;

    return migrate_time(text, &ms);
}

static const char *no_bandwidth(const char *text)
{
    uint64_t bytes;

    return migrate_bandwidth(text, &bytes);
}

struct settings_key {
    const char *name;
    const char *vif; /* the key of network interfaces that it is the default of; or */
    const char *(*fault)(
        const char *text); /* what is wrong with a text of `migrate`; neither: guests' key by its name */
    const char *fallback;  /* NULL: none, or that of guests' key */
};

static const struct settings_key settings_keys[] = {
    {.name = "vif.default.bridge", .vif = "bridge", .fallback = SPEC_BRIDGE},
    {.name = "vif.default.script", .vif = "script", .fallback = "vif-bridge"},
    {.name = "vif.default.gatewaydev", .vif = "gatewaydev"},
    {.name = "max_grant_version"},
    {.name = "on_crash"},
    {.name = "on_host_shutdown"},
    {.name = "migrate.transport", .fault = no_text, .fallback = TRANSPORT_SSH},
    {.name = "migrate.key", .fault = no_text},
    {.name = "migrate.max_downtime", .fault = no_time, .fallback = MIGRATE_DOWNTIME},
    {.name = "migrate.bandwidth", .fault = no_bandwidth},
    {0},
};

/* The others of xl.conf(5): who brings them along should not be told of a typo. */
static const char *const xl_keys[] = {
    "autoballoon", "blkdev_start",     "claim_mode",    "colo.default.proxyscript",   "domid_policy",
    "lockfile",    "max_grant_frames", "output_format", "remus.default.netbufscript", "run_hotplug_scripts",
    "vm.cpumask",  "vm.hvm.cpumask",   "vm.pv.cpumask", "vif.default.backend",        "max_maptrack_frames",
};

/* --- reading --- */

static const char *key_name(const void *ctx, size_t i)
{
    return settings_keys[i].name;
}

static void unknown_key(const struct settings *s, const struct json_value *v, struct diags *d)
{
    struct diag_at at = {.code = "E_UNKNOWN", .src = &s->src, .span = &v->key_span, .value = v};
    const char *near = suggest(v->key, key_name, NULL);
    char hint[64];

    for (size_t i = 0; i < sizeof(xl_keys) / sizeof(xl_keys[0]); i++) {
        if (strcmp(xl_keys[i], v->key) == 0) {
            diag_add(d, &at, "this key of xl.conf(5) is not supported");
            return;
        }
    }
    snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near ? near : "");
    at.hint = near ? hint : NULL;
    diag_add(d, &at, "unknown key");
}

/* A fault of a spec begins with its key, which the report has said already. */
static void check_text(const struct settings *s, const struct settings_key *k, const struct json_value *v,
                       struct diags *d)
{
    struct diag_at at = {.code = "E_VALUE", .src = &s->src, .span = &v->span, .value = v};
    struct spec scratch = {0};
    struct spec_fault spec;
    const char *fault;

    if (v->type != JSON_STRING) {
        at.code = "E_TYPE";
        diag_add(d, &at, "must be a string, not %s", json_type_name(v->type));
        return;
    }
    fault = strlen(v->text) != v->text_len ? "contains a NUL character" : (k->vif ? no_text : k->fault)(v->text);
    if (fault)
        diag_add(d, &at, "\"%.60s\" %s", v->text, fault);
    else if (k->vif && !spec_set(&vif_table, &scratch, k->vif, v->text, &spec))
        diag_add(d, &at, "%s", spec.message + strlen(k->vif) + strlen(": "));
    spec_free(&scratch);
}

static void check_member(const struct settings *s, const struct json_value *v, struct diags *d)
{
    const struct settings_key *k = settings_keys;
    struct config scratch = {0};

    if (strncmp(v->key, "x-", 2) == 0)
        return;
    while (k->name && (strcmp(k->name, v->key) != 0 || strlen(v->key) != v->key_len))
        k++;
    if (!k->name)
        unknown_key(s, v, d);
    else if (k->vif || k->fault)
        check_text(s, k, v, d);
    else
        config_set_value(&scratch, config_key_find(k->name), &s->src, v, d);
    config_free(&scratch);
}

static void read_settings(struct settings *s, struct diags *d)
{
    struct diag_at at = {.code = "E_FILE", .src = &s->src};
    int rc;

    s->src.label = strdup(settings_file);
    rc = s->src.label ? config_read_file(settings_file, &s->src) : -ENOMEM;
    if (!s->src.label)
        d->out_of_memory = true;
    else if (rc && rc != -ENOENT)
        diag_add(d, &at, "cannot be read: %s", strerror(-rc));
    if (rc)
        return;
    s->tree = config_read_json(&s->src, d);
    for (size_t i = 0; s->tree && s->tree->type == JSON_OBJECT && i < s->tree->n_items; i++)
        check_member(s, s->tree->item[i], d);
}

int settings_load(const struct cli *cli, struct settings *s)
{
    struct diags d = {0};
    int rc;

    *s = (struct settings){0};
    read_settings(s, &d);
    cli_show_reports(cli, &d);
    rc = diags_failed(&d) ? EXIT_USAGE : EXIT_OK;
    diags_free(&d);
    return rc;
}

void settings_free(struct settings *s)
{
    json_free(s->tree);
    free(s->src.text);
    free(s->src.label);
    *s = (struct settings){0};
}

/* --- using --- */

const char *settings_text(const struct settings *s, const char *name)
{
    return json_text(s->tree, name);
}

bool settings_for_vif(const struct settings *s, struct spec *vif, struct spec_fault *fault)
{
    for (const struct settings_key *k = settings_keys; k->name; k++) {
        const char *text = k->vif ? settings_text(s, k->name) : NULL;

        if (text && !spec_get(&vif_table, vif, k->vif) && !spec_set(&vif_table, vif, k->vif, text, fault))
            return false;
    }
    return true;
}

void settings_for_guest(const struct settings *s, struct config *c, struct diags *d)
{
    struct spec_fault fault;

    for (const struct settings_key *k = settings_keys; k->name; k++) {
        const struct json_value *v = k->vif || k->fault ? NULL : json_member(s->tree, k->name);

        if (v && !config_given(c, k->name))
            config_set_value(c, config_key_find(k->name), &s->src, v, d);
    }
    for (size_t i = 0; i < c->vifs.n; i++)
        d->out_of_memory |= !settings_for_vif(s, &c->vifs.list[i], &fault);
}

/* --- `config settings`: what is in force, as a file could have it --- */

static void put_key(const struct settings *s, const struct settings_key *k, struct json_out *o)
{
    const struct json_value *v = json_member(s->tree, k->name);
    const struct config_key *of_guests = k->vif || k->fault ? NULL : &config_keys[config_key_find(k->name)];

    if (v)
        json_out_copy(o, k->name, v);
    else if (of_guests && of_guests->kind == KIND_INT)
        json_out_int(o, k->name, atol(of_guests->fallback));
    else if (of_guests || k->fallback)
        json_out_str(o, k->name, of_guests ? of_guests->fallback : k->fallback);
}

int config_settings(struct cli *cli, const struct cli_args *args)
{
    struct json_out *o;
    struct settings s;
    int rc = settings_load(cli, &s);

    if (rc == EXIT_OK) {
        o = json_out_new(true);
        json_out_object(o, NULL);
        for (const struct settings_key *k = settings_keys; k->name; k++)
            put_key(&s, k, o);
        json_out_close(o);
        rc = cli_json(cli, o);
    }
    settings_free(&s);
    return rc;
}
