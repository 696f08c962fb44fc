# SPDX-License-Identifier: BSD-2-Clause
"""docs/tasks/migrate.md between two hosts, command by command: a guest goes by ssh and comes back by TCP."""

import moves
import streams
import task_steps
from labtest import PairTest, long_one


@long_one
class Migrate(PairTest):
    pair_options = {"smp": 1}

    def test_page(self):
        streams.tap_for(self, self.east, self.west)
        walks = [task_steps.Walk(host) for host in (self.west, self.east)]
        for walk in walks:
            if not walk.prepare():
                self.skipTest("no archive with the drivers of the guests' kernel")
            self.addCleanup(walk.host.doCleanups)
        self.addCleanup(self.east.run_in, f"kill $({moves.RECEIVERS}) 2>/dev/null; rm -f /etc/umbra/migrate.key")
        walks[-1].page("migrate")
