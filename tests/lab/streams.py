# SPDX-License-Identifier: BSD-2-Clause
"""Streams of saved and of moving guests, as Debian's verify-stream-v2 judges them."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from labtest import BUILD, LabTest

TOOLS = os.path.join(BUILD, "cache", "root", "usr", "lib", "xen-4.17")
VERIFIER = os.path.join(TOOLS, "bin", "verify-stream-v2")


class Receiver(threading.Thread):
    """Takes what one connection sends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(120)
        self.port = self.listener.getsockname()[1]
        self.data = bytearray()

    def run(self):
        with self.listener, self.listener.accept()[0] as connection:
            while piece := connection.recv(1 << 16):
                self.data += piece


class StreamTest(LabTest):
    """A test that has such streams."""

    def fetch(self, path):
        """A file of the control domain, by the emulator's network; megabytes do not go through the agent."""
        receiver = Receiver()
        receiver.start()
        self.addCleanup(self.run_in, "ifconfig eth0 down")
        up = "[ $(cat /sys/class/net/eth0/carrier) = 1 ]"
        self.ok("load-drivers; ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; "
                f"for i in $(seq 100); do {up} && break; usleep 100000; done; {up}")
        self.ok(f"nc 10.0.2.2 {receiver.port} <{path}", 240)
        receiver.join(120)
        self.assertEqual(len(receiver.data), int(self.ok(f"stat -c %s {path}")))
        return bytes(receiver.data)

    def verify(self, data, word):
        """The whole file in xl's form, and libxc's part of it by itself."""
        if not os.path.exists(VERIFIER):
            raise unittest.SkipTest(f"{VERIFIER} is not there: make image")
        optional = struct.unpack_from("<I", data, 44)[0]
        environment = {**os.environ, "PYTHONPATH": os.path.join(TOOLS, "lib", "python")}
        inner = data[48 + optional + 16 + 8:-8]
        for form, content in (("xl", data), ("libxc", inner)):
            with tempfile.NamedTemporaryFile() as file:
                file.write(content)
                file.flush()
                done = subprocess.run([sys.executable, VERIFIER, "-v", "-f", form, "-i", file.name], text=True,
                                      env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(done.returncode, 0, f"{form}: {done.stdout[-2000:]}")
            self.assertIn(word, done.stdout)
        return done.stdout
