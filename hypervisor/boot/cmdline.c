/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: words separated by blanks, each NAME, NAME=VALUE, or no-NAME for a switch. The names are declared
 * where they are used (CMDLINE_PARAM) and collected by the linker. Parsed once, before anything that looks at them;
 * therefore a CMDLINE_CUSTOM function may only remember what it read. A word nobody declared, or a value nobody
 * understands, is warned about and otherwise ignored: a typing error must not keep a machine from booting.
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
        *(bool *)p->var = b != negated;
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

void cmdline_parse(const char *line)
{
    char word[256];
    size_t n;

    while (*line) {
        while (*line == ' ' || *line == '\t')
            line++;
        for (n = 0; line[n] && line[n] != ' ' && line[n] != '\t'; n++)
            ;
        if (n == 0)
            break;
        strlcpy(word, line, MIN(n + 1, sizeof(word)));
        parse_word(word);
        line += n;
    }
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
