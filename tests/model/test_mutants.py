# SPDX-License-Identifier: BSD-2-Clause
"""Each fault of mutants.py must be noticed by the random walk within a bounded number of operations. One file is
compiled anew for each; the rest are the objects of the program without a fault, which must pass the same walks."""

import concurrent.futures
import os
import subprocess
import tempfile
import unittest

import model
from mutants import MUTANTS, SHADOW_MUTANTS, WEAK_MUTANTS

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


def objects_without(program, path):
    objects = program.objects()
    found = [name for name in objects if not name.endswith("/" + os.path.splitext(path)[0] + ".o")]
    if len(found) != len(objects) - 1:
        raise LookupError(f"{path} is no part of {program.name}")
    return found


class Walks:
    """Random walks of a program, and of the same with a fault in it."""

    def __init__(self, program, seeds, operations):
        self.program, self.seeds, self.operations = program, seeds, operations

    def build(self, compiler, mutant, folder):
        changed, path = os.path.join(folder, mutant.name + ".c"), os.path.join(folder, mutant.name)
        with open(changed, "w", encoding="utf-8") as file:
            file.write(source(mutant))
        done = run(*compiler, "-w", "-iquote", os.path.dirname(mutant.file), changed,
                   *objects_without(self.program, mutant.file), "-o", path, *self.program.libraries)
        if done.returncode:
            raise RuntimeError(f"{mutant.name} cannot be compiled\n{done.stdout}")
        return path

    def walk(self, path, seed):
        environment = {name: value for name, value in os.environ.items() if name != "UMBRA_VERBOSE"}
        return run(path, env=dict(environment, UMBRA_SEED=str(seed), UMBRA_OPS=str(self.operations)))

    def caught(self, compiler, mutant, folder):
        """What the walk said when it noticed, or None."""
        path = self.build(compiler, mutant, folder)
        for seed in self.seeds:
            done = self.walk(path, seed)
            if done.returncode:
                said = [line for line in done.stdout.split("\n") if line and line[0] != "[" and "_SEED=" not in line]
                return f"seed {seed}: {said[0] if said else done.stdout[-300:]}"
        return None


class Faults:
    def test_no_fault_passes(self):
        self.walks.program.need(self)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for done in pool.map(lambda seed: self.walks.walk(self.walks.program.path, seed), self.walks.seeds):
                self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_texts_are_there(self):
        self.assertGreaterEqual(len({m.name for m in self.mutants}), self.least)
        self.assertEqual(len({m.name for m in self.mutants}), len(self.mutants), "a name twice")
        for mutant in self.mutants:
            self.assertNotEqual(mutant.old, mutant.new)
            source(mutant)

    def test_each_is_caught(self):
        self.walks.program.need(self)
        compiler = model.compiler(self)
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(lambda m: self.walks.caught(compiler, m, folder), self.mutants))
        for mutant, outcome in zip(self.mutants, outcomes):
            if os.environ.get("UMBRA_VERBOSE"):
                print(f"        {mutant.name}: {outcome}", flush=True)
        missed = [m.name for m, outcome in zip(self.mutants, outcomes) if outcome is None]
        self.assertEqual(missed, [], "not noticed")
        operations = len(self.walks.seeds) * self.walks.operations
        within = f" within {operations} operations" if operations else ""
        print(f"        {len(self.mutants)} faults, each noticed{within}", flush=True)


class Mutants(Faults, unittest.TestCase):
    least, walks, mutants = 15, Walks(model.PV, range(1, 13), 400_000), MUTANTS


class ShadowMutants(Faults, unittest.TestCase):
    """The program's other tests are single rules, so a fault may also be noticed by one of them."""

    least, walks, mutants = 20, Walks(model.SHADOW, range(1, 3), 150_000), SHADOW_MUTANTS


class WeakMutants(Faults, unittest.TestCase):
    """No walk: the tests of published weaknesses."""

    least, walks, mutants = 10, Walks(model.SHADOW_WEAK, range(1, 2), 0), WEAK_MUTANTS
