/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/plan.h"

#include "ops/list.h"
#include "util/fd.h"

/*
 * What is counted of a running VPS: the only place that knows where numbers come from. Control groups count kernel
 * memory and buffers in physpages. What cannot be counted on this node is at least what is in use: nothing is in use
 * that was not allocated.
 */
static void count(const struct op_facts *f, struct plan_vps *v)
{
	struct plan_row *in_use = &v->row[VP_OOMGUARPAGES], *allocated = &v->row[VP_PRIVVMPAGES];
	enum vps_mode mode;

	v->running = true;
	v->kernel_in_ram = true;
	for (int c = 0; c < UBC_NR; c++) {
		const struct ubc_row *from = &f->ubc.row[c];
		int id = vps_param_by_option(ubc_name(c), &mode);

		if (id < 0 || !(f->ubc.known & OP_UBC_BIT(c)))
			continue;
		v->row[id].held = from->held;
		v->row[id].maxheld = from->maxheld;
		v->row[id].failcnt = from->failcnt;
	}
	if (!(f->ubc.known & OP_UBC_BIT(UBC_OOMGUARPAGES))) {
		in_use->held = v->row[VP_PHYSPAGES].held + v->row[VP_SWAPPAGES].held;
		in_use->maxheld = v->row[VP_PHYSPAGES].maxheld + v->row[VP_SWAPPAGES].maxheld;
	}
	if (allocated->held < in_use->held)
		allocated->held = in_use->held;
	if (allocated->maxheld < in_use->maxheld)
		allocated->maxheld = in_use->maxheld;
}

static int look(uint32_t ctid, const struct vps_config *global, struct op_ubc_reader *rd,
		struct plan_vps *ret)
{
	const unsigned int needs =
		OP_NEED_CONF | OP_NEED_RUNNING | OP_NEED_LIVE | OP_NEED_UBC * OP_UBC_ALL;
	OP_FACTS struct op_facts f = { 0 };

	op_list_facts(ctid, needs, global, rd, &f);
	if (!f.has_conf && f.status != OP_RUNNING)
		return -ENOENT;
	plan_limits(&f.cfg, ret);
	ret->ctid = ctid;
	if (f.status == OP_RUNNING)
		count(&f, ret);
	return 0;
}

int op_plan_vps(uint32_t ctid, const struct vps_config *global, struct plan_vps *ret)
{
	OP_UBC_READER struct op_ubc_reader rd;

	op_ubc_open(&rd, true, NULL);
	return look(ctid, global, &rd, ret);
}

ssize_t op_plan_all(struct plan_vps **ret, struct vz_error *err)
{
	VPS_CONFIG struct vps_config global = { 0 };
	OP_UBC_READER struct op_ubc_reader rd;
	VZ_FREE struct plan_vps *all = NULL;
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n, found = 0;
	int r;

	op_ubc_open(&rd, true, NULL);
	r = vps_load_global(&global, err);
	if (r < 0)
		return r;
	n = op_list_ctids(&ids, err);
	if (n < 0)
		return n;
	all = calloc((size_t)n + 1, sizeof(*all));
	if (!all)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "plan");
	for (ssize_t i = 0; i < n; i++)
		if (look(ids[i], &global, &rd, &all[found]) == 0)
			found++;
	*ret = vz_take_ptr(&all);
	return found;
}
