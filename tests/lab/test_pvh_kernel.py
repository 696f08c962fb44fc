# SPDX-License-Identifier: BSD-2-Clause
"""Debian's stock kernel as PVH guest, created, seen, ended, gone: on shadows, where it works at its page tables
meanwhile, and on nested paging."""

import time

import churn
from labtest import CMDLINE, LabTest, long_one

CONFIG = {"type": "pvh", "memory": 160}


class KernelTest(LabTest):
    def setUp(self):
        super().setUp()
        if "hvm" not in self.caps():
            self.skipTest("this machine has no hardware virtualisation")

    def caps(self):
        return self.json("umbra --json info")["virt_caps"].split()


class Kernel(KernelTest):
    def test_shadow(self):
        """On the least of shadow memory page tables come and go, and what the guest finds behind them is what it should
        be. Seen in the list, shut down as it is asked, and everything is back."""
        before = self.footprint()
        churn.create(self, "pvh", "rounds 0", **{**CONFIG, "memory": 128}, vcpus=1, hap=False, shadow_memory=1)
        churn.wait_sum(self, "pvh", 3, 300)
        row = self.row("pvh")
        self.assertEqual((row["type"], row["paging"], row["shadow_memory_kib"]), ("pvh", "shadow", 1024))
        self.assertGreater(row["shadow_memory_used_kib"], 0)
        self.assertGreater(churn.figures(self, "pvh")["events"]["reclaimed"], 100, "the pool was large enough")
        churn.check(self, "pvh")
        churn.audit(self, "pvh")
        self.assertRegex(self.ok("/usr/lib/xen-4.17/bin/xenctx $(umbra domid pvh) 0"), "rip: [0-9a-f]{16}")
        self.ok("umbra shutdown -w pvh", 180)
        self.wait_gone("pvh")
        self.wait_footprint(before)

    @long_one
    def test_interrupts_come_once(self):
        """Whenever the emulator's loop is left, as it is here again and again, no interrupt comes a second time
        (docs/debugging.md): a kernel that has just entered by SYSCALL does not survive one."""
        self.create("pvh", **CONFIG, vcpus=1, hap=False, cmdline=f"{CMDLINE} umbra.test=count")
        self.wait_console("pvh", "(?s)guest# .*umbra-guest: count 20 ", 240)
        self.type_in("pvh", "dd if=/dev/zero of=/dev/null bs=1 & echo all syscal''ls", "all syscalls")
        for _ in range(3000):
            self.machine.stand_still()
            self.machine.go_on()
            time.sleep(0.003)
        done = self.console_log("pvh").count("umbra-guest: count ")
        self.wait_console("pvh", f"umbra-guest: count {done + 5} ", 60)
        self.ok("umbra destroy pvh")

    @long_one
    def test_four_processors(self):
        """All come up, and do so again after a reboot. Their shadows are thrown away every ten milliseconds meanwhile,
        and what the guest finds is what it should be. A destroyed guest leaves nothing."""
        before = self.footprint()
        first = churn.create(self, "pvh", "rounds 0", **CONFIG, vcpus=4, hap=False, on_reboot="restart")
        self.wait_console("pvh", "umbra-guest: up, 4 cpus", 240)
        self.assertEqual(self.row("pvh")["shadow_memory_kib"], 6144)  # 4 MiB, 8 KiB for each MiB, rounded up
        churn.blow(self, first, 800)
        churn.wait_sum(self, "pvh", 3)
        churn.check(self, "pvh")
        churn.audit(self, "pvh")
        self.ok("umbra reboot pvh")
        self.wait_console("pvh", r"(?s)umbra-guest: up, 4 cpus.*umbra-guest: up, 4 cpus", 300)
        self.assertNotEqual(int(self.ok("umbra domid pvh")), first)
        self.ok("umbra destroy pvh")
        self.wait_footprint(before)


class OnNestedPaging(KernelTest):
    """With one processor: with more, emulators lose such guests now and then (docs/debugging.md). The short run has one
    in test_hvm_guests."""

    machine_options = {"smp": 1}

    @long_one
    def test_nested(self):
        if "hap" not in self.caps():
            self.skipTest("this machine has no nested paging")
        before = self.footprint()
        self.create("pvh", **CONFIG, vcpus=2, hap=True)
        self.wait_console("pvh", "umbra-guest: up, 2 cpus", 240)
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
