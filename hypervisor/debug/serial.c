/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550 serial lines. Output is polled and uses the FIFO; a line that does not drain within a bounded time is taken for
 * dead until it is ready again, so that a missing cable never stops the hypervisor. Input comes by interrupt, or by a
 * timer when the interrupt is not to be had.
 *
 * com1= and com2= take BAUD[/CLOCK][,DPS[,IOBASE[,IRQ]]] as Xen does: "115200,8n1", "auto,8n1,0x3f8,4". Baud "auto"
 * keeps the rate that the firmware programmed; irq 0 means polling.
 */
#include <hv/boot.h>
#include <hv/irq.h>
#include <hv/timer.h>
#include <hv/x86.h>
#include "console_private.h"

#define UART_DATA 0
#define UART_IER  1
#define UART_FCR  2
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define UART_SCR  7
#define IER_RX    0x01
#define FCR_SETUP 0x07 /* enable and clear both FIFOs; interrupt at the first byte */
#define LCR_DLAB  0x80
#define MCR_SETUP 0x0b /* DTR, RTS, OUT2 (the gate of the interrupt line) */
#define LSR_DR    0x01
#define LSR_THRE  0x20
#define FIFO_SIZE 16

/*
 * A busy emulator may leave the transmitter full for seconds: the first wait is long, so that nothing is lost there; a
 * line found stuck is given little until it moves again, so that a dead one cannot stop the machine.
 */
#define DRAIN_SPINS       5000000u
#define DRAIN_SPINS_STUCK 5000u
#define RX_BATCH          64u /* characters per interrupt */
#define POLL_PERIOD       MILLISECS(20)

struct uart {
    uint16_t base;
    uint8_t irq;
    uint8_t lcr;
    unsigned int baud, clock; /* baud 0: leave as it is */
    bool configured, present, stuck;
    unsigned int room; /* free bytes of the FIFO */
    struct timer poll;
};

static struct uart uarts[2] = {
    {.base = 0x3f8, .irq = 4, .lcr = 3, .baud = 115200, .clock = 1843200},
    {.base = 0x2f8, .irq = 3, .lcr = 3, .baud = 115200, .clock = 1843200},
};

/* ---- command line ---- */

/* Data bits, parity, stop bits: "8n1". */
static bool parse_dps(const char **s, struct uart *u)
{
    static const char parities[] = "noems";
    static const uint8_t parity_bits[] = {0x00, 0x08, 0x18, 0x28, 0x38};
    const char *p = *s, *parity;

    if (p[0] < '5' || p[0] > '8' || p[1] == '\0' || (parity = strchr(parities, p[1])) == NULL ||
        (p[2] != '1' && p[2] != '2'))
        return false;
    u->lcr = (uint8_t)((p[0] - '5') | (p[2] == '2' ? 4 : 0) | parity_bits[parity - parities]);
    *s += 3;
    return true;
}

static bool parse_baud(const char **s, struct uart *u)
{
    if (strncmp(*s, "auto", 4) == 0) {
        u->baud = 0;
        *s += 4;
    } else {
        u->baud = (unsigned int)strtoull_hv(*s, s, 0);
        if (u->baud == 0)
            return false;
    }
    if (**s == '/') {
        ++*s;
        u->clock = (unsigned int)strtoull_hv(*s, s, 0) << 4;
    }
    return u->clock >= 16;
}

static int parse_uart(const char *s, struct uart *u)
{
    u->configured = true;
    if (*s != '\0' && *s != ',' && !parse_baud(&s, u))
        return -EINVAL;
    if (*s == ',' && *++s != '\0' && *s != ',' && !parse_dps(&s, u))
        return -EINVAL;
    if (*s == ',' && *++s != '\0' && *s != ',') {
        u->base = (uint16_t)strtoull_hv(s, &s, 0);
        if (u->base == 0)
            return -EINVAL;
    }
    if (*s == ',' && *++s != '\0')
        u->irq = (uint8_t)strtoull_hv(s, &s, 10);
    return *s == '\0' ? 0 : -EINVAL;
}

static int parse_com1(const char *s)
{
    return parse_uart(s, &uarts[0]);
}
CMDLINE_CUSTOM("com1", parse_com1);

