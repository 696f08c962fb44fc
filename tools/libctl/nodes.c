// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory nodes (NUMA) of the host, and those that a domain's memory is to come from.
 *
 * Place: the verbs `info -n` and `list -n`. Typed forms of sysctl numainfo and domctl getnodeaffinity. Umbra has one
 * node; other hypervisors may have more.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

/* In locked memory: what the hypervisor fills. */
struct answer {
    xen_sysctl_meminfo_t memory[CTL_NODES_MAX];
    uint32_t distance[CTL_NODES_MAX * CTL_NODES_MAX];
};

static void node_from(struct ctl_node *out, const struct answer *in, uint32_t i, uint32_t n)
{
    bool there = in->memory[i].memsize != XEN_INVALID_MEM_SZ;

    *out = (struct ctl_node){.size_kib = there ? in->memory[i].memsize >> 10 : 0,
                             .free_kib = there ? in->memory[i].memfree >> 10 : 0};
    memcpy(out->distance, in->distance + i * n, n * sizeof(*out->distance));
}

int ctl_host_nodes(struct ctl *ctl, struct ctl_node **nodes, struct ctl_error *err)
{
    struct xen_sysctl sysctl = {.cmd = XEN_SYSCTL_numainfo, .u.numainfo.num_nodes = CTL_NODES_MAX};
    struct answer *answer = ctl_buffer_get(ctl, sizeof(*answer));
    uint32_t n = 0;
    int rc = -ENOMEM;

    *nodes = answer ? calloc(CTL_NODES_MAX, sizeof(**nodes)) : NULL;
    if (*nodes) {
        set_xen_guest_handle(sysctl.u.numainfo.meminfo, answer->memory);
        set_xen_guest_handle(sysctl.u.numainfo.distance, answer->distance);
        rc = ctl_call_sysctl(ctl, &sysctl);
        n = sysctl.u.numainfo.num_nodes;
    }
    for (uint32_t i = 0; rc >= 0 && n <= CTL_NODES_MAX && i < n; i++) {
        node_from(&(*nodes)[i], answer, i, n);
    }
    ctl_buffer_put(ctl, answer);
    if (rc >= 0 && n <= CTL_NODES_MAX) {
        return (int)n;
    }
    free(*nodes);
    *nodes = NULL;
    rc = rc < 0 ? rc : -E2BIG;
    return ctl_error_set(err, rc, "ask for the memory nodes", NULL, ctl_hint(rc), "the hypervisor refused");
}

int ctl_domain_nodes(struct ctl *ctl, uint32_t domid, uint8_t map[CTL_NODES_MAX / 8], struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_getnodeaffinity, .domain = (domid_t)domid};
    uint8_t *buffer = ctl_buffer_get(ctl, CTL_NODES_MAX / 8);
    int rc = -ENOMEM;

    if (buffer) {
        set_xen_guest_handle(domctl.u.nodeaffinity.nodemap.bitmap, buffer);
        domctl.u.nodeaffinity.nodemap.nr_bits = CTL_NODES_MAX;
        rc = ctl_call_domctl(ctl, &domctl);
        memcpy(map, buffer, CTL_NODES_MAX / 8);
    }
    ctl_buffer_put(ctl, buffer);
    return rc < 0 ? ctl_fail_domain(ctl, err, rc, CTL_AT("ask for its memory nodes", domid), "the hypervisor refused")
                  : 0;
}
