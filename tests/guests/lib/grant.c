// SPDX-License-Identifier: BSD-2-Clause
/* Events and grants to oneself: a guest may be both ends, so most attacks need no second domain. */
#include "internal.h"

long evtchn_op(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_event_channel_op, cmd, arg);
}

/* The status of a port that waits for ourselves says who we are. */
domid_t own_domid(void)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_status status = {.dom = DOMID_SELF};
    struct evtchn_close gone;

    REQUIRE(evtchn_op(EVTCHNOP_alloc_unbound, &alloc) == 0);
    status.port = alloc.port;
    REQUIRE(evtchn_op(EVTCHNOP_status, &status) == 0);
    gone.port = alloc.port;
    REQUIRE(evtchn_op(EVTCHNOP_close, &gone) == 0);
    return status.u.unbound.dom;
}

grant_entry_v1_t *grant_entries(void)
{
    static char page[PAGE_SIZE] __attribute__((aligned(4096)));
    xen_pfn_t frame = 0;
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1};

    set_xen_guest_handle(setup.frame_list, &frame);
    REQUIRE(grant_op(GNTTABOP_setup_table, &setup, 1) == 0 && setup.status == GNTST_okay);
    REQUIRE(map_at(page, make_pte(frame, PTE_ALL), UVMF_INVLPG) == 0);
    return (grant_entry_v1_t *)page;
}

long grant_op(unsigned int cmd, void *arg, unsigned int count)
{
    return HYPERCALL3(__HYPERVISOR_grant_table_op, cmd, arg, count);
}

int map_grant(const struct gnttab_map_grant_ref *request, struct gnttab_map_grant_ref *result)
{
    *result = *request;
    REQUIRE(grant_op(GNTTABOP_map_grant_ref, result, 1) == 0);
    return result->status;
}

int unmap_grant(unsigned long host_addr, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = host_addr, .handle = handle};

    REQUIRE(grant_op(GNTTABOP_unmap_grant_ref, &op, 1) == 0);
    return op.status;
}
