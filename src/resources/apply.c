/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"
#include "resources/resources.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>

enum {
	PROCESS_BYTES = 256 << 10, /* the kernel's part of a process that does nothing is 90 KiB */
	PROCESSES_MIN = 64
};

int cg_apply_tell(struct cg_apply *a, const char *sentence)
{
	*a->err = (struct vz_error){ 0 };
	if (!a->missing || vz_list_add(a->missing, sentence) == 0)
		return 0;
	return vz_fail(a->err, VZ_EXIT_RESOURCE, ENOMEM, "limits");
}

int cg_apply_knob(struct cg_apply *a, enum cg_knob knob, uint64_t value, bool wanted,
		  const char *sentence)
{
	int r = a->cg->drv->set(a->cg, knob, value, a->err);

	if (r != -EOPNOTSUPP)
		return r;
	if (wanted)
		return cg_apply_tell(a, sentence);
	*a->err = (struct vz_error){ 0 };
	return 0;
}

/* ---- memory, processes ---- */

/*
 * A limit that is not set, or "unlimited", is a part of the node all the same: one VPS must not take
 * the last process number or the last page from its neighbours and the administrator. A number says
 * what it says.
 */
static uint64_t or_ceiling(uint64_t limit, uint64_t ceiling)
{
	return limit == UINT64_MAX ? ceiling : limit;
}

static int apply_pids(struct cg_apply *a)
{
	uint64_t max = UINT64_MAX, ram = vps_ram_bytes(a->cfg), ceiling = cg_node_tasks() / 8;

	if (vps_is_set(a->cfg, VP_NUMPROC) && a->cfg->numproc.lim < INT64_MAX)
		max = a->cfg->numproc.lim;
	/* more would not fit, and the kernel would kill the VPS's init for want of memory */
	if (ram / PROCESS_BYTES < ceiling)
		ceiling = ram / PROCESS_BYTES > PROCESSES_MIN ? ram / PROCESS_BYTES : PROCESSES_MIN;
	return cg_apply_knob(a, CG_PIDS_MAX, or_ceiling(max, ceiling), max != UINT64_MAX,
			     "--numproc: no pids controller on this kernel; stored, not enforced");
}

/*
 * Guarantees. Where there is no memory.min, the OOM killer is told instead: the processes there are,
 * and init when it is born (res_oom_adj).
 */
static int apply_guarantees(struct cg_apply *a)
{
	uint64_t low = cg_guarantee_bytes(a->cfg, VP_VMGUARPAGES);
	uint64_t min = cg_guarantee_bytes(a->cfg, VP_OOMGUARPAGES);
	int r = cg_apply_knob(a, CG_MEM_LOW_BYTES, low, low != 0,
			      "--vmguarpages: no memory.low on this kernel; stored, not enforced");

	if (r < 0)
		return r;
	r = a->cg->drv->set(a->cg, CG_MEM_MIN_BYTES, min, a->err);
	if (r != -EOPNOTSUPP)
		return r;
	*a->err = (struct vz_error){ 0 };
	r = cg_oom_adj_all(a->cg, cg_oom_adj(min, cg_node_ram()));
	if (r == -EACCES && min)
		return cg_apply_tell(
			a, "--oomguarpages: neither memory.min on this kernel nor the right to "
			   "change oom_score_adj; stored, not enforced");
	return r < 0 && r != -EACCES
		       ? vz_fail(a->err, VZ_EXIT_SETUBC, -r, "oom_score_adj of the VPS")
		       : 0;
}

static int apply_mem(struct cg_apply *a)
{
	uint64_t ram = vps_ram_bytes(a->cfg), swap = vps_swap_bytes(a->cfg);
	uint64_t node = cg_node_ram();
	int r;

	if (node != UINT64_MAX)
		node = node / 8 * 7;
	/* v1 counts both together: memory first, its driver keeps the distance */
	r = cg_apply_knob(a, CG_MEM_MAX_BYTES, or_ceiling(ram, node), ram != UINT64_MAX,
			  "--physpages: no memory controller on this kernel; stored, not enforced");
	if (r == 0)
		r = cg_apply_knob(
			a, CG_SWAP_MAX_BYTES, swap, swap != UINT64_MAX,
			"--swappages: no swap accounting on this kernel; stored, not enforced");
	if (r == 0)
		r = apply_pids(a); /* whose default is made from the memory */
	return r < 0 ? r : apply_guarantees(a);
}

