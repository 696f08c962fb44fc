/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and network interfaces as users write them: keys and values, from an object or from xl's spec strings
 * (xl-disk-configuration(5), xl-network-configuration(5)). One table for each kind says which keys there are; the
 * parsers, the printed configuration and the JSON Schema go by it.
 */
#ifndef CLI_DEVICE_SPEC_H
#define CLI_DEVICE_SPEC_H

#include "cli/json.h"
#include "libctl/ctl.h"

#define SPEC_KEYS   12
#define SPEC_BRIDGE "xenbr0" /* of a network interface, if nothing names another */

enum spec_kind {
    SPEC_TEXT,
    SPEC_WORD,      /* one of `words` */
    SPEC_FLAG,      /* "1" or "0"; true or false in JSON */
    SPEC_NUMBER,    /* up to `max` */
    SPEC_VDEV,      /* name of a virtual disk */
    SPEC_INTERFACE, /* name of a network interface */
    SPEC_MAC,
    SPEC_RATE,
};

struct spec_word {
    const char *word;
    bool later; /* known from xl, refused for now */
};

struct spec_key {
    const char *name;
    enum spec_kind kind;
    const struct spec_word *words;
    int64_t min, max;
    bool required;
};

struct spec_table {
    const char *what;            /* "disk" */
    const struct spec_key *keys; /* ends with name NULL */
    const char *const *later;    /* other keys of xl, ends with NULL */
};

extern const struct spec_table disk_table, vif_table;

/* One device: the value of each key of the table as text, NULL if it is not given. */
struct spec {
    char *value[SPEC_KEYS];
};

struct spec_fault {
    const char *code; /* as of reports about configuration (diag.h); NULL: nothing is wrong */
    char message[200];
    const char *hint; /* or NULL */
};

/* Position of a key in the table, or -1. */
int spec_key_find(const struct spec_table *t, const char *name);
/* Says of a name that is none of the keys what is wrong with it; returns false. */
bool spec_unknown(const struct spec_table *t, const char *name, struct spec_fault *fault);
/* The value of a key, or NULL. */
const char *spec_get(const struct spec_table *t, const struct spec *s, const char *name);
/* Sets a key from text; an empty one is none. False: *fault. */
bool spec_set(const struct spec_table *t, struct spec *s, const char *name, const char *value,
              struct spec_fault *fault);
/* Sets what xl's string says. False: *fault, and *s is to be freed all the same. */
bool spec_parse(const struct spec_table *t, const char *text, struct spec *s, struct spec_fault *fault);
/* The same of a device that several strings describe: what takes the rest of one (target=) leaves the next alone. */
bool spec_parse_texts(const struct spec_table *t, char *const *texts, int n, struct spec *s, struct spec_fault *fault);
/* Is all there that must be? Completes what follows from it. */
bool spec_complete(const struct spec_table *t, struct spec *s, struct spec_fault *fault);
/* -ENOMEM: the copy is to be freed all the same. */
int spec_copy(struct spec *to, const struct spec *from);
void spec_free(struct spec *s);

/* For libctl; they point into the spec, which is complete. */
struct ctl_disk spec_disk(const struct spec *s);
struct ctl_vif spec_vif(const struct spec *s);
/* What is not said about a network interface: its number, and a random address. -errno. */
int spec_vif_fill(struct spec *s, uint32_t devid);

#endif
