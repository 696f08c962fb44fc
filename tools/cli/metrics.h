/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures of the host and its domains, written as Prometheus' text format has it or as JSON: one call for each value,
 * those of one name one after the other. The format wants the help once before them, and its own quoting of labels.
 */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/json.h"

struct metric {
    const char *name, *help;
    bool counter; /* it only grows; its name ends in _total */
};

struct metric_label {
    const char *name, *value;
};

#define METRIC_LABELS 5

/* Where they go: one of the two. */
struct metrics {
    FILE *text;
    struct json_out *json;
    const struct metric *open; /* of the last value */
};

/* Labels end with one without a name, or after METRIC_LABELS. A value is `units` and `billionths`. */
void metrics_put(struct metrics *m, const struct metric *metric, const struct metric_label *labels, uint64_t units,
                 uint32_t billionths);
/* After the last one. */
void metrics_end(struct metrics *m);

#endif
