/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: system calls that are about the node: modules, kexec, BPF, perf, userfaultfd, swap, clock,
 * accounting, quota, ports, the log, io_uring, request_key (the node's root runs /sbin/request-key),
 * reboot for kexec; each also by the 32-bit and the x32 door, which have numbers of their own.
 * Wall: the system call filter, and the capabilities that the user namespace does not give.
 * Usage: calls [nesting]: then bpf(2) is in the filter's list of permissions, and the kernel decides
 */
#include "escape.h"

#include <linux/reboot.h>
#include <sys/timex.h>
#include <time.h>

#define TRY(what, ...) attempt(syscall(__VA_ARGS__) >= 0, "%s", what)

static void code_for_the_kernel(bool nesting)
{
	char attr[128] = { 0 };

	TRY("init_module", SYS_init_module, "", 0, "");
	TRY("finit_module", SYS_finit_module, 0, "", 0);
	TRY("delete_module", SYS_delete_module, "nosuch", 0);
	TRY("kexec_load", SYS_kexec_load, 0, 0, 0, 0);
	TRY("kexec_file_load", SYS_kexec_file_load, 0, 0, 0, "", 0);
	attr[0] = 1; /* a socket filter needs no capability where unprivileged BPF is on */
	TRY("bpf, load", SYS_bpf, 5, attr, sizeof(attr));
	memset(attr, 0, sizeof(attr));
	if (!nesting) {
		unsigned int map[12] = { 2 /* array */, 4, 4, 1 };

		TRY("bpf, map", SYS_bpf, 0, map, sizeof(map));
	}
	TRY("perf_event_open", SYS_perf_event_open, attr, 0, -1, -1, 0);
	TRY("userfaultfd", SYS_userfaultfd, 1 /* user mode only, allowed to all by the kernel */);
	TRY("io_uring_setup", SYS_io_uring_setup, 8, attr);
	TRY("request_key", SYS_request_key, "user", "escape", "callout", -3);
}

static void settings_of_the_node(void)
{
	struct timespec now;
	struct timex tx = { .modes = ADJ_OFFSET };
	char buf[128] = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	TRY("swapon", SYS_swapon, "/root/swap", 0);
	TRY("swapoff", SYS_swapoff, "/root/swap");
	TRY("clock_settime", SYS_clock_settime, CLOCK_REALTIME, &now);
	TRY("settimeofday", SYS_settimeofday, &now, 0);
	TRY("adjtimex", SYS_adjtimex, &tx);
	TRY("clock_adjtime", SYS_clock_adjtime, CLOCK_REALTIME, &tx);
	TRY("acct", SYS_acct, "/root/acct");
	TRY("quotactl", SYS_quotactl, 0, "/", 0, buf);
	TRY("syslog", SYS_syslog, 2, buf, sizeof(buf));
	TRY("syslog, clear", SYS_syslog, 5, NULL, 0);
	TRY("move_pages", SYS_move_pages, 0, 0, NULL, NULL, NULL, 0);
	TRY("lookup_dcookie", SYS_lookup_dcookie, 0, buf, sizeof(buf));
	TRY("reboot, kexec", SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
	    LINUX_REBOOT_CMD_KEXEC, 0);
	TRY("reboot, Ctrl-Alt-Del off", SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
	    LINUX_REBOOT_CMD_CAD_OFF, 0);
	TRY("reboot, suspend", SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
	    LINUX_REBOOT_CMD_SW_SUSPEND, 0);
	TRY("vhangup of nobody's terminal", SYS_vhangup);
#ifdef SYS_iopl
	TRY("iopl", SYS_iopl, 3);
	TRY("ioperm", SYS_ioperm, 0x70, 1, 1);
	TRY("modify_ldt", SYS_modify_ldt, 0, buf, sizeof(buf));
#endif
}

#ifdef __x86_64__
static long call32(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "0"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	if (r < 0)
		errno = (int)-r;
	return r;
}

/* Only refusals by the filter count here: -ENOSYS is a kernel without 32-bit calls. */
static void other_doors(void)
{
	static const struct {
		const char *name;
		long nr;
	} calls[] = {
		{ "init_module", 128 },	      { "open_by_handle_at", 342 }, { "swapon", 87 },
		{ "kexec_load", 283 },	      { "perf_event_open", 336 },   { "userfaultfd", 374 },
		{ "clock_settime64", 404 },   { "stime", 25 },		    { "io_uring_setup", 425 },
		{ "request_key", 287 },	      { "vm86", 166 },		    { "iopl", 110 },
		{ "modify_ldt", 123 },	      { "quotactl", 131 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		call32(calls[i].nr, -1, -1, -1);
		attempt(errno != EPERM && errno != ENOSYS, "%s as a 32-bit call", calls[i].name);
	}
	attempt(syscall(0x40000000 | SYS_init_module, "", 0, "") >= 0 ||
			(errno != EPERM && errno != ENOSYS),
		"init_module as an x32 call");
	attempt(syscall(0x40000000 | SYS_userfaultfd, 1) >= 0 || (errno != EPERM && errno != ENOSYS),
		"userfaultfd as an x32 call");
}
#else
static void other_doors(void)
{
}
#endif

int main(int argc, char **argv)
{
	close(open("/root/swap", O_CREAT | O_WRONLY, 0600));
	code_for_the_kernel(argc > 1 && !strcmp(argv[1], "nesting"));
	settings_of_the_node();
	other_doors();
	return verdict();
}
