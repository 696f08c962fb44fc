# SPDX-License-Identifier: BSD-2-Clause
"""How much the hypervisor works between two preemption points, on a machine: no operation beyond the bound while guests
live and die, and in the worst that can be asked of it. Work is what is checked; times are printed, since an emulator's
own pauses are in them."""

from compiled import with_libctl
from labtest import CMDLINE, HOME, LabTest

BOUND, FRAME = 512, 8
FAMILIES = {64: "exception", 65: "softirq", 66: "teardown", 67: "end of domain"}
MMU_UPDATE, MEMORY, XEN_VERSION, GRANTS, MMUEXT, EVENTS, SOFTIRQ, TEARDOWN = 1, 12, 17, 20, 26, 32, 65, 66
PIN_L4, UNPIN, COPY_PAGE, COPY, RESET, SCHEDULE = 3, 4, 17, 5, 10, 1


class LargestTables(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/bounds", with_libctl("bounds.c"), mode=0o755)
        self.before = self.footprint()
        self.ok(f"{HOME}/bounds reset")

    def stretches(self):
        """{(family, sub): (work, ticks)}; none is beyond the bound."""
        rows = [line.split()[1:] for line in self.ok(f"{HOME}/bounds read").split("\n") if line.startswith("stretch ")]
        found = {(int(f), int(s)): (int(work), int(ticks)) for f, s, work, ticks in rows}
        self.assertGreater(len(found), 10)
        for key, (work, _) in found.items():
            self.assertLessEqual(work, BOUND, f"operation {key}")
        khz = self.json("umbra --json info")["cpu_khz"]
        for (family, sub), (work, ticks) in sorted(found.items(), key=lambda item: -item[1][1])[:8]:
            print(f"      {FAMILIES.get(family, f'hypercall {family}')} {sub}: {work} units, {ticks * 1000 // khz} us")
        return found

    def test_all_frames_are_tables(self):
        """Pin, unpin and pin the largest L4 that 48 MiB can hold, and destroy its domain."""
        print(f"      {self.ok(HOME + '/bounds tables 48', 200).split(chr(10))}")
        found = self.stretches()
        for key in ((MMUEXT, PIN_L4), (MMUEXT, UNPIN)):
            self.assertEqual(found[key][0], BOUND, "a full table is one piece of work")
        self.assertGreater(max(work for (family, _), (work, _) in found.items() if family == TEARDOWN), 400)
        self.wait_footprint(self.before)

    def test_largest_batches(self):
        """A batch asks after each of its elements, a multicall after each of its calls."""
        print(f"      {self.ok(HOME + '/bounds batches', 200).split(chr(10))}")
        found = self.stretches()
        for key, work in (((MMU_UPDATE, 0), 1), ((MMUEXT, COPY_PAGE), FRAME), ((XEN_VERSION, 0), 1),
                          ((GRANTS, COPY), 1)):
            self.assertGreaterEqual(found[key][0], work, f"{key}: its elements are not counted")
        self.assertGreater(found[(EVENTS, RESET)][0], 0)
        self.wait_footprint(self.before)

    def test_life_of_guests(self):
        """What ordinary guests make it do, from creation to their end; 2 MiB extents are cleared in pieces."""
        self.create("worker", vcpus=2, cmdline=CMDLINE + " umbra.test=quiet")
        self.wait_console("worker", "guest# ")
        self.type_in("worker", "for i in 1 2 3 4 5 6 7 8; do (ls /bin >/dev/null) & done; wait; echo all-$((40 + 2))",
                     "all-42")
        self.ok("umbra destroy worker")
        self.wait_gone("worker")
        found = self.stretches()
        self.assertEqual(found[(MEMORY, 6)][0], BOUND, "64 frames are cleared at a time")
        self.assertIn(found[(SOFTIRQ, SCHEDULE)][0], range(1, 33), "two domains have few oldest vCPUs")
        self.wait_footprint(self.before)
