# SPDX-License-Identifier: BSD-2-Clause
"""Carries out a page of docs/tasks (tasks.py) in a machine of the lab: the commands are the page's own, to the letter.

The control domain is made what the pages take it for: with a kernel and a RAM disk where Debian has them, and with the
guest that other pages go on from. The RAM disk is that of the lab's guest with the drivers for disks and networks."""

import os
import shlex
import subprocess
import tempfile
import time

import labtest
import ramdisk
import tasks
from verdict import MachineEnded

LOGS = "/var/log/xen/console"
BRIDGE = "xenbr0"
TIMEOUT = 300
CLEAN = ("rm -rf /srv /vmlinuz /initrd.img /etc/umbra/web*.json /etc/umbra/deb*.json /etc/umbra/old* /var/tmp/* "
         f"{LOGS}/guest-web*.log {LOGS}/guest-deb*.log; "
         f"[ ! -e /sys/class/net/{BRIDGE} ] || ip link del {BRIDGE}")


def script(text):
    """One command line that ends with the first command that fails."""
    return "sh -c " + shlex.quote("set -e -o pipefail\n" + text)


class Walk:
    """host is a LabTest, whose machine it is done in. log_in has, for guests that are not the lab's, what brings root
    from the prompt for a name to a shell, before each block that is typed there."""

    def __init__(self, host, log_in=()):
        self.host, self.typed, self.log_in = host, 0, dict(log_in)

    def prepare(self):
        """False if the guests' drivers are not there."""
        if self.host.run_in(f"[ -e {ramdisk.DEVICES} ]").status:
            return False
        self.host.ok(f"{CLEAN}; mkdir -p /etc/umbra /var/tmp && ln -s {labtest.QUICK_KERNEL} /vmlinuz && "
                     f"cat {labtest.GUEST_INITRD} {ramdisk.DEVICES} >/initrd.img")
        self.host.addCleanup(self.clean)
        for block in tasks.read("first-guest"):
            if block.kind == "file":
                self.do_file(block)
        return True

    def clean(self):
        if self.host.machine.is_usable():  # the page may have ended it
            self.host.run_in(CLEAN)

    def page(self, name):
        for block in tasks.read(name):
            getattr(self, "do_" + block.kind)(block)

    def run(self, block):
        """(status, all that was shown)."""
        result = self.host.run_in(script(block.text), TIMEOUT)
        return result.status, result.out + result.err

    def check(self, block, output):
        self.host.assertEqual(block.missing(output), [], f"{block.where}: not shown; what was shown:\n{output}")

    def do_lab(self, block):
        status, output = self.run(block)
        self.host.assertEqual(status, 0, f"{block.where}\n{output}")
        self.check(block, output)

    def do_until(self, block):
        deadline = time.monotonic() + TIMEOUT
        status, output = self.run(block)
        while (status or block.missing(output)) and time.monotonic() < deadline:
            time.sleep(0.5)
            status, output = self.run(block)
        self.host.assertEqual(status, 0, f"{block.where}\n{output}")
        self.check(block, output)

    def do_fails(self, block):
        status, output = self.run(block)
        self.host.assertNotEqual(status, 0, f"{block.where}\n{output}")
        self.check(block, output)

    def do_console(self, block):
        """The lines are waited for in the console's log, since the terminal may have been left before they came."""
        deadline = time.monotonic() + TIMEOUT
        while block.missing(self.host.console_log(block.what)) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.check(block, self.host.console_log(block.what))
        self.host.ok(f"(sleep 1; printf '\\035') | {script(block.text)}")

    def do_ends(self, block):
        """Of the machine, so that it is the last block of a page; wants to be asked for."""
        if not labtest.LONG:
            return
        with self.host.assertRaises(MachineEnded, msg=block.where):
            self.host.machine.run(script(block.text), 40)
        self.check(block, self.host.machine.serial_log())

    def do_guest(self, block):
        self.typed += 1
        if block.what in self.log_in:
            self.log_in[block.what](block.what)
        else:
            self.host.wait_console(block.what, "umbra-guest: up")
        line = " && ".join(block.text.rstrip("\n").split("\n"))
        self.host.type_in(block.what, f"{line}; echo typed{self.typed}=$?", f"^typed{self.typed}=[0-9]")
        status = self.host.wait_console(block.what, rf"(?m)^typed{self.typed}=(\d+)").group(1)
        self.host.assertEqual(status, "0", f"{block.where}\n{self.host.console_log(block.what)[-2000:]}")

    def do_build(self, block):
        with tempfile.TemporaryDirectory() as directory:
            os.symlink(labtest.BUILD, os.path.join(directory, "build"))
            done = subprocess.run(["sh", "-ec", block.text], cwd=directory, capture_output=True, text=True, check=False)
        self.host.assertEqual(done.returncode, 0, f"{block.where}\n{done.stderr}")
        self.check(block, done.stdout)

    def do_file(self, block):
        self.host.machine.put(block.what, block.text.encode())

    def do_nothing(self, block):
        """Of what is to be read, or is done by others: test_tasks.py tells it."""

    do_deb = do_disk = do_elsewhere = do_text = do_nothing
