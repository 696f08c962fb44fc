/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of xl.cfg(5) as the table of keys wants them (see xlcfg.h). Nothing is judged here: what cannot be made into
 * the wanted type stays as it is, and is reported by whoever sets the key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/xlcfg.h"

/* A number with nothing behind it, in decimal, hexadecimal after 0x, or octal after 0, as xl reads numbers. */
static bool whole_number(const struct json_value *v, unsigned long long *n)
{
    char *end;

    if ((v->type != JSON_NUMBER && v->type != JSON_STRING) || v->text[0] < '0' || v->text[0] > '9')
        return false;
    errno = 0;
    *n = strtoull(v->text, &end, 0);
    return !errno && (size_t)(end - v->text) == v->text_len;
}

static void make_number(struct json_value *v)
{
    unsigned long long n;
    char *decimal;

    if (!whole_number(v, &n) || asprintf(&decimal, "%llu", n) < 0)
        return;
    free(v->text);
    v->text = decimal;
    v->text_len = strlen(decimal);
    v->type = JSON_NUMBER;
}

static void make_boolean(struct json_value *v)
{
    unsigned long long n;

    if (!whole_number(v, &n))
        return;
    v->type = JSON_BOOL;
    v->boolean = n != 0;
}

/* xl takes one without dashes as well. */
static void make_uuid(struct json_value *v)
{
    char *t = v->text, *dashed;

    if (v->text_len != 32 || strspn(t, "0123456789abcdefABCDEF") != 32)
        return;
    if (asprintf(&dashed, "%.8s-%.4s-%.4s-%.4s-%.12s", t, t + 8, t + 12, t + 16, t + 20) < 0)
        return;
    free(v->text);
    v->text = dashed;
    v->text_len = strlen(dashed);
    v->type = JSON_STRING;
}

void xlcfg_adapt(struct json_value *v, enum config_kind kind)
{
    switch (kind) {
    case KIND_STRING:
    case KIND_NAME:
    case KIND_PATH:
    case KIND_CPUS:
    case KIND_ENUM:
        if (v->type == JSON_NUMBER)
            v->type = JSON_STRING;
        return;
    case KIND_SIZE:
    case KIND_INT:
        make_number(v);
        return;
    case KIND_BOOL:
        make_boolean(v);
        return;
    case KIND_UUID:
        if (v->type == JSON_NUMBER || v->type == JSON_STRING)
            make_uuid(v);
        return;
    case KIND_IGNORED:
    case KIND_DISKS:
    case KIND_VIFS:
        return;
    }
}

/* `builder` is what `type` was called before; a PV guest had two other words there. */
static bool builder_to_type(struct json_value *v)
{
    bool pv = strcmp(v->text, "generic") == 0 || strcmp(v->text, "linux") == 0;
    char *key = strdup("type"), *text = strdup(pv ? "pv" : v->text);

    if (!key || !text) {
        free(key);
        free(text);
        return false;
    }
    free(v->key);
    free(v->text);
    v->key = key;
    v->key_len = strlen(key);
    v->text = text;
    v->text_len = strlen(text);
    return true;
}

bool xlcfg_adapt_keys(struct json_value *root)
{
    bool typed = json_member(root, "type") != NULL;

    for (size_t i = 0; i < root->n_items; i++) {
        struct json_value *v = root->item[i];
        int index;

        if (!typed && strcmp(v->key, "builder") == 0 && v->type == JSON_STRING && !builder_to_type(v))
            return false;
        index = config_key_find(v->key);
        if (index >= 0)
            xlcfg_adapt(v, config_keys[index].kind);
    }
    return true;
}
