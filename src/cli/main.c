/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vzctl and vzctl-admin share: global flags, the CTID, dispatch, the one place where errors
 * are told.
 */
#include "cli/cli.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"

#include <stdio.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static const struct cli_cmd *find(const struct cli_cmd *const tables[], const char *name)
{
	for (size_t t = 0; tables[t]; t++)
		for (const struct cli_cmd *c = tables[t]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

static void help_command(const struct cli_cmd *c)
{
	(void)printf("vzctl %s%s%s%s", c->name, c->needs & CLI_CTID ? " <ctid>" : "",
		     *c->args ? " " : "", c->args);
	for (int i = 0; c->opts && c->opts[i].name; i++) {
		if (c->opts[i].kind == CLI_MORE)
			continue;
		(void)printf(" [--%s%s%s]", c->opts[i].name, c->opts[i].arg ? " " : "",
			     c->opts[i].arg ? c->opts[i].arg : "");
	}
	(void)printf("\n");
}

void cli_help(const struct cli_cmd *const tables[])
{
	(void)printf(
		"vzctl version " PACKAGE_VERSION "\n"
		"Croft: VPSes on stock Linux kernels, with OpenVZ's commands. See vzctl(8).\n"
		"\nUsage: vzctl [--quiet] [--verbose] [--skiplock] COMMAND <ctid> [OPTIONS]\n\n");
	for (size_t t = 0; tables[t]; t++)
		for (const struct cli_cmd *c = tables[t]; c->name; c++)
			if (!(c->needs & CLI_HIDDEN))
				help_command(c);
	(void)printf("\nOptions of set and create, each kept with --save:\n");
	for (int i = 0; i < VP_MAX; i++) {
		const struct vps_param *p = vps_param(i);

		if (p->option)
			(void)printf("   --%-16s %-28s %s\n", p->option, p->arg, p->help);
	}
	for (size_t i = 0; vps_alias_at(i); i++)
		if (vps_alias_at(i)->option)
			(void)printf("   --%-16s writes --%s\n", vps_alias_at(i)->option,
				     vps_param(vps_alias_at(i)->id)->option);
}

/* Options before the command. Return: index of the command, or -1 with *@ret_exit set. */
static int global_flags(struct cli *c, int argc, char **argv, const char **ret_special)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--quiet"))
			c->quiet = true;
		else if (!strcmp(argv[i], "--verbose"))
			c->verbose++;
		else if (!strcmp(argv[i], "--skiplock"))
			c->env.skiplock = true;
		else if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "--help"))
			*ret_special = argv[i];
		else
			break;
	}
	return i;
}

/* Log levels as vz.conf says; without one, errors still reach the terminal. */
static void set_up_log(const struct cli *c, unsigned int needs)
{
	VPS_CONFIG struct vps_config g = { 0 };
	struct vz_log_setup s = { .program = "vzctl", .tty_level = c->verbose };
	struct vz_error ignored;

	vz_log_level(-2); /* the command loads it again and then warns about bad lines */
	if (vps_load_global(&g, &ignored) == 0) {
		s.tty_level = (int)g.verbose + c->verbose;
		s.file_level = (int)g.log_level;
		s.file = g.logging ? g.logfile : NULL;
	}
	if (needs & CLI_SILENT)
		s.tty_level = -1;
	if (c->quiet)
		s.tty_level = -2;
	vz_log_init(&s);
}

static int find_ctid(struct cli *c, const struct cli_cmd *cmd, struct vz_error *err)
{
	char shown[128];

	(void)vz_quote(shown, sizeof(shown), c->word);
	if (strspn(c->word, "0123456789") == strlen(c->word)) {
		if (vps_parse_ctid(c->word, &c->ctid) < 0)
			return vz_fail(err, VZ_EXIT_VALUE, 0, "Bad CT ID %s (allowed: 1 to %d)",
				       shown, VPS_CTID_MAX);
		if (c->ctid == 0 && !(cmd->needs & CLI_ZERO))
			return vz_fail(err, VZ_EXIT_VALUE, 0,
				       "Only set actions are allowed for CT0");
		return 0;
	}
	if ((cmd->needs & CLI_NEW) || !vps_name_valid(c->word, UINT32_MAX))
		return vz_fail(err, VZ_EXIT_VALUE, 0, "Bad CT ID %s", shown);
	if (vps_name_lookup(c->word, &c->ctid) < 0)
		return vz_fail(err, VZ_EXIT_VALUE, 0, "Unable to find VPS by name %s", shown);
	return 0;
}

static int run(struct cli *c, const struct cli_cmd *cmd, int argc, char **argv)
{
	struct vz_error err = { 0 };
	int r = 0, skip = 1;

	set_up_log(c, cmd->needs);
	if (cmd->needs & CLI_CTID) {
		if (argc < 2 || !argv[1][0]) {
			vz_error("CT ID missing");
			return VZ_EXIT_VALUE;
		}
		c->word = argv[1];
		r = find_ctid(c, cmd, &err);
		skip = 2;
	}
	/* the slot before the first argument is what getopt takes for the program's name */
	if (r == 0)
		r = cmd->run(c, argc - skip + 1, argv + skip - 1, &err);
	if (r >= 0)
		return r;
	vz_error("%s", err.msg);
	return err.exit ? err.exit : VZ_EXIT_SYSTEM;
}

/* Commands that need more libraries are in another program beside us. */
static int hand_over(char **argv)
{
	char path[PATH_MAX];

	argv[0] = (char *)"vzctl";
	(void)execv(vps_path(path, "%s/vzctl-admin", vps_paths()->libexec), argv);
	(void)fprintf(stderr, "Unable to run %s: %s\n", path, strerrordesc_np(errno));
	return VZ_EXIT_SYSTEM;
}

int cli_main(int argc, char **argv, const struct cli_cmd *const tables[], bool fall_through)
{
	struct cli c = { .full_argv = argv };
	const struct cli_cmd *cmd;
	const char *special = NULL;
	int at = global_flags(&c, argc, argv, &special);

	if (special && !strcmp(special, "--version")) {
		(void)printf("vzctl version " PACKAGE_VERSION "\n");
		return 0;
	}
	cmd = at < argc ? find(tables, argv[at]) : NULL;
	if (!cmd && fall_through)
		return hand_over(argv);
	if (special || (at < argc && !strcmp(argv[at], "--help"))) {
		cli_help(tables);
		return 0;
	}
	if (at >= argc) {
		(void)dup2(2, 1); /* usage without a question belongs on stderr */
		cli_help(tables);
		return VZ_EXIT_USAGE;
	}
	if (!cmd) {
		char shown[128];

		(void)fprintf(stderr, "Bad command: %s\n",
			      vz_quote(shown, sizeof(shown), argv[at]));
		return VZ_EXIT_USAGE;
	}
	return run(&c, cmd, argc - at, argv + at);
}
