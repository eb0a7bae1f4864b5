/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/*
 * Driver for cgroup2. The VPS's group holds the limits and no process; payload below it is the
 * tenant's, host is where an administrator's commands run. Both are attached to by number, which
 * works at pids.max too.
 */

/* half of the node stays the kernel's to reclaim, whatever was promised */
#define MIN_MOST (cg_node_ram() / 2)

struct cg_v2 {
	struct cg cg;
	char dir[]; /* .../SLICE/CTID */
};

static const char *const v2_files[CG_KNOB_MAX] = {
	[CG_CPU_WEIGHT] = "cpu.weight",	   [CG_CPU_MAX_PCT] = "cpu.max",
	[CG_MEM_MAX_BYTES] = "memory.max", [CG_SWAP_MAX_BYTES] = "memory.swap.max",
	[CG_PIDS_MAX] = "pids.max",	   [CG_MEM_LOW_BYTES] = "memory.low",
	[CG_MEM_MIN_BYTES] = "memory.min", [CG_CPU_BURST_US] = "cpu.max.burst",
	[CG_IO_WEIGHT] = "io.bfq.weight",
};

static const char *v2_dir(struct cg *cg)
{
	return ((struct cg_v2 *)cg)->dir;
}

static uint64_t weight_of(uint64_t cpuunits)
{
	uint64_t w = cpuunits / 10;

	return w < 1 ? 1 : w > 10000 ? 10000 : w;
}

/*
 * cgroup2 would kill inside the VPS where v1 answers EBUSY: reclaim what can be (5.19 and later
 * can), then look.
 */
static int check_memory(const char *dir, uint64_t limit, struct vz_error *err)
{
	uint64_t now;
	char amount[24];

	if (cg_read_u64(dir, "memory.current", &now) < 0 || now <= limit)
		return 0;
	(void)snprintf(amount, sizeof(amount), "%" PRIu64, now - limit);
	(void)!cg_write(dir, "memory.reclaim", amount);
	if (cg_read_u64(dir, "memory.current", &now) < 0 || now <= limit)
		return 0;
	(void)vz_fail(err, VZ_EXIT_SETUBC, 0,
		      "the VPS uses %" PRIu64
		      " bytes of memory, more than the new limit of %" PRIu64,
		      now, limit);
	err->sys = EBUSY;
	return -EBUSY;
}

static void v2_text(enum cg_knob knob, uint64_t value, char *dst, size_t size)
{
	if (knob == CG_CPU_WEIGHT)
		(void)snprintf(dst, size, "%" PRIu64, weight_of(value));
	else if (knob == CG_CPU_MAX_PCT && value != UINT64_MAX)
		(void)snprintf(dst, size, "%" PRIu64 " %d", value * (CG_PERIOD_US / 100),
			       CG_PERIOD_US);
	else if (value == UINT64_MAX || (knob == CG_PIDS_MAX && value > CG_PIDS_CEILING))
		(void)snprintf(dst, size, "max");
	else
		(void)snprintf(dst, size, "%" PRIu64, value);
}

/* bfq and io.cost have a file each, and either may be missing; "default": for every disk. */
static int set_io_weight(const char *dir, uint64_t weight, struct vz_error *err)
{
	static const char *const files[] = { "io.bfq.weight", "io.weight" };
	char text[48];
	int done = 0;

	(void)snprintf(text, sizeof(text), "default %" PRIu64, weight);
	for (int i = 0; i < 2; i++) {
		int r = cg_write(dir, files[i], text);

		if (r < 0 && r != -EOPNOTSUPP)
			return cg_knob_fail(err, r, CG_IO_WEIGHT, dir, files[i], text);
		done += r == 0;
	}
	return done ? 0 : cg_knob_fail(err, -EOPNOTSUPP, CG_IO_WEIGHT, dir, "io.weight", text);
}

static void io_value(char dst[24], uint64_t v)
{
	if (v == UINT64_MAX)
		(void)snprintf(dst, 24, "max");
	else
		(void)snprintf(dst, 24, "%" PRIu64, v);
}

static int v2_io_max(struct cg *cg, const struct cg_io_max *m, struct vz_error *err)
{
	char bps[24], iops[24], text[192];
	int r;

	io_value(bps, m->bps);
	io_value(iops, m->iops);
	(void)snprintf(text, sizeof(text), "%u:%u rbps=%s wbps=%s riops=%s wiops=%s", m->major,
		       m->minor, bps, bps, iops, iops);
	r = cg_write(v2_dir(cg), "io.max", text);
	return r < 0 ? cg_knob_fail(err, r, CG_IO_WEIGHT, v2_dir(cg), "io.max", text) : 0;
}

/*
 * The same in the group that the VPS sees as the top: there programs inside look for it, and lxcfs
 * 5 and 6 look no further up. Limits nothing more than the group above does. Without such a group
 * (a view's) or controller there is nothing to do.
 */
