/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs about the host: info (keys as in xl, which scripts read), dmesg, debug-keys.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "cli/diag.h"
#include "cli/health.h"
#include "cli/output.h"

#define HW_CAPS_TEXT (8 * 9 + 1)

static void hw_caps(char out[HW_CAPS_TEXT], const struct ctl_host_info *h)
{
    for (int i = 0; i < 8; i++)
        snprintf(out + 9 * i, 10, i < 7 ? "%08x:" : "%08x", h->hw_caps[i]);
}

static void print_hardware(const struct ctl_host_info *h, const struct utsname *u)
{
    char caps[HW_CAPS_TEXT], words[256];

    hw_caps(caps, h);
    info_line(stdout, "host", "%s", u->nodename);
    info_line(stdout, "release", "%s", u->release);
    info_line(stdout, "version", "%s", u->version);
    info_line(stdout, "machine", "%s", u->machine);
    info_line(stdout, "nr_cpus", "%u", h->nr_cpus);
    info_line(stdout, "max_cpu_id", "%u", h->max_cpu_id);
    info_line(stdout, "nr_nodes", "%u", h->nr_nodes);
    info_line(stdout, "cores_per_socket", "%u", h->cores_per_socket);
    info_line(stdout, "threads_per_core", "%u", h->threads_per_core);
    info_line(stdout, "cpu_mhz", "%u.%03u", h->cpu_khz / 1000, h->cpu_khz % 1000);
    info_line(stdout, "hw_caps", "%s", caps);
    info_line(stdout, "virt_caps", "%s", virt_caps(words, sizeof(words), h->capabilities));
    info_line(stdout, "total_memory", "%llu", (unsigned long long)h->total_kib / 1024);
    info_line(stdout, "free_memory", "%llu",
              (unsigned long long)(h->free_kib + h->scrub_kib - h->outstanding_kib) / 1024);
    info_line(stdout, "sharing_freed_memory", "0");
    info_line(stdout, "sharing_used_memory", "0");
    info_line(stdout, "outstanding_claims", "%llu", (unsigned long long)h->outstanding_kib / 1024);
    info_line(stdout, "free_cpus", "0");
}

/* --- info -n --- */

struct topology {
    struct ctl_cpu_topology *cpus;
    struct ctl_node *nodes;
    int n_cpus, n_nodes;
};

static int read_topology(struct cli *cli, struct topology *t, struct ctl_error *err)
{
    t->n_cpus = ctl_host_topology(cli->ctl, &t->cpus, err);
    t->n_nodes = t->n_cpus < 0 ? 0 : ctl_host_nodes(cli->ctl, &t->nodes, err);
    return t->n_cpus < 0 ? t->n_cpus : t->n_nodes;
}

static void free_topology(struct topology *t)
{
    free(t->cpus);
    free(t->nodes);
}

/* As xl has it, which goes on with devices: of these nothing is known. */
static void print_topology(const struct topology *t)
{
    fputs("cpu_topology           :\ncpu:    core    socket     node\n", stdout);
    for (int i = 0; i < t->n_cpus; i++) {
        const struct ctl_cpu_topology *c = &t->cpus[i];

        printf("%3u:    %4u     %4u     %4u\n", c->cpu, c->core, c->socket, c->node);
    }
    fputs("device topology        :\ndevice           node\nNo device topology data available\n"
          "numa_info              :\nnode:    memsize    memfree    distances\n",
          stdout);
    for (int i = 0; i < t->n_nodes; i++) {
        const struct ctl_node *n = &t->nodes[i];

        printf("%4d:    %6llu     %6llu      ", i, (unsigned long long)n->size_kib >> 10,
               (unsigned long long)n->free_kib >> 10);
        for (int j = 0; j < t->n_nodes; j++)
            printf("%s%u", j ? "," : "", n->distance[j]);
        putchar('\n');
    }
}

static void json_topology(const struct topology *t, struct json_out *o)
{
    json_out_array(o, "cpu_topology");
    for (int i = 0; i < t->n_cpus; i++) {
        json_out_object(o, NULL);
        json_out_uint(o, "cpu", t->cpus[i].cpu);
        json_out_uint(o, "core", t->cpus[i].core);
        json_out_uint(o, "socket", t->cpus[i].socket);
        json_out_uint(o, "node", t->cpus[i].node);
        json_out_close(o);
    }
    json_out_close(o);
    json_out_array(o, "numa_nodes");
    for (int i = 0; i < t->n_nodes; i++) {
        json_out_object(o, NULL);
        json_out_int(o, "node", i);
        json_out_uint(o, "memory_kib", t->nodes[i].size_kib);
        json_out_uint(o, "free_memory_kib", t->nodes[i].free_kib);
        json_out_array(o, "distances");
        for (int j = 0; j < t->n_nodes; j++)
            json_out_uint(o, NULL, t->nodes[i].distance[j]);
        json_out_close(o);
        json_out_close(o);
    }
    json_out_close(o);
}

