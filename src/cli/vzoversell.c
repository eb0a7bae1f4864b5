/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RAM and swap that VPSes may take together, against what the node has. */
#include "cli/tool.h"

#include "ops/plan.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct tool tool = {
	"vzoversell", "Usage: vzoversell [FILE]\n"
		      "  FILE  a table as /proc/user_beancounters or /proc/bc/resources "
		      "of OpenVZ\n"
};

enum { TABLE_MAX = 64 << 20 };

/** struct usage - one line, pages and items; @flags as in the legend */
struct usage {
	struct plan_row ram, swap;
	char flags[8];
};

static void flag(struct usage *u, char letter)
{
	size_t n = strlen(u->flags);

	if (n + 1 < sizeof(u->flags) && !strchr(u->flags, letter))
		u->flags[n] = letter;
}

/* Refusals of all counters but RAM; swap of a VSwap VPS is not refused but used up. */
static bool others_failed(const struct plan_vps *v)
{
	for (int id = 0; id < VP_MAX; id++)
		if (id != VP_PHYSPAGES && v->row[id].failcnt)
			return true;
	return false;
}

static struct usage usage_of(const struct plan_vps *v)
{
	struct usage u = { .ram = v->row[VP_PHYSPAGES], .swap = v->row[VP_SWAPPAGES] };
	struct plan_ram ram = plan_ram_of(v);

	u.ram.limit = ram.ram_pages;
	if (ram.guessed)
		flag(&u, 'R');
	if (u.ram.limit >= PLAN_NONE)
		flag(&u, 'U');
	if (u.swap.limit >= PLAN_NONE)
		flag(&u, 'S');
	if (others_failed(v))
		flag(&u, 'F');
	else if (u.ram.failcnt)
		flag(&u, 'f');
	return u;
}

static void add_row(struct plan_row *sum, const struct plan_row *one)
{
	sum->held += one->held;
	sum->maxheld += one->maxheld;
	sum->limit += one->limit < PLAN_NONE ? one->limit : 0; /* said by U and S */
	sum->failcnt += one->failcnt;
}

static void cells(const struct plan_row *r)
{
	char a[16], b[16], c[16], d[16];

	(void)printf(" %5s %5s %5s %5s", tool_size(a, r->held, PLAN_PAGE),
		     tool_size(b, r->maxheld, PLAN_PAGE), tool_size(c, r->limit, PLAN_PAGE),
		     tool_size(d, r->failcnt, 1));
}

static void available(const char *what, uint64_t have, uint64_t sold)
{
	char a[16], b[16];

	(void)printf("%-10s available: %5s  allocated: %5s  oversell: ", what,
		     tool_size(a, have, PLAN_PAGE), tool_size(b, sold, PLAN_PAGE));
	if (have == 0)
		(void)puts("- ");
	else
		(void)printf("%.0f%%\n", (double)sold / (double)have * 100);
}

static void legend(const char *flags)
{
	static const struct {
		char letter;
		const char *text;
	} lines[] = {
		{ 'R', "no VSwap: the RAM limit is a guess, half of privvmpages" },
		{ 'U', "RAM is not limited, it is not in the total" },
		{ 'S', "swap is not limited, it is not in the total" },
		{ 'f', "RAM ran out" },
		{ 'F', "a counter other than RAM refused something" },
	};

	if (*flags)
		(void)puts("\nFlags:");
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (strchr(flags, lines[i].letter))
			(void)printf("  %c: %s\n", lines[i].letter, lines[i].text);
}

static void print(const struct plan_vps *all, size_t n, const struct plan_node *node)
{
	uint64_t ram = node->ram_bytes / PLAN_PAGE, swap = node->swap_bytes / PLAN_PAGE;
	struct usage sum = { 0 };

	(void)puts("           --------- RAM ---------  -------- Swap ---------  Flags");
	(void)puts("            used  peak limit fails   used  peak limit fails");
	for (size_t i = 0; i < n; i++) {
		struct usage u = usage_of(&all[i]);

		(void)printf("%10u", all[i].ctid);
		cells(&u.ram);
		(void)putchar(' ');
		cells(&u.swap);
		(void)printf("%s%s\n", *u.flags ? "  " : "", u.flags);
		add_row(&sum.ram, &u.ram);
		add_row(&sum.swap, &u.swap);
		for (const char *f = u.flags; *f; f++)
			flag(&sum, *f);
	}
	(void)puts("           ----- ----- ----- -----  ----- ----- ----- -----");
	(void)printf("%-10s", " TOTAL");
	cells(&sum.ram);
	(void)putchar(' ');
	cells(&sum.swap);
	(void)puts("\n");
	available("RAM", ram, sum.ram.limit);
	available("Swap", swap, sum.swap.limit);
	available("RAM+Swap", ram + swap, sum.ram.limit + sum.swap.limit);
	legend(sum.flags);
}

static ssize_t read_table(const char *path, struct plan_vps **ret)
{
	VZ_FREE char *text = NULL;
	size_t line = 0;
	ssize_t n = vz_read_file(AT_FDCWD, path, TABLE_MAX, &text);

	if (n < 0) {
		(void)tool_fail(&tool, "%s cannot be read: %s", path, strerror((int)-n));
		return n;
	}
	n = plan_parse_table(text, ret, &line);
	if (n < 0)
		(void)tool_fail(&tool, "%s line %zu: no table of beancounters, version 2.5", path,
				line);
	return n;
}

/* Running ones, as a table of beancounters has no others. */
static ssize_t running(struct plan_vps **ret)
{
	struct vz_error err;
	ssize_t all, n = 0;

	if (tool_root())
		return -EPERM;
	all = op_plan_all(ret, &err);
	if (all < 0)
		(void)tool_fail(&tool, "%s", err.msg);
	for (ssize_t i = 0; i < all; i++)
		if ((*ret)[i].running)
			(*ret)[n++] = (*ret)[i];
	return all < 0 ? all : n;
}

int main(int argc, char **argv)
{
	VZ_FREE struct plan_vps *all = NULL;
	struct plan_node node;
	ssize_t n;
	int opt;

	tool_start(&tool);
	opt = getopt(argc, argv, "h");
	if (opt != -1)
		return tool_usage(&tool, opt != 'h');
	if (argc - optind > 1)
		return tool_usage(&tool, 1);
	if (tool_node(&tool, &node))
		return 1;
	n = optind < argc ? read_table(argv[optind], &all) : running(&all);
	if (n < 0)
		return 1;
	print(all, (size_t)n, &node);
	return tool_done(&tool, 0);
}
