/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli/config*.c and diag.c: the form of reports to the byte, all faults of a file in one run, suggestions,
 * overrides, defaults, and no crash on mutated files. libctl's judgement of files is replaced by a stand-in here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/config.h"

static char directory[64] = "/tmp/umbra-config-";
static char kernel[80];
static const char *build_fault; /* key that the stand-in finds at fault, or NULL */

int ctl_build_check(const struct ctl_domain_config *config, struct ctl_build_facts *facts, struct ctl_error *errors,
                    unsigned max)
{
    (void)config;
    (void)facts;
    if (!build_fault || !max)
        return 0;
    memset(&errors[0], 0, sizeof(errors[0]));
    errors[0].code = -EINVAL;
    snprintf(errors[0].field, sizeof(errors[0].field), "%s", build_fault);
    snprintf(errors[0].message, sizeof(errors[0].message), "no Xen notes in it");
    snprintf(errors[0].hint, sizeof(errors[0].hint), "use another");
    return 1;
}

struct outcome {
    struct config c;
    struct diags d;
    char *text; /* the reports, printed */
};

static const char *put_file(const char *text, size_t len)
{
    static char path[96];
    FILE *f;

    snprintf(path, sizeof(path), "%s/g.json", directory);
    f = fopen(path, "w");
    assert_non_null(f);
    fwrite(text, 1, len, f);
    fclose(f);
    return path;
}

static void run(struct outcome *r, const char *file, char *const *overrides, size_t n)
{
    struct config_input in = {.file = file, .overrides = overrides, .n_overrides = n, .first = 2};
    size_t len;
    FILE *f;

    memset(r, 0, sizeof(*r));
    config_load(&in, &r->c, &r->d);
    config_check(&r->c, &r->d);
    diags_sort(&r->d);
    f = open_memstream(&r->text, &len);
    diags_print(&r->d, f);
    fclose(f);
}

static void done(struct outcome *r)
{
    config_free(&r->c);
    diags_free(&r->d);
    free(r->text);
}

/* The label in reports is the path given: work in the directory, so that it is short and stable. */
static void expect_reports(const char *json, const char *reports)
{
    struct outcome r;

    put_file(json, strlen(json));
    run(&r, "g.json", NULL, 0);
    assert_string_equal(r.text, reports);
    done(&r);
}

static void test_everything_at_once(void **state)
{
    expect_reports("{\n"
                   "  \"name\": \"web 1\",\n"
                   "  \"vcups\": 2,\n"
                   "  \"memory\": \"12Q\",\n"
                   "\t\"on_reboot\": \"restrat\",\n"
                   "  \"kernel\": \"nowhere\",\n"
                   "  \"disk\": [\"phy:/dev/x,qcow3,w\"], \"vif\": [],\n"
                   "  \"bootloader\": \"pygrub\",\n"
                   "  \"type\": \"hvm\",\n"
                   "  \"memory\": 12,\n"
                   "  \"maxvcpus\": 1.5,\n"
                   "  \"vcpus\": \"2\",\n"
                   "  \"cap\": -3, \"x-mine\": {\"a\": [null]}\n"
                   "}\n",
                   "g.json:2:11: error: name: \"web 1\" is not a legal name: letters, digits and _ . + - only, the "
                   "first a letter, a digit or _\n"
                   "    2 |   \"name\": \"web 1\",\n"
                   "      |           ^~~~~~~\n"
                   "g.json:3:3: error: vcups: unknown key; did you mean \"vcpus\"?\n"
                   "    3 |   \"vcups\": 2,\n"
                   "      |   ^~~~~~~\n"
                   "g.json:4:13: error: memory: \"12Q\" is not a size; write MiB as a bare number, or a string like "
                   "\"512M\" or \"2G\"\n"
                   "    4 |   \"memory\": \"12Q\",\n"
                   "      |             ^~~~~\n"
                   "g.json:5:15: error: on_reboot: \"restrat\" is not one of destroy, restart, preserve, "
                   "rename-restart; did you mean "
                   "\"restart\"?\n"
                   "    5 | \t\"on_reboot\": \"restrat\",\n"
                   "      | \t             ^~~~~~~~~\n"
                   "g.json:6:13: error: kernel: \"nowhere\" cannot be read: No such file or directory\n"
                   "    6 |   \"kernel\": \"nowhere\",\n"
                   "      |             ^~~~~~~~~\n"
                   "g.json:7:12: error: disk[0]: vdev: \"qcow3\" is not the name of a virtual disk; write it as "
                   "xvda to xvdz, or xvda1 for a partition; hda and sda are possible, too\n"
                   "    7 |   \"disk\": [\"phy:/dev/x,qcow3,w\"], \"vif\": [],\n"
                   "      |            ^~~~~~~~~~~~~~~~~~~~\n"
                   "g.json:8:3: error: bootloader: this key of xl.cfg(5) is not supported yet\n"
                   "    8 |   \"bootloader\": \"pygrub\",\n"
                   "      |   ^~~~~~~~~~~~\n"
                   "g.json:9:11: error: type: \"hvm\" is not supported yet\n"
                   "    9 |   \"type\": \"hvm\",\n"
                   "      |           ^~~~~\n"
                   "g.json:10:3: error: memory: given before\n"
                   "   10 |   \"memory\": 12,\n"
                   "      |   ^~~~~~~~\n"
                   "g.json:11:15: error: maxvcpus: 1.5 is not a whole number\n"
                   "   11 |   \"maxvcpus\": 1.5,\n"
                   "      |               ^~~\n"
                   "g.json:12:12: error: vcpus: must be a number, not a string\n"
                   "   12 |   \"vcpus\": \"2\",\n"
                   "      |            ^~~\n"
                   "g.json:13:10: error: cap: -3 is out of range: 0 to 6400\n"
                   "   13 |   \"cap\": -3, \"x-mine\": {\"a\": [null]}\n"
                   "      |          ^~\n");
}

