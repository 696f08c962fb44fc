# SPDX-License-Identifier: BSD-2-Clause
"""The supervisor: what configurations say is done when guests stop, whoever is killed meanwhile, and a guest that
reboots never leaves the list. Most guests here are the tiny ones that stop at once."""

import re
import time

from compiled import compiled
from labtest import HOME, LabTest, long_one
from tiny import tiny_kernel

POWEROFF, REBOOT, CRASH = "0", "1", "3"
LOG = "/var/log/umbra/supervisor.log"
PID = "$(xenstore-read /umbra/supervisor)"


class Supervisor(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())

    def tiny(self, name, reason, **keys):
        """A guest that stops at once for this reason, as soon as it is unpaused."""
        path = self.guest_file(name, memory=16, kernel=f"{HOME}/tiny.elf", ramdisk=None, cmdline=reason, **keys)
        self.ok(f"umbra create -q -p {path}")

    def log(self):
        return self.ok(f"cat {LOG}")

    def wait_log(self, pattern, timeout=180):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.log()):
            self.assertLess(time.monotonic(), deadline, f"{pattern!r} is not in the log:\n{self.log()[-1500:]}")
            time.sleep(0.2)

    def state_of(self, name):
        return {row["name"]: row["state"] for row in self.json("umbra --json list")}.get(name)

    def each_end_once(self, name, how):
        """Every domain ended once and was followed by one other, until the limit."""
        ended = re.findall(rf"{name}: domain (\d+) {how}", self.log())
        started = re.findall(rf"{name}: started again as domain (\d+)", self.log())
        self.assertEqual(ended[1:], started)
        self.assertEqual(len(set(ended)), len(ended))
        self.assertGreaterEqual(len(started), 4)

    def test_one_for_all(self):
        self.tiny("one", POWEROFF)
        self.tiny("two", POWEROFF)
        self.ok(f"kill -0 {PID}")
        self.fails("umbra supervise", 1, "process", "already")
        self.ok("umbra unpause one; umbra unpause two")
        self.wait_gone("one")
        self.wait_gone("two")
        self.wait_log(r"two: domain \d+ is removed")

    def test_actions(self):
        self.tiny("off-keep", POWEROFF, on_poweroff="preserve")
        self.tiny("crash-keep", CRASH, on_crash="preserve")
        self.tiny("reboot-end", REBOOT, on_reboot="destroy")
        self.tiny("crash-end", CRASH)
        for name in ("off-keep", "crash-keep", "reboot-end", "crash-end"):
            self.ok(f"umbra unpause {name}")
        self.wait_gone("reboot-end")
        self.wait_gone("crash-end")
        self.wait_log("crash-keep: domain [0-9]+ is preserved")
        self.assertEqual((self.state_of("off-keep"), self.state_of("crash-keep")), ("shutdown", "crashed"))
        self.ok("umbra destroy off-keep && umbra destroy crash-keep")
        self.assertEqual(self.guests(), {})
        path = self.guest_file("core", on_crash="coredump-destroy")
        self.fails(f"umbra create {path}", 2, "coredump-destroy", "not supported")

    def test_reboots_in_a_row_are_limited(self):
        """Until then, and only until then, the name is in the list; the memory comes back."""
        before = self.footprint()
        self.tiny("loop", REBOOT)
        self.start_looking("loop")
        self.ok("umbra unpause loop")
        self.wait_log("loop: it lived less than 10 seconds 5 times in a row: not restarted")
        self.each_end_once("loop", "rebooted")
        self.wait_gone("loop")
        looks, missed = self.stop_looking()
        self.assertGreaterEqual(looks, 5)
        self.assertEqual(missed, list(range(looks - len(missed), looks)), "it was gone, and came back")
        self.wait_footprint(before)

    def test_rename_restart(self):
        """Each life that ended stays, under a name of its own; the last is not restarted."""
        before = self.footprint()
        self.tiny("keep", CRASH, on_crash="rename-restart")
        self.ok("umbra unpause keep")
        self.wait_log("keep: it lived less than")
        self.wait_gone("keep")
        kept = self.guests()
        self.assertEqual(sorted(kept), sorted(re.findall(r"keep: domain \d+ is kept as (\S+)", self.log())))
        self.assertGreaterEqual(len(kept), 4)
        for name, row in kept.items():
            self.assertRegex(name, r"^keep-\d{8}T\d{6}Z$")
            self.assertIn("c", row[3])
            self.ok(f"umbra destroy {name}")
        self.wait_footprint(before)

    def test_killed_while_guests_stop(self):
        """What stopped while there was no supervisor is seen to by the next, once."""
        before = self.footprint()
        self.tiny("ends", POWEROFF)
        self.tiny("comes-back", CRASH, on_crash="restart")
        self.ok(f"kill -9 {PID}; umbra unpause ends; umbra unpause comes-back; sleep 1")
        self.assertEqual(sorted(self.guests()), ["comes-back", "ends"])
        self.tiny("other", POWEROFF)
        self.wait_gone("ends")
        self.wait_gone("comes-back")
        self.each_end_once("comes-back", "crashed")
        self.ok("umbra destroy other")
        self.wait_footprint(before)

    @long_one
    def test_killed_again_and_again(self):
        """At any moment of reboots: nothing is lost, nothing is left."""
        before = self.footprint()
        self.tiny("again", REBOOT)
        self.ok("umbra unpause again")
        self.ok(f"for i in 1 2 3 4 5 6; do sleep 0.3; kill -9 {PID}; umbra supervise >/dev/null 2>&1 & done; sleep 0.1")
        self.wait_log("again: it lived less than")
        self.wait_gone("again")
        self.wait_footprint(before)

    def test_ignored_signals_end_no_build(self):
        """SIGHUP, which the supervisor ignores, while its workers build: pending, it once was taken for the end."""
        before = self.footprint()
        self.run_in(f"kill -9 {PID}; rm -f /run/hushed")
        self.addCleanup(self.run_in, "touch /run/hushed")
        self.tiny("hup", REBOOT)
        self.ok("(while [ ! -e /run/hushed ]; do pkill -HUP umbra-worker; usleep 100000; done) >/dev/null 2>&1 & "
                "umbra unpause hup")
        self.wait_log("(?s)hup: started again.*hup: started again")
        self.ok("touch /run/hushed; umbra destroy hup")
        self.wait_footprint(before)

    def test_xenstored_gone(self):
        """A supervisor that hears nothing any more ends, and the next one starts."""
        self.machine.put(f"{HOME}/cut.so", compiled("cut.c", "-fPIC", "-shared"))
        self.ok(f"kill -9 {PID}; LD_PRELOAD={HOME}/cut.so umbra supervise >/dev/null 2>&1 & echo $! >/run/blind")
        pid = self.ok("cat /run/blind").strip()
        self.wait_log(f"supervisor: process {pid}\n")
        self.ok(f"kill -USR1 {pid}")
        self.wait_log("xenstored is gone")
        self.tiny("next", POWEROFF)
        self.ok("umbra unpause next")
        self.wait_gone("next")

    @long_one
    def test_linux_reboots_without_its_supervisor(self):
        """Killed before and during the reboot; the guest comes back, in the list all the time."""
        first = self.create("real")
        self.wait_console("real", "umbra-guest: up")
        self.start_looking("real")
        self.ok(f"kill -9 {PID}; umbra reboot real; sleep 0.5; kill -9 {PID}; umbra supervise >/dev/null 2>&1 &")
        self.wait_console("real", "(?s)umbra-guest: up.*umbra-guest: up")
        self.never_missed(5)
        self.assertNotEqual(int(self.ok("umbra domid real")), first)
        self.assertIn(self.state_of("real"), ("running", "blocked", "runnable"))

    def test_destroyed_while_it_reboots(self):
        before = self.footprint()
        self.tiny("gone", REBOOT)
        self.ok("umbra unpause gone; sleep 0.3; umbra destroy gone")
        self.assertEqual(self.guests(), {})
        self.wait_footprint(before)

    def test_builder_killed(self):
        """A half-built domain is removed by the supervisor, and its name is free at once for the next."""
        before = self.footprint()
        path = self.guest_file("half")
        for delay in ("0.1", "0.3", "0.6"):
            self.ok(f"umbra create -q -p {path} & sleep {delay}; kill -9 $! 2>/dev/null; wait; true")
            self.ok(f"umbra destroy half 2>/dev/null; umbra create -q -p {path} && umbra destroy half")
        self.wait_footprint(before)
