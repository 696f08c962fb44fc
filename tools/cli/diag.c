/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collecting and showing reports about configuration (see diag.h for their form).
 *
 * The text shown may be anything, so whatever a terminal could interpret is replaced on the way out. Wide characters
 * are counted as one column: the caret may be off by some columns on such lines, the number never is.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/diag.h"

#define EXCERPT_WIDTH 100 /* columns of a source line that are shown at most */

void text_position(const char *text, size_t len, size_t off, size_t *line, size_t *col)
{
    *line = 1;
    *col = 1;
    for (size_t i = 0; i < off && i < len; i++) {
        if (text[i] == '\n') {
            ++*line;
            *col = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            ++*col;
        }
    }
}

/* --- collecting ----------------------------------------------------------------------------------------------------
 */

static char *path_with_key(char *path, const char *key, const char *separator)
{
    char *joined = NULL;

    if (!key || !path)
        return path;
    if (asprintf(&joined, "%s%s%s", path, separator, key) < 0)
        joined = NULL;
    free(path);
    return joined;
}

static bool fill(struct diag *r, const struct diag_at *at, bool warning, const char *fmt, va_list args)
{
    bool root;

    r->warning = warning;
    r->code = at->code;
    r->src = at->src;
    if (at->span) {
        r->span = (struct json_span){at->src->base + at->span->off, at->span->len};
        r->placed = at->src->text != NULL;
    }
    r->path = json_path(at->value);
    root = r->path && r->path[0] == '\0';
    r->path = path_with_key(r->path, at->key, root ? "" : ".");
    r->pointer = path_with_key(json_pointer(at->value), at->key, "/");
    if (vasprintf(&r->message, fmt, args) < 0)
        r->message = NULL;
    r->hint = at->hint ? strdup(at->hint) : NULL;
    return r->path && r->pointer && r->message && (r->hint || !at->hint);
}

static void release(struct diag *r)
{
    free(r->path);
    free(r->pointer);
    free(r->message);
    free(r->hint);
}

void diag_add(struct diags *d, const struct diag_at *at, const char *fmt, ...)
{
    bool warning = at->warning && !d->strict;
    struct diag *bigger, r = {0};
    va_list args;
    bool ok;

    if (d->n == DIAG_MAX) {
        d->dropped++;
        d->errors += !warning;
        return;
    }
    bigger = realloc(d->list, (d->n + 1) * sizeof(*bigger));
    if (!bigger) {
        d->out_of_memory = true;
        return;
    }
    d->list = bigger;
    va_start(args, fmt);
    ok = fill(&r, at, warning, fmt, args);
    va_end(args);
    if (!ok) {
        release(&r);
        d->out_of_memory = true;
        return;
    }
    d->list[d->n++] = r;
    d->errors += !r.warning;
}

bool diags_failed(const struct diags *d)
{
    return d->errors != 0 || d->out_of_memory;
}

static bool in_order(const struct diag *a, const struct diag *b)
{
    if (a->src != b->src)
        return a->src->is_override <= b->src->is_override;
    return a->span.off <= b->span.off;
}

/* Insertion sort: stable, and there are few. */
void diags_sort(struct diags *d)
{
    for (size_t i = 1; i < d->n; i++) {
        struct diag r = d->list[i];
        size_t k = i;

        for (; k > 0 && !in_order(&d->list[k - 1], &r); k--)
            d->list[k] = d->list[k - 1];
        d->list[k] = r;
    }
}

void diags_free(struct diags *d)
{
    for (size_t i = 0; i < d->n; i++)
        release(&d->list[i]);
    free(d->list);
    memset(d, 0, sizeof(*d));
}

/* --- showing -------------------------------------------------------------------------------------------------------
 */

