# SPDX-License-Identifier: BSD-2-Clause
"""The way with an accident on it, accident.c, and the points of test_accidents.py, on the host: in front of each
message of a stream the connection ends or the receiver is killed, and nothing of that message is passed on; or a
command is run, and it is."""

import os
import struct
import subprocess
import tempfile
import unittest

import test_accidents

HERE = os.path.dirname(os.path.abspath(__file__))
RECEIVER = """#!/bin/sh
[ "$*" = migrate-receive ] || exit 2
cd "$(dirname "$0")" || exit 2
printf 'xl migration receiver ready, send binary domain data.\\n'
cat >got
printf 'domain received\\0results\\0\\0'
"""


def record(kind, body=b""):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


MESSAGES = [b"Xen saved domain".ljust(44, b"\n") + struct.pack("<I", 11) + b"{}" * 5 + b"\0",
            b"LibxlFmt".ljust(16, b"\0"), record(1),
            b"\xff" * 24, b"\1" * 16, record(1, b"p" * 70001), record(1, b"q" * 13), record(9), record(0),
            record(0), b"domain is yours, you are cleared to unpause\0"]


class Way(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.program, cls.told = (os.path.join(cls.directory.name, name) for name in ("accident", "messages"))
        with open(os.path.join(cls.directory.name, "umbra"), "w", encoding="ascii", opener=cls.executable) as file:
            file.write(RECEIVER)
        subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f'-DMESSAGES="{cls.told}"',
                        os.path.join(HERE, "accident.c"), "-o", cls.program], check=True)

    @staticmethod
    def executable(path, flags):
        return os.open(path, flags, 0o755)

    def pass_on(self, way, number, how, data=b"".join(MESSAGES)):
        """(exit status, what the receiver got, what it said)."""
        environment = {**os.environ, "PATH": self.directory.name + ":" + os.environ["PATH"]}
        received = os.path.join(self.directory.name, "got")
        with open(received, "wb"):
            pass
        done = subprocess.run([self.program, way, str(number), how], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=environment, timeout=60, check=False)
        with open(received, "rb") as file:
            return done.returncode, file.read(), done.stdout

    def test_whole(self):
        status, got, said = self.pass_on("there", 10 ** 6, "cable")
        self.assertEqual((status, got), (0, b"".join(MESSAGES)))
        self.assertTrue(said.endswith(b"domain received\0results\0\0"), said)
        with open(self.told, encoding="ascii") as file:
            self.assertEqual(file.read(), f"there {len(MESSAGES)} back {test_accidents.WORDS}\n")

    def test_cut_before_each(self):
        for number in range(len(MESSAGES)):
            status, got, _ = self.pass_on("there", number, "cable")
            self.assertEqual((status, got), (1, b"".join(MESSAGES[:number])), number)
        self.assertEqual(self.pass_on("go", 0, "cable")[:2], (1, b"".join(MESSAGES[:-1])))

    def test_words_back(self):
        """In front of each of the receiver's: what it said until then has come."""
        words = [b"xl migration receiver ready, send binary domain data.\n", b"domain received\0", b"results\0", b"\0"]
        for number in range(len(words)):
            status, _, said = self.pass_on("back", number, "receiver")
            self.assertEqual((status, said), (1, b"".join(words[:number])), number)

    def test_command(self):
        """It is run once, before the message goes on; what it says and reads is not the stream."""
        sent, kept = (os.path.join(self.directory.name, name) for name in ("got", "kept"))
        for number in range(len(MESSAGES)):
            length = sum(map(len, MESSAGES[:number]))
            wait = f"for i in $(seq 100); do [ $(wc -c <{sent}) -ge {length} ] && break; sleep 0.1; done"
            command = f"cat; echo lost; {wait}; cat {sent} >>{kept}"
            status, got, said = self.pass_on("there", number, command)
            self.assertEqual((status, got), (0, b"".join(MESSAGES)), number)
            self.assertNotIn(b"lost", said)
            with open(kept, "rb") as file:
                self.assertEqual(file.read(), b"".join(MESSAGES[:number]), number)
            os.unlink(kept)

    def test_question(self):
        """Passes, wherever a guest would have its accident."""
        for way, number in (("there", 0), ("go", 0), ("back", 1)):
            status, got, said = self.pass_on(way, number, "cable", b'{"ask":"state"}\n')
            self.assertEqual((status, got), (0, b'{"ask":"state"}\n'))
            self.assertIn(b"results", said)


class Points(unittest.TestCase):
    def test_points(self):
        parts = test_accidents.points(60)
        self.assertEqual([len(parts[name]) for name in ("first", "last", "words")], [12, 13, 15])
        tried = sum(parts.values(), [])
        there = [number for way, number, _ in tried if way == "there"]
        self.assertEqual(there[:12] + there[-13:], [*range(12), *range(46, 59)])
        self.assertEqual([how for way, _, how in tried if way == "go"], list(test_accidents.HOW))
        self.assertEqual(len([way for way, *_ in tried if way == "back"]), 12)
        self.assertEqual(len(set(tried)), len(tried))

    def test_turns(self):
        """Three turns have each accident at each message."""
        tried = {point for turn in range(3) for part in test_accidents.points(40, turn).values() for point in part}
        self.assertLessEqual({("there", n, how) for n in range(39) for how in test_accidents.HOW}, tried)

    def test_roots(self):
        """What a guest has below its own nodes does not count, what nobody has that is there does."""
        names = {"1": "mover", "aa-1": "mover"}
        paths = ["/local/domain/0/backend/vif/1/0 ", "/local/domain/0/cpu/1/availability ", "/local/domain/1/cpu/1 ",
                 "/local/domain/1 ", "/local/domain/2/name ", "/libxl/1/type ", "/vm/aa-1/name ", "/vm/bb-2 ",
                 "/umbra/guest/aa-1/config/0 ", "/umbra/name/mover "]
        self.assertEqual(test_accidents.roots(paths, names), [
            "/libxl/mover", "/local/domain/0/backend/vif/mover", "/local/domain/0/cpu/1/availability",
            "/local/domain/2/name", "/local/domain/mover", "/umbra/guest/mover", "/umbra/name/mover", "/vm/bb-2",
            "/vm/mover"])

    def test_same(self):
        """A few pages may differ, nothing else."""
        before = {"free": 1000, "guests": ["mover"], "channels": 17, "nodes": ["/vm/mover"], "receivers": ""}
        for kib, same in ((0, True), (16, True), (-16, True), (20, False), (-20, False)):
            self.assertEqual(test_accidents.is_same({**before, "free": 1000 + kib}, before), same, kib)
        for change in ({"guests": []}, {"channels": 18}, {"nodes": []}, {"receivers": "7"}):
            self.assertFalse(test_accidents.is_same({**before, **change}, before), change)