static void test_whole_file_reports(void **state)
{
    struct outcome r;

    expect_reports("", "g.json: error: there is no JSON document in it\n");
    expect_reports("[]", "g.json:1:1: error: a configuration is an object, not a list\n"
                         "    1 | []\n"
                         "      | ^~\n");
    expect_reports("{}", "g.json: error: name: required key is missing\n"
                         "g.json: error: kernel: required key is missing\n"
                         "g.json: error: memory: required key is missing\n");
    expect_reports("{} {}", "g.json:1:4: error: data after the end of the document\n"
                            "    1 | {} {}\n"
                            "      |    ^\n");
    expect_reports("{\"name\": \"a\xff\"}", "g.json:1:12: error: not valid UTF-8\n"
                                            "    1 | {\"name\": \"a?\"}\n"
                                            "      |            ^\n");
    run(&r, "absent.json", NULL, 0);
    assert_string_equal(r.text, "absent.json: error: cannot be read: No such file or directory\n");
    done(&r);
    run(&r, ".", NULL, 0);
    assert_string_equal(r.text, ".: error: cannot be read: Is a directory\n");
    done(&r);
}

/* Columns count characters; what could command a terminal is not printed; long lines are cut around the place. */
static void test_excerpts(void **state)
{
    char line[400], *at;
    struct outcome r;

    expect_reports(
        "{\"x-\xc3\xa9\": 1, \"\\u001b[2J\": 2, \"name\": \"a\", \"kernel\": \"k\", \"memory\": 64}\n",
        "g.json:1:12: error: ?[2J: unknown key\n"
        "    1 | {\"x-\xc3\xa9\": 1, \"\\u001b[2J\": 2, \"name\": \"a\", \"kernel\": \"k\", \"memory\": 64}\n"
        "      |            ^~~~~~~~~~~\n");
    memset(line, ' ', sizeof(line));
    memcpy(line, "{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64,", 37);
    memcpy(line + 300, "\"vcpu\":2}", 10);
    put_file(line, strlen(line));
    run(&r, "g.json", NULL, 0);
    assert_non_null(strstr(r.text, "g.json:1:301: error: vcpu: unknown key; did you mean \"vcpus\"?\n    1 | ..."));
    at = strrchr(r.text, '^');
    assert_non_null(at);
    assert_true(strlen(at) < 10 && strlen(r.text) < 400);
    done(&r);
}

static const char *valid(const char *more)
{
    static char text[512];

    snprintf(text, sizeof(text), "{\"name\":\"web1\",\"kernel\":\"k\",\"memory\":256%s}", more);
    return text;
}

