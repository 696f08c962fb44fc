# SPDX-License-Identifier: BSD-2-Clause
"""Each verb of umbra: what it does when all is well, and what it says when not."""

import re
import time

from labtest import CMDLINE, LabTest, QUICK_KERNEL, STOCK_KERNEL

LIST_HEADER = "Name                                        ID   Mem VCPUs\tState\tTime(s)"
LIST_ROW = re.compile(r"^\S{1,40} +\d+ +\d+ +\d+     [r-][b-][p-][s-][c-][d-]  +\d+\.\d$")


class General(LabTest):
    def test_version_and_help(self):
        self.assertRegex(self.ok("umbra --version"), r"\d+\.\d+")
        self.assertIn("create", self.ok("umbra help"))
        self.assertIn("-p", self.ok("umbra help create"))

    def test_prefixes(self):
        self.assertEqual(self.ok("umbra domn 0").strip(), "Domain-0")
        self.fails("umbra dom 0", 2, "domid", "domname")

    def test_usage_errors(self):
        self.fails("umbra", 2)
        self.fails("umbra frobnicate", 2, "frobnicate")
        self.fails("umbra list --frobnicate", 2, "frobnicate")
        self.fails("umbra domid", 2)
        self.fails("umbra domid one two", 2)

    def test_no_such_domain(self):
        for verb in ("list", "console", "pause", "unpause", "shutdown", "reboot", "destroy", "domid", "domname",
                     "vcpu-list"):
            with self.subTest(verb=verb):
                self.fails(f"umbra {verb} nobody", 1, "nobody")
                if verb != "domid":
                    self.fails(f"umbra {verb} 4711", 1, "4711")

    def test_control_domain_is_refused(self):
        for verb in ("pause", "unpause", "shutdown", "reboot", "destroy", "console"):
            with self.subTest(verb=verb):
                self.fails(f"umbra {verb} 0", 1, "domain")


class Reading(LabTest):
    """They share a guest."""

    kept = ("reader",)

    def reader(self):
        if "reader" not in self.guests():
            self.create("reader", vcpus=2)
            self.wait_console("reader", "umbra-guest: up, 2 cpus")
        return int(self.ok("umbra domid reader"))

    def test_list(self):
        self.reader()
        lines = self.ok("umbra list").rstrip("\n").split("\n")
        self.assertEqual(lines[0], LIST_HEADER)
        self.assertEqual([line.split()[0] for line in lines[1:]], ["Domain-0", "reader"])
        for line in lines[1:]:
            self.assertRegex(line, LIST_ROW)
            self.assertEqual(len(line.split()), 6)
        self.assertEqual(len(self.ok("umbra list reader").strip().split("\n")), 2)

    def test_list_json(self):
        domid = self.reader()
        rows = {row["name"]: row for row in self.json("umbra --json list")}
        self.assertEqual(rows["Domain-0"]["domid"], 0)
        self.assertEqual((rows["reader"]["domid"], rows["reader"]["vcpus"]), (domid, 2))
        self.assertAlmostEqual(rows["reader"]["memory_kib"], 128 << 10, delta=4 << 10)
        self.assertEqual(rows["reader"]["config"]["kernel"], QUICK_KERNEL)
        self.assertIn(rows["reader"]["state"], ("running", "blocked", "runnable"))

    def test_domid_domname(self):
        domid = self.reader()
        self.assertEqual(self.ok(f"umbra domname {domid}").strip(), "reader")
        self.assertEqual(self.json("umbra --json domid reader")["domid"], domid)

    def test_info(self):
        info = dict(re.findall(r"^(\w+) *: *(.*)$", self.ok("umbra info"), re.M))
        for key in ("total_memory", "free_memory", "nr_cpus", "nr_nodes", "cores_per_socket", "threads_per_core"):
            self.assertTrue(info[key].isdigit(), key)
        self.assertEqual((info["xen_major"], info["xen_minor"]), ("4", "17"))
        self.assertEqual(info["nr_cpus"], "2")
        self.assertLess(int(info["free_memory"]), int(info["total_memory"]))
        document = self.json("umbra --json info")
        self.assertEqual(str(document["xen_major"]), "4")
        self.assertEqual((info["umbra_build"], document["umbra_build"]), ("debug", "debug"))

    def test_vcpu_list(self):
        self.reader()
        lines = [line.split() for line in self.ok("umbra vcpu-list reader").strip().split("\n")]
        self.assertEqual([line[2] for line in lines[1:]], ["0", "1"])
        self.assertEqual([row["vcpu"] for row in self.json("umbra --json vcpu-list reader")], [0, 1])

    def test_dmesg(self):
        self.assertIn("(XEN)", self.ok("umbra dmesg"))
        self.assertTrue(self.json("umbra --json dmesg")["lines"])

    def test_debug_keys(self):
        before = len(self.ok("umbra dmesg"))
        self.ok("umbra debug-keys h")
        self.assertNotEqual(len(self.ok("umbra dmesg")), before)
        self.fails("umbra debug-keys", 2)

    def test_z_dmesg_clear(self):
        before = self.ok("umbra dmesg -c")
        self.assertLess(len(self.ok("umbra dmesg")), len(before) / 2)


