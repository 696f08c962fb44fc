# SPDX-License-Identifier: BSD-2-Clause
"""The lab's own logic, on the host: framing, verdicts, archives, command lines. No emulator is started, except that the
last class gives the lab a false one, to see that nothing is left behind."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

import channel
import emulators
import hosts
import image
import machine
import machines
import script
import verdict

HERE = os.path.dirname(os.path.abspath(__file__))


def collect(reader, data, piece):
    """Feeds data in pieces; returns ({"out": bytes, "err": bytes}, other events)."""
    sections, others = {"out": b"", "err": b""}, []
    for start in range(0, len(data), piece):
        for event in reader.feed(data[start:start + piece]):
            if event[0] in sections:
                sections[event[0]] += event[1]
            else:
                others.append(event)
    return sections, others


class SerialFraming(unittest.TestCase):
    def check(self, data, out, err, others):
        for piece in (1, 2, 3, 7, len(data)):
            sections, got = collect(channel.SerialReader("t0k"), data, piece)
            self.assertEqual((sections["out"], sections["err"], got), (out, err, others), f"pieces of {piece}")

    def test_output_and_status(self):
        self.check(b"noise\n@t0k out\nhello\n\n@t0k err\noops\n\n@t0k end 3\n", b"hello\n", b"oops\n", [("end", 3)])

    def test_empty_sections(self):
        self.check(b"\n@t0k out\n\n@t0k err\n\n@t0k end 0\n", b"", b"", [("end", 0)])

    def test_no_final_newline(self):
        self.check(b"\n@t0k out\nabc\n@t0k err\n\n@t0k end 0\n", b"abc", b"", [("end", 0)])

    def test_false_marks_are_output(self):
        text = b"\n@other end 0\n@t0 end 1\n@t0k"
        self.check(b"\n@t0k out\n" + text + b"\n@t0k err\n\n@t0k end 0\n", text, b"", [("end", 0)])

    def test_binary(self):
        data = bytes(range(256)) * 3
        self.check(b"\n@t0k out\n" + data + b"\n@t0k err\n\n@t0k end 255\n", data, b"", [("end", 255)])

    def test_ready_and_two_commands(self):
        one = b"\n@t0k out\n1\n\n@t0k err\n\n@t0k end 0\n"
        self.check(b"\n@t0k ready\n" + one + one, b"1\n1\n", b"", [("ready",), ("end", 0), ("end", 0)])


class ConsoleFraming(unittest.TestCase):
    def stream(self, text, count=None):
        line = b"@t0k + " + base64.b64encode(text) + b"."
        count = len(text) if count is None else count
        return b"\r\n@t0k out\r\n(XEN) noise\r\n" + line + b"\r\n\n@t0k err\n\n@t0k end 2 %d 0\r\n" % count

    def test_output_among_noise(self):
        for piece in (1, 5, 1000):
            sections, others = collect(channel.ConsoleReader("t0k"), self.stream(b"hi\n\x00"), piece)
            self.assertEqual((sections["out"], others), (b"hi\n\x00", [("end", 2)]))

    def test_lost_output_is_noticed(self):
        with self.assertRaises(verdict.LabError):
            collect(channel.ConsoleReader("t0k"), self.stream(b"hi", count=5), 1000)

    def test_request(self):
        line = channel.request_line("echo 'a b'\nfalse", 30)
        seconds, command = line.split()
        self.assertEqual((int(seconds), base64.b64decode(command)), (30, b"echo 'a b'\nfalse"))
        self.assertTrue(line.endswith(b"\n"))


class Verdicts(unittest.TestCase):
    def test_hypervisor_panic(self):
        log = "(XEN) boot\n(XEN) Panic on CPU 1:\n(XEN) FATAL TRAP\n"
        self.assertEqual(verdict.find_panic(log)[0], verdict.HYPERVISOR_PANIC)

    def test_control_domain_panic(self):
        log = "[    5.123456] Kernel panic - not syncing: init!\n(XEN) Hardware Dom0 crashed: reboot\n"
        self.assertEqual(verdict.find_panic(log)[0], verdict.CONTROL_PANIC)

    def test_control_domain_crashed_by_hypervisor(self):
        self.assertEqual(verdict.find_panic("(XEN) Domain 0 (vcpu#0) crashed on cpu#0:\n")[0], verdict.CONTROL_PANIC)

    def test_first_panic_counts(self):
        log = "(XEN) Panic on CPU 0:\n[    1.0] Kernel panic - not syncing: x\n"
        self.assertEqual(verdict.find_panic(log)[0], verdict.HYPERVISOR_PANIC)

    def test_guests_may_panic(self):
        for line in ("(XEN) Domain 5 (vcpu#0) crashed on cpu#0:", "(d1) [    1.0] Kernel panic - not syncing: x",
                     "echo Panic on CPU", "no [    1.0] Kernel panic - not syncing"):
            self.assertIsNone(verdict.find_panic(line + "\n"), line)

    def test_tail(self):
        self.assertEqual(verdict.tail("a\nb\x1b[2J\x07c\nd\n\n", 2), "bc\nd")

    def test_statuses_differ(self):
        values = [v for k, v in vars(verdict).items() if k.isupper() and isinstance(v, int)]
        self.assertEqual(len(values), len(set(values)))


class Archives(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def test_read_back_by_cpio(self):
        root = os.path.join(self.directory.name, "overlay")
        os.makedirs(os.path.join(root, "etc/deep"))
        with open(os.path.join(root, "etc/deep/file"), "wb") as file:
            file.write(b"odd length!\n" + bytes(7))
        os.chmod(os.path.join(root, "etc/deep/file"), 0o755)
        os.symlink("deep/file", os.path.join(root, "etc/link"))
        archive = image.cpio_archive(image.read_overlay(root))
        self.assertEqual(len(archive) % 4, 0)
        out = os.path.join(self.directory.name, "out")
        os.mkdir(out)
        subprocess.run(["cpio", "-idm", "--quiet", "--no-absolute-filenames"], input=archive, cwd=out, check=True)
        with open(os.path.join(out, "etc/link"), "rb") as file:
            self.assertEqual(file.read(), b"odd length!\n" + bytes(7))
        self.assertEqual(os.stat(os.path.join(out, "etc/deep/file")).st_mode & 0o777, 0o755)

    def test_parents_are_added(self):
        archive = image.cpio_archive({"lab/config": (0o100644, b"x")})
        names = subprocess.run(["cpio", "-t", "--quiet"], input=archive, capture_output=True, check=True).stdout
        self.assertEqual(names.split(), [b"lab", b"lab/config"])

    def test_same_bytes(self):
        members = {"b": (0o100644, b"1"), "a": (0o100644, b"2")}
        self.assertEqual(image.cpio_archive(members), image.cpio_archive(dict(reversed(members.items()))))

    def test_bad_overlay(self):
        with self.assertRaises(verdict.LabError):
            image.read_overlay(os.path.join(self.directory.name, "missing"))

    def test_grub_config(self):
        text = image.grub_config(["loglvl=none"], ["quiet"])
        self.assertIn("loglvl=none\nmodule2 /boot/vmlinuz", text)
        self.assertIn(" quiet\nmodule2 /boot/initrd", text)


class MachineLines(unittest.TestCase):
    def test_qemu(self):
        self.assertIn(machines.DEFAULT, machines.MACHINES)
        description = machines.MACHINES["qemu-nosvm"]
        hardware = emulators.Hardware(description, 3, 512, ["a,b.qcow2"])
        text = " ".join(emulators.make("build", description).command("x.iso", hardware))
        for part in ("qemu-system-x86_64 -nodefaults -accel", "-svm", "-smp 3", "-m 512", "-no-reboot",
                     "format=qcow2,file=a,,b.qcow2", "drive=disk0"):
            self.assertIn(part, text)
        self.assertNotIn("snapshot", text)

    def test_disk_that_stays_as_it_is(self):
        description = machines.MACHINES[machines.DEFAULT]
        hardware = emulators.Hardware(description, disks=["a.img", emulators.SNAPSHOT + "b.img"])
        command = emulators.make("build", description).command("x.iso", hardware)
        self.assertIn("if=none,id=disk0,format=raw,file=a.img", command)
        self.assertIn("if=none,id=disk1,format=raw,snapshot=on,file=b.img", command)
        self.assertIn("virtio-blk-pci,drive=disk1", command)

    def test_unpacked_qemu_has_its_own_firmware(self):
        description = machines.MACHINES["qemu10"]
        command = emulators.make("/b", description).command("x.iso", emulators.Hardware(description))
        self.assertEqual(command[0], "/b/cache/qemu10/usr/bin/qemu-system-x86_64")
        self.assertEqual(command[command.index("-L") + 1], "/b/cache/qemu10/usr/share/qemu")

    def test_uefi_firmware(self):
        """Its variables are each run's own; machines with a BIOS have no flash."""
        description = machines.MACHINES["qemu-uefi"]
        emulator = emulators.make("build", description)
        with tempfile.TemporaryDirectory() as directory:
            emulator.uefi_variables = os.path.join(directory, "as-packaged")
            with self.assertRaisesRegex(verdict.LabError, "as-packaged.*make deps"):
                emulator.command(os.path.join(directory, "x.iso"), emulators.Hardware(description))
            with open(emulator.uefi_variables, "wb") as file:
                file.write(b"variables")
            command = emulator.command(os.path.join(directory, "x.iso"), emulators.Hardware(description))
            copy = os.path.join(directory, "variables.fd")
            self.assertIn(f"if=pflash,format=raw,unit=1,file={copy}", command)
            self.assertIn(f"if=pflash,format=raw,unit=0,readonly=on,file={emulator.uefi_code}", command)
            with open(copy, "rb") as file:
                self.assertEqual(file.read(), b"variables")
        emulator.uefi_code = "/nowhere/code"
        self.assertIn("/nowhere/code", emulator.missing())
        bios = machines.MACHINES[machines.DEFAULT]
        self.assertNotIn("pflash", " ".join(emulators.make("build", bios).command("x.iso", emulators.Hardware(bios))))

    def test_both_ends_of_a_cable(self):
        description, macs = machines.MACHINES[machines.DEFAULT], set()
        for host in hosts.make_hosts():
            with host.cable:
                hardware = emulators.Hardware(description, host=host)
                text = " ".join(emulators.make("build", description).command("x.iso", hardware))
                self.assertIn(f"-netdev socket,id=net0,fd={host.cable.fileno()} ", text)
                self.assertIn(f"mac={host.mac}", text)
                self.assertNotIn("user", text)
                self.assertEqual(hardware.descriptors(), (host.cable.fileno(),))
                macs.add(host.mac)
        self.assertEqual(len(macs), 2)
        self.assertEqual(emulators.Hardware(description).descriptors(), ())

    def test_qemu_tells_why_it_ended(self):
        emulator = emulators.make("build", machines.MACHINES[machines.DEFAULT])
        emulator.receive_qmp(b'{"QMP": {}}\nnonsense\n')
        self.assertIsNone(emulator.reason())
        emulator.receive_qmp(b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}\n')
        self.assertEqual(emulator.reason(), "guest-reset")
        emulator.receive_qmp(b'{"return": {}}\n{"return": "CPU#0\\r\\nRAX=')
        self.assertEqual(emulator.answers, [])
        emulator.receive_qmp(b'1"}\n')
        self.assertEqual(emulator.answers, ["CPU#0\nRAX=1"])

    def test_kernel_words_of_a_machine(self):
        made = machine.Machine(name="bochs-svm", kernel_append=["quiet"])
        self.assertEqual(made.kernel_append, ["clearcpuid=xsavec", "quiet"])
        self.assertEqual(machine.Machine(name="qemu10").kernel_append, [])

    def test_missing_emulator(self):
        self.assertIn("/nowhere/cache/qemu10", emulators.make("/nowhere", machines.MACHINES["qemu10"]).missing())

    def test_bochs(self):
        with tempfile.TemporaryDirectory() as directory:
            emulator = emulators.make("build", machines.MACHINES["bochs"])
            emulator.directory = directory
            emulator.command("x.iso", emulators.Hardware(machines.MACHINES["bochs"], 4, 1024))
            with emulator.listen("console") as console, emulator.listen("agent") as agent:
                emulator.line_options({"console": console, "agent": agent})
                ports = [listener.getsockname()[1] for listener in (console, agent)]
            with open(os.path.join(directory, "config"), encoding="utf-8") as file:
                config = file.read()
            for part in ("count=4", "guest=1024", "path=x.iso", *(f"dev=127.0.0.1:{port}" for port in ports)):
                self.assertIn(part, config)

    def test_end_of_bochs(self):
        start = "[SYS   ] bx_pc_system_c::Reset(HARDWARE) called\n"
        for log, reason, reset in ((start, None, False), (start * 2, "guest-reset", True),
                                   (start + ">>PANIC<< ACPI control: soft power off\n", "guest-shutdown", False)):
            with tempfile.TemporaryDirectory() as directory:
                emulator = emulators.make("build", machines.MACHINES["bochs"])
                emulator.directory = directory
                with open(os.path.join(directory, "log"), "w", encoding="utf-8") as file:
                    file.write(log)
                self.assertEqual((emulator.reason(), emulator.is_reset()), (reason, reset))


