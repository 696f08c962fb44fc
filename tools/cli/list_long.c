/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Domains in libxl's form (see list_long.h), as Debian's xl 4.17 prints PV guests: its names, sizes in KiB, truth
 * values as the strings "True" and "False".
 */
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"
#include "cli/list_long.h"

static void put_empty(struct json_out *o, const char *key)
{
    json_out_object(o, key);
    json_out_close(o);
}

static void put_text(struct json_out *o, const struct json_value *config, const char *key)
{
    const char *text = json_text(config, key);

    if (text)
        json_out_str(o, key, text);
}

static void put_identity(const struct ctl_domain_info *info, bool ours, uint32_t domid, struct json_out *o)
{
    char uuid[CTL_UUID_TEXT];

    json_out_object(o, "c_info");
    json_out_str(o, "type", info->hvm ? "pvh" : "pv");
    json_out_str(o, "name", info->name);
    if (ours)
        json_out_uint(o, "domid", domid);
    if (info->domid) {
        ctl_uuid_format(info->uuid, uuid);
        json_out_str(o, "uuid", uuid);
    }
    if (ours)
        json_out_str(o, "run_hotplug_scripts", "True");
    json_out_close(o);
}

/* Numbers of the first n; or of a list as in "cpus", once for each virtual CPU. */
static void put_numbers(struct json_out *o, const char *key, uint32_t n)
{
    json_out_array(o, key);
    for (uint32_t i = 0; i < n; i++)
        json_out_uint(o, NULL, i);
    json_out_close(o);
}

unsigned list_host_cpus(struct ctl *ctl)
{
    struct ctl_host_info host;
    bool known = ctl_host_info(ctl, &host, NULL) == 0;

    return known && host.max_cpu_id < CONFIG_MAX_CPUS ? host.max_cpu_id + 1 : CONFIG_MAX_CPUS;
}

static void put_affinity(struct json_out *o, const struct json_value *config, uint32_t vcpus, unsigned host_cpus)
{
    const char *cpus = json_text(config, "cpus");
    uint8_t map[CONFIG_MAX_CPUS / 8];

    if (!cpus || strcmp(cpus, "all") == 0 || config_cpu_map(cpus, map))
        return;
    json_out_array(o, "vcpu_hard_affinity");
    for (uint32_t v = 0; v < vcpus; v++) {
        json_out_array(o, NULL);
        for (unsigned i = 0; i < host_cpus; i++) {
            if (map[i / 8] >> i % 8 & 1)
                json_out_uint(o, NULL, i);
        }
        json_out_close(o);
    }
    json_out_close(o);
}

static void put_sched(struct json_out *o, const struct ctl_sched *sched)
{
    json_out_object(o, "sched_params");
    json_out_str(o, "sched", "credit2");
    json_out_uint(o, "weight", sched->weight);
    json_out_uint(o, "cap", sched->cap);
    json_out_close(o);
}

static int64_t int_of(const struct json_value *config, const char *key, int64_t otherwise)
{
    const struct json_value *v = json_member(config, key);
    int64_t n;

    return v && json_int(v, &n) == 0 ? n : otherwise;
}

/* A size as the configuration is kept: MiB, or a string of KiB. */
static uint64_t size_of(const struct json_value *config, const char *key, uint64_t otherwise)
{
    const char *text = json_text(config, key);
    int64_t mib = int_of(config, key, 0);

    return text ? strtoull(text, NULL, 10) : mib > 0 ? (uint64_t)mib << 10 : otherwise;
}

static void put_build(const struct ctl_domain_info *info, const struct json_value *config,
                      const struct list_facts *facts, struct json_out *o)
{
    json_out_object(o, "b_info");
    if (config) {
        json_out_uint(o, "max_vcpus", info->vcpus_max);
        put_numbers(o, "avail_vcpus",
                    facts->vcpus ? facts->vcpus : (uint32_t)int_of(config, "vcpus", info->vcpus_online));
        put_affinity(o, config, info->vcpus_max, facts->cpus);
    }
    json_out_uint(o, "max_memkb", size_of(config, "maxmem", info->maxmem_kib));
    json_out_uint(o, "target_memkb",
                  facts->target_kib ? facts->target_kib : size_of(config, "memory", info->memory_kib));
    if (config)
        json_out_uint(o, "video_memkb", 0);
    if (facts->sched)
        put_sched(o, facts->sched);
    if (config)
        json_out_str(o, "claim_mode", "True");
    put_text(o, config, "kernel");
    put_text(o, config, "cmdline");
    put_text(o, config, "ramdisk");
    put_empty(o, info->hvm ? "type.pvh" : "type.pv");
    put_empty(o, "arch_arm");
    json_out_object(o, "arch_x86");
    if (config)
        json_out_str(o, "msr_relaxed", "False");
    json_out_close(o);
    json_out_close(o);
}

