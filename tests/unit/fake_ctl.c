/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stand-in for libctl with a host of its own in memory, so that verbs can be tested without a hypervisor. Tests set
 * fake.* and look at what the verbs did. Only what the verbs call exists.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_ctl.h"

struct fake fake;

static int fail(struct ctl_error *err, int code, const char *step, const char *message)
{
    return ctl_error_set(err, code, step, NULL, NULL, "%s", message);
}

struct ctl_domain_info *fake_add(uint32_t domid, const char *name)
{
    struct ctl_domain_info *d = &fake.domains[fake.n++];

    memset(d, 0, sizeof(*d));
    d->domid = domid;
    d->uuid[0] = (uint8_t)(domid + 1);
    d->blocked = true;
    d->vcpus_online = d->vcpus_max = 1;
    d->memory_kib = 262144;
    d->maxmem_kib = 262144;
    snprintf(d->name, sizeof(d->name), "%s", name);
    return d;
}

static struct ctl_domain_info *by_id(uint32_t domid, struct ctl_error *err)
{
    for (int i = 0; i < fake.n; i++) {
        if (fake.domains[i].domid == domid)
            return &fake.domains[i];
    }
    fail(err, -ESRCH, "find the domain", "no such domain");
    return NULL;
}

struct ctl *ctl_open(struct ctl_error *err)
{
    if (fake.present)
        return (struct ctl *)&fake;
    fail(err, -ENOENT, "open the control interface", "there is no hypervisor");
    snprintf(err->hint, sizeof(err->hint), "boot one");
    return NULL;
}

void ctl_close(struct ctl *ctl)
{
}

int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *err)
{
    struct ctl_domain_info *d = by_id(domid, err);

    if (!d)
        return -ESRCH;
    *info = *d;
    return 0;
}

int ctl_domain_list(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err)
{
    *list = malloc((size_t)(fake.n + 1) * sizeof(**list));
    memcpy(*list, fake.domains, (size_t)fake.n * sizeof(**list));
    return fake.n;
}

int ctl_domain_find(struct ctl *ctl, const char *name_or_id, uint32_t *domid, struct ctl_error *err)
{
    for (int i = 0; i < fake.n; i++) {
        char id[16];

        snprintf(id, sizeof(id), "%u", fake.domains[i].domid);
        if (strcmp(fake.domains[i].name, name_or_id) == 0 || strcmp(id, name_or_id) == 0) {
            *domid = fake.domains[i].domid;
            return 0;
        }
    }
    return fail(err, -ESRCH, "find the domain", "there is no domain of this name or number");
}

static int act(const char *what, uint32_t domid, struct ctl_error *err)
{
    if (!by_id(domid, err))
        return -ESRCH;
    snprintf(fake.acts + strlen(fake.acts), sizeof(fake.acts) - strlen(fake.acts), "%s %u;", what, domid);
    return fake.act_fails ? fail(err, fake.act_fails, what, "it does not want to") : 0;
}

int ctl_domain_pause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    return act("pause", domid, err);
}

int ctl_domain_unpause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    return act("unpause", domid, err);
}

int ctl_domain_destroy(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_info *d = by_id(domid, err);
    int rc = act("destroy", domid, err);

    if (d && !rc)
        *d = fake.domains[--fake.n];
    return rc;
}

int ctl_domain_request(struct ctl *ctl, uint32_t domid, enum ctl_request what, unsigned timeout_ms,
                       struct ctl_error *err)
{
    return act(what == CTL_REQUEST_REBOOT ? "reboot" : "poweroff", domid, err);
}

int ctl_domain_wait(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, struct ctl_domain_end *end,
                    struct ctl_error *err)
{
    *end = (struct ctl_domain_end){.gone = fake.ends[0] < 0};
    if (fake.ends[0] >= 0) {
        end->reason = (uint8_t)fake.ends[0];
        memmove(fake.ends, fake.ends + 1, sizeof(fake.ends) - sizeof(fake.ends[0]));
    }
    return act("wait", domid, err);
}

int ctl_vcpu_info(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_vcpu_info *info, struct ctl_error *err)
{
    *info = (struct ctl_vcpu_info){.vcpu = vcpu, .online = vcpu == 0, .blocked = true, .cpu = 3};
    info->cpu_time_ns = 11200000000ull;
    return 0;
}

int ctl_vcpu_get_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_affinity *out,
                          struct ctl_error *err)
{
    *out = (struct ctl_affinity){.hard = {0x0d}, .soft = {0xff}};
    return 0;
}

int ctl_vcpu_set_affinity(struct ctl *ctl, uint32_t domid, uint32_t vcpu, const struct ctl_affinity *in,
                          struct ctl_error *err)
{
    return act("affinity", domid, err);
}

int ctl_host_info(struct ctl *ctl, struct ctl_host_info *info, struct ctl_error *err)
{
    memset(info, 0, sizeof(*info));
    info->nr_cpus = 4;
    info->max_cpu_id = 3;
    info->nr_nodes = 1;
    info->cores_per_socket = 4;
    info->threads_per_core = 1;
    info->cpu_khz = 2400050;
    info->total_kib = 4096ull << 10;
    info->free_kib = 1000ull << 10;
    info->major = 4;
    info->minor = 17;
    info->page_size = 4096;
    info->virt_start = 0xffff800000000000ull;
    strcpy(info->extra, ".umbra-0.1");
    return 0;
}

const char *ctl_sched_name(uint32_t sched_id)
{
    return "credit2";
}

long ctl_host_log(struct ctl *ctl, bool clear, char **text, struct ctl_error *err)
{
    *text = strdup(fake.log ? fake.log : "");
    if (clear)
        fake.log = NULL;
    return (long)strlen(*text);
}

int ctl_host_debug_keys(struct ctl *ctl, const char *keys, struct ctl_error *err)
{
    return strcmp(keys, "h") == 0 ? 0 : fail(err, -EINVAL, "send debug keys", "no such key");
}

int ctl_build_check(const struct ctl_domain_config *config, struct ctl_build_facts *facts, struct ctl_error *errors,
                    unsigned max)
{
    return 0;
}

int ctl_build_pv(struct ctl *ctl, const struct ctl_domain_config *config, uint32_t *domid, struct ctl_error *err)
{
    struct ctl_domain_info *d;

    if (fake.log_on_build)
        fake.log = fake.log_on_build;
    if (fake.build_fails) {
        ctl_error_set(err, fake.build_fails, "populate memory", config->name, "free some", "131072 KiB are missing");
        return fake.build_fails;
    }
    *domid = 7;
    d = fake_add(7, config->name);
    memcpy(d->uuid, config->uuid, sizeof(d->uuid));
    return 0;
}

int ctl_console_tty(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, char **path, struct ctl_error *err)
{
    return fail(err, -ETIMEDOUT, "find the console", "no terminal came");
}

char *ctl_store_read(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    return NULL;
}

void *ctl_foreign_map(struct ctl *ctl, uint32_t domid, int prot, const uint64_t *frames, size_t count,
                      struct ctl_error *err)
{
    return NULL;
}

void ctl_foreign_unmap(struct ctl *ctl, void *address, size_t count)
{
}
