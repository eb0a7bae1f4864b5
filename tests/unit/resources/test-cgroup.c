/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"
#include "resources/resources.h"

#include "util/fd.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/stat.h>

/* The drivers on a tree of plain files, and res_apply on the fake driver; no root, no cgroups. */

static unsigned int tests, failed;
static char top[64] = "/tmp/croft-cgroup-XXXXXX";

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	(void)printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
}

static void put(const char *file, const char *text)
{
	char path[PATH_MAX];
	VZ_FD int fd =
		vz_openat(AT_FDCWD, cg_join(path, top, file), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || vz_write_all(fd, text, strlen(text)) < 0)
		(void)printf("# cannot write %s\n", path);
}

static void put_dir(const char *name)
{
	char path[PATH_MAX];

	(void)mkdir(cg_join(path, top, name), 0700);
}

static bool holds(const char *file, const char *text)
{
	char path[PATH_MAX];
	VZ_FREE char *have = NULL;

	return vz_read_file(AT_FDCWD, cg_join(path, top, file), 4096, &have) >= 0 &&
	       vz_streq(have, text);
}

static bool call(const struct cg_fake *f, size_t i, const char *text)
{
	return i < f->calls.n && vz_streq(f->calls.v[i], text);
}

/* ---- mountinfo ---- */

#define MI_V1	   "31 23 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
#define MI_SYSTEMD "32 23 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
#define MI_BIND	   "33 23 0:29 /vz/7 /vps/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
#define MI_V2                                                                                      \
	"34 23 0:29 / /sys/fs/cgroup/uni\\040fied rw shared:3 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MI_V2_ELSEWHERE                                                                            \
	"99 11 0:29 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw,nsdelegate\n"
#define MI_ROOT "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"

static void test_mountinfo(void)
{
	struct cg_mountinfo a = { 0 }, b = { 0 }, c = { 0 };
	int r = cg_mountinfo_parse(MI_ROOT MI_V1 MI_SYSTEMD MI_BIND MI_V2, &a);

	ok(r == 0 && a.have_v1, "mountinfo: a v1 controller");
	ok(a.v2 && vz_streq(a.v2, "/sys/fs/cgroup/uni fied"),
	   "mountinfo: whole v2, blank in its name");
	ok(a.systemd && vz_streq(a.systemd, "/sys/fs/cgroup/systemd"),
	   "mountinfo: named hierarchy");
	r = cg_mountinfo_parse(MI_ROOT MI_SYSTEMD MI_V2, &b);
	ok(r == 0 && !b.have_v1 && b.key != a.key, "mountinfo: other mounts, other key");
	r = cg_mountinfo_parse(MI_SYSTEMD MI_V2_ELSEWHERE "\nnonsense - cgroup\n", &c);
	ok(r == 0 && c.key == b.key, "mountinfo: ids and propagation do not change the key");
	cg_mountinfo_clear(&a);
	cg_mountinfo_clear(&b);
	cg_mountinfo_clear(&c);
	ok(cg_mountinfo_parse("", &a) == 0 && !a.v2, "mountinfo: empty");
}

static void test_dirs(void)
{
	CG_DIRS struct cg_dirs d = { 0 };

	ok(cg_dirs_add(&d, "cpu=/a") == 0 && cg_dirs_add(&d, "cpuacct=/a") == 0 &&
		   cg_dirs_add(&d, "pids=/b") == 0,
	   "state: groups are read");
	ok(!cg_dirs_known_before(&d, CTL_CPU) && cg_dirs_known_before(&d, CTL_CPUACCT) &&
		   !cg_dirs_known_before(&d, CTL_PIDS),
	   "state: controllers mounted together are one group");
	ok(cg_dirs_add(&d, "cpu") < 0 && cg_dirs_add(&d, "cpu=a") < 0 &&
		   cg_dirs_add(&d, "nope=/a") < 0,
	   "state: nonsense is refused");
}

/* ---- v2 ---- */

