# SPDX-License-Identifier: BSD-2-Clause
"""The smallest files that the builder takes for a kernel, put together from bytes: for tests in which what the guest
does in between does not matter, and a boot of Linux would be most of the time."""

import struct

BASE = 0xffffffff80000000
PLACE = 0x200000
CODE = 2048
ZEROS = 4096 - 64

# Stops at once, for the reason that is the first character of the command line: 0 power off, 1 reboot, 3 crash.
STOP = bytes([
    0x0f, 0xb6, 0x86, 0x80, 0x00, 0x00, 0x00,  # movzbl 128(%rsi), %eax     start_info->cmd_line[0]
    0x83, 0xe8, 0x30,                          # sub $'0', %eax
    0x50,                                      # push %rax                  struct sched_shutdown
    0x48, 0x89, 0xe6,                          # mov %rsp, %rsi
    0xbf, 0x02, 0x00, 0x00, 0x00,              # mov $SCHEDOP_shutdown, %edi
    0xb8, 0x1d, 0x00, 0x00, 0x00,              # mov $__HYPERVISOR_sched_op, %eax
    0x0f, 0x05,                                # syscall
    0x0f, 0x0b])                               # ud2

# Waits for ever for an event that never comes: SCHEDOP_poll of no port, with a structure of zeros.
SLEEP = bytes([
    0xb8, 0x1d, 0x00, 0x00, 0x00,              # 1: mov $__HYPERVISOR_sched_op, %eax
    0xbf, 0x03, 0x00, 0x00, 0x00,              # mov $SCHEDOP_poll, %edi
    0x48, 0xbe, *struct.pack("<Q", BASE + PLACE + ZEROS),  # movabs $ZEROS, %rsi
    0x0f, 0x05,                                # syscall
    0xeb, 0xe8])                               # jmp 1b


def note(kind, text):
    data = text if isinstance(text, bytes) else struct.pack("<Q", text)
    return struct.pack("<III4s", 4, len(data), kind, b"Xen\0") + data + bytes(-len(data) % 4)


# As PVH kernel: powers off by stopping for good.
HALT = bytes([0xfa, 0xf4, 0xeb, 0xfd])  # cli; 1: hlt; jmp 1b


def tiny_kernel(code=STOP, pvh=False):
    """An ELF file: headers, notes at 512, the code that is run at CODE."""
    notes = note(6, b"test\0") + note(3, BASE) + note(4, 0) + note(1, BASE + PLACE + CODE)
    notes += note(18, PLACE + CODE) if pvh else b""
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 0, 0, PLACE, 4096, 8192, 4096)
    about = struct.pack("<IIQQQQQQ", 4, 4, 512, 0, 0, len(notes), len(notes), 4)
    return ((header + load + about).ljust(512, b"\0") + notes).ljust(CODE, b"\0") + code.ljust(4096 - CODE, b"\0")
