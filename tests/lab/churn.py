# SPDX-License-Identifier: BSD-2-Clause
"""Guests that work at their page tables (churn.c): what they find must be what the same program finds on the host,
whatever is done to their shadows meanwhile. With small numbers this is a test of make check (test_pvh_kernel.py), with
large ones it is actions of the nightly matrix. Each function is given a LabTest."""

import re
import subprocess

import labtest
import ramdisk
from compiled import with_libctl

IMAGE = f"{labtest.HOME}/churn.img"
LINE = re.compile(r"^churn (\d+) ([0-9a-f]{16})$", re.M)
ENDED = "churn ended with status"


def create(test, name, words, **keys):
    """A guest all of which is churn with these words; returns its domain id."""
    test.ok(f"[ -e {IMAGE} ] || cat {labtest.GUEST_INITRD} {ramdisk.ARCHIVE} >{IMAGE}")
    return test.create(name, ramdisk=IMAGE, cmdline=f"{labtest.CMDLINE} -- {words}", **keys)


def wait_sum(test, name, number, timeout=120):
    """Until the sum of this round, or behind so many visits, is on its console; an early end is seen at once."""
    found = test.wait_console(name, rf"(?m)^churn {number} \w+$|{ENDED}", timeout)
    test.assertNotIn(ENDED, found.group(), test.console_log(name)[-1500:])


def check(test, name, before=""):
    """Ends the rounds of a guest: there was nothing wrong, and the sums are the host's. Returns how many there were.
    before: what a guest that has moved said on the other host."""
    test.type_in(name, "", ENDED)
    log = before + test.console_log(name)
    test.assertIn(f"{ENDED} 0", log, log[-1500:])
    found = LINE.findall(log)
    done = subprocess.run([ramdisk.program(labtest.BUILD), "rounds", str(len(found))], capture_output=True, text=True,
                          check=True)
    test.assertEqual(found, LINE.findall(done.stdout))
    return len(found)


def blow(test, domid, times):
    """Throws the shadows away, every ten milliseconds, or as often as a busy host allows in that time."""
    test.machine.put(f"{labtest.HOME}/blow", with_libctl("blow.c"), mode=0o755)
    said = test.ok(f"{labtest.HOME}/blow {domid} 10 {times}", 60 + times // 10).strip()
    print(f"      {said}", flush=True)
    test.assertGreater(int(said.split()[1]), times // 40)


def figures(test, name):
    return test.json(f"umbra --json shadow stats {name}")


def audit(test, name):
    test.assertEqual(test.json(f"umbra --json shadow audit {name}")["broken"], 0)


# --- two guests on one CPU --------------------------------------------------------------------------------------------

GREEDY, MODEST = 700, 40  # pages, each behind a page table of its own
PAIRS, WINDOW = 4, 4      # of windows; seconds


def sample(test):
    """What the modest guest has done and used so far, and what the other used. Both stand still, the last line has
    arrived."""
    test.ok("sleep 1")
    cpu = {row["name"]: row["cpu_time_ns"] / 1e9 for row in test.json("umbra --json list")}
    found = figures(test, "modest")
    visits, _ = LINE.findall(test.console_log("modest"))[-1]
    return {"visits": int(visits), "cpu": cpu["modest"], "other": cpu["greedy"],
            "faults": sum(found["faults"].values()), "reclaimed": found["events"]["reclaimed"]}


def window(test, *names):
    """The difference that it makes when these guests run for a few seconds."""
    before = sample(test)
    for verb in ("unpause", "pause"):
        command = "; ".join(f"umbra {verb} {name} || exit" for name in names)
        test.ok(f"{command}; sleep {WINDOW}" if verb == "unpause" else command, WINDOW + 60)
    after = sample(test)
    return {key: after[key] - before[key] for key in after}


def share(test, modest, greedy):
    """A guest whose page tables are far more than its pool holds, on the CPU of another: the other has its share of the
    CPU, loses no shadow, and does with a second of the CPU and with a fault what it does alone. modest, greedy: keys of
    their configurations. Windows with the neighbour and without alternate, and the best of either kind are compared:
    what else runs on the host makes some of them slower, none faster."""
    create(test, "greedy", f"spread {GREEDY}", cpus="1", **greedy)
    create(test, "modest", f"spread {MODEST}", cpus="1", **modest)
    wait_sum(test, "greedy", 1024, 240)
    wait_sum(test, "modest", 1024, 240)
    test.ok("umbra pause greedy && umbra pause modest")
    reclaimed = figures(test, "greedy")["events"]["reclaimed"]
    alone, beside = [], []
    for _ in range(PAIRS):
        alone.append(window(test, "modest"))
        beside.append(window(test, "greedy", "modest"))
    test.assertGreater(figures(test, "greedy")["events"]["reclaimed"] - reclaimed, 500, "its pool was large enough")
    for name in ("greedy", "modest"):
        audit(test, name)
    check_share(test, alone, beside)


def total(windows, key):
    return sum(each[key] for each in windows)


def check_share(test, alone, beside):
    rates = [max(each["visits"] / each["cpu"] for each in windows) for windows in (alone, beside)]
    costs = [total(windows, "faults") / total(windows, "visits") for windows in (alone, beside)]
    part = total(beside, "cpu") / (total(beside, "cpu") + total(beside, "other"))
    print(f"      visits per CPU second {rates[0]:.0f} alone, {rates[1]:.0f} beside; faults per visit {costs[0]:.2f}, "
          f"{costs[1]:.2f}; {part:.1%} of the CPU", flush=True)
    test.assertGreater(part, 0.45)
    test.assertGreater(rates[1] / rates[0], 0.75)
    test.assertAlmostEqual(costs[1] / costs[0], 1, delta=0.05)
    test.assertEqual(total(alone, "reclaimed") + total(beside, "reclaimed"), 0)
