/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console: output to the serial line, the VGA and the log ring; input from the serial line, switched by three times
 * CTRL-a between the control domain and the hypervisor's debug keys.
 *
 * Flow of output: printk -> output_raw -> ring, kept.c, serial.c, vga.c; CONSOLEIO_write -> console_write -> the same.
 * Flow of input: serial.c -> console_rx -> input buffer + VIRQ_CONSOLE, or keys.c.
 *
 * Options: console=com1,com2,vga,none in any mixture (default vga, and each line that com1= or com2= configures);
 * conring_size=SIZE; conswitch=C[x]: the switch character, and "x" starts with input to the hypervisor; sync_console is
 * accepted: output is always synchronous.
 */
#include <hv/boot.h>
#include <hv/event.h>
#include <hv/heap.h>
#include <hv/x86.h>
#include "console_private.h"

#define RING_DEFAULT 32768u
#define RING_MAX     (16u << 20)
#define INPUT_SIZE   1024u

static char early_ring[RING_DEFAULT];
static struct log_ring ring = {early_ring, RING_DEFAULT, 0, 0};

static char opt_console[64];
CMDLINE_PARAM("console", PARAM_STRING, opt_console);
static uint64_t opt_conring_size;
CMDLINE_PARAM("conring_size", PARAM_SIZE, opt_conring_size);
static char opt_conswitch[4] = "a";
CMDLINE_RUNTIME("conswitch", PARAM_STRING, opt_conswitch);
static bool opt_sync_console;
CMDLINE_PARAM("sync_console", PARAM_BOOL, opt_sync_console);

static bool vga_wanted, vga_keep, vga_on;

/* ---- output ---- */

static unsigned int output_owner; /* CPU + 1; 0: free */

struct output_lock output_lock(void)
{
    struct output_lock l = {irq_save(), false};
    unsigned int me = smp_processor_id() + 1;
    unsigned int spins = 0;

    for (;;) {
        unsigned int free = 0;

        if (__atomic_compare_exchange_n(&output_owner, &free, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            l.taken = true;
            return l;
        }
        if (free == me || (panicking && ++spins > 10000000u))
            return l;
        cpu_relax();
    }
}

void output_unlock(struct output_lock l)
{
    if (l.taken)
        __atomic_store_n(&output_owner, 0, __ATOMIC_RELEASE);
    irq_restore(l.flags);
}

void output_raw(const char *s, size_t n, bool log)
{
    if (log) {
        ring_put(&ring, s, n);
        kept_put(s, n);
    }
    serial_write(s, n);
    if (vga_on)
        vga_write(s, n);
}

void console_write(const char *s, size_t n, bool log)
{
    struct output_lock l = output_lock();

    output_raw(s, n, log);
    output_unlock(l);
}

/* ---- the ring, for readconsole ---- */

size_t console_ring_read(char *buf, size_t n, uint32_t *index)
{
    struct output_lock l = output_lock();

    n = ring_get(&ring, buf, n, index);
    output_unlock(l);
    return n;
}

void console_ring_clear(uint32_t index)
{
    struct output_lock l = output_lock();

    if (index - ring.start <= ring.end - ring.start)
        ring.start = index;
    output_unlock(l);
}

static void ring_resize(void)
{
    uint64_t want = MIN(opt_conring_size, RING_MAX);
    uint32_t size = RING_DEFAULT;
    struct output_lock l;
    char *buf;

    while (size < want)
        size <<= 1;
    if (size == RING_DEFAULT)
        return;
    buf = alloc_hv_mem(get_order_bytes(size));
    if (!buf) {
        printk(XLOG_WARNING "conring_size: no memory for %u bytes, the ring keeps %u\n", size, RING_DEFAULT);
        return;
    }
    l = output_lock();
    ring_grow(&ring, buf, size);
    output_unlock(l);
}

/* ---- input ---- */

static struct {
    spinlock_t lock; /* irqsave */
    char buf[INPUT_SIZE];
    unsigned int head, tail; /* written at head, read at tail */
    bool to_hypervisor;
    unsigned int switches; /* switch characters in a row */
} input = {.lock = SPINLOCK_INIT(RANK_LEAF)};

static char switch_char(void)
{
    char c = opt_conswitch[0];

    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 1) : 0;
}

static void input_announce(void)
{
    printk("*** Serial input to %s%s\n", input.to_hypervisor ? "Xen" : "DOM0",
           switch_char() ? " (type 'CTRL-a' three times to switch input)" : "");
}

/* Counts switch characters; true when the third one in a row has switched the input. */
static bool input_switched(char c)
{
    if (!switch_char() || c != switch_char()) {
        input.switches = 0;
        return false;
    }
    if (++input.switches < 3)
        return false;
    input.switches = 0;
    input.to_hypervisor = !input.to_hypervisor;
    return true;
}

static bool input_put(char c)
{
    if (input.head - input.tail >= INPUT_SIZE)
        return false;
    input.buf[input.head++ % INPUT_SIZE] = c;
    return true;
}

void console_rx(char c)
{
    unsigned long flags = spin_lock_irqsave(&input.lock);
    bool switched = input_switched(c);
    bool key = !switched && input.to_hypervisor;
    bool stored = !switched && !key && input_put(c);

    spin_unlock_irqrestore(&input.lock, flags);
    if (switched)
        input_announce();
    else if (key && c != switch_char())
        keys_queue(c);
    else if (stored && control_domain)
        send_global_virq(VIRQ_CONSOLE);
}

size_t console_read(char *buf, size_t n)
{
    unsigned long flags = spin_lock_irqsave(&input.lock);
    size_t done = 0;

    while (done < n && input.tail != input.head)
        buf[done++] = input.buf[input.tail++ % INPUT_SIZE];
    spin_unlock_irqrestore(&input.lock, flags);
    return done;
}

/* ---- boot ---- */

static bool list_has(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *s = list; (s = strstr(s, word)) != NULL; s += n)
        if ((s == list || s[-1] == ',') && (s[n] == '\0' || s[n] == ','))
            return true;
    return false;
}

void console_init_early(void)
{
    bool explicit_list = opt_console[0] != '\0';
    bool com1 = explicit_list ? list_has(opt_console, "com1") : serial_configured(0);
    bool com2 = explicit_list ? list_has(opt_console, "com2") : serial_configured(1);

    vga_wanted = explicit_list ? list_has(opt_console, "vga") : true;
    input.to_hypervisor = opt_conswitch[0] != '\0' && opt_conswitch[1] == 'x';
    serial_init(com1, com2);
}

/* Shows the log so far, then every message. */
void console_init_vga(void)
{
    uint32_t index = 0;
    struct output_lock l;
    char buf[128];
    size_t n;

    if (!vga_wanted || vga_on || !boot_info.has_vga_text || !vga_init())
        return;
    l = output_lock();
    while ((n = ring_get(&ring, buf, sizeof(buf), &index)) > 0)
        vga_write(buf, n);
    vga_on = true;
    output_unlock(l);
}

void console_init_irq(void)
{
    console_init_vga();
    ring_resize();
    keys_init();
    serial_init_irq();
}

static int parse_vga(const char *s)
{
    vga_keep = list_has(s, "keep");
    return 0;
}
CMDLINE_CUSTOM("vga", parse_vga);

void console_endboot(void)
{
    input_announce();
    if (vga_on && !vga_keep) {
        vga_on = false;
        vga_stop();
    }
}
