/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables in text, byte for byte as xl prints them (see output.h). Pure: takes what libctl returned, writes lines.
 */
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/sysctl.h>

#include "cli/output.h"

void print_name(char out[CTL_NAME_MAX], const struct ctl_domain_info *info)
{
    const char *name = info->name;

    if (!*name)
        name = info->domid == 0 ? "Domain-0" : info->dying ? "(dying)" : "(unnamed)";
    snprintf(out, CTL_NAME_MAX, "%s", name);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    }
}

static void list_columns(FILE *f, const struct ctl_domain_info *info)
{
    bool crashed = info->shutdown && info->shutdown_reason == SHUTDOWN_crash;
    char name[CTL_NAME_MAX];

    print_name(name, info);
    fprintf(f, "%-40s %5u %5lu %5u     %c%c%c%c%c%c  %8.1f", name, info->domid,
            (unsigned long)((info->memory_kib + info->outstanding_kib) / 1024), info->vcpus_online,
            info->running ? 'r' : '-', info->blocked ? 'b' : '-', info->paused ? 'p' : '-', info->shutdown ? 's' : '-',
            crashed ? 'c' : '-', info->dying ? 'd' : '-', (double)info->cpu_time_ns / 1e9);
}

/* There is one CPU pool, and nothing has a label. */
#define POOL     "Pool-0"
#define NO_LABEL "-"

void list_header(FILE *f, const struct list_more *more)
{
    fprintf(f, "Name                                        ID   Mem VCPUs\tState\tTime(s)%s%s%s\n",
            more->verbose ? "   UUID                            Reason-Code\tSecurity Label" : "",
            more->pool ? "         Cpupool" : "", more->nodes ? " NODE Affinity" : "");
}

void list_row(FILE *f, const struct ctl_domain_info *info, const struct list_more *more, const char *nodes)
{
    char uuid[CTL_UUID_TEXT], reason[12] = "-";

    list_columns(f, info);
    ctl_uuid_format(info->uuid, uuid);
    if (info->shutdown)
        snprintf(reason, sizeof(reason), "%x", info->shutdown_reason);
    if (more->verbose)
        fprintf(f, " %s %8s %16s", uuid, reason, NO_LABEL);
    if (more->pool)
        fprintf(f, "%16s", POOL);
    if (more->nodes)
        fprintf(f, " %s", nodes);
    fputc('\n', f);
}

void vm_header(FILE *f)
{
    fputs("UUID                                  ID    name\n", f);
}

void vm_row(FILE *f, const struct ctl_domain_info *info)
{
    char name[CTL_NAME_MAX], uuid[CTL_UUID_TEXT];

    print_name(name, info);
    ctl_uuid_format(info->uuid, uuid);
    fprintf(f, "%s  %u    %-30s\n", uuid, info->domid, name);
}

void claim_header(FILE *f)
{
    fputs("Name                                        ID   Mem VCPUs\tState\tTime(s)  Claimed\n", f);
}

void claim_row(FILE *f, const struct ctl_domain_info *info)
{
    list_columns(f, info);
    fprintf(f, " %5lu\n", (unsigned long)(info->outstanding_kib / 1024));
}

const char *domain_state(const struct ctl_domain_info *info)
{
    if (info->dying)
        return "dying";
    if (info->shutdown)
        return info->shutdown_reason == SHUTDOWN_crash ? "crashed" : "shutdown";
    if (info->paused)
        return "paused";
    return info->running ? "running" : info->blocked ? "blocked" : "runnable";
}

const char *shutdown_reason(const struct ctl_domain_info *info)
{
    static const char *const reasons[] = {
        [SHUTDOWN_poweroff] = "poweroff", [SHUTDOWN_reboot] = "reboot",     [SHUTDOWN_suspend] = "suspend",
        [SHUTDOWN_crash] = "crash",       [SHUTDOWN_watchdog] = "watchdog", [SHUTDOWN_soft_reset] = "soft_reset",
    };

    if (!info->shutdown)
        return NULL;
    return info->shutdown_reason < sizeof(reasons) / sizeof(reasons[0]) ? reasons[info->shutdown_reason] : "unknown";
}

/* --- vcpu-list ------------------------------------------------------------------------------------------------------
 */

void vcpu_header(FILE *f)
{
    fprintf(f, "%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)",
            "Affinity (Hard / Soft)");
}

void vcpu_row(FILE *f, const struct ctl_domain_info *info, const struct ctl_vcpu_info *vcpu, const char *affinity)
{
    char name[CTL_NAME_MAX];

    print_name(name, info);
    fprintf(f, "%-32s %5u %5u", name, info->domid, vcpu->vcpu);
    if (vcpu->online)
        fprintf(f, "%5u %3c%c- ", vcpu->cpu, vcpu->running ? 'r' : '-', vcpu->blocked ? 'b' : '-');
    else
        fprintf(f, "%5c %3c%cp ", '-', '-', '-');
    fprintf(f, "%9.1f  %s\n", (double)vcpu->cpu_time_ns / 1e9, affinity);
}

