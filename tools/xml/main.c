/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra-xml: configurations to libvirt's domain XML and back, for `umbra config import-xml` and `export-xml`, which
 * start it. A program of its own, so that neither `umbra`, which is started for every verb, nor a control domain that
 * never sees XML has to carry libxml2 and what that needs.
 *
 *   umbra-xml import-xml [--strict] [--json] FILE                     prints a configuration, as JSON
 *   umbra-xml export-xml [--strict] [--allow-unknown] [--json] FILE   prints a domain, as XML
 *
 * --strict: what is not carried over is an error. --json: so are the reports, on standard error. Exit codes are those
 * of umbra.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xml/domain.h"

#define OK     0
#define FAILED 1
#define USAGE  2

struct request {
    bool strict, json, allow_unknown;
    const char *file;
};

static char *import_xml(const struct request *r, struct config *c, struct diags *d)
{
    struct config_input in = {.file = r->file, .reader = domain_read};
    struct json_out *o = json_out_new(true);
    char *text;

    config_load(&in, c, d);
    config_check_fit(c, d);
    config_given_json(c, o);
    text = json_out_end(o);
    if (!text)
        d->out_of_memory = true;
    return text;
}

static char *export_xml(const struct request *r, struct config *c, struct diags *d)
{
    struct config_input in = {.file = r->file, .allow_unknown = r->allow_unknown};

    config_load(&in, c, d);
    config_check_required(c, d);
    config_check_fit(c, d);
    return diags_failed(d) ? NULL : domain_write(c, d);
}

static int run(const struct request *r, char *(*translate)(const struct request *, struct config *, struct diags *))
{
    struct diags d = {.strict = r->strict};
    struct config c = {0};
    char *text = translate(r, &c, &d);
    int rc = diags_failed(&d) ? USAGE : OK;

    diags_show(&d, r->json);
    if (rc == OK && (fputs(text, stdout) < 0 || fflush(stdout))) {
        perror("umbra-xml: standard output");
        rc = FAILED;
    }
    free(text);
    diags_free(&d);
    config_free(&c);
    return rc;
}

static int usage(void)
{
    fputs("usage: umbra-xml import-xml [--strict] [--json] FILE\n"
          "       umbra-xml export-xml [--strict] [--allow-unknown] [--json] FILE\n",
          stderr);
    return USAGE;
}

int main(int argc, char **argv)
{
    struct request r = {.file = argc > 2 ? argv[argc - 1] : NULL};
    bool imports = argc > 2 && strcmp(argv[1], "import-xml") == 0;

    if (!imports && (argc < 3 || strcmp(argv[1], "export-xml") != 0))
        return usage();
    for (int i = 2; i < argc - 1; i++) {
        if (strcmp(argv[i], "--strict") == 0)
            r.strict = true;
        else if (strcmp(argv[i], "--json") == 0)
            r.json = true;
        else if (strcmp(argv[i], "--allow-unknown") == 0)
            r.allow_unknown = true;
        else if (strcmp(argv[i], "--") != 0 || i != argc - 2)
            return usage();
    }
    return run(&r, imports ? import_xml : export_xml);
}
