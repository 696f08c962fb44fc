# SPDX-License-Identifier: BSD-2-Clause
"""The tool is killed at points spread over all calls that it makes while it creates, shuts down and destroys a guest:
twenty if there is time. What is left each time goes by itself, or with the next command, and that command works."""

from compiled import compiled
from labtest import HOME, LONG, LabTest, long_one
from tiny import SLEEP, tiny_kernel

POINTS = 20 if LONG else 7

# The verb with KILL_AT at each point; "calls" first, of a run that is left alone.
LOOP = """
{prepare}
rm -f /run/count
FAULT_COUNT=/run/count LD_PRELOAD={home}/faults.so {verb} >/tmp/kill.out 2>&1
total=$(tail -n1 /run/count | cut -d' ' -f1)
umbra destroy kill >/dev/null 2>&1
echo "calls $total"
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


class Killed(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/faults.so", compiled("faults.c", "-fPIC", "-shared"))
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel())
        self.guest_file("kill", memory=16, kernel=f"{HOME}/tiny.elf", ramdisk=None, on_poweroff="destroy", cmdline="0")
        self.ok(f"{CREATE}; umbra destroy kill")
        self.before = self.footprint()

    def killed_at(self, verb, prepare=":", after=AGAIN):
        """Runs the loop; all of the points but a few at the end must have killed the tool."""
        out = self.ok(LOOP.format(home=HOME, verb=verb, prepare=prepare, after=after, points=POINTS), 400)
        statuses = [line.split()[2] for line in out.split("\n") if line.startswith("killed ")]
        self.assertEqual(len(statuses), POINTS, out)
        self.assertGreaterEqual(statuses.count("137"), POINTS - 2, out)
        self.assertNotIn("stuck", out)
        self.wait_footprint(self.before)

    def test_create(self):
        self.killed_at(CREATE)

    @long_one
    def test_create_and_nobody_comes_back(self):
        """Without a next command: the supervisor removes what was left."""
        gone = "for s in $(seq 100); do umbra list | grep -q '^kill ' || break; usleep 100000; done"
        self.killed_at(CREATE, after=gone)

    def test_destroy(self):
        self.killed_at("umbra destroy kill", prepare=f"{CREATE} || echo stuck")

    def test_shutdown(self):
        """Of a guest that does not answer: all calls come before the wait."""
        self.machine.put(f"{HOME}/tiny.elf", tiny_kernel(SLEEP))
        out = self.ok(f"{CREATE} && umbra unpause kill && for at in 1 2 3 4 5 6; do "
                      f"KILL_AT=$at LD_PRELOAD={HOME}/faults.so umbra shutdown -w kill; echo killed $?; done; "
                      "umbra list; umbra destroy kill", 100)
        self.assertEqual(out.count("killed 137"), 6, out)
        self.assertRegex(out, r"(?m)^kill .* [r-][b-]---- ")
        self.wait_footprint(self.before)
