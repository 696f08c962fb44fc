/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests see of the stand-in for libctl (fake_ctl.c).
 */
#ifndef FAKE_CTL_H
#define FAKE_CTL_H

#include "libctl/ctl.h"

struct fake {
    bool present;
    struct ctl_domain_info domains[8];
    int n;
    char acts[512]; /* "pause 3;unpause 3;" */
    int act_fails;  /* error that every act returns */
    int build_fails;
    int ends[12];    /* reasons for which domains end, one after the other; negative: gone */
    const char *log; /* the hypervisor's */
    const char *log_on_build;
};

extern struct fake fake;

struct ctl_domain_info *fake_add(uint32_t domid, const char *name);

#endif
