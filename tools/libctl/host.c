// SPDX-License-Identifier: BSD-2-Clause
/*
 * The host: what it has, what it runs, its log, its debug keys.
 *
 * Place: the verbs info, dmesg, debug-keys. Typed forms of sysctl and xen_version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

/* Most that is read of the hypervisor's log. */
#define LOG_MAX (16u << 20)

static void physinfo_from(struct ctl_host_info *info, const struct xen_sysctl_physinfo *phys)
{
    info->threads_per_core = phys->threads_per_core;
    info->cores_per_socket = phys->cores_per_socket;
    info->nr_cpus = phys->nr_cpus;
    info->max_cpu_id = phys->max_cpu_id;
    info->nr_nodes = phys->nr_nodes;
    info->cpu_khz = phys->cpu_khz;
    info->capabilities = phys->capabilities;
    memcpy(info->hw_caps, phys->hw_cap, sizeof(info->hw_caps));
    info->total_kib = phys->total_pages * 4;
    info->free_kib = phys->free_pages * 4;
    info->scrub_kib = phys->scrub_pages * 4;
    info->outstanding_kib = phys->outstanding_pages * 4;
}

/* Texts of the version call: each is terminated by force; one that the hypervisor withholds stays empty. */
static void version_text(struct ctl *ctl, unsigned op, char *text, size_t size)
{
    char buffer[1024];

    memset(buffer, 0, sizeof(buffer));
    if (ctl_call_version(ctl, op, buffer, sizeof(buffer)) >= 0) {
        buffer[sizeof(buffer) - 1] = 0;
        snprintf(text, size, "%s", buffer);
    }
}

static void compile_info(struct ctl *ctl, struct ctl_host_info *info)
{
    xen_compile_info_t compile;

    memset(&compile, 0, sizeof(compile));
    if (ctl_call_version(ctl, XENVER_compile_info, &compile, sizeof(compile)) < 0) {
        return;
    }
    snprintf(info->compiler, sizeof(info->compiler), "%.*s", (int)sizeof(compile.compiler) - 1, compile.compiler);
    snprintf(info->compile_by, sizeof(info->compile_by), "%.*s", (int)sizeof(compile.compile_by) - 1,
             compile.compile_by);
    snprintf(info->compile_domain, sizeof(info->compile_domain), "%.*s", (int)sizeof(compile.compile_domain) - 1,
             compile.compile_domain);
    snprintf(info->compile_date, sizeof(info->compile_date), "%.*s", (int)sizeof(compile.compile_date) - 1,
             compile.compile_date);
}

static void build_id(struct ctl *ctl, struct ctl_host_info *info)
{
    union {
        xen_build_id_t id;
        unsigned char space[64];
    } u;
    int length;

    memset(&u, 0, sizeof(u));
    u.id.len = sizeof(u) - sizeof(u.id);
    length = ctl_call_version(ctl, XENVER_build_id, &u, sizeof(u));
    for (int i = 0; i < length && i < 31 && i < (int)u.id.len; i++) {
        snprintf(info->build_id + 2 * i, 3, "%02x", u.space[sizeof(u.id) + i]);
    }
}

static void version_from(struct ctl *ctl, struct ctl_host_info *info)
{
    xen_platform_parameters_t platform = {0};
    int version = ctl_call_version(ctl, XENVER_version, NULL, 0);

    info->major = version < 0 ? 0 : version >> 16;
    info->minor = version < 0 ? 0 : version & 0xffff;
    version_text(ctl, XENVER_extraversion, info->extra, sizeof(info->extra));
    version_text(ctl, XENVER_capabilities, info->caps, sizeof(info->caps));
    version_text(ctl, XENVER_changeset, info->changeset, sizeof(info->changeset));
    version_text(ctl, XENVER_commandline, info->command_line, sizeof(info->command_line));
    compile_info(ctl, info);
    build_id(ctl, info);
    if (ctl_call_version(ctl, XENVER_platform_parameters, &platform, sizeof(platform)) >= 0) {
        info->virt_start = platform.virt_start;
    }
    version = ctl_call_version(ctl, XENVER_pagesize, NULL, 0);
    info->page_size = version < 0 ? 4096 : version;
}

