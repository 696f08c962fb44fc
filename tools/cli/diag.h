/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports about configuration: what is wrong, where in which text, and what to do. Their form is an interface:
 *
 *   web1.json:14:18: error: disk[1].format: "qcow3" is not one of raw, qcow, qcow2, vhd
 *      14 |     "format": "qcow3",
 *         |               ^~~~~~~
 *
 * Reports are collected, so that one run shows all of a file, and printed in the order of their places.
 */
#ifndef CLI_DIAG_H
#define CLI_DIAG_H

#include "cli/json.h"

#define DIAG_MAX 200

enum source_form { SOURCE_JSON, SOURCE_XL, SOURCE_OTHER };

/* A text that configuration came from: a file, or one key=value of the command line. */
struct source {
    char *label; /* the file's name, or "argument N" */
    bool is_override;
    enum source_form form;
    char *text; /* NULL if it could not be read */
    size_t len;
    size_t base; /* where in `text` the parsed JSON starts */
};

struct diag {
    bool warning;
    const char *code;         /* E_...: a constant, part of the interface */
    const struct source *src; /* must outlive the report */
    struct json_span span;    /* in src->text */
    bool placed;              /* span is meaningful */
    char *path;               /* "disk[1].format"; may be empty */
    char *pointer;            /* "/disk/1/format" */
    char *message;
    char *hint; /* or NULL */
};

struct diags {
    struct diag *list;
    size_t n;
    size_t dropped;     /* beyond DIAG_MAX: counted, not kept */
    size_t errors;      /* those that are not warnings */
    bool out_of_memory; /* some report was lost; counts as an error */
    bool strict;        /* what comes as a warning is an error */
};

/* Where and what kind; the message follows as printf arguments. */
struct diag_at {
    const char *code;
    const struct source *src;
    const struct json_span *span;   /* relative to src->base; NULL: the source as a whole */
    const struct json_value *value; /* the path is this value's, ... */
    const char *key;                /* ... with this member added, or this alone */
    const char *hint;
    bool warning;
};

void diag_add(struct diags *d, const struct diag_at *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool diags_failed(const struct diags *d);
void diags_sort(struct diags *d);
void diags_print(const struct diags *d, FILE *f);
/* The reports as elements of an array that is open in o. */
void diags_json(const struct diags *d, struct json_out *o);
/* Sorted, on standard error, as text or as a document. */
void diags_show(struct diags *d, bool json);
void diags_free(struct diags *d);

/* Line and column (in characters), both from 1, of a byte of a text. */
void text_position(const char *text, size_t len, size_t off, size_t *line, size_t *col);
/* Prints s with everything that a terminal could take for a command replaced by '?'. */
void put_clean(FILE *f, const char *s);
/* The same line by line, whose ends stay; tabs become blanks. Writes to the text. */
void put_clean_lines(FILE *f, char *text);

#endif
