# SPDX-License-Identifier: BSD-2-Clause
"""The machine as a whole: boot options, processors, devices and their interrupts, reboot and power-off of the host, and
the lab's own command from end to end."""

import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

import labtest
import verdict
from labtest import LabTest
from verdict import MachineEnded


class ControlDomain(LabTest):
    """The machine that the other tests share."""

    def test_is_control_domain(self):
        self.assertIn("control_d", self.ok("cat /proc/xen/capabilities"))

    def test_sees_all_processors(self):
        self.assertEqual(self.ok("nproc").strip(), "2")

    def test_kernel_is_the_packaged_one(self):
        self.assertRegex(self.ok("uname -v"), r"Debian 6\.1\.")

    def test_daemons_run(self):
        self.ok("pidof xenstored xenconsoled")
        self.assertEqual(self.ok("xenstore-read /local/domain/0/name").strip(), "Domain-0")

    def test_no_step_of_init_failed(self):
        self.assertNotIn("UMBRA-LAB: FAILED", self.machine.serial_log())

    def test_both_processors_take_interrupts(self):
        before = self.interrupts()
        self.ok("for cpu in 0 1; do taskset -c $cpu sh -c 'for i in 1 2 3 4 5; do sleep 0.05; done'; done")
        for cpu, (old, new) in enumerate(zip(before, self.interrupts())):
            self.assertGreater(new, old, f"cpu {cpu}")

    def interrupts(self):
        lines = self.ok("cat /proc/interrupts").split("\n")
        processors = len(lines[0].split())
        rows = [line.split()[1:processors + 1] for line in lines[1:] if ":" in line]
        rows = [row for row in rows if len(row) == processors and all(word.isdigit() for word in row)]
        return [sum(int(row[cpu]) for row in rows) for cpu in range(processors)]

    def test_clock_keeps_time(self):
        """The control domain's clock against the host's, whatever time the commands themselves take."""
        sent, before = time.monotonic(), self.uptime()
        answered = time.monotonic()
        time.sleep(5)
        asked, passed = time.monotonic(), self.uptime() - before
        self.assertGreater(passed, (asked - answered) * 0.95 - 0.2)
        self.assertLess(passed, (time.monotonic() - sent) * 1.05 + 0.2)

    def uptime(self):
        return float(self.ok("cut -d' ' -f1 /proc/uptime"))

    def test_dmesg_has_the_boot(self):
        log = self.ok("umbra dmesg")
        self.assertIn("(XEN)", log)
        self.assertIn(log.split("\n")[3].strip(), self.machine.serial_log())


class Options(LabTest):
    """Another machine: options of the hypervisor, then the end of the control domain's kernel."""

    machine_options = {"append": ("dom0_mem=320M", "dom0_max_vcpus=1", "no-such-option=5"), "memory": 1024, "smp": 3}

    def test_control_domain_memory_and_processors(self):
        rows = self.ok("umbra list").split("\n")
        name, _, memory, vcpus, _, _ = rows[1].split()
        self.assertEqual((name, memory, vcpus), ("Domain-0", "320", "1"))

    def test_host_processors_and_memory(self):
        info = self.json("umbra --json info")
        self.assertEqual(info["nr_cpus"], 3)
        self.assertGreater(info["total_memory_kib"], 1000 << 10)
        self.assertLessEqual(info["total_memory_kib"], 1024 << 10)

    def test_unknown_option_is_warned_about(self):
        lines = [line for line in self.machine.serial_log().split("\n") if "no-such-option" in line]
        self.assertTrue([line for line in lines if "dom0_mem" not in line], "only the command line itself names it")

    def test_z_control_domain_panic_is_told(self):
        """Last: it ends the machine."""
        with self.assertRaises(MachineEnded) as caught:
            self.machine.run("echo c > /proc/sysrq-trigger", 40)
        self.assertEqual(caught.exception.status, verdict.CONTROL_PANIC, self.machine.serial_tail())


class NoHardwareVirtualisation(LabTest):
    machine_name = "qemu-nosvm"
    machine_options = {"smp": 1, "memory": 1024}

    def test_guest_runs(self):
        self.create("plain")
        self.wait_console("plain", "umbra-guest: up, 1 cpus")

    def test_capabilities_say_pv_only(self):
        info = self.json("umbra --json info")
        self.assertIn("pv", info["virt_caps"].split())
        self.assertNotIn("hvm", info["virt_caps"].split())


class Devices(LabTest):
    """A disk and a network card of the emulator, with the control domain's own drivers; then the host's reboot."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.disk = os.path.join(cls.directory.name, "disk")
        with open(cls.disk, "wb") as file:
            file.write(b"from the host\n".ljust(512, b"\0"))
            file.truncate(16 << 20)
        cls.machine_options = {"disks": (cls.disk,)}

    def test_disk(self):
        self.assertIn("from the host", self.ok("dd if=/dev/vda bs=512 count=1 2>/dev/null | tr -d '\\0'"))
        self.ok("dd if=/dev/zero bs=64k count=128 2>/dev/null | tr '\\0' x | dd of=/dev/vda bs=64k seek=16 conv=fsync")
        with open(self.disk, "rb") as file:
            file.seek(1 << 20)
            self.assertEqual(file.read(8 << 20), b"x" * (8 << 20))

    def test_disk_interrupts(self):
        self.assertGreater(self.interrupts_of("virtio"), 0)

    def test_network(self):
        self.ok("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0")
        self.assertIn("5 packets received", self.ok("sleep 2; ping -c 5 10.0.2.2"))
        self.assertGreater(self.interrupts_of("eth0"), 4)

    def interrupts_of(self, device):
        rows = self.ok(f"grep {device} /proc/interrupts").strip().split("\n")
        return sum(int(word) for row in rows for word in row.split()[1:3])

    def test_z_reboot_of_the_host(self):
        """Last: it ends the machine. The emulator is told to stop at a reset, and says that it was one."""
        with self.assertRaises(MachineEnded):
            self.machine.run("reboot -f; sleep 30", 40)
        self.assertEqual(self.machine.wait_end(30), "guest-reset", self.machine.serial_tail())


class LabCommand(unittest.TestCase):
    """tests/lab/lab run as a person uses it."""

    @classmethod
    def setUpClass(cls):
        labtest.close_machines()

    def lab(self, *arguments):
        command = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab"), "run",
                   "--build", labtest.BUILD]
        if labtest.HYPERVISOR:
            command += ["--hypervisor", labtest.hypervisor_file()]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=200, check=False)

    def test_output_status_overlay_log(self):
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(os.path.join(directory, "overlay/etc"))
            with open(os.path.join(directory, "overlay/etc/motd"), "w", encoding="utf-8") as file:
                file.write("overlaid\n")
            log = os.path.join(directory, "log")
            done = self.lab("--overlay", os.path.join(directory, "overlay"), "--log", log, "--",
                            "cat /etc/motd; printf 'no newline'; echo oops >&2; exit 42")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (42, "overlaid\nno newline", "oops\n"))
            with open(log, encoding="utf-8", errors="replace") as file:
                self.assertTrue(re.search("Linux version", file.read()))

    def test_console_channel(self):
        done = self.lab("--channel", "console", "--", "printf", "%s|", "two words", "$HOME")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "two words|$HOME|", ""))
