/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory by linear address: the processor translates through the guest's own tables, which are loaded. A fault on
 * the string instruction goes on behind it (exception table) with a count left over. With SMAP the access is opened for
 * the length of the copy only.
 */
#include <hv/guest_copy.h>
#include <hv/guest_window.h>
#include <hv/hvm.h>
#include <hv/page.h>
#include <hv/spinlock.h>
#include <hv/x86.h>

static void access_begin(void)
{
    if (cpu_features.smap)
        __asm__ __volatile__("stac" ::: "memory", "cc");
}

static void access_end(void)
{
    if (cpu_features.smap)
        __asm__ __volatile__("clac" ::: "memory", "cc");
}

static int copy(void *dst, const void *src, size_t n)
{
    size_t words = n / 8;

    ASSERT(spin_may_take(RANK_PT)); /* as the fault of a guest on shadows does */
    n %= 8;
    access_begin();
    __asm__ __volatile__("1: rep movsq\n2:\n" EXTABLE(1b, 2b) : "+D"(dst), "+S"(src), "+c"(words)::"memory");
    if (!words)
        __asm__ __volatile__("1: rep movsb\n2:\n" EXTABLE(1b, 2b) : "+D"(dst), "+S"(src), "+c"(n)::"memory");
    access_end();
    return words || n ? -EFAULT : 0;
}

int guest_copy_from(void *dst, const void *guest_src, size_t n)
{
    if (in_guest_window(guest_src))
        return guest_window_read(dst, guest_src, n);
    if (is_hvm_vcpu(current))
        return hvm_copy_from(dst, (unsigned long)guest_src, n);
    return guest_range_ok((unsigned long)guest_src, n) ? copy(dst, guest_src, n) : -EFAULT;
}

int guest_copy_to(void *guest_dst, const void *src, size_t n)
{
    if (in_guest_window(guest_dst))
        return guest_window_write(guest_dst, src, n);
    if (is_hvm_vcpu(current))
        return hvm_copy_to((unsigned long)guest_dst, src, n);
    return guest_range_ok((unsigned long)guest_dst, n) ? copy(guest_dst, src, n) : -EFAULT;
}

int guest_clear(void *guest_dst, size_t n)
{
    if (is_hvm_vcpu(current))
        return hvm_clear((unsigned long)guest_dst, n);
    if (!guest_range_ok((unsigned long)guest_dst, n))
        return -EFAULT;
    ASSERT(spin_may_take(RANK_PT));
    access_begin();
    __asm__ __volatile__("1: rep stosb\n2:\n" EXTABLE(1b, 2b) : "+D"(guest_dst), "+c"(n) : "a"(0) : "memory");
    access_end();
    return n ? -EFAULT : 0;
}
