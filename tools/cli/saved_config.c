/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration in a saved guest's file (see saved_config.h). Of a file that xl wrote, what is understood is
 * translated into umbra's vocabulary and then read like any other configuration; its devices are refused, since the
 * guest would find none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arrivals.h"
#include "cli/list_long.h"
#include "cli/saved_config.h"

#define OURS "umbra"
#define MOVE "umbra_move"

/* 0: its nodes do not say. */
static uint32_t asked_online(struct ctl *ctl, const struct ctl_domain_info *info)
{
    uint32_t n = 0;

    for (uint32_t v = 0; v < info->vcpus_max; v++) {
        char path[64], *word;

        snprintf(path, sizeof(path), "/local/domain/%u/cpu/%u/availability", info->domid, v);
        word = ctl_store_read(ctl, path, NULL);
        n += word && strcmp(word, "online") == 0;
        free(word);
    }
    return n;
}

int saved_more_get(struct ctl *ctl, const struct ctl_domain_info *info, struct saved_more *more, struct ctl_error *err)
{
    struct ctl_memory_limits limits;
    int rc = ctl_memory_limits(ctl, info->domid, &limits, err);

    *more = (struct saved_more){0};
    if (rc < 0)
        return rc;
    more->asked.target_kib = limits.target_kib;
    more->asked.vcpus = asked_online(ctl, info);
    return ctl_sched_get(ctl, info->domid, &more->asked.share, err);
}

char *saved_config_write(struct ctl *ctl, const struct ctl_domain_info *info, const char *ours,
                         const struct saved_more *more)
{
    struct list_facts facts = {.domid = more->keep_domid ? info->domid : LIST_NO_DOMID,
                               .cpus = list_host_cpus(ctl),
                               .sched = more->asked.share.weight ? &more->asked.share : NULL,
                               .target_kib = more->asked.target_kib,
                               .vcpus = more->asked.vcpus};
    struct json_value *tree = json_parse(ours, strlen(ours), NULL, NULL);
    struct json_out *o;

    if (!tree)
        return NULL;
    o = json_out_new(false);
    json_out_object(o, NULL);
    list_config(info, tree, &facts, o);
    json_out_copy(o, OURS, tree);
    if (*more->move)
        json_out_str(o, MOVE, more->move);
    json_out_close(o);
    json_free(tree);
    return json_out_end(o);
}

/* --- from libxl's --- */

static void copy_text(struct json_out *o, const struct json_value *from, const char *key)
{
    if (json_text(from, key))
        json_out_str(o, key, json_text(from, key));
}

static void copy_size(struct json_out *o, const struct json_value *from, const char *key, const char *as)
{
    const struct json_value *v = from ? json_member(from, key) : NULL;
    char text[32];
    int64_t kib;

    if (!v || json_int(v, &kib) || kib <= 0)
        return;
    snprintf(text, sizeof(text), "%lldK", (long long)kib);
    json_out_str(o, as, text);
}

/* Truth values are strings there; one that is not set is a third. */
static void copy_truth(struct json_out *o, const struct json_value *from, const char *key)
{
    const char *text = json_text(from, key);

    if (text && (strcmp(text, "True") == 0 || strcmp(text, "False") == 0))
        json_out_bool(o, key, *text == 'T');
}

static const char *device_in(const struct json_value *tree)
{
    static const char *const kinds[] = {"disks",    "nics",    "pcidevs",  "vfbs",   "vkbs",   "vtpms",
                                        "usbctrls", "usbdevs", "channels", "p9",     "p9s",    "pvcallsifs",
                                        "vdispls",  "vsnds",   "rdms",     "dtdevs", "virtios"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct json_value *v = json_member(tree, kinds[i]);

        if (v && v->n_items)
            return kinds[i];
    }
    return NULL;
}

static void copy_paging(struct json_out *o, const struct json_value *c, const struct json_value *b)
{
    const char *type = json_text(c, "type");

    if (type && strcmp(type, "pvh") == 0) {
        copy_truth(o, c, "hap");
        copy_size(o, b, "shadow_memkb", "shadow_memory");
    }
}

