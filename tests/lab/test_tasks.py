# SPDX-License-Identifier: BSD-2-Clause
"""The pages of docs/tasks, carried out command by command; that about migration is in test_tasks_hosts.py. What a page
says that cannot be done here is told as skipped, with the reason that stands in the page."""

import unittest

import labtest
import task_steps
import tasks
from labtest import LabTest, long_one


@unittest.skipIf(labtest.ON_PEER, "the pages are about Umbra")
class Pages(LabTest):
    def setUp(self):
        super().setUp()
        self.walk = task_steps.Walk(self)
        if not self.walk.prepare():
            self.skipTest("no archive with the drivers of the guests' kernel")

    def test_install(self):
        self.walk.page("install")

    def test_first_guest(self):
        self.walk.page("first-guest")

    @long_one
    def test_disk_and_bridge(self):
        self.walk.page("disk-and-bridge")

    def test_no_boot(self):
        self.walk.page("no-boot")

    def test_panic(self):
        """Last: if there is time, it ends the machine."""
        self.walk.page("panic")


class NotHere(unittest.TestCase):
    """A test for each page of which something was not run: it says what, and why."""


def reason_of(block):
    if block.kind in ("deb", "disk"):
        return f"make check-{'deb' if block.kind == 'deb' else 'installed'} runs it"
    if block.kind == "ends" and not labtest.LONG:
        return "it ends the machine: UMBRA_LONG=1 runs it"
    return block.what if block.kind == "elsewhere" else None


def add_skips():
    for page in tasks.PAGES:
        reasons = [f"{block.where}: {reason_of(block)}" for block in tasks.read(page) if reason_of(block)]
        if reasons:
            setattr(NotHere, "test_" + page.replace("-", "_"), unittest.skip("; ".join(reasons))(lambda self: None))


add_skips()
