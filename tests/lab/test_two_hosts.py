# SPDX-License-Identifier: BSD-2-Clause
"""Two hosts that reach each other: by name, by ssh without a question, with a file that arrives as it was; a cable
that is pulled and put back; and the shortest move of a guest (test_migrate_hosts has the others)."""

import time

import moves
import streams
from labtest import PairTest, long_one

SIZE = 16 << 20
FILE = "/run/file"


class TwoHosts(PairTest):
    pair_options = {"smp": 1}

    def test_ping(self):
        """Both ways, and the network cards' interrupts are theirs."""
        for host, other in ((self.east, "west"), (self.west, "east")):
            self.assertEqual(host.ok("cat /proc/sys/kernel/hostname").strip(), host.name)
            self.assertIn("3 packets received", host.ok(f"ping -c 3 -W 5 {other}"))
            self.assertNotIn("UMBRA-LAB: FAILED", host.machine.serial_log())

    def test_tool_on_the_other_host(self):
        lines = self.east.ok("ssh -o BatchMode=yes west umbra info").split("\n")
        told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        self.assertEqual((told["host"], told["xen_major"], told["xen_minor"]), ("west", "4", "17"))
        self.west.fails("ssh -o BatchMode=yes east umbra pause nobody", 1, "nobody")
        self.assertEqual(self.west.ok("ssh 10.0.0.1 ssh west hostname"), "west\n")

    def test_wrong_key_is_refused(self):
        self.east.ok("rm -f /run/other; ssh-keygen -q -t ed25519 -N '' -f /run/other")
        other = "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i /run/other -o StrictHostKeyChecking=yes"
        self.east.fails(f"{other} west true", 255, "permission denied")

    def test_file(self):
        """The same bytes on both hosts."""
        self.east.ok(f"head -c {SIZE} /dev/urandom >{FILE}")
        start = time.monotonic()
        self.east.ok(f"scp -q {FILE} west:{FILE}")
        seconds = time.monotonic() - start
        print(f"        {SIZE >> 20} MiB by scp: {seconds:.1f} s", flush=True)
        sent = self.east.ok(f"sha256sum {FILE}").split()[0]
        self.assertEqual(self.west.ok(f"sha256sum {FILE}").split()[0], sent)
        for host in (self.east, self.west):
            host.ok(f"rm {FILE}")

    def test_move(self):
        """A PV guest counts on without a gap, and has the memory that it had."""
        streams.tap_for(self, self.east, self.west)
        guest = moves.Traveller(self.east, "busy", type="pv", memory=96)
        guest.wait_more(10)
        guest.move_and_check(self.west)

    def carrier(self, host):
        return host.ok("cat /sys/class/net/eth0/carrier").strip()

    def wait_carrier(self, host, wanted):
        deadline = time.monotonic() + 20
        while self.carrier(host) != wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(self.carrier(host), wanted)

    @long_one
    def test_cut(self):
        """What is under way when the cable is pulled waits, and goes on."""
        lines = "for i in $(seq 40); do echo line $i; usleep 250000; done"
        self.east.ok(f"({lines} | ssh west 'cat >/run/slow') >/dev/null 2>&1 &")
        self.west.ok("for i in $(seq 200); do grep -q 'line 3$' /run/slow && exit; usleep 100000; done; exit 1")
        self.west.machine.set_link(False)
        self.addCleanup(self.west.machine.set_link, True)
        self.wait_carrier(self.west, "0")
        self.east.fails("ssh -o BatchMode=yes -o ConnectTimeout=3 west true", 255, "timed out")
        before = self.west.ok("wc -l </run/slow")
        self.east.ok("sleep 2")
        self.assertEqual(self.west.ok("wc -l </run/slow"), before)
        self.west.machine.set_link(True)
        self.wait_carrier(self.west, "1")
        self.assertIn("3 packets received", self.east.ok("ping -c 3 -W 5 west"))
        self.west.ok("for i in $(seq 300); do grep -q 'line 40$' /run/slow && exit; usleep 100000; done; exit 1")
        self.assertEqual(self.west.ok("cat /run/slow"), "".join(f"line {i}\n" for i in range(1, 41)))
