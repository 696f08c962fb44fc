# SPDX-License-Identifier: BSD-2-Clause
"""Disks and network interfaces of guests, by the stock kernel's front and back ends and Debian's stock scripts: what is
written can be read, on both sides; what is attached while the guest runs is there, and gone when it is detached; a
script that fails says why; and of all of it nothing is left."""

import json

import devices
import streams
from devices import BRIDGE, HERE, INITRD, MIB, THERE
from labtest import LONG, long_one


class Devices(devices.DevicesTest):
    def start(self, name, **keys):
        domid = self.create(name, ramdisk=INITRD, **keys)
        self.wait_console(name, "umbra-guest: up, with drivers")
        return domid

    def ask(self, name, line, word):
        return devices.ask(self, name, line, word)

    def disk(self, path, mib):
        """A file of random bytes, which it returns the sum of."""
        self.addCleanup(self.run_in, f"rm -f {path}")
        return self.ok(f"head -c {mib * MIB} /dev/urandom >{path}; md5sum <{path}").split()[0]

    def left(self):
        return self.ok("losetup -a; ls /sys/class/net; ls /run/umbra | grep ^v; "
                       "xenstore-ls -f | grep -e /backend/ -e /device/; true")

    def has_disk(self, name, disk, there, word):
        devices.has_disk(self, name, disk, there, word)


class Lives(Devices):
    def test_disk_and_network(self):
        """One guest, from its creation to its end, and, if there is time, a second one. The hypervisor's table of what
        the control domain has mapped grows with the most that it ever had and stays, so that frames are counted from
        the second one on."""
        before, left = self.footprint(), self.left()
        was = self.disk("/run/first.img", 2)
        self.start("dev1", disk=["/run/first.img,raw,xvda,rw"], vif=[f"bridge={BRIDGE}"])
        self.use_disk(was)
        self.use_network()
        self.shows()
        if LONG:
            self.attach_and_detach()
        self.ok("umbra destroy dev1")
        self.wait_left(left)
        after = self.footprint()
        self.wait_footprint({**before, "free_kib": after["free_kib"]})
        if LONG:
            self.second_life(after, left)

    def second_life(self, after, left):
        self.start("dev1", disk=["/run/first.img,raw,xvda,rw"], vif=[f"bridge={BRIDGE},vifname=lan0"])
        self.is_counted()
        self.has_disk("dev1", "xvda", True, "first")
        self.ask("dev1", "s=$(md5sum </dev/xvda); echo read=${s%% *}", "read")
        self.ok("umbra destroy dev1")
        self.wait_left(left)
        self.wait_footprint(after)

    def use_disk(self, was):
        self.has_disk("dev1", "xvda", True, "first")
        self.assertEqual(self.ask("dev1", "s=$(md5sum </dev/xvda); echo read=${s%% *}", "read"), was)
        line = ("head -c 500000 /dev/urandom >/m; dd if=/m of=/dev/xvda bs=4k seek=16 conv=notrunc 2>/dev/null; sync; "
                "s=$(md5sum </m); echo wrote=${s%% *}")
        wrote = self.ask("dev1", line, "wrote")
        there = self.ok("dd if=/run/first.img bs=4k skip=16 2>/dev/null | head -c 500000 | md5sum").split()[0]
        self.assertEqual(there, wrote)

    def use_network(self):
        devices.reaches_host(self, "dev1")
        self.ok(f"ping -c 3 {THERE}")
        sent = self.disk("/run/sent", 3)
        self.ok("(nc -l -p 5000 </run/sent >/dev/null 2>&1 &) ; sleep 1")
        # nc ends as soon as the other side has nothing more to say: the one that listens holds an open end.
        got = self.ask("dev1", f"mkfifo /open; s=$(nc {HERE} 5000 <>/open | md5sum); echo got=${{s%% *}}", "got")
        self.assertEqual(got, sent)
        self.addCleanup(self.run_in, "rm -f /run/back /run/open")
        self.ok("mkfifo /run/open; (nc -l -p 5001 >/run/back 2>/dev/null <>/run/open &) ; sleep 1")
        back = self.ask("dev1", f"nc {HERE} 5001 </m; s=$(md5sum </m); echo back=${{s%% *}}", "back")
        self.assertEqual(self.ok("sleep 1; md5sum </run/back").split()[0], back)

    def attach_and_detach(self):
        was = self.disk("/run/second.img", 1)
        self.assertIn("xvdb attached", self.ok("umbra block-attach dev1 /run/second.img,,xvdb,r"))
        self.has_disk("dev1", "xvdb", True, "second")
        self.assertEqual(self.ask("dev1", "s=$(md5sum </dev/xvdb); echo again=${s%% *}", "again"), was)
        self.assertEqual(self.ask("dev1", "echo ro=$(cat /sys/block/xvdb/ro)", "ro"), "1")
        rows = self.json("umbra --json block-list dev1")
        self.assertEqual([(row["vdev"], row["target"], row["readonly"]) for row in rows],
                         [("xvda", "/run/first.img", False), ("xvdb", "/run/second.img", True)])
        self.assertEqual([row["state"] for row in rows], ["connected", "connected"])
        self.fails("umbra block-attach dev1 /run/second.img,,xvdb,r", 1, "already", "xvdb")
        self.ok("umbra block-detach dev1 xvdb")
        self.has_disk("dev1", "xvdb", False, "gone")
        self.fails("umbra block-detach dev1 xvdb", 1, "no disk xvdb")
        self.ok(f"umbra network-attach dev1 mac=00:16:3e:01:02:03 bridge={BRIDGE} rate=10Mb/s")
        line = ("cd /sys/class/net; for i in $(seq 100); do [ -e eth1 ] && break; usleep 100000; done; "
                "echo mac=$(cat eth1/address)")
        self.assertEqual(self.ask("dev1", line, "mac"), "00:16:3e:01:02:03")
        self.assertEqual([row["devid"] for row in self.json("umbra --json network-list dev1")], [0, 1])
        self.ok("umbra network-detach dev1 00:16:3e:01:02:03")
        self.assertEqual(len(self.json("umbra --json network-list dev1")), 1)

    def is_counted(self):
        """Its interface, whatever it is called."""
        document = json.loads(self.ok("umbra --json top -i 1"))
        (row,) = [row for row in document["domains"] if row["name"] == "dev1"]
        self.assertEqual((row["nets"], row["vbds"]), (1, 1))

    def shows(self):
        self.is_counted()
        config = self.json("umbra list -l dev1")[0]["config"]
        self.assertEqual([(disk["pdev_path"], disk["vdev"], disk["readwrite"]) for disk in config["disks"]],
                         [("/run/first.img", "xvda", 1)])
        self.assertEqual([(nic["devid"], nic["bridge"]) for nic in config["nics"]], [(0, BRIDGE)])
        self.assertIn("51712", self.ok("umbra block-list dev1"))
        self.assertIn("51712", self.ok("xl block-list dev1"))


