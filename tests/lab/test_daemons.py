# SPDX-License-Identifier: BSD-2-Clause
"""The console daemon, the supervisor and xenstored are killed while guests run: guests go on, whoever asks is told, and
what can be had again is there when they are started again."""

import random
import re
import time

from labtest import HOME, LONG, LabTest, long_one
from soak import KILL_CONSOLE, KILL_SUPERVISOR, first_seed
from tiny import SLEEP, tiny_kernel

TICK = r"umbra-guest: tick (\d+)\n"
# As the first process of the control domain does; the console daemon is started again by that.
START_XENSTORED = "xenstored --pid-file /run/xenstored.pid && xen-init-dom0 >/dev/null; killall xenconsoled; true"
GONE = "xenstored does not answer"


class Daemons(LabTest):
    def ticks(self, name):
        return [int(number) for number in re.findall(TICK, self.console_log(name))]

    def told(self, command="umbra list"):
        result = self.run_in(command)
        self.assertEqual(result.status, 0, result.err)
        return result.err


class Killed(Daemons):
    def test_console_daemon(self):
        """It is started again, and takes up the guest where the last one left it: no line is missing."""
        self.create("teller")
        self.wait_console("teller", "umbra-guest: tick 2\n")
        self.ok(KILL_CONSOLE)
        last = self.ticks("teller")[-1]
        self.wait_console("teller", f"umbra-guest: tick {last + 3}\n")
        ticks = self.ticks("teller")
        self.assertEqual(ticks, list(range(1, len(ticks) + 1)))
        self.assertIn("42-seen", self.type_in("teller", "echo $((6 * 7))-seen", "42-seen"))
        self.assertEqual(self.told(), "")
        self.assertRegex(self.ok("umbra info"), r"(?m)^console_daemon +: \d+$")

    def test_supervisor(self):
        """Whoever lists the guests is told until the next one is there."""
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
        keys = {"memory": 16, "kernel": f"{HOME}/tiny.elf", "ramdisk": None}
        self.ok(f"umbra create -q {self.guest_file('one', **keys)}")
        self.ok(f"{KILL_SUPERVISOR}; sleep 0.5")
        self.assertIn("no supervisor runs", self.told())
        self.assertRegex(self.ok("umbra info"), r"(?m)^supervisor +: none$")
        self.ok(f"umbra create -q {self.guest_file('two', **keys)}")
        self.assertEqual(self.told(), "")


    def test_console_log(self):
        """It grows no further, and no line of what comes then is missing."""
        log = "/var/log/xen/console/guest-filler.log"
        moved = f"for i in $(seq 100); do [ -s {log}.1 ] && [ -s {log} ] && exit; sleep 0.2; done; ls -l {log}*; exit 1"
        self.create("filler")
        self.wait_console("filler", "umbra-guest: tick 2\n")
        self.ok("(tr '\\0' x </dev/zero | head -c 4200000; echo) >/run/much")
        self.ok(f"dd if=/run/much bs=4200001 count=1 >>{log}; rm /run/much")  # at once: not within a line
        self.ok(moved)
        self.assertLess(int(self.ok(f"stat -c %s {log}")), 100000)
        self.assertGreater(int(self.ok(f"stat -c %s {log}.1")), 4 << 20)
        last = int(re.findall(TICK, self.ok(f"grep -v xx {log}.1").replace("\r", ""))[-1])
        self.wait_console("filler", f"umbra-guest: tick {last + 3}\n")
        self.assertEqual(self.ticks("filler")[:3], [last + 1, last + 2, last + 3])
        self.ok(f"rm {log}.1")


