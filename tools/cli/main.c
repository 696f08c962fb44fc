/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umbra: the control domain's command line tool. Everything is in cli_main() (commands.c), so that tests can link it.
 */
#include "cli/cli.h"
#include "cli/supervisor.h"

int main(int argc, char **argv)
{
    supervisor_arguments(argc, argv);
    return cli_main(argc, argv);
}
