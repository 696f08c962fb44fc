# SPDX-License-Identifier: BSD-2-Clause
"""Steps of tools/image/lib.sh where a mistake would go unseen: an image with the wrong kernel boots as well."""

import os
import subprocess
import tempfile
import unittest

import tree

LIB = os.path.join(tree.TOP, "tools", "image", "lib.sh")


class Steps(unittest.TestCase):
    def run_step(self, script):
        """Status, errors and {file: text} of a script in an empty directory, with the steps at hand."""
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(["sh", "-eu", "-c", f". {LIB}\ncache=$PWD\n{script}"], cwd=directory,
                                  capture_output=True, text=True, check=False)
            files = {}
            for root, _, names in os.walk(directory):
                for name in names:
                    path = os.path.join(root, name)
                    with open(path, encoding="utf-8") as file:
                        files[os.path.relpath(path, directory)] = file.read()
            return done.returncode, done.stderr, files

    def test_two_kernels_are_no_choice(self):
        status, errors, files = self.run_step("echo a >k-1; echo b >k-2; copy_changed k-* image")
        self.assertEqual(status, 1)
        self.assertIn("more than one: k-1 k-2 image", errors)
        self.assertEqual(files, {"k-1": "a\n", "k-2": "b\n"})

    def test_a_second_download_begins_afresh(self):
        """The first one broke off with the old kernel's package complete; the lists of today name a newer one."""
        status, _, files = self.run_step("""
            here=$PWD unpacked=$PWD/root version=1
            echo package >image-packages.txt
            download() { echo >debs/kernel-$version.deb; [ $version = 2 ]; }
            refresh_lists() { version=2; }
            fetch_packages""")
        self.assertEqual(status, 0)
        self.assertEqual(files["versions"], "kernel-2.deb\n")


if __name__ == "__main__":
    unittest.main()
