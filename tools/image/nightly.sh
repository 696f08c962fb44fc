#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes what only the nightly matrix needs, from packages that are unpacked and never installed: nightly.sh BUILD
#
#   emulator   BUILD/cache/qemu10/usr                     QEMU 10 from the backports
#   kernels    BUILD/cache/kernels/NAME                   the kernels of kernels.txt
#   control    BUILD/kernels/NAME/vmlinuz, initrd         the control-domain image with such a kernel
#   guest      BUILD/kernels/NAME/overlay/boot/guest/...  an overlay that holds it for guests
#
# Follows build.sh, whose archives it takes. The lists of the backports are kept below BUILD, so that the system's own
# apt does not come to know them.
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

apt_state=$cache/backports
refreshed=
backports="$(sandbox) -o Dir::Etc::SourceList=$apt_state/sources.list -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists=$apt_state/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="

# The archive forgets old versions, so what is to be fetched is looked up in lists of today.
refresh() { # SUITE
    case " $refreshed " in
    *" $1 "*) return 0 ;;
    esac
    refreshed="$refreshed $1"
    if [ "$1" = - ]; then refresh_lists; else refresh_backports; fi
}

# The archive that this system's packages come from has the backports too.
refresh_backports() {
    say "package lists of the backports"
    . /etc/os-release
    site=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        sed -n "s/ $VERSION_CODENAME\$//p" | head -n1)
    [ -n "$site" ] || fail "apt knows no archive of $VERSION_CODENAME"
    mkdir -p "$apt_state/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $VERSION_CODENAME-backports main" \
        >"$apt_state/sources.list"
    apt-get $backports -qq update >&2 || fail "no lists of the backports (see above)"
}

# Its libraries are those of the installed QEMU.
fetch_emulator() {
    [ ! -e "$cache/qemu10/complete" ] || return 0
    refresh backports
    fetch "$cache/qemu10" "$backports" qemu-system-x86 qemu-system-common qemu-system-data
    if ldd "$cache/qemu10/usr/bin/qemu-system-x86_64" | grep 'not found' >&2; then
        rm "$cache/qemu10/complete"
        fail "QEMU 10 needs libraries that are not installed (see above)"
    fi
}

fetch_kernel() { # NAME SUITE METAPACKAGE USES
    [ ! -e "$cache/kernels/$1/complete" ] || return 0
    refresh "$2"
    options=$(sandbox)
    [ "$2" = - ] || options=$backports
    package=$(apt-cache $options depends "$3" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n1)
    [ -n "$package" ] || fail "$3 depends on no kernel"
    fetch "$cache/kernels/$1" "$options" "$package"
    # Guests here have no modules.
    [ "$4" != guest ] || rm -rf "$cache/kernels/$1/lib"
}

build_guest_overlay() { # NAME
    directory=$build/kernels/$1/overlay/boot/guest
    mkdir -p "$directory"
    copy_changed "$cache/kernels/$1"/boot/vmlinuz-* "$directory/vmlinuz-$1"
}

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
        control) build_control_image "$name" ;;
        *) fail "kernels.txt: $name: $use is neither guest nor control" ;;
        esac
    done
done