/* --- info --- */

/* The pools of all guests that have one; of a guest that goes meanwhile nothing. 0 or -errno. */
static int sum_of_pools(struct cli *cli, struct ctl_pool *sum, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int n = ctl_domain_list(cli->ctl, &list, err);

    memset(sum, 0, sizeof(*sum));
    for (int i = 0; i < n; i++) {
        struct ctl_pool pool;

        if (list[i].hvm && ctl_domain_pool(cli->ctl, list[i].domid, &pool, NULL) >= 0) {
            sum->size_kib += pool.size_kib;
            sum->p2m_kib += pool.p2m_kib;
            sum->shadow_kib += pool.shadow_kib;
        }
    }
    if (n >= 0)
        free(list);
    return n < 0 ? n : 0;
}

static void print_hypervisor(const struct ctl_host_info *h)
{
    info_line(stdout, "xen_major", "%u", h->major);
    info_line(stdout, "xen_minor", "%u", h->minor);
    info_line(stdout, "xen_extra", "%s", h->extra);
    info_line(stdout, "xen_version", "%u.%u%s", h->major, h->minor, h->extra);
    info_line(stdout, "xen_caps", "%s", h->caps);
    info_line(stdout, "xen_scheduler", "%s", ctl_sched_name(h->sched_id));
    info_line(stdout, "xen_pagesize", "%u", h->page_size);
    info_line(stdout, "platform_params", "virt_start=0x%llx", (unsigned long long)h->virt_start);
    info_line(stdout, "xen_changeset", "%s", h->changeset);
    info_line(stdout, "xen_commandline", "%s", h->command_line);
    info_line(stdout, "cc_compiler", "%s", h->compiler);
    info_line(stdout, "cc_compile_by", "%s", h->compile_by);
    info_line(stdout, "cc_compile_domain", "%s", h->compile_domain);
    info_line(stdout, "cc_compile_date", "%s", h->compile_date);
    info_line(stdout, "build_id", "%s", h->build_id);
    info_line(stdout, "xend_config_format", "4");
}

/* The number of a process that runs. */
static const char *process(char out[24], pid_t pid)
{
    snprintf(out, 24, "%d", (int)pid);
    return pid > 0 ? out : pid ? "unknown" : "none";
}

static void print_daemons(const struct health *d)
{
    char pid[24];

    info_line(stdout, "xenstored", "%s", health_store_name(d->store));
    info_line(stdout, "supervisor", "%s", process(pid, d->supervisor));
    info_line(stdout, "console_daemon", "%s", process(pid, d->console));
}

static void put_process(struct json_out *o, const char *key, pid_t pid)
{
    if (pid > 0)
        json_out_int(o, key, pid);
    else
        json_out_null(o, key);
}

static void json_daemons(const struct health *d, struct json_out *o)
{
    json_out_str(o, "xenstored", health_store_name(d->store));
    put_process(o, "supervisor", d->supervisor);
    put_process(o, "console_daemon", d->console);
}

static void print_umbra(const struct ctl_host_info *h, const struct ctl_pool *pools)
{
    const char *paging = host_paging(h->capabilities);

    info_line(stdout, "umbra_build", "%s", h->debug_build ? "debug" : "release");
    info_line(stdout, "shadow_memory", "%llu", (unsigned long long)pools->size_kib / 1024);
    info_line(stdout, "shadow_memory_used", "%llu", (unsigned long long)(pools->p2m_kib + pools->shadow_kib) / 1024);
    info_line(stdout, "paging", "%s%s", paging ? paging : "none (no hardware virtualisation)",
              paging && strcmp(paging, "shadow") == 0 ? " (no nested paging)" : "");
}

static void json_hypervisor(const struct ctl_host_info *h, struct json_out *o)
{
    json_out_uint(o, "xen_major", h->major);
    json_out_uint(o, "xen_minor", h->minor);
    json_out_str(o, "xen_extra", h->extra);
    json_out_str(o, "xen_caps", h->caps);
    json_out_str(o, "xen_scheduler", ctl_sched_name(h->sched_id));
    json_out_uint(o, "xen_pagesize", h->page_size);
    json_out_uint(o, "virt_start", h->virt_start);
    json_out_str(o, "xen_changeset", h->changeset);
    json_out_str(o, "xen_commandline", h->command_line);
    json_out_str(o, "cc_compiler", h->compiler);
    json_out_str(o, "cc_compile_by", h->compile_by);
    json_out_str(o, "cc_compile_domain", h->compile_domain);
    json_out_str(o, "cc_compile_date", h->compile_date);
    json_out_str(o, "build_id", h->build_id);
}

