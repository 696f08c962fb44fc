# SPDX-License-Identifier: BSD-2-Clause
"""Whatever fails while a guest is created, nothing is left: calls that the tool makes to the hypervisor, the mapping
device or xenstored are made to fail, one per run, and the host has the same after it as before."""

import os
import struct
import subprocess
import tempfile
import unittest

from labtest import LabTest

HERE = os.path.dirname(os.path.abspath(__file__))
STRIDE = 7
RUNS = 30
BASE = 0xffffffff80000000
PLACE = 0x200000

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


def note(kind, text):
    data = text if isinstance(text, bytes) else struct.pack("<Q", text)
    return struct.pack("<III4s", 4, len(data), kind, b"Xen\0") + data + bytes(-len(data) % 4)


def tiny_kernel():
    """The smallest file that the builder takes for a PV kernel: it is never run."""
    notes = note(6, b"test\0") + note(3, BASE) + note(4, 0) + note(1, BASE + PLACE)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 0, 0, PLACE, 4096, 8192, 4096)
    about = struct.pack("<IIQQQQQQ", 4, 4, 512, 0, 0, len(notes), len(notes), 4)
    return (header + load + about).ljust(512, b"\0") + notes.ljust(3584, b"\0")


def shared_library():
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "faults.so")
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-shared", "-O2", "-s"]
        source = os.path.join(HERE, "faults.c")
        subprocess.run([os.environ.get("CC", "gcc"), *flags, "-o", out, source], check=True)
        with open(out, "rb") as file:
            return file.read()


class Faults(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put("/root/faults.so", shared_library())
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
