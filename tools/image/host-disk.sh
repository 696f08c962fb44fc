#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes the disk of a Debian machine, on which packages are installed as on anybody's: host-disk.sh BUILD
#
#   BUILD/cache/host-disk.img   an MS-DOS partition table, GRUB before the first partition, ext4 with Debian in it
#
# Real are the packages of host-packages.txt and what their scripts do. host/ has what the lab adds: where the consoles
# are, an agent that the lab talks to, more patience with a slow machine. The disk begins with a menu of one kernel;
# the machine itself runs grub-install and update-grub, once it is up. Needs root (debootstrap, chroot), no loop device.
set -eu
export LC_ALL=C
umask 022

build=${1:?usage: host-disk.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$build/cache"
build=$(cd "$build" && pwd)
cache=$build/cache
disk=$cache/host-disk.img
root=$cache/host-root
. "$here/lib.sh"

suite=bookworm
label=host          # of the file system; host/etc/fstab names it
disk_mib=4096
start_sector=2048   # of the only partition; GRUB's core image is before it
sector=512

[ "$(id -u)" = 0 ] || fail "host-disk.sh: debootstrap and chroot want root"

# The archives that this system's own packages come from, with the security fixes: the same kernel as in the image.
sources() {
    apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        grep -E " $suite(-security|-updates)? main\$" | sort -u
}

in_root() { # COMMAND: in a process tree and with mounts of its own, which end with it
    unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -ec "$1"' \
        "$root" "$1"
}

bootstrap() {
    site=$(sources | sed -n "s/ $suite main\$//p" | head -n1)
    [ -n "$site" ] || fail "apt knows no archive of $suite; is this Debian 12?"
    say "$suite below $root"
    rm -rf "$root"
    debootstrap --variant=minbase "$suite" "$root" "$site" >"$cache/host-disk.log" 2>&1 || failed_step debootstrap
    sources | sed 's/^/deb /' >"$root/etc/apt/sources.list"
}

failed_step() {
    tail -n 30 "$cache/host-disk.log" >&2
    fail "host-disk.sh: $1 failed; all it said is in $cache/host-disk.log"
}

# Nothing starts in the directory, and nobody is asked anything. The lab's files are there first, because the kernel's
# package makes the initial RAM disk; dpkg keeps them where a package has a file of that name.
install_packages() {
    say "packages of host-packages.txt"
    cp -R "$here/host/." "$root/"
    install -D -m 755 "$here/files/usr/lib/lab/agent" "$root/usr/lib/lab/agent"
    install -D -m 755 /dev/stdin "$root/usr/sbin/policy-rc.d" <<END
#!/bin/sh
exit 101
END
    packages=$(list_of "$here/host-packages.txt" | tr '\n' ' ')
    in_root "export DEBIAN_FRONTEND=noninteractive
        apt-get -q update
        apt-get -qy --no-install-recommends -o Dpkg::Options::=--force-confold install $packages
        systemctl enable lab-agent.service
        systemctl disable libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
        apt-get clean" >>"$cache/host-disk.log" 2>&1 || failed_step "the installation"
    rm -f "$root/usr/sbin/policy-rc.d" "$root"/var/lib/apt/lists/*_*
    : >"$root/etc/apt/sources.list" # the machine has no network
    : >"$root/etc/machine-id"       # and makes its own number
}

# GRUB's core image, as grub-install would make it for this disk.
first_menu() {
    mkdir -p "$root/boot/grub/i386-pc"
    cp "$root"/usr/lib/grub/i386-pc/*.mod "$root"/usr/lib/grub/i386-pc/*.lst "$root/boot/grub/i386-pc/"
    in_root "grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/i386-pc/core.img \
        biosdisk part_msdos ext2 normal linux"
    cat >"$root/boot/grub/grub.cfg" <<END
linux /vmlinuz root=LABEL=$label ro console=ttyS0
initrd /initrd.img
boot
END
}

# The partition, made from the directory, and behind the partition table what makes a BIOS find it: boot.img, which
# reads the sector behind it, and there the core image, which reads the rest of itself from behind that.
assemble() {
    say "$disk"
    bytes=$(((disk_mib * 2048 - start_sector) * sector))
    rm -f "$disk" "$disk.part"
    truncate -s "${disk_mib}M" "$disk.part"
    echo "$start_sector,,L,*" | sfdisk -q --label dos "$disk.part"
    mke2fs -q -F -t ext4 -L "$label" -d "$root" -E "offset=$((start_sector * sector)),nodiscard" "$disk.part" \
        "$((bytes / 1024))k"
    core=$root/boot/grub/i386-pc/core.img
    [ "$(stat -c %s "$core")" -le $(((start_sector - 1) * sector)) ] || fail "GRUB's image is too long: $core"
    dd if="$root/usr/lib/grub/i386-pc/boot.img" of="$disk.part" bs=440 count=1 conv=notrunc status=none
    dd if="$core" of="$disk.part" bs=$sector seek=1 conv=notrunc status=none
    mv "$disk.part" "$disk"
}

exec 9>"$cache/host-disk.lock"
flock 9
key=$({
    cat "$0" "$here/host-packages.txt" "$here/files/usr/lib/lab/agent"
    find "$here/host" -type f | sort | xargs cat
} | sha256sum)
if is_current "$disk" "$key"; then
    exit 0
fi
rm -f "$disk.key"
bootstrap
install_packages
first_menu
assemble
rm -rf "$root"
echo "$key" >"$disk.key"
