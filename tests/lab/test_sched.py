# SPDX-License-Identifier: BSD-2-Clause
"""Shares of CPU time between guests that are always busy, by the hypervisor's counters. Both stand on host CPU 1, so
that they compete for the same time however little of it the emulator gets; the second one has two virtual CPUs."""

import json

from labtest import CMDLINE, LabTest

WINDOW = 6  # seconds


class Shares(LabTest):
    kept = ("one", "two")

    def setUp(self):
        super().setUp()
        if "two" not in self.guests():
            for name, vcpus in (("one", 1), ("two", 2)):
                self.create(name, vcpus=vcpus, cpus="1", memory=96, cmdline=CMDLINE + " umbra.test=burn")
                self.wait_console(name, "umbra-guest: up")
        self.share("one", 256, 0)
        self.share("two", 256, 0)

    def share(self, name, weight, cap):
        self.ok(f"umbra sched-credit2 -d {name} -w {weight} -c {cap}")

    def measure(self):
        """CPU seconds of each guest within a window, and seconds gone by from before it to after it: on a busy host the
        tool that looks may take a good part of a second."""
        now, look = "cut -d' ' -f1 /proc/uptime", "umbra --json list"
        start, before, after, end = self.ok(f"sleep 1; {now}; echo @; {look}; echo @; sleep {WINDOW}; {look}; "
                                            f"echo @; {now}").split("@\n")
        used = [{row["name"]: row["cpu_time_ns"] / 1e9 for row in json.loads(text)} for text in (before, after)]
        return {name: used[1][name] - used[0][name] for name in self.kept}, float(end) - float(start)

    def places(self, name):
        return {row["cpu"] for row in self.json(f"umbra --json vcpu-list {name}")}

    def test_equal_weights(self):
        used, _ = self.measure()
        self.assertAlmostEqual(used["one"] / used["two"], 1, delta=0.05, msg=used)
        self.assertEqual(self.places("one") | self.places("two"), {1})

    def test_twice_the_weight(self):
        self.share("two", 512, 0)
        used, _ = self.measure()
        self.assertAlmostEqual(used["two"] / used["one"], 2, delta=0.2, msg=used)

    def test_cap(self):
        """At most half a CPU, and not much less: the other may have the rest."""
        self.share("two", 4096, 50)
        used, seconds = self.measure()
        self.assertLessEqual(used["two"] / seconds, 0.52, (used, seconds))
        self.assertGreaterEqual(used["two"] / seconds, 0.25, (used, seconds))
        self.assertGreater(used["one"], used["two"] / 2, (used, seconds))

    def test_pinning(self):
        for hard, there in (("0", {0}), ("1", {1})):
            self.ok(f"umbra vcpu-pin two all {hard}")
            self.ok("sleep 1")
            self.assertEqual(self.places("two"), there)
        self.fails("umbra vcpu-pin two all 7", 2, "no cpu 7")
        self.assertEqual({row["hard_affinity"] for row in self.json("umbra --json vcpu-list two")}, {"1"})
