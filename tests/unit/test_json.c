/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli/json*.c: positions of every token, what is refused and where, numbers kept as written, output that is
 * valid whatever goes in, and no crash on mutated input.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/json.h"

struct seen {
    int n;
    char code[16];
    struct json_span span;
    char message[128], hint[128], path[256];
};

static void record(void *ctx, const struct json_problem *p)
{
    struct seen *s = ctx;
    char *path = json_path(p->in);

    s->n++;
    s->span = p->span;
    snprintf(s->code, sizeof(s->code), "%s", p->code);
    snprintf(s->message, sizeof(s->message), "%s", p->message);
    snprintf(s->hint, sizeof(s->hint), "%s", p->hint ? p->hint : "");
    snprintf(s->path, sizeof(s->path), "%s", path);
    free(path);
}

static struct json_value *parse(const char *text, struct seen *s)
{
    memset(s, 0, sizeof(*s));
    return json_parse(text, strlen(text), record, s);
}

static void expect_span(const char *text, const struct json_value *v, const char *is)
{
    assert_int_equal(v->span.len, strlen(is));
    assert_memory_equal(text + v->span.off, is, strlen(is));
}

static void test_positions(void **state)
{
    const char *text = "{\"a\": [1, -2.50e3 ,\"x\\ny\"],\n \"b\" : {\"c\":null , \"d\":true} }";
    struct seen s;
    struct json_value *v = parse(text, &s);
    const struct json_value *a = json_member(v, "a"), *b = json_member(v, "b");

    assert_int_equal(s.n, 0);
    expect_span(text, v, text);
    expect_span(text, a, "[1, -2.50e3 ,\"x\\ny\"]");
    expect_span(text, a->item[0], "1");
    expect_span(text, a->item[1], "-2.50e3");
    expect_span(text, a->item[2], "\"x\\ny\"");
    assert_string_equal(a->item[2]->text, "x\ny");
    assert_string_equal(a->item[1]->text, "-2.50e3");
    expect_span(text, b, "{\"c\":null , \"d\":true}");
    assert_memory_equal(text + b->key_span.off, "\"b\"", b->key_span.len);
    expect_span(text, json_member(b, "d"), "true");
    assert_null(json_member(b, "e"));
    json_free(v);
}

static void test_paths(void **state)
{
    struct seen s;
    struct json_value *v = parse("{\"disk\":[0,{\"a/b~c\":[1]}]}", &s);
    const struct json_value *leaf = json_member(v, "disk")->item[1]->item[0]->item[0];
    char *path = json_path(leaf), *pointer = json_pointer(leaf), *root = json_path(v);

    assert_string_equal(path, "disk[1].a/b~c[0]");
    assert_string_equal(pointer, "/disk/1/a~1b~0c/0");
    assert_string_equal(root, "");
    free(path);
    free(pointer);
    free(root);
    json_free(v);
}

