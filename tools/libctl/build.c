// SPDX-License-Identifier: BSD-2-Clause
/*
 * The builder of domains: a list of steps, and one place that undoes them.
 *
 * Flow: check (check.c, then the host) -> domain, nodes, limits, channels -> what the type of guest needs (build_pv.c,
 * build_pvh.c) -> grants and xenstore. The domain stays paused throughout. Invariants: nothing is made before all
 * checks have passed; the name is taken in xenstore before memory is; whatever fails, destroying the domain and its
 * nodes undoes everything, so no step has an undo of its own. Does not: start the domain, bring up its other vCPUs (the
 * kernel does), attach devices.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/build.h"

/* What the hypervisor keeps for a domain besides its memory, as an estimate for the check before the build. */
#define OVERHEAD_KIB      1024
#define OVERHEAD_VCPU_KIB 64
/* Event channels: xl's number, and room for those that each vCPU of a large domain takes. */
#define EVENT_PORTS      1023
#define EVENT_PORTS_VCPU 8

static int check_taken(struct ctl_build *b)
{
    struct ctl_domain_info *list;
    int count = b->config->name_taken ? ctl_domain_scan(b->ctl, &list, b->err) : ctl_domain_list(b->ctl, &list, b->err);
    int rc = 0;

    for (int i = 0; i < count && rc == 0; i++) {
        if (list[i].dying) {
            continue; /* what someone still holds of a guest that is gone must not stop its restart */
        }
        if (strcmp(list[i].name, b->config->name) == 0) {
            rc = ctl_error_set(b->err, -EEXIST, "check the name", b->config->name,
                               "choose another name, or destroy that domain first", "domain %u has that name",
                               list[i].domid);
            ctl_error_field(b->err, "name");
        } else if (memcmp(list[i].uuid, b->uuid, sizeof(b->uuid)) == 0) {
            rc = ctl_error_set(b->err, -EEXIST, "check the uuid", b->config->name,
                               "leave the uuid out, so that a new one is made", "domain %u has the same uuid",
                               list[i].domid);
            ctl_error_field(b->err, "uuid");
        }
    }
    if (count >= 0) {
        free(list);
    }
    return count < 0 ? count : rc;
}

/* Nested paging if it may be and can be, else shadows, which every host with hardware virtualisation has. */
static int check_paging(struct ctl_build *b, const struct ctl_host_info *host)
{
    bool hap = host->capabilities & XEN_SYSCTL_PHYSCAP_hap, shadow = host->capabilities & XEN_SYSCTL_PHYSCAP_shadow;
    enum ctl_hap want = b->config->hap;
    int rc = 0;

    b->hap = want == CTL_HAP_ON || (want == CTL_HAP_AUTO && hap);
    if (!(host->capabilities & XEN_SYSCTL_PHYSCAP_hvm)) {
        rc = ctl_error_set(b->err, -EOPNOTSUPP, "check the type of guest", b->config->name,
                           "use type \"pv\", or turn on SVM in the machine's firmware",
                           "the host has no hardware virtualisation that the hypervisor can use");
        ctl_error_field(b->err, "type");
    } else if (b->hap ? !hap : !shadow) {
        rc = ctl_error_set(b->err, -EOPNOTSUPP, "check the paging mode", b->config->name,
                           b->hap ? "set hap to false, or leave it out" : "set hap to true, or leave it out",
                           "the hypervisor has no %s", b->hap ? "nested paging" : "shadow paging");
        ctl_error_field(b->err, "hap");
    }
    return rc;
}

/* That it may have when it comes: one that was asked to give some back need not have done so. */
static uint64_t most_memory(const struct ctl_domain_config *config)
{
    return config->target_kib > config->memory_kib ? config->target_kib : config->memory_kib;
}

