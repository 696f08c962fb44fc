# SPDX-License-Identifier: BSD-2-Clause
"""Five million random operations on PV page tables against the model: two processes with a seed each, at once.
UMBRA_SEED gives the first seed, UMBRA_OPS the number of operations of both together."""

import os
import re
import subprocess
import unittest

import model

OPERATIONS = 5_000_000
PROCESSES = 2
TIMEOUT = 1800


def first_seed():
    given = os.environ.get("UMBRA_SEED")
    return int(given, 0) if given else int.from_bytes(os.urandom(4), "little")


class Run:
    def __init__(self, seed, operations):
        self.seed = seed
        self.replay = f"UMBRA_SEED={seed} UMBRA_OPS={operations} {model.PV.path}"
        environment = dict(os.environ, UMBRA_SEED=str(seed), UMBRA_OPS=str(operations))
        self.process = subprocess.Popen([model.PV.path], env=environment, text=True, errors="replace",
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Random(unittest.TestCase):
    def test_operations(self):
        model.PV.need(self)
        total, seed = int(os.environ.get("UMBRA_OPS", OPERATIONS)), first_seed()
        runs = [Run(seed + i, -(-total // PROCESSES)) for i in range(PROCESSES)]
        self.assertGreaterEqual(sum(self.outcome(run) for run in runs), total)

    def outcome(self, run):
        output, _ = run.process.communicate(timeout=TIMEOUT)
        self.assertEqual(run.process.returncode, 0, f"replay: {run.replay}\n{output[-6000:]}")
        counts = re.search(r"^(\d+) operations \(.*", output, re.M)
        self.assertIsNotNone(counts, output)
        print(f"        seed {run.seed}: {counts.group()}", flush=True)
        return int(counts.group(1))