static void test_v2_set(void)
{
	char dir[PATH_MAX];
	struct vz_error err = { 0 };
	RES_CG struct cg *cg = NULL;
	uint64_t v = 0;

	put_dir("v2");
	put("v2/cpu.weight", "");
	put("v2/cpu.max", "");
	put("v2/memory.max", "");
	put("v2/memory.current", "1000\n");
	put("v2/pids.max", "");
	if (cg_v2_open(cg_join(dir, top, "v2"), &cg) < 0)
		return ok(false, "set up");
	ok(cg->drv->set(cg, CG_CPU_WEIGHT, 1000, &err) == 0 && holds("v2/cpu.weight", "100"),
	   "v2: 1000 cpuunits are weight 100");
	ok(cg->drv->get(cg, CG_CPU_WEIGHT, &v, &err) == 0 && v == 1000, "v2: and back");
	put("v2/cpu.weight", "");
	ok(cg->drv->set(cg, CG_CPU_WEIGHT, 500000, &err) == 0 && holds("v2/cpu.weight", "10000"),
	   "v2: weight is clamped");
	ok(cg->drv->set(cg, CG_CPU_MAX_PCT, 250, &err) == 0 && holds("v2/cpu.max", "250000 100000"),
	   "v2: 250 percent");
	ok(cg->drv->get(cg, CG_CPU_MAX_PCT, &v, &err) == 0 && v == 250, "v2: and back");
	put("v2/cpu.max", "max 100000\n");
	ok(cg->drv->get(cg, CG_CPU_MAX_PCT, &v, &err) == 0 && v == UINT64_MAX, "v2: no quota");
	ok(cg->drv->set(cg, CG_MEM_MAX_BYTES, 999, &err) == -EBUSY && err.exit == 1 &&
		   strstr(err.msg, "1000") && strstr(err.msg, "999") && holds("v2/memory.max", ""),
	   "v2: a limit below the usage is refused, both are named, nothing is written");
	ok(cg->drv->set(cg, CG_MEM_MAX_BYTES, 1000, &err) == 0 && holds("v2/memory.max", "1000"),
	   "v2: a limit at the usage");
	ok(cg->drv->set(cg, CG_PIDS_MAX, UINT64_MAX - 1, &err) == 0 && holds("v2/pids.max", "max"),
	   "v2: more processes than the kernel can count are no limit");
	ok(cg->drv->set(cg, CG_SWAP_MAX_BYTES, 1, &err) == -EOPNOTSUPP,
	   "v2: a knob that is not there");
}

static void test_v2_stat(void)
{
	char dir[PATH_MAX];
	struct vz_error err = { 0 };
	RES_CG struct cg *cg = NULL;
	uint64_t v = 0;

	put("v2/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n");
	put("v2/cpu.stat", "usage_usec 1234\nuser_usec 1000\n");
	put("v2/pids.events", "max 1\n");
	put_dir("v2/payload");
	put_dir("v2/payload/deep");
	put("v2/payload/pids.events", "max 20\n");
	put("v2/payload/deep/pids.events", "max 300\n");
	if (cg_v2_open(cg_join(dir, top, "v2"), &cg) < 0)
		return ok(false, "set up");
	ok(cg->drv->stat(cg, CG_STAT_OOM_KILL, &v) == 0 && v == 2,
	   "v2: processes killed for memory");
	ok(cg->drv->stat(cg, CG_STAT_CPU_USEC, &v) == 0 && v == 1234, "v2: CPU time");
	ok(cg->drv->stat(cg, CG_STAT_PIDS_FAIL, &v) == 0 && v == 321,
	   "v2: refused forks of old kernels are counted where they happened");
	put("v2/pids.events.local", "max 7\n");
	ok(cg->drv->stat(cg, CG_STAT_PIDS_FAIL, &v) == 0 && v == 7,
	   "v2: newer kernels count at the limit");
	ok(cg->drv->stat(cg, CG_STAT_PIDS_PEAK, &v) == -EOPNOTSUPP, "v2: no peak on older kernels");
	put("v2/cgroup.freeze", "");
	put("v2/cgroup.events", "populated 1\nfrozen 1\n");
	ok(cg->drv->freeze(cg, true, 0, &err) == 0 && holds("v2/cgroup.freeze", "1"), "v2: freeze");
	put("v2/cgroup.freeze", "");
	put("v2/cgroup.events", "populated 1\nfrozen 0\n");
	ok(cg->drv->freeze(cg, true, 0, &err) == -ETIMEDOUT && holds("v2/cgroup.freeze", "0"),
	   "v2: a freeze that takes too long is taken back");
	ok(cg->drv->remove(cg, &err) == -EBUSY && holds("v2/cgroup.freeze", "0"),
	   "v2: a group with processes is not touched by remove");
}

