// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a guest floods the hypervisor's log: with lines of its own, with control characters and false prefixes, and
 * with refused calls that are worth a message. The log is rate limited, lines are cut and cleaned, the calls return
 * at once.
 */
#include "guest.h"

static char text[4096];

static long console(unsigned int cmd, unsigned long n, const void *p)
{
    return HYPERCALL3(__HYPERVISOR_console_io, cmd, n, p);
}

void guest_main(void)
{
    unsigned long frames[1] = {0x200};

    for (unsigned int i = 0; i < sizeof(text); i++)
        text[i] = (char)(i % 64 ? 'x' : i % 3 ? '\n' : '\33');
    __builtin_memcpy(text, "\r\n(XEN) Panic on CPU 0\n", 23);
    for (unsigned int i = 0; i < 1000; i++) {
        (void)console(CONSOLEIO_write, sizeof(text), text);
        CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, frames, 512), -XEN_EINVAL);
    }
    CHECK(console(CONSOLEIO_write, 0xffffffff, (void *)HV_TEXT) < 0 || !on_umbra());
    CHECK(console(CONSOLEIO_read, 100, text) < 0);
    CHECK(console(7, 1, text) < 0);
}
