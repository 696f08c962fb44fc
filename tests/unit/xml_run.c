/* SPDX-License-Identifier: BSD-2-Clause */
/* One translation within the test (see xml_run.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "xml/domain.h"
#include "xml_run.h"

static struct outcome finish(struct config *c, struct diags *d, char *text)
{
    struct outcome r = {.text = text, .n = d->n};
    size_t len;
    FILE *f = open_memstream(&r.reports, &len);

    assert_non_null(f);
    assert_false(d->out_of_memory);
    if (diags_failed(d)) {
        free(text);
        r.text = NULL;
    }
    diags_sort(d);
    diags_print(d, f);
    fclose(f);
    diags_free(d);
    config_free(c);
    return r;
}

struct outcome run_import(const char *xml, bool strict)
{
    struct config_input in = {.file = "g.xml", .text = (char *)xml, .reader = domain_read};
    struct diags d = {.strict = strict};
    struct json_out *o = json_out_new(false);
    struct config c;

    config_load(&in, &c, &d);
    config_check_fit(&c, &d);
    config_given_json(&c, o);
    return finish(&c, &d, json_out_end(o));
}

struct outcome run_export(const char *json, bool strict)
{
    struct config_input in = {.file = "g.json", .text = (char *)json};
    struct diags d = {.strict = strict};
    struct config c;

    config_load(&in, &c, &d);
    config_check_required(&c, &d);
    config_check_fit(&c, &d);
    return finish(&c, &d, diags_failed(&d) ? NULL : domain_write(&c, &d));
}

void done(struct outcome *r)
{
    free(r->text);
    free(r->reports);
}
