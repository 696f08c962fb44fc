/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON Schema (draft 2020-12) of configurations, made from the table of keys, so that it cannot say anything else
 * than the parser does. What it cannot say: that files exist and fit, a range of sizes with units, one key against
 * another, keys given twice.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"

#define NO_NUL         "^[^\\u0000]*$"
#define SPEC_PRINTABLE "^[^\\u0000-\\u001f\\u007f]*$"
#define CPU_ITEM       "\\^?(all|[0-9]+(-[0-9]+)?)"

static void put_range(struct json_out *o, int64_t min, int64_t max)
{
    json_out_int(o, "minimum", min);
    json_out_int(o, "maximum", max);
}

static void put_text(struct json_out *o, const char *pattern)
{
    json_out_str(o, "type", "string");
    json_out_str(o, "pattern", pattern);
}

static void put_not(struct json_out *o, const char *pattern)
{
    json_out_object(o, "not");
    json_out_str(o, "pattern", pattern);
    json_out_close(o);
}

static void put_name(struct json_out *o)
{
    put_text(o, "^[A-Za-z0-9_][A-Za-z0-9_.+-]*$");
    json_out_int(o, "maxLength", CTL_NAME_MAX - 1);
    put_not(o, "^([0-9]+|Domain-0)$");
}

/* A bare number of MiB, or a string with a unit. */
static void put_size(struct json_out *o, const struct config_key *k)
{
    json_out_array(o, "anyOf");
    json_out_object(o, NULL);
    json_out_str(o, "type", "integer");
    put_range(o, k->min >> 10, k->max >> 10);
    json_out_close(o);
    json_out_object(o, NULL);
    put_text(o, "^[0-9]{1,15}(K|KiB|M|MiB|G|GiB)$");
    json_out_close(o);
    json_out_close(o);
}

static void put_words(struct json_out *o, const struct config_key *k)
{
    json_out_array(o, "enum");
    for (const struct config_word *w = k->words; w->word; w++) {
        if (!w->later)
            json_out_str(o, NULL, w->word);
    }
    json_out_close(o);
}

/* --- devices: what a string may say is the parser's --- */

static void put_spec_words(struct json_out *o, const struct spec_key *k)
{
    json_out_array(o, "enum");
    for (const struct spec_word *w = k->words; w->word; w++) {
        if (!w->later)
            json_out_str(o, NULL, w->word);
    }
    json_out_close(o);
}

static void put_spec_kind(struct json_out *o, const struct spec_key *k)
{
    switch (k->kind) {
    case SPEC_TEXT:
    case SPEC_VDEV:
        put_text(o, k->kind == SPEC_TEXT ? SPEC_PRINTABLE : "^(xvd[a-z]+|[sh]d[a-z])([1-9][0-9]*)?$");
        json_out_int(o, "maxLength", 255);
        return;
    case SPEC_INTERFACE:
        put_text(o, "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,14})?$");
        return;
    case SPEC_MAC:
        put_text(o, "^([0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5})?$");
        return;
    case SPEC_RATE:
        put_text(o, "^([0-9]{1,7}[KMG]?[Bb]/s(@[0-9]{1,7}[mu]?s)?)?$");
        return;
    case SPEC_WORD:
        put_spec_words(o, k);
        return;
    case SPEC_FLAG:
        json_out_str(o, "type", "boolean");
        return;
    case SPEC_NUMBER:
        json_out_str(o, "type", "integer");
        put_range(o, k->min, k->max);
        return;
    }
}

static void put_spec_keys(struct json_out *o, const struct spec_table *t)
{
    json_out_object(o, "properties");
    for (const struct spec_key *k = t->keys; k->name; k++) {
        json_out_object(o, k->name);
        put_spec_kind(o, k);
        json_out_close(o);
    }
    json_out_close(o);
    json_out_bool(o, "additionalProperties", false);
    json_out_array(o, "required");
    for (const struct spec_key *k = t->keys; k->name; k++) {
        if (k->required)
            json_out_str(o, NULL, k->name);
    }
    json_out_close(o);
}

