/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printk: levels, thresholds, rate limits, the "(XEN) " prefix.
 *
 * Works in any context: under any lock, in an NMI that broke into printk itself, in a panic. A message is formatted
 * once and shortened to the size of its buffer. Messages that a guest can cause are rate limited, so that a guest can
 * neither flood the log nor keep the CPUs busy with the serial line.
 *
 * loglvl= and guest_loglvl= take "LEVEL" or "LOWER/UPPER" with LEVEL one of none, error, warning, info, debug, all:
 * messages up to LOWER are printed, those up to UPPER with a rate limit.
 */
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/timer.h>
#include "console_private.h"

struct threshold {
    unsigned int lower, upper; /* number of levels shown always, and with rate limit */
};
static struct threshold hv_threshold = {3, 3};
static struct threshold guest_threshold = {0, 2};

#define DEFAULT_LEVEL 1 /* warning */
#define LIMIT_BURST   10
#define LIMIT_REFILL  MILLISECS(500) /* one more message per half second: ten in five */

/* Guarded by the output lock. */
static struct {
    s_time_t last;
    unsigned int tokens, missed;
} limit = {0, LIMIT_BURST, 0};
static char line_buf[1024];
static bool mid_line;

static const struct {
    const char *name;
    unsigned int shown;
} level_names[] = {{"none", 0}, {"error", 1}, {"warning", 2}, {"info", 3}, {"debug", 4}, {"all", 4}};

/* One level name at *s, ended by '/' or the end of the string. */
static bool parse_level(const char **s, unsigned int *shown)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(level_names); i++) {
        size_t n = strlen(level_names[i].name);

        if (strncmp(*s, level_names[i].name, n) != 0 || ((*s)[n] != '\0' && (*s)[n] != '/'))
            continue;
        *shown = level_names[i].shown;
        *s += n;
        return true;
    }
    return false;
}

/* At boot, and later while others print. */
static int parse_threshold(const char *s, struct threshold *t)
{
    struct threshold got;
    struct output_lock l;

    if (!parse_level(&s, &got.lower))
        return -EINVAL;
    got.upper = got.lower;
    if (*s == '/') {
        s++;
        if (!parse_level(&s, &got.upper))
            return -EINVAL;
    }
    if (*s != '\0')
        return -EINVAL;
    got.upper = MAX(got.upper, got.lower);
    l = output_lock();
    *t = got;
    output_unlock(l);
    return 0;
}

static const char *level_name(unsigned int shown)
{
    unsigned int i = 0;

    while (level_names[i].shown != shown)
        i++;
    return level_names[i].name;
}

static void show_threshold(const struct threshold *t, char *text, size_t size)
{
    struct output_lock l = output_lock();
    struct threshold now = *t;

    output_unlock(l);
    snprintf(text, size, "%s/%s", level_name(now.lower), level_name(now.upper));
}

static int parse_loglvl(const char *s)
{
    return parse_threshold(s, &hv_threshold);
}

static void show_loglvl(char *text, size_t size)
{
    show_threshold(&hv_threshold, text, size);
}
CMDLINE_RUNTIME_CUSTOM("loglvl", parse_loglvl, show_loglvl);

static int parse_guest_loglvl(const char *s)
{
    return parse_threshold(s, &guest_threshold);
}

static void show_guest_loglvl(char *text, size_t size)
{
    show_threshold(&guest_threshold, text, size);
}
CMDLINE_RUNTIME_CUSTOM("guest_loglvl", parse_guest_loglvl, show_guest_loglvl);

/* Text to the devices, with the prefix at each beginning of a line. */
static void put_lines(const char *s, size_t n)
{
    while (n) {
        const char *nl = s;

        while (nl < s + n && *nl != '\n')
            nl++;
        size_t len = (size_t)(nl - s) + (nl < s + n);

        if (!mid_line)
            output_raw("(XEN) ", 6, true);
        output_raw(s, len, true);
        mid_line = s[len - 1] != '\n';
        s += len;
        n -= len;
    }
}

static void report_missed(void)
{
    char text[64];
    int n;

    if (!limit.missed || mid_line)
        return;
    n = snprintf(text, sizeof(text), "printk: %u messages suppressed.\n", limit.missed);
    limit.missed = 0;
    put_lines(text, (size_t)n);
}

/* A token for a rate-limited message. */
static bool limit_pass(void)
{
    s_time_t now = system_time();
    s_time_t due = (now - limit.last) / LIMIT_REFILL;

    if (due < 0)
        limit.last = now;
    if (due > 0) {
        limit.tokens = due >= LIMIT_BURST ? LIMIT_BURST : MIN(limit.tokens + (unsigned int)due, LIMIT_BURST);
        limit.last = now;
    }
    if (!limit.tokens) {
        limit.missed++;
        return false;
    }
    limit.tokens--;
    report_missed();
    return true;
}

struct message {
    unsigned int level;
    bool guest;
    const char *fmt;
};

/* Strips "<n>" and "<G>" from the format. */
static struct message message_of(const char *fmt)
{
    struct message m = {DEFAULT_LEVEL, false, fmt};

    while (m.fmt[0] == '<' && m.fmt[1] != '\0' && m.fmt[2] == '>') {
        if (m.fmt[1] == 'G')
            m.guest = true;
        else if (m.fmt[1] >= '0' && m.fmt[1] <= '3')
            m.level = (unsigned int)(m.fmt[1] - '0');
        else
            break;
        m.fmt += 3;
    }
    return m;
}

/* The text goes out when its level is within the threshold and the rate limit allows it. Output lock held. */
static bool message_passes(const struct message *m)
{
    const struct threshold *t = m->guest ? &guest_threshold : &hv_threshold;

    if (panicking || m->level < t->lower)
        return true;
    return m->level < t->upper && limit_pass();
}

static void log_message(const char *prefix, const struct message *m, va_list ap)
{
    struct output_lock l = output_lock();
    char nested[160];
    char *buf = l.taken ? line_buf : nested;
    size_t size = l.taken ? sizeof(line_buf) : sizeof(nested);
    size_t n;

    if (message_passes(m)) {
        n = strlcpy(buf, prefix, size);
        vsnprintf(buf + n, size - n, m->fmt, ap);
        n = strnlen(buf, size);
        if (n == size - 1)
            buf[n - 1] = '\n';
        put_lines(buf, n);
    }
    output_unlock(l);
}

void vprintk(const char *fmt, va_list ap)
{
    struct message m = message_of(fmt);

    log_message("", &m, ap);
}

void printk(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintk(fmt, ap);
    va_end(ap);
}

void gprintk(const char *fmt, ...)
{
    struct message m = message_of(fmt);
    const struct vcpu *v = current;
    char prefix[32] = "";
    va_list ap;

    m.guest = true;
    if (v)
        snprintf(prefix, sizeof(prefix), "d%uv%u ", v->domain->id, v->vcpu_id);
    va_start(ap, fmt);
    log_message(prefix, &m, ap);
    va_end(ap);
}
