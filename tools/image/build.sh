#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds the control-domain image and the ISO from Debian packages: build.sh BUILD
#
#   fetch    BUILD/cache/debs       packages, downloaded once, never installed
#   unpack   BUILD/cache/root       their files
#   base     BUILD/image/base.zst   kernel modules, daemons, libraries: changes only with the packages
#   network  BUILD/image/network.zst   ssh: the lab appends it to the initrd of machines that ask
#   scripts  BUILD/cache/scripts    programs that the stock hotplug scripts call
#   efi      BUILD/image/efi.img    GRUB for UEFI firmware
#   own      BUILD/image/own.cpio   these, our tools, init, examples, guest images: changes with every build
#   initrd   BUILD/image/initrd     both, one after the other (the kernel unpacks concatenated archives)
#   iso      BUILD/umbra.iso        GRUB, Umbra, vmlinuz, initrd: for a BIOS and for UEFI
#
# Each archive has sorted names, owner 0:0 and fixed times, so two builds give the same bytes.
set -eu
export LC_ALL=C
umask 022

build=${1:?usage: build.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mkdir -p "$build"
build=$(cd "$build" && pwd)
cache=$build/cache
image=$build/image
unpacked=$cache/root
kernel=$unpacked
mkdir -p "$cache/debs/partial" "$image"
. "$here/lib.sh"

# One build at a time in one directory.
exec 9>"$cache/lock"
flock 9

fetch_packages
unpack_packages
build_guest_initrd
build_base
build_network
fetch_scripts
build_efi
build_own
join_initrd
build_iso
report
