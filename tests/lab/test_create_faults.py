# SPDX-License-Identifier: BSD-2-Clause
"""Whatever fails while a guest is created, nothing is left: calls that the tool makes to the hypervisor, the mapping
device or xenstored are made to fail, one per run, and the host has the same after it as before. Here it is some of
them; each of the builder's fails on the host, tests/unit/test_build_fails.c."""

from compiled import compiled, with_libctl
from labtest import HOME, LONG, LabTest
from tiny import tiny_kernel

STRIDE, RUNS = (7, 30) if LONG else (42, 5)


class Faults(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/attempts", with_libctl("attempts.c"), mode=0o755)
        self.machine.put(f"{HOME}/faults.so", compiled("faults.c", "-fPIC", "-shared"))
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())
        self.path = self.guest_file("fault", memory=4, kernel=f"{HOME}/tiny.elf", ramdisk=None)
        self.ok(f"umbra create -q -p {self.path} && umbra destroy fault")
        self.before = self.footprint()

    def test_each_call_may_fail(self):
        out = self.ok(f"FAULTS={HOME}/faults.so {HOME}/attempts call 1 {STRIDE * RUNS} {STRIDE} fault "
                      f"umbra create -q -p {self.path}", 300)
        runs = [line.split(None, 5)[1:] for line in out.split("\n") if line.startswith("run ")]
        self.assertGreater(len(runs), RUNS // 3, out)
        for number, status, hit, left, *text in runs:
            lines = (text or [""])[0].split("|")
            what = [line for line in lines if line.startswith("fault ")]
            with self.subTest(call=number, what=what):
                if hit == "0":
                    self.assertEqual((status, left), ("0", "1"))
                elif status != "0":
                    self.assertEqual(left, "0", "the tool failed and left a domain")
                    self.assertTrue([line for line in lines if line and line not in what], "failed without a word")
        self.assertEqual(out.count("destroyed 0"), sum(run[3] != "0" for run in runs), "not all could be destroyed")
        self.assertEqual(runs[-1][2], "0", "more calls than this test expects")
        self.wait_footprint(self.before)
