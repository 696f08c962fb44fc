/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at the trees that json.c builds: members, numbers, paths, and the check for UTF-8. Knows nothing of the
 * parser library.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

void json_free(struct json_value *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_items; i++)
        json_free(v->item[i]); /* as deep as JSON_MAX_DEPTH */
    free(v->item);
    free(v->key);
    free(v->text);
    free(v);
}

const struct json_value *json_member(const struct json_value *obj, const char *key)
{
    if (!obj || obj->type != JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < obj->n_items; i++) {
        const struct json_value *v = obj->item[i];

        if (v->key_len == strlen(key) && memcmp(v->key, key, v->key_len) == 0)
            return v;
    }
    return NULL;
}

const char *json_text(const struct json_value *obj, const char *key)
{
    const struct json_value *v = obj ? json_member(obj, key) : NULL;

    return v && v->type == JSON_STRING ? v->text : NULL;
}

int json_int(const struct json_value *v, int64_t *out)
{
    const char *s = v->text;
    char *end;

    if (v->type != JSON_NUMBER || strspn(s + (*s == '-'), "0123456789") != v->text_len - (*s == '-'))
        return -EINVAL;
    errno = 0;
    *out = strtoll(s, &end, 10);
    return errno ? -ERANGE : 0;
}

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {"null", "true or false", "a number", "a string", "a list", "an object"};

    return names[type];
}

static size_t index_in(const struct json_value *parent, const struct json_value *v)
{
    size_t i = 0;

    while (i < parent->n_items && parent->item[i] != v)
        i++;
    return i;
}

static void print_pointer_key(FILE *f, const char *key)
{
    for (; *key; key++) {
        if (*key == '~')
            fputs("~0", f);
        else if (*key == '/')
            fputs("~1", f);
        else
            fputc(*key, f);
    }
}

static void print_path(FILE *f, const struct json_value *v, bool pointer)
{
    if (!v->parent)
        return;
    print_path(f, v->parent, pointer);
    if (v->parent->type == JSON_ARRAY) {
        fprintf(f, pointer ? "/%zu" : "[%zu]", index_in(v->parent, v));
    } else if (pointer) {
        fputc('/', f);
        print_pointer_key(f, v->key);
    } else {
        fprintf(f, "%s%s", v->parent->parent ? "." : "", v->key);
    }
}

static char *path_of(const struct json_value *v, bool pointer)
{
    char *s = NULL;
    size_t n;
    FILE *f = open_memstream(&s, &n);

    if (!f)
        return NULL;
    if (v)
        print_path(f, v, pointer);
    if (fclose(f)) {
        free(s);
        return NULL;
    }
    return s;
}

char *json_path(const struct json_value *v)
{
    return path_of(v, false);
}

char *json_pointer(const struct json_value *v)
{
    return path_of(v, true);
}

/* Bytes of the character at s (n left), 0 if it is not UTF-8 in the strict sense of RFC 3629. */
static size_t utf8_char(const unsigned char *s, size_t n)
{
    static const struct {
        unsigned char lo, hi, second_lo, second_hi, len;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (s[0] < forms[i].lo || s[0] > forms[i].hi)
            continue;
        if (forms[i].len > n)
            return 0;
        if (forms[i].len > 1 && (s[1] < forms[i].second_lo || s[1] > forms[i].second_hi))
            return 0;
        for (size_t k = 2; k < forms[i].len; k++) {
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}

struct json_value *json_new(enum json_type type, struct json_span span)
{
    struct json_value *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->type = type;
    v->span = span;
    return v;
}

/* Capacity is the power of two at or above the count, so it need not be stored. */
int json_append(struct json_value *to, struct json_value *v)
{
    size_t n = to->n_items;

    if ((n & (n - 1)) == 0) {
        struct json_value **bigger = realloc(to->item, (n ? 2 * n : 1) * sizeof(*bigger));

        if (!bigger)
            return -ENOMEM;
        to->item = bigger;
    }
    to->item[to->n_items++] = v;
    v->parent = to;
    return 0;
}

int json_append_member(struct json_value *to, const char *key, struct json_span key_span, struct json_value *v)
{
    v->key = strdup(key);
    v->key_len = strlen(key);
    v->key_span = key_span;
    return v->key ? json_append(to, v) : -ENOMEM;
}

struct json_value *json_new_string(const char *text, size_t len, struct json_span span)
{
    struct json_value *v = json_new(JSON_STRING, span);

    if (!v)
        return NULL;
    v->text = malloc(len + 1);
    v->text_len = len;
    if (!v->text) {
        free(v);
        return NULL;
    }
    memcpy(v->text, text, len);
    v->text[len] = '\0';
    return v;
}

size_t json_utf8_check(const char *text, size_t len)
{
    size_t off = 0, n;

    while (off < len) {
        n = utf8_char((const unsigned char *)text + off, len - off);
        if (!n)
            return off;
        off += n;
    }
    return len;
}
