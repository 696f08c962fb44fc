# SPDX-License-Identifier: BSD-2-Clause
"""Disks of other formats than raw: Debian's qemu, unchanged, serves a guest's image from the control domain's user
space. What is written is in the image, on its base the rest, and qemu-img finds nothing wrong with it afterwards; the
process comes and goes with the guest's disks, and of all of it nothing is left."""

import os

import devices
import labtest
import streams
from devices import INITRD
from emulators import SNAPSHOT
from labtest import long_one

IMAGE = os.path.join(labtest.BUILD, "image", "qemu-xen.img")
PLACE = "/mnt"  # where the machine's disk is: the programs, and the images
PROGRAMS = ("/usr/libexec/xen-qemu-system-i386", "/usr/bin/qemu-img")
WRAPPER = """#!/bin/sh
LD_LIBRARY_PATH={place}/lib/x86_64-linux-gnu:{place}/usr/lib/x86_64-linux-gnu exec {place}{program} "$@"
"""
NAME = "img1"
SPEC = f"format=qcow2,vdev=xvda,access=rw,target={PLACE}/over.qcow2"
MIB = 1 << 20


@long_one
class Qcow2(devices.DevicesTest):
    machine_options = {"disks": (SNAPSHOT + IMAGE,)}
    image, made_by = IMAGE, "make qemu-disk"

    def setUp(self):
        super().setUp()
        self.ok(f"modprobe -a crc32c_generic ext4 xen-gntdev; mkdir -p {PLACE} /usr/libexec; "
                f"grep -q ' {PLACE} ' /proc/mounts || mount -t ext4 /dev/vda {PLACE}")
        for program in PROGRAMS:
            self.machine.put(program, WRAPPER.format(place=PLACE, program=program).encode(), mode=0o755)
        self.addCleanup(self.run_in, f"rm -f {PLACE}/*.qcow2 {PLACE}/*.raw")

    # --- helpers ----------------------------------------------------------------------------------------------------

    def make_images(self):
        """A base with random bytes, and a larger image over it; returns the sum of these bytes."""
        was = self.ok(f"cd {PLACE}; head -c {2 * MIB} /dev/urandom >was.raw; md5sum <was.raw").split()[0]
        self.ok(f"cd {PLACE}; qemu-img convert -f raw -O qcow2 was.raw base.qcow2 && "
                f"qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2 16M", 300)
        return was

    def start(self, **keys):
        self.create(NAME, **{"ramdisk": INITRD, "disk": [SPEC], **keys})
        self.wait_console(NAME, "umbra-guest: up, with drivers")

    def ask(self, line, word):
        return devices.ask(self, NAME, line, word)

    def reads(self, word, disk="xvda", mib=2):
        devices.has_disk(self, NAME, disk, True, f"{word}there")
        line = (f"echo 1 >/proc/sys/vm/drop_caches; s=$(head -c {mib * MIB} /dev/{disk} | md5sum); "
                f"echo {word}=${{s%% *}}")
        return self.ask(line, word)

    def writes(self, word, seek):
        """700000 bytes, that many MiB behind the disk's beginning."""
        line = (f"head -c 700000 /dev/urandom >/m; dd if=/m of=/dev/xvda bs=1M seek={seek} conv=notrunc 2>/dev/null; "
                f"sync; s=$(md5sum </m); echo {word}=${{s%% *}}")
        return self.ask(line, word)

    def check_image(self, wrote, seek):
        """With nobody at it: whole, and what the guest wrote is in it."""
        self.ok(f"qemu-img check {PLACE}/over.qcow2 2>&1", 300)
        self.ok(f"cd {PLACE}; qemu-img convert -f qcow2 -O raw over.qcow2 now.raw", 300)
        now = self.ok(f"cd {PLACE}; dd if=now.raw bs=1M skip={seek} 2>/dev/null | head -c 700000 | md5sum").split()[0]
        self.assertEqual(now, wrote)

    def process(self):
        rows = self.json(f"umbra --json block-list {NAME}")
        self.assertEqual({(row["format"], row["backendtype"]) for row in rows}, {("qcow2", "qdisk")})
        return rows[0]["process"]

    def left(self):
        return self.ok("ls /run/umbra | grep ^q; ps | grep -c '[x]en-qemu-system'; "
                       "xenstore-ls -f | grep -e qdisk -e device-model -e /device/; true")

    # --- tests ------------------------------------------------------------------------------------------------------

    def test_reads_and_writes(self):
        self.one_life()

    def test_pvh(self):
        if "hvm" not in self.json("umbra --json info")["virt_caps"].split():
            self.skipTest("this machine has no hardware virtualisation")
        self.one_life(type="pvh", hap=False, memory=160)

    def one_life(self, **keys):
        """Images that were made elsewhere, from the guest's creation to its own end."""
        was, before = self.make_images(), self.left()
        base = self.ok(f"md5sum <{PLACE}/base.qcow2")
        self.start(**keys)
        pid = self.process()
        self.assertIn(f"-xen-domid {self.guests()[NAME][0]} ", self.ok(f"tr '\\0' ' ' </proc/{pid}/cmdline"))
        self.assertEqual(self.reads("first"), was)
        wrote = self.writes("wrote", 4)
        config = self.json(f"umbra list -l {NAME}")[0]["config"]
        self.assertEqual([(disk["backend"], disk["format"]) for disk in config["disks"]], [("qdisk", "qcow2")])
        self.ok(f"umbra shutdown -w {NAME}", 240)
        self.wait_left(before)
        self.check_image(wrote, 4)
        self.assertEqual(self.ok(f"md5sum <{PLACE}/base.qcow2"), base)

    def test_comes_again(self):
        """After a reboot, and after a save and a restore, by a process of the new domain's."""
        was, before = self.make_images(), self.left()
        self.start()
        first = self.process()
        self.assertEqual(self.reads("first"), was)
        self.ok(f"umbra reboot -w {NAME} && > /var/log/xen/console/guest-{NAME}.log", 240)
        self.wait_console(NAME, "guest#")
        second = self.process()
        self.assertNotIn(second, (first, None))
        self.assertEqual(self.reads("again"), was)
        wrote = self.writes("wrote", 6)
        self.ok(f"umbra save {NAME} /run/{NAME}.save", 240)
        streams.judge_file(self, f"/run/{NAME}.save")
        self.ok(f"umbra restore /run/{NAME}.save && rm /run/{NAME}.save", 240)
        self.assertNotIn(self.process(), (first, second, None))
        self.assertEqual(self.reads("back"), was)
        self.ok(f"umbra destroy {NAME}")
        self.wait_left(before)
        self.check_image(wrote, 6)

    def test_attach_and_detach(self):
        """At run time, beside a raw disk that the kernel serves; the process goes with the last image."""
        was, before = self.make_images(), self.left()
        self.start(disk=[f"{PLACE}/was.raw,raw,xvda,ro"])
        self.assertIn("xvdb attached", self.ok(f"umbra block-attach {NAME} {PLACE}/over.qcow2,qcow2,xvdb", 200))
        self.assertEqual(self.reads("second", "xvdb"), was)
        self.ok(f"cp {PLACE}/was.raw {PLACE}/third.raw")
        self.ok(f"umbra block-attach {NAME} {PLACE}/third.raw,raw,xvdc,rw,backendtype=qdisk", 200)
        self.assertEqual(self.reads("third", "xvdc"), was)
        rows = self.json(f"umbra --json block-list {NAME}")
        self.assertEqual({row["vdev"]: row["format"] for row in rows}, {"xvda": "raw", "xvdb": "qcow2", "xvdc": "raw"})
        for disk in ("xvdb", "xvdc"):
            self.ok(f"umbra block-detach {NAME} {disk}")
            devices.has_disk(self, NAME, disk, False, f"{disk}gone")
        self.assertEqual(self.reads("kernel"), was)
        self.assertNotIn("qdisk", self.left())
        self.ok(f"umbra destroy {NAME}")
        self.wait_left(before)

    def test_failures(self):
        """What cannot be served is refused, and says why; of a process that ends the user is told."""
        self.make_images()
        before = self.left()
        path = self.guest_file(NAME, disk=[f"{PLACE}/was.raw,qcow2,xvda"])
        self.fails(f"umbra create -p {path}", 1, "is not an image of format qcow2", "qemu-img info")
        self.ok(f"cp {PLACE}/over.qcow2 {PLACE}/bad.qcow2; mv {PLACE}/base.qcow2 {PLACE}/hidden")
        path = self.guest_file(NAME, disk=[f"{PLACE}/bad.qcow2,qcow2,xvda"])
        self.fails(f"umbra create -p {path}", 1, "qemu", "base.qcow2", f"qemu-{NAME}.log", timeout=240)
        self.ok(f"mv {PLACE}/hidden {PLACE}/base.qcow2; mv {PROGRAMS[0]} {PROGRAMS[0]}.away")
        path = self.guest_file(NAME, disk=[SPEC])
        self.fails(f"umbra create -p {path}", 1, "install the package qemu-system-xen")
        self.ok(f"mv {PROGRAMS[0]}.away {PROGRAMS[0]}")
        self.wait_left(before)
        self.start()
        other = self.guest_file("two", disk=[f"{PLACE}/over.qcow2,qcow2,xvda"])
        self.fails(f"umbra create -p {other}", 1, "in use by domain")
        self.ok(f"kill -9 {self.process()}; sleep 6; grep 'qemu), which served its disks, has ended' "
                "/var/log/umbra/supervisor.log")
        self.assertIsNone(self.process())
        self.assertIn(NAME, self.guests())
        self.ok(f"umbra destroy {NAME}")
        self.wait_left(before)
