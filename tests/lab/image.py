# SPDX-License-Identifier: BSD-2-Clause
"""What a machine boots: an ISO made for one run from the hypervisor, the control domain's kernel, its initrd and
overlays. An overlay is a cpio archive appended to the initrd; the kernel unpacks the archives in order, so its files
replace the image's. Of other archives of the image, that of the network is appended for hosts that have one."""

import os
import shutil
import stat
import subprocess

from verdict import LabError

HYPERVISOR_OPTIONS = "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem=512M noreboot=false"
KERNEL_OPTIONS = "console=hvc0 earlyprintk=xen loglevel=5"

GRUB_MARK = "UMBRA-LAB: GRUB"
GRUB_CONFIG = """\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
echo "{mark}"
multiboot2 /boot/hypervisor {hypervisor}
module2 /boot/vmlinuz {kernel}
module2 /boot/initrd
echo "UMBRA-LAB: hand-over"
boot
"""


def cpio_entry(name, mode, data, inode):
    """One member of a newc archive."""
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name + b"\0"
    return _padded(head) + _padded(data)


def _padded(data):
    return data + bytes(-len(data) % 4)


def cpio_archive(members):
    """members: {path: (mode, data)}; parents that are missing are added."""
    complete = {}
    for path, member in members.items():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            complete.setdefault("/".join(parts[:depth]), (stat.S_IFDIR | 0o755, b""))
        complete[path] = member
    entries = [cpio_entry(os.fsencode(path), mode, data, inode + 1)
               for inode, (path, (mode, data)) in enumerate(sorted(complete.items()))]
    archive = b"".join(entries) + cpio_entry(b"TRAILER!!!", 0, b"", 0)
    return archive + bytes(-len(archive) % 512)


def read_overlay(directory):
    """The files, directories and symbolic links below a directory, as members of an archive."""
    if not os.path.isdir(directory):
        raise LabError(f"overlay {directory}: not a directory")
    members = {}
    for where, subdirs, files in os.walk(directory):
        for name in subdirs + files:
            full = os.path.join(where, name)
            status = os.lstat(full)
            if stat.S_ISLNK(status.st_mode):
                data = os.fsencode(os.readlink(full))
            elif stat.S_ISREG(status.st_mode):
                with open(full, "rb") as file:
                    data = file.read()
            elif stat.S_ISDIR(status.st_mode):
                data = b""
            else:
                raise LabError(f"overlay {full}: neither file, directory nor symbolic link")
            members[os.path.relpath(full, directory)] = (status.st_mode, data)
    return members


def grub_config(append, kernel_append):
    return GRUB_CONFIG.format(mark=GRUB_MARK, hypervisor=" ".join([HYPERVISOR_OPTIONS, *append]),
                              kernel=" ".join([KERNEL_OPTIONS, *kernel_append]))


def make_iso(directory, source, hypervisor, members, append=(), kernel_append=(), archives=(), uefi=False):
    """Writes DIRECTORY/boot.iso and returns its path. The control domain's kernel and initrd are those of source, and
    so is what makes it an ISO for UEFI firmware as well."""
    tree = os.path.join(directory, "iso")
    boot = os.path.join(tree, "boot")
    os.makedirs(os.path.join(boot, "grub"))
    _copy(hypervisor, os.path.join(boot, "hypervisor"), "build it with make, or name one with --hypervisor")
    _copy(os.path.join(source, "vmlinuz"), os.path.join(boot, "vmlinuz"), "run make image")
    _copy(os.path.join(source, "initrd"), os.path.join(boot, "initrd"), "run make image")
    with open(os.path.join(boot, "initrd"), "ab") as initrd:
        for archive in archives:
            initrd.write(_read(archive))
        initrd.write(cpio_archive(members))
    with open(os.path.join(boot, "grub", "grub.cfg"), "w", encoding="utf-8") as config:
        config.write(grub_config(append, kernel_append))
    options = []
    if uefi:
        _copy(os.path.join(source, "efi.img"), os.path.join(tree, "efi.img"), "run make image")
        open(os.path.join(boot, "grub", "umbra.id"), "wb").close()  # tools/image/grub-efi.cfg looks for it
        options = ["--efi-boot", "efi.img", "-efi-boot-part", "--efi-boot-image"]
    iso = os.path.join(directory, "boot.iso")
    done = subprocess.run(["grub-mkrescue", "--directory=/usr/lib/grub/i386-pc", "-o", iso, tree, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise LabError("grub-mkrescue failed:\n" + done.stdout.decode(errors="replace"))
    shutil.rmtree(tree)
    return iso


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise LabError(f"{path}: {error.strerror} (run make image)") from error


def _copy(source, target, advice):
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise LabError(f"{source}: {error.strerror} ({advice})") from error