static int check_memory(struct ctl_build *b, const struct ctl_host_info *host)
{
    uint64_t overhead = OVERHEAD_KIB + (uint64_t)OVERHEAD_VCPU_KIB * b->maxvcpus + b->pool_kib;
    uint64_t need = most_memory(b->config) + overhead;
    uint64_t have = host->free_kib > host->outstanding_kib ? host->free_kib - host->outstanding_kib : 0;

    if (need > have) {
        ctl_error_set(b->err, -ENOMEM, "check the host's memory", b->config->name,
                      "give the domain less, shut a domain down, or start the host with a smaller dom0_mem",
                      "need %llu MiB, overhead of %llu MiB (shadow memory %llu MiB) included; free %llu MiB, "
                      "claimed of them %llu MiB",
                      (unsigned long long)(need + 1023) >> 10, (unsigned long long)(overhead + 1023) >> 10,
                      (unsigned long long)b->pool_kib >> 10, (unsigned long long)host->free_kib >> 10,
                      (unsigned long long)host->outstanding_kib >> 10);
        ctl_error_field(b->err, "memory");
        return -ENOMEM;
    }
    return 0;
}

static int check_host(struct ctl_build *b)
{
    struct ctl_host_info host;
    int rc = ctl_host_info(b->ctl, &host, b->err);

    if (rc == 0 && b->config->type == CTL_PVH) {
        rc = check_paging(b, &host);
    }
    return rc == 0 ? check_memory(b, &host) : rc;
}

static int step_create(struct ctl_build *b)
{
    struct ctl_domain_create args = {
        .domid = b->config->domid,
        .vcpus = b->maxvcpus,
        .max_event_ports = EVENT_PORTS + EVENT_PORTS_VCPU * (b->maxvcpus - 1),
        .grant_frames = -1,
        .maptrack_frames = -1,
        .grant_version = b->config->grant_version,
    };
    int rc;

    if (b->config->type == CTL_PVH) {
        args.flags = XEN_DOMCTL_CDF_hvm | (b->hap ? XEN_DOMCTL_CDF_hap : 0);
        args.emulation = XEN_X86_EMU_LAPIC;
    }
    memcpy(args.uuid, b->uuid, sizeof(args.uuid));
    rc = ctl_domain_create(b->ctl, &args, &b->domid, b->err);
    b->created = rc == 0;
    return rc;
}

/* An entry of the memory map that guests ask for, in the format of the BIOS call E820. */
struct e820_entry {
    uint64_t start, size;
    uint32_t type;
} __attribute__((packed));

/* Of a PV guest one range up to maxmem, without which it would fall back to its reservation. Returns the entries. */
static unsigned fill_memory_map(const struct ctl_build *b, struct e820_entry *e)
{
    const struct ctl_pvh_layout *l = &b->pvh;

    if (b->config->type == CTL_PV) {
        e[0] = (struct e820_entry){.size = b->maxmem_kib << 10, .type = 1};
        return 1;
    }
    for (unsigned i = 0; i < l->nr_map; i++) {
        e[i] = (struct e820_entry){l->map[i].addr, l->map[i].size, l->map[i].type};
    }
    return l->nr_map;
}

static int set_memory_map(struct ctl_build *b)
{
    struct e820_entry *entries = ctl_buffer_get(b->ctl, CTL_ARRAY(b->pvh.map) * sizeof(*entries));
    struct xen_foreign_memory_map map = {.domid = b->domid};
    long rc = -ENOMEM;

    if (entries) {
        map.map.nr_entries = fill_memory_map(b, entries);
        set_xen_guest_handle(map.map.buffer, (void *)entries);
        rc = ctl_call_memory(b->ctl, XENMEM_set_memory_map, &map, sizeof(map));
    }
    ctl_buffer_put(b->ctl, entries);
    if (rc < 0 && rc != -ENOSYS && rc != -EOPNOTSUPP) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("set the memory map", b->domid), "the hypervisor refused");
    }
    return 0;
}

