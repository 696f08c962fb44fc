# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own tools on the hypervisor: they speak the same interface and must say the same as ours."""

import re

from labtest import CMDLINE, GUEST_INITRD, HOME, LabTest, STOCK_KERNEL


class StockTools(LabTest):
    def test_xl_list(self):
        self.ok(f"umbra create -p {self.guest_file('stock', vcpus=2)}")
        ours = [line.split()[:4] for line in self.ok("umbra list").strip().split("\n")]
        self.assertEqual([line.split()[:4] for line in self.ok("xl list").strip().split("\n")], ours)

    def test_xl_info(self):
        keys = ("nr_cpus", "total_memory", "free_memory", "xen_major", "xen_minor", "xen_extra", "xen_caps",
                "xen_pagesize", "virt_caps")
        infos = [dict(re.findall(r"^(\w+) *: ?(.*)$", self.ok(f"{tool} info"), re.M)) for tool in ("xl", "umbra")]
        self.assertEqual(*[{key: info[key].strip() for key in keys} for info in infos])

    def test_xl_vcpu_list(self):
        self.create("stock", vcpus=2)
        self.assertEqual(len(self.ok("xl vcpu-list stock").strip().split("\n")), 3)

    def test_xl_dmesg(self):
        self.assertEqual(self.ok("xl dmesg")[-200:], self.ok("umbra dmesg")[-200:])

    def test_xl_pause_unpause_destroy(self):
        self.create("stock")
        self.ok("xl pause stock")
        self.assertEqual(self.guests()["stock"][3][2], "p")
        self.ok("xl unpause stock && xl destroy stock")
        self.wait_gone("stock")

    def test_xentop(self):
        self.assertIn("Domain-0", self.ok("xentop -b -i 1"))

    def test_lsevtchn(self):
        self.assertRegex(self.ok("lsevtchn 0"), "Virtual IRQ")

    def test_xl_create(self):
        """A guest of xl's from creation to its end, as seen by both tools."""
        config = (f'name = "xlguest"\ntype = "pv"\nmemory = 128\nvcpus = 2\nkernel = "{STOCK_KERNEL}"\n'
                  f'ramdisk = "{GUEST_INITRD}"\nextra = "{CMDLINE}"\n')
        self.machine.put(f"{HOME}/xlguest.cfg", config.encode())
        self.ok(f"xl create -q {HOME}/xlguest.cfg")
        self.wait_console("xlguest", "umbra-guest: up, 2 cpus")
        self.assertEqual(self.guests()["xlguest"][1:3], (128, 2))
        self.ok("xl destroy xlguest")
        self.wait_gone("xlguest")
