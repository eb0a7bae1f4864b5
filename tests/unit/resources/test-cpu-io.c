/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"
#include "resources/resources.h"

#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* CPU and I/O: the appliers on the fake driver, the drivers on plain files; no root, no cgroups. */

static char top[64] = "/tmp/croft-cpu-io-XXXXXX";

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

/* ---- burst ---- */

/* What res_apply() makes of limit and burst: the calls after that of the weight, and the sentences. */
static bool bursts(struct cg_fake *f, uint64_t limit, uint64_t burst, const char *calls,
		   size_t told)
{
	struct vps_config cfg;
	VZ_LIST struct vz_list missing = { 0 };
	VZ_FREE char *made = NULL;
	struct vz_error err = { 0 };

	memset(&cfg, 0, sizeof(cfg));
	cfg.source[VP_CPULIMIT] = cfg.source[VP_CPUBURST] = VS_VPS;
	cfg.cpulimit = limit;
	cfg.cpuburst = burst;
	vz_list_clear(&f->calls);
	if (res_apply(&f->cg, &cfg, 1U << AG_CPU, &missing, &err) < 0)
		return false;
	vz_list_del(&f->calls, 0);
	made = vz_list_join(&f->calls, ", ");
	(void)printf("# %s; %s\n", made, missing.n ? missing.v[0] : "");
	return made && vz_streq(made, calls) && missing.n == told;
}

static void test_burst(void)
{
	struct cg_fake *f = cg_fake_new();
	RES_CG struct cg *cg = f ? &f->cg : NULL;

	if (!f)
		return (void)OK_NAME(false, "set up");
	OK_NAME(bursts(f, 50, 20, "set 1 50, set 7 20000", 0), "burst: after the limit it needs");
	OK_NAME(bursts(f, 50, 20, "set 1 50", 0), "burst: there already");
	OK_NAME(bursts(f, 10, 20, "set 7 10000, set 1 10", 1),
		"burst: cut before the limit falls below");
	OK_NAME(bursts(f, 200, 150, "set 1 200, set 7 150000", 0), "burst: more than one CPU");
	OK_NAME(bursts(f, 0, 150, "set 7 0, set 1 none", 1),
		"burst: none without a limit, and told");
	OK_NAME(bursts(f, 0, 0, "set 1 none", 0), "burst: nothing wanted, nothing told");
	f->fail[CG_CPU_BURST_US] = EOPNOTSUPP;
	OK_NAME(bursts(f, 50, 20, "set 1 50", 1), "burst: a kernel without is told");
	OK_NAME(bursts(f, 50, 0, "set 1 50", 0), "burst: but only when it is wanted");
}

/* ---- nodes ---- */

static void put_node(unsigned int n, const char *cpus, unsigned int total_mib,
		     unsigned int free_mib)
{
	char name[64], text[256];

	(void)snprintf(name, sizeof(name), "node/node%u", n);
	put_dir(name);
	(void)snprintf(name, sizeof(name), "node/node%u/cpulist", n);
	(void)snprintf(text, sizeof(text), "%s\n", cpus);
	put(name, text);
	(void)snprintf(name, sizeof(name), "node/node%u/meminfo", n);
	(void)snprintf(text, sizeof(text),
		       "Node %u MemTotal:       %u kB\nNode %u MemFree:        %u kB\n", n,
		       total_mib << 10, n, free_mib << 10);
	put(name, text);
}

static bool chooses(const char *cpus, uint64_t ram_mib, const char *nodes)
{
	char dir[PATH_MAX];
	VZ_FREE char *got = NULL;
	int r = cg_node_auto(cg_join(dir, top, "node"), cpus,
			     ram_mib == UINT64_MAX ? ram_mib : ram_mib << 20, &got);

	(void)printf("# %d %s\n", r, got ? got : "all");
	return r == 0 && (nodes ? got && vz_streq(got, nodes) : !got);
}

