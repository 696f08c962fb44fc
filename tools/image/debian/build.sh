#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A disk with a Debian 12 that guests boot, for tests/lab/test_debian_guest.py: build.sh BUILD. As root, for
# debootstrap; without a loop device.
#
#   grub      BUILD/image/debian/overlay/usr/lib/grub-xen   GRUB as kernel of a guest, from grub-xen-host
#   system    BUILD/cache/debian                            debootstrap, then its kernel; goes when the disk is made
#   disk      BUILD/image/debian/disk.img                   a sparse file: one partition, ext4
#
# root has no password: whoever boots it sets one. Made once, of the packages of the day; after make clean again.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022

build=${1:?usage: build.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$build" && pwd)
cache=$build/cache
image=$build/image/debian
root=$cache/debian
disk=$image/disk.img
suite=bookworm
uuid=6d1f5c1e-2f0b-4a53-9d4e-0f6b7a5c3e21
disk_kib=2097152
first_kib=1024 # where the partition begins
. "$here/../lib.sh"

# Commands in the new system, in a process tree and with mounts of their own, which end with them.
inside() { # COMMAND
    unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -ec "$1"' "$root" "$1"
}

quietly() { # LOG COMMAND...
    log=$1
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        fail "$1 failed; all of its output is in $log"
    }
}

fetch_grub() {
    fetch_list "$here/grub-packages.txt" "$cache/grub-xen"
    mkdir -p "$image/overlay/usr/lib/grub-xen"
    for file in "$cache"/grub-xen/usr/lib/grub-xen/*.bin; do
        copy_changed "$file" "$image/overlay/usr/lib/grub-xen/${file##*/}"
    done
}

bootstrap() {
    say "Debian: debootstrap"
    site=$(archive_site)
    rm -rf "$root"
    packages=$(list_of "$here/packages.txt" | paste -sd,)
    quietly "$image/debootstrap.log" unshare --mount --pid --fork \
        debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$site"
    echo "deb $site $suite main" >"$root/etc/apt/sources.list"
}

# Its initial RAM disk has the modules of a guest alone, and systemd is patient: under emulation the seconds count, and
# there may be many of them before it has seen a device.
configure() {
    echo debian >"$root/etc/hostname"
    : >"$root/etc/machine-id"
    echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >"$root/etc/fstab"
    mkdir -p "$root/boot/grub" "$root/etc/systemd/system.conf.d"
    printf '[Manager]\nDefaultTimeoutStartSec=900\nDefaultDeviceTimeoutSec=900\n' \
        >"$root/etc/systemd/system.conf.d/patience.conf"
    sed "s/@UUID@/$uuid/" "$here/grub.cfg" >"$root/boot/grub/grub.cfg"
    echo MODULES=list >"$root/etc/initramfs-tools/conf.d/guest"
    printf '%s\n' xen-blkfront ext4 crc32c_generic >>"$root/etc/initramfs-tools/modules"
}

install_kernel() {
    say "Debian: its kernel"
    quietly "$image/kernel.log" inside "apt-get -qq update
        apt-get -qy --no-install-recommends install linux-image-amd64
        apt-get clean
        rm -rf /var/lib/apt/lists/*"
    [ -e "$root/vmlinuz" ] && [ -e "$root/initrd.img" ] || fail "the kernel's package made no /vmlinuz and /initrd.img"
}

make_disk() {
    say "Debian: $disk"
    rm -f "$disk.new"
    truncate -s "${disk_kib}K" "$disk.new"
    printf 'label: dos\nlabel-id: 0x756d6272\nstart=%dKiB, type=83, bootable\n' "$first_kib" |
        quietly "$image/sfdisk.log" sfdisk "$disk.new"
    quietly "$image/mke2fs.log" mke2fs -q -t ext4 -U "$uuid" -E "offset=$((first_kib * 1024)),hash_seed=$uuid" \
        -d "$root" "$disk.new" "$((disk_kib - first_kib))k"
    mv "$disk.new" "$disk"
    rm -rf "$root"
}

[ "$(id -u)" = 0 ] || fail "root is needed for debootstrap"
mkdir -p "$cache" "$image"
exec 9>"$cache/debian.lock"
flock 9

fetch_grub
key=$(key_of "$0" "$here/packages.txt" "$here/grub.cfg")
is_current "$disk" "$key" || {
    bootstrap
    configure
    install_kernel
    make_disk
    echo "$key" >"$disk.key"
}
say "$(printf '%-16s %9d KiB' debian/disk.img "$(du -k "$disk" | cut -f1)")"
