# SPDX-License-Identifier: BSD-2-Clause
"""Guests that make hypercalls at random (tests/guests/fuzz), one seed after the other, until so many calls are made.
With few calls this is a test of make check (test_random_calls.py), with many an action of the nightly matrix. A guest
may well be crashed for what it has done, or stop: the hypervisor, the guests beside it and all that they took must not
suffer. Each function is given a LabTest."""

import collections
import os
import re
import time

DIRECTORY = "/boot/guest/hostile"
NEIGHBOUR = "neighbour"
# The neighbour ticks four times a second. Under emulation on a busy host it may be late, but never stop.
TICKS_PER_SECOND = 1
KINDS = {
    "pv": {"kernel": "fuzz/pv", "memory": 8, "type": "pv", "vcpus": 3},  # one is there to be initialised
    "shadow": {"kernel": "fuzz/hvm", "memory": 12, "type": "pvh", "hap": "false", "vcpus": 2},
    "hap": {"kernel": "fuzz/hvm", "memory": 12, "type": "pvh", "hap": "true", "vcpus": 2},
}
AUDIT = {"pv": "umbra --json audit fuzz", "shadow": "umbra --json shadow audit fuzz", "hap": "echo {}"}
# From the creation until the domain has shut down, has crashed, or has had its time; prints its number, its state, what
# an audit of it finds, and how often the neighbour has ticked meanwhile.
SCRIPT = """
ticks() {{ grep -c 'umbra-guest: tick' /var/log/xen/console/guest-{neighbour}.log; }}
seconds() {{ read -r up _ </proc/uptime; echo ${{up%.*}}; }}
before=$(ticks); start=$(seconds)
umbra create -q -e {directory}/guest.json name=fuzz {keys} "cmdline={words}" || exit 1
while :; do
    set -- $(umbra list fuzz | tail -n 1)
    case $5 in *s* | *c*) break ;; esac
    [ $(($(seconds) - start)) -lt {timeout} ] || break
    usleep 500000
done
end=$(seconds)
echo $2 $5 $((end - start)) $(($(ticks) - before)) $({audit} 2>&1)
umbra destroy fuzz
"""
# The guest's watchdogs end one that makes no call for four seconds, unless it has taken them away from itself.
TIMEOUT = 40
# What guests say: all that one vCPU has made by then.
SAID = re.compile(r"fuzz: seed \d+ vcpu (\d) (?:has made|ends after) (\d+): (\d+) refused, (\d+) faults")

Round = collections.namedtuple("Round", "seed state seconds ticks made refused faults")


def first_seed():
    """UMBRA_SEED, or one that nobody has had before."""
    return int(os.environ.get("UMBRA_SEED") or str(time.time_ns() % 10**9), 0)


def words_of(seed, calls):
    return f"seed={seed} calls={calls}"


def keys_of(kind):
    keys = {**KINDS[kind], "kernel": f"{DIRECTORY}/{KINDS[kind]['kernel']}"}
    return " ".join(f"{key}={value}" for key, value in keys.items())


def how_to_repeat(kind, seed, calls):
    keys = keys_of(kind)
    return (f"the seed was {seed}. The same calls once more: UMBRA_SEED={seed} tests/run --lab --filter "
            f"test_random_calls.*{kind}; or in a control domain: umbra create -e {DIRECTORY}/guest.json name=fuzz "
            f"{keys} 'cmdline={words_of(seed, calls)}'; with trace=N it tells each call from number N on before it "
            f"makes it (docs/debugging.md)")


def lines_of(test, domid):
    return re.findall(rf"^\(XEN\) d{domid}(?:v\d+)?:? (.*)$", test.machine.serial_log(), re.M)


def told(test, domid):
    """{vCPU: (made, refused, faults)}: the latest of what it said."""
    return {int(vcpu): tuple(map(int, rest)) for vcpu, *rest in SAID.findall("\n".join(lines_of(test, domid)))}


def one_round(test, kind, seed, calls):
    """One guest with one seed."""
    script = SCRIPT.format(directory=DIRECTORY, neighbour=NEIGHBOUR, words=words_of(seed, calls), audit=AUDIT[kind],
                           timeout=int(TIMEOUT * test.machine.patience), keys=keys_of(kind))
    domid, state, seconds, ticks, audit = test.ok(script, 3 * TIMEOUT).strip().split(" ", 4)
    found = re.search(r'"broken": ?(\d+)', audit)
    if kind != "hap":
        test.assertTrue(found, f"no audit: {audit}")
        test.assertEqual(found.group(1), "0", audit)
    sums = [sum(column) for column in zip(*told(test, int(domid)).values())] or [0, 0, 0]
    ends = [line for line in lines_of(test, domid) if re.match("crashed|triple|watchdog|FAIL", line)]
    if "watchdog ran out" in ends:
        state = "---w--"
    print(f"      {kind}, seed {seed}: {sums[0]} calls, {ends}", flush=True)
    return Round(seed, state, int(seconds), int(ticks), *sums)


def begin(test, cmdline):
    """The neighbour, and what there must be again when it is the only guest."""
    test.footprint()
    test.create(NEIGHBOUR, memory=96, cmdline=cmdline + " umbra.test=often")
    test.wait_console(NEIGHBOUR, "umbra-guest: tick 2")
    return test.footprint()


def run(test, kind, total, calls):
    """Seeds, each of them with so many calls of either vCPU, until all of them together have made so many."""
    seed, rounds = first_seed(), []
    made = 0
    while made < total:
        try:
            rounds.append(one_round(test, kind, seed, calls))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{kind}: {how_to_repeat(kind, seed, calls)}") from error
        made += rounds[-1].made
        seed += 1
        judge(test, rounds, kind)
    tell(kind, rounds)
    return rounds


def judge(test, rounds, kind):
    last = rounds[-1]
    test.assertGreaterEqual(last.ticks, last.seconds * TICKS_PER_SECOND - 1, f"{kind}: the neighbour stood: {last}")
    # What came to little is a guest that was crashed or shut down at once, or waits for ever. Not all may.
    test.assertGreater(sum(each.made for each in rounds), 500 * (len(rounds) - 4), f"{kind}: {rounds}")


def tell(kind, rounds):
    made, seconds = sum(each.made for each in rounds), sum(each.seconds for each in rounds)
    states = collections.Counter("crashed" if "c" in each.state else
                                 "over" if "s" in each.state else "stuck" for each in rounds)
    print(f"      {kind}: {made} calls in {seconds} s, {sum(each.refused for each in rounds)} refused, "
          f"{sum(each.faults for each in rounds)} faults; seeds {rounds[0].seed} to {rounds[-1].seed}: {dict(states)}",
          flush=True)
