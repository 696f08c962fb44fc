/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs about memory and what is known of it, over a libctl that is a stand-in (fake_ctl.c) but for target.c, which is
 * the real one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <xen/sched.h>

#include "cli/cli.h"
#include "cli/events.h"
#include "cli/metrics.h"
#include "cli_run.h"
#include "fake_ctl.h"

/* --- mem-set, mem-max ------------------------------------------------------------------------------------------------
 */

/* web1 has 256 MiB, and may have 512. */
static void give_nodes(void)
{
    assert_int_equal(ctl_store_write(NULL, "/local/domain/3/memory/target", "262144", NULL), 0);
    assert_int_equal(ctl_store_write(NULL, "/local/domain/3/memory/static-max", "524288", NULL), 0);
}

static void target_is(const char *kib, uint64_t limit)
{
    assert_string_equal(fake_node("/local/domain/3/memory/target"), kib);
    assert_int_equal(fake->domains[1].maxmem_kib, limit);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *size, *target, *shown;
    } cases[] = {
        {"128", "131072", "128 MiB"},    {"64m", "65536", "64 MiB"},         {"65540k", "65540", "65540 KiB"},
        {"100MiB", "102400", "100 MiB"}, {"65540KIB", "65540", "65540 KiB"}, {"4", "4096", "4 MiB"},
        {"512M", "524288", "512 MiB"},
    };
    static const char *const bad[] = {"0",
                                      "3",
                                      "-1",
                                      "1.5G",
                                      "12x",
                                      "",
                                      "4097k",
                                      "0x100",
                                      "99999999999999999",
                                      "5t",
                                      "M",
                                      "1 G",
                                      "128mb",
                                      "%s",
                                      "99999999999999t",
                                      "18014398509481984k"};

    give_nodes();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[64], said[96];

        snprintf(line, sizeof(line), "mem-set web1 %s", cases[i].size);
        assert_int_equal(umbra(line), 0);
        snprintf(said, sizeof(said), "web1: memory target %s; it has 256 MiB\n", cases[i].shown);
        assert_string_equal(out, said);
        target_is(cases[i].target, strtoull(cases[i].target, NULL, 10) + 1024);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *argv[] = {"umbra", "mem-set", "web1", (char *)bad[i]};
        char line[64];

        snprintf(line, sizeof(line), "mem-set web1 %s", bad[i]);
        assert_int_equal(*bad[i] && !strchr(bad[i], ' ') ? umbra(line) : cli_main(4, argv), 2);
        target_is("524288", 525312);
    }
}

static void test_target_json(void **state)
{
    give_nodes();
    assert_int_equal(umbra("--json mem-set web1 300"), 0);
    assert_string_equal(out, "{\n  \"schema\": \"umbra.memory/1\",\n  \"domid\": 3,\n  \"name\": \"web1\",\n"
                             "  \"memory_kib\": 262144,\n  \"target_kib\": 307200,\n  \"most_kib\": 524288,\n"
                             "  \"limit_kib\": 308224\n}\n");
}

static void test_target_refused(void **state)
{
    give_nodes();
    assert_int_equal(umbra("mem-set web1 513"), 1);
    assert_non_null(strstr(err, "set the memory target: domain 3: 525312 KiB are more than its maxmem, 524288 KiB"));
    assert_int_equal(umbra("mem-set 4711 100"), 1);
    assert_non_null(strstr(err, "4711"));
    assert_int_equal(umbra("mem-set 0 127"), 2);
    assert_non_null(strstr(err, "128 MiB at least"));
    fake->act_fails = -EPERM;
    assert_int_equal(umbra("mem-set web1 100"), 1);
    fake->act_fails = 0;
    target_is("262144", 262144);
    /* the node cannot be written: the limit is as it was */
    fake->write_fails_at = fake->calls + 1;
    assert_int_equal(umbra("mem-set web1 100"), 1);
    assert_non_null(strstr(err, "write to xenstore"));
    target_is("262144", 262144);
    fake->write_fails_at = 0;
    fake->domains[1].dying = true;
    assert_int_equal(umbra("mem-set web1 100"), 1);
    target_is("262144", 262144);
}

