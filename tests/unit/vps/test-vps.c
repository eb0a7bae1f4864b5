/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model: the parameter table, the configuration files, names, locks, ids. In a tree of its own, no root. */
#include "tests/lib/tap.h"
#include "util/fd.h"
#include "util/log.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char root[] = "/tmp/croft-vps-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];

	(void)vps_path(path, "%s/%s", vps_paths()->etc, name);
	if (vz_write_atomic(path, text, strlen(text), 0644) < 0)
		(void)printf("# cannot write %s\n", path);
}

static bool conf_is(const char *name, const char *want)
{
	VZ_FREE char *have = NULL;
	char path[PATH_MAX];

	(void)vps_path(path, "%s/%s", vps_paths()->etc, name);
	if (vz_read_file(AT_FDCWD, path, 1 << 20, &have) < 0)
		return false;
	if (strcmp(have, want) != 0)
		(void)printf("# have: %s\n", have);
	return !strcmp(have, want);
}

static void test_table(void)
{
	bool unique = true, ranges = true, helped = true, found = true;

	for (int i = 0; i < VP_MAX; i++) {
		const struct vps_param *p = vps_param(i);
		enum vps_mode mode;

		for (int k = i + 1; k < VP_MAX; k++) {
			const struct vps_param *q = vps_param(k);

			unique = unique && !(p->key && q->key && !strcmp(p->key, q->key)) &&
				 !(p->option && q->option && !strcmp(p->option, q->option));
		}
		ranges = ranges && p->min <= p->max;
		helped = helped && p->help[0] && p->arg[0];
		found = found && (!p->key || vps_param_by_key(p->key) == i) &&
			(!p->option || vps_param_by_option(p->option, &mode) == i);
	}
	OK_NAME(unique, "names and options are unique");
	OK_NAME(ranges, "min <= max in every row");
	OK_NAME(helped, "every row has help and an argument");
	OK_NAME(found, "every row is found by its names");
}

