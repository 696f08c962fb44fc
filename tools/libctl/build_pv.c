// SPDX-License-Identifier: BSD-2-Clause
/*
 * The builder of PV domains: a list of steps, and one place that undoes them.
 *
 * Flow: check (check.c) -> domain and nodes -> memory -> contents (start_info.c) -> hypercall page, shared info, page
 * tables pinned, registers of vCPU 0 -> grants and xenstore. The domain stays paused throughout. Invariants: nothing is
 * made before all checks have passed; the name is taken in xenstore before memory is; whatever fails, destroying the
 * domain and its nodes undoes everything, so no step has an undo of its own. Does not: start the domain, bring up its
 * other vCPUs (the kernel does), attach devices.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/build.h"

/* What the hypervisor keeps for a domain besides its memory, as an estimate for the check before the build. */
#define OVERHEAD_KIB      1024
#define OVERHEAD_VCPU_KIB 64
/* Room for frames that a running domain needs beyond its configured memory, as xl leaves it. */
#define MAXMEM_SLACK_KIB 1024
/* Event channels: xl's number, and room for those that each vCPU of a large domain takes. */
#define EVENT_PORTS      1023
#define EVENT_PORTS_VCPU 8
#define SUPERPAGE_ORDER  9

static int check_taken(struct ctl_build *b)
{
    struct ctl_domain_info *list;
    int count = ctl_domain_list(b->ctl, &list, b->err), rc = 0;

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

static int check_memory(struct ctl_build *b)
{
    uint64_t need = b->config->memory_kib + OVERHEAD_KIB + (uint64_t)OVERHEAD_VCPU_KIB * b->maxvcpus;
    struct ctl_host_info host;
    uint64_t have;
    int rc = ctl_host_info(b->ctl, &host, b->err);

    if (rc < 0) {
        return rc;
    }
    have = host.free_kib > host.outstanding_kib ? host.free_kib - host.outstanding_kib : 0;
    if (need > have) {
        ctl_error_set(b->err, -ENOMEM, "check the host's memory", b->config->name,
                      "give the domain less, shut a domain down, or start the host with a smaller dom0_mem",
                      "the domain needs %llu MiB with overhead; %llu MiB are free, %llu MiB of them claimed",
                      (unsigned long long)(need + 1023) >> 10, (unsigned long long)host.free_kib >> 10,
                      (unsigned long long)host.outstanding_kib >> 10);
        ctl_error_field(b->err, "memory");
        return -ENOMEM;
    }
    return 0;
}

static int step_create(struct ctl_build *b)
{
    struct ctl_domain_create args = {
        .vcpus = b->maxvcpus,
        .max_event_ports = EVENT_PORTS + EVENT_PORTS_VCPU * (b->maxvcpus - 1),
        .grant_frames = -1,
        .maptrack_frames = -1,
        .grant_version = b->config->grant_version,
    };
    int rc;

    memcpy(args.uuid, b->uuid, sizeof(args.uuid));
    rc = ctl_domain_create(b->ctl, &args, &b->domid, b->err);
    b->created = rc == 0;
    return rc;
}

/* The memory map that the guest asks for: one range up to maxmem. Guests fall back to their reservation without it. */
static int set_memory_map(struct ctl_build *b)
{
    struct {
        uint64_t start, size;
        uint32_t type;
    } __attribute__((packed)) *entry = ctl_buffer_get(b->ctl, sizeof(*entry));
    struct xen_foreign_memory_map map = {.domid = b->domid, .map.nr_entries = 1};
    long rc = -ENOMEM;

    if (entry) {
        entry->size = b->maxmem_kib << 10;
        entry->type = 1;
        set_xen_guest_handle(map.map.buffer, (void *)entry);
        rc = ctl_call_memory(b->ctl, XENMEM_set_memory_map, &map, sizeof(map));
    }
    ctl_buffer_put(b->ctl, entry);
    if (rc < 0 && rc != -ENOSYS && rc != -EOPNOTSUPP) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("set the memory map", b->domid), "the hypervisor refused");
    }
    return 0;
}

static int step_limits(struct ctl_build *b)
{
    int rc = ctl_domain_set_vcpus(b->ctl, b->domid, b->maxvcpus, b->err);

    if (rc == 0) {
        rc = ctl_domain_set_maxmem(b->ctl, b->domid, b->maxmem_kib + MAXMEM_SLACK_KIB, b->err);
    }
    return rc == 0 ? set_memory_map(b) : rc;
}

/* As much as possible in 2 MiB extents. Returns pages populated or -errno. */
static long populate_large(struct ctl_build *b)
{
    size_t count = b->layout.nr_pages >> SUPERPAGE_ORDER;
    uint64_t *frames = malloc((count ? count : 1) * sizeof(*frames));
    long done;

    if (!frames) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        frames[i] = (uint64_t)i << SUPERPAGE_ORDER;
    }
    done = ctl_memory_populate(b->ctl, b->domid, SUPERPAGE_ORDER, frames, count, NULL);
    for (long i = 0; i < done; i++) {
        for (uint64_t j = 0; j < 1u << SUPERPAGE_ORDER; j++) {
            b->p2m[((uint64_t)i << SUPERPAGE_ORDER) + j] = frames[i] + j;
        }
    }
    free(frames);
    return done < 0 ? 0 : done << SUPERPAGE_ORDER;
}

