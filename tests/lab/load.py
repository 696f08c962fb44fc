# SPDX-License-Identifier: BSD-2-Clause
"""Many guests, one after the other and all at once: at the end the host has what it had, and a guest costs the tool as
many calls, and as much of its own CPU time, when others run as when none does. With small numbers this is a test of
make check (test_load.py), with 100 cycles and 32 guests two actions of the nightly matrix. Each function is given a
LabTest; seconds are printed, not judged: they hang on what else the machine does, and on its host."""

import collections
import statistics
import time

from compiled import compiled
from labtest import CMDLINE, HOME
from tiny import HALT, SLEEP, tiny_kernel

TINY = {"memory": 16, "kernel": f"{HOME}/tiny.elf", "ramdisk": None}
STOCK = {"memory": 96, "vcpus": 2, "cmdline": CMDLINE}
PVH_TINY = {**TINY, "type": "pvh", "hap": False}
PVH_STOCK = {**STOCK, "type": "pvh", "hap": False, "memory": 160}

# Half of the guests never run; the others are killed at moments spread over the boot of a stock kernel.
CYCLES = """
i=0
while [ $i -lt {count} ]; do
    if [ $((i % 2)) = 0 ]; then
        umbra create -q -p {home}/cycle-tiny.json && umbra destroy cycle-tiny || exit 1
    else
        umbra create -q {home}/cycle.json && usleep $((i * 3000000 / {count})) && umbra destroy cycle || exit 1
    fi
    i=$((i + 1))
done
"""
# One line for each guest: when the tool began and ended, and what faults.c has counted.
CREATE = """
for name in {names}; do
    rm -f /run/count
    start=$(cut -d' ' -f1 /proc/uptime)
    FAULT_COUNT=/run/count LD_PRELOAD={home}/faults.so umbra create -q {home}/$name.json || exit 1
    echo "$start $(cut -d' ' -f1 /proc/uptime) $(tail -n1 /run/count)"
done
"""
Point = collections.namedtuple("Point", "seconds cpu_ms calls reads")
ENDS = 8           # so many guests at the beginning of the curve, and at its end, are compared
CPU_GROWTH = 2     # by which factor their CPU time may differ
PAGE_KIB = 4
CPU_FLOOR_MS = 40  # less than this is as good as this
KERNEL = "2"       # the parent of kernel threads
INIT = "1"


def processes(text):
    """Names, from the output of `ps -o pid,ppid,comm`: without kernel threads, that ps, and those that run it. The
    timer of an earlier command is there for up to a second after it."""
    rows = {pid: (parent, name.strip()) for pid, parent, name in
            (line.split(None, 2) for line in text.strip().split("\n")[1:])}
    lab = next(pid for pid in sorted(rows, key=int, reverse=True) if rows[pid][1] == "ps")
    while lab in rows and lab != INIT:
        lab = rows.pop(lab)[0]
    return sorted(name for parent, name in rows.values() if parent != KERNEL and name != "timeout")


def everything(test):
    parts = test.footprint()  # the first guest of a machine starts the supervisor
    return {**parts, "processes": processes(test.ok("ps -o pid,ppid,comm"))}


def wait_all_back(test, before):
    """The hypervisor frees memory in slices, and the supervisor's workers take a moment to end."""
    deadline = time.monotonic() + 120 * test.machine.patience
    while (now := everything(test)) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    test.assertEqual(now, before, "not all came back")


def cycles(test, count, pvh=False):
    """Create and destroy, again and again; PVH: guests on shadow paging."""
    test.machine.put(f"{HOME}/tiny.elf", tiny_kernel(HALT, pvh=True) if pvh else tiny_kernel(SLEEP))
    test.guest_file("cycle-tiny", **(PVH_TINY if pvh else TINY))
    test.guest_file("cycle", **(PVH_STOCK if pvh else STOCK))
    before = everything(test)
    test.ok(CYCLES.format(home=HOME, count=count), 60 + 10 * count)
    wait_all_back(test, before)


def grow(test, count):
    """So many guests for a moment. The control domain's table of event channels grows with the most that it ever had, a
    page for some dozens of guests, and is not made smaller again: what is compared later is compared from here. All of
    it is less than a page for each guest."""
    before = everything(test)
    test.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
    names = [f"tiny{number}" for number in range(count)]
    for name in names:
        test.guest_file(name, **TINY)
    words = " ".join(names)
    test.ok(f"for name in {words}; do umbra create -q -p {HOME}/$name.json || exit 1; done", 60 + 15 * count)
    test.ok(f"for name in {words}; do umbra destroy $name || exit 1; done", 60 + 5 * count)
    for name in names:
        test.wait_gone(name)
    deadline = time.monotonic() + 120 * test.machine.patience
    least = before["free_kib"] - PAGE_KIB * count
    while (now := everything(test))["free_kib"] <= least and time.monotonic() < deadline:
        time.sleep(0.5)
    test.assertGreater(now["free_kib"], least, "guests keep memory that does not come back")
    test.assertEqual({**now, "free_kib": 0}, {**before, "free_kib": 0}, "not all came back")


def point_of(line):
    """Of a guest, from what CREATE prints of it."""
    start, end, calls, reads, _, cpu_ms = line.split()
    return Point(float(end) - float(start), int(cpu_ms), int(calls), int(reads))


def at_once(test, tiny, stock, tell=lambda points: None):
    """Tiny guests that sleep, then stock kernels, all of which go on until the last one is there. tell is given the
    points of the tiny ones, before they are judged."""
    names = [f"tiny{number}" for number in range(tiny)] + [f"stock{number}" for number in range(stock)]
    test.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
    test.machine.put(f"{HOME}/faults.so", compiled("faults.c", "-fPIC", "-shared"))
    for name in names:
        test.guest_file(name, **(TINY if name.startswith("tiny") else STOCK))
    before = everything(test)
    command = CREATE.format(home=HOME, names=" ".join(names))
    points = [point_of(line) for line in test.ok(command, 60 + 15 * len(names)).split("\n") if line]
    for what, digits in (("seconds", 2), ("cpu_ms", 0), ("calls", 0), ("reads", 0)):
        print(f"      {what:7} " + " ".join(f"{getattr(point, what):.{digits}f}" for point in points), flush=True)
    tell(points[:tiny])
    check_curve(test, points[1:tiny])
    for name in names[tiny:]:
        test.wait_console(name, "umbra-guest: tick 1", 300)
    test.assertEqual(sorted(test.guests()), sorted(names))
    test.ok("for name in " + " ".join(names) + "; do umbra destroy $name || exit 1; done", 60 + 5 * len(names))
    wait_all_back(test, before)


def check_curve(test, points):
    """No more calls, no more reads of xenstore, and no more CPU time of the tool, when others run. What shares the host
    with the emulator may slow down some of the last guests, but not each of them."""
    for what in ("calls", "reads"):
        counts = [getattr(point, what) for point in points]
        test.assertLessEqual(max(counts) - min(counts), 3, f"a guest costs more {what} with others: {counts}")
    cpu = [point.cpu_ms for point in points]
    ends = min(ENDS, len(cpu) // 2)
    most = CPU_GROWTH * max(statistics.median(cpu[:ends]), CPU_FLOOR_MS)
    test.assertLessEqual(min(cpu[-ends:]), most, f"a guest costs more CPU time with others: {cpu} ms")
