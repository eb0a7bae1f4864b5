/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a configuration make sense: the rules between beancounters. */
#include "cli/tool.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct tool tool = { "vzcfgvalidate",
				  "Usage: vzcfgvalidate [-r | -i] [-v yes|no] FILE\n"
				  "  -r  repair\n"
				  "  -i  ask before each repair\n"
				  "  -v  rules of VSwap, or those between barriers and limits; "
				  "else as the file is\n" };

enum { VALID = 0, NOT_RUN = 1, INVALID = 2 };

struct validation {
	const char *path;
	struct plan_node node;
	struct vps_config c;
	bool repair, ask, vswap;
	bool changed[VP_MAX];
	unsigned int wrong; /* errors and warnings that stand */
};

/* A line of standard input is y, n or empty (y); its end is n. */
static bool yes(void)
{
	char line[256];

	for (;;) {
		(void)fputs("(y/n) [y] ", stdout);
		(void)fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return false;
		if (*line == 'y' || *line == '\n')
			return true;
		if (*line == 'n')
			return false;
	}
}

static void side(uint64_t v)
{
	if (v >= PLAN_NONE)
		(void)fputs("unlimited", stdout);
	else
		(void)printf("%" PRIu64, v);
}

static bool mend(struct validation *v, const struct plan_finding *f)
{
	if (!f->mended || (!v->repair && !v->ask))
		return false;
	(void)fputs("set to ", stdout);
	side(f->pair.bar);
	if (f->pair.bar != f->pair.lim) {
		(void)putchar(':');
		side(f->pair.lim);
	}
	(void)putchar(v->ask ? ' ' : '\n');
	if (v->ask && !yes())
		return false;
	plan_mend(&v->c, f);
	v->changed[f->id] = true;
	return true;
}

static void check(struct validation *v)
{
	static const char *const words[PLAN_CLASSES] = { "Error", "Warning", "Recommendation" };

	for (size_t i = 0; i < plan_rules(); i++) {
		struct plan_finding f;

		if (!plan_rule(i, &v->c, v->vswap, &v->node, &f))
			continue;
		(void)printf("%s: %s\n", words[f.class], f.text);
		if (!mend(v, &f) && f.class != PLAN_RECOMMENDATION)
			v->wrong++;
	}
}

static bool any(const bool changed[VP_MAX])
{
	for (int id = 0; id < VP_MAX; id++)
		if (changed[id])
			return true;
	return false;
}

/* Saved only when it is valid then: half a repair would look like a whole one. */
static int validate(struct validation *v)
{
	struct vz_error err;

	check(v);
	if (v->wrong)
		return INVALID;
	if (any(v->changed) && vps_save_to(v->path, &v->c, v->changed, &err) < 0) {
		(void)tool_fail(&tool, "%s", err.msg);
		return NOT_RUN;
	}
	(void)puts("Validation completed: success");
	return VALID;
}

static int load(struct validation *v)
{
	int r = vps_load_file(&v->c, v->path, VS_VPS, NULL);

	if (r < 0)
		return tool_fail(&tool, "%s cannot be read: %s", v->path, strerror(-r));
	if (r > 0) { /* each was told by the reader */
		(void)printf("Error: %d line(s) with a bad value\n", r);
		v->wrong++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct validation v = { 0 };
	const char *vswap = NULL;
	int opt, r;

	vz_log_init(&(struct vz_log_setup){ .program = tool.name, .file_level = -2 });
	while ((opt = getopt(argc, argv, "riv:h")) != -1) {
		if (opt == 'r')
			v.repair = true;
		else if (opt == 'i')
			v.ask = true;
		else if (opt == 'v')
			vswap = optarg;
		else
			return tool_usage(&tool, opt == 'h' ? 0 : NOT_RUN);
	}
	if (argc - optind != 1)
		return tool_usage(&tool, NOT_RUN);
	if (vswap && vz_parse_bool(vswap, &v.vswap) < 0)
		return tool_fail(&tool, "bad value for -v: \"%s\" (allowed: yes, no)", vswap);
	v.path = argv[optind];
	if (load(&v) || tool_node(&tool, &v.node)) {
		r = NOT_RUN;
	} else {
		if (!vswap)
			v.vswap = vps_is_vswap(&v.c);
		r = validate(&v);
	}
	vps_config_clear(&v.c);
	return tool_done(&tool, r);
}
