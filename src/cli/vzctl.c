/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzctl: the light commands itself, everything else through vzctl-admin. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	const struct cli_cmd *const tables[] = { cli_light_commands(), cli_ubc_commands(), NULL };

	return cli_main(argc, argv, tables, true);
}
