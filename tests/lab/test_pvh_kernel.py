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

    def up(self, cpus, **keys):
        """Its domain id, when its first process runs."""
        domid = self.create("pvh", **CONFIG, vcpus=cpus, **keys)
        self.wait_console("pvh", f"umbra-guest: up, {cpus} cpus", 240)
        return domid

    def test_shadow(self):
        """Up, seen in the list, shut down as it is asked, and everything is back."""
        before = self.footprint()
        self.up(1, hap=False)
        row = self.row("pvh")
        self.assertEqual((row["type"], row["paging"]), ("pvh", "shadow"))
        self.assertEqual(row["shadow_memory_kib"], 3072)  # 1 MiB, 8 KiB for each MiB, rounded up
        self.assertGreater(row["shadow_memory_used_kib"], 0)
        self.ok("umbra shutdown -w pvh", 180)
        self.wait_gone("pvh")
        self.wait_footprint(before)

    def test_two_processors(self):
        """Both come up, and do so again after a reboot; a destroyed guest leaves nothing. Its shadows are as they
        should be meanwhile, and are thrown away."""
        before = self.footprint()
        first = self.up(2, hap=False, on_reboot="restart")
        self.ok("umbra shadow blow pvh")
        self.assertEqual(self.json("umbra --json shadow audit pvh")["broken"], 0)
        self.ok("umbra reboot pvh")
        self.wait_console("pvh", r"(?s)umbra-guest: up, 2 cpus.*umbra-guest: up, 2 cpus", 300)
        self.assertNotEqual(int(self.ok("umbra domid pvh")), first)
        self.ok("umbra destroy pvh")
        self.wait_footprint(before)

    def test_nested(self):
        if "hap" not in self.caps():
            self.skipTest("this machine has no nested paging")
        before = self.footprint()
        self.up(2, hap=True)
        self.assertEqual(self.row("pvh")["paging"], "hap")
        self.ok("umbra destroy pvh")
        self.wait_footprint(before)


class Refusals(LabTest):
    """What is wrong is said before anything is made."""

    def test_configurations(self):
        before = self.footprint()
        for keys, words in (({"maxmem": 320}, ("maxmem", "less memory")), ({"shadow_memory": 1}, ("shadow_memory",)),
                            ({"memory": 16}, ("memory", "need")), ({"ramdisk": "/dev/null"}, ("ramdisk",)),
                            ({"kernel": "/bin/sh"}, ("PVH entry",))):
            with self.subTest(keys=keys):
                path = self.guest_file("pvh", **{**CONFIG, **keys})
                self.fails(f"umbra create {path}", 2, *words)
        self.assertEqual(self.footprint(), before)