static void test_stats(void)
{
	char dir[PATH_MAX];
	RES_CG struct cg *cg = NULL;
	const unsigned int want = 1U << CG_STAT_KERNEL | 1U << CG_STAT_SHMEM | 1U << CG_STAT_SOCK |
				  1U << CG_STAT_RECLAIMABLE | 1U << CG_STAT_MEM_FAIL |
				  1U << CG_STAT_PIDS_FAIL | 1U << CG_STAT_MEM;
	uint64_t v[CG_STAT_MAX] = { 0 };

	put("v2/memory.stat", "anon 1\nkernel 77\nsock 5\nshmem 9\n");
	if (cg_v2_open(cg_join(dir, top, "v2"), &cg) < 0)
		return ok(false, "set up");
	ok(res_stats(cg, want, v) == (want & ~(1U << CG_STAT_RECLAIMABLE)),
	   "stats: all that is there, and no more");
	ok(v[CG_STAT_KERNEL] == 77 && v[CG_STAT_SOCK] == 5 && v[CG_STAT_SHMEM] == 9 &&
		   v[CG_STAT_MEM_FAIL] == 3 && v[CG_STAT_PIDS_FAIL] == 7 && v[CG_STAT_MEM] == 1000,
	   "stats: from their files and lines");
}

static void test_guarantee(void)
{
	char dir[PATH_MAX];
	struct vz_error err = { 0 };
	struct vps_config cfg;
	RES_CG struct cg *cg = NULL;

	put_dir("slice");
	put_dir("slice/1");
	put_dir("slice/2");
	put("slice/memory.low", "0\n");
	put("slice/memory.min", "0\n");
	put("slice/1/memory.low", "");
	put("slice/1/memory.min", "");
	put("slice/2/memory.low", "30\n");
	put("slice/2/memory.min", "max\n");
	if (cg_v2_open(cg_join(dir, top, "slice/1"), &cg) < 0)
		return ok(false, "set up");
	ok(cg->drv->set(cg, CG_MEM_LOW_BYTES, 12, &err) == 0 && holds("slice/1/memory.low", "12") &&
		   holds("slice/memory.low", "42"),
	   "guarantee: the group of all VPSes has the sum");
	ok(cg->drv->set(cg, CG_MEM_MIN_BYTES, 5, &err) == 0 && !holds("slice/memory.min", "0\n") &&
		   !holds("slice/memory.min", "max"),
	   "guarantee: never the whole node");
	memset(&cfg, 0, sizeof(cfg));
	cfg.vmguarpages = (struct vps_pair){ 3, INT64_MAX };
	ok(cg_guarantee_bytes(&cfg, VP_VMGUARPAGES) == 0, "guarantee: what nobody set is none");
	cfg.source[VP_VMGUARPAGES] = VS_VPS;
	ok(cg_guarantee_bytes(&cfg, VP_VMGUARPAGES) == 12288, "guarantee: pages of 4096 bytes");
	cfg.vmguarpages.bar = INT64_MAX;
	ok(cg_guarantee_bytes(&cfg, VP_VMGUARPAGES) == UINT64_MAX, "guarantee: unlimited");
	ok(cg_oom_adj(0, 1000000) == 0 && cg_oom_adj(250000, 1000000) == -250 &&
		   cg_oom_adj(UINT64_MAX, 1000000) == -900 && cg_oom_adj(1, 1) < 0,
	   "guarantee: as a score of the OOM killer");
}

