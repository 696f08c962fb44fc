#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds the Debian packages of a copy of the tree, so that neither the tree nor the directory beside it gets new files:
# deb.sh BUILD VERSION. The packages are in BUILD/deb.
set -eu
umask 022

build=${1:?usage: deb.sh BUILD VERSION} version=${2:?}
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$build/deb"
out=$(cd "$build/deb" && pwd)
copy=$out/umbra-$version
log=$out/build.log

packaged=$(cd "$top" && dpkg-parsechangelog -S Version)
[ "$packaged" = "$version" ] || {
    echo "deb: debian/changelog is of version $packaged, Config.mk of $version" >&2
    exit 1
}
rm -rf "$copy" "$out"/*.deb
mkdir -p "$copy"
(cd "$top" && tar -c --exclude=./.git --exclude=./build --exclude="./$(basename "$build")" --exclude=__pycache__ .) |
    tar -x -C "$copy"
(cd "$copy" && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -b -us -uc -ui) >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    echo "deb: dpkg-buildpackage failed; all it said is in $log" >&2
    exit 1
}
rm -rf "$copy"
# The project has no address of its own yet: whoever distributes the packages puts theirs.
lintian --allow-root --fail-on error --suppress-tags bogus-mail-host "$out/umbra_${version}_amd64.changes"
for deb in "$out"/*.deb; do
    printf '  DEB     %s\n' "$deb"
done
