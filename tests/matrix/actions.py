#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a cell does between power-on and power-off, and the process that runs one cell:

    actions.py CELL --build DIR --log FILE

It writes what it does to its standard output. Exit status: 0 passed; 1 a check failed; 77 skipped, and the last line is
the reason; a status of tests/lab/verdict.py when the machine panicked, reset, hung or did not power off."""

import argparse
import contextlib
import os
import re
import signal
import struct
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]
import cells  # noqa: E402
import chart  # noqa: E402
import churn  # noqa: E402
import emulators  # noqa: E402
import labtest  # noqa: E402
import load  # noqa: E402
import machines  # noqa: E402
import moves  # noqa: E402
import random_calls  # noqa: E402
import streams  # noqa: E402
import verdict  # noqa: E402

SKIPPED = 77
STARTED = time.monotonic()
CYCLES = 8
GUESTS = 6
MOVES = 4  # even: it ends where it began
FUZZED = {"pv": 800000, "shadow": 200000, "hap": 200000}  # calls of a cell: its two together a million
# Sixty processes or so, then pages: the zeros and their sum are the same everywhere.
WORK = "i=0; while [ $i -lt 40 ]; do (ls /bin >/dev/null) & i=$((i + 1)); done; wait; " \
       "dd if=/dev/zero of=/tmp/x bs=1M count=16 2>/dev/null; md5sum /tmp/x; echo all-$((40 + 2))-done"
SUM_OF_ZEROS = "2c7ab85a893283e98c931e9511add182"
# SGDT, SIDT, STR and SMSW, as any user program may execute them, then exit(0).
STORE_REGISTERS = bytes.fromhex("0f014424e0 0f014c24e0 0f00c8 0f01e0 31ff b83c000000 0f05")
# No guest of a cell may be crashed by the hypervisor, but where that is part of the action.
CRASHING = ("fuzz",)
CRASH = re.compile(r"^\(XEN\).* d\d+ crashed:.*", re.M)


def small_program(code):
    """The smallest ELF file that runs this code."""
    start, size = 0x400000, 64 + 56 + len(code)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, start + 120, 64, 0, 0, 64, 56, 1,
                         0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 4096) + code


def say(text):
    print(f"{time.monotonic() - STARTED:7.1f}  {text}", flush=True)


class Actions(labtest.LabTest):
    """A machine that has booted, and one method for each action of the table. Of a pair it is the first, and others has
    the second."""

    def __init__(self, cell, machine, others=()):
        super().__init__()
        self.cell, self.machine, self.others = cell, machine, others

    def run_in(self, command, timeout=120):
        result = super().run_in(command, timeout)
        if "console/guest-" not in command:
            say(f"{command.split(chr(10))[0][:160]} -> {result.status}")
        return result

    def keys(self, **more):
        """Of a guest of this cell."""
        found = {"vcpus": self.cell.vcpus, "memory": 160, **cells.TYPES[self.cell.type], **more}
        if self.cell.guest != cells.IMAGE_KERNEL:
            found["kernel"] = f"/boot/guest/vmlinuz-{self.cell.guest}"
        if "guest-32" in cells.kernels()[self.cell.guest]:
            found["ramdisk"] = f"/boot/guest/initrd-{self.cell.guest}.img"
        return found

    def new_guest(self, name, **more):
        self.create(name, **self.keys(**more))

    def wait_up(self, name):
        self.wait_console(name, f"umbra-guest: up, {self.cell.vcpus} cpus", 180 if self.cell.type == "pv" else 300)
        say(f"{name} is up")
        if self.cell.type == "shadow":
            churn.audit(self, name)

    def tell_consoles(self):
        """What guests said, whole: of a failure the first lines matter."""
        with contextlib.suppress(verdict.MachineEnded, AssertionError):
            told = self.run_in("for log in /var/log/xen/console/guest-*.log; do echo $log; tail -n 400 $log; done").out
            print("\n".join("  | " + line for line in told.replace("\r", "").split("\n")))

    # --- before and after each action -----------------------------------------------------------------------------

    def check_start(self):
        self.assertNotIn("UMBRA-LAB: FAILED", self.machine.serial_log())
        self.assertEqual(int(self.ok("nproc")), self.cell.cpus)
        self.assertTrue(self.ok("uname -r").startswith(self.cell.control + "."), "another kernel runs")

    def check_end(self):
        self.assertFalse(self.guests())
        crash = CRASH.search(self.machine.serial_log())
        if self.cell.action not in CRASHING:
            self.assertIsNone(crash, crash and crash.group())
        self.assertNotIn("Bad FPU state", self.machine.serial_log())

    # --- actions --------------------------------------------------------------------------------------------------

    def boot(self):
        self.ok("pidof xenstored xenconsoled")
        self.assertEqual(self.json("umbra --json info")["nr_cpus"], self.cell.cpus)
        self.assertIn("Domain-0", self.ok("xl list"))

    def lifecycle(self):
        """Create, run, pause, go on, shut down; all comes back."""
        before = self.footprint()
        self.new_guest("guest")
        self.wait_up("guest")
        self.ok("umbra pause guest")
        self.ok("umbra unpause guest")
        self.wait_console("guest", "umbra-guest: tick 3", 180)
        self.ok("umbra shutdown -w guest", 150)
        self.wait_gone("guest")
        self.wait_footprint(before)

    def destroy(self):
        """While the guest's kernel boots, and when the guest runs."""
        before = self.footprint()
        self.new_guest("guest")
        self.ok("umbra destroy guest")
        self.wait_gone("guest")
        self.new_guest("guest")
        self.wait_up("guest")
        self.ok("umbra destroy guest")
        self.wait_gone("guest")
        self.wait_footprint(before)

    def reboot(self):
        self.new_guest("guest", on_reboot="restart")
        self.wait_up("guest")
        self.ok("umbra reboot -w guest", 240)
        self.wait_console("guest", r"(?s)umbra-guest: up.*umbra-guest: up")
        self.ok("umbra destroy guest")
        self.wait_gone("guest")

    def cycle(self):
        """Again and again, killed at moments spread over the guest's boot."""
        before = self.footprint()
        for number in range(CYCLES):
            self.new_guest("guest")
            time.sleep(number * 0.4 * self.machine.patience)
            self.ok("umbra destroy guest")
            self.wait_gone("guest")
        self.wait_footprint(before)

    def work(self):
        """Processes and pages inside a guest: the ways through page tables, with a result that can be wrong."""
        self.new_guest("guest", cmdline=labtest.CMDLINE + " umbra.test=quiet")
        self.wait_up("guest")
        self.wait_console("guest", "guest# ", 60)
        self.type_in("guest", WORK, "all-42-done", 180)
        self.assertIn(SUM_OF_ZEROS, self.console_log("guest"))
        self.ok("umbra destroy guest")
        self.wait_gone("guest")

    def many(self):
        """Several at once, each of them makes progress; then all are asked to end."""
        before = self.footprint()
        names = [f"guest{number}" for number in range(GUESTS)]
        for name in names:
            self.new_guest(name)
        for name in names:
            self.wait_console(name, "umbra-guest: tick 3", 300)
        self.ok("umbra shutdown -a -w", 300)
        for name in names:
            self.wait_gone(name)
        self.wait_footprint(before)

    def load(self):
        """A hundred guests one after the other, then 32 at once."""
        load.cycles(self, 100)
        load.grow(self, 32)
        load.at_once(self, tiny=28, stock=4, tell=lambda points: say(chart.line_of_guests(points)))

    def load_pvh(self):
        """A hundred guests on shadow paging one after the other."""
        load.cycles(self, 100, pvh=True)

    def no_nested_paging(self):
        """A PVH guest that insists on it is refused in clear words, with nothing made; one that does not runs on
        shadows, and that is said."""
        self.assertEqual({"hvm", "hap", "shadow"} & set(self.json("umbra --json info")["virt_caps"].split()),
                         {"hvm", "shadow"})
        before = self.footprint()
        path = self.guest_file("guest", type="pvh", hap=True)
        error = self.fails(f"umbra create {path}", 1, "hap", "the hypervisor has no nested paging", "set hap to false")
        say(error.strip())
        self.assertEqual(self.footprint(), before)
        self.new_guest("guest", type="pvh")
        self.wait_up("guest")
        self.assertEqual([row["paging"] for row in self.json("umbra --json list") if row["domid"]], ["shadow"])
        self.ok("umbra destroy guest")
        self.wait_footprint(before)

    def protection(self):
        """What the processor has is switched on, unless the command line says otherwise, and it works; UMIP, which Xen
        leaves off, is off. A guest runs."""
        wanted = {word for word in machines.MACHINES[self.cell.machine].protection
                  if f"{word.lower()}=0" not in self.cell.options}
        self.ok("umbra debug-keys k")
        log = self.ok("umbra dmesg")
        shown = re.findall(r"CR0: \w+   CR4: \w+(.*)", log)[-1]
        self.assertEqual({word for word in ("SMEP", "SMAP") if word in shown}, wanted)
        self.assertIn("is stopped" if "SMAP" in wanted else "goes through", log[log.rindex("A stray read"):])
        self.machine.put("/run/store", small_program(STORE_REGISTERS))
        self.ok("chmod +x /run/store && /run/store")
        self.work()

    def churn(self):
        """A minute of work at page tables. Shadows, if there are any, are thrown away every ten milliseconds."""
        before = self.footprint()
        domid = churn.create(self, "guest", "rounds 0", **self.keys())
        self.wait_up("guest")
        if self.cell.type == "shadow":
            churn.blow(self, domid, 6000)
        else:
            self.ok("sleep 60")
        churn.wait_sum(self, "guest", 5)
        self.end_churn(before)

    def squeeze(self):
        """The same work in the smallest pool that such a guest may have."""
        before = self.footprint()
        least = (self.cell.vcpus + 2) // 2  # MiB: half of 1 for each vCPU and 1 for the memory, rounded up
        churn.create(self, "guest", "rounds 0", **self.keys(memory=128, shadow_memory=least))
        self.wait_up("guest")
        churn.wait_sum(self, "guest", 8, 240)
        self.assertGreater(churn.figures(self, "guest")["events"]["reclaimed"], 1000, "the pool was large enough")
        self.end_churn(before)

    def end_churn(self, before):
        say(f"{churn.check(self, 'guest')} rounds")
        if self.cell.type == "shadow":
            churn.audit(self, "guest")
        self.ok("umbra shutdown -w guest", 150)
        self.wait_gone("guest")
        self.wait_footprint(before)

    def share(self):
        """One guest exhausts its pool beside another."""
        before = self.footprint()
        churn.share(self, self.keys(), self.keys(memory=128, shadow_memory=1))
        for name in ("greedy", "modest"):
            self.ok(f"umbra destroy {name}")
            self.wait_gone(name)
        self.wait_footprint(before)

    def fuzz(self):
        """Hypercalls at random from a guest of this type, beside one of the image's kernel."""
        before = random_calls.begin(self, labtest.CMDLINE)
        for each in random_calls.run(self, self.cell.type, FUZZED[self.cell.type], 20000):
            say(str(each))
        self.wait_footprint(before)
        self.ok(f"umbra destroy {random_calls.NEIGHBOUR}")
        self.wait_gone(random_calls.NEIGHBOUR)

    def migrate(self):
        """Moved back and forth between two hosts while it counts and writes memory; a host that it left has nothing of
        it, each time."""
        hosts, left = [self, labtest.OnHost(self.others[0])], {}
        for host in hosts:
            streams.tap(host)
        guest = moves.Traveller(self, "guest", **self.keys())
        guest.wait_more(10, 180)
        for move in range(MOVES):
            here, there = hosts[move % 2], hosts[1 - move % 2]
            sums = guest.move_and_check(there)
            say(chart.line_of(moves.name_of(there), sums))
            if move < 2:
                left[move % 2] = moves.settled(here)
            moves.wait_back(here, left[move % 2])
        self.ok("umbra shutdown -w guest", 150)
        self.wait_gone("guest")