static void test_walk_text(void)
{
	static const char locks[] = "1: FLOCK  ADVISORY  WRITE 30 08:01:5 0 EOF\n"
				    "1: -> FLOCK  ADVISORY  WRITE 31 08:01:5 0 EOF\n"
				    "2: POSIX  ADVISORY  READ 31 08:01:6 0 10\n"
				    "3: OFDLCK ADVISORY  WRITE -1 08:01:7 0 EOF\n"
				    "4: LEASE  ACTIVE    READ 99 08:01:8 0 EOF\n";
	uint64_t pids[] = { 31, 30, 7 };
	struct res_usage u = { 0 };

	ok(cg_count_locks(locks, pids, 3) == 2 && cg_count_locks(locks, pids, 0) == 0 &&
		   cg_count_locks("", pids, 3) == 0,
	   "locks: those that the processes hold, not those they wait for");
	cg_count_sockets("sockets: used 22\nTCP: inuse 3 orphan 0 tw 9 alloc 8 mem 131\n",
			 "TCP6: inuse 2\nUDP6: inuse 4\n", &u);
	ok(u.tcp == 5 && u.other_sockets == 17, "sockets: TCP of both families, and the rest");
	cg_count_sockets("sockets: used 1\nTCP: inuse 3\n", "", &u);
	ok(u.tcp == 3 && u.other_sockets == 0, "sockets: two files are not read at one time");
}

static void test_rmdir(void)
{
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	struct stat st;

	put_dir("tree");
	fd = vz_openat(AT_FDCWD, cg_join(path, top, "tree"), O_RDONLY | O_DIRECTORY, 0);
	for (int i = 0; i < 3000 && fd >= 0; i++) { /* 3 * 3000 characters: beyond PATH_MAX */
		int next;

		(void)mkdirat(fd, "a-", 0700);
		(void)mkdirat(fd, "b-", 0700);
		next = vz_openat(fd, "a-", O_RDONLY | O_DIRECTORY, 0);
		vz_closep(&fd);
		fd = next;
	}
	ok(fd >= 0 && cg_rmdir_tree(path) == 0 && stat(path, &st) < 0, "remove: 3000 groups deep");
	ok(cg_rmdir_tree(path) == 0, "remove: nothing there");
	put_dir("tree");
	put_dir("tree/x");
	put("tree/x/file", "");
	ok(cg_rmdir_tree(path) == -ENOTEMPTY, "remove: what cannot be removed ends it");
}

/* ---- v1 ---- */

static struct cg *open_v1(void)
{
	static const char *const names[] = { "cpu", "memory", "pids", "cpuset", "devices" };
	CG_DIRS struct cg_dirs d = { 0 };
	struct cg *cg = NULL;

	put_dir("v1");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		VZ_FREE char *line = vz_fmt("%s=%s/v1/%s", names[i], top, names[i]);

		if (!line || cg_dirs_add(&d, line) < 0)
			return NULL;
		put_dir(strchr(line, '=') + 1 + strlen(top) + 1);
	}
	return cg_v1_open(&d, &cg) == 0 ? cg : NULL;
}

static void test_v1_set(void)
{
	struct vz_error err = { 0 };
	RES_CG struct cg *cg = open_v1();
	uint64_t v = 0;

	if (!cg)
		return ok(false, "set up");
	put("v1/cpu/cpu.shares", "");
	put("v1/cpu/cpu.cfs_quota_us", "");
	put("v1/cpu/cpu.cfs_period_us", "100000\n");
	put("v1/pids/pids.max", "");
	put("v1/cpuset.cpus", "0-3\n");
	put("v1/cpuset.mems", "0\n");
	put("v1/cpuset/cpuset.cpus", "");
	put("v1/cpuset/cpuset.mems", "");
	ok(cg->drv->set(cg, CG_CPU_WEIGHT, 1000, &err) == 0 && holds("v1/cpu/cpu.shares", "1024"),
	   "v1: 1000 cpuunits are 1024 shares");
	ok(cg->drv->get(cg, CG_CPU_WEIGHT, &v, &err) == 0 && v == 1000, "v1: and back");
	put("v1/cpu/cpu.shares", "");
	ok(cg->drv->set(cg, CG_CPU_WEIGHT, 500000, &err) == 0 &&
		   holds("v1/cpu/cpu.shares", "262144"),
	   "v1: shares are clamped");
	ok(cg->drv->set(cg, CG_CPU_MAX_PCT, 50, &err) == 0 &&
		   holds("v1/cpu/cpu.cfs_quota_us", "50000"),
	   "v1: quota");
	put("v1/cpu/cpu.cfs_quota_us", "");
	ok(cg->drv->set(cg, CG_CPU_MAX_PCT, UINT64_MAX, &err) == 0 &&
		   holds("v1/cpu/cpu.cfs_quota_us", "-1"),
	   "v1: no quota");
	ok(cg->drv->set(cg, CG_PIDS_MAX, UINT64_MAX, &err) == 0 && holds("v1/pids/pids.max", "max"),
	   "v1: no limit of processes");
	ok(cg->drv->cpuset(cg, NULL, NULL, &err) == 0 && holds("v1/cpuset/cpuset.cpus", "0-3\n") &&
		   holds("v1/cpuset/cpuset.mems", "0\n"),
	   "v1: all CPUs are the parent's");
	ok(cg->drv->stat(cg, CG_STAT_CPU_USEC, &v) == -EOPNOTSUPP,
	   "v1: a hierarchy that is not mounted");
}

