# SPDX-License-Identifier: BSD-2-Clause
"""A guest that counts and writes memory moves between two hosts by ssh and comes back; it sees no longer gap than
is reported. What goes wrong on the way - the receiver dies, the cable is pulled, the other host dies, its disk breaks -
leaves it running where it was, and nothing on the other host. Each stream is judged, one that ends early up to there.
Most of it wants to be asked for."""

import time

import churn
import devices
import hosts
import moves
import streams
from labtest import PairTest, long_one

PVH = {"type": "pvh", "memory": 96}
SLOW = ("--bandwidth", "1M")  # it would take two minutes
MOVES = 20
GUEST_ADDRESS, PORT, HEARD = "10.0.0.9", 5002, "/run/heard"
DISKS = "/run/pair"  # a file system of its own
DISK = f"{DISKS}/pair.img"
FILL = f"yes contents | head -c 1048576 >{DISK}"
# How the disk breaks at the other host, what mends it, and what is said of it. The receiver opens a disk and writes
# nothing to it, so one that is full is nothing that it could notice.
BREAKS = ((f"umount -l {DISKS}", f"mount -t tmpfs -o size=4m pair {DISKS}; {FILL}", "cannot be found"),
          (f"mount -o remount,ro {DISKS}", f"mount -o remount,rw {DISKS}", "cannot be written to"),
          (f": >{DISK}", FILL, "is shorter than a sector"))


