# SPDX-License-Identifier: BSD-2-Clause
"""Guests that are hostile as one half of a device (tests/guests/device): front ends of the stock kernel's back ends,
with devices made by the stock scripts; and a back end of another guest's stock front end. What becomes of a guest or
of its device is its own affair. The hypervisor, the control domain's kernel and a neighbour go on; audits find
nothing; the disk that may only be read is as it was; and when it is destroyed, all that a guest took comes back."""

import collections
import os
import re
import time

from devices import BRIDGE, MIB
from labtest import CMDLINE, LONG, ON_PEER, long_one
from machine import TOP
from test_devices import Devices

DIRECTORY = "/boot/guest/hostile/device"
NEIGHBOUR = "neighbour"
# The neighbour ticks four times a second. Under emulation on a busy host it may be late, but never stop.
TICKS_PER_SECOND = 1
TIMEOUT = 90
IMAGE = "/run/hostile.img"
DISK = {"disk": [f"{IMAGE},raw,xvda,r"]}
NET = {"vif": [f"bridge={BRIDGE}"]}
QUICK = ("net_requests",)  # those that make check has time for
# What a kernel says when it goes on with something broken. A soft lockup may be the emulator's host.
BROKEN = r"kernel BUG at|BUG: (?!soft lockup)|Oops|general protection|[Uu]nable to handle|Internal error"
# Until a guest has said its last word on the console, and has shut down or crashed, and the neighbour has ticked since.
# Prints the domain, its state, seconds, the neighbour's ticks at the beginning, at the end and when all is done; what
# an audit of it says; and the console.
SCRIPT = """
name={name}; log=/var/log/xen/console/guest-$name.log
ticks() {{ grep -c 'umbra-guest: tick' /var/log/xen/console/guest-{neighbour}.log; }}
seconds() {{ read -r up _ </proc/uptime; echo ${{up%.*}}; }}
late() {{ [ $(seconds) -gt $deadline ]; }}
before=$(ticks); start=$(seconds); deadline=$((start + {timeout}))
{begin}
until grep -q '^guest-test: ' $log || late; do usleep 100000; done
while :; do
    set -- $(umbra list $name | tail -n 1)
    case $5 in *s* | *c*) break ;; esac
    ! late || break
    usleep 100000
done
result="$2 $5 $(($(seconds) - start)) $before $(ticks)"
until [ $(ticks) -gt $before ] || late; do usleep 100000; done
echo "$result $(ticks)"
umbra --json audit $name | tr -d '\\n'
echo
cat $log
"""
# The nodes of a device of guest $F whose back end is in guest $B; each half may read the other one's.
NODES = """
F=$(umbra domid victim) && B=$(umbra domid {name}) || exit 1
front=/local/domain/$F/device/{device} back=/local/domain/$B/backend/{kind}/$F/{number}
xenstore-write $back "" && xenstore-chmod $back n$B r$F && xenstore-write $front "" &&
xenstore-chmod $front n$F r$B && xenstore-write $back/frontend $front $back/frontend-id $F $back/state 1 &&
xenstore-write $front/backend $back $front/backend-id $B $front/virtual-device {number} $front/device-type disk &&
xenstore-write $front/handle {number} $front/mac 00:16:3e:01:02:04 &&
xenstore-write $front/state 1 /local/domain/$B/data/back backend/{kind}/$F/{number} || exit 1
"""
# At the front end's shell: an interface that comes is used, which is then a packet or two.
USE_NET = "(while ! ip link set eth0 up 2>/dev/null; do usleep 100000; done) & echo waits=$?"

Outcome = collections.namedtuple("Outcome", "domid state seconds ticks later audit lines")


def front_ends():
    """{name: the keys of its devices} of the guests that are front ends."""
    with open(os.path.join(TOP, "tests", "guests", "device", "objs.mk"), encoding="utf-8") as file:
        names = re.findall(r"^device-guests \+= (\w+)$", file.read(), re.M)
    return {name: NET if name.startswith("net_") else DISK for name in names if not name.startswith("back_")}


