// SPDX-License-Identifier: BSD-2-Clause
/*
 * The notes by which a kernel says what it wants: <xen/elfnote.h>.
 *
 * Place: called by image.c for each note segment. A note of another owner, an unknown type or an unfit size is passed
 * over; the last of several wins. Does not judge: image.c and layout.c refuse what cannot be.
 */
#include <stdio.h>
#include <string.h>
#include <xen/elfnote.h>

#include "libctl/image.h"

struct note {
    uint32_t type;
    const uint8_t *data;
    uint32_t size;
};

/* Numbers are 4 or 8 bytes, little endian. */
static bool number(const struct note *note, uint64_t *out)
{
    uint64_t value = 0;

    if (note->size != 4 && note->size != 8) {
        return false;
    }
    for (unsigned i = 0; i < note->size; i++) {
        value |= (uint64_t)note->data[i] << (8 * i);
    }
    *out = value;
    return true;
}

/* Text for the screen: cut to size, and nothing in it that a terminal would obey. */
static void text(const struct note *note, char *out, size_t size)
{
    size_t n = 0;

    for (; n < note->size && n + 1 < size && note->data[n]; n++) {
        out[n] = note->data[n] >= 0x20 && note->data[n] < 0x7f ? note->data[n] : '?';
    }
    out[n] = 0;
}

static void take(struct ctl_notes *notes, const struct note *note)
{
    uint64_t value;

    notes->any = true;
    switch (note->type) {
    case XEN_ELFNOTE_ENTRY:
        notes->has_entry |= number(note, &notes->entry);
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        notes->has_hypercall_page |= number(note, &notes->hypercall_page);
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        number(note, &notes->virt_base);
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        notes->has_paddr_offset |= number(note, &notes->paddr_offset);
        break;
    case XEN_ELFNOTE_INIT_P2M:
        notes->has_init_p2m |= number(note, &notes->init_p2m);
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        notes->has_phys32_entry |= number(note, &notes->phys32_entry);
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        notes->mod_start_pfn = number(note, &value) && value;
        break;
    case XEN_ELFNOTE_GUEST_OS:
        text(note, notes->guest_os, sizeof(notes->guest_os));
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        text(note, notes->guest_version, sizeof(notes->guest_version));
        break;
    default:
        break;
    }
}

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

bool ctl_notes_parse(struct ctl_notes *notes, const uint8_t *data, size_t size)
{
    size_t at = 0;

    while (size - at >= 12) {
        uint32_t head[3];
        size_t name, desc;

        memcpy(head, data + at, sizeof(head));
        at += sizeof(head);
        name = padded(head[0]);
        desc = padded(head[1]);
        if (name > size - at || head[1] > size - at - name) {
            return false;
        }
        if (head[0] == 4 && memcmp(data + at, "Xen", 4) == 0) {
            struct note note = {head[2], data + at + name, head[1]};

            take(notes, &note);
        }
        at += name;
        /* The last note's padding may be missing. */
        at += desc > size - at ? size - at : desc;
    }
    return true;
}
