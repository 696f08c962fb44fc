# SPDX-License-Identifier: BSD-2-Clause
"""Guests on hardware virtualisation, made by hand: code that changes its own page tables."""

import itertools
import json

from compiled import with_libctl
from labtest import HOME, LabTest, long_one


# What control tools do to a guest's shadows while it works: one round.
POKE = f"""set -e
umbra shadow blow $D
umbra debug-keys S
umbra --json shadow stats $D | tr -d '\\n' >> {HOME}/stats
echo >> {HOME}/stats
umbra --json shadow audit $D > {HOME}/audit
umbra --json shadow dump $D > {HOME}/dump
umbra shadow dump $D > {HOME}/tree
umbra shadow --dot dump $D > {HOME}/dot
umbra --json list > {HOME}/list
"""


class HandMade(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/pvh", with_libctl("pvh.c", "pvh_irq.S"), mode=0o755)
        self.before = self.footprint()

    def check_poked(self, stats):
        """What POKE found is sound."""
        self.assertEqual(len(stats), 2)
        first, last = stats
        self.assertGreaterEqual(last["events"]["blows"], 2 * len(stats) - 1)
        for group, name in (("exits", "page_fault"), ("faults", "fixed"), ("events", "made"), ("events", "flushes")):
            self.assertGreater(last[group][name], first[group][name], name)
        for each in stats:
            self.assertLessEqual(each["stretch"]["longest"], each["stretch"]["bound"])
            self.assertLessEqual(sum(each["tables"].values()) - each["tables"]["direct"], each["pool"]["shadow"])
        self.assertEqual(self.json(f"cat {HOME}/audit")["broken"], 0)
        self.assertRegex(self.ok(f"cat {HOME}/dot"), r"^digraph(.|\n)*penwidth=3(.|\n)*}$")

    def copied(self, *pagings):
        """While it changes its tables its memory is copied by the log of stores, twice: nothing is missed."""
        self.machine.put(f"{HOME}/copier", with_libctl("copier.c"), mode=0o755)
        for paging in pagings:
            with self.subTest(paging=paging):
                said = self.ok(f"{HOME}/pvh 4 1000000000 {paging} '{HOME}/copier $D 1024 4'", 120)
                lines = [line.split() for line in said.splitlines()]
                self.assertEqual(lines[-1], ["ended", "0"])
                self.assertEqual([line[-2:] for line in lines[:-1]], 2 * [["missed", "0"]], said)
                for reported in (int(word) for line in lines[:-1] for word in line[:4]):
                    self.assertTrue(1 <= reported < 100, said)
                self.wait_footprint(self.before)

    def poked(self):
        """The figures of a guest, taken twice while its shadows are thrown away, checked and shown; and its roots."""
        self.machine.put(f"{HOME}/poke", POKE.encode())
        self.ok(f"rm -f {HOME}/stats")
        self.assertEqual(self.ok(f"{HOME}/pvh 4 1000000000 shadow 'sh {HOME}/poke'", 120).strip(), "ended 0")
        stats = [json.loads(line) for line in self.ok(f"cat {HOME}/stats").splitlines()]
        self.check_poked(stats)
        roots = [s for s in self.json(f"cat {HOME}/dump")["shadows"] if s["vcpus"]]
        return stats, [(s["level"], s["format"], s.get("gfn")) for s in roots]


class Shadows(HandMade):
    def test_tables_are_followed(self):
        """Paging of 4, 3 and 2 levels, and none; on shadows, and the same on nested paging."""
        for mode, paging in itertools.product((4, 3, 2, 0), ("shadow", "hap")):
            with self.subTest(levels=mode, paging=paging):
                self.assertEqual(self.ok(f"{HOME}/pvh {mode} 200 {paging}", 120).strip(), "ended 0")
                self.wait_footprint(self.before)

    def test_state_is_restored(self):
        """State in the public save format is read 50 times, spoilt, and written: it goes on as if nothing had been."""
        for paging in ("shadow", "hap"):
            with self.subTest(paging=paging):
                self.assertEqual(self.ok(f"{HOME}/pvh 4 1000000000 {paging} save", 120).strip(), "ended 0")
                self.wait_footprint(self.before)

    def test_interrupts(self):
        """Interrupts of its own, the timer's, priorities, NMI, INIT and start-up of a second vCPU from real mode."""
        for paging in ("shadow", "hap"):
            with self.subTest(paging=paging):
                self.assertEqual(self.ok(f"{HOME}/pvh 64 10 {paging}", 120).strip(), "ended 0")
                self.wait_footprint(self.before)

    def test_copied_meanwhile(self):
        self.copied("shadow", "hap")

    def test_shown_and_blown_meanwhile(self):
        """Its shadows are thrown away, checked and shown while it changes its tables: it does not notice."""
        stats, roots = self.poked()
        self.assertEqual(stats[0]["mode"]["vtlb"], 0)
        for event in ("table_stores", "unsynced"):
            self.assertGreater(stats[1]["events"][event], stats[0]["events"][event])
        self.assertGreater(stats[1]["events"]["synced_entries"], stats[0]["events"]["synced_entries"] + 200)
        self.assertGreater(stats[1]["emulated"]["done"], stats[0]["emulated"]["done"])
        self.assertEqual(roots, [(4, 4, 1)])
        self.assertIn("level 4, guest of 4 levels, table in guest frame 1,", self.ok(f"cat {HOME}/tree"))
        self.fails("umbra shadow stats 0", 1, "PV guest")
        self.fails("umbra shadow audit nobody", 1, "nobody")
        self.wait_footprint(self.before)


@long_one
class Vtlb(HandMade):
    """The reference mode: the same guests find the same, whether they change tables or are interrupted. On this machine
    the log of stores is what hardware says itself."""

    machine_options = {"append": ("shadow=vtlb", "logdirty=harvest")}

    def test_copied_meanwhile(self):
        self.copied("shadow")

    def test_tables_and_interrupts(self):
        for mode, rounds in ((4, 200), (3, 200), (2, 200), (0, 200), (64, 10)):
            with self.subTest(mode=mode):
                self.assertEqual(self.ok(f"{HOME}/pvh {mode} {rounds} shadow", 120).strip(), "ended 0")
                self.wait_footprint(self.before)

    def test_shown_and_blown_meanwhile(self):
        """No table is protected, so no store to one is seen; each INVLPG is."""
        stats, roots = self.poked()
        for each in stats:
            self.assertEqual(each["mode"]["vtlb"], 1)
            self.assertEqual((each["events"]["table_stores"], each["emulated"]["done"]), (0, 0))
            self.assertEqual(sum(n for name, n in each["tables"].items() if name != "direct"), each["tables"]["direct"])
        self.assertGreater(stats[1]["exits"]["invlpg"], stats[0]["exits"]["invlpg"] + 200)
        self.assertEqual(roots, [(4, 4, None)])
        self.assertEqual([row["paging"] for row in self.json(f"cat {HOME}/list") if row["domid"]], ["vtlb"])
        self.wait_footprint(self.before)
