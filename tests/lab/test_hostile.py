# SPDX-License-Identifier: BSD-2-Clause
"""Hostile guests: each small kernel of tests/guests tries one thing on the hypervisor. Its own verdict is asserted, or
that it is crashed alone, for the reason that the hypervisor's log gives; that the hypervisor and the control domain go
on; that an ordinary guest beside it makes progress meanwhile, by the longest that it stood still; and, after all of
them, that everything came back."""

import collections
import os
import re

from compiled import with_libctl
from labtest import CMDLINE, HOME, LabTest, ON_PEER, long_one
from machine import TOP

DIRECTORY = "/boot/guest/hostile"
NEIGHBOUR = "neighbour"
# The neighbour ticks four times a second. Under emulation on a busy host it may be late, but never by more than this,
# by its own clock, from its last tick before an attack to its first one after it.
GAP_SECONDS = 2

Guest = collections.namedtuple("Guest", "vcpus memory crash umbra_only", defaults=(1, 8, None, None))


def crashed(reason):
    """A guest that must be crashed; the reason in the hypervisor's log."""
    return Guest(crash=reason)


# What a guest of tests/guests/objs.mk has that is not the rule. umbra_only: why Debian's Xen is not asked.
NEEDS = {
    **dict.fromkeys(("pt_alias_vcpu", "ptwrite_race", "race_pin", "race_base", "race_arguments", "race_pointers",
                     "sweep_pointers", "areas_on_tables", "vcpu_context", "race_grant", "exhaust_timers",
                     "storm_faults", "long_calls", "never_yields"), Guest(vcpus=2)),
    "storm_events": Guest(vcpus=3),
    "bounce_unmapped": crashed("cannot push a frame at 123456789[0-9a-f]{3}"),
    "bounce_hypervisor": crashed("cannot push a frame at ffff82d0[0-9a-f]{8}"),
    "bounce_noncanonical": crashed("cannot push a frame at 8000000007[0-9a-f]{2}"),
    "bounce_wrap": crashed("cannot push a frame at ffffffffffffff[0-9a-f]{2}"),
    "bounce_on_table": crashed("cannot push a frame at ffffffff80[0-9a-f]{6}"),
    "bounce_across": crashed("cannot push a frame at ffffffff80[0-9a-f]{3}f[0-9a-f]{2}"),
    "bounce_no_handler": crashed("exception 6 .* without a handler"),
    "bounce_user": crashed("cannot push a frame at ffff820000000[0-9a-f]{3}"),
    "bounce_failsafe": crashed("cannot push a frame at"),
    "iret_bad_frame": crashed("IRET hypercall: cannot read the frame at ffff830000200000"),
    "iret_no_user": crashed("IRET hypercall to user mode without user page tables"),
}


def all_guests():
    with open(os.path.join(TOP, "tests", "guests", "objs.mk"), encoding="utf-8") as file:
        names = re.findall(r"^guests \+= (\w+)$", file.read(), re.M)
    return {name: NEEDS.get(name, Guest()) for name in names}


# One guest from creation to its end, in one command: until it has said its last word on the console, then until the
# domain has shut down or crashed, then until the neighbour has ticked once more. Prints the domain, its state, the
# begin and the end, the neighbour's ticks at the end and when all is done; what an audit of the domain finds; what the
# neighbour's clock showed at each tick, from the last one before the creation; then the console.
SCRIPT = """
name={name}; log=/var/log/xen/console/guest-$name.log; rm -f $log
ticks() {{ grep -c 'umbra-guest: tick' /var/log/xen/console/guest-{neighbour}.log; }}
seconds() {{ read -r up _ </proc/uptime; echo $up; }}
late() {{ read -r up _ </proc/uptime; [ ${{up%.*}} -gt $deadline ]; }}
before=$(ticks); start=$(seconds); deadline=$((${{start%.*}} + {timeout}))
umbra create -q -e {paused} {directory}/guest.json name=$name kernel={directory}/$name vcpus={vcpus} memory={memory} \
    || exit 1
{prelude}until grep -q '^guest-test: ' $log || late; do usleep 100000; done
while :; do
    set -- $(umbra list $name | tail -n 1)
    case $5 in *s* | *c*) break ;; esac
    ! late || break
    usleep 100000
done
after=$(ticks)
result="$2 $5 $start $(seconds) $after"
until [ $(ticks) -gt $after ] || late; do usleep 100000; done
echo "$result $(ticks)"
echo $({audit})
echo $(sed -n 's/.*umbra-guest: tick [0-9]* at \\([0-9.]*\\) s.*/\\1/p' /var/log/xen/console/guest-{neighbour}.log |
    tail -n +$before)
cat $log
umbra destroy $name
"""
TIMEOUT = 40
# Stores to the guest's memory are logged, and the log is read and cleared all the time, before its first instruction.
PRELUDE = f"""
({HOME}/copier $(umbra domid $name) worry >{HOME}/worried 2>&1 &)
until grep -q '^on' {HOME}/worried || late; do usleep 50000; done
umbra unpause $name
"""

