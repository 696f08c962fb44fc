# SPDX-License-Identifier: BSD-2-Clause
"""Guests go between Umbra (east) and Debian's Xen (west), whose tool is Debian's unchanged xl: in files, PV and PVH,
and live, PVH on nested paging, both ways. They count on, no number is missing, and memory is what it was. All streams
are judged, files as they are carried from host to host."""

import machines
import moves
import streams
from labtest import OnHost, PairTest, long_one

FILE = "/run/guest.save"
# On one processor Debian's Xen lets vCPUs of a guest that wait for each other spin, for ever if it is PVH: it has one.
PV = {"type": "pv", "memory": 96, "vcpus": 1}
PVH = {"type": "pvh", "memory": 96, "vcpus": 1}


TRIES, WHOLE = 3, "whole"


class Lost(Exception):
    """A process of the control domain of Debian's Xen died, as some do on this emulator (docs/debugging.md)."""


class Peer(OnHost):
    """The host with Debian's Xen. A process that is lost says so, or the command never came to its shell."""

    def ok(self, command, timeout=120):
        result = self.run_in(f"{{ {command}\n}} && echo {WHOLE}", timeout)
        out, whole, _ = result.out.rpartition(f"{WHOLE}\n")
        said = result.out + result.err
        if "egmentation fault" in said or not result.status and not whole:
            raise Lost(f"{command}: status {result.status}\n{said}")
        self.assertEqual(result.status, 0, f"{command}\n{said}")
        return out


@long_one
class Interop(PairTest):
    pair_options = {"smp": 1, "peer": "west", "name": machines.PEER}

    def setUp(self):
        super().setUp()
        self.west = Peer(self.pair.west)
        self.assertIn("Xen version 4.17", self.pair.west.serial_log())
        streams.tap_for(self, self.east, self.west)
        self.addCleanup(self.clear)
        self.east.grow()

    def clear(self):
        for host, tool in ((self.west, "xl"), (self.east, "umbra")):
            host.run_in(f"{tool} destroy guest; rm -f {FILE} {streams.WHERE}/*")

    def travel(self, way, **keys):
        """The whole way, and once more from its beginning if a process was lost on it."""
        before = moves.settled(self.east)
        for left in reversed(range(TRIES)):
            try:
                way(before, **keys)
                return
            except Lost as lost:
                print(f"      lost: {lost}", flush=True)
                self.assertTrue(left, "lost each time")
                self.clear()

    def guest(self, **keys):
        """Made by xl; it counts."""
        guest = moves.XlTraveller(self.west, "guest", **keys)
        guest.wait_more(10, 180)
        return guest

    def carry(self, source, target):
        """The file to the other host."""
        name = moves.name_of(target)
        source.ok(f"ssh {name} 'rm -f {moves.LOGS}/guest-*.log; cat >{FILE}' <{FILE} && rm {FILE}", 240)

    def judged(self):
        """Each host has sent one stream."""
        for host in (self.west, self.east):
            self.assertEqual(len(streams.judge(host)), 1, moves.name_of(host))

    def files(self, before, **keys):
        """Saved by xl, restored and saved by umbra, restored by xl."""
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
        self.judged()
        self.west.ok("xl shutdown -w guest", 180)

    def live(self, before, **keys):
        """By xl and by umbra, each talking to the other's receiver."""
        guest = self.guest(**keys)
        self.east.ok(f"rm -f {moves.LOGS}/guest-*.log")
        self.west.ok("xl migrate -s '' guest 'ssh east umbra migrate-receive'", 400)
        guest.arrives(self.east)
        self.west.ok(f"rm -f {moves.LOGS}/guest-*.log")
        self.east.ok(f"umbra migrate {' '.join(moves.LIVE)} -T 'ssh west xl migrate-receive' guest west", 400)
        guest.arrives(self.west)
        moves.wait_back(self.east, before)
        self.judged()
        self.west.ok("xl shutdown -w guest", 180)

    def test_pv_in_files(self):
        self.travel(self.files, **PV)

    def test_pvh_in_files(self):
        self.travel(self.files, **PVH)

    def test_pvh_moves(self):
        self.travel(self.live, **PVH)