/* Any other hypervisor does not know the call. */
static void umbra_from(struct ctl *ctl, struct ctl_host_info *info)
{
    struct umbra_op op = {.cmd = UMBRA_OP_build_info};

    info->is_umbra = ctl_call_umbra(ctl, &op) >= 0;
    info->debug_build = info->is_umbra && (op.u.build_info.flags & UMBRA_BUILD_debug);
}

int ctl_host_info(struct ctl *ctl, struct ctl_host_info *info, struct ctl_error *err)
{
    struct xen_sysctl sysctl = {.cmd = XEN_SYSCTL_physinfo};
    int rc = ctl_call_sysctl(ctl, &sysctl);

    memset(info, 0, sizeof(*info));
    if (rc < 0) {
        return ctl_error_set(err, rc, "ask for the host's resources", NULL, ctl_hint(rc), "the hypervisor refused");
    }
    physinfo_from(info, &sysctl.u.physinfo);
    memset(&sysctl, 0, sizeof(sysctl));
    sysctl.cmd = XEN_SYSCTL_sched_id;
    info->sched_id = ctl_call_sysctl(ctl, &sysctl) < 0 ? 0 : sysctl.u.sched_id.sched_id;
    version_from(ctl, info);
    umbra_from(ctl, info);
    return 0;
}

const char *ctl_sched_name(uint32_t sched_id)
{
    switch (sched_id) {
    case XEN_SCHEDULER_CREDIT:
        return "credit";
    case XEN_SCHEDULER_CREDIT2:
        return "credit2";
    case XEN_SCHEDULER_ARINC653:
        return "arinc653";
    case XEN_SCHEDULER_RTDS:
        return "rtds";
    case XEN_SCHEDULER_NULL:
        return "null";
    default:
        return "unknown";
    }
}

/* Copies the entries of CPUs that are there. Returns their number. */
static int topology_from(struct ctl_cpu_topology *out, const xen_sysctl_cputopo_t *in, uint32_t count)
{
    int have = 0;

    for (uint32_t cpu = 0; cpu < count; cpu++) {
        if (in[cpu].core != ~0u) {
            out[have++] = (struct ctl_cpu_topology){cpu, in[cpu].core, in[cpu].socket, in[cpu].node};
        }
    }
    return have;
}

int ctl_host_topology(struct ctl *ctl, struct ctl_cpu_topology **cpus, struct ctl_error *err)
{
    struct xen_sysctl sysctl = {.cmd = XEN_SYSCTL_cputopoinfo};
    xen_sysctl_cputopo_t *buffer = NULL;
    uint32_t count = 0;
    int rc = ctl_call_sysctl(ctl, &sysctl);

    *cpus = NULL;
    if (rc >= 0) {
        count = sysctl.u.cputopoinfo.num_cpus;
        buffer = count && count <= 65536 ? ctl_buffer_get(ctl, count * sizeof(*buffer)) : NULL;
        *cpus = calloc(count ? count : 1, sizeof(**cpus));
        rc = buffer && *cpus ? 0 : -ENOMEM;
    }
    if (rc >= 0) {
        set_xen_guest_handle(sysctl.u.cputopoinfo.cputopo, buffer);
        rc = ctl_call_sysctl(ctl, &sysctl);
    }
    if (rc >= 0) {
        count = sysctl.u.cputopoinfo.num_cpus < count ? sysctl.u.cputopoinfo.num_cpus : count;
        rc = topology_from(*cpus, buffer, count);
    }
    ctl_buffer_put(ctl, buffer);
    if (rc < 0) {
        free(*cpus);
        *cpus = NULL;
        return ctl_error_set(err, rc, "ask for the topology of CPUs", NULL, ctl_hint(rc), "the hypervisor refused");
    }
    return rc;
}

/* Reads the whole ring into a buffer of `size`; the number of bytes, or -errno. */
static long read_log(struct ctl *ctl, bool clear, char *buffer, uint32_t size)
{
    struct xen_sysctl sysctl = {.cmd = XEN_SYSCTL_readconsole};
    int rc;

    sysctl.u.readconsole.clear = clear;
    sysctl.u.readconsole.count = size;
    set_xen_guest_handle(sysctl.u.readconsole.buffer, buffer);
    rc = ctl_call_sysctl(ctl, &sysctl);
    if (rc < 0) {
        return rc;
    }
    return sysctl.u.readconsole.count > size ? -EIO : (long)sysctl.u.readconsole.count;
}