class Hosts(unittest.TestCase):
    def setUp(self):
        self.pair = hosts.Pair(lambda host: machine.Machine(host=host))
        self.addCleanup(self.pair.close)

    def files(self, of):
        return {path: data.decode() for path, (_, data) in of.host.files.items()}

    def test_names_and_keys(self):
        east, west = (self.files(each) for each in self.pair.machines)
        self.assertEqual((east["etc/hostname"], west["etc/hostname"]), ("east\n", "west\n"))
        self.assertIn("10.0.0.1 east\n10.0.0.2 west\n", east["etc/hosts"])
        self.assertEqual((east["etc/address"], west["etc/address"]), ("10.0.0.1/24\n", "10.0.0.2/24\n"))
        for same in ("etc/hosts", "etc/ssh/id_ed25519", "etc/ssh/authorized_keys", "etc/ssh/ssh_known_hosts"):
            self.assertEqual(east[same], west[same])
        self.assertNotEqual(east["etc/ssh/host_key"], west["etc/ssh/host_key"])
        self.assertRegex(east["etc/ssh/ssh_known_hosts"], r"^east,10.0.0.1 ssh-ed25519 \S+ east\nwest,10.0.0.2 ssh-ed")
        for path, (mode, _) in self.pair.east.host.files.items():
            if "PRIVATE" in east[path]:
                self.assertEqual(mode & 0o777, 0o600, path)

    def test_keys_of_each_run_are_its_own(self):
        other = hosts.Pair(lambda host: machine.Machine(host=host))
        self.addCleanup(other.close)
        for path in ("etc/ssh/id_ed25519", "etc/ssh/host_key"):
            self.assertNotEqual(self.files(other.east)[path], self.files(self.pair.east)[path])

    def test_cable_is_pulled(self):
        """By the emulator's monitor, which knows the card by what it is plugged into."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            self.addCleanup(end.close)
        with mock.patch.dict(self.pair.east._sockets, qmp=ours):  # pylint: disable=protected-access
            self.pair.east.set_link(False)
        self.assertEqual(json.loads(theirs.recv(1000)),
                         {"execute": "set_link", "arguments": {"name": "net0", "up": False}})

    def test_end_of_one_ends_the_wait_for_the_other(self):
        """With both logs."""
        east, west = self.pair.machines
        for each in self.pair.machines:
            each.emulator.process = mock.Mock(**{"poll.return_value": None})
            self.addCleanup(setattr, each.emulator, "process", None)
        east._log += b"east boots\n"
        west._log += b"west boots\n(XEN) Panic on CPU 1:\n"
        with self.assertRaises(verdict.MachineEnded) as caught:
            east._wait(lambda: None, 5, "nothing")
        self.assertEqual((caught.exception.status, str(caught.exception)),
                         (verdict.HYPERVISOR_PANIC, "west: hypervisor panic"))
        for words in ("log of east\neast boots", "log of west\nwest boots"):
            self.assertIn(words, self.pair.serial_tail())
        self.assertTrue(east.is_usable())
        self.assertFalse(self.pair.is_usable())
        self.pair.part()
        with self.assertRaises(verdict.MachineEnded) as caught:
            east._wait(lambda: None, 0.1, "nothing")
        self.assertEqual(caught.exception.status, verdict.HANG)


class Runner(unittest.TestCase):
    def test_modules_with_pairs_are_known_by_name(self):
        runner = script.load(os.path.join(os.path.dirname(HERE), "run"))
        found = [name for name in runner.modules_in(HERE) if runner.needs_pair(name)]
        self.assertIn("test_two_hosts", found)
        for name in runner.modules_in(HERE):
            with open(os.path.join(HERE, name + ".py"), encoding="utf-8") as file:
                if "PairTest" in file.read():
                    self.assertIn(name, found)


class UnitProgramOutput(unittest.TestCase):
    def test_tap(self):
        text = "1..3\nok 1 - one\nnot ok 2 - two\n# a.c:3: error\n# more\nok 3 - three # SKIP\n"
        runner = script.load(os.path.join(os.path.dirname(HERE), "run"))
        self.assertEqual(runner.read_tap(text), [(True, False, "one", []),
                                                 (False, False, "two", ["a.c:3: error", "more"]),
                                                 (True, True, "three", [])])

    def test_a_failure_tells_how_to_repeat_it(self):
        runner = script.load(os.path.join(os.path.dirname(HERE), "run"))
        done = subprocess.CompletedProcess([], 1, b"two: UMBRA_SEED=0x17\n1..1\nnot ok 1 - two\n# a.c:3: error\n",
                                           b"d1 should have 5\n")
        tally, said = runner.Tally(), io.StringIO()
        with contextlib.redirect_stdout(said):
            runner.report_unit_program(tally, "test_two", done, 0)
        self.assertEqual([(name, [line.strip() for line in lines]) for name, lines in tally.failed],
                         [("test_two.two", ["a.c:3: error", "d1 should have 5", "two: UMBRA_SEED=0x17"])])


FALSE_QEMU = """#!/bin/sh
# Connects like the emulator would and then hangs.
exec python3 -c '
import socket, sys, time
held = []
for word in sys.argv:
    for part in word.split(","):
        if part.startswith("path="):
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].connect(part[5:])
time.sleep(600)
' "$@"
"""

FALSE_END = FALSE_QEMU.replace("time.sleep(600)", """
held[2].recv(1)  # the lab has accepted all three
held[2].sendall(b"%s")
print("ERROR: assertion failed", file=sys.stderr)
sys.stderr.flush()
import os, signal
os.kill(os.getpid(), signal.SIGABRT)""")


class NothingIsLeft(unittest.TestCase):
    """The lab ends an emulator that hangs, whatever ends the lab."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = directory.name
        self.tmp = os.path.join(self.top, "tmp")
        self.make("bin/qemu-system-x86_64", FALSE_QEMU)
        self.make("bin/grub-mkrescue", "#!/bin/sh\nshift\n: >\"$2\"\n")
        for name in ("umbra.gz", "image/vmlinuz", "image/initrd", "image/network.zst"):
            self.make("build/" + name, "x")
        os.mkdir(self.tmp)

    def make(self, name, text):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def start(self, *options, verb="run"):
        environment = dict(os.environ, PATH=f"{self.top}/bin:{os.environ['PATH']}", TMPDIR=self.tmp)
        return subprocess.Popen([sys.executable, os.path.join(HERE, "lab"), verb, "--build", self.top + "/build",
                                 *options, "--", "true"], env=environment, stderr=subprocess.PIPE, text=True)

    def emulators(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if self.tmp.encode() in file.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def wait_for(self, condition, what):
        deadline = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def check_clean(self):
        self.wait_for(lambda: not self.emulators(), "an emulator is left")
        self.assertEqual(os.listdir(self.tmp), [])

    def test_hang(self):
        lab = self.start("--timeout", "1")
        _, err = lab.communicate(timeout=30)
        self.assertEqual(lab.returncode, verdict.HANG, err)
        self.assertIn("lab: ", err.strip().split("\n")[-1])
        self.check_clean()

    def test_pair_hangs(self):
        lab = self.start("--timeout", "2", verb="pair")
        self.wait_for(lambda: len(self.emulators()) == 2, "there are not two emulators")
        _, err = lab.communicate(timeout=30)
        self.assertEqual(lab.returncode, verdict.HANG, err)
        for name in ("log of east", "log of west"):
            self.assertNotIn(name, err)  # neither said anything
        self.check_clean()

    def test_emulator_aborts(self):
        """Without a word on its monitor the emulator itself has failed: its signal and its message are told."""
        self.make("bin/qemu-system-x86_64", FALSE_END % "")
        lab = self.start("--timeout", "60")
        _, err = lab.communicate(timeout=30)
        self.assertEqual(lab.returncode, verdict.LAB_ERROR, err)
        self.assertIn(f"signal {int(signal.SIGABRT)}: ERROR: assertion failed", err)
        self.check_clean()

    def test_machine_resets(self):
        event = r'{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}\n'
        self.make("bin/qemu-system-x86_64", FALSE_END % event)
        lab = self.start("--timeout", "60")
        _, err = lab.communicate(timeout=30)
        self.assertEqual(lab.returncode, verdict.RESET, err)
        self.assertIn("guest-reset", err)
        self.check_clean()

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            lab = self.start()
            self.wait_for(self.emulators, "the emulator did not start")
            time.sleep(0.2)
            lab.send_signal(number)
            lab.communicate(timeout=30)
            self.assertEqual(lab.returncode, 128 + number)
            self.check_clean()

    def test_killed(self):
        lab = self.start()
        self.wait_for(self.emulators, "the emulator did not start")
        lab.kill()
        lab.communicate(timeout=30)
        self.wait_for(lambda: not self.emulators(), "an emulator is left")

    def test_missing_hypervisor(self):
        lab = self.start("--hypervisor", os.path.join(self.top, "none"))
        _, err = lab.communicate(timeout=30)
        self.assertEqual(lab.returncode, verdict.LAB_ERROR, err)
        self.assertIn("none", err)
        self.check_clean()

    def test_wrong_machine(self):
        lab = self.start("--machine", "pdp11")
        _, err = lab.communicate(timeout=30)
        self.assertEqual(lab.returncode, verdict.LAB_ERROR, err)
        self.assertIn("qemu-svm", err)


if __name__ == "__main__":
    unittest.main()
