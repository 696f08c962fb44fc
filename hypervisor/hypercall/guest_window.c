// SPDX-License-Identifier: BSD-2-Clause
/* See hv/guest_window.h. */
#include <hv/guest_window.h>
#include <hv/percpu.h>

static DEFINE_PER_CPU(
    struct {
        bool open;
        uint64_t memory[GUEST_WINDOW_SIZE / 8];
    },
    window);

void *guest_window_open(void)
{
    this_cpu(window).open = true;
    return memset(this_cpu(window).memory, 0, GUEST_WINDOW_SIZE);
}

void guest_window_close(void)
{
    this_cpu(window).open = false;
}

/* NULL: none. */
static uint8_t *find(const void *at, size_t n)
{
    size_t offset = (uintptr_t)at - GUEST_WINDOW;

    if (!this_cpu(window).open || offset > GUEST_WINDOW_SIZE || n > GUEST_WINDOW_SIZE - offset)
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
