/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VGA text mode, 80 columns by 25 lines. The output lock is held. The control domain takes the screen over when it
 * starts, unless vga=keep.
 */
#include <hv/x86.h>
#include "console_private.h"

#define VGA_BASE  0xb8000ul
#define COLUMNS   80
#define LINES     25
#define ATTRIBUTE 0x0700u

static volatile uint16_t *cells;
static unsigned int column, line;

bool vga_init(void)
{
    if (!cells)
        cells = ioremap(_maddr(VGA_BASE), COLUMNS * LINES * sizeof(*cells));
    if (!cells)
        return false;
    for (unsigned int i = 0; i < COLUMNS * LINES; i++)
        cells[i] = ATTRIBUTE | ' ';
    column = line = 0;
    return true;
}

static void scroll(void)
{
    for (unsigned int i = 0; i < COLUMNS * (LINES - 1); i++)
        cells[i] = cells[i + COLUMNS];
    for (unsigned int i = 0; i < COLUMNS; i++)
        cells[COLUMNS * (LINES - 1) + i] = ATTRIBUTE | ' ';
}

/* At no moment is there a place outside: a panic elsewhere, or an NMI, prints in between. */
static void newline(void)
{
    column = 0;
    if (line < LINES - 1)
        line++;
    else
        scroll();
}

static void put(char c)
{
    if (c == '\n') {
        newline();
    } else if (c == '\r') {
        column = 0;
    } else if (c >= ' ') {
        if (column >= COLUMNS)
            newline();
        cells[line * COLUMNS + column++] = (uint16_t)(ATTRIBUTE | (uint8_t)c);
    }
}

void vga_write(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(s[i]);
}

/* Leaves the cursor below the text. */
void vga_stop(void)
{
    unsigned int pos = line * COLUMNS;

    outw(0x3d4, (uint16_t)(0x0e | (pos & 0xff00)));
    outw(0x3d4, (uint16_t)(0x0f | ((pos & 0xff) << 8)));
}
