// SPDX-License-Identifier: BSD-2-Clause
/*
 * Accesses where no memory is, completed by the emulator: the page of the local APIC in xAPIC mode. Elsewhere nothing
 * answers: what is read is all ones, what is stored is lost, as on a bus; so are stores to read-only memory.
 */
#include <hv/hvm.h>
#include <hv/sched.h>
#include "lapic.h"

void hvm_device_access(gpa_t at, unsigned int bytes, bool write, uint64_t *value)
{
    uint32_t reg = (uint32_t)*value;

    if (!write)
        *value = insn_mask(bytes);
    if (lapic_mmio(current, at, bytes, write, &reg) && !write)
        *value &= reg | ~0xffffffffull;
}
