/* SPDX-License-Identifier: BSD-2-Clause */
/* What core_log.c and core_log_pv.c share: a domain whose stores are logged, and a tool that asks for the log. */
#ifndef TESTS_CORE_LOG_H
#define TESTS_CORE_LOG_H

#include "fake/core.h"

#define PAGES 70u  /* guest frames of 4 KiB, and what is in LARGE */
#define LARGE 512u /* 512 of one entry */
#define TOTAL (LARGE + 512u)
#define BYTES (TOTAL / 8)
#define POOL  200u

extern struct domain *d;
extern struct xen_domctl *op;
extern uint8_t *bitmap; /* what the tool was told last */

/* XEN_DOMCTL_shadow_op of domain id; the result of the call. */
long log_op(domid_t id, uint32_t command, uint32_t mode, uint64_t pages, void *to);
#define ENABLE() log_op(d->id, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, 0, NULL)
#define OFF()    log_op(d->id, XEN_DOMCTL_SHADOW_OP_OFF, 0, 0, NULL)
/* Is that frame's bit set in bitmap? */
bool says(uint64_t gfn);
/* Bits that are set in bitmap. */
unsigned int how_many(void);

#endif
