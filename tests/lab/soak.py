# SPDX-License-Identifier: BSD-2-Clause
"""Random operations on guests with disks and networks. A model knows what state each guest is in, so that of each
operation it is known beforehand whether it succeeds, what it says if not, and what the list of guests shows then. At
the end all guests are destroyed, and everything that they took must be there again.

A seed decides everything: UMBRA_SEED repeats a run. With few operations on few guests this is a test of make check
(test_soak.py); UMBRA_LONG=1 makes it 500 on ten. The model needs no machine (test_soak_logic.py); what runs the steps
is given a LabTest.

Guests are of two kinds: Debian's kernel with the drivers of disks and network interfaces, and tiny ones (tiny.py),
which cost next to nothing but answer nothing either."""

import collections
import dataclasses
import os
import random
import time

import devices
import load
import streams
from labtest import HOME
from tiny import SLEEP, tiny_kernel

PREFIX = "soak"
SAVED = "/run/soak.save"
KEEP = f"{streams.TAPPED} cat <{SAVED} >/dev/null"  # for Debian's verifier
LOGS = "/var/log/xen/console"
DISKS = ("xvda", "xvdb")
MEMORY = {"linux": 96, "tiny": 16}  # MiB
LEAST = {"linux": 80, "tiny": 16}   # that mem-set asks for
DISK_KIB = 256
UP = "umbra-guest: up"
NOBODY = "soak-nobody"

# What is done, in a shell of the control domain; what comes of it; and what is to be waited for: "up" (the guest's
# kernel has booted; says is on its console), "gone", or nothing.
Step = collections.namedtuple("Step", "verb guest command status words says waits timeout",
                              defaults=(0, (), "", None, 120))


@dataclasses.dataclass
class Guest:
    """What must be true of one guest. A guest that is not there has its first name."""
    number: int
    kind: str
    name: str = ""
    log: str = ""  # by what its console's log is called: its name when the console daemon came to know it
    there: bool = False
    pauses: int = 0
    disks: set = dataclasses.field(default_factory=set)
    vifs: set = dataclasses.field(default_factory=set)
    spoiled: set = dataclasses.field(default_factory=set)  # devices taken by force: its kernel has not noticed yet

    @property
    def first_name(self):
        return f"{PREFIX}{self.number}"

    @property
    def answers(self):
        """Does its kernel act on requests?"""
        return self.there and self.kind == "linux" and not self.pauses

    def image(self, disk):
        return f"/run/{self.first_name}-{disk}.img"

    def mac(self, number):
        return f"00:16:3e:50:{self.number:02x}:{number:02x}"

    def begin(self):
        """A domain of it starts: with what its configuration has, which is what it had last."""
        self.log, self.there, self.pauses, self.spoiled = self.name, True, 0, set()

    def end(self):
        self.name, self.there, self.pauses = self.first_name, False, 0
        self.disks, self.vifs, self.spoiled = set(), set(), set()


def config(guest):
    """Its configuration file: one disk and one interface if it has drivers for them."""
    keys = {"memory": MEMORY[guest.kind], "vcpus": 1, "maxvcpus": 2, "on_reboot": "restart"}
    if guest.kind == "tiny":
        return {**keys, "kernel": f"{HOME}/tiny.elf", "ramdisk": None}
    return {**keys, "ramdisk": devices.INITRD, "disk": [f"{guest.image(DISKS[0])},raw,{DISKS[0]},rw"],
            "vif": [f"mac={guest.mac(0)},bridge={devices.BRIDGE}"]}


def first_seed():
    """UMBRA_SEED, or one that nobody has had before."""
    return int(os.environ.get("UMBRA_SEED") or str(time.time_ns() % 10**9), 0)


def console_of(guest):
    return f"{LOGS}/guest-{guest.log}.log"


