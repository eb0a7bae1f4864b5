/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: the kernel's switches: a program that the kernel runs as root of the node (core_pattern,
 * modprobe, uevent_helper, release_agent of cgroup v1 CVE-2022-0492, binfmt_misc), sysrq, memory
 * (kcore, kallsyms), power; first as they lie, then with what covers them taken off, then by mounts of
 * one's own (a masked path undone: runc CVE-2025-31133, CVE-2025-52881).
 * Wall: the user namespace; the covers over /proc are cosmetic, so it is the effect that must be
 * refused. What is written is what was read, so that a success changes nothing.
 */
#include "escape.h"

static void write_back(const char *root, const char *file)
{
	char path[300], text[4096] = "";
	int in, out;
	ssize_t n = 0, w = -1;

	snprintf(path, sizeof(path), "%s/%s", root, file);
	in = open(path, O_RDONLY);
	if (in >= 0) {
		n = read(in, text, sizeof(text) - 1);
		close(in);
	}
	out = open(path, O_WRONLY);
	if (out < 0) {
		if (errno != ENOENT)
			attempt(false, "%s", path);
		return;
	}
	w = write(out, n > 0 ? text : "h", n > 0 ? (size_t)n : 1);
	/* a cover of /dev/null takes everything and does nothing */
	struct stat st;
	bool cover = fstat(out, &st) == 0 && st.st_rdev == 0x103;

	close(out);
	attempt(w > 0 && !cover, "%s", path);
}

