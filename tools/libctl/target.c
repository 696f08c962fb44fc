// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much memory a running domain is to have: the request to its balloon driver, and the hypervisor's limit.
 *
 * Place: the verbs mem-set and mem-max, and the end of a restore. As libxl does, the limit is set with the target, so
 * that a guest that does not follow cannot have more; its kernel follows the node memory/target in its own time.
 * Invariant: what fails leaves limit and node as they were. Does not wait for the guest.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libctl/internal.h"

/* A node of KiB; `fallback` if there is none. */
static uint64_t node_kib(struct ctl *ctl, uint32_t domid, const char *node, uint64_t fallback)
{
    char *text = ctl_store_read_domain(ctl, domid, node, NULL), *end = NULL;
    uint64_t kib = text ? strtoull(text, &end, 10) : 0;

    if (!text || end == text || *end) {
        kib = fallback;
    }
    free(text);
    return kib;
}

int ctl_memory_limits(struct ctl *ctl, uint32_t domid, struct ctl_memory_limits *limits, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    if (rc < 0) {
        return rc;
    }
    limits->now_kib = info.memory_kib;
    limits->limit_kib = info.maxmem_kib;
    /* Of the control domain nobody may have written the nodes; it may have no limit. */
    limits->target_kib = node_kib(ctl, domid, "memory/target", info.memory_kib);
    limits->most_kib =
        node_kib(ctl, domid, "memory/static-max", info.maxmem_kib < UINT64_MAX ? info.maxmem_kib : info.memory_kib);
    return 0;
}

uint64_t ctl_memory_most_kib(struct ctl *ctl, const struct ctl_domain_info *info)
{
    uint64_t most = node_kib(ctl, info->domid, "memory/static-max", 0);

    return most > info->maxmem_kib ? most : info->maxmem_kib;
}

/* In the words of the check before a build; what the hypervisor keeps for a domain beside its memory this one has. */
static int check_host(struct ctl *ctl, uint32_t domid, uint64_t more_kib, struct ctl_error *err)
{
    struct ctl_host_info host;
    uint64_t have;
    int rc = ctl_host_info(ctl, &host, err);

    if (rc < 0) {
        return rc;
    }
    have = host.free_kib > host.outstanding_kib ? host.free_kib - host.outstanding_kib : 0;
    if (more_kib > have) {
        return ctl_fail_domain(ctl, err, -ENOMEM, CTL_AT("check the host's memory", domid),
                               "need %llu MiB more, overhead of 0 MiB included; free %llu MiB, claimed of them %llu "
                               "MiB",
                               (unsigned long long)(more_kib + 1023) >> 10, (unsigned long long)host.free_kib >> 10,
                               (unsigned long long)host.outstanding_kib >> 10);
    }
    return 0;
}

static int write_target(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err)
{
    char path[CTL_PATH_MAX], text[24];

    ctl_path(path, "/local/domain/%u/memory/target", domid);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)kib);
    return ctl_store_write_domain(ctl, domid, path, text, err);
}

int ctl_memory_set_target(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err)
{
    struct ctl_memory_limits now;
    int rc = ctl_memory_limits(ctl, domid, &now, err);

    if (rc < 0) {
        return rc;
    }
    if (kib > now.most_kib) {
        return ctl_fail_domain(ctl, err, -ERANGE, CTL_AT("set the memory target", domid),
                               "%llu KiB are more than its maxmem, %llu KiB, which is fixed when it is created",
                               (unsigned long long)kib, (unsigned long long)now.most_kib);
    }
    rc = check_host(ctl, domid, kib > now.now_kib ? kib - now.now_kib : 0, err);
    if (rc == 0) {
        rc = ctl_domain_set_maxmem(ctl, domid, kib + CTL_MEMORY_SLACK_KIB, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = write_target(ctl, domid, kib, err);
    if (rc < 0) {
        ctl_domain_set_maxmem(ctl, domid, now.limit_kib, NULL);
    }
    return rc;
}

int ctl_memory_set_limit(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err)
{
    struct ctl_memory_limits now;
    int rc = ctl_memory_limits(ctl, domid, &now, err);

    if (rc < 0) {
        return rc;
    }
    if (kib < now.target_kib) {
        return ctl_fail_domain(ctl, err, -ERANGE, CTL_AT("limit memory", domid),
                               "%llu KiB are less than its target, %llu KiB; lower that first, with mem-set",
                               (unsigned long long)kib, (unsigned long long)now.target_kib);
    }
    return ctl_domain_set_maxmem(ctl, domid, kib + CTL_MEMORY_SLACK_KIB, err);
}

int ctl_memory_keep(struct ctl *ctl, uint32_t domid, uint64_t target_kib, uint64_t most_kib, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    if (rc == 0 && info.memory_kib > target_kib + CTL_MEMORY_SLACK_KIB) {
        target_kib = info.memory_kib < most_kib ? info.memory_kib : most_kib;
        rc = write_target(ctl, domid, target_kib, err);
    }
    return rc < 0 ? rc : ctl_domain_set_maxmem(ctl, domid, target_kib + CTL_MEMORY_SLACK_KIB, err);
}
