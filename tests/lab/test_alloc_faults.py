# SPDX-License-Identifier: BSD-2-Clause
"""Every allocation that the hypervisor makes while a domain is created fails once, one per run (debug builds): the tool
says what it was doing and what to do, and nothing is left. The same for the tool's own calls is test_create_faults.py,
for the hypervisor's code alone test_every_allocation_fails of test_core."""

from compiled import with_libctl
from labtest import LabTest
from tiny import tiny_kernel

LIMIT = 120

# One run: arm, create, disarm; say what came of it. Ends when the creation came before the failure.
LOOP = """
n={first}
while [ $n -le {last} ]; do
    /root/bounds arm $n >/dev/null
    umbra create -q -p /root/fault.json 2>/tmp/fault.err
    status=$?
    left=$(/root/bounds arm 0 | sed 's/left //')
    still=$(umbra list | grep -c '^fault ')
    if [ $status = 0 ]; then umbra destroy fault || still=stuck; fi
    echo "run $n $status $left $still $(tr '\\n' '|' </tmp/fault.err)"
    [ $left = 0 ] || break
    n=$((n + 1))
done
"""


class AllocationFails(LabTest):
    def test_each_allocation(self):
        if self.json("umbra --json info")["umbra_build"] != "debug":
            self.skipTest("failures can be armed in debug builds only")
        self.machine.put("/root/bounds", with_libctl("bounds.c"))
        self.ok("chmod +x /root/bounds")
        self.machine.put("/root/tiny.elf", tiny_kernel())
        path = self.guest_file("fault", memory=16, vcpus=2, kernel="/root/tiny.elf", ramdisk=None)
        self.ok(f"umbra create -q -p {path} && umbra destroy fault")
        before = self.footprint()
        processes = self.processes()
        out = self.ok(LOOP.format(first=1, last=LIMIT), timeout=400)
        runs = [line.split(None, 5)[1:] for line in out.split("\n") if line.startswith("run ")]
        self.assertGreater(len(runs), 20, out)
        self.assertNotEqual(runs[-1][2], "0", "more allocations than this test expects")
        refused = [run for run in runs if run[1] != "0"]
        self.assertGreater(len(refused), 15, out)
        for number, status, _, still, *words in refused:
            with self.subTest(allocation=number):
                self.assertEqual((status, still), ("1", "0"), words)
                self.assertRegex(words[0], r"create: .*\(Cannot allocate memory\).*\|hint: ")
        self.assertEqual([run for run in runs if run[1] == "0" and run[3] != "1"], [], "created, and not on the list")
        self.wait_footprint(before)
        self.assertEqual(self.processes(), processes)

    def processes(self):
        return sorted(self.ok("ps -o comm= | grep umbra || true").split())
