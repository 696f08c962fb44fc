/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only door to guest memory named by linear addresses of the current vCPU. The hardware walks the guest's own
 * tables; an address in the hypervisor's range, or a fault, gives -EFAULT. A fault costs a fix-up; of a guest on
 * shadows it takes the lock of its tables: locks of ranks below RANK_PT may be held.
 */
#ifndef HV_GUEST_COPY_H
#define HV_GUEST_COPY_H

#include <hv/lib.h>

/* 0 or -EFAULT (then part may have been copied). */
int guest_copy_from(void *dst, const void *guest_src, size_t n);
int guest_copy_to(void *guest_dst, const void *src, size_t n);
int guest_clear(void *guest_dst, size_t n);

/* n elements from or to a typed guest pointer (a handle's .p), whose type must match the local object's. */
#define copy_from_guest(local, gptr, n) \
    ((void)((local) == (gptr)), guest_copy_from((local), (gptr), sizeof(*(local)) * (size_t)(n)))
#define copy_to_guest(gptr, local, n) \
    ((void)((local) == (gptr)), guest_copy_to((gptr), (local), sizeof(*(local)) * (size_t)(n)))
/* One field of a structure in guest memory. */
#define copy_field_to_guest(gptr, local, field) guest_copy_to(&(gptr)->field, &(local)->field, sizeof((local)->field))
/* Hypercall argument as a guest pointer. */
#define guest_ptr(type, arg) ((type *)(arg))

/* Hypercall handlers copy at most this many array elements between preemption checks. */
#define GUEST_BATCH 64

#endif
