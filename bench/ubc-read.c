/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What reading beancounters costs. Usage: ubc-read [CTID]
 * Without an argument: all 21 counters of 1000 VPSes from the table alone, as it is where BPF programs count: a file
 * of that layout in a directory of its own, opened, mapped, read and closed each time, its pages in memory. Left out
 * is what programs do not count: groups (processes, memory) and samples.
 * With the CTID of a VPS that runs (CROFT_ROOT as it was started): the parts of a whole sample of it.
 */
#include "ops/ubc.h"
#include "ubc/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VPSES = 1000, ROUNDS = 50 };

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void say(const char *what, double v[ROUNDS])
{
	qsort(v, ROUNDS, sizeof(*v), by_size);
	printf("%-44s median %.3f ms, least %.3f ms\n", what, v[ROUNDS / 2], v[0]);
}

static int fill(void)
{
	UBC_TABLE struct ubc_table *t = NULL;
	int r = vz_mkdir_p(vps_paths()->run, 0755);

	if (r == 0)
		r = ubc_make_file("bench");
	if (r == 0)
		r = ubc_table_open(true, &t);
	for (uint32_t i = 0; r == 0 && i < VPSES; i++) {
		struct ubc_slot *s = ubc_take(t, 100 + i);

		if (!s)
			return -ENOSPC;
		for (int c = 0; c < UBC_NR; c++)
			s->row[c] = (struct ubc_row){ i, 2 * i, 3, 4, 5 };
	}
	return r;
}

/* What a reader does with the table, all of it. */
static int read_all(uint64_t *sum)
{
	UBC_TABLE struct ubc_table *t = NULL;
	int r = ubc_table_open(false, &t);

	for (uint32_t i = 0; r == 0 && i < VPSES; i++) {
		const struct ubc_slot *s = ubc_slot(t, 100 + i);

		for (int c = 0; s && c < UBC_NR; c++) {
			const struct ubc_row *w = &s->row[c];

			*sum += w->held + w->maxheld + w->barrier + w->limit + w->failcnt;
		}
	}
	return r;
}

static int table(void)
{
	char root[] = "/tmp/croft-bench.XXXXXX";
	double took[ROUNDS];
	uint64_t sum = 0;
	int r;

	if (!mkdtemp(root) || setenv("CROFT_ROOT", root, 1) < 0)
		return 1;
	r = fill();
	for (int i = 0; r == 0 && i < ROUNDS; i++) {
		double from = now_ms();

		r = read_all(&sum);
		took[i] = now_ms() - from;
	}
	(void)!vz_rm_rf(AT_FDCWD, root);
	if (r < 0 || sum == 0) {
		(void)fprintf(stderr, "ubc-read: %s\n", strerrordesc_np(-r));
		return 1;
	}
	say("all counters of 1000 VPSes from the table", took);
	return 0;
}

static int sample(const char *what, uint32_t ctid, uint32_t want, op_ubc_net_fn *net)
{
	VPS_CONFIG struct vps_config cfg = { 0 };
	VPS_STATE struct vps_state st = { 0 };
	double took[ROUNDS];
	struct vz_error err;

	if (vps_load(ctid, &cfg, NULL, &err) < 0 || !vps_running(ctid, &st)) {
		(void)fprintf(stderr, "ubc-read: VPS %" PRIu32 " does not run\n", ctid);
		return 1;
	}
	for (int i = 0; i < ROUNDS; i++) {
		OP_UBC_READER struct op_ubc_reader rd;
		struct op_ubc u;
		double from = now_ms();

		op_ubc_open(&rd, true, net);
		op_ubc_rows(&rd, ctid, &cfg, &st, want, &u);
		took[i] = now_ms() - from;
	}
	say(what, took);
	return 0;
}

int main(int argc, char **argv)
{
	const uint32_t groups = OP_UBC_BIT(UBC_NUMPROC) | OP_UBC_BIT(UBC_PHYSPAGES) |
				OP_UBC_BIT(UBC_SWAPPAGES) | OP_UBC_BIT(UBC_KMEMSIZE) |
				OP_UBC_BIT(UBC_SHMPAGES) | OP_UBC_BIT(UBC_DCACHESIZE) |
				OP_UBC_BIT(UBC_OOMGUARPAGES) | OP_UBC_BIT(UBC_VMGUARPAGES);
	const uint32_t net = OP_UBC_BIT(UBC_NUMIPTENT) | OP_UBC_BIT(UBC_TCPSNDBUF) |
			     OP_UBC_BIT(UBC_TCPRCVBUF) | OP_UBC_BIT(UBC_OTHERSOCKBUF) |
			     OP_UBC_BIT(UBC_DGRAMRCVBUF);
	uint32_t ctid;

	if (argc < 2)
		return table();
	if (vps_parse_ctid(argv[1], &ctid) < 0) {
		(void)fprintf(stderr, "ubc-read: no CTID\n");
		return 1;
	}
	return sample("one VPS: control groups", ctid, groups, NULL) ||
	       sample("one VPS: processes, locks, socket numbers", ctid,
		      OP_UBC_ALL & ~groups & ~net, NULL) ||
	       sample("one VPS: rules and socket buffers", ctid, net, op_ubc_net) ||
	       sample("one VPS: everything", ctid, OP_UBC_ALL, op_ubc_net);
}
