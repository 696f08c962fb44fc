/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables in text. Scripts (Ganeti, Pacemaker) read them by columns, so they are xl's to the byte: six columns that
 * never shift, whatever a name holds. Everything new goes to JSON.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdio.h>

#include "libctl/ctl.h"

/* The name in one word: a stand-in if there is none, no blanks, nothing a terminal would act on. */
void print_name(char out[CTL_NAME_MAX], const struct ctl_domain_info *info);
/* Columns behind those that xl has for options. */
struct list_more {
    bool verbose, pool, nodes; /* uuid, reason and label; the CPU pool; the memory nodes */
};
void list_header(FILE *f, const struct list_more *more);
/* nodes: NULL unless more->nodes. */
void list_row(FILE *f, const struct ctl_domain_info *info, const struct list_more *more, const char *nodes);
void vm_header(FILE *f);
void vm_row(FILE *f, const struct ctl_domain_info *info);
/* claims: the columns of list, and one more */
void claim_header(FILE *f);
void claim_row(FILE *f, const struct ctl_domain_info *info);
/* One word for JSON: dying crashed shutdown paused running blocked runnable. */
const char *domain_state(const struct ctl_domain_info *info);
/* poweroff reboot suspend crash watchdog soft_reset, or NULL if it has not shut down. */
const char *shutdown_reason(const struct ctl_domain_info *info);

/* hap shadow, or NULL for a PV domain. */
const char *paging_name(const struct ctl_domain_info *info);

void vcpu_header(FILE *f);
void vcpu_row(FILE *f, const struct ctl_domain_info *info, const struct ctl_vcpu_info *vcpu, const char *affinity);

/* "key : value" as `info` prints it. */
void info_line(FILE *f, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The paging mode of a guest whose configuration does not say; NULL: the host has no such guests. */
const char *host_paging(uint32_t capabilities);
/* virt_caps in xl's words; returns out. */
const char *virt_caps(char *out, size_t size, uint32_t capabilities);

/* sched-credit2 */
void sched_header(FILE *f);
void sched_row(FILE *f, const char *name, uint32_t domid, const struct ctl_sched *sched);
/* uptime; seconds -1: not known. brief: a sentence with the time of day instead of a row. */
void uptime_header(FILE *f);
void uptime_row(FILE *f, const char *name, uint32_t domid, int64_t seconds, bool brief);

/* block-list, network-list: devices of a guest */
void disk_header(FILE *f);
void disk_row(FILE *f, uint32_t domid, const struct ctl_device *d);
void vif_header(FILE *f);
void vif_row(FILE *f, uint32_t domid, const struct ctl_device *d);

#endif
