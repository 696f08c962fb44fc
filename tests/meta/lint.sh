#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# lint.sh [STEP]...: checks the sources; without a step, all of them.
#   format    layout as .clang-format says (it reports, it changes nothing)
#   gcc       everything compiles without a warning
#   clang     the same with clang
#   cppcheck  static analysis of the C sources
#   shell     the shell scripts parse
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}

c_files() {
    find hypervisor tools tests -name '*.c' -o -name '*.h' | sort
}

format() {
    c_files | xargs -r clang-format --dry-run -Werror
}

compile_with() { # COMPILER BUILD [VARIABLE=VALUE]...
    compiler=$1 into=$2
    shift 2
    make --no-print-directory -j2 CC="$compiler" BUILD="$into" "$@" hypervisor tools guests unit-programs \
        >"$build/lint.log" 2>&1 || {
        cat "$build/lint.log"
        return 1
    }
}

# gcc is the build's own compiler: what is built already need not be built again.
gcc() {
    compile_with gcc "$build"
}

# Its warnings do not depend on what it generates, and nothing of this is run.
clang() {
    compile_with clang "$build/lint-clang" OPTIMIZE=-O0 UNIT_CHECKS=-O0
}

# The system's headers are not analysed; the bounds of linker sections are different objects to the language, and are
# compared and subtracted all the same.
cppcheck() {
    c_files | grep '\.c$' >"$build/lint-files"
    command cppcheck --quiet -j2 --std=c11 --error-exitcode=1 --inline-suppr \
        --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=unknownMacro \
        --suppress=comparePointers --suppress=subtractPointers \
        -Ihypervisor/include -Itools -Itests/guests/lib -Itests/guests/hvm/lib --file-list="$build/lint-files"
}

shell() {
    find tools tests hypervisor debian .ci -type f | while read -r file; do
        case $(head -n1 "$file") in
        '#!/bin/sh' | '#!/bin/busybox sh') dash -n "$file" ;;
        '#!/usr/bin/env bash' | '#!/bin/bash') bash -n "$file" ;;
        esac
    done
}

mkdir -p "$build"
[ $# -gt 0 ] || set -- format gcc clang cppcheck shell
for step in "$@"; do
    case $step in
    format | gcc | clang | cppcheck | shell) "$step" || { echo "lint: $step failed"; exit 1; } ;;
    *) echo "lint: no step $step" >&2; exit 2 ;;
    esac
done
