/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples of what domains use, and their rows: what `top` shows, live (top_screen.c) or as text (cmd_top.c). Columns
 * are xentop's, since scripts read them.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <stdio.h>

#include "libctl/ctl.h"

/* Of a domain's devices whose back end is in this domain; from the domain's point of view. */
struct top_devices {
    uint32_t nets, vbds;
    uint64_t net_sent, net_received; /* bytes */
    uint64_t vbd_waits, vbd_reads, vbd_writes, vbd_read_sectors, vbd_written_sectors;
};

struct top_row {
    struct ctl_domain_info info;
    struct top_devices devices;
    double cpu_percent; /* of one CPU, since the sample before */
};

struct top_sample {
    struct ctl_host_info host;
    uint64_t at_ns; /* of the monotonic clock */
    struct top_row *rows;
    int n;
};

enum top_order { TOP_BY_ID, TOP_BY_CPU, TOP_BY_MEMORY, TOP_BY_NAME, TOP_ORDERS };

extern const char *top_devices_dir; /* /sys/class/net and so on are below it; tests point it elsewhere */

/* before: with the same domains, or NULL. 0 or -errno; s->rows is freed by the caller. */
int top_take(struct ctl *ctl, struct top_sample *s, const struct top_sample *before, struct ctl_error *err);
/* Percent of one CPU between two readings; 0 if they make no sense together. */
double top_percent(uint64_t used_before, uint64_t used, uint64_t time_before, uint64_t time);
void top_sort(struct top_sample *s, enum top_order order);
const char *top_order_name(enum top_order order);

#define TOP_LINE 256
/* One line each, without its end. full: the whole name, however long. */
void top_header(char out[TOP_LINE]);
void top_row(char out[TOP_LINE], const struct top_sample *s, const struct top_row *row, bool full);
void top_summary(char out[TOP_LINE], const struct top_sample *s);
void top_host(char out[TOP_LINE], const struct top_sample *s);

/* top_screen.c: until `q`, or the signal that is returned (0: none); or -errno. */
struct top_screen {
    struct ctl *ctl;
    unsigned delay_ms;
    long iterations; /* -1: no end */
    bool full;
};
int top_screen(const struct top_screen *how, struct ctl_error *err);

#endif
