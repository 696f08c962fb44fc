#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Debian's crash, and the symbols of the image's kernel, with which it reads a core file: crash.sh BUILD. They are in
# BUILD/cache/crash: root and vmlinux. Some 860 MB are fetched.
set -eu
umask 022

build=${1:?usage: crash.sh BUILD}
mkdir -p "$build/cache/crash"
cache=$(cd "$build/cache/crash" && pwd)
banner() { strings -n 12 "$1" | grep -m 1 -o '6\.[0-9]*\.[0-9]*-[0-9a-z-]* (debian-kernel.*) #1 SMP.*' || true; }
wanted=$(banner "$build/image/vmlinuz")
release=${wanted%% *}

work=$cache/new.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -q download crash libsnappy1v5 "linux-image-$release-dbg"
for deb in crash_*.deb libsnappy1v5_*.deb; do
    dpkg-deb -x "$deb" root
done
dpkg-deb --fsys-tarfile linux-image-*-dbg_*.deb | tar -x -O "./usr/lib/debug/boot/vmlinux-$release" >vmlinux
# Another build of the same release would be read as nonsense.
stamp=${wanted##*) }
grep -qF "$stamp" vmlinux || {
    echo "crash: the archive's symbols of $release are not of the image's kernel ($stamp): make image anew" >&2
    exit 1
}
rm -rf "$cache/root" "$cache/vmlinux"
mv root vmlinux "$cache/"
