/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "ops/ops.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct cli - one run of vzctl: global flags and the VPS it is about */
struct cli {
	struct op_env env;
	bool quiet;
	int verbose;
	char *const *full_argv; /* as given to main */
	uint32_t ctid;
	const char *word; /* CTID or name as typed */
};

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_SECRET, CLI_MORE };

/** struct cli_opt - one option of a command; @offset into the command's argument struct */
struct cli_opt {
	const char *name;
	char letter; /* 0: none */
	enum cli_kind
		kind; /* CLI_FLAG: bool; CLI_TEXT, CLI_SECRET: const char *; CLI_MORE: no effect here */
	size_t offset;
	const char *arg, *help;
};

enum cli_needs {
	CLI_CTID = 1 << 0, /* a CTID or name follows the command */
	CLI_PARAMS = 1 << 1, /* options of the parameter table too */
	CLI_WORDS =
		1 << 2, /* plain words are allowed; otherwise they are "Invalid extra arguments" */
	CLI_RAW = 1 << 3, /* everything after the CTID belongs to the command inside */
	CLI_ZERO = 1 << 4, /* CTID 0 is legal */
	CLI_NEW = 1 << 5, /* the VPS need not exist: a name cannot be looked up */
	CLI_HIDDEN = 1 << 6,
	CLI_SILENT = 1 << 7, /* nothing but the result on stdout */
	CLI_BAD_OPTION_21 = 1 << 8, /* unknown options give 21 instead of 20 (set, create) */
};

struct cli_cmd {
	const char *name;
	/* Return: exit status >= 0, or negative with @err */
	int (*run)(struct cli *c, int argc, char **argv, struct vz_error *err);
	const struct cli_opt *opts;
	const char *args;
	unsigned int needs;
	const char *help;
};

const struct cli_cmd *
cli_light_commands(void); /* exec, enter, status...: end marked by a NULL name */
const struct cli_cmd *cli_admin_commands(void);

const struct cli_cmd *cli_ubc_commands(void); /* cmd-failures.c */
const struct cli_cmd *cli_precheck_commands(void); /* cmd-precheck.c */

/**
 * cli_main - parse global flags, find the command in @tables (NULL-ended), run it. Return: exit
 * status.
 */
int cli_main(int argc, char **argv, const struct cli_cmd *const tables[], bool fall_through);

/**
 * cli_parse - options of @cmd into @args, and of the parameter table into @changes
 * @changes, @nchanges: NULL unless CLI_PARAMS; malloc'ed array that points into argv
 * Plain words are moved to the front of @argv; *@ret_words of them.
 * Return: 0; -EINVAL with @err.
 */
int cli_parse(const struct cli_cmd *cmd, int argc, char **argv, void *args,
	      struct op_change **changes, size_t *nchanges, int *ret_words, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * cli_add_change - append to the array of cli_parse. @text is borrowed. 0 or -ENOMEM, -EINVAL
 * without array.
 */
int cli_add_change(struct op_change **changes, size_t *n, enum vps_param_id id, enum vps_mode mode,
		   const char *text) __attribute__((warn_unused_result));

/** cli_help - usage of every command in @tables on @out. */
void cli_help(const struct cli_cmd *const tables[]);

#endif
