#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes what only the nightly matrix needs, from packages that are unpacked and never installed: nightly.sh BUILD
#
#   emulator   BUILD/cache/qemu10/usr                     QEMU 10 from the backports
#   kernels    BUILD/cache/kernels/NAME                   the kernels of kernels.txt
#   control    BUILD/kernels/NAME/vmlinuz, initrd         the control-domain image with such a kernel
#   guest      BUILD/kernels/NAME/overlay/boot/guest/...  an overlay that holds it for guests
#   guest-32   likewise, with an initramfs of its own
#
# Follows build.sh, whose archives it takes. The lists of the backports and of i386 are kept below BUILD, so that the
# system's own apt and dpkg do not come to know them.
set -eu
export LC_ALL=C
umask 022

build=${1:?usage: nightly.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$build" && pwd)
cache=$build/cache
. "$here/lib.sh"

exec 9>"$cache/lock"
flock 9

refreshed=

# Of apt, for what comes with lists of its own.
options_of() { # SUITE
    sandbox
    [ "$1" != - ] || return 0
    echo "-o Dir::Etc::SourceList=$cache/$1/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$cache/$1/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    [ "$1" != i386 ] || echo "-o APT::Architecture=i386 -o APT::Architectures=i386 -o Dir::State::status=/dev/null"
}

# The archive forgets old versions, so what is to be fetched is looked up in lists of today.
refresh() { # SUITE
    case " $refreshed " in
    *" $1 "*) return 0 ;;
    esac
    refreshed="$refreshed $1"
    case $1 in
    -) refresh_lists ;;
    backports) refresh_own backports -backports ;;
    i386) refresh_own i386 '' ;;
    *) fail "kernels.txt: there is no suite $1" ;;
    esac
}

# The archive that this system's packages come from has these too.
refresh_own() { # SUITE SUFFIX
    say "package lists: $1"
    . /etc/os-release
    site=$(archive_site)
    mkdir -p "$cache/$1/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $VERSION_CODENAME$2 main" \
        >"$cache/$1/sources.list"
    apt-get $(options_of "$1") -qq update >&2 || fail "no package lists of $1 (see above)"
}

# Its libraries are those of the installed QEMU.
fetch_emulator() {
    [ ! -e "$cache/qemu10/complete" ] || return 0
    refresh backports
    fetch "$cache/qemu10" "$(options_of backports)" qemu-system-x86 qemu-system-common qemu-system-data
    if ldd "$cache/qemu10/usr/bin/qemu-system-x86_64" | grep 'not found' >&2; then
        rm "$cache/qemu10/complete"
        fail "QEMU 10 needs libraries that are not installed (see above)"
    fi
}

fetch_kernel() { # NAME SUITE METAPACKAGE USES
    [ ! -e "$cache/kernels/$1/complete" ] || return 0
    refresh "$2"
    options=$(options_of "$2")
    package=$(apt-cache $options depends "$3" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n1)
    [ -n "$package" ] || fail "$3 depends on no kernel"
    [ "$2" != i386 ] || package="$package busybox-static"
    fetch "$cache/kernels/$1" "$options" $package
    # Guests here have no modules.
    case $4 in
    *control*) ;;
    *) rm -rf "$cache/kernels/$1/lib" ;;
    esac
}

build_guest_overlay() { # NAME
    directory=$build/kernels/$1/overlay/boot/guest
    mkdir -p "$directory"
    copy_changed "$cache/kernels/$1"/boot/vmlinuz-* "$directory/vmlinuz-$1"
}

# In a process of its own, as below.
build_guest_initrd_of() ( # NAME
    unpacked=$cache/kernels/$1
    image=$build/kernels/$1
    build_guest_initrd
    copy_changed "$image/guest-initrd.gz" "$image/overlay/boot/guest/initrd-$1.img"
)

# The archive of the build's own files is the one of the ordinary image: the guests' kernel stays the same. In a process
# of its own, because the steps of lib.sh use names of ours.
build_control_image() ( # NAME
    unpacked=$cache/root
    kernel=$cache/kernels/$1
    image=$build/kernels/$1
    mkdir -p "$image"
    build_base
    copy_changed "$kernel"/boot/vmlinuz-* "$image/vmlinuz"
    cat "$image/base.zst" "$build/image/own.cpio" >"$image/initrd"
)

fetch_emulator
list_of "$here/kernels.txt" | while read -r name suite meta uses; do
    fetch_kernel "$name" "$suite" "$meta" "$uses"
    for use in $uses; do
        case $use in
        guest) build_guest_overlay "$name" ;;
        guest-32)
            build_guest_overlay "$name"
            build_guest_initrd_of "$name"
            ;;
        control) build_control_image "$name" ;;
        *) fail "kernels.txt: $name: $use is none of guest, guest-32, control" ;;
        esac
    done
done
