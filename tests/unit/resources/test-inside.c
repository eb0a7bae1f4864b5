/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"
#include "resources/resources.h"

#include "tests/lib/tap.h"
#include "util/fd.h"

#include <inttypes.h>
#include <string.h>

/* The files of /proc that are written from the groups of a VPS: numbers in, text out. */

static bool has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (!strncmp(p, line, len) && strspn(p + len, " ") == strcspn(p + len, "\n"))
			return true;
	(void)printf("# no line \"%s\" in:\n# %s\n", line, text);
	return false;
}

/* Where each line begins is the same in both. */
static bool same_places(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((a[i] == '\n') != (b[i] == '\n'))
			return false;
	return true;
}

static void test_cpus(void)
{
	OK(cg_cpus(8, NULL, UINT64_MAX) == 8);
	OK(cg_cpus(8, "0-2,5", UINT64_MAX) == 4);
	OK(cg_cpus(8, "0-2,5", 150) == 2);
	OK(cg_cpus(8, "", 800) == 8);
	OK(cg_cpus(2, "0-7", UINT64_MAX) == 2);
	OK(cg_cpus(2, NULL, 1) == 1);
	OK(cg_cpus(2, NULL, 0) == 1);
}

static void test_idle(void)
{
	struct res_inside i = { .cpus = 2, .user_usec = 300, .system_usec = 200 };
	struct res_idle idle = { 0 };

	res_idle_add(&idle, &i, 1000);
	OK_NAME(idle.idle == 1500, "at first: all since the start, but what was used");
	i.user_usec = 1300;
	res_idle_add(&idle, &i, 2000);
	OK(idle.idle == 2500);
	i.cpus = 1;
	i.user_usec = 1500;
	res_idle_add(&idle, &i, 3000);
	OK_NAME(idle.idle == 3300, "fewer CPUs count from now on, what was stays");
	i.user_usec = 4500;
	res_idle_add(&idle, &i, 4000);
	OK_NAME(idle.idle == 3300, "a burst takes nothing back");
	i.user_usec = 100;
	res_idle_add(&idle, &i, 5000);
	OK_NAME(idle.idle == 3300, "other groups: what passed is not known");
	res_idle_add(&idle, &i, 6000);
	OK(idle.idle == 4300 && idle.steal == 0);
	i.throttled_usec = 400;
	res_idle_add(&idle, &i, 7000);
	OK_NAME(idle.idle == 4900 && idle.steal == 400, "held up by its limit");
	i.throttled_usec = 9000;
	res_idle_add(&idle, &i, 8000);
	OK_NAME(idle.idle == 4900 && idle.steal == 1400, "on all of the node's CPUs at once");
}

static void test_stat(void)
{
	struct res_inside i = {
		.cpus = 2, .user_usec = 1230000, .nice_usec = 50000, .system_usec = 40000
	};
	struct res_idle idle = { .idle = 9010000, .steal = 70000 };
	VZ_BUF struct vz_buf b = { 0 };
	VZ_BUF struct vz_buf later = { 0 };

	res_stat_text(&b, &i, &idle, 1700000000);
	OK(has_line(b.s, "cpu  123 5 4 901 0 0 0 7 0 0"));
	OK(has_line(b.s, "cpu0 62 3 2 451 0 0 0 4 0 0"));
	OK(has_line(b.s, "cpu1 61 2 2 450 0 0 0 3 0 0"));
	OK(!strstr(b.s, "cpu2"));
	OK(has_line(b.s, "btime 1700000000"));
	OK(has_line(b.s, "procs_running 1"));
	i.user_usec = UINT64_C(100000000000000);
	idle.idle = UINT64_C(900000000000000);
	res_stat_text(&later, &i, &idle, 1700000000);
	OK(same_places(b.s, later.s));
}

