# SPDX-License-Identifier: BSD-2-Clause
"""What guests do by themselves: end in every way, and are ended at every moment."""

import re
import time

from labtest import CMDLINE, LabTest, long_one


class Ends(LabTest):
    def end_of(self, how, **keys):
        """Creates a guest that ends by itself and waits until it is gone and all came back."""
        before = self.footprint()
        self.create("ender", cmdline=f"{CMDLINE} umbra.test={how}", **keys)
        self.wait_console("ender", "umbra-guest: up")
        self.wait_gone("ender")
        self.wait_footprint(before)

    def test_power_off_from_inside(self):
        """On a command line as long as it may be, most of which no kernel knows."""
        self.end_of("poweroff " + "x" * 900)

    def test_panic(self):
        self.end_of("panic")
        self.assertIn("Kernel panic", self.console_log("ender"))

    @long_one
    def test_first_process_exits(self):
        self.end_of("exit")

    @long_one
    def test_reboot_with_destroy(self):
        self.end_of("reboot", on_reboot="destroy")

    def test_panic_with_preserve(self):
        self.create("ender", cmdline=CMDLINE + " umbra.test=panic", on_crash="preserve")
        deadline = time.monotonic() + 120
        while self.guests().get("ender", (0, 0, 0, ""))[3][3:5] not in ("-c", "sc"):
            self.assertLess(time.monotonic(), deadline, self.guests())
            time.sleep(0.5)
        row = self.row("ender")
        self.assertEqual((row["state"], row["shutdown_reason"]), ("crashed", "crash"))
        self.ok("umbra destroy ender")
        self.wait_gone("ender")

    @long_one
    def test_restart_after_reboot(self):
        first = self.create("ender", on_reboot="restart")
        self.wait_console("ender", "umbra-guest: tick 1")
        self.ok("umbra reboot ender")
        self.wait_console("ender", r"(?s)umbra-guest: up.*umbra-guest: up")
        self.assertNotEqual(int(self.ok("umbra domid ender")), first)


class Load(LabTest):
    @long_one
    def test_four_processors_on_two(self):
        self.create("wide", vcpus=4, memory=160)
        self.wait_console("wide", "umbra-guest: up, 4 cpus")
        self.wait_console("wide", "umbra-guest: tick 3")

    @long_one
    def test_three_guests_at_once(self):
        before = self.footprint()
        names = ("a", "b", "c")
        for name in names:
            self.create(name, vcpus=2)
        for name in names:
            self.wait_console(name, "umbra-guest: tick 3")
        for name in names:
            self.ok(f"umbra destroy {name}")
        self.wait_footprint(before)

    @long_one
    def test_guest_work(self):
        """Many processes and pages: the page-table paths of the hypervisor under an ordinary load."""
        self.create("busy", vcpus=2, cmdline=CMDLINE + " umbra.test=quiet")
        self.wait_console("busy", "guest# ")
        work = "i=0; while [ $i -lt 60 ]; do (ls /bin >/dev/null) & i=$((i + 1)); done; wait; " \
               "dd if=/dev/zero of=/tmp/x bs=1M count=24 2>/dev/null; md5sum /tmp/x; echo all-$((40 + 2))-done"
        self.type_in("busy", work, "all-42-done", 180)
        self.assertTrue(re.search("[0-9a-f]{32}", self.console_log("busy")))