static void test_defaults(void **state)
{
    struct outcome r;
    struct ctl_domain_config b;

    put_file(valid(""), strlen(valid("")));
    run(&r, "g.json", NULL, 0);
    assert_string_equal(r.text, "");
    assert_false(diags_failed(&r.d));
    b = config_build(&r.c);
    assert_string_equal(b.name, "web1");
    assert_string_equal(b.kernel, "k");
    assert_null(b.ramdisk);
    assert_null(b.cmdline);
    assert_int_equal(b.memory_kib, 256 * 1024);
    assert_int_equal(b.maxmem_kib, 256 * 1024);
    assert_int_equal(b.vcpus, 1);
    assert_int_equal(b.maxvcpus, 1);
    assert_int_equal(b.grant_version, 2);
    assert_int_equal(b.on_poweroff, CTL_ACTION_DESTROY);
    assert_int_equal(b.on_reboot, CTL_ACTION_RESTART);
    assert_int_equal(b.on_crash, CTL_ACTION_DESTROY);
    assert_int_equal(b.on_watchdog, CTL_ACTION_DESTROY);
    done(&r);
}

static void expect_one(const char *more, const char *message)
{
    struct outcome r;

    put_file(valid(more), strlen(valid(more)));
    run(&r, "g.json", NULL, 0);
    if (!message) {
        assert_string_equal(r.text, "");
    } else {
        assert_int_equal(r.d.n, 1);
        assert_string_equal(r.d.list[0].message, message);
    }
    done(&r);
}

static void test_values(void **state)
{
    expect_one(",\"maxmem\":\"1G\"", NULL);
    expect_one(",\"maxmem\":\"1GiB\"", NULL);
    expect_one(",\"maxmem\":\"262144K\"", NULL);
    expect_one(",\"maxmem\":\"262145K\"", "\"262145K\" is not a multiple of 4 KiB");
    expect_one(",\"maxmem\":\"1g\"", "\"1g\" is not a size");
    expect_one(",\"maxmem\":\"1.5G\"", "\"1.5G\" is not a size");
    expect_one(",\"maxmem\":\"512\"", "\"512\" is not a size");
    expect_one(",\"maxmem\":\"\"", "\"\" is not a size");
    expect_one(",\"maxmem\":99999999999999999999", "99999999999999999999 is out of range: 4 MiB to 4096 GiB");
    expect_one(",\"maxmem\":\"999999999999999G\"", "\"999999999999999G\" is out of range: 4 MiB to 4096 GiB");
    expect_one(",\"maxmem\":-1", "-1 is out of range: 4 MiB to 4096 GiB");
    expect_one(",\"maxmem\":128", "128 MiB is less than memory, 256 MiB");
    expect_one(",\"maxmem\":true", "must be a number (MiB) or a string with a unit, not true or false");
    expect_one(",\"vcpus\":0", "0 is out of range: 1 to 64");
    expect_one(",\"vcpus\":64,\"cap\":6400", NULL);
    expect_one(",\"maxvcpus\":65", "65 is out of range: 1 to 64");
    expect_one(",\"vcpus\":4,\"maxvcpus\":2", "2 is less than vcpus, 4");
    expect_one(",\"vcpus\":2,\"maxvcpus\":4", NULL);
    expect_one(",\"uuid\":\"6f1a9d2e-3b4c-4d5e-8f60-718293a4b5c6\"", NULL);
    expect_one(",\"uuid\":\"6f1a9d2e\"", "\"6f1a9d2e\" is not a uuid");
    expect_one(",\"uuid\":\"00000000-0000-0000-0000-000000000000\"",
               "\"00000000-0000-0000-0000-000000000000\" is what domains without a uuid have");
    expect_one(",\"cpus\":\"0-3,^1\"", NULL);
    expect_one(",\"cpus\":\"3-1\"", "\"3-1\" is not a list of host CPUs");
    expect_one(",\"cpus\":\"^1\"", "\"^1\" is not a list of host CPUs");
    expect_one(",\"cmdline\":\"a\\u0000b\"", "\"a\\u0000b\" contains a NUL character");
    expect_one(",\"ramdisk\":\"\"", "\"\" is not the name of a file");
    expect_one(",\"ramdisk\":\".\"", "\".\" is not a regular file");
    expect_one(",\"on_crash\":\"coredump-restart\"", "\"coredump-restart\" is not supported yet");
    expect_one(",\"type\":\"pv\",\"version\":1,\"$schema\":\"s\",\"cpu_weight\":256,\"cap\":0,\"disk\":[]", NULL);
    expect_one(",\"cpu_weight\":512,\"cap\":100", NULL);
    expect_one(",\"cpu_weight\":0", "0 is out of range: 1 to 65535");
    expect_one(",\"cap\":150,\"vcpus\":2", NULL);
    expect_one(",\"cap\":101", "101 is more than 100 for each of 1 virtual CPUs");
    expect_one(",\"version\":2", "2 is out of range: 1 to 1");
    expect_one(",\"max_grant_version\":1", NULL);
    expect_one(",\"max_grant_version\":3", "3 is out of range: 1 to 2");
    expect_one(",\"root\":\"/dev/xvda1\",\"cmdline\":\"quiet\"", "ignored because cmdline is given");
    expect_one(",\"type\":\"pvh\",\"hap\":false,\"shadow_memory\":8", NULL);
    expect_one(",\"type\":\"pvh\",\"hap\":0", "0 is taken for false");
    expect_one(",\"type\":\"pvh\",\"hap\":1", "1 is taken for true");
    expect_one(",\"type\":\"pvh\",\"hap\":2", "must be true or false, not a number");
    expect_one(",\"type\":\"pvh\",\"hap\":\"0\"", "must be true or false, not a string");
    expect_one(",\"type\":\"pvh\",\"shadow_memory\":0", "0 is out of range: 1 MiB to 4096 GiB");
    expect_one(",\"hap\":true", "ignored because the type is not pvh");
    expect_one(",\"shadow_memory\":8", "ignored because the type is not pvh");
    expect_one(",\"vif\":{}", "must be a list, not an object");
}

