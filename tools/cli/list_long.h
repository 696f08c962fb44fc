/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain in the form in which xl's `list -l` prints it: {"domid", "config"}, where config is libxl's structure.
 */
#ifndef CLI_LIST_LONG_H
#define CLI_LIST_LONG_H

#include "cli/json.h"
#include "libctl/ctl.h"

#define LIST_NO_DOMID UINT32_MAX

/* What the configuration does not say. */
struct list_facts {
    const struct ctl_sched *sched; /* NULL: not known */
    uint32_t domid;                /* the number that it asks for when it is restored, or LIST_NO_DOMID */
    unsigned cpus;                 /* of the host: what "all" is in "cpus" */
    uint64_t target_kib;           /* the memory that it was asked to have last; 0: as configured */
    uint32_t vcpus;                /* that were asked to be online; 0: as configured */
};

unsigned list_host_cpus(struct ctl *ctl);
/* config: the guest's configuration as umbra keeps it; NULL if another tool made it. */
void list_long(const struct ctl_domain_info *info, const struct json_value *config, const struct list_facts *facts,
               struct json_out *o);
/* The members of "config" alone. */
void list_config(const struct ctl_domain_info *info, const struct json_value *config, const struct list_facts *facts,
                 struct json_out *o);

/* What libxl's structure says is done when the guest stops, in the words of a configuration; what it leaves out is
 * "destroy". */
void actions_of_libxl(struct json_out *o, const struct json_value *libxl);

#endif
