/* SPDX-License-Identifier: BSD-2-Clause */
/* Console: 16550 serial port, VGA text, the log ring, debug keys, input. printk and panic are declared in lib.h. */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <hv/lib.h>

void console_init_early(void); /* serial from the command line; ring */
void console_init_kept(void);  /* the log that outlives a restart, after memmap_init */
void console_init_vga(void);   /* VGA text, once ioremap works; shows what the ring has so far */
void console_init_irq(void);   /* receive interrupts (or polling), after IO-APIC and timers */
void console_endboot(void);    /* the control domain is about to run: it gets the VGA and the serial input */
/* I/O ports of the serial line numbered i (0, 1, ...) that the hypervisor keeps for itself; false: no such line. */
bool console_serial_ports(unsigned int i, unsigned int *first, unsigned int *last);
/* Raw output of n bytes to the devices and, when log is set, to the ring. Any context. */
void console_write(const char *s, size_t n, bool log);
/* Characters typed on the serial line for the control domain: copies up to n, returns the count. VIRQ_CONSOLE announces
 * them. */
size_t console_read(char *buf, size_t n);
/* Reads the ring for XEN_SYSCTL_readconsole: bytes from *index on, at most n; *index becomes the next position. Returns
 * the count. */
size_t console_ring_read(char *buf, size_t n, uint32_t *index);
/* Forgets what lies before index, if that is a place in the ring still. */
void console_ring_clear(uint32_t index);
/* What was logged before the machine was restarted; returns the size, 0: it is not known. */
size_t console_previous(const char **log);
/* What was logged is in memory, not just in caches: before a restart. Any context. */
void console_keep(void);
/* Debug keys (XEN_SYSCTL_debug_keys, or three times CTRL-a on the serial line). */
void register_debug_key(char key, const char *desc, void (*fn)(void));
void handle_debug_key(char key);
/* Symbols: name and offset of the function at an address of the image; NULL: none. */
const char *symbol_lookup(unsigned long address, unsigned long *offset, unsigned long *size);
void backtrace(unsigned long rip, unsigned long rbp);
struct cpu_user_regs;
void dump_registers(const struct cpu_user_regs *regs);
/* panic for a fault inside the hypervisor: shows the registers of the fault instead of the caller's. */
void panic_with_regs(const struct cpu_user_regs *regs, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
/* Set when the panic path is running: a CPU that takes an NMI then calls panic_park and stops for good. */
extern bool panicking;
void panic_park(void) __attribute__((noreturn));

#endif
