# SPDX-License-Identifier: BSD-2-Clause
"""A guest that counts and writes memory moves between two hosts by ssh and comes back; it sees no longer gap than
is reported. What goes wrong on the way - the receiver dies, the cable is pulled, the other host dies -
leaves it running where it was, and nothing on the other host. Each stream is judged, one that ends early up to there.
Most of it wants to be asked for."""

import time

import devices
import hosts
import moves
import streams
from labtest import PairTest, long_one

PVH = {"type": "pvh", "memory": 96}
SLOW = ("--bandwidth", "1M")  # it would take two minutes
MOVES = 20
GUEST_ADDRESS, PORT, HEARD = "10.0.0.9", 5002, "/run/heard"


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

    def begin(self, *options):
        """A migration under way, which takes its time; what it says is in /run/said, its status in /run/status."""
        self.east.ok("rm -f /run/status")
        words = " ".join([*SLOW, *options])
        self.east.ok(f"(umbra migrate {words} busy west >/run/said 2>&1; echo $? >/run/status) </dev/null >/dev/null &")
        self.wait_round()

    def wait_round(self):
        deadline = time.monotonic() + 60
        while self.progress().get("pages", 0) < 1000:
            self.assertLess(time.monotonic(), deadline, self.east.ok("cat /run/said"))
            time.sleep(0.5)

    def progress(self):
        return self.east.json("umbra --json migrate-status busy")["progress"] or {}

    def gives_up(self, guest, *words, timeout=90):
        """The tool says why; the guest counts on."""
        deadline = time.monotonic() + timeout
        while self.east.run_in("cat /run/status").status and time.monotonic() < deadline:
            time.sleep(0.5)
        said = self.east.ok("cat /run/said")
        self.assertEqual(self.east.run_in("cat /run/status").out.strip(), "1", said)
        for word in words:
            self.assertIn(word, said)
        guest.wait_more(10)
        self.assertEqual(self.east.json("umbra --json migrate-status busy")["state"], "none")

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
    def test_disk(self):
        """A disk and a bridge that both hosts have: what the guest reads after the move is the other host's. What one
        of them does not have is told by name, and the guest goes on with its own."""
        for host, address in ((self.east, "10.78.0.1"), (self.west, "10.78.0.2")):
            if not devices.prepare(host, address):
                self.skipTest("no archive with the drivers of the guests' kernel")
            host.ok("yes contents | head -c 1048576 >/run/pair.img; ln -sf guest-disk1.log "
                    "/var/log/xen/console/guest-disk1--incoming.log")
            self.addCleanup(host.run_in, "rm -f /run/pair.img /var/log/xen/console/guest-disk1--incoming.log")
        self.west.ok("echo west | dd of=/run/pair.img bs=1k seek=1020 conv=notrunc 2>/dev/null")
        here, there = self.east.ok("losetup -a"), self.west.ok("losetup -a")
        self.east.create("disk1", ramdisk=devices.INITRD, disk=["/run/pair.img,,xvda"],
                         vif=[f"bridge={devices.BRIDGE}"], **PVH)
        self.east.wait_console("disk1", "umbra-guest: up, with drivers")
        devices.has_disk(self.east, "disk1", "xvda", True, "first")
        self.west.ok("mv /run/pair.img /run/hidden.img")
        self.east.fails("umbra migrate --check disk1 west", 1, "west: it would not take the guest", "disk xvda",
                        "/run/pair.img cannot be found")
        self.east.fails("umbra migrate disk1 west", 1, "/run/pair.img cannot be found")
        self.west.ok("mv /run/hidden.img /run/pair.img; ip link set xenbr0 down; brctl delbr xenbr0")
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
