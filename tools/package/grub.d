#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Menu entries that start Umbra with a kernel that can be its control domain. grub-mkconfig, which is update-grub, runs
# this and takes what it prints; /etc/default/umbra has the options.
#
# The number 45 puts the entries behind all others, so that no entry that is there has another place than before: the
# default stays the default, even one that is chosen by its number. No output if there is no Umbra, or no kernel for it.
set -e

. "${pkgdatadir:-/usr/share/grub}/grub-mkconfig_lib"
boot=${UMBRA_BOOT:-/boot}
settings=${UMBRA_SETTINGS:-/etc/default/umbra}
note=${UMBRA_KEPT:-/var/lib/umbra-hypervisor/kept}
UMBRA_CMDLINE=
UMBRA_CMDLINE_LINUX=
[ ! -r "$settings" ] || . "$settings"
system=${GRUB_DISTRIBUTOR:+$GRUB_DISTRIBUTOR }GNU/Linux

# Newest first; what package managers and editors leave behind is left out.
files() { # PATTERN: below the boot directory
    for file in "$boot"/$1; do
        if grub_file_is_not_garbage "$file"; then echo "${file##*/}"; fi
    done | sort -rV
}

kernels() {
    for kernel in $(files 'vmlinuz-*'); do
        if grep -qsx CONFIG_XEN_DOM0=y "$boot/config-${kernel#vmlinuz-}"; then echo "$kernel"; fi
    done
}

# By UUID as an initial RAM disk finds it; not on LVM, where a snapshot has the UUID of its origin.
root_device() { # INITRD
    if [ -n "$1" ] && [ "$GRUB_DISABLE_LINUX_UUID" != true ] && [ -e "/dev/disk/by-uuid/${GRUB_DEVICE_UUID:-none}" ] &&
        ! uses_abstraction "$GRUB_DEVICE" lvm; then
        echo "UUID=$GRUB_DEVICE_UUID"
    else
        echo "$GRUB_DEVICE"
    fi
}

root_flags() {
    [ "$GRUB_FS" = btrfs ] || return 0
    volume=$(make_system_path_relative_to_its_root /)
    [ -z "${volume#/}" ] || echo "rootflags=subvol=${volume#/} "
}

initrd_of() { # KERNEL
    initrd=initrd.img-${1#vmlinuz-}
    [ ! -e "$boot/$initrd" ] || echo "$initrd"
}

# --nounzip: the kernel unpacks its RAM disk itself, also one that is several archives in a row.
load_commands() { # UMBRA KERNEL
    initrd=$(initrd_of "$2")
    save_default_entry
    prepare_grub_to_access_device "$GRUB_DEVICE_BOOT"
    echo "insmod gzio"
    echo "echo 'Loading Umbra $version ...'"
    echo "multiboot2 $path/$1 $UMBRA_CMDLINE"
    echo "echo 'Loading Linux ${2#vmlinuz-} ...'"
    echo "module2 $path/$2 root=$(root_device "$initrd") ro $(root_flags)$GRUB_CMDLINE_LINUX" \
        "$GRUB_CMDLINE_LINUX_DEFAULT $UMBRA_CMDLINE_LINUX"
    [ -n "$initrd" ] || return 0
    echo "echo 'Loading initial ramdisk ...'"
    echo "module2 --nounzip $path/$initrd"
}

entry() { # TITLE ID UMBRA KERNEL
    printf "menuentry '%s' --class gnu-linux --class gnu --class os --class umbra %s '%s' {\n" \
        "$(echo "$1" | grub_quote)" "\$menuentry_id_option" "$2"
    load_commands "$3" "$4" | sed 's/ *$//' | grub_add_tab
    echo "}"
}

all_entries() {
    for umbra in $umbras; do
        version=${umbra#umbra-}
        version=${version%.gz}
        for kernel in $kernels; do
            entry "$system, with Umbra $version and Linux ${kernel#vmlinuz-}" "umbra-$version-${kernel#vmlinuz-}" \
                "$umbra" "$kernel"
        done
    done
}

umbras=$(files 'umbra-*.gz')
kernels=$(kernels)
[ -n "$umbras" ] && [ -n "$kernels" ] || exit 0
if [ "$GRUB_FS" = zfs ]; then
    grub_warn "no menu entries for Umbra: a root file system on ZFS is not supported"
    exit 0
fi
path=$(make_system_path_relative_to_its_root "$boot")
for umbra in $umbras; do
    echo "Found Umbra image: $boot/$umbra" >&2
done
# One with assertions is only for who chooses it, and so is the one that the package has replaced: after a downgrade
# that is the newest.
kept=$(cat "$note" 2>/dev/null || true)
newest=$(echo "$umbras" | grep -v -e '-debug\.gz$' || echo "$umbras")
newest=$(echo "$newest" | grep -vxF -e "${kept##*/}" || echo "$newest")
newest=${newest%%
*}
version=${newest#umbra-}
version=${version%.gz}
entry "$system, with Umbra hypervisor" umbra "$newest" "${kernels%%
*}"
printf "submenu '%s' %s 'umbra-advanced' {\n" \
    "$(echo "Advanced options for $system (with Umbra hypervisor)" | grub_quote)" "\$menuentry_id_option"
all_entries | grub_add_tab
echo "}"