/* It says which package has the file, if it is GRUB's; only of a file that is not there. */
static void test_grub_is_missing(void **state)
{
    static const char text[] = "{\"name\":\"g\",\"memory\":64,\"kernel\":\"/usr/lib/grub-xen/nothing.bin\"}";
    struct outcome r;

    put_file(text, strlen(text));
    run(&r, "g.json", NULL, 0);
    assert_int_equal(r.d.n, 1);
    assert_string_equal(r.d.list[0].message,
                        "\"/usr/lib/grub-xen/nothing.bin\" cannot be read: No such file or directory");
    assert_string_equal(r.d.list[0].hint, "install the package grub-xen-host");
    done(&r);
}

/* Devices as objects and as strings; what is printed of them is read back. */
static void test_devices(void **state)
{
    char device[256];

    snprintf(device, sizeof(device), ",\"disk\":[{\"target\":\"%s\",\"vdev\":\"xvda\",\"discard\":true}]", kernel);
    expect_one(device, NULL);
    snprintf(device, sizeof(device), ",\"disk\":[\"%s,,xvda\",{\"target\":\"%s\",\"vdev\":\"xvda\"}]", kernel, kernel);
    expect_one(device, "vdev: another disk has it");
    expect_one(",\"disk\":[3]", "must be an object or a string, not a number");
    expect_one(",\"disk\":[\"/nowhere,,xvda\"]", "target: \"/nowhere\" cannot be used: No such file or directory");
    expect_one(",\"disk\":[\"/,,xvda\"]", "target: \"/\" cannot be used: it is neither a file nor a block device");
    expect_one(",\"disk\":[\"script=x,vdev=xvda,target=what/ever\"]", NULL);
    expect_one(",\"disk\":[{\"target\":\"/x\",\"vdev\":\"xvda\",\"format\":\"qcow3\"}]",
               "\"qcow3\" is not one of raw, qcow, qcow2, vhd, qed");
    expect_one(",\"disk\":[{\"target\":\"/x\",\"vdev\":\"xvda\",\"format\":\"qed\",\"backendtype\":\"phy\"}]",
               "backendtype: phy has disks of format raw only");
    expect_one(",\"disk\":[{\"target\":\"/x\",\"vdev\":\"xvda\",\"discard\":3}]",
               "must be true or false, not a number");
    expect_one(",\"disk\":[{\"target\":\"/x\\u0000\",\"vdev\":\"xvda\"}]", "contains a NUL character");
    expect_one(",\"disk\":[{\"vdev\":\"xvda\"}]", "target: it is missing");
    expect_one(",\"vif\":[{},\"\",{\"mac\":\"00:16:3e:00:00:01\",\"mtu\":1400,\"devid\":4}]", NULL);
    expect_one(",\"vif\":[{\"devid\":4},\"devid=4\"]", "devid: another network interface has it");
    expect_one(",\"vif\":[{\"mtu\":\"1400\"}]", "must be a number, not a string");
    expect_one(",\"vif\":[{\"brige\":\"x\"}]", "unknown key of a vif");
}

