/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a configuration: the file and the overrides into trees, and each key's value into its field, by the table.
 * Every fault is reported and the rest goes on; nothing here looks at more than one key at a time (config_check.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/xlcfg.h"

struct setting {
    struct config *c;
    struct diags *d;
    const struct source *src;
    const struct config_key *key;
    const struct json_value *v;
};

static void *field(const struct setting *s)
{
    return (char *)s->c + s->key->offset;
}

/* The value as written, cut to what fits a message. */
static const char *shown(const struct setting *s, char buf[48])
{
    const char *text = s->src->text + s->src->base + s->v->span.off;
    size_t len = s->v->span.len, n = len < 40 ? len : 40;

    while (n < len && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    snprintf(buf, 48, "%.*s%s", (int)n, text, n < len ? "..." : "");
    return buf;
}

/* `what` follows the value in the message. */
static void bad_value(const struct setting *s, const char *code, const char *hint, const char *what)
{
    struct diag_at at = {.code = code, .src = s->src, .span = &s->v->span, .value = s->v, .hint = hint};
    char buf[48];

    if (!s->v->parent)
        at.key = s->key->name; /* an override has no object around it */
    diag_add(s->d, &at, "%s %s", shown(s, buf), what);
}

static bool wrong_type(const struct setting *s, const char *wanted)
{
    struct diag_at at = {.code = "E_TYPE", .src = s->src, .span = &s->v->span, .value = s->v};

    if (!s->v->parent)
        at.key = s->key->name;
    diag_add(s->d, &at, "must be %s, not %s", wanted, json_type_name(s->v->type));
    return false;
}

/* --- one function a kind: checks, sets the field, tells whether it did ----------------------------------------------
 */

static bool set_text(const struct setting *s, const char *text)
{
    char **to = field(s);

    free(*to);
    *to = strdup(text);
    if (!*to)
        s->d->out_of_memory = true;
    return *to != NULL;
}

static bool set_string(const struct setting *s)
{
    if (s->v->type != JSON_STRING)
        return wrong_type(s, "a string");
    if (strlen(s->v->text) != s->v->text_len) {
        bad_value(s, "E_VALUE", NULL, "contains a NUL character");
        return false;
    }
    return set_text(s, s->v->text);
}

static bool set_path(const struct setting *s)
{
    if (!set_string(s))
        return false;
    if (s->v->text_len)
        return true;
    bad_value(s, "E_VALUE", NULL, "is not the name of a file");
    return false;
}

const char *config_name_fault(const char *name)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-";

    if (!*name)
        return "is empty";
    if (strlen(name) >= CTL_NAME_MAX)
        return "is longer than 63 characters";
    if (name[strspn(name, legal)] || strchr(".+-", name[0]))
        return "is not a legal name: letters, digits and _ . + - only, the first a letter, a digit or _";
    if (strspn(name, "0123456789") == strlen(name))
        return "is not a legal name: digits alone are read as a domain's number";
    return strcmp(name, "Domain-0") == 0 ? "is the control domain's name" : NULL;
}

static bool set_name(const struct setting *s)
{
    const char *fault;

    if (!set_string(s))
        return false;
    fault = config_name_fault(s->v->text);
    if (fault)
        bad_value(s, "E_NAME", NULL, fault);
    return fault == NULL;
}

static bool set_cpus(const struct setting *s)
{
    uint8_t map[CONFIG_MAX_CPUS / 8];

    if (!set_string(s))
        return false;
    if (config_cpu_map(s->v->text, map) == 0)
        return true;
    bad_value(s, "E_VALUE", "write it as in \"0-3,6,^2\" or \"all\"", "is not a list of host CPUs");
    return false;
}

static bool set_uuid(const struct setting *s)
{
    static const uint8_t none[16];
    struct config_uuid *to = field(s);

    if (s->v->type != JSON_STRING)
        return wrong_type(s, "a string");
    to->given = strlen(s->v->text) == s->v->text_len && ctl_uuid_parse(s->v->text, to->bytes) == 0;
    if (!to->given) {
        bad_value(s, "E_VALUE", "write it as 8-4-4-4-12 hexadecimal digits", "is not a uuid");
    } else if (memcmp(to->bytes, none, sizeof(none)) == 0) {
        to->given = false;
        bad_value(s, "E_VALUE", "leave the key out, so that one is made", "is what domains without a uuid have");
    }
    return to->given;
}

/* "512M": KiB in *kib; false if it is not a whole number with a unit. */
static bool parse_size(const char *text, uint64_t *kib)
{
    static const struct {
        const char *name;
        unsigned int shift;
    } units[] = {{"K", 0}, {"KiB", 0}, {"M", 10}, {"MiB", 10}, {"G", 20}, {"GiB", 20}};
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 15)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            uint64_t n = strtoull(text, NULL, 10);

            *kib = n > (UINT64_MAX >> 20) ? UINT64_MAX : n << units[i].shift;
            return true;
        }
    }
    return false;
}

