# SPDX-License-Identifier: BSD-2-Clause
"""The grammar of hypercalls made at random (tests/guests/fuzz/calls.def) has every hypercall of the table and every
sub-operation that docs/abi.md calls supported, or says why it is left out."""

import re
import unittest

import test_abi_doc as abi
import tree

GRAMMAR = "tests/guests/fuzz/calls.def"
# Nobody but the control domain is asked what it wants: the number is enough.
CONTROL = {"domctl", "sysctl", "platform_op", "umbra_op", "hypfs_op"}


class Grammar(unittest.TestCase):
    def setUp(self):
        text = re.sub(r"/\*.*?\*/", "", tree.read(GRAMMAR), flags=re.S)
        self.calls = set(re.findall(r"^CALL0?\((\w+),", text, re.M))
        self.subs = set(re.findall(r"^CALL\(\w+, (\w+),", text, re.M))
        self.left_out = dict(re.findall(r'^LEFT_OUT\((\w+), "(.*)"\)$', text, re.M))

    def test_all_hypercalls(self):
        table = set(re.findall(r"^HYPERCALL\(\d+, (\w+),", tree.read(abi.HYPERCALLS), re.M))
        self.assertEqual(table - self.calls - set(self.left_out), set())

    def test_all_supported_operations(self):
        for name, text in abi.sections().items():
            if name in CONTROL:
                continue
            prefix = abi.CALLS[name][1]
            wanted = {prefix + each for row in abi.rows(text) if not row[1].startswith("refused") for each
                      in abi.names(row)}
            self.assertEqual(wanted - self.subs - set(self.left_out), set(), name)

    def test_what_is_left_out(self):
        """Each with a reason, and really left out."""
        for name, reason in self.left_out.items():
            self.assertGreater(len(reason.split()), 4, name)
            self.assertNotIn(name, self.subs | self.calls)


if __name__ == "__main__":
    unittest.main()
