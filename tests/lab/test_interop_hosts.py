# SPDX-License-Identifier: BSD-2-Clause
"""Guests go between Umbra (east) and Debian's Xen (west), whose tool is Debian's unchanged xl: in files, PV and PVH,
and live, PVH on nested paging, both ways. They count on, no number is missing, and memory is what it was."""

import moves
from labtest import PairTest, long_one

FILE = "/run/guest.save"
# On one processor Debian's Xen lets the vCPUs of a PVH guest that wait for each other spin for ever: it has one.
PV = {"type": "pv", "memory": 96, "vcpus": 2}
PVH = {"type": "pvh", "memory": 96, "vcpus": 1}


@long_one
class Interop(PairTest):
    pair_options = {"smp": 1, "peer": "west"}

    def setUp(self):
        super().setUp()
        self.assertIn("Xen version", self.west.ok("xl dmesg | head -n 40"))
        self.west.ok(f"rm -f {FILE}")
        self.east.ok(f"rm -f {FILE}")

    def guest(self, **keys):
        """Made by xl; it counts."""
        guest = moves.XlTraveller(self.west, "guest", **keys)
        guest.wait_more(10, 180)
        return guest

    def carry(self, source, target):
        """The file to the other host."""
        name = moves.name_of(target)
        source.ok(f"ssh {name} 'rm -f {moves.LOGS}/guest-*.log; cat >{FILE}' <{FILE} && rm {FILE}", 240)

    def files(self, **keys):
        """Saved by xl, restored and saved by umbra, restored by xl."""
        before = moves.settled(self.east)
        guest = self.guest(**keys)
        self.west.ok(f"xl save guest {FILE}", 240)
        self.carry(self.west, self.east)
        self.east.ok(f"umbra restore {FILE} && rm {FILE}", 240)
        guest.arrives(self.east)
        self.east.ok(f"umbra save guest {FILE}", 240)
        self.carry(self.east, self.west)
        moves.wait_back(self.east, before)
        self.west.ok(f"xl restore {FILE} && rm {FILE}", 240)
        guest.arrives(self.west)
        self.west.ok("xl shutdown -w guest", 180)

    def test_pv_in_files(self):
        self.files(**PV)

    def test_pvh_in_files(self):
        self.files(**PVH)

    def test_pvh_moves(self):
        """Live, by xl and by umbra, each talking to the other's receiver."""
        before = moves.settled(self.east)
        guest = self.guest(**PVH)
        self.east.ok(f"rm -f {moves.LOGS}/guest-*.log")
        self.west.ok("xl migrate -s '' guest 'ssh east umbra migrate-receive'", 400)
        guest.arrives(self.east)
        self.west.ok(f"rm -f {moves.LOGS}/guest-*.log")
        self.east.ok(f"umbra migrate {' '.join(moves.LIVE)} -T 'ssh west xl migrate-receive' guest west", 400)
        guest.arrives(self.west)
        moves.wait_back(self.east, before)
        self.west.ok("xl shutdown -w guest", 180)
