# SPDX-License-Identifier: BSD-2-Clause
"""Verbs of the host: memory, core files, figures and events, on a PV and a PVH guest that write and compare memory all
the time; many virtual CPUs; guests that start and stop with the host."""

import json
import re
import time

import exposition
import streams
import tiny
from labtest import CMDLINE, HOME, LabTest, long_one

GUESTS = {"calm": {"type": "pv"}, "deep": {"type": "pvh", "hap": False}}   # not nested paging: docs/debugging.md
WRONG = "memory is not what was written"


class OnGuests(LabTest):
    """They share two guests, which go on counting whatever is done."""

    kept = tuple(GUESTS)
    made = False

    def setUp(self):
        super().setUp()
        missing = [name for name in GUESTS if name not in self.guests()]
        if missing and type(self).made:
            type(self).made = False
            self.fail(f"ended by themselves: {missing}\n{self.last_words()}")
        for name in missing:
            self.create(name, **GUESTS[name], memory=160, cmdline=CMDLINE + " umbra.test=count")
        for name in missing:
            self.wait_console(name, "umbra-guest: count 5 ", 240)
        type(self).made = True

    def last_words(self):
        return self.ok("umbra dmesg | tail -n 30")

    def memory_of(self, name):
        (row,) = self.json(f"umbra --json list {name}")
        return row["memory_kib"]

    def wait_memory(self, name, kib):
        """A balloon driver gives or takes all but its last page or two."""
        deadline = time.monotonic() + 60
        while abs(self.memory_of(name) - kib) > 1024:
            self.assertLess(time.monotonic(), deadline, f"{name} has {self.memory_of(name)} KiB, not {kib}")
            time.sleep(0.3)

    def counts_on(self, name):
        at = int(re.findall(r"count (\d+)", self.console_log(name))[-1])
        self.wait_console(name, f"umbra-guest: count {at + 5} ")
        self.assertNotIn(WRONG, self.console_log(name))

    @long_one
    def test_balloon(self):
        """Down and up while the guest uses its memory; the host gets what it gives back."""
        for name in GUESTS:
            with self.subTest(guest=name):
                full = self.memory_of(name)
                free = self.json("umbra --json info")["free_memory_kib"]
                self.assertIn(f"{name}: memory target 120 MiB", self.ok(f"umbra mem-set {name} 120"))
                self.wait_memory(name, full - (40 << 10))
                self.counts_on(name)
                self.assertGreater(self.json("umbra --json info")["free_memory_kib"], free + (38 << 10))
                document = self.json(f"umbra --json mem-set {name} 163840k")
                self.assertEqual((document["target_kib"], document["limit_kib"]), (163840, 164864))
                self.wait_memory(name, full)
                self.counts_on(name)

    @long_one
    def test_granted(self):
        """What is between memory and maxmem is nobody's before mem-set gives it; then it stays over a save."""
        self.create("room", memory=96, maxmem=112)
        self.wait_console("room", "guest#")
        self.type_in("room", "echo 114688 >/sys/devices/system/xen_memory/xen_memory0/target_kb; sleep 5; echo took=$?",
                     "took=0")
        self.assertLessEqual(self.memory_of("room"), 97 << 10)
        self.ok("umbra mem-set room 112")
        self.wait_memory("room", 112 << 10)
        self.ok(f"umbra save room {HOME}/room.save", 240)
        streams.judge_file(self, f"{HOME}/room.save")
        self.ok(f"umbra restore {HOME}/room.save && rm {HOME}/room.save", 240)
        time.sleep(5)
        self.wait_memory("room", 112 << 10)
        target = self.json("umbra --json mem-max room 112")["target_kib"]
        self.assertAlmostEqual(target, 112 << 10, delta=1024)
        self.ok("umbra mem-set room 96")
        self.wait_memory("room", 96 << 10)

    def test_refused(self):
        self.fails("umbra mem-set calm 161", 1, "calm", "maxmem", "163840 KiB")
        self.fails("umbra mem-max calm 159", 1, "calm", "target")
        self.fails("umbra mem-set calm 12x", 2, "12x", "not a size")
        self.fails("umbra mem-set nobody 100", 1, "nobody")
        self.fails("umbra mem-set 0 16", 2, "128 MiB")
        self.assertIn("memory limit 170 MiB", self.ok("umbra mem-max calm 170"))
        self.ok("umbra mem-max calm 160")

    @long_one
    def test_dump_core(self):
        """What the guest's kernel has at an address is found in the file as a debugger finds it: by registers and page
        tables. The guest goes on."""
        self.put_program(f"{HOME}/core", "core.c")
        for name in GUESTS:
            with self.subTest(guest=name):
                self.type_in(name, "grep -w linux_banner /proc/kallsyms", "[DdRr] linux_banner")
                address = re.search(r"([0-9a-f]{16}) \w linux_banner", self.console_log(name)).group(1)
                document = self.json(f"umbra --json dump-core {name} {HOME}/dump")
                self.assertEqual(document["vcpus"], 1)
                self.assertAlmostEqual(document["pages"], 160 << 8, delta=512)
                text = self.ok(f"cd {HOME}; ./core dump {address}; stat -c '%a %s' dump; ls; rm dump")
                self.assertIn(f"1 vcpus, {document['pages']} pages\nLinux version 6.", text)
                self.assertIn(f"600 {document['bytes']}", text)
                self.assertNotIn("partial", text)
                self.counts_on(name)

    @long_one
    def test_dump_core_live(self):
        self.assertRegex(self.ok(f"umbra dump-core -l calm {HOME}/dump; rm {HOME}/dump"), r"calm: \d+ pages and 1 vCPU")
        self.counts_on("calm")

    def test_dump_core_refused(self):
        """No file is left, and the guest goes on."""
        self.ok("mkdir -p /mnt/small && mount -t tmpfs -o size=20m small /mnt/small")
        self.fails("umbra dump-core calm /mnt/small/dump", 1, "write the core file", "no space left", "free space")
        self.assertEqual(self.ok("ls /mnt/small; umount /mnt/small"), "")
        self.fails(f"umbra dump-core calm {HOME}/none/dump", 1, "none/dump", "no such file")
        self.fails("umbra dump-core 0 /tmp/dump", 1, "control domain")
        self.counts_on("calm")

    def figures(self):
        return exposition.parse(self.ok("umbra metrics"))

    @staticmethod
    def of_guest(figures, metric, name, **labels):
        wanted = {"name": name, **labels}.items()
        (value,) = [value for key, value in figures[metric][1].items() if wanted <= dict(key).items()]
        return value

    def test_metrics(self):
        """A strict reader takes them, they say what the other verbs say, and counters grow."""
        first = self.figures()
        info = self.json("umbra --json info")
        self.assertEqual(first["umbra_host_memory_bytes"][1][()], info["total_memory_kib"] << 10)
        self.assertEqual(first["umbra_domains"][1][()], 1 + len(GUESTS), self.last_words())
        for name in GUESTS:
            self.assertEqual(self.of_guest(first, "umbra_domain_memory_bytes", name), self.memory_of(name) << 10)
            self.assertEqual(sum(self.of_guest(first, "umbra_domain_state", name, state=state) for state in
                                 ("running", "runnable", "blocked", "paused", "shutdown", "crashed", "dying")), 1)
        self.ok("umbra pause deep")
        self.assertEqual(self.of_guest(self.figures(), "umbra_domain_state", "deep", state="paused"), 1)
        self.ok("umbra unpause deep")
        self.counts_on("deep")
        second = self.figures()
        exits = [key for key in first["umbra_domain_exits_total"][1] if ("name", "deep") in key]
        grown = [key for key in exits if second["umbra_domain_exits_total"][1][key] >
                 first["umbra_domain_exits_total"][1][key]]
        self.assertTrue(grown)
        for metric, (kind, values) in first.items():
            for key, value in values.items() if kind == "counter" else ():
                self.assertGreaterEqual(second[metric][1][key], value, (metric, key))
        self.assertGreater(self.of_guest(second, "umbra_domain_cpu_seconds_total", "deep"),
                           self.of_guest(first, "umbra_domain_cpu_seconds_total", "deep"))
        self.assertGreater(self.of_guest(second, "umbra_domain_shadow_pool_used_bytes", "deep", use="p2m"), 0)
        self.assertEqual(self.json("umbra metrics --format=json")["schema"], "umbra.metrics/1")
        self.ok("umbra metrics -o /tmp/umbra.prom")
        self.assertIn("umbra_domains", exposition.parse(self.ok("cat /tmp/umbra.prom; rm /tmp/umbra.prom")))

    @long_one
    def test_events(self):
        """Of a guest that powers off at once and is kept, until it is destroyed, which may be seen to pause it first.
        The stream is read meanwhile."""
        self.machine.put(f"{HOME}/tiny", tiny.tiny_kernel())
        path = self.guest_file("brief", kernel=f"{HOME}/tiny", ramdisk=None, memory=8, cmdline="0",
                               on_poweroff="preserve")
        stream = "umbra --json events -p >/tmp/events & child=$!; until [ -s /tmp/events ]; do usleep 100000; done"
        wait = "for i in $(seq 100); do grep -q '{}' /tmp/events && break; usleep 200000; done"
        until = [wait.format(words) for words in ("shutdown.*brief", "preserved", "destroyed.*brief", "gone")]
        self.ok(f"{stream}; umbra create -q {path}; {until[0]}; {until[1]}; umbra pause calm; sleep 1; "
                f"umbra unpause calm; sleep 1; umbra destroy brief; {until[2]}; {until[3]}; kill $child")
        events = [json.loads(line) for line in self.ok("cat /tmp/events; rm /tmp/events").strip().split("\n")]
        number = [event["domid"] for event in events if event["name"] == "brief" and event["event"] != "guest"][0]
        brief = [(event["event"], event["detail"]) for event in events
                 if event["domid"] == number and event["event"] not in ("named", "paused", "dying")]
        self.assertEqual(brief, [("created", None), ("shutdown", "poweroff"), ("unpaused", None), ("destroyed", None)]
                         if ("shutdown", "poweroff") in brief[:2] else
                         [("created", None), ("unpaused", None), ("shutdown", "poweroff"), ("destroyed", None)])
        calm = [event["event"] for event in events if event["name"] == "calm"]
        self.assertEqual(calm, ["present", "paused", "unpaused"])
        states = [event["detail"] for event in events if event["event"] == "guest"]
        self.assertEqual(states[-1], "gone")
        self.assertIn("preserved", states)
        self.fails("umbra events --once --timeout 1", 1, "nothing happened")

    def test_top(self):
        """The columns are those of Debian's xentop. The first look has no percentages."""
        looks = self.ok("umbra top -b -i 2 -d 2").replace("no limit", "no-limit").split("      NAME  STATE")
        heading = "      NAME  STATE" + looks[1].split("\n")[0]
        self.assertEqual(heading.split(), self.ok("xentop -b -i 1").split("\n")[0].split())
        rows = [{row.split()[0]: row.split() for row in look.split("\n")[1:-1]} for look in looks[1:]]
        self.assertEqual(sorted(rows[0]), ["Domain-0", *GUESTS])
        columns = heading.split()
        self.assertEqual({len(row) for look in rows for row in look.values()}, {len(columns)})
        self.assertEqual({row[3] for row in rows[0].values()}, {"0.0"})
        for name in GUESTS:
            row = dict(zip(columns, rows[1][name]))
            self.assertGreater(float(row["CPU(%)"]), 0)
            self.assertLessEqual(float(row["CPU(%)"]), 101)
            self.assertEqual(row["MEM(k)"], str(self.memory_of(name)))
        second = json.loads(self.ok("umbra --json top -i 2 -d 0.5").strip().split("\n")[1])
        self.assertEqual([row["name"] for row in second["domains"]], ["Domain-0", *GUESTS])
        self.fails("umbra top </dev/null", 2, "use -b")
        self.assertEqual(self.ok("ls /lib/terminfo/*/xterm /lib/terminfo/*/vt100 | wc -l").strip(), "2")

    def test_completion(self):
        """Names of the domains there are, in the bash of the control domain, which has no /dev/fd."""
        shell = ("umbra completion bash >/tmp/completion; . /tmp/completion; "
                 "COMP_WORDS=(umbra pause c); COMP_CWORD=2; _umbra; echo ${COMPREPLY[*]}; "
                 "COMP_WORDS=(umbra mem); COMP_CWORD=1; _umbra; echo ${COMPREPLY[*]}")
        self.machine.put("/tmp/complete", shell.encode())
        self.assertEqual(self.ok("bash /tmp/complete"), "calm\nmem-set mem-max\n")

    def test_bug_info(self):
        text = self.ok("umbra bug-info")
        for words in ("==== versions\numbra ", "xen_major", "==== vcpu-list", "-- calm, running", "umbra.test=count",
                      "(XEN)"):
            self.assertIn(words, text)

    @long_one
    def test_dump_and_crash(self):
        """What on_crash says is done."""
        self.machine.put(f"{HOME}/tiny", tiny.tiny_kernel(tiny.HALT, pvh=True))
        path = self.guest_file("brief", type="pvh", kernel=f"{HOME}/tiny", ramdisk=None, memory=8, on_crash="preserve")
        self.ok(f"umbra create -p {path}; umbra dump-core -c brief {HOME}/dump; rm {HOME}/dump")
        (row,) = self.json("umbra --json list brief")
        self.assertEqual((row["state"], row["shutdown_reason"]), ("crashed", "crash"))
        self.ok("umbra destroy brief")


