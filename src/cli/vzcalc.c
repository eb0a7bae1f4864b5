/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What part of the node one VPS takes. */
#include "cli/tool.h"

#include "ops/plan.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static const struct tool tool = { "vzcalc", "Usage: vzcalc [-v] CTID|NAME\n" };

static const char *const names[PLAN_QUANTITIES] = { "Low Mem", "Total RAM", "Mem + Swap",
						    "Alloc. Mem", "Num. Proc" };

static void row(const char *name, const double part[PLAN_COLUMNS])
{
	char text[PLAN_COLUMNS][32];

	for (int c = 0; c < PLAN_COLUMNS; c++)
		(void)tool_number(text[c], sizeof(text[c]), 10, part[c] * 100);
	(void)printf("%-10s %s %s %s\n", name, text[PLAN_CURRENT], text[PLAN_PROMISED],
		     text[PLAN_MAX]);
}

static void print(const struct plan_sums *sums, const struct plan_node *node, bool verbose)
{
	double most[PLAN_COLUMNS] = { NAN, NAN, NAN };

	(void)puts("Resource     Current(%)  Promised(%)  Max(%)");
	for (int q = 0; q < PLAN_QUANTITIES; q++) {
		double part[PLAN_COLUMNS];

		for (int c = 0; c < PLAN_COLUMNS; c++) {
			part[c] = sums->v[q][c] / plan_whole(node, (enum plan_quantity)q);
			if (!isnan(part[c]) && !(part[c] <= most[c]))
				most[c] = part[c];
		}
		if (verbose)
			row(names[q], part);
	}
	if (verbose)
		(void)puts("--------------------------------------------");
	row("Memory", most);
}

int main(int argc, char **argv)
{
	VPS_CONFIG struct vps_config global = { 0 };
	struct plan_node node;
	struct plan_sums sums;
	struct plan_vps v;
	struct vz_error err;
	bool verbose = false;
	uint32_t ctid;
	int opt;

	tool_start(&tool);
	while ((opt = getopt(argc, argv, "vh")) != -1) {
		if (opt != 'v')
			return tool_usage(&tool, opt != 'h');
		verbose = true;
	}
	if (argc - optind != 1)
		return tool_usage(&tool, 1);
	if (tool_root() || tool_ctid(&tool, argv[optind], &ctid) || tool_node(&tool, &node))
		return 1;
	if (vps_load_global(&global, &err) < 0)
		return tool_fail(&tool, "%s", err.msg);
	if (op_plan_vps(ctid, &global, &v) < 0)
		return tool_fail(&tool, "there is no VPS %u", ctid);
	plan_sums_of(&v, &node, &sums);
	print(&sums, &node, verbose);
	return tool_done(&tool, 0);
}
