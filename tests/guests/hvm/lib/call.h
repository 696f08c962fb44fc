/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls of Xen's ABI, by the registers of the guest's code. */
#ifndef HVM_CALL_H
#define HVM_CALL_H

#include "hvm.h"

enum {
    MEMORY_OP = 12,
    XEN_VERSION = 17,
    CONSOLE_IO,
    GRANT_OP = 20,
    VCPU_OP = 24,
    SCHED_OP = 29,
    EVENT_OP = 32,
    HVM_OP = 34
};
enum { EPERM = 1, ENOENT = 2, EFAULT = 14, EINVAL = 22, ENOSYS = 38, ETIME = 62 };
#define SELF 0x7ff0u

static inline long hypercall(unsigned long nr, unsigned long a, const volatile void *b, unsigned long c)
{
    unsigned long second = (unsigned long)b;

#if LEVELS == 4
    __asm__ __volatile__("vmmcall" : "+a"(nr), "+D"(a), "+S"(second), "+d"(c)::"memory");
#else
    __asm__ __volatile__("vmmcall" : "+a"(nr), "+b"(a), "+c"(second), "+d"(c)::"memory");
#endif
    return (long)nr;
}

/* ---- grants ---- */

enum { GTF_PERMIT = 1, GTF_READING = 8, GTF_WRITING = 16 };
enum { GNTMAP_HOST = 2, GNTMAP_READONLY = 4 };

struct map_grant {
    uint64_t host_addr;
    uint32_t flags, ref;
    uint16_t dom;
    int16_t status;
    uint32_t handle;
    uint64_t dev_bus_addr;
};

/* The handle. */
static inline uint32_t map_grant(unsigned long physical, uint16_t dom, uint32_t ref, uint32_t flags)
{
    struct map_grant op = {.host_addr = physical, .flags = GNTMAP_HOST | flags, .ref = ref, .dom = dom, .status = 99};

    CHECK_IS(hypercall(GRANT_OP, 0, &op, 1), 0);
    CHECK_IS(op.status, 0);
    return op.handle;
}

static inline void unmap_grant(unsigned long physical, uint32_t handle)
{
    struct {
        uint64_t host_addr, dev_bus_addr;
        uint32_t handle;
        int16_t status;
    } op = {.host_addr = physical, .handle = handle, .status = 99};

    CHECK_IS(hypercall(GRANT_OP, 1, &op, 1), 0);
    CHECK_IS(op.status, 0);
}

/* Something of the guest's own gets a guest frame: 0: shared_info, 1: a frame of the table of grants. */
static inline long add_to_physmap(uint32_t space, unsigned long index, unsigned long physical)
{
    struct {
        uint16_t domid, size;
        uint32_t space;
        unsigned long index, gfn;
    } add = {.domid = SELF, .space = space, .index = index, .gfn = physical / PAGE_SIZE};

    return hypercall(MEMORY_OP, 7, &add, 0);
}

#endif