Outcome = collections.namedtuple("Outcome", "domid state seconds gap later lines")


class Hostile(LabTest):
    kept = (NEIGHBOUR,)
    paused = prelude = ""
    audits = ("audit",)
    before = neighbour_of = None
    went_well = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = cls.neighbour_of = None

    def setUp(self):
        super().setUp()
        if self.neighbour_of is not self.machine:
            self.footprint()
            self.create(NEIGHBOUR, memory=96, cmdline=CMDLINE + " umbra.test=pace")
            self.wait_console(NEIGHBOUR, "umbra-guest: tick 2")
            type(self).before = self.footprint()
            type(self).neighbour_of = self.machine

    def destroy_all(self):
        """Each guest's script destroys it; what a failure leaves is looked for."""
        if not self.went_well:
            super().destroy_all()

    def run_guest(self, name, guest):
        audit = "echo" if ON_PEER else "; ".join(f"umbra --json {verb} $name" for verb in self.audits)
        script = SCRIPT.format(name=name, neighbour=NEIGHBOUR, directory=DIRECTORY, timeout=TIMEOUT, audit=audit,
                               paused=self.paused, prelude=self.prelude, **guest._asdict())
        text = self.ok(script, 3 * TIMEOUT).replace("\r", "")
        head, audit, clock, console = text.split("\n", 3)
        if not ON_PEER:
            self.assertEqual(re.findall(r'"broken": ?(\d+)', audit), ["0"] * len(self.audits), audit)
        domid, state, start, end, after, later = head.split()
        times = [float(word) for word in clock.split()]
        gap = max((tick - last for last, tick in zip(times, times[1:])), default=0)
        seconds = float(end) - float(start)
        print(f"      {name}: {seconds:.1f} s, the neighbour stood still for at most {gap:.2f} s", flush=True)
        return Outcome(int(domid), state, seconds, gap, int(later) - int(after), console.strip().split("\n"))

    def one(self, name):
        guest = all_guests()[name]
        if ON_PEER and guest.umbra_only:
            self.skipTest(guest.umbra_only)
        outcome = self.run_guest(name, guest)
        console = "\n".join([*outcome.lines, *self.log_of(outcome.domid)])
        self.assertNotIn("FAIL:", console)
        if guest.crash:
            self.assert_crashed(name, guest, outcome)
        else:
            self.assertRegex(outcome.lines[-1], rf"^guest-test: {name}: ok \([1-9]\d* checks\)$", console)
            self.assertIn("s", outcome.state, console)
            self.assertNotIn("c", outcome.state, console)
        self.assertGreater(outcome.later, 0, "the neighbour has stopped")
        self.assertGreater(outcome.gap, 0, "the neighbour's clock stands still")
        if not ON_PEER:  # whose scheduler is not the question
            self.assertLessEqual(outcome.gap, GAP_SECONDS * self.machine.patience, "the neighbour was held up")
        self.went_well = True

    def log_of(self, domid):
        """What the hypervisor said about a domain."""
        return re.findall(rf"^\(XEN\) .*\bd{domid}\b.*$", self.machine.serial_log(), re.M)

    def assert_crashed(self, name, guest, outcome):
        console = "\n".join(outcome.lines)
        self.assertRegex(outcome.lines[-1], rf"^guest-test: {name}: must crash: .*, 0 failed\)$", console)
        self.assertIn("c", outcome.state, console)
        if not ON_PEER:
            reasons = [line for line in self.log_of(outcome.domid) if "crashed: " in line]
            self.assertEqual(len(reasons), 1, reasons)
            self.assertRegex(reasons[0], f"crashed: {guest.crash}")

    def test_z_all_came_back(self):
        """Last in the order of names: what the guests took is there again."""
        if self.before is None:
            self.skipTest("no guest has run")
        self.wait_footprint(self.before)
        self.went_well = True


def _method(name):
    return lambda self: self.one(name)


for _name in all_guests():
    setattr(Hostile, f"test_guest_{_name}", _method(_name))


@long_one
class Logged(Hostile):
    """The same on shadows, while the stores to their memory are logged."""

    paused, prelude = "-p", PRELUDE
    audits = ("audit", "shadow audit")

    def setUp(self):
        if ON_PEER:
            self.skipTest("Xen has no such log of a PV guest")
        super().setUp()
        self.machine.put(f"{HOME}/copier", with_libctl("copier.c"), mode=0o755)
