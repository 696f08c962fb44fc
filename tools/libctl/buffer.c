// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory for hypercall arguments: locked, so that the hypervisor never meets a page that is being moved.
 *
 * Place: under call.c and every file that passes an array to the hypervisor. Invariant: each buffer got is put back, on
 * error paths too. Contents are zero when handed out.
 */
#include <string.h>

#include "libctl/internal.h"

void *ctl_buffer_get(struct ctl *ctl, size_t size)
{
    void *buffer = xencall_alloc_buffer(ctl->call, size);

    if (buffer) {
        memset(buffer, 0, size);
    }
    return buffer;
}

void ctl_buffer_put(struct ctl *ctl, void *buffer)
{
    if (buffer) {
        xencall_free_buffer(ctl->call, buffer);
    }
}
