/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See top.h. Devices' figures are those that the kernel's back ends keep in /sys: vbd-DOMID-N of blkback, and the
 * network interface of vif-DOMID-N, whatever it is called. What such a back end received is what the domain sent.
 */
#include "cli/top.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"

#define PATH_MAX_HERE 512

const char *top_devices_dir = "/sys";

double top_percent(uint64_t used_before, uint64_t used, uint64_t time_before, uint64_t time)
{
    if (time <= time_before || used < used_before)
        return 0;
    return 100.0 * (double)(used - used_before) / (double)(time - time_before);
}

/* --- devices -------------------------------------------------------------------------------------------------------
 */

static uint64_t read_figure(const char *dir, const char *device, const char *figure)
{
    char path[PATH_MAX_HERE];
    uint64_t value = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s/statistics/%s", dir, device, figure);
    f = fopen(path, "re");
    if (f && fscanf(f, "%" SCNu64, &value) != 1)
        value = 0;
    if (f)
        fclose(f);
    return value;
}

static struct top_row *row_of(struct top_sample *s, unsigned domid)
{
    for (int i = 0; i < s->n; i++) {
        if (s->rows[i].info.domid == domid)
            return &s->rows[i];
    }
    return NULL;
}

/* It has one interface, if any: its name may be the configuration's. */
static void add_net(struct top_devices *d, const char *dir, const char *name)
{
    char path[PATH_MAX_HERE];
    struct dirent *entry = NULL;
    DIR *nets;

    snprintf(path, sizeof(path), "%s/%s/net", dir, name);
    nets = opendir(path);
    do {
        entry = nets ? readdir(nets) : NULL;
    } while (entry && *entry->d_name == '.');
    if (entry) {
        d->nets++;
        d->net_sent += read_figure(path, entry->d_name, "rx_bytes");
        d->net_received += read_figure(path, entry->d_name, "tx_bytes");
    }
    if (nets)
        closedir(nets);
}

static void add_vbd(struct top_devices *d, const char *dir, const char *name)
{
    d->vbds++;
    d->vbd_waits += read_figure(dir, name, "oo_req");
    d->vbd_reads += read_figure(dir, name, "rd_req");
    d->vbd_writes += read_figure(dir, name, "wr_req");
    d->vbd_read_sectors += read_figure(dir, name, "rd_sect");
    d->vbd_written_sectors += read_figure(dir, name, "wr_sect");
}

/* Back ends whose names are `form`, which reads the domain's number and something more. */
static void add_devices(struct top_sample *s, const char *form,
                        void (*add)(struct top_devices *, const char *, const char *))
{
    char dir[PATH_MAX_HERE];
    struct dirent *entry;
    DIR *d;

    snprintf(dir, sizeof(dir), "%s/bus/xen-backend/devices", top_devices_dir);
    d = opendir(dir);
    while (d && (entry = readdir(d)) != NULL) {
        unsigned domid, number;
        char rest;
        struct top_row *row;

        if (sscanf(entry->d_name, form, &domid, &number, &rest) != 2)
            continue;
        row = row_of(s, domid);
        if (row)
            add(&row->devices, dir, entry->d_name);
    }
    if (d)
        closedir(d);
}

/* --- samples -------------------------------------------------------------------------------------------------------
 */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const struct ctl_domain_info *same_domain(const struct top_sample *s, const struct ctl_domain_info *info)
{
    for (int i = 0; s && i < s->n; i++) {
        if (s->rows[i].info.domid == info->domid)
            return &s->rows[i].info;
    }
    return NULL;
}

int top_take(struct ctl *ctl, struct top_sample *s, const struct top_sample *before, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int n, rc = ctl_host_info(ctl, &s->host, err);

    s->rows = NULL;
    s->n = 0;
    if (rc < 0)
        return rc;
    n = ctl_domain_list(ctl, &list, err);
    if (n < 0)
        return n;
    s->at_ns = now_ns();
    s->rows = calloc((size_t)n + 1, sizeof(*s->rows));
    for (; s->rows && s->n < n; s->n++) {
        struct top_row *row = &s->rows[s->n];
        const struct ctl_domain_info *old = same_domain(before, &list[s->n]);

        row->info = list[s->n];
        if (old)
            row->cpu_percent = top_percent(old->cpu_time_ns, row->info.cpu_time_ns, before->at_ns, s->at_ns);
    }
    free(list);
    if (!s->rows)
        return ctl_error_set(err, -ENOMEM, "list the domains", NULL, NULL, "out of memory");
    add_devices(s, "vif-%u-%u%c", add_net);
    add_devices(s, "vbd-%u-%u%c", add_vbd);
    return 0;
}

/* --- order ---------------------------------------------------------------------------------------------------------
 */

static int by_id(const void *a, const void *b)
{
    const struct top_row *x = a, *y = b;

    return x->info.domid < y->info.domid ? -1 : x->info.domid > y->info.domid;
}

