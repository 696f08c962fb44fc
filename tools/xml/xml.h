/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XML in and out: the interface of xml.c, the only file that knows libxml2, and of tree.c, which looks at what it made.
 *
 * Reading gives a tree in which every element and attribute knows the bytes of the text it came from, so that whatever
 * is found wrong later, or not carried over, can be shown in place. Whoever reads something of it marks it as taken:
 * what is not taken in the end is what is reported (left.c).
 *
 * Nothing but the text itself is read: no DTD, no entities but the five of XML, no network, no file.
 */
#ifndef XML_XML_H
#define XML_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/json.h"

#define XML_MAX_SIZE  (256u << 10) /* bytes of a document */
#define XML_MAX_DEPTH 32
#define XML_MAX_ITEMS 4096 /* elements and attributes of a document, together */

struct xml_attr {
    char *name; /* with its prefix: "qemu:arg" */
    char *value;
    struct json_span span;       /* of the name */
    struct json_span value_span; /* without quotes */
    bool taken;
};

struct xml_element {
    char *name; /* with its prefix */
    char *text; /* all text that stands directly in it; never NULL */
    size_t text_len;
    struct json_span span;      /* "<name" */
    struct json_span text_span; /* all between the tags */
    struct xml_attr *attr;
    size_t n_attrs;
    struct xml_element *parent;
    struct xml_element **child; /* in the order of the text */
    size_t n_children;
    bool taken;      /* what it is; its attributes, children and text count by themselves */
    bool text_taken; /* its text */
    const char *why; /* if it is not taken: why not, or NULL */
};

/* What is wrong with a document; a span of no bytes is about the whole of it. */
struct xml_problem {
    const char *code; /* E_SIZE, E_UTF8, E_SYNTAX, E_DEPTH, E_MEMORY */
    struct json_span span;
    char message[200];
};

/* The text ends in a NUL that does not count. The root, to be freed, or NULL: *bad. */
struct xml_element *xml_parse(const char *text, size_t len, struct xml_problem *bad);

/* --- tree.c ------------------------------------------------------------------------------------------------------- */

struct xml_element *xml_element_new(const char *name, struct json_span span);
/* -ENOMEM: it is still the caller's. */
int xml_append(struct xml_element *to, struct xml_element *e);
/* -ENOMEM. */
int xml_add_attr(struct xml_element *e, const struct xml_attr *a);
int xml_add_text(struct xml_element *e, const char *text, size_t len);
void xml_free(struct xml_element *root);
/* The first child of that name, or NULL. Nothing is taken by that. */
struct xml_element *xml_child(const struct xml_element *e, const char *name);
/* Its next sibling of the same name, or NULL. */
struct xml_element *xml_next(const struct xml_element *e);
/* An attribute by name, or NULL. */
struct xml_attr *xml_attr(const struct xml_element *e, const char *name);
/* The value of one; it is taken. NULL: there is none. */
const char *xml_take(struct xml_element *e, const char *name);
/* Takes an attribute if it has one of two values, of which the second may be NULL. False: it has not, or is not there.
 */
bool xml_take_if(struct xml_element *e, const char *name, const char *value, const char *or_value);
/* Takes the element with all that is in it. */
void xml_take_all(struct xml_element *e);
/* Is nothing in it but blanks? */
bool xml_blank(const char *text, size_t len);
/* Elements below it. */
size_t xml_count(const struct xml_element *e);
/* "domain/devices/disk[2]/source", with an attribute's name "/@dev" behind it unless that is NULL. Freed by the caller.
 */
char *xml_path(const struct xml_element *e, const char *attr);

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* Errors (no memory) stick, and are reported by xml_out_end(). */
struct xml_out;

struct xml_out *xml_out_new(void);
void xml_out_open(struct xml_out *o, const char *name);
void xml_out_attr(struct xml_out *o, const char *name, const char *value);
void xml_out_string(struct xml_out *o, const char *text);
/* An element of a text alone. */
void xml_out_text(struct xml_out *o, const char *name, const char *text);
void xml_out_close(struct xml_out *o);
/* The text, ended by a newline, freed by the caller; NULL on error. */
char *xml_out_end(struct xml_out *o);
/* Can XML 1.0 have every character of a UTF-8 text? */
bool xml_sayable(const char *text);

#endif
