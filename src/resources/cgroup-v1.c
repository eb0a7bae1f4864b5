/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"

#include <inttypes.h>
#include <string.h>

/*
 * Adapter: cgroup2's words for v1's controllers, each with a group of its own. A hierarchy without
 * one: EOPNOTSUPP.
 */

enum {
	SHARES_MIN = 2,
	SHARES_MAX = 262144,
	QUOTA_MIN_US = 1000,
	KILL_WAIT_MS = 5000,
};

struct cg_v1 {
	struct cg cg;
	struct cg_dirs dirs;
};

static const char *v1_dir(struct cg *cg, enum cg_ctl c)
{
	return ((struct cg_v1 *)cg)->dirs.v[c];
}

static int absent(struct vz_error *err, enum cg_ctl c)
{
	return vz_fail(err, VZ_EXIT_RESOURCE, EOPNOTSUPP, "no v1 controller %s", cg_ctl_name(c));
}

static int v1_write(struct cg *cg, enum cg_ctl c, enum cg_knob knob, const char *file,
		    int64_t value, struct vz_error *err)
{
	const char *dir = v1_dir(cg, c);
	char text[24];
	int r;

	if (!dir)
		return absent(err, c);
	if (c == CTL_PIDS && value < 0)
		(void)snprintf(text, sizeof(text), "max");
	else
		(void)snprintf(text, sizeof(text), "%" PRId64, value);
	r = cg_write(dir, file, text);
	return r < 0 ? cg_knob_fail(err, r, knob, dir, file, text) : 0;
}

/* ---- CPU ---- */

static int set_weight(struct cg *cg, uint64_t cpuunits, struct vz_error *err)
{
	uint64_t shares = cpuunits * 1024 / 1000;

	shares = shares < SHARES_MIN ? SHARES_MIN : shares > SHARES_MAX ? SHARES_MAX : shares;
	return v1_write(cg, CTL_CPU, CG_CPU_WEIGHT, "cpu.shares", (int64_t)shares, err);
}

static int set_burst(struct cg *cg, uint64_t us, struct vz_error *err)
{
	return v1_write(cg, CTL_CPU, CG_CPU_BURST_US, "cpu.cfs_burst_us", (int64_t)us, err);
}

static int set_cpu_max(struct cg *cg, uint64_t pct, struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_CPU);
	int64_t quota = -1;
	uint64_t period;
	int r;

	if (dir && cg_read_u64(dir, "cpu.cfs_period_us", &period) == 0 && period != CG_PERIOD_US) {
		r = v1_write(cg, CTL_CPU, CG_CPU_MAX_PCT, "cpu.cfs_period_us", CG_PERIOD_US, err);
		if (r < 0)
			return r;
	}
	if (pct != UINT64_MAX) {
		quota = (int64_t)(pct * (CG_PERIOD_US / 100));
		quota = quota < QUOTA_MIN_US ? QUOTA_MIN_US : quota;
	}
	return v1_write(cg, CTL_CPU, CG_CPU_MAX_PCT, "cpu.cfs_quota_us", quota, err);
}

/* ---- I/O ---- */

/* CFQ's file until 4.20 and bfq's since 5.2; the scheduler is what has it. */
static int set_io_weight(struct cg *cg, uint64_t weight, struct vz_error *err)
{
	int r = v1_write(cg, CTL_BLKIO, CG_IO_WEIGHT, "blkio.bfq.weight", (int64_t)weight, err);

	return r != -EOPNOTSUPP ? r
				: v1_write(cg, CTL_BLKIO, CG_IO_WEIGHT, "blkio.weight",
					   (int64_t)weight, err);
}

/* 0 removes a limit; operations are counted in 32 bits. */
static int v1_io_max(struct cg *cg, const struct cg_io_max *m, struct vz_error *err)
{
	static const char *const files[] = { "blkio.throttle.read_bps_device",
					     "blkio.throttle.write_bps_device",
					     "blkio.throttle.read_iops_device",
					     "blkio.throttle.write_iops_device" };
	const char *dir = v1_dir(cg, CTL_BLKIO);

	if (!dir)
		return absent(err, CTL_BLKIO);
	for (int i = 0; i < 4; i++) {
		uint64_t v = i < 2 ? m->bps : m->iops;
		char text[64];
		int r;

		if (v == UINT64_MAX)
			v = 0;
		else if (i >= 2 && v > UINT32_MAX)
			v = UINT32_MAX;
		(void)snprintf(text, sizeof(text), "%u:%u %" PRIu64, m->major, m->minor, v);
		r = cg_write(dir, files[i], text);
		if (r < 0)
			return cg_knob_fail(err, r, CG_IO_WEIGHT, dir, files[i], text);
	}
	return 0;
}

