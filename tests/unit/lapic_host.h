/* SPDX-License-Identifier: BSD-2-Clause */
/* What test_lapic.c puts around the local APIC: a clock, vCPUs that are only counted, a back end that notes. */
#ifndef LAPIC_HOST_H
#define LAPIC_HOST_H

#include <hv/hvm.h>

#define VCPUS 40u

extern s_time_t now;
extern unsigned int kicks[VCPUS], wakes, sleeps, shutdowns, shut_down_for;
/* What the back end says, and what it was given. */
extern bool open_for[2], nmi_going_on, window;
extern unsigned int injected; /* type << 8 | vector; 0: none */
extern unsigned int cleared;
extern struct hvm_segment segs[HVM_SEGS];

#endif