static bool size_in_range(const struct setting *s, uint64_t kib)
{
    bool bare = s->v->type == JSON_NUMBER && s->src->form != SOURCE_OTHER;
    char what[96];

    if (kib < (uint64_t)s->key->min || kib > (uint64_t)s->key->max) {
        snprintf(what, sizeof(what), "is out of range: %lld MiB to %lld GiB", (long long)(s->key->min >> 10),
                 (long long)(s->key->max >> 20));
        bad_value(s, "E_RANGE", bare ? "a bare number is in MiB" : NULL, what);
        return false;
    }
    if (kib % 4) {
        bad_value(s, "E_VALUE", NULL, "is not a multiple of 4 KiB");
        return false;
    }
    return true;
}

static bool set_size(const struct setting *s)
{
    static const char hint[] = "write MiB as a bare number, or a string like \"512M\" or \"2G\"";
    uint64_t kib = 0;
    int64_t n;
    int rc;

    if (s->v->type == JSON_NUMBER) {
        rc = json_int(s->v, &n);
        if (rc == -EINVAL) {
            bad_value(s, "E_VALUE", hint, "is not a whole number");
            return false;
        }
        kib = rc || n < 0 || n > (INT64_MAX >> 10) ? (n < 0 ? 0 : UINT64_MAX) : (uint64_t)n << 10;
    } else if (s->v->type != JSON_STRING) {
        return wrong_type(s, "a number (MiB) or a string with a unit");
    } else if (strlen(s->v->text) != s->v->text_len || !parse_size(s->v->text, &kib)) {
        bad_value(s, "E_VALUE", hint, "is not a size");
        return false;
    }
    if (!size_in_range(s, kib))
        return false;
    *(uint64_t *)field(s) = kib;
    return true;
}

static bool set_int(const struct setting *s)
{
    char what[96];
    int64_t n = 0;
    int rc;

    if (s->v->type != JSON_NUMBER)
        return wrong_type(s, "a number");
    rc = json_int(s->v, &n);
    if (rc == -EINVAL) {
        bad_value(s, "E_VALUE", NULL, "is not a whole number");
        return false;
    }
    if (rc || n < s->key->min || n > s->key->max) {
        snprintf(what, sizeof(what), "is out of range: %lld to %lld", (long long)s->key->min, (long long)s->key->max);
        bad_value(s, "E_RANGE", NULL, what);
        return false;
    }
    *(int64_t *)field(s) = n;
    return true;
}

static const char *word_name(const void *ctx, size_t i)
{
    const struct config_word *words = ctx;

    return words[i].word;
}

static bool bad_word(const struct setting *s)
{
    const char *near = suggest(s->v->text, word_name, s->key->words);
    char what[160] = "is not one of", hint[64];
    size_t n = strlen(what);

    for (const struct config_word *w = s->key->words; w->word; w++) {
        if (!w->later)
            n += (size_t)snprintf(what + n, sizeof(what) - n, "%s %s", w == s->key->words ? "" : ",", w->word);
    }
    snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near ? near : "");
    bad_value(s, "E_ENUM", near ? hint : NULL, what);
    return false;
}

static bool set_enum(const struct setting *s)
{
    if (s->v->type != JSON_STRING)
        return wrong_type(s, "a string");
    for (const struct config_word *w = s->key->words; w->word; w++) {
        if (strlen(w->word) != s->v->text_len || strcmp(w->word, s->v->text) != 0)
            continue;
        if (w->later) {
            bad_value(s, "E_UNSUPPORTED", NULL, "is not supported yet");
            return false;
        }
        *(int *)field(s) = w->value;
        return true;
    }
    return bad_word(s);
}

