/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON reading and writing on yajl. Nothing outside this file includes a yajl header, so that the library can be
 * exchanged here alone.
 *
 * Positions: yajl's callbacks tell what was read, not where. Inside a callback yajl_get_bytes_consumed() is the end
 * of the token, and between the end of one token and the start of the next there are only white space, commas and
 * colons: so the start is found by skipping those from the end of the previous token. This needs the whole text to be
 * handed over as one chunk, which is why size is limited.
 *
 * Checks that yajl does not do, or does loosely, are done here: strict UTF-8 (overlong forms, surrogates), lone
 * surrogate escapes, duplicate member names, depth.
 */
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#include "cli/json.h"

struct parse {
    const char *text;
    size_t len;
    size_t end; /* end of the last token seen */
    yajl_handle yajl;
    struct json_value *root;
    struct json_value *open; /* innermost array or object not yet closed */
    size_t depth;
    char *key; /* member name read, its value not yet */
    size_t key_len;
    struct json_span key_span;
    struct json_problem bad; /* why a callback stopped the parse */
    json_report_fn *report;
    void *ctx;
};

static int stop(struct parse *p, const char *code, struct json_span span, const char *message)
{
    p->bad = (struct json_problem){.code = code, .span = span, .in = p->open, .message = message};
    return 0;
}

static struct json_span token(struct parse *p)
{
    size_t end = yajl_get_bytes_consumed(p->yajl), off = p->end;

    while (off < end && memchr(" \t\r\n,:", p->text[off], 6))
        off++;
    p->end = end;
    return (struct json_span){off, end - off};
}

static char *copy_bytes(const void *s, size_t len)
{
    char *c = malloc(len + 1);

    if (!c)
        return NULL;
    memcpy(c, s, len);
    c[len] = '\0';
    return c;
}

static struct json_value *add_value(struct parse *p, enum json_type type, struct json_span span)
{
    struct json_value *v = json_new(type, span);

    if (!v)
        return NULL;
    if (!p->open) {
        p->root = v;
    } else if (json_append(p->open, v)) {
        free(v);
        return NULL;
    }
    if (p->open && p->open->type == JSON_OBJECT) {
        v->key = p->key;
        v->key_len = p->key_len;
        v->key_span = p->key_span;
        p->key = NULL;
    }
    return v;
}

static struct json_value *scalar(struct parse *p, enum json_type type)
{
    struct json_span span = token(p);
    struct json_value *v;

    if (p->open && p->open->n_items == JSON_MAX_ITEMS) {
        stop(p, "E_SIZE", span, "too many items in one list or object");
        return NULL;
    }
    v = add_value(p, type, span);
    if (!v)
        stop(p, "E_MEMORY", span, "out of memory");
    return v;
}

static int on_null(void *ctx)
{
    return scalar(ctx, JSON_NULL) != NULL;
}

static int on_boolean(void *ctx, int b)
{
    struct json_value *v = scalar(ctx, JSON_BOOL);

    if (!v)
        return 0;
    v->boolean = b;
    return 1;
}

static int on_text(struct parse *p, enum json_type type, const void *s, size_t len)
{
    struct json_value *v = scalar(p, type);

    if (!v)
        return 0;
    v->text = copy_bytes(s, len);
    v->text_len = len;
    return v->text ? 1 : stop(p, "E_MEMORY", v->span, "out of memory");
}

static int on_number(void *ctx, const char *s, size_t len)
{
    return on_text(ctx, JSON_NUMBER, s, len);
}

static bool hex4(const char *s, unsigned int *out)
{
    char digits[5], *end;

    memcpy(digits, s, 4);
    digits[4] = '\0';
    *out = (unsigned int)strtoul(digits, &end, 16);
    return end == digits + 4;
}

