/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Planning: formulae against numbers computed by hand, rules one by one, properties of split and repair. */
#include "plan/plan.h"
#include "cli/tool.h"
#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* 10 GiB of RAM, 6 GiB of swap, 32000 processes: low memory counts 0.4 of it, 4 GiB. */
static const struct plan_node node = { 10 * GIB, 6 * GIB, 10 * GIB, 32000 };

static void set(struct vps_config *c, enum vps_param_id id, const char *text)
{
	struct vz_error err;

	if (vps_param_parse(c, id, PM_SET, text, VS_VPS, &err) < 0) {
		(void)printf("Bail out! %s\n", err.msg);
		exit(1);
	}
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fabs(b);
}

/* ---- node ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (vz_write_volatile(path, text, strlen(text), 0644) < 0)
		(void)printf("# %s cannot be written\n", path);
}

static void test_node(void)
{
	char dir[] = "/tmp/test-plan.XXXXXX", path[PATH_MAX];
	struct plan_node n = { 0 };

	OK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/sys/kernel", dir);
	OK(vz_mkdir_p(path, 0755) == 0);
	write_file(dir, "meminfo", "MemTotal:       24684196 kB\nSwapTotal:      1024 kB\n");
	write_file(dir, "sys/kernel/threads-max", "192730\n");
	write_file(dir, "sys/kernel/pid_max", "32768\n");
	OK(plan_node_read(dir, &n) == 0 && n.ram_bytes == UINT64_C(24684196) * 1024 &&
	   n.swap_bytes == MIB && n.lowmem_bytes == n.ram_bytes && n.threads == 32768);
	write_file(dir, "meminfo", "LowTotal: 880000 kB\nMemTotal: 4000000 kB\n");
	OK(plan_node_read(dir, &n) == 0 && n.lowmem_bytes == UINT64_C(880000) * 1024 &&
	   n.swap_bytes == 0);
	OK_NAME(near(plan_whole(&n, PLAN_MEMSWAP), 4000000.0 * 1024 + 1),
		"swap is at least 1 in a divisor");
	write_file(dir, "meminfo", "MemTotal: lots\n");
	OK(plan_node_read(dir, &n) == -EINVAL);
	OK(plan_node_read("/nowhere", &n) == -ENOENT);
	OK(vz_rm_rf(AT_FDCWD, dir) == 0);
}

/* ---- formulae ---- */

/* A legacy VPS whose numbers are round: K.held 5 MiB, K.limit 50 MiB. */
static void legacy(struct plan_vps *v)
{
	VPS_CONFIG struct vps_config c = { .ctid = 101 };

	set(&c, VP_KMEMSIZE, "10M:30M");
	set(&c, VP_TCPRCVBUF, "1M:5M");
	set(&c, VP_TCPSNDBUF, "1M:5M");
	set(&c, VP_DGRAMRCVBUF, "5M");
	set(&c, VP_OTHERSOCKBUF, "1M:5M");
	set(&c, VP_PHYSPAGES, "0:unlimited");
	set(&c, VP_OOMGUARPAGES, "25600:unlimited"); /* 100 MiB */
	set(&c, VP_VMGUARPAGES, "51200:unlimited"); /* 200 MiB */
	set(&c, VP_PRIVVMPAGES, "102400:115200"); /* 400 : 450 MiB */
	set(&c, VP_NUMPROC, "320");
	plan_limits(&c, v);
	v->running = true;
	for (int i = 0; i < 5; i++)
		v->row[(int[]){ VP_KMEMSIZE, VP_TCPRCVBUF, VP_TCPSNDBUF, VP_DGRAMRCVBUF,
				VP_OTHERSOCKBUF }[i]]
			.held = MIB;
	v->row[VP_PHYSPAGES].held = 2560; /* 10 MiB */
	v->row[VP_OOMGUARPAGES].held = 5120; /* 20 MiB */
	v->row[VP_PRIVVMPAGES].held = 10240; /* 40 MiB */
	v->row[VP_NUMPROC].held = 16;
}

