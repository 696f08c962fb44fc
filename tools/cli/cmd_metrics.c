/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `metrics`: what monitoring asks of the host and its domains, once. All of it is read first, then written figure by
 * figure, since the format wants what has one name together. A domain that goes meanwhile is left out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/metrics.h"
#include "cli/output.h"
#include "cli/partial.h"

#define KIB    1024u
#define FRAME  4096u
#define SECOND 1000000000u
#define NO_MORE \
    {           \
        0       \
    }

struct domain {
    struct ctl_domain_info info;
    char name[CTL_NAME_MAX], uuid[CTL_UUID_TEXT], domid[12];
    struct ctl_vcpu_info *vcpus;
    uint32_t n_vcpus;
    struct ctl_figure *figures; /* of its shadow paging; none of PV guests */
    int n_figures;
};

struct view {
    struct metrics out;
    struct ctl_host_info host;
    struct domain *domains;
    int n;
};

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static void read_domain(struct ctl *ctl, const struct ctl_domain_info *info, struct domain *d)
{
    d->info = *info;
    print_name(d->name, info);
    ctl_uuid_format(info->uuid, d->uuid);
    snprintf(d->domid, sizeof(d->domid), "%u", info->domid);
    d->vcpus = calloc(info->vcpus_max + 1, sizeof(*d->vcpus));
    for (uint32_t i = 0; d->vcpus && i < info->vcpus_max; i++)
        d->n_vcpus += ctl_vcpu_info(ctl, info->domid, i, &d->vcpus[d->n_vcpus], NULL) >= 0;
    if (info->hvm)
        d->n_figures = ctl_shadow_stats(ctl, info->domid, &d->figures, NULL);
    if (d->n_figures < 0)
        d->n_figures = 0;
}

static int read_view(struct ctl *ctl, struct view *v, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int rc = ctl_host_info(ctl, &v->host, err);

    if (rc < 0)
        return rc;
    rc = ctl_domain_list(ctl, &list, err);
    if (rc < 0)
        return rc;
    v->domains = calloc((size_t)rc + 1, sizeof(*v->domains));
    for (; v->domains && v->n < rc; v->n++)
        read_domain(ctl, &list[v->n], &v->domains[v->n]);
    free(list);
    return v->domains ? 0 : ctl_error_set(err, -ENOMEM, "read the domains", NULL, NULL, "out of memory");
}

static void free_view(struct view *v)
{
    for (int i = 0; i < v->n; i++) {
        free(v->domains[i].vcpus);
        free(v->domains[i].figures);
    }
    free(v->domains);
}

/* --- writing -------------------------------------------------------------------------------------------------------
 */

static void put_host(struct view *v)
{
    static const struct metric build = {"umbra_build_info", "Versions of the tool and the hypervisor; always 1.",
                                        false};
    static const struct metric cpus = {"umbra_host_cpus", "CPUs of the host.", false};
    static const struct metric total = {"umbra_host_memory_bytes", "Memory of the host.", false};
    static const struct metric unused = {"umbra_host_memory_free_bytes", "Memory that no domain has.", false};
    static const struct metric claimed = {"umbra_host_memory_claimed_bytes",
                                          "Free memory that is set aside for domains being built.", false};
    static const struct metric domains = {"umbra_domains", "Domains there are, the control domain included.", false};
    const struct ctl_host_info *h = &v->host;
    char xen[48];

    snprintf(xen, sizeof(xen), "%u.%u%s", h->major, h->minor, h->extra);
    metrics_put(&v->out, &build,
                (struct metric_label[]){
                    {"version", UMBRA_VERSION}, {"hypervisor", h->is_umbra ? "umbra" : "xen"}, {"abi", xen}, NO_MORE},
                1, 0);
    metrics_put(&v->out, &cpus, NULL, h->nr_cpus, 0);
    metrics_put(&v->out, &total, NULL, h->total_kib * KIB, 0);
    metrics_put(&v->out, &unused, NULL, (h->free_kib + h->scrub_kib) * KIB, 0);
    metrics_put(&v->out, &claimed, NULL, h->outstanding_kib * KIB, 0);
    metrics_put(&v->out, &domains, NULL, (uint64_t)v->n, 0);
}

