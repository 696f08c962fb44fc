# SPDX-License-Identifier: BSD-2-Clause
"""The same image, started by UEFI firmware (OVMF): the control domain finds the firmware's tables and ACPI's, reaches
the firmware's variables, runs a guest, restarts the machine and powers it off."""

import re
import unittest

import labtest
from labtest import LabTest, long_one
from verdict import MachineEnded

VARIABLES = "/sys/firmware/efi/efivars"
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
OURS = "b3a1c6e2-5d0f-4e0c-9f5e-6a7d1c2b3a49"


class Uefi(LabTest):
    machine_name = "qemu-uefi"

    @unittest.skipIf(labtest.ON_PEER, "the log of Umbra")
    def test_hypervisor_finds_the_firmware(self):
        log = self.machine.serial_log()
        self.assertRegex(log, r"EFI: version 2\.\d+ by .+, [1-9]\d* tables, [1-9]\d* regions\n")
        self.assertNotIn("runtime services cannot be used", log)
        self.assertIn("Brought up 2 CPUs", log)

    def test_kernel_finds_the_tables(self):
        self.assertEqual(self.ok("cat /sys/firmware/efi/fw_platform_size").strip(), "64")
        table = dict(line.split("=") for line in self.ok("cat /sys/firmware/efi/systab").split())
        self.assertIn("ACPI20", table)
        self.assertTrue({"SMBIOS", "SMBIOS3"} & set(table), table)
        log = self.ok("dmesg")
        self.assertRegex(log, r"efi: EFI v2\.\d+ by ")
        self.assertNotIn("Secure Boot status", log)  # it was asked for, and the answer understood
        self.assertRegex(self.ok("cat /sys/class/dmi/id/bios_vendor"), "EDK II|EFI|Distribution|OVMF")

    @long_one
    def test_acpi(self):
        log = self.ok("dmesg")
        rsdp = re.search(r"ACPI: RSDP 0x([0-9A-F]+)", log)
        table = self.ok("grep ACPI20 /sys/firmware/efi/systab").strip().split("=0x")[1]
        self.assertTrue(rsdp, "no root pointer")
        self.assertEqual(int(rsdp[1], 16), int(table, 16))
        for name in ("FACP", "APIC", "DSDT"):
            self.ok(f"[ $(wc -c </sys/firmware/acpi/tables/{name}) -gt 36 ]")
        self.assertIn("acpi", self.ok("cat /proc/interrupts"))
        self.assertEqual(self.ok("nproc").strip(), "2")

    def test_variables(self):
        """Names are listed, one is read, one is made and read back."""
        self.ok(f"modprobe efivarfs && (grep -q efivarfs /proc/mounts || mount -t efivarfs none {VARIABLES})")
        names = self.ok(f"ls {VARIABLES}").split()
        self.assertIn(f"BootOrder-{GLOBAL}", names)
        self.assertGreater(len(names), 5)
        order = self.ok(f"od -An -tx1 {VARIABLES}/BootOrder-{GLOBAL}").split()
        self.assertEqual(order[:4], ["07", "00", "00", "00"])  # kept, at boot, at run time
        self.ok(f"printf '\\007\\000\\000\\000umbra' >{VARIABLES}/UmbraTest-{OURS}")
        self.assertEqual(self.ok(f"cat {VARIABLES}/UmbraTest-{OURS}")[4:], "umbra")  # by the firmware again

    @long_one
    def test_guest(self):
        self.create("plain", vcpus=2)
        self.wait_console("plain", "umbra-guest: up, 2 cpus")

    @long_one
    def test_y_power_off(self):
        """By the firmware, with both processors. It ends the machine: what is behind it gets another one."""
        self.assertTrue(self.machine.poweroff(60), self.machine.serial_tail())

    def test_z_reboot_of_the_host(self):
        """Last: it ends the machine."""
        with self.assertRaises(MachineEnded):
            self.machine.run("reboot -f; sleep 30", 40)
        self.assertEqual(self.machine.wait_end(30), "guest-reset", self.machine.serial_tail())


@labtest.long_one
@unittest.skipIf(labtest.ON_PEER, "a boot word of Umbra")
class WithoutServices(LabTest):
    """The firmware's code is not called: its tables are there all the same. One processor."""

    machine_name = "qemu-uefi"
    machine_options = {"append": ("efi=no-rs",), "smp": 1}

    def test_tables_but_no_variables(self):
        self.assertIn("ACPI20", self.ok("cat /sys/firmware/efi/systab"))
        self.fails(f"modprobe efivarfs; mount -t efivarfs none {VARIABLES}", tuple(range(1, 256)))

    def test_z_power_off(self):
        """Last: it ends the machine."""
        self.assertTrue(self.machine.poweroff(60), self.machine.serial_tail())