static void test_formulae(void)
{
	struct plan_vps v;
	struct plan_sums s, sum = { 0 };

	legacy(&v);
	plan_sums_of(&v, &node, &s);
	OK(!v.vswap && v.row[VP_SWAPPAGES].limit == PLAN_NONE);
	OK(near(s.v[PLAN_LOWMEM][PLAN_CURRENT], 5.0 * MIB));
	OK(near(s.v[PLAN_LOWMEM][PLAN_PROMISED], 50.0 * MIB) &&
	   near(s.v[PLAN_LOWMEM][PLAN_MAX], 50.0 * MIB));
	OK(near(s.v[PLAN_RAM][PLAN_CURRENT], 15.0 * MIB) && isnan(s.v[PLAN_RAM][PLAN_PROMISED]) &&
	   isnan(s.v[PLAN_RAM][PLAN_MAX]));
	OK(near(s.v[PLAN_MEMSWAP][PLAN_CURRENT], 25.0 * MIB) &&
	   near(s.v[PLAN_MEMSWAP][PLAN_PROMISED], 150.0 * MIB) &&
	   isnan(s.v[PLAN_MEMSWAP][PLAN_MAX]));
	OK(near(s.v[PLAN_ALLOC][PLAN_CURRENT], 45.0 * MIB) &&
	   near(s.v[PLAN_ALLOC][PLAN_PROMISED], 250.0 * MIB) &&
	   near(s.v[PLAN_ALLOC][PLAN_MAX], 500.0 * MIB));
	OK(s.v[PLAN_PROCS][PLAN_CURRENT] == 16 && isnan(s.v[PLAN_PROCS][PLAN_PROMISED]) &&
	   s.v[PLAN_PROCS][PLAN_MAX] == 320);
	/* parts of the node: 5 MiB of 4 GiB, 150 MiB of 16 GiB, 320 of 32000 */
	OK(near(s.v[PLAN_LOWMEM][PLAN_CURRENT] / plan_whole(&node, PLAN_LOWMEM), 5.0 / 4096));
	OK(near(s.v[PLAN_MEMSWAP][PLAN_PROMISED] / plan_whole(&node, PLAN_MEMSWAP), 150.0 / 16384));
	OK(near(s.v[PLAN_PROCS][PLAN_MAX] / plan_whole(&node, PLAN_PROCS), 0.01));
	plan_sums_add(&sum, &s);
	plan_sums_add(&sum, &s);
	OK(near(sum.v[PLAN_ALLOC][PLAN_MAX], 1000.0 * MIB) && sum.v[PLAN_RAM][PLAN_MAX] == 0);
	v.kernel_in_ram = true;
	plan_sums_of(&v, &node, &s);
	OK_NAME(near(s.v[PLAN_RAM][PLAN_CURRENT], 10.0 * MIB) &&
			near(s.v[PLAN_MEMSWAP][PLAN_CURRENT], 20.0 * MIB),
		"kernel memory that is in physpages already is not added");
	v.running = false;
	plan_sums_of(&v, &node, &s);
	OK(isnan(s.v[PLAN_LOWMEM][PLAN_CURRENT]) && near(s.v[PLAN_LOWMEM][PLAN_MAX], 50.0 * MIB));
	v.row[VP_KMEMSIZE].limit = PLAN_NONE;
	plan_sums_of(&v, &node, &s);
	OK(isinf(s.v[PLAN_LOWMEM][PLAN_PROMISED]));
}

/* 1 GiB of RAM, 2 GiB of swap, nothing else: what vps_imply makes of it. */
static void vswap(struct plan_vps *v)
{
	VPS_CONFIG struct vps_config c = { .ctid = 102 };

	set(&c, VP_PHYSPAGES, "0:262144");
	set(&c, VP_SWAPPAGES, "0:524288");
	vps_imply(&c);
	plan_limits(&c, v);
}

static void test_vswap(void)
{
	struct plan_vps v;
	struct plan_sums s;

	vswap(&v);
	plan_sums_of(&v, &node, &s);
	OK(v.vswap && s.v[PLAN_LOWMEM][PLAN_PROMISED] == 0);
	OK(near(s.v[PLAN_MEMSWAP][PLAN_PROMISED], 1.0 * GIB));
	OK(near(s.v[PLAN_ALLOC][PLAN_PROMISED], 3.0 * GIB) &&
	   near(s.v[PLAN_ALLOC][PLAN_MAX], 3.0 * GIB));
	OK_NAME(s.v[PLAN_PROCS][PLAN_MAX] == 4000, "an eighth of 32000; 1 GiB / 256 KiB are 4096");
	v.row[VP_PHYSPAGES].limit = 4096; /* 16 MiB: 64 times 256 KiB */
	OK(plan_procs_limit(&v, &node) == 64);
	v.row[VP_PHYSPAGES].limit = 1;
	OK(plan_procs_limit(&v, &node) == 64);
}

