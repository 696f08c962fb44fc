# SPDX-License-Identifier: BSD-2-Clause
"""On the host: churn.c comes to the same sums each time, and churn.py notices what is not as it should be."""

import contextlib
import io
import os
import subprocess
import tempfile
import unittest

import churn
import labtest
import ramdisk


class Churn(unittest.TestCase):
    """Takes the place of a guest, too: says what its console does."""

    GOOD = {"visits": 4000, "cpu": 2.0, "other": 0.0, "faults": 8000, "reclaimed": 0}

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.addClassCleanup(setattr, labtest, "BUILD", labtest.BUILD)
        labtest.BUILD = directory.name
        cls.churn = ramdisk.program(labtest.BUILD)

    def type_in(self, *_):
        pass

    def console_log(self, name):
        return name

    def lines(self, *words):
        done = subprocess.run([self.churn, *words], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return churn.LINE.findall(done.stdout.decode())

    def test_rounds(self):
        """The same each time, each round different from the others."""
        first = self.lines("rounds", "4")
        self.assertEqual([number for number, _ in first], ["1", "2", "3", "4"])
        self.assertEqual(len({total for _, total in first}), 4)
        self.assertEqual(self.lines("rounds", "4"), first)

    def test_end_of_input(self):
        """Is as good as a line that is typed."""
        self.assertEqual(self.lines("rounds", "0"), [])
        self.assertEqual(self.lines("spread", "40"), [("0", "0" * 16)])

    def test_archive(self):
        """Made once, with the program in it."""
        path = ramdisk.overlay(labtest.BUILD) + ramdisk.ARCHIVE
        made = os.stat(path).st_mtime_ns
        ramdisk.overlay(labtest.BUILD)
        self.assertEqual(os.stat(path).st_mtime_ns, made)
        names = subprocess.run(f"gzip -dc {path} | cpio -t --quiet", shell=True, capture_output=True, text=True,
                               check=True).stdout.split()
        self.assertLessEqual({"init", "bin/churn"}, set(names))

    def test_sums(self):
        done = subprocess.run([self.churn, "rounds", "2"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(churn.check(self, f"up\n{done}{churn.ENDED} 0\n"), 2)
        for log in (f"{done}{churn.ENDED} 1\n", f"{done}churn 3 0123456789abcdef\n{churn.ENDED} 0\n"):
            with self.subTest(log=log), self.assertRaises(AssertionError):
                churn.check(self, log)

    def share(self, **beside):
        with contextlib.redirect_stdout(io.StringIO()):
            churn.check_share(self, [self.GOOD] * 2, [self.GOOD | {"other": 2.0}, self.GOOD | {"other": 2.0} | beside])

    def test_share(self):
        self.share()
        self.share(visits=3000, faults=6000, cpu=1.9)
        for wrong in ({"reclaimed": 1}, {"faults": 10000}, {"cpu": 1.0, "other": 3.0}):
            with self.subTest(wrong=wrong), self.assertRaises(AssertionError):
                self.share(**wrong)
        with self.assertRaises(AssertionError), contextlib.redirect_stdout(io.StringIO()):
            churn.check_share(self, [self.GOOD], [self.GOOD | {"other": 2.0, "visits": 2000, "faults": 4000}])
