/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/precheck.h"

#include "ops/cpt.h"
#include "ops/priv.h"
#include "resources/resources.h"
#include "util/fd.h"

/* tmpfs is not mapped by anybody, perhaps, and goes along all the same. */
static void add_shared(struct cg *cg, struct cpt_load *l)
{
	uint64_t stat[CG_STAT_MAX];

	if (res_stats(cg, 1U << CG_STAT_SHMEM, stat))
		l->memory_bytes += l->shared_bytes = stat[CG_STAT_SHMEM];
}

static void predict(const struct op *o, const pid_t *pids, size_t n, unsigned int look_ms,
		    struct op_precheck *p)
{
	if (!p->rate && o->cfg.dumpdir && vz_mkdir_p(o->cfg.dumpdir, 0700) == 0 &&
	    cpt_write_rate(o->cfg.dumpdir, &p->rate) < 0)
		p->rate = 0;
	p->tracked = look_ms && cpt_dirty(pids, n, look_ms, &p->dirty) == 0;
	p->frozen_ms = cpt_frozen_ms(&p->load, p->rate);
	if (p->tracked && p->rate)
		p->rounds_ms = cpt_rounds_ms(&p->load, p->rate, p->dirty, &p->rounds);
}

int op_precheck(const struct op_env *env, uint32_t ctid, uint64_t rate, unsigned int look_ms,
		struct op_precheck *ret, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	OP struct op o;
	RES_CG struct cg *cg = NULL;
	VZ_FREE pid_t *pids = NULL;
	CPT_GIVENS struct cpt_givens given = { 0 };
	const struct cpt_ours ours = { &st.view, &given };
	size_t n = 0;
	int r = op_open(&o, env, ctid, "checking", err);

	if (r < 0)
		return r;
	if (!vps_running(ctid, &st))
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
	*ret = (struct op_precheck){ .rate = rate };
	r = res_open(&st.cgroups, &cg, err);
	if (r == 0)
		r = res_pids(cg, &pids, &n, err);
	if (r == 0)
		r = op_given_find(&o, st.init_pid, &given, err);
	if (r == 0)
		r = cpt_scan(pids, n, st.init_pid, &ours, &ret->found, &ret->load, err);
	if (r < 0)
		return r;
	add_shared(cg, &ret->load);
	predict(&o, pids, n, look_ms, ret);
	return 0;
}
