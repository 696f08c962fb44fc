# SPDX-License-Identifier: BSD-2-Clause
"""Streams of saved and of moving guests, as Debian's verify-stream-v2 judges them, in its modes xl and libxc.

On a machine with a tap (tap.c) a husk is kept of each stream that leaves by ssh, by umbra-tls, or by a command that is
TAPPED: all of its records as far as they came whole, without the pages. The verifier compares how many pages there are
with the length of their record and does not look into them, so it gets zeros in their place, and the lab does not have
to carry 100 MiB out of the machine for each. Two things the verifier cannot say, and are done for it: a stream that was
cut gets END records, so that all that came of it is judged; and the records ROUND of several connections, which are
Umbra's own and optional, are left out, since it takes no record that it does not know, optional or not. A connection
that has only pages gets headers."""

import base64
import gzip
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

from compiled import compiled
from labtest import BUILD, HOME, LabTest

TOOLS = os.path.join(BUILD, "cache", "root", "usr", "lib", "xen-4.17")
VERIFIER = os.path.join(TOOLS, "bin", "verify-stream-v2")
TAP, WHERE = f"{HOME}/tap", "/run/streams"
TAPPED = f"{TAP} {WHERE}"  # in front of a command: its input is a stream
LOCAL = f"exec {TAPPED} umbra migrate-receive"  # a transport to the same host
SSH, TLS = "/usr/sbin/ssh", "/usr/bin/umbra-tls"
WRAPPERS = {SSH: f'#!/bin/sh\nexec {TAPPED} /usr/bin/ssh "$@"\n',
            TLS: f'#!/bin/sh\n[ "$1" = connect ] && exec {TAPPED} {TLS}.real "$@"\nexec {TLS}.real "$@"\n'}
GO = b"domain is yours, you are cleared to unpause\0"
END_RECORD = bytes(8)
END, PAGE_DATA, ROUND = 0, 1, 0x80000000 + 0x554d0001
HEADS = struct.pack("!QIIHHI", 2 ** 64 - 1, 0x58454e46, 3, 0, 0, 0) + struct.pack("<IHHII", 2, 12, 0, 4, 17)


def page_data(husk, at, size):
    """The record at this place with zeros as its pages, and where the next one begins."""
    size = (size + 7) & ~7
    count = min(struct.unpack_from("<I", husk, at + 8)[0], (size - 8) // 8) if size >= 8 else 0
    entries, before = [], 0
    for more in struct.unpack_from(f"<{count}Q", husk, at + 16):
        before = (before + more) % 2 ** 64
        entries.append(before)
    listed = husk[at:at + min(16, 8 + size)] + struct.pack(f"<{count}Q", *entries)
    return listed + bytes(8 + size - len(listed)), at + 8 + min(8, size) + 8 * count


def rebuild(husk, lane=False):
    """(xl's and libxl's part before libxc's, that, what follows it, whether its END came), or None: it has no headers
    of libxc's."""
    at = 0 if lane else 48 + (struct.unpack_from("<I", husk, 44)[0] if len(husk) >= 48 else 0) + 16 + 8
    first, ended = at if lane else at + len(HEADS), False
    if len(husk) < first:
        return None
    inner = [HEADS if lane else husk[at:first]]
    where = first
    while where < len(husk) and not ended:
        kind, size = struct.unpack_from("<II", husk, where)
        if kind == PAGE_DATA:
            record, where = page_data(husk, where, size)
        else:
            record, where = husk[where:where + 8 + ((size + 7) & ~7)], where + 8 + ((size + 7) & ~7)
        ended = kind == END
        if kind != ROUND:
            inner.append(record)
    return husk[:at], b"".join(inner), husk[where:], ended


def verdict_on(form, content):
    """(exit status, what it says) of the verifier."""
    if not os.path.exists(VERIFIER):
        raise unittest.SkipTest(f"{VERIFIER} is not there: make image")
    environment = {**os.environ, "PYTHONPATH": os.path.join(TOOLS, "lib", "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        done = subprocess.run([sys.executable, VERIFIER, "-v", "-f", form, "-i", file.name], text=True,
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def judge_one(test, name, husk, cut=False):
    """What the verifier lists of a stream that has to be well-formed, and whole unless it may have been cut; an empty
    text if nothing came that it could judge."""
    lane = name.startswith("lane")
    found = rebuild(husk, lane)
    test.assertTrue(cut or found, f"{name}: {len(husk)} bytes, no stream")
    if not found:
        return ""
    before, inner, after, ended = found
    after = after[:-len(GO)] if after.endswith(GO) else after
    whole = ended and (lane or len(after) >= len(END_RECORD))
    test.assertTrue(cut or whole, f"{name}: it ends too early")
    inner += b"" if ended else END_RECORD
    forms = [("libxc", inner)] + ([] if lane else [("xl", before + inner + (after if whole else END_RECORD))])
    for form, content in forms:
        status, said = verdict_on(form, content)
        test.assertEqual(status, 0, f"{name}, {form}, {'whole' if whole else 'cut'}: {said[-2000:]}")
    return said


def put_tap(host):
    """The program, and where its files go."""
    host.machine.put(TAP, compiled("tap.c"), mode=0o755)
    host.ok(f"mkdir -p {WHERE}")


def tap(host):
    """Streams that leave a host are kept from now on."""
    put_tap(host)
    host.ok(f"rm -f {WHERE}/*; if [ -e {TLS} ]; then mv {TLS} {TLS}.real; fi")
    for path, text in WRAPPERS.items():
        host.machine.put(path, text.encode(), mode=0o755)


def untap(host):
    """As it was before tap()."""
    if host.machine.is_usable():
        host.run_in(f"rm -rf {SSH} {TAP} {WHERE}; if [ -e {TLS}.real ]; then mv {TLS}.real {TLS}; fi")


def judge(host, cut=False):
    """All streams since the tap or the last time; returns what the verifier lists of each."""
    if not host.machine.is_usable():
        return []
    text = host.ok(f"cd {WHERE} || exit; for i in $(seq 100); do ls | grep -q part || break; usleep 100000; done; "
                   "for file in *[0-9]; do [ -e $file ] && echo $file $(gzip -c $file | base64 -w 0) && rm $file; "
                   "done; ls | grep part >&2 && exit 1; true")  # one that still grows
    said = []
    for name, packed in re.findall(r"(\S+) (\S+)\n", text):
        said.append(judge_one(host, name, gzip.decompress(base64.b64decode(packed)), cut))
    return [listing for listing in said if listing]


def judge_file(host, path):
    """The same of a saved guest: a file of the control domain, whether the machine has a tap or not."""
    put_tap(host)
    host.ok(f"{TAPPED} cat <{path} >/dev/null", 240)
    return judge(host)[-1]


def tap_for(test, *hosts):
    """Taps for as long as a test takes. What it has not judged itself is judged after it, what was cut up to there."""
    for host in hosts:
        tap(host)
        test.addCleanup(untap, host)
        test.addCleanup(judge, host, cut=True)


class Tapped(LabTest):
    """A test that has moving guests."""

    def setUp(self):
        super().setUp()
        tap_for(self, self)