static void test_use(void)
{
	struct plan_vps v, old;
	struct plan_use use, sum = { 0 };
	struct plan_ram ram;
	const char *by = NULL;

	vswap(&v);
	use = plan_use_limit(&v, &node);
	OK(use.ram_bytes == GIB && use.memswap_bytes == 3 * GIB && use.procs == 0);
	sum = plan_use_add(sum, use, 3);
	OK(sum.ram_bytes == 3 * GIB && sum.memswap_bytes == 9 * GIB && sum.procs == 0);
	OK_NAME(plan_room(&node, sum, use, &by) == 2 && vz_streq(by, "RAM+swap"),
		"(16 - 9) / 3 GiB; RAM would hold 7");
	v.row[VP_NUMPROC].limit = 20000;
	use = plan_use_limit(&v, &node);
	OK(use.procs == 20000 && plan_room(&node, sum, use, &by) == 1 && vz_streq(by, "processes"));
	sum = plan_use_add(sum, use, 3);
	OK(plan_room(&node, sum, use, NULL) == 0);
	OK_NAME(plan_use_add(use, use, UINT64_MAX).ram_bytes == UINT64_MAX, "sums stop, not wrap");
	v.row[VP_PHYSPAGES].maxheld = 25600;
	v.row[VP_SWAPPAGES].maxheld = 2560;
	v.row[VP_NUMPROC].maxheld = 20;
	use = plan_use_peak(&v);
	OK(use.ram_bytes == 100 * MIB && use.memswap_bytes == 110 * MIB && use.procs == 20);
	OK(plan_room(&node, (struct plan_use){ 0 }, (struct plan_use){ 0 }, NULL) == UINT64_MAX);
	v.row[VP_SWAPPAGES].limit = PLAN_NONE;
	OK_NAME(plan_use_limit(&v, &node).memswap_bytes == 7 * GIB,
		"swap without a limit is all of the node's");
	legacy(&old);
	ram = plan_ram_of(&old);
	OK(ram.guessed && ram.ram_pages == 57600 && ram.swap_pages == PLAN_NONE);
	old.row[VP_PRIVVMPAGES].limit = PLAN_NONE;
	use = plan_use_limit(&old, &node);
	OK_NAME(use.ram_bytes == node.ram_bytes / 8 * 7, "no limit is seven eighths of the node");
}

/* ---- tables ---- */

static void test_table(void)
{
	static const char text[] =
		"Version: 2.5\n"
		"       uid  resource                     held              maxheld              "
		"barrier                limit              failcnt\n"
		"         0: kmemsize   1 2 3 4 5\n"
		"            dummy      0 0 0 0 0\n"
		"       101: kmemsize   5242880 6291456 14372700 14790164 7\n"
		"            lockedpages 0 0 2048 2048 0\n"
		"            physpages  100 200 0 9223372036854775807 0\n"
		"            dummy      0 0 0 0 0\n"
		"       102: kmemsize   1 1 2147483647 2147483647 0\n"
		"            physpages  300 400 0 65536 2\n"
		"            swappages  1 2 0 131072 3\n";
	VZ_FREE struct plan_vps *v = NULL;
	size_t line = 0;

	OK(plan_parse_table(text, &v, &line) == 2);
	OK(v && v[0].ctid == 101 && v[0].running && !v[0].vswap &&
	   v[0].row[VP_KMEMSIZE].held == 5242880 && v[0].row[VP_KMEMSIZE].failcnt == 7 &&
	   v[0].row[VP_LOCKEDPAGES].barrier == 2048);
	OK(v && v[1].ctid == 102 && v[1].vswap && v[1].row[VP_PHYSPAGES].maxheld == 400 &&
	   v[1].row[VP_SWAPPAGES].limit == 131072 && v[1].row[VP_KMEMSIZE].limit == PLAN_NONE);
	OK(plan_parse_table("Version: 2.6\n", &v, &line) == -EINVAL && line == 1);
	OK(plan_parse_table("Version: 2.5\n5: kmemsize 1 2 3 4\n", &v, &line) == -EINVAL &&
	   line == 2);
	OK(plan_parse_table("kmemsize 1 2 3 4 5\n", &v, &line) == -EINVAL);
	OK(plan_parse_table("x: kmemsize 1 2 3 4 5\n", &v, &line) == -EINVAL);
	OK(plan_parse_table("1: kmemsize 1 2 -3 4 5\n", &v, &line) == -EINVAL);
}