/* A guest that was restored is to have what its configuration says, or what it has, if that is more. */
static void test_memory_kept(void **state)
{
    give_nodes();
    assert_int_equal(ctl_memory_keep(NULL, 3, 300 << 10, 512 << 10, NULL), 0);
    target_is("262144", 301 << 10);
    assert_int_equal(ctl_memory_keep(NULL, 3, 255 << 10, 512 << 10, NULL), 0); /* frames besides its memory */
    target_is("262144", 256 << 10);
    assert_int_equal(ctl_memory_keep(NULL, 3, 100 << 10, 512 << 10, NULL), 0);
    target_is("262144", 257 << 10);
    assert_int_equal(ctl_memory_keep(NULL, 3, 100 << 10, 200 << 10, NULL), 0);
    target_is("204800", 201 << 10);
    fake->write_fails_at = fake->calls + 1;
    assert_int_equal(ctl_memory_keep(NULL, 3, 100 << 10, 512 << 10, NULL), -EIO);
    fake->write_fails_at = 0;
    assert_int_equal(ctl_memory_keep(NULL, 9, 100 << 10, 200 << 10, NULL), -ESRCH);
    target_is("204800", 201 << 10);
}

/* What a domain was made for: its node, or the limit, if that is more or there is no node. */
static void test_memory_most(void **state)
{
    const struct ctl_domain_info *info = &fake->domains[1];

    assert_int_equal(ctl_memory_most_kib(NULL, info), 256 << 10);
    give_nodes();
    assert_int_equal(ctl_memory_most_kib(NULL, info), 512 << 10);
    fake->domains[1].maxmem_kib = 600 << 10;
    assert_int_equal(ctl_memory_most_kib(NULL, info), 600 << 10);
}

/* The host has 1000 MiB free: what a domain has already is not needed again. */
static void test_over_commit(void **state)
{
    give_nodes();
    assert_int_equal(ctl_store_write(NULL, "/local/domain/3/memory/static-max", "4194304", NULL), 0);
    assert_int_equal(umbra("mem-set web1 1256"), 0);
    assert_int_equal(umbra("mem-set web1 1257"), 1);
    assert_non_null(strstr(err, "need 1001 MiB more, overhead of 0 MiB included; free 1000 MiB, claimed of them 0 MiB, "
                                "promised to other domains 0 MiB"));
    assert_non_null(strstr(err, "hint: "));
    target_is("1286144", 1287168);
}

/* Another guest, which has 256 MiB, may have 4096, and was asked to have 856. */
static struct ctl_domain_info *give_promise(void)
{
    struct ctl_domain_info *other = fake_add(7, "other");

    give_nodes();
    assert_int_equal(ctl_store_write(NULL, "/local/domain/3/memory/static-max", "4194304", NULL), 0);
    assert_int_equal(ctl_store_write(NULL, "/local/domain/7/memory/target", "262144", NULL), 0);
    assert_int_equal(ctl_store_write(NULL, "/local/domain/7/memory/static-max", "4194304", NULL), 0);
    assert_int_equal(umbra("mem-set other 856"), 0);
    return other;
}

/* web1 has 256 MiB: is as much, of 1000 that are free, its to have, and not a MiB more? */
static void most_is(uint64_t mib, const char *promised)
{
    char line[64];

    assert_int_equal(umbra("mem-set web1 256"), 0);
    snprintf(line, sizeof(line), "mem-set web1 %llu", (unsigned long long)mib + 1);
    assert_int_equal(umbra(line), 1);
    assert_non_null(strstr(err, promised));
    target_is("262144", 263168);
    snprintf(line, sizeof(line), "mem-set web1 %llu", (unsigned long long)mib);
    assert_int_equal(umbra(line), 0);
}

/* What another guest was asked to take is not free before it has taken it, and it is its own to be asked for again. */
static void test_promised(void **state)
{
    struct ctl_domain_info *other = give_promise();

    most_is(656, "need 401 MiB more, overhead of 0 MiB included; free 1000 MiB, claimed of them 0 MiB, promised to "
                 "other domains 600 MiB");
    assert_int_equal(umbra("mem-set other 857"), 1);
    assert_non_null(strstr(err, "need 601 MiB more, overhead of 0 MiB included; free 1000 MiB, claimed of them 0 MiB, "
                                "promised to other domains 400 MiB"));
    assert_int_equal(umbra("mem-set other 856"), 0);
    other->memory_kib = 800 << 10; /* on its way */
    most_is(1200, "promised to other domains 56 MiB");
    other->memory_kib = 856 << 10; /* fulfilled; the stand-in's free memory stays as it is */
    most_is(1256, "promised to other domains 0 MiB");
    other->memory_kib = 900 << 10; /* it has some to give back, which is not free yet */
    most_is(1256, "promised to other domains 0 MiB");
}

