# SPDX-License-Identifier: BSD-2-Clause
"""Guests on hardware virtualisation, made by hand: code that changes its own page tables."""

import itertools

from compiled import with_libctl
from labtest import LabTest


class Shadows(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put("/root/pvh", with_libctl("pvh.c", "pvh_irq.S"), mode=0o755)
        self.before = self.footprint()

    def test_tables_are_followed(self):
        """Paging of 4, 3 and 2 levels, and none; on shadows, and the same on nested paging."""
        for mode, paging in itertools.product((4, 3, 2, 0), ("shadow", "hap")):
            with self.subTest(levels=mode, paging=paging):
                self.assertEqual(self.ok(f"/root/pvh {mode} 200 {paging}", 120).strip(), "ended 0")
                self.wait_footprint(self.before)

    def test_interrupts(self):
        """Interrupts of its own, the timer's, priorities, NMI, INIT and start-up of a second vCPU from real mode."""
        for paging in ("shadow", "hap"):
            with self.subTest(paging=paging):
                self.assertEqual(self.ok(f"/root/pvh 64 10 {paging}", 120).strip(), "ended 0")
                self.wait_footprint(self.before)
