# SPDX-License-Identifier: BSD-2-Clause
# The steps of build.sh, in its order. Uses its variables: here top build cache image unpacked kernel.
libs=lib/x86_64-linux-gnu

say() {
    printf '  IMAGE   %s\n' "$*"
}

fail() {
    echo "image: $*" >&2
    exit 1
}

list_of() {
    sed 's/#.*//; /^[[:space:]]*$/d' "$1"
}

# True when FILE exists and was made from the same inputs; the key is a checksum of everything that went in.
is_current() {
    [ -e "$1" ] && [ "$(cat "$1.key" 2>/dev/null)" = "$2" ]
}

key_of() {
    cat "$@" | sha256sum | cut -d' ' -f1
}

# The source may be a pattern: two kernels in one place, left by an interrupted download, are no choice.
copy_changed() { # SOURCE TARGET
    [ $# = 2 ] || fail "one file is wanted, and there is more than one: $*"
    cmp -s "$1" "$2" || cp "$1" "$2"
}

# --- fetch ------------------------------------------------------------------------------------------------------------
# Asking apt costs seconds, so a complete cache is not asked about again; `make clean` fetches the newest.
fetch_packages() {
    key=$(key_of "$here/image-packages.txt")
    is_current "$cache/versions" "$key" && return
    say "fetching packages"
    rm -rf "$cache/debs" "$unpacked"
    mkdir -p "$cache/debs"
    download || { refresh_lists && rm -f "$cache"/debs/*.deb && download; } ||
        fail "could not download the packages (see above)"
    (cd "$cache/debs" && ls -- *.deb) >"$cache/versions"
    echo "$key" >"$cache/versions.key"
}

download() {
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n1)
    [ -n "$package" ] || return 1
    (cd "$cache/debs" &&
        apt-get $(sandbox) -qq download "$package" xen-hypervisor-4.17-amd64 $(list_of "$here/image-packages.txt")) >&2
}

refresh_lists() {
    say "updating the package lists"
    if [ "$(id -u)" = 0 ]; then apt-get -qq update; else sudo apt-get -qq update; fi >&2
}

# Packages of a list beside the image's, unpacked below DIRECTORY. In a process of its own: its variables are nobody
# else's. What calls it may look at its status, so each step says for itself that it failed.
fetch() ( # DIRECTORY OPTIONS PACKAGE...
    target=$1 options=$2
    shift 2
    say "fetching $*"
    rm -rf "$target" "$target.debs" && mkdir -p "$target" "$target.debs"
    (cd "$target.debs" && apt-get $options -qq download "$@") >&2 || fail "could not download $* (see above)"
    for deb in "$target.debs"/*.deb; do
        dpkg-deb -x "$deb" "$target" || fail "could not unpack $deb"
    done
    rm -rf "$target.debs"
    touch "$target/complete"
)

# The packages of LIST below DIRECTORY, unless they are there.
fetch_list() { # LIST DIRECTORY
    key=$(key_of "$1")
    [ -e "$2/complete" ] && is_current "$2" "$key" && return
    packages=$(list_of "$1")
    fetch "$2" "$(sandbox)" $packages || { refresh_lists && fetch "$2" "$(sandbox)" $packages; } ||
        fail "no packages of ${1##*/} (see above)"
    echo "$key" >"$2.key"
}

# As root apt would give up its rights, and then cannot write where we are.
sandbox() {
    [ "$(id -u)" != 0 ] || echo '-o APT::Sandbox::User=root'
}

# Where this system's packages come from.
archive_site() {
    . /etc/os-release
    site=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        sed -n "s/ $VERSION_CODENAME\$//p" | head -n1)
    [ -n "$site" ] || fail "apt knows no archive of $VERSION_CODENAME"
    echo "$site"
}

