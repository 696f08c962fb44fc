// SPDX-License-Identifier: BSD-2-Clause
/* The verb config over a libctl that is a stand-in: which actions there are, what they print, where, and exit codes. */
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

static void put(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void prints(const char *line, int rc, const char *output)
{
    assert_int_equal(umbra(line), rc);
    assert_string_equal(out, output);
}

static void says(const char *text)
{
    if (!strstr(err, text))
        fail_msg("\"%s\" is not in:\n%s", text, err);
}

void test_config_usage(void **state)
{
    assert_int_equal(umbra("config frob"), 2);
    says("umbra: config: frob: not something config can do; there are validate, convert, ");
    assert_int_equal(umbra("config validate"), 2);
    says("umbra: config: validate: no file is named\n");
    assert_int_equal(umbra("config convert"), 2);
    says("umbra: config: convert: no file is named\n");
    assert_int_equal(umbra("config convert a b"), 2);
    says("umbra: config: convert: b: one operand too many\n");
    assert_int_equal(umbra("config schema g.json"), 2);
    says("umbra: config: schema: g.json: one operand too many\n");
}

void test_config_schema(void **state)
{
    fake->present = false;
    assert_int_equal(umbra("config schema"), 0);
    assert_non_null(strstr(out, "https://json-schema.org/draft/2020-12/schema"));
}

void test_config_validate(void **state)
{
    fake->present = false;
    put("k", "");
    put("g.json", "{\"name\":\"web2\",\"kernel\":\"k\",\"memory\":64,\"cpus\":\"0\"}");
    put("bad.json", "{");
    prints("config validate g.json", 0, "g.json: valid\n");
    prints("config validate -q g.json bad.json", 2, "");
    assert_int_equal(umbra("config validate bad.json g.json --json"), 2);
    assert_non_null(strstr(out, "\"file\": \"g.json\",\n      \"valid\": true,\n      \"diagnostics\": []"));
    assert_string_equal(err, "");
}

/* Either form gives the same; what is dropped is told, and is an error if that is asked for. */
void test_config_convert(void **state)
{
    static const char json[] = "{\n  \"name\": \"web2\",\n  \"memory\": 64,\n  \"hap\": true\n}\n";

    fake->present = false;
    put("g.cfg", "name = 'web2'\nmemory = 64; hap = 1\nbootloader = 'pygrub'\n");
    prints("config convert g.cfg", 0, json);
    says("g.cfg:3:1: warning: bootloader: this key of xl.cfg(5) is not supported yet\n");
    prints("config convert -s g.cfg", 2, "");
    says("g.cfg:3:1: error: bootloader: ");
    put("g.json", json);
    prints("config convert g.json", 0, json);
    assert_string_equal(err, "");
    put("g.json", "{\"name\": \"web2\", \"x-a\": [1], \"x-b\": 2, \"vcups\": 3}");
    prints("config convert g.json", 2, "");
    prints("config convert -U g.json", 0, "{\n  \"name\": \"web2\",\n  \"x-a\": [\n    1\n  ],\n  \"x-b\": 2\n}\n");
    prints("config convert absent.cfg", 2, "");
    says("absent.cfg: error: cannot be read");
    unlink("g.cfg");
}

/* `create` takes xl's form and the overrides; strict makes of warnings errors. */
void test_create_from_xl(void **state)
{
    put("k", "");
    put("g.cfg", "name = 'web2'\nkernel='k'\nmemory=64\nvcups=3\ntype='pvh'\n");
    assert_int_equal(umbra("create -n g.cfg vcpus=2 hap=0 maxmem=0x80"), 0);
    assert_non_null(strstr(out, "\"vcpus\": 2,\n"));
    assert_non_null(strstr(out, "\"hap\": false"));
    assert_non_null(strstr(out, "\"maxmem\": 128,\n"));
    says("g.cfg:4:1: warning: vcups: unknown key; did you mean \"vcpus\"?\n");
    assert_int_equal(umbra("create -n --strict g.cfg"), 2);
    assert_string_equal(out, "");
    says("g.cfg:4:1: error: vcups: unknown key; did you mean \"vcpus\"?\n");
    put("g.cfg", "name = web2\n");
    assert_int_equal(umbra("create g.cfg"), 2);
    says("g.cfg:1:8: error: expected a value: a string needs quotes; it is read as xl.cfg(5)");
    assert_string_equal(fake->acts, "");
    unlink("g.cfg");
}

/* Of a guest, what it was created with, defaults and all; of a file, what it says. */
void test_config_get(void **state)
{
    put("k", "");
    put("g.json", "{\"name\":\"web2\",\"kernel\":\"k\",\"memory\":64,\"cmdline\":\"a\\u0007\\\"\",\"vif\":[{}]}");
    assert_int_equal(umbra("create -eq g.json vcpus=2 vif=[]"), 0);
    prints("config get web2 vcpus", 0, "2\n");
    prints("config get web2 name", 0, "web2\n");
    prints("config get web2 on_reboot", 0, "restart\n");
    assert_int_equal(umbra("config get web2"), 0);
    assert_non_null(strstr(out, "  \"memory\": 64,\n"));
    assert_int_equal(mkdir("web2", 0700), 0); /* no file, and so the guest is meant */
    prints("config get web2 vcpus", 0, "2\n");
    rmdir("web2");
    assert_int_equal(umbra("save web2 saved"), 0);
    fake->present = false;
    prints("config get saved vcpus", 0, "2\n");
    prints("config get ./saved name", 0, "web2\n");
    assert_int_equal(truncate("saved", 40), 0);
    prints("config get saved name", 1, "");
    says("umbra: config: saved: ");
    unlink("saved");
    fake->present = true;
    assert_int_equal(umbra("create -eq g.json vif=[]"), 0);
    assert_int_equal(umbra("rename web2 shop"), 0);
    prints("config get shop name", 0, "shop\n");
    assert_int_equal(umbra("save shop saved"), 0);
    prints("config get saved name", 0, "shop\n");
    assert_int_equal(umbra("restore -eq saved"), 0);
    assert_int_equal(umbra("domid shop"), 0);
    unlink("saved");
    fake->present = false;
    prints("config get g.json memory", 0, "64\n");
    prints("config get ./g.json cmdline", 0, "a?\"\n");
    prints("config get --json g.json cmdline", 0, "\"a\\u0007\\\"\"\n");
    prints("config get g.json vif", 0, "[\n  {}\n]\n");
    put("g.cfg", "name='web3'\nvcpus='3'\n");
    prints("config get g.cfg", 0, "{\n  \"name\": \"web3\",\n  \"vcpus\": 3\n}\n");
    unlink("g.cfg");
}

void test_config_get_failures(void **state)
{
    put("g.json", "{\"name\":\"web2\"}");
    put("bad.json", "{");
    prints("config get", 2, "");
    says("umbra: config: get: neither a guest nor a file is named\n");
    prints("config get g.json name x", 2, "");
    says("umbra: config: get: x: one operand too many\n");
    prints("config get g.json vcups", 2, "");
    says("umbra: config: get: vcups: not a key of configurations; did you mean \"vcpus\"?\n");
    prints("config get g.json vcpus", 1, "");
    says("umbra: config: g.json: get the configuration: vcpus: the key is not given");
    prints("config get bad.json", 2, "");
    says("bad.json:1:2: error: ");
    prints("config get ./absent.json", 2, "");
    says("./absent.json: error: cannot be read");
    prints("config get nobody", 1, "");
    says("umbra: config: nobody: get the configuration: there is neither a file nor a guest of umbra's of that name");
}

/* umbra-xml is looked for beside the program itself, where a test's program has none. */
void test_config_without_xml(void **state)
{
    fake->present = false;
    prints("config import-xml g.xml", 1, "");
    says("umbra: config: run umbra-xml: umbra-xml is not installed (No such file or directory)\n"
         "hint: it is installed beside umbra, and needs libxml2\n");
    prints("config export-xml --json -s -U g.json", 1, "");
    says("\"run umbra-xml\"");
    prints("config export-xml", 2, "");
    says("umbra: config: export-xml: no file is named\n");
    prints("config import-xml a b", 2, "");
    says("umbra: config: import-xml: b: one operand too many\n");
}
