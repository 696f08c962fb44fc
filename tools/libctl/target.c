// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much memory a running domain is to have: the request to its balloon driver, and the hypervisor's limit.
 *
 * Place: the verbs mem-set and mem-max, and the end of a restore. As libxl does, the limit is set with the target, so
 * that a guest that does not follow cannot have more; its kernel follows the node memory/target in its own time.
 * Invariants: what fails leaves limit and node as they were; of what is free, nothing is given that another domain was
 * asked to take and has not taken. Does not wait for the guest.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libctl/internal.h"

#define HOST_MOST_KIB (1ull << 40) /* no host has that much; 32768 domains of it are a number still */

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

/*
 * What a domain was asked to have and has not taken yet. Its limit bounds that, whatever the node says, and what is
 * claimed for it is counted as claimed. One that is suspended may run on; one that ended otherwise takes no more.
 */
static uint64_t yet_to_take(struct ctl *ctl, const struct ctl_domain_info *info)
{
    bool ended = info->dying || (info->shutdown && info->shutdown_reason != SHUTDOWN_suspend);
    uint64_t target = ended ? 0 : node_kib(ctl, info->domid, "memory/target", 0);
    uint64_t most = target < info->maxmem_kib ? target : info->maxmem_kib;
    uint64_t has = info->memory_kib + info->outstanding_kib;

    return most > has ? most - has : 0;
}

/* Of all domains but one. Of each no more than HOST_MOST_KIB: the control domain need not have a limit. */
static int promised(struct ctl *ctl, uint32_t but, uint64_t *kib, struct ctl_error *err)
{
    struct ctl_domain_info *list = NULL;
    int n = ctl_domain_scan(ctl, &list, err);

    *kib = 0;
    for (int i = 0; i < n; i++) {
        uint64_t more = list[i].domid == but ? 0 : yet_to_take(ctl, &list[i]);

        *kib += more < HOST_MOST_KIB ? more : HOST_MOST_KIB;
    }
    free(list);
    return n < 0 ? n : 0;
}

static int refuse(struct ctl *ctl, uint32_t domid, uint64_t more_kib, const struct ctl_host_info *host,
                  uint64_t promised_kib, struct ctl_error *err)
{
    /* In the words of the check before a build; what is kept for a domain beside its memory this one has. */
    return ctl_fail_domain(ctl, err, -ENOMEM, CTL_AT("check the host's memory", domid),
                           "need %llu MiB more, overhead of 0 MiB included; free %llu MiB, claimed of them %llu MiB, "
                           "promised to other domains %llu MiB",
                           (unsigned long long)(more_kib + 1023) >> 10, (unsigned long long)host->free_kib >> 10,
                           (unsigned long long)host->outstanding_kib >> 10,
                           (unsigned long long)(promised_kib + 1023) >> 10);
}

static int check_host(struct ctl *ctl, uint32_t domid, uint64_t more_kib, struct ctl_error *err)
{
    struct ctl_host_info host;
    uint64_t promised_kib, gone;
    int rc;

    if (!more_kib) {
        return 0;
    }
    /* In this order: what a domain takes meanwhile is missing twice, and not counted as free. */
    rc = promised(ctl, domid, &promised_kib, err);
    if (rc == 0) {
        rc = ctl_host_info(ctl, &host, err);
    }
    if (rc < 0) {
        return rc;
    }
    gone = host.outstanding_kib + promised_kib;
    if (host.free_kib < gone || more_kib > host.free_kib - gone) {
        return refuse(ctl, domid, more_kib, &host, promised_kib, err);
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
