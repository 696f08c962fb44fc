/* SPDX-License-Identifier: BSD-2-Clause */
/* A look from another paging mode: mode.S. */
#ifndef HVM_MODE_H
#define HVM_MODE_H

#include "hvm.h"

struct visit { /* in mode.S's order */
    uint32_t cr0, cr3, cr4, efer;
    uint32_t address, read, written;
};
/* In that mode reads the word at the address and stores what is to be written. Its tables map memory as it is. */
void visit(struct visit *v);

#endif
