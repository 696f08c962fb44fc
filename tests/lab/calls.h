/* SPDX-License-Identifier: BSD-2-Clause */
/* What programs that make hypercalls of their own in the control domain share. */
#ifndef LAB_CALLS_H
#define LAB_CALLS_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xencall.h>

static xencall_handle *calls;

static inline void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* Zeroed memory that the hypervisor can read and write; xencall_free_buffer gives it back. */
static inline void *buffer(size_t size)
{
    void *p = xencall_alloc_buffer(calls, size);

    must(p != NULL, "buffer");
    memset(p, 0, size);
    return p;
}

#endif