static int by_cpu(const void *a, const void *b)
{
    const struct top_row *x = a, *y = b;

    return x->cpu_percent > y->cpu_percent ? -1 : x->cpu_percent < y->cpu_percent ? 1 : by_id(a, b);
}

static int by_memory(const void *a, const void *b)
{
    const struct top_row *x = a, *y = b;

    return x->info.memory_kib > y->info.memory_kib ? -1 : x->info.memory_kib < y->info.memory_kib ? 1 : by_id(a, b);
}

static int by_name(const void *a, const void *b)
{
    const struct top_row *x = a, *y = b;
    int order = strcmp(x->info.name, y->info.name);

    return order ? order : by_id(a, b);
}

static const struct {
    const char *name;
    int (*compare)(const void *a, const void *b);
} orders[TOP_ORDERS] = {
    [TOP_BY_ID] = {"number", by_id},
    [TOP_BY_CPU] = {"CPU", by_cpu},
    [TOP_BY_MEMORY] = {"memory", by_memory},
    [TOP_BY_NAME] = {"name", by_name},
};

const char *top_order_name(enum top_order order)
{
    return orders[order].name;
}

void top_sort(struct top_sample *s, enum top_order order)
{
    qsort(s->rows, (size_t)s->n, sizeof(*s->rows), orders[order].compare);
}

/* --- lines ---------------------------------------------------------------------------------------------------------
 */

void top_header(char out[TOP_LINE])
{
    snprintf(out, TOP_LINE, "%10s %6s %10s %6s %10s %6s %10s %9s %5s %4s %8s %8s %4s %8s %8s %8s %10s %10s %4s", "NAME",
             "STATE", "CPU(sec)", "CPU(%)", "MEM(k)", "MEM(%)", "MAXMEM(k)", "MAXMEM(%)", "VCPUS", "NETS", "NETTX(k)",
             "NETRX(k)", "VBDS", "VBD_OO", "VBD_RD", "VBD_WR", "VBD_RSECT", "VBD_WSECT", "SSID");
}

static double percent_of(uint64_t kib, const struct top_sample *s)
{
    return s->host.total_kib ? 100.0 * (double)kib / (double)s->host.total_kib : 0;
}

static void put_limit(char out[32], const struct top_sample *s, uint64_t kib)
{
    if (kib >= UINT64_MAX / 4)
        snprintf(out, 32, "%10s %9s", "no limit", "n/a");
    else
        snprintf(out, 32, "%10" PRIu64 " %9.1f", kib, percent_of(kib, s));
}

void top_row(char out[TOP_LINE], const struct top_sample *s, const struct top_row *row, bool full)
{
    const struct ctl_domain_info *i = &row->info;
    const struct top_devices *d = &row->devices;
    char name[CTL_NAME_MAX], limit[32];

    print_name(name, i);
    put_limit(limit, s, i->maxmem_kib);
    snprintf(out, TOP_LINE,
             "%10.*s %c%c%c%c%c%c %10" PRIu64 " %6.1f %10" PRIu64 " %6.1f %s %5u %4u %8" PRIu64 " %8" PRIu64
             " %4u %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %4u",
             full ? CTL_NAME_MAX : 10, name, i->dying ? 'd' : '-', i->shutdown ? 's' : '-', i->blocked ? 'b' : '-',
             i->shutdown && i->shutdown_reason == 3 ? 'c' : '-', i->paused ? 'p' : '-', i->running ? 'r' : '-',
             i->cpu_time_ns / 1000000000u, row->cpu_percent, i->memory_kib, percent_of(i->memory_kib, s), limit,
             i->vcpus_online, d->nets, d->net_sent / 1024, d->net_received / 1024, d->vbds, d->vbd_waits, d->vbd_reads,
             d->vbd_writes, d->vbd_read_sectors, d->vbd_written_sectors, i->ssidref);
}

void top_summary(char out[TOP_LINE], const struct top_sample *s)
{
    unsigned running = 0, blocked = 0, paused = 0, crashed = 0, dying = 0, shutdown = 0;

    for (int i = 0; i < s->n; i++) {
        const struct ctl_domain_info *info = &s->rows[i].info;
        const char *state = domain_state(info);

        running += info->running;
        blocked += info->blocked && !info->running;
        paused += info->paused;
        crashed += strcmp(state, "crashed") == 0;
        shutdown += info->shutdown;
        dying += info->dying;
    }
    snprintf(out, TOP_LINE, "%d domains: %u running, %u blocked, %u paused, %u crashed, %u dying, %u shutdown", s->n,
             running, blocked, paused, crashed, dying, shutdown);
}

void top_host(char out[TOP_LINE], const struct top_sample *s)
{
    const struct ctl_host_info *h = &s->host;
    uint64_t unused = h->free_kib + h->scrub_kib;

    snprintf(out, TOP_LINE, "Mem: %" PRIu64 "k total, %" PRIu64 "k used, %" PRIu64 "k free    CPUs: %u @ %uMHz",
             h->total_kib, h->total_kib - unused, unused, h->nr_cpus, h->cpu_khz / 1000);
}