int config_boolean(const struct json_value *v, bool *number)
{
    *number = v->type == JSON_NUMBER && (strcmp(v->text, "0") == 0 || strcmp(v->text, "1") == 0);
    if (*number)
        return v->text[0] == '1';
    return v->type == JSON_BOOL ? v->boolean : -1;
}

static bool set_bool(const struct setting *s)
{
    struct diag_at at = {.code = "W_BOOLEAN", .src = s->src, .span = &s->v->span, .value = s->v, .warning = true};
    bool number;
    int value = config_boolean(s->v, &number);

    if (value < 0)
        return wrong_type(s, "true or false");
    if (number)
        diag_add(s->d, &at, "%d is taken for %s", value, value ? "true" : "false");
    *(int *)field(s) = value ? CONFIG_TRUE : CONFIG_FALSE;
    return true;
}

static bool in_xl_form(const struct config *c)
{
    return c->sources[0].form == SOURCE_XL;
}

static bool set_value(const struct setting *s)
{
    switch (s->key->kind) {
    case KIND_IGNORED:
        return true;
    case KIND_STRING:
        return set_string(s);
    case KIND_NAME:
        return set_name(s);
    case KIND_PATH:
        return set_path(s);
    case KIND_CPUS:
        return set_cpus(s);
    case KIND_UUID:
        return set_uuid(s);
    case KIND_SIZE:
        return set_size(s);
    case KIND_INT:
        return set_int(s);
    case KIND_ENUM:
        return set_enum(s);
    case KIND_BOOL:
        return set_bool(s);
    case KIND_DISKS:
    case KIND_VIFS:
        return config_devices_set(s->key->kind, field(s), s->src, s->v, s->d);
    }
    return false;
}

bool config_set_value(struct config *c, int index, const struct source *src, const struct json_value *v,
                      struct diags *d)
{
    const struct setting s = {.c = c, .d = d, .src = src, .key = &config_keys[index], .v = v};

    return set_value(&s);
}

/* --- keys ----------------------------------------------------------------------------------------------------------
 */

static void unknown_key(struct diags *d, struct diag_at *at, const char *name, bool allow)
{
    const char *near = config_key_suggest(name);
    char hint[64];

    at->code = "E_UNKNOWN";
    at->warning = allow;
    if (config_key_of_xl(name)) {
        diag_add(d, at, "this key of xl.cfg(5) is not supported yet");
        return;
    }
    snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near ? near : "");
    at->hint = near ? hint : NULL;
    diag_add(d, at, "unknown key");
    at->hint = NULL;
}

static void apply(struct config *c, struct diags *d, const struct source *src, int index, const struct json_value *v)
{
    struct config_origin *origin = &c->origin[index];

    if (in_xl_form(c) && origin->src == src) { /* in JSON the parser has said so */
        struct diag_at at = {.code = "E_DUPLICATE", .src = src, .span = &v->key_span, .value = v, .warning = true};

        diag_add(d, &at, "given before: this one counts");
    }
    origin->src = src;
    origin->value = v;
    origin->faulty = !config_set_value(c, index, src, v, d);
}

static void apply_member(struct config *c, struct diags *d, bool allow_unknown, const struct json_value *v)
{
    struct diag_at at = {.src = &c->sources[0], .span = &v->key_span, .value = v};
    int index = strlen(v->key) == v->key_len ? config_key_find(v->key) : -1;

    if (index < 0 && in_xl_form(c) && strcmp(v->key, "builder") == 0)
        return; /* see load_xl() */
    if (index < 0)
        unknown_key(d, &at, v->key, allow_unknown);
    else
        apply(c, d, &c->sources[0], index, v);
}

/* --- texts ---------------------------------------------------------------------------------------------------------
 */

struct problem_ctx {
    struct diags *d;
    const struct source *src;
};

static void on_problem(void *ctx, const struct json_problem *p)
{
    const struct problem_ctx *pc = ctx;
    struct diag_at at = {.code = p->code, .src = pc->src, .span = &p->span, .value = p->in, .key = p->key};

    at.hint = p->hint;
    if (!at.hint && pc->src->form == SOURCE_JSON && !pc->src->is_override && xlcfg_named(pc->src->label))
        at.hint = "it is read as JSON, since it begins with \"{\"";
    if (p->span.len == 0)
        at.span = NULL;
    diag_add(pc->d, &at, "%s", p->message);
}

