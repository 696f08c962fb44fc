# SPDX-License-Identifier: BSD-2-Clause
"""Guests with disks and network interfaces, for the tests of these: the control domain's side as an administrator would
set it up, and a shell in the guest."""

import os
import time

import ramdisk
from labtest import GUEST_INITRD, LabTest

INITRD = "/run/devices-initrd"
BRIDGE = "xenbr0"
HERE, THERE = "10.77.0.1", "10.77.0.2"
MIB = 1 << 20


def prepare(host, address=HERE):
    """False: the machine has no archive with the drivers of the guests' kernel."""
    if host.run_in(f"[ -e {ramdisk.DEVICES} ]").status:
        return False
    host.ok("for module in loop bridge xen-blkback xen-netback; do modprobe $module || exit; done; "
            f"[ -e {INITRD} ] || cat {GUEST_INITRD} {ramdisk.DEVICES} >{INITRD}; "
            f"[ -e /sys/class/net/{BRIDGE} ] || {{ brctl addbr {BRIDGE} && ip addr add {address}/24 dev {BRIDGE} && "
            f"ip link set {BRIDGE} up; }}")
    return True


class DevicesTest(LabTest):
    """A test with such guests, on a machine that may have a disk of its own, which is made beforehand."""

    image, made_by = None, None  # the file behind the machine's disk, and what makes it

    def setUp(self):
        if self.image and not os.path.exists(self.image):
            self.skipTest(f"no {self.image}: {self.made_by}, as root")
        super().setUp()
        if not prepare(self):
            self.skipTest("no archive with the drivers of the guests' kernel")

    def left(self):
        """What devices take in the control domain, as text."""
        raise NotImplementedError

    def wait_left(self, before):
        deadline = time.monotonic() + 30 * self.machine.patience
        while self.left() != before and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(self.left(), before)


def ask(host, name, line, word):
    """Types a line at the guest's shell that ends with: echo word=ANSWER. Returns the answer."""
    host.type_in(name, line, f"^{word}=[0-9a-z]")
    return host.wait_console(name, rf"(?m)^{word}=(\S*)").group(1)


def has_disk(host, name, disk, there, word):
    """Waits until the guest has the disk, or has it no more."""
    test = f"[ -b /dev/{disk} ]" if there else f"[ ! -b /dev/{disk} ]"
    line = f"for i in $(seq 100); do {test} && break; usleep 100000; done; {test}; echo {word}=$?"
    host.assertEqual(ask(host, name, line, word), "0", f"{disk} there: {there}")


def reaches_host(host, name):
    """Gives the guest's first interface its address, and waits for an answer over the bridge."""
    line = (f"ip addr add {THERE}/24 dev eth0; ip link set eth0 up; "
            f"for i in $(seq 60); do ping -c 1 -W 1 {HERE} >/dev/null && break; sleep 1; done; echo pinged=$?")
    host.assertEqual(ask(host, name, line, "pinged"), "0")
