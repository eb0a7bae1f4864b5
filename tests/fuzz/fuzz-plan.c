/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Planning. Byte 0: a table of beancounters follows (even) or a configuration (odd); with a configuration bytes 1-7
 * are the node and how many VPSes it is split for. Figures of any table are numbers, and no sum wraps; a repaired
 * configuration needs no further repair; what split writes breaks no rule.
 */
#include "plan/plan.h"
#include "vps/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"
#include "util/log.h"

#include <math.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* bad lines are warned about: not here */
	vz_log_init(&(struct vz_log_setup){ .program = "fuzz", .tty_level = -2, .file_level = -2 });
	return 0;
}

static const struct plan_node some_node = { 1 << 30, 1 << 20, 1 << 30, 1000 };

static void table(const char *text)
{
	VZ_FREE struct plan_vps *v = NULL;
	struct plan_use sum = { 0 };
	size_t line;
	ssize_t n = plan_parse_table(text, &v, &line);

	for (ssize_t i = 0; i < n; i++) {
		struct plan_sums s;
		struct plan_use more;

		MUST(v[i].ctid > 0 && v[i].running);
		plan_sums_of(&v[i], &some_node, &s);
		for (int q = 0; q < PLAN_QUANTITIES; q++)
			for (int c = 0; c < PLAN_COLUMNS; c++)
				MUST(isnan(s.v[q][c]) || s.v[q][c] >= 0);
		more = plan_use_add(sum, plan_use_limit(&v[i], &some_node), 1000000);
		MUST(more.ram_bytes >= sum.ram_bytes && more.memswap_bytes >= sum.memswap_bytes &&
		     more.procs >= sum.procs);
		sum = plan_use_add(more, plan_use_peak(&v[i]), 1);
		MUST(plan_room(&some_node, sum, plan_use_limit(&v[i], &some_node), NULL) <=
		     UINT64_MAX);
	}
}

/* How many rules were broken and mended; those that stand are counted in *@ret_left. */
static int repair(struct vps_config *c, bool vswap, const struct plan_node *node, int *ret_left)
{
	struct plan_finding f;
	int n = 0;

	*ret_left = 0;
	for (size_t i = 0; i < plan_rules(); i++) {
		if (!plan_rule(i, c, vswap, node, &f))
			continue;
		MUST(f.text[0] && !strchr(f.text, '\n') && f.class < PLAN_CLASSES);
		if (f.mended) {
			MUST(f.pair.bar <= PLAN_NONE && f.pair.lim <= PLAN_NONE);
			plan_mend(c, &f);
			n++;
		} else if (f.class != PLAN_RECOMMENDATION) {
			++*ret_left;
		}
	}
	return n;
}

static void configuration(char *text, size_t size, const struct plan_node *node)
{
	for (int vswap = 0; vswap < 2; vswap++) {
		VPS_CONFIG struct vps_config c = { .ctid = 101 };
		VZ_FREE char *copy = fuzz_text((const uint8_t *)text, size);
		int left, again;

		if (vps_load_text(&c, "fuzz", copy, size, VS_VPS, NULL) < 0)
			return;
		vps_imply(&c);
		(void)repair(&c, vswap, node, &left);
		MUST(repair(&c, vswap, node, &again) == 0 && again == left);
	}
}

static void split(const struct plan_node *node, uint64_t n)
{
	const struct plan_disk disk = { node->ram_bytes >> 8, node->threads };
	VPS_CONFIG struct vps_config c = { 0 };
	enum plan_level level;
	struct vz_error err;
	int left;

	if (plan_split(node, &disk, n, false, &c, &level, &err) < 0) {
		MUST(err.exit == 1 && err.msg[0]);
		return;
	}
	MUST(plan_level_text(level)[0]);
	for (size_t i = 0; i < plan_rules(); i++) {
		struct plan_finding f;

		MUST(!plan_rule(i, &c, false, node, &f) || f.class == PLAN_RECOMMENDATION);
	}
	(void)repair(&c, false, node, &left);
	MUST(left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VZ_FREE char *text = NULL;
	struct plan_node node;

	if (size < 8)
		return 0;
	if (data[0] % 2 == 0) {
		text = fuzz_text(data + 1, size - 1);
		table(text);
		return 0;
	}
	/* 32 MiB to 8 TiB, threads from 1 to 16 million */
	node.ram_bytes = UINT64_C(32) << 20 << data[1] % 18 | (uint64_t)data[2] << 20;
	node.swap_bytes = (uint64_t)data[3] << 20 << data[1] % 8;
	node.lowmem_bytes = data[4] % 4 ? node.ram_bytes : node.ram_bytes / 8;
	node.threads = 1 + ((uint64_t)data[5] << data[4] % 16);
	split(&node, 1 + ((uint64_t)data[6] << data[7] % 8));
	text = fuzz_text(data + 8, size - 8);
	configuration(text, size - 8, &node);
	return 0;
}
