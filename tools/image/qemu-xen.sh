#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A disk with the stock qemu that serves disks of guests, for tests/lab/test_qcow2.py: qemu-xen.sh BUILD
#
#   BUILD/cache/qemu-xen       packages of qemu-xen-packages.txt, unpacked
#   BUILD/image/qemu-xen.img   ext4: qemu, qemu-img and the libraries that they need, and room for images
#
# Follows build.sh. Not a part of the image: it would be many times as large, and be read at each start of a machine.
set -eu
export LC_ALL=C
umask 022

build=${1:?usage: qemu-xen.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$build" && pwd)
cache=$build/cache
image=$build/image
unpacked=$cache/qemu-xen
disk=$image/qemu-xen.img
disk_kib=524288
. "$here/lib.sh"

exec 9>"$cache/qemu-xen.lock"
flock 9

fetch_list "$here/qemu-xen-packages.txt" "$unpacked"
key=$(key_of "$0" "$here/lib.sh" "$here/qemu-xen-programs.txt" "$unpacked.key")
is_current "$disk" "$key" || {
    say "$disk"
    stage=$image/stage-qemu-xen
    rm -rf "$stage" "$disk.new"
    mkdir -p "$stage"
    copy_programs "$here/qemu-xen-programs.txt"
    copy_libraries /dev/null
    truncate -s "${disk_kib}K" "$disk.new"
    mke2fs -q -F -t ext4 -d "$stage" "$disk.new" || fail "mke2fs failed: is e2fsprogs installed?"
    mv "$disk.new" "$disk"
    rm -rf "$stage"
    echo "$key" >"$disk.key"
}
