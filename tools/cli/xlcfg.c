/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of xl.cfg(5): settings `NAME = VALUE`, each ended by the line's end or a semicolon; strings in either
 * quote, numbers, lists that may span lines; comments from # to the line's end; `+=`, which adds to what was given
 * before. It is the grammar of xl 4.17, in which a text that looks like Python but is not in it is an error.
 *
 * Ends at the first error. Limits are those of JSON: size, nesting, items of one list, number of settings.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/xlcfg.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DIGITS  "0123456789"

#define READ_AS "it is read as xl.cfg(5), since it does not begin with \"{\""

struct reader {
    const char *text; /* NUL-terminated, but may hold others */
    size_t len;
    size_t at;
    unsigned int depth;
    json_report_fn *report;
    void *ctx;
};

static bool is_letter(char c)
{
    return c && strchr(LETTERS, c);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Past blanks and comments, and if asked past lines as well. */
static size_t skip_blanks(const char *text, size_t len, size_t at, bool lines)
{
    for (; at < len; at++) {
        if (text[at] == '#') {
            while (at < len && text[at] != '\n')
                at++;
            at--;
        } else if (!strchr(lines ? " \t\r\n" : " \t\r", text[at]) || !text[at]) {
            break;
        }
    }
    return at < len ? at : len;
}

bool xlcfg_named(const char *file)
{
    size_t n = strlen(file);

    return n > 4 && strcmp(file + n - 4, ".cfg") == 0;
}

bool xlcfg_is(const char *text, size_t len, const char *file)
{
    size_t at = skip_blanks(text, len, 0, true);

    if (at < len && strchr("{[\"", text[at]))
        return false;
    return (at < len && is_letter(text[at])) || (at == len && memchr(text, '#', len)) || xlcfg_named(file);
}

/* Always NULL. */
static void *fail(struct reader *r, const char *code, struct json_span span, const char *message)
{
    struct json_problem bad = {.code = code, .span = span, .message = message, .hint = READ_AS};

    if (r->report)
        r->report(r->ctx, &bad);
    return NULL;
}

/* The word, number, string or character that is not what it should be. */
static void *unexpected(struct reader *r, const char *message)
{
    size_t end = r->at;

    while (end < r->len && (is_letter(r->text[end]) || is_digit(r->text[end])))
        end++;
    end += end == r->at;
    return fail(r, "E_SYNTAX", (struct json_span){r->at, end - r->at}, message);
}

static void *no_memory(struct reader *r)
{
    return fail(r, "E_MEMORY", (struct json_span){r->at, 1}, "out of memory");
}

/* --- strings and numbers --- */

/* Where the string that begins at r->at ends: its closing quote. 0: it does not, on this line. */
static size_t closing_quote(const struct reader *r)
{
    char quote = r->text[r->at];

    for (size_t i = r->at + 1; i < r->len && r->text[i] != '\n'; i++) {
        if (r->text[i] == quote)
            return i;
        if (r->text[i] == '\\' && i + 1 < r->len && r->text[i + 1] != '\n')
            i++;
    }
    return 0;
}

/* What \c stands for, or -1. Stock xl knows escapes by number too, but not to any effect. */
static int escaped(char c)
{
    static const char letters[] = "abfnrtv\"'\\", values[] = "\a\b\f\n\r\t\v\"'\\";
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? values[at - letters] : -1;
}

/* Takes the escapes out of v's text, which stands at `from`. */
static bool unescape(struct reader *r, struct json_value *v, size_t from)
{
    size_t n = 0;

    for (size_t i = 0; i < v->text_len; i++) {
        int c = v->text[i];

        if (c == '\\') {
            c = escaped(v->text[i + 1]);
            if (c < 0) {
                fail(r, "E_SYNTAX", (struct json_span){from + i, 2}, "unknown escape sequence in a string");
                return false;
            }
            i++;
        }
        v->text[n++] = (char)c;
    }
    v->text[n] = '\0';
    v->text_len = n;
    return true;
}

static struct json_value *parse_string(struct reader *r)
{
    size_t from = r->at + 1, end = closing_quote(r);
    struct json_value *v;

    if (!end)
        return unexpected(r, "expected the closing quote of the string on the same line");
    v = json_new_string(r->text + from, end - from, (struct json_span){r->at, end + 1 - r->at});
    if (!v)
        return no_memory(r);
    if (!unescape(r, v, from)) {
        json_free(v);
        return NULL;
    }
    r->at = end + 1;
    return v;
}

/* Digits, after 0x those of base 16. It stays as it was written until it is known what it is to be. */
static struct json_value *parse_number(struct reader *r)
{
    const char *s = r->text + r->at;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    size_t n = hex ? 2 + strspn(s + 2, DIGITS "abcdefABCDEF") : strspn(s, DIGITS);
    struct json_value *v;

    if ((hex && n == 2) || is_letter(s[n]))
        return unexpected(r, "expected a whole number, decimal or after 0x hexadecimal; other texts need quotes");
    v = json_new_string(s, n, (struct json_span){r->at, n});
    if (!v)
        return no_memory(r);
    v->type = JSON_NUMBER;
    r->at += n;
    return v;
}

/* --- lists --- */

static struct json_value *parse_value(struct reader *r);

static bool add_element(struct reader *r, struct json_value *list)
{
    struct json_value *v;

    if (list->n_items == JSON_MAX_ITEMS)
        return fail(r, "E_SIZE", (struct json_span){r->at, 1}, "too many items in one list");
    v = parse_value(r);
    if (!v)
        return false;
    if (json_append(list, v)) {
        json_free(v);
        return no_memory(r);
    }
    return true;
}

/* After `[`: elements up to `]`; a comma may stand behind the last. */
static bool parse_elements(struct reader *r, struct json_value *list)
{
    for (;;) {
        r->at = skip_blanks(r->text, r->len, r->at, true);
        if (r->at < r->len && r->text[r->at] == ']')
            break;
        if (!add_element(r, list))
            return false;
        r->at = skip_blanks(r->text, r->len, r->at, true);
        if (r->at < r->len && r->text[r->at] == ',')
            r->at++;
        else if (r->at == r->len || r->text[r->at] != ']')
            return unexpected(r, "expected ',' or ']' after the element of the list");
    }
    r->at++;
    list->span.len = r->at - list->span.off;
    return true;
}

static struct json_value *parse_list(struct reader *r)
{
    struct json_value *list;
    bool ok;

    if (r->depth == JSON_MAX_DEPTH)
        return fail(r, "E_DEPTH", (struct json_span){r->at, 1}, "nested too deeply");
    list = json_new(JSON_ARRAY, (struct json_span){r->at, 1});
    if (!list)
        return no_memory(r);
    r->depth++;
    r->at++;
    ok = parse_elements(r, list);
    r->depth--;
    if (ok)
        return list;
    json_free(list);
    return NULL;
}

static struct json_value *parse_value(struct reader *r)
{
    char c = r->at < r->len ? r->text[r->at] : '\0';

    if (c == '"' || c == '\'')
        return parse_string(r);
    if (c == '[')
        return parse_list(r);
    if (is_digit(c))
        return parse_number(r);
    return unexpected(r, is_letter(c) ? "expected a value: a string needs quotes"
                                      : "expected a value: a string in quotes, a whole number or a list");
}

/* --- settings --- */

struct setting {
    char *key;
    struct json_span span;
    bool adds; /* += */
};

static bool parse_name(struct reader *r, struct setting *s)
{
    size_t n = strspn(r->text + r->at, LETTERS DIGITS);

    if (!is_letter(r->text[r->at]))
        return unexpected(r, "expected the name of a key");
    s->span = (struct json_span){r->at, n};
    r->at = skip_blanks(r->text, r->len, r->at + n, false);
    s->adds = r->text[r->at] == '+' && r->text[r->at + 1] == '=';
    if (r->text[r->at] != '=' && !s->adds)
        return unexpected(r, "expected '=' after the key");
    r->at = skip_blanks(r->text, r->len, r->at + 1 + s->adds, false);
    s->key = strndup(r->text + s->span.off, n);
    return s->key || no_memory(r);
}

static struct json_value *given_last(struct json_value *root, const char *key)
{
    for (size_t i = root->n_items; i-- > 0;) {
        if (strcmp(root->item[i]->key, key) == 0)
            return root->item[i];
    }
    return NULL;
}

static bool add_text(struct json_value *to, const struct json_value *v)
{
    char *longer = realloc(to->text, to->text_len + v->text_len + 1);

    if (!longer)
        return false;
    memcpy(longer + to->text_len, v->text, v->text_len + 1);
    to->text = longer;
    to->text_len += v->text_len;
    return true;
}

static bool add_items(struct json_value *to, struct json_value *v)
{
    size_t i = 0;

    while (i < v->n_items && json_append(to, v->item[i]) == 0)
        i++;
    memmove(v->item, v->item + i, (v->n_items - i) * sizeof(*v->item));
    v->n_items -= i;
    return v->n_items == 0;
}

/* `+=`: v goes into what was given before, and is used up. */
static bool extend(struct reader *r, struct json_value *to, struct json_value *v)
{
    struct json_span span = v->span;
    bool list = v->type == JSON_ARRAY, same = (to->type == JSON_ARRAY) == list, ok = false;

    if (!same)
        fail(r, "E_TYPE", span, "expected a value like the one that it is added to: both lists, or neither");
    else if (list && to->n_items + v->n_items > JSON_MAX_ITEMS)
        fail(r, "E_SIZE", span, "too many items in one list");
    else if (list && !v->n_items)
        ok = true;
    else
        ok = (list ? add_items(to, v) : add_text(to, v)) || no_memory(r);
    json_free(v);
    return ok;
}

static bool store(struct reader *r, struct json_value *root, const struct setting *s, struct json_value *v)
{
    struct json_value *before = s->adds ? given_last(root, s->key) : NULL;

    if (before)
        return extend(r, before, v);
    if (root->n_items == JSON_MAX_ITEMS || json_append_member(root, s->key, s->span, v)) {
        json_free(v);
        return root->n_items == JSON_MAX_ITEMS ? fail(r, "E_SIZE", s->span, "too many settings") : no_memory(r);
    }
    return true;
}

static bool parse_setting(struct reader *r, struct json_value *root)
{
    struct setting s = {0};
    struct json_value *v = NULL;
    bool ok = false;

    if (parse_name(r, &s))
        v = parse_value(r);
    if (v)
        ok = store(r, root, &s, v);
    free(s.key);
    if (!ok)
        return false;
    r->at = skip_blanks(r->text, r->len, r->at, false);
    if (r->at == r->len || r->text[r->at] == '\n' || r->text[r->at] == ';') {
        r->at += r->at < r->len;
        return true;
    }
    return unexpected(r, "expected the end of the line or ';' after the value");
}

struct json_value *xlcfg_parse(const char *text, size_t len, json_report_fn *report, void *ctx)
{
    struct reader r = {.text = text, .len = len, .report = report, .ctx = ctx};
    struct json_problem bad;
    struct json_value *root;

    if (!json_check_bytes(text, len, &bad)) {
        if (report)
            report(ctx, &bad);
        return NULL;
    }
    root = json_new(JSON_OBJECT, (struct json_span){0, len});
    if (!root)
        return no_memory(&r);
    while ((r.at = skip_blanks(text, len, r.at, true)) < len) {
        if (text[r.at] == ';') { /* an empty setting, which xl takes */
            r.at++;
            continue;
        }
        if (parse_setting(&r, root))
            continue;
        json_free(root);
        return NULL;
    }
    return root;
}
