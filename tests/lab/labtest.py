# SPDX-License-Identifier: BSD-2-Clause
"""What the lab's tests share: booted machines or pairs of them, kept from test to test because a boot costs many
seconds of emulation, and the handling of guests. What ended is replaced; what cannot boot fails once and is then
skipped."""

import atexit
import contextlib
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
import weakref

import hosts
import machines
import ramdisk
from machine import Machine, TOP
from verdict import LabError, MachineEnded

HERE = os.path.join(TOP, "tests", "lab")
BUILD = os.environ.get("UMBRA_BUILD", os.path.join(TOP, "build"))
HYPERVISOR = os.environ.get("UMBRA_LAB_HYPERVISOR")
ON_PEER = HYPERVISOR is not None and "xen" in os.path.basename(HYPERVISOR)
STOCK_KERNEL = "/boot/guest/vmlinuz"
CMDLINE = "console=hvc0 loglevel=4"
HOME = "/root"  # in the control domain
LONG = bool(os.environ.get("UMBRA_LONG"))
long_one = unittest.skipUnless(LONG, "longer than make check may take: UMBRA_LONG=1 runs it")
QUICK_KERNEL = "/boot/guest/vmlinux.zst"
GUEST_INITRD = "/boot/guest/initrd.img"

WHERE = r"""
exec 2>&1
umbra vcpu-list {name}
for tool in "xenctx -C" xen-hvmctx "xenctx -C" xen-hvmctx; do
    /usr/lib/xen-4.17/bin/$tool $(umbra domid {name}) | grep -v 'mm[0-9]\|^ *(0x'
    sleep 1
done
"""

# Looks for a name in the list again and again until /run/watching goes; the number of each look that misses it is a
# line in /run/missed. The pause leaves the processors to the rebuild that is being looked at.
LOOKER = """
: > /run/missed; : > /run/watching
(n=0; while [ -e /run/watching ]; do
    umbra list | grep -q '^{name} ' || echo $n >> /run/missed
    n=$((n + 1)); echo $n > /run/looks
    usleep 100000
done; rm -f /run/looking) >/dev/null 2>&1 &
: > /run/looking
"""

_machines = {}
_failures = {}
_grown = weakref.WeakSet()


def quick_kernel_overlay():
    """The packaged kernel's ELF image as zstd: unpacking its xz takes seconds of emulation for each guest, and these
    tests create many. What is tested with the packaged file itself names STOCK_KERNEL. Returns the directory."""
    directory = os.path.join(BUILD, "image", "lab-overlay")
    target = directory + QUICK_KERNEL
    source = os.path.join(BUILD, "image", "vmlinuz")
    if os.path.exists(target) and os.path.getmtime(target) >= os.path.getmtime(source):
        return directory
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as file:
        image = file.read()
    # Boot protocol: setup_sects at 0x1f1, payload_offset and payload_length at 0x248.
    offset, length = struct.unpack_from("<II", image, 0x248)
    offset += (image[0x1f1] + 1) * 512
    elf = lzma.LZMADecompressor().decompress(image[offset:offset + length])
    unfinished = f"{target}.{os.getpid()}"  # another process may be at it too
    subprocess.run(["zstd", "-q", "-f", "-9", "-o", unfinished], input=elf, check=True)
    os.replace(unfinished, target)
    return directory


def test_guests_overlay():
    """The kernels of tests/guests, for tests/lab/test_hostile.py. Returns the directory, this process's own."""
    directory = os.path.join(BUILD, "image", f"guests-overlay.{os.getpid()}")
    target = os.path.join(directory, "boot", "guest", "hostile")
    shutil.rmtree(directory, ignore_errors=True)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    shutil.copytree(os.path.join(BUILD, "guests"), target)
    with open(os.path.join(target, "guest.json"), "w", encoding="utf-8") as file:
        json.dump({"name": "guest", "memory": 8, "kernel": "replaced by the test"}, file)
    return directory


