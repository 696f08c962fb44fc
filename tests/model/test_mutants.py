# SPDX-License-Identifier: BSD-2-Clause
"""Each fault of mutants.py must be noticed by the random walk within a bounded number of operations. One file is
compiled anew for each; the rest are the objects of the program without a fault, which must pass the same walks."""

import concurrent.futures
import os
import subprocess
import tempfile
import unittest

import model
from mutants import MUTANTS

LEAST = 15
SEEDS = (1, 2, 3, 4, 5, 6, 7, 8)
OPERATIONS = 400_000  # for each seed
AT_ONCE = 2
TIMEOUT = 300


def source(mutant):
    """The file with the fault in it."""
    with open(os.path.join(model.TOP, mutant.file), encoding="utf-8") as file:
        text = file.read()
    if text.count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: the text to replace stands {text.count(mutant.old)} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


def run(*words, **more):
    return subprocess.run(words, cwd=model.TOP, text=True, errors="replace", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=TIMEOUT, **more)


def objects_without(path):
    left_out = os.path.join(model.OBJECTS, os.path.splitext(path)[0] + ".o")
    found = [os.path.join(folder, name) for folder, _, names in os.walk(model.OBJECTS) for name in names
             if name.endswith(".o")]
    if left_out not in found:
        raise LookupError(f"{left_out} is no part of {model.NAME}")
    return [name for name in found if name != left_out]


def build(compiler, mutant, folder):
    """The program with the fault."""
    changed, program = os.path.join(folder, mutant.name + ".c"), os.path.join(folder, mutant.name)
    with open(changed, "w", encoding="utf-8") as file:
        file.write(source(mutant))
    done = run(*compiler, "-w", "-iquote", os.path.dirname(mutant.file), changed, *objects_without(mutant.file), "-o",
               program, "-lcmocka")
    if done.returncode:
        raise RuntimeError(f"{mutant.name} cannot be compiled\n{done.stdout}")
    return program


def walk(program, seed):
    environment = {name: value for name, value in os.environ.items() if name != "UMBRA_VERBOSE"}
    return run(program, env=dict(environment, UMBRA_SEED=str(seed), UMBRA_OPS=str(OPERATIONS)))


def caught(compiler, mutant, folder):
    """What the walk said when it noticed, or None."""
    program = build(compiler, mutant, folder)
    for seed in SEEDS:
        done = walk(program, seed)
        if done.returncode:
            said = [line for line in done.stdout.split("\n") if line and not line.startswith(("[", "pv_random:", "="))]
            return f"seed {seed}: {said[0] if said else done.stdout[-300:]}"
    return None


class Mutants(unittest.TestCase):
    def test_no_fault_passes(self):
        model.need_program(self)
        for seed in SEEDS:
            done = walk(model.PROGRAM, seed)
            self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_texts_are_there(self):
        self.assertGreaterEqual(len({m.name for m in MUTANTS}), LEAST)
        self.assertEqual(len({m.name for m in MUTANTS}), len(MUTANTS), "a name twice")
        for mutant in MUTANTS:
            self.assertNotEqual(mutant.old, mutant.new)
            source(mutant)

    def test_each_is_caught(self):
        model.need_program(self)
        compiler = model.compiler(self)
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(lambda m: caught(compiler, m, folder), MUTANTS))
        for mutant, outcome in zip(MUTANTS, outcomes):
            if os.environ.get("UMBRA_VERBOSE"):
                print(f"        {mutant.name}: {outcome}", flush=True)
        missed = [m.name for m, outcome in zip(MUTANTS, outcomes) if outcome is None]
        self.assertEqual(missed, [], "not noticed")
        print(f"        {len(MUTANTS)} faults, each noticed within {len(SEEDS) * OPERATIONS} operations", flush=True)
