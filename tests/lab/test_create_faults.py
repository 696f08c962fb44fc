# SPDX-License-Identifier: BSD-2-Clause
"""Whatever fails while a guest is created, nothing is left: calls that the tool makes to the hypervisor, the mapping
device or xenstored are made to fail, one per run, and the host has the same after it as before."""

import unittest

from compiled import compiled
from labtest import LabTest
from tiny import tiny_kernel

STRIDE = 7
RUNS = 30

# One run: create with the N-th call failing; say how it ended; a guest that came to be is destroyed.
LOOP = """
n={first}
while [ $n -lt {last} ]; do
    FAULT_AT=$n LD_PRELOAD=/root/faults.so umbra create -q -p /root/fault.json >/tmp/fault.out 2>&1
    status=$?
    what=$(sed -n 's/^fault [0-9]*: //p' /tmp/fault.out)
    words=$(grep -vc '^fault ' /tmp/fault.out)
    left=
    if umbra domid fault >/dev/null 2>&1; then
        left=alive
        umbra destroy fault || left=stuck
    fi
    echo "run $n $status ${{what:-none}} $words ${{left:-nothing}}"
    [ -n "$what" ] || break
    n=$((n + {stride}))
done
"""


class Faults(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put("/root/faults.so", compiled("faults.c", "-fPIC", "-shared"))
        self.machine.put("/root/tiny.elf", tiny_kernel())
        self.path = self.guest_file("fault", memory=32, kernel="/root/tiny.elf", ramdisk=None)
        self.ok(f"umbra create -q -p {self.path} && umbra destroy fault")
        self.before = self.footprint()

    def test_each_call_may_fail(self):
        out = self.ok(LOOP.format(first=1, last=1 + STRIDE * RUNS, stride=STRIDE), timeout=300)
        runs = [line.split()[1:] for line in out.split("\n") if line.startswith("run ")]
        self.assertGreater(len(runs), 10, out)
        for number, status, what, words, left in runs:
            with self.subTest(call=number, what=what):
                self.assertNotEqual(left, "stuck")
                if what == "none":
                    self.assertEqual(status, "0")
                elif status != "0":
                    self.assertEqual(left, "nothing", "the tool failed and left a domain")
                    self.assertNotEqual(words, "0", "the tool failed without a word")
        self.assertEqual(runs[-1][2], "none", "more calls than this test expects")
        self.wait_footprint(self.before)


if __name__ == "__main__":
    unittest.main()
