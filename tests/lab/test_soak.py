# SPDX-License-Identifier: BSD-2-Clause
"""Random operations on guests with disks and networks, and everything comes back (soak.py). UMBRA_SEED repeats a run;
UMBRA_LONG=1 makes 500 operations on ten guests, which takes about an hour."""

import re

import devices
import soak
from labtest import LONG, ON_PEER, long_one


class Soak(devices.DevicesTest):
    def setUp(self):
        if ON_PEER:
            self.skipTest("the tool's own supervision is what is tested")
        super().setUp()

    def soak(self, count, grown, **model):
        seed, before = soak.first_seed(), len(self.machine.serial_log())
        try:
            done = soak.soak(self, soak.Model(seed, **model), count, grown)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe same once more: UMBRA_SEED={seed} {'UMBRA_LONG=1 ' if LONG else ''}"
                                 f"tests/run --lab --filter {self.id()}") from error
        self.assertEqual(re.findall(r"^.* crashed:.*$", self.machine.serial_log()[before:], re.M), [])
        print(f"      seed {seed}: {sum(done.values())} steps, "
              + ", ".join(f"{verb} {n}{'' if good else ' refused'}" for (verb, good), n in sorted(done.items())),
              flush=True)

    def test_some(self):
        self.soak(5, False, linux=1, tiny=2, boots=2, slow=False)

    @long_one
    def test_many(self):
        self.soak(500, True, linux=6, tiny=4)