/* ---- memory ---- */

/* The kernel's "none" is the largest multiple of a page that fits in 63 bits. */
static uint64_t v1_none(uint64_t bytes)
{
	return bytes >= INT64_MAX - UINT64_C(0xffff) ? UINT64_MAX : bytes;
}

static int read_limit(const char *dir, const char *file, uint64_t *ret)
{
	uint64_t v;
	int r = cg_read_u64(dir, file, &v);

	if (r == 0)
		*ret = v1_none(v);
	return r;
}

static uint64_t add_limits(uint64_t a, uint64_t b)
{
	return a >= INT64_MAX || b >= INT64_MAX ? UINT64_MAX : v1_none(a + b);
}

static int write_limit(struct cg *cg, bool memsw, uint64_t value, struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_MEMORY);
	enum cg_knob knob = memsw ? CG_SWAP_MAX_BYTES : CG_MEM_MAX_BYTES;
	const char *usage = memsw ? "memory.memsw.usage_in_bytes" : "memory.usage_in_bytes";
	uint64_t now = 0;
	int r = v1_write(cg, CTL_MEMORY, knob,
			 memsw ? "memory.memsw.limit_in_bytes" : "memory.limit_in_bytes",
			 value == UINT64_MAX ? -1 : (int64_t)value, err);

	if (r != -EBUSY)
		return r;
	(void)!cg_read_u64(dir, usage, &now);
	(void)vz_fail(err, VZ_EXIT_SETUBC, 0,
		      "the VPS uses %" PRIu64
		      " bytes of memory%s, more than the new limit of %" PRIu64,
		      now, memsw ? " and swap" : "", value);
	err->sys = EBUSY;
	return -EBUSY;
}

/* memsw = memory + swap and never below memory: raise memsw first, lower memory first. */
static int set_memory(struct cg *cg, uint64_t bytes, struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_MEMORY);
	uint64_t mem = 0, memsw = 0, both;
	int r;

	if (!dir)
		return absent(err, CTL_MEMORY);
	r = read_limit(dir, "memory.limit_in_bytes", &mem);
	if (r < 0)
		return cg_knob_fail(err, r, CG_MEM_MAX_BYTES, dir, "memory.limit_in_bytes", "");
	if (read_limit(dir, "memory.memsw.limit_in_bytes", &memsw) < 0)
		return write_limit(cg, false, bytes, err);
	both = memsw == UINT64_MAX ? memsw : add_limits(bytes, memsw - mem);
	if (bytes > mem) {
		r = write_limit(cg, true, both, err);
		return r < 0 ? r : write_limit(cg, false, bytes, err);
	}
	r = write_limit(cg, false, bytes, err);
	if (r < 0)
		return r;
	r = write_limit(cg, true, both, err);
	if (r < 0) {
		struct vz_error unused;

		(void)!write_limit(cg, false, mem, &unused);
	}
	return r;
}

static int set_swap(struct cg *cg, uint64_t bytes, struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_MEMORY);
	uint64_t mem = 0;
	int r;

	if (!dir)
		return absent(err, CTL_MEMORY);
	r = read_limit(dir, "memory.limit_in_bytes", &mem);
	if (r < 0)
		return cg_knob_fail(err, r, CG_SWAP_MAX_BYTES, dir, "memory.limit_in_bytes", "");
	return write_limit(cg, true, add_limits(mem, bytes), err);
}

static const char tcp_limit[] = "memory.kmem.tcp.limit_in_bytes";