static void all_of_proc(const char *root)
{
	static const char *const files[] = {
		"sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/hotplug",
		"sys/kernel/poweroff_cmd", "sys/kernel/sysrq", "sys/kernel/panic",
		"sys/kernel/randomize_va_space", "sys/kernel/kptr_restrict",
		"sys/kernel/unprivileged_bpf_disabled", "sys/kernel/yama/ptrace_scope",
		"sys/kernel/threads-max", /* pid_max is the process namespace's own since 6.14 */
		 "sys/kernel/printk",
		"sys/kernel/perf_event_paranoid", "sys/kernel/usermodehelper/bset",
		"sys/kernel/keys/maxkeys", "sys/kernel/cad_pid",
		"sys/vm/overcommit_memory", "sys/vm/drop_caches", "sys/vm/panic_on_oom",
		"sys/vm/mmap_min_addr", "sys/fs/file-max", "sys/fs/suid_dumpable",
		"sys/fs/protected_symlinks", "sys/fs/inotify/max_user_instances",
		"sys/dev/tty/ldisc_autoload", "sysrq-trigger", "irq/default_smp_affinity",
		"bus/pci/00/00.0", "fs/nfsd/exports", "scsi/scsi", "acpi/wakeup",
		"mtrr", "timer_stats", "sched_debug",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		write_back(root, files[i]);
}

static void all_of_sys(const char *root)
{
	static const char *const files[] = {
		"kernel/uevent_helper", "kernel/mm/transparent_hugepage/enabled",
		"kernel/mm/ksm/run", "kernel/profiling", "kernel/kexec_crash_size",
		"kernel/rcu_expedited", "power/state", "power/disk", "bus/pci/rescan",
		"module/kernel/parameters/panic", "module/printk/parameters/time",
		"devices/system/cpu/cpu1/online", "devices/system/memory/probe",
		"block/vda/queue/read_ahead_kb", "block/loop0/queue/read_ahead_kb",
		"block/vda/uevent", "devices/virtual/mem/null/uevent", "fs/ext4/features",
		"kernel/security/lockdown", "kernel/debug/sched/verbose",
		"firmware/acpi/pm_profile",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		write_back(root, files[i]);
}

/* Bytes of the kernel's memory, or its real addresses. */
static void memory(const char *root)
{
	char path[300], text[4096] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/kcore", root);
	fd = open(path, O_RDONLY);
	n = fd >= 0 ? read(fd, text, 16) : -1;
	attempt(n > 0, "%s read", path);
	snprintf(path, sizeof(path), "%s/kallsyms", root);
	fd = open(path, O_RDONLY);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	attempt(n > 16 && strncmp(text, "0000000000000000", 16) != 0, "%s has addresses", path);
	snprintf(path, sizeof(path), "%s/kmsg", root);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	attempt(fd >= 0, "%s read", path);
}

static void uncover(void)
{
	static const char *const covers[] = { "/proc/sys/net", "/proc/sys", "/proc/bus", "/proc/fs",
					      "/proc/irq", "/proc/kcore", "/proc/keys",
					      "/proc/latency_stats", "/proc/timer_list",
					      "/proc/sched_debug", "/proc/sysrq-trigger" };

	for (size_t i = 0; i < sizeof(covers) / sizeof(*covers); i++) {
		mount(NULL, covers[i], NULL, MS_REMOUNT | MS_BIND, NULL);
		umount2(covers[i], MNT_DETACH);
	}
	mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL);
	mount(NULL, "/sys", NULL, MS_REMOUNT, NULL);
}

static void fresh_mounts(void)
{
	mkdir("/tmp/p", 0755);
	mkdir("/tmp/s", 0755);
	if (mount("proc", "/tmp/p", "proc", 0, NULL) == 0) {
		all_of_proc("/tmp/p");
		memory("/tmp/p");
		umount2("/tmp/p", MNT_DETACH);
	}
	if (mount("sysfs", "/tmp/s", "sysfs", 0, NULL) == 0) {
		all_of_sys("/tmp/s");
		umount2("/tmp/s", MNT_DETACH);
	}
}

static void in_userns(void)
{
	if (own_userns(CLONE_NEWNS) == 0) {
		all_of_proc("/proc");
		fresh_mounts();
	}
}

/* An interpreter for foreign programs; 6.7 and later give each user namespace its own. */
static void binfmt(void)
{
	static const char rule[] = ":escape:M::escape::/bin/true:";
	int fd;

	mkdir("/tmp/b", 0755);
	if (mount("none", "/tmp/b", "binfmt_misc", 0, NULL) < 0) {
		attempt(false, "mount of binfmt_misc");
		return;
	}
	fd = open("/tmp/b/register", O_WRONLY);
	/* a rule of our own namespace is ours; the test asks the node whether it has it */
	printf("note: rule in our binfmt_misc: %s\n",
	       fd >= 0 && write(fd, rule, sizeof(rule) - 1) > 0 ? "taken" : "refused");
	umount2("/tmp/b", MNT_DETACH);
}

/* The release agent of a v1 hierarchy is a program of the node's root. */
static void release_agent(void)
{
	static const char *const ctl[] = { "memory", "devices", "pids", "freezer", "rdma", "misc",
					   "cpu",    "none,name=escape" };

	mkdir("/tmp/cg", 0755);
	for (size_t i = 0; i < sizeof(ctl) / sizeof(*ctl); i++) {
		if (mount("cgroup", "/tmp/cg", "cgroup", 0, ctl[i]) < 0) {
			attempt(false, "mount of v1 %s", ctl[i]);
			continue;
		}
		write_back("/tmp/cg", "release_agent");
		write_back("/tmp/cg", "notify_on_release");
		write_back("/tmp/cg", "cgroup.procs");
		write_back("/tmp/cg", "devices.allow");
		attempt(mkdir("/tmp/cg/sub", 0755) == 0, "group in v1 %s", ctl[i]);
		umount2("/tmp/cg", MNT_DETACH);
	}
}

int main(void)
{
	all_of_proc("/proc");
	all_of_sys("/sys");
	memory("/proc");
	in_child(in_userns);
	if (unshare(CLONE_NEWNS) < 0)
		return 2;
	uncover();
	all_of_proc("/proc");
	all_of_sys("/sys");
	memory("/proc");
	fresh_mounts();
	if (seen("/dev/.croft/proc")) {
		all_of_proc("/dev/.croft/proc");
		memory("/dev/.croft/proc");
		all_of_sys("/dev/.croft/sys");
	}
	binfmt();
	release_agent();
	return verdict();
}
