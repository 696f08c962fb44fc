# SPDX-License-Identifier: BSD-2-Clause
"""A Debian that is installed on a disk, and Umbra's packages in it, as a user has them.

    with Host() as host:
        host.boot()
        host.install()              apt, as docs/install.md says
        host.choose_umbra()         grub-reboot
        host.restart()
        host.ok("umbra info")

The disk is a copy of BUILD/cache/host-disk.img (tools/image/host-disk.sh). Each boot is a machine of its own, which its
own GRUB starts from that disk; a second disk brings the agent's orders, the packages and what guests boot from. Its
console and its agent are where the lab has them in the control-domain image, so that all of Machine's methods work."""

import base64
import glob
import gzip
import os
import shutil
import subprocess
import tempfile

import labtest
import tasks
from machine import Machine
from verdict import LabError, MachineEnded

DISK = "cache/host-disk.img"
PACKAGES = ("umbra-doc", "umbra-hypervisor", "umbra-tools")
BOOT = 900       # seconds, as Debian needs them under emulation with something else beside it
LAB = "/lab"     # where the second disk is
KERNEL = "/vmlinuz"
INITRD = f"{LAB}/initrd.img"
# Umbra's messages and the control domain's on the serial line, where the lab reads them.
SETTINGS = """\
UMBRA_CMDLINE="$UMBRA_CMDLINE com1=115200,8n1 console=com1 loglvl=all guest_loglvl=all"
UMBRA_CMDLINE_LINUX="console=hvc0"
"""


# For apt, which asks nothing then and says what is for machines.
AS_TOLD = ("export DEBIAN_FRONTEND=noninteractive APT_CONFIG=/run/apt.conf; "
           """echo 'APT::Get::Assume-Yes "true"; quiet "1";' >$APT_CONFIG""")


def blocks(page, kind):
    """Of a page of docs/tasks."""
    return [block for block in tasks.read(page) if block.kind == kind]


def debs():
    """The newest package files; those with debugging symbols are none of them."""
    return sorted(path for name in PACKAGES
                  for path in glob.glob(os.path.join(labtest.BUILD, "deb", f"{name}_*.deb")))


def missing():
    """Why there is nothing to test; None if there is."""
    if not os.path.exists(os.path.join(labtest.BUILD, DISK)):
        return f"no {DISK} in the build directory: make host-disk"
    return None if len(debs()) == len(PACKAGES) else "no packages in build/deb: make deb"


class DiskMachine(Machine):
    """One boot from a disk. The second one is made of the files given, {name: path}, and the agent's orders."""

    def __init__(self, disk, files, **options):
        super().__init__(build=labtest.BUILD, **options)
        self.disk, self.files = disk, files

    def prepare(self, command=None, seconds=600, interactive=False):
        self._directory = tempfile.mkdtemp(prefix="umbra-lab-")
        tree = os.path.join(self._directory, "orders")
        for name, path in self.files.items():
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            shutil.copyfile(path, os.path.join(tree, name))
        for name, (_, data) in self._agent_files(command, seconds).items():
            with open(os.path.join(tree, os.path.basename(name)), "wb") as file:
                file.write(data)
        image = os.path.join(self._directory, "orders.img")
        done = subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "lab", "-d", tree, image, "64M"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise LabError(f"mke2fs: {done.stdout}")
        self.hardware.disks = [self.disk, image]
        return None


class Host:
    """The disk, and whatever machine runs from it."""

    def __init__(self, memory=3072):
        self.memory, self.machine = memory, None
        self.directory = tempfile.mkdtemp(prefix="umbra-host-", dir=labtest.BUILD)
        self.disk = os.path.join(self.directory, "disk.img")
        subprocess.run(["cp", "--sparse=always", os.path.join(labtest.BUILD, DISK), self.disk], check=True)
        self.files = {f"build/deb/{os.path.basename(path)}": path for path in debs()}
        self.files["initrd.img"] = os.path.join(labtest.BUILD, "image", "guest-initrd.gz")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.machine:
            self.machine.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- from power-on to power-off -------------------------------------------------------------------------------

    def boot(self):
        """Returns when all that systemd starts at boot is there, or has failed: see failed_units()."""
        self.machine = DiskMachine(self.disk, self.files, memory=self.memory, turns=True)  # its guests are all PV
        try:
            self.machine.boot(BOOT)
            self.machine.run("systemctl is-system-running --wait", BOOT)
        except (MachineEnded, LabError) as error:
            raise AssertionError(f"{error}\n{self.machine.serial_tail()}") from error

    def restart(self):
        """An orderly reboot, by systemd."""
        self.machine.run("(sleep 1; systemctl reboot) >/dev/null 2>&1 </dev/null &")
        self._ended("guest-reset")
        self.boot()

    def poweroff(self):
        self.machine.run("(sleep 1; systemctl poweroff) >/dev/null 2>&1 </dev/null &")
        self._ended("guest-shutdown")

    def _ended(self, wanted):
        reason = self.machine.wait_end(BOOT)
        log = self.machine.serial_tail()
        self.machine.close()
        if reason != wanted:
            raise AssertionError(f"the machine did not end as it was told to: {reason}\n{log}")

    # --- commands -------------------------------------------------------------------------------------------------

    def ok(self, command, timeout=300):
        """Its output; it must succeed."""
        try:
            return self.machine.check(command, timeout)
        except MachineEnded as error:
            raise AssertionError(f"{command}: {error}\n{self.machine.serial_tail()}") from error

    def failed_units(self):
        return self.ok("systemctl list-units --failed --plain --no-legend; true")

    def files_on_disk(self):
        """Paths below the root; of what is mounted there, only where."""
        listed = self.ok("find / -xdev -mindepth 1 -printf '%P\\n' | gzip | base64 -w 0", 600)
        return set(gzip.decompress(base64.b64decode(listed)).decode(errors="surrogateescape").splitlines())

    # --- installation ---------------------------------------------------------------------------------------------

    def do(self, block):
        """Commands of a page of docs/tasks, where its packages are; apt asks nothing. Returns what they show."""
        said = self.ok(f"set -e; {AS_TOLD}; cd {LAB}; exec 2>&1\n{block.text}", 900)
        if block.missing(said):
            raise AssertionError(f"{block.where}: not shown: {block.missing(said)}\n{said}")
        return said

    def install(self):
        """What docs/tasks/install.md does before the next start, to the letter; beside it where the lab has its
        consoles."""
        self.do(blocks("install", "disk")[0])
        settings, chosen = blocks("install", "deb")
        self.do(settings)
        self.ok(f"cat >>/etc/default/umbra <<'END'\n{SETTINGS}END\nupdate-grub 2>&1", 600)
        self.do(chosen)

    def choose_umbra(self):
        self.ok("grub-reboot umbra")
