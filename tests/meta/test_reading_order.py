# SPDX-License-Identifier: BSD-2-Clause
"""docs/reading-order.md names every source file, once."""

import collections
import os
import re
import unittest

import tree

PATH = "docs/reading-order.md"


class ReadingOrder(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(os.path.join(tree.TOP, PATH)):
            self.skipTest(f"{PATH} is not written yet")
        self.named = collections.Counter(re.findall(r"`([\w./-]+/[\w.-]+)`", tree.read(PATH)))
        self.sources = [path for path in tree.sources("hypervisor", "tools", "tests")
                        if path.endswith((".c", ".h", ".S", ".def", ".py", ".sh")) or path in tree.SCRIPTS]

    def none(self, paths, what):
        if paths:
            self.fail(what + ":\n" + "\n".join(paths))

    def test_all_named(self):
        missing = [path for path in self.sources if path not in self.named]
        self.none(missing, "not named")

    def test_named_once(self):
        twice = [path for path in self.sources if self.named[path] > 1]
        self.none(twice, "named more than once")

    def test_named_exist(self):
        gone = [path for path in self.named if not os.path.exists(os.path.join(tree.TOP, path))]
        self.none(gone, "named, but not there")