/* Find a \uD800-\uDFFF that is not half of a pair in the raw token; 0: none. yajl has checked the escapes' form. */
static size_t lone_surrogate(const char *s, size_t len)
{
    unsigned int hi, lo;

    for (size_t i = 0; i + 1 < len; i++) {
        if (s[i] != '\\')
            continue;
        if (s[i + 1] != 'u') {
            i++;
            continue;
        }
        if (i + 6 > len || !hex4(s + i + 2, &hi))
            return i;
        if ((hi & 0xf800) == 0xd800) {
            bool paired = i + 12 <= len && s[i + 6] == '\\' && s[i + 7] == 'u' && hex4(s + i + 8, &lo) &&
                          (hi & 0x400) == 0 && (lo & 0xfc00) == 0xdc00;

            if (!paired)
                return i;
            i += 6;
        }
        i += 5;
    }
    return 0;
}

static int check_escapes(struct parse *p, struct json_span span)
{
    size_t at = lone_surrogate(p->text + span.off, span.len);

    if (!at)
        return 1;
    return stop(p, "E_UTF8", (struct json_span){span.off + at, 6}, "half of a UTF-16 surrogate pair stands alone");
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
    struct parse *p = ctx;
    struct json_value *v;

    if (!on_text(p, JSON_STRING, s, len))
        return 0;
    v = p->open ? p->open->item[p->open->n_items - 1] : p->root;
    return check_escapes(p, v->span);
}

static void report_duplicate(struct parse *p)
{
    struct json_problem bad = {.code = "E_DUPLICATE", .span = p->key_span, .in = p->open, .key = p->key};

    bad.message = "given before";
    if (p->report)
        p->report(p->ctx, &bad);
}

static int on_key(void *ctx, const unsigned char *s, size_t len)
{
    struct parse *p = ctx;

    p->key_span = token(p);
    p->key = copy_bytes(s, len);
    p->key_len = len;
    if (!p->key)
        return stop(p, "E_MEMORY", p->key_span, "out of memory");
    if (!check_escapes(p, p->key_span))
        return 0;
    for (size_t i = 0; i < p->open->n_items; i++) {
        const struct json_value *old = p->open->item[i];

        if (old->key_len == len && memcmp(old->key, s, len) == 0) {
            report_duplicate(p);
            break;
        }
    }
    return 1;
}

static int on_start(struct parse *p, enum json_type type)
{
    struct json_value *v = scalar(p, type);

    if (!v)
        return 0;
    if (++p->depth > JSON_MAX_DEPTH)
        return stop(p, "E_DEPTH", v->span, "nested too deeply");
    p->open = v;
    return 1;
}

static int on_start_map(void *ctx)
{
    return on_start(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
    return on_start(ctx, JSON_ARRAY);
}

static int on_end(void *ctx)
{
    struct parse *p = ctx;

    p->end = yajl_get_bytes_consumed(p->yajl);
    p->open->span.len = p->end - p->open->span.off;
    p->open = p->open->parent;
    p->depth--;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

/* --- what went wrong, and where ---------------------------------------------------------------------------------- */

/* The library's message, and ours for it. */
static const struct {
    const char *library;
    const char *message;
    const char *hint;
} syntax_errors[] = {
    {"separated by a colon", "expected ':' after the key", NULL},
    {"I expect ',' or '}'", "expected ',' or '}' after the value", NULL},
    {"I expect ',' or ']'", "expected ',' or ']' after the element", NULL},
    {"invalid object key", "a key must be a string in double quotes", NULL},
    {"probable comment", "JSON has no comments", "use a key that starts with \"x-\" for notes"},
    {"occurs before a character", "unknown escape sequence in a string", "a backslash itself is written \\\\"},
    {"(non-hex) character", "\\u must be followed by four hexadecimal digits", NULL},
    {"invalid character inside string", "control character inside a string", "a line break is written \\n"},
    {"invalid string in json text", "unknown word", "a string needs double quotes"},
    {"invalid char in json text", "unexpected character", "a string needs double quotes"},
    {"malformed number", "malformed number", NULL},
    {"unallowed token", "unexpected here", NULL},
};

static bool word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("+-._", c));
}

