/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys and values of devices (see device_spec.h). The rules of xl's strings:
 *
 *   disk   [KEY=VALUE | FLAG | POSITIONAL],...  in which what is neither goes to target, format, vdev and access, in
 *          this order, as far as they are not given yet; target=... takes all of the rest, commas too
 *   vif    [KEY=VALUE | FLAG],...
 *
 * Blanks before a part do not count, an empty value is none, nothing may be given twice.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/device_spec.h"

#define TEXT_MAX  255 /* bytes of a value */
#define IFNAME    15
#define OUI       "00:16:3e"
#define RATE_USEC 50000 /* interval of a rate that names none */

/* In the order of enum ctl_disk_format. */
static const struct spec_word formats[] = {{"raw", false}, {"qcow", false}, {"qcow2", false},
                                           {"vhd", false}, {"qed", false},  {0}};
static const struct spec_word accesses[] = {{"rw", false}, {"w", false}, {"ro", false}, {"r", false}, {0}};
static const struct spec_word devtypes[] = {{"disk", false}, {"cdrom", true}, {0}};
static const struct spec_word backendtypes[] = {
    {"phy", false}, {"qdisk", false}, {"tap", true}, {"standalone", true}, {0}};
static const struct spec_word backends[] = {{"0", false}, {"Domain-0", false}, {0}};
static const struct spec_word types[] = {{"vif", false}, {"ioemu", true}, {0}};

static const struct spec_key disk_keys[] = {
    {.name = "target", .kind = SPEC_TEXT, .required = true},
    {.name = "format", .kind = SPEC_WORD, .words = formats},
    {.name = "vdev", .kind = SPEC_VDEV, .required = true},
    {.name = "access", .kind = SPEC_WORD, .words = accesses},
    {.name = "devtype", .kind = SPEC_WORD, .words = devtypes},
    {.name = "backend", .kind = SPEC_WORD, .words = backends},
    {.name = "backendtype", .kind = SPEC_WORD, .words = backendtypes},
    {.name = "script", .kind = SPEC_TEXT},
    {.name = "direct-io-safe", .kind = SPEC_FLAG},
    {.name = "discard", .kind = SPEC_FLAG},
    {.name = "trusted", .kind = SPEC_FLAG},
    {0},
};

static const struct spec_key vif_keys[] = {
    {.name = "mac", .kind = SPEC_MAC},
    {.name = "bridge", .kind = SPEC_INTERFACE},
    {.name = "gatewaydev", .kind = SPEC_INTERFACE},
    {.name = "type", .kind = SPEC_WORD, .words = types},
    {.name = "vifname", .kind = SPEC_INTERFACE},
    {.name = "script", .kind = SPEC_TEXT},
    {.name = "ip", .kind = SPEC_TEXT},
    {.name = "backend", .kind = SPEC_WORD, .words = backends},
    {.name = "rate", .kind = SPEC_RATE},
    {.name = "devid", .kind = SPEC_NUMBER, .min = 0, .max = 255},
    {.name = "mtu", .kind = SPEC_NUMBER, .min = 68, .max = 65535},
    {.name = "trusted", .kind = SPEC_FLAG},
    {0},
};

_Static_assert(sizeof(vif_keys) / sizeof(vif_keys[0]) - 1 <= SPEC_KEYS, "a spec has room for every key");

static const char *const disk_later[] = {"specification", "transport",   "colo",        "colo-host", "colo-port",
                                         "colo-export",   "hidden-disk", "active-disk", NULL};
static const char *const vif_later[] = {"model", "accel", "forwarddev", NULL};

const struct spec_table disk_table = {"disk", disk_keys, disk_later};
const struct spec_table vif_table = {"vif", vif_keys, vif_later};