class Model:
    """Guests, and what may be done with them. boots: how often a kernel may still boot, or None; slow: may a step wait
    for a guest that does not answer?"""

    # How often each is chosen, of those that can be.
    WEIGHTS = {"create": 8, "create_again": 1, "destroy": 3, "shutdown": 3, "reboot": 3, "pause": 5, "unpause": 7,
               "save": 4, "rename": 4, "rename_to_taken": 2, "mem_set": 3, "mem_set_too_much": 1, "vcpu_set": 3,
               "vcpu_set_too_many": 1, "block_attach": 6, "block_attach_taken": 2, "block_detach": 5,
               "network_attach": 5, "network_detach": 5, "console": 4, "nobody": 2, "kill_supervisor": 2,
               "kill_console": 2}

    def __init__(self, seed, linux, tiny, boots=None, slow=True):
        self.random = random.Random(seed)
        kinds = ["linux"] * linux + ["tiny"] * tiny
        self.guests = [Guest(number, kind) for number, kind in enumerate(kinds)]
        for guest in self.guests:
            guest.name = guest.first_name
        self.boots, self.slow = boots, slow
        self.looks = self.names = 0

    # --- what is so ---

    def expected(self):
        """{name: is it paused?} of all guests that are there."""
        return {guest.name: guest.pauses > 0 for guest in self.guests if guest.there}

    def devices(self):
        """{name: ([disks], [addresses])}"""
        return {guest.name: (sorted(guest.disks), sorted(guest.vifs)) for guest in self.guests if guest.there}

    # --- what is done ---

    def step(self):
        """The next one. The model is then what it must be when the step is done."""
        choices = [(verb, guest) for guest in self.guests for verb in self.WEIGHTS if self.can(verb, guest)]
        weights = [self.WEIGHTS[verb] for verb, _ in choices]
        verb, guest = self.random.choices(choices, weights)[0]
        return getattr(self, verb)(guest)

    def can(self, verb, guest):
        check = getattr(self, f"can_{verb}", None)
        return check(guest) if check else guest.there

    def may_boot(self, guest):
        return guest.kind == "tiny" or self.boots is None or self.boots > 0

    def boots_now(self, guest, verb, command, **more):
        """A step at whose end its kernel has booted; what its console said before is not to be taken for that."""
        if guest.kind == "tiny":
            return Step(verb, guest.name, command, **more)
        if self.boots is not None:
            self.boots -= 1
        return Step(verb, guest.name, f": >{LOGS}/guest-{guest.name}.log; {command}", says=UP, waits="up",
                    timeout=240, **more)

    def can_create(self, guest):
        return not guest.there and self.may_boot(guest)

    def create(self, guest):
        guest.begin()
        if guest.kind == "linux":
            guest.disks, guest.vifs = {DISKS[0]}, {guest.mac(0)}
        return self.boots_now(guest, "create", f"umbra create -q {HOME}/{guest.first_name}.json")

    def create_again(self, guest):
        """Another one of its name."""
        command = f"umbra create -q {HOME}/{PREFIX}-clash.json 'name=\"{guest.name}\"'"
        return Step("create", guest.name, command, 1, ("exists",))

    def destroy(self, guest):
        name = guest.name
        guest.end()
        return Step("destroy", name, f"umbra destroy {name}", waits="gone")

    def asks(self, guest, verb):
        """A request that this guest cannot take, and what is said of that."""
        if guest.pauses:
            return Step(verb, guest.name, f"umbra {verb} {guest.name}", 1, ("paused", "unpause it first"))
        return Step(verb, guest.name, f"umbra {verb} {guest.name}", 1, ("did not take the request",))

    def can_shutdown(self, guest):
        return guest.there and (self.slow or guest.answers or guest.pauses > 0)

    def shutdown(self, guest):
        if not guest.answers:
            return self.asks(guest, "shutdown")
        name = guest.name
        guest.end()
        return Step("shutdown", name, f"umbra shutdown -w {name}", waits="gone", timeout=240)

    def can_reboot(self, guest):
        return self.can_shutdown(guest) and (not guest.answers or self.may_boot(guest))

    def reboot(self, guest):
        if not guest.answers:
            return self.asks(guest, "reboot")
        guest.begin()
        return self.boots_now(guest, "reboot", f"umbra reboot -w {guest.name}")

    def pause(self, guest):
        guest.pauses += 1
        return Step("pause", guest.name, f"umbra pause {guest.name}")

    def unpause(self, guest):
        if not guest.pauses:
            return Step("unpause", guest.name, f"umbra unpause {guest.name}", 1, ("unpause",))
        guest.pauses -= 1
        return Step("unpause", guest.name, f"umbra unpause {guest.name}")

    def save(self, guest):
        """To a file, and back."""
        command = f"umbra save {guest.name} {SAVED}"
        if guest.pauses and guest.kind == "linux":
            return Step("save", guest.name, command, 1, ("unpause it first",))
        if guest.kind == "tiny":
            return Step("save", guest.name, command, 1, ("paused" if guest.pauses else "suspend",))
        guest.begin()
        return Step("save", guest.name, f"{command} && {KEEP} && umbra restore -q {SAVED} && rm {SAVED}",
                    timeout=300)

    def rename(self, guest):
        name, self.names = guest.name, self.names + 1
        guest.name = f"{guest.first_name}-{self.names}"
        return Step("rename", guest.name, f"umbra rename {name} {guest.name}")

    def others(self, guest):
        return [other for other in self.guests if other.there and other is not guest]

    def can_rename_to_taken(self, guest):
        return guest.there and bool(self.others(guest))

    def rename_to_taken(self, guest):
        other = self.random.choice(self.others(guest))
        return Step("rename", guest.name, f"umbra rename {guest.name} {other.name}", 1, ("exists",))

    def mem_set(self, guest):
        mib = self.random.randint(LEAST[guest.kind], MEMORY[guest.kind])
        return Step("mem-set", guest.name, f"umbra mem-set {guest.name} {mib}", says=f"target {mib} MiB")

    def mem_set_too_much(self, guest):
        return Step("mem-set", guest.name, f"umbra mem-set {guest.name} 1g", 1, ("more than its maxmem",))

    def vcpu_set(self, guest):
        return Step("vcpu-set", guest.name, f"umbra vcpu-set {guest.name} {self.random.randint(1, 2)}")

    def vcpu_set_too_many(self, guest):
        return Step("vcpu-set", guest.name, f"umbra vcpu-set {guest.name} 3", 1, ("maxvcpus",))

    def can_block_attach(self, guest):
        """One that was taken by force is not given again before its kernel starts anew."""
        return guest.there and not guest.spoiled & set(DISKS)

    def block_attach(self, guest):
        disk = self.random.choice(DISKS)
        command = f"umbra block-attach {guest.name} {guest.image(disk)},raw,{disk},rw"
        if disk in guest.disks:
            return Step("block-attach", guest.name, command, 1, ("already",))
        guest.disks.add(disk)
        return Step("block-attach", guest.name, command, says="attached")

    def with_disks(self, guest):
        return [other for other in self.others(guest) if other.disks]

    def can_block_attach_taken(self, guest):
        return guest.there and len(guest.disks) < len(DISKS) and not guest.spoiled and bool(self.with_disks(guest))

    def block_attach_taken(self, guest):
        """The disk of another guest."""
        other = self.random.choice(self.with_disks(guest))
        image = other.image(self.random.choice(sorted(other.disks)))
        free = min(set(DISKS) - guest.disks)
        return Step("block-attach", guest.name, f"umbra block-attach {guest.name} {image},raw,{free},rw", 1,
                    ("in use by domain",))

    def detach(self, guest, verb, device, owned):
        """A guest that runs is asked; of one that does not it is taken."""
        command = f"umbra {verb} {'' if guest.answers else '--force '}{guest.name} {device}"
        if device not in owned:
            return Step(verb, guest.name, command, 1, (f"no {'disk' if verb[0] == 'b' else 'network interface'}",))
        owned.discard(device)
        if guest.kind == "linux" and guest.pauses:
            guest.spoiled.add(device)
        return Step(verb, guest.name, command)

    def block_detach(self, guest):
        return self.detach(guest, "block-detach", self.random.choice(DISKS), guest.disks)

    def can_network_attach(self, guest):
        """The numbers of interfaces are given anew: none is, while its kernel still has one of an older life."""
        return guest.there and not guest.spoiled and len(guest.vifs) < 2

    def network_attach(self, guest):
        mac = min({guest.mac(0), guest.mac(1)} - guest.vifs)
        guest.vifs.add(mac)
        return Step("network-attach", guest.name,
                    f"umbra network-attach {guest.name} mac={mac} bridge={devices.BRIDGE}", says="attached")

    def network_detach(self, guest):
        return self.detach(guest, "network-detach", guest.mac(self.random.randint(0, 1)), guest.vifs)

    def console(self, guest):
        """Leaves it again; a guest that runs is asked something before."""
        if not guest.answers:
            return Step("console", guest.name, f"(sleep 1; printf '\\035') | umbra console {guest.name}")
        self.looks += 1
        log, line = console_of(guest), f"echo look-$(({self.looks} + 1000000))"
        wait = f"for i in $(seq 120); do grep -q look-{self.looks + 1000000} {log} && break; usleep 500000; done"
        command = f"(sleep 1; echo '{line}'; {wait}; printf '\\035') | umbra console {guest.name}"
        return Step("console", guest.name, command, says=str(self.looks + 1000000))

    def nobody(self, guest):
        """A guest that is not there, by its name if it is one of ours."""
        name = NOBODY if guest.there else guest.name
        verb = self.random.choice(("destroy", "shutdown", "reboot", "pause", "unpause", "console", "list", "domid",
                                   "block-list", "network-list", "vcpu-list"))
        return Step(verb, name, f"umbra {verb} {name}", 1, (name,))

    def can_nobody(self, guest):  # pylint: disable=unused-argument
        return True

    def can_kill_supervisor(self, guest):
        return guest is self.guests[0]

    def kill_supervisor(self, _):
        """The next verb that needs one starts it."""
        return Step("kill", "supervisor", KILL_SUPERVISOR)

    can_kill_console = can_kill_supervisor

    def kill_console(self, _):
        """The control domain's first process starts it again; then it calls guests by the names that they have now."""
        for guest in self.guests:
            guest.log = guest.name if guest.there else guest.log
        return Step("kill", "xenconsoled", KILL_CONSOLE)


