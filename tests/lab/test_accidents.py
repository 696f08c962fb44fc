# SPDX-License-Identifier: BSD-2-Clause
"""A move has an accident in front of each message of it, on either way: the connection ends, or the receiver or the
sender is killed; or the host has no memory left, or the guest's disk is gone or empty, and the move goes on as far as
it can. Each time one copy of the guest may run, and does; nothing is left of the other. The two hosts are one, and
accident.c is the way between them. What was sent is judged as a stream up to where the accident was."""

import re
import time

import devices
import moves
import streams
from compiled import with_libctl
from labtest import CMDLINE, HOME, long_one

WAY, FILL = f"{HOME}/accident", f"{HOME}/fill"
HOW = ("cable", "receiver", "sender")
DISK, HIDDEN, FILLED = "/run/accident.img", "/run/accident.hidden", "/run/filled"
# What breaks by which command, and what the operator is told if it matters. Who has the disk open, keeps it.
BREAKS = {"memory": (f"{FILL} >{FILLED}", "memory"),
          "gone": (f"mv {DISK} {HIDDEN}", f"{DISK} cannot be found"),
          "empty": (f"ln {DISK} {HIDDEN}; : >{DISK}.new; mv {DISK}.new {DISK}", f"{DISK} is shorter than a sector")}
MEND = (f"[ ! -e {HIDDEN} ] || mv {HIDDEN} {DISK}; "
        f"[ ! -e {FILLED} ] || {{ umbra destroy $(cat {FILLED}) && rm {FILLED}; }}")
WORDS = 4  # of the receiver: it is there, the guest is, how it started, and with which result
TICK = re.compile(r"umbra-guest: tick (\d+)\n")
# In the way there: headers, what comes before pages, and, counted from its end, what comes after them.
FIRST, LAST = 12, 14
# A copy that has moved shares the hypervisor's pages of small objects otherwise than the one before it. What accidents
# lose would add up over a test.
SLACK_KIB = 16
# Nodes of xenstore that belong to one domain, or to one guest, and whose.
ITS_NODES = re.compile("(/local/domain/0/backend/[^/]+|/local/domain|/libxl|/vm|/umbra/guest)/([^/]+)")


def points(messages, turn=0, hows=HOW):
    """{part: [(way, number of a message, how)]} for so many messages there: all ways in turn, of which turn is the
    first, and all of them where the guest is complete: the last message is the permission to go on. A part takes
    minutes, and is a test."""
    there = [("there", number, hows[(number + turn) % len(hows)]) for number in range(messages - 1)]
    rest = len(there) - LAST + 1
    return {"first": there[:FIRST], "pages": there[FIRST:rest], "last": there[rest:],
            "words": [("go", 0, how) for how in hows] +
                     [("back", number, how) for number in range(WORDS) for how in hows]}


def roots(paths, names):
    """Of the nodes of guests that are known, by number and uuid, only where they begin, by their names: below that a
    guest that has moved has others than before, and which number and uuid it has depends on how often it moved. All
    others as they are."""
    found = set()
    for path in map(str.strip, paths):
        its = ITS_NODES.match(path)
        found.add(f"{its.group(1)}/{names[its.group(2)]}" if its and its.group(2) in names else path)
    return sorted(found)


def is_same(now, before):
    """All that is there, but for a few pages of memory."""
    return {**now, "free": 0} == {**before, "free": 0} and abs(now["free"] - before["free"]) <= SLACK_KIB