static bool fail(struct spec_fault *fault, const char *code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static bool fail(struct spec_fault *fault, const char *code, const char *hint, const char *fmt, ...)
{
    va_list args;

    fault->code = code;
    fault->hint = hint;
    va_start(args, fmt);
    vsnprintf(fault->message, sizeof(fault->message), fmt, args);
    va_end(args);
    return false;
}

int spec_key_find(const struct spec_table *t, const char *name)
{
    for (int i = 0; t->keys[i].name; i++) {
        if (strcmp(t->keys[i].name, name) == 0)
            return i;
    }
    return -1;
}

const char *spec_get(const struct spec_table *t, const struct spec *s, const char *name)
{
    int i = spec_key_find(t, name);

    return i < 0 ? NULL : s->value[i];
}

/* --- values ---------------------------------------------------------------------------------------------------------
 */

static bool check_word(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    char list[100] = "";
    size_t n = 0;

    for (const struct spec_word *w = k->words; w->word; w++) {
        if (strcmp(w->word, value) != 0) {
            if (!w->later)
                n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", w->word);
            continue;
        }
        if (!w->later)
            return true;
        return fail(fault, "E_UNSUPPORTED", NULL, "%s: \"%s\" is not supported yet", k->name, value);
    }
    return fail(fault, "E_ENUM", NULL, "%s: \"%.60s\" is not one of %s", k->name, value, list);
}

static bool check_number(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    size_t n = strspn(value, "0123456789");

    if (value[n] || n == 0)
        return fail(fault, "E_VALUE", NULL, "%s: \"%.60s\" is not a whole number", k->name, value);
    if (n > 9 || atol(value) < k->min || atol(value) > k->max)
        return fail(fault, "E_RANGE", NULL, "%s: %.60s is out of range: %d to %d", k->name, value, (int)k->min,
                    (int)k->max);
    return true;
}

static bool check_vdev(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    static const char hint[] = "write it as xvda to xvdz, or xvda1 for a partition; hda and sda are possible, too";
    uint32_t devid;

    if (ctl_disk_number(value, &devid) == 0)
        return true;
    return fail(fault, "E_VALUE", hint, "%s: \"%.60s\" is not the name of a virtual disk", k->name, value);
}

static bool check_interface(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

    if (strlen(value) <= IFNAME && value[strspn(value, legal)] == '\0' && *value != '.' && *value != '-')
        return true;
    return fail(fault, "E_VALUE", NULL, "%s: \"%.60s\" is not the name of a network interface", k->name, value);
}

/* Bytes of an address that one station alone can have. */
static bool parse_mac(const char *text, uint8_t mac[6])
{
    unsigned b[6];
    char end;

    if (strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17 ||
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)b[i];
    return !(mac[0] & 1);
}

static bool check_mac(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    static const uint8_t none[6];
    uint8_t mac[6];

    if (parse_mac(value, mac) && memcmp(mac, none, sizeof(mac)) != 0)
        return true;
    return fail(fault, "E_VALUE", "write it as in " OUI ":12:34:56; the first byte is even",
                "%s: \"%.60s\" is no address of one station", k->name, value);
}

/* The factor that a unit of bytes or bits stands for, as eighths of a byte; moves *s past it. 0: none. */
static uint64_t rate_unit(const char **s)
{
    static const char units[] = "KMG";
    const char *u = **s ? strchr(units, **s) : NULL;
    uint64_t factor = 1;

    if (u) {
        for (const char *i = units; i <= u; i++)
            factor *= 1000;
        ++*s;
    }
    if (**s != 'B' && **s != 'b')
        return 0;
    return *(*s)++ == 'B' ? factor * 8 : factor;
}

/* "50ms": in microseconds; 0 if it is no interval. */
static uint64_t parse_interval(const char *s)
{
    size_t digits = strspn(s, "0123456789");
    uint64_t n = digits && digits < 8 ? strtoull(s, NULL, 10) : 0;

    s += digits;
    if (strcmp(s, "us") == 0)
        return n;
    if (strcmp(s, "ms") == 0)
        return n * 1000;
    return strcmp(s, "s") == 0 ? n * 1000000 : 0;
}

/* "10Mb/s@20ms": bytes in each interval of so many microseconds. */
static bool parse_rate(const char *text, uint64_t *bytes, uint32_t *usecs)
{
    size_t digits = strspn(text, "0123456789");
    const char *s = text + digits;
    uint64_t n = digits && digits < 8 ? strtoull(text, NULL, 10) : 0, unit = rate_unit(&s), interval = RATE_USEC;

    if (!n || !unit || strncmp(s, "/s", 2) != 0)
        return false;
    s += 2;
    if (*s == '@')
        interval = parse_interval(s + 1);
    else if (*s)
        return false;
    if (!interval || interval > UINT32_MAX)
        return false;
    *bytes = (uint64_t)((unsigned __int128)n * unit * interval / 8 / 1000000);
    *usecs = (uint32_t)interval;
    return *bytes > 0 && *bytes <= UINT32_MAX;
}

static bool check_rate(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    uint64_t bytes;
    uint32_t usecs;

    if (parse_rate(value, &bytes, &usecs))
        return true;
    return fail(fault, "E_VALUE", "write it as in 10Mb/s, 250KB/s or 1MB/s@20ms", "%s: \"%.60s\" is not a rate",
                k->name, value);
}

static bool check_value(const struct spec_key *k, const char *value, struct spec_fault *fault)
{
    if (strlen(value) > TEXT_MAX)
        return fail(fault, "E_VALUE", NULL, "%s: it is longer than %d bytes", k->name, TEXT_MAX);
    if (json_utf8_check(value, strlen(value)) != strlen(value))
        return fail(fault, "E_VALUE", NULL, "%s: it is not UTF-8", k->name);
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            return fail(fault, "E_VALUE", NULL, "%s: it contains a control character", k->name);
    }
    switch (k->kind) {
    case SPEC_TEXT:
        return true;
    case SPEC_WORD:
        return check_word(k, value, fault);
    case SPEC_FLAG:
        if (strcmp(value, "0") == 0 || strcmp(value, "1") == 0)
            return true;
        return fail(fault, "E_VALUE", NULL, "%s: \"%.60s\" is neither 0 nor 1", k->name, value);
    case SPEC_NUMBER:
        return check_number(k, value, fault);
    case SPEC_VDEV:
        return check_vdev(k, value, fault);
    case SPEC_INTERFACE:
        return check_interface(k, value, fault);
    case SPEC_MAC:
        return check_mac(k, value, fault);
    case SPEC_RATE:
        return check_rate(k, value, fault);
    }
    return false;
}

