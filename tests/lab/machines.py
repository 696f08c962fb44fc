# SPDX-License-Identifier: BSD-2-Clause
"""The machines of the lab: name -> how the emulator is started. The one place that knows QEMU's options.

The CPU features switched off are those whose emulation in QEMU 7.2 is wrong (SMAP: IRET frame; MONITOR: #GP;
RDTSCP: intercept without decode)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Description:
    text: str
    cpu: str
    binary: str = "qemu-system-x86_64"
    accel: str = "tcg"
    smp: int = 2
    memory: int = 2048


MACHINES = {
    "qemu-svm": Description("QEMU TCG, AMD with SVM and nested paging", "EPYC,-smap,-monitor,-rdtscp"),
    "qemu-nosvm": Description("QEMU TCG, no hardware virtualisation", "EPYC,-svm,-smap,-monitor,-rdtscp"),
}
DEFAULT = "qemu-svm"


def qemu_command(machine, iso, smp=None, memory=None, disks=()):
    """The emulator's argument list without its serial lines and monitor, which the caller chooses."""
    command = [
        machine.binary, "-nodefaults", "-accel", machine.accel, "-cpu", machine.cpu,
        "-smp", str(smp or machine.smp), "-m", str(memory or machine.memory),
        "-display", "none", "-vga", "std", "-no-reboot", "-boot", "d", "-cdrom", iso,
        "-netdev", "user,id=net0", "-device", "e1000,netdev=net0,romfile=",
    ]
    for number, disk in enumerate(disks):
        kind = "qcow2" if disk.endswith(".qcow2") else "raw"
        command += ["-drive", f"if=none,id=disk{number},format={kind},file={disk.replace(',', ',,')}",
                    "-device", f"virtio-blk-pci,drive=disk{number}"]
    return command
