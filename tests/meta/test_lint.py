# SPDX-License-Identifier: BSD-2-Clause
"""The steps of lint.sh, each as a test."""

import os
import subprocess
import unittest

import tree

BUILD = os.environ.get("UMBRA_BUILD", os.path.join(tree.TOP, "build"))


class Lint(unittest.TestCase):
    def lint(self, step):
        done = subprocess.run(["sh", os.path.join(tree.TOP, "tests/meta/lint.sh"), step], cwd=tree.TOP, check=False,
                              env=dict(os.environ, BUILD=BUILD), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, "\n" + done.stdout.decode(errors="replace")[-6000:])

    def test_format(self):
        self.lint("format")

    def test_gcc(self):
        self.lint("gcc")

    def test_clang(self):
        self.lint("clang")

    def test_cppcheck(self):
        self.lint("cppcheck")

    def test_shell(self):
        self.lint("shell")
