/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libvirt's domain XML of a configuration (see domain.h), in the words of libvirt's Xen driver. What follows from
 * libvirt's defaults, which are Umbra's, is not said; what a configuration gives, and neither is said nor is what it
 * would be anyway, is reported.
 */
#include <stdlib.h>
#include <string.h>

#include "xml/domain.h"

#define NUMBER   24
#define CPU_LIST 4096 /* of 1024 CPUs, every second one */

void export_dropped(struct domain_out *x, const struct source *src, const struct json_value *v, const char *key,
                    const char *why)
{
    struct diag_at at = {.code = W_DROPPED, .src = src, .span = &v->span, .value = v, .key = key, .warning = true};

    diag_add(x->d, &at, "not carried over: %s", why);
}

static const struct config_origin *origin(const struct domain_out *x, const char *key)
{
    return &x->c->origin[config_key_find(key)];
}

/* --- texts --- */

static void text(struct domain_out *x, const char *element, const char *key, const char *value)
{
    const struct config_origin *from = origin(x, key);

    if (!value)
        return;
    if (xml_sayable(value))
        xml_out_text(x->o, element, value);
    else
        export_dropped(x, from->src, from->value, NULL, "XML cannot have one of its characters");
}

static void element(struct domain_out *x, const char *name, const char *attr, const char *value)
{
    xml_out_open(x->o, name);
    xml_out_attr(x->o, attr, value);
    xml_out_close(x->o);
}

static void word(struct domain_out *x, const char *key, int value)
{
    const struct config_key *k = &config_keys[config_key_find(key)];

    for (const struct config_word *w = k->words; origin(x, key)->value && w->word; w++) {
        if (!w->later && w->value == value)
            xml_out_text(x->o, key, w->word);
    }
}

static void number(struct domain_out *x, const char *name, uint64_t value)
{
    char digits[NUMBER];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    xml_out_text(x->o, name, digits);
}

/* --- parts --- */

static void identity(struct domain_out *x)
{
    char uuid[CTL_UUID_TEXT];

    text(x, "name", "name", x->c->name);
    if (!x->c->uuid.given)
        return;
    ctl_uuid_format(x->c->uuid.bytes, uuid);
    xml_out_text(x->o, "uuid", uuid);
}

static void size(struct domain_out *x, const char *name, uint64_t kib)
{
    char digits[NUMBER];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)kib);
    xml_out_open(x->o, name);
    xml_out_attr(x->o, "unit", "KiB");
    xml_out_string(x->o, digits);
    xml_out_close(x->o);
}

static void memory(struct domain_out *x)
{
    size(x, "memory", x->c->maxmem);
    if (x->c->memory != x->c->maxmem)
        size(x, "currentMemory", x->c->memory);
}

/* libvirt has neither "all" nor ranges that are left out. */
static void affinity(struct domain_out *x)
{
    uint8_t map[CONFIG_MAX_CPUS / 8];
    char list[CPU_LIST];

    if (!x->c->cpus || config_cpu_map(x->c->cpus, map))
        return;
    cpu_ranges(list, sizeof(list), map, CONFIG_MAX_CPUS);
    if (strcmp(list, "all") != 0)
        xml_out_attr(x->o, "cpuset", list);
}

static void vcpus(struct domain_out *x)
{
    char digits[NUMBER];

    xml_out_open(x->o, "vcpu");
    xml_out_attr(x->o, "placement", "static");
    affinity(x);
    if (x->c->vcpus != x->c->maxvcpus) {
        snprintf(digits, sizeof(digits), "%lld", (long long)x->c->vcpus);
        xml_out_attr(x->o, "current", digits);
    }
    snprintf(digits, sizeof(digits), "%lld", (long long)x->c->maxvcpus);
    xml_out_string(x->o, digits);
    xml_out_close(x->o);
}

/* A percentage of one CPU as so many microseconds of 100000. */
static void tuning(struct domain_out *x)
{
    bool weight = origin(x, "cpu_weight")->value != NULL, cap = x->c->cap != 0;

    if (!weight && !cap)
        return;
    xml_out_open(x->o, "cputune");
    if (weight)
        number(x, "shares", (uint64_t)x->c->cpu_weight);
    if (cap) {
        number(x, "global_period", 100000);
        number(x, "global_quota", (uint64_t)x->c->cap * 1000);
    }
    xml_out_close(x->o);
}