static void test_scalar_documents(void **state)
{
    const char *texts[] = {"5", " -0.1 ", "\"x\"", "null", "true", "[]", "{}"};
    struct seen s;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct json_value *v = parse(texts[i], &s);

        assert_non_null(v);
        assert_int_equal(s.n, 0);
        json_free(v);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *code;
        size_t off, len;
        const char *message, *hint;
    } cases[] = {
        {"", "E_EMPTY", 0, 0, "there is no JSON document in it", ""},
        {" \n\t", "E_EMPTY", 0, 0, "there is no JSON document in it", ""},
        {"{} x", "E_TRAILING", 3, 1, "data after the end of the document", ""},
        {"{}{}", "E_TRAILING", 2, 1, "data after the end of the document", ""},
        {"{\"a\":1,}", "E_SYNTAX", 7, 1, "a key must be a string in double quotes",
         "JSON allows no comma before the closing bracket"},
        {"[1,2,]", "E_SYNTAX", 5, 1, "unexpected here", "JSON allows no comma before the closing bracket"},
        {"{\"a\" 1}", "E_SYNTAX", 5, 1, "expected ':' after the key", ""},
        {"{\"a\":1 \"b\":2}", "E_SYNTAX", 7, 3, "expected ',' or '}' after the value", ""},
        {"[1 22]", "E_SYNTAX", 3, 2, "expected ',' or ']' after the element", ""},
        {"{a:1}", "E_SYNTAX", 1, 1, "unexpected character", "a string needs double quotes"},
        {"{\"a\":yes}", "E_SYNTAX", 5, 3, "unexpected character", "a string needs double quotes"},
        {"{\"a\":tru}", "E_SYNTAX", 5, 3, "unknown word", "a string needs double quotes"},
        {"{\"a\":\"x", "E_SYNTAX", 7, 1, "the text ends before the document is complete", ""},
        {"{\"a\":1", "E_SYNTAX", 6, 1, "the text ends before the document is complete", ""},
        {"[\"a\nb\"]", "E_SYNTAX", 2, 1, "control character inside a string", "a line break is written \\n"},
        {"// c\n{}", "E_SYNTAX", 0, 1, "JSON has no comments", "use a key that starts with \"x-\" for notes"},
        {"[\"\\ud800\"]", "E_UTF8", 2, 6, "half of a UTF-16 surrogate pair stands alone", ""},
        {"[\"\\udc00\"]", "E_UTF8", 2, 6, "half of a UTF-16 surrogate pair stands alone", ""},
        {"\"\xc3\x28\"", "E_UTF8", 1, 1, "not valid UTF-8", ""},
        {"\"\xc0\xaf\"", "E_UTF8", 1, 1, "not valid UTF-8", ""},
        {"\"\xed\xa0\x80\"", "E_UTF8", 1, 1, "not valid UTF-8", ""},
        {"\xef\xbb\xbf{}", "E_UTF8", 0, 3, "starts with a byte order mark", "save the file as UTF-8 without one"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen s;
        struct json_value *v = parse(cases[i].text, &s);

        assert_null(v);
        assert_int_equal(s.n, 1);
        assert_string_equal(s.code, cases[i].code);
        assert_string_equal(s.message, cases[i].message);
        assert_string_equal(s.hint, cases[i].hint);
        assert_int_equal(s.span.off, cases[i].off);
        assert_int_equal(s.span.len, cases[i].len);
    }
}

static void test_surrogate_pairs(void **state)
{
    struct seen s;
    struct json_value *v = parse("[\"\\\\ud800\", \"\\ud83d\\ude00\"]", &s);

    assert_non_null(v);
    assert_string_equal(v->item[0]->text, "\\ud800");
    assert_string_equal(v->item[1]->text, "\xf0\x9f\x98\x80");
    json_free(v);
}

static void test_duplicates(void **state)
{
    struct seen s;
    struct json_value *v = parse("{\"a\":1,\"o\":{\"b\":1,\"b\":2},\"a\":3}", &s);

    assert_non_null(v);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.code, "E_DUPLICATE");
    assert_int_equal(s.span.off, 25);
    assert_string_equal(json_member(v, "a")->text, "1");
    json_free(v);
    /* "a" and "a\u0000" are different names. */
    v = parse("{\"a\":1,\"a\\u0000\":2}", &s);
    assert_int_equal(s.n, 0);
    json_free(v);
}

static void test_depth_and_size(void **state)
{
    char deep[2 * JSON_MAX_DEPTH + 8];
    char *big = malloc(JSON_MAX_SIZE + 2);
    struct seen s;
    struct json_value *v;

    memset(deep, '[', JSON_MAX_DEPTH);
    memset(deep + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    deep[2 * JSON_MAX_DEPTH] = '\0';
    v = parse(deep, &s);
    assert_non_null(v);
    json_free(v);
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_null(parse(deep, &s));
    assert_string_equal(s.code, "E_DEPTH");
    memset(big, ' ', JSON_MAX_SIZE + 1);
    big[0] = '1';
    memset(&s, 0, sizeof(s));
    v = json_parse(big, JSON_MAX_SIZE, record, &s);
    assert_non_null(v);
    json_free(v);
    assert_null(json_parse(big, JSON_MAX_SIZE + 1, record, &s));
    assert_string_equal(s.code, "E_SIZE");
    free(big);
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-7", 0, -7},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", -ERANGE, 0},
        {"1e3", -EINVAL, 0},
        {"2.0", -EINVAL, 0},
        {"\"2\"", -EINVAL, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen s;
        struct json_value *v = parse(cases[i].text, &s);
        int64_t n = 0;

        assert_int_equal(json_int(v, &n), cases[i].rc);
        if (!cases[i].rc)
            assert_true(n == cases[i].value);
        json_free(v);
    }
}