static const struct value {
	enum vps_param_id id;
	enum vps_mode mode;
	const char *text, *canon; /* canon NULL: refused */
} values[] = {
	{ VP_CPUUNITS, PM_SET, "1000", "1000" },
	{ VP_CPUUNITS, PM_SET, "7", NULL },
	{ VP_CPUUNITS, PM_SET, "500001", NULL },
	{ VP_CPUUNITS, PM_SET, "1e3", NULL },
	{ VP_PHYSPAGES, PM_SET, "0:256M", "0:65536" },
	{ VP_PHYSPAGES, PM_RAM, "256M", "0:65536" },
	{ VP_PHYSPAGES, PM_RAM, "4097", "0:2" },
	{ VP_PHYSPAGES, PM_SET, "unlimited", "unlimited" },
	{ VP_PHYSPAGES, PM_SET, "1:2:3", NULL },
	{ VP_NUMPROC, PM_SET, "100", "100" },
	{ VP_NUMPROC, PM_SET, "100:200", "100:200" },
	{ VP_NUMPROC, PM_SET, "100K", NULL },
	{ VP_NUMPROC, PM_SET, "99999999999999999999", NULL },
	{ VP_NUMPROC, PM_SET, "9223372036854775807", "unlimited" },
	{ VP_NUMPROC, PM_SET, "20:10", NULL },
	{ VP_NUMPROC, PM_SET, "unlimited:10", NULL },
	{ VP_KMEMSIZE, PM_SET, "2M:1M", NULL },
	{ VP_PHYSPAGES, PM_RAM, "9999999999T", NULL },
	{ VP_PHYSPAGES, PM_RAM, "-1", NULL },
	{ VP_PHYSPAGES, PM_RAM, "1X", NULL },
	{ VP_DISKSPACE, PM_SET, "2G:1G", NULL },
	{ VP_DISKINODES, PM_SET, "2:1", NULL },
	{ VP_KMEMSIZE, PM_SET, "11055923:11377049", "11055923:11377049" },
	{ VP_DISKSPACE, PM_SET, "2G:2.2G", "2097152:2306868" },
	{ VP_ONBOOT, PM_SET, "yes", "yes" },
	{ VP_ONBOOT, PM_SET, "maybe", NULL },
	{ VP_IOLIMIT, PM_SET, "10", "10485760" },
	{ VP_IOLIMIT, PM_SET, "10K", "10240" },
	{ VP_IOPRIO, PM_SET, "8", NULL },
	{ VP_HOSTNAME, PM_SET, "a.example.org", "a.example.org" },
	{ VP_HOSTNAME, PM_SET, "-a", NULL },
	{ VP_HOSTNAME, PM_SET, "a b", NULL },
	{ VP_NAME, PM_SET, "web server+1", "web server+1" },
	{ VP_NAME, PM_SET, "../x", NULL },
	{ VP_IP_ADDRESS, PM_SET, "10.0.0.1/255.255.255.0", "10.0.0.1/24" },
	{ VP_IP_ADDRESS, PM_SET, "10.0.0.1/255.0.255.0", NULL },
	{ VP_IP_ADDRESS, PM_SET, "2001:DB8:0:0::1", "2001:db8::1" },
	{ VP_IP_ADDRESS, PM_SET, "10.0.0.256", NULL },
	{ VP_IP_ADDRESS, PM_SET, "10.0.0.1/33", NULL },
	{ VP_IP_ADDRESS, PM_SET, "0.0.0.0", "" },
	{ VP_NAMESERVER, PM_SET, "8.8.8.8 ::1", "8.8.8.8 ::1" },
	{ VP_NAMESERVER, PM_SET, "inherit", "inherit" },
	{ VP_NAMESERVER, PM_SET, "dns.example.org", NULL },
	{ VP_SEARCHDOMAIN, PM_SET, "example.org", "example.org" },
	{ VP_CPUMASK, PM_SET, "0-3,5", "0-3,5" },
	{ VP_CPUMASK, PM_SET, "auto", "auto" },
	{ VP_NODEMASK, PM_SET, "auto", "auto" },
	{ VP_CAPABILITY, PM_SET, "net_admin:on,Sys_Time:off", "NET_ADMIN:on SYS_TIME:off" },
	{ VP_CAPABILITY, PM_SET, "FLY:on", NULL },
	{ VP_FEATURES, PM_SET, "nfs:on", "nfs:on" },
	{ VP_DEVICES, PM_SET, "b:8:16:rw", "b:8:16:rw" },
	{ VP_DEVICES, PM_SET, "c:10:all:r", "c:10:all:r" },
	{ VP_DEVICES, PM_SET, "x:1:1:rw", NULL },
	{ VP_DEVNODES, PM_SET, "net/tun:rw", "net/tun:rw" },
	{ VP_DEVNODES, PM_SET, "../sda:rw", NULL },
	{ VP_DEVNODES, PM_SET, "loop0:rw", NULL },
	{ VP_NETFILTER, PM_SET, "full", "full" },
	{ VP_NETFILTER, PM_SET, "ful", NULL },
	{ VP_VE_LAYOUT, PM_SET, "overlay", "overlay" },
	{ VP_VE_LAYOUT, PM_SET, "ploop", NULL },
	{ VP_VE_PRIVATE, PM_SET, "relative", NULL },
	{ VP_VE_PRIVATE, PM_SET, "/a/../b", NULL },
	{ VP_NETIF, PM_SET, "eth0,00:18:51:00:00:01,veth1",
	  "ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth1" },
	{ VP_MEMINFO, PM_SET, "pages:100", "pages:100" },
	{ VP_MEMINFO, PM_SET, "pages:", NULL },
	{ VP_VM_OVERCOMMIT, PM_SET, "1.5", "1.5" },
	{ VP_DESCRIPTION, PM_SET, "two\nlines", NULL },
};

