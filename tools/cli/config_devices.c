/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices of a configuration: lists of which each element is an object or one of xl's spec strings. What keys they
 * have, and what values these take, is device_spec.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/config.h"

/* Where a list comes from, while it is read. */
struct reading {
    const struct spec_table *t;
    const struct source *src;
    const struct json_value *list;
    struct diags *d;
};

const struct spec_table *config_device_table(enum config_kind kind)
{
    return kind == KIND_DISKS ? &disk_table : kind == KIND_VIFS ? &vif_table : NULL;
}

/* An override has no object around it, so that its paths would begin with a number. W_...: a warning. */
static void report(const struct reading *r, const struct json_value *v, const char *code, const char *hint,
                   const char *message)
{
    struct diag_at at = {.code = code, .src = r->src, .span = &v->span, .hint = hint, .warning = *code == 'W'};

    if (strcmp(code, "E_MEMORY") == 0) {
        r->d->out_of_memory = true;
        return;
    }
    at.value = r->list->parent ? v : NULL;
    at.key = r->list->parent ? NULL : r->t->what;
    diag_add(r->d, &at, "%s", message);
}

static bool wrong_type(const struct reading *r, const struct json_value *v, const char *wanted)
{
    char message[96];

    snprintf(message, sizeof(message), "must be %s, not %s", wanted, json_type_name(v->type));
    report(r, v, "E_TYPE", NULL, message);
    return false;
}

/* A member's path names the key already. */
static bool faulty(const struct reading *r, const struct json_value *v, const struct spec_fault *fault)
{
    const char *message = fault->message;
    size_t n = v->key && r->list->parent ? strlen(v->key) : 0;

    if (n && strncmp(message, v->key, n) == 0 && message[n] == ':')
        message += n + 2;
    report(r, v, fault->code, fault->hint, message);
    return false;
}

static bool has_nul(const struct json_value *v)
{
    return strlen(v->text) != v->text_len;
}

static const char *flag_text(const struct reading *r, const struct json_value *v)
{
    bool number;
    int value = config_boolean(v, &number);

    if (value < 0) {
        wrong_type(r, v, "true or false");
        return NULL;
    }
    if (number)
        report(r, v, "W_BOOLEAN", NULL, value ? "1 is taken for true" : "0 is taken for false");
    return value ? "1" : "0";
}

/* The value of a member as text; NULL: it is of the wrong type, which has been said. */
static const char *member_text(const struct reading *r, const struct spec_key *k, const struct json_value *v)
{
    if (k && k->kind == SPEC_FLAG)
        return flag_text(r, v);
    if (k && k->kind == SPEC_NUMBER) {
        if (v->type == JSON_NUMBER)
            return v->text;
        wrong_type(r, v, "a number");
        return NULL;
    }
    if (v->type != JSON_STRING) {
        wrong_type(r, v, "a string");
        return NULL;
    }
    if (!has_nul(v))
        return v->text;
    report(r, v, "E_VALUE", NULL, "contains a NUL character");
    return NULL;
}

static bool set_member(const struct reading *r, struct spec *s, const struct json_value *v)
{
    int i = strlen(v->key) == v->key_len ? spec_key_find(r->t, v->key) : -1;
    struct spec_fault fault = {0};
    const char *text;

    if (i < 0) {
        spec_unknown(r->t, v->key, &fault);
        return faulty(r, v, &fault);
    }
    if (s->value[i])
        return true; /* a duplicate, which the parser of JSON has told */
    text = member_text(r, &r->t->keys[i], v);
    return text && (spec_set(r->t, s, v->key, text, &fault) || faulty(r, v, &fault));
}

static bool set_object(const struct reading *r, struct spec *s, const struct json_value *v)
{
    bool ok = true;

    for (size_t i = 0; i < v->n_items; i++)
        ok &= set_member(r, s, v->item[i]);
    return ok;
}

static bool set_text(const struct reading *r, struct spec *s, const struct json_value *v)
{
    struct spec_fault fault = {0};

    if (!has_nul(v))
        return spec_parse(r->t, v->text, s, &fault) || faulty(r, v, &fault);
    report(r, v, "E_VALUE", NULL, "contains a NUL character");
    return false;
}

static bool set_device(const struct reading *r, struct spec *s, const struct json_value *v)
{
    struct spec_fault fault = {0};
    bool ok;

    if (v->type == JSON_STRING)
        ok = set_text(r, s, v);
    else if (v->type == JSON_OBJECT)
        ok = set_object(r, s, v);
    else
        return wrong_type(r, v, "an object or a string");
    return ok && (spec_complete(r->t, s, &fault) || faulty(r, v, &fault));
}

bool config_devices_set(enum config_kind kind, struct config_devices *to, const struct source *src,
                        const struct json_value *v, struct diags *d)
{
    struct reading r = {.t = config_device_table(kind), .src = src, .list = v, .d = d};
    bool ok = true;

    if (v->type != JSON_ARRAY)
        return wrong_type(&r, v, "a list");
    if (kind == KIND_VIFS && v->n_items > CONFIG_VIFS) {
        report(&r, v, "E_SIZE", NULL, "more than 256 network interfaces");
        return false;
    }
    config_devices_free(to);
    to->list = calloc(v->n_items + 1, sizeof(*to->list));
    if (!to->list) {
        d->out_of_memory = true;
        return false;
    }
    for (size_t i = 0; i < v->n_items; i++)
        ok &= set_device(&r, &to->list[to->n++], v->item[i]);
    return ok;
}

