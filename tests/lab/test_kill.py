# SPDX-License-Identifier: BSD-2-Clause
"""The tool is killed at points spread over all steps that it takes while it creates, shuts down and destroys a guest:
twenty if there is time. What is left each time goes by itself, or with the next command, and that command works;
nothing is left running either. On the host it is killed at every step: tests/unit/test_guest_killed.c."""

import load
from compiled import compiled
from labtest import HOME, LONG, LabTest, long_one
from tiny import tiny_kernel

POINTS = 20 if LONG else 5
# A shutdown waits, and looks again and again: some of its runs are at their end before a point that others reach.
SHUTDOWN_POINTS, SHUTDOWN_KILLED = (26, 20) if LONG else (3, 2)
OBEYS = "/boot/guest/hostile/device/obeys"

# The verb with KILL_AT at each point; "steps" first, of a run that is left alone.
LOOP = """
{prepare}
rm -f /run/count
FAULT_COUNT=/run/count LD_PRELOAD={home}/faults.so {verb} >/tmp/kill.out 2>&1
total=$(tail -n1 /run/count | cut -d' ' -f3)
umbra destroy kill >/dev/null 2>&1
echo "steps $total"
i=0
while [ $i -lt {points} ]; do
    at=$((1 + i * total / {points}))
    {prepare}
    KILL_AT=$at LD_PRELOAD={home}/faults.so {verb} >/tmp/kill.out 2>&1
    echo "killed $at $?"
    {after}
    i=$((i + 1))
done
"""
CREATE = f"umbra create -q -p {HOME}/kill.json"
# The name can be used again at once: whatever is there of the killed one is removed or adopted.
AGAIN = f"umbra destroy kill 2>/dev/null; {CREATE} || echo stuck; umbra destroy kill || echo stuck"
# Without a next command: the supervisor removes what was left.
GONE = "for s in $(seq 100); do umbra list | grep -q '^kill ' || break; usleep 100000; done"
# Not asked yet, it is asked now; asked, it is at its end or will be: its record goes, whoever still waits for that.
SHUTDOWN = "umbra shutdown -w kill"
ENDED = f"{SHUTDOWN} >/dev/null 2>&1; {GONE}; umbra list | grep '^kill ' && echo stuck"


class Killed(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/faults.so", compiled("faults.c", "-fPIC", "-shared"))
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())
        self.of_kernel(f"{HOME}/tiny.elf", cmdline="0")
        self.ok(f"{CREATE}; umbra destroy kill")
        self.before = load.everything(self)

    def of_kernel(self, path, **keys):
        self.guest_file("kill", memory=16, kernel=path, ramdisk=None, on_poweroff="destroy", **keys)

    def killed_at(self, verb, points=POINTS, killed=POINTS - 2, prepare=":", after=AGAIN):
        """Runs the loop; so many of the points at least must have killed the tool."""
        out = self.ok(LOOP.format(home=HOME, verb=verb, prepare=prepare, after=after, points=points), 60 + 20 * points)
        statuses = [line.split()[2] for line in out.split("\n") if line.startswith("killed ")]
        self.assertEqual(len(statuses), points, out)
        self.assertGreaterEqual(statuses.count("137"), killed, out)
        self.assertNotIn("stuck", out)
        print("      " + out.split("\n")[0], flush=True)
        load.wait_all_back(self, self.before)

    def test_create(self):
        self.killed_at(CREATE)

    @long_one
    def test_create_and_nobody_comes_back(self):
        self.killed_at(CREATE, after=GONE)

    def test_destroy(self):
        self.killed_at("umbra destroy kill", prepare=f"{CREATE} || echo stuck")

    def test_shutdown(self):
        """From the first step to the last wait, for the supervisor; of a guest that takes the request at once."""
        self.of_kernel(OBEYS, cmdline=None)
        self.killed_at(SHUTDOWN, points=SHUTDOWN_POINTS, killed=SHUTDOWN_KILLED, after=ENDED,
                       prepare=f"{CREATE} && umbra unpause kill || echo stuck")
