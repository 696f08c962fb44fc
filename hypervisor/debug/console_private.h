/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of debug/: the lock of all output, the devices, the ring. Nobody else includes this file.
 *
 * The output lock is no spinlock_t: it has no rank, because printk must work under any lock; it knows its owner, so
 * that an NMI which breaks into output still gets its words out; and a panic takes it by force after a while.
 */
#ifndef CONSOLE_PRIVATE_H
#define CONSOLE_PRIVATE_H

#include <hv/console.h>

struct output_lock {
    unsigned long flags;
    bool taken; /* false: this CPU already owns it, or it was broken by a panic: use no static buffer */
};
struct output_lock output_lock(void);
void output_unlock(struct output_lock l);
/* To the devices and, when log is set, to the ring. Output lock held (or broken). */
void output_raw(const char *s, size_t n, bool log);

/* ring.c: a log in a buffer of a power of two bytes; positions count bytes since boot, modulo 2^32. */
struct log_ring {
    char *buf;
    uint32_t size;
    uint32_t start, end; /* what is kept: end - start <= size */
};
void ring_put(struct log_ring *r, const char *s, size_t n);
/* Up to n bytes from position *index on, or from the start if *index is not within the ring. *index moves on. */
size_t ring_get(const struct log_ring *r, char *buf, size_t n, uint32_t *index);
/* Moves the contents to a bigger buffer. */
void ring_grow(struct log_ring *r, char *buf, uint32_t size);

/* kept.c: to the log that outlives a restart, once it is there. Output lock held (or broken). */
void kept_put(const char *s, size_t n);

/* serial.c: all lines that are console or gdb devices by the command line. */
void serial_init(bool com1_wanted, bool com2_wanted);
void serial_write(const char *s, size_t n);
void serial_init_irq(void);
bool serial_configured(unsigned int line); /* com1= or com2= was given */

/* vga.c */
bool vga_init(void); /* needs ioremap */
void vga_write(const char *s, size_t n);
void vga_stop(void);

/* console.c: a character typed. Interrupt context. */
void console_rx(char c);

/* keys.c */
void keys_init(void);
void keys_queue(char key); /* any context; handled in a softirq */

/* stretch.c: debug key 'b' */
void stretch_dump(void);

#endif