static void json_umbra(const struct ctl_host_info *h, const struct ctl_pool *pools, struct json_out *o)
{
    json_out_str(o, "umbra_build", h->debug_build ? "debug" : "release");
    json_out_uint(o, "shadow_memory_kib", pools->size_kib);
    json_out_uint(o, "shadow_memory_used_kib", pools->p2m_kib + pools->shadow_kib);
    json_out_str(o, "paging", host_paging(h->capabilities));
}

/* What `info` shows. */
struct facts {
    struct ctl_host_info host;
    struct ctl_pool pools;
    struct utsname u;
    struct health daemons;
    struct topology topology;
    bool numa; /* which is wanted */
};

static int info_json(struct cli *cli, const struct facts *facts)
{
    struct json_out *o = json_out_new(true);
    const struct ctl_host_info *h = &facts->host;
    const struct utsname *u = &facts->u;
    char caps[HW_CAPS_TEXT], words[256];

    hw_caps(caps, h);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.info/1");
    json_out_str(o, "host", u->nodename);
    json_out_str(o, "release", u->release);
    json_out_str(o, "version", u->version);
    json_out_str(o, "machine", u->machine);
    json_out_uint(o, "nr_cpus", h->nr_cpus);
    json_out_uint(o, "max_cpu_id", h->max_cpu_id);
    json_out_uint(o, "nr_nodes", h->nr_nodes);
    json_out_uint(o, "cores_per_socket", h->cores_per_socket);
    json_out_uint(o, "threads_per_core", h->threads_per_core);
    json_out_uint(o, "cpu_khz", h->cpu_khz);
    json_out_str(o, "hw_caps", caps);
    json_out_str(o, "virt_caps", virt_caps(words, sizeof(words), h->capabilities));
    json_out_uint(o, "total_memory_kib", h->total_kib);
    json_out_uint(o, "free_memory_kib", h->free_kib);
    json_out_uint(o, "scrub_memory_kib", h->scrub_kib);
    json_out_uint(o, "outstanding_claims_kib", h->outstanding_kib);
    json_hypervisor(h, o);
    if (h->is_umbra)
        json_umbra(h, &facts->pools, o);
    json_daemons(&facts->daemons, o);
    if (facts->numa)
        json_topology(&facts->topology, o);
    json_out_close(o);
    return cli_json(cli, o);
}

static int info_text(const struct facts *facts)
{
    print_hardware(&facts->host, &facts->u);
    if (facts->numa)
        print_topology(&facts->topology);
    print_hypervisor(&facts->host);
    if (facts->host.is_umbra)
        print_umbra(&facts->host, &facts->pools);
    print_daemons(&facts->daemons);
    return EXIT_OK;
}

int cmd_info(struct cli *cli, const struct cli_args *args)
{
    struct facts facts = {.numa = args->value['n'] != NULL};
    struct ctl_error err = {0};
    int rc;

    if (cli_open(cli))
        return EXIT_FAILED;
    rc = ctl_host_info(cli->ctl, &facts.host, &err);
    if (rc >= 0)
        rc = sum_of_pools(cli, &facts.pools, &err);
    if (rc >= 0 && facts.numa)
        rc = read_topology(cli, &facts.topology, &err);
    if (rc >= 0) {
        uname(&facts.u);
        facts.daemons = health_look(cli->ctl);
        rc = cli->json ? info_json(cli, &facts) : info_text(&facts);
    } else {
        rc = cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    }
    free_topology(&facts.topology);
    return rc;
}

static int dmesg_json(struct cli *cli, char *text)
{
    struct json_out *o = json_out_new(true);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.dmesg/1");
    json_out_array(o, "lines");
    for (char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        json_out_str(o, NULL, line);
    }
    json_out_close(o);
    json_out_close(o);
    return cli_json(cli, o);
}

int cmd_dmesg(struct cli *cli, const struct cli_args *args)
{
    bool clear = args->value['c'] != NULL, previous = args->value['p'] != NULL;
    struct ctl_error err = {0};
    char *text;
    long len;
    int rc = EXIT_OK;

    if (clear && previous)
        return cli_usage(cli, "-c: the log of the boot before cannot be emptied");
    if (cli_open(cli))
        return EXIT_FAILED;
    len = previous ? ctl_host_previous_log(cli->ctl, &text, &err) : ctl_host_log(cli->ctl, clear, &text, &err);
    if (len < 0)
        return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    if (cli->json)
        rc = dmesg_json(cli, text);
    else
        put_clean_lines(stdout, text); /* guests have a part in it, and what a boot before left may be garbage */
    free(text);
    return rc;
}

int cmd_debug_keys(struct cli *cli, const struct cli_args *args)
{
    struct ctl_error err = {0};

    if (cli_open(cli))
        return EXIT_FAILED;
    if (ctl_host_debug_keys(cli->ctl, args->operand[0], &err) < 0)
        return cli_fail(cli, args->operand[0], &err, CLI_NO_DOMAIN);
    return EXIT_OK;
}