static void test_names(void **state)
{
    static const char *const bad[] = {
        "",   "a b",      "a/b",      "-a",  ".",
        "12", "Domain-0", "\xc3\xa9", "a:b", "0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const good[] = {"a", "_", "9x", "web-1.example+2",
                                       "012345678901234567890123456789012345678901234567890123456789abc"};
    struct outcome r;
    char text[256];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "{\"name\":\"%s\",\"kernel\":\"k\",\"memory\":64}", bad[i]);
        put_file(text, strlen(text));
        run(&r, "g.json", NULL, 0);
        assert_int_equal(r.d.n, 1);
        assert_string_equal(r.d.list[0].code, "E_NAME");
        done(&r);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), "{\"name\":\"%s\",\"kernel\":\"k\",\"memory\":64}", good[i]);
        put_file(text, strlen(text));
        run(&r, "g.json", NULL, 0);
        assert_int_equal(r.d.n, 0);
        done(&r);
    }
}

static void test_overrides(void **state)
{
    char *const good[] = {"name=\"db 1\"",       "name=\"db1\"",  "memory=\"1G\"", "vcpus = 2",
                          "on_crash='preserve'", "cmdline=a=b c", "extra=5",       "cpus=1"};
    struct outcome r;

    put_file(valid(""), strlen(valid("")));
    run(&r, "g.json", good + 1, 7);
    assert_string_equal(r.text, "argument 7: warning: extra: ignored because cmdline is given\n"
                                "      | extra=5\n"
                                "      |       ^\n");
    assert_string_equal(r.c.name, "db1");
    assert_int_equal(r.c.memory, 1 << 20);
    assert_int_equal(r.c.maxmem, 1 << 20);
    assert_int_equal(r.c.vcpus, 2);
    assert_int_equal(r.c.on_crash, CTL_ACTION_PRESERVE);
    assert_string_equal(r.c.cmdline, "a=b c");
    assert_string_equal(r.c.extra, "5");
    assert_string_equal(r.c.cpus, "1");
    done(&r);
    run(&r, "g.json", good, 1);
    assert_string_equal(r.text,
                        "argument 2: error: name: \"db 1\" is not a legal name: letters, digits and _ . + - only, the "
                        "first a letter, a digit or _\n"
                        "      | name=\"db 1\"\n"
                        "      |      ^~~~~~\n");
    done(&r);
}

static void test_bad_overrides(void **state)
{
    char *const bad[] = {"memroy=1",  "memory=1Q", "vcpus=[1]",      "=3",
                         "disk[0]=1", "vcpus=two", "memory=128\xff", "disk=[ 'phy:/x,qcow2,w' ]"};
    struct outcome r;

    put_file(valid(""), strlen(valid("")));
    run(&r, "g.json", bad, 8);
    assert_string_equal(
        r.text,
        "argument 2: error: memroy: unknown key; did you mean \"memory\"?\n"
        "      | memroy=1\n"
        "      | ^~~~~~\n"
        "argument 3: error: memory: 1Q is not a size; write MiB as a bare number, or a string like \"512M\" or \"2G\"\n"
        "      | memory=1Q\n"
        "      |        ^~\n"
        "argument 4: error: vcpus: must be a number, not a list\n"
        "      | vcpus=[1]\n"
        "      |       ^~~\n"
        "argument 5: error: \"=3\" is not of the form key=value\n"
        "      | =3\n"
        "      | ^\n"
        "argument 6: error: disk[0]: unknown key; did you mean \"disk\"?\n"
        "      | disk[0]=1\n"
        "      | ^~~~~~~\n"
        "argument 7: error: vcpus: must be a number, not a string\n"
        "      | vcpus=two\n"
        "      |       ^~~\n"
        "argument 8: error: \"memory=128?\" is not of the form key=value\n"
        "      | memory=128?\n"
        "      | ^~~~~~\n"
        "argument 9: error: disk: vdev: \"qcow2\" is not the name of a virtual disk; write it as xvda to xvdz, or "
        "xvda1 for a partition; hda and sda are possible, too\n"
        "      | disk=[ 'phy:/x,qcow2,w' ]\n"
        "      |        ^~~~~~~~~~~~~~~~\n");
    done(&r);
}

