/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configurations in the form of xl.cfg(5), as the same trees that JSON gives, so that all that follows - keys, checks,
 * reports in their place - is one.
 */
#ifndef CLI_XLCFG_H
#define CLI_XLCFG_H

#include "cli/config.h"

/* Which form a text has is seen by how it begins; the file's name only decides where that says nothing. */
bool xlcfg_is(const char *text, size_t len, const char *file);
/* Does the name end in .cfg? */
bool xlcfg_named(const char *file);
/*
 * An object of the settings, in their order; those given twice are there twice. Values are strings, numbers as written
 * and lists. NULL after a report.
 */
struct json_value *xlcfg_parse(const char *text, size_t len, json_report_fn *report, void *ctx);
/* xl has only texts and numbers, and takes one for the other: makes of a value what a key of this kind wants. */
void xlcfg_adapt(struct json_value *v, enum config_kind kind);
/* Keys of an object by that name, and `builder` made what it was replaced with. False: no memory. */
bool xlcfg_adapt_keys(struct json_value *root);

#endif
