# SPDX-License-Identifier: BSD-2-Clause
"""Each verb of umbra: what it does when all is well, and what it says when not."""

import re
import time

from labtest import CMDLINE, GUEST_INITRD, LabTest, QUICK_KERNEL, STOCK_KERNEL

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
        for verb in ("pause 0", "unpause 0", "shutdown 0", "reboot 0", "destroy 0", "console 0", "rename 0 other",
                     "sysrq 0 b", "trigger 0 nmi"):
            with self.subTest(verb=verb):
                self.fails(f"umbra {verb}", 1, "domain")


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

    def test_list_long(self):
        """libxl's shape; test_stock_tools compares all of it with what xl prints."""
        self.reader()
        (row,) = self.json("umbra list -l reader")
        self.assertEqual(sorted(row), ["config", "domid"])
        config = row["config"]
        self.assertEqual({key: config["c_info"][key] for key in ("type", "name", "run_hotplug_scripts")},
                         {"type": "pv", "name": "reader", "run_hotplug_scripts": "True"})
        build = config["b_info"]
        self.assertEqual((build["max_vcpus"], build["avail_vcpus"]), (2, [0, 1]))
        self.assertEqual((build["max_memkb"], build["target_memkb"]), (128 << 10, 128 << 10))
        self.assertEqual(build["sched_params"], {"sched": "credit2", "weight": 256, "cap": 0})
        self.assertEqual((build["kernel"], build["ramdisk"], build["cmdline"]), (QUICK_KERNEL, GUEST_INITRD, CMDLINE))
        self.assertEqual(build["type.pv"], {})
        self.assertEqual(config["on_reboot"], "restart")

    def test_uptime(self):
        domid = self.reader()
        lines = self.ok("umbra uptime").rstrip("\n").split("\n")
        self.assertEqual(lines[0].split(), ["Name", "ID", "Uptime"])
        self.assertRegex(lines[1], r"^Domain-0 +0 +\d+:\d\d:\d\d$")
        self.assertRegex(lines[2], rf"^reader +{domid} +\d+:\d\d:\d\d$")
        self.assertRegex(self.ok("umbra uptime -s reader"), rf"^ \d\d:\d\d:\d\d up +\d+:\d\d, reader \({domid}\)\n$")
        self.assertGreater(self.json("umbra --json uptime reader")[0]["uptime_seconds"], 0)

    def test_claims(self):
        """What a build claimed is populated when it is done."""
        self.reader()
        self.assertIn("Claimed", self.ok("umbra claims"))
        self.assertEqual([row["claimed_kib"] for row in self.json("umbra --json claims")], [0, 0])

    def test_rename(self):
        self.reader()
        self.ok("umbra rename reader reader-2")
        self.assertIn("reader-2", self.guests())
        self.assertEqual(self.ok("umbra config get reader-2 name"), "reader-2\n")
        self.fails("umbra domid reader", 1, "reader")
        self.fails("umbra rename reader-2 Domain-0", 2, "control domain")
        self.ok("umbra rename reader-2 reader")
        self.assertIn("reader", self.guests())

    def test_vcpu_pin(self):
        self.reader()
        self.ok("umbra vcpu-pin reader 1 0")
        rows = self.json("umbra --json vcpu-list reader")
        self.assertEqual([row["hard_affinity"] for row in rows], ["all", "0"])
        self.ok("umbra vcpu-pin reader all all")
        self.fails("umbra vcpu-pin reader 0 9", 2, "no CPU 9")

    def test_vcpu_set(self):
        """A Linux guest takes a processor away by itself; one that comes back is brought up by its user space."""
        domid = self.reader()
        bring_up = "echo 1 >/sys/devices/system/cpu/cpu1/online; echo cpus-$((40 + 2))"
        for count, available in ((1, "offline"), (2, "online")):
            self.ok(f"umbra vcpu-set reader {count}")
            self.assertEqual(self.ok(f"xenstore-read /local/domain/{domid}/cpu/1/availability").strip(), available)
            if count == 2:
                self.type_in("reader", bring_up, "cpus-42")
            self.wait_online("reader", count)

    def test_sched_credit2(self):
        domid = self.reader()
        self.ok("umbra sched-credit2 -d reader -w 512 -c 150")
        self.assertRegex(self.ok("umbra sched-credit2"), rf"(?m)^reader +{domid} +512 +150$")
        self.ok("umbra sched-credit2 -d reader -w 256 -c 0")
        self.fails("umbra sched-credit2 -d reader -w 0", 2, "weight")

    def test_sysrq_and_trigger(self):
        self.reader()
        self.ok("umbra sysrq reader h")
        self.wait_console("reader", "sysrq: HELP")
        self.ok("umbra trigger reader nmi 1")
        self.wait_console("reader", "NMI received for unknown reason")
        self.fails("umbra trigger reader nmi 7", 1, "vCPU 7")

    def test_console_on_a_terminal(self):
        """That of the machine. The guest's last lines come first; elsewhere there are none (type_in)."""
        self.reader()
        self.wait_console("reader", "umbra-guest: up")
        self.ok("(sleep 1; printf '\\035') | umbra console -l 3 reader >/dev/hvc0")
        self.machine.wait_log("--- the console itself:\n", 20)
        self.assertIn("--- the end of /var/log/xen/console/guest-reader.log:\n", self.machine.serial_log())

    def test_dmesg(self):
        self.assertIn("(XEN)", self.ok("umbra dmesg"))
        self.assertTrue(self.json("umbra --json dmesg")["lines"])

    def test_debug_keys(self):
        before = self.ok("umbra dmesg")
        self.ok("umbra debug-keys h")
        after = self.ok("umbra dmesg")
        self.assertNotEqual(after, before)
        self.assertIn("'h' pressed", after[-8000:])
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
        self.ok(f"umbra create -p {path} vcpus=2 memory=150 'name=\"other\"' cpu_weight=300 cap=120")
        self.assertEqual(self.guests()["other"][1], 150)
        (share,) = self.json("umbra --json sched-credit2 -d other")
        self.assertEqual((share["weight"], share["cap"]), (300, 120))
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
        """At once, with what to do."""
        self.ok(f"umbra create -p {self.guest_file('actor')}")
        self.fails("timeout 5 umbra shutdown actor", 1, "actor", "paused", "unpause it first")
        self.assertIn("actor", self.guests())

    def test_reboot(self):
        first = self.create("actor", on_reboot="restart")
        self.wait_console("actor", "umbra-guest: up")
        self.start_looking("actor")
        self.ok("umbra reboot -w actor", 200)
        self.assertNotEqual(int(self.ok("umbra domid actor")), first)
        self.wait_console("actor", r"(?s)umbra-guest: reboot.*umbra-guest: up")
        self.never_missed(5)

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
        result = self.run_in(f"timeout 120 umbra create -cF {path} </dev/null", 150)
        self.assertIn("umbra-guest: up", result.out + self.console_log("actor"))
        self.assertEqual(result.status, 0)
        self.assertNotIn("actor", self.guests())    # -F has waited for that
