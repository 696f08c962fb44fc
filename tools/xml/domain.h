/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libvirt's domain XML and configurations, both ways. What the other form has no place for is reported in its place,
 * with the code W_DROPPED: as a warning, or as an error if the reports are strict.
 *
 *   in    domain_read() as the reader of config_load(): the XML's tree -> domain.c, devices.c take what they know and
 *         make the configuration's tree, whose places are those of the XML -> left.c reports what nobody took
 *   out   domain_write(): export.c, export_devices.c say what they can, and report what is given and was not said
 */
#ifndef XML_DOMAIN_H
#define XML_DOMAIN_H

#include "cli/config.h"
#include "xml/xml.h"

#define W_DROPPED "W_DROPPED"

/* A config_reader. */
struct json_value *domain_read(struct source *src, struct diags *d);
/* Of a configuration that was checked against itself. Freed by the caller; NULL: something is wrong, which is in d. */
char *domain_write(const struct config *c, struct diags *d);

/* --- in: shared by domain.c, devices.c and left.c --- */

struct domain_in {
    const struct source *src;
    struct diags *d;
};

/* The one child of that name, taken; NULL: there is none. Others of the name are errors. */
struct xml_element *import_one(struct domain_in *im, struct xml_element *in, const char *name);
/* An error at an element's text, or at an attribute's value; the report of an E_VALUE or E_ENUM begins with that. */
void import_fault(struct domain_in *im, const struct xml_element *e, const char *attr, const char *code,
                  const char *hint, const char *message);
/* A whole number, of an attribute or (NULL) of the text, without leading zeros. False: it was none, which is told. */
#define IMPORT_DIGITS 24
bool import_digits(struct domain_in *im, struct xml_element *e, const char *attr, char digits[IMPORT_DIGITS]);
/* Puts a member into an object, whose place is e's text, or the value of an attribute. */
void import_text(struct domain_in *im, struct json_value *to, const char *key, const char *text,
                 const struct xml_element *e, const char *attr);
void import_number(struct domain_in *im, struct json_value *to, const char *key, const char *digits,
                   const struct xml_element *e, const char *attr);
void import_bool(struct domain_in *im, struct json_value *to, const char *key, bool value, const struct xml_element *e,
                 const char *attr);
/* Takes v over. */
void import_value(struct domain_in *im, struct json_value *to, const char *key, struct json_value *v);

/* devices.c */
void import_devices(struct domain_in *im, struct xml_element *devices, struct json_value *out);
/* left.c: reports what was not taken. */
void import_left(struct domain_in *im, struct xml_element *root);

/* --- out: shared by export.c and export_devices.c --- */

struct domain_out {
    const struct config *c;
    struct diags *d;
    struct xml_out *o;
};

/* Reports a member of a configuration that cannot be said; v, or if it has none of its own the member `key` of v. */
void export_dropped(struct domain_out *x, const struct source *src, const struct json_value *v, const char *key,
                    const char *why);
/* export_devices.c */
void export_devices(struct domain_out *x);

#endif