/*
 * The offending token; `at` is the library's offset. For a lexical error that is just past the bad byte, for a parse
 * error somewhere in or just past the token, which starts after the white space, commas and colons that were fine.
 */
static struct json_span bad_token(const struct parse *p, size_t at, bool lexical)
{
    size_t off = p->end, end;

    while (off + 1 < at && (!lexical || p->text[off] != '"') && memchr(" \t\r\n,:", p->text[off], 6))
        off++;
    if (lexical && p->text[off] == '"')
        return (struct json_span){at - 1, 1};
    end = off + 1;
    if (p->text[off] == '"') {
        while (end < p->len && p->text[end] != '"')
            end += p->text[end] == '\\' ? 2 : 1;
        end++;
    } else if (word_char(p->text[off])) {
        while (end < p->len && word_char(p->text[end]))
            end++;
    }
    return (struct json_span){off, (end > p->len ? p->len : end) - off};
}

static void describe_syntax(struct parse *p, const char *library, struct json_problem *bad)
{
    bad->message = "not valid JSON";
    for (size_t i = 0; i < sizeof(syntax_errors) / sizeof(syntax_errors[0]); i++) {
        if (strstr(library, syntax_errors[i].library)) {
            bad->message = syntax_errors[i].message;
            bad->hint = syntax_errors[i].hint;
            break;
        }
    }
    if (bad->span.off < p->len && memchr("}]", p->text[bad->span.off], 2)) {
        for (size_t i = bad->span.off; i-- > p->end;) {
            if (p->text[i] == ',')
                bad->hint = "JSON allows no comma before the closing bracket";
        }
    }
}

static void report_syntax(struct parse *p, bool complete)
{
    size_t at = yajl_get_bytes_consumed(p->yajl);
    unsigned char *text = complete ? yajl_get_error(p->yajl, 0, NULL, 0) : NULL;
    const char *library = text ? (const char *)text : "";
    struct json_problem bad = {.code = "E_SYNTAX", .in = p->open};

    if (!complete || (at >= p->len && strstr(library, "inside string"))) {
        bad.span = (struct json_span){p->len, 1};
        bad.message = "the text ends before the document is complete";
    } else {
        bad.span = bad_token(p, at, strstr(library, "lexical error") != NULL);
        describe_syntax(p, library, &bad);
    }
    if (text)
        yajl_free_error(p->yajl, text);
    if (p->report)
        p->report(p->ctx, &bad);
}

static size_t skip_space(const char *text, size_t len, size_t off)
{
    while (off < len && memchr(" \t\r\n", text[off], 4))
        off++;
    return off;
}

bool json_check_bytes(const char *text, size_t len, struct json_problem *bad)
{
    size_t at;

    if (len > JSON_MAX_SIZE) {
        *bad = (struct json_problem){.code = "E_SIZE", .message = "larger than 1 MiB"};
        return false;
    }
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        *bad = (struct json_problem){.code = "E_UTF8", .span = {0, 3}, .message = "starts with a byte order mark"};
        bad->hint = "save the file as UTF-8 without one";
        return false;
    }
    at = json_utf8_check(text, len);
    if (at < len) {
        *bad = (struct json_problem){.code = "E_UTF8", .span = {at, 1}, .message = "not valid UTF-8"};
        return false;
    }
    return true;
}

/* Things about the bytes as such, before any parsing. */
static bool check_bytes(const struct parse *p, struct json_problem *bad)
{
    if (!json_check_bytes(p->text, p->len, bad))
        return false;
    if (skip_space(p->text, p->len, 0) == p->len) {
        *bad = (struct json_problem){.code = "E_EMPTY", .message = "there is no JSON document in it"};
        return false;
    }
    return true;
}