KILL_SUPERVISOR = """
pid=$(xenstore-read /umbra/supervisor)
case $(cat /proc/$pid/comm 2>/dev/null) in umbra*) kill -9 $pid ;; esac
true"""
KILL_CONSOLE = """
old=$(pidof xenconsoled) && kill -9 $old && for i in $(seq 200); do
    new=$(pidof xenconsoled) && [ "$new" != "$old" ] && sleep 1 && exit 0
    usleep 100000
done; exit 1"""


# --- on a machine -----------------------------------------------------------------------------------------------------

def prepare(test, model):
    """Files of all guests, and what a guest of each kind needs."""
    test.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
    streams.put_tap(test)
    for guest in model.guests:
        path = test.guest_file(guest.first_name, **config(guest))
        test.assertEqual(path, f"{HOME}/{guest.first_name}.json")
        for disk in DISKS:
            test.ok(f"head -c {DISK_KIB << 10} /dev/zero >{guest.image(disk)}")
    test.guest_file(f"{PREFIX}-clash", memory=16, kernel=f"{HOME}/tiny.elf", ramdisk=None)
    test.ok(KILL_SUPERVISOR)  # there may be one that was not started as others are
    start_supervisor(test)


def start_supervisor(test):
    """As whoever creates a guest does."""
    test.ok(f"umbra create -q -p {HOME}/{PREFIX}-clash.json && umbra destroy {PREFIX}-clash")
    test.wait_gone(f"{PREFIX}-clash")