/* The first write, of whatever number, makes the kernel count for good: who wants no limit does not begin with it. */
static int set_tcp(struct cg *cg, uint64_t bytes, struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_MEMORY);
	uint64_t now = 0;

	if (dir && bytes == UINT64_MAX && read_limit(dir, tcp_limit, &now) == 0 &&
	    now == UINT64_MAX)
		return 0;
	return v1_write(cg, CTL_MEMORY, CG_TCP_MAX_BYTES, tcp_limit,
			bytes > INT64_MAX ? -1 : (int64_t)bytes, err);
}

static int v1_set(struct cg *cg, enum cg_knob knob, uint64_t value, struct vz_error *err)
{
	switch (knob) {
	case CG_CPU_WEIGHT:
		return set_weight(cg, value, err);
	case CG_CPU_MAX_PCT:
		return set_cpu_max(cg, value, err);
	case CG_MEM_MAX_BYTES:
		return set_memory(cg, value, err);
	case CG_SWAP_MAX_BYTES:
		return set_swap(cg, value, err);
	case CG_PIDS_MAX:
		return v1_write(cg, CTL_PIDS, knob, "pids.max",
				value > CG_PIDS_CEILING ? -1 : (int64_t)value, err);
	case CG_CPU_BURST_US:
		return set_burst(cg, value, err);
	case CG_IO_WEIGHT:
		return set_io_weight(cg, value, err);
	case CG_TCP_MAX_BYTES:
		return set_tcp(cg, value, err);
	case CG_MEM_LOW_BYTES: /* memory.soft_limit_in_bytes is no guarantee: it says whom to squeeze first */
	case CG_MEM_MIN_BYTES:
	case CG_KNOB_MAX:
		break;
	}
	return vz_fail(err, VZ_EXIT_RESOURCE, EOPNOTSUPP, "knob %d", knob);
}

static int get_value(struct cg *cg, enum cg_knob knob, uint64_t *ret)
{
	static const struct {
		enum cg_ctl ctl;
		const char *file;
	} map[CG_KNOB_MAX] = {
		[CG_CPU_WEIGHT] = { CTL_CPU, "cpu.shares" },
		[CG_CPU_MAX_PCT] = { CTL_CPU, "cpu.cfs_quota_us" },
		[CG_MEM_MAX_BYTES] = { CTL_MEMORY, "memory.limit_in_bytes" },
		[CG_SWAP_MAX_BYTES] = { CTL_MEMORY, "memory.memsw.limit_in_bytes" },
		[CG_PIDS_MAX] = { CTL_PIDS, "pids.max" },
		[CG_CPU_BURST_US] = { CTL_CPU, "cpu.cfs_burst_us" },
		[CG_IO_WEIGHT] = { CTL_BLKIO, "blkio.bfq.weight" },
		[CG_TCP_MAX_BYTES] = { CTL_MEMORY, tcp_limit },
	};
	const char *dir = map[knob].file ? v1_dir(cg, map[knob].ctl) : NULL;
	uint64_t v, other;
	int r = dir ? cg_read_u64(dir, map[knob].file, &v) : -EOPNOTSUPP;

	if (r < 0)
		return r;
	if (knob == CG_CPU_WEIGHT)
		v = (v * 1000 + 512) / 1024;
	else if (knob == CG_CPU_MAX_PCT && v != UINT64_MAX) {
		r = cg_read_u64(dir, "cpu.cfs_period_us", &other);
		if (r < 0 || other == 0)
			return r < 0 ? r : -EINVAL;
		v = v * 100 / other;
	} else if (map[knob].ctl == CTL_MEMORY) {
		v = v1_none(v);
		if (knob == CG_SWAP_MAX_BYTES && v != UINT64_MAX) {
			r = read_limit(dir, "memory.limit_in_bytes", &other);
			if (r < 0)
				return r;
			v = v > other ? v - other : 0;
		}
	}
	*ret = v;
	return 0;
}

static int v1_get(struct cg *cg, enum cg_knob knob, uint64_t *ret, struct vz_error *err)
{
	int r = get_value(cg, knob, ret);

	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot read knob %d", knob) : 0;
}

