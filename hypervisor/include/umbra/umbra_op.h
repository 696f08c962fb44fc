/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra_op, hypercall 55 (an architecture's own number in <xen/xen.h>): what the control domain asks of this
 * hypervisor and the Xen 4.17 ABI has no call for. One argument, a pointer to struct umbra_op. Shared by the hypervisor
 * and libctl; not an interface for guests.
 *
 * Errors of every command: -EPERM not the control domain; -EFAULT; -EACCES another interface version; -ENOSYS no such
 * command, or a hypervisor that is not Umbra; -ESRCH no domain of that id, where the command takes one.
 */
#ifndef UMBRA_UMBRA_OP_H
#define UMBRA_UMBRA_OP_H

#include <stdint.h>

#define __HYPERVISOR_umbra_op      55
#define UMBRA_OP_INTERFACE_VERSION 1

/* What was compiled in. Takes no domain. */
#define UMBRA_OP_build_info 1
struct umbra_op_build_info {
    uint32_t flags; /* OUT: UMBRA_BUILD_* */
    uint32_t pad;
};
#define UMBRA_BUILD_debug 1u /* assertions, lock ranks, local audits */

struct umbra_op {
    uint32_t cmd;
    uint32_t interface_version;
    uint32_t domain;
    uint32_t pad;
    union {
        struct umbra_op_build_info build_info;
        uint8_t space[112];
    } u;
};

#endif
