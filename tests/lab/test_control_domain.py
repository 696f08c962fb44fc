# SPDX-License-Identifier: BSD-2-Clause
"""The control domain after its boot: who it is, its processors, interrupts, clock and daemons."""

import time

from labtest import LabTest


class ControlDomain(LabTest):
    """The machine that the other tests share."""

    def test_is_control_domain(self):
        self.assertIn("control_d", self.ok("cat /proc/xen/capabilities"))

    def test_sees_all_processors(self):
        self.assertEqual(self.ok("nproc").strip(), "2")

    def test_kernel_is_the_packaged_one(self):
        self.assertRegex(self.ok("uname -v"), r"Debian 6\.1\.")

    def test_daemons_run(self):
        self.ok("pidof xenstored xenconsoled")
        self.assertEqual(self.ok("xenstore-read /local/domain/0/name").strip(), "Domain-0")

    def test_no_step_of_init_failed(self):
        self.assertNotIn("UMBRA-LAB: FAILED", self.machine.serial_log())

    def test_both_processors_take_interrupts(self):
        before = self.interrupts()
        self.ok("for cpu in 0 1; do taskset -c $cpu sh -c 'for i in 1 2 3 4 5; do sleep 0.05; done'; done")
        for cpu, (old, new) in enumerate(zip(before, self.interrupts())):
            self.assertGreater(new, old, f"cpu {cpu}")

    def test_counter_is_refused_to_whom_the_kernel_says(self):
        self.put_program("/run/tsc", "tsc_denied.c")
        self.assertEqual(self.ok("/run/tsc").strip(), "read refused refused read")

    def interrupts(self):
        lines = self.ok("cat /proc/interrupts").split("\n")
        processors = len(lines[0].split())
        rows = [line.split()[1:processors + 1] for line in lines[1:] if ":" in line]
        rows = [row for row in rows if len(row) == processors and all(word.isdigit() for word in row)]
        return [sum(int(row[cpu]) for row in rows) for cpu in range(processors)]

    def test_clock_keeps_time(self):
        """The control domain's clock against the host's, whatever time the commands themselves take."""
        sent, before = time.monotonic(), self.uptime()
        answered = time.monotonic()
        time.sleep(5)
        asked, passed = time.monotonic(), self.uptime() - before
        self.assertGreater(passed, (asked - answered) * 0.95 - 0.2)
        self.assertLess(passed, (time.monotonic() - sent) * 1.05 + 0.2)

    def uptime(self):
        return float(self.ok("cut -d' ' -f1 /proc/uptime"))

    def test_dmesg_has_the_boot(self):
        log = self.ok("umbra dmesg")
        self.assertIn("(XEN)", log)
        self.assertIn(log.split("\n")[3].strip(), self.machine.serial_log())
