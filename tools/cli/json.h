/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON in and out: the interface of json.c, the only file that knows the parser library.
 *
 * Reading gives a tree in which every value and every member name knows the bytes of the text it came from, so that
 * whatever is found wrong later can be shown in place. Numbers are kept as written: nothing goes through a double.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_MAX_DEPTH 32
#define JSON_MAX_ITEMS 4096 /* in one list or object: names are compared with all before them */
#define JSON_MAX_SIZE  (1u << 20)

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Bytes [off, off + len) of the parsed text. */
struct json_span {
    size_t off;
    size_t len;
};

struct json_value {
    enum json_type type;
    struct json_span span;     /* string: with its quotes; array and object: the whole of it */
    struct json_span key_span; /* of the member name, with quotes; empty outside an object */
    char *key;                 /* member name, NULL outside an object */
    size_t key_len;            /* differs from strlen(key) if the name holds \u0000 */
    char *text;                /* JSON_STRING: decoded; JSON_NUMBER: as written */
    size_t text_len;           /* differs from strlen(text) if the string holds \u0000 */
    bool boolean;              /* JSON_BOOL */
    struct json_value *parent; /* NULL for the root */
    struct json_value **item;  /* elements or members, in the order of the text */
    size_t n_items;
};

/* One thing wrong with the text itself. `in` is the innermost value the place belongs to, or NULL. */
struct json_problem {
    const char *code; /* E_SYNTAX, E_UTF8, E_DUPLICATE, E_TRAILING, E_DEPTH, E_SIZE, E_EMPTY, E_MEMORY */
    struct json_span span;
    const struct json_value *in;
    const char *key; /* name of the member of `in` that it is about, or NULL */
    const char *message;
    const char *hint; /* or NULL */
};

typedef void json_report_fn(void *ctx, const struct json_problem *p);

/*
 * Parse len bytes. Every problem goes to report (which may be NULL). Returns the tree, or NULL if there was any
 * problem but duplicates: a tree with duplicate members is returned so that the rest of it can be checked as well.
 */
struct json_value *json_parse(const char *text, size_t len, json_report_fn *report, void *ctx);
/* Size, UTF-8 and byte order mark. False: *bad says what is wrong. */
bool json_check_bytes(const char *text, size_t len, struct json_problem *bad);
/* Trees of what stands in no JSON text, shown at `span` of whatever text it came from. NULL: no memory. */
struct json_value *json_new(enum json_type type, struct json_span span);
struct json_value *json_new_string(const char *text, size_t len, struct json_span span);
/* v becomes the last element or member. -ENOMEM: it does not, and is still the caller's. */
int json_append(struct json_value *to, struct json_value *v);
/* The same, under a name. */
int json_append_member(struct json_value *to, const char *key, struct json_span key_span, struct json_value *v);
void json_free(struct json_value *v);

/* Member of an object by name (the first of duplicates), or NULL. */
const struct json_value *json_member(const struct json_value *obj, const char *key);
/* A member that is a string, or NULL; also if obj is NULL. */
const char *json_text(const struct json_value *obj, const char *key);
/* Whole number in the range of int64_t: 0, -EINVAL (not a whole number) or -ERANGE. */
int json_int(const struct json_value *v, int64_t *out);
const char *json_type_name(enum json_type type);
/* Path of a value from the root: "disk[1].format" or "/disk/1/format" (RFC 6901). Caller frees; NULL: no memory. */
char *json_path(const struct json_value *v);
char *json_pointer(const struct json_value *v);
/* Offset of the first byte that is not strict UTF-8, or len. */
size_t json_utf8_check(const char *text, size_t len);

/* --- writing ---------------------------------------------------------------------------------------------------- */

/*
 * Members come out in the order of the calls. key is NULL at the root and inside arrays. Bytes that are not UTF-8
 * (a guest can put them into the store) are replaced, so the output is valid JSON whatever a guest wrote, and control
 * characters are escaped, so a terminal may show it.
 * An error (no memory) sticks and is reported by json_out_end().
 */
struct json_out;

struct json_out *json_out_new(bool pretty);
void json_out_object(struct json_out *o, const char *key);
void json_out_array(struct json_out *o, const char *key);
void json_out_close(struct json_out *o);                               /* the innermost object or array */
void json_out_str(struct json_out *o, const char *key, const char *s); /* NULL gives null */
void json_out_int(struct json_out *o, const char *key, int64_t v);
void json_out_uint(struct json_out *o, const char *key, uint64_t v);
void json_out_bool(struct json_out *o, const char *key, bool v);
void json_out_null(struct json_out *o, const char *key);
void json_out_copy(struct json_out *o, const char *key, const struct json_value *v);
/* The text so far, with a newline at its end; caller frees. NULL on error or if something was left open. */
char *json_out_end(struct json_out *o);

#endif
