# SPDX-License-Identifier: BSD-2-Clause
"""Guests on hardware virtualisation that look at their own page tables: those of tests/guests/hvm, built for four
formats, on shadows, in the reference mode of these, and on nested paging; and on an emulator's processor without any
hypervisor, which says that what the guests expect is right."""

import json
import os
import re
import subprocess
import time
import unittest

from labtest import BUILD, LabTest, long_one
from machine import TOP

FORMATS = ("hvm32", "hvm32pse", "hvm32pae", "hvm64")
DIRECTORY = "/boot/guest/hostile"
TIMEOUT = 120


def all_guests():
    with open(os.path.join(TOP, "tests", "guests", "hvm", "objs.mk"), encoding="utf-8") as file:
        return re.findall(r"^hvm-tests \+= (\w+)$", file.read(), re.M)


# All guests of a format are one domain, which runs one after the other. Prints the domain, its state at the end, and
# what audits of its shadows and of its grants found.
SCRIPT = """
read -r up _ </proc/uptime; deadline=$((${{up%.*}} + {timeout}))
umbra create -q -e {directory}/guest.json type=pvh name=hvm kernel={directory}/hvm/{form} vcpus=2 memory=8 \\
    hap={hap} "cmdline={words}" || exit 1
while :; do
    set -- $(umbra list hvm | tail -n 1)
    case $5 in *s* | *c*) break ;; esac
    read -r up _ </proc/uptime
    [ ${{up%.*}} -le $deadline ] || break
    usleep 100000
done
echo $2 $5 $({audit})
echo $(umbra --json audit hvm)
umbra destroy hvm
"""


class Guests(unittest.TestCase):
    """What all ways to run them share."""

    left_out = {}  # guest: why
    long = ()  # formats that a short run does without

    def words(self, word):
        """The command line."""
        chosen = [name for name in all_guests() if name not in self.left_out]
        return " ".join([word, "only", *chosen]) if self.left_out else word

    def judge(self, lines):
        """Each guest has said its findings and then that all was well."""
        text = "\n".join(lines)
        verdicts = dict(re.findall(r"^guest-test: (\w+): (.*)$", text, re.M))
        self.assertNotIn("FAIL:", text)
        self.assertEqual(list(verdicts), [name for name in all_guests() if name not in self.left_out], text)
        for name, verdict in verdicts.items():
            with self.subTest(guest=name):
                self.assertRegex(verdict, r"^ok \([1-9]\d* checks\)$")


class OnUmbra(Guests, LabTest):
    hap, word, audit = "false", "shadows", "umbra --json shadow audit hvm"

    def one(self, form):
        if "hvm" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        script = SCRIPT.format(form=form, directory=DIRECTORY, timeout=TIMEOUT, hap=self.hap, audit=self.audit,
                               words=self.words(self.word))
        told, grants = self.ok(script, 2 * TIMEOUT).strip().splitlines()
        domid, state, audit = told.split(" ", 2)
        lines = self.lines_of(domid)
        self.judge(lines)
        self.assertIn("s", state, lines)
        self.assertNotIn("c", state, lines)
        self.assertEqual(json.loads(audit).get("broken", 0), 0)
        grants = json.loads(grants)
        self.assertEqual((grants["broken"], grants["grants_audited"], grants["tables_audited"]), (0, True, False))
        self.assertGreaterEqual(grants["grant_handles"], 1)  # grants.c leaves one mapped

    def lines_of(self, domid):
        """What the guests wrote to the log, or why they were crashed; the last word may still be on the serial line."""
        deadline = time.monotonic() + 5 * self.machine.patience
        while True:
            lines = re.findall(rf"^\(XEN\) d{domid}(?:v\d+)? (.*)$", self.machine.serial_log(), re.M)
            last = lines[-1] if lines else ""
            if last.startswith((f"guest-test: {all_guests()[-1]}:", "crashed: ")) or time.monotonic() > deadline:
                return lines
            time.sleep(0.05)


class OnShadows(OnUmbra):
    pass


@long_one
class OnSoftwareTlb(OnUmbra):
    """The hypervisor's reference mode, when it is asked for: with a boot of its own it takes minutes."""

    machine_options = {"append": ("shadow=vtlb",)}
    word = "vtlb"


class OnNestedPaging(OnUmbra):
    """On a machine with one CPU: with more, both versions of QEMU now and then lose a guest (docs/debugging.md)."""

    machine_options = {"smp": 1}
    hap, word, audit = "true", "hardware", "echo {}"
    long = ("hvm32", "hvm32pse", "hvm32pae")

    def setUp(self):
        super().setUp()
        if "hap" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no nested paging")


@long_one
class Reference(Guests):
    """The emulator's own processor, without a firmware's devices: a guest is there in a tenth of a second."""

    command = ("qemu-system-x86_64", "-machine", "microvm", "-accel", "tcg", "-cpu", "max", "-m", "32", "-smp", "2",
               "-nodefaults", "-display", "none", "-no-reboot", "-chardev", "stdio,id=log,signal=off",
               "-device", "isa-debugcon,iobase=0xe9,chardev=log", "-device", "isa-debug-exit,iobase=0xf4")

    def one(self, form):
        kernel = os.path.join(BUILD, "guests", "hvm", form)
        done = subprocess.run([*self.command, "-append", self.words("hardware"), "-kernel", kernel], timeout=TIMEOUT,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False)
        self.judge(done.stdout.decode(errors="replace").strip().split("\n"))
        self.assertEqual(done.returncode, 1, done.stderr)  # by the device for that


WAYS = (Reference, OnShadows, OnSoftwareTlb, OnNestedPaging)


def _method(form, takes_long):
    def test(self):
        self.one(form)
    return long_one(test) if takes_long else test


def _add_tests():
    """A method for each format; here, so that no name of the module is a second one for a class."""
    for way in WAYS:
        for form in FORMATS:
            setattr(way, f"test_{form}", _method(form, form in way.long))


_add_tests()
