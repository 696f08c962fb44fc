# SPDX-License-Identifier: BSD-2-Clause
"""A stock guest, PV or PVH, is saved and comes back: its counter goes on where it was, its memory is the same, its
console, xenstore and shutdown work. Debian's verify-stream-v2 judges the file. Saves and restores that fail leave the
guest running, or nothing."""

import re
import time

import streams
from labtest import HOME, LabTest, long_one
from tiny import SLEEP, tiny_kernel

FILE = "/run/keeper.save"
TICK = r"umbra-guest: tick (\d+)\n"


class Saving(LabTest):
    """What the tests of both types of guests share."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.run_in, f"rm -f {FILE}")

    def ticks(self):
        return [int(n) for n in re.findall(TICK, self.console_log("keeper"))]

    def last_tick(self):
        return self.ticks()[-1]

    def ask(self, line, pattern):
        """Types a line at the guest's shell; what its answer has in the pattern's places."""
        self.type_in("keeper", line, pattern.replace(r"(\S+)", "[0-9a-z.][0-9a-z.]*"))
        return re.findall(pattern, self.console_log("keeper"))[-1]

    def seen_ticks(self):
        """How many it has counted, on both sides of the save: without a gap, and none twice."""
        seen = self.ticks()
        self.assertEqual(seen, list(range(1, len(seen) + 1)), "its counter has a gap or went back")
        return len(seen)

    def look(self, word, before=""):
        """What a file in the guest's memory is, how long the guest has been up, how many processors it has."""
        line = f"{before}read up rest </proc/uptime; echo {word}=$(md5sum </m) up=$up cpus=$(nproc)"
        return self.ask(line, rf"{word}=(\S+) - up=(\S+) cpus=(\S+)")

    def fill(self):
        return self.look("sum", "head -c 6000000 /dev/urandom >/m; ")

    def check(self, filled):
        """After fill(): nothing has changed but the time."""
        now = self.look("again")
        self.assertEqual((now[0], now[2]), (filled[0], filled[2]))
        self.assertGreater(float(now[1]), float(filled[1]))
        self.assertLess(float(now[1]), float(filled[1]) + 600)

    def what_is_there(self):
        nodes = self.ok("xenstore-ls -f | cut -d= -f1 | sort | grep -v '^/tool/xenstored'")
        info = self.json("umbra --json info")
        free = info["free_memory_kib"] + info["scrub_memory_kib"] - info["outstanding_claims_kib"]
        return {"nodes": nodes, "free": free, "guests": sorted(self.guests()), "channels": self.ok("lsevtchn 0")}

    def leaves_nothing(self, command, *words):
        """A command that fails, and what is there when it has."""
        before = self.what_is_there()
        self.fails(command, 1, *words, timeout=240)
        deadline = time.monotonic() + 30
        while self.what_is_there() != before and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(self.what_is_there(), before, command)