#define V1_NONE "9223372036854771712\n"

static void test_v1_memory(void)
{
	struct vz_error err = { 0 };
	RES_CG struct cg *cg = open_v1();
	uint64_t v = 0;

	if (!cg)
		return ok(false, "set up");
	put("v1/memory/memory.limit_in_bytes", V1_NONE);
	ok(cg->drv->get(cg, CG_MEM_MAX_BYTES, &v, &err) == 0 && v == UINT64_MAX,
	   "v1: no memory limit");
	ok(cg->drv->set(cg, CG_SWAP_MAX_BYTES, 4096, &err) == -EOPNOTSUPP,
	   "v1: without swap accounting");
	put("v1/memory/memory.limit_in_bytes", "8192\n");
	put("v1/memory/memory.memsw.limit_in_bytes", "12288\n");
	ok(cg->drv->get(cg, CG_SWAP_MAX_BYTES, &v, &err) == 0 && v == 4096,
	   "v1: swap = memsw - memory");
	ok(cg->drv->set(cg, CG_MEM_MAX_BYTES, 40960, &err) == 0 &&
		   holds("v1/memory/memory.limit_in_bytes", "40960") &&
		   holds("v1/memory/memory.memsw.limit_in_bytes", "45056\n"),
	   "v1: the swap limit stays when memory changes");
	ok(cg->drv->set(cg, CG_SWAP_MAX_BYTES, 0, &err) == 0 &&
		   holds("v1/memory/memory.memsw.limit_in_bytes", "40960\n"),
	   "v1: no swap at all");
}

static void test_v1_devices(void)
{
	static const struct cg_dev_rule rules[] = { { 'c', 1, 3, "rwm" }, { 'c', 5, -1, "r" } };
	struct vz_error err = { 0 };
	RES_CG struct cg *cg = open_v1();

	if (!cg)
		return ok(false, "set up");
	put("v1/devices/devices.allow", "");
	put("v1/devices/devices.deny", "");
	put("v1/devices/cgroup.procs", "");
	put("v1/devices/devices.list", "a *:* rwm\n");
	ok(cg->drv->devices(cg, rules, 2, &err) == 0 && holds("v1/devices/devices.deny", "a") &&
		   holds("v1/devices/devices.allow", "c 5:* rwm"),
	   "v1: a new group is closed first (plain file: the shorter last write over the first)");
	put("v1/devices/devices.allow", "");
	put("v1/devices/devices.deny", "");
	put("v1/devices/cgroup.procs", "1234\n");
	put("v1/devices/devices.list", "c 1:3 rwm\nc 5:* rw\n");
	ok(cg->drv->devices(cg, rules, 2, &err) == 0 && holds("v1/devices/devices.deny", "c 5:* w"),
	   "v1: with processes only what is not wanted any more is denied");
	put("v1/devices/devices.deny", "");
	put("v1/devices/devices.list", "c 1:3 rm\nc 5:* r\n");
	ok(cg->drv->devices(cg, rules, 2, &err) == 0 && holds("v1/devices/devices.deny", ""),
	   "v1: nothing to deny, nothing written");
}

/* ---- device rules ---- */

static bool has_rule(const struct cg_dev_rules *r, char type, int64_t maj, int64_t min,
		     const char *acc)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].type == type && r->v[i].major == maj && r->v[i].minor == min)
			return vz_streq(r->v[i].access, acc);
	return false;
}

