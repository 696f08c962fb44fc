#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Puts what was built into place. make install calls it, with these variables:
#   BUILD VERSION                       where the build is, and what it is called
#   DESTDIR                             before every path: a directory that is packed, and unpacked as /
#   PREFIX BOOTDIR SYSCONFDIR UNITDIR DOCDIR MANDIR BASHDIR ZSHDIR
#   STRIP                               -s, or empty: the program keeps its symbols
# A configuration file that is there already stays as it is. Starts nothing and runs no update-grub.
set -eu
umask 022
cd "$(dirname "$0")/../.."

put() { # MODE SOURCE TARGET
    install -D -m "$1" "$2" "$DESTDIR$3"
}

put_filled() { # MODE SOURCE TARGET: @NAME@ is the value of NAME
    mkdir -p "$(dirname "$DESTDIR$3")"
    sed "s|@PREFIX@|$PREFIX|g; s|@DOCDIR@|$DOCDIR|g" "$2" >"$DESTDIR$3"
    chmod "$1" "$DESTDIR$3"
}

put_setting() { # SOURCE TARGET
    [ -e "$DESTDIR$2" ] || put 644 "$1" "$2"
}

put_hypervisor() {
    put 644 "$BUILD/umbra.gz" "$BOOTDIR/umbra-$VERSION.gz"
    put 755 tools/package/grub.d "$SYSCONFDIR/grub.d/45_umbra"
    put_setting tools/package/default "$SYSCONFDIR/default/umbra"
}

put_tools() {
    install -D $STRIP -m 755 "$BUILD/umbra" "$DESTDIR$PREFIX/bin/umbra"
    install -D $STRIP -m 755 "$BUILD/umbra-tls" "$DESTDIR$PREFIX/bin/umbra-tls"
    install -D $STRIP -m 755 "$BUILD/umbra-xml" "$DESTDIR$PREFIX/bin/umbra-xml"
    for script in daemon-options keep-daemons; do
        put 755 "tools/package/$script" "$PREFIX/lib/umbra/$script"
    done
    put 644 "$BUILD/guest-1.schema.json" "$PREFIX/share/umbra/schema/guest-1.schema.json"
    put 644 "$BUILD/completion.bash" "$BASHDIR/umbra"
    put 644 "$BUILD/completion.zsh" "$ZSHDIR/_umbra"
    for unit in tools/package/units/*.service; do
        put_filled 644 "$unit" "$UNITDIR/${unit##*/}"
    done
    put 644 tools/package/logrotate "$SYSCONFDIR/logrotate.d/umbra"
    put_filled 644 tools/package/units/xen.conf "$UNITDIR/xen.service.d/umbra.conf"
    put_setting tools/package/umbra.conf "$SYSCONFDIR/umbra/umbra.conf"
    mkdir -p "$DESTDIR$SYSCONFDIR/umbra/auto"
}

put_manual() {
    for page in docs/man/*; do
        put 644 "$page" "$MANDIR/man${page##*.}/${page##*/}"
    done
}

# As the links between the pages want it: each in its own place of the tree.
put_docs() {
    for page in README.md CONTRIBUTING.md LICENSE docs/*.md docs/decisions/*.md docs/tasks/*.md tests/README.md \
        examples/*.json; do
        put 644 "$page" "$DOCDIR/$page"
    done
}

put_hypervisor
put_tools
put_manual
put_docs
