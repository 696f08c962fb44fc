# SPDX-License-Identifier: BSD-2-Clause
"""Each call of the ABI, answered as Xen 4.17 answers it: the probe (probe.c) asks in the control domain, abi_xen.txt is
what Debian's Xen said, and docs/abi.md lists where the answers differ on purpose. Differences are exactly these: none
may be missing from the list, and none may be listed that is not there."""

import os
import re
import unittest

from labtest import LabTest, ON_PEER, TOP

HERE = os.path.join(TOP, "tests", "lab")
SKIPPED = "asks the probe on Debian's Xen and compares with the record: tests/run --lab --hypervisor xen"


def answers(text):
    return dict(line.rsplit(" ", 1) for line in text.splitlines())


def recorded():
    with open(os.path.join(HERE, "abi_xen.txt"), encoding="utf-8") as file:
        return answers("".join(line for line in file if not line.startswith("#")))


def deliberate():
    """{name: (here, in Xen)} of the last table of docs/abi.md; a name there ends in * for all that begin so."""
    with open(os.path.join(TOP, "docs", "abi.md"), encoding="utf-8") as file:
        table = file.read().split("## Differences from Xen\n")[1]
    found = {}
    for line in re.findall(r"^\| `(.*)", table, re.M):
        cells = [cell.strip() for cell in ("`" + line).strip("|").split(" | ")]
        for name in cells[0].split(", "):
            found[name.strip("`")] = (cells[1], cells[2])
    return found


class Probe(LabTest):
    def ask(self):
        self.put_program("/run/probe", "probe.c")
        return answers(self.ok("/run/probe"))

    @unittest.skipIf(ON_PEER, "the record is of the peer: test_record")
    def test_answers(self):
        ours, xen, listed = self.ask(), recorded(), deliberate()
        self.assertEqual(set(ours), set(xen))
        self.assertGreater(len(ours), 500)
        differ = {name: (ours[name], xen[name]) for name in ours if ours[name] != xen[name]}
        used, unlisted = set(), []
        for name, pair in differ.items():
            rule = next((rule for rule, (here, there) in listed.items() if here == pair[0] and pair[1] in there.split()
                         and (rule == name or rule.endswith("*") and name.startswith(rule[:-1]))), None)
            used.add(rule)
            if not rule:
                unlisted.append(f"{name}: here {pair[0]}, in Xen {pair[1]}")
        self.assertEqual(unlisted, [], "neither fixed nor listed")
        self.assertEqual(set(listed) - used, set(), "listed as different, but is not")

    @unittest.skipUnless(ON_PEER, SKIPPED)
    def test_record(self):
        self.assertEqual(self.ask(), recorded())