/* There is nothing that it could add to but what the file says, which an argument does not see. */
static void test_override_adds(void **state)
{
    char *const adds[] = {"disk+=['/x,,xvda']", "extra += 'x'"};
    struct outcome r;

    put_file(valid(""), strlen(valid("")));
    run(&r, "g.json", adds, 2);
    assert_string_equal(r.text, "argument 2: error: += is possible in a file alone: give the whole value\n"
                                "      | disk+=['/x,,xvda']\n"
                                "      | ^~~~~\n"
                                "argument 3: error: += is possible in a file alone: give the whole value\n"
                                "      | extra += 'x'\n"
                                "      | ^~~~~~~\n");
    done(&r);
}

/* Each has a number of its own, and there are 256. */
static void test_many_vifs(void **state)
{
    for (int n = 256; n < 258; n++) {
        char text[1024] = "{\"name\":\"web1\",\"kernel\":\"k\",\"memory\":256,\"vif\":[{}";
        struct outcome r;

        for (int i = 1; i < n; i++)
            strcat(text, ",{}");
        strcat(text, "]}");
        put_file(text, strlen(text));
        run(&r, "g.json", NULL, 0);
        assert_int_equal(r.d.n, n - 256);
        if (r.d.n) {
            assert_string_equal(r.d.list[0].code, "E_SIZE");
            assert_string_equal(r.d.list[0].message, "more than 256 network interfaces");
        } else {
            assert_int_equal(config_devices_fill(&r.c.vifs), 0);
            for (size_t i = 0; i < r.c.vifs.n; i++)
                assert_int_equal(spec_vif(&r.c.vifs.list[i]).devid, i);
        }
        done(&r);
    }
}

static void test_allow_unknown(void **state)
{
    struct config_input in = {.file = "g.json", .allow_unknown = true};
    struct diags d = {0};
    struct config c;

    put_file(valid(",\"vcups\":2"), strlen(valid(",\"vcups\":2")));
    config_load(&in, &c, &d);
    config_check(&c, &d);
    assert_int_equal(d.n, 1);
    assert_true(d.list[0].warning);
    assert_false(diags_failed(&d));
    config_free(&c);
    diags_free(&d);
}

/* As xl has them, for whoever translates by eye. */
static void test_numbers_for_booleans(void **state)
{
    char *const words[] = {"hap=0"};
    char more[160];
    struct outcome r;

    snprintf(more, sizeof(more), ",\"type\":\"pvh\",\"disk\":[{\"target\":\"%s\",\"vdev\":\"xvda\",\"discard\":1}]",
             kernel);
    put_file(valid(more), strlen(valid(more)));
    run(&r, "g.json", words, 1);
    assert_false(diags_failed(&r.d));
    assert_int_equal(r.d.n, 1); /* words of the command line are as xl has them anyway */
    assert_string_equal(r.d.list[0].code, "W_BOOLEAN");
    assert_non_null(strstr(r.text, "warning: disk[0].discard: 1 is taken for true"));
    assert_int_equal(r.c.hap, CONFIG_FALSE);
    done(&r);
}

/* A file of nothing but faults takes neither long nor much room. */
static void test_many_faults(void **state)
{
    size_t room = 200000, n = 1;
    char *text = malloc(room);
    struct outcome r;

    text[0] = '{';
    for (int i = 0; i < 4000; i++)
        n += (size_t)snprintf(text + n, room - n, "%s\"vcpu%d\":%d", i ? "," : "", i, i);
    text[n++] = '}';
    put_file(text, n);
    run(&r, "g.json", NULL, 0);
    assert_int_equal(r.d.n, DIAG_MAX);
    assert_int_equal(r.d.errors, 4003); /* and three keys that are missing */
    assert_non_null(strstr(r.text, "3803 more are not shown\n"));
    done(&r);
    n = 1;
    for (int i = 0; i < JSON_MAX_ITEMS + 1; i++)
        n += (size_t)snprintf(text + n, room - n, "%s\"x-%d\":%d", i ? "," : "", i, i);
    text[n++] = '}';
    put_file(text, n);
    run(&r, "g.json", NULL, 0);
    assert_non_null(strstr(r.text, "too many items in one list or object\n"));
    done(&r);
    free(text);
}