class Accidents(streams.Tapped):
    """With another turn in each class of EachPart, each message has all accidents."""

    keys = {"type": "pvh", "memory": 96, "vcpus": 2}
    turn, hows = 0, HOW

    def setUp(self):
        super().setUp()
        if "hvm" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        self.put_program(WAY, "accident.c", "-D_GNU_SOURCE")

    def migrate(self, way, number, how):
        """Its exit status. A receiver may have something to say when its sender has been killed: not to the lab."""
        transport = f'exec {streams.TAPPED} {WAY} {way} {number} "{how}"'
        command = f"umbra migrate -d 1s -t 10s -o force -T '{transport}' mover localhost"
        self.said = self.run_in(f"rm -f /run/messages; {command} >/run/said 2>&1; s=$?; cat /run/said; exit $s", 400)
        return self.said.status

    def messages(self):
        """Of both ways, in a move without an accident."""
        return map(int, re.match(r"there (\d+) back (\d+)", self.ok("cat /run/messages")).groups())

    def start(self, **keys):
        self.ok(f"ln -sf guest-mover.log {moves.LOGS}/guest-mover--incoming.log")
        self.addCleanup(self.run_in, f"rm -f {moves.LOGS}/guest-mover--incoming.log")
        self.create("mover", cmdline=f"{CMDLINE} umbra.test=often", **keys)
        self.begins()

    def begins(self):
        self.wait_console("mover", "umbra-guest: tick 4\n", 240)

    def works_on(self):
        """Ticks go on where they were: none is missing, and none comes twice, as they would of two copies."""
        seen = len(TICK.findall(self.console_log("mover")))
        self.wait_console("mover", f"umbra-guest: tick {seen + 4}\n")
        ticks = [int(n) for n in TICK.findall(self.console_log("mover"))]
        self.assertEqual(ticks, list(range(1, len(ticks) + 1)))

    def decide(self):
        """As an operator would, when the tool cannot know. A copy that is being removed is waited for."""
        if "unresolved" not in self.run_in("umbra migrate-status mover").out:
            return
        answer = re.search("the other host says: (.*)", self.run_in("umbra migrate-resolve mover").out)
        where = answer and {"absent": "--here", "running": "--there"}.get(answer.group(1).strip())
        if where:
            self.run_in(f"umbra migrate-resolve {where} mover")

    def what_is_there(self):
        """Of the guest's nodes no more than that they are there."""
        found = moves.what_is_there(self)
        rows = self.json("umbra --json list")
        names = {str(row[key]): row["name"] for row in rows if row["domid"] for key in ("domid", "uuid")}
        return {**found, "nodes": roots(found["nodes"].split("\n"), names)}

    def settled(self):
        before = None
        while (now := self.what_is_there()) != before:
            before = now
            time.sleep(1)
        return now

    def one_copy(self, before):
        """Of the guest, and what it takes; whatever is being removed is given the time for it."""
        deadline = time.monotonic() + 60 * self.machine.patience
        while not is_same(now := self.what_is_there(), before) and time.monotonic() < deadline:
            self.decide()
            time.sleep(0.5)
        self.assertTrue(is_same(now, before), f"{now}\n{before}\n{self.said.out}")
        self.assertEqual(list(self.guests()), ["mover"])
        state = self.guests()["mover"][3]
        self.assertFalse(set(state) & set("psd"), state)
        self.works_on()

    def counted(self, **keys):
        """A guest that has moved once without an accident; (what there is then, number of messages there). That all
        of the other copy went is for test_migrate: what a created guest takes need not be what a moved one does."""
        self.start(**keys)
        self.assertEqual(self.migrate("there", 10 ** 6, "cable"), 0, self.said.out)
        there, back = self.messages()
        self.assertEqual(back, WORDS)
        self.assertEqual(len(streams.judge(self)), 1)
        self.wait_gone("mover--migratedaway")
        before = self.settled()
        self.one_copy(before)
        return before, there

    def happens(self, way, number, how):
        """Does it come to the accident?"""
        return self.migrate(way, number, how) != 0

    def have(self, way, number, how, before, there):
        """An accident. Rounds, and with them messages, are some more or fewer each time: when there were too few, it
        is tried again in front of the one that is as far from the end as was meant."""
        from_end = there - number
        while not self.happens(way, number, how):
            self.assertEqual(way, "there", "there was no accident")
            now, _ = self.messages()
            self.assertLessEqual(now, number, "there was no accident")
            self.one_copy(before)
            number = now - from_end

    def part(self, part):
        """One after the other: what has gone wrong once makes the next ones wrong as well."""
        before, there = self.counted(**self.keys)
        parts = points(there, self.turn, self.hows)
        self.assertGreaterEqual(sum(map(len, parts.values())), 40)
        for point in parts[part]:
            print(f"      {there} messages there; accident: {' '.join(map(str, point))}", flush=True)
            self.have(*point, before, there)
            self.one_copy(before)
        streams.judge(self, cut=True)


class EachPart:
    """Of the points of an accident."""

    def test_first(self):
        self.part("first")

    def test_pages(self):
        self.part("pages")

    def test_last(self):
        self.part("last")

    def test_words(self):
        self.part("words")


@long_one
class OnNestedPaging(EachPart, Accidents):
    """On one processor: with more, emulators lose guests on nested paging now and then (docs/debugging.md)."""

    machine_options = {"smp": 1}
    keys = {**Accidents.keys, "hap": True}


@long_one
class OnShadows(EachPart, Accidents):
    keys = {**Accidents.keys, "hap": False}
    turn = 1


@long_one
class Pv(EachPart, Accidents):
    keys = {**Accidents.keys, "type": "pv"}
    turn = 2