unpack_packages() {
    is_current "$cache/unpacked" "$(key_of "$cache/versions")" || {
        say "unpacking packages"
        rm -rf "$unpacked" && mkdir -p "$unpacked"
        for deb in "$cache"/debs/*.deb; do
            dpkg-deb -x "$deb" "$unpacked"
        done
        touch "$cache/unpacked"
        key_of "$cache/versions" >"$cache/unpacked.key"
    }
    copy_changed "$unpacked"/boot/vmlinuz-* "$image/vmlinuz"
    copy_changed "$unpacked/boot/xen-4.17-amd64.gz" "$image/xen-4.17-amd64.gz"
}

# --- archives ---------------------------------------------------------------------------------------------------------
pack_archive() { # DIRECTORY OUTPUT
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . -mindepth 1 | sort | cpio --quiet --reproducible -R 0:0 -H newc -o) >"$2"
}

add_busybox() { # DIRECTORY
    for name in bin sbin usr/bin usr/sbin proc sys dev tmp run root etc; do
        mkdir -p "$1/$name"
    done
    cp "$unpacked/bin/busybox" "$1/bin/busybox"
    for applet in $("$unpacked/bin/busybox" --list); do
        [ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"
    done
}

build_guest_initrd() {
    key=$(cat "$here/guest/init" "$here/guest/poweroff" "$here/lib.sh" "$unpacked/bin/busybox" | sha256sum)
    is_current "$image/guest-initrd.gz" "$key" && return
    say "guest initramfs"
    stage=$image/stage-guest
    rm -rf "$stage"
    add_busybox "$stage"
    cp "$here/guest/init" "$stage/init"
    cp "$here/guest/poweroff" "$stage/sbin/poweroff"
    ln -s poweroff "$stage/sbin/reboot"
    chmod 755 "$stage/init" "$stage/sbin/poweroff"
    pack_archive "$stage" "$image/guest-initrd"
    gzip -9nf "$image/guest-initrd"
    echo "$key" >"$image/guest-initrd.gz.key"
    rm -rf "$stage"
}

# --- base: everything from packages -----------------------------------------------------------------------------------
build_base() {
    key=$({
        cat "$here/lib.sh" "$here/modules.txt" "$here/programs.txt" "$cache/versions" "$(own_needs_from)"
        ls "$kernel/lib/modules"
    } | sha256sum)
    is_current "$image/base.zst" "$key" && return
    say "base archive: modules, daemons, libraries"
    stage=$image/stage-base
    rm -rf "$stage"
    add_busybox "$stage"
    ln -s /run "$stage/var-run" && mkdir -p "$stage/var" && mv "$stage/var-run" "$stage/var/run"
    copy_programs "$here/programs.txt"
    copy_base_libraries
    copy_modules
    (cd "$stage/$libs" && ls) >"$image/base.libraries"
    compress_archive base
    echo "$key" >"$image/base.zst.key"
    rm -rf "$stage"
}

# Measured under emulation, seconds from power-on to "control domain ready": none 13.2, zstd 11.4 (GRUB reads less).
# gzip and lz4 do not boot: GRUB unpacks a gzip module itself and stops at its end, and lz4's format has no end, so
# nothing can follow it. Archives start at multiples of 4 bytes, where the kernel skips zeros between them.
compress_archive() { # NAME: of $stage
    pack_archive "$stage" "$image/$1.cpio"
    zstd -q -19 --single-thread -f "$image/$1.cpio" -o "$image/$1.zst"
    size=$(stat -c %s "$image/$1.zst")
    head -c $(((4 - size % 4) % 4)) /dev/zero >>"$image/$1.zst"
    rm "$image/$1.cpio"
}

# The libraries of our tools come from the same packages, so the programs are an input once they exist.
own_needs_from() {
    needed_by "$build/umbra" "$build/umbra-tls" >"$image/umbra.needs"
    echo "$image/umbra.needs"
}

copy_programs() { # LIST
    list_of "$1" | while read -r pattern; do
        (cd "$unpacked" && for file in $pattern; do
            [ -e "$file" ] || [ -L "$file" ] || fail "$1: no file matches $pattern"
            [ ! -d "$file" ] || continue
            mkdir -p "$stage/$(dirname "$file")"
            rm -f "$stage/$file"
            cp -P "$file" "$stage/$file"
        done)
    done
}

needed_by() {
    for file in "$@"; do
        readelf -d "$file" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
    done | sort -u
}

copy_base_libraries() {
    mkdir -p "$stage/$libs" "$stage/usr/lib" "$stage/lib64"
    ln -s "../../$libs" "$stage/usr/lib/x86_64-linux-gnu"
    cp "$unpacked/$libs/ld-linux-x86-64.so.2" "$stage/$libs/"
    ln -s "../$libs/ld-linux-x86-64.so.2" "$stage/lib64/ld-linux-x86-64.so.2"
    # The C library opens libgcc_s by itself when a thread is cancelled.
    copy_libraries /dev/null $(cat "$image/umbra.needs") libgcc_s.so.1
}

# Copies what the programs of $stage and the libraries named need: repeats until nothing new turns up.
copy_libraries() { # FILE: libraries that are there already; LIBRARY...
    there=$1
    shift
    mkdir -p "$stage/$libs"
    pending="$(needed_by $(find "$stage" -type f -perm -100 ! -name busybox)) $*"
    while [ -n "$pending" ]; do
        added=
        for name in $pending; do
            ! grep -qxF "$name" "$there" && [ ! -e "$stage/$libs/$name" ] || continue
            source=$(find "$unpacked/$libs" "$unpacked/usr/$libs" "$cache/root/$libs" -maxdepth 1 -name "$name" |
                head -n1)
            [ -n "$source" ] || fail "no package of the list provides $name"
            cp -L "$source" "$stage/$libs/$name"
            added="$added $stage/$libs/$name"
        done
        pending=$([ -z "$added" ] || needed_by $added)
    done
}

copy_modules() {
    tree=$(cd "$kernel" && echo lib/modules/*)
    find "$kernel/$tree/kernel" -name '*.ko' -o -name '*.ko.xz' | sort >"$image/modules.all"
    pending=$(list_of "$here/modules.txt")
    while [ -n "$pending" ]; do
        next=
        for name in $pending; do
            file=$(find_module "$name")
            [ -n "$file" ] || grep -qE "/$(name_pattern "$name")\.ko\$" "$kernel/$tree/modules.builtin" ||
                fail "modules.txt: the kernel has no module $name"
            target=$stage/$tree/kernel/${file#"$kernel/$tree/kernel/"}
            target=${target%.xz}
            [ -n "$file" ] && [ ! -e "$target" ] || continue
            mkdir -p "$(dirname "$target")"
            copy_module "$file" "$target"
            next="$next $(module_needs "$target")"
        done
        pending=$(echo $next)
    done
    cp "$kernel/$tree/modules.builtin" "$kernel/$tree/modules.order" "$stage/$tree/"
    "$unpacked/bin/busybox" depmod -b "$stage" "${tree##*/}"
}