/* ---- rules ---- */

/* The values of ve-basic. */
static const struct {
	enum vps_param_id id;
	const char *text;
} basic[] = {
	{ VP_KMEMSIZE, "14372700:14790164" },
	{ VP_LOCKEDPAGES, "2048" },
	{ VP_PRIVVMPAGES, "65536:69632" },
	{ VP_SHMPAGES, "21504" },
	{ VP_NUMPROC, "240" },
	{ VP_PHYSPAGES, "0:unlimited" },
	{ VP_VMGUARPAGES, "33792:unlimited" },
	{ VP_OOMGUARPAGES, "26112:unlimited" },
	{ VP_NUMTCPSOCK, "360" },
	{ VP_NUMFLOCK, "188:206" },
	{ VP_NUMPTY, "16" },
	{ VP_NUMSIGINFO, "256" },
	{ VP_TCPSNDBUF, "1720320:2703360" },
	{ VP_TCPRCVBUF, "1720320:2703360" },
	{ VP_OTHERSOCKBUF, "1126080:2097152" },
	{ VP_DGRAMRCVBUF, "262144" },
	{ VP_NUMOTHERSOCK, "360" },
	{ VP_DCACHESIZE, "3409920:3624960" },
	{ VP_NUMFILE, "9312" },
	{ VP_AVNUMPROC, "180" },
	{ VP_NUMIPTENT, "128" },
	{ VP_DISKSPACE, "2097152:2306867" },
	{ VP_DISKINODES, "131072:144179" },
};

static void make_basic(struct vps_config *c)
{
	for (size_t i = 0; i < sizeof(basic) / sizeof(*basic); i++)
		set(c, basic[i].id, basic[i].text);
}

/* How many rules of @class are broken; the last of them in @ret. */
static int broken(const struct vps_config *c, bool is_vswap, enum plan_class class,
		  struct plan_finding *ret)
{
	struct plan_finding f;
	int n = 0;

	for (size_t i = 0; i < plan_rules(); i++)
		if (plan_rule(i, c, is_vswap, &node, &f) && f.class == class) {
			*ret = f;
			n++;
		}
	return n;
}

static int repair(struct vps_config *c, bool is_vswap)
{
	struct plan_finding f;
	int n = 0;

	for (size_t i = 0; i < plan_rules(); i++)
		if (plan_rule(i, c, is_vswap, &node, &f) && f.mended) {
			plan_mend(c, &f);
			n++;
		}
	return n;
}

