/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration's tree of libvirt's domain XML: what concerns the domain as a whole (see domain.h). Names, units and
 * defaults are those of libvirt's page "Domain XML format" and of its Xen driver. Values are judged by whoever sets the
 * key; here is only judged what has another form in XML.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "xml/domain.h"

#define BLANKS "\t\n\r "

/* --- shared with devices.c --- */

static const struct json_span *place(const struct xml_element *e, const char *attr)
{
    const struct xml_attr *a = attr ? xml_attr(e, attr) : NULL;

    return a ? &a->value_span : e->text_span.len ? &e->text_span : &e->span;
}

void import_fault(struct domain_in *im, const struct xml_element *e, const char *attr, const char *code,
                  const char *hint, const char *message)
{
    char *path = xml_path(e, attr);
    struct diag_at at = {.code = code, .src = im->src, .span = place(e, attr), .key = path, .hint = hint};
    const char *value = attr ? xml_attr(e, attr)->value : e->text;

    if (path && (strcmp(code, "E_VALUE") == 0 || strcmp(code, "E_ENUM") == 0))
        diag_add(im->d, &at, "\"%.40s\" %s", value, message);
    else if (path)
        diag_add(im->d, &at, "%s", message);
    else
        im->d->out_of_memory = true;
    free(path);
}

struct xml_element *import_one(struct domain_in *im, struct xml_element *in, const char *name)
{
    struct xml_element *e = xml_child(in, name);

    if (!e)
        return NULL;
    e->taken = true;
    for (struct xml_element *other = xml_next(e); other; other = xml_next(other)) {
        xml_take_all(other);
        import_fault(im, other, NULL, "E_DUPLICATE", NULL, "given before");
    }
    return e;
}

void import_value(struct domain_in *im, struct json_value *to, const char *key, struct json_value *v)
{
    if (v && json_append_member(to, key, v->span, v) == 0)
        return;
    json_free(v);
    im->d->out_of_memory = true;
}

void import_text(struct domain_in *im, struct json_value *to, const char *key, const char *text,
                 const struct xml_element *e, const char *attr)
{
    import_value(im, to, key, json_new_string(text, strlen(text), *place(e, attr)));
}

void import_number(struct domain_in *im, struct json_value *to, const char *key, const char *digits,
                   const struct xml_element *e, const char *attr)
{
    struct json_value *v = json_new_string(digits, strlen(digits), *place(e, attr));

    if (v)
        v->type = JSON_NUMBER;
    import_value(im, to, key, v);
}

void import_bool(struct domain_in *im, struct json_value *to, const char *key, bool value, const struct xml_element *e,
                 const char *attr)
{
    struct json_value *v = json_new(JSON_BOOL, *place(e, attr));

    if (v)
        v->boolean = value;
    import_value(im, to, key, v);
}

bool import_digits(struct domain_in *im, struct xml_element *e, const char *attr, char digits[IMPORT_DIGITS])
{
    const char *text = attr ? xml_take(e, attr) : e->text;
    size_t n;

    if (!attr)
        e->text_taken = true;
    text += strspn(text, BLANKS);
    n = strspn(text, "0123456789");
    if (n == 0 || text[n + strspn(text + n, BLANKS)]) {
        import_fault(im, e, attr, "E_VALUE", NULL, "is not a whole number");
        return false;
    }
    for (; n > 1 && *text == '0'; n--)
        text++;
    if (n < IMPORT_DIGITS)
        snprintf(digits, IMPORT_DIGITS, "%.*s", (int)n, text);
    else /* beyond every range */
        snprintf(digits, IMPORT_DIGITS, "%llu", ~0ull);
    return true;
}

/* --- keys that are the text of an element --- */

/* libvirt takes an element without text for none, but where a text may be empty. */
static void text_key(struct domain_in *im, struct xml_element *in, const char *name, struct json_value *out,
                     const char *key)
{
    struct xml_element *e = import_one(im, in, name);

    if (!e)
        return;
    e->text_taken = true;
    if (e->text_len || strcmp(key, "cmdline") == 0 || strcmp(key, "name") == 0)
        import_text(im, out, key, e->text, e, NULL);
}

/* --- memory --- */

