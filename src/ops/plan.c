/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/plan.h"

#include "ops/list.h"
#include "util/fd.h"

static uint64_t stat_of(const struct op_facts *f, enum cg_stat what, uint64_t unit)
{
	return f->known & (1U << what) ? f->stat[what] / unit : 0;
}

static void put(struct plan_row *row, uint64_t held, uint64_t peak, uint64_t failcnt)
{
	row->held = held;
	row->maxheld = peak > held ? peak : held;
	row->failcnt = failcnt;
}

/*
 * What is counted of a running VPS: the only place that knows where numbers come from. Control groups count kernel
 * memory and buffers in physpages. What they do not tell is at least what is in use: oomguarpages is RAM and swap by
 * definition, and nothing is in use that was not allocated.
 */
static void count(const struct op_facts *f, struct plan_vps *v)
{
	struct plan_row *row = v->row;
	uint64_t swap = stat_of(f, CG_STAT_SWAP, PLAN_PAGE);

	v->running = true;
	v->kernel_in_ram = true;
	put(&row[VP_NUMPROC], stat_of(f, CG_STAT_PIDS, 1), stat_of(f, CG_STAT_PIDS_PEAK, 1),
	    stat_of(f, CG_STAT_PIDS_FAIL, 1));
	put(&row[VP_PHYSPAGES], stat_of(f, CG_STAT_MEM, PLAN_PAGE),
	    stat_of(f, CG_STAT_MEM_PEAK, PLAN_PAGE), stat_of(f, CG_STAT_MEM_FAIL, 1));
	put(&row[VP_SWAPPAGES], swap, swap, stat_of(f, CG_STAT_SWAP_FAIL, 1));
	put(&row[VP_OOMGUARPAGES], row[VP_PHYSPAGES].held + swap, row[VP_PHYSPAGES].maxheld + swap,
	    0);
	put(&row[VP_PRIVVMPAGES], row[VP_OOMGUARPAGES].held, row[VP_OOMGUARPAGES].maxheld, 0);
}

int op_plan_vps(uint32_t ctid, const struct vps_config *global, struct plan_vps *ret)
{
	const unsigned int needs = OP_NEED_CONF | OP_NEED_RUNNING | OP_NEED_LIVE | OP_NEED_PIDS |
				   OP_NEED_MEM | OP_NEED_SWAP;
	OP_FACTS struct op_facts f = { 0 };

	op_list_facts(ctid, needs, global, NULL, &f);
	if (!f.has_conf && f.status != OP_RUNNING)
		return -ENOENT;
	plan_limits(&f.cfg, ret);
	ret->ctid = ctid;
	if (f.status == OP_RUNNING)
		count(&f, ret);
	return 0;
}

ssize_t op_plan_all(struct plan_vps **ret, struct vz_error *err)
{
	VPS_CONFIG struct vps_config global = { 0 };
	VZ_FREE struct plan_vps *all = NULL;
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n, found = 0;
	int r = vps_load_global(&global, err);

	if (r < 0)
		return r;
	n = op_list_ctids(&ids, err);
	if (n < 0)
		return n;
	all = calloc((size_t)n + 1, sizeof(*all));
	if (!all)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "plan");
	for (ssize_t i = 0; i < n; i++)
		if (op_plan_vps(ids[i], &global, &all[found]) == 0)
			found++;
	*ret = vz_take_ptr(&all);
	return found;
}
