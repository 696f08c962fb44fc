#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The symbol table for backtraces: reads `nm -n` lines (from a file named on the command line, or standard input),
# prints assembly for section .symbols. Functions of the image only, by rising address; see debug/symbols.c. An empty
# input gives an empty table with the same labels, for the first link.
exec awk '
BEGIN { count = 0; at = 0 }
$2 ~ /^[tTwW]$/ && $1 ~ /^ffff82d04/ && $3 != "text_start" && $3 != "text_end" {
    address[count] = substr($1, 9)
    name[count] = $3
    offset[count] = at
    at += length($3) + 1
    count++
}
END {
    print ".section .symbols,\"a\",@progbits\n.balign 8"
    print ".globl symbol_count, symbol_addresses, symbol_name_offsets, symbol_names"
    print "symbol_count:\n.quad " count
    print "symbol_addresses:"
    for (i = 0; i < count; i++) print ".long 0x" address[i]
    print "symbol_name_offsets:"
    for (i = 0; i < count; i++) print ".long " offset[i]
    print "symbol_names:"
    for (i = 0; i < count; i++) print ".asciz \"" name[i] "\""
    print ".section .note.GNU-stack,\"\",@progbits"
}' "$@"