static void test_rules(void)
{
	char *devices[] = { (char *)"b:8:16:r", (char *)"c:10:all:rwq", (char *)"c:1:11:q" };
	char *nodes[] = { (char *)"null:r" }, *gone[] = { (char *)"no/such:rw" };
	char *bad[] = { (char *)"x:1:1:rw" }, *out[] = { (char *)"../etc/passwd:rw" };
	struct cg_dev_rules r = { 0 };
	struct vps_config cfg;
	struct vz_error err = { 0 };
	VZ_FD int devfd = vz_openat(AT_FDCWD, "/dev", O_PATH | O_DIRECTORY, 0);
	size_t base;

	memset(&cfg, 0, sizeof(cfg));
	ok(cg_dev_rules_make(&cfg, devfd, &r, &err) == 0 && has_rule(&r, 'c', 1, 3, "rwm") &&
		   has_rule(&r, 'c', -1, -1, "m") && !has_rule(&r, 'c', 10, 200, "rwm"),
	   "devices: the default set");
	base = r.n;
	cg_dev_rules_clear(&r);
	cfg.source[VP_DEVICES] = cfg.source[VP_DEVNODES] = VS_CLI;
	cfg.devices = (struct vz_list){ devices, 3 };
	cfg.devnodes = (struct vz_list){ nodes, 1 };
	ok(cg_dev_rules_make(&cfg, devfd, &r, &err) == 0 && has_rule(&r, 'b', 8, 16, "rm") &&
		   has_rule(&r, 'c', 10, -1, "rwm"),
	   "devices: --devices");
	ok(r.n == base + 2, "devices: one rule a device, none without r or w");
	cg_dev_rules_clear(&r);
	cfg.devices.v = bad;
	cfg.devices.n = 1;
	ok(cg_dev_rules_make(&cfg, devfd, &r, &err) == -EINVAL && err.exit == 86,
	   "devices: nonsense");
	cfg.devices.n = 0;
	cfg.devnodes.v = gone;
	ok(cg_dev_rules_make(&cfg, devfd, &r, &err) == -ENOENT && err.exit == 86,
	   "devices: no such node");
	cfg.devnodes.v = out;
	ok(cg_dev_rules_make(&cfg, devfd, &r, &err) == -EINVAL && !r.n,
	   "devices: a node outside /dev");
}

/* Runs the few instructions that cg_bpf_build writes. */
static int run_bpf(const struct cg_bpf *p, uint32_t access, uint32_t major, uint32_t minor)
{
	uint32_t ctx[3] = { access, major, minor }, r[11] = { 0 };

	for (size_t i = 0; i < p->n; i++) {
		const struct bpf_insn *in = &p->insns[i];

		switch (in->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			r[in->dst_reg] = ctx[in->off / 4];
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			r[in->dst_reg] = r[in->src_reg];
			break;
		case BPF_ALU | BPF_MOV | BPF_K:
			r[in->dst_reg] = (uint32_t)in->imm;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			r[in->dst_reg] &= (uint32_t)in->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			r[in->dst_reg] >>= in->imm;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			if (r[in->dst_reg] != (uint32_t)in->imm)
				i += (size_t)in->off;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)r[0];
		default:
			return -1;
		}
	}
	return -1;
}

static void test_bpf(void)
{
	static const struct cg_dev_rule rules[] = { { 'c', -1, -1, "m" },
						    { 'c', 1, 3, "rwm" },
						    { 'b', 8, -1, "r" } };
	static const struct cg_dev_rule any[] = { { 'a', -1, -1, "rwm" }, { 'c', 1, 3, "r" } };
	const uint32_t c = BPF_DEVCG_DEV_CHAR, b = BPF_DEVCG_DEV_BLOCK,
		       m = BPF_DEVCG_ACC_MKNOD << 16, rd = BPF_DEVCG_ACC_READ << 16,
		       wr = BPF_DEVCG_ACC_WRITE << 16;
	struct cg_bpf p = { 0 };

	if (cg_bpf_build(rules, 3, &p) < 0)
		return ok(false, "set up");
	ok(run_bpf(&p, c | rd | wr, 1, 3) == 1 && run_bpf(&p, c | wr, 1, 5) == 0,
	   "bpf: one device");
	ok(run_bpf(&p, c | m, 9, 9) == 1 && run_bpf(&p, b | m, 9, 9) == 0, "bpf: mknod by type");
	ok(run_bpf(&p, b | rd, 8, 77) == 1 && run_bpf(&p, b | rd | wr, 8, 77) == 0 &&
		   run_bpf(&p, c | rd, 8, 77) == 0,
	   "bpf: any minor, reading only");
	cg_bpf_clear(&p);
	if (cg_bpf_build(any, 2, &p) < 0)
		return ok(false, "set up");
	ok(run_bpf(&p, b | rd | wr | m, 7, 0) == 1 &&
		   p.insns[p.n - 1].code == (BPF_JMP | BPF_EXIT) && run_bpf(&p, c | wr, 1, 3) == 1,
	   "bpf: everything, and nothing unreachable after it");
	cg_bpf_clear(&p);
	if (cg_bpf_build(NULL, 0, &p) < 0)
		return ok(false, "set up");
	ok(run_bpf(&p, c | rd, 1, 3) == 0, "bpf: no rule, no device");
	cg_bpf_clear(&p);
}

