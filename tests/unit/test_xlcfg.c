/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli/xlcfg*.c: the form of xl.cfg(5) gives the configuration that the same words give in JSON; which form a file
 * has; the form of reports to the byte; limits; no crash on mutated files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/xlcfg.h"

static char directory[64] = "/tmp/umbra-xlcfg-";

int ctl_build_check(const struct ctl_domain_config *config, struct ctl_build_facts *facts, struct ctl_error *errors,
                    unsigned max)
{
    return 0;
}

struct outcome {
    struct config c;
    struct diags d;
    char *text; /* the reports, printed */
};

static void put_file(const char *name, const char *text, size_t len)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fwrite(text, 1, len, f);
    fclose(f);
}

static void load(struct outcome *r, const char *name, bool strict)
{
    struct config_input in = {.file = name};
    size_t len;
    FILE *f;

    memset(r, 0, sizeof(*r));
    r->d.strict = strict;
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

/* The reports, and what is left as JSON (NULL: it is not looked at). */
static void expect(const char *text, const char *reports, const char *json)
{
    struct outcome r;

    put_file("g.cfg", text, strlen(text));
    load(&r, "g.cfg", false);
    assert_string_equal(r.text, reports);
    if (json) {
        struct json_out *o = json_out_new(false);
        char *given;

        config_given_json(&r.c, o);
        given = json_out_end(o);
        assert_string_equal(given, json);
        free(given);
    }
    done(&r);
}

#define LEAST "name='a'\nkernel='k'\nmemory=64\n"

static void test_whole_file(void **state)
{
    expect("# A guest, as xl has it.\n"
           "\n"
           "name = \"web1\"   # its name\n"
           "type='pvh'\r\n"
           "\tuuid = \"6f1a9d2e3b4c4d5e8f60718293a4b5c6\"\n"
           "kernel = 'k'; ramdisk = \"k\"\n"
           "extra = \"console=hvc0 # no comment; \\\"quoted\\\"\"\n"
           "root='/dev/xvda1 ro'\n"
           "memory = \"512\" ;\n"
           "maxmem=0x400\n"
           "vcpus=2 ; maxvcpus=010\n"
           "cpus=1\n"
           "cpu_weight = '512'\n"
           "hap = 0\n"
           "disk = [\n"
           "]\n"
           "vif = [ ]\n"
           "on_crash = 'preserve'",
           "",
           "{\"name\":\"web1\",\"type\":\"pvh\",\"uuid\":\"6f1a9d2e-3b4c-4d5e-8f60-718293a4b5c6\",\"kernel\":\"k\","
           "\"ramdisk\":\"k\",\"extra\":\"console=hvc0 # no comment; \\\"quoted\\\"\",\"root\":\"/dev/xvda1 ro\","
           "\"memory\":512,\"maxmem\":1024,\"vcpus\":2,\"maxvcpus\":8,\"cpus\":\"1\",\"cpu_weight\":512,\"hap\":false,"
           "\"disk\":[],\"vif\":[],\"on_crash\":\"preserve\"}\n");
}

static void test_escapes(void **state)
{
    expect(LEAST "cmdline=\"a\\tb\\\\c\\'d\\\"e'f\"", "",
           "{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64,\"cmdline\":\"a\\tb\\\\c'd\\\"e'f\"}\n");
    expect(LEAST "cmdline=\"a\\q\"",
           "g.cfg:4:11: error: unknown escape sequence in a string; it is read as xl.cfg(5), since it does not begin "
           "with \"{\"\n"
           "    4 | cmdline=\"a\\q\"\n"
           "      |           ^~\n",
           NULL);
}

static void test_added_to(void **state)
{
    expect(LEAST "cmdline='a '\ncmdline+='b'\ncmdline += \"\"\nextra+=''\n",
           "g.cfg:7:8: warning: extra: ignored because cmdline is given\n"
           "    7 | extra+=''\n"
           "      |        ^~\n",
           "{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64,\"cmdline\":\"a b\",\"extra\":\"\"}\n");
    expect(LEAST "disk=['/etc/passwd,raw,xvda,w']\ndisk+=['/etc/group,raw,xvdb,w',\n'/etc/hosts,raw,xvdc,r',]\n", "",
           "{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64,"
           "\"disk\":[\"/etc/passwd,raw,xvda,w\",\"/etc/group,raw,xvdb,w\",\"/etc/hosts,raw,xvdc,r\"]}\n");
    expect(
        LEAST "cmdline='a'\ncmdline+=['b']\n",
        "g.cfg:5:10: error: expected a value like the one that it is added to: both lists, or neither; it is read as "
        "xl.cfg(5), since it does not begin with \"{\"\n"
        "    5 | cmdline+=['b']\n"
        "      |          ^~~~~\n",
        NULL);
}

/* What is not taken over is said, by name and place; the last of two counts, as for xl. */
static void test_what_is_dropped(void **state)
{
    static const char text[] = LEAST "vcups = 2\n"
                                     "bootloader = 'pygrub'\n"
                                     "builder='linux'\n"
                                     "memory=96\n";
    static const char reports[] = "g.cfg:4:1: warning: vcups: unknown key; did you mean \"vcpus\"?\n"
                                  "    4 | vcups = 2\n"
                                  "      | ^~~~~\n"
                                  "g.cfg:5:1: warning: bootloader: this key of xl.cfg(5) is not supported yet\n"
                                  "    5 | bootloader = 'pygrub'\n"
                                  "      | ^~~~~~~~~~\n"
                                  "g.cfg:6:1: warning: builder: an old name: it is read as type\n"
                                  "    6 | builder='linux'\n"
                                  "      | ^~~~~~~\n"
                                  "g.cfg:7:1: warning: memory: given before: this one counts\n"
                                  "    7 | memory=96\n"
                                  "      | ^~~~~~\n";
    struct outcome r;

    expect(text, reports, "{\"name\":\"a\",\"kernel\":\"k\",\"type\":\"pv\",\"memory\":96}\n");
    load(&r, "g.cfg", true);
    assert_int_equal(r.d.errors, 4);
    assert_null(strstr(r.text, "warning"));
    done(&r);
    expect(LEAST "type='pv'\nbuilder='hvm'\n",
           "g.cfg:5:1: warning: builder: ignored because type is given\n"
           "    5 | builder='hvm'\n"
           "      | ^~~~~~~\n",
           "{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64,\"type\":\"pv\"}\n");
    expect(LEAST "builder='hvm'\n",
           "g.cfg:4:1: warning: builder: an old name: it is read as type\n"
           "    4 | builder='hvm'\n"
           "      | ^~~~~~~\n"
           "g.cfg:4:9: error: type: 'hvm' is not supported yet\n"
           "    4 | builder='hvm'\n"
           "      |         ^~~~~\n",
           NULL);
}

/* Two words of its own; all others are those of type, and no typing error makes a PV guest. */
static void test_builder(void **state)
{
    static const struct {
        const char *builder, *type;
    } cases[] = {{"linux", "pv"}, {"generic", "pv"}, {"pv", "pv"}, {"pvh", "pvh"}, {"hmv", NULL}, {"", NULL}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome r;
        char text[96];

        snprintf(text, sizeof(text), LEAST "builder='%s'\n", cases[i].builder);
        put_file("g.cfg", text, strlen(text));
        load(&r, "g.cfg", false);
        assert_int_equal(r.d.n, cases[i].type ? 1 : 2);
        if (cases[i].type) {
            assert_int_equal(r.c.type == CONFIG_PVH, strcmp(cases[i].type, "pvh") == 0);
        } else {
            assert_string_equal(r.d.list[1].code, "E_ENUM");
            assert_non_null(strstr(r.text, "g.cfg:4:9: error: type: "));
        }
        done(&r);
    }
}

/* xl takes settings that are none. */
static void test_empty_settings(void **state)
{
    expect(LEAST "vcpus=2;;\n;\n ; ;# x\n;cap=3 ; ; \n;", "",
           "{\"name\":\"a\",\"kernel\":\"k\",\"memory\":64,\"vcpus\":2,\"cap\":3}\n");
}

/* Each at its place, with what was expected there. */
static void test_syntax_errors(void **state)
{
    static const struct {
        const char *text;
        int line, col;
        const char *message;
    } cases[] = {
        {"name", 1, 5, "expected '=' after the key"},
        {"name 'a'", 1, 6, "expected '=' after the key"},
        {"name =", 1, 7, "expected a value: a string in quotes, a whole number or a list"},
        {"name = web1", 1, 8, "expected a value: a string needs quotes"},
        {"name = 'web1\n'", 1, 8, "expected the closing quote of the string on the same line"},
        {"name = 'web1\\'", 1, 8, "expected the closing quote of the string on the same line"},
        {"name = 'a' 'b'", 1, 12, "expected the end of the line or ';' after the value"},
        {"a=1\n  = 2", 2, 3, "expected the name of a key"},
        {"a=1\ndef f():", 2, 5, "expected '=' after the key"},
        {"vcpus=2x", 1, 7, "expected a whole number, decimal or after 0x hexadecimal; other texts need quotes"},
        {"vcpus=0x", 1, 7, "expected a whole number, decimal or after 0x hexadecimal; other texts need quotes"},
        {"vcpus=-1", 1, 7, "expected a value: a string in quotes, a whole number or a list"},
        {"vcpus=1.5", 1, 8, "expected the end of the line or ';' after the value"},
        {"disk=[ 'a'\n'b' ]", 2, 1, "expected ',' or ']' after the element of the list"},
        {"disk=[ 'a',\n", 2, 1, "expected a value: a string in quotes, a whole number or a list"},
        {"disk=[ 'a'\n", 2, 1, "expected ',' or ']' after the element of the list"},
        {"disk=[ , ]", 1, 8, "expected a value: a string in quotes, a whole number or a list"},
        {"a=1\n]", 2, 1, "expected the name of a key"},
        {"\xc3\xa9=1", 1, 1, "expected the name of a key"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome r;
        char place[32];

        put_file("g.cfg", cases[i].text, strlen(cases[i].text));
        load(&r, "g.cfg", false);
        assert_int_equal(r.d.n, 1);
        assert_string_equal(r.d.list[0].code, "E_SYNTAX");
        assert_string_equal(r.d.list[0].message, cases[i].message);
        snprintf(place, sizeof(place), "g.cfg:%d:%d: error: ", cases[i].line, cases[i].col);
        assert_memory_equal(r.text, place, strlen(place));
        assert_non_null(strstr(r.text, "read as xl.cfg(5)"));
        done(&r);
    }
}

/* By content; the name matters only where that says nothing. */
static void test_which_form(void **state)
{
    static const struct {
        const char *text, *file;
        bool xl;
    } cases[] = {
        {"name='a'", "g.json", true},   {"# c\nname='a'", "g", true},   {"{}", "g.cfg", false},
        {" \n\t{\"a\":1}", "g", false}, {"# c\n{\"a\":1}", "g", false}, {"[]", "g.cfg", false},
        {"# only this", "g", true},     {"", "g.json", false},          {"", "g.cfg", true},
        {"5", "g.json", false},         {"5", "g.cfg", true},           {"\n\n_a=1", "g", true},
    };
    struct outcome r;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(xlcfg_is(cases[i].text, strlen(cases[i].text), cases[i].file), cases[i].xl);
    put_file("g.cfg", "{\"name\" 5}", 10);
    load(&r, "g.cfg", false);
    assert_string_equal(r.text,
                        "g.cfg:1:9: error: expected ':' after the key; it is read as JSON, since it begins with "
                        "\"{\"\n"
                        "    1 | {\"name\" 5}\n"
                        "      |         ^\n");
    done(&r);
}

static void expect_one(const char *text, size_t len, const char *code, const char *message)
{
    struct outcome r;

    put_file("g.cfg", text, len);
    load(&r, "g.cfg", false);
    assert_int_equal(r.d.n, 1);
    assert_string_equal(r.d.list[0].code, code);
    assert_string_equal(r.d.list[0].message, message);
    done(&r);
}

static char *repeat(const char *before, const char *word, size_t times)
{
    size_t n = strlen(word);
    char *text = malloc(strlen(before) + times * n + 1);

    strcpy(text, before);
    for (size_t i = 0; i < times; i++)
        strcat(text + strlen(before) + i * n, word);
    return text;
}

static void test_limits(void **state)
{
    char *deep = repeat("x=", "[", 1000), *list = repeat("x=[", "1,", JSON_MAX_ITEMS + 1),
         *keys = repeat("", "x=1\n", JSON_MAX_ITEMS + 1), *big = repeat("#", "x", JSON_MAX_SIZE + 1),
         *grown = repeat("x=[1]\n", "x+=[1,1,1,1,1,1,1,1]\n", JSON_MAX_ITEMS / 8);

    expect_one(deep, strlen(deep), "E_DEPTH", "nested too deeply");
    expect_one(list, strlen(list), "E_SIZE", "too many items in one list");
    expect_one(keys, strlen(keys), "E_SIZE", "too many settings");
    expect_one(big, strlen(big), "E_SIZE", "larger than 1 MiB");
    expect_one(grown, strlen(grown), "E_SIZE", "too many items in one list");
    expect_one("a='\xff'", 5, "E_UTF8", "not valid UTF-8");
    expect_one("\xef\xbb\xbf"
               "a=1",
               6, "E_UTF8", "starts with a byte order mark");
    expect_one("a=1\n\0b=2", 8, "E_SYNTAX", "expected the name of a key");
    expect_one("name='a\0b'\nkernel='k'\nmemory=64", 31, "E_VALUE", "'a contains a NUL character");
    free(deep);
    free(list);
    free(keys);
    free(big);
    free(grown);
}

/* Mutated files: any outcome but a crash, and nothing leaks. The bytes are in a block of their own, for the sanitizer.
 */
static void test_mutations(void **state)
{
    static const char seed[] =
        "name = 'web1' # x\ncmdline=\"a\\tb\"; memory=0x40\nvcpus = 2\ncpus='0-3,^1'\nhap=1\n"
        "disk = [ 'a,b', [\"c\"],\n 1, ]\ndisk += [ 'd' ]\nextra='x'\nextra+='y'\nbuilder='hvm'\n"
        "uuid='6f1a9d2e3b4c4d5e8f60718293a4b5c6'\nkernel='k'\n";
    static const char alphabet[] = "[]\"'\\,=+;#\n\r\t 0x9afn_\xc3\xa9\xff";
    unsigned int random = 815, whole = 0;

    for (int round = 0; round < 100000; round++) {
        size_t len = sizeof(seed) - 1;
        char text[sizeof(seed)], *exact; /* in which a byte too many is noticed */
        struct json_value *root;

        memcpy(text, seed, len);
        for (int k = 0; k < 1 + round % 5; k++) {
            random = random * 1103515245u + 12345u;
            text[(random >> 8) % len] = alphabet[(random >> 20) % sizeof(alphabet)]; /* its NUL as well */
        }
        if (round % 4 == 0)
            len = (random >> 4) % len;
        exact = malloc(len + 1);
        memcpy(exact, text, len);
        exact[len] = '\0';
        xlcfg_is(exact, len, "g");
        root = xlcfg_parse(exact, len, NULL, NULL);
        whole += root != NULL;
        assert_true(!root || xlcfg_adapt_keys(root));
        json_free(root);
        free(exact);
    }
    assert_in_range(whole, 10000, 90000);
}

static int setup(void **state)
{
    FILE *f;

    memset(directory + strlen(directory), 'X', 6); /* mkdtemp() replaces these */
    if (!mkdtemp(directory) || chdir(directory))
        return -1;
    f = fopen("k", "w");
    return f ? fclose(f) : -1;
}

static int teardown(void **state)
{
    unlink("k");
    unlink("g.cfg");
    return chdir("/") || rmdir(directory) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file), cmocka_unit_test(test_escapes),         cmocka_unit_test(test_added_to),
        cmocka_unit_test(test_which_form), cmocka_unit_test(test_what_is_dropped), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_builder),    cmocka_unit_test(test_empty_settings),  cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
