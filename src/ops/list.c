/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/list.h"

#include "resources/resources.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* A VPS whose configuration was taken away while it runs must not vanish from the list. */
static int add_running(uint32_t **ids, size_t *n)
{
	VZ_DIR DIR *dir = vz_opendirat(AT_FDCWD, vps_paths()->run);
	size_t sorted = *n;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		uint32_t ctid, *more;

		if (vps_parse_ctid(e->d_name, &ctid) < 0 || ctid == 0)
			continue;
		if (sorted && bsearch(&ctid, *ids, sorted, sizeof(ctid), by_number))
			continue;
		if (!vps_running(ctid, NULL))
			continue;
		more = reallocarray(*ids, *n + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		*ids = more;
		more[(*n)++] = ctid;
	}
	if (*n > sorted)
		qsort(*ids, *n, sizeof(**ids), by_number);
	return 0;
}

ssize_t op_list_ctids(uint32_t **ret, struct vz_error *err)
{
	uint32_t *ids = NULL;
	ssize_t r = vps_list_ctids(&ids);
	size_t n = 0;

	if (r == -ENOENT)
		r = 0;
	if (r >= 0) {
		n = (size_t)r;
		r = add_running(&ids, &n);
	}
	if (r < 0) {
		free(ids);
		return vz_fail(err, VZ_EXIT_SYSTEM, (int)-r, "list %s", vps_paths()->conf);
	}
	*ret = ids;
	return (ssize_t)n;
}

bool op_list_known(uint32_t ctid)
{
	char path[PATH_MAX];
	struct stat st;

	vps_path(path, "%s/%" PRIu32 ".conf", vps_paths()->conf, ctid);
	return stat(path, &st) == 0 || vps_running(ctid, NULL);
}

static bool has_dump(const struct vps_config *c)
{
	char path[PATH_MAX];
	struct stat st;

	if (!c->dumpdir)
		return false;
	vps_path(path, "%s/Dump.%" PRIu32, c->dumpdir, c->ctid);
	return lstat(path, &st) == 0;
}

static enum op_status status_of_idle(const struct vps_config *c)
{
	if (c->ve_root && vz_is_mountpoint(c->ve_root) > 0)
		return OP_MOUNTED;
	return has_dump(c) ? OP_SUSPENDED : OP_STOPPED;
}

static void read_counters(const struct vps_state *state, unsigned int needs, struct op_facts *f)
{
	static const struct {
		enum op_need need;
		enum cg_stat stat;
	} wanted[] = {
		{ OP_NEED_PIDS, CG_STAT_PIDS },	     { OP_NEED_PIDS, CG_STAT_PIDS_PEAK },
		{ OP_NEED_PIDS, CG_STAT_PIDS_FAIL }, { OP_NEED_MEM, CG_STAT_MEM },
		{ OP_NEED_MEM, CG_STAT_MEM_PEAK },   { OP_NEED_MEM, CG_STAT_MEM_FAIL },
		{ OP_NEED_SWAP, CG_STAT_SWAP },	     { OP_NEED_SWAP, CG_STAT_SWAP_FAIL },
	};
	RES_CG struct cg *cg = NULL;
	struct vz_error err;

	if (res_open(&state->cgroups, &cg, &err) < 0)
		return; /* it stopped meanwhile, or its groups are gone: no numbers */
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		enum cg_stat what = wanted[i].stat;

		if ((needs & wanted[i].need) && cg->drv->stat(cg, what, &f->stat[what]) == 0)
			f->known |= 1U << what;
	}
}

static bool load_conf(uint32_t ctid, const struct vps_config *global, struct vps_config *ret)
{
	struct vz_error err;

	if (vps_config_copy(ret, global) == 0 && vps_load_over(ret, ctid, NULL, &err) == 0)
		return true;
	vps_config_clear(ret);
	return false;
}

void op_list_facts(uint32_t ctid, unsigned int needs, const struct vps_config *global,
		   struct op_ubc_reader *rd, struct op_facts *ret)
{
	const unsigned int counters = OP_NEED_PIDS | OP_NEED_MEM | OP_NEED_SWAP;
	VPS_STATE struct vps_state state = { 0 };

	*ret = (struct op_facts){ .ctid = ctid, .status = OP_STOPPED };
	if ((needs & ~OP_NEED_CONF) && vps_running(ctid, &state)) {
		ret->status = OP_RUNNING;
		ret->uptime_ms = vps_state_uptime_ms(&state);
		if (needs & counters)
			read_counters(&state, needs, ret);
	}
	if ((needs & OP_NEED_CONF) || ((needs & OP_NEED_STATUS) && ret->status != OP_RUNNING))
		ret->has_conf = load_conf(ctid, global, &ret->cfg);
	if ((needs & OP_NEED_LIVE) && ret->status == OP_RUNNING) {
		vps_live_over(&state, &ret->cfg, VPS_LIVE_LIMITS);
		ret->addrs = state.addrs;
		state.addrs = (struct vz_list){ 0 };
	}
	if (rd)
		op_ubc_rows(rd, ctid, ret->has_conf ? &ret->cfg : NULL,
			    ret->status == OP_RUNNING ? &state : NULL,
			    needs / OP_NEED_UBC & OP_UBC_ALL, &ret->ubc);
	if ((needs & OP_NEED_STATUS) && ret->status != OP_RUNNING && ret->has_conf)
		ret->status = status_of_idle(&ret->cfg);
}

void op_facts_clear(struct op_facts *f)
{
	vps_config_clear(&f->cfg);
	vz_list_clear(&f->addrs);
	*f = (struct op_facts){ 0 };
}
