/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What running VPSes use of the node's memory, and what they are promised. */
#include "cli/tool.h"

#include "ops/plan.h"
#include "util/fd.h"

#include <math.h>
#include <stdio.h>

static const struct tool tool = { "vzmemcheck", "Usage: vzmemcheck [-v] [-A]\n"
						"  -v  each VPS\n"
						"  -A  megabytes, not percents\n" };

/* The eight columns. */
static const struct {
	enum plan_quantity q;
	enum plan_column c;
} columns[] = {
	{ PLAN_LOWMEM, PLAN_CURRENT },	 { PLAN_LOWMEM, PLAN_PROMISED },
	{ PLAN_RAM, PLAN_CURRENT },	 { PLAN_MEMSWAP, PLAN_CURRENT },
	{ PLAN_MEMSWAP, PLAN_PROMISED }, { PLAN_ALLOC, PLAN_CURRENT },
	{ PLAN_ALLOC, PLAN_PROMISED },	 { PLAN_ALLOC, PLAN_MAX },
};
enum { COLUMNS = sizeof(columns) / sizeof(*columns) };

static double value(const struct plan_sums *s, const struct plan_node *node, int i, bool mbytes)
{
	double v = s->v[columns[i].q][columns[i].c];

	return mbytes ? v / (1024 * 1024) : v / plan_whole(node, columns[i].q) * 100;
}

static void line(const struct plan_sums *s, const struct plan_node *node, bool mbytes)
{
	char text[32];

	for (int i = 0; i < COLUMNS; i++)
		(void)printf("%s%s", i ? " " : "",
			     tool_number(text, sizeof(text), 7, value(s, node, i, mbytes)));
	(void)putchar('\n');
}

/* What the columns are parts of. */
static void wholes(const struct plan_node *node)
{
	struct plan_sums s;

	for (int q = 0; q < PLAN_QUANTITIES; q++)
		for (int c = 0; c < PLAN_COLUMNS; c++)
			s.v[q][c] = plan_whole(node, (enum plan_quantity)q);
	line(&s, node, true);
}

static void header(bool verbose, bool mbytes)
{
	(void)printf("Output values in %s\n", mbytes ? "Mbytes" : "%");
	(void)printf("%s LowMem  LowMem     RAM MemSwap MemSwap   Alloc   Alloc   Alloc\n",
		     verbose ? "CTID       " : "");
	(void)printf("%s   util  commit    util    util  commit    util  commit   limit\n",
		     verbose ? "           " : "");
}

static void print(const struct plan_vps *all, size_t n, const struct plan_node *node, bool verbose,
		  bool mbytes)
{
	struct plan_sums sum = { 0 }, one;

	header(verbose, mbytes);
	for (size_t i = 0; i < n; i++) {
		if (!all[i].running)
			continue;
		plan_sums_of(&all[i], node, &one);
		plan_sums_add(&sum, &one);
		if (!verbose)
			continue;
		(void)printf("%-10u ", all[i].ctid);
		line(&one, node, mbytes);
	}
	if (verbose)
		(void)printf("%.*s\nSummary:   ", 74,
			     "--------------------------------------------------------------------"
			     "------");
	line(&sum, node, mbytes);
	if (mbytes) {
		(void)printf("%s", verbose ? "           " : "");
		wholes(node);
	}
}

int main(int argc, char **argv)
{
	VZ_FREE struct plan_vps *all = NULL;
	bool verbose = false, mbytes = false;
	struct plan_node node;
	struct vz_error err;
	ssize_t n;
	int opt;

	tool_start(&tool);
	while ((opt = getopt(argc, argv, "vAh")) != -1) {
		if (opt != 'v' && opt != 'A')
			return tool_usage(&tool, opt != 'h');
		verbose = verbose || opt == 'v';
		mbytes = mbytes || opt == 'A';
	}
	if (optind != argc)
		return tool_usage(&tool, 1);
	if (tool_root() || tool_node(&tool, &node))
		return 1;
	n = op_plan_all(&all, &err);
	if (n < 0)
		return tool_fail(&tool, "%s", err.msg);
	print(all, (size_t)n, &node, verbose, mbytes);
	return tool_done(&tool, 0);
}