static int v1_place(struct cg *cg, enum cg_stat what, struct cg_place *ret)
{
	static const struct {
		enum cg_ctl ctl;
		const char *file, *key;
	} map[CG_STAT_MAX] = {
		[CG_STAT_PIDS] = { CTL_PIDS, "pids.current", NULL },
		[CG_STAT_PIDS_PEAK] = { CTL_PIDS, "pids.peak", NULL },
		[CG_STAT_PIDS_FAIL] = { CTL_PIDS, "pids.events", "max" },
		[CG_STAT_MEM] = { CTL_MEMORY, "memory.usage_in_bytes", NULL },
		[CG_STAT_MEM_PEAK] = { CTL_MEMORY, "memory.max_usage_in_bytes", NULL },
		[CG_STAT_MEM_FAIL] = { CTL_MEMORY, "memory.oom_control", "oom_kill" },
		[CG_STAT_OOM_KILL] = { CTL_MEMORY, "memory.oom_control", "oom_kill" },
		[CG_STAT_SWAP] = { CTL_MEMORY, "memory.stat", "total_swap" },
		[CG_STAT_SWAP_FAIL] = { CTL_MEMORY, "memory.memsw.failcnt", NULL },
		[CG_STAT_CPU_USEC] = { CTL_CPUACCT, "cpuacct.usage", NULL },
		[CG_STAT_KERNEL] = { CTL_MEMORY, "memory.kmem.usage_in_bytes", NULL },
		[CG_STAT_SHMEM] = { CTL_MEMORY, "memory.stat", "total_shmem" },
		[CG_STAT_SOCK] = { CTL_MEMORY, "memory.kmem.tcp.usage_in_bytes", NULL },
		[CG_STAT_TCP_FAIL] = { CTL_MEMORY, "memory.kmem.tcp.failcnt", NULL },
		[CG_STAT_UNEVICTABLE] = { CTL_MEMORY, "memory.stat", "total_unevictable" },
	};
	const char *dir = map[what].file ? v1_dir(cg, map[what].ctl) : NULL;

	if (!dir)
		return -EOPNOTSUPP;
	*ret = (struct cg_place){ dir, map[what].file, map[what].key };
	return 0;
}

static int v1_stat(struct cg *cg, enum cg_stat what, uint64_t *ret)
{
	struct cg_place p;
	int r = v1_place(cg, what, &p);

	if (r == 0)
		r = cg_read_place(&p, ret);
	if (r == 0 && what == CG_STAT_CPU_USEC)
		*ret /= 1000;
	return r;
}

/* ---- cpuset ---- */

/* v1 has no "the parent's": the words are copied, a NULL @value means that. */
static int write_set(const char *dir, const char *file, const char *value)
{
	VZ_FREE char *parent = NULL;
	char up[32];
	int r;

	if (value)
		return cg_write(dir, file, value);
	(void)snprintf(up, sizeof(up), "../%s", file);
	r = cg_read(dir, up, &parent);
	return r < 0 ? r : cg_write(dir, file, parent);
}

static int v1_cpuset(struct cg *cg, const char *cpus, const char *mems, struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_CPUSET);
	int r;

	if (!dir)
		return absent(err, CTL_CPUSET);
	r = write_set(dir, "cpuset.mems", mems);
	if (r < 0)
		return vz_fail(err, RES_EXIT_CPU, -r, "cannot bind the VPS to nodes %s",
			       mems ? mems : "all");
	r = write_set(dir, "cpuset.cpus", cpus);
	if (r < 0)
		return vz_fail(err, RES_EXIT_CPU, -r, "cannot bind the VPS to CPUs %s",
			       cpus ? cpus : "all");
	return 0;
}

/* ---- devices and processes ---- */

static int v1_devices(struct cg *cg, const struct cg_dev_rule *rules, size_t n,
		      struct vz_error *err)
{
	const char *dir = v1_dir(cg, CTL_DEVICES);
	int r;

	if (!dir)
		return absent(err, CTL_DEVICES);
	r = cg_v1_devices(dir, rules, n);
	return r < 0 ? vz_fail(err, VZ_EXIT_DEVICES, -r, "cannot write the devices of %s", dir) : 0;
}