/* Bytes of the character at s; *safe tells whether a terminal may see them. */
static size_t next_char(const char *s, size_t len, bool *safe)
{
    unsigned char c = (unsigned char)*s;
    size_t n = 1;

    while (n < len && n < 4 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n++;
    if (c < 0x80)
        n = 1;
    *safe = c >= 0x20 && c != 0x7f && json_utf8_check(s, n) == n && !(c == 0xc2 && (unsigned char)s[1] < 0xa0);
    return n;
}

void put_clean(FILE *f, const char *s)
{
    size_t len = strlen(s);
    bool safe;

    while (len) {
        size_t n = next_char(s, len, &safe);

        if (safe)
            fwrite(s, 1, n, f);
        else
            fputc('?', f);
        s += n;
        len -= n;
    }
}

void put_clean_lines(FILE *f, char *text)
{
    char *line;

    for (char *c = text; *c; c++)
        *c = *c == '\t' ? ' ' : *c;
    while ((line = strsep(&text, "\n")) != NULL && (text || *line)) {
        size_t n = strlen(line);

        if (n && line[n - 1] == '\r')
            line[n - 1] = '\0';
        put_clean(f, line);
        fputc('\n', f);
    }
}

/* Prints columns [from, from + EXCERPT_WIDTH) of a line; as blanks, with tabs kept, up to `blank_to`. */
static void put_columns(FILE *f, const char *line, size_t len, size_t from, size_t blank_to)
{
    size_t column = 0;
    bool safe;

    for (size_t i = 0; i < len && column < from + EXCERPT_WIDTH && column < blank_to; column++) {
        size_t n = next_char(line + i, len - i, &safe);

        if (column < from)
            ; /* left of the window */
        else if (line[i] == '\t')
            fputc('\t', f);
        else if (blank_to != SIZE_MAX)
            fputc(' ', f);
        else if (safe)
            fwrite(line + i, 1, n, f);
        else
            fputc('?', f);
        i += n;
    }
}

static size_t columns(const char *s, size_t len)
{
    size_t n = 0;
    bool safe;

    for (size_t i = 0; i < len; n++)
        i += next_char(s + i, len - i, &safe);
    return n;
}

static void put_excerpt(FILE *f, const struct diag *r, size_t line, size_t col)
{
    const char *text = r->src->text;
    size_t off = r->span.off < r->src->len ? r->span.off : r->src->len, start = off, end = off, width, from = 0;

    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (end < r->src->len && text[end] != '\n')
        end++;
    if (end > start && text[end - 1] == '\r')
        end--;
    width = r->span.len < end - off || end < off ? r->span.len : end - off;
    width = columns(text + off, end > off ? width : 0);
    if (col > EXCERPT_WIDTH - 20)
        from = col - EXCERPT_WIDTH / 2;
    if (r->src->is_override)
        fputs("      | ", f);
    else
        fprintf(f, "%5zu | ", line);
    fputs(from ? "..." : "", f);
    put_columns(f, text + start, end - start, from, SIZE_MAX);
    fputs(columns(text + start, end - start) > from + EXCERPT_WIDTH ? "...\n      | " : "\n      | ", f);
    fputs(from ? "   " : "", f);
    put_columns(f, text + start, off - start, from, col - 1);
    fputc('^', f);
    for (size_t i = 1; i < width && col - from + i <= EXCERPT_WIDTH; i++)
        fputc('~', f);
    fputc('\n', f);
}

static void print_one(const struct diag *r, FILE *f)
{
    size_t line = 0, col = 0;

    put_clean(f, r->src->label);
    if (r->placed) {
        text_position(r->src->text, r->src->len, r->span.off, &line, &col);
        if (!r->src->is_override)
            fprintf(f, ":%zu:%zu", line, col);
    }
    fprintf(f, ": %s: ", r->warning ? "warning" : "error");
    put_clean(f, r->path);
    fputs(r->path[0] ? ": " : "", f);
    put_clean(f, r->message);
    if (r->hint) {
        fputs("; ", f);
        put_clean(f, r->hint);
    }
    fputc('\n', f);
    if (r->placed)
        put_excerpt(f, r, line, col);
}

void diags_print(const struct diags *d, FILE *f)
{
    for (size_t i = 0; i < d->n; i++)
        print_one(&d->list[i], f);
    if (d->dropped)
        fprintf(f, "%zu more are not shown\n", d->dropped);
    if (d->out_of_memory)
        fputs("error: out of memory\n", f);
}

void diags_json(const struct diags *d, struct json_out *o)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct diag *r = &d->list[i];
        size_t line, col;

        json_out_object(o, NULL);
        json_out_str(o, "file", r->src->label);
        if (r->placed) {
            text_position(r->src->text, r->src->len, r->span.off, &line, &col);
            json_out_uint(o, "line", line);
            json_out_uint(o, "col", col);
        } else {
            json_out_null(o, "line");
            json_out_null(o, "col");
        }
        json_out_str(o, "pointer", r->pointer);
        json_out_str(o, "severity", r->warning ? "warning" : "error");
        json_out_str(o, "code", r->code);
        json_out_str(o, "message", r->message);
        json_out_str(o, "hint", r->hint);
        json_out_close(o);
    }
}

void diags_show(struct diags *d, bool json)
{
    struct json_out *o;
    char *text;

    diags_sort(d);
    if (!json) {
        diags_print(d, stderr);
        return;
    }
    if (d->n == 0)
        return;
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.diagnostics/1");
    json_out_array(o, "diagnostics");
    diags_json(d, o);
    json_out_close(o);
    json_out_close(o);
    text = json_out_end(o);
    fputs(text ? text : "{}\n", stderr);
    free(text);
}