static void test_node_auto(void)
{
	char dir[PATH_MAX];
	VZ_FREE char *got = NULL;

	put_dir("node");
	put("node/online", "0-3\n");
	put_node(0, "0-1", 1000, 100);
	put_node(1, "2-3", 1000, 900);
	put_node(2, "4-5", 1000, 500);
	put_node(3, "", 8000, 8000); /* memory without CPUs */
	OK_NAME(chooses(NULL, 300, "1"), "auto: the one with most free memory");
	OK_NAME(chooses(NULL, 1000, "1"), "auto: as long as it holds the limit");
	OK_NAME(chooses(NULL, 1001, "1,2"), "auto: then the next");
	OK_NAME(chooses(NULL, 9000, "0,1,2"), "auto: all of them at last");
	OK_NAME(chooses(NULL, UINT64_MAX, NULL), "auto: memory without a limit needs all");
	OK_NAME(chooses("1,4", UINT64_MAX, "0,2"), "auto: the nodes of the CPUs");
	OK_NAME(chooses("3", 5000, "1"), "auto: of the CPUs, whatever the memory");
	OK_NAME(cg_node_auto(cg_join(dir, top, "node"), "9", 1, &got) == -ENODEV,
		"auto: CPUs of no node");
	OK_NAME(cg_node_auto(cg_join(dir, top, "none"), NULL, 1, &got) == 0 && !got,
		"auto: a kernel without nodes");
}

/* ---- VE0CPUUNITS ---- */

static void test_share(void)
{
	OK_NAME(cg_share_of(100, 1000, 1, 10000) == 100, "share: one VPS as the node has");
	OK_NAME(cg_share_of(400, 2000, 1, 10000) == 200, "share: the node has twice as much");
	OK_NAME(cg_share_of(400, 500, 1, 10000) == 800, "share: or half as much");
	OK_NAME(cg_share_of(100000, 1000, 1, 10000) == 10000 &&
			cg_share_of(1, 500000, 1, 10000) == 1 &&
			cg_share_of(UINT64_MAX, 1000, 2, 262144) == 262144,
		"share: what the kernel takes");
}

/* ---- I/O ---- */

static void test_drivers(void)
{
	const struct cg_io_max some = { 8, 16, 1048576, 5000000000 },
			       none = { 8, 16, UINT64_MAX, UINT64_MAX };
	CG_DIRS struct cg_dirs d = { 0 };
	RES_CG struct cg *v1 = NULL;
	RES_CG struct cg *v2 = NULL;
	struct vz_error err = { 0 };
	char dir[PATH_MAX];

	put_dir("v2");
	put_dir("v1");
	put("v1/blkio.throttle.read_bps_device", "");
	put("v1/blkio.throttle.write_bps_device", "");
	put("v1/blkio.throttle.read_iops_device", "");
	put("v1/blkio.throttle.write_iops_device", "");
	d.v[CTL_BLKIO] = strdup(cg_join(dir, top, "v1"));
	d.v[CTL_CPU] = strdup(dir);
	if (cg_v1_open(&d, &v1) < 0 || cg_v2_open(cg_join(dir, top, "v2"), &v2) < 0)
		return (void)OK_NAME(false, "set up");
	OK_NAME(v2->drv->io_max(v2, &some, &err) == -EOPNOTSUPP &&
			v2->drv->set(v2, CG_IO_WEIGHT, 160, &err) == -EOPNOTSUPP &&
			err.exit == VZ_EXIT_IO,
		"io: v2 without the controller");
	put("v2/io.max", "");
	put("v2/io.weight", "");
	OK_NAME(v2->drv->io_max(v2, &some, &err) == 0 &&
			holds("v2/io.max",
			      "8:16 rbps=1048576 wbps=1048576 riops=5000000000 wiops=5000000000"),
		"io: v2");
	put("v2/io.max", "");
	OK_NAME(v2->drv->io_max(v2, &none, &err) == 0 &&
			holds("v2/io.max", "8:16 rbps=max wbps=max riops=max wiops=max"),
		"io: v2, no limit");
	OK_NAME(v2->drv->set(v2, CG_IO_WEIGHT, 160, &err) == 0 &&
			holds("v2/io.weight", "default 160"),
		"io: the weight of io.cost alone");
	put("v2/io.bfq.weight", "");
	OK_NAME(v2->drv->set(v2, CG_IO_WEIGHT, 20, &err) == 0 &&
			holds("v2/io.bfq.weight", "default 20"),
		"io: and of bfq");
	OK_NAME(v1->drv->io_max(v1, &some, &err) == 0 &&
			holds("v1/blkio.throttle.read_bps_device", "8:16 1048576") &&
			holds("v1/blkio.throttle.write_iops_device", "8:16 4294967295"),
		"io: v1, operations in 32 bits");
	put("v1/blkio.throttle.write_bps_device", "");
	OK_NAME(v1->drv->io_max(v1, &none, &err) == 0 &&
			holds("v1/blkio.throttle.write_bps_device", "8:16 0"),
		"io: v1, no limit");
	put("v1/blkio.weight", "");
	OK_NAME(v1->drv->set(v1, CG_IO_WEIGHT, 160, &err) == 0 && holds("v1/blkio.weight", "160"),
		"io: the weight of older kernels");
	put("v1/cpu.cfs_burst_us", "");
	OK_NAME(v1->drv->set(v1, CG_CPU_BURST_US, 5000, &err) == 0 &&
			holds("v1/cpu.cfs_burst_us", "5000"),
		"burst: v1");
	put("v2/cpu.max.burst", "");
	OK_NAME(v2->drv->set(v2, CG_CPU_BURST_US, 5000, &err) == 0 &&
			holds("v2/cpu.max.burst", "5000"),
		"burst: v2");
}