class Save(Saving):
    def test_there_and_back(self):
        number = self.create("keeper", vcpus=3, memory=96)
        self.wait_console("keeper", "umbra-guest: tick 2\n")
        self.ok("umbra vcpu-set keeper 2 && umbra sched-credit2 -d keeper -w 512 -c 180")
        self.wait_online("keeper", 2)
        filled = self.fill()
        self.assertEqual(filled[2], "2")
        self.ok("umbra mem-set keeper 92")
        self.assertRegex(self.ok(f"umbra save -D keeper {FILE}", 240), "keeper: saved to .*, (9|10). MiB")
        self.assertNotIn("keeper", self.guests())
        self.assertEqual(self.ok("ls /run/*.partial 2>/dev/null; true"), "")
        ticks = self.last_tick()
        self.broken_files()
        listing = streams.judge_file(self, FILE)
        for word in ("vcpu1 basic context", "64bit guest, 4 levels of pagetables"):
            self.assertIn(word, listing)
        self.assertRegex(self.ok(f"umbra restore {FILE}", 240), "keeper: restored as domain")
        self.wait_console("keeper", f"umbra-guest: tick {ticks + 3}\n")
        self.seen_ticks()
        self.assertEqual((self.guests()["keeper"][0], self.guests()["keeper"][2]), (number, 2))
        self.assertRegex(self.ok("umbra sched-credit2 -d keeper"), r"keeper +\d+ +512 +180\n")
        self.assertEqual(self.ok(f"xenstore-read /local/domain/{number}/memory/target").strip(), str(92 << 10))
        self.assertEqual(self.ok(f"xenstore-read /local/domain/{number}/cpu/2/availability").strip(), "offline")
        self.check(filled)
        self.fails(f"umbra restore {FILE}", 1, "exists")
        self.checkpoint()
        self.ok("umbra shutdown -w keeper")
        self.wait_gone("keeper")

    def checkpoint(self):
        """Saved, and goes on; a disk that is too small; then paused, from which it can be let go."""
        ticks = self.last_tick()
        self.ok("mkdir -p /run/small && mount -t tmpfs -o size=2m small /run/small")
        self.addCleanup(self.run_in, "umount /run/small")
        self.fails("umbra save keeper /run/small/file", 1, "no space left", "make room", timeout=240)
        self.assertEqual(self.ok("ls /run/small"), "")
        self.wait_console("keeper", f"umbra-guest: tick {ticks + 2}\n")
        self.ok(f"rm {FILE} && umbra save -c keeper {FILE}", 240)  # both do not fit
        streams.judge_file(self, FILE)
        ticks = self.last_tick()
        self.wait_console("keeper", f"umbra-guest: tick {ticks + 2}\n")

    def broken_files(self):
        """The guest is not there, only its file."""
        self.machine.put("/run/text", b"no saved guest\n" * 20)
        self.leaves_nothing("umbra restore /run/text", "no saved domain")
        self.leaves_nothing("umbra restore /run/absent", "no such file")
        self.ok(f"head -c 60000000 {FILE} >/run/cut")
        self.leaves_nothing("umbra restore /run/cut", "page_data", "it ends after")
        self.ok("rm /run/cut")

    def test_does_not_suspend(self):
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
        path = self.guest_file("sleeper", memory=16, kernel=f"{HOME}/tiny.elf", ramdisk=None)
        domid = int(self.ok(f"umbra create -q {path} && umbra domid sleeper"))
        self.fails("umbra save sleeper /run/sleeper.save", 1, "suspend")
        self.ok(f"xenstore-write /local/domain/{domid}/control/feature-suspend 1")
        self.fails("umbra save -t 2 sleeper /run/sleeper.save", 1, "did not take the request", "withdrawn")
        self.assertEqual(self.ok("ls /run/sleeper* 2>/dev/null; true"), "")
        self.assertEqual(self.guests()["sleeper"][3][3], "-")
        self.ok("umbra pause sleeper")
        self.fails("umbra save sleeper /run/sleeper.save", 1, "unpause it first")


class SavePvh(Saving):
    """On shadows and on nested paging."""

    def start(self, **keys):
        caps = self.json("umbra --json info")["virt_caps"].split()
        if "hvm" not in caps or (keys["hap"] and "hap" not in caps):
            self.skipTest("this machine has no such hardware virtualisation")
        self.create("keeper", type="pvh", memory=96, **keys)
        self.wait_console("keeper", "umbra-guest: tick 2\n", 240)
        return self.fill()

    def test_shadow(self):
        """Saved, it goes on; once it is gone, it is brought back as it was then. At the end it shuts down as it is
        asked."""
        before = self.footprint()
        filled = self.start(vcpus=2, hap=False)
        saved_after = self.last_tick()
        self.ok(f"umbra save -c keeper {FILE}", 240)
        self.assertIn("x86 HVM", streams.judge_file(self, FILE))
        ticks = self.last_tick()
        self.wait_console("keeper", f"umbra-guest: tick {ticks + 2}\n")
        self.ok("umbra destroy keeper")
        ticks = self.seen_ticks()
        self.assertRegex(self.ok(f"umbra restore {FILE} && rm {FILE}", 240), "keeper: restored as domain")
        self.check(filled)
        seen = self.ticks()
        self.assertEqual(seen[ticks:], list(range(seen[ticks], seen[-1] + 1)), "its counter has a gap")
        self.assertTrue(saved_after < seen[ticks] <= ticks, (saved_after, seen[ticks], ticks))
        self.assertEqual(self.json("umbra --json shadow audit keeper")["broken"], 0)
        self.ok("umbra shutdown -w keeper", 180)
        self.wait_gone("keeper")
        self.wait_footprint(before)

    @long_one
    def test_nested(self):
        """Restored paused; it waits for the word to go on."""
        filled = self.start(vcpus=4, hap=True)
        self.assertRegex(self.ok(f"umbra save keeper {FILE}", 240), "keeper: saved to .*, 9. MiB")
        self.assertNotIn("keeper", self.guests())
        ticks = self.last_tick()
        self.assertIn("HVM context", streams.judge_file(self, FILE))
        self.ok(f"umbra restore -p {FILE} && rm {FILE}", 240)
        self.assertEqual(self.last_tick(), ticks)
        self.ok("umbra unpause keeper")
        self.check(filled)
        self.assertGreater(self.seen_ticks(), ticks)