static int step_memory(struct ctl_build *b)
{
    uint64_t pages = b->layout.nr_pages, done;
    long rc;

    b->p2m = malloc(pages * sizeof(*b->p2m));
    if (!b->p2m) {
        return ctl_error_set(b->err, -ENOMEM, "populate memory", b->config->name, NULL,
                             "no memory for the list of frames");
    }
    rc = ctl_memory_claim(b->ctl, b->domid, pages, b->err);
    if (rc < 0) {
        return rc;
    }
    done = populate_large(b);
    for (uint64_t pfn = done; pfn < pages; pfn++) {
        b->p2m[pfn] = pfn;
    }
    rc = ctl_memory_populate(b->ctl, b->domid, 0, b->p2m + done, pages - done, b->err);
    if (rc < 0) {
        return rc;
    }
    if (done + rc < pages) {
        return ctl_fail_domain(b->ctl, b->err, -ENOMEM, CTL_AT("populate memory", b->domid),
                               "the host's memory ran out at %llu of %llu MiB", (unsigned long long)(done + rc) / 256,
                               (unsigned long long)pages / 256);
    }
    return 0;
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

/* Events stay masked until the kernel is ready for them. */
static int step_shared_info(struct ctl_build *b)
{
    struct ctl_domain_info info;
    struct shared_info *shared;
    int rc = ctl_domain_info(b->ctl, b->domid, &info, b->err);

    if (rc < 0) {
        return rc;
    }
    b->shared_info_frame = info.shared_info_frame;
    shared = ctl_foreign_map(b->ctl, b->domid, PROT_READ | PROT_WRITE, &b->shared_info_frame, 1, b->err);
    if (!shared) {
        return b->err->code;
    }
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) {
        shared->vcpu_info[i].evtchn_upcall_mask = 1;
    }
    ctl_foreign_unmap(b->ctl, shared, 1);
    return 0;
}

/* Newer kernels make their hypercalls without the page and name none. */
static int step_hypercall_page(struct ctl_build *b)
{
    const struct ctl_notes *notes = &b->image.notes;
    uint64_t pfn = (notes->hypercall_page - notes->virt_base) >> CTL_PAGE_SHIFT;
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_hypercall_init, .domain = b->domid};
    int rc;

    if (!notes->has_hypercall_page) {
        return 0;
    }
    domctl.u.hypercall_init.gmfn = b->p2m[pfn];
    rc = ctl_call_domctl(b->ctl, &domctl);
    if (rc < 0) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("fill the hypercall page", b->domid),
                               "the hypervisor refused");
    }
    return 0;
}

static int step_pin(struct ctl_build *b)
{
    int rc = ctl_call_pin_l4(b->ctl, b->domid, b->p2m[b->layout.l4_pfn]);

    if (rc < 0) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("pin the page tables", b->domid),
                               "the hypervisor did not accept the first page tables");
    }
    return 0;
}

static int step_registers(struct ctl_build *b)
{
    const struct ctl_layout *l = &b->layout;
    struct vcpu_guest_context *state = calloc(1, sizeof(*state));
    int rc;

    if (!state) {
        return ctl_error_set(b->err, -ENOMEM, "set registers", b->config->name, NULL, "out of memory");
    }
    state->flags = VGCF_in_kernel | VGCF_online;
    state->user_regs.rip = b->image.notes.entry;
    state->user_regs.rsp = ctl_layout_virt(l, l->stack_pfn + 1);
    state->user_regs.rsi = ctl_layout_virt(l, l->start_info_pfn);
    state->user_regs.rflags = 1 << 9; /* events are masked by shared_info, not by IF */
    state->user_regs.cs = FLAT_KERNEL_CS;
    state->user_regs.ss = FLAT_KERNEL_SS;
    state->kernel_ss = state->user_regs.ss;
    state->kernel_sp = state->user_regs.rsp;
    state->ctrlreg[3] = xen_pfn_to_cr3(b->p2m[l->l4_pfn]);
    rc = ctl_vcpu_set_context(b->ctl, b->domid, 0, state, b->err);
    free(state);
    return rc;
}

/* In this order; the first to fail ends the build. */
static int (*const steps[])(struct ctl_build *) = {
    check_taken, check_memory,   step_create,      ctl_build_nodes,     step_limits,
    step_memory, step_channels,  step_shared_info, ctl_build_load,      step_hypercall_page,
    step_pin,    step_registers, ctl_build_grants, ctl_build_introduce,
};

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

static int run_steps(struct ctl_build *b)
{
    sigset_t held, before;
    int rc = 0;

    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before);
    for (size_t i = 0; i < CTL_ARRAY(steps) && rc == 0; i++) {
        rc = interrupted(&held) ? ctl_error_set(b->err, -EINTR, "build a domain", b->config->name, NULL, "interrupted")
                                : steps[i](b);
    }
    /* The one unwinding place: the domain holds all that was made. */
    if (rc < 0 && b->created) {
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
    memcpy(b->uuid, config->uuid, sizeof(b->uuid));
    if (memcmp(b->uuid, zero, sizeof(zero)) == 0 && ctl_uuid_random(b->uuid) < 0) {
        return ctl_error_set(b->err, -EIO, "make a uuid", config->name, NULL, "the kernel gave no random numbers");
    }
    return 0;
}

int ctl_build_pv(struct ctl *ctl, const struct ctl_domain_config *config, uint32_t *domid, struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct ctl_build b = {.ctl = ctl, .config = config, .err = err ? err : &own};
    int rc = ctl_check_load(config, &b.image, &b.layout, b.err, 1) ? b.err->code : fill_defaults(&b);

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
