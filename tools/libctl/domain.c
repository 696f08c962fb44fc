// SPDX-License-Identifier: BSD-2-Clause
/*
 * Domains: make, look at, pause, limit, kill.
 *
 * Place: typed forms of the domctl calls on a whole domain. No policy and, names apart, no xenstore.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libctl/internal.h"

/* Domains asked for in one call of the list. */
#define LIST_BATCH 64

static void info_from(struct ctl_domain_info *out, const struct xen_domctl_getdomaininfo *in)
{
    memset(out, 0, sizeof(*out));
    out->domid = in->domain;
    memcpy(out->uuid, in->handle, sizeof(out->uuid));
    out->dying = in->flags & XEN_DOMINF_dying;
    out->hvm = in->flags & XEN_DOMINF_hvm_guest;
    out->hap = in->flags & XEN_DOMINF_hap;
    out->shutdown = in->flags & XEN_DOMINF_shutdown;
    out->paused = in->flags & XEN_DOMINF_paused;
    out->blocked = in->flags & XEN_DOMINF_blocked;
    out->running = in->flags & XEN_DOMINF_running;
    out->debugged = in->flags & XEN_DOMINF_debugged;
    out->shutdown_reason = (in->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
    out->memory_kib = in->tot_pages * 4;
    out->maxmem_kib = in->max_pages > UINT64_MAX / 4 ? UINT64_MAX : in->max_pages * 4;
    out->outstanding_kib = in->outstanding_pages * 4;
    out->shared_kib = in->shr_pages * 4;
    out->paged_kib = in->paged_pages * 4;
    out->cpu_time_ns = in->cpu_time;
    out->vcpus_online = in->nr_online_vcpus;
    out->vcpus_max = in->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : in->max_vcpu_id + 1;
    out->ssidref = in->ssidref;
    out->cpupool = in->cpupool;
    out->shared_info_frame = in->shared_info_frame;
}

static void info_name(struct ctl *ctl, struct ctl_domain_info *info)
{
    char *name = ctl_store_read_domain(ctl, info->domid, "name", NULL);

    if (name) {
        strncpy(info->name, name, sizeof(info->name) - 1);
        free(name);
    }
}

int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_getdomaininfo, .domain = domid};
    int rc = domid > CTL_DOMID_MAX ? -ESRCH : ctl_call_domctl(ctl, &domctl);

    /* The call answers for the next domain when there is none with this id. */
    if (rc == 0 && domctl.u.getdomaininfo.domain != domid) {
        rc = -ESRCH;
    }
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("look at a domain", domid),
                               rc == -ESRCH ? "it does not exist" : "no answer");
    }
    info_from(info, &domctl.u.getdomaininfo);
    info_name(ctl, info);
    return 0;
}

/* One batch of the list, appended to *list. Returns the number got or -errno. */
static int list_batch(struct ctl *ctl, xen_domctl_getdomaininfo_t *buffer, struct ctl_domain_info **list, int have)
{
    struct xen_sysctl sysctl = {.cmd = XEN_SYSCTL_getdomaininfolist};
    struct ctl_domain_info *bigger;
    int rc;

    sysctl.u.getdomaininfolist.first_domain = have ? (*list)[have - 1].domid + 1 : 0;
    sysctl.u.getdomaininfolist.max_domains = LIST_BATCH;
    set_xen_guest_handle(sysctl.u.getdomaininfolist.buffer, buffer);
    rc = ctl_call_sysctl(ctl, &sysctl);
    if (rc < 0) {
        return rc;
    }
    rc = sysctl.u.getdomaininfolist.num_domains;
    if (rc > LIST_BATCH) {
        return -EIO;
    }
    bigger = realloc(*list, (have + rc + 1) * sizeof(**list));
    if (!bigger) {
        return -ENOMEM;
    }
    *list = bigger;
    for (int i = 0; i < rc; i++) {
        info_from(&bigger[have + i], &buffer[i]);
    }
    return rc;
}

int ctl_domain_scan(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err)
{
    xen_domctl_getdomaininfo_t *buffer = ctl_buffer_get(ctl, LIST_BATCH * sizeof(*buffer));
    struct ctl_domain_info *all = NULL;
    int rc = buffer ? LIST_BATCH : -ENOMEM, count = 0;

    while (rc == LIST_BATCH) {
        rc = list_batch(ctl, buffer, &all, count);
        count += rc > 0 ? rc : 0;
    }
    ctl_buffer_put(ctl, buffer);
    if (rc < 0) {
        free(all);
        return ctl_error_set(err, rc, "list the domains", NULL, ctl_hint(rc), "the hypervisor refused");
    }
    *list = all;
    return count;
}

