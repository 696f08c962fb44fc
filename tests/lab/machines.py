# SPDX-License-Identifier: BSD-2-Clause
"""The machines of the lab: name -> which emulator, which processor. emulators.py knows the emulators' options.

The CPU features switched off are those whose emulation in QEMU 7.2 is wrong (SMAP: IRET frame; MONITOR: #GP;
RDTSCP: intercept without decode). In Bochs a model's features cannot be switched off: kernels are told not to use
XSAVEC, which damages the saved AVX registers. All but the first five machines need what make nightly fetches."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Description:
    text: str
    cpu: str
    emulator: str = "qemu"
    root: str = ""      # below the build directory: where the emulator is unpacked; empty: it is installed
    smp: int = 2
    memory: int = 2048
    patience: int = 1   # how many times longer than on QEMU everything may take
    protection: tuple = ("SMEP",)   # what of SMEP and SMAP the processor has
    uefi: bool = False  # its firmware, OVMF; else a BIOS
    kernel: str = ""    # words for the command line of each kernel, the control domain's and the guests'


MACHINES = {
    "qemu-svm": Description("QEMU TCG, AMD with SVM and nested paging", "EPYC,-smap,-monitor,-rdtscp"),
    "qemu-nosvm": Description("QEMU TCG, no hardware virtualisation", "EPYC,-svm,-smap,-monitor,-rdtscp"),
    "qemu-nonpt": Description("QEMU TCG, AMD with SVM, no nested paging", "EPYC,-npt,-smap,-monitor,-rdtscp"),
    "qemu-uefi": Description("QEMU TCG, AMD with SVM, UEFI firmware", "EPYC,-smap,-monitor,-rdtscp", uefi=True),
    "qemu-noxsave": Description("QEMU TCG, AMD with SVM and nested paging, no XSAVE: for Debian's Xen",
                                "EPYC,-smap,-monitor,-rdtscp,-xsave,-avx,-avx2,-f16c,-fma"),
    "qemu10": Description("QEMU 10 TCG, AMD with SVM, SMEP, SMAP, UMIP", "EPYC-v4,+x2apic,+umip,-monitor",
                          root="cache/qemu10", protection=("SMEP", "SMAP")),
    "bochs": Description("Bochs, Intel with VMX, SMEP, x2APIC, TSC deadline", "corei7_haswell_4770", "bochs",
                         patience=10),
    "bochs-svm": Description("Bochs, AMD with SVM, SMEP, SMAP", "ryzen", "bochs", patience=10,
                             protection=("SMEP", "SMAP"), kernel="clearcpuid=xsavec"),
}
DEFAULT = "qemu-svm"
PEER = "qemu-noxsave"  # where Debian's Xen and its guests on nested paging leave each other's registers alone