class Many(LabTest):
    """As many virtual CPUs as there can be."""

    def check(self, name):
        rows = self.json(f"umbra --json vcpu-list {name}")
        self.assertEqual([row["vcpu"] for row in rows], list(range(64)))
        domid = self.ok(f"umbra domid {name}").strip()
        self.fails(f"umbra vcpu-set {name} 65", 1, "more than its maxvcpus, 64")
        self.fails(f"umbra vcpu-set {name} 64", 1, "more than the host's 2", "-i")
        self.ok(f"umbra vcpu-set -i {name} 33")
        nodes = self.ok(f"for i in 0 32 33 63; do xenstore-read /local/domain/{domid}/cpu/$i/availability; done")
        self.assertEqual(nodes.split(), ["online", "online", "offline", "offline"])
        self.ok(f"umbra destroy {name}")

    @long_one
    def test_64_vcpus(self):
        before = self.footprint()
        for kind, kernel in (("pv", tiny.tiny_kernel(tiny.SLEEP)), ("pvh", tiny.tiny_kernel(tiny.HALT, pvh=True))):
            with self.subTest(type=kind):
                self.machine.put(f"{HOME}/tiny", kernel)
                path = self.guest_file("wide", type=kind, kernel=f"{HOME}/tiny", ramdisk=None, memory=16, vcpus=64)
                self.ok(f"umbra create -p {path}")
                self.check("wide")
        self.wait_footprint(before)

    def test_more(self):
        path = self.guest_file("wide", vcpus=65)
        self.fails(f"umbra create {path}", 2, "vcpus: 65 is out of range: 1 to 64")
        self.assertEqual(self.guests(), {})

    @long_one
    def test_linux_on_64(self):
        self.create("wide", vcpus=64, memory=512)
        self.wait_console("wide", "umbra-guest: up, 64 cpus", 900)


