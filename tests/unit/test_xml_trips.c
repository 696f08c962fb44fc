/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/xml, at random: configurations go to XML and back without loss of what both can say, also those of the corpus;
 * whatever stands in a document is taken or told; documents with changed bytes are translated or refused.
 *
 * UMBRA_SEED repeats a walk: it is printed.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "xml/domain.h"
#include "xml_run.h"

#define CORPUS    "tests/corpus/config"
#define TRIPS     1500
#define INTRUDERS 3000
#define MUTANTS   6000

static uint64_t state_of_random;

static unsigned below(unsigned n)
{
    state_of_random = state_of_random * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state_of_random >> 33) % n;
}

static bool maybe(unsigned one_in)
{
    return below(one_in) == 0;
}

static void seeded(const char *test)
{
    const char *given = getenv("UMBRA_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 1000;

    printf("%s: UMBRA_SEED=%llu\n", test, (unsigned long long)seed);
    state_of_random = seed;
}

/* --- random configurations --- */

struct making {
    FILE *f;
    bool extras;     /* also what XML cannot say */
    unsigned extra;  /* how many such there are */
    unsigned number; /* of devices, so that no two have the same name */
};

static const char *one_of(const char *const list[], unsigned n)
{
    return list[below(n)];
}

#define ONE_OF(...) \
    one_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* A string of JSON that XML can have. */
static void put_text(FILE *f)
{
    fputc('"', f);
    for (unsigned n = below(12); n; n--)
        fputs(ONE_OF("a", "Z", "0", " ", "<", ">", "&", "'", "\\\"", "\\\\", "]]>", "\\t", "\\n", "\\r", "\xc3\xa9",
                     "\xe2\x82\xac", "\xf0\x9f\x90\xa7", "&amp;", "&#38;", "<!--", "%s", "=", "\x7f"),
              f);
    fputc('"', f);
}

/* The same where control characters are refused, and something has to be. */
static void put_word(FILE *f, const char *begin)
{
    fprintf(f, "\"%s", begin);
    for (unsigned n = below(8); n; n--)
        fputs(ONE_OF("a", "Z", "0", "<", ">", "&", "'", "\\\"", "\xc3\xa9", "\xf0\x9f\x90\xa7", "&#38;", ":", "/"), f);
    fputc('"', f);
}

static void put_size(FILE *f, const char *key, unsigned kib)
{
    if (kib % 1024 || maybe(3))
        fprintf(f, ",\"%s\":\"%u%s\"", key, kib, ONE_OF("K", "KiB"));
    else
        fprintf(f, ",\"%s\":%u", key, kib / 1024);
}

static void put_memory(FILE *f)
{
    unsigned memory = 4096 + 4 * below(1 << 18), more = maybe(2) ? 0 : 4 * below(1 << 18);
    unsigned which = below(3);

    if (which < 2)
        put_size(f, "memory", memory);
    if (which > 0)
        put_size(f, "maxmem", memory + more);
}

static unsigned put_vcpus(FILE *f)
{
    unsigned vcpus = 1 + below(8), most = vcpus + below(8), which = below(4);

    if (which & 1)
        fprintf(f, ",\"vcpus\":%u", vcpus);
    if (which & 2)
        fprintf(f, ",\"maxvcpus\":%u", most);
    return which & 2 ? most : which & 1 ? vcpus : 1;
}

static void put_cpus(FILE *f)
{
    if (maybe(2))
        fprintf(f, ",\"cpus\":\"%s\"",
                ONE_OF("all", "0", "0-3", "0-3,^2", "1,3,5,7", "all,^0", "^5,0-9,^8", "1023", "3,2,1", "0-0"));
}

static void extra(struct making *m, const char *text)
{
    if (!m->extras || !maybe(4))
        return;
    fputs(text, m->f);
    m->extra++;
}

/* qemu serves images in any case; a raw disk is served by it only if that is said, which XML has no place for. */
static void put_format(struct making *m)
{
    if (maybe(2))
        fprintf(m->f, ",\"format\":\"%s\"%s", ONE_OF("qcow2", "qcow2", "qcow", "vhd", "qed"),
                maybe(2) ? ",\"backendtype\":\"qdisk\"" : "");
    else if (maybe(2))
        fprintf(m->f, ",\"format\":\"raw\"%s", maybe(2) ? ",\"backendtype\":\"phy\"" : "");
    else
        extra(m, ",\"backendtype\":\"qdisk\"");
}

static void put_disk(struct making *m)
{
    FILE *f = m->f;

    fputs("{\"target\":", f);
    put_word(f, ONE_OF("/srv/", "/dev/vg/", "vg/", "/"));
    fprintf(f, ",\"vdev\":\"%s%c%s\"", m->number < 4 ? ONE_OF("xvd", "hd", "sd") : "xvd", 'a' + (int)m->number,
            maybe(3) ? "1" : "");
    m->number++;
    if (maybe(2))
        fprintf(f, ",\"access\":\"%s\"", ONE_OF("r", "ro", "w", "rw"));
    if (maybe(3))
        fprintf(f, ",\"discard\":%s", ONE_OF("true", "false"));
    if (maybe(3))
        fputs(",\"devtype\":\"disk\",\"backend\":\"Domain-0\"", f);
    put_format(m);
    extra(m, ",\"trusted\":false");
    extra(m, ",\"direct-io-safe\":true");
    fputc('}', f);
}

static void put_rate(FILE *f)
{
    static const char *const units[] = {"KB/s", "MB/s", "Mb/s", "KB/s@50ms"};

    fprintf(f, ",\"rate\":\"%u%s\"", 1 + below(40000), units[below(4)]);
}

static void put_vif(struct making *m)
{
    FILE *f = m->f;

    fputs("{\"type\":\"vif\"", f);
    if (maybe(2))
        fprintf(f, ",\"bridge\":\"%s%u\"", ONE_OF("br", "xenbr"), below(100));
    if (maybe(2))
        fprintf(f, ",\"mac\":\"00:16:3%c:%02x:%02X:01\"", maybe(2) ? 'e' : 'E', below(256), below(256));
    if (maybe(3)) {
        fputs(",\"script\":", f);
        put_word(f, "vif-");
    }
    if (maybe(3))
        fprintf(f, ",\"vifname\":\"%s%u\"", ONE_OF("web.", "vif", "tap-"), below(100));
    if (maybe(3))
        fprintf(f, ",\"ip\":\"%s\"", ONE_OF("10.0.0.1", "10.0.0.1/8", "::1", "10.0.0.1 fe80::1/64", "::ffff:1.2.3.4"));
    if (maybe(3))
        put_rate(f);
    if (maybe(3))
        fprintf(f, ",\"mtu\":%u", 68 + below(9000));
    extra(m, ",\"gatewaydev\":\"eth0\"");
    extra(m, ",\"trusted\":false");
    fputc('}', f);
}

static void put_devices(struct making *m, const char *key, unsigned n, void (*put)(struct making *m))
{
    if (maybe(3))
        return;
    fprintf(m->f, ",\"%s\":[", key);
    for (unsigned i = 0; i < n; i++) {
        fputs(i ? "," : "", m->f);
        put(m);
    }
    fputc(']', m->f);
}

static void put_boot(FILE *f)
{
    fputs(",\"kernel\":", f);
    put_word(f, "/boot/");
    if (maybe(2)) {
        fputs(",\"ramdisk\":", f);
        put_word(f, "r");
    }
    switch (below(4)) {
    case 0:
        fputs(",\"cmdline\":", f);
        put_text(f);
        return;
    case 1:
        fputs(",\"root\":", f);
        put_text(f);
        return;
    case 2:
        fputs(",\"root\":\"/dev/xvda1\",\"extra\":", f);
        put_text(f);
        return;
    }
}

static void put_actions(FILE *f)
{
    static const char *const keys[] = {"on_poweroff", "on_reboot", "on_crash"};

    for (int i = 0; i < 3; i++) {
        if (maybe(2))
            fprintf(f, ",\"%s\":\"%s\"", keys[i], ONE_OF("destroy", "restart", "preserve", "rename-restart"));
    }
}

static void put_tuning(FILE *f, unsigned vcpus)
{
    if (maybe(3))
        fprintf(f, ",\"cpu_weight\":%u", 1 + below(65535));
    if (maybe(3))
        fprintf(f, ",\"cap\":%u", below(100 * vcpus + 1));
}

/* To be freed. *extras: how many reports there are to be about it. */
static char *random_config(bool extras, unsigned *n_extras)
{
    struct making m = {.extras = extras};
    bool pvh = maybe(3);
    size_t len;
    char *text;

    m.f = open_memstream(&text, &len);
    assert_non_null(m.f);
    fprintf(m.f, "{\"name\":\"web%u\"", below(1000));
    if (pvh || maybe(2))
        fprintf(m.f, ",\"type\":\"%s\"", pvh ? "pvh" : "pv");
    if (pvh && maybe(2))
        fprintf(m.f, ",\"hap\":%s", ONE_OF("true", "false"));
    if (maybe(2))
        fprintf(m.f, ",\"uuid\":\"%08x-0000-4000-8000-%012x\"", below(1u << 30), 1 + below(1u << 30));
    put_memory(m.f);
    put_tuning(m.f, put_vcpus(m.f));
    put_cpus(m.f);
    put_boot(m.f);
    put_actions(m.f);
    put_devices(&m, "disk", below(5), put_disk);
    put_devices(&m, "vif", below(4), put_vif);
    extra(&m, ",\"x-note\":[1,{}]");
    extra(&m, ",\"on_watchdog\":\"preserve\"");
    extra(&m, ",\"on_host_shutdown\":\"save\"");
    extra(&m, ",\"max_grant_version\":1");
    fputc('}', m.f);
    fclose(m.f);
    *n_extras = m.extra;
    return text;
}

/* --- the same configuration? Of what XML can say, whatever the words --- */

static void load(const char *json, struct config *c)
{
    struct config_input in = {.file = "g.json", .text = (char *)json};
    struct diags d = {0};

    config_load(&in, c, &d);
    config_check_fit(c, &d);
    if (diags_failed(&d)) {
        diags_print(&d, stderr);
        fail_msg("%s", json);
    }
    diags_free(&d);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_cpus(const char *a, const char *b)
{
    uint8_t map[2][CONFIG_MAX_CPUS / 8];

    config_cpu_map(a ? a : "all", map[0]);
    config_cpu_map(b ? b : "all", map[1]);
    return memcmp(map[0], map[1], sizeof(map[0])) == 0;
}

static bool same_disk(const struct spec *a, const struct spec *b)
{
    struct ctl_disk x = spec_disk(a), y = spec_disk(b);

    return same_text(x.vdev, y.vdev) && same_text(x.target, y.target) && x.readonly == y.readonly &&
           x.no_discard == y.no_discard && x.format == y.format;
}

static bool same_vif(const struct spec *a, const struct spec *b)
{
    struct ctl_vif x = spec_vif(a), y = spec_vif(b);

    /* spec_vif() names a bridge where none is given, which is another thing: the settings decide there. */
    if (!same_text(spec_get(&vif_table, a, "bridge"), spec_get(&vif_table, b, "bridge")))
        return false;
    return memcmp(x.mac, y.mac, sizeof(x.mac)) == 0 && same_text(x.bridge, y.bridge) && same_text(x.ip, y.ip) &&
           same_text(x.vifname, y.vifname) && same_text(x.script, y.script) && x.mtu == y.mtu &&
           x.rate_bytes == y.rate_bytes && x.rate_usecs == y.rate_usecs;
}

static bool same_devices(const struct config *a, const struct config *b)
{
    if (a->disks.n != b->disks.n || a->vifs.n != b->vifs.n)
        return false;
    for (size_t i = 0; i < a->disks.n; i++) {
        if (!same_disk(&a->disks.list[i], &b->disks.list[i]))
            return false;
    }
    for (size_t i = 0; i < a->vifs.n; i++) {
        if (!same_vif(&a->vifs.list[i], &b->vifs.list[i]))
            return false;
    }
    return true;
}

static bool same_config(const struct config *a, const struct config *b)
{
    return same_text(a->name, b->name) && a->type == b->type && a->hap == b->hap &&
           memcmp(&a->uuid, &b->uuid, sizeof(a->uuid)) == 0 && a->memory == b->memory && a->maxmem == b->maxmem &&
           a->vcpus == b->vcpus && a->maxvcpus == b->maxvcpus && same_cpus(a->cpus, b->cpus) &&
           a->cpu_weight == b->cpu_weight && a->cap == b->cap && same_text(a->kernel, b->kernel) &&
           same_text(a->ramdisk, b->ramdisk) && same_text(a->cmdline, b->cmdline) && a->on_poweroff == b->on_poweroff &&
           a->on_reboot == b->on_reboot && a->on_crash == b->on_crash && same_devices(a, b);
}

/* JSON -> XML -> JSON -> XML: the second half is without a report, and the XML the same. */
static void trip(const char *json, unsigned n_reports, bool whole)
{
    struct outcome out = run_export(json, false), in, again;
    struct config before, after;

    if (!out.text || out.n != n_reports)
        fail_msg("%u reports, not %zu:\n%s\n%s", n_reports, out.n, out.reports, json);
    in = run_import(out.text, true);
    if (!in.text)
        fail_msg("%s\n%s\nis not taken back:\n%s", json, out.text, in.reports);
    again = run_export(in.text, true);
    if (!again.text || strcmp(again.text, out.text) != 0)
        fail_msg("%s\n%s\n%s\nis exported as\n%s", json, out.text, in.text, again.text ? again.text : again.reports);
    load(json, &before);
    load(in.text, &after);
    if (whole && !same_config(&before, &after))
        fail_msg("%s\n%s\ncomes back as\n%s", json, out.text, in.text);
    config_free(&before);
    config_free(&after);
    done(&out);
    done(&in);
    done(&again);
}

static void test_trips(void **state)
{
    seeded(__func__);
    for (int i = 0; i < TRIPS; i++) {
        unsigned n;
        char *json = random_config(i % 2, &n);

        trip(json, n, true);
        free(json);
    }
}

/* --- the corpus --- */

static char *read_text(const char *name)
{
    char path[300], *text = NULL;
    size_t len, got;
    FILE *in, *out;
    char block[512];

    snprintf(path, sizeof(path), CORPUS "/%s", name);
    in = fopen(path, "r");
    out = open_memstream(&text, &len);
    assert_non_null(in);
    while ((got = fread(block, 1, sizeof(block), in)) > 0)
        fwrite(block, 1, got, out);
    fclose(in);
    fclose(out);
    return text;
}

/* How many things in it XML cannot say. */
static unsigned unsaid(const char *name)
{
    static const struct {
        const char *name;
        unsigned n;
    } files[] = {
        {"good-all.json", 3}, /* x-note, on_watchdog, on_host_shutdown */
        {"good-devices.json", 6},
        {"good-pvh.json", 1}, /* shadow_memory */
        {"good-x-keys.json", 3},
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (strcmp(files[i].name, name) == 0)
            return files[i].n;
    }
    return 0;
}

static void test_corpus(void **state)
{
    DIR *dir = opendir(CORPUS);
    unsigned good = 0, bad = 0;

    if (!dir)
        fail_msg("%s is not here: this is to be started at the top of the tree", CORPUS);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *text = strstr(entry->d_name, ".json") ? read_text(entry->d_name) : NULL;

        if (strncmp(entry->d_name, "good-", 5) == 0) {
            print_message("%s\n", entry->d_name);
            trip(text, unsaid(entry->d_name), strcmp(entry->d_name, "good-devices.json") != 0);
            good++;
        } else if (strncmp(entry->d_name, "bad-", 4) == 0) {
            struct outcome r = run_export(text, false);

            assert_true(!r.text || strstr(entry->d_name, "only-parser"));
            done(&r);
            bad++;
        }
        free(text);
    }
    closedir(dir);
    assert_true(good > 15 && bad > 50);
}

/* --- what stands in a document is taken, or told --- */

static char *random_domain(void)
{
    unsigned n;
    char *json = random_config(false, &n), *text;
    struct outcome out = run_export(json, true);

    assert_non_null(out.text);
    text = strdup(out.text);
    done(&out);
    free(json);
    return text;
}

/* Any start tag: where its name ends. */
static size_t any_tag(const char *xml)
{
    size_t at;

    do {
        at = below((unsigned)strlen(xml));
    } while (xml[at] != '<' || xml[at + 1] == '/');
    return at + strcspn(xml + at, " />");
}

/* An attribute, or where the tag is not an empty element's, an element or a text, that nobody knows. */
static char *with_intruder(const char *xml, const char **expected)
{
    size_t at = any_tag(xml), end = at + strcspn(xml + at, ">");
    bool attr = xml[end - 1] == '/' || maybe(2);
    char *text = NULL;

    *expected = attr ? "/@zz: not carried over: a configuration has no place for it\n"
                     : "/zz: not carried over, with 1 element in it: a configuration has no place for it\n";
    if (asprintf(&text, "%.*s%s%s", (int)(attr ? at : end + 1), xml, attr ? " zz='1'" : "<zz y='1'><y/></zz>",
                 xml + (attr ? at : end + 1)) < 0)
        fail();
    return text;
}

static void test_intruders(void **state)
{
    seeded(__func__);
    for (int i = 0; i < INTRUDERS / 10; i++) {
        char *xml = random_domain();

        for (int k = 0; k < 10; k++) {
            const char *expected;
            char *text = with_intruder(xml, &expected);
            struct outcome r = run_import(text, false), s = run_import(text, true);

            if (r.n != 1 || !r.text || s.text || !strstr(r.reports, expected))
                fail_msg("%s\n%s", text, r.reports);
            done(&r);
            done(&s);
            free(text);
        }
        free(xml);
    }
}

/* --- hostile documents --- */

static const char sample[] =
    "<?xml version='1.0'?><!--c--><domain type='xen' id='3'><name>web1</name><memory unit='KiB'>65536</memory>"
    "<vcpu cpuset='0-3,^1' current='1'>2</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/><shares>5</shares>"
    "<global_quota>5000</global_quota></cputune><os><type arch='x86_64'>linux</type><kernel>/k&amp;&#65;</kernel>"
    "<cmdline><![CDATA[a]]> b</cmdline></os><devices><disk type='file'><source file='/a'/><target dev='xvda'/>"
    "<readonly/></disk><interface type='bridge'><source bridge='b'/><ip address='::1' family='ipv6'/>"
    "<bandwidth><outbound average='9'/></bandwidth></interface></devices></domain>";

static void mutate(char *text, size_t len)
{
    static const char bytes[] = "<>/='\"&;#!?[]-: \n\tax09\xc3\xff\x01%";

    for (unsigned n = 1 + below(4); n; n--) {
        size_t at = below((unsigned)len), from = below((unsigned)len), size = 1 + below(24);

        if (maybe(3) && at + size < len && from + size < len)
            memmove(text + at, text + from, size);
        else
            text[at] = maybe(8) ? (char)below(256) : bytes[below(sizeof(bytes))];
    }
}

/* In memory of its own size, in which a byte too many is noticed; its NUL does not count. */
static void test_mutants(void **state)
{
    unsigned whole = 0;

    seeded(__func__);
    for (int i = 0; i < MUTANTS; i++) {
        size_t len = maybe(4) ? 1 + below(sizeof(sample) - 1) : sizeof(sample) - 1;
        char *text = malloc(len + 1);
        struct xml_problem bad;
        struct xml_element *root;
        struct outcome r;

        memcpy(text, sample, len);
        mutate(text, len);
        text[len] = '\0';
        root = xml_parse(text, len, &bad);
        assert_true(root || bad.code);
        xml_free(root);
        r = run_import(text, false);
        assert_true(r.text || strstr(r.reports, ": error: "));
        whole += r.text != NULL;
        done(&r);
        free(text);
    }
    assert_in_range(whole, MUTANTS / 100, MUTANTS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_trips),
        cmocka_unit_test(test_intruders),
        cmocka_unit_test(test_mutants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
