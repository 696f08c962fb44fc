# SPDX-License-Identifier: BSD-2-Clause
"""docs/boot-options.md has the options that the hypervisor declares, no others, in order."""

import re
import unittest

import tree


class Options(unittest.TestCase):
    def test_all_are_there(self):
        declared = set()
        for path in tree.files("hypervisor"):
            declared.update(re.findall(r'^CMDLINE_(?:PARAM|CUSTOM)\("([^"]+)"', tree.read(path), re.M))
        rows = re.findall(r"^\| (`.*?) \|", tree.read("docs/boot-options.md"), re.M)
        named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        self.assertGreater(len(declared), 10)
        self.assertEqual(named, sorted(declared))