/* ---- what the node has once ---- */

static void test_ptys(void)
{
	const uint64_t gib = 1ULL << 30;

	ok(cg_node_ptys(0) == 4096 && cg_node_ptys(gib) == 4096, "ptys: not below the default");
	ok(cg_node_ptys(24 * gib) == 39321, "ptys: a quarter of the memory at 160 KiB each");
	ok(cg_node_ptys(UINT64_MAX) == 1 << 20, "ptys: not above what the kernel takes");
	ok(res_ptys_share() >= 384 && res_ptys_share() <= ((1 << 20) - 1024) / 8,
	   "ptys: the share of a VPS is an eighth");
}

/* ---- res_apply ---- */

static void test_apply(void)
{
	struct cg_fake *f = cg_fake_new();
	RES_CG struct cg *cg = f ? &f->cg : NULL;
	VZ_LIST struct vz_list missing = { 0 };
	struct vz_error err = { 0 };
	char memory[40], tasks[40];
	struct vps_config cfg;

	if (!f)
		return ok(false, "set up");
	memset(&cfg, 0, sizeof(cfg));
	ok(res_apply(cg, &cfg, 1U << AG_CPU | 1U << AG_MEM | 1U << AG_PIDS | 1U << AG_CPUSET,
		     &missing, &err) == 0 &&
		   !missing.n,
	   "apply: an empty configuration");
	ok(call(f, 0, "set 0 1000") && call(f, 1, "set 1 none"), "apply: 1000 cpuunits, no quota");
	(void)snprintf(memory, sizeof(memory), "set 2 %llu",
		       (unsigned long long)cg_node_ram() / 8 * 7);
	(void)snprintf(tasks, sizeof(tasks), "set 4 %llu", (unsigned long long)cg_node_tasks() / 8);
	ok(call(f, 2, memory) && call(f, 3, "set 3 none") && call(f, 4, tasks),
	   "apply: no limits are still a part of the node");
	ok(call(f, 5, "set 5 0") && call(f, 6, "set 6 0"), "apply: no guarantees");
	ok(call(f, 8, "cpuset - -") && f->calls.n == 9, "apply: all CPUs");
	vz_list_clear(&f->calls);
	cfg.source[VP_CPULIMIT] = cfg.source[VP_CPUS] = VS_VPS;
	cfg.cpulimit = 150;
	cfg.cpus = 1;
	ok(res_apply(cg, &cfg, 1U << AG_CPU, &missing, &err) == 0 && call(f, 1, "set 1 100"),
	   "apply: --cpus below --cpulimit wins");
	vz_list_clear(&f->calls);
	cfg.cpus = 0;
	ok(res_apply(cg, &cfg, 1U << AG_CPU, &missing, &err) == 0 && call(f, 1, "set 1 150"),
	   "apply: 0 CPUs are all of them");
	vz_list_clear(&f->calls);
	cfg.source[VP_NUMPROC] = VS_VPS;
	cfg.numproc = (struct vps_pair){ 10, 20 };
	ok(res_apply(cg, &cfg, 1U << AG_PIDS, &missing, &err) == 0 && call(f, 0, "set 4 20"),
	   "apply: numproc is held by its limit");
	vz_list_clear(&f->calls);
	cfg.numproc.lim = INT64_MAX;
	ok(res_apply(cg, &cfg, 1U << AG_PIDS, &missing, &err) == 0 && call(f, 0, tasks),
	   "apply: unlimited numproc");
	vz_list_clear(&f->calls);
	cfg.source[VP_PHYSPAGES] = VS_VPS;
	cfg.physpages = (struct vps_pair){ 0, 65536 };
	ok(res_apply(cg, &cfg, 1U << AG_MEM, &missing, &err) == 0 &&
		   call(f, 0, "set 2 268435456") && call(f, 2, "set 4 1024"),
	   "apply: not more processes than fit into the memory");
	vz_list_clear(&f->calls);
	ok(res_apply(cg, &cfg, 1U << AG_DEV, &missing, &err) == 0 && f->calls.n == 1 && !missing.n,
	   "apply: devices");
}

