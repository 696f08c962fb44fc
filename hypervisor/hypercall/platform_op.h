/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of platform_op that have a file of their own. */
#ifndef PLATFORM_OP_H
#define PLATFORM_OP_H

#include <xen/xen.h>
#include <xen/platform.h>

/* efi_op.c. Each fills its structure; -ENOSYS on a machine that a BIOS started. */

/* XENPF_firmware_info, type XEN_FW_EFI_INFO. 0; -EOPNOTSUPP it is not known; -ESRCH no such region; -ENODATA; -EINVAL
 * no such index; -EFAULT. */
long efi_firmware_info(uint32_t index, union xenpf_efi_info *info);
/* XENPF_efi_runtime_call. 0 with the service's result in status; -EOPNOTSUPP it cannot be called; -EINVAL flags, or a
 * name that does not end; -ENOMEM; -EFAULT; -ENOSYS no such function; -ERESTART: another CPU is in the firmware. */
long efi_runtime_call(struct xenpf_efi_runtime_call *c);

#endif
