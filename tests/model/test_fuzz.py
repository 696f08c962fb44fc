# SPDX-License-Identifier: BSD-2-Clause
"""A few seconds of libFuzzer on shadow paging and on the restorer; make fuzz-shadow and fuzz-restore do more of it."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import model
import restore_seeds
import shadow_seeds

RUNTIME = "libclang_rt.fuzzer-x86_64.a"


def has_runtime():
    clang = shutil.which("clang")
    if not clang:
        return False
    done = subprocess.run([clang, "--print-file-name=" + RUNTIME], text=True, stdout=subprocess.PIPE, check=True)
    return os.path.exists(done.stdout.strip())


class Fuzz(unittest.TestCase):
    def fuzz(self, name, seconds, longest, seeds=None):
        if not has_runtime():
            self.skipTest(f"clang has no {RUNTIME} here: libclang-rt-14-dev")
        program = model.FUZZ[name]
        program.need(self)
        artifacts = os.path.join(model.BUILD, "fuzz", "")
        os.makedirs(artifacts, exist_ok=True)
        with tempfile.TemporaryDirectory() as corpus:
            if seeds:
                seeds(corpus)
            begun = len(os.listdir(corpus))
            done = subprocess.run([program.path, f"-max_total_time={seconds}", f"-max_len={longest}", "-len_control=0",
                                   "-print_final_stats=1", "-artifact_prefix=" + artifacts, corpus], text=True,
                                  errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                  timeout=300)
            found = len(os.listdir(corpus)) - begun
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
        self.assertIsNotNone(runs, done.stdout[-3000:])
        print(f"        {runs.group(1)} inputs, {found} of them took a new way", flush=True)
        self.assertGreater(int(runs.group(1)), found)
        self.assertGreater(found, 5)

    def test_shadow(self):
        self.fuzz("shadow", 10, 2048, shadow_seeds.write)

    def test_restore(self):
        self.fuzz("restore", 5, 16384, restore_seeds.write)