copy_module() { # FILE TARGET
    case $1 in
    *.xz) xz -dc "$1" >"$2" ;;
    *) cp "$1" "$2" ;;
    esac
}

module_needs() {
    tr '\0' '\n' <"$1" | sed -n 's/^depends=//p' | tr ',' ' '
}

# File names and module names differ in - and _.
name_pattern() {
    echo "$1" | sed 's/[-_]/[-_]/g'
}

find_module() {
    grep -E "/$(name_pattern "$1")\.ko(\.xz)?\$" "$image/modules.all" | head -n1
}

# --- network: ssh, for hosts that talk to each other ------------------------------------------------------------------
# An archive of its own, which the lab appends for machines that ask: the others need not read and unpack it.
# In a process of its own: it uses the names of the steps above.
build_network() (
    unpacked=$cache/network
    fetch_list "$here/network-packages.txt" "$unpacked"
    key=$({
        cat "$here/lib.sh" "$here/network-programs.txt" "$unpacked.key" "$image/base.libraries"
        find "$here/network" -type f | sort | xargs cat
    } | sha256sum)
    is_current "$image/network.zst" "$key" && exit
    say "network archive: ssh"
    stage=$image/stage-network
    rm -rf "$stage"
    mkdir -p "$stage"
    copy_programs "$here/network-programs.txt"
    copy_libraries "$image/base.libraries"
    cp -R "$here/network/." "$stage/"
    chmod 755 "$stage"/usr/sbin/*
    compress_archive network
    echo "$key" >"$image/network.zst.key"
    rm -rf "$stage"
)

# --- scripts: what those of xen-utils-common call ---------------------------------------------------------------------
fetch_scripts() {
    fetch_list "$here/scripts-packages.txt" "$cache/scripts"
}

# --- own: what this tree adds -----------------------------------------------------------------------------------------
build_own() {
    say "own archive: init, umbra, examples, guest images"
    stage=$image/stage-own
    rm -rf "$stage"
    mkdir -p "$stage/boot/guest" "$stage/usr/bin" "$stage/root/examples"
    cp -R "$here/files/." "$stage/"
    chmod 755 "$stage/init" "$stage"/usr/lib/lab/* "$stage"/usr/sbin/*
    (unpacked=$cache/scripts && copy_programs "$here/scripts-programs.txt")
    cp "$image/vmlinuz" "$stage/boot/guest/vmlinuz"
    cp "$image/guest-initrd.gz" "$stage/boot/guest/initrd.img"
    cp "$top"/examples/*.json "$stage/root/examples/"
    if [ -x "$build/umbra" ]; then
        strip -o "$stage/usr/bin/umbra" "$build/umbra"
        strip -o "$stage/usr/bin/umbra-tls" "$build/umbra-tls"
    else
        say "note: $build/umbra is not built, the image has only the stock tools"
    fi
    pack_archive "$stage" "$image/own.cpio"
    rm -rf "$stage"
}

join_initrd() {
    cat "$image/base.zst" "$image/own.cpio" >"$image/initrd"
}

# --- EFI: a FAT file system with GRUB as UEFI firmware starts it, with all modules that our menus use -----------------
efi_modules="part_gpt part_msdos fat iso9660 search search_fs_file
    normal configfile multiboot2 gzio serial terminal echo boot"

build_efi() (
    unfinished=$image/efi.tmp
    export SOURCE_DATE_EPOCH=1577836800 # dates of directories and files
    rm -rf "$unfinished"
    mkdir "$unfinished"
    sed '/^#/d' "$here/grub-efi.cfg" >"$unfinished/cfg" # its parser has no comments yet
    grub-mkimage -O x86_64-efi -d /usr/lib/grub/x86_64-efi -c "$unfinished/cfg" -p /boot/grub \
        -o "$unfinished/bootx64.efi" $efi_modules || fail "grub-mkimage failed (run make deps)"
    mformat -C -f 1440 -N 554d4252 -i "$unfinished/img" :: && mmd -i "$unfinished/img" ::/efi ::/efi/boot &&
        mcopy -i "$unfinished/img" "$unfinished/bootx64.efi" ::/efi/boot/ || fail "mtools failed (run make deps)"
    copy_changed "$unfinished/img" "$image/efi.img"
    rm -rf "$unfinished"
)

# --- ISO --------------------------------------------------------------------------------------------------------------
build_iso() {
    if [ ! -e "$build/umbra.gz" ]; then
        say "note: $build/umbra.gz is not built, no ISO"
        return
    fi
    say "$build/umbra.iso"
    stage=$image/stage-iso
    rm -rf "$stage"
    mkdir -p "$stage/boot/grub"
    cp "$here/grub.cfg" "$stage/boot/grub/grub.cfg"
    : >"$stage/boot/grub/umbra.id"
    cp "$image/efi.img" "$stage/efi.img"
    cp "$build/umbra.gz" "$stage/boot/umbra.gz"
    cp "$image/vmlinuz" "$image/initrd" "$stage/boot/"
    make_iso "$stage" "$build/umbra.iso"
    rm -rf "$stage"
}

make_iso() { # DIRECTORY OUTPUT
    date=2020010100000000
    grub-mkrescue --directory=/usr/lib/grub/i386-pc -o "$2" "$1" \
        --efi-boot efi.img -efi-boot-part --efi-boot-image -- -alter_date_r b $date / -- \
        -volume_date uuid $date -volume_date all_file_dates set_to_mtime >"$image/iso.log" 2>&1 || {
        cat "$image/iso.log" >&2
        fail "grub-mkrescue failed"
    }
}

report() {
    for file in vmlinuz initrd network.zst guest-initrd.gz; do
        say "$(printf '%-16s %9d bytes' "$file" "$(stat -c %s "$image/$file")")"
    done
}
