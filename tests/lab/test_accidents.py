# SPDX-License-Identifier: BSD-2-Clause
"""A move ends by accident in front of each message of it, on either way: the connection ends, or the receiver or the
sender is killed. Each time one copy of the guest may run, and does; nothing is left of the other. The two hosts are
one, and accident.c is the way between them."""

import re
import time

import moves
from labtest import CMDLINE, HOME, LabTest, long_one

WAY = f"{HOME}/accident"
HOW = ("cable", "receiver", "sender")
WORDS = 4  # of the receiver: it is there, the guest is, how it started, and with which result
TICK = re.compile(r"umbra-guest: tick (\d+)\n")
# In the way there: headers, what comes before pages, and, counted from its end, what comes after them. Of the pages
# between, which are alike, every third.
FIRST, LAST, EVERY = 12, 14, 3


def points(messages):
    """[(way, number of a message, how)] for so many messages there: all ways in turn, and all of them where the guest
    is complete."""
    numbers = [n for n in range(messages) if n < FIRST or n >= messages - LAST or n % EVERY == 0]
    found = [("there", number, HOW[at % len(HOW)]) for at, number in enumerate(numbers[:-1])]
    found += [("there", numbers[-1], how) for how in HOW]
    return found + [("back", number, how) for number in range(WORDS) for how in HOW]


@long_one
class Accidents(LabTest):
    keys = {"type": "pvh", "memory": 96, "vcpus": 2}

    def setUp(self):
        super().setUp()
        if "hvm" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        self.put_program(WAY, "accident.c", "-D_GNU_SOURCE")

    def migrate(self, way, number, how):
        """Its exit status."""
        command = f"umbra migrate -d 1s -t 10s -o force -T 'exec {WAY} {way} {number} {how}' mover localhost"
        self.said = self.run_in(f"{command} 2>&1", 400)
        return self.said.status

    def start(self, **keys):
        self.ok(f"ln -sf guest-mover.log {moves.LOGS}/guest-mover--incoming.log")
        self.addCleanup(self.run_in, f"rm -f {moves.LOGS}/guest-mover--incoming.log")
        self.create("mover", cmdline=f"{CMDLINE} umbra.test=often", **keys)
        self.wait_console("mover", "umbra-guest: tick 4\n", 240)

    def works_on(self):
        """Ticks go on where they were: none is missing, and none comes twice, as they would of two copies."""
        seen = len(TICK.findall(self.console_log("mover")))
        self.wait_console("mover", f"umbra-guest: tick {seen + 4}\n")
        ticks = [int(n) for n in TICK.findall(self.console_log("mover"))]
        self.assertEqual(ticks, list(range(1, len(ticks) + 1)))

    def decide(self):
        """As an operator would, when the tool cannot know."""
        if "unresolved" not in self.ok("umbra migrate-status mover"):
            return
        answer = re.search("the other host says: (.*)", self.ok("umbra migrate-resolve mover")).group(1)
        where = {"absent": "--here", "running": "--there"}[answer.strip()]
        self.ok(f"umbra migrate-resolve {where} mover")

    def what_is_there(self):
        """Without the guest's number, which is another one if it was the copy that stayed."""
        found = moves.what_is_there(self)
        for name, (domid, *_) in self.guests().items():
            found["nodes"] = re.sub(rf"\b{domid}\b", name, found["nodes"])
        return {**found, "nodes": sorted(found["nodes"].split("\n"))}

    def settled(self):
        before = None
        while (now := self.what_is_there()) != before:
            before = now
            time.sleep(1)
        return now

    def one_copy(self, before):
        """Of the guest, and what it takes; whatever is being removed is given the time for it."""
        deadline = time.monotonic() + 60 * self.machine.patience
        while (now := self.what_is_there()) != before and time.monotonic() < deadline:
            self.decide()
            time.sleep(0.5)
        self.assertEqual(now, before, self.said.out)
        self.assertEqual(list(self.guests()), ["mover"])
        state = self.guests()["mover"][3]
        self.assertFalse(set(state) & set("psd"), state)
        self.works_on()

    def counted(self, **keys):
        """A guest that has moved once without an accident; (what there is then, number of messages there)."""
        self.start(**keys)
        before = self.settled()
        self.assertEqual(self.migrate("there", 10 ** 6, "cable"), 0, self.said.out)
        self.one_copy(before)
        there, back = map(int, re.match(r"there (\d+) back (\d+)", self.ok("cat /run/messages")).groups())
        self.assertEqual(back, WORDS)
        return before, there

    def all_points(self, **keys):
        before, there = self.counted(**keys)
        tried = points(there)
        self.assertGreaterEqual(len(tried), 40)
        for way, number, how in tried:
            with self.subTest(way=way, number=number, how=how):
                self.assertNotEqual(self.migrate(way, number, how), 0, "there was no accident")
                self.one_copy(before)
        print(f"      {len(tried)} accidents in {there} messages there", flush=True)

    def test_nested(self):
        self.all_points(**self.keys, hap=True)

    def test_pv(self):
        self.all_points(**{**self.keys, "type": "pv"})

    # --- what the operator is told --------------------------------------------------------------------------------

    def unresolved(self, way, number, state):
        self.assertEqual(self.migrate(way, number, "cable"), 1)
        for words in ("did not say whether mover runs", "umbra migrate-resolve"):
            self.assertIn(words, self.said.out)
        self.assertIn("mover: unresolved", self.ok("umbra migrate-status mover"))
        self.assertIn("mover--migratedaway", self.guests())
        # The way back is asked by the same transport, which has its accident only with a guest.
        self.assertIn(f"the other host says: {state}", self.ok("umbra migrate-resolve mover"))

    def abort(self):
        command = "umbra migrate -b 2M -T 'umbra migrate-receive' mover localhost"
        self.ok(f"rm -f /run/status; ({command}; echo $? >/run/status) >/run/out 2>&1 &")
        self.ok("for i in $(seq 100); do umbra migrate-status mover | grep -q 'round 0' && break; usleep 200000; done")
        self.assertIn('"migrating"', self.ok("umbra --json migrate-status mover"))
        self.fails("umbra save mover /run/saved", 1, "is at work on it")
        self.ok("umbra migrate-abort mover")
        self.ok("for i in $(seq 100); do [ -e /run/status ] && break; usleep 200000; done")
        self.assertEqual(self.ok("cat /run/status").strip(), "1")
        self.assertIn("interrupted", self.ok("cat /run/out"))

    def test_resolve(self):
        """The permission to go on is lost, and the report; in between a move is given up."""
        before, there = self.counted(**self.keys, hap=False)
        self.unresolved("there", there - 1, "absent")
        self.fails("umbra migrate-resolve --there mover", 1, "does not have it")
        self.ok("umbra migrate-resolve --here mover")
        self.one_copy(before)
        self.abort()
        self.one_copy(before)
        self.unresolved("back", 2, "running")
        self.fails("umbra migrate-resolve --here mover", 1, "the other host has it")
        self.ok("umbra migrate-resolve --there mover")
        self.one_copy(before)