/* Reads at most one byte more than is allowed, so that the parser sees that it is too much. */
static int read_all(int fd, struct source *src)
{
    size_t room = JSON_MAX_SIZE + 1;
    ssize_t n;

    src->text = malloc(room + 1);
    if (!src->text)
        return -ENOMEM;
    do {
        n = read(fd, src->text + src->len, room - src->len);
        if (n > 0)
            src->len += (size_t)n;
    } while ((n > 0 && src->len < room) || (n < 0 && errno == EINTR));
    src->text[src->len] = '\0';
    return n < 0 ? -errno : 0;
}

int config_read_file(const char *file, struct source *src)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st))
        rc = -errno;
    else if (S_ISDIR(st.st_mode))
        rc = -EISDIR;
    else
        rc = read_all(fd, src);
    close(fd);
    if (rc) {
        free(src->text);
        src->text = NULL;
        src->len = 0;
    }
    return rc;
}

static int copy_text(const char *text, struct source *src)
{
    src->text = strdup(text);
    src->len = src->text ? strlen(text) : 0;
    return src->text ? 0 : -ENOMEM;
}

/* What xl's form says otherwise: `builder`, and texts for numbers. */
static struct json_value *load_xl(struct source *src, struct diags *d)
{
    struct problem_ctx pc = {.d = d, .src = src};
    struct json_value *root = xlcfg_parse(src->text, src->len, on_problem, &pc);
    const struct json_value *old = json_member(root, "builder");

    if (old) {
        struct diag_at at = {.code = "W_IGNORED", .src = src, .span = &old->key_span, .value = old, .warning = true};

        if (json_member(root, "type"))
            diag_add(d, &at, "ignored because type is given");
        else
            diag_add(d, &at, "an old name: it is read as type");
    }
    if (root && !xlcfg_adapt_keys(root))
        d->out_of_memory = true;
    return root;
}

struct json_value *config_read_json(const struct source *src, struct diags *d)
{
    struct problem_ctx pc = {.d = d, .src = src};
    struct json_value *root = json_parse(src->text, src->len, on_problem, &pc);

    if (root && root->type != JSON_OBJECT) {
        struct diag_at at = {.code = "E_TYPE", .src = src, .span = &root->span};

        diag_add(d, &at, "a configuration is an object, not %s", json_type_name(root->type));
    }
    return root;
}

static void load_file(struct config *c, const struct config_input *in, struct diags *d)
{
    struct source *src = &c->sources[0];
    struct diag_at at = {.code = "E_FILE", .src = src};
    int rc = in->text ? copy_text(in->text, src) : config_read_file(in->file, src);

    if (rc) {
        diag_add(d, &at, "cannot be read: %s", strerror(-rc));
        return;
    }
    if (in->reader)
        src->form = SOURCE_OTHER;
    else if (!in->text && xlcfg_is(src->text, src->len, in->file))
        src->form = SOURCE_XL;
    c->trees[0] = in->reader ? in->reader(src, d) : in_xl_form(c) ? load_xl(src, d) : config_read_json(src, d);
    if (!c->trees[0] || c->trees[0]->type != JSON_OBJECT)
        return;
    for (size_t i = 0; i < c->trees[0]->n_items; i++)
        apply_member(c, d, in->allow_unknown || in_xl_form(c), c->trees[0]->item[i]);
}

static bool takes_text(enum config_kind kind)
{
    return kind == KIND_STRING || kind == KIND_NAME || kind == KIND_PATH || kind == KIND_CPUS || kind == KIND_ENUM;
}

/* A list with the single quotes of xl.cfg(5), as JSON. Nothing moves, so what is reported about it is in its place. */
static struct json_value *parse_xl_list(const char *text, size_t len)
{
    struct json_value *v;
    char *copy;

    if (*text != '[' || memchr(text, '"', len))
        return NULL;
    copy = strdup(text);
    for (char *c = copy; c && *c; c++)
        *c = *c == '\'' ? '"' : *c;
    v = copy ? json_parse(copy, len, NULL, NULL) : NULL;
    free(copy);
    return v;
}

/* What is not JSON is a string: bare, or in the single quotes of xl.cfg(5). So is a number where a text is wanted. */
static struct json_value *parse_text(const char *text, size_t len, const struct config_key *key)
{
    struct json_value *v = json_parse(text, len, NULL, NULL);

