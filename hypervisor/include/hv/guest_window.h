/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments of a hypercall that the hypervisor lays before its handler itself, because those in guest memory have
 * another layout (hypercall/compat_32.c). guest_copy.h finds them at an address that no guest has, on this CPU, while
 * the window is open: for the length of one call, which is not interrupted by another.
 */
#ifndef HV_GUEST_WINDOW_H
#define HV_GUEST_WINDOW_H

#include <hv/lib.h>

#define GUEST_WINDOW      (1ul << 62) /* far from what 32 bits and an index reach, and from any canonical address */
#define GUEST_WINDOW_SIZE 2112u       /* room for an argument, and for the frames of the largest table of grants */

static inline bool in_guest_window(const void *at)
{
    return (uintptr_t)at >> 62 == 1;
}

/* Its memory, of so many bytes, at most GUEST_WINDOW_SIZE: all zeros. */
void *guest_window_open(size_t size);
void guest_window_close(void);
/* 0; -EFAULT: it is not open, or not that large. */
int guest_window_read(void *dst, const void *at, size_t n);
int guest_window_write(void *at, const void *src, size_t n);

#endif
