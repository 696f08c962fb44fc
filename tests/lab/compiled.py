# SPDX-License-Identifier: BSD-2-Clause
"""Small C programs that tests run in the control domain, compiled for them here."""

import os
import subprocess
import tempfile

from labtest import BUILD
from machine import TOP

HERE = os.path.dirname(os.path.abspath(__file__))


def compiled(source, *flags):
    """The bytes of a program, or with -shared of a library, made of a source next to this file."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        common = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-s"]
        command = [os.environ.get("CC", "gcc"), *common, "-o", out, os.path.join(HERE, source), *flags]
        subprocess.run(command, check=True)
        with open(out, "rb") as file:
            return file.read()


def with_libctl(source, *more):
    """A program, of one file or several, on top of libctl, of the same build as the umbra under test."""
    tools, include = os.path.join(TOP, "tools"), os.path.join(TOP, "hypervisor", "include")
    libraries = ["-lxencall", "-lxenforeignmemory", "-lxenevtchn", "-lxengnttab", "-lxenstore", "-lxentoollog",
                 "-lz", "-llzma", "-lzstd", "-llz4"]
    return compiled(source, *(os.path.join(HERE, name) for name in more), f"-I{tools}", f"-idirafter{include}",
                    os.path.join(BUILD, "libctl.a"), *libraries)