int res_restore_room(struct cg *cg, const struct vps_config *cfg, struct vz_error *err)
{
	enum { TASKS = 64, BYTES = 32 << 20, PART = 8 };
	uint64_t ram = vps_ram_bytes(cfg);
	int r = cg->drv->set(cg, CG_PIDS_MAX, cg_node_tasks() / 8 + TASKS, err);

	if ((r == 0 || r == -EOPNOTSUPP) && ram < INT64_MAX / 2)
		r = cg->drv->set(cg, CG_MEM_MAX_BYTES, ram + ram / PART + BYTES, err);
	return r == -EOPNOTSUPP ? 0 : r;
}

/*
 * v1's limit is one for both ways; a way without a limit may take all. What is refused waits (sending) or is dropped
 * and sent again (receiving). On v2 buffers are part of the memory, and that is their only limit.
 */
static int apply_tcp(struct cg_apply *a)
{
	const struct vps_config *c = a->cfg;
	uint64_t max = UINT64_MAX;

	if (vps_is_set(c, VP_TCPSNDBUF) && vps_is_set(c, VP_TCPRCVBUF) &&
	    c->tcpsndbuf.lim < INT64_MAX / 2 && c->tcprcvbuf.lim < INT64_MAX / 2)
		max = c->tcpsndbuf.lim + c->tcprcvbuf.lim;
	return cg_apply_knob(a, CG_TCP_MAX_BYTES, max, false, "");
}

bool res_bounds_tcp(void)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	struct vz_error unused;
	char path[PATH_MAX];

	if (cg_cache_load(0, &mounts) < 0 && cg_find(false, &mounts, &unused) < 0)
		return false;
	return mounts.v[CTL_MEMORY] &&
	       access(cg_join(path, mounts.v[CTL_MEMORY], "memory.kmem.tcp.limit_in_bytes"),
		      F_OK) == 0;
}

/* ---- devices ---- */

static int apply_dev(struct cg_apply *a)
{
	struct cg_dev_rules rules __attribute__((cleanup(cg_dev_rules_clear))) = { 0 };
	VZ_FD int devfd = vz_openat(AT_FDCWD, "/dev", O_PATH | O_DIRECTORY, 0);
	int r;

	if (devfd < 0)
		return vz_fail(a->err, VZ_EXIT_DEVICES, -devfd, "cannot open /dev");
	r = cg_dev_rules_make(a->cfg, devfd, &rules, a->err);
	if (r < 0)
		return r;
	r = a->cg->drv->devices(a->cg, rules.v, rules.n, a->err);
	if (r != -EOPNOTSUPP)
		return r;
	return cg_apply_tell(a,
			     "--devices: neither a devices controller nor cgroup device programs "
			     "on this kernel; not enforced");
}

int res_apply(struct cg *cg, const struct vps_config *cfg, unsigned int mask,
	      struct vz_list *ret_missing, struct vz_error *err)
{
	static const struct {
		enum vps_group group;
		int (*fn)(struct cg_apply *a);
	} appliers[] = {
		{ AG_DEV, apply_dev },	 { AG_CPU, cg_apply_cpu },	 { AG_MEM, apply_mem },
		{ AG_PIDS, apply_pids }, { AG_CPUSET, cg_apply_cpuset }, { AG_IO, cg_apply_io },
		{ AG_UBC, apply_tcp },
	};
	struct cg_apply a = { .cg = cg, .cfg = cfg, .missing = ret_missing, .err = err };

	for (size_t i = 0; i < sizeof(appliers) / sizeof(appliers[0]); i++) {
		int r;

		if (!(mask & 1U << appliers[i].group))
			continue;
		r = appliers[i].fn(&a);
		if (r < 0)
			return r;
	}
	return 0;
}
