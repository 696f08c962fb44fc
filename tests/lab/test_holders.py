# SPDX-License-Identifier: BSD-2-Clause
"""A destroyed guest of which something still holds a frame stays, dying, with who holds it; when that lets go, all
comes back."""

import os
import re
import subprocess
import tempfile
import time

from labtest import BUILD, HOME, LabTest
from machine import TOP
from test_create_faults import tiny_kernel

HERE = os.path.dirname(os.path.abspath(__file__))


def holder_program():
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "holder")
        command = [os.environ.get("CC", "gcc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-s", f"-I{TOP}/tools", "-o", out,
                   f"{HERE}/holder.c", f"{BUILD}/libctl.a", "-Wl,--as-needed", "-lxencall", "-lxenforeignmemory",
                   "-lxengnttab", "-lxenstore", "-lxentoollog"]
        subprocess.run(command, check=True)
        with open(out, "rb") as file:
            return file.read()


def install_holder(test):
    """Once for each machine."""
    if test.run_in(f"test -x {HOME}/holder").status:
        test.machine.put(f"{HOME}/holder", holder_program())
        test.ok(f"chmod +x {HOME}/holder")


class Holders(LabTest):
    def setUp(self):
        super().setUp()
        install_holder(self)
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())

    def show(self, domid):
        """(frames, shared frames, other references, {holder: (grants, foreign mappings)})"""
        lines = self.ok(f"{HOME}/holder show {domid}").strip().split("\n")
        sums = [int(n) for n in re.findall(r"\d+", lines[0])]
        rows = [[int(n) for n in re.findall(r"\d+", line)] for line in lines[1:]]
        return (*sums, {row[0]: (row[1], row[2]) for row in rows})

    def hold(self, kind, domid, number):
        """Starts a program that holds a frame until its file is removed; returns the file."""
        file = f"/run/hold-{kind}"
        self.addCleanup(self.run_in, f"rm -f {file}")
        self.ok(f"touch {file}; setsid {HOME}/holder {kind} {domid} {number} {file} </dev/null >{file}.out 2>&1 & "
                f"for i in $(seq 100); do grep -q held {file}.out && exit 0; usleep 100000; done; "
                f"cat {file}.out >&2; exit 1")
        return file

    def wait_show(self, domid, expected):
        deadline = time.monotonic() + 60
        while self.show(domid) != expected:
            self.assertLess(time.monotonic(), deadline, self.show(domid))
            time.sleep(0.2)

    def wait_id_gone(self, domid):
        deadline = time.monotonic() + 60
        while domid in [row["domid"] for row in self.json("umbra --json list")]:
            self.assertLess(time.monotonic(), deadline, "it stays although nothing holds it")
            time.sleep(0.2)

    def test_dead_guest_stays_while_held(self):
        before = self.footprint()
        path = self.guest_file("held", memory=32, kernel=f"{HOME}/tiny.elf", ramdisk=None)
        domid = int(self.ok(f"umbra create -q -p {path} && umbra domid held"))
        frame = self.ok(f"xenstore-read /local/domain/{domid}/console/ring-ref").strip()
        mapping = self.hold("foreign", domid, frame)
        grant = self.hold("grant", domid, 1)
        alive = self.show(domid)
        self.assertGreater(alive[0], 8000)
        self.assertGreaterEqual(alive[3][0][0], 1)

        self.fails("umbra destroy held", 1, "its memory is still held by domain 0 (", "granted, 1 foreign frames)")
        self.assertEqual((self.guests()["held"][0], self.guests()["held"][3][5]), (domid, "d"))
        self.fails(f"umbra create -q -p {path}", 1, "a guest of this name is being destroyed")
        (row,) = [row for row in self.json("umbra --json list") if row["domid"] == domid]
        frames, shared, other, holders = self.show(domid)
        self.assertEqual((frames, shared, other, list(holders)), (2, 0, 0, [0]))
        grants, foreign = holders[0]
        self.assertEqual((row["name"], row["state"]), ("held", "dying"))
        self.assertEqual(row["holders"], [{"domid": 0, "granted_frames": grants, "foreign_frames": foreign}])
        self.assertEqual(foreign, 1)
        self.assertGreaterEqual(grants, 1)
        self.ok(f"rm {mapping}")
        self.wait_show(domid, (1, 0, 0, {0: (grants, 0)}))
        self.ok(f"rm {grant}")
        self.wait_id_gone(domid)
        self.fails(f"{HOME}/holder show {domid}", 1, "does not exist")
        self.wait_gone("held")
        self.wait_footprint(before)