/* --- what is done when it stops: libxl's words have _ where ours have -, and "destroy" is what it leaves out --- */

#define DESTROY "destroy"
static const char *const action_keys[] = {"on_poweroff", "on_reboot", "on_watchdog", "on_crash"};

static void put_action(struct json_out *o, const char *key, const char *text, char from, char to)
{
    char word[32];

    snprintf(word, sizeof(word), "%s", text);
    for (char *c = word; *c; c++)
        *c = *c == from ? to : *c;
    json_out_str(o, key, word);
}

static void put_actions(struct json_out *o, const struct json_value *config)
{
    for (size_t i = 0; i < sizeof(action_keys) / sizeof(action_keys[0]); i++) {
        const char *text = json_text(config, action_keys[i]);

        if (text && strcmp(text, DESTROY) != 0)
            put_action(o, action_keys[i], text, '-', '_');
    }
}

void actions_of_libxl(struct json_out *o, const struct json_value *libxl)
{
    for (size_t i = 0; i < sizeof(action_keys) / sizeof(action_keys[0]); i++) {
        const char *text = json_text(libxl, action_keys[i]);

        put_action(o, action_keys[i], text ? text : DESTROY, '_', '-');
    }
}

static void put_as(struct json_out *o, const struct json_value *from, const char *key, const char *as)
{
    if (json_text(from, key))
        json_out_str(o, as, json_text(from, key));
}

static void put_disk(struct json_out *o, const struct json_value *disk)
{
    const char *access = json_text(disk, "access"), *format = json_text(disk, "format");
    const char *type = json_text(disk, "backendtype");
    bool qemu = (format && strcmp(format, "raw") != 0) || (type && strcmp(type, "qdisk") == 0);

    json_out_object(o, NULL);
    put_as(o, disk, "target", "pdev_path");
    put_as(o, disk, "vdev", "vdev");
    json_out_str(o, "backend", qemu ? "qdisk" : "phy");
    json_out_str(o, "format", format ? format : "raw");
    put_as(o, disk, "script", "script");
    json_out_uint(o, "readwrite", !access || strchr(access, 'w'));
    json_out_close(o);
}

static void put_nic(struct json_out *o, const struct json_value *vif)
{
    json_out_object(o, NULL);
    json_out_uint(o, "devid", (uint64_t)int_of(vif, "devid", 0));
    put_as(o, vif, "mac", "mac");
    json_out_str(o, "bridge", json_text(vif, "bridge") ? json_text(vif, "bridge") : "xenbr0");
    put_as(o, vif, "ip", "ip");
    put_as(o, vif, "script", "script");
    put_as(o, vif, "vifname", "ifname");
    json_out_str(o, "nictype", "vif");
    json_out_close(o);
}

static void put_devices(struct json_out *o, const struct json_value *config, const char *key, const char *as,
                        void (*put)(struct json_out *o, const struct json_value *device))
{
    const struct json_value *list = json_member(config, key);

    if (!list || !list->n_items)
        return;
    json_out_array(o, as);
    for (size_t i = 0; i < list->n_items; i++)
        put(o, list->item[i]);
    json_out_close(o);
}

void list_config(const struct ctl_domain_info *info, const struct json_value *config, const struct list_facts *facts,
                 struct json_out *o)
{
    put_identity(info, config != NULL, facts->domid, o);
    put_build(info, config, facts, o);
    if (!config)
        return;
    put_devices(o, config, "disk", "disks", put_disk);
    put_devices(o, config, "vif", "nics", put_nic);
    put_actions(o, config);
}

void list_long(const struct ctl_domain_info *info, const struct json_value *config, const struct list_facts *facts,
               struct json_out *o)
{
    json_out_object(o, NULL);
    json_out_uint(o, "domid", info->domid);
    json_out_object(o, "config");
    list_config(info, config, facts, o);
    json_out_close(o);
    json_out_close(o);
}
