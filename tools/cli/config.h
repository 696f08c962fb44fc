/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest configuration: keys named as in xl.cfg(5), with JSON types. One table (config_keys.c) says which keys there
 * are; the parser, the printed configuration, `help create` and the documentation's test go by it.
 *
 * Flow: config_load() reads a file, in JSON or in the form of xl.cfg(5) (xlcfg.h), and the overrides, and sets what
 * each key says; config_check() looks at the whole and at the files named, without side effects and without a
 * hypervisor; config_build() is what libctl gets.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "cli/device_spec.h"
#include "cli/diag.h"
#include "libctl/ctl.h"

#define CONFIG_MAX_KEYS 40
#define CONFIG_VIFS     256  /* network interfaces of a guest: their numbers are 0 to 255 */
#define CONFIG_WEIGHT   256  /* share of CPU time, if none is given */
#define CONFIG_MAX_CPUS 1024 /* of the host, in "cpus" */

enum config_kind {
    KIND_IGNORED, /* any value; not looked at */
    KIND_STRING,  /* char * */
    KIND_NAME,    /* char *, a legal domain name */
    KIND_PATH,    /* char *, not empty */
    KIND_CPUS,    /* char *, a list of host CPUs */
    KIND_UUID,    /* struct config_uuid */
    KIND_SIZE,    /* uint64_t, KiB */
    KIND_INT,     /* int64_t */
    KIND_ENUM,    /* int */
    KIND_BOOL,    /* int, enum config_bool */
    KIND_DISKS,   /* struct config_devices */
    KIND_VIFS,    /* the same */
};

struct config_word {
    const char *word;
    int value;
    bool later; /* known from xl.cfg(5), refused for now */
};

struct config_key {
    const char *name; /* ending in '*': every key that starts like this */
    enum config_kind kind;
    size_t offset;    /* of the field in struct config */
    int64_t min, max; /* KIND_INT; KIND_SIZE in KiB; both in the messages */
    const struct config_word *words;
    bool required;
    const char *fallback; /* for people; NULL: none */
    const char *help;
};

enum config_bool { CONFIG_NOT_SAID, CONFIG_FALSE, CONFIG_TRUE };

struct config_uuid {
    bool given;
    uint8_t bytes[16];
};

struct config_devices {
    struct spec *list;
    size_t n;
};

struct config {
    int64_t version;
    char *name, *kernel, *ramdisk, *cmdline, *root, *extra, *cpus;
    int type, hap; /* enum config_type, enum config_bool */
    struct config_uuid uuid;
    uint64_t memory, maxmem, shadow_memory; /* KiB; the last may be 0: not said */
    int64_t vcpus, maxvcpus, cpu_weight, cap, max_grant_version;
    int on_poweroff, on_reboot, on_crash, on_watchdog; /* enum ctl_action */
    int on_host_shutdown;                              /* enum config_stop */
    struct config_devices disks, vifs;
    uint32_t domid; /* no key: of what was saved or moved with -D, its number; else 0 */

    /* Where each key of the table got its value; the texts and trees are kept for it. */
    struct config_origin {
        const struct source *src;
        const struct json_value *value; /* NULL: not given */
        bool faulty;                    /* something was reported about it */
    } origin[CONFIG_MAX_KEYS];
    struct source *sources; /* the file, then the overrides */
    struct json_value **trees;
    size_t n_sources;
};

enum config_stop { CONFIG_STOP_SHUTDOWN, CONFIG_STOP_SAVE };
enum config_type { CONFIG_PV, CONFIG_PVH, CONFIG_HVM };

/* Makes a configuration's tree of a text that is neither JSON nor xl's. NULL: what is wrong is in d. */
typedef struct json_value *config_reader(struct source *src, struct diags *d);