ALL = tuple(cells.TYPES)
# The types of guests that an action can have.
GUESTS_OF = {"boot": (), "lifecycle": ALL, "destroy": ALL, "reboot": ALL, "cycle": ALL, "work": ALL, "many": ALL,
             "load": ("pv",), "load_pvh": ("shadow",), "no_nested_paging": ("pv",),
             "protection": ALL, "churn": ALL, "squeeze": ("shadow",), "share": ("shadow",), "migrate": ALL, "fuzz": ALL}
# Actions on two machines, each as the cell says.
PAIRS = ("migrate",)
MEMORY = {"load": 4096, "load_pvh": 4096}  # MiB; the machine's own for other actions


def table(path=cells.TABLE):
    return cells.read(machines.MACHINES, GUESTS_OF, path)


def cause_of(error):
    """What it began with, however often it was told on."""
    while error.__cause__:
        error = error.__cause__
    return error


# --- one cell ---------------------------------------------------------------------------------------------------------

def kernel_files(cell, build):
    """(directory of the control domain's image or None, overlays)."""
    kernels = os.path.join(build, "kernels")
    image = None if cell.control == cells.IMAGE_KERNEL else os.path.join(kernels, cell.control)
    own = cell.guest and cell.guest != cells.IMAGE_KERNEL
    return image, ([os.path.join(kernels, cell.guest, "overlay")] if own else [])


