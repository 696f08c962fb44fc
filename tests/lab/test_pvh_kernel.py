# SPDX-License-Identifier: BSD-2-Clause
"""Debian's stock kernel as PVH guest: created, seen, ended, gone, on shadows."""

from labtest import LabTest

CONFIG = {"type": "pvh", "memory": 160}


class Kernel(LabTest):
    def setUp(self):
        super().setUp()
        if "hvm" not in self.caps():
            self.skipTest("this machine has no hardware virtualisation")

    def caps(self):
        return self.json("umbra --json info")["virt_caps"].split()

    def row(self, name):
        return [row for row in self.json("umbra --json list") if row["name"] == name][0]

    def test_shadow(self):
        """Up, seen in the list, shut down as it is asked, and everything is back."""
        before = self.footprint()
        self.create("pvh", **CONFIG, hap=False)
        self.wait_console("pvh", "umbra-guest: up, 1 cpus", 240)
        row = self.row("pvh")
        self.assertEqual((row["type"], row["paging"]), ("pvh", "shadow"))
        self.assertEqual(row["shadow_memory_kib"], 3072)  # 1 MiB, 8 KiB for each MiB, rounded up
        self.assertGreater(row["shadow_memory_used_kib"], 0)
        self.ok("umbra shutdown -w pvh", 180)
        self.wait_gone("pvh")
        self.wait_footprint(before)


class Refusals(LabTest):
    """What is wrong is said before anything is made."""

    def test_paging_modes(self):
        before = self.footprint()
        caps = self.json("umbra --json info")["virt_caps"].split()
        if "hvm" not in caps:
            path = self.guest_file("pvh", **CONFIG)
            self.fails(f"umbra create {path}", 1, "hardware virtualisation")
        elif "hap" not in caps:
            path = self.guest_file("pvh", **CONFIG, hap=True)
            self.fails(f"umbra create {path}", 1, "nested paging")
        self.assertEqual(self.footprint(), before)

    def test_configurations(self):
        before = self.footprint()
        for keys, words in (({"maxmem": 320}, ("maxmem", "less memory")), ({"shadow_memory": 1}, ("shadow_memory",)),
                            ({"memory": 16}, ("memory", "need")), ({"ramdisk": "/dev/null"}, ("ramdisk",)),
                            ({"kernel": "/bin/sh"}, ("PVH entry",))):
            with self.subTest(keys=keys):
                path = self.guest_file("pvh", **{**CONFIG, **keys})
                self.fails(f"umbra create {path}", 2, *words)
        self.assertEqual(self.footprint(), before)
