# SPDX-License-Identifier: BSD-2-Clause
"""A stock guest that is told to suspend does so, is seen as suspended, and goes on or is destroyed."""

import time

from labtest import LabTest


class Suspend(LabTest):
    def suspend(self, domid):
        self.ok(f"xenstore-write /local/domain/{domid}/control/shutdown suspend")
        deadline = time.monotonic() + 60
        while self.row("sleeper")["shutdown_reason"] != "suspend":
            self.assertLess(time.monotonic(), deadline, f"not suspended; its console:\n{self.console_log('sleeper')}")
            time.sleep(0.2)

    def ticks(self):
        return self.console_log("sleeper").count("umbra-guest: tick")

    def test_suspend_and_resume(self):
        domid = self.create("sleeper", vcpus=2)
        self.wait_console("sleeper", "umbra-guest: tick 2")
        self.suspend(domid)
        self.assertEqual(self.guests()["sleeper"][3][3], "s")
        used = self.row("sleeper")["cpu_time_ns"]
        self.put_program("/run/resume", "resume.c", "-lxenguest", "-lxenctrl")
        self.assertEqual(self.row("sleeper")["cpu_time_ns"], used, "it runs on")
        before = self.ticks()
        self.ok(f"/run/resume {domid}")
        self.wait_console("sleeper", f"umbra-guest: tick {before + 3}\n")
        self.assertEqual(self.guests()["sleeper"][3][3], "-")
        self.suspend(domid)
        self.ok("umbra destroy sleeper")
        self.wait_gone("sleeper")