/* A copy of the log in *text if a buffer of `size` holds it all; NULL there when it does not. 0 or -errno. */
static int try_log(struct ctl *ctl, bool clear, uint32_t size, char **text)
{
    char *buffer = ctl_buffer_get(ctl, size);
    long length = buffer ? read_log(ctl, false, buffer, size) : -ENOMEM;

    /* Cleared only when known to fit; what is cleared is what is handed out. */
    if (clear && length >= 0 && length < size) {
        length = read_log(ctl, true, buffer, size);
    }
    if (length >= 0 && length < size) {
        *text = strndup(buffer, length);
        length = *text ? length : -ENOMEM;
    }
    ctl_buffer_put(ctl, buffer);
    return length < 0 ? length : 0;
}

long ctl_host_log(struct ctl *ctl, bool clear, char **text, struct ctl_error *err)
{
    int rc = 0;

    *text = NULL;
    /* The ring's size is not told, so the buffer grows until the log does not fill it. */
    for (uint32_t size = 64u << 10; size <= LOG_MAX && !*text && rc == 0; size *= 4) {
        rc = try_log(ctl, clear, size, text);
    }
    if (!*text) {
        rc = rc < 0 ? rc : -EFBIG;
        return ctl_error_set(err, rc, "read the hypervisor's log", NULL, ctl_hint(rc), "the hypervisor refused");
    }
    return strlen(*text);
}

/* Reads it slice by slice into a buffer of UMBRA_PREVIOUS_LOG_max; the number of bytes, or -errno. */
static long read_previous(struct ctl *ctl, char *buffer)
{
    uint32_t done = 0, got;

    do {
        struct umbra_op op = {.cmd = UMBRA_OP_previous_log};
        uint32_t room = UMBRA_PREVIOUS_LOG_max - done;
        int rc;

        op.u.previous_log =
            (struct umbra_op_previous_log){.offset = done, .count = room, .buffer = (uintptr_t)buffer + done};
        rc = ctl_call_umbra(ctl, &op);
        if (rc < 0) {
            return rc;
        }
        got = op.u.previous_log.count;
        if (got > room) {
            return -EIO;
        }
        done += got;
    } while (got);
    return done;
}

static int fail_previous(struct ctl_error *err, int code)
{
    static const char step[] = "read the log of the boot before";

    switch (code) {
    case -ENOENT:
        return ctl_error_set(err, code, step, NULL,
                             "the power was off, firmware has overwritten the memory, or it was not Umbra that ran",
                             "no log of a boot before was found");
    case -ENOSYS:
        return ctl_error_set(err, code, step, NULL, NULL, "this hypervisor does not keep it");
    default:
        return ctl_error_set(err, code, step, NULL, ctl_hint(code), "the hypervisor refused");
    }
}

long ctl_host_previous_log(struct ctl *ctl, char **text, struct ctl_error *err)
{
    char *buffer = ctl_buffer_get(ctl, UMBRA_PREVIOUS_LOG_max);
    long length = buffer ? read_previous(ctl, buffer) : -ENOMEM;

    for (long i = 0; i < length; i++) {
        buffer[i] = buffer[i] ? buffer[i] : '?';
    }
    *text = length < 0 ? NULL : strndup(buffer, length);
    ctl_buffer_put(ctl, buffer);
    if (!*text) {
        return fail_previous(err, length < 0 ? length : -ENOMEM);
    }
    return length;
}

int ctl_host_debug_keys(struct ctl *ctl, const char *keys, struct ctl_error *err)
{
    struct xen_sysctl sysctl = {.cmd = XEN_SYSCTL_debug_keys};
    size_t count = strlen(keys);
    char *buffer = ctl_buffer_get(ctl, count + 1);
    int rc = -ENOMEM;

    if (buffer) {
        memcpy(buffer, keys, count);
        set_xen_guest_handle(sysctl.u.debug_keys.keys, buffer);
        sysctl.u.debug_keys.nr_keys = count;
        rc = ctl_call_sysctl(ctl, &sysctl);
    }
    ctl_buffer_put(ctl, buffer);
    if (rc < 0) {
        return ctl_error_set(err, rc, "send debug keys", keys, ctl_hint(rc), "the hypervisor refused");
    }
    return 0;
}
