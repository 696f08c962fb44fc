/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys of a configuration against each other, and what follows from one for another. No file that they name is looked
 * at (config_check.c).
 */
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"

bool config_has_keys(const struct config *c)
{
    return c->n_sources && c->trees[0] && c->trees[0]->type == JSON_OBJECT;
}

struct diag_at config_at_key(struct config *c, const char *name, const char *code)
{
    int i = config_key_find(name);
    struct diag_at at = {.code = code, .src = &c->sources[0], .key = name};

    if (i >= 0) {
        c->origin[i].faulty = true;
        if (c->origin[i].value) {
            at.src = c->origin[i].src;
            at.span = &c->origin[i].value->span;
        }
    }
    return at;
}

bool config_given(const struct config *c, const char *name)
{
    int i = config_key_find(name);

    return i >= 0 && c->origin[i].value != NULL;
}

bool config_faulty(const struct config *c, const char *name)
{
    int i = config_key_find(name);

    return i >= 0 && c->origin[i].faulty;
}

void config_check_required(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (!config_has_keys(c))
        return;
    for (size_t i = 0; i < config_n_keys; i++) {
        if (!config_keys[i].required || c->origin[i].value)
            continue;
        at = config_at_key(c, config_keys[i].name, "E_MISSING");
        diag_add(d, &at, "required key is missing");
    }
    if (!config_given(c, "memory") && !config_given(c, "maxmem")) {
        at = config_at_key(c, "memory", "E_MISSING");
        diag_add(d, &at, "required key is missing");
    }
}

static void check_memory(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (!config_given(c, "memory") && !config_faulty(c, "maxmem"))
        c->memory = c->maxmem;
    if (!config_given(c, "maxmem"))
        c->maxmem = c->memory;
    if (config_faulty(c, "memory") || config_faulty(c, "maxmem") || c->memory <= c->maxmem)
        return;
    at = config_at_key(c, "maxmem", "E_RANGE");
    diag_add(d, &at, "%llu MiB is less than memory, %llu MiB", (unsigned long long)c->maxmem >> 10,
             (unsigned long long)c->memory >> 10);
}

static void check_vcpus(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (!config_given(c, "maxvcpus"))
        c->maxvcpus = c->vcpus;
    if (config_faulty(c, "vcpus") || config_faulty(c, "maxvcpus") || c->vcpus <= c->maxvcpus)
        return;
    at = config_at_key(c, "maxvcpus", "E_RANGE");
    diag_add(d, &at, "%lld is less than vcpus, %lld", (long long)c->maxvcpus, (long long)c->vcpus);
}

static void check_cap(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (config_faulty(c, "cap") || config_faulty(c, "vcpus") || config_faulty(c, "maxvcpus") ||
        c->cap <= 100 * c->maxvcpus)
        return;
    at = config_at_key(c, "cap", "E_RANGE");
    diag_add(d, &at, "%lld is more than 100 for each of %lld virtual CPUs", (long long)c->cap, (long long)c->maxvcpus);
}

static void ignored(struct config *c, struct diags *d, const char *key, const char *why)
{
    struct diag_at at;

    if (!config_given(c, key) || config_faulty(c, key))
        return;
    at = config_at_key(c, key, "W_IGNORED");
    at.warning = true;
    diag_add(d, &at, "%s", why);
}

static void check_paging(struct config *c, struct diags *d)
{
    if (c->type == CONFIG_PVH || config_faulty(c, "type"))
        return;
    ignored(c, d, "hap", "ignored because the type is not pvh");
    ignored(c, d, "shadow_memory", "ignored because the type is not pvh");
}

/* root and extra are the older way to say it: cmdline wins. */
static void check_cmdline(struct config *c, struct diags *d)
{
    char *joined = NULL;

    if (config_given(c, "cmdline")) {
        ignored(c, d, "root", "ignored because cmdline is given");
        ignored(c, d, "extra", "ignored because cmdline is given");
        return;
    }
    if (!c->root && !c->extra)
        return;
    if (asprintf(&joined, "%s%s%s%s", c->root ? "root=" : "", c->root ? c->root : "", c->root && c->extra ? " " : "",
                 c->extra ? c->extra : "") < 0) {
        d->out_of_memory = true;
        return;
    }
    free(c->cmdline);
    c->cmdline = joined;
}

static void check_devices(const struct config *c, struct diags *d)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        const struct config_origin *origin = &c->origin[i];

        if (config_device_table(k->kind) && origin->value && !origin->faulty)
            config_devices_check(k->kind, (const struct config_devices *)((const char *)c + k->offset), origin->src,
                                 origin->value, d);
    }
}

void config_check_fit(struct config *c, struct diags *d)
{
    if (!config_has_keys(c))
        return;
    check_memory(c, d);
    check_vcpus(c, d);
    check_cap(c, d);
    check_paging(c, d);
    check_cmdline(c, d);
    check_devices(c, d);
}