static int show_inside(const char *dir, enum cg_knob knob, const char *text, struct vz_error *err)
{
	char sub[PATH_MAX];
	int r = cg_write(cg_join(sub, dir, "payload"), v2_files[knob], text);

	return r == 0 || r == -EOPNOTSUPP || r == -ENOENT
		       ? 0
		       : cg_knob_fail(err, r, knob, sub, v2_files[knob], text);
}

static int v2_set(struct cg *cg, enum cg_knob knob, uint64_t value, struct vz_error *err)
{
	const char *dir = v2_dir(cg);
	char text[48];
	int r;

	if (knob == CG_IO_WEIGHT)
		return set_io_weight(dir, value, err);
	if (!v2_files[knob])
		return vz_fail(err, VZ_EXIT_RESOURCE, EOPNOTSUPP, "knob %d", knob);
	if (knob == CG_MEM_MAX_BYTES && value != UINT64_MAX) {
		r = check_memory(dir, value, err);
		if (r < 0)
			return r;
	}
	v2_text(knob, value, text, sizeof(text));
	r = cg_write(dir, v2_files[knob], text);
	if (r < 0)
		return cg_knob_fail(err, r, knob, dir, v2_files[knob], text);
	if (knob == CG_CPU_MAX_PCT || knob == CG_CPU_BURST_US)
		return show_inside(dir, knob, text, err);
	if (knob == CG_MEM_LOW_BYTES || knob == CG_MEM_MIN_BYTES)
		cg_guarantee_sum(dir, v2_files[knob],
				 knob == CG_MEM_MIN_BYTES ? MIN_MOST : UINT64_MAX);
	return 0;
}

static int get_cpu_max(const char *dir, uint64_t *ret)
{
	uint64_t quota, period;
	VZ_FREE char *text = NULL;
	int r = cg_read(dir, "cpu.max", &text);

	if (r < 0)
		return r;
	if (!strncmp(text, "max", 3)) {
		*ret = UINT64_MAX;
		return 0;
	}
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || period == 0)
		return -EINVAL;
	*ret = quota * 100 / period;
	return 0;
}

static int v2_get(struct cg *cg, enum cg_knob knob, uint64_t *ret, struct vz_error *err)
{
	const char *dir = v2_dir(cg);
	uint64_t v;
	int r;

	if (!v2_files[knob])
		return vz_fail(err, VZ_EXIT_RESOURCE, EOPNOTSUPP, "knob %d", knob);
	r = knob == CG_CPU_MAX_PCT ? get_cpu_max(dir, &v) : cg_read_u64(dir, v2_files[knob], &v);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot read %s/%s", dir, v2_files[knob]);
	*ret = knob == CG_CPU_WEIGHT ? v * 10 : v;
	return 0;
}

/*
 * Sum of @key in @file over the group at @fd and what is below; v2 bounds the depth
 * (cgroup.max.depth).
 */
static uint64_t tree_sum(int fd, const char *file, const char *key, int depth)
{
	VZ_DIR DIR *d = vz_opendirat(fd, ".");
	VZ_FREE char *text = NULL;
	uint64_t sum = 0;
	struct dirent *e;

	if (vz_read_file(fd, file, PATH_MAX, &text) >= 0)
		(void)!cg_key(text, key, &sum);
	while (d && depth < CG_TREE_DEPTH && (e = readdir(d))) {
		VZ_FD int sub = -EBADF;

		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		sub = vz_openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (sub >= 0)
			sum += tree_sum(sub, file, key, depth + 1);
	}
	return sum;
}

/* Before 6.11 a refused fork is counted where the process is, not where the limit is. */
static int stat_pids_fail(const char *dir, uint64_t *ret)
{
	uint64_t own;
	VZ_FD int fd = -EBADF;
	int r = cg_read_key(dir, "pids.events.local", "max", ret);

	if (r != -EOPNOTSUPP)
		return r;
	r = cg_read_key(dir, "pids.events", "max", &own);
	if (r < 0)
		return r;
	fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*ret = tree_sum(fd, "pids.events", "max", 0);
	return 0;
}

static int v2_place(struct cg *cg, enum cg_stat what, struct cg_place *ret)
{
	static const struct {
		const char *file, *key;
	} map[CG_STAT_MAX] = {
		[CG_STAT_PIDS] = { "pids.current", NULL },
		[CG_STAT_PIDS_PEAK] = { "pids.peak", NULL },
		[CG_STAT_MEM] = { "memory.current", NULL },
		[CG_STAT_MEM_PEAK] = { "memory.peak", NULL },
		[CG_STAT_MEM_FAIL] = { "memory.events", "oom" },
		[CG_STAT_OOM_KILL] = { "memory.events", "oom_kill" },
		[CG_STAT_SWAP] = { "memory.swap.current", NULL },
		[CG_STAT_SWAP_PEAK] = { "memory.swap.peak", NULL },
		[CG_STAT_SWAP_FAIL] = { "memory.swap.events", "max" },
		[CG_STAT_CPU_USEC] = { "cpu.stat", "usage_usec" },
		[CG_STAT_KERNEL] = { "memory.stat", "kernel" }, /* 5.18 */
		[CG_STAT_RECLAIMABLE] = { "memory.stat", "slab_reclaimable" },
		[CG_STAT_SHMEM] = { "memory.stat", "shmem" },
		[CG_STAT_SOCK] = { "memory.stat", "sock" },
		[CG_STAT_UNEVICTABLE] = { "memory.stat", "unevictable" },
	};

	if (!map[what].file)
		return -EOPNOTSUPP;
	*ret = (struct cg_place){ v2_dir(cg), map[what].file, map[what].key };
	return 0;
}

