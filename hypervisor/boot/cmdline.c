/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: words separated by blanks, each NAME, NAME=VALUE, or no-NAME for a switch. The names are declared
 * where they are used (CMDLINE_PARAM) and collected by the linker. Parsed once, before anything that looks at them;
 * therefore a CMDLINE_CUSTOM function may only remember what it read. A word nobody declared, or a value nobody
 * understands, is warned about and otherwise ignored: a typing error must not keep a machine from booting.
 *
 * Those declared by CMDLINE_RUNTIME can be set later too, by who may (hypercall/hypfs_op.c).
 */
#include <hv/boot.h>
#include <hv/lib.h>

extern const struct cmdline_param cmdline_params_start[], cmdline_params_end[];

#define MAX_COMPLAINTS 8
static struct complaint {
    char text[64];
    bool unknown; /* else: bad value */
} complaints[MAX_COMPLAINTS];
static unsigned int complaint_count;

static void complain(const char *word, bool unknown)
{
    if (complaint_count == MAX_COMPLAINTS)
        return;
    strlcpy(complaints[complaint_count].text, word, sizeof(complaints[0].text));
    complaints[complaint_count++].unknown = unknown;
}

uint64_t parse_size(const char *s, const char **end)
{
    uint64_t n = strtoull_hv(s, end, 0);

    if (*end == s)
        return 0;
    switch (**end) {
    case 'T':
    case 't':
        n <<= 10;
        __attribute__((fallthrough));
    case 'G':
    case 'g':
        n <<= 10;
        __attribute__((fallthrough));
    case 'M':
    case 'm':
        n <<= 10;
        __attribute__((fallthrough));
    case 'K':
    case 'k':
        n <<= 10;
        __attribute__((fallthrough));
    case 'B':
    case 'b':
        (*end)++;
    }
    return n;
}

/* 1, 0, or -EINVAL. */
static int parse_bool(const char *s)
{
    static const char *const yes[] = {"yes", "on", "true", "enable", "1"};
    static const char *const no[] = {"no", "off", "false", "disable", "0"};
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcmp(s, yes[i]))
            return 1;
        if (!strcmp(s, no[i]))
            return 0;
    }
    return -EINVAL;
}

/* value: NULL for a bare word. negated: it was written no-NAME. 0 or -EINVAL. */
static int set_param(const struct cmdline_param *p, const char *value, bool negated)
{
    const char *end = "";
    uint64_t n;
    int b;

    if (p->kind == PARAM_BOOL) {
        b = value ? parse_bool(value) : 1;
        if (b < 0)
            return b;
        WRITE_ONCE(*(bool *)p->var, b != negated);
        return 0;
    }
    if (p->kind == PARAM_CUSTOM)
        return ((int (*)(const char *))p->var)(negated ? "no" : value ? value : "");
    if (negated || !value)
        return -EINVAL;
    if (p->kind == PARAM_STRING)
        return strlcpy(p->var, value, p->len) < p->len ? 0 : -EINVAL;
    n = p->kind == PARAM_SIZE ? parse_size(value, &end) : strtoull_hv(value, &end, 0);
    if (end == value || *end || (p->kind == PARAM_UINT && n > UINT32_MAX))
        return -EINVAL;
    if (p->kind == PARAM_SIZE)
        *(uint64_t *)p->var = n;
    else
        *(unsigned int *)p->var = (unsigned int)n;
    return 0;
}

/* Hands a word to every parameter of that name; false: there is none. *result: 0 when one of them took it. */
static bool try_name(const char *name, const char *value, bool negated, int *result)
{
    const struct cmdline_param *p;
    bool found = false;

    *result = -EINVAL;
    for (p = cmdline_params_start; p < cmdline_params_end; p++) {
        if (strcmp(p->name, name) || (negated && p->kind != PARAM_BOOL && p->kind != PARAM_CUSTOM))
            continue;
        found = true;
        if (!set_param(p, value, negated))
            *result = 0;
    }
    return found;
}

static void parse_word(char *word)
{
    char *value = strchr(word, '=');
    bool found;
    int result;

    /* GRUB scripts put this word where older loaders put the file's name. */
    if (!strcmp(word, "placeholder"))
        return;
    if (value)
        *value++ = 0;
    found = try_name(word, value, false, &result);
    if (!found && !strncmp(word, "no-", 3))
        found = try_name(word + 3, value, true, &result);
    if (!found)
        complain(word, true);
    else if (result)
        complain(word, false);
}

#define WORD_SIZE 256u /* what is longer is cut */

/* The next word of the line, which is advanced past it; false: there is none. */
static bool next_word(const char **line, char word[WORD_SIZE])
{
    size_t n = 0;

    while (**line == ' ' || **line == '\t')
        (*line)++;
    while ((*line)[n] && (*line)[n] != ' ' && (*line)[n] != '\t')
        n++;
    strlcpy(word, *line, MIN(n + 1, WORD_SIZE));
    *line += n;
    return n != 0;
}

void cmdline_parse(const char *line)
{
    char word[WORD_SIZE];

    while (next_word(&line, word))
        parse_word(word);
}

/* Is p a function for values that a variable of the same name does not take? */
static bool is_beside(const struct cmdline_param *p)
{
    const struct cmdline_param *q;

    for (q = cmdline_params_start; p->kind == PARAM_CUSTOM && q < cmdline_params_end; q++)
        if (q->kind != PARAM_CUSTOM && !strcmp(q->name, p->name))
            return true;
    return false;
}

const struct cmdline_param *cmdline_next(const struct cmdline_param *p)
{
    for (p = p ? p + 1 : cmdline_params_start; p < cmdline_params_end; p++)
        if (!is_beside(p))
            return p;
    return NULL;
}

/* The last one counts, as when it was parsed. */
static void text_given(const char *name, char *text, size_t size)
{
    const char *line = boot_info.cmdline;
    char word[WORD_SIZE];
    size_t n = strlen(name);

    text[0] = '\0';
    while (next_word(&line, word))
        if (!strncmp(word, name, n) && word[n] == '=')
            strlcpy(text, word + n + 1, size);
}

void cmdline_text(const struct cmdline_param *p, char *text, size_t size)
{
    if (p->show)
        p->show(text, size);
    else if (p->kind == PARAM_STRING)
        strlcpy(text, p->var, size);
    else
        text_given(p->name, text, size);
}

int cmdline_set(const struct cmdline_param *p, const char *value)
{
    return p->runtime ? set_param(p, value, false) : -EACCES;
}

void cmdline_report(void)
{
    unsigned int i;

    for (i = 0; i < complaint_count; i++) {
        if (complaints[i].unknown)
            printk(XLOG_WARNING "parameter \"%s\" unknown!\n", complaints[i].text);
        else
            printk(XLOG_WARNING "parameter \"%s\" has an invalid value, ignored\n", complaints[i].text);
    }
}
