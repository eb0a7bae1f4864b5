/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"
#include "resources/resources.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum {
	CPUUNITS_DEFAULT = 1000,
	NODES_MAX = 1024,
	CPUS_MAX = 8192,
	PROCESS_BYTES = 256 << 10, /* the kernel's part of a process that does nothing is 90 KiB */
	PROCESSES_MIN = 64
};

#define NODE_DIR "/sys/devices/system/node"
#define CPU_DIR	 "/sys/devices/system/cpu"

/** struct apply - what the appliers of one call share */
struct apply {
	struct cg *cg;
	const struct vps_config *cfg;
	struct vz_list *missing;
	struct vz_error *err;
};

static int tell(struct apply *a, const char *sentence)
{
	*a->err = (struct vz_error){ 0 };
	if (!a->missing || vz_list_add(a->missing, sentence) == 0)
		return 0;
	return vz_fail(a->err, VZ_EXIT_RESOURCE, ENOMEM, "limits");
}

/*
 * @sentence is told when the host has no such knob and the configuration wants it to limit
 * something.
 */
static int set_knob(struct apply *a, enum cg_knob knob, uint64_t value, bool wanted,
		    const char *sentence)
{
	int r = a->cg->drv->set(a->cg, knob, value, a->err);

	if (r != -EOPNOTSUPP)
		return r;
	if (wanted)
		return tell(a, sentence);
	*a->err = (struct vz_error){ 0 };
	return 0;
}

/* ---- CPU ---- */

/* The kernel's range is smaller than ours: say so when what it took is another thing. */
static int tell_if_clamped(struct apply *a, uint64_t want)
{
	struct vz_error unused;
	uint64_t got;
	char text[160];

	if (a->cg->drv->get(a->cg, CG_CPU_WEIGHT, &got, &unused) < 0 ||
	    (got * 10 >= want * 9 && got * 10 <= want * 11))
		return 0;
	(void)snprintf(text, sizeof(text),
		       "--cpuunits: the nearest that this kernel offers to %" PRIu64 " is %" PRIu64,
		       want, got);
	return tell(a, text);
}

static int apply_cpu(struct apply *a)
{
	const struct vps_config *c = a->cfg;
	bool units_set = vps_is_set(c, VP_CPUUNITS) && c->cpuunits > 0;
	uint64_t units = units_set ? c->cpuunits : CPUUNITS_DEFAULT, max = UINT64_MAX;
	int r;

	if (vps_is_set(c, VP_CPULIMIT) && c->cpulimit)
		max = c->cpulimit;
	if (vps_is_set(c, VP_CPUS) && c->cpus && c->cpus < UINT32_MAX && c->cpus * 100 < max)
		max = c->cpus * 100;
	r = set_knob(a, CG_CPU_WEIGHT, units, units_set,
		     "--cpuunits: no cpu controller on this kernel; stored, not enforced");
	if (r == 0 && units_set)
		r = tell_if_clamped(a, units);
	if (r == 0)
		r = set_knob(
			a, CG_CPU_MAX_PCT, max, max != UINT64_MAX,
			"--cpulimit, --cpus: no CPU quota on this kernel; stored, not enforced");
	return r;
}

/* ---- CPU set ---- */

int cg_node_cpus(const char *nodedir, const char *nodes, char **ret)
{
	uint64_t bits[NODES_MAX / 64];
	VZ_BUF struct vz_buf b = { 0 };
	int r = vz_parse_cpulist(nodes, bits, NODES_MAX);

	for (unsigned int n = 0; r == 0 && n < NODES_MAX; n++) {
		VZ_FREE char *cpus = NULL;
		char file[32];

		if (!(bits[n / 64] & UINT64_C(1) << n % 64))
			continue;
		(void)snprintf(file, sizeof(file), "node%u/cpulist", n);
		r = cg_read(nodedir, file, &cpus);
		if (r < 0)
			return r == -EOPNOTSUPP ? -ENODEV : r;
		cpus[strcspn(cpus, "\n")] = '\0';
		if (*cpus && b.len)
			vz_buf_str(&b, ",");
		vz_buf_str(&b, cpus);
	}
	if (r < 0)
		return r;
	if (b.failed)
		return -ENOMEM;
	if (!b.len)
		return -ENODEV; /* nodes with memory only */
	*ret = vz_take_ptr(&b.s);
	return 0;
}

/* cgroup2 takes CPUs that are not there and then ignores the list: refuse it on both. */
static int check_present(const char *dir, const char *list, unsigned int max)
{
	uint64_t want[CPUS_MAX / 64], have[CPUS_MAX / 64];
	VZ_FREE char *online = NULL;
	int r;

	if (cg_read(dir, "online", &online) < 0)
		return 0;
	online[strcspn(online, "\n")] = '\0';
	r = vz_parse_cpulist(list, want, max);
	if (r < 0 || vz_parse_cpulist(online, have, max) < 0)
		return r;
	for (unsigned int i = 0; i < max / 64; i++)
		if (want[i] & ~have[i])
			return -ENODEV;
	return 0;
}

static const char *unless_all(bool set, const char *s)
{
	return set && s && *s && !vz_streq(s, "all") ? s : NULL;
}

