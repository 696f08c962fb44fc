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

    def test_libraries_are_copied_with_what_they_need(self):
        """Once, and not those that another archive has; a library that no package has is an error."""
        script = """
            stage=$PWD/stage unpacked=$PWD/root
            mkdir -p stage/bin root/$libs root/usr/$libs
            for name in a b c; do echo $name >root/usr/$libs/lib$name; done
            echo program >stage/bin/program && chmod 755 stage/bin/program
            echo libc >there
            needed_by() {
                for file in "$@"; do
                    case $file in */program) echo liba ;; */liba) echo libb; echo libc ;; */libb) echo $missing ;; esac
                done
            }
            """
        status, errors, files = self.run_step(script + "missing=; copy_libraries there")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(sorted(name for name in files if name.startswith("stage/lib")),
                         ["stage/lib/x86_64-linux-gnu/liba", "stage/lib/x86_64-linux-gnu/libb"])
        status, errors, _ = self.run_step(script + "missing=libnone; copy_libraries there")
        self.assertEqual(status, 1)
        self.assertIn("provides libnone", errors)

    def test_a_broken_package_is_no_complete_download(self):
        status, errors, _ = self.run_step("""
            mkdir bin && echo 'echo nonsense >broken.deb' >bin/apt-get && chmod 755 bin/apt-get && PATH=$PWD/bin:$PATH
            fetch "$PWD/there" "" broken || { [ ! -e there/complete ] && exit 7; }""")
        self.assertEqual(status, 7)
        self.assertIn("could not unpack", errors)


if __name__ == "__main__":
    unittest.main()