def peer_file():
    """Debian's Xen."""
    return os.path.join(BUILD, "image", "xen-4.17-amd64.gz")


def release_file():
    """Ours without assertions (make release): what packages have, and measurements."""
    return os.path.join(BUILD, "release", "umbra.gz")


def hypervisor_file():
    return peer_file() if HYPERVISOR == "xen" else HYPERVISOR


def new_machine(name=machines.DEFAULT, **options):
    overlays = [quick_kernel_overlay(), ramdisk.overlay(BUILD), test_guests_overlay(), *options.pop("overlays", ())]
    hypervisor = options.pop("hypervisor", None) or hypervisor_file()
    return Machine(build=BUILD, name=name, hypervisor=hypervisor, overlays=overlays, **options)


def new_pair(log=None, peer=None, **options):
    """A log is that of east; the one of west stands beside it. On the host called peer runs Debian's Xen."""
    return hosts.Pair(lambda host: new_machine(host=host, log=log and hosts.log_of(log, host),
                                               hypervisor=peer_file() if host.name == peer else None, **options))


def shared_machine(name=machines.DEFAULT, **options):
    """A booted machine of this kind. Options must be hashable."""
    return _shared(new_machine, name=name, **options)


def shared_pair(**options):
    """Two booted machines, both of this kind."""
    return _shared(new_pair, **options)


def _shared(make, **options):
    """What make makes, booted, and nothing else runs beside it."""
    key = _key(make, **options)
    if key in _failures:
        raise unittest.SkipTest(f"the machine did not boot: {_failures[key]}")
    make_room(key)
    if key in _machines:
        return _machines[key]
    machine = _machines[key] = make(**options)
    try:
        machine.boot()
    except (MachineEnded, LabError) as error:
        _failures[key] = str(error)
        raise AssertionError(f"{error}\n{machine.serial_tail()}") from error
    return machine


def _key(make, **options):
    return make, tuple(sorted(options.items()))


def make_room(wanted=None):
    """Powers off all machines but the wanted one, so that one emulator runs at a time, or one pair of them. The usual
    machine only stands still until it is wanted."""
    for key, machine in list(_machines.items()):
        if key == _key(new_machine, name=machines.DEFAULT) and machine.is_usable():
            (machine.go_on if key == wanted else machine.stand_still)()
        elif key != wanted or not machine.is_usable():
            _end(_machines.pop(key))


def _end(machine, polite=True):
    """Powers it off; without politeness the emulator is just ended."""
    if polite and machine.is_usable():
        with contextlib.suppress(MachineEnded):
            machine.poweroff(30)
    machine.close()


def close_machines(polite=True):
    for machine in _machines.values():
        _end(machine, polite)
    _machines.clear()


