# SPDX-License-Identifier: BSD-2-Clause
"""docs/invariants.md, its last table: a row for every invariant of frames, page tables, grants and descriptor pages;
and the functions that it names are there: audits in the hypervisor, their tests and the models in tests/unit."""

import re
import unittest

import tree

PATH = "docs/invariants.md"
AUDITS = ("hypervisor/mm/pv/audit.c", "hypervisor/mm/pv/audit_machine.c", "hypervisor/grant/audit.c")


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def rows(text):
    """The cells of the rows whose first one is the number of an invariant of these four kinds."""
    return [cells(line) for line in text.split("\n") if re.match(r"\| [SPGD]\d+ \|", line)]


def functions(*paths):
    return {function.name for path in paths for function in tree.functions(path)}


def quoted(cell):
    return set(re.findall(r"`(\w+)`", cell))


class Invariants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rules, _, table = tree.read(PATH).partition("\n## Who checks what\n")
        cls.rules = [row[0] for row in rows(rules)]
        cls.rows = rows(table)
        cls.audits = functions(*AUDITS)
        cls.tests = functions(*(path for path in tree.sources("tests/unit") if path.endswith(".c")))

    def test_every_number_has_a_row(self):
        self.assertGreater(len(self.rules), 20)
        self.assertEqual([row[0] for row in self.rows], self.rules)

    def test_audits_are_there(self):
        for number, audit, *_ in self.rows:
            if audit.startswith("none: transition; "):
                self.assertFalse(quoted(audit) & self.audits, number)
            else:
                # What comes after a colon or a full stop is words.
                named = quoted(re.split(r"[:.;] | gives up", audit)[0])
                self.assertTrue(named, number)
                self.assertLessEqual(named, self.audits, number)

    def test_tests_are_there(self):
        for number, _, names, _ in self.rows:
            for name in names.split(", "):
                self.assertIn(name, self.tests, number)

    def test_audits_break_what_they_find(self):
        """The test of an audit finds its number, by the audit's own words."""
        sources = tree.read("tests/unit/test_pv_audit.c") + tree.read("tests/unit/test_grant_v2.c")
        for number, audit, *_ in self.rows:
            if number in ("P9", "D2") or audit.startswith("none"):
                continue
            self.assertRegex(sources, rf'expect_broken\("{number}"|/\* {number} \*/', number)
            self.assertTrue(any(f'"{number}"' in tree.read(path) for path in AUDITS), number)

    def test_models_are_there(self):
        for number, *_, model in self.rows:
            named = quoted(model)
            self.assertTrue(named, number)
            self.assertLessEqual(named, self.tests, number)


if __name__ == "__main__":
    unittest.main()
