# SPDX-License-Identifier: BSD-2-Clause
"""Core files of dump-core, as Debian's crash reads them: it runs on this host, with the symbols of the guests' kernel
(make crash-symbols, build/cache/crash). The files come out of the machine by disks."""

import os
import re
import subprocess
import tempfile
import unittest

from labtest import BUILD, LabTest, long_one

CACHE = os.path.join(BUILD, "cache", "crash")
LIBRARIES = os.path.join(CACHE, "root", "usr", "lib", "x86_64-linux-gnu")
ROOM = 128 << 20
INIT_TASK = "p &init_task"
LISTED = "list task_struct.tasks -s task_struct.comm,pid -h {}"
GUESTS = {"vda": ("kept", {}), "vdb": ("shadowed", {"type": "pvh", "hap": False})}


def crash(core, *commands):
    """What crash says to these."""
    program = os.path.join(CACHE, "root", "usr", "bin", "crash")
    done = subprocess.run([program, "-s", os.path.join(CACHE, "vmlinux"), core], text=True, check=False,
                          input="".join(f"{command}\n" for command in (*commands, "quit")),
                          env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300)
    return done.stdout


@long_one
class Crash(LabTest):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(os.path.join(CACHE, "vmlinux")):
            raise unittest.SkipTest("there are no symbols: make crash-symbols")
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.cores = {name: os.path.join(directory.name, name) for name in GUESTS}
        for path in cls.cores.values():
            with open(path, "wb") as file:
                file.truncate(ROOM)
        cls.machine_options = {"disks": tuple(cls.cores.values())}

    def dump(self, disk):
        """The core file of a guest of two vCPUs, out here."""
        name, keys = GUESTS[disk]
        self.create(name, memory=96, vcpus=2, **keys)
        self.wait_console(name, "umbra-guest: tick 3\n")
        document = self.json(f"umbra --json dump-core {name} /run/core")
        self.ok(f"dd if=/run/core of=/dev/{disk} bs=1M conv=fsync && rm /run/core && umbra destroy {name}", 240)
        os.truncate(self.cores[disk], document["bytes"])
        return self.cores[disk]

    def test_crash_reads_it(self):
        for disk, (name, _) in GUESTS.items():
            with self.subTest(guest=name):
                core = self.dump(disk)
                said = crash(core, "sys", "bt -a", "log", INIT_TASK)
                self.assertRegex(said, r"CPUS: 2\n")
                self.assertRegex(said, r"RELEASE: 6\.1\.\S+-amd64\n")
                self.assertRegex(said, r"MEMORY: 95\.\d MB\n")
                self.assertIn("Linux version 6.1.", said)
                traces = said.split("PID: 0 ")[1:]
                self.assertEqual([re.search(r"CPU: (\d)", trace).group(1) for trace in traces], ["0", "1"], said)
                for trace in traces:
                    self.assertIn("cpu_startup_entry at", trace)
                tasks = crash(core, LISTED.format(re.search(r"struct task_struct \*\) 0x([0-9a-f]+)", said).group(1)))
                self.assertRegex(tasks, r'comm = "init\\000')
                self.assertRegex(tasks, r'comm = "kthreadd\\000')
