# SPDX-License-Identifier: BSD-2-Clause
"""A real Debian 12 as a guest, from its disk to systemd's login: by a kernel of the control domain's choice, and by
GRUB in the guest, where the guest's own menu decides. It reaches the control domain and another guest."""

import unittest

import debian
import devices
import labtest
import task_steps
from debian import BOOT, GRUB, NAME
from devices import HERE, THERE
from labtest import long_one

OTHER, OTHERS = "small", "10.77.0.3"
FILE = "/sent"
BYTES = 3000000


@long_one
class Kernel(debian.DebianTest):
    def test_disk_and_network(self):
        self.start(kernel=f"{BOOT}/vmlinuz", ramdisk=f"{BOOT}/initrd.img",
                   cmdline="root=/dev/xvda1 ro quiet console=hvc0")
        self.is_debian()
        self.create(OTHER, ramdisk=devices.INITRD, vif=[f"bridge={devices.BRIDGE}"])
        self.wait_console(OTHER, "umbra-guest: up, with drivers")
        self.address(OTHER, OTHERS)
        self.address(NAME, THERE)
        for peer, address in ((None, HERE), (OTHER, OTHERS)):
            self.assertEqual(self.at(NAME, f"ping -c 3 -W 10 {address} >/dev/null"), "0", address)
            self.copy_here(peer, address)
            self.copy_there(peer, address)
        self.ok(f"umbra shutdown -w {NAME}", 240)
        self.assertNotIn(NAME, self.guests())

    def is_debian(self):
        self.assertEqual(self.at(NAME, ". /etc/os-release", "$VERSION_CODENAME"), "bookworm")
        self.assertEqual(self.at(NAME, "s=$(cat /proc/1/comm)", "$s"), "systemd")
        self.assertEqual(self.at(NAME, "s=$(findmnt -no SOURCE /)", "${s#/dev/}"), "xvda1")
        state = self.at(NAME, "s=$(systemctl is-system-running --wait); systemctl --failed --no-legend --plain", "$s")
        self.assertEqual(state, "running", self.console_log(NAME)[-2000:])

    def address(self, name, address):
        """Of its one network interface, whatever its system calls it; the control domain must answer."""
        line = (f"d=$(ls /sys/class/net | grep -v lo); ip addr add {address}/24 dev $d; ip link set $d up; "
                f"for i in $(seq 60); do ping -c 1 -W 1 {HERE} >/dev/null && break; sleep 1; done; "
                f"ping -c 1 -W 10 {HERE} >/dev/null")
        self.assertEqual(self.at(name, line), "0", f"{name} does not reach {HERE}")

    def new_file(self, name):
        self.at(name, f"head -c {BYTES} /dev/urandom >{FILE}; sync")
        return self.sum_of(name, FILE)

    def copy_here(self, peer, address):
        sent = self.new_file(peer)
        self.at(peer, f"(nc -l -p 5000 <{FILE} >/dev/null 2>&1 &) ; sleep 1")
        self.assertEqual(self.at(NAME, f"nc -d {address} 5000 >/got"), "0")
        self.assertEqual(self.sum_of(NAME, "/got"), sent, f"from {address}")

    def copy_there(self, peer, address):
        """busybox' nc ends as soon as its own end has nothing to say: the one that listens holds an open one."""
        sent = self.new_file(NAME)
        self.at(peer, "rm -f /open; mkfifo /open; "
                      "(nc -l -p 5001 <>/open >/got 2>/dev/null &) ; sleep 1")
        self.assertEqual(self.at(NAME, f"nc -N {address} 5001 <{FILE}"), "0")
        self.assertEqual(self.sum_of(peer, "/got"), sent, f"to {address}")


@long_one
class Grub(debian.DebianTest):
    def entry(self):
        return self.at(NAME, "s=$(sed 's/.*umbra.entry=//; s/ .*//' /proc/cmdline)", "$s")

    def by_grub(self, kind):
        """The menu is a file on the guest's disk; the host knows nothing of it."""
        self.start(type=kind, kernel=GRUB[kind], ramdisk=None, cmdline=None)
        self.assertIn("Loading the first entry", self.console_log(NAME))
        self.assertEqual(self.entry(), "first")
        self.at(NAME, "sed -i 's/^set default=.*/set default=1/' /boot/grub/grub.cfg; sync")
        self.ok(f"umbra reboot -w {NAME}", 300)
        self.log_in(NAME)
        self.assertIn("Loading the second entry", self.console_log(NAME))
        self.assertEqual(self.entry(), "second")
        self.ok(f"umbra shutdown -w {NAME}", 240)

    def test_pv(self):
        self.by_grub("pv")

    def test_pvh(self):
        self.by_grub("pvh")


@long_one
@unittest.skipIf(labtest.ON_PEER, "the page is about Umbra")
class Page(debian.DebianTest):
    """docs/tasks/debian-guest.md. Its logical volume is the partition."""

    def test_debian_guest(self):
        walk = task_steps.Walk(self, {"deb1": self.log_in})
        self.assertTrue(walk.prepare())
        devices.prepare(self)
        self.ok(f"mkdir -p /dev/vg0 && ln -sf {debian.PARTITION} /dev/vg0/deb1")
        walk.page("debian-guest")