static void test_apply_missing(void)
{
	struct cg_fake *f = cg_fake_new();
	RES_CG struct cg *cg = f ? &f->cg : NULL;
	VZ_LIST struct vz_list missing = { 0 };
	struct vz_error err = { 0 };
	struct vps_config cfg;

	if (!f)
		return ok(false, "set up");
	memset(&cfg, 0, sizeof(cfg));
	f->fail[CG_SWAP_MAX_BYTES] = f->fail_cpuset = EOPNOTSUPP;
	ok(res_apply(cg, &cfg, 1U << AG_MEM | 1U << AG_CPUSET, &missing, &err) == 0 && !missing.n &&
		   !err.sys,
	   "apply: a missing knob is not told when nothing wants it");
	cfg.source[VP_SWAPPAGES] = cfg.source[VP_CPUMASK] = VS_VPS;
	cfg.swappages.lim = 0;
	cfg.cpumask = (char *)"0";
	ok(res_apply(cg, &cfg, 1U << AG_MEM | 1U << AG_CPUSET, &missing, &err) == 0 &&
		   missing.n == 2 && !strncmp(missing.v[0], "--swappages: ", 13),
	   "apply: a missing knob that is wanted is told");
	f->fail[CG_MEM_MAX_BYTES] = EBUSY;
	ok(res_apply(cg, &cfg, 1U << AG_MEM, &missing, &err) == -EBUSY && err.sys == EBUSY,
	   "apply: memory in use ends it");
	f->fail_devices = EOPNOTSUPP;
	vz_list_clear(&missing);
	ok(res_apply(cg, &cfg, 1U << AG_DEV, &missing, &err) == 0 && missing.n == 1,
	   "apply: no device policy is always told");
	cfg.cpumask = (char *)"8000";
	ok(res_apply(cg, &cfg, 1U << AG_CPUSET, &missing, &err) == -ENODEV && err.exit == 2,
	   "apply: a CPU that is not there");
}

static void test_nodes(void)
{
	char dir[PATH_MAX];
	VZ_FREE char *cpus = NULL;

	put_dir("node");
	put_dir("node/node0");
	put_dir("node/node2");
	put_dir("node/node3");
	put("node/node0/cpulist", "0-1,4\n");
	put("node/node2/cpulist", "8\n");
	put("node/node3/cpulist", "\n");
	ok(cg_node_cpus(cg_join(dir, top, "node"), "0,2-3", &cpus) == 0 &&
		   vz_streq(cpus, "0-1,4,8"),
	   "nodes: their CPUs");
	vz_freep(&cpus);
	ok(cg_node_cpus(dir, "3", &cpus) < 0, "nodes: one with memory only");
	ok(cg_node_cpus(dir, "1", &cpus) < 0, "nodes: one that is not there");
}

int main(void)
{
	if (!mkdtemp(top))
		return 1;
	test_mountinfo();
	test_dirs();
	test_v2_set();
	test_v2_stat();
	test_stats();
	test_guarantee();
	test_walk_text();
	test_rmdir();
	test_v1_set();
	test_v1_memory();
	test_v1_devices();
	test_rules();
	test_bpf();
	test_ptys();
	test_apply();
	test_apply_missing();
	test_nodes();
	(void)printf("1..%u\n", tests);
	(void)!vz_rm_rf(AT_FDCWD, top);
	return failed ? 1 : 0;
}
