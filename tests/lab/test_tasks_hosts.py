# SPDX-License-Identifier: BSD-2-Clause
"""docs/tasks/migrate.md between two hosts, command by command: a guest goes by ssh and comes back by TCP."""

import os

import moves
import streams
import task_steps
from labtest import HOME, PairTest, long_one

WAY = f"{HOME}/accident"
REMOTE = "/run/way/umbra"  # the receiver that WAY starts


class BetweenHosts(task_steps.Walk):
    def do_broken(self, block):
        self.host.put_program(WAY, "accident.c", "-D_GNU_SOURCE")
        self.host.ok(f"mkdir -p {os.path.dirname(REMOTE)}")
        self.host.machine.put(REMOTE, b'#!/bin/sh\nexec ssh west umbra "$@"\n', mode=0o755)
        self.host.ok(f": >{task_steps.LOGS}/guest-{block.what}.log; umbra create /etc/umbra/{block.what}.json")
        self.host.wait_console(block.what, "umbra-guest: up")
        way = f"PATH={os.path.dirname(REMOTE)}:$PATH exec {WAY} go 0 cable"
        self.host.fails(f"umbra migrate -T '{way}' {block.what} west", 1, f"did not say whether {block.what} runs")
        self.host.ok(f"for i in $(seq 60); do umbra migrate-resolve {block.what} | grep -q absent && exit; sleep 1; "
                     "done; exit 1", 180)
        self.do_lab(block)
        self.host.ok(f"umbra destroy {block.what}")


@long_one
class Migrate(PairTest):
    pair_options = {"smp": 1}

    def test_page(self):
        streams.tap_for(self, self.east, self.west)
        walks = [BetweenHosts(host) for host in (self.west, self.east)]
        for walk in walks:
            if not walk.prepare():
                self.skipTest("no archive with the drivers of the guests' kernel")
            self.addCleanup(walk.host.doCleanups)
        self.addCleanup(self.east.run_in, f"kill $({moves.RECEIVERS}) 2>/dev/null; rm -f /etc/umbra/migrate.key")
        walks[-1].page("migrate")