/* Bytes that a unit stands for, or 0. libvirt's units: in any case, and KiB if none is named. */
static uint64_t unit_bytes(const char *unit)
{
    static const struct {
        const char *name[3];
        uint64_t bytes;
    } units[] = {
        {{"b", "byte", "bytes"}, 1},      {{"k", "kib", NULL}, 1ull << 10}, {{"kb", NULL, NULL}, 1000},
        {{"m", "mib", NULL}, 1ull << 20}, {{"mb", NULL, NULL}, 1000000},    {{"g", "gib", NULL}, 1ull << 30},
        {{"gb", NULL, NULL}, 1000000000}, {{"t", "tib", NULL}, 1ull << 40}, {{"tb", NULL, NULL}, 1000000000000},
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        for (int k = 0; k < 3 && units[i].name[k]; k++) {
            if (strcasecmp(units[i].name[k], unit) == 0)
                return units[i].bytes;
        }
    }
    return 0;
}

/* In KiB. False: it was none, and told. */
static bool read_size(struct domain_in *im, struct xml_element *e, uint64_t *kib)
{
    static const uint64_t most = 1ull << 40; /* KiB: beyond every range */
    const char *unit = xml_take(e, "unit");
    uint64_t each = unit_bytes(unit ? unit : "KiB");
    char digits[IMPORT_DIGITS];
    unsigned __int128 bytes;

    if (!each) {
        import_fault(im, e, "unit", "E_VALUE", "write b, KiB, MiB, GiB or TiB, or KB, MB, GB or TB for powers of 1000",
                     "is not a unit");
        e->text_taken = true;
        return false;
    }
    if (!import_digits(im, e, NULL, digits))
        return false;
    bytes = (unsigned __int128)strtoull(digits, NULL, 10) * each;
    if (bytes % 1024) {
        import_fault(im, e, NULL, "E_VALUE", NULL, "is not a multiple of 1 KiB");
        return false;
    }
    *kib = bytes / 1024 > most ? most : (uint64_t)(bytes / 1024);
    return true;
}

static void size_key(struct domain_in *im, struct xml_element *e, struct json_value *out, const char *key)
{
    char text[32];
    uint64_t kib;

    if (!e || !read_size(im, e, &kib))
        return;
    snprintf(text, sizeof(text), kib % 1024 ? "%lluK" : "%llu", (unsigned long long)(kib % 1024 ? kib : kib / 1024));
    if (kib % 1024)
        import_text(im, out, key, text, e, NULL);
    else
        import_number(im, out, key, text, e, NULL);
}

static void read_memory(struct domain_in *im, struct xml_element *root, struct json_value *out)
{
    struct xml_element *most = import_one(im, root, "memory"), *current = import_one(im, root, "currentMemory");

    size_key(im, current ? current : most, out, "memory");
    if (current)
        size_key(im, most, out, "maxmem");
}

/* --- virtual CPUs --- */

/* A set of CPUs without the blanks that libvirt allows in it, to be freed; NULL: no memory, which is noted. */
static char *without_blanks(struct domain_in *im, const char *set)
{
    char *copy = strdup(set);
    size_t n = 0;

    if (!copy) {
        im->d->out_of_memory = true;
        return NULL;
    }
    for (size_t i = 0; copy[i]; i++) {
        if (!strchr(BLANKS, copy[i]))
            copy[n++] = copy[i];
    }
    copy[n] = '\0';
    return copy;
}

static void cpus_key(struct domain_in *im, const char *set, const struct xml_element *e, struct json_value *out)
{
    char *copy = without_blanks(im, set);

    if (copy)
        import_text(im, out, "cpus", copy, e, "cpuset");
    free(copy);
}

/* False: it says nothing that is a set of CPUs. */
static bool read_set(struct domain_in *im, const char *set, uint8_t *map)
{
    char *copy = without_blanks(im, set);
    bool fine = copy && !config_cpu_map(copy, map);

    free(copy);
    return fine;
}

/* Do the elements <vcpupin> say the same of each of n virtual CPUs? Otherwise a configuration cannot say it. */
static bool pins_agree(struct domain_in *im, const struct xml_element *tune, long n)
{
    uint8_t map[CONFIG_MAX_CPUS / 8] = {0}, first[CONFIG_MAX_CPUS / 8] = {0};
    uint64_t seen[4] = {0};
    long count = 0;

    for (const struct xml_element *pin = xml_child(tune, "vcpupin"); pin; pin = xml_next(pin), count++) {
        const struct xml_attr *vcpu = xml_attr(pin, "vcpu"), *set = xml_attr(pin, "cpuset");
        long i = vcpu && strspn(vcpu->value, "0123456789") == strlen(vcpu->value) ? atol(vcpu->value) : -1;

        if (!set || !vcpu || !*vcpu->value || i < 0 || i >= n || i >= 256 || seen[i / 64] >> i % 64 & 1)
            return false;
        seen[i / 64] |= 1ull << i % 64;
        if (!read_set(im, set->value, count ? map : first) || (count && memcmp(map, first, sizeof(map)) != 0))
            return false;
    }
    return count == n;
}

