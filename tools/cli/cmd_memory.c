/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that change how much memory a domain has: mem-set, mem-max. Sizes are read with their unit, MiB if there is
 * none, and printed back with it. What is set lasts until the domain is built again. They do not wait for the guest's
 * kernel, which gives memory back, or takes more, in its own time.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"

#define MIB            1024ull /* KiB */
#define LEAST_KIB      (4 * MIB)
#define LEAST_HOST_KIB (128 * MIB) /* of the control domain, as libxl has it */
#define MOST_KIB       (4ull << 30)
#define SIZE_TEXT      24

/* "512", "512M", "2GiB" in KiB; false if it is none of these or too large for a number. */
static bool read_size(const char *text, uint64_t *kib)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 10},   {"k", 0},    {"m", 10},   {"g", 20},  {"t", 30},
                 {"KiB", 0}, {"MiB", 10}, {"GiB", 20}, {"TiB", 30}};
    size_t digits = strspn(text, "0123456789");

    for (size_t i = 0; digits > 0 && digits < 15 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(text + digits, units[i].name) == 0) {
            uint64_t n = strtoull(text, NULL, 10);

            *kib = n << units[i].shift;
            return *kib >> units[i].shift == n;
        }
    }
    return false;
}

/* In MiB where it is a whole number of them. */
static const char *size_text(char out[SIZE_TEXT], uint64_t kib)
{
    bool whole = kib % MIB == 0;

    snprintf(out, SIZE_TEXT, "%llu %s", whole ? kib / MIB : kib, whole ? "MiB" : "KiB");
    return out;
}

static int parse(struct cli *cli, const struct cli_args *args, uint64_t *kib)
{
    const char *text = args->operand[1];

    if (!read_size(text, kib))
        return cli_usage(cli, "%s: not a size; write a number of MiB, or one with k, m, g or t", text);
    if (*kib % 4)
        return cli_usage(cli, "%s: not a multiple of 4 KiB", text);
    if (*kib < LEAST_KIB || *kib > MOST_KIB)
        return cli_usage(cli, "%s: out of range: 4 MiB to 4 TiB", text);
    return EXIT_OK;
}

static int report(struct cli *cli, uint32_t domid, const char *what, const struct ctl_memory_limits *limits,
                  uint64_t kib)
{
    struct ctl_domain_info info = {.domid = domid};
    char name[CTL_NAME_MAX], value[SIZE_TEXT], now[SIZE_TEXT];
    struct json_out *o;

    ctl_domain_info(cli->ctl, domid, &info, NULL);
    print_name(name, &info);
    if (!cli->json) {
        printf("%s: memory %s %s; it has %s\n", name, what, size_text(value, kib), size_text(now, limits->now_kib));
        return EXIT_OK;
    }
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.memory/1");
    json_out_uint(o, "domid", domid);
    json_out_str(o, "name", name);
    json_out_uint(o, "memory_kib", limits->now_kib);
    json_out_uint(o, "target_kib", limits->target_kib);
    json_out_uint(o, "most_kib", limits->most_kib);
    json_out_uint(o, "limit_kib", limits->limit_kib);
    json_out_close(o);
    return cli_json(cli, o);
}

typedef int set_fn(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err);

static int change(struct cli *cli, const struct cli_args *args, const char *what, set_fn *set)
{
    const char *subject = args->operand[0];
    struct ctl_memory_limits limits;
    struct ctl_error err = {0};
    uint64_t kib = 0;
    uint32_t domid;
    int rc = parse(cli, args, &kib);

    if (rc)
        return rc;
    if (cli_domain(cli, subject, &domid))
        return EXIT_FAILED;
    if (set == ctl_memory_set_target && cli_hears(cli, subject, domid))
        return EXIT_FAILED;
    if (domid == 0 && kib < LEAST_HOST_KIB)
        return cli_usage(cli, "%s: the control domain needs 128 MiB at least", args->operand[1]);
    if (set(cli->ctl, domid, kib, &err) < 0 || ctl_memory_limits(cli->ctl, domid, &limits, &err) < 0)
        return cli_fail(cli, subject, &err, domid);
    return report(cli, domid, what, &limits, kib);
}

int cmd_mem_set(struct cli *cli, const struct cli_args *args)
{
    return change(cli, args, "target", ctl_memory_set_target);
}

int cmd_mem_max(struct cli *cli, const struct cli_args *args)
{
    return change(cli, args, "limit", ctl_memory_set_limit);
}
