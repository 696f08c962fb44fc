# SPDX-License-Identifier: BSD-2-Clause
"""A stock PV guest at work runs on shadows for as long as its memory is copied by the log of stores: nothing is missed,
the shadows are sound, and it notices nothing."""

from compiled import with_libctl
from labtest import CMDLINE, HOME, LabTest, long_one

# In the guest: processes that come and go, and memory that changes, until a file is there.
WORK = "for j in 1 2 3; do (i=0; while [ ! -f /tmp/end ]; do ls /bin >/dev/null; i=$((i + 1)); " \
       "dd if=/dev/urandom of=/tmp/x$j bs=64k count=8 2>/dev/null; done; echo job-$j-$((i > 3))) & done; " \
       "echo at-$((40 + 2))"


class Log(LabTest):
    def setUp(self):
        super().setUp()
        self.machine.put(f"{HOME}/copier", with_libctl("copier.c"), mode=0o755)
        self.before = self.footprint()

    def copied(self, vcpus):
        domid = self.create("busy", vcpus=vcpus, memory=96, cmdline=CMDLINE + " umbra.test=quiet")
        self.wait_console("busy", "guest# ")
        self.fails("umbra shadow audit busy", 1, "PV guest")
        self.type_in("busy", WORK, "at-42")
        self.ok(f"rm -f {HOME}/enough {HOME}/said; "
                f"({HOME}/copier {domid} pv 6 {HOME}/enough > {HOME}/said 2>&1; echo ended $? >> {HOME}/said) &")
        self.ok("for i in $(seq 200); do umbra shadow stats busy >/dev/null 2>&1 && break; usleep 50000; done")
        for _ in range(2):
            self.assertEqual(self.json("umbra --json shadow audit busy")["broken"], 0)
            self.ok("umbra shadow blow busy")
        stats = self.json("umbra --json shadow stats busy")
        self.assertGreater(stats["tables"]["4.1"], 20)
        self.assertEqual(stats["tables"]["4.4"], 2 * vcpus)
        self.assertLessEqual(stats["stretch"]["longest"], stats["stretch"]["bound"])
        self.ok(f"touch {HOME}/enough")
        ended = f"for i in $(seq 2400); do grep -q ended {HOME}/said && break; usleep 50000; done"
        said = self.ok(f"{ended}; cat {HOME}/said", 150)
        lines = said.split("\n")
        self.assertEqual(lines[0].split()[-2:], ["missed", "0"], said)
        self.assertEqual(lines[1], "ended 0", said)
        rounds = [int(word) for word in lines[0].split()[:-2]]
        self.assertTrue(all(rounds), said)
        self.assertLess(min(rounds), 96 * 256 // 2, said)
        self.type_in("busy", "touch /tmp/end; wait; echo done-$((1 + 1))", "done-2")
        for job in (1, 2, 3):
            self.assertRegex(self.console_log("busy"), f"job-{job}-1")
        self.fails("umbra shadow audit busy", 1, "PV guest")
        self.ok("umbra destroy busy")
        self.wait_gone("busy")
        self.wait_footprint(self.before)
        return rounds

    def test_one_processor(self):
        self.copied(1)

    @long_one
    def test_four_processors(self):
        self.copied(4)
