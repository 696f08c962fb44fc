# SPDX-License-Identifier: BSD-2-Clause
"""Create and destroy, again and again, and several guests at once (load.py), as many as make check has time for."""

import load
from labtest import LabTest, long_one


class Load(LabTest):
    @long_one
    def test_cycles(self):
        load.cycles(self, 10)

    def test_cycles_of_pvh(self):
        if "hvm" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        load.cycles(self, 4, pvh=True)

    @long_one
    def test_at_once(self):
        load.at_once(self, tiny=7, stock=1)
