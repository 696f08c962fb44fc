# SPDX-License-Identifier: BSD-2-Clause
"""The tap on a guest's stream, tap.c, and what streams.py makes of its file, on the host: everything passes as it
came, and the stream is there again, with zeros as pages, as far as its records came whole. If Debian's verifier is
there it takes what it should, and nothing else; with UMBRA_LONG=1 also the streams of the unit programs, whose domains
are random."""

import os
import struct
import subprocess
import tempfile
import unittest

import streams
from compiled import compiled
from labtest import BUILD, long_one


def record(kind, body=b""):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def pages(entries, byte):
    """With contents for those that have some."""
    full = sum(entry >> 60 not in (13, 14, 15) for entry in entries)
    return record(streams.PAGE_DATA, struct.pack(f"<II{len(entries)}Q", len(entries), 0, *entries) + byte * 4096 * full)


def head(config=b"{}\0"):
    return (b"Xen saved domain, xl format\n \0 \r" + struct.pack("<IIII", 0x01020304, 3, 0, len(config)) + config +
            struct.pack("!QII", 0x4c6962786c466d74, 2, 0) + record(1))


def rounds(byte):
    """Page records of two rounds, and what follows them."""
    return [pages([7, 8, 9, 14 << 60 | 10], byte), record(streams.ROUND, bytes(8)), pages([15 << 60 | 3], byte),
            pages([0x9 << 60 | 5, 2], byte)]


def inner(byte):
    return [streams.HEADS, record(0x10), *rounds(byte), record(8, bytes(24)),
            record(10, struct.pack("<IIQQ", 1, 0, 1, 2)), record(9, b"context" * 3), record(0)]


WHOLE = head() + b"".join(inner(b"p")) + record(0)
JOIN = b'{"ask":"join","place":"x"}\n'
LANE = b"".join([*rounds(b"q"), record(0)])


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.program, cls.where = (os.path.join(cls.directory.name, name) for name in ("tap", "where"))
        os.mkdir(cls.where)
        with open(cls.program, "wb", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write(compiled("tap.c"))

    def pass_on(self, data, command=("cat",)):
        """(what came through, {kind of file: its content}, exit status)."""
        done = subprocess.run([self.program, self.where, *command], input=data, stdout=subprocess.PIPE, timeout=60,
                              check=False)
        found = {}
        for name in os.listdir(self.where):
            path = os.path.join(self.where, name)
            with open(path, "rb") as file:
                found[name.split(".")[0] + ("" if name[-1].isdigit() else " part")] = file.read()
            os.unlink(path)
        return done.stdout, found, done.returncode

    def husk(self, data, kind="stream"):
        through, found, status = self.pass_on(data)
        self.assertEqual((through, status, list(found)), (data, 0, [kind]))
        return found[kind]

    def judge(self, husk, kind="stream", cut=False):
        if not os.path.exists(streams.VERIFIER):
            self.skipTest("no verifier: make image")
        return streams.judge_one(self, f"{kind}.1", husk, cut)

    def test_whole(self):
        for end in (b"", streams.GO):
            husk = self.husk(WHOLE + end)
            self.assertLess(len(husk), 1000)
            wanted = [each for each in inner(b"\0") if each != record(streams.ROUND, bytes(8))]
            self.assertEqual(streams.rebuild(husk), (head(), b"".join(wanted), record(0) + end, True))

    def test_judged(self):
        said = self.judge(self.husk(WHOLE + streams.GO))
        for word in ("x86 HVM from Xen 4.17", "Squashed 3 Page Data records", "HVM context, length 21"):
            self.assertIn(word, said)
        self.assertIn("Page Data", self.judge(self.husk(JOIN + LANE, "lane"), "lane"))

    def test_refused(self):
        """What the verifier does not take, the test does not."""
        for wrong in (record(0x7f), record(0x10, b"x"), pages([5 << 60], b"p"), record(streams.PAGE_DATA, bytes(9)),
                      record(8, bytes(20)), struct.pack("<II", 9, 3) + b"\1" * 8,
                      pages([1, 2], b"p")[:-4096 - 8] + bytes(8)):
            husk = self.husk(head() + streams.HEADS + wrong + record(0) + record(0))
            with self.assertRaises(AssertionError, msg=wrong[:16]):
                self.judge(husk)

    def test_cut(self):
        """At each byte but those within pages, of which some are tried: all records that came whole are judged."""
        at, ends = 0, []
        for each in [head(), streams.HEADS, *inner(b"p")[1:], record(0), streams.GO]:
            ends.append(at := at + len(each))
        for ending, end in zip([0, *ends], ends):
            for more in (0, 1, 7, 8, 15, 16, 4096):
                cut = min(ending + more, end - 1)
                through, found, _ = self.pass_on((WHOLE + streams.GO)[:cut])
                self.assertEqual(through, (WHOLE + streams.GO)[:cut])
                built = streams.rebuild(found.get("stream", b""))
                self.assertEqual(built is None, cut < ends[1], cut)
                if built and cut < ends[-2]:
                    whole = sum(each <= cut for each in ends[2:-2])
                    kept = [each for each in inner(b"\0")[1:whole + 1] if each != record(streams.ROUND, bytes(8))]
                    self.assertEqual(built[1], streams.HEADS + b"".join(kept), cut)
        self.judge(self.husk(WHOLE[:-100]), cut=True)
        with self.assertRaises(AssertionError):
            self.judge(self.husk(WHOLE[:-100]))

    def test_questions(self):
        """Pass, and leave nothing; a stream may follow one."""
        ask = b'{"ask":"streams"}\n'
        self.assertEqual(self.pass_on(ask), (ask, {}, 0))
        for other in (b"", b"no stream", b"{" * 70000, bytes(100000)):
            self.assertEqual(self.pass_on(other), (other, {}, 0))
        self.assertEqual(self.husk(ask + WHOLE), self.husk(WHOLE))

    def test_command_ends(self):
        """Its exit status is the tap's; what it did not read is told as far as it went."""
        through, found, status = self.pass_on(WHOLE * 50, ("sh", "-c", "head -c 10; exit 3"))
        self.assertEqual((through, status), (WHOLE[:10], 3))
        self.assertLessEqual(len(found), 1)


@long_one
class UnitPrograms(unittest.TestCase):
    def test_random_domains(self):
        """Each stream of which they restore a copy. The verifier wants a file: of a pipe it may read too little."""
        if not os.path.exists(streams.VERIFIER):
            self.skipTest("no verifier: make image")
        with tempfile.TemporaryDirectory() as directory:
            file, script = os.path.join(directory, "stream"), os.path.join(directory, "script")
            with open(script, "w", encoding="utf-8") as text:
                text.write(f"cat >{file} && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={streams.TOOLS}/lib/python "
                           f"python3 {streams.VERIFIER} -f $1 -i {file}\n")
            environment = {**os.environ, "UMBRA_VERIFIER": f"sh {script}"}
            for name in ("test_stream", "test_stream_pvh", "test_live"):
                done = subprocess.run([os.path.join(BUILD, "unit", name)], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stdout[-2000:])


if __name__ == "__main__":
    unittest.main()