struct config_input {
    const char *file;
    config_reader *reader;  /* of the file; NULL: it is JSON or xl's form */
    char *text;             /* instead of what the file contains; or NULL */
    char *const *overrides; /* "key=value" */
    size_t n_overrides;
    int first;          /* which argument of the command line the first of them is, from 1 */
    bool allow_unknown; /* unknown keys are warnings; in xl's form they are in any case */
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* Position in the table, or -1. */
int config_key_find(const char *name);
/* The key that may have been meant, or NULL. */
const char *config_key_suggest(const char *name);
/* Is this a key of xl.cfg(5) that is not supported at all yet? */
bool config_key_of_xl(const char *name);
/* Nearest of the candidates returned by next(ctx, i) (NULL ends them) to word, or NULL if none is near. */
const char *suggest(const char *word, const char *(*next)(const void *ctx, size_t i), const void *ctx);

/* Of an operand that is a file or a guest: is it a file? A guest may be called as a directory is that happens to lie
 * here.
 */
bool config_names_file(const char *what);
/* What config_load() is made of, for other files in JSON (settings.h). The first: 0 or -errno; src->text is the
 * caller's. */
int config_read_file(const char *file, struct source *src);
/* An object, which is the caller's; what is wrong is in d, and then it is NULL or something else. */
struct json_value *config_read_json(const struct source *src, struct diags *d);
/* 1, 0, or -1: it is none. A number does as well, since xl has no other: *number, which is a matter for a warning. */
int config_boolean(const struct json_value *v, bool *number);
/* Checks the value of a key, by its position in the table, and sets it. False: what is wrong is in d. */
bool config_set_value(struct config *c, int index, const struct source *src, const struct json_value *v,
                      struct diags *d);
/* Reads and sets. Whatever is wrong goes to d; c can be checked and must be freed in any case. */
void config_load(const struct config_input *in, struct config *c, struct diags *d);
/* Fills what follows from other keys, and checks the whole: config_check_keys(), then config_check_build(). */
void config_check(struct config *c, struct diags *d);
/* Are all keys there that must be? Then, filling in, against each other. Both are also for who only translates. */
void config_check_required(struct config *c, struct diags *d);
void config_check_fit(struct config *c, struct diags *d);
/* Both, and the files that are named. */
void config_check_keys(struct config *c, struct diags *d);
/* Before config_check_keys(): is each file named so that it is found from any directory? Disks always are. */
void config_check_absolute(struct config *c, struct diags *d);
/* The contents of the files; this unpacks the kernel. */
void config_check_build(struct config *c, struct diags *d);
void config_free(struct config *c);
/* Without an object there are no keys, and that has been said. */
bool config_has_keys(const struct config *c);
bool config_given(const struct config *c, const char *name);
/* Was something reported about the key? */
bool config_faulty(const struct config *c, const char *name);
/* A report at the value of a key, or at the file as a whole if the key was not given. It is faulty from then on. */
struct diag_at config_at_key(struct config *c, const char *name, const char *code);

/* For libctl; points into c. */
struct ctl_domain_config config_build(const struct config *c);
/* What was given, as JSON: nothing filled in, nothing left out but what was reported. */
void config_given_json(const struct config *c, struct json_out *o);
/* The whole configuration, defaults filled in, in the vocabulary of the input. */
void config_json(const struct config *c, struct json_out *o, const char *key);
/* Host CPUs of a "cpus" value into a bitmap. 0, -EINVAL (not a list of CPUs) or -ERANGE. */
int config_cpu_map(const char *text, uint8_t map[CONFIG_MAX_CPUS / 8]);
/* A bitmap of CPUs as "0-3,5", "all" (every one of n_cpus) or "none". */
void cpu_ranges(char *out, size_t size, const uint8_t *map, unsigned n_cpus);

/* --- config_devices.c: lists of disks or network interfaces --- */

/* The keys of a kind's elements; NULL: it is not one of devices. */
const struct spec_table *config_device_table(enum config_kind kind);
/* Reads a list; what is wrong goes to d. False: something was. */
bool config_devices_set(enum config_kind kind, struct config_devices *to, const struct source *src,
                        const struct json_value *v, struct diags *d);
/* A list that was read without fault: its elements against each other. */
void config_devices_check(enum config_kind kind, const struct config_devices *devices, const struct source *src,
                          const struct json_value *list, struct diags *d);
/* The files that disks name. */
void config_devices_files(const struct config_devices *disks, const struct source *src, const struct json_value *list,
                          struct diags *d);
/* Is a device of this number among the first n? */
bool config_devices_has(enum config_kind kind, const struct config_devices *devices, size_t n, int64_t number);
/* Gives network interfaces numbers and addresses that are not said. -errno. */
int config_devices_fill(struct config_devices *vifs);
/* Takes *s over. -ENOMEM. */
int config_devices_add(struct config_devices *devices, struct spec *s);
/* False: there is none of this number. */
bool config_devices_remove(enum config_kind kind, struct config_devices *devices, uint32_t number);
void config_devices_free(struct config_devices *devices);
void config_devices_json(enum config_kind kind, const struct config_devices *devices, const char *key,
                         struct json_out *o);

/* The table as a JSON Schema, a document of its own. */
void config_schema(struct json_out *o);
/* What is wrong with a name of a guest, or NULL. */
const char *config_name_fault(const char *name);
/* Prints the table of keys (for `help create`). */
void config_keys_print(FILE *f);

#endif
