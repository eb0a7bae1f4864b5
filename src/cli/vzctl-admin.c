/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	const struct cli_cmd *const tables[] = { cli_admin_commands(), cli_light_commands(),
						 cli_ubc_commands(), cli_precheck_commands(),
						 NULL };

	return cli_main(argc, argv, tables, false);
}
