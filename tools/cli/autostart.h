/* SPDX-License-Identifier: BSD-2-Clause */
/* Where autostart keeps what; tests point it elsewhere. */
#ifndef CLI_AUTOSTART_H
#define CLI_AUTOSTART_H

extern const char *autostart_dir, *autostart_saved;
extern unsigned autostart_again_ms; /* after so long `stop` tries once more what failed */

#endif
