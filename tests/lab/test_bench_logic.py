# SPDX-License-Identifier: BSD-2-Clause
"""What tests/bench/run does with the figures it has got, on the host."""

import json
import os
import tempfile
import unittest
import xml.etree.ElementTree as xml

import script

RUN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench", "run")


class Figures(unittest.TestCase):
    def setUp(self):
        self.bench = script.load(RUN)
        rows = (*self.bench.AIM, "random-read")
        self.medians = {"umbra-shadow": dict.fromkeys(rows, 100), self.bench.PEER: dict.fromkeys(rows, 200)}

    def test_ratios(self):
        self.medians["umbra-shadow"]["thread"] = 100 * 2 ** 7
        mean, worst, ratio = self.bench.ratios(self.medians)["umbra-shadow"]
        self.assertAlmostEqual(mean, 1.0)  # seven rows of a half, one of them 2^7 times as long
        self.assertEqual((worst, ratio), ("thread", 64.0))
        self.medians["umbra-shadow"]["random-read"] = 10 ** 9  # no row of the aim
        self.assertAlmostEqual(self.bench.ratios(self.medians)["umbra-shadow"][0], 1.0)

    def test_without_the_peer(self):
        """Figures are printed and kept, ratios are not made up."""
        del self.medians[self.bench.PEER]
        self.assertEqual(self.bench.ratios(self.medians), {})
        self.assertNotIn("(", self.bench.table(self.medians).split("\n")[1])

    def test_table_and_files(self):
        text = self.bench.table(self.medians)
        self.assertIn("100 (0.50)", text)
        self.assertIn("umbra-shadow to xen-hap: geometric mean 0.50 of seven rows", text)
        with tempfile.TemporaryDirectory() as build:
            where = self.bench.write(build, {name: {} for name in self.medians}, self.medians, {})
            with open(os.path.join(where, "bench.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file)["to_xen-hap"]["umbra-shadow"]["geometric_mean"], 0.5)
            chart = xml.parse(os.path.join(where, "bench.svg")).getroot()
        bars = [bar for bar in chart.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertEqual([bar.get("width") for bar in bars], ["100"] * 8)

    def test_exits(self):
        """Only of systems that count; frequent reasons first; other counts are for the file."""
        counts = {"exits.cr": 0.5, "exits.page_fault": 2.0, "events.made": 9.0, "tlb.begun": 0.25}
        spent = {"umbra-shadow": {"thread": counts}, "xen-hap": {}}
        title, line = self.bench.exits_table(spent).split("\n")
        self.assertEqual(line.split(), ["umbra-shadow", "thread", "0.25", "2.50", "page_fault", "2.00", "cr", "0.50"])
        self.assertEqual(self.bench.exits_table({"xen-hap": {}}), "")

    def test_rows(self):
        """The guest has as many as the host waits for."""
        with open(os.path.join(os.path.dirname(RUN), "mmubench.c"), encoding="utf-8") as file:
            table = file.read().split("} rows[] = {")[1].split("};")[0]
        self.assertEqual(table.count('{"'), self.bench.ROWS)

    def test_configurations(self):
        """The same guest in each tool's language."""
        _, here, command = self.bench.configuration("umbra", "pvh", False)
        self.assertEqual((json.loads(here)["hap"], command.split()[0]), (False, "umbra"))
        _, there, command = self.bench.configuration("xen", "pvh", True)
        self.assertIn("hap = 1\n", there)
        self.assertIn('type = "pvh"\n', there)
        self.assertEqual(command.split()[0], "xl")
        self.assertNotIn("hap", self.bench.configuration("umbra", "pv", None)[1])
