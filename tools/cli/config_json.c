/* SPDX-License-Identifier: BSD-2-Clause */
/* A configuration as JSON: what was given, or all that is, in the vocabulary of the input. */
#include <string.h>

#include "cli/config.h"

static void put_size(struct json_out *o, const char *key, uint64_t kib)
{
    char text[32];

    if (kib % 1024 == 0) {
        json_out_uint(o, key, kib / 1024);
        return;
    }
    snprintf(text, sizeof(text), "%lluK", (unsigned long long)kib);
    json_out_str(o, key, text);
}

static void put_field(const struct config *c, struct json_out *o, const struct config_key *k)
{
    const void *at = (const char *)c + k->offset;
    const struct config_uuid *uuid = at;
    char text[CTL_UUID_TEXT];

    switch (k->kind) {
    case KIND_IGNORED:
        return;
    case KIND_DISKS:
    case KIND_VIFS:
        config_devices_json(k->kind, at, k->name, o);
        return;
    case KIND_STRING:
    case KIND_NAME:
    case KIND_PATH:
    case KIND_CPUS:
        if (*(char *const *)at)
            json_out_str(o, k->name, *(char *const *)at);
        return;
    case KIND_UUID:
        if (uuid->given) {
            ctl_uuid_format(uuid->bytes, text);
            json_out_str(o, k->name, text);
        }
        return;
    case KIND_SIZE:
        if (*(const uint64_t *)at)
            put_size(o, k->name, *(const uint64_t *)at);
        return;
    case KIND_INT:
        json_out_int(o, k->name, *(const int64_t *)at);
        return;
    case KIND_BOOL:
        if (*(const int *)at)
            json_out_bool(o, k->name, *(const int *)at == CONFIG_TRUE);
        return;
    case KIND_ENUM:
        for (const struct config_word *w = k->words; w->word; w++) {
            if (!w->later && w->value == *(const int *)at)
                json_out_str(o, k->name, w->word);
        }
        return;
    }
}

void config_json(const struct config *c, struct json_out *o, const char *key)
{
    json_out_object(o, key);
    for (size_t i = 0; i < config_n_keys; i++) {
        size_t offset = config_keys[i].offset;

        /* They have become cmdline. */
        if (offset != offsetof(struct config, root) && offset != offsetof(struct config, extra))
            put_field(c, o, &config_keys[i]);
    }
    json_out_close(o);
}

void config_given_json(const struct config *c, struct json_out *o)
{
    const struct json_value *root = c->n_sources ? c->trees[0] : NULL;

    json_out_object(o, NULL);
    for (size_t i = 0; root && i < root->n_items; i++) {
        const struct json_value *v = root->item[i];
        int index = strlen(v->key) == v->key_len ? config_key_find(v->key) : -1;

        if (index < 0)
            continue;
        if (c->origin[index].value == v || config_keys[index].kind == KIND_IGNORED)
            json_out_copy(o, v->key, v);
    }
    json_out_close(o);
}
