# SPDX-License-Identifier: BSD-2-Clause
"""A Debian 12 on a disk of the machine's own, which tools/image/debian/build.sh makes: the control domain gives it to a
guest, whose root logs in on the console and works at a plain shell. What is written goes with the machine."""

import os
import re
import secrets

import devices
import labtest
from emulators import SNAPSHOT

FOLDER = os.path.join(labtest.BUILD, "image", "debian")
IMAGE = os.path.join(FOLDER, "disk.img")
DISK, PARTITION = "/dev/vda", "/dev/vda1"  # in the control domain
BOOT = "/run/debian"                       # there: kernel and RAM disk, taken from the disk
GRUB = {"pv": "/usr/lib/grub-xen/grub-x86_64-xen.bin", "pvh": "/usr/lib/grub-xen/grub-i386-xen_pvh.bin"}
NAME = "deb"


class DebianTest(devices.DevicesTest):
    """A machine with the disk, a bridge, and a new password of root's for each test."""

    machine_options = {"disks": (SNAPSHOT + IMAGE,), "overlays": (os.path.join(FOLDER, "overlay"),)}
    image, made_by = IMAGE, "make debian-disk"

    def setUp(self):
        super().setUp()
        self.step = 0
        self.prepare_disk()

    def prepare_disk(self):
        """The password, the first entry of the menu, and copies of kernel and RAM disk."""
        self.password = secrets.token_hex(8)
        self.ok(f"modprobe -a crc32c_generic ext4 && mkdir -p /mnt {BOOT} && mount -t ext4 {PARTITION} /mnt")
        try:
            self.ok(f"hash=$(mkpasswd -m sha512 {self.password}) && "
                    "sed -i \"s|^root:[^:]*:|root:$hash:|\" /mnt/etc/shadow && "
                    "sed -i 's/^set default=.*/set default=0/' /mnt/boot/grub/grub.cfg && "
                    f"cp /mnt/vmlinuz /mnt/initrd.img {BOOT}/")
        finally:
            self.ok("umount /mnt")

    def start(self, **keys):
        """Creates the guest, and comes back when root is at a shell."""
        keys = {"memory": 512, "disk": [f"{DISK},raw,xvda,rw"], "vif": [f"bridge={devices.BRIDGE}"], **keys}
        self.create(NAME, **keys)
        self.log_in(NAME)

    def log_in(self, name):
        """From the prompt of its getty. No line editor, so that the console has what commands say and nothing else."""
        self.wait_console(name, r"debian login: \Z", 900)
        self.say(name, "root", "Password: ")
        self.say(name, self.password, "root@debian:")
        self.say(name, "exec env PS1='guest# ' sh", "guest# $")

    def say(self, name, line, answer):
        """Types a line on the console; the answer must come behind all that has been there."""
        log = f"/var/log/xen/console/guest-{name}.log"
        self.machine.put("/run/typed", line.encode() + b"\n")
        said = f"tail -c +$from {log} | grep -q '{answer}'"
        self.ok(f"from=$(($(stat -c %s {log}) + 1)); (sleep 1; cat /run/typed; "
                f"for i in $(seq 240); do {said} && break; usleep 500000; done; sleep 1; printf '\\035') | "
                f"umbra console {name}", 150)
        self.assertRegex(self.console_log(name)[-2000:], f"(?m){answer}")

    def at(self, name, commands, result="$?"):
        """Runs commands in a guest, or in the control domain (None); returns what this shell word is then. It begins
        with a digit or a small letter."""
        self.step += 1
        word = f"step{self.step}"
        line = f"{commands}; echo {word}={result}"
        if name:
            return devices.ask(self, name, line, word)
        return re.search(rf"(?m)^{word}=(\S*)", self.ok(line)).group(1)

    def sum_of(self, name, file):
        return self.at(name, f"s=$(sha256sum <{file})", "${s%% *}")