static void put_devices(struct json_out *o, const struct spec_table *t)
{
    json_out_str(o, "type", "array");
    json_out_object(o, "items");
    json_out_array(o, "anyOf");
    json_out_object(o, NULL);
    put_text(o, NO_NUL);
    json_out_close(o);
    json_out_object(o, NULL);
    json_out_str(o, "type", "object");
    put_spec_keys(o, t);
    json_out_close(o);
    json_out_close(o);
    json_out_close(o);
}

static void put_kind(struct json_out *o, const struct config_key *k)
{
    switch (k->kind) {
    case KIND_IGNORED:
        return;
    case KIND_STRING:
        put_text(o, NO_NUL);
        return;
    case KIND_PATH:
        put_text(o, NO_NUL);
        json_out_int(o, "minLength", 1);
        return;
    case KIND_NAME:
        put_name(o);
        return;
    case KIND_CPUS:
        put_text(o, "^" CPU_ITEM "(," CPU_ITEM ")*$");
        return;
    case KIND_UUID:
        put_text(o, "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$");
        put_not(o, "^[0-]*$");
        return;
    case KIND_SIZE:
        put_size(o, k);
        return;
    case KIND_INT:
        json_out_str(o, "type", "integer");
        put_range(o, k->min, k->max);
        return;
    case KIND_ENUM:
        put_words(o, k);
        return;
    case KIND_BOOL:
        json_out_str(o, "type", "boolean");
        return;
    case KIND_DISKS:
    case KIND_VIFS:
        put_devices(o, config_device_table(k->kind));
        return;
    }
}

/* Only where the table's words for people are a value as well. */
static void put_default(struct json_out *o, const struct config_key *k)
{
    if (!k->fallback)
        return;
    if (k->kind == KIND_INT && k->fallback[strspn(k->fallback, "0123456789")] == '\0')
        json_out_int(o, "default", strtoll(k->fallback, NULL, 10));
    else if (k->kind == KIND_ENUM || k->kind == KIND_CPUS)
        json_out_str(o, "default", k->fallback);
}

static void put_key(struct json_out *o, const struct config_key *k, const char *name)
{
    json_out_object(o, name);
    json_out_str(o, "description", k->help);
    put_kind(o, k);
    put_default(o, k);
    json_out_close(o);
}

static bool is_prefix(const struct config_key *k)
{
    return k->name[strlen(k->name) - 1] == '*';
}

static void put_keys(struct json_out *o, bool prefixes)
{
    json_out_object(o, prefixes ? "patternProperties" : "properties");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        char pattern[40];

        if (is_prefix(k) != prefixes)
            continue;
        snprintf(pattern, sizeof(pattern), "^%.*s", (int)strlen(k->name) - 1, k->name);
        put_key(o, k, prefixes ? pattern : k->name);
    }
    json_out_close(o);
}

static void put_alternative(struct json_out *o, const char *key)
{
    json_out_object(o, NULL);
    json_out_array(o, "required");
    json_out_str(o, NULL, key);
    json_out_close(o);
    json_out_close(o);
}

static void put_required(struct json_out *o)
{
    json_out_array(o, "required");
    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].required)
            json_out_str(o, NULL, config_keys[i].name);
    }
    json_out_close(o);
    json_out_array(o, "anyOf");
    put_alternative(o, "memory");
    put_alternative(o, "maxmem");
    json_out_close(o);
}

void config_schema(struct json_out *o)
{
    json_out_object(o, NULL);
    json_out_str(o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_out_str(o, "$id", "urn:umbra:guest-configuration:1");
    json_out_str(o, "title", "Guest configuration of umbra");
    json_out_str(o, "type", "object");
    put_keys(o, false);
    put_keys(o, true);
    json_out_bool(o, "additionalProperties", false);
    put_required(o);
    json_out_close(o);
}