/* With the labels that name the domain, and up to one more. */
static void put(struct view *v, const struct metric *metric, const struct domain *d, struct metric_label more,
                uint64_t units)
{
    struct metric_label labels[] = {{"domid", d->domid}, {"name", d->name}, {"uuid", d->uuid}, more, NO_MORE};

    metrics_put(&v->out, metric, labels, units, 0);
}

static void put_time(struct view *v, const struct metric *metric, const struct domain *d, struct metric_label more,
                     uint64_t ns)
{
    struct metric_label labels[] = {{"domid", d->domid}, {"name", d->name}, {"uuid", d->uuid}, more, NO_MORE};

    metrics_put(&v->out, metric, labels, ns / SECOND, (uint32_t)(ns % SECOND));
}

static const struct metric_label none;

static uint64_t memory(const struct domain *d)
{
    return d->info.memory_kib * KIB;
}

static uint64_t limit(const struct domain *d)
{
    return d->info.maxmem_kib > UINT64_MAX / KIB ? UINT64_MAX : d->info.maxmem_kib * KIB;
}

static uint64_t claimed(const struct domain *d)
{
    return d->info.outstanding_kib * KIB;
}

static uint64_t online(const struct domain *d)
{
    return d->info.vcpus_online;
}

static uint64_t vcpus_max(const struct domain *d)
{
    return d->info.vcpus_max;
}

static void put_gauges(struct view *v)
{
    static const struct {
        struct metric metric;
        uint64_t (*value)(const struct domain *d);
    } gauges[] = {
        {{"umbra_domain_memory_bytes", "Memory that the domain has.", false}, memory},
        {{"umbra_domain_memory_limit_bytes", "Memory that the hypervisor lets it have.", false}, limit},
        {{"umbra_domain_memory_claimed_bytes", "Memory that is set aside for it.", false}, claimed},
        {{"umbra_domain_vcpus_online", "Virtual CPUs that are up.", false}, online},
        {{"umbra_domain_vcpus_max", "Virtual CPUs that it can have.", false}, vcpus_max},
    };

    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        for (int j = 0; j < v->n; j++)
            put(v, &gauges[i].metric, &v->domains[j], none, gauges[i].value(&v->domains[j]));
    }
}

static void put_states(struct view *v)
{
    static const struct metric metric = {"umbra_domain_state", "1 for the state that the domain is in.", false};
    static const char *const states[] = {"running", "runnable", "blocked", "paused", "shutdown", "crashed", "dying"};

    for (int i = 0; i < v->n; i++) {
        const char *now = domain_state(&v->domains[i].info);

        for (size_t j = 0; j < sizeof(states) / sizeof(states[0]); j++)
            put(v, &metric, &v->domains[i], (struct metric_label){"state", states[j]}, strcmp(states[j], now) == 0);
    }
}

static void put_cpu_time(struct view *v)
{
    static const struct metric whole = {"umbra_domain_cpu_seconds_total", "CPU time used.", true};
    static const struct metric single = {"umbra_domain_vcpu_seconds_total", "CPU time used by a virtual CPU.", true};

    for (int i = 0; i < v->n; i++)
        put_time(v, &whole, &v->domains[i], none, v->domains[i].info.cpu_time_ns);
    for (int i = 0; i < v->n; i++) {
        for (uint32_t j = 0; j < v->domains[i].n_vcpus; j++) {
            const struct ctl_vcpu_info *vcpu = &v->domains[i].vcpus[j];
            char number[12];

            snprintf(number, sizeof(number), "%u", vcpu->vcpu);
            put_time(v, &single, &v->domains[i], (struct metric_label){"vcpu", number}, vcpu->cpu_time_ns);
        }
    }
}

