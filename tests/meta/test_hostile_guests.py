# SPDX-License-Identifier: BSD-2-Clause
"""The guests of tests/guests: short, explained, built, and run by the lab."""

import os
import re
import sys
import unittest

import tree

sys.path.insert(0, os.path.join(tree.TOP, "tests", "lab"))
import test_hostile  # noqa: E402
import test_hostile_devices  # noqa: E402
import test_hvm_guests  # noqa: E402

FOLDER = "tests/guests"
HVM = FOLDER + "/hvm"
DEVICE = FOLDER + "/device"
CALLS = FOLDER + "/lib/calls"
# Calls of an older interface, whose errors are those of the newer one.
PARTS = {"event_channel_op_compat": "event_channel_op", "physdev_op_compat": "physdev_op"}
GUEST_LINES = 100
PROSE_WORDS = 25


def pointer_calls():
    """Of each row: call, error for a pointer that cannot be read, other errors."""
    text = tree.read(CALLS + ".def")
    rows = re.findall(r"^(?:ONE\((\w+), [^,]+|MANY\((\w+), [^,]+, [^,]+), \w+,\s+\w+, (\w+), (.*?), \w+\)", text, re.M)
    return [(one or many, error, others) for one, many, error, others in rows]


class Guests(unittest.TestCase):
    def setUp(self):
        self.sources, self.names = self.guests_of(FOLDER)
        self.hvm_sources, self.hvm_names = self.guests_of(HVM)
        self.device_sources, self.device_names = self.guests_of(DEVICE)
        self.all_sources = self.sources + self.hvm_sources + self.device_sources

    @staticmethod
    def guests_of(folder):
        sources = [path for path in tree.files(folder) if path.endswith(".c") and os.path.dirname(path) == folder]
        return sources, [os.path.basename(path)[:-2] for path in sources]

    def test_there_are_guests(self):
        self.assertGreater(len(self.names), 5)
        self.assertGreater(len(self.hvm_names), 5)
        self.assertGreater(len(self.device_names), 5)

    def test_lengths(self):
        for path in self.all_sources:
            self.assertLessEqual(tree.read(path).count("\n"), GUEST_LINES, path)

    def test_prose_first(self):
        """After the licence line a comment that begins with the kind and tells it in words."""
        for path in self.all_sources:
            match = re.match(r"// SPDX[^\n]*\n/\*\n \* (Rule|Attack): (.*?)\*/\n", tree.read(path), re.S)
            self.assertTrue(match, f"{path}: no comment at its head that begins with Rule: or Attack:")
            self.assertGreaterEqual(len(match.group(2).split()), PROSE_WORDS, path)

    def test_built(self):
        listed = re.findall(r"^guests \+= (\w+)$", tree.read(FOLDER + "/objs.mk"), re.M)
        self.assertEqual(sorted(listed), sorted(self.names))

    def test_run_in_the_lab(self):
        methods = [name for name in dir(test_hostile.Hostile) if name.startswith("test_guest_")]
        self.assertEqual(methods, sorted(f"test_guest_{name}" for name in self.names))
        self.assertLessEqual(set(test_hostile.NEEDS), set(self.names), "needs of a guest that is not there")

    def test_hvm_guests_run_in_the_lab(self):
        self.assertEqual(sorted(test_hvm_guests.all_guests()), sorted(self.hvm_names))
        for way in test_hvm_guests.WAYS:
            self.assertLessEqual(set(way.left_out), set(self.hvm_names), "a guest that is not there is left out")

    def test_halves_of_devices_run_in_the_lab(self):
        listed = re.findall(r"^device-guests \+= (\w+)$", tree.read(DEVICE + "/objs.mk"), re.M)
        polite = re.findall(r"^polite-guests := (\w+)$", tree.read(DEVICE + "/objs.mk"), re.M)
        self.assertEqual(sorted(listed + polite), sorted(self.device_names))
        methods = [name for name in dir(test_hostile_devices.HostileDevices) if name.startswith("test_")]
        wanted = [f"test_{name}" if name.startswith("back_") else f"test_front_{name}" for name in listed]
        self.assertEqual(methods, sorted(wanted))
        self.assertLessEqual(set(test_hostile_devices.QUICK), set(listed))
        for name in polite:
            self.assertIn(f"/hostile/device/{name}", tree.read("tests/lab/test_kill.py"))

    def test_answers_to_pointers(self):
        """The list of calls with pointers: what refuses a bad one otherwise is in the table of docs/abi.md, and every
        other error that is allowed is somewhere in what that page says of the call."""
        said = tree.read("docs/abi.md")
        table = said.split("## Pointers\n")[1].split("\n## ")[0]
        exceptions = {(call, "NOTHING" if "count" in error else error)
                      for call, error in re.findall(r"^\| (\w+) \| ([\w ]+) \|", table, re.M)} - {("Call", "Instead")}
        groups = dict(re.findall(r"^#define (\w+)\s+(\(E\(.*\))$",
                                 tree.read(CALLS + ".c").replace("\\\n", " "), re.M))
        listed = set()
        for call, error, others in pointer_calls():
            if error != "EFAULT":
                listed.add((call, error))
            for group, text in groups.items():
                others = re.sub(rf"\b{group}\b", text, others)
            text = "\n".join(re.findall(rf"^## {PARTS.get(call, call)} \(\d+\)\n.*?(?=^## )|"
                                       rf"^\| {call} \(\d+\).*?$", said, re.M | re.S))
            for other in re.findall(r"E\((\w+)\)", others):
                self.assertIn(other, text, f"{call}: not told")
        self.assertEqual(listed, exceptions)

    def test_differences_are_listed(self):
        """A guest that asks where it runs, and nobody else, has rows in the table of both hypervisors' answers."""
        asking = {name for name, path in zip(self.names, self.sources) if "on_umbra()" in tree.read(path)}
        rows = re.findall(r"^\| (\w+) \|", tree.read("docs/peer.md"), re.M)
        self.assertEqual(set(rows) - {"Guest"}, asking)