class Xenstored(Daemons):
    """On a machine of its own: one whose kernel has lost its watches is of little use to others."""

    machine_options = {"append": ("loglvl=all",)} if LONG else {}

    def cpu_time(self, domid):
        return next(row["cpu_time_ns"] for row in self.json("umbra --json list") if row["domid"] == domid)

    def tiny(self, name, cmdline, **keys):
        path = self.guest_file(name, memory=16, kernel=f"{HOME}/tiny.elf", ramdisk=None, cmdline=cmdline, **keys)
        self.ok(f"umbra create -q -p {path}")
        return int(self.ok(f"umbra domid {name}"))

    def refused(self, domid):
        """At once, and with the daemon's name."""
        for verb in ("shutdown", "reboot", "console", "rename x", "pause", "destroy", "domid", "vcpu-set 1",
                     "save /run/x", "block-list", "mem-set 64"):
            words = verb.split()
            with self.subTest(verb=verb):
                self.fails(f"timeout 20 umbra {words[0]} teller {' '.join(words[1:])}", 1, "xenstored")
        for verb in ("shutdown", "reboot", "console", "destroy", "block-list"):
            with self.subTest(verb=verb, by="number"):
                self.fails(f"timeout 20 umbra {verb} {domid}", 1, "xenstored")
        self.fails(f"timeout 20 umbra create {HOME}/ends.json", 1, "xenstored")

    @long_one
    def test_killed(self):
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())
        domid = self.create("teller")
        self.wait_console("teller", "umbra-guest: tick 2\n")
        self.tiny("again", "1", on_reboot="restart")
        ends = self.tiny("ends", "0")
        self.ok("(timeout 60 umbra events; echo ended with $?) >/run/events 2>&1 & sleep 2")
        self.ok("sleep 1; kill -9 $(cat /run/xenstored.pid) && sleep 3")
        self.assertRegex(self.ok("cat /run/events"), r"(?s)umbra: events: .*xenstored.*\nended with 1\n")
        self.assertEqual(self.ok("ps -o stat,comm | grep -w xenstored | grep -v ^Z; true"), "", "it does not end")
        self.assertIn(GONE, self.told("timeout 20 umbra list"))
        self.assertRegex(self.ok("umbra info"), r"(?m)^xenstored +: not answering$")
        self.refused(domid)
        before = self.cpu_time(domid)
        self.ok(f"umbra pause {domid} && umbra unpause {domid} && sleep 2")
        self.assertGreater(self.cpu_time(domid), before, "it does not run any more")
        self.ok(f"umbra unpause {ends}")
        self.comes_back(domid)

    def comes_back(self, domid):
        self.ok(f"{START_XENSTORED}; sleep 3")
        self.assertIn("has forgotten all guests", self.told())
        self.tiny("new", "0")
        self.wait_gone("ends")  # it stopped while nobody could know
        self.assertEqual({name: row[0] for name, row in self.guests().items() if name == "teller"}, {"teller": domid})
        self.assertIn("take no request", self.told())
        self.assertEqual({row["name"]: row["deaf"] for row in self.json("umbra --json list") if row["domid"]},
                         {"teller": True, "again": True, "new": False})
        self.fails("timeout 20 umbra shutdown teller", 1, "takes no request any more", "from inside")
        self.ok("umbra unpause again")
        deadline = time.monotonic() + 120
        while "again: it lived less than 10 seconds 5 times" not in self.ok("cat /var/log/umbra/supervisor.log"):
            self.assertLess(time.monotonic(), deadline, "it was not restarted as its configuration says")
            time.sleep(0.5)
        self.assertIn("42-seen", self.type_in("teller", "echo $((6 * 7))-seen", "42-seen"))
        self.machine.put("/run/typed", b"/sbin/poweroff\n")  # the shell has one of its own, for an init
        self.ok("(sleep 1; cat /run/typed; sleep 3; printf '\\035') | umbra console teller")
        self.wait_gone("teller")
        self.ok("umbra unpause new")
        self.wait_gone("new")


SAVED = "/run/mover.save"
# Verbs, and for about how many seconds each is at work.
AT_WORK = {f"create -q {HOME}/tiny.json": 0.8, "destroy mover": 0.5, "rename mover moved": 0.3,
           "migrate -T 'exec umbra migrate-receive' mover localhost": 8, f"save mover {SAVED}": 4,
           "shutdown -w mover": 4, "reboot -w mover": 5, "mem-set mover 80": 0.3, "vcpu-set mover 1": 0.3,
           "console mover": 1, f"restore {SAVED}": 3}
