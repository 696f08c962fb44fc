# SPDX-License-Identifier: BSD-2-Clause
"""A guest that counts and writes memory while it is moved between two hosts. One move is a test of make check
(test_two_hosts.py), more of them are for those who ask (test_migrate_hosts.py) and for the nightly matrix. A host is a
LabTest whose machine is one of a pair."""

import json
import re
import time

import hosts
import labtest
import streams

COUNT = re.compile(r"umbra-guest: count (\d+) at ([\d.]+) s")
LOGS = "/var/log/xen/console"
# What it writes to all the time takes about a second to send.
LIVE = ("--max-downtime", "3s", "--timeout", "60s", "--on-timeout", "force")
SLACK = 1.0  # seconds of the guest's clock beyond those that it fell asleep and was down, as reported


def name_of(host):
    return host.machine.host.name


class Traveller:
    """What it says is followed from host to host: nothing of it may be missing. The hosts have taps (streams.py)."""

    def __init__(self, host, name, **keys):
        self.name, self.host, self.said = name, host, ""
        self.host.ok(f"rm -f {LOGS}/guest-{name}*.log")
        host.create(name, cmdline=f"{labtest.CMDLINE} umbra.test=count", **keys)

    def log(self):
        """On all hosts, up to now. The daemon names a log after what the guest was called when it arrived."""
        here = self.host.run_in(f"cat {LOGS}/guest-{self.name}*.log 2>/dev/null").out
        return self.said + here.replace("\r", "")

    def counts(self):
        """[(number, seconds of its clock)]; no number is missing."""
        log = self.log()
        found = [(int(number), float(seconds)) for number, seconds in COUNT.findall(log)]
        numbers = [number for number, _ in found]
        self.host.assertEqual(numbers, list(range(1, len(found) + 1)), log[-1500:])
        self.host.assertNotIn("memory is not what was written", log)
        return found

    def wait_more(self, more=10, timeout=120):
        """Until it has counted on."""
        before = len(self.counts())
        deadline = time.monotonic() + timeout * self.host.machine.patience
        while len(self.counts()) < before + more:
            if time.monotonic() > deadline:
                self.host.fail(f"{self.name} does not count on; its console ends:\n{self.log()[-1500:]}\n"
                               + self.host.where(self.name))
            time.sleep(0.5)

    def move(self, target, *options, timeout=300):
        """To another host; returns the sums that the tool gives at the end, and the longest time between two counts
        meanwhile."""
        target.ok(f"rm -f {LOGS}/guest-{self.name}*.log")
        before, started = self.counts()[-1], time.monotonic()
        command = " ".join(["umbra --json migrate", *LIVE, *options, self.name, name_of(target)])
        source = self.host
        streams.judge(source, cut=True)  # what went wrong before
        sums = json.loads(source.ok(command, timeout).strip().split("\n")[-1])
        self.host.assertNotIn(self.name, self.host.guests())
        self.said, self.host = self.log(), target
        self.wait_more()
        self.host.assertIn(self.name, self.host.guests())
        after, passed = self.counts()[-1], time.monotonic() - started
        self.check_clock(after[1] - before[1], passed)
        source.assertEqual(len(streams.judge(source)), sums["streams"])
        return sums, self.longest_gap(before[0])

    def check_clock(self, seconds, passed):
        """Its clock has gone on, and no faster than ours: the last count may have been a while ago when we looked."""
        self.host.assertGreater(seconds, passed - 5)
        self.host.assertLess(seconds, passed + 5)

    def longest_gap(self, since):
        clock = [seconds for _, seconds in self.counts()[since - 1:]]
        return max(after - before for before, after in zip(clock, clock[1:]))

    def move_and_check(self, target, *options):
        """The guest saw no longer gap than is reported: it falls asleep, then it is down. Returns the tool's sums."""
        hosts.set_clock(self.host.machine, name_of(target))
        self.host.assertLess(abs(hosts.clock_ahead(self.host.machine, name_of(target))), 0.25)
        sums, gap = self.move(target, *options)
        print(f"      {self.name} to {name_of(target)}: {sums['total_ms'] / 1000:.1f} s, rounds {sums['rounds']}, "
              f"{sums['bytes'] >> 20} MiB, {sums['suspend_ms']} ms to fall asleep, down for {sums['downtime_ms']} ms; "
              f"its clock shows a gap of {gap:.2f} s", flush=True)
        self.host.assertLess(gap, (sums["suspend_ms"] + sums["downtime_ms"]) / 1000 + SLACK)
        return sums


def xl_text(**keys):
    """A configuration as xl.cfg(5) has it."""
    return "".join(f'{key} = "{value}"\n' if isinstance(value, str) else f"{key} = {value}\n"
                   for key, value in keys.items())


class XlTraveller(Traveller):
    """Made by stock xl, and moved by whatever the caller likes."""

    def __init__(self, host, name, **keys):  # pylint: disable=super-init-not-called
        self.name, self.host, self.said = name, host, ""
        host.ok(f"rm -f {LOGS}/guest-{name}*.log")
        text = xl_text(name=name, kernel=labtest.STOCK_KERNEL, ramdisk=labtest.GUEST_INITRD,
                       extra=f"{labtest.CMDLINE} umbra.test=count", **keys)
        host.machine.put(f"{labtest.HOME}/{name}.cfg", text.encode())
        host.ok(f"xl create -q {labtest.HOME}/{name}.cfg")

    def arrives(self, target):
        """It has left, and is there from now on: it counts on."""
        self.host.assertNotIn(self.name, self.host.ok("xl list"))
        self.said, self.host = self.log(), target
        self.wait_more()


RECEIVERS = "ps -o pid,args | awk '/[u]mbra migrate-receive/ {print $1}'"


def what_is_there(host):
    """What a migration takes on a host, and gives back when it fails."""
    info = host.json("umbra --json info")
    free = info["free_memory_kib"] + info["scrub_memory_kib"] - info["outstanding_claims_kib"]
    nodes = host.ok("xenstore-ls -f | cut -d= -f1 | sort | grep -v '^/tool/xenstored'")
    return {"free": free, "guests": sorted(host.guests()), "channels": host.ok("lsevtchn 0").count("\n"),
            "nodes": nodes, "receivers": host.ok(RECEIVERS)}


def settled(host):
    """What is there when nothing is being removed any more."""
    now, before = what_is_there(host), None
    while now != before:
        time.sleep(1)
        now, before = what_is_there(host), now
    return now


def wait_back(host, before, timeout=60):
    """Until a host has what it had."""
    deadline = time.monotonic() + timeout * host.machine.patience
    while what_is_there(host) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    host.assertEqual(what_is_there(host), before, name_of(host))
