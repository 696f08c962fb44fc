// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program of the test guest, without a C library because the guest has none: grants a page to the control domain,
 * says under which reference, waits for an answer in the page, shows it and takes the grant back.
 */
#include <stdint.h>
#include <asm/ioctl.h>
#include <asm/unistd.h>
#include <xen/gntalloc.h>

#define ANSWER 2048

static long call(long nr, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = 0;
    long rc;

    __asm__ __volatile__("syscall"
                         : "=a"(rc)
                         : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
    return rc;
}

static void say(const char *text)
{
    long n = 0;

    while (text[n]) {
        n++;
    }
    call(__NR_write, 1, (long)text, n, 0, 0);
}

static void say_number(const char *text, long number)
{
    char digits[24];
    unsigned at = sizeof(digits) - 1;
    unsigned long left = number < 0 ? (unsigned long)-number : (unsigned long)number;

    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    say(text);
    say(number < 0 ? "-" : "");
    say(digits + at);
    say("\n");
}

static long share(long device)
{
    struct ioctl_gntalloc_alloc_gref alloc = {.domid = 0, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1};
    struct ioctl_gntalloc_dealloc_gref dealloc = {.count = 1};
    const struct {
        long seconds, nanoseconds;
    } pause = {0, 50000000};
    static const char text[] = "a page of the guest";
    long rc = call(__NR_ioctl, device, (long)IOCTL_GNTALLOC_ALLOC_GREF, (long)&alloc, 0, 0);
    volatile char *page;

    if (rc) {
        return rc;
    }
    page = (volatile char *)call(__NR_mmap, 0, 4096, 3, 1, device);
    for (unsigned i = 0; i < sizeof(text); i++) {
        page[i] = text[i];
    }
    say_number("shared reference ", alloc.gref_ids[0]);
    while (!page[ANSWER]) {
        call(__NR_nanosleep, (long)&pause, 0, 0, 0, 0);
    }
    say("answer: ");
    say((const char *)page + ANSWER);
    say("\n");
    call(__NR_munmap, (long)page, 4096, 0, 0, 0);
    dealloc.index = alloc.index;
    return call(__NR_ioctl, device, (long)IOCTL_GNTALLOC_DEALLOC_GREF, (long)&dealloc, 0, 0);
}

/* The kernel leaves the stack as no function expects it. */
__attribute__((force_align_arg_pointer)) void _start(void)
{
    long device = call(__NR_open, (long)"/dev/xen/gntalloc", 2, 0, 0, 0);

    say_number("released ", device < 0 ? device : share(device));
    call(__NR_exit_group, 0, 0, 0, 0, 0);
}
