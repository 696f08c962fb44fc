# SPDX-License-Identifier: BSD-2-Clause
"""Create and destroy, again and again: after it the host has what it had before."""

import time

from labtest import LabTest

CYCLES = 20


class Cycles(LabTest):
    def test_create_destroy(self):
        """Half of the guests never run, the others are killed at moments spread over their boot."""
        path = self.guest_file("cycle", vcpus=2)
        self.one(path, 0)
        before = self.footprint()
        for number in range(CYCLES):
            self.one(path, number % 2 * (0.2 + number * 0.15))
        self.wait_footprint(before)

    def one(self, path, delay):
        self.ok(f"umbra create -q {'' if delay else '-p'} {path}")
        time.sleep(delay)
        self.ok("umbra destroy cycle")
        self.wait_gone("cycle")