def grow(test, model):
    """All guests with all that they may have, for a moment: the hypervisor's tables for the control domain are then as
    large as they get, and stay (load.py)."""
    for guest in model.guests:
        name = guest.first_name
        test.ok(f"umbra create -q -p {HOME}/{name}.json")
        for disk in DISKS[guest.kind == "linux":]:
            test.ok(f"umbra block-attach {name} {guest.image(disk)},raw,{disk},rw")
        for number in range(guest.kind == "linux", 2):
            test.ok(f"umbra network-attach {name} mac={guest.mac(number)} bridge={devices.BRIDGE}")
    for guest in model.guests:
        test.ok(f"umbra destroy {guest.first_name}")
        test.wait_gone(guest.first_name)


def everything(test):
    """What guests take: memory, channels, nodes, processes; loop devices, interfaces, files; grants and their audit."""
    dump = test.ok("umbra dmesg -c >/dev/null; umbra debug-keys g; umbra dmesg").split("\n")
    return {**load.everything(test),
            "loops": sorted(line.split(" ")[0] for line in test.ok("losetup -a").split("\n")),
            "interfaces": sorted(test.ok("ls /sys/class/net").split()),
            "files": test.ok("ls /run/umbra /run/umbra/records 2>/dev/null; true").split(),
            "grants": sorted(line.split(") ")[-1].strip() for line in dump if "Grants of" in line or "audit:" in line)}