static void test_disks(void)
{
	struct cg_disk d[4];
	struct stat st;
	char fs[32], path[PATH_MAX];
	size_t n = 9;

	OK_NAME(cg_disks_of("/proc/no/such/thing", d, 4, &n, fs) == 0 && n == 0 &&
			vz_streq(fs, "proc"),
		"disks: none under proc; nearest parent that is there");
	/* wherever the tests run: either a disk that the kernel knows, or none and the reason */
	if (cg_disks_of(top, d, 4, &n, fs) < 0 || stat(top, &st) < 0)
		return (void)OK_NAME(false, "disks: of a directory");
	(void)printf("# %s on %zu disks, %s\n", top, n, fs);
	(void)vps_path(path, "/sys/dev/block/%u:%u/partition", n ? d[0].major : 0,
		       n ? d[0].minor : 0);
	OK_NAME(n ? access(path, F_OK) < 0 : fs[0], "disks: never a partition");
	(void)vps_path(path, "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	OK_NAME(access(path, F_OK) < 0 || n == 1, "disks: one for a file system on a block device");
}

static void test_apply_io(void)
{
	struct cg_fake *f = cg_fake_new();
	RES_CG struct cg *cg = f ? &f->cg : NULL;
	VZ_LIST struct vz_list missing = { 0 };
	struct vz_error err = { 0 };
	struct vps_config cfg;

	if (!f)
		return (void)OK_NAME(false, "set up");
	memset(&cfg, 0, sizeof(cfg));
	OK_NAME(!res_io_wanted(&cfg), "io: nothing wanted");
	cfg.ve_private = (char *)"/proc";
	cfg.source[VP_IOLIMIT] = VS_VPS;
	cfg.iolimit = 1 << 20;
	OK_NAME(res_io_wanted(&cfg) && res_apply(cg, &cfg, 1U << AG_IO, &missing, &err) == 0 &&
			f->calls.n == 1 && vz_streq(f->calls.v[0], "set 8 100") && missing.n == 1 &&
			strstr(missing.v[0], "the private area is on proc"),
		"io: a limit where there is no disk is told");
	vz_list_clear(&missing);
	cfg.iolimit = 0;
	OK_NAME(res_apply(cg, &cfg, 1U << AG_IO, &missing, &err) == 0 && !missing.n,
		"io: no limit is not");
	f->fail[CG_IO_WEIGHT] = EOPNOTSUPP;
	cfg.source[VP_IOPRIO] = VS_VPS;
	cfg.ioprio = 7;
	OK_NAME(res_apply(cg, &cfg, 1U << AG_IO, &missing, &err) == 0 && missing.n &&
			strstr(missing.v[0], "no I/O weights"),
		"io: nor weights are told, when wanted");
}

int main(void)
{
	if (!mkdtemp(top))
		return 1;
	test_burst();
	test_node_auto();
	test_share();
	test_drivers();
	test_disks();
	test_apply_io();
	(void)!vz_rm_rf(AT_FDCWD, top);
	return tap_done();
}
