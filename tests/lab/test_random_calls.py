# SPDX-License-Identifier: BSD-2-Clause
"""Guests that make hypercalls at random (random_calls.py), as many as make check has time for. UMBRA_SEED is the first
seed, in place of one by the clock."""

import random_calls
from labtest import CMDLINE, LabTest, ON_PEER

TOTAL, CALLS = 3000, 1500  # of a kind of guest; of a vCPU with one seed


class RandomCalls(LabTest):
    kept = (random_calls.NEIGHBOUR,)
    before = before_of = None

    def setUp(self):
        super().setUp()
        if ON_PEER:
            self.skipTest("what is looked for are mistakes of Umbra's")
        if self.before_of is not self.machine:
            type(self).before = random_calls.begin(self, CMDLINE)
            type(self).before_of = self.machine

    def calls_of(self, kind):
        random_calls.run(self, kind, TOTAL, CALLS)
        self.wait_footprint(self.before)

    def test_pv(self):
        self.calls_of("pv")

    def test_shadow(self):
        if "hvm" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        self.calls_of("shadow")
