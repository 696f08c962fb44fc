/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain under construction: what the builder's files pass to each other. Internal to libctl.
 */
#ifndef CTL_BUILD_H
#define CTL_BUILD_H

#include "libctl/internal.h"
#include "libctl/image.h"

struct ctl_build {
    struct ctl *ctl;
    const struct ctl_domain_config *config;
    struct ctl_error *err;
    struct ctl_image image;
    struct ctl_layout layout;  /* of a PV domain */
    struct ctl_pvh_layout pvh; /* of a PVH domain */
    uint8_t uuid[16];
    uint32_t vcpus, maxvcpus;
    uint64_t maxmem_kib;
    bool hap;          /* PVH: on nested paging */
    uint64_t pool_kib; /* PVH */
    bool created;      /* domid is a domain that must go if the build fails */
    uint32_t domid;
    uint64_t *p2m;                  /* PV: layout.nr_pages machine frames */
    struct ctl_stream *stream;      /* what it is restored from, or NULL */
    const struct ctl_policy *trial; /* of one that is only to be tried, or NULL */
    int store_port, console_port;
    uint64_t store_frame, console_frame; /* as the domain names its frames */
    uint64_t shared_info_frame;
};

/* What follows the domain, its nodes, limits and channels, up to its registers; ends with NULL. */
extern int (*const ctl_build_steps_pv[])(struct ctl_build *b);
extern int (*const ctl_build_steps_pvh[])(struct ctl_build *b);

/* restore.c: memory, processors and rings of a domain from a stream. */
int ctl_build_restore(struct ctl_build *b);

/* build_store.c: the nodes. The first takes the name, atomically: -EEXIST when another domain has it. */
int ctl_build_nodes(struct ctl_build *b);
/* The rings' nodes; then xenstored is told. */
int ctl_build_introduce(struct ctl_build *b);

/* start_info.c: contents of the domain's memory: kernel, rings, tables, start_info, ramdisk. */
int ctl_build_load(struct ctl_build *b);

/* build_grant.c: entries of the grant table for the two rings. */
int ctl_build_grants(struct ctl_build *b);

#endif
