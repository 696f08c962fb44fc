/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM for tests that run the real heap (mm/heap.c) and frame table (mm/frame.c), in place of mem.c. The heap keeps its
 * state for the life of the process, so RAM is added once and a test checks that it gave everything back.
 */
#ifndef FAKE_RAM_H
#define FAKE_RAM_H

#include <hv/heap.h>

#ifndef RAM_END          /* test_core has more */
#define RAM_END 0x1800ul /* ends inside a zone, in the middle of a large block */
#endif
#define RAM_START    0x100ul
#define RAM_HOLE     0x903ul
#define RAM_HOLE_END 0x981ul
#define RAM_FRAMES   (RAM_END - RAM_START - (RAM_HOLE_END - RAM_HOLE))

void ram_init(void);

#endif