class Breaks(Accidents):
    """Something of the host, which has a disk of the guest's: the guest numbers it with its ticks. Little memory is
    soon taken."""

    machine_options = {"memory": 1024}
    keys = {**Accidents.keys, "ramdisk": devices.INITRD, "disk": [f"{DISK},,xvda"]}
    hows = tuple(BREAKS)

    def setUp(self):
        super().setUp()
        if not devices.prepare(self):
            self.skipTest("no archive with the drivers of the guests' kernel")
        self.machine.put(FILL, with_libctl("fill.c"), mode=0o755)
        self.ok(f"head -c 65536 /dev/zero >{DISK}")
        self.addCleanup(self.run_in, f"{MEND}; umbra destroy mover; rm -f {DISK}")

    def begins(self):
        self.wait_console("mover", "umbra-guest: up, with drivers", 240)
        devices.has_disk(self, "mover", "xvda", True, "first")
        self.type_in("mover", "i=0; while i=$((i + 1)); echo $i | dd of=/dev/xvda bs=512 conv=sync,fsync 2>/dev/null "
                     '&& echo "umbra-guest: tick $i"; do usleep 250000; done', "umbra-guest: tick 4")

    def works_on(self):
        super().works_on()
        ticks = len(TICK.findall(self.console_log("mover")))
        self.assertGreaterEqual(int(self.ok(f"head -n 1 {DISK}")), ticks)

    def what_is_there(self):
        return {**super().what_is_there(), "disks": self.ok(f"losetup -a | grep -c {DISK}")}

    def happens(self, way, number, how):
        """What breaks may not matter any more, or not yet. If it does, the operator is told."""
        command, words = BREAKS.get(how, (how, ""))
        failed = self.migrate(way, number, command)
        self.ok(MEND, 240)
        print(f"        {'stays: ' + self.said.out.strip() if failed else 'moves'}", flush=True)
        if failed:
            self.assertIn(words, self.said.out)
        return failed or how in BREAKS and (way != "there" or number < next(self.messages()))


@long_one
class BreaksOnNestedPaging(EachPart, Breaks):
    machine_options = {**Breaks.machine_options, "smp": 1}
    keys = {**Breaks.keys, "hap": True}


@long_one
class BreaksOnShadows(EachPart, Breaks):
    keys = {**Breaks.keys, "hap": False}
    turn = 1


@long_one
class BreaksPv(EachPart, Breaks):
    keys = {**Breaks.keys, "type": "pv"}
    turn = 2


@long_one
class IsTold(Accidents):
    """What the operator hears."""

    keys = {**Accidents.keys, "hap": False}

    def unresolved(self, way, number, state):
        self.assertEqual(self.migrate(way, number, "cable"), 1)
        for words in ("did not say whether mover runs", "umbra migrate-resolve"):
            self.assertIn(words, self.said.out)
        self.assertIn("mover: unresolved", self.ok("umbra migrate-status mover"))
        self.assertIn("mover--migratedaway", self.guests())
        # The way back is asked by the same transport, which has its accident only with a guest. Its copy is removed.
        self.ok(f"for i in $(seq 60); do umbra migrate-resolve mover | grep -q 'the other host says: {state}' && exit; "
                "sleep 1; done; exit 1", 300)

    def abort(self):
        command = f"umbra migrate -b 2M -T '{streams.LOCAL}' mover localhost"
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
        before, _ = self.counted(**self.keys)
        self.unresolved("go", 0, "absent")
        self.fails("umbra migrate-resolve --there mover", 1, "does not have it")
        self.ok("umbra migrate-resolve --here mover")
        self.one_copy(before)
        self.abort()
        self.one_copy(before)
        self.unresolved("back", 2, "running")
        self.fails("umbra migrate-resolve --here mover", 1, "the other host has it")
        self.ok("umbra migrate-resolve --there mover")
        self.one_copy(before)
        self.stale()

    def stale(self):
        """It ran there, and is gone: what sleeps is older than its disks would be."""
        self.unresolved("back", 2, "running")
        self.ok("umbra destroy mover")
        self.ok("umbra migrate-resolve mover | grep -q 'the other host says: gone'")
        self.fails("umbra migrate-resolve --here mover", 1, "may have run there, and is gone")
        self.assertEqual(self.guests()["mover--migratedaway"][3].strip("-"), "s")
        self.ok("umbra migrate-resolve --there mover")
        self.wait_gone("mover--migratedaway")
        self.assertEqual(self.guests(), {})