static void booted(struct domain_out *x)
{
    bool pvh = x->c->type == CONFIG_PVH;
    const char *cmdline = origin(x, "cmdline")->value ? "cmdline" : origin(x, "root")->value ? "root" : "extra";

    xml_out_open(x->o, "os");
    xml_out_open(x->o, "type");
    xml_out_attr(x->o, "arch", "x86_64");
    xml_out_attr(x->o, "machine", pvh ? "xenpvh" : "xenpv");
    xml_out_string(x->o, pvh ? "xenpvh" : "linux");
    xml_out_close(x->o);
    text(x, "kernel", "kernel", x->c->kernel);
    text(x, "initrd", "ramdisk", x->c->ramdisk);
    text(x, "cmdline", cmdline, x->c->cmdline);
    xml_out_close(x->o);
}

static void paging(struct domain_out *x)
{
    if (x->c->hap == CONFIG_NOT_SAID)
        return;
    xml_out_open(x->o, "features");
    element(x, "hap", "state", x->c->hap == CONFIG_TRUE ? "on" : "off");
    xml_out_close(x->o);
}

/* --- what is not said --- */

/* Keys that the above says, or that say something about the file alone. */
static const char *const said[] = {"$schema",  "version", "name",     "type",   "uuid",       "memory",
                                   "maxmem",   "vcpus",   "maxvcpus", "kernel", "ramdisk",    "cmdline",
                                   "root",     "extra",   "cpus",     "cap",    "cpu_weight", "on_reboot",
                                   "on_crash", "hap",     "disk",     "vif",    "on_poweroff"};

static bool is_said(const char *key)
{
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        if (strcmp(said[i], key) == 0)
            return true;
    }
    return false;
}

/* Is it what it would be if it were not given? */
static bool is_default(const struct config *c, const struct config *none, const struct config_key *k)
{
    const void *is = (const char *)c + k->offset, *would_be = (const char *)none + k->offset;

    if (k->kind == KIND_ENUM || k->kind == KIND_BOOL)
        return *(const int *)is == *(const int *)would_be;
    return k->kind == KIND_INT && *(const int64_t *)is == *(const int64_t *)would_be;
}

static void left(struct domain_out *x, const struct config *none)
{
    const struct source *src = &x->c->sources[0];
    const struct json_value *root = x->c->trees[0];

    for (size_t i = 0; i < root->n_items; i++) {
        const struct json_value *v = root->item[i];
        int index = config_key_find(v->key);

        if (index < 0 || is_said(v->key))
            continue;
        if (config_keys[index].kind == KIND_IGNORED)
            export_dropped(x, src, v, NULL, "domain XML has no place for it");
        else if (x->c->origin[index].value == v && !is_default(x->c, none, &config_keys[index]))
            export_dropped(x, src, v, NULL, "domain XML has no place for it");
    }
}

static void report_left(struct domain_out *x)
{
    char nothing[] = "{}";
    struct config_input in = {.file = "", .text = nothing};
    struct diags d = {0};
    struct config none;

    config_load(&in, &none, &d);
    if (d.out_of_memory)
        x->d->out_of_memory = true;
    else
        left(x, &none);
    diags_free(&d);
    config_free(&none);
}

char *domain_write(const struct config *c, struct diags *d)
{
    struct domain_out x = {.c = c, .d = d, .o = xml_out_new()};
    char *done;

    xml_out_open(x.o, "domain");
    xml_out_attr(x.o, "type", "xen");
    identity(&x);
    memory(&x);
    vcpus(&x);
    tuning(&x);
    booted(&x);
    paging(&x);
    element(&x, "clock", "offset", "utc");
    word(&x, "on_poweroff", c->on_poweroff);
    word(&x, "on_reboot", c->on_reboot);
    word(&x, "on_crash", c->on_crash);
    export_devices(&x);
    xml_out_close(x.o);
    report_left(&x);
    done = xml_out_end(x.o);
    if (!done)
        d->out_of_memory = true;
    if (!diags_failed(d))
        return done;
    free(done);
    return NULL;
}
