# SPDX-License-Identifier: BSD-2-Clause
# tools/cli, in reading order.
cli-srcs += tools/cli/json_tree.c
cli-srcs += tools/cli/json.c
cli-srcs += tools/cli/diag.c