static int parse_com2(const char *s)
{
    return parse_uart(s, &uarts[1]);
}
CMDLINE_CUSTOM("com2", parse_com2);

bool serial_configured(unsigned int line)
{
    return uarts[line].configured;
}

bool console_serial_ports(unsigned int i, unsigned int *first, unsigned int *last)
{
    for (unsigned int n = 0; n < ARRAY_SIZE(uarts); n++) {
        if (!uarts[n].present || i--)
            continue;
        *first = uarts[n].base;
        *last = uarts[n].base + 7u;
        return true;
    }
    return false;
}

/* ---- device ---- */

static uint8_t uart_in(const struct uart *u, unsigned int reg)
{
    return inb((uint16_t)(u->base + reg));
}

static void uart_out(const struct uart *u, unsigned int reg, uint8_t v)
{
    outb((uint16_t)(u->base + reg), v);
}

static bool uart_probe(const struct uart *u)
{
    uart_out(u, UART_SCR, 0x5a);
    if (uart_in(u, UART_SCR) != 0x5a)
        return false;
    uart_out(u, UART_SCR, 0xa5);
    return uart_in(u, UART_SCR) == 0xa5;
}

static void uart_init(struct uart *u)
{
    u->present = uart_probe(u);
    if (!u->present)
        return;
    uart_out(u, UART_IER, 0);
    if (u->baud) {
        unsigned int divisor = MAX(u->clock / 16 / u->baud, 1u);

        uart_out(u, UART_LCR, u->lcr | LCR_DLAB);
        uart_out(u, 0, (uint8_t)divisor);
        uart_out(u, 1, (uint8_t)(divisor >> 8));
    }
    uart_out(u, UART_LCR, u->lcr);
    uart_out(u, UART_FCR, FCR_SETUP);
    uart_out(u, UART_MCR, MCR_SETUP);
    u->room = 0;
}

void serial_init(bool com1_wanted, bool com2_wanted)
{
    if (com1_wanted)
        uart_init(&uarts[0]);
    if (com2_wanted)
        uart_init(&uarts[1]);
}

/* Waits for an empty transmitter. False: the line is stuck. */
static bool uart_ready(struct uart *u)
{
    unsigned int spins = u->stuck ? DRAIN_SPINS_STUCK : DRAIN_SPINS;

    while (spins--) {
        if (uart_in(u, UART_LSR) & LSR_THRE) {
            u->stuck = false;
            u->room = FIFO_SIZE;
            return true;
        }
        cpu_relax();
    }
    u->stuck = true;
    return false;
}

static void uart_putc(struct uart *u, char c)
{
    if (u->room == 0 && !uart_ready(u))
        return;
    u->room--;
    uart_out(u, UART_DATA, (uint8_t)c);
}

void serial_write(const char *s, size_t n)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(uarts); i++) {
        if (!uarts[i].present)
            continue;
        for (size_t k = 0; k < n; k++) {
            if (s[k] == '\n')
                uart_putc(&uarts[i], '\r');
            uart_putc(&uarts[i], s[k]);
        }
    }
}

/* ---- input ---- */

static void uart_receive(void *data)
{
    const struct uart *u = data;

    for (unsigned int i = 0; i < RX_BATCH && (uart_in(u, UART_LSR) & LSR_DR); i++)
        console_rx((char)uart_in(u, UART_DATA));
}

static void uart_poll(void *data)
{
    struct uart *u = data;

    uart_receive(u);
    timer_set(&u->poll, system_time() + POLL_PERIOD);
}

static void uart_init_irq(struct uart *u)
{
    unsigned int gsi = u->irq;

    for (unsigned int i = 0; i < acpi_info.override_count; i++)
        if (acpi_info.override[i].source == u->irq)
            gsi = acpi_info.override[i].gsi;
    if (u->irq == 0 || irq_request_internal(gsi, uart_receive, u) != 0) {
        printk(XLOG_INFO "serial line at %#x: input is polled\n", u->base);
        timer_init(&u->poll, uart_poll, u, 0);
        timer_set(&u->poll, system_time() + POLL_PERIOD);
        return;
    }
    uart_out(u, UART_IER, IER_RX);
    uart_receive(u);
}

void serial_init_irq(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(uarts); i++)
        if (uarts[i].present)
            uart_init_irq(&uarts[i]);
}
