#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# deps.sh [LIST]...: installs what the lists (packages.txt) name and this system lacks: apt only, silent and without
# network when nothing is missing. Runs as root or with sudo. Deliberately never upgrades and never removes a package.
set -eu

here=$(dirname "$0")
[ $# -gt 0 ] || set -- packages.txt
wanted=$(cd "$here" && sed 's/#.*//' "$@")

list_missing() {
    for package in $wanted; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "deps: these packages are missing: $missing" >&2
        echo "deps: run as root, or install sudo" >&2
        exit 1
    fi
}

install_missing() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install -y --no-install-recommends $missing >"$log" 2>&1
}

missing=$(list_missing)
[ -n "$missing" ] || exit 0

echo "  DEPS    installing: $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! install_missing; then
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 && install_missing || {
        cat "$log" >&2
        echo "deps: apt-get could not install: $missing" >&2
        exit 1
    }
fi