/* What the library finds is placed at its key; not if the key is at fault already. */
static void test_build_check(void **state)
{
    build_fault = "kernel";
    expect_one("", "no Xen notes in it");
    expect_reports("{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64}",
                   "g.json:1:22: error: kernel: no Xen notes in it; use another\n"
                   "    1 | {\"name\":\"a\",\"kernel\":\"k\",\"memory\":64}\n"
                   "      |                      ^~~\n");
    expect_reports("{\"name\":\"a\",\"kernel\":5,\"memory\":64}",
                   "g.json:1:22: error: kernel: must be a string, not a number\n"
                   "    1 | {\"name\":\"a\",\"kernel\":5,\"memory\":64}\n"
                   "      |                      ^\n");
    build_fault = NULL;
}

static void test_reports_as_json(void **state)
{
    struct json_out *o = json_out_new(false);
    struct outcome r;
    char *text;

    put_file("{\"name\":\"a\",\n\"kernel\":\"k\",\"memory\":\"x\"}", 39);
    run(&r, "g.json", NULL, 0);
    json_out_array(o, NULL);
    diags_json(&r.d, o);
    json_out_close(o);
    text = json_out_end(o);
    assert_string_equal(text,
                        "[{\"file\":\"g.json\",\"line\":2,\"col\":23,\"pointer\":\"/memory\",\"severity\":\"error\","
                        "\"code\":\"E_VALUE\",\"message\":\"\\\"x\\\" is not a size\",\"hint\":\"write MiB as a bare "
                        "number, or a string like \\\"512M\\\" or \\\"2G\\\"\"}]\n");
    free(text);
    done(&r);
}

/* The printed configuration is itself a valid one, and prints as itself. */
static void prints_as(const char *input, const char *printed)
{
    for (int round = 0; round < 2; round++) {
        struct json_out *o = json_out_new(false);
        struct outcome r;
        char *text;

        put_file(input, strlen(input));
        run(&r, "g.json", NULL, 0);
        assert_string_equal(r.text, "");
        config_json(&r.c, o, NULL);
        text = json_out_end(o);
        assert_string_equal(text, printed);
        free(text);
        done(&r);
        input = printed;
    }
}

static void test_printed_configuration(void **state)
{
    static const char more[] = ",\"maxmem\":\"300000K\",\"vcpus\":2,\"maxvcpus\":4,\"root\":\"/dev/xvda1 ro\","
                               "\"extra\":\"console=hvc0\",\"cpus\":\"0-1\",\"on_reboot\":\"destroy\","
                               "\"uuid\":\"6f1a9d2e-3b4c-4d5e-8f60-718293a4b5c6\",\"x-note\":1";
    static const char printed[] =
        "{\"version\":1,\"name\":\"web1\",\"type\":\"pv\",\"uuid\":\"6f1a9d2e-3b4c-4d5e-8f60-718293a4b5c6\","
        "\"memory\":256,\"maxmem\":\"300000K\",\"vcpus\":2,\"maxvcpus\":4,\"kernel\":\"k\","
        "\"cmdline\":\"root=/dev/xvda1 ro console=hvc0\",\"on_poweroff\":\"destroy\",\"on_reboot\":\"destroy\","
        "\"on_crash\":\"destroy\",\"on_watchdog\":\"destroy\",\"on_host_shutdown\":\"shutdown\","
        "\"cpus\":\"0-1\",\"cpu_weight\":256,\"cap\":0,\"max_grant_version\":2}\n";
    static const char pvh[] =
        "{\"version\":1,\"name\":\"web1\",\"type\":\"pvh\",\"memory\":256,\"maxmem\":256,\"vcpus\":1,\"maxvcpus\":1,"
        "\"kernel\":\"k\",\"on_poweroff\":\"destroy\",\"on_reboot\":\"restart\",\"on_crash\":\"destroy\","
        "\"on_watchdog\":\"destroy\",\"on_host_shutdown\":\"shutdown\",\"cpus\":\"all\",\"cpu_weight\":256,\"cap\":0,"
        "\"max_grant_version\":2,"
        "\"hap\":false,\"shadow_memory\":8}\n";

    prints_as(valid(more), printed);
    prints_as(pvh, pvh);
}