/*
 * No more memory than the guest is given: what is between that and maxmem is mem-set's to grant, when the host has it.
 * A restored one may come with more: restore_limit() sees to it when it is there.
 */
static int step_limits(struct ctl_build *b)
{
    uint64_t kib = b->stream ? b->maxmem_kib : most_memory(b->config);
    int rc = ctl_domain_set_vcpus(b->ctl, b->domid, b->maxvcpus, b->err);

    if (rc == 0) {
        rc = ctl_domain_set_maxmem(b->ctl, b->domid, kib + CTL_MEMORY_SLACK_KIB, b->err);
    }
    return rc == 0 ? set_memory_map(b) : rc;
}

static int step_channels(struct ctl_build *b)
{
    b->store_port = ctl_evtchn_alloc(b->ctl, b->domid, 0, b->err);
    if (b->store_port < 0) {
        return b->store_port;
    }
    b->console_port = ctl_evtchn_alloc(b->ctl, b->domid, 0, b->err);
    return b->console_port < 0 ? b->console_port : 0;
}

/* One that is held back stays pending even if the program ignores it. */
static bool ignored(int sig)
{
    struct sigaction action;

    return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Was the program told to end? Signals are held back during a build, so that none can leave half a domain behind. */
static bool interrupted(const sigset_t *held)
{
    sigset_t pending;

    if (sigpending(&pending) < 0) {
        return false;
    }
    for (int sig = 1; sig < NSIG; sig++) {
        if (sigismember(held, sig) == 1 && sigismember(&pending, sig) == 1 && !ignored(sig)) {
            return true;
        }
    }
    return false;
}

/* In this order; the first to fail ends the build. */
static int (*const first_steps[])(struct ctl_build *) = {
    check_taken, check_host, step_create, ctl_build_nodes, step_limits, step_channels, NULL,
};
static int (*const last_steps[])(struct ctl_build *) = {ctl_build_grants, ctl_build_introduce, NULL};

static int take_steps(struct ctl_build *b, const sigset_t *held, int (*const *step)(struct ctl_build *))
{
    int rc = 0;

    for (; *step && rc == 0; step++) {
        rc = interrupted(held) ? ctl_error_set(b->err, -EINTR, "build a domain", b->config->name, NULL, "interrupted")
                               : (*step)(b);
    }
    return rc;
}

/* When its memory is there: the limit goes with the target, as ctl_memory_set_target() has it. */
static int restore_limit(struct ctl_build *b)
{
    uint64_t kib = b->config->target_kib;

    return kib ? ctl_domain_set_maxmem(b->ctl, b->domid, kib + CTL_MEMORY_SLACK_KIB, b->err)
               : ctl_memory_keep(b->ctl, b->domid, b->config->memory_kib, b->maxmem_kib, b->err);
}

/* What a PVH guest has for its tables and rings is besides its memory. */
static uint64_t most_pages(const struct ctl_build *b)
{
    uint64_t special = b->config->type == CTL_PVH ? (CTL_SPECIAL_END - CTL_ACPI) >> CTL_PAGE_SHIFT : 0;

    return (most_memory(b->config) >> 2) + special;
}

/*
 * The guest's memory comes record by record, for minutes if the other host sends it: what is set aside meanwhile nobody
 * else is given, and a host that has too little says so before the first page. A guest may need less than that, so what
 * is left is given up at the end, whatever the end is.
 */
static int step_restore(struct ctl_build *b)
{
    int rc = ctl_memory_claim(b->ctl, b->domid, most_pages(b), b->err), left;

    if (rc < 0) {
        return rc;
    }
    rc = ctl_build_restore(b);
    left = ctl_memory_claim(b->ctl, b->domid, 0, rc < 0 ? NULL : b->err);
    return rc < 0 ? rc : left;
}

static int (*const restore_steps[])(struct ctl_build *) = {step_restore, restore_limit, NULL};

static int trial_policy(struct ctl_build *b)
{
    return ctl_policy_set(b->ctl, b->domid, b->trial, b->err);
}

static int trial_memory(struct ctl_build *b)
{
    int rc = b->pool_kib ? ctl_domain_set_pool(b->ctl, b->domid, b->pool_kib, b->err) : 0;

    return rc == 0 ? ctl_memory_claim(b->ctl, b->domid, most_memory(b->config) >> 2, b->err) : rc;
}

static int (*const trial_steps[])(struct ctl_build *) = {trial_policy, trial_memory, NULL};

static int (*const *type_steps(const struct ctl_build *b))(struct ctl_build *)
{
    if (b->stream || b->trial) {
        return b->stream ? restore_steps : trial_steps;
    }
    return b->config->type == CTL_PVH ? ctl_build_steps_pvh : ctl_build_steps_pv;
}

static int run_steps(struct ctl_build *b)
{
    sigset_t held, before;
    int rc;

    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before);
    rc = take_steps(b, &held, first_steps);
    if (rc == 0) {
        rc = take_steps(b, &held, type_steps(b));
    }
    if (rc == 0 && !b->trial) {
        rc = take_steps(b, &held, last_steps);
    }
    /* The one unwinding place: the domain holds all that was made. */
    if ((rc < 0 || b->trial) && b->created) {
        ctl_domain_destroy(b->ctl, b->domid, NULL);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int fill_defaults(struct ctl_build *b)
{
    static const uint8_t zero[16];
    const struct ctl_domain_config *config = b->config;

    b->vcpus = config->vcpus ? config->vcpus : 1;
    b->maxvcpus = config->maxvcpus ? config->maxvcpus : b->vcpus;
    b->maxmem_kib = config->maxmem_kib ? config->maxmem_kib : config->memory_kib;
    if (config->type == CTL_PVH) {
        b->pool_kib = config->shadow_kib ? config->shadow_kib : ctl_shadow_default_kib(b->maxmem_kib, b->maxvcpus);
    }
    memcpy(b->uuid, config->uuid, sizeof(b->uuid));
    if (memcmp(b->uuid, zero, sizeof(zero)) == 0 && ctl_uuid_random(b->uuid) < 0) {
        return ctl_error_set(b->err, -EIO, "make a uuid", config->name, NULL, "the kernel gave no random numbers");
    }
    return 0;
}

int ctl_build_domain(struct ctl *ctl, const struct ctl_domain_config *config, uint32_t *domid, struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct ctl_build b = {.ctl = ctl, .config = config, .err = err ? err : &own};
    int rc = ctl_check_load(config, &b.image, &b.layout, &b.pvh, b.err, 1) ? b.err->code : fill_defaults(&b);

    if (rc == 0) {
        rc = run_steps(&b);
    }
    ctl_image_free(&b.image);
    free(b.p2m);
    if (rc == 0) {
        *domid = b.domid;
    }
    return rc;
}

int ctl_restore_domain(struct ctl *ctl, const struct ctl_domain_config *config, struct ctl_stream *stream,
                       uint32_t *domid, struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct ctl_build b = {.ctl = ctl, .config = config, .stream = stream, .err = err ? err : &own};
    int rc;

    ctl_pvh_map(&b.pvh, config->memory_kib << 10);
    rc = fill_defaults(&b);
    if (rc == 0) {
        rc = run_steps(&b);
    }
    if (rc == 0) {
        *domid = b.domid;
    }
    return rc;
}

int ctl_build_trial(struct ctl *ctl, const struct ctl_domain_config *config, const struct ctl_policy *policy,
                    struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct ctl_build b = {.ctl = ctl, .config = config, .trial = policy, .err = err ? err : &own};
    int rc;

    ctl_pvh_map(&b.pvh, config->memory_kib << 10);
    rc = fill_defaults(&b);
    return rc == 0 ? run_steps(&b) : rc;
}
