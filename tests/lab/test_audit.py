# SPDX-License-Identifier: BSD-2-Clause
"""The audit of live guests: nothing is broken, and the guest goes on."""

import json

from labtest import CMDLINE, HOME, LONG, LabTest, ON_PEER
from test_holders import install_holder

WORK = "(while :; do (ls -R /bin /etc >/dev/null) & dd if=/dev/zero of=/tmp/y bs=256k count=4 2>/dev/null; wait; done)"


class Audit(LabTest):
    machine_options = {"memory": 5120}  # RAM on both sides of the hole below 4 GiB

    def setUp(self):
        super().setUp()
        if ON_PEER:
            self.skipTest("Xen has no audit")

    def test_busy_guest(self):
        """Two vCPUs that make and end processes all the time; after each audit they still do. All memory comes back."""
        before = self.footprint()
        self.create("busy", vcpus=2, cmdline=CMDLINE + " umbra.test=quiet")
        self.wait_console("busy", "guest# ")
        self.type_in("busy", f"{WORK} & {WORK} & echo at-$((40 + 2))-work", "at-42-work")
        for _ in range(6 if LONG else 3):
            found = self.json("umbra --json audit busy")
            self.assertEqual((found["schema"], found["broken"], found["findings"]), ("umbra.audit/1", 0, []))
            self.assertGreaterEqual(found["frames"], 120 << 8)
            self.assertGreater(found["tables"], 50)
            self.assertGreater(found["entries"], 10000)
            self.assertGreaterEqual(found["descriptor_pages"], 2)
            self.assertTrue(found["grants_audited"])
            self.assertGreaterEqual(found["grant_entries"], 512)
            self.assertGreaterEqual(found["grant_handles"], 1)  # xenstore's ring
        self.type_in("busy", "echo still-$((40 + 2))-there", "still-42-there")
        self.assertEqual(self.guests()["busy"][3][2], "-")
        self.ok("umbra destroy busy")
        self.wait_footprint(before)

    def test_paused_guest_stays_paused(self):
        self.ok(f"umbra create -p {self.guest_file('asleep')}")
        text = self.ok("umbra audit asleep")
        self.assertRegex(text, r"^asleep: 0 invariants broken\nlooked at: \d+ frames, \d+ tables, ")
        self.assertRegex(text, r"\ngrants: \d+ entries, \d+ handles of others\n")
        self.assertEqual(self.guests()["asleep"][3][2], "p")
        self.ok("umbra unpause asleep")
        self.wait_console("asleep", "umbra-guest: tick 1")

    def test_grants_in_use(self):
        """A program of the control domain that maps and unmaps one of the guest's frames all the time: what an audit
        finds meanwhile is never called broken; whether it found a moment for the grants is chance, and told."""
        install_holder(self)
        domid = self.create("lender")
        self.wait_console("lender", "umbra-guest: up")
        self.addCleanup(self.run_in, "rm -f /run/churn")
        self.ok(f"touch /run/churn; setsid {HOME}/holder churn {domid} 1 /run/churn </dev/null >/run/churn.out 2>&1 & "
                "for i in $(seq 100); do grep -q held /run/churn.out && exit 0; usleep 100000; done; exit 1")
        for _ in range(5):
            result = self.run_in("umbra --json audit lender")
            found = json.loads(result.out)
            self.assertEqual((found["broken"], found["findings"]), (0, []))
            self.assertEqual(result.status, 0 if found["grants_audited"] else 1)
        self.ok("pidof holder && rm /run/churn && while pidof holder; do usleep 100000; done")
        self.assertTrue(self.json("umbra --json audit lender")["grants_audited"])
        self.assertEqual(self.guests()["lender"][3][2], "-")
        self.dying(domid)

    def test_errors(self):
        self.fails("umbra audit", 2)
        self.fails("umbra audit one two", 2)
        self.fails("umbra audit nobody", 1, "nobody")
        self.fails("umbra audit 0", 1, "control domain", "not be audited")

    def dying(self, domid):
        """The console daemon, stopped, does not let go of its ring: the guest stays, dying."""
        self.ok("kill -STOP $(pidof xenconsoled)")
        try:
            self.run_in("umbra destroy lender")
            self.fails(f"umbra audit {domid}", 1, "dying")
        finally:
            self.ok("kill -CONT $(pidof xenconsoled)")
        self.wait_gone("lender")
