/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration as a whole: what follows from other keys, keys against each other, and the files they name. The
 * files' contents and the limits of a build are judged by libctl's ctl_build_check(), so that `config validate` and
 * `create` cannot differ. No side effects, no hypervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"

/* A report at the value of a key, or at the file as a whole if the key was not given. */
static struct diag_at at_key(struct config *c, const char *name, const char *code)
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

static bool given(const struct config *c, const char *name)
{
    int i = config_key_find(name);

    return i >= 0 && c->origin[i].value != NULL;
}

static bool faulty(const struct config *c, const char *name)
{
    int i = config_key_find(name);

    return i >= 0 && c->origin[i].faulty;
}

static void check_required(struct config *c, struct diags *d)
{
    struct diag_at at;

    for (size_t i = 0; i < config_n_keys; i++) {
        if (!config_keys[i].required || c->origin[i].value)
            continue;
        at = at_key(c, config_keys[i].name, "E_MISSING");
        diag_add(d, &at, "required key is missing");
    }
    if (!given(c, "memory") && !given(c, "maxmem")) {
        at = at_key(c, "memory", "E_MISSING");
        diag_add(d, &at, "required key is missing");
    }
}

static void check_memory(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (!given(c, "memory") && !faulty(c, "maxmem"))
        c->memory = c->maxmem;
    if (!given(c, "maxmem"))
        c->maxmem = c->memory;
    if (faulty(c, "memory") || faulty(c, "maxmem") || c->memory <= c->maxmem)
        return;
    at = at_key(c, "maxmem", "E_RANGE");
    diag_add(d, &at, "%llu MiB is less than memory, %llu MiB", (unsigned long long)c->maxmem >> 10,
             (unsigned long long)c->memory >> 10);
}

static void check_vcpus(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (!given(c, "maxvcpus"))
        c->maxvcpus = c->vcpus;
    if (faulty(c, "vcpus") || faulty(c, "maxvcpus") || c->vcpus <= c->maxvcpus)
        return;
    at = at_key(c, "maxvcpus", "E_RANGE");
    diag_add(d, &at, "%lld is less than vcpus, %lld", (long long)c->maxvcpus, (long long)c->vcpus);
}

static void check_cap(struct config *c, struct diags *d)
{
    struct diag_at at;

    if (faulty(c, "cap") || faulty(c, "vcpus") || faulty(c, "maxvcpus") || c->cap <= 100 * c->maxvcpus)
        return;
    at = at_key(c, "cap", "E_RANGE");
    diag_add(d, &at, "%lld is more than 100 for each of %lld virtual CPUs", (long long)c->cap, (long long)c->maxvcpus);
}

static void ignored(struct config *c, struct diags *d, const char *key, const char *why)
{
    struct diag_at at;

    if (!given(c, key) || faulty(c, key))
        return;
    at = at_key(c, key, "W_IGNORED");
    at.warning = true;
    diag_add(d, &at, "%s", why);
}

static void check_paging(struct config *c, struct diags *d)
{
    if (c->type == CONFIG_PVH || faulty(c, "type"))
        return;
    ignored(c, d, "hap", "ignored because the type is not pvh");
    ignored(c, d, "shadow_memory", "ignored because the type is not pvh");
}