class Acting(LabTest):
    def test_create_says_which_domain(self):
        path = self.guest_file("actor", kernel=STOCK_KERNEL)
        self.assertRegex(self.ok(f"umbra create {path}"), r"actor.*\d+")
        self.wait_console("actor", "umbra-guest: up, 1 cpus")

    def test_create_paused_and_unpause(self):
        path = self.guest_file("actor")
        self.ok(f"umbra create -p {path}")
        self.assertEqual(self.guests()["actor"][3][2], "p")
        time.sleep(3)
        self.assertEqual(self.console_log("actor"), "")
        self.ok("umbra unpause actor")
        self.wait_console("actor", "umbra-guest: tick 2")

    def test_create_dry_run(self):
        path = self.guest_file("actor", memory=100)
        self.assertEqual(self.json(f"umbra create -n {path} vcpus=2")["vcpus"], 2)
        self.assertEqual(self.guests(), {})

    def test_create_overrides(self):
        path = self.guest_file("actor")
        self.ok(f"umbra create -p {path} vcpus=2 memory=150 'name=\"other\"'")
        self.assertEqual(self.guests()["other"][1], 150)
        self.assertEqual(len(self.json("umbra --json vcpu-list other")), 2)

    def test_create_quiet(self):
        self.assertEqual(self.ok(f"umbra create -q -p {self.guest_file('actor')}"), "")

    def test_two_processors(self):
        self.create("actor", vcpus=2)
        self.wait_console("actor", "umbra-guest: up, 2 cpus")

    def test_pause_stops_it(self):
        self.create("actor")
        self.wait_console("actor", "umbra-guest: tick 2")
        self.ok("umbra pause actor")
        time.sleep(1)
        at = self.console_log("actor")
        time.sleep(3)
        self.assertEqual(self.console_log("actor"), at)
        self.ok("umbra unpause actor")
        last = int(re.findall(r"tick (\d+)", at)[-1])
        self.wait_console("actor", f"umbra-guest: tick {last + 2}")

    def test_shutdown_waits(self):
        before = self.footprint()
        self.create("actor")
        self.wait_console("actor", "umbra-guest: up")
        self.ok("umbra shutdown -w actor", 150)
        self.assertNotIn("actor", self.guests())
        self.assertIn("umbra-guest: poweroff", self.console_log("actor"))
        self.wait_footprint(before)

    def test_shutdown_all(self):
        for name in ("one", "two"):
            self.create(name)
        for name in ("one", "two"):
            self.wait_console(name, "umbra-guest: up")
        self.ok("umbra shutdown -a -w", 200)
        self.assertEqual(self.guests(), {})

    def test_shutdown_of_a_paused_guest_is_refused(self):
        self.ok(f"umbra create -p {self.guest_file('actor')}")
        self.fails("umbra shutdown actor", 1, "actor")
        self.assertIn("actor", self.guests())

    def test_reboot(self):
        first = self.create("actor", on_reboot="restart")
        self.wait_console("actor", "umbra-guest: up")
        self.ok("umbra reboot -w actor", 200)
        self.assertNotEqual(int(self.ok("umbra domid actor")), first)
        self.wait_console("actor", r"(?s)umbra-guest: reboot.*umbra-guest: up")

    def test_destroy(self):
        before = self.footprint()
        self.create("actor")
        self.ok("umbra destroy actor")
        self.wait_gone("actor")
        self.wait_footprint(before)

    def test_console_output_and_input(self):
        self.create("actor", cmdline=CMDLINE + " umbra.test=quiet")
        self.wait_console("actor", "guest# ")
        self.assertIn("42-seen", self.type_in("actor", "echo $((6 * 7))-seen", "42-seen"))

    def test_create_with_console(self):
        path = self.guest_file("actor", cmdline=CMDLINE + " umbra.test=poweroff")
        result = self.run_in(f"timeout 120 umbra create -c {path} </dev/null", 150)
        self.assertIn("umbra-guest: up", result.out + self.console_log("actor"))
        self.wait_gone("actor")