static void test_suggestions(void **state)
{
    assert_string_equal(config_key_suggest("vcups"), "vcpus");
    assert_string_equal(config_key_suggest("memroy"), "memory");
    assert_string_equal(config_key_suggest("onreboot"), "on_reboot");
    assert_string_equal(config_key_suggest("ram_disk"), "ramdisk");
    assert_string_equal(config_key_suggest("Kernel"), "kernel");
    assert_null(config_key_suggest("colour"));
    assert_null(config_key_suggest(""));
    assert_null(config_key_suggest("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"));
}

static void test_cpu_map(void **state)
{
    uint8_t map[CONFIG_MAX_CPUS / 8];

    assert_int_equal(config_cpu_map("0-3,9,^1", map), 0);
    assert_int_equal(map[0], 0x0d);
    assert_int_equal(map[1], 0x02);
    assert_int_equal(config_cpu_map("all,^0", map), 0);
    assert_int_equal(map[0], 0xfe);
    assert_int_equal(config_cpu_map("1024", map), -ERANGE);
    assert_int_equal(config_cpu_map("99999999999999999999", map), -ERANGE);
    assert_int_equal(config_cpu_map("", map), -EINVAL);
    assert_int_equal(config_cpu_map("1,", map), -EINVAL);
    assert_int_equal(config_cpu_map("1 ", map), -EINVAL);
    assert_int_equal(config_cpu_map("-1", map), -EINVAL);
    assert_int_equal(config_cpu_map("allx", map), -EINVAL);
}

/* Mutated files and overrides: any outcome but a crash, and nothing leaks. */
static void test_mutations(void **state)
{
    static const char alphabet[] = "{}[]\",:\\u0019.eE+-KMGtfn \n\xc3\xa9\xff=";
    unsigned int random = 4711;
    char seed[512], override[32];
    char *const overrides[] = {override};

    snprintf(seed, sizeof(seed), "%s",
             valid(",\"maxmem\":\"1G\",\"vcpus\":2,\"on_crash\":\"restart\",\"cpus\":\"0-3,^1\","
                   "\"uuid\":\"6f1a9d2e-3b4c-4d5e-8f60-718293a4b5c6\",\"x-a\":[{}]"));
    for (int round = 0; round < 3000; round++) {
        char text[sizeof(seed)];
        size_t len = strlen(seed);
        struct outcome r;

        memcpy(text, seed, sizeof(text));
        snprintf(override, sizeof(override), "memory=\"512M\"");
        for (int k = 0; k < 1 + round % 5; k++) {
            random = random * 1103515245u + 12345u;
            text[(random >> 8) % len] = alphabet[(random >> 20) % (sizeof(alphabet) - 1)];
            override[(random >> 12) % 13] = alphabet[(random >> 16) % (sizeof(alphabet) - 1)];
        }
        if (round % 4 == 0)
            len = (random >> 4) % len;
        put_file(text, len);
        run(&r, "g.json", overrides, 1);
        done(&r);
    }
}

static int setup(void **state)
{
    FILE *f;

    memset(directory + strlen(directory), 'X', 6); /* mkdtemp() replaces these */
    if (!mkdtemp(directory) || chdir(directory))
        return -1;
    snprintf(kernel, sizeof(kernel), "%s/k", directory);
    f = fopen(kernel, "w");
    return f ? fclose(f) : -1;
}

static int teardown(void **state)
{
    unlink("k");
    unlink("g.json");
    return chdir("/") || rmdir(directory) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_whole_file_reports),
        cmocka_unit_test(test_excerpts),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_grub_is_missing),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_bad_overrides),
        cmocka_unit_test(test_override_adds),
        cmocka_unit_test(test_many_vifs),
        cmocka_unit_test(test_allow_unknown),
        cmocka_unit_test(test_numbers_for_booleans),
        cmocka_unit_test(test_build_check),
        cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_reports_as_json),
        cmocka_unit_test(test_printed_configuration),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_cpu_map),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