# One, and after a moment of it xenstored's end; then what comes of it: its words, and how it ended.
AMID = """
rm -f /run/status; (sleep 8; printf '\\035') | (timeout 120 umbra {verb} >/run/said 2>&1; echo $? >/run/status) &
usleep {delay}; kill -9 $(cat /run/xenstored.pid)
for i in $(seq 1250); do [ -e /run/status ] && break; usleep 100000; done
cat /run/said; echo ended with $(cat /run/status)
"""


class XenstoredAnyTime(Daemons):
    """On one more machine: xenstored is killed while a verb is at work, and comes back; then with the next verb.
    UMBRA_SEED repeats the order and the delays."""

    machine_options = {"append": ("loglvl=all", "guest_loglvl=all")} if LONG else {}

    def taken(self):
        """By guests, of what outlives xenstored."""
        info = self.json("umbra --json info")
        return {"free": info["free_memory_kib"] + info["scrub_memory_kib"] - info["outstanding_claims_kib"],
                "channels": self.ok("lsevtchn 0").count("\n"), "domains": self.domains(),
                "files": self.ok(f"ls /run/umbra/records; ls {SAVED}* 2>/dev/null; true")}

    def domains(self):
        return {row["domid"]: row["state"] for row in self.json("umbra --json list") if row["domid"]}

    def amid(self, verb, seconds):
        """How it ended."""
        if verb.startswith("restore"):
            self.ok(f"umbra save mover {SAVED}", 240)
        text = self.ok(AMID.format(verb=verb, delay=int(seconds * 1e6)), 240)
        said, status = re.fullmatch(r"(?s)(.*)ended with (\d+)\n", text).groups()
        print(f"      {verb}, killed after {seconds:.2f} s: {status}: {said.strip()[-300:]}", flush=True)
        self.assertIn(status, "01", said)
        if status == "1":
            self.assertIn("xenstored does not answer", said)
            self.assertEqual(self.ok(f"ls {SAVED}* 2>/dev/null; true"), SAVED + "\n" if "restore" in verb else "")

    def go_on(self, steady):
        """Guests, each once at most."""
        last = self.ticks("steady")[-1]
        self.wait_console("steady", f"umbra-guest: tick {last + 3}\n")
        self.assertIn(GONE, self.told("timeout 20 umbra list"))
        states = self.domains()
        self.assertIn(states.pop(steady), ("running", "blocked"))
        self.assertLessEqual(sum(state in ("running", "blocked") for state in states.values()), 1, states)

    def comes_back(self, steady):
        """Whoever lives is known again by its name; all can be taken away."""
        self.ok(f"{START_XENSTORED}; sleep 3")
        self.assertIn("has forgotten all guests", self.told())
        self.ok(f"umbra create -q -p {HOME}/after.json")
        self.assertIn("take no request", self.told())
        self.assertEqual(self.guests()["steady"][0], steady)
        self.assertEqual(sorted(row[0] for row in self.guests().values()), sorted(self.domains()))
        self.destroy_all()
        self.ok(f"rm -f {SAVED}")

    def round(self, verb, seconds):
        steady = self.create("steady", memory=96)
        self.create("mover", memory=96)
        for name in ("steady", "mover"):
            self.wait_console(name, "umbra-guest: tick 2\n")
        self.amid(verb, seconds)
        self.go_on(steady)
        self.comes_back(steady)

    @long_one
    def test_killed(self):
        seed = first_seed()
        print(f"      UMBRA_SEED={seed}", flush=True)
        chosen, before = random.Random(seed), None
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
        for name in ("tiny", "after"):
            self.guest_file(name, memory=16, kernel=f"{HOME}/tiny.elf", ramdisk=None)
        for verb, longest in chosen.sample(sorted(AT_WORK.items()), len(AT_WORK)) * 2:
            self.round(verb, chosen.uniform(0, longest))
            before = before or self.taken()
            deadline = time.monotonic() + 60
            while self.taken() != before and time.monotonic() < deadline:
                time.sleep(0.5)
            self.assertEqual(self.taken(), before, verb)