void config_devices_free(struct config_devices *devices)
{
    for (size_t i = 0; i < devices->n; i++)
        spec_free(&devices->list[i]);
    free(devices->list);
    *devices = (struct config_devices){0};
}

/* --- the list as a whole --------------------------------------------------------------------------------------------
 */

/* By number: the same disk may be written in two ways. -1: it gets one later. */
static int64_t number_of(const struct spec_table *t, const struct spec *s)
{
    const char *devid = spec_get(&vif_table, s, "devid");
    uint32_t n;

    if (t == &disk_table)
        return ctl_disk_number(spec_get(t, s, "vdev"), &n) == 0 ? (int64_t)n : -1;
    return devid ? atol(devid) : -1;
}

bool config_devices_has(enum config_kind kind, const struct config_devices *devices, size_t n, int64_t number)
{
    const struct spec_table *t = config_device_table(kind);

    for (size_t i = 0; i < n; i++) {
        if (number >= 0 && number_of(t, &devices->list[i]) == number)
            return true;
    }
    return false;
}

static const char *file_fault(const struct spec *s)
{
    const char *target = spec_get(&disk_table, s, "target");
    struct stat st;

    if (spec_get(&disk_table, s, "script"))
        return NULL;
    if (stat(target, &st))
        return strerror(errno);
    return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? NULL : "it is neither a file nor a block device";
}

static void check_file(const struct reading *r, const struct spec *s, const struct json_value *v)
{
    const char *why = file_fault(s);
    char message[200];

    if (!why)
        return;
    snprintf(message, sizeof(message), "target: \"%.100s\" cannot be used: %s", spec_get(&disk_table, s, "target"),
             why);
    report(r, v, "E_FILE", NULL, message);
}

void config_devices_check(enum config_kind kind, const struct config_devices *devices, const struct source *src,
                          const struct json_value *list, struct diags *d)
{
    struct reading r = {.t = config_device_table(kind), .src = src, .list = list, .d = d};

    for (size_t i = 0; i < devices->n; i++) {
        const struct spec *s = &devices->list[i];

        if (config_devices_has(kind, devices, i, number_of(r.t, s)))
            report(&r, list->item[i], "E_DUPLICATE", NULL,
                   kind == KIND_DISKS ? "vdev: another disk has it" : "devid: another network interface has it");
    }
}

void config_devices_files(const struct config_devices *disks, const struct source *src, const struct json_value *list,
                          struct diags *d)
{
    struct reading r = {.t = &disk_table, .src = src, .list = list, .d = d};

    for (size_t i = 0; i < disks->n; i++)
        check_file(&r, &disks->list[i], list->item[i]);
}

int config_devices_fill(struct config_devices *vifs)
{
    int rc = 0;

    for (size_t i = 0; i < vifs->n && rc == 0; i++) {
        uint32_t devid = 0;

        while (config_devices_has(KIND_VIFS, vifs, vifs->n, devid))
            devid++;
        rc = spec_vif_fill(&vifs->list[i], devid);
    }
    return rc;
}

int config_devices_add(struct config_devices *devices, struct spec *s)
{
    struct spec *longer = realloc(devices->list, (devices->n + 1) * sizeof(*longer));

    if (!longer)
        return -ENOMEM;
    devices->list = longer;
    longer[devices->n++] = *s;
    *s = (struct spec){0};
    return 0;
}

bool config_devices_remove(enum config_kind kind, struct config_devices *devices, uint32_t number)
{
    const struct spec_table *t = config_device_table(kind);

    for (size_t i = 0; i < devices->n; i++) {
        if (number_of(t, &devices->list[i]) != number)
            continue;
        spec_free(&devices->list[i]);
        memmove(&devices->list[i], &devices->list[i + 1], (devices->n - i - 1) * sizeof(*devices->list));
        devices->n--;
        return true;
    }
    return false;
}

/* --- as JSON --------------------------------------------------------------------------------------------------------
 */

static void put_device(const struct spec_table *t, const struct spec *s, struct json_out *o)
{
    json_out_object(o, NULL);
    for (int i = 0; t->keys[i].name; i++) {
        const struct spec_key *k = &t->keys[i];

        if (!s->value[i])
            continue;
        if (k->kind == SPEC_FLAG)
            json_out_bool(o, k->name, *s->value[i] == '1');
        else if (k->kind == SPEC_NUMBER)
            json_out_int(o, k->name, atol(s->value[i]));
        else
            json_out_str(o, k->name, s->value[i]);
    }
    json_out_close(o);
}

void config_devices_json(enum config_kind kind, const struct config_devices *devices, const char *key,
                         struct json_out *o)
{
    if (!devices->n)
        return;
    json_out_array(o, key);
    for (size_t i = 0; i < devices->n; i++)
        put_device(config_device_table(kind), &devices->list[i], o);
    json_out_close(o);
}