/* <vcpupin> goes before <vcpu cpuset=>, as it does for libvirt. */
static void read_affinity(struct domain_in *im, struct xml_element *vcpu, struct xml_element *tune, long n,
                          struct json_value *out)
{
    struct xml_element *pin = xml_child(tune, "vcpupin");

    if (pin && pins_agree(im, tune, n)) {
        cpus_key(im, xml_attr(pin, "cpuset")->value, pin, out);
        for (; pin; pin = xml_next(pin))
            xml_take_all(pin);
        return;
    }
    if (xml_attr(vcpu, "cpuset"))
        cpus_key(im, xml_take(vcpu, "cpuset"), vcpu, out);
}

static void read_vcpus(struct domain_in *im, struct xml_element *root, struct xml_element *tune, struct json_value *out)
{
    struct xml_element *vcpu = import_one(im, root, "vcpu");
    char most[IMPORT_DIGITS] = "1", current[IMPORT_DIGITS];
    bool known = vcpu && import_digits(im, vcpu, NULL, most), some = vcpu && xml_attr(vcpu, "current");

    if (vcpu)
        xml_take_if(vcpu, "placement", "static", NULL);
    if (some && import_digits(im, vcpu, "current", current))
        import_number(im, out, "vcpus", current, vcpu, "current");
    if (known)
        import_number(im, out, some ? "maxvcpus" : "vcpus", most, vcpu, NULL);
    if (!vcpu || known)
        read_affinity(im, vcpu, tune, strtol(most, NULL, 10), out);
}

/* --- shares and limits of CPU time --- */

/* A quota of so many microseconds in each period is a limit in percent of one CPU, if it comes out even. */
static void read_cap(struct domain_in *im, struct xml_element *tune, struct json_value *out)
{
    struct xml_element *quota = import_one(im, tune, "global_quota"), *period = import_one(im, tune, "global_period");
    char of[IMPORT_DIGITS] = "", in[IMPORT_DIGITS] = "100000", text[IMPORT_DIGITS];
    unsigned long long each, all;

    if (period && !import_digits(im, period, NULL, in))
        return;
    if (!quota) {
        if (period)
            period->taken = period->text_taken = false;
        return;
    }
    if (strncmp(quota->text, "-1", 2) == 0 && xml_blank(quota->text + 2, quota->text_len - 2)) {
        quota->text_taken = true; /* none, which is the default */
        return;
    }
    if (!import_digits(im, quota, NULL, of))
        return;
    all = strtoull(of, NULL, 10);
    each = strtoull(in, NULL, 10);
    if (all == 0 || each == 0 || all > UINT32_MAX * 100ull || all * 100 % each) {
        quota->taken = false;
        quota->why = "it is not a whole percentage of one CPU";
        if (period)
            period->taken = false;
        return;
    }
    snprintf(text, sizeof(text), "%llu", all * 100 / each);
    import_number(im, out, "cap", text, quota, NULL);
}

static void read_tuning(struct domain_in *im, struct xml_element *tune, struct json_value *out)
{
    struct xml_element *shares = tune ? import_one(im, tune, "shares") : NULL;
    char digits[IMPORT_DIGITS];

    if (shares && import_digits(im, shares, NULL, digits))
        import_number(im, out, "cpu_weight", digits, shares, NULL);
    if (tune)
        read_cap(im, tune, out);
}

/* --- what is booted, and how --- */