class Failures(Devices):
    """Nothing is left of a creation that a device brings down."""

    def refuses(self, status, *words, **keys):
        path = self.guest_file("broken", **keys)
        self.fails(f"umbra create -p {path}", status, *words)
        self.assertNotIn("broken", self.guests())

    @long_one
    def test_failures(self):
        self.disk("/run/first.img", 1)
        before, left = self.footprint(), self.left()
        self.refuses(2, "/run/nowhere.img", "no such file", disk=["/run/nowhere.img,,xvda"])
        self.refuses(1, "install the package qemu-system-xen", disk=["/run/first.img,qcow2,xvda"])
        self.refuses(2, "cdrom", "not supported", disk=["/run/first.img,,xvda,cdrom"])
        self.refuses(1, "there is no bridge nobridge", disk=["/run/first.img,,xvda"], vif=["bridge=nobridge"])
        self.machine.put("/run/portal", b"#!/bin/sh\necho the portal is closed >&2\nexit 3\n", mode=0o755)
        self.refuses(1, "/run/portal online failed with status 3", "the portal is closed", vif=["script=/run/portal"])
        self.refuses(1, "/run/portal add failed with status 3", "the portal is closed",
                     disk=["/run/first.img,,xvda", "script=/run/portal,vdev=xvdb,target=any"])
        self.machine.put("/run/portal", b"#!/bin/sh\nexit 0\n", mode=0o755)
        self.refuses(1, "without saying that it is done", disk=["script=/run/portal,vdev=xvdb,target=any"])
        self.ok("chmod 444 /run/first.img")
        self.refuses(1, "is read-only, and so i will not", disk=["/run/first.img,,xvda"])
        self.ok("chmod 644 /run/first.img; rm /run/portal")
        self.wait_left(left)
        self.wait_footprint(before)

    @long_one
    def test_shared_disk(self):
        """One that a guest writes to is no other's; two that read it may share it."""
        self.disk("/run/first.img", 1)
        self.ok(f"umbra create -p {self.guest_file('one', disk=['/run/first.img,,xvda'])}")
        path = self.guest_file("two", disk=["/run/first.img,,xvda,r"])
        self.fails(f"umbra create -p {path}", 1, "in use by domain")
        self.ok("umbra destroy one")
        for name in ("one", "two"):
            self.ok(f"umbra create -p {self.guest_file(name, disk=['/run/first.img,,xvda,r'])}")
        self.fails("umbra block-detach one xvdc", 1, "no disk xvdc")
        self.fails("umbra block-detach one xvda", 1, "still uses it", "--force")
        self.ok("umbra block-detach --force one xvda")
        self.assertEqual(self.json("umbra --json block-list one"), [])


