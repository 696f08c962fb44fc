/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of tools/xml share: one translation, as umbra-xml makes it, of a text. */
#ifndef TESTS_XML_RUN_H
#define TESTS_XML_RUN_H

#include "cli/config.h"

struct outcome {
    char *text;    /* what would be printed; NULL: something is wrong */
    char *reports; /* as text */
    size_t n;      /* of them */
};

struct outcome run_import(const char *xml, bool strict);
struct outcome run_export(const char *json, bool strict);
void done(struct outcome *r);

#endif
