/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A terminal tied to a guest's console until the guest or the user ends it.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#define ESCAPE_DEFAULT 0x1d /* ^] */

/* "^]", "^x" or one character to its code; -EINVAL. */
int escape_parse(const char *text);
/* Opens the guest's terminal, raw. Returns a descriptor or -errno. */
int terminal_open(const char *path);
/*
 * Passes bytes both ways until the guest's side ends (0), the escape character is typed (1), or an error (-errno).
 * Our own terminal is raw meanwhile and is restored on every way out, signals included. End of our input alone ends
 * nothing: the guest's output goes on. A guest that takes no input does not keep us: of what is typed 64 KiB wait for
 * it, what is more is lost with a bell, and the escape character is seen and leaves it there. guest does not block from
 * here on.
 */
int terminal_run(int guest, int escape);

#endif