static void test_output(void **state)
{
    struct json_out *o = json_out_new(true);
    char *text;

    json_out_object(o, NULL);
    json_out_str(o, "z", "a\"\\\n\x01\xc3\xa9\xff!");
    json_out_str(o, "c\x7f",
                 "\xc2\x9b"
                 "31m\xc2\x80\xc2\xa0\xc3\x9b");
    json_out_int(o, "i", INT64_MIN);
    json_out_uint(o, "u", UINT64_MAX);
    json_out_bool(o, "b", false);
    json_out_null(o, "n");
    json_out_array(o, "e");
    json_out_close(o);
    json_out_array(o, "l");
    json_out_str(o, NULL, "[ ]");
    json_out_object(o, NULL);
    json_out_close(o);
    json_out_close(o);
    json_out_close(o);
    text = json_out_end(o);
    assert_string_equal(text, "{\n  \"z\": \"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd!\",\n"
                              "  \"c\\u007f\": \"\\u009b31m\\u0080\xc2\xa0\xc3\x9b\",\n"
                              "  \"i\": -9223372036854775808,\n  \"u\": 18446744073709551615,\n  \"b\": false,\n"
                              "  \"n\": null,\n  \"e\": [],\n  \"l\": [\n    \"[ ]\",\n    {}\n  ]\n}\n");
    free(text);
    o = json_out_new(false);
    json_out_object(o, NULL);
    assert_null(json_out_end(o)); /* left open */
    json_out_str(NULL, "k", "v");
    assert_null(json_out_end(NULL));
}

static void test_round_trip(void **state)
{
    const char *text = "{\"a\":[1,-2.50e3,\"\xc3\xa9\",null,true,{}],\"b\":{\"c\":[]}}";
    struct seen s;
    struct json_value *v = parse(text, &s);
    struct json_out *o = json_out_new(false);
    char *again;

    json_out_copy(o, NULL, v);
    again = json_out_end(o);
    assert_int_equal(strlen(again), strlen(text) + 1);
    assert_memory_equal(again, text, strlen(text));
    free(again);
    json_free(v);
}

/* Every problem must lie inside the text (or just behind it), whatever the text is. */
static void check_inside(void *ctx, const struct json_problem *p)
{
    assert_true(p->span.off <= *(size_t *)ctx);
    assert_non_null(p->message);
}

static void test_mutations(void **state)
{
    static const char seed_text[] = "{\"name\":\"w\\u00e9b\",\"l\":[1,2.5e1,{\"k\":null}],\"t\":true,\"s\":\"\\\\\"}";
    static const char alphabet[] = "{}[]\",:\\u0019.eE+-tfn \n\xc3\xa9\xff";
    unsigned int random = 12345;

    for (int round = 0; round < 30000; round++) {
        char text[sizeof(seed_text)];
        size_t len = sizeof(seed_text) - 1;
        struct json_value *v;

        memcpy(text, seed_text, sizeof(text));
        for (int k = 0; k < 1 + round % 4; k++) {
            random = random * 1103515245u + 12345u;
            text[(random >> 8) % len] = alphabet[(random >> 20) % (sizeof(alphabet) - 1)];
        }
        if (round % 3 == 0)
            len = (random >> 4) % len;
        v = json_parse(text, len, check_inside, &len);
        json_free(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_scalar_documents), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_surrogate_pairs),  cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_depth_and_size),   cmocka_unit_test(test_integers),
        cmocka_unit_test(test_output),           cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