static int apply_cpuset(struct apply *a)
{
	const char *cpus = unless_all(vps_is_set(a->cfg, VP_CPUMASK), a->cfg->cpumask);
	const char *mems = unless_all(vps_is_set(a->cfg, VP_NODEMASK), a->cfg->nodemask);
	VZ_FREE char *of_nodes = NULL;
	int r = 0;

	if (mems && check_present(NODE_DIR, mems, NODES_MAX) < 0)
		return vz_fail(a->err, RES_EXIT_CPU, ENODEV,
			       "--nodemask %s: not all of them are online", mems);
	if (cpus && vz_streq(cpus, "auto")) {
		if (mems)
			r = cg_node_cpus(NODE_DIR, mems, &of_nodes);
		if (r < 0)
			return vz_fail(a->err, RES_EXIT_CPU, -r, "CPUs of the nodes %s", mems);
		cpus = of_nodes;
	}
	if (cpus && check_present(CPU_DIR, cpus, CPUS_MAX) < 0)
		return vz_fail(a->err, RES_EXIT_CPU, ENODEV,
			       "--cpumask %s: not all of them are online", cpus);
	r = a->cg->drv->cpuset(a->cg, cpus, mems, a->err);
	if (r != -EOPNOTSUPP)
		return r;
	if (cpus || mems)
		return tell(a,
			    "--cpumask, --nodemask: no cpuset controller on this kernel; stored, "
			    "not enforced");
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

static int apply_pids(struct apply *a)
{
	uint64_t max = UINT64_MAX, ram = vps_ram_bytes(a->cfg), ceiling = cg_node_tasks() / 8;

	if (vps_is_set(a->cfg, VP_NUMPROC) && a->cfg->numproc.lim < INT64_MAX)
		max = a->cfg->numproc.lim;
	/* more would not fit, and the kernel would kill the VPS's init for want of memory */
	if (ram / PROCESS_BYTES < ceiling)
		ceiling = ram / PROCESS_BYTES > PROCESSES_MIN ? ram / PROCESS_BYTES : PROCESSES_MIN;
	return set_knob(a, CG_PIDS_MAX, or_ceiling(max, ceiling), max != UINT64_MAX,
			"--numproc: no pids controller on this kernel; stored, not enforced");
}

/*
 * Guarantees. Where there is no memory.min, the OOM killer is told instead: the processes there are,
 * and init when it is born (res_oom_adj).
 */
static int apply_guarantees(struct apply *a)
{
	uint64_t low = cg_guarantee_bytes(a->cfg, VP_VMGUARPAGES);
	uint64_t min = cg_guarantee_bytes(a->cfg, VP_OOMGUARPAGES);
	int r = set_knob(a, CG_MEM_LOW_BYTES, low, low != 0,
			 "--vmguarpages: no memory.low on this kernel; stored, not enforced");

	if (r < 0)
		return r;
	r = a->cg->drv->set(a->cg, CG_MEM_MIN_BYTES, min, a->err);
	if (r != -EOPNOTSUPP)
		return r;
	*a->err = (struct vz_error){ 0 };
	r = cg_oom_adj_all(a->cg, cg_oom_adj(min, cg_node_ram()));
	if (r == -EACCES && min)
		return tell(a, "--oomguarpages: neither memory.min on this kernel nor the right to "
			       "change oom_score_adj; stored, not enforced");
	return r < 0 && r != -EACCES
		       ? vz_fail(a->err, VZ_EXIT_SETUBC, -r, "oom_score_adj of the VPS")
		       : 0;
}

static int apply_mem(struct apply *a)
{
	uint64_t ram = vps_ram_bytes(a->cfg), swap = vps_swap_bytes(a->cfg);
	uint64_t node = cg_node_ram();
	int r;

	if (node != UINT64_MAX)
		node = node / 8 * 7;
	/* v1 counts both together: memory first, its driver keeps the distance */
	r = set_knob(a, CG_MEM_MAX_BYTES, or_ceiling(ram, node), ram != UINT64_MAX,
		     "--physpages: no memory controller on this kernel; stored, not enforced");
	if (r == 0)
		r = set_knob(
			a, CG_SWAP_MAX_BYTES, swap, swap != UINT64_MAX,
			"--swappages: no swap accounting on this kernel; stored, not enforced");
	if (r == 0)
		r = apply_pids(a); /* whose default is made from the memory */
	return r < 0 ? r : apply_guarantees(a);
}

/* ---- devices ---- */

static int apply_dev(struct apply *a)
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
	return tell(a, "--devices: neither a devices controller nor cgroup device programs "
		       "on this kernel; not enforced");
}

int res_apply(struct cg *cg, const struct vps_config *cfg, unsigned int mask,
	      struct vz_list *ret_missing, struct vz_error *err)
{
	static const struct {
		enum vps_group group;
		int (*fn)(struct apply *a);
	} appliers[] = {
		{ AG_DEV, apply_dev },	 { AG_CPU, apply_cpu },	      { AG_MEM, apply_mem },
		{ AG_PIDS, apply_pids }, { AG_CPUSET, apply_cpuset },
	};
	struct apply a = { .cg = cg, .cfg = cfg, .missing = ret_missing, .err = err };

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
