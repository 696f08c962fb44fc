# SPDX-License-Identifier: BSD-2-Clause
"""What make demo runs, from power-on to power-off: it checks its own steps and says so. It ends with two machines."""

import os
import subprocess
import sys
import unittest

import labtest


@labtest.long_one
class Demonstration(unittest.TestCase):
    def test_each_step(self):
        labtest.make_room()
        command = [sys.executable, os.path.join(labtest.HERE, "demo"), "--build", labtest.BUILD]
        if labtest.HYPERVISOR:
            command += ["--hypervisor", labtest.hypervisor_file()]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=420,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("All 12 steps succeeded.", done.stdout)
        self.assertIn("umbra-guest: up, 2 cpus", done.stdout)