/* To take less is possible whatever was promised, and takes a promise back. */
static void test_promise_taken_back(void **state)
{
    struct ctl_domain_info *other = give_promise();

    assert_int_equal(umbra("mem-set other 1256"), 0);
    assert_int_equal(umbra("mem-set web1 257"), 1);
    assert_int_equal(umbra("mem-set web1 256"), 0);
    assert_int_equal(umbra("mem-set web1 100"), 0);
    assert_int_equal(umbra("mem-set other 256"), 0);
    assert_int_equal(other->maxmem_kib, 257 << 10);
    most_is(1256, "promised to other domains 0 MiB");
}

/* No more than it could take: of one whose node is above its limit, that has a claim, or that has ended. */
static void test_promise_bounds(void **state)
{
    struct ctl_domain_info *other = give_promise();

    other->maxmem_kib = 300 << 10;
    most_is(1212, "promised to other domains 44 MiB");
    other->maxmem_kib = 857 << 10;
    other->outstanding_kib = 500 << 10;
    most_is(1156, "promised to other domains 100 MiB");
    other->outstanding_kib = 0;
    fake_stop(7, SHUTDOWN_suspend);
    most_is(656, "promised to other domains 600 MiB");
    fake_stop(7, SHUTDOWN_crash);
    most_is(1256, "promised to other domains 0 MiB");
    other->shutdown = false;
    other->dying = true;
    most_is(1256, "promised to other domains 0 MiB");
}

/* Numbers that are too large for any host, of domains without a limit, do not add up to none. */
static void test_promise_absurd(void **state)
{
    static const char *const nodes[] = {"/local/domain/0/memory/target", "/local/domain/7/memory/target"};
    struct ctl_domain_info *without[] = {&fake->domains[0], give_promise()};
    char kib[24];

    for (size_t i = 0; i < 2; i++) {
        without[i]->maxmem_kib = UINT64_MAX;
        snprintf(kib, sizeof(kib), "%llu", (1ull << 63) + without[i]->memory_kib);
        assert_int_equal(ctl_store_write(NULL, nodes[i], kib, NULL), 0);
    }
    assert_int_equal(umbra("mem-set web1 257"), 1);
    assert_non_null(strstr(err, "promised to other domains"));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(ctl_store_write(NULL, nodes[i], "many", NULL), 0);
    most_is(1256, "promised to other domains 0 MiB");
}

/* Nobody wrote the control domain's nodes. */
static void test_control_domain(void **state)
{
    fake->domains[0].maxmem_kib = UINT64_MAX;
    assert_int_equal(umbra("mem-set 0 1100000k"), 1);
    assert_non_null(strstr(err, "maxmem, 1048572 KiB"));
}

/* A node that is no number is none. */
static void test_hostile_nodes(void **state)
{
    static const char *const values[] = {"", "many", "12x", "-"};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ctl_store_write(NULL, "/local/domain/3/memory/static-max", values[i], NULL);
        assert_int_equal(umbra("mem-set web1 1000000"), 1);
        assert_non_null(strstr(err, "maxmem, 262144 KiB"));
    }
}

static void test_mem_max(void **state)
{
    give_nodes();
    assert_int_equal(umbra("mem-max web1 300"), 0);
    assert_string_equal(out, "web1: memory limit 300 MiB; it has 256 MiB\n");
    target_is("262144", 308224);
    assert_int_equal(umbra("mem-max web1 255"), 1);
    assert_non_null(strstr(err, "261120 KiB are less than its target, 262144 KiB"));
    target_is("262144", 308224);
}

/* --- dump-core -------------------------------------------------------------------------------------------------------
 */

