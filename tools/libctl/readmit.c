// SPDX-License-Identifier: BSD-2-Clause
/*
 * Domains that outlive their xenstored: what has to be known to make their nodes anew, and making them.
 *
 * Place: beside the builder, whose nodes these are. A xenstored that was started again knows no domain. The domain runs
 * on meanwhile, its ring and its channel are what they were; what it and the back ends have written is lost, as are
 * their watches, which nobody but they themselves can set again.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/build.h"

/* A node that only the control domain writes. */
static int number_of(struct ctl *ctl, uint32_t domid, const char *node, uint64_t *value, struct ctl_error *err)
{
    char *text = ctl_store_read_domain(ctl, domid, node, err);

    if (!text) {
        return err && err->code ? err->code : -ENOENT;
    }
    *value = strtoull(text, NULL, 10);
    free(text);
    return 0;
}

int ctl_domain_rings(struct ctl *ctl, uint32_t domid, struct ctl_rings *rings, struct ctl_error *err)
{
    const struct {
        const char *node;
        uint64_t *value;
    } parts[] = {{"store/port", &rings->store_port},
                 {"store/ring-ref", &rings->store_frame},
                 {"console/port", &rings->console_port},
                 {"console/ring-ref", &rings->console_frame}};
    struct ctl_error own = {0};
    int rc = 0;

    err = err ? err : &own;
    for (size_t i = 0; i < CTL_ARRAY(parts) && rc == 0; i++) {
        rc = number_of(ctl, domid, parts[i].node, parts[i].value, err);
    }
    return rc;
}

int ctl_domain_readmit(struct ctl *ctl, uint32_t domid, const struct ctl_domain_config *config,
                       const struct ctl_rings *rings, struct ctl_error *err)
{
    struct ctl_build b = {
        .ctl = ctl,
        .config = config,
        .err = err,
        .domid = domid,
        .vcpus = config->vcpus ? config->vcpus : 1,
        .maxvcpus = config->maxvcpus ? config->maxvcpus : config->vcpus,
        .maxmem_kib = config->maxmem_kib ? config->maxmem_kib : config->memory_kib,
        .store_port = (int)rings->store_port,
        .store_frame = rings->store_frame,
        .console_port = (int)rings->console_port,
        .console_frame = rings->console_frame,
    };
    int rc;

    memcpy(b.uuid, config->uuid, sizeof(b.uuid));
    rc = ctl_build_nodes(&b);
    return rc < 0 ? rc : ctl_build_introduce(&b);
}
