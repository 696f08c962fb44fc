# SPDX-License-Identifier: BSD-2-Clause
"""The framing between the lab and its agent in the control domain (tools/image/files/usr/lib/lab/agent): pure functions
of bytes, no machine. A reader is fed what arrives and yields events:

    ("ready",)  ("out", bytes)  ("err", bytes)  ("end", status)

Invariant: what is fed in any pieces yields the same output and the same status."""

import base64
import re

from verdict import LabError


def request_line(command, seconds):
    return b"%d %s\n" % (seconds, base64.b64encode(command.encode()))


class SerialReader:
    """Raw bytes between marks. A mark is a newline, "@TOKEN ", words, a newline."""

    def __init__(self, token):
        self._mark = b"\n@" + token.encode() + b" "
        self._buffer = b""
        self._section = None

    def feed(self, data):
        self._buffer += data
        events = []
        while True:
            at = self._buffer.find(self._mark)
            if at < 0:
                self._emit(events, len(self._buffer) - self._held_back())
                return events
            end = self._buffer.find(b"\n", at + 1)
            self._emit(events, at)
            if end < 0:
                return events
            words = self._buffer[len(self._mark):end - at].split()
            self._buffer = self._buffer[end - at + 1:]
            self._take_mark(events, words)

    def _emit(self, events, length):
        if length and self._section:
            events.append((self._section, self._buffer[:length]))
        self._buffer = self._buffer[length:]

    def _held_back(self):
        """How many last bytes could be the beginning of a mark."""
        for length in range(min(len(self._mark) - 1, len(self._buffer)), 0, -1):
            if self._buffer.endswith(self._mark[:length]):
                return length
        return 0

    def _take_mark(self, events, words):
        self._section = None
        if words[0] in (b"out", b"err"):
            self._section = words[0].decode()
            # The newline that ends this mark may also begin the next one, when the section is empty.
            if self._buffer.startswith(self._mark[1:]):
                self._buffer = b"\n" + self._buffer
        elif words[0] == b"end":
            events.append(("end", int(words[1])))
        elif words[0] == b"ready":
            events.append(("ready",))


class ConsoleReader:
    """Base64 lines among whatever else is printed on the console."""

    def __init__(self, token):
        self._pattern = re.compile(rb"@" + token.encode() + rb" ([^\r\n]*)")
        self._buffer = b""
        self._section = None
        self._counts = {}

    def feed(self, data):
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        events = []
        for line in lines:
            match = self._pattern.search(line)
            if match:
                self._take_mark(events, match.group(1).split())
        return events

    def _take_mark(self, events, words):
        if words[0] == b"+" and self._section and words[-1].endswith(b"."):
            data = base64.b64decode(words[1][:-1])
            self._counts[self._section] += len(data)
            events.append((self._section, data))
        elif words[0] in (b"out", b"err"):
            self._section = words[0].decode()
            self._counts[self._section] = 0
        elif words[0] == b"end":
            if [self._counts.get("out"), self._counts.get("err")] != [int(n) for n in words[2:4]]:
                raise LabError("the console garbled the command's output; try --channel serial")
            self._counts = {}
            events.append(("end", int(words[1])))
        elif words[0] == b"ready":
            events.append(("ready",))


READERS = {"serial": SerialReader, "console": ConsoleReader}
