# SPDX-License-Identifier: BSD-2-Clause
"""Guests on hardware virtualisation that look at their own page tables: those of tests/guests/hvm, built for four
formats, on an emulator's processor without any hypervisor, which says that what the guests expect is right."""

import os
import re
import subprocess
import unittest

from labtest import BUILD
from machine import TOP

FORMATS = ("hvm32", "hvm32pse", "hvm32pae", "hvm64")
TIMEOUT = 120


def all_guests():
    with open(os.path.join(TOP, "tests", "guests", "hvm", "objs.mk"), encoding="utf-8") as file:
        return re.findall(r"^hvm-tests \+= (\w+)$", file.read(), re.M)


class Guests(unittest.TestCase):
    """What all ways to run them share."""

    left_out = {}  # guest: why

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


WAYS = (Reference,)


def _add_tests():
    """A method for each format; here, so that no name of the module is a second one for a class."""
    for way in WAYS:
        for form in FORMATS:
            setattr(way, f"test_{form}", lambda self, form=form: self.one(form))


_add_tests()
