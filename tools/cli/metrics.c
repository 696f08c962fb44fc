/* SPDX-License-Identifier: BSD-2-Clause */
/* See metrics.h. */
#include "cli/metrics.h"

#include <inttypes.h>

static void close_family(struct metrics *m)
{
    if (m->json && m->open) {
        json_out_close(m->json);
        json_out_close(m->json);
    }
    m->open = NULL;
}

static void open_family(struct metrics *m, const struct metric *metric)
{
    const char *type = metric->counter ? "counter" : "gauge";

    close_family(m);
    m->open = metric;
    if (m->text) {
        fprintf(m->text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, type);
        return;
    }
    json_out_object(m->json, NULL);
    json_out_str(m->json, "name", metric->name);
    json_out_str(m->json, "type", type);
    json_out_str(m->json, "help", metric->help);
    json_out_array(m->json, "samples");
}

static void put_quoted(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '\\' || *s == '"')
            fputc('\\', f);
        if (*s == '\n')
            fputs("\\n", f);
        else
            fputc(*s, f);
    }
    fputc('"', f);
}

static void put_text(FILE *f, const struct metric *metric, const struct metric_label *labels)
{
    fputs(metric->name, f);
    for (int i = 0; labels && i < METRIC_LABELS && labels[i].name; i++) {
        fprintf(f, "%c%s=", i ? ',' : '{', labels[i].name);
        put_quoted(f, labels[i].value);
    }
    fputs(labels && labels[0].name ? "} " : " ", f);
}

static void put_json(struct json_out *o, const struct metric_label *labels)
{
    json_out_object(o, NULL);
    json_out_object(o, "labels");
    for (int i = 0; labels && i < METRIC_LABELS && labels[i].name; i++)
        json_out_str(o, labels[i].name, labels[i].value);
    json_out_close(o);
}

void metrics_put(struct metrics *m, const struct metric *metric, const struct metric_label *labels, uint64_t units,
                 uint32_t billionths)
{
    if (m->open != metric)
        open_family(m, metric);
    if (m->text) {
        put_text(m->text, metric, labels);
        fprintf(m->text, billionths ? "%" PRIu64 ".%09" PRIu32 "\n" : "%" PRIu64 "\n", units, billionths);
        return;
    }
    put_json(m->json, labels);
    json_out_uint(m->json, "value", units);
    json_out_uint(m->json, "billionths", billionths);
    json_out_close(m->json);
}

void metrics_end(struct metrics *m)
{
    close_family(m);
}
