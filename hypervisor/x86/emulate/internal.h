/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the emulator. */
#ifndef X86_EMULATE_INTERNAL_H
#define X86_EMULATE_INTERNAL_H

#include <hv/emulate.h>

enum emulate_result emul_raise(struct emul *e, uint8_t vector, bool has_error);
/* The whole of STOS and MOVS, and of PUSH, but for the instruction pointer. */
enum emulate_result emul_string(struct emul *e);
enum emulate_result emul_push(struct emul *e);
/* Of what memory is only read by. */
enum emulate_result emul_load(struct emul *e);

#endif