bool spec_unknown(const struct spec_table *t, const char *name, struct spec_fault *fault)
{
    for (size_t i = 0; t->later[i]; i++) {
        if (strcmp(t->later[i], name) == 0)
            return fail(fault, "E_UNSUPPORTED", NULL, "%s: this key of xl's is not supported yet", name);
    }
    return fail(fault, "E_UNKNOWN", NULL, "%.60s: unknown key of a %s", name, t->what);
}

bool spec_set(const struct spec_table *t, struct spec *s, const char *name, const char *value, struct spec_fault *fault)
{
    int i = spec_key_find(t, t == &vif_table && strcmp(name, "netdev") == 0 ? "gatewaydev" : name);

    if (i < 0)
        return spec_unknown(t, name, fault);
    if (s->value[i])
        return fail(fault, "E_DUPLICATE", NULL, "%s: it is given twice", t->keys[i].name);
    if (!*value)
        return true;
    if (!check_value(&t->keys[i], value, fault))
        return false;
    s->value[i] = strdup(value);
    return s->value[i] || fail(fault, "E_MEMORY", NULL, "out of memory");
}

/* --- xl's strings ---------------------------------------------------------------------------------------------------
 */

struct parse {
    const struct spec_table *t;
    struct spec *s;
    struct spec_fault *fault;
    unsigned seen; /* a bit for each key, also of those that were given empty */
};

static bool set(struct parse *p, const char *name, const char *value)
{
    int i = spec_key_find(p->t, name);

    if (i >= 0)
        p->seen |= 1u << i;
    return spec_set(p->t, p->s, name, value, p->fault);
}

/* KEY=VALUE, in which KEY has only letters, digits, - and _. */
static bool split(char *part, char **value)
{
    size_t n = strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    if (n == 0 || part[n] != '=')
        return false;
    part[n] = '\0';
    *value = part + n + 1;
    return true;
}

/* A word that stands for a key with a value. */
static const char *const flags[][3] = {
    {"cdrom", "devtype", "cdrom"},  {"discard", "discard", "1"},
    {"no-discard", "discard", "0"}, {"direct-io-safe", "direct-io-safe", "1"},
    {"trusted", "trusted", "1"},    {"untrusted", "trusted", "0"},
};

static const char *const *flag_find(const struct spec_table *t, const char *word)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(flags[i][0], word) == 0 && spec_key_find(t, flags[i][1]) >= 0)
            return flags[i];
    }
    return NULL;
}

static bool is_format(const char *word)
{
    bool found = false;

    for (const struct spec_word *w = formats; w->word; w++)
        found |= strcmp(w->word, word) == 0;
    return found;
}

