/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console_io: the control domain's console. Other domains may write to the hypervisor's log in debug builds, a line at
 * a time and rate limited, since a guest without a console ring has nothing else to say its last words with. Source:
 * <xen/xen.h>, CONSOLEIO_*.
 */
#include <hv/console.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>

#define CHUNK 128

static long control_write(struct hcall *hc)
{
    const char *g = guest_ptr(const char, hc->arg[2]);
    unsigned int left = (unsigned int)hc->arg[1];
    char buf[CHUNK];

    while (left) {
        unsigned int n = MIN(left, CHUNK);

        if (guest_copy_from(buf, g, n))
            return -EFAULT;
        console_write(buf, n, true);
        g += n;
        left -= n;
        if (left && preempt_needed()) {
            hc->arg[1] = left;
            hc->arg[2] = (unsigned long)g;
            return hypercall_restart(hc);
        }
    }
    return 0;
}

static bool printable(char c)
{
    return c >= ' ' && c <= '~';
}

static long guest_write(const struct hcall *hc)
{
    unsigned int n = MIN((unsigned int)hc->arg[1], CHUNK - 1);
    char buf[CHUNK];

    if (guest_copy_from(buf, guest_ptr(const char, hc->arg[2]), n))
        return -EFAULT;
    while (n && buf[n - 1] == '\n')
        n--;
    for (unsigned int i = 0; i < n; i++)
        if (!printable(buf[i]))
            buf[i] = ' ';
    buf[n] = '\0';
    gprintk("%s\n", buf);
    return 0;
}

static long control_read(const struct hcall *hc)
{
    char buf[CHUNK];
    size_t n = console_read(buf, MIN((unsigned int)hc->arg[1], CHUNK));

    return guest_copy_to((void *)hc->arg[2], buf, n) ? -EFAULT : (long)n;
}

long do_console_io(struct hcall *hc)
{
    bool control = current->domain->is_control;

    switch ((unsigned int)hc->arg[0]) {
    case CONSOLEIO_write:
        return control ? control_write(hc) : guest_write(hc);
    case CONSOLEIO_read:
        return control ? control_read(hc) : -EPERM;
    default:
        return control ? -ENOSYS : -EPERM;
    }
}
