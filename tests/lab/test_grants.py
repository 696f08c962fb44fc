# SPDX-License-Identifier: BSD-2-Clause
"""Grant tables of stock guests: one whose kernel asks for version 2."""

import os
import re
import subprocess
import tempfile

from labtest import CMDLINE, GUEST_INITRD, HOME, LabTest
from test_holders import install_holder

HERE = os.path.dirname(os.path.abspath(__file__))
RAMDISK = f"""
mkdir -p {HOME}/extra && cd {HOME}/extra && chmod +x share &&
cp "$(find /lib/modules -name xen-gntalloc.ko)" . && ls | cpio -o -H newc >../extra.cpio &&
cat ../extra.cpio {GUEST_INITRD} >{HOME}/extra.img
"""


def share_program():
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "share")
        subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-Os", "-s", "-static", "-nostdlib",
                        "-fno-stack-protector", "-fno-builtin", "-Wl,--build-id=none", "-Wl,-z,noseparate-code",
                        "-o", out, f"{HERE}/share.c"], check=True)
        with open(out, "rb") as file:
            return file.read()


class Versions(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/extra/share", share_program())
        install_holder(self)
        self.ok(RAMDISK)

    def test_version_2(self):
        """The kernel changes the version while the daemons have its two rings mapped; console and xenstore go on. Then
        it grants a page: the control domain reads it, answers in it, and the guest takes the grant back."""
        before = self.footprint()
        words = CMDLINE.replace("loglevel=4", "loglevel=7") + " grant_table.version=2 umbra.test=quiet"
        domid = self.create("second", ramdisk=f"{HOME}/extra.img", cmdline=words)
        self.wait_console("second", "Grant tables using version 2 layout")
        self.wait_console("second", "guest# ")
        self.type_in("second", "insmod /xen-gntalloc.ko && /share &", "shared reference [0-9]")
        reference = self.wait_console("second", r"shared reference (\d+)").group(1)
        self.assertGreaterEqual(int(reference), 8)
        self.ok("umbra dmesg -c >/dev/null; umbra debug-keys g")
        dump = self.ok("umbra dmesg")
        self.assertIn(f"Grants of domain {domid}: version 2", dump)
        self.assertEqual(set(re.findall(r"audit: (.*)", dump)), {"0 disagreements"})
        seen = self.ok(f"{HOME}/holder exchange {domid} {reference} good-morning")
        self.assertEqual(seen.strip(), "a page of the guest")
        self.wait_console("second", "answer: good-morning")
        self.wait_console("second", "released 0")
        self.ok("umbra destroy second")
        self.wait_gone("second")
        self.wait_footprint(before)