static void test_values(void)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		const struct value *v = &values[i];
		VPS_CONFIG struct vps_config c = { 0 }, again = { 0 };
		VZ_FREE char *text = NULL;
		VZ_FREE char *second = NULL;
		struct vz_error err = { 0 };
		char name[256];
		int r = vps_param_parse(&c, v->id, v->mode, v->text, VS_CLI, &err);

		(void)snprintf(name, sizeof(name), "%s \"%s\"", vps_param(v->id)->id,
			       v->id == VP_DESCRIPTION ? "(newline)" : v->text);
		if (!v->canon) {
			OK_NAME(r < 0 && err.exit > 0 && err.msg[0] && !vps_is_set(&c, v->id),
				name);
			continue;
		}
		text = vps_param_print(&c, v->id);
		OK_NAME(r == 0 && text && !strcmp(text, v->canon), name);
		r = vps_param_parse(&again, v->id, PM_SET, text, VS_VPS, &err);
		second = vps_param_print(&again, v->id);
		OK_NAME(r == 0 && second && !strcmp(second, text),
			"... and reads back as the same");
	}
}

static void test_strict(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err = { 0 };

	OK(vps_param_parse(&c, VP_PHYSPAGES, PM_RAM, "1X", VS_CLI, &err) < 0 &&
	   strstr(err.msg, "for --ram: \"1X\""));
	OK(vps_param_parse(&c, VP_PHYSPAGES, PM_SET, "1X", VS_CLI, &err) < 0 &&
	   strstr(err.msg, "for --physpages: \"1X\""));
	OK(vps_param_parse(&c, VP_PHYSPAGES, PM_SET, "1X", VS_VPS, &err) < 0 &&
	   strstr(err.msg, "for PHYSPAGES: \"1X\""));
	OK(vps_param_parse(&c, VP_NUMFILE, PM_SET, "9:8", VS_CLI, &err) < 0 &&
	   err.exit == VZ_EXIT_VALUE && strstr(err.msg, "barrier"));
	OK_NAME(vps_param_parse(&c, VP_NUMFILE, PM_SET, "9:8", VS_VPS, &err) == 0 &&
			c.numfile.bar == 9 && c.numfile.lim == 8,
		"a file may say so, vzcfgvalidate tells");
	OK_NAME(vps_param_parse(&c, VP_NUMFILE, PM_SET, "99999999999999999999", VS_VPS, &err) ==
				0 &&
			c.numfile.lim == INT64_MAX,
		"and a number too large there is unlimited");
}

/* By hand: ram 1 GiB, swap 2 GiB, pages of 4 KiB. */
static void test_implied(void)
{
	const uint64_t ram = 262144, both = 786432;
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;

	vps_imply(&c);
	OK(!vps_is_vswap(&c) && !vps_is_set(&c, VP_LOCKEDPAGES));
	OK(vps_param_parse(&c, VP_PHYSPAGES, PM_RAM, "1G", VS_CLI, &err) == 0 &&
	   vps_param_parse(&c, VP_SWAPPAGES, PM_RAM, "2G", VS_CLI, &err) == 0);
	vps_imply(&c);
	OK(vps_is_vswap(&c) && c.lockedpages.bar == ram && c.lockedpages.lim == ram);
	OK(c.oomguarpages.bar == ram && c.oomguarpages.lim == INT64_MAX);
	OK(c.vmguarpages.bar == both && c.vmguarpages.lim == INT64_MAX);
	OK(c.privvmpages.bar == INT64_MAX && c.privvmpages.lim == INT64_MAX);
	OK(c.source[VP_PRIVVMPAGES] == VS_IMPLIED && c.source[VP_KMEMSIZE] == VS_UNSET);
	OK(vps_param_parse(&c, VP_VM_OVERCOMMIT, PM_SET, "1.5", VS_CLI, &err) == 0);
	vps_imply(&c);
	OK(c.privvmpages.bar == 1179648 && c.privvmpages.lim == 1179648);
	OK(vps_param_parse(&c, VP_LOCKEDPAGES, PM_SET, "7", VS_VPS, &err) == 0 &&
	   vps_param_parse(&c, VP_PHYSPAGES, PM_RAM, "2G", VS_CLI, &err) == 0);
	vps_imply(&c);
	OK_NAME(c.lockedpages.bar == 7 && c.oomguarpages.bar == 2 * ram,
		"what was set stays, what was implied follows");
	vps_param_clear(&c, VP_SWAPPAGES);
	vps_imply(&c);
	OK_NAME(c.vmguarpages.bar == INT64_MAX && c.privvmpages.lim == INT64_MAX,
		"without a limit of swap there is no sum");
	OK(vps_param_parse(&c, VP_PHYSPAGES, PM_SET, "0:2147483647", VS_VPS, &err) == 0);
	vps_imply(&c);
	OK_NAME(!vps_is_vswap(&c) && !vps_is_set(&c, VP_OOMGUARPAGES) &&
			vps_is_set(&c, VP_LOCKEDPAGES),
		"LONG_MAX of 32 bit is no limit: nothing is implied any more");
	put("conf/105.conf", "PHYSPAGES=\"0:1000\"\nSWAPPAGES=\"0:0\"\n");
	OK(vps_load(105, &c, NULL, &err) == 0 && c.vmguarpages.bar == 1000);
}