def settled(test):
    """The same, once what went before has left no more traces that go."""
    deadline, before = time.monotonic() + 120 * test.machine.patience, everything(test)
    while time.monotonic() < deadline:
        time.sleep(1)
        now = everything(test)
        if now == before:
            return before
        before = now
    return test.fail(f"changes without an end: {before}")


def wait_back(test, before):
    deadline = time.monotonic() + 120 * test.machine.patience
    while (now := counted(test, before)) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    test.assertEqual(now, before, "not all came back")


def counted(test, before):
    """As it is now, as far as it is compared."""
    return {key: None if before[key] is None else value for key, value in everything(test).items()}


def check_list(test, model):
    """Names and states, and of some guests the devices."""
    rows = {row["name"]: row["state"] for row in test.json("umbra --json list") if row["domid"]}
    expected = model.expected()
    test.assertEqual(sorted(rows), sorted(expected), "other guests are there")
    for name, paused in expected.items():
        test.assertEqual(rows[name] == "paused", paused, f"{name} is {rows[name]}")


def check_devices(test, name, disks, macs):
    rows = test.json(f"umbra --json block-list {name}")
    test.assertEqual(sorted(row["vdev"] for row in rows), disks, name)
    rows = test.json(f"umbra --json network-list {name}")
    test.assertEqual(sorted(row["mac"] for row in rows), macs, name)


def carry_out(test, model, step):
    """One step, and what must be so then."""
    result = test.run_in(step.command, step.timeout)
    told = f"{step.command}\n{result.out}{result.err}"
    test.assertEqual(result.status, step.status, told)
    for word in step.words:
        test.assertIn(word.lower(), result.err.lower(), told)
    if step.status:
        test.assertTrue(result.err.strip(), f"fails without a word: {told}")
    if step.waits == "up":
        test.wait_console(step.guest, step.says, step.timeout)
    elif step.says:
        test.assertIn(step.says, result.out, told)
    if step.waits == "gone":
        test.wait_gone(step.guest)
    check_list(test, model)
    found = model.devices().get(step.guest)
    if found and ("attach" in step.verb or "detach" in step.verb or step.verb in ("reboot", "save")):
        check_devices(test, step.guest, *found)


def run(test, model, count):
    """So many steps. Returns how often each verb came, with success and without."""
    done = collections.Counter()
    for number in range(1, count + 1):
        step = model.step()
        started = time.monotonic()
        try:
            carry_out(test, model, step)
        except AssertionError as error:
            raise AssertionError(f"step {number}, {step.verb} {step.guest}: {error}") from error
        done[step.verb, step.status == 0] += 1
        print(f"      {number}: {step.verb} {step.guest}{' refused' if step.status else ''}, "
              f"{time.monotonic() - started:.1f} s", flush=True)
    return done


def clean_up(test):
    """Destroys all, whatever became of them. A supervisor runs again afterwards, as before."""
    names = list(test.guests())
    for name in names:
        test.ok(f"umbra destroy {name}")
    start_supervisor(test)
    for name in names:
        test.wait_gone(name)


def soak(test, model, count, grown=True):
    """Everything: from the files to the comparison at the end. Without time to let the hypervisor's tables grow, memory
    is not compared."""
    prepare(test, model)
    if grown:
        grow(test, model)
    before = settled(test)
    done = run(test, model, count)
    test.assertEqual(len(streams.judge(test)), done["save", True])
    clean_up(test)
    wait_back(test, before if grown else {**before, "free_kib": None})
    return done