/* As libvirt's Xen driver has it: <type machine='xenpv'>linux</type>, or xen; <type machine='xenpvh'>xenpvh</type>. */
static void read_type(struct domain_in *im, struct xml_element *type, struct json_value *out)
{
    const char *machine = xml_attr(type, "machine") ? xml_attr(type, "machine")->value : "";
    bool pv = strcmp(type->text, "linux") == 0 || strcmp(type->text, "xen") == 0;
    bool pvh = strcmp(type->text, "xenpvh") == 0 || (pv && strcmp(machine, "xenpvh") == 0);

    type->text_taken = true;
    if (strcmp(type->text, "hvm") == 0) {
        import_fault(im, type, NULL, "E_UNSUPPORTED", NULL, "hvm is not supported yet");
        return;
    }
    if (!pv && !pvh) {
        import_fault(im, type, NULL, "E_ENUM", NULL, "is not one of linux, xen, xenpvh");
        return;
    }
    if (pvh && strcmp(machine, "xenpv") == 0) {
        import_fault(im, type, "machine", "E_VALUE", NULL, "does not fit the type xenpvh");
        return;
    }
    xml_take_if(type, "machine", pvh ? "xenpvh" : "xenpv", NULL);
    xml_take_if(type, "arch", "x86_64", NULL);
    import_text(im, out, "type", pvh ? "pvh" : "pv", type, NULL);
}

static void read_os(struct domain_in *im, struct xml_element *root, struct json_value *out)
{
    struct xml_element *os = import_one(im, root, "os"), *type = os ? import_one(im, os, "type") : NULL;

    if (type)
        read_type(im, type, out);
    if (!os)
        return;
    text_key(im, os, "kernel", out, "kernel");
    text_key(im, os, "initrd", out, "ramdisk");
    text_key(im, os, "cmdline", out, "cmdline");
}

static void read_features(struct domain_in *im, struct xml_element *root, struct json_value *out)
{
    struct xml_element *features = import_one(im, root, "features"),
                       *hap = features ? import_one(im, features, "hap") : NULL;
    const char *state = hap ? xml_take(hap, "state") : NULL;

    if (state && strcmp(state, "on") != 0 && strcmp(state, "off") != 0)
        import_fault(im, hap, "state", "E_ENUM", NULL, "is not one of on, off");
    else if (hap)
        import_bool(im, out, "hap", !state || strcmp(state, "on") == 0, hap, "state");
}

/* A guest's clock is UTC in any case. */
static void read_clock(struct domain_in *im, struct xml_element *root)
{
    struct xml_element *clock = import_one(im, root, "clock");

    if (clock && xml_take_if(clock, "offset", "utc", NULL))
        xml_take_if(clock, "adjustment", "reset", NULL);
}

/* --- the whole --- */

static void read_domain(struct domain_in *im, struct xml_element *root, struct json_value *out)
{
    struct xml_element *tune = import_one(im, root, "cputune"), *devices;

    root->taken = true;
    xml_take_if(root, "type", "xen", NULL);
    text_key(im, root, "name", out, "name");
    text_key(im, root, "uuid", out, "uuid");
    read_os(im, root, out);
    read_memory(im, root, out);
    read_vcpus(im, root, tune, out);
    read_tuning(im, tune, out);
    read_features(im, root, out);
    read_clock(im, root);
    text_key(im, root, "on_poweroff", out, "on_poweroff");
    text_key(im, root, "on_reboot", out, "on_reboot");
    text_key(im, root, "on_crash", out, "on_crash");
    devices = import_one(im, root, "devices");
    if (devices)
        import_devices(im, devices, out);
    import_left(im, root);
}

static struct xml_element *parse(struct source *src, struct diags *d)
{
    struct diag_at at = {.src = src};
    struct xml_problem bad;
    struct xml_element *root = xml_parse(src->text, src->len, &bad);

    if (root)
        return root;
    if (strcmp(bad.code, "E_MEMORY") == 0)
        d->out_of_memory = true;
    at.code = bad.code;
    at.span = bad.span.len ? &bad.span : NULL;
    diag_add(d, &at, "%s", bad.message);
    return NULL;
}

struct json_value *domain_read(struct source *src, struct diags *d)
{
    struct domain_in im = {.src = src, .d = d};
    struct xml_element *root = parse(src, d);
    struct json_value *out = NULL;

    if (!root)
        return NULL;
    if (strcmp(root->name, "domain") != 0) {
        import_fault(&im, root, NULL, "E_TYPE", "`virsh dumpxml --inactive NAME` prints one", "is not a domain");
    } else {
        out = json_new(JSON_OBJECT, root->span);
        if (out)
            read_domain(&im, root, out);
        else
            d->out_of_memory = true;
    }
    xml_free(root);
    return out;
}
