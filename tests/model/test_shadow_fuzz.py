# SPDX-License-Identifier: BSD-2-Clause
"""A few seconds of libFuzzer on shadow paging; make fuzz-shadow does more of it."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import model

RUNTIME = "libclang_rt.fuzzer-x86_64.a"
TIME_LIMIT = 10


def has_runtime():
    clang = shutil.which("clang")
    if not clang:
        return False
    done = subprocess.run([clang, "--print-file-name=" + RUNTIME], text=True, stdout=subprocess.PIPE, check=True)
    return os.path.exists(done.stdout.strip())


class Fuzz(unittest.TestCase):
    def test_short_run(self):
        if not has_runtime():
            self.skipTest(f"clang has no {RUNTIME} here: libclang-rt-14-dev")
        model.FUZZ.need(self)
        artifacts = os.path.join(model.BUILD, "fuzz", "")
        os.makedirs(artifacts, exist_ok=True)
        with tempfile.TemporaryDirectory() as corpus:
            done = subprocess.run([model.FUZZ.path, f"-max_total_time={TIME_LIMIT}", "-max_len=2048", "-len_control=0",
                                   "-print_final_stats=1", "-artifact_prefix=" + artifacts, corpus], text=True,
                                  errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                  timeout=300)
            found = len(os.listdir(corpus))
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
        self.assertIsNotNone(runs, done.stdout[-3000:])
        print(f"        {runs.group(1)} inputs, {found} of them took a new way", flush=True)
        self.assertGreater(int(runs.group(1)), found)
        self.assertGreater(found, 5)