/* --- sched-credit2, uptime ------------------------------------------------------------------------------------------
 */

void sched_header(FILE *f)
{
    fprintf(f, "%-33s %4s %6s %4s\n", "Name", "ID", "Weight", "Cap");
}

void sched_row(FILE *f, const char *name, uint32_t domid, const struct ctl_sched *sched)
{
    fprintf(f, "%-33s %4u %6u %4u\n", name, domid, sched->weight, sched->cap);
}

void uptime_header(FILE *f)
{
    fprintf(f, "%-33s %4s %s\n", "Name", "ID", "Uptime");
}

/* "2 days,  3:04:05"; brief: without days none, and without seconds. */
static void uptime_text(char out[48], int64_t seconds, bool brief)
{
    int64_t days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;
    int n = 0;

    if (seconds < 0) {
        snprintf(out, 48, "-");
        return;
    }
    if (days)
        n = snprintf(out, 48, "%lld day%s, ", (long long)days, days > 1 ? "s" : "");
    n += snprintf(out + n, 48 - (size_t)n, "%2lld:%02lld", (long long)hours, (long long)minutes);
    if (!brief)
        snprintf(out + n, 48 - (size_t)n, ":%02lld", (long long)(seconds % 60));
}

void uptime_row(FILE *f, const char *name, uint32_t domid, int64_t seconds, bool brief)
{
    time_t now = time(NULL);
    char text[48], clock[16];
    struct tm tm;

    uptime_text(text, seconds, brief);
    if (!brief) {
        fprintf(f, "%-33s %4u %s\n", name, domid, text);
        return;
    }
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
    fprintf(f, " %s up %s, %s (%u)\n", clock, text, name, domid);
}

/* --- info -----------------------------------------------------------------------------------------------------------
 */

void info_line(FILE *f, const char *key, const char *fmt, ...)
{
    va_list args;

    fprintf(f, "%-23s: ", key);
    va_start(args, fmt);
    vfprintf(f, fmt, args);
    va_end(args);
    fputc('\n', f);
}

const char *paging_name(const struct ctl_domain_info *info)
{
    return !info->hvm ? NULL : info->hap ? "hap" : "shadow";
}

const char *host_paging(uint32_t capabilities)
{
    return !(capabilities & XEN_SYSCTL_PHYSCAP_hvm)     ? NULL
           : (capabilities & XEN_SYSCTL_PHYSCAP_hap)    ? "hap"
           : (capabilities & XEN_SYSCTL_PHYSCAP_shadow) ? "shadow"
                                                        : NULL;
}

const char *virt_caps(char *out, size_t size, uint32_t capabilities)
{
    static const struct {
        uint32_t bits;
        const char *word;
    } caps[] = {
        {XEN_SYSCTL_PHYSCAP_pv, "pv"},
        {XEN_SYSCTL_PHYSCAP_hvm, "hvm"},
        {XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_directio, "hvm_directio"},
        {XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_directio, "pv_directio"},
        {XEN_SYSCTL_PHYSCAP_hap, "hap"},
        {XEN_SYSCTL_PHYSCAP_shadow, "shadow"},
        {XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share, "iommu_hap_pt_share"},
        {XEN_SYSCTL_PHYSCAP_vmtrace, "vmtrace"},
        {XEN_SYSCTL_PHYSCAP_vpmu, "vpmu"},
        {XEN_SYSCTL_PHYSCAP_gnttab_v1, "gnttab-v1"},
        {XEN_SYSCTL_PHYSCAP_gnttab_v2, "gnttab-v2"},
    };
    size_t n = 0;

    *out = '\0';
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        if ((capabilities & caps[i].bits) == caps[i].bits && n < size)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", caps[i].word);
    }
    return out;
}

/* --- devices: the columns of xl --- */

void disk_header(FILE *f)
{
    fprintf(f, "%-5s %-3s %-6s %-5s %-6s %-8s %-30s\n", "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref",
            "BE-path");
}

void disk_row(FILE *f, uint32_t domid, const struct ctl_device *d)
{
    fprintf(f, "%-5u %-3d %-6u %-5d %-6d %-8d %-30s\n", d->devid, 0, domid, (int)d->state, (int)d->channel,
            (int)d->ring, d->back);
}

void vif_header(FILE *f)
{
    fprintf(f, "%-3s %-2s %-17s %-6s %-5s %-6s %5s/%-5s %-30s\n", "Idx", "BE", "Mac Addr.", "handle", "state", "evt-ch",
            "tx-", "rx-ring-ref", "BE-path");
}

void vif_row(FILE *f, uint32_t domid, const struct ctl_device *d)
{
    (void)domid;
    fprintf(f, "%-3u %-2d %-17s %6u %5d %6d %5d/%-11d %-30s\n", d->devid, 0, d->mac, d->devid, (int)d->state,
            (int)d->channel, (int)d->ring, (int)d->rx_ring, d->back);
}
