// SPDX-License-Identifier: BSD-2-Clause
/* See hv/guest_window.h. */
#include <hv/guest_window.h>
#include <hv/percpu.h>

static DEFINE_PER_CPU(
    struct {
        size_t size; /* 0: it is not open */
        uint64_t memory[GUEST_WINDOW_SIZE / 8];
    },
    window);

void *guest_window_open(size_t size)
{
    ASSERT(size <= GUEST_WINDOW_SIZE);
    this_cpu(window).size = size;
    return memset(this_cpu(window).memory, 0, size);
}

void guest_window_close(void)
{
    this_cpu(window).size = 0;
}

/* NULL: none. */
static uint8_t *find(const void *at, size_t n)
{
    size_t offset = (uintptr_t)at - GUEST_WINDOW, size = this_cpu(window).size;

    if (!size || offset > size || n > size - offset)
        return NULL;
    return (uint8_t *)this_cpu(window).memory + offset;
}

int guest_window_read(void *dst, const void *at, size_t n)
{
    const uint8_t *p = find(at, n);

    if (p)
        memcpy(dst, p, n);
    return p ? 0 : -EFAULT;
}

int guest_window_write(void *at, const void *src, size_t n)
{
    uint8_t *p = find(at, n);

    if (p)
        memcpy(p, src, n);
    return p ? 0 : -EFAULT;
}
