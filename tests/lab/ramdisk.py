# SPDX-License-Identifier: BSD-2-Clause
"""The ramdisk of guests that do nothing but churn.c: an archive to be appended to that of the test guest, whose first
process it replaces, as a file of the control domain. The program gets what stands behind "--" on the guest's command
line."""

import gzip
import os
import stat
import subprocess

import image

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "churn.c")
ARCHIVE = "/boot/guest/churn.gz"
INIT = """#!/bin/sh
/bin/busybox mount -t proc proc /proc
export PATH=/bin:/sbin
echo "umbra-guest: up, $(nproc) cpus, for churn"
/bin/churn "$@"
echo "churn ended with status $?"
exec sleep 1000000
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
    """The directory whose file ARCHIVE is the archive."""
    directory = os.path.join(build, "image", "churn-overlay")
    churn = program(build)

    def write(path):
        with open(churn, "rb") as file:
            members = {"bin/churn": (stat.S_IFREG | 0o755, file.read()), "init": (stat.S_IFREG | 0o755, INIT.encode())}
        with open(path, "wb") as file:
            file.write(gzip.compress(image.cpio_archive(members)))

    _make(build, directory + ARCHIVE, [churn, __file__], write)
    return directory
