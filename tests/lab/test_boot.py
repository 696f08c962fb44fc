# SPDX-License-Identifier: BSD-2-Clause
"""Machines that only one class needs: boot options, no hardware virtualisation, devices, the demonstration, the lab's
own command from end to end; reboot and power-off of the host."""

import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest

import labtest
import verdict
from labtest import LabTest, long_one
from verdict import MachineEnded

HERE = os.path.dirname(os.path.abspath(__file__))
DISK_SIZE = 16 << 20
LEASE_SCRIPT = b"""#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
echo "lease $ip from $router"
"""


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

    def test_keys_on_the_serial_line(self):
        """What is asked of a machine that hangs. The line is the control domain's again afterwards."""
        self.machine.press("dqr")
        log = self.machine.serial_log()
        for text in ("*** Dumping CPU2 state: ***", "General information for domain 0:", "CPU2: runs d"):
            self.assertIn(text, log)
        self.assertEqual(re.findall("Serial input to (.*?) ", log)[-2:], ["Xen", "DOM0"])
        self.ok("true")

    def test_z_control_domain_panic_is_told(self):
        """Last: it ends the machine, which then starts again."""
        self.machine.outlive_reset()
        with self.assertRaises(MachineEnded) as caught:
            self.machine.run("echo c > /proc/sysrq-trigger", 40)
        self.assertEqual(caught.exception.status, verdict.CONTROL_PANIC, self.machine.serial_tail())
        if not labtest.ON_PEER:
            self.machine.wait_again()
            self.assertRegex(self.ok("umbra dmesg --previous"), r"Panic on CPU \d+:\n.*control domain crashed")


@long_one
class NoHardwareVirtualisation(LabTest):
    machine_name = "qemu-nosvm"
    machine_options = {"smp": 1, "memory": 1024}

    def test_guest_runs(self):
        self.create("plain")
        self.wait_console("plain", "umbra-guest: up, 1 cpus")

    def test_no_other_guests(self):
        before = self.footprint()
        self.fails(f"umbra create {self.guest_file('pvh', type='pvh')}", 1, "hardware virtualisation")
        self.assertEqual(self.footprint(), before)

    def test_capabilities(self):
        info = self.json("umbra --json info")
        words = info["virt_caps"].split()
        self.assertIn("pv", words)
        self.assertIn("gnttab-v2", words)
        self.assertEqual("hvm" in words, "hvm-3.0-x86_64" in info["xen_caps"].split())
        if "hvm" in words:
            self.assertTrue({"hap", "shadow"} & set(words))


class Release(LabTest):
    """Without assertions: as installed systems have it."""

    machine_options = {"hypervisor": labtest.release_file(), "memory": 1024}

    def test_guests_run(self):
        self.assertEqual(self.json("umbra --json info")["umbra_build"], "release")
        before = self.footprint()
        for name, keys in (("plain", {}), ("shadowed", {"type": "pvh", "hap": False})):
            self.create(name, vcpus=2, memory=96, **keys)
            self.wait_console(name, "umbra-guest: tick 3\n")
            audit = "umbra shadow audit" if keys else "umbra audit"
            self.ok(f"{audit} {name}")
            self.ok(f"umbra shutdown -w {name}")
            self.wait_gone(name)
        self.wait_footprint(before)


class Devices(LabTest):
    """A disk and a network card of the emulator, with the control domain's own drivers; then the host's reboot."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.disk = os.path.join(cls.directory.name, "disk")
        with open(cls.disk, "wb") as file:
            file.write(random.Random(4).randbytes(DISK_SIZE))
        cls.machine_options = {"disks": (cls.disk,)}

    def test_disk(self):
        """Read: what the host wrote. Written: read back without the cache, and found by the host."""
        self.assertEqual(self.ok("sha256sum </dev/vda").split()[0], self.checksum(0, DISK_SIZE))
        self.ok("head -c 4194304 /dev/urandom >/run/random && dd if=/run/random of=/dev/vda bs=64k seek=16 conv=fsync")
        written = self.ok("sha256sum </run/random").split()[0]
        again = self.ok("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=64k skip=16 count=64 | sha256sum")
        self.assertEqual(again.split()[0], written)
        self.assertEqual(self.checksum(1 << 20, 4 << 20), written)
        self.assertGreater(self.interrupts_of("virtio"), 0)

    def checksum(self, start, size):
        with open(self.disk, "rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(size)).hexdigest()

    def test_network(self):
        self.ok("ip link set eth0 up")
        up = "[ $(cat /sys/class/net/eth0/carrier) = 1 ]"
        self.ok(f"for i in $(seq 100); do {up} && break; usleep 100000; done; {up}")
        self.machine.put("/run/lease", LEASE_SCRIPT)
        lease = self.ok("chmod +x /run/lease && udhcpc -i eth0 -q -n -s /run/lease")
        self.assertIn("lease 10.0.2.15 from 10.0.2.2", lease)
        self.assertIn("5 packets received", self.ok("ping -c 5 10.0.2.2"))
        self.assertGreater(self.interrupts_of("eth0"), 4)

    def interrupts_of(self, device):
        rows = self.ok(f"grep {device} /proc/interrupts").strip().split("\n")
        return sum(int(word) for row in rows for word in row.split()[1:3])

    @unittest.skipIf(labtest.ON_PEER, "Debian's Xen keeps no log")
    def test_y_log_of_the_boot_before(self):
        """None after power-on; after a reboot all that was said until then, and only by that boot."""
        self.fails("umbra dmesg --previous", 1, "no log of a boot before was found")
        for mark in ("first-mark", "second-mark"):
            self.ok(f"echo {mark} >/dev/hvc0; umbra debug-keys h")
            self.machine.restart("reboot -f")
            previous = self.ok("umbra dmesg --previous")
            self.assertIn(mark, previous)
            self.assertIn("'h' pressed", previous)
            self.assertIn("Umbra version", previous)
            self.assertNotIn(mark, self.ok("umbra dmesg"))
        self.assertNotIn("first-mark", previous)

    def test_z_reboot_of_the_host(self):
        """Last: it ends the machine. The emulator is told to stop at a reset, and says that it was one."""
        with self.assertRaises(MachineEnded):
            self.machine.run("reboot -f; sleep 30", 40)
        self.assertEqual(self.machine.wait_end(30), "guest-reset", self.machine.serial_tail())


class Demonstration(unittest.TestCase):
    """What make demo runs, up to the second host: it checks its own steps and says so."""

    def test_each_step(self):
        labtest.make_room()
        command = [sys.executable, os.path.join(HERE, "demo"), "--one-host", "--build", labtest.BUILD]
        if labtest.HYPERVISOR:
            command += ["--hypervisor", labtest.hypervisor_file()]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("All 9 steps succeeded.", done.stdout)
        self.assertIn("umbra-guest: up, 2 cpus", done.stdout)


@long_one
class LabCommand(unittest.TestCase):
    """tests/lab/lab run as a person uses it."""

    @classmethod
    def setUpClass(cls):
        labtest.make_room()

    def lab(self, *arguments):
        command = [sys.executable, os.path.join(HERE, "lab"), "run",
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
