// SPDX-License-Identifier: BSD-2-Clause
/*
 * umbra.conf over a libctl that is a stand-in: what each key does, what wins over it, and that nothing is done when
 * something in it is wrong. Those of `migrate` are in test_migrate.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli_run.h"
#include "fake_ctl.h"

#define CONF  "umbra.conf"
#define GUEST "\"name\":\"web2\",\"kernel\":\"k\",\"memory\":64"

static void put(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void has(const char *text, const char *wanted, const char *line)
{
    if (!strstr(text, wanted))
        fail_msg("%s: \"%s\" is not in:\n%s", line, wanted, text);
}

/* No file: what `create` does without a word. Then the key alone; against one of the guest's file; against the command
 * line. */
void test_settings_of_guests(void **state)
{
    static const char *const keys[][5] = {
        /* name, value, its key in a guest's configuration, the default, another value */
        {"on_crash", "\"preserve\"", "\"on_crash\": ", "\"destroy\"", "\"restart\""},
        {"on_host_shutdown", "\"save\"", "\"on_host_shutdown\": ", "\"shutdown\"", "\"shutdown\""},
        {"max_grant_version", "1", "\"max_grant_version\": ", "2", "2"},
    };
    char text[256], line[128], wanted[96];

    put("k", "");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *const *k = keys[i];

        unlink(CONF);
        put("g.json", "{" GUEST "}");
        snprintf(wanted, sizeof(wanted), "%s%s", k[2], k[3]);
        assert_int_equal(umbra("create -n g.json"), 0);
        has(out, wanted, k[0]);
        snprintf(text, sizeof(text), "{\"%s\": %s}", k[0], k[1]);
        put(CONF, text);
        snprintf(wanted, sizeof(wanted), "%s%s", k[2], k[1]);
        assert_int_equal(umbra("create -n g.json"), 0);
        has(out, wanted, k[0]);
        snprintf(wanted, sizeof(wanted), "%s%s", k[2], k[4]);
        snprintf(line, sizeof(line), "create -n g.json %s=%s", k[0], k[4]);
        assert_int_equal(umbra(line), 0);
        has(out, wanted, line);
        snprintf(text, sizeof(text), "{" GUEST ",\"%s\":%s}", k[0], k[4]);
        put("g.json", text);
        assert_int_equal(umbra("create -n g.json"), 0);
        has(out, wanted, "g.json");
    }
    unlink(CONF);
}

/* What is created has it in its record, so that a reboot, a save or a move does not ask again. */
void test_settings_of_networks(void **state)
{
    put("k", "");
    put("g.json", "{" GUEST ",\"vif\":[{}, \"bridge=br7,script=mine,gatewaydev=eth7\"]}");
    put(CONF,
        "{\"vif.default.bridge\": \"lan0\", \"vif.default.script\": \"/a/vif\", \"vif.default.gatewaydev\": \"eth0\"}");
    assert_int_equal(umbra("create -eq g.json"), 0);
    assert_string_equal(fake->devices[0].device.bridge, "lan0");
    assert_string_equal(fake->devices[0].device.script, "/a/vif");
    assert_string_equal(fake->devices[1].device.bridge, "br7");
    assert_string_equal(fake->devices[1].device.script, "mine");
    assert_int_equal(umbra("network-attach web1"), 0);
    assert_int_equal(umbra("network-attach web1 bridge=br8 gatewaydev=eth8"), 0);
    assert_string_equal(fake->devices[2].device.bridge, "lan0");
    assert_string_equal(fake->devices[3].device.bridge, "br8");
    assert_string_equal(fake->devices[3].device.script, "/a/vif");
    assert_int_equal(umbra("block-attach web1 /dev/x,,xvda"), 0);
    assert_string_equal(fake->devices[4].device.script, "");
    assert_int_equal(umbra("network-attach web2"), 0);
    unlink(CONF);
    assert_int_equal(umbra("config get web2 vif"), 0);
    has(out, "\"bridge\": \"lan0\",\n    \"gatewaydev\": \"eth0\",\n    \"script\": \"/a/vif\",\n    \"devid\": 0",
        "vif");
    has(out, "\"bridge\": \"br7\",\n    \"gatewaydev\": \"eth7\",\n    \"script\": \"mine\",\n    \"devid\": 1", "vif");
    has(out, "\"bridge\": \"lan0\",\n    \"gatewaydev\": \"eth0\",\n    \"script\": \"/a/vif\",\n    \"devid\": 2",
        "vif");
    assert_int_equal(umbra("network-attach web1"), 0);
    assert_string_equal(fake->devices[fake->n_devices - 1].device.bridge, "xenbr0");
}

