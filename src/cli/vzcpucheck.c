/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of the node's CPU is promised: the cpuunits in force against what the node has. */
#include "ops/list.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	EXIT_FAILED = 1,
	EXIT_WRONG_USE = 2,
	UNITS_DEFAULT = 1000,
	UNITS_PER_BOGOMIPS = 25, /* vzcpucheck(8) of OpenVZ */
	CPUINFO_MAX = 64 << 20,
};

static void usage(FILE *to)
{
	(void)fputs("Usage: vzcpucheck [-v]\n"
		    "  -v   the cpuunits of each VPS that runs, 0 is the node itself\n",
		    to);
}

/* Sum of the "bogomips : 4788.90" lines, one for each CPU. Return: 0; -ENOENT none; -errno. */
static int power_of_node(double *ret)
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &text);
	double sum = 0;

	if (n < 0)
		return (int)n;
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		double one;

		/* "BogoMIPS" on ARM */
		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
		if (!strncasecmp(p, "bogomips", 8) && sscanf(p + 8, " : %lf", &one) == 1)
			sum += one * UNITS_PER_BOGOMIPS;
	}
	*ret = sum;
	return sum > 0 ? 0 : -ENOENT;
}

static uint64_t units_of(bool set, uint64_t units)
{
	return set && units ? units : UNITS_DEFAULT;
}

static void row(uint32_t ctid, uint64_t units)
{
	(void)printf("%" PRIu32 "\t\t%" PRIu64 "\n", ctid, units);
}

/* cpuunits of the node and of every VPS that runs. */
static int promised(bool rows, uint64_t *ret, struct vz_error *err)
{
	VPS_CONFIG struct vps_config global = { 0 };
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n = vps_load_global(&global, err) < 0 ? -1 : op_list_ctids(&ids, err);
	uint64_t sum = units_of(vps_is_set(&global, VP_VE0CPUUNITS), global.ve0cpuunits);

	if (n < 0)
		return -1;
	if (rows) {
		(void)puts("VEID\t\tCPUUNITS\n-------------------------");
		row(0, sum);
	}
	for (ssize_t i = 0; i < n; i++) {
		OP_FACTS struct op_facts f = { 0 };
		uint64_t units;

		op_list_facts(ids[i], OP_NEED_CONF | OP_NEED_RUNNING | OP_NEED_LIVE, &global, NULL,
			      &f);
		if (f.status != OP_RUNNING)
			continue;
		units = units_of(vps_is_set(&f.cfg, VP_CPUUNITS), f.cfg.cpuunits);
		if (rows)
			row(ids[i], units);
		sum += units;
	}
	*ret = sum;
	return 0;
}

int main(int argc, char **argv)
{
	bool rows = argc == 2 && !strcmp(argv[1], "-v");
	struct vz_error err = { 0 };
	double power = 0;
	uint64_t units;

	if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		usage(stdout);
		return 0;
	}
	if (argc > 1 && !rows) {
		usage(stderr);
		return EXIT_WRONG_USE;
	}
	vz_log_level(-2); /* bad lines are told by vzctl */
	if (promised(rows, &units, &err) < 0) {
		(void)fprintf(stderr, "vzcpucheck: %s\n", err.msg);
		return EXIT_FAILED;
	}
	if (power_of_node(&power) < 0) {
		(void)fputs("vzcpucheck: /proc/cpuinfo tells no bogomips\n", stderr);
		return EXIT_FAILED;
	}
	(void)printf("Current CPU utilization: %" PRIu64 "\nPower of the node: %.10g\n", units,
		     power);
	if ((double)units > power)
		(void)puts("Warning: hardware node is overcommitted");
	if (fflush(stdout) != 0) {
		perror("vzcpucheck: write");
		return EXIT_FAILED;
	}
	return 0;
}