static int v1_attach(struct cg *cg, pid_t pid, bool payload, struct vz_error *err)
{
	const struct cg_dirs *d = &((struct cg_v1 *)cg)->dirs;
	char text[16];

	(void)payload; /* one group for both */
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	for (int c = CTL_V2 + 1; c < CTL_MAX; c++) {
		int r;

		if (!d->v[c] || cg_dirs_known_before(d, c))
			continue;
		r = cg_write(d->v[c], "cgroup.procs", text);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot move process %s to %s",
				       text, d->v[c]);
	}
	return 0;
}

static int v1_freeze(struct cg *cg, bool on, int timeout_ms, struct vz_error *err)
{
	(void)cg;
	(void)on;
	(void)timeout_ms;
	return vz_fail(err, VZ_EXIT_RESOURCE, EOPNOTSUPP, "freezing is cgroup2's");
}

static bool still_inside(const char *dir, const char *pid)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list pids = { 0 };

	return cg_read(dir, "cgroup.procs", &text) == 0 && vz_list_split(&pids, text, "\n") == 0 &&
	       vz_list_find(&pids, pid) >= 0;
}

/* The number is looked up again once the pidfd holds the process: it could have been used anew. */
static int kill_one(const char *dir, const char *text)
{
	VZ_FD int pidfd = -EBADF;
	uint64_t pid;
	int r = vz_parse_u64(text, 1, INT32_MAX, &pid);

	if (r < 0)
		return r;
	pidfd = vz_proc_pidfd((pid_t)pid, 0);
	if (pidfd < 0 || !still_inside(dir, text))
		return 0;
	r = vz_pidfd_signal(pidfd, SIGKILL);
	if (r < 0)
		return r == -ESRCH ? 0 : r;
	return vz_pidfd_poll(pidfd, KILL_WAIT_MS);
}

/* For what a dead VPS left in v1 only; a living one is killed by its v2 group. */
static int v1_kill(struct cg *cg, struct vz_error *err)
{
	const struct cg_dirs *d = &((struct cg_v1 *)cg)->dirs;

	for (int c = CTL_V2 + 1; c < CTL_MAX; c++) {
		VZ_FREE char *text = NULL;
		VZ_LIST struct vz_list pids = { 0 };
		int r = 0;

		if (!d->v[c] || cg_dirs_known_before(d, c) ||
		    cg_read(d->v[c], "cgroup.procs", &text) < 0)
			continue;
		if (vz_list_split(&pids, text, "\n") < 0)
			r = -ENOMEM;
		for (size_t i = 0; r == 0 && i < pids.n; i++)
			r = kill_one(d->v[c], pids.v[i]);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot kill %s", d->v[c]);
	}
	return 0;
}

static int v1_remove(struct cg *cg, struct vz_error *err)
{
	const struct cg_dirs *d = &((struct cg_v1 *)cg)->dirs;
	int first = 0;

	for (int c = CTL_V2 + 1; c < CTL_MAX; c++) {
		int r;

		if (!d->v[c] || cg_dirs_known_before(d, c))
			continue;
		r = cg_rmdir_tree(d->v[c]);
		if (r < 0 && first == 0)
			first = vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot remove %s", d->v[c]);
	}
	return first;
}

static void v1_close(struct cg *cg)
{
	cg_dirs_clear(&((struct cg_v1 *)cg)->dirs);
	free(cg);
}

static const struct cg_driver v1_driver = {
	.name = "v1",
	.set = v1_set,
	.get = v1_get,
	.stat = v1_stat,
	.place = v1_place,
	.cpuset = v1_cpuset,
	.io_max = v1_io_max,
	.devices = v1_devices,
	.attach = v1_attach,
	.freeze = v1_freeze,
	.kill = v1_kill,
	.remove = v1_remove,
	.close = v1_close,
};

int cg_v1_open(const struct cg_dirs *groups, struct cg **ret)
{
	struct cg_v1 *v1 = calloc(1, sizeof(*v1));

	if (!v1)
		return -ENOMEM;
	v1->cg.drv = &v1_driver;
	for (int c = CTL_V2 + 1; c < CTL_MAX; c++) {
		if (!groups->v[c])
			continue;
		v1->dirs.v[c] = strdup(groups->v[c]);
		if (!v1->dirs.v[c]) {
			v1_close(&v1->cg);
			return -ENOMEM;
		}
	}
	*ret = &v1->cg;
	return 0;
}