def why_not(cell, build):
    """Why this cell cannot run here; None if it can."""
    missing = emulators.make(build, machines.MACHINES[cell.machine]).missing()
    image, overlays = kernel_files(cell, build)
    for directory in [image] + overlays if image else overlays:
        if not os.path.isdir(directory):
            missing = missing or f"no {directory} (run make nightly-deps)"
    return missing


def only_pv(cell):
    return cell.type not in ("shadow", "hap") and cell.action != "no_nested_paging"


def run_cell(cell, build, log):
    image, overlays = kernel_files(cell, build)
    make = labtest.new_pair if cell.action in PAIRS else labtest.new_machine
    with make(name=cell.machine, smp=cell.cpus, append=cell.options, overlays=overlays, image_dir=image,
              memory=MEMORY.get(cell.action), log=log, turns=only_pv(cell)) as machine:
        first, *others = machine.machines if cell.action in PAIRS else [machine]
        actions = Actions(cell, first, others)
        try:
            machine.boot()
            say(f"{cell.machine} is up")
            actions.check_start()
            getattr(actions, cell.action)()
            actions.check_end()
            if not machine.poweroff():
                raise verdict.MachineEnded(verdict.NO_POWEROFF, "the machine did not power off")
        except (verdict.MachineEnded, AssertionError) as error:
            say(f"FAILED: {error}")
            print(machine.serial_tail(), flush=True)
            if first.is_usable():
                actions.tell_consoles()
            status = getattr(cause_of(error), "status", 1)
            if status == verdict.HANG:  # twice: what is slow has moved on in between
                for each in (first, *others) * 2:
                    each.press("dqrt")
                    print(each.registers() or "the emulator tells no registers", flush=True)
            return status
    say("passed")
    return 0


def stop(number, _):
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell")
    parser.add_argument("--build", required=True)
    parser.add_argument("--log")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    labtest.BUILD = options.build
    cell = {each.name: each for each in table()}[options.cell]
    reason = why_not(cell, options.build)
    if reason:
        print(reason)
        return SKIPPED
    try:
        return run_cell(cell, options.build, options.log)
    except verdict.LabError as error:
        say(f"FAILED: {error}")
        return error.status


if __name__ == "__main__":
    sys.exit(main())
