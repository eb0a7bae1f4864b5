/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The option engine: getopt_long over the rows of a command and of the parameter table. */
#include "cli/cli.h"

#include "util/fd.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { OWN_BASE = 1000, PARAM_BASE = 2000, ALIAS_BASE = 3000 };

/* The one-letter options of vzctl's beancounters. */
static const struct {
	char letter;
	enum vps_param_id id;
} letters[] = {
	{ 'p', VP_NUMPROC },	 { 'k', VP_KMEMSIZE },	 { 'b', VP_TCPRCVBUF },
	{ 'l', VP_LOCKEDPAGES }, { 'n', VP_NUMFILE },	 { 'f', VP_NUMFLOCK },
	{ 't', VP_NUMPTY },	 { 'i', VP_NUMSIGINFO }, { 'x', VP_DCACHESIZE },
	{ 'e', VP_NUMIPTENT },
};

struct table {
	struct option o[VP_MAX + 64];
	size_t n;
	char letters[64];
};

static void add(struct table *t, const char *name, bool arg, int val)
{
	t->o[t->n++] = (struct option){ name, arg ? required_argument : no_argument, NULL, val };
	t->o[t->n] = (struct option){ 0 };
}

static void build(struct table *t, const struct cli_cmd *cmd)
{
	size_t l = 0;

	t->letters[l++] = ':'; /* we word the errors ourselves */
	for (int i = 0; cmd->opts && cmd->opts[i].name; i++) {
		const struct cli_opt *o = &cmd->opts[i];

		add(t, o->name, o->arg != NULL, OWN_BASE + i);
		if (o->letter) {
			t->letters[l++] = o->letter;
			if (o->arg)
				t->letters[l++] = ':';
		}
	}
	if (cmd->needs & CLI_PARAMS) {
		for (int i = 0; i < VP_MAX; i++)
			if (vps_param(i)->option)
				add(t, vps_param(i)->option, true, PARAM_BASE + i);
		for (size_t i = 0; vps_alias_at(i); i++)
			if (vps_alias_at(i)->option)
				add(t, vps_alias_at(i)->option, true, ALIAS_BASE + (int)i);
		for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++) {
			t->letters[l++] = letters[i].letter;
			t->letters[l++] = ':';
		}
	}
	t->letters[l] = '\0';
}

/*
 * A copy that lives as long as the program, and nothing left of @text where ps and /proc/PID/cmdline
 * show it to every user of the node. One too long for any use is cut, and refused by its reader.
 */
static const char *hide(char *text)
{
	static char secret[1024];

	(void)snprintf(secret, sizeof(secret), "%s", text);
	explicit_bzero(text, strlen(text));
	return secret;
}

static int own_option(const struct cli_opt *o, void *args, char *text)
{
	char *field = (char *)args + o->offset;

	if (o->kind == CLI_FLAG)
		*(bool *)field = true;
	else if (o->kind == CLI_TEXT)
		*(const char **)field = text;
	else if (o->kind == CLI_SECRET)
		*(const char **)field = hide(text);
	return 0;
}

int cli_add_change(struct op_change **changes, size_t *n, enum vps_param_id id, enum vps_mode mode,
		   const char *text)
{
	struct op_change *more;

	if (!changes || !n)
		return -EINVAL; /* a command without CLI_PARAMS has no such option */
	more = reallocarray(*changes, *n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*changes = more;
	more[(*n)++] = (struct op_change){ id, mode, text };
	return 0;
}

static int letter_option(const struct cli_cmd *cmd, int c, void *args, struct op_change **changes,
			 size_t *n)
{
	for (int i = 0; cmd->opts && cmd->opts[i].name; i++)
		if (cmd->opts[i].letter == c)
			return own_option(&cmd->opts[i], args, optarg);
	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
		if (letters[i].letter == c)
			return cli_add_change(changes, n, letters[i].id, PM_SET, optarg);
	return -EINVAL;
}

/* Is @name an option of some command at all? Then it is merely in the wrong place. */
static bool known_elsewhere(const char *name)
{
	static const char *const others[] = { "save",		"force",	 "wait",
					      "fast",		"skip-umount",	 "ostemplate",
					      "config",		"exec",		 "reset_ub",
					      "setmode",	"applyconfig",	 "userpasswd",
					      "skip_ve_setup",	"skip-remount",	 "skip-fsck",
					      "skip_arpdetect", "offline-resize" };
	enum vps_mode mode;
	size_t n = strcspn(name, "=");
	char plain[64];

	if (n >= sizeof(plain))
		return false;
	memcpy(plain, name, n);
	plain[n] = '\0';
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strcmp(others[i], plain))
			return true;
	return vps_param_by_option(plain, &mode) >= 0;
}

static int unknown(const struct cli_cmd *cmd, const char *text, struct vz_error *err)
{
	int exit = cmd->needs & CLI_BAD_OPTION_21 ? VZ_EXIT_VALUE : VZ_EXIT_USAGE;
	char shown[128];

	if (!strncmp(text, "--", 2) && known_elsewhere(text + 2))
		return vz_fail(err, VZ_EXIT_USAGE, 0, "Option %s is not applicable to %s command",
			       vz_quote(shown, sizeof(shown), text), cmd->name);
	return vz_fail(err, exit, 0, "Invalid option: %s", vz_quote(shown, sizeof(shown), text));
}

int cli_parse(const struct cli_cmd *cmd, int argc, char **argv, void *args,
	      struct op_change **changes, size_t *nchanges, int *ret_words, struct vz_error *err)
{
	struct table t = { .n = 0 };
	int c, r = 0, words = 0;

	build(&t, cmd);
	opterr = 0;
	optind = 0;
	while (r == 0 && (c = getopt_long(argc, argv, t.letters, t.o, NULL)) != -1) {
		const char *seen = optind > 0 ? argv[optind - 1] : "";

		if (c == ':')
			return vz_fail(
				err, cmd->needs & CLI_BAD_OPTION_21 ? VZ_EXIT_VALUE : VZ_EXIT_USAGE,
				0, "Option %s needs an argument", seen);
		if (c == '?')
			return unknown(cmd, seen, err);
		if (c >= ALIAS_BASE) {
			const struct vps_alias *a = vps_alias_at((size_t)(c - ALIAS_BASE));

			r = cli_add_change(changes, nchanges, a->id, a->mode, optarg);
		} else if (c >= PARAM_BASE) {
			r = cli_add_change(changes, nchanges, (enum vps_param_id)(c - PARAM_BASE),
					   PM_SET, optarg);
		} else if (c >= OWN_BASE) {
			r = own_option(&cmd->opts[c - OWN_BASE], args, optarg);
		} else {
			r = letter_option(cmd, c, args, changes, nchanges);
		}
	}
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "options");
	for (int i = optind; i < argc; i++)
		argv[words++] = argv[i];
	if (words && !(cmd->needs & CLI_WORDS)) {
		char shown[128];

		return vz_fail(err, VZ_EXIT_USAGE, 0, "Invalid extra arguments: %s",
			       vz_quote(shown, sizeof(shown), argv[0]));
	}
	*ret_words = words;
	return 0;
}
