# SPDX-License-Identifier: BSD-2-Clause
"""Every allocation that the hypervisor makes while a domain is created fails once, one per run (debug builds): the tool
says what it was doing and what to do, and nothing is left. The same for the tool's own calls is test_create_faults.py,
for the hypervisor's code alone test_every_allocation_fails of test_core."""

from compiled import with_libctl
from labtest import LabTest
from tiny import tiny_kernel

LIMIT = 120


class AllocationFails(LabTest):
    def test_each_allocation(self):
        if self.json("umbra --json info")["umbra_build"] != "debug":
            self.skipTest("failures can be armed in debug builds only")
        self.machine.put("/root/attempts", with_libctl("attempts.c"), mode=0o755)
        self.machine.put("/root/tiny.elf", tiny_kernel())
        path = self.guest_file("fault", memory=4, vcpus=2, kernel="/root/tiny.elf", ramdisk=None)
        self.ok(f"umbra create -q -p {path} && umbra destroy fault")
        before = self.footprint()
        processes = self.processes()
        out = self.ok(f"/root/attempts alloc 1 {LIMIT} 1 fault umbra create -q -p {path}", timeout=400)
        runs = [line.split(None, 5)[1:] for line in out.split("\n") if line.startswith("run ")]
        self.assertGreater(len(runs), 20, out)
        self.assertEqual(runs[-1][2], "0", "more allocations than this test expects")
        refused = [run for run in runs if run[1] != "0"]
        self.assertGreater(len(refused), 15, out)
        for number, status, hit, left, *words in refused:
            with self.subTest(allocation=number):
                self.assertEqual((status, hit, left), ("1", "1", "0"), words)
                self.assertRegex(words[0], r"create: .*\(Cannot allocate memory\).*\|hint: ")
        created = [run for run in runs if run[1] == "0"]
        self.assertEqual([run for run in created if run[3] != "1"], [], "created, and not there")
        self.assertEqual(out.count("destroyed 0"), len(created))
        self.wait_footprint(before)
        self.assertEqual(self.processes(), processes)

    def processes(self):
        return sorted(self.ok("ps -o comm= | grep umbra || true").split())