/* One broken rule each, alone; what mending gives. */
static const struct broken_case {
	enum vps_param_id id;
	const char *text; /* NULL: not set */
	enum plan_class class;
	const char *mended; /* NULL: cannot be */
} cases[] = {
	{ VP_NUMIPTENT, NULL, PLAN_ERROR, NULL },
	{ VP_NUMPROC, "230:240", PLAN_ERROR, "240" },
	{ VP_NUMTCPSOCK, "350:360", PLAN_ERROR, "360" },
	{ VP_NUMOTHERSOCK, "350:360", PLAN_ERROR, "360" },
	{ VP_SHMPAGES, "21504:21505", PLAN_ERROR, "21505" },
	{ VP_NUMFILE, "9300:9312", PLAN_ERROR, "9312" },
	{ VP_NUMPTY, "15:16", PLAN_ERROR, "16" },
	{ VP_NUMSIGINFO, "256:255", PLAN_ERROR, "256" },
	{ VP_NUMIPTENT, "128:129", PLAN_ERROR, "129" },
	{ VP_KMEMSIZE, "14372700:14372699", PLAN_ERROR, "14372700" },
	{ VP_DGRAMRCVBUF, "262144:262143", PLAN_ERROR, "262144" },
	{ VP_PRIVVMPAGES, "65536:65535", PLAN_ERROR, "65536" },
	{ VP_LOCKEDPAGES, "2048:2047", PLAN_ERROR, "2048" },
	{ VP_NUMFLOCK, "188:187", PLAN_ERROR, "188" },
	{ VP_DISKSPACE, "2:1", PLAN_ERROR, "2" },
	{ VP_DISKINODES, "2:1", PLAN_ERROR, "2" },
	{ VP_VMGUARPAGES, "33792:33793", PLAN_ERROR, "33792:unlimited" },
	{ VP_OOMGUARPAGES, "26112", PLAN_ERROR, "26112:unlimited" },
	{ VP_PHYSPAGES, "1:unlimited", PLAN_ERROR, "0:unlimited" },
	{ VP_NUMFILE, "5759", PLAN_WARNING, "5760" }, /* 32 x 180 */
	{ VP_NUMTCPSOCK, "384", PLAN_ERROR, "384" }, /* see gap: 983040 = 384 x 2560 still holds */
	{ VP_DCACHESIZE, "3409920:3575807", PLAN_WARNING, "3409920:3575808" }, /* 9312 x 384 */
	{ VP_KMEMSIZE, "10997759:11000000", PLAN_ERROR, "10997760:11000001" },
	{ VP_PRIVVMPAGES, "33791:40000", PLAN_WARNING, "33792:40000" },
	{ VP_TCPSNDBUF, "1720320:2641919", PLAN_ERROR, "1720320:2641920" }, /* 360 x 2560 */
	{ VP_TCPRCVBUF, "1720320:2641919", PLAN_WARNING, "1720320:2641920" },
	{ VP_OTHERSOCKBUF, "1126080:2047679", PLAN_ERROR, "1126080:2047680" },
	{ VP_TCPSNDBUF, "65535:2000000", PLAN_WARNING, "65536:2000001" },
	{ VP_TCPRCVBUF, "65535:2000000", PLAN_WARNING, "65536:2000001" },
	{ VP_DGRAMRCVBUF, "32767", PLAN_WARNING, "132096" }, /* then the recommendation */
	{ VP_DGRAMRCVBUF, "132095", PLAN_RECOMMENDATION, "132096" },
	{ VP_OTHERSOCKBUF, "132095:2097152", PLAN_RECOMMENDATION, "132096:2097153" },
};

static void test_rules(void)
{
	VPS_CONFIG struct vps_config good = { 0 };
	struct plan_finding f;

	make_basic(&good);
	for (int class = 0; class < PLAN_CLASSES; class ++)
		OK_NAME(broken(&good, false, class, &f) == 0, "ve-basic breaks no rule");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		VPS_CONFIG struct vps_config c = { 0 };
		VZ_FREE char *text = NULL;
		char name[300];
		int n;

		make_basic(&c);
		vps_param_clear(&c, cases[i].id);
		if (cases[i].text)
			set(&c, cases[i].id, cases[i].text);
		f = (struct plan_finding){ 0 };
		n = broken(&c, false, cases[i].class, &f);
		if (cases[i].id == VP_NUMTCPSOCK && cases[i].text && !strchr(cases[i].text, ':')) {
			OK_NAME(n == 0, "a gap of exactly 2.5 KiB each is enough");
			continue;
		}
		(void)snprintf(name, sizeof(name), "%s=%s: %s", vps_param(cases[i].id)->key,
			       cases[i].text ? cases[i].text : "(none)", f.text);
		OK_NAME(n >= 1 && f.id == cases[i].id && f.mended == (cases[i].mended != NULL),
			name);
		(void)repair(&c, false);
		text = vps_param_print(&c, cases[i].id);
		OK_NAME(text && vz_streq(text, cases[i].mended ? cases[i].mended : ""),
			"... and is mended so");
	}
}