/* "phy:" and its like before a target: deprecated by xl, and still found. Moves *target past them. */
static bool old_prefix(struct parse *p, char **target)
{
    size_t n = strspn(*target, "abcdefghijklmnopqrstuvwxyz0123456789");
    const char *prefix = *target;
    bool raw;

    if (n == 0 || prefix[n] != ':')
        return true;
    (*target)[n] = '\0';
    raw = strcmp(prefix, "phy") == 0 || strcmp(prefix, "file") == 0;
    if (!raw && !is_format(prefix))
        return fail(p->fault, "E_UNSUPPORTED",
                    "raw disks need no prefix; scripts are named by script=", "target: \"%.60s:\" is not supported",
                    prefix);
    *target += n + 1;
    return set(p, "format", raw ? "raw" : prefix);
}

/* "xvda:cdrom" */
static bool old_suffix(struct parse *p, char *vdev)
{
    char *colon = strchr(vdev, ':');

    if (!colon)
        return true;
    *colon = '\0';
    return set(p, "devtype", colon + 1);
}

static bool positional(struct parse *p, char *part)
{
    enum { TARGET, FORMAT, VDEV, ACCESS, POSITIONS }; /* of disk_keys */

    for (int i = 0; i < POSITIONS; i++) {
        if (p->seen >> i & 1)
            continue;
        if ((i == TARGET && !old_prefix(p, &part)) || (i == VDEV && !old_suffix(p, part)))
            return false;
        return set(p, disk_keys[i].name, part);
    }
    return !*part || fail(p->fault, "E_SYNTAX", NULL,
                          "\"%.60s\": there are already a target, a format, a vdev and an access", part);
}

static bool parse_part(struct parse *p, char *part)
{
    const char *const *flag = flag_find(p->t, part);
    char *value;

    if (flag)
        return set(p, flag[1], flag[2]);
    if (p->t == &disk_table && (strcmp(part, "colo") == 0 || strcmp(part, "no-colo") == 0))
        return spec_unknown(p->t, "colo", p->fault);
    if (split(part, &value))
        return set(p, part, value);
    if (p->t == &disk_table)
        return positional(p, part);
    return !*part || fail(p->fault, "E_SYNTAX", NULL, "\"%.60s\" is not of the form key=value", part);
}

static bool parse_all(struct parse *p, char *text)
{
    char *next = text;

    while (next) {
        char *part = next + strspn(next, " \t");

        if (p->t == &disk_table && strncmp(part, "target=", 7) == 0)
            return set(p, "target", part + 7);
        next = strchr(part, ',');
        if (next)
            *next++ = '\0';
        if (!parse_part(p, part))
            return false;
    }
    return true;
}

bool spec_parse_texts(const struct spec_table *t, char *const *texts, int n, struct spec *s, struct spec_fault *fault)
{
    struct parse p = {.t = t, .s = s, .fault = fault};
    bool ok = true;

    for (int i = 0; i < n && ok; i++) {
        char *copy = strdup(texts[i]);

        ok = copy ? parse_all(&p, copy) : fail(fault, "E_MEMORY", NULL, "out of memory");
        free(copy);
    }
    return ok;
}

bool spec_parse(const struct spec_table *t, const char *text, struct spec *s, struct spec_fault *fault)
{
    char *const texts[] = {(char *)text};

    return spec_parse_texts(t, texts, 1, s, fault);
}

/* --- the whole ------------------------------------------------------------------------------------------------------
 */

/* A disk's path is one of /dev unless it begins with a slash; with a script it is what that makes of it. */
static bool make_absolute(struct spec *s, struct spec_fault *fault)
{
    char **target = &s->value[0], *longer;

    if (**target == '/' || spec_get(&disk_table, s, "script"))
        return true;
    if (asprintf(&longer, "/dev/%s", *target) < 0)
        return fail(fault, "E_MEMORY", NULL, "out of memory");
    free(*target);
    *target = longer;
    return check_value(&disk_keys[0], longer, fault);
}

/* The number of a format; raw if none is given. */
static enum ctl_disk_format format_of(const struct spec *s)
{
    const char *format = spec_get(&disk_table, s, "format");
    int found = CTL_RAW;

    for (int i = 0; format && formats[i].word; i++)
        found = strcmp(formats[i].word, format) == 0 ? i : found;
    return (enum ctl_disk_format)found;
}

/* Who serves it: qemu, if that is said, or if the kernel cannot. */
static bool by_qemu(const struct spec *s)
{
    const char *type = spec_get(&disk_table, s, "backendtype");

    return format_of(s) != CTL_RAW || (type && strcmp(type, "qdisk") == 0);
}

