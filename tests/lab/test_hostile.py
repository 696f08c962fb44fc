# SPDX-License-Identifier: BSD-2-Clause
"""Hostile guests: each small kernel of tests/guests tries one thing on the hypervisor. Its own verdict is asserted, or
that it is crashed alone, for the reason that the hypervisor's log gives; that the hypervisor and the control domain go
on; that an ordinary guest beside it makes progress meanwhile; and, after all of them, that everything came back."""

import collections
import re

from labtest import LabTest, ON_PEER

DIRECTORY = "/boot/guest/hostile"
NEIGHBOUR = "neighbour"
# The neighbour ticks once a second. Under emulation on a busy host it may be late, but never stop.
TICKS_PER_SECOND = 0.25

Guest = collections.namedtuple("Guest", "name vcpus memory crash umbra_only", defaults=(1, 8, None, None))

# In the order of tests/guests/objs.mk. crash: the reason in the hypervisor's log; umbra_only: why Debian's Xen is not
# asked.
GUESTS = (
    Guest("pt_l1_entry"),
    Guest("pt_va_mapping"),
    Guest("pt_superpage"),
    Guest("pt_linear"),
    Guest("pt_grant_map"),
    Guest("pt_alias_vcpu", vcpus=2),
    Guest("pt_plain_store"),
    Guest("pt_reserved_bits"),
    Guest("pt_hv_slots"),
    Guest("pt_not_a_table"),
    Guest("pt_domains"),
    Guest("pt_foreign"),
    Guest("ptwrite_torn"),
    Guest("ptwrite_race", vcpus=2),
    Guest("race_pin", vcpus=2),
    Guest("race_base", vcpus=2),
    Guest("race_arguments", vcpus=2),
    Guest("multicall_nested"),
    Guest("sweep_pointers"),
    Guest("sweep_numbers"),
    Guest("reserved_fields"),
    Guest("segments"),
    Guest("areas_on_tables", vcpus=2),
    Guest("vcpu_context", vcpus=2),
    Guest("grant_copy"),
    Guest("race_grant", vcpus=2),
    Guest("exchange"),
    Guest("fifo_corrupt"),
    Guest("gdt_gates"),
    Guest("ldt_gates"),
    Guest("priv_instructions"),
    Guest("priv_ports"),
    Guest("priv_msrs"),
    Guest("priv_debug"),
    Guest("exhaust_ports"),
    Guest("exhaust_grants"),
    Guest("exhaust_memory"),
    Guest("exhaust_timers", vcpus=2),
    Guest("storm_events", vcpus=3),
    Guest("storm_faults", vcpus=2),
    Guest("storm_console"),
    Guest("long_calls", vcpus=2),
    Guest("never_yields", vcpus=2),
    Guest("bounce_unmapped", crash="cannot push a frame at 123456789[0-9a-f]{3}"),
    Guest("bounce_hypervisor", crash="cannot push a frame at ffff82d0[0-9a-f]{8}"),
    Guest("bounce_noncanonical", crash="cannot push a frame at 8000000007[0-9a-f]{2}"),
    Guest("bounce_wrap", crash="cannot push a frame at ffffffffffffff[0-9a-f]{2}"),
    Guest("bounce_on_table", crash="cannot push a frame at ffffffff80[0-9a-f]{6}"),
    Guest("bounce_across", crash="cannot push a frame at ffffffff80[0-9a-f]{3}f[0-9a-f]{2}"),
    Guest("bounce_no_handler", crash="exception 6 .* without a handler"),
    Guest("bounce_user", crash="cannot push a frame at ffff820000000[0-9a-f]{3}"),
    Guest("bounce_failsafe", crash="cannot push a frame at"),
    Guest("iret_bad_frame", crash="IRET hypercall: cannot read the frame at ffff830000200000"),
    Guest("iret_no_user", crash="IRET hypercall to user mode without user page tables"),
    Guest("iret_selectors"),
)

# One guest from creation to its end, in one command: until it has said its last word on the console, then until the
# domain has shut down or crashed. Prints the domain, its state, the seconds, the neighbour's ticks meanwhile; then the
# console.
SCRIPT = """
name={name}; log=/var/log/xen/console/guest-$name.log; rm -f $log
ticks() {{ grep -c 'umbra-guest: tick' /var/log/xen/console/guest-{neighbour}.log; }}
seconds() {{ read -r up _ </proc/uptime; echo $up; }}
late() {{ read -r up _ </proc/uptime; [ ${{up%.*}} -gt $deadline ]; }}
before=$(ticks); start=$(seconds); deadline=$((${{start%.*}} + {timeout}))
umbra create -q -e {directory}/guest.json name=$name kernel={directory}/$name vcpus={vcpus} memory={memory} || exit 1
until grep -q '^guest-test: ' $log || late; do usleep 100000; done
while :; do
    set -- $(umbra list $name | tail -n 1)
    case $5 in *s* | *c*) break ;; esac
    ! late || break
    usleep 100000
done
echo "$2 $5 $start $(seconds) $before $(ticks)"
cat $log
umbra destroy $name
"""
TIMEOUT = 40

Outcome = collections.namedtuple("Outcome", "domid state seconds ticks lines")


class Hostile(LabTest):
    kept = (NEIGHBOUR,)
    before = neighbour_of = None
    went_well = False

    def setUp(self):
        super().setUp()
        if self.neighbour_of is not self.machine:
            self.footprint()
            self.create(NEIGHBOUR, memory=96)
            self.wait_console(NEIGHBOUR, "umbra-guest: tick 2")
            type(self).before = self.footprint()
            type(self).neighbour_of = self.machine

    def destroy_all(self):
        """Each guest's script destroys it; what a failure leaves is looked for."""
        if not self.went_well:
            super().destroy_all()

    def run_guest(self, guest):
        script = SCRIPT.format(neighbour=NEIGHBOUR, directory=DIRECTORY, timeout=TIMEOUT, **guest._asdict())
        text = self.ok(script, 3 * TIMEOUT).replace("\r", "")
        head, _, console = text.partition("\n")
        domid, state, start, end, before, after = head.split()
        seconds = float(end) - float(start)
        return Outcome(int(domid), state, seconds, int(after) - int(before), console.strip().split("\n"))

    def one(self, guest):
        if ON_PEER and guest.umbra_only:
            self.skipTest(guest.umbra_only)
        outcome = self.run_guest(guest)
        console = "\n".join([*outcome.lines, *self.log_of(outcome.domid)])
        self.assertNotIn("FAIL:", console)
        if guest.crash:
            self.assert_crashed(guest, outcome)
        else:
            self.assertRegex(outcome.lines[-1], rf"^guest-test: {guest.name}: ok \([1-9]\d* checks\)$", console)
            self.assertIn("s", outcome.state, console)
            self.assertNotIn("c", outcome.state, console)
        self.assertGreaterEqual(outcome.ticks, int(outcome.seconds * TICKS_PER_SECOND), "the neighbour was held up")
        self.went_well = True

    def log_of(self, domid):
        """What the hypervisor said about a domain."""
        return re.findall(rf"^\(XEN\) .*\bd{domid}\b.*$", self.machine.serial_log(), re.M)

    def assert_crashed(self, guest, outcome):
        console = "\n".join(outcome.lines)
        self.assertRegex(outcome.lines[-1], rf"^guest-test: {guest.name}: must crash: .*, 0 failed\)$", console)
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


def _method(guest):
    def test(self):
        self.one(guest)
    return test


for _guest in GUESTS:
    setattr(Hostile, f"test_guest_{_guest.name}", _method(_guest))