static void test_rules_vswap(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	VZ_FREE char *text = NULL;
	struct plan_finding f;

	set(&c, VP_PHYSPAGES, "0:262144");
	set(&c, VP_SWAPPAGES, "0:524288");
	OK(broken(&c, true, PLAN_ERROR, &f) == 0 && broken(&c, true, PLAN_WARNING, &f) == 0 &&
	   broken(&c, true, PLAN_RECOMMENDATION, &f) == 0);
	set(&c, VP_SWAPPAGES, "0:1572865"); /* 6 GiB and a page */
	OK(broken(&c, true, PLAN_RECOMMENDATION, &f) == 1 && !f.mended);
	set(&c, VP_SWAPPAGES, "1:2");
	OK(broken(&c, true, PLAN_ERROR, &f) == 1 && f.pair.bar == 0 && f.pair.lim == 2);
	set(&c, VP_SWAPPAGES, "0:0");
	set(&c, VP_PHYSPAGES, "5:2621441"); /* 10 GiB and a page */
	OK(broken(&c, true, PLAN_ERROR, &f) == 2 && repair(&c, true) == 2);
	text = vps_param_print(&c, VP_PHYSPAGES);
	OK(text && vz_streq(text, "0:2621440"));
	set(&c, VP_PHYSPAGES, "0:0");
	OK(broken(&c, true, PLAN_ERROR, &f) == 1 && !f.mended);
	set(&c, VP_PHYSPAGES, "0:10");
	set(&c, VP_KMEMSIZE, "2:1");
	OK_NAME(broken(&c, true, PLAN_ERROR, &f) == 1 && f.id == VP_KMEMSIZE,
		"a barrier above its limit is wrong here too");
	OK_NAME(broken(&c, false, PLAN_ERROR, &f) > 10, "by the other rules much is missing");
}

/* Numbers of all sizes: whatever stands in a file, one pass of repairs leaves nothing that could be mended. */
static void test_repair_is_stable(void)
{
	unsigned int seed = 20251125;
	int bad = 0, mended = 0;

	for (int round = 0; round < 2000; round++) {
		VPS_CONFIG struct vps_config c = { 0 };

		make_basic(&c);
		for (size_t i = 0; i < sizeof(basic) / sizeof(*basic); i++) {
			struct vps_pair *p = (void *)((char *)&c + vps_param(basic[i].id)->offset);

			if (rand_r(&seed) % 3 == 0)
				p->bar = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 34);
			if (rand_r(&seed) % 3 == 0)
				p->lim = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 34);
			if (rand_r(&seed) % 20 == 0)
				p->lim = PLAN_NONE;
			if (rand_r(&seed) % 40 == 0)
				p->bar = PLAN_NONE;
		}
		mended += repair(&c, false) > 0;
		if (repair(&c, false) != 0)
			bad++;
	}
	OK_NAME(mended > 1900 && bad == 0, "a repaired configuration needs no repair");
	(void)printf("# %d of 2000 mended, %d of them not at once\n", mended, bad);
}

/* ---- split ---- */

/* By hand: 10 GiB + 6 GiB - 50 MiB for 10: level 0 has processes for 16 each, low memory 0.4 x 10 GiB / 10. */
static void test_split(void)
{
	const struct plan_disk disk = { 120 * MIB, 2100000 }; /* 120 GiB in KiB */
	VPS_CONFIG struct vps_config c = { 0 };
	VPS_CONFIG struct vps_config w = { 0 };
	enum plan_level level = PLAN_SHORTAGE;
	const uint64_t low = 429496729, kmem = low / 2, average = kmem / 81920;
	const uint64_t total = (16 * GIB - 52428800) / 10, guaranteed = (total - low) / 4096;
	struct vz_error err;

	OK(plan_split(&node, &disk, 10, false, &c, &level, &err) == 0 && level == PLAN_FREE);
	OK(average == 2621 && c.avnumproc.bar == average);
	OK(c.kmemsize.bar == kmem && c.kmemsize.lim == kmem + kmem / 10);
	OK_NAME(c.numproc.bar == 2 * average, "3200 processes are less than twice the average");
	OK(c.numtcpsock.bar == 5242 && c.numothersock.bar == 5242);
	OK(c.tcpsndbuf.lim == 71582788 && c.tcpsndbuf.bar == 71582788 - 4096 * 5242);
	OK(c.numfile.bar == 32 * 2621 && c.dcachesize.lim == 83872 * 576);
	OK(c.numflock.bar == 1000 && c.numflock.lim == 1100 && c.numpty.bar == 512);
	OK(c.numiptent.bar == 200 && c.numsiginfo.bar == 1024);
	OK(c.privvmpages.bar == 1572864 && guaranteed < 1572864);
	OK_NAME(c.vmguarpages.bar == guaranteed, "60 % of RAM bound privvmpages alone");
	OK(c.shmpages.bar == 157286 && c.physpages.bar == 0 && c.physpages.lim == PLAN_NONE);
	OK(c.diskspace.bar == 110 * MIB / 20 && c.diskspace.lim == c.diskspace.bar * 11 / 10);
	OK(c.diskinodes.bar == 100000 && c.diskinodes.lim == 110000 && c.cpuunits == 1000);
	OK(plan_split(&node, &disk, 10, true, &w, &level, &err) == 0);
	OK(w.physpages.bar == 0 && w.physpages.lim == 1572864 && w.swappages.lim == 3145728 &&
	   !vps_is_set(&w, VP_KMEMSIZE));
	OK(plan_split(&node, &disk, 1000000, false, &c, &level, &err) < 0 &&
	   strstr(err.msg, "at most 3089"));
}