/* Do format, back end and script go together? */
static bool check_back_end(const struct spec *s, struct spec_fault *fault)
{
    const char *type = spec_get(&disk_table, s, "backendtype");

    if (format_of(s) != CTL_RAW && type && strcmp(type, "phy") == 0)
        return fail(fault, "E_VALUE", "leave it out, or write qdisk", "backendtype: phy has disks of format raw only");
    if (by_qemu(s) && spec_get(&disk_table, s, "script"))
        return fail(fault, "E_VALUE", "scripts connect raw disks that phy serves",
                    "script: qemu, which serves this disk, has no use for one");
    return true;
}

bool spec_complete(const struct spec_table *t, struct spec *s, struct spec_fault *fault)
{
    for (int i = 0; t->keys[i].name; i++) {
        if (t->keys[i].required && !s->value[i])
            return fail(fault, "E_MISSING", NULL, "%s: it is missing", t->keys[i].name);
    }
    return t != &disk_table || (check_back_end(s, fault) && make_absolute(s, fault));
}

int spec_copy(struct spec *to, const struct spec *from)
{
    int rc = 0;

    *to = (struct spec){0};
    for (size_t i = 0; i < SPEC_KEYS; i++) {
        to->value[i] = from->value[i] ? strdup(from->value[i]) : NULL;
        if (from->value[i] && !to->value[i])
            rc = -ENOMEM;
    }
    return rc;
}

void spec_free(struct spec *s)
{
    for (size_t i = 0; i < SPEC_KEYS; i++)
        free(s->value[i]);
    memset(s, 0, sizeof(*s));
}

static bool flag(const struct spec_table *t, const struct spec *s, const char *name, bool otherwise)
{
    const char *value = spec_get(t, s, name);

    return value ? *value == '1' : otherwise;
}

struct ctl_disk spec_disk(const struct spec *s)
{
    const char *access = spec_get(&disk_table, s, "access");

    return (struct ctl_disk){
        .vdev = spec_get(&disk_table, s, "vdev"),
        .target = spec_get(&disk_table, s, "target"),
        .script = spec_get(&disk_table, s, "script"),
        .format = format_of(s),
        .qemu = by_qemu(s),
        .readonly = access && (strcmp(access, "r") == 0 || strcmp(access, "ro") == 0),
        .no_discard = !flag(&disk_table, s, "discard", true),
        .direct_io_safe = flag(&disk_table, s, "direct-io-safe", false),
        .untrusted = !flag(&disk_table, s, "trusted", true),
    };
}

struct ctl_vif spec_vif(const struct spec *s)
{
    const char *bridge = spec_get(&vif_table, s, "bridge"), *rate = spec_get(&vif_table, s, "rate");
    const char *devid = spec_get(&vif_table, s, "devid"), *mtu = spec_get(&vif_table, s, "mtu");
    struct ctl_vif vif = {
        .devid = devid ? (uint32_t)atol(devid) : 0,
        .bridge = bridge ? bridge : SPEC_BRIDGE,
        .gatewaydev = spec_get(&vif_table, s, "gatewaydev"),
        .ip = spec_get(&vif_table, s, "ip"),
        .vifname = spec_get(&vif_table, s, "vifname"),
        .script = spec_get(&vif_table, s, "script"),
        .mtu = mtu ? (uint32_t)atol(mtu) : 0,
        .untrusted = !flag(&vif_table, s, "trusted", true),
    };

    if (spec_get(&vif_table, s, "mac"))
        parse_mac(spec_get(&vif_table, s, "mac"), vif.mac);
    if (rate)
        parse_rate(rate, &vif.rate_bytes, &vif.rate_usecs);
    return vif;
}

int spec_vif_fill(struct spec *s, uint32_t devid)
{
    char **number = &s->value[spec_key_find(&vif_table, "devid")], **mac = &s->value[spec_key_find(&vif_table, "mac")];
    uint8_t random[3];

    if (!*number && asprintf(number, "%u", devid) < 0)
        return -ENOMEM;
    if (*mac)
        return 0;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return -EIO;
    random[0] &= 0x7f;
    if (asprintf(mac, OUI ":%02x:%02x:%02x", random[0], random[1], random[2]) < 0)
        return -ENOMEM;
    return 0;
}