static bool check_trailing(struct parse *p)
{
    size_t off = skip_space(p->text, p->len, p->end);
    struct json_problem bad = {.code = "E_TRAILING", .message = "data after the end of the document"};

    if (off == p->len)
        return true;
    bad.span = (struct json_span){off, 1};
    if (p->report)
        p->report(p->ctx, &bad);
    return false;
}

static bool run(struct parse *p)
{
    yajl_status status = yajl_parse(p->yajl, (const unsigned char *)p->text, p->len + 1);

    if (status == yajl_status_ok && p->root && !p->open)
        return check_trailing(p);
    if (status == yajl_status_client_canceled && p->bad.code) {
        if (p->report)
            p->report(p->ctx, &p->bad);
    } else {
        report_syntax(p, status != yajl_status_ok);
    }
    return false;
}

static void give_up(json_report_fn *report, void *ctx, const struct json_problem *bad)
{
    if (report)
        report(ctx, bad);
}

struct json_value *json_parse(const char *text, size_t len, json_report_fn *report, void *ctx)
{
    struct parse p = {.text = text, .len = len, .report = report, .ctx = ctx};
    struct json_problem bad = {.code = "E_MEMORY", .message = "out of memory"};
    char *padded;
    bool ok = false;

    if (!check_bytes(&p, &bad)) {
        give_up(report, ctx, &bad);
        return NULL;
    }
    /* One byte of white space more: a number is complete only when something follows it. */
    padded = malloc(len + 1);
    p.yajl = yajl_alloc(&callbacks, NULL, &p);
    if (padded && p.yajl) {
        memcpy(padded, text, len);
        padded[len] = '\n';
        p.text = padded;
        yajl_config(p.yajl, yajl_allow_trailing_garbage, 1);
        ok = run(&p);
    } else {
        give_up(report, ctx, &bad);
    }
    if (p.yajl)
        yajl_free(p.yajl);
    free(padded);
    free(p.key);
    if (ok)
        return p.root;
    json_free(p.root);
    return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

struct json_out {
    yajl_gen gen;
    bool failed;
    unsigned int depth;
    unsigned char is_map[JSON_MAX_DEPTH + 1];
};

struct json_out *json_out_new(bool pretty)
{
    struct json_out *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->gen = yajl_gen_alloc(NULL);
    if (!o->gen) {
        free(o);
        return NULL;
    }
    yajl_gen_config(o->gen, yajl_gen_beautify, (int)pretty);
    yajl_gen_config(o->gen, yajl_gen_indent_string, "  ");
    return o;
}

/* A NULL o is the failed allocation of json_out_new(): everything is then ignored up to json_out_end(). */
static void done(struct json_out *o, yajl_gen_status status)
{
    if (status != yajl_gen_status_ok)
        o->failed = true;
}

/* Invalid bytes become U+FFFD, so strings from a guest cannot spoil the document. */
static void put_string(struct json_out *o, const char *s, size_t len)
{
    size_t good = json_utf8_check(s, len), n = 0;
    char *clean;

    if (good == len) {
        done(o, yajl_gen_string(o->gen, (const unsigned char *)s, len));
        return;
    }
    clean = malloc(3 * len);
    if (!clean) {
        o->failed = true;
        return;
    }
    while (len) {
        memcpy(clean + n, s, good);
        n += good;
        s += good;
        len -= good;
        if (!len)
            break;
        memcpy(clean + n, "\xef\xbf\xbd", 3);
        n += 3;
        s++;
        len--;
        good = json_utf8_check(s, len);
    }
    done(o, yajl_gen_string(o->gen, (const unsigned char *)clean, n));
    free(clean);
}

static bool put_key(struct json_out *o, const char *key)
{
    if (!o)
        return false;
    if (key)
        put_string(o, key, strlen(key));
    return true;
}

static void open_level(struct json_out *o, bool is_map)
{
    if (o->depth == JSON_MAX_DEPTH) {
        o->failed = true;
        return;
    }
    o->is_map[o->depth++] = is_map;
    done(o, is_map ? yajl_gen_map_open(o->gen) : yajl_gen_array_open(o->gen));
}

void json_out_object(struct json_out *o, const char *key)
{
    if (put_key(o, key))
        open_level(o, true);
}

void json_out_array(struct json_out *o, const char *key)
{
    if (put_key(o, key))
        open_level(o, false);
}

void json_out_close(struct json_out *o)
{
    if (!o || o->failed || o->depth == 0)
        return;
    o->depth--;
    done(o, o->is_map[o->depth] ? yajl_gen_map_close(o->gen) : yajl_gen_array_close(o->gen));
}

void json_out_str(struct json_out *o, const char *key, const char *s)
{
    if (!put_key(o, key))
        return;
    if (s)
        put_string(o, s, strlen(s));
    else
        done(o, yajl_gen_null(o->gen));
}

void json_out_int(struct json_out *o, const char *key, int64_t v)
{
    if (put_key(o, key))
        done(o, yajl_gen_integer(o->gen, v));
}

void json_out_uint(struct json_out *o, const char *key, uint64_t v)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)v);

    if (put_key(o, key))
        done(o, yajl_gen_number(o->gen, digits, (size_t)n));
}