static void test_ip_changes(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;

	OK(vps_param_parse(&c, VP_IP_ADDRESS, PM_SET, "10.0.0.1 10.0.0.2", VS_CLI, &err) == 0);
	OK(vps_param_parse(&c, VP_IP_ADDRESS, PM_ADD, "10.0.0.1/24", VS_CLI, &err) == 0);
	OK_NAME(c.ip_address.n == 2 && !strcmp(c.ip_address.v[1], "10.0.0.1/24"),
		"another mask is delete and add");
	OK(vps_param_parse(&c, VP_IP_ADDRESS, PM_DEL, "10.0.0.1", VS_CLI, &err) == 0 &&
	   c.ip_address.n == 1);
	OK(vps_param_parse(&c, VP_IP_ADDRESS, PM_DEL, "all", VS_CLI, &err) == 0 &&
	   c.ip_address.n == 0);
}

static void test_save(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	bool which[VP_MAX] = { false };
	struct vz_error err;

	put("conf/101.conf",
	    "# kept\nONBOOT=\"no\"\nUNKNOWN=\"x y\"\n\nCPUUNITS=\"500\"\nCPUUNITS=\"600\"\n"
	    "VE_PRIVATE=\"/srv/private/$VEID\"\nDESCRIPTION=\"a \\\"b\\\" \\$c\"\n#UUID: 12-34\n");
	OK(vps_load(101, &c, NULL, &err) == 0);
	OK_NAME(c.cpuunits == 500, "the first of two assignments counts");
	OK(!strcmp(c.ve_private, "/srv/private/101"));
	OK(!strcmp(c.description, "a \"b\" $c"));
	OK(vps_param_parse(&c, VP_CPUUNITS, PM_SET, "900", VS_CLI, &err) == 0);
	OK(vps_param_parse(&c, VP_HOSTNAME, PM_SET, "h", VS_CLI, &err) == 0);
	which[VP_CPUUNITS] = which[VP_HOSTNAME] = which[VP_VE_PRIVATE] = which[VP_DESCRIPTION] =
		true;
	OK(vps_save(&c, which, &err) == 0);
	OK_NAME(conf_is("conf/101.conf",
			"# kept\nONBOOT=\"no\"\nUNKNOWN=\"x y\"\n\nCPUUNITS=\"900\"\n"
			"VE_PRIVATE=\"/srv/private/$VEID\"\nDESCRIPTION=\"a \\\"b\\\" "
			"\\$c\"\nHOSTNAME=\"h\"\n"
			"#UUID: 12-34\n"),
		"comments, unknown keys and order survive; $VEID stays; new lines before the last "
		"comment");
	vps_param_clear(&c, VP_HOSTNAME);
	OK(vps_save(&c, which, &err) == 0);
	OK(vps_load(999, &c, NULL, &err) == -ENOENT && err.exit == VZ_EXIT_NOVECONFIG);
}