int ctl_domain_list(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *err)
{
    int count = ctl_domain_scan(ctl, list, err);

    for (int i = 0; i < count && ctl_store_handle(ctl, NULL); i++) {
        info_name(ctl, &(*list)[i]);
    }
    return count;
}

int ctl_domain_create(struct ctl *ctl, const struct ctl_domain_create *args, uint32_t *domid, struct ctl_error *err)
{
    /* Domain id 0 asks for the next free one. */
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_createdomain, .domain = (domid_t)args->domid};
    struct xen_domctl_createdomain *create = &domctl.u.createdomain;
    int rc;

    create->ssidref = args->ssidref;
    memcpy(create->handle, args->uuid, sizeof(create->handle));
    create->flags = args->flags;
    create->max_vcpus = args->vcpus;
    create->max_evtchn_port = args->max_event_ports;
    create->max_grant_frames = args->grant_frames;
    create->max_maptrack_frames = args->maptrack_frames;
    create->grant_opts = XEN_DOMCTL_GRANT_version(args->grant_version ? args->grant_version : 2);
    create->cpupool_id = args->cpupool;
    create->arch.emulation_flags = args->emulation;
    rc = ctl_call_domctl(ctl, &domctl);
    if (rc == -EEXIST) {
        return ctl_error_set(err, rc, "create a domain", NULL, "wait until it is gone, or save or move without -D",
                             "domain %u exists, whose number this one is to have", args->domid);
    }
    if (rc < 0) {
        return ctl_error_set(err, rc, "create a domain", NULL, rc == -ERANGE ? "give it fewer vCPUs" : ctl_hint(rc),
                             "the hypervisor refused a domain with %u vCPU%s", args->vcpus,
                             args->vcpus == 1 ? "" : "s");
    }
    *domid = domctl.domain;
    return 0;
}

int ctl_domctl_simple(struct ctl *ctl, uint32_t cmd, uint32_t domid, const char *step, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = cmd, .domain = domid};
    int rc = domid > CTL_DOMID_MAX ? -ESRCH : ctl_call_domctl(ctl, &domctl);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT(step, domid),
                               rc == -ESRCH ? "it does not exist" : "the hypervisor refused");
    }
    return 0;
}

int ctl_domain_pause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    return ctl_domctl_simple(ctl, XEN_DOMCTL_pausedomain, domid, "pause", err);
}

int ctl_domain_unpause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    return ctl_domctl_simple(ctl, XEN_DOMCTL_unpausedomain, domid, "unpause", err);
}

int ctl_domain_resume(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    return ctl_domctl_simple(ctl, XEN_DOMCTL_resumedomain, domid, "resume", err);
}

int ctl_domain_kill(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    const struct timespec breath = {.tv_nsec = 1000000};
    int rc;

    /* Teardown runs in slices: the hypervisor asks to be called again until nothing is left to free. */
    for (;;) {
        rc = ctl_domctl_simple(ctl, XEN_DOMCTL_destroydomain, domid, "destroy", err);
        if (rc != -EAGAIN && rc != -ERESTART) {
            return rc;
        }
        if (rc == -EAGAIN) {
            nanosleep(&breath, NULL);
        }
    }
}

int ctl_domain_set_maxmem(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_max_mem, .domain = domid, .u.max_mem.max_memkb = kib};
    int rc = ctl_call_domctl(ctl, &domctl);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("limit memory", domid), "the hypervisor refused %llu KiB",
                               (unsigned long long)kib);
    }
    return 0;
}

int ctl_domain_set_vcpus(struct ctl *ctl, uint32_t domid, uint32_t vcpus, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_max_vcpus, .domain = domid, .u.max_vcpus.max = vcpus};
    int rc = ctl_call_domctl(ctl, &domctl);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("make vCPUs", domid), "the hypervisor refused %u vCPUs", vcpus);
    }
    return 0;
}

int ctl_domain_set_uuid(struct ctl *ctl, uint32_t domid, const uint8_t uuid[16], struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_setdomainhandle, .domain = domid};
    int rc;

    memcpy(domctl.u.setdomainhandle.handle, uuid, sizeof(domctl.u.setdomainhandle.handle));
    rc = domid > CTL_DOMID_MAX ? -ESRCH : ctl_call_domctl(ctl, &domctl);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("change the uuid", domid), "the hypervisor refused");
    }
    return 0;
}

int ctl_domain_set_shutdown(struct ctl *ctl, uint32_t domid, unsigned reason, struct ctl_error *err)
{
    struct sched_remote_shutdown arg = {.domain_id = domid, .reason = reason};
    int rc = domid > CTL_DOMID_MAX ? -ESRCH : ctl_call_sched(ctl, SCHEDOP_remote_shutdown, &arg, sizeof(arg));

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("shut down from outside", domid),
                               "the hypervisor refused reason %u", reason);
    }
    return 0;
}