class Migrate(PairTest):
    pair_options = {"smp": 1}

    def setUp(self):
        super().setUp()
        if "hvm" not in self.east.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        streams.tap_for(self, self.east, self.west)

    def traveller(self, **keys):
        guest = moves.Traveller(self.east, "busy", **{**PVH, **keys})
        guest.wait_more(10)
        return guest

    def there_and_back(self, **keys):
        """Memory is what it was: the sum of a file, and what the guest looks at itself."""
        guest = self.traveller(**keys)
        for target in (self.west, self.east):
            guest.move_and_check(target)
        return guest

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def begin(self, *options, name="busy"):
        """A migration under way, which takes its time; what it says is in /run/said, its status in /run/status."""
        self.east.ok("rm -f /run/status")
        words = " ".join([*SLOW, *options])
        move = f"umbra migrate {words} {name} west"
        self.east.ok(f"({move} >/run/said 2>&1; echo $? >/run/status) </dev/null >/dev/null &")
        deadline = time.monotonic() + 60
        while self.progress(name).get("pages", 0) < 1000:
            self.assertLess(time.monotonic(), deadline, self.east.ok("cat /run/said"))
            time.sleep(0.5)

    def progress(self, name):
        return self.east.json(f"umbra --json migrate-status {name}")["progress"] or {}

    def fails(self, *words, timeout=90, name="busy"):
        """The tool says why; no migration is left."""
        deadline = time.monotonic() + timeout
        while self.east.run_in("cat /run/status").status and time.monotonic() < deadline:
            time.sleep(0.5)
        said = self.east.ok("cat /run/said")
        self.assertEqual(self.east.run_in("cat /run/status").out.strip(), "1", said)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual(self.east.json(f"umbra --json migrate-status {name}")["state"], "none")

    def gives_up(self, guest, *words):
        """And the guest counts on."""
        self.fails(*words)
        guest.wait_more(10)

    def receiver_is_killed(self, guest):
        there, here = moves.what_is_there(self.west), moves.what_is_there(self.east)
        self.begin()
        self.assertIn("busy--incoming", self.west.guests())
        self.west.ok(f"kill -9 $({moves.RECEIVERS})")
        self.gives_up(guest)
        moves.wait_back(self.west, there)
        moves.wait_back(self.east, here)

    def cable_is_pulled(self, guest):
        there, here = moves.what_is_there(self.west), moves.what_is_there(self.east)
        self.begin()
        self.west.machine.set_link(False)
        self.addCleanup(self.west.machine.set_link, True)
        self.gives_up(guest)
        moves.wait_back(self.west, there)
        self.west.machine.set_link(True)
        moves.wait_back(self.east, here)
        self.east.ok("for i in $(seq 20); do ssh -o ConnectTimeout=5 west true && exit; done; exit 1")

    def is_full(self, guest):
        """There is no memory for it; it is asked, and tried."""
        there, here = moves.settled(self.west), moves.what_is_there(self.east)
        left = self.west.json("umbra --json info")["free_memory_kib"] // 1024 - 64
        self.west.ok(f"umbra create -p {self.west.guest_file('big', memory=left)}", 240)
        for verb in ("migrate --check", "migrate"):
            self.east.fails(f"umbra {verb} busy west", 1, "memory")
            guest.wait_more(10)
        self.west.ok("umbra destroy big")
        moves.wait_back(self.west, there)
        moves.wait_back(self.east, here)

    def wait_loops(self, host, before):
        """The scripts let go of a guest's files."""
        deadline = time.monotonic() + 30
        while host.ok("losetup -a") != before and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(host.ok("losetup -a"), before)

    # --- tests ----------------------------------------------------------------------------------------------------

    @long_one
    def test_a_move(self):
        guest = self.traveller(hap=False)
        guest.move_and_check(self.west)

    @long_one
    def test_shadow(self):
        guest = self.there_and_back(hap=False)
        self.receiver_is_killed(guest)
        self.cable_is_pulled(guest)
        self.is_full(guest)
        self.east.ok("umbra shutdown -w busy", 180)

    @long_one
    def test_streams(self):
        """On three connections; when one of them is lost, which is not the first, the guest stays."""
        self.west.grow()
        guest = self.traveller(hap=False)
        there, here = moves.settled(self.west), moves.what_is_there(self.east)
        self.begin("--streams 3")
        self.west.ok(f"kill -9 $({moves.RECEIVERS} | tail -n 1)")
        self.gives_up(guest, "connection 3 of 3")
        moves.wait_back(self.west, there)
        moves.wait_back(self.east, here)
        self.assertIn("on 3 connections", self.east.ok("umbra migrate --check --streams 3 busy west"))
        self.assertEqual(guest.move_and_check(self.west, "--streams 3")["streams"], 3)

    @long_one
    def test_nested(self):
        self.there_and_back(hap=True)

    @long_one
    def test_pv(self):
        self.there_and_back(type="pv")

    @long_one
    def test_four_processors(self):
        for keys in ({"hap": False}, {"hap": True}, {"type": "pv"}):
            with self.subTest(keys=keys):
                guest = self.there_and_back(vcpus=4, **keys)
                guest.host.ok("umbra destroy busy")

    @long_one
    def test_forks(self):
        """Processes come and go on four processors; what they find in memory is right where the guest came to."""
        log = f"{moves.LOGS}/guest-forks--incoming.log"
        self.west.ok(f"ln -sf guest-forks.log {log}")
        self.addCleanup(self.west.run_in, f"umbra destroy forks; rm -f {log}")
        for keys in ({"hap": False}, {"type": "pv"}):
            with self.subTest(keys=keys):
                self.west.ok(f"rm -f {moves.LOGS}/guest-forks.log")
                churn.create(self.east, "forks", "rounds 0", **{**PVH, "memory": 128, "vcpus": 4, **keys})
                churn.wait_sum(self.east, "forks", 1, 300)
                self.east.ok("umbra migrate -d 1s -t 2m -o force forks west", 400)
                before = self.east.console_log("forks")
                churn.wait_sum(self.west, "forks", len(churn.LINE.findall(before)) + 2, 300)
                churn.check(self.west, "forks", before)
                self.west.ok("umbra destroy forks")

    def disk_guest(self):
        """Both hosts have its disk and its bridge; returns the loop devices that they had before."""
        log = "/var/log/xen/console/guest-disk1--incoming.log"
        for host, address in ((self.east, "10.78.0.1"), (self.west, "10.78.0.2")):
            if not devices.prepare(host, address):
                self.skipTest("no archive with the drivers of the guests' kernel")
            host.ok(f"mkdir -p {DISKS}; mount -t tmpfs -o size=4m pair {DISKS}; {FILL}; ln -sf guest-disk1.log {log}")
            self.addCleanup(host.run_in, f"umbra destroy disk1; umount -l {DISKS}; rm -f {log}")
        loops = [host.ok("losetup -a") for host in (self.east, self.west)]
        self.east.create("disk1", ramdisk=devices.INITRD, disk=[f"{DISK},,xvda"], vif=[f"bridge={devices.BRIDGE}"],
                         **PVH)
        self.east.wait_console("disk1", "umbra-guest: up, with drivers")
        devices.has_disk(self.east, "disk1", "xvda", True, "first")
        return loops

    @long_one
    def test_disk(self):
        """What the guest reads after the move is the other host's. What one of them does not have is told by name, and
        the guest goes on with its own."""
        here, there = self.disk_guest()
        self.west.ok(f"echo west | dd of={DISK} bs=1k seek=1020 conv=notrunc 2>/dev/null; mv {DISK} {DISKS}/hidden")
        self.east.fails("umbra migrate --check disk1 west", 1, "west: it would not take the guest", "disk xvda",
                        f"{DISK} cannot be found")
        self.east.fails("umbra migrate disk1 west", 1, f"{DISK} cannot be found")
        self.west.ok(f"mv {DISKS}/hidden {DISK}; ip link set xenbr0 down; brctl delbr xenbr0")
        self.east.fails("umbra migrate --check disk1 west", 1, "network interface 0", "there is no bridge xenbr0")
        self.west.ok("brctl addbr xenbr0; ip link set xenbr0 up")
        line = "s=$(head -c 8 /dev/xvda); echo still=$s"
        self.assertEqual(devices.ask(self.east, "disk1", line, "still"), "contents")
        self.assertIn("would take it", self.east.ok("umbra migrate --check disk1 west"))
        self.east.ok("umbra migrate -d 1s -t 1m -o force disk1 west", 300)
        self.wait_loops(self.east, here)
        line = "echo 1 >/proc/sys/vm/drop_caches; s=$(tail -c 4096 /dev/xvda | head -c 4); echo at=$s"
        self.assertIn("west", devices.ask(self.west, "disk1", line, "at"))
        self.west.ok("umbra destroy disk1")
        self.wait_loops(self.west, there)

    @long_one
    def test_disk_breaks(self):
        """At the other host, while the guest is copied, so that it is found out when the guest sleeps and its disk is
        attached there: it stays with its own, and nothing is left there. Before page one it is found out as well."""
        self.west.grow()
        _, loops = self.disk_guest()
        there, here = moves.settled(self.west), moves.settled(self.east)
        for number, (damage, mend, words) in enumerate(BREAKS):
            self.begin("--timeout 10s", "--on-timeout force", name="disk1")
            self.west.ok(damage)
            self.fails("disk xvda", f"{DISK} {words}", name="disk1")
            self.east.fails("umbra migrate --check disk1 west", 1, "disk xvda", f"{DISK} {words}")
            self.west.ok(mend)
            line = (f"echo new{number} | dd of=/dev/xvda bs=512 seek=8 conv=fsync 2>/dev/null; "
                    f"echo 1 >/proc/sys/vm/drop_caches; s=$(head -c 8 /dev/xvda); echo still{number}=$s")
            self.assertEqual(devices.ask(self.east, "disk1", line, f"still{number}"), "contents")
            self.assertIn(f"new{number}", self.east.ok(f"dd if={DISK} bs=512 skip=8 count=1 2>/dev/null | head -n 1"))
            self.wait_loops(self.west, loops)
            moves.wait_back(self.west, there)
            moves.wait_back(self.east, here)
        self.assertEqual(len(streams.judge(self.east, cut=True)), len(BREAKS))
        self.east.ok("umbra migrate -d 1s -t 1m -o force disk1 west", 300)

    @long_one
    def test_twenty_moves(self):
        """Of one guest, back and forth; each leaves nothing behind."""
        guest, left = self.traveller(hap=False), {}
        for move in range(MOVES):
            here, there = (self.east, self.west)[::1 if move % 2 == 0 else -1]
            guest.move_and_check(there)
            if move < 2:
                left[here.name] = moves.settled(here)
            moves.wait_back(here, left[here.name])

    # --- a network session ------------------------------------------------------------------------------------------

    def join(self, host):
        """The cable becomes a port of the host's bridge, which has its address from now on."""
        address = f"{hosts.ADDRESSES[host.name]}/{hosts.PREFIX}"
        change = "ip addr del {0} dev {1}; brctl {3} {4} eth0; ip addr add {0} dev {2}"
        self.addCleanup(host.run_in, change.format(address, devices.BRIDGE, "eth0", "delif", devices.BRIDGE))
        host.ok(change.format(address, "eth0", devices.BRIDGE, "addif", devices.BRIDGE))

    def heard(self):
        """The numbers that have come, without one that has not come whole."""
        return [int(line) for line in self.west.ok(f"cat {HEARD}").split("\n")[:-1]]

    def wait_heard(self, more):
        wanted, deadline = len(self.heard()) + more, time.monotonic() + 120
        while len(self.heard()) < wanted:
            self.assertLess(time.monotonic(), deadline, f"{wanted} lines are waited for: {self.heard()[-3:]}")
            time.sleep(0.5)

    @long_one
    def test_session(self):
        """A connection of the guest's to the other host goes on when the guest has come there, and when it is back:
        every line arrives, in its order."""
        for host, address in ((self.east, "10.78.0.1"), (self.west, "10.78.0.2")):
            if not devices.prepare(host, address):
                self.skipTest("no archive with the drivers of the guests' kernel")
            host.ok("ln -sf guest-talker.log /var/log/xen/console/guest-talker--incoming.log")
            self.addCleanup(host.run_in, "rm -f /var/log/xen/console/guest-talker--incoming.log")
            self.join(host)
        self.west.ok(f"rm -f /run/open {HEARD}; mkfifo /run/open; "
                     f"(nc -l -p {PORT} >{HEARD} 2>/dev/null <>/run/open & echo $! >/run/listener)")
        self.addCleanup(self.west.run_in, f"kill $(cat /run/listener); rm -f /run/open {HEARD}")
        self.east.create("talker", ramdisk=devices.INITRD, vif=[f"bridge={devices.BRIDGE}"], **PVH)
        self.east.wait_console("talker", "umbra-guest: up, with drivers")
        there = hosts.ADDRESSES["west"]
        line = (f"ip addr add {GUEST_ADDRESS}/24 dev eth0; ip link set eth0 up; "
                f"for i in $(seq 60); do ping -c 1 -W 1 {there} >/dev/null && break; sleep 1; done; echo pinged=$?")
        self.assertEqual(devices.ask(self.east, "talker", line, "pinged"), "0")
        line = f"(i=0; while usleep 200000; do i=$((i + 1)); echo $i; done | nc {there} {PORT}) & echo talks=1"
        devices.ask(self.east, "talker", line, "talks")
        self.wait_heard(5)
        for host, target in ((self.east, "west"), (self.west, "east")):
            host.ok(f"umbra migrate -d 1s -t 1m -o force talker {target}", 300)
            self.wait_heard(20)
        heard = self.heard()
        self.assertEqual(heard, list(range(1, len(heard) + 1)))

    @long_one
    def test_z_host_dies(self):
        """Last: it ends the pair."""
        guest = self.traveller(hap=False)
        here = moves.what_is_there(self.east)
        self.begin()
        self.pair.part()
        self.west.machine.close()
        self.gives_up(guest)
        moves.wait_back(self.east, here)