static void test_bad_file(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;
	unsigned int bad = 0;

	put("conf/102.conf", "CPUUNITS=\"many\"\nONBOOT=\"yes\"\n=x\nKEY\nDISKSPACE=\"1:2:3\"\n");
	OK(vps_load(102, &c, &bad, &err) == 0 && bad == 2 && c.onboot);
	put("vz.conf", "LOCAL_UID=100000\nVE_LAYOUT=simfs\nVERBOSE=-1\n");
	OK(vps_load_global(&c, &err) == 0 && !vps_is_set(&c, VP_LOCAL_UID) && c.verbose == -1);
}

static void test_names(void)
{
	VZ_LIST struct vz_list strays = { 0 };
	VZ_FD int names = -EBADF;
	struct vz_error err;
	uint32_t ctid = 0;

	put("conf/103.conf", "NAME=\"web\"\n");
	names = vps_names_lock(&err);
	OK(names >= 0);
	OK(vps_name_link(103, "web", &err) == 0);
	OK(vps_name_lookup("web", &ctid) == 0 && ctid == 103);
	OK(vps_name_link(101, "web", &err) == -EEXIST && err.exit == VZ_EXIT_NAME);
	put("conf/103.conf", "NAME=\"other\"\n");
	OK_NAME(vps_name_lookup("web", &ctid) == -ENOENT,
		"the name in the file must match the link");
	OK(vps_name_strays(103, "other", &strays) == 0 && strays.n == 1 &&
	   !strcmp(strays.v[0], "web"));
	vps_name_unlink(104, "web");
	OK_NAME(vps_name_strays(103, NULL, &strays) == 0 && strays.n == 2,
		"another VPS's link is not ours to remove");
	vps_name_unlink(103, "web");
	vz_list_clear(&strays);
	OK(vps_name_strays(103, NULL, &strays) == 0 && strays.n == 0);
	OK(vps_name_valid("103", 103) && !vps_name_valid("104", 103) && !vps_name_valid("a/b", 1));
}

static void test_locks(void)
{
	VPS_CONFIG struct vps_config g = { 0 };
	struct vps_lock l, second;
	struct vz_error err;
	char path[PATH_MAX], line[32], word[32];

	OK(vps_load_global(&g, &err) == 0);
	OK(vps_lock_look(&g, 101, word) == VPS_LOCK_FREE);
	OK(vps_lock_take(&g, 101, "testing", 0, &l, &err) == 0 && !l.stale[0]);
	OK(vps_lock_look(&g, 101, word) == VPS_LOCK_HELD && !strcmp(word, "testing"));
	OK(vps_lock_take(&g, 101, "testing", 0, &second, &err) == -EBUSY &&
	   err.exit == VZ_EXIT_LOCKED);
	vps_lock_drop(&l);
	(void)snprintf(path, sizeof(path), "%s/101.lck", g.lockdir);
	OK(access(path, F_OK) < 0);
	(void)snprintf(line, sizeof(line), "%d\nlocked\n", (int)getppid());
	OK(vz_write_atomic(path, line, strlen(line), 0644) == 0);
	OK_NAME(vps_lock_take(&g, 101, "testing", 0, &l, &err) == -EBUSY,
		"a script's lock of two lines holds while its pid lives");
	OK(vz_write_atomic(path, "4194303\nlocked\n", 15, 0644) == 0);
	OK(vps_lock_look(&g, 101, word) == VPS_LOCK_STALE && !strcmp(word, "locked"));
	OK_NAME(vps_lock_take(&g, 101, "testing", 0, &l, &err) == 0,
		"a dead holder's lock is taken over");
	OK_NAME(!strcmp(l.stale, "locked"), "and what it did is known");
	vps_lock_drop(&l);
}

