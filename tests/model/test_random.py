# SPDX-License-Identifier: BSD-2-Clause
"""Millions of random operations on PV page tables against their model, and of shadow paging against the oracle: two
processes with a seed each, at once. UMBRA_SEED gives the first seed, UMBRA_OPS the number of operations of both
together; with UMBRA_MINUTES further seeds follow for so long."""

import os
import re
import subprocess
import time
import unittest

import model

PROCESSES = 2
TIMEOUT = 1800


def first_seed():
    given = os.environ.get("UMBRA_SEED")
    return int(given, 0) if given else int.from_bytes(os.urandom(4), "little")


class Run:
    def __init__(self, program, seed, operations):
        self.seed = seed
        self.replay = f"UMBRA_SEED={seed} UMBRA_OPS={operations} {program.path}"
        environment = dict(os.environ, UMBRA_SEED=str(seed), UMBRA_OPS=str(operations))
        self.process = subprocess.Popen([program.path], env=environment, text=True, errors="replace",
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Random:
    def test_operations(self):
        self.program.need(self)
        total, seed = int(os.environ.get("UMBRA_OPS", self.operations)), first_seed()
        end = time.monotonic() + 60 * float(os.environ.get("UMBRA_MINUTES", 0))
        while True:
            runs = [Run(self.program, seed + i, -(-total // PROCESSES)) for i in range(PROCESSES)]
            self.assertGreaterEqual(sum(self.outcome(run) for run in runs), total)
            seed += PROCESSES
            if time.monotonic() >= end:
                break

    def outcome(self, run):
        output, _ = run.process.communicate(timeout=TIMEOUT)
        self.assertEqual(run.process.returncode, 0, f"replay: {run.replay}\n{output[-6000:]}")
        counts = re.search(r"^(\d+) operations\b.*", output, re.M)
        self.assertIsNotNone(counts, output)
        print(f"        seed {run.seed}: {counts.group()}", flush=True)
        return int(counts.group(1))


class Pv(Random, unittest.TestCase):
    program, operations = model.PV, 5_000_000


class Shadow(Random, unittest.TestCase):
    """An operation is an access, a store, a change of registers, of the P2M or of who runs where, with its checks."""

    program, operations = model.SHADOW_WALK, 20_000_000