/* Which figures of the hypervisor's are shown, and under which label. */
static const struct shown {
    struct metric metric;
    const char *group, *label, *only; /* only: this one of the group, without a label */
    unsigned scale;
} shown[] = {
    {{"umbra_domain_shadow_pool_bytes", "Memory set aside for its memory map and shadows.", false},
     "pool",
     NULL,
     "size",
     FRAME},
    {{"umbra_domain_shadow_pool_used_bytes", "What of that is used, and for what.", false}, "pool", "use", NULL, FRAME},
    {{"umbra_domain_exits_total", "Exits to the hypervisor, by reason.", true}, "exits", "reason", NULL, 1},
    {{"umbra_domain_shadow_faults_total", "Page faults on shadows, by outcome.", true}, "faults", "outcome", NULL, 1},
    {{"umbra_domain_shadow_events_total", "What happened to its shadows.", true}, "events", "event", NULL, 1},
};

static bool is_shown(const struct shown *s, const struct ctl_figure *f)
{
    bool sum = strcmp(f->name, "size") == 0 || strcmp(f->name, "free") == 0;

    if (strcmp(f->group, s->group) != 0)
        return false;
    return s->only ? strcmp(f->name, s->only) == 0 : strcmp(s->group, "pool") != 0 || !sum;
}

static void put_figures(struct view *v)
{
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        for (int j = 0; j < v->n; j++) {
            const struct domain *d = &v->domains[j];

            for (int k = 0; k < d->n_figures; k++) {
                struct metric_label more = {shown[i].label, d->figures[k].name};

                if (is_shown(&shown[i], &d->figures[k]))
                    put(v, &shown[i].metric, d, more, d->figures[k].value * shown[i].scale);
            }
        }
    }
}

static void put_all(struct view *v)
{
    put_host(v);
    put_gauges(v);
    put_states(v);
    put_cpu_time(v);
    put_figures(v);
    metrics_end(&v->out);
}

/* --- where to ------------------------------------------------------------------------------------------------------
 */

static int write_json(struct cli *cli, struct view *v)
{
    struct json_out *o = json_out_new(true);

    v->out.json = o;
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.metrics/1");
    json_out_array(o, "metrics");
    put_all(v);
    json_out_close(o);
    json_out_close(o);
    return cli_json(cli, o);
}

static int file_failed(struct cli *cli, const char *file, const char *step)
{
    struct ctl_error err = {0};

    ctl_error_set(&err, errno ? -errno : -EIO, step, file, NULL, "there are no new figures in it");
    return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
}

/* Whoever reads the file finds the old figures or the new ones. */
static int write_file(struct cli *cli, struct view *v, const char *file)
{
    struct ctl_error err = {0};
    char *partial = NULL;
    int rc = EXIT_OK, fd = partial_open(file, 0644, &partial, &err);
    bool bad;

    v->out.text = fd < 0 ? NULL : fdopen(fd, "w");
    if (!v->out.text) {
        rc = fd < 0 ? cli_fail(cli, NULL, &err, CLI_NO_DOMAIN) : file_failed(cli, file, "open the file");
        if (fd >= 0)
            close(fd);
        free(partial);
        return rc;
    }
    put_all(v);
    bad = fflush(v->out.text) || ferror(v->out.text);
    if (bad || rename(partial, file)) { /* while it is locked */
        rc = file_failed(cli, file, bad ? "write the file" : "give the file its name");
        unlink(partial);
    }
    if (fclose(v->out.text) && rc == EXIT_OK)
        rc = file_failed(cli, file, "write the file");
    free(partial);
    return rc;
}

int cmd_metrics(struct cli *cli, const struct cli_args *args)
{
    const char *format = args->value['f'] ? args->value['f'] : "prometheus", *file = args->value['o'];
    struct ctl_error err = {0};
    struct view v = {0};
    int rc;

    if (strcmp(format, "prometheus") != 0 && strcmp(format, "json") != 0)
        return cli_usage(cli, "--format %s: there are prometheus and json", format);
    cli->json |= strcmp(format, "json") == 0;
    if (cli->json && file)
        return cli_usage(cli, "-o is for the format prometheus");
    if (cli_open(cli))
        return EXIT_FAILED;
    if (read_view(cli->ctl, &v, &err) < 0) {
        rc = cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    } else if (cli->json) {
        rc = write_json(cli, &v);
    } else if (file) {
        rc = write_file(cli, &v, file);
    } else {
        v.out.text = stdout;
        put_all(&v);
        rc = EXIT_OK;
    }
    free_view(&v);
    return rc;
}
