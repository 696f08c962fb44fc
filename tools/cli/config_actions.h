/* SPDX-License-Identifier: BSD-2-Clause */
/* Actions of `config` that have a file of their own. Each returns an exit code. */
#ifndef CLI_CONFIG_ACTIONS_H
#define CLI_CONFIG_ACTIONS_H

#include "cli/cli.h"

/* config_get.c: `get NAME|FILE [KEY]`. */
int config_get(struct cli *cli, const struct cli_args *args);
/* config_xml.c: `import-xml FILE`, `export-xml FILE`. */
int config_xml(struct cli *cli, const struct cli_args *args);
/* settings.c: `settings`. */
int config_settings(struct cli *cli, const struct cli_args *args);

#endif
