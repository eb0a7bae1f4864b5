/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads what counts by BPF; run by vzctl, for people behind vzctl ubc-*; vzctl(8). */
#include "ubc/load.h"
#include "ubc/ubc.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"
#include "vps/vps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int load(bool flag, struct vz_error *err)
{
	return ubc_load(flag, UBC_METHODS, err);
}

static int load_lsm(bool flag, struct vz_error *err)
{
	(void)flag;
	return ubc_load(true, UBC_BY_LSM, err);
}

static int load_fmod(bool flag, struct vz_error *err)
{
	(void)flag;
	return ubc_load(true, UBC_BY_FMOD, err);
}

static int load_nothing(bool flag, struct vz_error *err)
{
	(void)flag;
	return ubc_load(true, UBC_BY_CGROUP, err);
}

static int unload(bool flag, struct vz_error *err)
{
	return ubc_unload(flag, err);
}

static int status_json(const struct ubc_head *h, uint32_t vpses)
{
	VZ_JSON json_t *counters = json_object(), *attached = json_array(), *all = NULL;
	VZ_FREE char *text = NULL;

	for (int c = 0; c < UBC_NR; c++)
		(void)json_object_set_new(counters, ubc_name(c),
					  json_string(ubc_mode_name(h->modes[c])));
	for (int g = 0; g < UBC_GROUPS; g++)
		if (h->attached & 1U << g)
			(void)json_array_append_new(attached, json_string(ubc_object_map(g)));
	all = json_pack("{s:i, s:s, s:s, s:I, s:I, s:O, s:O}", "schema", 1, "method",
			ubc_method_name(h->method), "why", h->why, "version",
			(json_int_t)h->version, "vpses", (json_int_t)vpses, "attached", attached,
			"counters", counters);
	text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
	return text ? puts(text) < 0 : -ENOMEM;
}

static int status(bool json, struct vz_error *err)
{
	UBC_TABLE struct ubc_table *t = NULL;
	const struct ubc_head *h;
	uint32_t vpses = 0;
	int r = ubc_table_open(false, &t);

	if (r == -ENOENT) {
		(void)puts(json ? "{\"schema\": 1, \"method\": null}"
				: "not loaded: the first start does it");
		return 0;
	}
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r,
			       r == -ESTALE ? "the table is of another version: vzctl ubc-load"
					    : "open the table of beancounters");
	h = ubc_head(t);
	for (uint32_t i = 1; i < UBC_SLOTS; i++)
		vpses += t->slot[i].ctid && t->slot[i].flags & UBC_LIVE;
	if (json) {
		r = status_json(h, vpses);
		return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "status") : r;
	}
	(void)printf("method    %s\n", ubc_method_name(h->method));
	if (h->why[0])
		(void)printf("because   %s\n", h->why);
	(void)printf("VPSes     %u\nattached ", vpses);
	for (int g = 0; g < UBC_GROUPS; g++)
		if (h->attached & 1U << g)
			(void)printf(" %s", ubc_object_map(g));
	(void)printf("%s\n", h->attached ? "" : " none: no VPS has such a limit");
	for (int c = 0; c < UBC_NR; c++)
		if (h->modes[c] > UBC_STORED)
			(void)printf("  %-14s %s\n", ubc_name(c), ubc_mode_name(h->modes[c]));
	return 0;
}

static int reconcile(bool flag, struct vz_error *err)
{
	VZ_FREE struct ubc_drift *drift = NULL;
	size_t n = 0;
	int r = ubc_reconcile(&drift, &n, err);

	(void)flag;
	for (size_t i = 0; r == 0 && i < n; i++)
		(void)printf("VPS %u: %s was %" PRId64 " too %s, mended\n", drift[i].ctid,
			     ubc_name(drift[i].counter),
			     drift[i].more > 0 ? drift[i].more : -drift[i].more,
			     drift[i].more > 0 ? "many" : "few");
	if (r == 0 && n == 0)
		(void)puts("nothing was wrong");
	return r;
}

static const struct {
	const char *word, *flag; /* @flag: the option it takes, or NULL */
	int (*run)(bool flag, struct vz_error *err);
	const char *help;
} verbs[] = {
	{ "load", "--again", load, "programs and table, unless they are there" },
	{ "load-below-lsm", NULL, load_lsm,
	  "the best method worse than that one, for who must do without it" },
	{ "load-below-fmod_ret", NULL, load_fmod, "" },
	{ "load-below-cgroup", NULL, load_nothing, "" },
	{ "unload", "--force", unload, "take them away; --force: although VPSes run" },
	{ "status", "--json", status, "what was proved on this node" },
	{ "reconcile", NULL, reconcile, "compare the counts with what is there, and mend them" },
};

static void usage(FILE *to)
{
	(void)fputs("Usage: vz-ubc COMMAND\n\n", to);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		(void)fprintf(to, "  %-19s %-9s %s\n", verbs[i].word,
			      verbs[i].flag ? verbs[i].flag : "", verbs[i].help);
}

static void set_up_log(void)
{
	VPS_CONFIG struct vps_config g = { 0 };
	struct vz_log_setup s = { .program = "vz-ubc" };
	struct vz_error ignored;

	vz_log_level(-2); /* bad lines of vz.conf are told by each vzctl */
	if (vps_load_global(&g, &ignored) == 0) {
		s.file_level = (int)g.log_level;
		s.file = g.logging ? g.logfile : NULL;
	}
	vz_log_init(&s);
}

int main(int argc, char **argv)
{
	struct vz_error err = { 0 };

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && argc <= 3 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		int r;

		if (strcmp(argv[1], verbs[i].word) != 0)
			continue;
		if (argc == 3 && (!verbs[i].flag || strcmp(argv[2], verbs[i].flag) != 0))
			break;
		set_up_log();
		r = verbs[i].run(argc == 3, &err);
		if (r >= 0)
			return r;
		vz_error("%s", err.msg);
		return err.exit ? err.exit : VZ_EXIT_SYSTEM;
	}
	usage(stderr);
	return VZ_EXIT_USAGE;
}