static char *translate(const struct json_value *tree)
{
    const struct json_value *c = json_member(tree, "c_info"), *b = json_member(tree, "b_info"), *online, *vcpus;
    struct json_out *o = json_out_new(false);
    int64_t n;

    json_out_object(o, NULL);
    copy_text(o, c, "name");
    copy_text(o, c, "uuid");
    copy_text(o, c, "type");
    copy_size(o, b, "target_memkb", "memory");
    copy_size(o, b, "max_memkb", "maxmem");
    copy_paging(o, c, b);
    vcpus = b ? json_member(b, "max_vcpus") : NULL;
    if (vcpus && json_int(vcpus, &n) == 0)
        json_out_int(o, "maxvcpus", n);
    online = b ? json_member(b, "avail_vcpus") : NULL;
    json_out_uint(o, "vcpus", online && online->n_items ? online->n_items : 1);
    copy_text(o, b, "kernel");
    copy_text(o, b, "ramdisk");
    copy_text(o, b, "cmdline");
    actions_of_libxl(o, tree);
    json_out_close(o);
    return json_out_end(o);
}

/* --- reading --- */

static int fail(struct ctl_error *err, int code, const char *file, const char *what)
{
    return ctl_error_set(err, code, "read the configuration in the file", file, NULL, "%s", what);
}

static int load(char *text, const char *file, struct config *c, struct ctl_error *err)
{
    struct config_input in = {.file = file, .text = text};
    struct diags d = {0};
    int rc = 0;

    config_load(&in, c, &d);
    if (diags_failed(&d) || d.out_of_memory)
        rc = fail(err, d.out_of_memory ? -ENOMEM : -EINVAL, file,
                  d.n && d.list[0].message ? d.list[0].message : "it is damaged");
    else if (!c->name || !c->kernel || !c->memory)
        rc = fail(err, -EINVAL, file, "name, kernel or memory is missing");
    diags_free(&d);
    return rc;
}

/* That libxl's part asks for; 0: none. */
static uint32_t asked_domid(const struct json_value *tree)
{
    const struct json_value *v = json_member(json_member(tree, "c_info"), "domid");
    int64_t n;

    return v && json_int(v, &n) == 0 && n > 0 && n <= CTL_DOMID_MAX ? (uint32_t)n : 0;
}

static char *own_text(const struct json_value *tree)
{
    const struct json_value *ours = json_member(tree, OURS);
    struct json_out *o;

    if (!ours)
        return translate(tree);
    o = json_out_new(false);
    json_out_copy(o, NULL, ours);
    return json_out_end(o);
}

/* 0: it is not there, or no number of that kind. */
static uint64_t read_number(const struct json_value *from, const char *key, uint64_t most)
{
    const struct json_value *v = from ? json_member(from, key) : NULL;
    int64_t n;

    return v && json_int(v, &n) == 0 && n > 0 && (uint64_t)n <= most ? (uint64_t)n : 0;
}

/* Where our configuration is beside libxl's, that says what the guest has when it starts, and libxl's what it was asked
 * to have last. What is wrong with the share, the hypervisor says. */
static struct guest_asked read_asked(const struct json_value *tree)
{
    const struct json_value *b = json_member(tree, "b_info");
    const struct json_value *sched = b ? json_member(b, "sched_params") : NULL;
    const struct json_value *online = b ? json_member(b, "avail_vcpus") : NULL;
    struct guest_asked asked = {.share = {.weight = (uint32_t)read_number(sched, "weight", UINT32_MAX),
                                          .cap = (uint32_t)read_number(sched, "cap", UINT32_MAX)}};

    if (json_member(tree, OURS)) {
        asked.target_kib = read_number(b, "target_memkb", INT64_MAX);
        asked.vcpus = online ? (uint32_t)online->n_items : 0;
    }
    return asked;
}

static void read_more(const struct json_value *tree, struct saved_more *more)
{
    const char *move = json_text(tree, MOVE);

    *more = (struct saved_more){.asked = read_asked(tree)};
    if (arrivals_named(move))
        snprintf(more->move, sizeof(more->move), "%s", move);
}

int saved_config_read(const char *text, const char *file, struct config *c, struct saved_more *more,
                      struct ctl_error *err)
{
    struct json_value *tree = json_parse(text, strlen(text), NULL, NULL);
    const char *device;
    char *own = NULL;
    int rc;

    memset(c, 0, sizeof(*c));
    if (!tree || tree->type != JSON_OBJECT) {
        json_free(tree);
        return fail(err, -EINVAL, file, "it is no JSON object");
    }
    if (more)
        read_more(tree, more);
    device = json_member(tree, OURS) ? NULL : device_in(tree);
    if (device)
        rc = ctl_error_set(err, -EOPNOTSUPP, "read the configuration in the file", file, NULL,
                           "the guest has devices (%s), which cannot be restored", device);
    else {
        own = own_text(tree);
        rc = own ? load(own, file, c, err) : fail(err, -ENOMEM, file, "out of memory");
        c->domid = asked_domid(tree);
    }
    free(own);
    json_free(tree);
    return rc;
}