    if (!v)
        v = parse_xl_list(text, len);
    if (v && takes_text(key->kind) && v->type <= JSON_NUMBER) {
        json_free(v);
        v = NULL;
    }
    if (v)
        return v;
    if (len >= 2 && text[0] == '\'' && text[len - 1] == '\'')
        return json_new_string(text + 1, len - 2, (struct json_span){0, len});
    return json_new_string(text, len, (struct json_span){0, len});
}

/* In JSON or as xl has it. */
static struct json_value *parse_override(const struct source *src, const struct config_key *key)
{
    struct json_value *v = parse_text(src->text + src->base, src->len - src->base, key);

    if (v)
        xlcfg_adapt(v, key->kind);
    return v;
}

static void load_override(struct config *c, size_t i, struct diags *d, bool allow_unknown)
{
    struct source *src = &c->sources[i];
    size_t n = strcspn(src->text, "="), end = n;
    struct json_span span = {0, 0};
    struct diag_at at = {.code = "E_SYNTAX", .src = src, .span = &span};
    char key[64];
    int index;

    while (end > 0 && src->text[end - 1] == ' ')
        end--;
    span.len = end;
    if (end == 0 || n == src->len || json_utf8_check(src->text, src->len) != src->len) {
        diag_add(d, &at, "\"%s\" is not of the form key=value", src->text);
        return;
    }
    if (src->text[end - 1] == '+') {
        diag_add(d, &at, "+= is possible in a file alone: give the whole value");
        return;
    }
    snprintf(key, sizeof(key), "%.*s", (int)end, src->text);
    index = config_key_find(key);
    if (index < 0) {
        at.key = key;
        unknown_key(d, &at, key, allow_unknown);
        return;
    }
    src->base = n + 1 + strspn(src->text + n + 1, " ");
    c->trees[i] = parse_override(src, &config_keys[index]);
    if (c->trees[i])
        apply(c, d, src, index, c->trees[i]);
    else
        d->out_of_memory = true;
}

static void set_defaults(struct config *c)
{
    c->version = 1;
    c->vcpus = 1;
    c->cpu_weight = CONFIG_WEIGHT;
    c->max_grant_version = 2;
    c->on_poweroff = CTL_ACTION_DESTROY;
    c->on_reboot = CTL_ACTION_RESTART;
    c->on_crash = CTL_ACTION_DESTROY;
    c->on_watchdog = CTL_ACTION_DESTROY;
}

static bool make_sources(struct config *c, const struct config_input *in)
{
    c->sources = calloc(1 + in->n_overrides, sizeof(*c->sources));
    c->trees = calloc(1 + in->n_overrides, sizeof(*c->trees));
    if (!c->sources || !c->trees)
        return false;
    c->n_sources = 1 + in->n_overrides;
    c->sources[0].label = strdup(in->file);
    for (size_t i = 1; i < c->n_sources; i++) {
        c->sources[i].is_override = true;
        if (asprintf(&c->sources[i].label, "argument %d", in->first + (int)i - 1) < 0)
            c->sources[i].label = NULL;
        c->sources[i].text = strdup(in->overrides[i - 1]);
        if (!c->sources[i].label || !c->sources[i].text)
            return false;
        c->sources[i].len = strlen(c->sources[i].text);
    }
    return c->sources[0].label != NULL;
}

void config_load(const struct config_input *in, struct config *c, struct diags *d)
{
    memset(c, 0, sizeof(*c));
    set_defaults(c);
    if (!make_sources(c, in)) {
        d->out_of_memory = true;
        return;
    }
    load_file(c, in, d);
    for (size_t i = 1; i < c->n_sources; i++)
        load_override(c, i, d, in->allow_unknown || in_xl_form(c));
}

void config_free(struct config *c)
{
    char *texts[] = {c->name, c->kernel, c->ramdisk, c->cmdline, c->root, c->extra, c->cpus};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    config_devices_free(&c->disks);
    config_devices_free(&c->vifs);
    for (size_t i = 0; i < c->n_sources; i++) {
        free(c->sources[i].label);
        free(c->sources[i].text);
        json_free(c->trees[i]);
    }
    free(c->sources);
    free(c->trees);
    memset(c, 0, sizeof(*c));
}

bool config_names_file(const char *what)
{
    struct stat st;

    return strchr(what, '/') || (stat(what, &st) == 0 && !S_ISDIR(st.st_mode));
}
