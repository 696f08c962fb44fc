/* SPDX-License-Identifier: BSD-2-Clause */
/* The stand-in's parts that only some verbs need (fake_ctl.h), among them what real files of libctl stand on. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

#include "fake_ctl.h"

int ctl_host_topology(struct ctl *ctl, struct ctl_cpu_topology **cpus, struct ctl_error *err)
{
    *cpus = calloc(4, sizeof(**cpus));
    for (uint32_t i = 0; i < 4; i++)
        (*cpus)[i] = (struct ctl_cpu_topology){.cpu = i, .core = i / 2, .socket = i / 4, .node = i / 2};
    return 4;
}

int ctl_host_nodes(struct ctl *ctl, struct ctl_node **nodes, struct ctl_error *err)
{
    *nodes = calloc(2, sizeof(**nodes));
    (*nodes)[0] = (struct ctl_node){3072 << 10, 700 << 10, {10, 21}};
    (*nodes)[1] = (struct ctl_node){1024 << 10, 300 << 10, {21, 10}};
    return 2;
}

long ctl_host_previous_log(struct ctl *ctl, char **text, struct ctl_error *err)
{
    if (!fake->previous_log)
        return ctl_error_set(err, -ENOENT, "read the log of the boot before", NULL, NULL,
                             "no log of a boot before was found");
    *text = strdup(fake->previous_log);
    return (long)strlen(*text);
}

/* Of a host with one node. */
int ctl_domain_nodes(struct ctl *ctl, uint32_t domid, uint8_t map[CTL_NODES_MAX / 8], struct ctl_error *err)
{
    memset(map, 0, CTL_NODES_MAX / 8);
    map[0] = domid == 0 ? 0 : 1;
    return 0;
}

static struct ctl_domain_info *domain(uint32_t domid)
{
    for (int i = 0; i < fake->n; i++) {
        if (fake->domains[i].domid == domid)
            return &fake->domains[i];
    }
    return NULL;
}

int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
{
    char object[32], text[CTL_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(object, sizeof(object), "domain %u", at.domid);
    return ctl_error_set(err, code, at.step, object, ctl_hint(code), "%s", text);
}

int ctl_path(char path[CTL_PATH_MAX], const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(path, CTL_PATH_MAX, fmt, args);
    va_end(args);
    return n < 0 || n >= CTL_PATH_MAX ? -ENAMETOOLONG : 0;
}

char *ctl_store_read_domain(struct ctl *ctl, uint32_t domid, const char *node, struct ctl_error *err)
{
    char path[CTL_PATH_MAX];

    ctl_path(path, "/local/domain/%u/%s", domid, node);
    return ctl_store_read(ctl, path, err);
}

int ctl_domain_set_maxmem(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err)
{
    struct ctl_domain_info *d = domain(domid);

    if (!d || fake->act_fails)
        return ctl_error_set(err, d ? fake->act_fails : -ESRCH, "limit memory", NULL, NULL, "it does not want to");
    d->maxmem_kib = kib;
    return 0;
}

/* The file of a guest that is its number. */
int ctl_domain_dump(struct ctl *ctl, uint32_t domid, const struct ctl_dump *how, struct ctl_dump_result *result,
                    struct ctl_error *err)
{
    bool paused = domain(domid) && domain(domid)->paused;

    if (fake->dump_fails)
        return ctl_error_set(err, fake->dump_fails, "write the core file", how->name, "free space", "1 MiB is written");
    if (dprintf(how->fd, "%u %s", domid, paused ? "paused" : "runs") < 0)
        return -EIO;
    *result = (struct ctl_dump_result){.pages = 65536, .vcpus = 2};
    return how->tick(how->ctx, err);
}

int ctl_domain_set_shutdown(struct ctl *ctl, uint32_t domid, unsigned reason, struct ctl_error *err)
{
    fake_stop(domid, reason);
    return 0;
}