/* Whatever the node and the number: what vzsplit writes, vzcfgvalidate accepts. */
static void test_split_valid(void)
{
	static const uint64_t rams[] = { 256 * MIB, GIB, 4 * GIB, 24 * GIB, 512 * GIB };
	static const uint64_t threads[] = { 4000, 32000, 192730, 4194304 };
	const struct plan_disk disk = { 100 * MIB, 0 };
	int tried = 0, bad = 0, levels[4] = { 0 };

	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 4; j++)
			for (uint64_t n = 1; n < 3000; n = n * 3 / 2 + 1) {
				const struct plan_node any = { rams[i], rams[i] / 2, rams[i],
							       threads[j] };
				VPS_CONFIG struct vps_config c = { 0 };
				enum plan_level level = PLAN_FREE;
				struct plan_finding f;
				struct vz_error err;
				int k = 0;

				if (plan_split(&any, &disk, n, false, &c, &level, &err) < 0)
					continue;
				tried++;
				levels[level]++;
				for (size_t r = 0; r < plan_rules(); r++)
					k += plan_rule(r, &c, false, &any, &f) &&
					     f.class != PLAN_RECOMMENDATION;
				bad += k > 0;
			}
	OK_NAME(tried > 200 && bad == 0, "every split is valid");
	OK_NAME(levels[0] && levels[1] && levels[2] && levels[3], "all levels were seen");
	(void)printf("# %d splits, %d bad, levels %d %d %d %d\n", tried, bad, levels[0], levels[1],
		     levels[2], levels[3]);
}

/* ---- numbers as text ---- */

static void test_text(void)
{
	static const struct {
		uint64_t value, unit;
		const char *text;
	} sizes[] = {
		{ 0, 1, "- " },		  { PLAN_NONE, 4096, "- " }, { 7, 1, "7 " },
		{ 1023, 1, "1023 " },	  { 1024, 1, "1K" },	     { 1536, 1, "1.5K" },
		{ 256, 4096, "1M" },	  { 65536, 4096, "256M" },   { 256000, 4096, "1000M" },
		{ 262143, 4096, "1G" },	  { 34816, 4096, "136M" },   { PLAN_NONE - 1, 4096, "32Z" },
		{ 25559, 4096, "99.8M" }, { 25594, 4096, "100M" },
	};
	char room[32], size[16];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		OK_NAME(vz_streq(tool_size(size, sizes[i].value, sizes[i].unit), sizes[i].text),
			sizes[i].text);
	OK(vz_streq(tool_number(room, sizeof(room), 7, 12.345), "  12.35") ||
	   vz_streq(room, "  12.34"));
	OK(vz_streq(tool_number(room, sizeof(room), 7, NAN), "    n/a"));
	OK(vz_streq(tool_number(room, sizeof(room), 7, HUGE_VAL), "  unlim"));
}

int main(void)
{
	test_node();
	test_formulae();
	test_vswap();
	test_use();
	test_table();
	test_rules();
	test_rules_vswap();
	test_repair_is_stable();
	test_split();
	test_split_valid();
	test_text();
	return tap_done();
}
