# SPDX-License-Identifier: BSD-2-Clause
"""Every allocation that the hypervisor makes for a hypercall while a domain is created fails once, one per run (debug
builds; in make check every third does, of a PVH guest's some): the tool says what it was doing and what to do, and
nothing is left. The same for the tool's own calls is test_create_faults.py; on the host every one fails of those that a
domain takes, test_allocations_of_pv and test_allocations_of_translated of test_core."""

from compiled import with_libctl
from labtest import HOME, LONG, LabTest
from tiny import HALT, tiny_kernel

LIMIT = 120
STEP = 1 if LONG else 3
PVH_STEP = 1 if LONG else 97
POOL = 256  # of a PVH guest: a pool of 1 MiB is allocated frame by frame


def fail_each(test, path, step, least, limit):
    """In every step-th run from the first on another allocation fails; there are more runs than least and one that
    nothing fails in."""
    test.machine.put(f"{HOME}/attempts", with_libctl("attempts.c"), mode=0o755)
    test.ok(f"umbra create -q -p {path} && umbra destroy fault")
    before = test.footprint()
    was = processes(test)
    command = f"{HOME}/attempts alloc 1 {limit} {step} fault umbra create -q -p {path}"
    out = test.ok(command, 60 + 4 * limit // step)
    runs = [line.split(None, 5)[1:] for line in out.split("\n") if line.startswith("run ")]
    test.assertGreater(len(runs), least, out)
    test.assertEqual(runs[-1][2], "0", "more allocations than this test expects")
    refused = [run for run in runs if run[1] != "0"]
    test.assertGreater(len(refused), least * 3 // 4, out)
    for number, status, hit, left, *words in refused:
        with test.subTest(allocation=number):
            test.assertEqual((status, hit, left), ("1", "1", "0"), words)
            test.assertRegex(words[0], r"create: .*\(Cannot allocate memory\).*\|hint: ")
    created = [run for run in runs if run[1] == "0"]
    test.assertEqual([run for run in created if run[3] != "1"], [], "created, and not there")
    test.assertEqual(out.count("destroyed 0"), len(created))
    test.wait_footprint(before)
    test.assertEqual(processes(test), was)


def processes(test):
    return sorted(test.ok("ps -o comm= | grep umbra || true").split())


class AllocationFails(LabTest):
    def setUp(self):
        super().setUp()
        self.info = self.json("umbra --json info")
        if self.info["umbra_build"] != "debug":
            self.skipTest("failures can be armed in debug builds only")

    def test_each_allocation(self):
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())
        path = self.guest_file("fault", memory=4, vcpus=2, kernel=f"{HOME}/tiny.elf", ramdisk=None)
        fail_each(self, path, STEP, 20 // STEP, LIMIT)

    def test_allocations_of_pvh(self):
        """On shadows."""
        if "hvm" not in self.info["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel(HALT, pvh=True))
        path = self.guest_file("fault", memory=4, kernel=f"{HOME}/tiny.elf", ramdisk=None, type="pvh", hap=False,
                               shadow_memory=POOL >> 8)
        fail_each(self, path, PVH_STEP, POOL // PVH_STEP, POOL + 2 * LIMIT)