static const char *contents(const char *name)
{
    static char text[64];
    FILE *f = fopen(name, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    text[n] = '\0';
    if (f)
        fclose(f);
    return f ? text : NULL;
}

static void test_dump(void **state)
{
    struct stat st;

    assert_int_equal(umbra("dump-core web1 core"), 0);
    assert_string_equal(out, "web1: 65536 pages and 2 vCPUs dumped to core, 1 MiB\n");
    assert_string_equal(contents("core"), "3 paused");
    assert_int_equal(stat("core", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_string_equal(fake->acts, "pause 3;unpause 3;");
    assert_int_equal(umbra("--json dump-core -l web1 core"), 0);
    assert_string_equal(out, "{\n  \"schema\": \"umbra.dump/1\",\n  \"domid\": 3,\n  \"file\": \"core\",\n"
                             "  \"bytes\": 6,\n  \"pages\": 65536,\n  \"vcpus\": 2\n}\n");
    assert_string_equal(contents("core"), "3 runs");
    assert_null(contents("core.partial"));
    unlink("core");
}

static void test_dump_failures(void **state)
{
    assert_int_equal(umbra("dump-core -c -r web1 core"), 2);
    assert_int_equal(umbra("dump-core 0 core"), 1);
    assert_int_equal(umbra("dump-core nobody core"), 1);
    assert_int_equal(umbra("dump-core web1 none/core"), 1);
    assert_non_null(strstr(err, "open the file: none/core"));
    assert_int_equal(umbra("dump-core web1 /dev/null"), 1);
    assert_non_null(strstr(err, "no regular file"));
    assert_string_equal(fake->acts, "");
    fake->dump_fails = -ENOSPC;
    assert_int_equal(umbra("dump-core web1 core"), 1);
    assert_string_equal(err, "umbra: dump-core: web1: write the core file: core: 1 MiB is written (No space left on "
                             "device)\nhint: free space\n");
    assert_string_equal(fake->acts, "pause 3;unpause 3;");
    assert_null(contents("core"));
    assert_null(contents("core.partial"));
    assert_int_equal(symlink("elsewhere", "core.partial"), 0); /* is not followed */
    assert_int_equal(umbra("dump-core web1 core"), 1);
    assert_null(contents("elsewhere"));
    unlink("core.partial");
}

/* --- metrics ---------------------------------------------------------------------------------------------------------
 */

#define WEB1 "{domid=\"3\",name=\"web1\",uuid=\"04000000-0000-0000-0000-000000000000\""

static bool has_line(const char *line)
{
    const char *at = out;
    size_t n = strlen(line);

    while ((at = strstr(at, line)) && !((at == out || at[-1] == '\n') && at[n] == '\n'))
        at++;
    return at != NULL;
}

static void test_metrics(void **state)
{
    static const char *const lines[] = {
        "# HELP umbra_host_cpus CPUs of the host.",
        "# TYPE umbra_host_cpus gauge",
        "umbra_host_cpus 4",
        "umbra_host_memory_bytes 4294967296",
        "umbra_host_memory_free_bytes 1048576000",
        "umbra_domains 2",
        "# TYPE umbra_domain_cpu_seconds_total counter",
        "umbra_domain_memory_bytes" WEB1 "} 268435456",
        "umbra_domain_cpu_seconds_total{domid=\"0\",name=\"Domain-0\",uuid=\"01000000-0000-0000-0000-000000000000\"} "
        "12.345678901",
        "umbra_domain_vcpu_seconds_total" WEB1 ",vcpu=\"0\"} 11.200000000",
        "umbra_domain_state" WEB1 ",state=\"blocked\"} 1",
        "umbra_domain_state" WEB1 ",state=\"paused\"} 0",
        "umbra_domain_exits_total" WEB1 ",reason=\"hlt\"} 1099511627776",
    };

    fake->domains[1].hvm = true;
    assert_int_equal(umbra("metrics"), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (!has_line(lines[i]))
            fail_msg("no line %s in\n%s", lines[i], out);
    }
    assert_int_equal(umbra("metrics --format=text"), 2);
    assert_int_equal(umbra("metrics --format=json -o file"), 2);
    assert_int_equal(umbra("metrics --format=json"), 0);
    assert_non_null(strstr(out, "\"schema\": \"umbra.metrics/1\""));
    assert_non_null(strstr(out, "\"billionths\": 345678901"));
}

/* Whatever a name is, a line stays a line. */
static void test_metrics_quoting(void **state)
{
    static const struct metric m = {"m", "help", false};
    struct metrics to = {.text = tmpfile()};
    char text[128];
    size_t n;

    metrics_put(&to, &m, (struct metric_label[]){{"a", "x\"y\\z\n"}, {"b", ""}, {0}}, 7, 1);
    metrics_put(&to, &m, NULL, 8, 0);
    metrics_end(&to);
    rewind(to.text);
    n = fread(text, 1, sizeof(text) - 1, to.text);
    text[n] = '\0';
    fclose(to.text);
    assert_string_equal(text, "# HELP m help\n# TYPE m gauge\nm{a=\"x\\\"y\\\\z\\n\",b=\"\"} 7.000000001\nm 8\n");
}

static void test_metrics_file(void **state)
{
    assert_int_equal(umbra("metrics -o figures"), 0);
    assert_string_equal(out, "");
    assert_non_null(strstr(contents("figures"), "# HELP umbra_build_info"));
    unlink("figures");
    assert_int_equal(umbra("metrics -o none/figures"), 1);
    assert_non_null(strstr(err, "open the file: none/figures"));
    assert_int_equal(mkdir("figures", 0700), 0);
    assert_int_equal(umbra("metrics -o figures"), 1);
    assert_non_null(strstr(err, "give the file its name: figures"));
    assert_null(contents("figures.partial"));
    rmdir("figures");
}

/* --- events ----------------------------------------------------------------------------------------------------------
 */

static char told[512];

static void note(void *ctx, const struct event *e)
{
    size_t n = strlen(told);

    snprintf(told + n, sizeof(told) - n, "%s%d:%s%s%s;", e->name, (int)e->domid, e->what, e->detail ? "=" : "",
             e->detail ? e->detail : "");
}

static const char *domains_differ(struct event_domain *a, int na, struct event_domain *b, int nb)
{
    *told = '\0';
    events_domains(&(struct event_view){.domains = a, .n = na}, &(struct event_view){.domains = b, .n = nb}, note,
                   NULL);
    return told;
}

static void test_event_domains(void **state)
{
    struct event_domain a = {.domid = 3, .name = "w", .paused = true}, b = a;

    assert_string_equal(domains_differ(&a, 1, &b, 1), "");
    assert_string_equal(domains_differ(NULL, 0, &b, 1), "w3:created;");
    b.paused = false;
    assert_string_equal(domains_differ(NULL, 0, &b, 1), "w3:created;w3:unpaused;");
    assert_string_equal(domains_differ(&a, 1, &b, 1), "w3:unpaused;");
    assert_string_equal(domains_differ(&b, 1, &a, 1), "w3:paused;");
    assert_string_equal(domains_differ(&b, 1, NULL, 0), "w3:destroyed;");
    b.reason = "crash";
    assert_string_equal(domains_differ(NULL, 0, &b, 1), "w3:created;w3:shutdown=crash;w3:unpaused;");
    assert_string_equal(domains_differ(&a, 1, &b, 1), "w3:shutdown=crash;w3:unpaused;");
    a = b;
    b.reason = NULL;
    assert_string_equal(domains_differ(&a, 1, &b, 1), "w3:resumed;");
    strcpy(b.name, "v");
    assert_string_equal(domains_differ(&a, 1, &b, 1), "v3:renamed=w;v3:resumed;");
    *a.name = '\0';
    assert_string_equal(domains_differ(&a, 1, &b, 1), "v3:named;v3:resumed;");
    a = b;
    b.dying = true;
    *b.name = '\0';
    assert_string_equal(domains_differ(&a, 1, &b, 1), "3:dying;");
    b = a;
    b.domid = 4;
    assert_string_equal(domains_differ(&a, 1, &b, 1), "v3:destroyed;v4:created;v4:unpaused;");
}

static void test_event_guests(void **state)
{
    struct event_guest a = {{1}, "w", GUEST_RUNNING}, b = a;
    struct event_view va = {.guests = &a, .n_guests = 1}, vb = {.guests = &b, .n_guests = 1}, nothing = {0};

    *told = '\0';
    events_guests(&va, &vb, note, NULL);
    assert_string_equal(told, "");
    b.phase = GUEST_REBOOTING;
    events_guests(&va, &vb, note, NULL);
    events_guests(&vb, &nothing, note, NULL);
    events_guests(&nothing, &va, note, NULL);
    assert_string_equal(told, "w-1:guest=rebooting;w-1:guest=gone;w-1:guest=running;");
}

static void watched(void)
{
    assert_int_equal(mkfifo("news", 0600), 0);
    assert_non_null(realpath("news", fake->events));
}

static void test_events(void **state)
{
    pid_t child;
    int status;

    watched();
    assert_int_equal(umbra("events --timeout 0 -p"), 0);
    assert_non_null(strstr(out, "Z Domain-0 (0): present\n"));
    assert_non_null(strstr(out, "Z web1 (3): present\n"));
    assert_int_equal(umbra("events --once --timeout 0"), 1);
    assert_non_null(strstr(err, "nothing happened"));
    assert_int_equal(umbra("events --timeout 1x"), 2);
    assert_int_equal(umbra("events --timeout -1"), 2);
    child = fork();
    if (child == 0) {
        usleep(100000);
        fake_stop(3, 3);
        _exit(0);
    }
    assert_int_equal(umbra("--json events --once --timeout 20"), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_non_null(strstr(out, "\"event\":\"shutdown\",\"domid\":3,\"name\":\"web1\","
                                "\"uuid\":\"04000000-0000-0000-0000-000000000000\",\"detail\":\"crash\"}\n"));
    assert_int_equal(out[strlen("{\"schema\":\"umbra.event/1\",\"time\":\"2026-11-26T20:41:00.123Z") - 1], 'Z');
    fake->store_fails = -EIO;
    assert_int_equal(umbra("events"), 1);
    assert_non_null(strstr(err, "xenstored does not answer"));
    unlink("news");
}

/* It dies while events are told: no watch fires then. */
static void test_events_end(void **state)
{
    pid_t child;

    watched();
    child = fork();
    if (child == 0) {
        usleep(700000);
        fake_add(9, "late");
        usleep(700000);
        fake->store_fails = -EIO;
        _exit(0);
    }
    assert_int_equal(umbra("events --timeout 60"), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_non_null(strstr(out, "late (9): created\n"));
    assert_non_null(strstr(err, "umbra: events: "));
    assert_non_null(strstr(err, "xenstored does not answer"));
    unlink("news");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sizes, cli_fresh),
        cmocka_unit_test_setup(test_target_json, cli_fresh),
        cmocka_unit_test_setup(test_target_refused, cli_fresh),
        cmocka_unit_test_setup(test_memory_kept, cli_fresh),
        cmocka_unit_test_setup(test_memory_most, cli_fresh),
        cmocka_unit_test_setup(test_over_commit, cli_fresh),
        cmocka_unit_test_setup(test_promised, cli_fresh),
        cmocka_unit_test_setup(test_promise_taken_back, cli_fresh),
        cmocka_unit_test_setup(test_promise_bounds, cli_fresh),
        cmocka_unit_test_setup(test_promise_absurd, cli_fresh),
        cmocka_unit_test_setup(test_control_domain, cli_fresh),
        cmocka_unit_test_setup(test_hostile_nodes, cli_fresh),
        cmocka_unit_test_setup(test_mem_max, cli_fresh),
        cmocka_unit_test_setup(test_dump, cli_fresh),
        cmocka_unit_test_setup(test_dump_failures, cli_fresh),
        cmocka_unit_test_setup(test_metrics, cli_fresh),
        cmocka_unit_test_setup(test_metrics_quoting, cli_fresh),
        cmocka_unit_test_setup(test_metrics_file, cli_fresh),
        cmocka_unit_test(test_event_domains),
        cmocka_unit_test(test_event_guests),
        cmocka_unit_test_setup(test_events, cli_fresh),
        cmocka_unit_test_setup(test_events_end, cli_fresh),
        cmocka_unit_test_setup(test_top_batch, cli_fresh),
        cmocka_unit_test_setup(test_top_devices, cli_fresh),
        cmocka_unit_test_setup(test_top_usage, cli_fresh),
        cmocka_unit_test_setup(test_top_live, cli_fresh),
        cmocka_unit_test_setup(test_top_signals, cli_fresh),
        cmocka_unit_test_setup(test_set_parameters, cli_fresh),
        cmocka_unit_test_setup(test_completion, cli_fresh),
        cmocka_unit_test_setup(test_completion_script, cli_fresh),
        cmocka_unit_test_setup(test_bug_info, cli_fresh),
        cmocka_unit_test_setup(test_autostart_links, cli_fresh),
        cmocka_unit_test_setup(test_autostart_renamed, cli_fresh),
        cmocka_unit_test_setup(test_autostart_forms, cli_fresh),
        cmocka_unit_test_setup(test_autostart_refused, cli_fresh),
        cmocka_unit_test_setup(test_autostart_relative, cli_fresh),
        cmocka_unit_test_setup(test_autostart_run, cli_fresh),
        cmocka_unit_test_setup(test_autostart_stop, cli_fresh),
    };

    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
