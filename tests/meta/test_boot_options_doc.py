# SPDX-License-Identifier: BSD-2-Clause
"""docs/boot-options.md has the options that the hypervisor declares, no others, in order."""

import re
import unittest

import tree


def declared():
    """The names that the hypervisor's sources declare."""
    names = set()
    for path in tree.files("hypervisor"):
        names.update(re.findall(r'^CMDLINE_(?:PARAM|CUSTOM|RUNTIME|RUNTIME_CUSTOM)\("([^"]+)"', tree.read(path), re.M))
    return names


def settable():
    """Those of them that can be set at run time."""
    return {name for path in tree.files("hypervisor")
            for name in re.findall(r'^CMDLINE_RUNTIME(?:_CUSTOM)?\("([^"]+)"', tree.read(path), re.M)}


def documented():
    """{name: default} of the page's table, in its order."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) ?\|", tree.read("docs/boot-options.md"), re.M)
    return {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}


class Options(unittest.TestCase):
    def test_all_are_there(self):
        self.assertGreater(len(declared()), 10)
        self.assertEqual(list(documented()), sorted(declared()))

    def test_run_time(self):
        rows = re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| yes \|", tree.read("docs/boot-options.md"), re.M)
        self.assertEqual(rows, sorted(settable()))
