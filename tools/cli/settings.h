/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings of the tool itself, umbra.conf(5), the counterpart of xl.conf(5): what holds on this host where neither the
 * command line nor a guest's configuration says otherwise. JSON, like guests' configurations; no file, no settings.
 *
 * They are used up where a guest or a device is made: its record has the values, and they travel with it.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "cli/cli.h"
#include "cli/config.h"

extern const char *settings_file;

struct settings {
    struct source src;
    struct json_value *tree; /* checked; NULL: there is no file */
};

/* Reads the file. EXIT_OK, or EXIT_USAGE after reports; *s is to be freed in any case. */
int settings_load(const struct cli *cli, struct settings *s);
void settings_free(struct settings *s);
/* The value of a key that is a text; NULL: it is not given. Belongs to s. */
const char *settings_text(const struct settings *s, const char *name);
/* Gives a configuration what it does not say itself. d: no memory. */
void settings_for_guest(const struct settings *s, struct config *c, struct diags *d);
/* The same for a network interface. False: *fault. */
bool settings_for_vif(const struct settings *s, struct spec *vif, struct spec_fault *fault);

#endif