static int v2_stat(struct cg *cg, enum cg_stat what, uint64_t *ret)
{
	struct cg_place p;
	int r;

	if (what == CG_STAT_PIDS_FAIL)
		return stat_pids_fail(v2_dir(cg), ret);
	r = v2_place(cg, what, &p);
	return r < 0 ? r : cg_read_place(&p, ret);
}

/*
 * An empty list means the parent's, and only a write of a line makes it empty. While processes are
 * in the group the kernel refuses to empty it once it was set (ENOSPC; seen on 6.1): then the
 * parent's is written out.
 */
static int write_set(const char *dir, const char *file, const char *list)
{
	VZ_FREE char *all = NULL;
	char above[48];
	int r = cg_write(dir, file, list ? list : "\n");

	if (list || r != -ENOSPC)
		return r;
	(void)snprintf(above, sizeof(above), "../%s.effective", file);
	r = cg_read(dir, above, &all);
	return r < 0 ? r : cg_write(dir, file, all);
}

static int v2_cpuset(struct cg *cg, const char *cpus, const char *mems, struct vz_error *err)
{
	const char *dir = v2_dir(cg);
	int r = write_set(dir, "cpuset.mems", mems);

	if (r < 0)
		return vz_fail(err, RES_EXIT_CPU, -r, "cannot bind the VPS to nodes %s",
			       mems ? mems : "all");
	r = write_set(dir, "cpuset.cpus", cpus);
	if (r < 0)
		return vz_fail(err, RES_EXIT_CPU, -r, "cannot bind the VPS to CPUs %s",
			       cpus ? cpus : "all");
	return 0;
}

static int v2_devices(struct cg *cg, const struct cg_dev_rule *rules, size_t n,
		      struct vz_error *err)
{
	return cg_bpf_attach(v2_dir(cg), rules, n, err);
}

static int v2_attach(struct cg *cg, pid_t pid, bool payload, struct vz_error *err)
{
	const char *file = payload ? "payload/cgroup.procs" : "host/cgroup.procs";
	char text[16];
	int r;

	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	r = cg_write(v2_dir(cg), file, text);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot move process %d to %s/%s",
			       (int)pid, v2_dir(cg), file);
	return 0;
}

static int v2_freeze(struct cg *cg, bool on, int timeout_ms, struct vz_error *err)
{
	const char *dir = v2_dir(cg);
	int r = cg_write(dir, "cgroup.freeze", on ? "1" : "0");

	if (r == 0)
		r = cg_wait_event(dir, "frozen", on, timeout_ms);
	if (r == 0)
		return 0;
	if (on)
		(void)!cg_write(dir, "cgroup.freeze", "0");
	return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot %s %s", on ? "freeze" : "thaw", dir);
}

static int v2_kill(struct cg *cg, struct vz_error *err)
{
	int r = cg_write(v2_dir(cg), "cgroup.kill", "1"); /* 5.14; frozen ones die as well */

	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot kill %s", v2_dir(cg)) : 0;
}

static int v2_remove(struct cg *cg, struct vz_error *err)
{
	/* looked at first, so that a living VPS does not lose the empty ones among its groups */
	int r = cg_populated(v2_dir(cg)) ? -EBUSY : cg_rmdir_tree(v2_dir(cg));

	if (r == 0) {
		cg_guarantee_sum(v2_dir(cg), "memory.low", UINT64_MAX);
		cg_guarantee_sum(v2_dir(cg), "memory.min", MIN_MOST);
	}
	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot remove %s", v2_dir(cg)) : 0;
}

static void v2_close(struct cg *cg)
{
	free(cg);
}

static const struct cg_driver v2_driver = {
	.name = "v2",
	.set = v2_set,
	.get = v2_get,
	.stat = v2_stat,
	.place = v2_place,
	.cpuset = v2_cpuset,
	.io_max = v2_io_max,
	.devices = v2_devices,
	.attach = v2_attach,
	.freeze = v2_freeze,
	.kill = v2_kill,
	.remove = v2_remove,
	.close = v2_close,
};

int cg_v2_open(const char *dir, struct cg **ret)
{
	size_t len = strlen(dir) + 1;
	struct cg_v2 *v2 = calloc(1, sizeof(*v2) + len);

	if (!v2)
		return -ENOMEM;
	v2->cg.drv = &v2_driver;
	memcpy(v2->dir, dir, len);
	*ret = &v2->cg;
	return 0;
}
