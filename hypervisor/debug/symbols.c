/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of addresses, for backtraces. The table is made by symbols.sh from the first link and lies in section .symbols:
 * sorted low halves of function addresses (all of the image shares the upper half), offsets of the names, the names.
 * No line numbers: those are for the debugger, which has the unstripped image.
 */
#include <hv/console.h>
#include <hv/layout.h>

extern const uint64_t symbol_count;
extern const uint32_t symbol_addresses[], symbol_name_offsets[];
extern const char symbol_names[];
extern const char text_start[], text_end[];

const char *symbol_lookup(unsigned long address, unsigned long *offset, unsigned long *size)
{
    uint32_t low = (uint32_t)address;
    uint64_t first = 0, past = symbol_count; /* the answer lies in [first, past) */
    unsigned long end;

    if (address < (unsigned long)text_start || address >= (unsigned long)text_end)
        return NULL;
    if (past == 0 || low < symbol_addresses[0])
        return NULL;
    while (past - first > 1) {
        uint64_t middle = first + (past - first) / 2;

        if (symbol_addresses[middle] <= low)
            first = middle;
        else
            past = middle;
    }
    end = past < symbol_count ? symbol_addresses[past] : (uint32_t)(unsigned long)text_end;
    *offset = low - symbol_addresses[first];
    *size = end - symbol_addresses[first];
    return symbol_names + symbol_name_offsets[first];
}