class Auto(LabTest):
    """The boot and the end of a host, without booting it: guests that stop at once are enough to see who was begun."""

    @long_one
    def test_run_and_stop(self):
        self.machine.put(f"{HOME}/tiny", tiny.tiny_kernel(tiny.SLEEP))
        common = {"kernel": f"{HOME}/tiny", "ramdisk": None, "memory": 8}
        for name in ("beta", "alpha"):
            self.ok(f"umbra autostart enable {self.guest_file(name, **common)}")
        self.machine.put("/etc/umbra/auto/between.json", b"{ no guest")
        self.fails("umbra autostart run", 1, "between.json")
        numbers = {name: row[0] for name, row in self.guests().items()}
        self.assertLess(numbers["alpha"], numbers["beta"])
        self.ok("rm /etc/umbra/auto/between.json")
        self.assertIn("alpha: is there already", self.ok("umbra autostart run"))
        rows = {row["name"]: row for row in self.json("umbra --json autostart list")}
        self.assertEqual((rows["alpha"]["file"], rows["beta"]["running"]), (f"{HOME}/alpha.json", True))
        for name in ("alpha", "beta"):
            self.ok(f"umbra destroy {name}; umbra autostart disable {name}")
        self.assertEqual(self.json("umbra --json autostart list"), [])

    @long_one
    def test_stop_while_it_reboots(self):
        """A guest that is between two lives is not started again behind the back of the host's end."""
        self.machine.put(f"{HOME}/again", tiny.tiny_kernel())
        path = self.guest_file("again", memory=16, kernel=f"{HOME}/again", ramdisk=None, cmdline="1",
                               on_reboot="restart")
        self.ok(f"umbra create -q -p {path} && umbra unpause again && umbra autostart stop")
        self.assertEqual(self.guests(), {})
        self.assertIn("again: all guests are being stopped: it is not started again",
                      self.ok("cat /var/log/umbra/supervisor.log"))

    @long_one
    def test_save_and_restore(self):
        """What is saved at the end of the host goes on at its next boot; the other guest powers off."""
        self.create("kept", memory=96, cmdline=CMDLINE + " umbra.test=often", on_host_shutdown="save")
        self.create("brief")
        for name in ("kept", "brief"):
            self.wait_console(name, "umbra-guest: tick 3")
        self.ok("umbra autostart stop", 200)
        self.assertEqual(self.guests(), {})
        self.assertIn("umbra-guest: poweroff", self.console_log("brief"))
        streams.judge_file(self, "/var/lib/umbra/save/kept.save")
        last = int(re.findall(r"tick (\d+)", self.console_log("kept"))[-1])
        self.ok("umbra autostart run")
        self.wait_console("kept", f"umbra-guest: tick {last + 3}")
        self.assertEqual(self.ok("ls /var/lib/umbra/save"), "")
