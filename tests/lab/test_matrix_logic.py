# SPDX-License-Identifier: BSD-2-Clause
"""The nightly matrix's own logic, on the host: its table, its report, its runner with commands that stand for cells."""

import itertools
import os
import re
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as xml

import load
import machines
import script
import verdict

MATRIX = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "matrix")
sys.path.append(MATRIX)
import actions  # noqa: E402
import cells  # noqa: E402
import chart  # noqa: E402
import report  # noqa: E402
from report import FAILED, PASSED, SKIPPED, Result  # noqa: E402


class Temporary(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = directory.name

    def write(self, name, text):
        path = os.path.join(self.top, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Table(Temporary):
    KERNELS = {"6.1": {"guest", "control"}, "6.1-rt": {"guest"}, "6.1-686": {"guest-32"}}

    def read(self, text):
        return cells.read(("m1", "m2"), {"boot": (), "work": ("pv", "shadow"), "blow": ("shadow",)},
                          self.write("cells", text), self.KERNELS)

    def wrong(self, text, *words):
        with self.assertRaises(cells.TableError) as caught:
            self.read("# a comment\n" + text)
        for word in ("cells:2", *words):
            self.assertIn(word, str(caught.exception))

    def test_cells(self):
        found = self.read("# head\nm1 1 6.1 - - - boot 60\n\nm2 4 6.1 6.1-rt pv 2 work 90 a=1 b # more\n"
                          "m1 1 6.1 6.1 shadow 2 work 90\nm1 1 6.1 6.1-686 shadow 2 work 90\n")
        self.assertEqual(found, [cells.Cell("m1", 1, "6.1", None, None, None, "boot", 60, ()),
                                 cells.Cell("m2", 4, "6.1", "6.1-rt", "pv", 2, "work", 90, ("a=1", "b")),
                                 cells.Cell("m1", 1, "6.1", "6.1", "shadow", 2, "work", 90, ()),
                                 cells.Cell("m1", 1, "6.1", "6.1-686", "shadow", 2, "work", 90, ())])
        self.assertEqual([cell.name for cell in found], ["m1_1p_6.1_boot", "m2_4p_6.1_6.1-rt_2v_work_a=1_b",
                                                         "m1_1p_6.1_6.1_shadow_2v_work",
                                                         "m1_1p_6.1_6.1-686_shadow_2v_work"])
        self.assertEqual([cell.machine for cell in cells.select(found, "boot|rt")], ["m1", "m2"])

    def test_wrong_lines(self):
        self.wrong("m3 1 6.1 - - - boot 60\n", "machine", "m3", "m1, m2")
        self.wrong("m1 1 6.1-rt - - - boot 60\n", "control", "6.1-rt")
        self.wrong("m1 1 6.1 7.0 pv 1 work 60\n", "guest", "7.0")
        self.wrong("m1 1 6.1 6.1-686 pv 1 work 60\n", "guest", "6.1-686")
        self.wrong("m1 none 6.1 - - - boot 60\n", "cpus", "none")
        self.wrong("m1 0 6.1 - - - boot 60\n", "cpus")
        self.wrong("m1 1 6.1 - - - dance 60\n", "action", "dance")
        self.wrong("m1 1 6.1 - - - work 60\n", "work needs them")
        self.wrong("m1 1 6.1 6.1 pv - work 60\n", "work needs them")
        self.wrong("m1 1 6.1 6.1 - 1 work 60\n", "work needs them")
        self.wrong("m1 1 6.1 6.1 pv 1 boot 60\n", "boot has none")
        self.wrong("m1 1 6.1 6.1 hvm 1 work 60\n", "type of work", "pv, shadow")
        self.wrong("m1 1 6.1 6.1 pv 1 blow 60\n", "type of blow", "shadow")
        self.wrong("m1 1 6.1\n", "3 columns")

    def test_the_same_cell_twice(self):
        with self.assertRaises(cells.TableError):
            self.read("m1 1 6.1 - - - boot 60\nm1 1 6.1 - - - boot 90\n")

    def test_the_real_table(self):
        """It is right, and has what a night is to show."""
        table = actions.table()
        self.assertEqual({cell.machine for cell in table}, set(machines.MACHINES) - {machines.PEER})
        self.assertEqual({cell.action for cell in table}, set(actions.GUESTS_OF))
        self.assertEqual({cell.guest for cell in table if cell.guest}, set(cells.kernels()))
        self.assertEqual({cell.cpus for cell in table}, {1, 2, 4})
        controls = {name for name, uses in cells.kernels().items() if "control" in uses}
        self.assertEqual({cell.control for cell in table}, controls)

    def test_new_kernels(self):
        """Not on Debian 12's QEMU, which damages their flags (docs/debugging.md)."""
        old = {name for name in machines.MACHINES if name.startswith("qemu-")}
        self.assertFalse({cell.name for cell in actions.table()
                          if cell.machine in old and "6.12" in f"{cell.control} {cell.guest}"})

    def test_pvh_guests(self):
        """On both machines, on shadows and not, with each number of processors; on shadows both stock kernels."""
        pvh = [cell for cell in actions.table() if cell.type not in (None, "pv")]
        self.assertGreaterEqual({(cell.machine, cell.type, cell.vcpus) for cell in pvh},
                                set(itertools.product(("qemu-svm", "qemu10"), ("shadow", "hap"), (1, 2, 4))))
        self.assertGreaterEqual({(cell.guest, cell.type, cell.vcpus) for cell in pvh},
                                set(itertools.product(("6.1", "6.1-cloud"), ("shadow",), (1, 2, 4))))
        self.assertFalse({cell.machine for cell in pvh} & {"qemu-nosvm", "bochs"}, "they have no SVM")

    def test_each_action_has_its_method(self):
        for name in actions.GUESTS_OF:
            self.assertTrue(callable(getattr(actions.Actions, name)))

    def test_cell_without_its_kernel_is_skipped(self):
        cell = cells.Cell("qemu-svm", 1, "6.12", "6.1-rt", "pv", 1, "work", 60, ())
        self.assertIn(self.top, actions.why_not(cell, self.top))
        image, overlays = actions.kernel_files(cell, self.top)
        for directory in [image] + overlays:
            os.makedirs(directory)
        self.assertNotIn(self.top, actions.why_not(cell, self.top) or "")


class Reports(Temporary):
    RESULTS = [Result("m1_1p_6.1_boot", "m1", PASSED, 40.0, ""),
               Result("m1_2p_6.1_work", "m1", FAILED, 61.5, "hang: <b>&\x07\nmore"),
               Result("m2_1p_6.1_boot", "m2", SKIPPED, 0, "no emulator")]

    def test_changes(self):
        def word(outcome, seconds, before, before_seconds=40):
            old = before and Result("c", "m", before, before_seconds, "")
            return report.change(Result("c", "m", outcome, seconds, ""), old)
        self.assertEqual(word(PASSED, 40, None), "new")
        self.assertEqual(word(PASSED, 40, PASSED), "")
        self.assertEqual(word(FAILED, 40, PASSED), "broken")
        self.assertEqual(word(PASSED, 40, FAILED), "fixed")
        self.assertEqual(word(FAILED, 400, FAILED), "")
        self.assertEqual(word(SKIPPED, 0, PASSED), "")
        self.assertEqual(word(PASSED, 64, PASSED), "")
        self.assertEqual(word(PASSED, 66, PASSED), "slower (before: 40 s)")
        self.assertEqual(word(PASSED, 6, PASSED, 2), "")

    def test_kept_on_disk(self):
        report.save(self.top, self.RESULTS)
        self.assertEqual(report.load(self.top), self.RESULTS)
        self.assertEqual(report.load(os.path.join(self.top, "none")), [])
        self.write("results.json", "[{\"name\": 1")
        self.assertEqual(report.load(self.top), [])

    def test_the_last_time_that_a_cell_ran(self):
        runs = []
        for number, outcomes in enumerate(((PASSED, PASSED), (FAILED, SKIPPED))):
            runs.append(os.path.join(self.top, str(number)))
            os.mkdir(runs[-1])
            report.save(runs[-1], [Result(name, "m", outcome, 1, "") for name, outcome in zip("ab", outcomes)])
        before = report.load_before(runs)
        self.assertEqual((before["a"].outcome, before["b"].outcome), (FAILED, PASSED))

    def test_junit(self):
        suite = xml.fromstring(report.junit(self.RESULTS).encode())
        self.assertEqual([suite.get(key) for key in ("tests", "failures", "skipped")], ["3", "1", "1"])
        passed, failed, skipped = suite.findall("testcase")
        self.assertEqual((passed.get("classname"), passed.get("time"), len(passed)), ("m1", "40.0", 0))
        self.assertEqual(failed.find("failure").get("message"), "hang: <b>&?")
        self.assertIn("more", failed.find("failure").text)
        self.assertEqual(skipped.find("skipped").get("message"), "no emulator")

    def test_page(self):
        before = {"m1_2p_6.1_work": Result("m1_2p_6.1_work", "m1", PASSED, 44, "")}
        text = report.page(self.RESULTS, before, "today", "v1")
        for part in ("1 passed, 1 failed, 1 skipped", "&lt;b&gt;&amp;", "<li>m1 2p 6.1 work: broken</li>", ">44<",
                     'href="m1_2p_6.1_work.log"', 'href="m1_2p_6.1_work.serial"', "no emulator"):
            self.assertIn(part, text)
        self.assertNotIn("<b>&", text)
        self.assertNotIn('href="m2', text)

    def test_page_needs_nothing_else(self):
        text = report.page(self.RESULTS, {}, "today", "v1")
        self.assertIsNone(re.search(r"https?:|src=|@import|<link|<script", text))

    def test_all_files_are_written(self):
        report.write(self.top, self.RESULTS, {}, "v1")
        self.assertEqual(set(os.listdir(self.top)), {"results.json", "junit.xml", "index.html"})

    def test_moves_are_drawn(self):
        moved = [chart.line_of("west<", {"rounds": rounds, "downtime_ms": 900, "total_ms": 12345, "bytes": 5 << 20})
                 for rounds in ([40000, 900, 7], [40000], [])]
        self.write("m1_1p_6.1_boot.log", "   1.0  m1 is up\n" + "".join(f"   2.0  {line}\n" for line in moved))
        report.write(self.top, self.RESULTS, {}, "v1")
        with open(os.path.join(self.top, "index.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(re.findall(r"<title>(\d+) pages", text), ["40000", "900", "7", "40000"])
        for part in ("to west&lt;: 12.3 s in all, 5 MiB, down for 900 ms", "m1 1p 6.1 boot</h3>", ">10000</text>"):
            self.assertIn(part, text)
        drawing = xml.fromstring(re.search(r"<svg.*?</svg>", text, re.S).group())
        heights = [float(dot.get("cy")) for dot in drawing.iter("circle")]
        self.assertTrue(0 < heights[0] < heights[1] < heights[2] < chart.HEIGHT, heights)

    def test_guests_at_once_are_drawn(self):
        points = [load.Point(seconds, cpu_ms, 120, 5) for seconds, cpu_ms in ((0.4, 100), (0.8, 90), (0.41, 101))]
        self.write("m1_1p_6.1_boot.log", f"   1.0  m1 is up\n   2.0  {chart.line_of_guests(points)}\n")
        report.write(self.top, self.RESULTS, {}, "v1")
        with open(os.path.join(self.top, "index.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(re.findall(r"<title>guest (\d): (\d+) ms", text),
                         [("1", "400"), ("2", "800"), ("3", "410"), ("1", "100"), ("2", "90"), ("3", "101")])
        for part in ("m1 1p 6.1 boot</h3>", ">800</text>", "guests, first to last (3)",
                     "calls of the tool for each: 120", "reads of xenstore: 5"):
            self.assertIn(part, text)
        self.assertNotIn("Migrations", text)
        drawing = xml.fromstring(re.search(r"<svg.*?</svg>", text, re.S).group())
        heights = [float(dot.get("cy")) for dot in drawing.iter("circle")]
        self.assertEqual((heights[1], min(heights)), (10, 10))
        self.assertTrue(max(heights) < chart.HEIGHT - chart.FOOT, heights)

    def test_no_moves_no_charts(self):
        self.write("m1_1p_6.1_boot.log", "moved: {half\ncreated: {half\n")
        report.write(self.top, self.RESULTS, {}, "v1")
        with open(os.path.join(self.top, "index.html"), encoding="utf-8") as file:
            self.assertNotIn("<svg", file.read())


class Curve(unittest.TestCase):
    """What is said of guests that cost more while others run."""

    def wrong(self, points, word):
        with self.assertRaisesRegex(AssertionError, f"a guest costs more {word} with others"):
            load.check_curve(self, points)

    def test_flat(self):
        load.check_curve(self, [load.Point(0.3, 200, 120, 5)] * 27)

    def test_what_else_the_host_does(self):
        """Some of the last are slow, and the first were not."""
        times = [200, 210, 190] * 6 + [700, 800, 210, 900, 650, 390, 700, 810, 805]
        load.check_curve(self, [load.Point(1, cpu_ms, 120, 5) for cpu_ms in times])

    def test_growth(self):
        self.wrong([load.Point(1, 200 + 20 * number, 120, 5) for number in range(27)], "CPU time")
        self.wrong([load.Point(1, 200, 120 + number, 5) for number in range(27)], "calls")
        self.wrong([load.Point(1, 200, 120, 5 + number) for number in range(6)], "reads")

    def test_too_short_to_tell(self):
        load.check_curve(self, [load.Point(1, 4 + 10 * number, 120, 5) for number in range(6)])

    def test_lines(self):
        self.assertEqual(load.point_of("100.50 101.25 120 5 180 95"), load.Point(0.75, 95, 120, 5))


class Processes(unittest.TestCase):
    TEXT = """PID   PPID  COMMAND
    1     0 init
    2     0 kthreadd
   40     2 kworker/0:1-events
  300     1 xenstored
  301     1 sh
  302   301 agent
  303   301 sh
  308     1 timeout
  310   302 timeout
  311   310 sh
  312   311 ps
"""

    def test_all_but_the_kernel_and_those_who_look(self):
        self.assertEqual(load.processes(self.TEXT), ["init", "kthreadd", "sh", "xenstored"])


class Failures(unittest.TestCase):
    def test_a_hang_that_is_told_on_is_one(self):
        error = AssertionError("the seed was 1")
        error.__cause__ = AssertionError("tail of the log")
        error.__cause__.__cause__ = verdict.MachineEnded(verdict.HANG, "the command did not end")
        self.assertEqual(actions.cause_of(error).status, verdict.HANG)
        self.assertIs(actions.cause_of(error.__cause__.__cause__), error.__cause__.__cause__)


class Runner(Temporary):
    """Small programs of the shell in place of cells."""

    def setUp(self):
        super().setUp()
        self.runner = script.load(os.path.join(MATRIX, "run"))

    def run_cells(self, *commands, limit=30, jobs=2, minutes=80, done=()):
        wanted = [cells.Cell("m", 1, "6.1", None, None, None, f"a{number}", limit, ())
                  for number in range(len(commands))]
        by_name = dict(zip((cell.name for cell in wanted), commands))
        run = self.runner.Run(wanted, self.top, lambda cell: ["sh", "-c", by_name[cell.name]], {}, done)
        with open(os.devnull, "w", encoding="utf-8") as nothing:
            old, sys.stdout = sys.stdout, nothing
            try:
                run.go(jobs, minutes)
            finally:
                sys.stdout = old
        return run.ordered(wanted)

    def test_statuses(self):
        results = self.run_cells("exit 0", "echo '  1.0  FAILED: wrong sum'; exit 1", "echo no kernel; exit 77",
                                 "exit 126", "exit 120", "exit 3")
        self.assertEqual([result.outcome for result in results], [PASSED, FAILED, SKIPPED, FAILED, FAILED, FAILED])
        for result, reason in zip(results, ("", "a check failed: wrong sum", "no kernel", "hypervisor panicked",
                                            "the machine reset", "exit status 3")):
            self.assertTrue(result.reason.startswith(reason), result)

    def test_pairs_and_then_long_ones_go_first(self):
        rows = [cells.Cell("m", 1, "6.1", None, None, None, action, limit, ())
                for action, limit in (("boot", 180), ("load", 1500), ("migrate", 900), ("work", 1500))]
        names = [cell.action for cell in self.runner.Run(rows, self.top, None, {}).pending]
        self.assertEqual(names, ["migrate", "load", "work", "boot"])

    def test_hung_cell_does_not_stop_the_rest(self):
        pid = os.path.join(self.top, "pid")
        start = time.monotonic()
        hung = f"sleep 600 & echo $! >{pid}; echo stuck here; wait"
        results = self.run_cells(hung, "exit 0", "exit 0", limit=1, jobs=1)
        self.assertEqual([result.outcome for result in results], [FAILED, PASSED, PASSED])
        self.assertIn("hang", results[0].reason)
        self.assertIn("stuck here", results[0].reason)
        self.assertLess(time.monotonic() - start, 15)
        self.assertEqual(self.command_line_of(pid), "")

    @staticmethod
    def command_line_of(path):
        """Of the process whose number the file holds; empty when it has ended."""
        with open(path, encoding="utf-8") as file:
            pid = file.read().strip()
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    def test_cell_that_does_not_end_politely(self):
        self.runner.GRACE = 0.5
        results = self.run_cells("trap '' TERM; echo go; while :; do sleep 0.1; done", limit=1)
        self.assertIn("hang", results[0].reason)

    def test_as_many_at_a_time_as_told(self):
        marks = os.path.join(self.top, "marks")
        os.mkdir(marks)
        command = f"touch {marks}/$$; ls {marks} | wc -l >{self.top}/seen.$$; sleep 0.3; rm {marks}/$$"
        self.run_cells(*[command] * 5, jobs=2)
        seen = []
        for name in os.listdir(self.top):
            if name.startswith("seen."):
                with open(os.path.join(self.top, name), encoding="utf-8") as file:
                    seen.append(int(file.read()))
        self.assertEqual((len(seen), max(seen)), (5, 2))

    def test_time_is_over(self):
        results = self.run_cells("exit 0", "exit 0", minutes=-1)
        self.assertEqual([result.outcome for result in results], [SKIPPED, SKIPPED])
        self.assertIn("over", results[0].reason)

    def test_time_is_over_meanwhile(self):
        """The run has an end, whatever its cells do."""
        self.runner.GRACE = 0.5
        start = time.monotonic()
        results = self.run_cells("echo so far; sleep 600", "exit 0", jobs=1, minutes=1.5 / 60)
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual([result.outcome for result in results], [FAILED, SKIPPED])
        self.assertRegex(results[0].reason, r"(?s)^the run's time was over after \d s of it.*so far")
        self.assertEqual(results[1].reason, self.runner.TIME_OVER)

    def test_resumed(self):
        done = [Result("m_1p_6.1_a0", "m", PASSED, 7, "")]
        results = self.run_cells("exit 1", "exit 0", done=done)
        self.assertEqual([result.outcome for result in results], [PASSED, PASSED])
        self.assertEqual([result.seconds == 7 for result in results], [True, False])

    def test_what_resume_leaves(self):
        over = self.runner.TIME_OVER
        results = [Result("a", "m", PASSED, 7, ""), Result("b", "m", FAILED, 7, "a check failed"),
                   Result("c", "m", SKIPPED, 0, "no emulator"), Result("d", "m", SKIPPED, 0, over),
                   Result("e", "m", FAILED, 7, f"{over} after 7 s of it\nso far")]
        self.assertEqual([result.name for result in self.runner.finished(results, again=False)], ["a", "b", "c"])
        self.assertEqual([result.name for result in self.runner.finished(results, again=True)], ["a"])

    def test_a_pair_counts_as_two(self):
        one, pair = (cells.Cell("m", 1, "6.1", "6.1", "pv", 1, action, 60, ()) for action in ("work", "migrate"))
        slots = self.runner.Slots(2)
        with slots.taken(one):
            self.assertEqual(slots.free, 1)
        with slots.taken(pair):
            self.assertEqual(slots.free, 0)
        alone = self.runner.Slots(1)
        with alone.taken(pair):
            self.assertEqual(alone.free, 0)
        self.assertEqual((slots.free, alone.free), (2, 1))

    def test_stopped(self):
        """What had no end has no result, so that --resume runs it again."""
        wanted = [cells.Cell("m", 1, "6.1", None, None, None, "a", 30, ())]
        run = self.runner.Run(wanted, self.top, lambda cell: ["sleep", "600"], {})
        threading.Timer(0.3, run.stopping.set).start()
        run.go(1, 80)
        self.assertEqual(run.results, {})

    def test_oldest_runs_go(self):
        for number in range(12):
            os.mkdir(os.path.join(self.top, f"20200101-0000{number:02}"))
        new = self.runner.new_directory(self.top)
        runs = self.runner.run_directories(self.top)
        self.assertEqual((len(runs), runs[-1]), (self.runner.KEPT_RUNS, new))
        self.assertEqual(os.path.realpath(os.path.join(self.top, "latest")), os.path.realpath(new))


if __name__ == "__main__":
    unittest.main()
