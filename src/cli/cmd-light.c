/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that only look or join: no network, archive or cgroup library comes with them. */
#include "cli/cli.h"

#include "util/fd.h"
#include "util/parse.h"

#include <stdio.h>
#include <string.h>

static int cmd_status(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	VZ_LIST struct vz_list left = { 0 };
	struct op_status_words s;

	if (argc > 1)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "Invalid extra arguments: %s", argv[1]);
	s = op_status(c->ctid, &left);
	(void)printf("CTID %u %s %s %s%s\n", c->ctid, s.exists ? "exist" : "deleted",
		     s.mounted ? "mounted" : "unmounted", s.running ? "running" : "down",
		     s.suspended ? " suspended" : "");
	for (size_t i = 0; !c->quiet && i < left.n; i++)
		(void)fprintf(stderr, "%s\n", left.v[i]);
	return 0;
}

/*
 * `exec` tells only whether it worked: 8 for any failing command; exec2 and exec3 give its status.
 */
static int run_exec(struct cli *c, int argc, char **argv, bool shell, bool plain_code,
		    struct vz_error *err)
{
	enum op_exec_kind kind = shell ? OP_EXEC_SHELL : OP_EXEC_PLAIN;
	int r;

	if (argc < 2)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "No command line given for exec");
	r = op_seal(c->full_argv, err);
	if (r < 0)
		return r;
	if (shell && argc == 2 && !strcmp(argv[1], "-"))
		kind = OP_EXEC_STDIN;
	r = op_exec(c->ctid, kind, argv + 1, err);
	return r > 0 && !plain_code ? VZ_EXIT_COMMAND : r;
}

static int cmd_exec(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	return run_exec(c, argc, argv, true, false, err);
}

static int cmd_exec2(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	return run_exec(c, argc, argv, true, true, err);
}

static int cmd_exec3(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	return run_exec(c, argc, argv, false, true, err);
}

static int cmd_enter(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	VZ_BUF struct vz_buf type = { 0 };
	int r;

	if (argc > 1 && strcmp(argv[1], "--exec") != 0)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "Invalid extra arguments: %s", argv[1]);
	for (int i = 2; i < argc; i++) {
		vz_buf_str(&type, argv[i]);
		vz_buf_str(&type, i + 1 < argc ? " " : "\n");
	}
	r = op_seal(c->full_argv, err);
	if (r < 0)
		return r;
	return op_enter(c->ctid, type.s, err);
}

static int cmd_console(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	uint64_t tty = 0;

	if (argc > 2)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "Invalid extra arguments: %s", argv[2]);
	if (argc == 2 && (vz_parse_u64(argv[1], 0, 11, &tty) < 0 || tty != 0))
		return vz_fail(err, VZ_EXIT_VALUE, 0,
			       "Invalid tty number %s (allowed: 0, the console)", argv[1]);
	return op_console(c->ctid, err);
}

const struct cli_cmd *cli_light_commands(void)
{
	static const struct cli_cmd commands[] = {
		{ "exec", cmd_exec, NULL, "<command> [arg ...] | -", CLI_CTID | CLI_RAW,
		  "run a shell line" },
		{ "exec2", cmd_exec2, NULL, "<command> [arg ...] | -", CLI_CTID | CLI_RAW,
		  "the same, with the command's exit code" },
		{ "exec3", cmd_exec3, NULL, "<program> [arg ...]", CLI_CTID | CLI_RAW,
		  "run a program without a shell" },
		{ "enter", cmd_enter, NULL, "[--exec <command> [arg ...]]", CLI_CTID | CLI_RAW,
		  "root shell" },
		{ "console", cmd_console, NULL, "[ttyno]", CLI_CTID, "attach to the console" },
		{ "status", cmd_status, NULL, "", CLI_CTID | CLI_ZERO | CLI_SILENT,
		  "one line of state" },
		{ 0 },
	};

	return commands;
}