static void test_ids(void)
{
	VPS_CONFIG struct vps_config c = { .ctid = 101 }, d = { .ctid = 70000 };
	uint64_t base = 0, count = 0;
	struct vz_error err;
	bool save = true;

	OK(vps_idbase(&c, &base, &count, &save, &err) == 0 && base == 101 << 16 && count == 65536 &&
	   !save);
	OK(vps_idbase(&d, &base, &count, &save, &err) == 0 && save && d.local_uid == base &&
	   base % 65536 == 0);
	put("conf/70000.conf", "LOCAL_UID=\"6619136\"\n");
	OK_NAME(vps_idbase(&c, &base, &count, &save, &err) == 0 && base != 101 << 16 && save,
		"a slot that another VPS has is not taken");
	vps_param_clear(&d, VP_LOCAL_UID);
	OK(vps_param_parse(&d, VP_LOCAL_UID, PM_SET, "0", VS_VPS, &err) == 0);
	OK_NAME(vps_idbase(&d, &base, &count, &save, &err) < 0, "LOCAL_UID=0 is refused");
}

static void test_state(void)
{
	VPS_STATE struct vps_state s = {
		.init_pid = 5, .init_start = 7, .generation = 3, .uid_base = 6553600
	};
	VPS_STATE struct vps_state t = { 0 };

	OK(vz_copy(s.ifname, sizeof(s.ifname), "v65.3") == 0 &&
	   vz_list_add(&s.cgroups, "v2=/x") == 0);
	OK(vps_run_dir(101) == 0 && vps_state_save(101, &s) == 0);
	OK_NAME(vps_state_load(101, &t) == -ESTALE, "a state of another boot is stale");
}

static void test_record(void)
{
	char path[PATH_MAX];

	OK_NAME(vz_mkdir_p(vps_paths()->vzdir, 0755) == 0 && !vps_record_ran(5),
		"a VPS of which nothing is noted did not run");
	OK_NAME(vps_record_running(5) == 0 && vps_record_running(5) == 0 && !vps_record_ran(5),
		"one that runs in this boot needs no start, noted once or twice");
	vps_path(path, "%s/running/5", vps_paths()->vzdir);
	OK_NAME(unlink(path) == 0 && symlink("0d58e5f0-0000-4000-8000-000000000000", path) == 0 &&
			vps_record_ran(5),
		"one of another boot ran when the node went down");
	OK_NAME(vps_record_running(5) == 0 && vps_record_keep(5) == 0 && vps_record_ran(5),
		"one that was kept at shutdown is to come back");
	OK_NAME(vps_record_running(5) == 0 && vps_record_secure(5) == 0 && vps_record_ran(5) &&
			vps_record_running(5) == 0 && !vps_record_ran(5),
		"so is one that has come from another node, until it runs");
	vps_record_forget(5);
	vps_record_forget(5);
	OK_NAME(!vps_record_ran(5) && access(path, F_OK) < 0, "and forgotten is forgotten");
}

static void test_caps(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;

	OK((vps_caps_mask(&c) & (1ULL << 16)) == 0 && (vps_caps_mask(&c) & (1ULL << 12)) != 0);
	OK(vps_param_parse(&c, VP_CAPABILITY, PM_SET, "net_admin:off", VS_CLI, &err) == 0);
	OK((vps_caps_mask(&c) & (1ULL << 12)) == 0);
}

int main(void)
{
	const struct vz_log_setup quiet = { .program = "test", .tty_level = -2 };

	vz_log_init(&quiet);
	if (!mkdtemp(root) || setenv("CROFT_ROOT", root, 1) < 0)
		return 1;
	if (vz_mkdir_p(vps_paths()->conf, 0755) < 0)
		return 1;
	put("vz.conf", "LOGGING=no\n");
	test_table();
	test_values();
	test_strict();
	test_implied();
	test_ip_changes();
	test_save();
	test_bad_file();
	test_names();
	test_locks();
	test_ids();
	test_state();
	test_record();
	test_caps();
	if (vz_rm_rf(AT_FDCWD, root) < 0)
		return 1;
	return tap_done();
}