void json_out_bool(struct json_out *o, const char *key, bool v)
{
    if (put_key(o, key))
        done(o, yajl_gen_bool(o->gen, v));
}

void json_out_null(struct json_out *o, const char *key)
{
    json_out_str(o, key, NULL);
}

void json_out_copy(struct json_out *o, const char *key, const struct json_value *v)
{
    if (!put_key(o, key))
        return;
    switch (v->type) {
    case JSON_NULL:
        done(o, yajl_gen_null(o->gen));
        break;
    case JSON_BOOL:
        done(o, yajl_gen_bool(o->gen, v->boolean));
        break;
    case JSON_NUMBER:
        done(o, yajl_gen_number(o->gen, v->text, v->text_len));
        break;
    case JSON_STRING:
        put_string(o, v->text, v->text_len);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        open_level(o, v->type == JSON_OBJECT);
        for (size_t i = 0; i < v->n_items; i++)
            json_out_copy(o, v->item[i]->key, v->item[i]);
        json_out_close(o);
        break;
    }
}

/* Characters that JSON lets stand in a string, and a terminal obeys: how many bytes; and its code. 0: another one. */
static unsigned control_at(const char *text, size_t len, unsigned *code)
{
    bool c1 = len > 1 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;

    *code = (unsigned char)text[c1];
    return c1 ? 2 : text[0] == 0x7f;
}

/*
 * Copy without the line breaks that the library puts into empty brackets and at the end, and with such characters
 * escaped, which makes six bytes of one; returns the new length.
 */
static size_t tidy(char *to, const char *text, size_t len)
{
    bool in_string = false;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned code, bytes = control_at(text + i, len - i, &code);

        if (bytes) {
            n += (size_t)sprintf(to + n, "\\u%04x", code);
            i += bytes - 1;
            continue;
        }
        to[n++] = text[i];
        if (in_string && text[i] == '\\' && i + 1 < len)
            to[n++] = text[++i];
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && (text[i] == '[' || text[i] == '{')) {
            size_t next = skip_space(text, len, i + 1);

            if (next < len && (text[next] == ']' || text[next] == '}'))
                i = next - 1;
        }
    }
    while (n && to[n - 1] == '\n')
        n--;
    return n;
}

char *json_out_end(struct json_out *o)
{
    const unsigned char *text;
    char *copy = NULL;
    size_t len;

    if (!o)
        return NULL;
    if (!o->failed && o->depth == 0 && yajl_gen_get_buf(o->gen, &text, &len) == yajl_gen_status_ok) {
        copy = malloc(6 * len + 2);
        if (copy) {
            len = tidy(copy, (const char *)text, len);
            memcpy(copy + len, "\n", 2);
        }
    }
    yajl_gen_free(o->gen);
    free(o);
    return copy;
}
