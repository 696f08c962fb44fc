# SPDX-License-Identifier: BSD-2-Clause
"""How much the hypervisor works between two preemption points, on a machine: no operation beyond the bound while guests
live and die, and in the worst that can be asked of it. Work is what is checked; times are printed, since an emulator's
own pauses are in them."""

import os
import re

from compiled import with_libctl
from labtest import CMDLINE, HOME, LabTest, long_one
from machine import TOP

BOUND, FRAME = 512, 8
SIZES = (7, 63, 255, BOUND)  # most units of a stretch of this size, and a last one without an end
# As debug key b calls them, and hypercalls by their names.
FAMILIES = {64: "exception", 65: "softirq", 66: "teardown step", 67: "end of a domain"}
SHOWN = re.compile(r"^\(XEN\).*?  ([a-z][a-z_ ]*) (\d+): (\d+) units, (\d+) us;((?: [\d-]+: \d+)+)\r?$", re.M)
MMU_UPDATE, MEMORY, XEN_VERSION, GRANTS, MMUEXT, EVENTS, SOFTIRQ, TEARDOWN = 1, 12, 17, 20, 26, 32, 65, 66
PIN_L4, UNPIN, COPY_PAGE, COPY, RESET, SCHEDULE = 3, 4, 17, 5, 10, 1


def families():
    """{number: name}"""
    with open(os.path.join(TOP, "hypervisor", "hypercall", "table.def"), encoding="utf-8") as file:
        calls = {int(number): name for number, name in re.findall(r"^HYPERCALL\((\d+), (\w+),", file.read(), re.M)}
    return {**calls, **FAMILIES}


class LargestTables(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/bounds", with_libctl("bounds.c"), mode=0o755)
        self.before = self.footprint()
        self.ok(f"{HOME}/bounds reset")

    def read(self):
        """{(family, sub): (work, ticks)}. The size of the longest is one that was counted, and no larger one."""
        rows = [line.split()[1:] for line in self.ok(f"{HOME}/bounds read").split("\n") if line.startswith("stretch ")]
        rows = [[int(word) for word in row] for row in rows]
        for family, sub, work, _, *times in rows:
            size = sum(work > most for most in SIZES)
            self.assertGreater(times[size], 0, (family, sub))
            self.assertEqual(sum(times[size + 1:]), 0, (family, sub))
        return {(family, sub): (work, ticks) for family, sub, work, ticks, *_ in rows}

    def key_agrees(self, found, khz):
        """What is shown by debug key b is what is read: between what it was before the key was pressed and after."""
        numbers = {name: number for number, name in families().items()}
        text = self.ok("umbra dmesg -c >/dev/null; umbra debug-keys b; umbra dmesg")
        self.assertIn(f"(bound: {BOUND} units; an entry is 1, a frame {FRAME})", text)
        self.assertNotIn("over the bound", text)
        rows = [(numbers[name], int(sub), int(work), int(us)) for name, sub, work, us, _ in SHOWN.findall(text)]
        shown = {(family, sub): (work, us) for family, sub, work, us in rows}
        after = self.read()
        self.assertEqual(len(shown), len(rows), text)
        self.assertLessEqual(set(found), set(shown), text)
        self.assertLessEqual(set(shown), set(after), text)
        for key, (work, us) in shown.items():
            least, most = found.get(key, (0, 0)), after[key]
            self.assertIn(work, range(least[0], most[0] + 1), key)
            self.assertIn(us, range(least[1] * 1000 // khz - 1, most[1] * 1000 // khz + 2), key)

    def stretches(self):
        """What was read; none is beyond the bound, and the debug key shows the same."""
        found = self.read()
        self.assertGreater(len(found), 10)
        for key, (work, _) in found.items():
            self.assertLessEqual(work, BOUND, f"operation {key}")
        khz, names = self.json("umbra --json info")["cpu_khz"], families()
        for (family, sub), (work, ticks) in sorted(found.items(), key=lambda item: -item[1][1])[:8]:
            print(f"      {names[family]} {sub}: {work} units, {ticks * 1000 // khz} us")
        self.key_agrees(found, khz)
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

    @long_one
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