class LabTest(unittest.TestCase):
    """A test on a shared machine; a subclass may name another one. Guests that a test leaves are destroyed after it,
    those named in kept after the last test of the class."""

    machine_name = machines.DEFAULT
    machine_options = {}
    kept = ()
    shared = None

    def setUp(self):
        self.machine = shared_machine(self.machine_name, **self.machine_options)
        self.addCleanup(self.destroy_all)
        type(self).shared = self.machine

    @classmethod
    def setUpClass(cls):
        cls.shared = None  # not that of the class it is derived from

    @classmethod
    def tearDownClass(cls):
        for name in cls.kept:
            if cls.shared and cls.shared.is_usable():  # not before the first setUp
                cls.shared.check(f"umbra destroy {name}")

    def run_in(self, command, timeout=120):
        try:
            return self.machine.run(command, timeout)
        except MachineEnded as error:
            raise AssertionError(f"{command}: {error}\n{self.machine.serial_tail()}") from error

    def ok(self, command, timeout=120):
        result = self.run_in(command, timeout)
        self.assertEqual(result.status, 0, f"{command}\n{result.out}{result.err}")
        return result.out

    def fails(self, command, status, *words, timeout=120):
        """The command must end with this status (or one of these) and its error text must contain the words; returns
        the text. That something is said, and in one piece, is checked as well."""
        result = self.run_in(command, timeout)
        statuses = status if isinstance(status, tuple) else (status,)
        self.assertIn(result.status, statuses, f"{command}\n{result.out}{result.err}")
        self.assertTrue(result.err.strip(), f"{command}: fails without a word")
        for word in words:
            self.assertIn(word.lower(), result.err.lower(), command)
        return result.err

    def json(self, command):
        text = self.ok(command)
        try:
            return json.loads(text)
        except ValueError as error:
            raise AssertionError(f"{command}: not JSON ({error}):\n{text}") from error

    def put_program(self, path, source, *libraries):
        """Compiles a C source of tests/lab here and puts the program there."""
        with tempfile.TemporaryDirectory() as directory:
            program = os.path.join(directory, "program")
            command = ["gcc", "-s", "-Os", "-Wall", "-Wextra", "-Werror", os.path.join(HERE, source), "-o", program]
            subprocess.run([*command, *libraries], check=True)
            with open(program, "rb") as file:
                self.machine.put(path, file.read(), mode=0o755)

    # --- guests ---------------------------------------------------------------------------------------------------

    def guest_file(self, name, /, **keys):
        """Writes a guest's configuration; a key given as None is left out. What an earlier guest of the name said is
        removed. Returns the file's path."""
        config = {"name": name, "type": "pv", "memory": 128, "vcpus": 1, "kernel": QUICK_KERNEL,
                  "ramdisk": GUEST_INITRD, "cmdline": CMDLINE}
        config.update(keys)
        if config["cmdline"] and self.machine.description.kernel:
            config["cmdline"] += " " + self.machine.description.kernel
        config = {key: value for key, value in config.items() if value is not None}
        path = f"{HOME}/{name}.json"
        self.machine.put(path, json.dumps(config, indent=4).encode(), f"rm -f /var/log/xen/console/guest-{name}.log")
        return path

    def create(self, name, /, **keys):
        path = self.guest_file(name, **keys)
        return int(self.ok(f"umbra create {path} && umbra domid {name}").split("\n")[-2])

    def console_log(self, name):
        return self.run_in(f"cat /var/log/xen/console/guest-{name}.log 2>/dev/null").out.replace("\r", "")

    def wait_console(self, name, pattern, timeout=120):
        """Waits for a pattern in a guest's console log; returns the match."""
        deadline = time.monotonic() + timeout * self.machine.patience
        while True:
            text = self.console_log(name)
            match = re.search(pattern, text)
            if match:
                return match
            if time.monotonic() > deadline:
                self.fail(f"{name}: {pattern!r} not on its console within {timeout} s; it ends:\n{text[-1500:]}\n"
                          + self.where(name))
            time.sleep(0.5)

    def where(self, name):
        """Of a guest that does not get on: what each of its vCPUs does, twice."""
        return self.run_in(WHERE.format(name=name)).out

    def type_in(self, name, line, answer, timeout=120):
        """Types a line on a guest's console with umbra console, waits for the answer, types the character that leaves
        the console; returns what it showed. Fails if there was no answer."""
        log = f"/var/log/xen/console/guest-{name}.log"
        wait = f"for i in $(seq {timeout * 2}); do grep -q '{answer}' {log} && break; usleep 500000; done; sleep 1"
        self.machine.put("/run/typed", line.encode() + b"\n")
        command = f"(sleep 1; cat /run/typed; {wait}; printf '\\035') | umbra console {name}"
        shown = self.ok(command, timeout + 10)
        self.wait_console(name, f"(?m){answer}", 0)
        return shown

    def guests(self):
        """{name: (domid, memory, vcpus, state)} of all domains but the control domain."""
        rows = {}
        for line in self.ok("umbra list").strip().split("\n")[1:]:
            name, domid, memory, vcpus, state, _ = line.split()
            if domid != "0":
                rows[name] = (int(domid), int(memory), int(vcpus), state)
        return rows

    def row(self, name):
        """What the list in JSON says of it."""
        return next(row for row in self.json("umbra --json list") if row["name"] == name)

    def wait_gone(self, name, timeout=120):
        deadline = time.monotonic() + timeout * self.machine.patience
        while name in self.guests():
            if time.monotonic() > deadline:
                self.fail(f"{name} is still there after {timeout} s: {self.guests()[name]}")
            time.sleep(0.5)

    def wait_online(self, name, vcpus, timeout=60):
        deadline = time.monotonic() + timeout * self.machine.patience
        while self.guests()[name][2] != vcpus:
            self.assertLess(time.monotonic(), deadline, f"{name}: not {vcpus} virtual CPUs online")
            time.sleep(0.5)

    # --- who looks whether a guest is in the list -------------------------------------------------------------------

    def start_looking(self, name):
        self.addCleanup(self.run_in, "rm -f /run/watching")
        self.ok(LOOKER.format(name=name))

    def stop_looking(self):
        """How often it was looked, and which of these looks missed the name."""
        self.ok("rm /run/watching; while [ -e /run/looking ]; do usleep 50000; done")
        looks, missed = self.ok("cat /run/looks; echo @; cat /run/missed").split("@\n")
        return int(looks), [int(number) for number in missed.split()]

    def never_missed(self, least):
        """It was looked so often at least, and the name was always there."""
        looks, missed = self.stop_looking()
        self.assertGreaterEqual(looks, least)
        self.assertEqual(missed, [], f"of {looks} looks at the list")

    def destroy_all(self):
        if not self.machine.is_usable():
            return
        for name in self.guests():
            if name not in self.kept:
                self.run_in(f"umbra destroy {name}")

    # --- what must come back --------------------------------------------------------------------------------------

    def grow(self):
        """What the first guest of a machine makes the hypervisor keep for the control domain (tables of grant mappings
        and of event channels, which grow and stay) is no loss: one guest runs before anything is compared."""
        if self.machine not in _grown:
            _grown.add(self.machine)
            self.create("first", vcpus=2)
            self.wait_console("first", "umbra-guest: up")
            self.ok("umbra destroy first")
            self.wait_gone("first")

    def footprint(self):
        """What guests take and must give back: free memory, the control domain's event channels, xenstore nodes."""
        self.grow()
        parts = self.ok("umbra --json info; echo @; lsevtchn 0; echo @; xenstore-ls -f").split("@\n", 2)
        info = json.loads(parts[0])
        free = info["free_memory_kib"] + info["scrub_memory_kib"] - info["outstanding_claims_kib"]
        nodes = sorted(line.split(" = ")[0] for line in parts[2].split("\n"))
        nodes = [node for node in nodes if not node.startswith("/tool/xenstored")]
        return {"free_kib": free, "channels": parts[1].count("\n"), "nodes": nodes}

    def wait_footprint(self, before, timeout=120):
        """The hypervisor frees a dying domain's memory in slices, so what comes back may take a moment."""
        deadline = time.monotonic() + timeout * self.machine.patience
        while True:
            now = self.footprint()
            if now == before or time.monotonic() > deadline:
                self.assertEqual(now, before, "not all came back")
                return
            time.sleep(0.5)


class OnHost(LabTest):
    """One machine of a pair, with all that a test does on a machine."""

    def __init__(self, machine):
        super().__init__()
        self.machine, self.name = machine, machine.host.name


class PairTest(unittest.TestCase):
    """A test on two shared machines: self.east.ok(command), self.west.create(name, ...). Guests that are left are
    destroyed after each test."""

    pair_options = {}

    def setUp(self):
        self.pair = shared_pair(**self.pair_options)
        self.east, self.west = OnHost(self.pair.east), OnHost(self.pair.west)
        for host in (self.east, self.west):
            self.addCleanup(host.destroy_all)
