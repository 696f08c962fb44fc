// SPDX-License-Identifier: BSD-2-Clause
/*
 * A suspended PVH guest: how far its memory goes, and what follows it in the stream: parameters, then the hypervisor's
 * record of its processors, which is taken as it is.
 *
 * Its frames keep their numbers wherever it goes, so nothing that it has in memory or registers is changed.
 */
#include "libctl/save.h"

/* Numbers of guest frames are asked about one by one. */
int ctl_save_hvm_open(struct ctl_save *v)
{
    domid_t domid = (domid_t)v->info.domid;
    long last = ctl_call_memory(v->ctl, XENMEM_maximum_gpfn, &domid, sizeof(domid));
    int code = last < 0 ? (int)last : -EINVAL;

    if (last >= 0 && (uint64_t)last < hvm_pfns(ctl_memory_most_kib(v->ctl, &v->info))) {
        v->nr_pfns = (uint64_t)last + 1;
        return 0;
    }
    return ctl_fail_domain(v->ctl, v->err, code, CTL_AT("read the guest's memory map", v->info.domid),
                           last < 0 ? "the hypervisor refused: %ld" : "guest frame 0x%lx is too far from the others",
                           last);
}

/* Those that are 0 are not written: that is what they are at first. */
static int save_params(struct ctl_save *v)
{
    static const uint32_t index[] = {
        HVM_PARAM_STORE_PFN,   HVM_PARAM_PAGING_RING_PFN, HVM_PARAM_MONITOR_RING_PFN,      HVM_PARAM_SHARING_RING_PFN,
        HVM_PARAM_CONSOLE_PFN, HVM_PARAM_IDENT_PT,        HVM_PARAM_VM_GENERATION_ID_ADDR,
    };
    struct hvm_param list[CTL_ARRAY(index)];
    struct params_header h = {0};
    int rc = 0;

    for (size_t i = 0; i < CTL_ARRAY(index) && rc == 0; i++) {
        list[h.count].index = index[i];
        rc = ctl_domain_get_param(v->ctl, v->info.domid, index[i], &list[h.count].value, v->err);
        h.count += rc == 0 && list[h.count].value;
    }
    if (rc < 0 || h.count == 0) {
        return rc;
    }
    return ctl_record_write(v->s, REC_HVM_PARAMS, (struct ctl_piece){&h, sizeof(h)},
                            (struct ctl_piece){list, h.count * sizeof(list[0])});
}

int ctl_save_hvm_state(struct ctl_save *v)
{
    uint32_t size = 0;
    void *context = NULL;
    int rc = save_params(v);

    if (rc == 0) {
        context = ctl_hvm_context_get(v->ctl, v->info.domid, &size, v->err);
        rc = context ? ctl_save_put(v, REC_HVM_CONTEXT, context, size) : v->err->code;
    }
    ctl_buffer_put(v->ctl, context);
    return rc;
}
