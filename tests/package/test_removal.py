# SPDX-License-Identifier: BSD-2-Clause
"""What the package's scripts do to what runs when umbra-tools is removed or upgraded, without systemd and dpkg: the
script is run with other places for /run and /sys, and with programs that only say how they were called."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEBIAN = os.path.join(TOP, "debian")
UNITS = os.path.join(TOP, "tools", "package", "units")


class Script(unittest.TestCase):
    """umbra-tools.prerm."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="umbra-removal-")
        self.addCleanup(directory.cleanup)
        self.top = directory.name
        with open(os.path.join(DEBIAN, "umbra-tools.prerm"), encoding="utf-8") as file:
            self.write("prerm", re.sub(r"(?<![\w/])/(run|sys)/", rf"{self.top}/\1/", file.read()))
        os.makedirs(os.path.join(self.top, "run/systemd/system"))
        self.write("run/umbra/lock")
        self.write("sys/hypervisor/version/extra", ".umbra-0.1\n")
        self.program("umbra", "echo '[]'")
        self.program("xenstore-list", "echo local")
        self.program("deb-systemd-invoke", f"echo $* >>{self.top}/invoked")

    def write(self, name, text=""):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def program(self, name, text):
        os.chmod(self.write(f"bin/{name}", f"#!/bin/sh\n{text}\n"), 0o755)

    def remove(self, action="remove"):
        """(status, what it said, what systemd was told)."""
        environment = {**os.environ, "PATH": f"{self.top}/bin:{os.environ['PATH']}"}
        done = subprocess.run(["sh", os.path.join(self.top, "prerm"), action], env=environment, capture_output=True,
                              text=True, check=False)
        invoked = os.path.join(self.top, "invoked")
        if not os.path.exists(invoked):
            return done.returncode, done.stderr, ""
        with open(invoked, encoding="utf-8") as file:
            return done.returncode, done.stderr, file.read()

    def locker(self, first):
        """A process that holds one byte of the lock's file."""
        lock = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); " \
               "fcntl.lockf(f, fcntl.LOCK_EX, 1, int(sys.argv[2])); print(flush=True); time.sleep(600)"
        process = subprocess.Popen(["python3", "-c", lock, os.path.join(self.top, "run/umbra/lock"), str(first)],
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        return process

    def test_units_stopped(self):
        units = "umbra-guests.service umbra-autostart.service umbra-daemons.service"
        self.assertEqual(self.remove(), (0, "", f"stop {units}\n"))

    def refused(self, guests):
        """It is, because of so many guests, and nothing is stopped; what it said besides."""
        status, said, invoked = self.remove()
        before, _, count = said.partition("shut down with the host any more: ")
        self.assertEqual((status, count.split("\n")[0], invoked), (1, str(guests), ""), said)
        return before

    def test_guests(self):
        """Those of another tool's do not count, and none do where Umbra does not run."""
        self.program("umbra", """echo '[{"name": "web1",\n  "config": {\n}}, {"config": null}]'""")
        self.write("run/umbra/records/of-one-that-went")
        self.assertNotIn("cannot be asked", self.refused(1))
        self.assertEqual(self.remove("upgrade"), (0, "", ""))
        self.write("sys/hypervisor/version/extra", ".5-pre\n")
        self.assertEqual(self.remove()[0], 0)

    def test_no_answer(self):
        """Of the tool, or of xenstored, without which it knows of no guest: their records' copies are counted."""
        self.write("run/umbra/records/0123.new")
        for name, text in (("umbra", "exit 1"), ("xenstore-list", "exit 1")):
            self.program(name, text)
            self.assertEqual(self.remove()[0], 0)
            os.unlink(os.path.join(self.top, "invoked"))
            self.write("run/umbra/records/0123")
            self.write("run/umbra/records/4567")
            self.assertIn("cannot be asked", self.refused(2))
            self.program("umbra", "echo '[]'")
            for record in ("0123", "4567"):
                os.unlink(os.path.join(self.top, "run/umbra/records", record))

    def test_copies_left(self):
        """They may be older than the end of their guests, and are no reason if the list can be had."""
        self.write("run/umbra/records/0123")
        self.assertEqual(self.remove()[:2], (0, ""))

    def test_supervisor_of_a_verb(self):
        """Only who holds the supervisor's byte of this file ends, and not with an upgrade."""
        supervisor, other = self.locker(0), self.locker(1)
        with open(self.write("lock"), "w", encoding="utf-8") as elsewhere:
            fcntl.lockf(elsewhere, fcntl.LOCK_EX, 1, 0)
            self.assertEqual(self.remove("upgrade"), (0, "", ""))
            self.assertIsNone(supervisor.poll())
            self.assertEqual(self.remove()[0], 0)
        self.assertEqual(supervisor.wait(60), -15)
        self.assertIsNone(other.poll())


@unittest.skipUnless(shutil.which("dh_installsystemd"), "no debhelper here")
class Snippets(unittest.TestCase):
    """What debhelper adds to the scripts, as debian/rules has it."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="umbra-snippets-")
        cls.addClassCleanup(directory.cleanup)
        cls.debian = os.path.join(directory.name, "debian")
        shutil.copytree(DEBIAN, cls.debian, ignore=lambda where, names: [n for n in names if n.startswith("umbra-")])
        shutil.copytree(UNITS, os.path.join(cls.debian, "umbra-tools/lib/systemd/system"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(["make", "-f", "debian/rules", "override_dh_installsystemd"], cwd=directory.name,
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stdout)

    def snippet(self, script):
        return os.path.join(self.debian, ".debhelper/generated/umbra-tools", f"{script}.service")

    def calls(self, script):
        """(action, unit) of each call of systemd that a script of umbra-tools gets; of two actions, the upgrade's."""
        with open(self.snippet(script), encoding="utf-8") as file:
            found = file.read()
        found = re.sub(r"_dh_action=(restart)\b(.*?)\$_dh_action", r"\2\1", found, flags=re.S)
        return set(re.findall(r"deb-systemd-invoke (\S+) '?([^' ]*)'?", found))

    def test_upgrade(self):
        """No guest is started or stopped by it, nor by the installation, which does the same or starts what it would
        restart; but from then on they are stopped with the host."""
        self.assertEqual(self.calls("postinst"), {("restart", "umbra-supervisor.service"),
                                                  ("start", "umbra-guests.service"),
                                                  ("try-restart", "umbra-daemons.service")})
        self.assertFalse(os.path.exists(self.snippet("preinst")))
        with open(self.snippet("prerm"), encoding="utf-8") as file:
            for line in file:
                if line.startswith("if "):
                    self.assertIn('[ "$1" = remove ]', line)

    def test_guests(self):
        """What is started with the package starts none, and ends with all of them."""
        with open(os.path.join(UNITS, "umbra-guests.service"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(re.findall(r"(?m)^Exec(?:Start|Stop)=.*", text),
                         ["ExecStart=/bin/true", "ExecStop=@PREFIX@/bin/umbra autostart stop"])
        self.assertIn("RemainAfterExit=yes\n", text)
        self.assertRegex(text, r"(?m)^After=.*\bumbra-autostart\.service\b")

    def test_all_that_stay_are_stopped(self):
        """By a snippet or by the script itself: every unit whose process is there as long as the unit, or which needs
        the program when it stops."""
        with open(os.path.join(DEBIAN, "umbra-tools.prerm"), encoding="utf-8") as file:
            ours = re.search(r"deb-systemd-invoke stop (.*) \|\|", file.read()).group(1).split()
        stopped = {unit for action, unit in self.calls("prerm") if action == "stop"} | set(ours)
        for name in os.listdir(UNITS):
            with open(os.path.join(UNITS, name), encoding="utf-8") as file:
                text = file.read()
            if "ExecStop=" in text or ("ExecStart=" in text and "Type=oneshot" not in text):
                self.assertIn(name, stopped)


if __name__ == "__main__":
    unittest.main()