static const char *const broken[][2] = {
    {"{", CONF ":1:2: error: "},
    {"", CONF ":"},
    {"[]", CONF ":1:1: error: a configuration is an object, not a list"},
    {"{\n  \"vif.default.brigde\": \"lan0\"}",
     CONF ":2:3: error: vif.default.brigde: unknown key; did you mean \"vif.default.bridge\"?"},
    {"{\"frob\": 1}", CONF ":1:2: error: frob: unknown key\n"},
    {"{\"memory\": 64}", "memory: unknown key\n"},
    {"{\"on_crash\\u0000\": \"destroy\"}", "unknown key"},
    {"{\"autoballoon\": \"off\"}", "autoballoon: this key of xl.conf(5) is not supported\n"},
    {"{\"on_crash\": \"destroy\", \"on_crash\": \"restart\"}", "on_crash: given before"},
    {"{\"on_crash\": \"expldoe\"}",
     CONF ":1:14: error: on_crash: \"expldoe\" is not one of destroy, restart, preserve"},
    {"{\"on_host_shutdown\": true}", "on_host_shutdown: must be a string, not true or false"},
    {"{\"max_grant_version\": 3}", "max_grant_version: 3 is out of range: 1 to 2"},
    {"{\"vif.default.bridge\": \"a b\"}",
     CONF ":1:24: error: vif.default.bridge: \"a b\" is not the name of a network interface\n"},
    {"{\"vif.default.gatewaydev\": 3}", "vif.default.gatewaydev: must be a string, not a number"},
    {"{\"vif.default.script\": \"\"}", "vif.default.script: \"\" is empty"},
    {"{\"vif.default.script\": \"a\\u0000\"}", "vif.default.script: \"a\" contains a NUL character"},
    {"{\"vif.default.script\": \"a\\u0007\"}", "vif.default.script: it contains a control character"},
    {"{\"migrate.transport\": \"\"}", "migrate.transport: \"\" is empty"},
    {"{\"migrate.key\": \"\"}", "migrate.key: \"\" is empty"},
    {"{\"migrate.max_downtime\": \"8d\"}", "migrate.max_downtime: \"8d\" is not a time: a number with ms, s, m or h"},
    {"{\"migrate.bandwidth\": \"1\"}", "migrate.bandwidth: \"1\" is not a number of bytes a second"},
    {"{\"migrate.bandwidth\": \"2\", \"frob\": 1, \"migrate.key\": 2}", "frob: unknown key"},
};

/* By the verbs that read it, before they do anything; the others do not mind. */
void test_settings_broken(void **state)
{
    static const char *const readers[] = {"create -eq g.json",
                                          "create -n g.json",
                                          "network-attach web1",
                                          "migrate web1 west",
                                          "migrate-receive -L 127.0.0.1:7 -k k",
                                          "config settings"};

    put("k", "");
    put("g.json", "{" GUEST "}");
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        put(CONF, broken[i][0]);
        assert_int_equal(umbra(readers[i % 3]), 2);
        has(err, broken[i][1], broken[i][0]);
    }
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        assert_int_equal(umbra(readers[i]), 2);
        assert_string_equal(out, "");
        has(err, "migrate.bandwidth: \"2\" is not", readers[i]);
        has(err, "frob: unknown key", readers[i]);
        has(err, "migrate.key: must be a string", readers[i]);
    }
    assert_int_equal(umbra("--json create g.json"), 2);
    has(err, "\"pointer\": \"/migrate.bandwidth\"", "--json");
    assert_string_equal(fake->acts, "");
    assert_int_equal(fake->n, 2);
    assert_int_equal(fake->n_devices, 0);
    assert_int_equal(umbra("list"), 0);
    assert_int_equal(umbra("config validate g.json"), 0);
    assert_int_equal(umbra("block-attach web1 /dev/x,,xvda"), 0);
    unlink(CONF);
    assert_int_equal(mkdir(CONF, 0700), 0);
    assert_int_equal(umbra("create -n g.json"), 2);
    has(err, CONF ": error: cannot be read: Is a directory", "create");
    rmdir(CONF);
}

/* What is in force is a file that says the same. */
void test_settings_shown(void **state)
{
    static const char defaults[] = "{\n"
                                   "  \"vif.default.bridge\": \"xenbr0\",\n"
                                   "  \"vif.default.script\": \"vif-bridge\",\n"
                                   "  \"max_grant_version\": 2,\n"
                                   "  \"on_crash\": \"destroy\",\n"
                                   "  \"on_host_shutdown\": \"shutdown\",\n"
                                   "  \"migrate.transport\": \"ssh\",\n"
                                   "  \"migrate.max_downtime\": \"300ms\"\n"
                                   "}\n";
    char all[sizeof(out)];

    fake->present = false;
    assert_int_equal(umbra("config settings"), 0);
    assert_string_equal(out, defaults);
    put(CONF, out);
    assert_int_equal(umbra("config settings"), 0);
    assert_string_equal(out, defaults);
    put(CONF,
        "{\"x-why\": [1], \"migrate.key\": \"/k\", \"migrate.bandwidth\": \"10M\", \"migrate.transport\": \"tcp\","
        " \"vif.default.gatewaydev\": \"eth0\"}");
    assert_int_equal(umbra("config settings"), 0);
    has(out, "\"vif.default.gatewaydev\": \"eth0\",\n  \"max_grant_version\": 2,", "settings");
    has(out,
        "\"migrate.transport\": \"tcp\",\n  \"migrate.key\": \"/k\",\n  \"migrate.max_downtime\": \"300ms\",\n"
        "  \"migrate.bandwidth\": \"10M\"\n}\n",
        "settings");
    snprintf(all, sizeof(all), "%s", out);
    put(CONF, all);
    assert_int_equal(umbra("config settings"), 0);
    assert_string_equal(out, all);
    unlink(CONF);
}
