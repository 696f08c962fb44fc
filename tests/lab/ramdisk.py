# SPDX-License-Identifier: BSD-2-Clause
"""Archives to be appended to the ramdisk of the test guest, whose first process they replace, as files of the control
domain: of guests that do nothing but churn.c, which gets what stands behind "--" on the guest's command line; and of
guests with disks and network interfaces, which load the stock kernel's drivers and then wait at a shell."""

import glob
import gzip
import os
import stat
import subprocess

import image

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "churn.c")
ARCHIVE = "/boot/guest/churn.gz"
DEVICES = "/boot/guest/devices.gz"
DRIVERS = ("block/xen-blkfront.ko", "net/xen-netfront.ko")
INIT = """#!/bin/sh
/bin/busybox mount -t proc proc /proc
export PATH=/bin:/sbin
echo "umbra-guest: up, $(nproc) cpus, for churn"
/bin/churn "$@"
echo "churn ended with status $?"
exec sleep 1000000
"""

DEVICES_INIT = """#!/bin/sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
export PATH=/bin:/sbin PS1='guest# '
insmod /lib/xen-blkfront.ko && insmod /lib/xen-netfront.ko && echo "umbra-guest: up, with drivers"
while :; do
    setsid cttyhack sh
    sleep 1
done
"""


def _make(build, target, sources, write):
    """Calls write with a path for a file that is older than its sources. It gets its name when it is whole: another
    process may be at it too, or read the overlay."""
    if os.path.exists(target) and os.path.getmtime(target) >= max(map(os.path.getmtime, sources)):
        return
    unfinished = os.path.join(build, "image", f"{os.path.basename(target)}.{os.getpid()}")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    write(unfinished)
    os.replace(unfinished, target)


def program(build):
    """The path of churn, compiled for the host and its guests alike."""
    target = os.path.join(build, "image", "churn")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-s", "-static", "-pthread"]
    _make(build, target, [SOURCE], lambda path: subprocess.run(["gcc", *flags, "-o", path, SOURCE], check=True))
    return target


def overlay(build):
    """The directory that has the archives."""
    directory = os.path.join(build, "image", "churn-overlay")
    churn = program(build)

    _make_archive(build, directory + ARCHIVE, {"bin/churn": churn}, INIT)
    found = glob.glob(os.path.join(build, "cache", "root", "lib", "modules", "*", "kernel", "drivers"))
    if len(found) == 1:  # of the kernel that guests run
        drivers = {f"lib/{os.path.basename(name)}": os.path.join(found[0], name) for name in DRIVERS}
        _make_archive(build, directory + DEVICES, drivers, DEVICES_INIT)
    return directory


def _make_archive(build, target, sources, init):
    """An archive of files, {path in it: path here}, and of the first process."""
    def write(path):
        members = {"init": (stat.S_IFREG | 0o755, init.encode())}
        for name, source in sources.items():
            with open(source, "rb") as file:
                members[name] = (stat.S_IFREG | 0o755, file.read())
        with open(path, "wb") as file:
            file.write(gzip.compress(image.cpio_archive(members)))

    _make(build, target, [*sources.values(), __file__], write)