class Moves(Devices):
    LOCAL = f"umbra migrate -T '{streams.LOCAL}'"
    LOGS = "/var/log/xen/console"

    def setUp(self):
        """The console daemon names a log by the name with which a domain comes: both are one file here."""
        super().setUp()
        streams.tap_for(self, self)
        self.ok(f"ln -sf guest-dev1.log {self.LOGS}/guest-dev1--incoming.log")
        self.addCleanup(self.run_in, f"rm -f {self.LOGS}/guest-dev1--incoming.log")

    def attempt_without(self, what, *words):
        """Something of it is not there any more: it would not be taken, is not, and goes on with what it has."""
        self.fails(f"{self.LOCAL} --check dev1 localhost", 1, "it would not take the guest", *words)
        self.fails(f"{self.LOCAL} dev1 localhost", 1, *words)
        self.assertEqual(list(self.guests()), ["dev1"])
        line = f"s=$(head -c 4096 /dev/xvda | wc -c); echo without{what}=$s"
        self.assertEqual(self.ask("dev1", line, f"without{what}"), "4096")

    @long_one
    def test_to_itself(self):
        """From this host to itself: the disk is the same, what was written last is on it, the network answers."""
        left = self.left()
        was = self.disk("/run/first.img", 2)
        self.start("dev1", disk=["/run/first.img,raw,xvda,rw"], vif=[f"bridge={BRIDGE}"])
        self.has_disk("dev1", "xvda", True, "first")
        self.ok("mv /run/first.img /run/hidden.img")
        self.attempt_without("file", "disk xvda", "/run/first.img cannot be found")
        self.ok("mv /run/hidden.img /run/first.img")
        first = self.guests()["dev1"][0]
        self.assertIn("would take it", self.ok(f"{self.LOCAL} --check dev1 localhost"))
        line = "head -c 700000 /dev/urandom >/m; cat /m >/dev/xvda; s=$(md5sum </m); echo wrote=${s%% *}"
        wrote = self.ask("dev1", line, "wrote")
        self.ok(f"{self.LOCAL} -d 1s -t 1m -o force dev1 localhost", 240)
        self.assertGreater(self.guests()["dev1"][0], first)
        self.assertEqual(len(self.json("umbra --json block-list dev1")), 1)
        line = "echo 1 >/proc/sys/vm/drop_caches; s=$(head -c 700000 /dev/xvda | md5sum); echo moved=${s%% *}"
        self.assertEqual(self.ask("dev1", line, "moved"), wrote)
        self.assertNotEqual(wrote, was)
        line = "dd if=/m of=/dev/xvda bs=4k seek=256 conv=notrunc 2>/dev/null; sync; echo synced=$?"
        self.assertEqual(self.ask("dev1", line, "synced"), "0")
        there = self.ok("dd if=/run/first.img bs=4k skip=256 2>/dev/null | head -c 700000 | md5sum").split()[0]
        self.assertEqual(there, wrote)
        line = (f"ip addr add {THERE}/24 dev eth0; ip link set eth0 up; "
                f"for i in $(seq 60); do ping -c 1 -W 1 {HERE} >/dev/null && break; sleep 1; done; echo pinged=$?")
        self.assertEqual(self.ask("dev1", line, "pinged"), "0")
        self.ok("umbra destroy dev1")
        self.wait_left(left)


class Comes(Devices):
    @long_one
    def test_reboot_and_save(self):
        """The same disks and addresses after a reboot, and after a save and a restore, with what was attached later."""
        was = self.disk("/run/first.img", 2)
        self.disk("/run/second.img", 1)
        self.start("dev1", disk=[{"target": "/run/first.img", "vdev": "xvda"}], vif=[{}])
        mac = self.json("umbra --json network-list dev1")[0]["mac"]
        self.ok("umbra block-attach dev1 target=/run/second.img vdev=xvdb")
        self.ok("umbra reboot -w dev1 && > /var/log/xen/console/guest-dev1.log", 240)
        self.wait_console("dev1", "guest#")
        self.has_disk("dev1", "xvda", True, "first")
        self.assertEqual(self.json("umbra --json network-list dev1")[0]["mac"], mac)
        self.assertEqual(len(self.json("umbra --json block-list dev1")), 2)
        self.assertEqual(self.ask("dev1", "s=$(md5sum </dev/xvda); echo boot=${s%% *}", "boot"), was)
        self.ok("umbra save dev1 /run/dev1.save", 240)
        streams.judge_file(self, "/run/dev1.save")
        self.ok("umbra restore /run/dev1.save && rm /run/dev1.save", 240)
        line = "echo 1 >/proc/sys/vm/drop_caches; s=$(md5sum </dev/xvda); echo back=${s%% *}"
        self.assertEqual(self.ask("dev1", line, "back"), was)
        line = (f"ip addr add {THERE}/24 dev eth0; ip link set eth0 up; "
                f"for i in $(seq 60); do ping -c 1 -W 1 {HERE} >/dev/null && break; sleep 1; done; echo pinged=$?")
        self.assertEqual(self.ask("dev1", line, "pinged"), "0")