class HostileDevices(Devices):
    kept = (NEIGHBOUR,)
    before_of = before = left_before = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before_of = None

    def setUp(self):
        if ON_PEER:
            self.skipTest("what is looked for are mistakes of Umbra's")
        super().setUp()
        if self.before_of is not self.machine:
            self.footprint()
            self.create(NEIGHBOUR, memory=96, cmdline=CMDLINE + " umbra.test=often")
            self.wait_console(NEIGHBOUR, "umbra-guest: tick 2")
            type(self).before, type(self).left_before = self.measure(), self.left()
            type(self).before_of = self.machine
        self.ok(f"yes umbra | head -c {MIB} >{IMAGE}")
        self.addCleanup(self.run_in, f"rm -f {IMAGE}")

    def measure(self):
        """The footprint. The list of what the control domain has mapped grows with the most that it ever had, and
        stays: its frames count as free. Grants are audited on the way."""
        text = self.ok("umbra dmesg -c >/dev/null; umbra debug-keys g; umbra dmesg")
        listed = re.search(r"Grants of domain 0: .* in a list of (\d+) frames", text)
        self.assertTrue(listed, text)
        self.assertNotRegex(text, r"audit: [1-9]")
        parts = self.footprint()
        return {**parts, "free_kib": parts["free_kib"] + 4 * int(listed.group(1))}

    def wait_measure(self):
        """A dying domain's memory is freed in slices."""
        self.wait_left(self.left_before)
        deadline = time.monotonic() + 60 * self.machine.patience
        while (now := self.measure()) != self.before and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(now, self.before, "not all came back")

    def run_guest(self, name, begin):
        text = self.ok(SCRIPT.format(name=name, neighbour=NEIGHBOUR, begin=begin, timeout=TIMEOUT), 3 * TIMEOUT)
        head, audit, console = text.replace("\r", "").split("\n", 2)
        domid, state, seconds, before, after, later = head.split()
        return Outcome(int(domid), state, int(seconds), int(after) - int(before), int(later) - int(before), audit,
                       console.strip().split("\n"))

    def judge(self, name, outcome):
        """That the guest came through, and that nobody else was hurt."""
        console = "\n".join(outcome.lines)
        self.assertNotIn("FAIL:", console)
        self.assertRegex(outcome.lines[-1], rf"^guest-test: {name}: ok \([1-9]\d* checks\)$", console)
        self.assertIn("s", outcome.state, console)
        self.assertRegex(outcome.audit, r'"broken": ?0\b')
        self.assertGreaterEqual(outcome.ticks, outcome.seconds * TICKS_PER_SECOND - 1, "the neighbour was held up")
        self.assertGreater(outcome.later, 0, "the neighbour has stopped")
        self.assertEqual(self.broken(), "")

    def broken(self):
        """What the control domain's kernel has complained of."""
        return "\n".join(line for line in self.ok("dmesg").split("\n") if re.search(BROKEN, line))

    def file_of(self, name, **keys):
        return self.guest_file(name, kernel=f"{DIRECTORY}/{name}", memory=8, ramdisk=None, cmdline=None, **keys)

    def front_end(self, name):
        if name not in QUICK and not LONG:
            self.skipTest("longer than make check may take: UMBRA_LONG=1 runs it")
        was = self.ok(f"md5sum <{IMAGE}")
        path = self.file_of(name, **front_ends()[name])
        self.judge(name, self.run_guest(name, f"umbra create -q -e {path} || exit 1"))
        self.ok(f"umbra destroy {name}")
        self.assertEqual(self.ok(f"md5sum <{IMAGE}"), was, "what may only be read was written to")
        self.wait_measure()

    def back_end(self, name, kind, number):
        """The front end's guest goes first: what its back end has mapped keeps it, until that goes too."""
        path = self.file_of(name)
        nodes = NODES.format(name=name, kind=kind, number=number, device=f"{kind}/{number}")
        outcome = self.run_guest(name, f"umbra create -q -e {path} || exit 1\n{nodes}")
        self.judge(name, outcome)
        self.assertRegex(self.ok("umbra --json audit victim"), r'"broken": ?0\b')
        self.fails("umbra destroy victim", 1, f"held by domain {outcome.domid} (")
        self.ok(f"umbra destroy {name}")
        self.wait_gone("victim")
        self.wait_measure()

    @long_one
    def test_back_disk(self):
        self.start("victim")
        self.back_end("back_disk", "vbd", 51712)

    @long_one
    def test_back_net(self):
        self.start("victim")
        self.ask("victim", USE_NET, "waits")
        self.back_end("back_net", "vif", 0)


def _method(name):
    return lambda self: self.front_end(name)


for _name in front_ends():
    setattr(HostileDevices, f"test_front_{_name}", _method(_name))