static void test_vmstat(void)
{
	struct res_disk_io disk = { .bytes = { 8192, 1 << 20, 0 }, .ios = { 2, 3, 0 } };
	struct res_inside i = { .free_bytes = 40960, .oom_kills = 3, .disks = &disk, .ndisks = 1 };
	VZ_BUF struct vz_buf v2 = { 0 };
	VZ_BUF struct vz_buf v1 = { 0 };
	VZ_BUF struct vz_buf none = { 0 };
	char stat2[] = "anon 81920\nfile 4096\nkernel_stack 32768\nfile_dirty 8192\n"
		       "pgfault 77\npgscan_direct 5\n";
	char stat1[] = "cache 1\nrss 1\npgfault 1\ntotal_cache 4096\ntotal_rss 81920\n"
		       "total_dirty 8192\ntotal_pgfault 77\ntotal_pgpgin 99\n";

	i.memory = stat2;
	res_vmstat_text(&v2, &i);
	i.memory = stat1;
	i.memory_v1 = true;
	res_vmstat_text(&v1, &i);
	for (int n = 0; n < 2; n++) {
		const char *text = n ? v1.s : v2.s;

		OK(has_line(text, "nr_free_pages 10"));
		OK(has_line(text, "nr_anon_pages 20"));
		OK(has_line(text, "nr_file_pages 1"));
		OK(has_line(text, "nr_dirty 2"));
		OK(has_line(text, "pgpgin 8"));
		OK(has_line(text, "pgpgout 1024"));
		OK(has_line(text, "pswpin 0"));
		OK(has_line(text, "pgfault 77"));
		OK(has_line(text, "oom_kill 3"));
	}
	OK(has_line(v2.s, "nr_kernel_stack 32"));
	OK(has_line(v2.s, "pgscan_direct 5"));
	OK_NAME(!strstr(v1.s, "pgscan"), "what is not known is left out");
	i.memory = NULL;
	res_vmstat_text(&none, &i);
	OK(none.len == 0);
}

static void test_disks(void)
{
	RES_INSIDE struct res_inside v2 = { 0 };
	RES_INSIDE struct res_inside v1 = { 0 };
	VZ_BUF struct vz_buf b = { 0 };

	OK(cg_disk_io_v2(&v2, "8:16 rbytes=4096 wbytes=1024 rios=1 wios=2 dbytes=512 dios=3 "
			      "cost.usage=7\n7:0 \n253:1 rbytes=1 rios=x\nnonsense\n") == 0);
	OK(v2.ndisks == 2);
	OK(v2.disks[0].major == 8 && v2.disks[0].minor == 16 && v2.disks[0].bytes[0] == 4096 &&
	   v2.disks[0].bytes[1] == 1024 && v2.disks[0].bytes[2] == 512);
	OK(v2.disks[0].ios[0] == 1 && v2.disks[0].ios[1] == 2 && v2.disks[0].ios[2] == 3);
	OK(v2.disks[1].bytes[0] == 1 && v2.disks[1].ios[0] == 0);
	OK(cg_disk_io_v1(&v1,
			 "8:16 Read 4096\n8:16 Write 1024\n8:16 Sync 9\n8:16 Discard 512\n"
			 "8:16 Total 5632\nTotal 5632\n",
			 false) == 0);
	OK(cg_disk_io_v1(&v1, "8:16 Read 1\n8:16 Write 2\n8:16 Discard 3\nTotal 6\n", true) == 0);
	OK(v1.ndisks == 1 && !memcmp(&v1.disks[0], &v2.disks[0], sizeof(v1.disks[0])));
	res_diskstats_text(&b, &v1);
	OK_NAME(b.len == 0, "a device that is gone has no name");
	(void)!vz_copy(v1.disks[0].name, sizeof(v1.disks[0].name), "sdb");
	res_diskstats_text(&b, &v1);
	OK(b.s && has_line(b.s, "   8      16 sdb 1 0 8 0 2 0 2 0 0 0 0 3 0 1 0 0 0"));
}

int main(void)
{
	test_cpus();
	test_idle();
	test_stat();
	test_vmstat();
	test_disks();
	return tap_done();
}