/* root and extra are the older way to say it: cmdline wins. */
static void check_cmdline(struct config *c, struct diags *d)
{
    char *joined = NULL;

    if (given(c, "cmdline")) {
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

static void check_file(struct config *c, struct diags *d, const char *key, const char *path)
{
    struct diag_at at;
    struct stat st;
    int fd, rc = 0;

    if (!path || faulty(c, key))
        return;
    /* Without O_NONBLOCK a FIFO would keep us waiting for its writer. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st))
        rc = errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0 && S_ISREG(st.st_mode))
        return;
    at = at_key(c, key, "E_FILE");
    if (rc)
        diag_add(d, &at, "\"%s\" cannot be read: %s", path, strerror(rc));
    else
        diag_add(d, &at, "\"%s\" is not a regular file", path);
}

/* Without an object there are no keys, and that has been said. */
static bool has_keys(const struct config *c)
{
    return c->n_sources && c->trees[0] && c->trees[0]->type == JSON_OBJECT;
}

/* What the library finds, except about keys for which something has been said already. */
void config_check_build(struct config *c, struct diags *d)
{
    struct ctl_domain_config build = config_build(c);
    struct ctl_error errors[16];
    int n = has_keys(c) ? ctl_build_check(&build, NULL, errors, 16) : 0;

    for (int i = 0; i < n && i < 16; i++) {
        const char *field = errors[i].field;
        struct diag_at at;

        if (*field && faulty(c, field))
            continue;
        at = at_key(c, field, "E_CHECK");
        if (!*field)
            at.key = NULL;
        at.hint = errors[i].hint[0] ? errors[i].hint : NULL;
        diag_add(d, &at, "%s", errors[i].message);
    }
}

static void check_devices(struct config *c, struct diags *d)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        const struct config_origin *origin = &c->origin[i];

        if (config_device_table(k->kind) && origin->value && !origin->faulty)
            config_devices_check(k->kind, (struct config_devices *)((char *)c + k->offset), origin->src, origin->value,
                                 d);
    }
}

void config_check_keys(struct config *c, struct diags *d)
{
    if (!has_keys(c))
        return;
    check_required(c, d);
    check_memory(c, d);
    check_vcpus(c, d);
    check_cap(c, d);
    check_paging(c, d);
    check_cmdline(c, d);
    check_file(c, d, "kernel", c->kernel);
    check_file(c, d, "ramdisk", c->ramdisk);
    check_devices(c, d);
}

void config_check(struct config *c, struct diags *d)
{
    config_check_keys(c, d);
    config_check_build(c, d);
}

struct ctl_domain_config config_build(const struct config *c)
{
    static const enum ctl_hap hap[] = {
        [CONFIG_NOT_SAID] = CTL_HAP_AUTO, [CONFIG_FALSE] = CTL_HAP_OFF, [CONFIG_TRUE] = CTL_HAP_ON};
    struct ctl_domain_config b = {
        .name_taken = true, /* the guest's record has it (guest_state.h) */
        .type = c->type == CONFIG_PVH ? CTL_PVH : CTL_PV,
        .hap = hap[c->hap],
        .shadow_kib = c->shadow_memory,
        .memory_kib = c->memory,
        .maxmem_kib = c->maxmem,
        .vcpus = (uint32_t)c->vcpus,
        .maxvcpus = (uint32_t)c->maxvcpus,
        .grant_version = (uint32_t)c->max_grant_version,
        .kernel = c->kernel,
        .ramdisk = c->ramdisk,
        .cmdline = c->cmdline,
        .on_poweroff = (enum ctl_action)c->on_poweroff,
        .on_reboot = (enum ctl_action)c->on_reboot,
        .on_crash = (enum ctl_action)c->on_crash,
        .on_watchdog = (enum ctl_action)c->on_watchdog,
    };

    memcpy(b.uuid, c->uuid.bytes, sizeof(b.uuid));
    snprintf(b.name, sizeof(b.name), "%s", c->name ? c->name : "");
    return b;
}

/* --- the configuration as JSON --------------------------------------------------------------------------------------
 */

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

/* --- cpus -----------------------------------------------------------------------------------------------------------
 */

/* "N" or "N-M" at *s; moves *s past it. */
static int parse_range(const char **s, unsigned long *lo, unsigned long *hi)
{
    for (int i = 0; i < 2; i++) {
        size_t digits = strspn(*s, "0123456789");

        if (digits == 0)
            return -EINVAL;
        *(i ? hi : lo) = digits > 6 ? ~0ul : strtoul(*s, NULL, 10);
        *s += digits;
        if (i == 0) {
            *hi = *lo;
            if (**s != '-')
                break;
            ++*s;
        }
    }
    return *hi >= CONFIG_MAX_CPUS ? -ERANGE : *hi < *lo ? -EINVAL : 0;
}

int config_cpu_map(const char *text, uint8_t map[CONFIG_MAX_CPUS / 8])
{
    unsigned long lo, hi;
    bool any = false;
    int rc;

    memset(map, 0, CONFIG_MAX_CPUS / 8);
    for (;;) {
        bool out = *text == '^';

        text += out;
        if (strncmp(text, "all", 3) == 0) {
            lo = 0;
            hi = CONFIG_MAX_CPUS - 1;
            text += 3;
        } else {
            rc = parse_range(&text, &lo, &hi);
            if (rc)
                return rc;
        }
        for (unsigned long i = lo; i <= hi; i++)
            map[i / 8] = (uint8_t)(out ? map[i / 8] & ~(1u << i % 8) : map[i / 8] | 1u << i % 8);
        if (*text == '\0')
            break;
        if (*text++ != ',')
            return -EINVAL;
    }
    for (size_t i = 0; i < CONFIG_MAX_CPUS / 8; i++)
        any |= map[i] != 0;
    return any ? 0 : -EINVAL;
}
