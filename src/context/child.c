/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs between vzmon and init. The builder is a child of vzmon: root of the host, it joins the
 * VPS's groups, builds the root in a mount namespace of its own, becomes the VPS's base id and
 * makes the user namespace as that id (so that all that is counted by user belongs to the VPS),
 * then clones init as its sibling.
 */
#include "context/priv.h"

#include "util/fd.h"
#include "util/proc.h"
#include "util/userns.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const struct mon_fds *f, const struct vz_error *err) __attribute__((noreturn));

static void die(const struct mon_fds *f, const struct vz_error *err)
{
	sync_fail(f->protocol, err);
	_exit(1);
}

static int join_groups(const struct ctx_orders *o, const struct mon_fds *f, struct vz_error *err)
{
	for (int i = 0; i < o->nprocs; i++)
		if (write(f->procs[i], "0", 1) < 0)
			return vz_fail(err, VZ_EXIT_ENVCREATE, errno, "join control group %d", i);
	return 0;
}

/* Limits that a user namespace takes from its maker: they hold for all of the VPS together. */
static void namespace_limits(const struct ctx_orders *o)
{
	const struct {
		int what;
		uint64_t most;
	} limits[] = {
		{ RLIMIT_NPROC, UINT64_MAX },
		{ RLIMIT_SIGPENDING, o->sigpending },
		{ RLIMIT_MSGQUEUE, UINT64_MAX },
		{ RLIMIT_MEMLOCK, o->memlock_bytes },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit l;

		if (getrlimit(limits[i].what, &l) < 0)
			continue;
		if (l.rlim_max > limits[i].most)
			l.rlim_max = limits[i].most;
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(limits[i].what, &l);
	}
}

/* Uptime and the monotonic clock of the VPS begin at its start. */
static int time_namespace(void)
{
	struct timespec boot, mono;
	char text[96];

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	(void)prctl(PR_SET_DUMPABLE, 1); /* else our own /proc files belong to the host's root */
	if (clock_gettime(CLOCK_BOOTTIME, &boot) < 0 || clock_gettime(CLOCK_MONOTONIC, &mono) < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "monotonic -%lld 0\nboottime -%lld 0\n",
		       (long long)mono.tv_sec, (long long)boot.tv_sec);
	return vz_write_value(AT_FDCWD, "/proc/self/timens_offsets", text);
}

/* ---- init, before it is init ---- */

static int run_start_script(int script)
{
	int st;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		static const char *const argv[] = { "sh", NULL };
		static const char *const env[] = { "HOME=/", "TERM=linux", VZ_PATH_ENV, NULL };
		int null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);

		cage_reset_signals();
		if (dup2(script, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		(void)execve("/bin/bash", (char *const *)argv, (char *const *)env);
		(void)execve("/bin/sh", (char *const *)argv, (char *const *)env);
		_exit(127);
	}
	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128;
}

static int cage(const struct ctx_orders *o, const struct mon_fds *f, struct vz_error *err)
{
	int r;

	if (o->has_seccomp) {
		r = cage_seccomp(f->seccomp);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "load the seccomp filter");
	}
	r = cage_caps(o->caps);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SET_CAP, -r, "set the capabilities");
	return 0;
}

/* Not as init's controlling terminal: then no getty could make it its own. */
static int take_console(const struct mon_fds *f)
{
	if (dup2(f->console, 0) < 0 || dup2(f->console, 1) < 0 || dup2(f->console, 2) < 0)
		return -errno;
	return 0;
}

static void exec_init(const struct ctx_orders *o)
{
	const char *argv[] = { o->init, NULL };
	const char *env[] = { "HOME=/", "TERM=linux", "container=croft", VZ_PATH_ENV, NULL, NULL };

	if (o->notify)
		env[4] = "NOTIFY_SOCKET=" CTX_NOTIFY_PATH;

	(void)execve(o->init, (char *const *)argv, (char *const *)env);
}

/*
 * Process 1 of a context without an init (runscript, $VZIN): waits until it is killed. Not
 * dumpable, so that /proc/1/exe, a file of the host, stays out of the tenant's reach.
 */
static void wait_for_ever(void) __attribute__((noreturn));

static void wait_for_ever(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGCHLD, &ign, NULL); /* orphans are reaped by the kernel */
	(void)close_range(3, ~0U, 0);
	for (;;)
		(void)pause();
}

/*
 * Who may ping without a capability: every group, as systemd wants it. Its own range ends beyond
 * our map, so that the kernel refuses it, and in Debian 13 only root could ping.
 */
static void ping_range(const struct ctx_orders *o)
{
	char text[40];

	(void)snprintf(text, sizeof(text), "0 %llu", (unsigned long long)o->uid_count - 1);
	(void)!vz_write_value(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", text);
}

/*
 * Process 1 of the VPS: all namespaces are the VPS's own, root inside, root directory still the
 * host's (a private copy of its mounts), every capability of the user namespace.
 */
static void init_main(const struct ctx_orders *o, const struct mon_fds *f, int announced)
{
	struct vz_error err = { 0 };
	char word;
	int r;

	(void)prctl(PR_SET_DUMPABLE, 0);
	/* without vzmon nobody would reap, clean up or restart: rather stopped than half alive (ADR 18) */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setsid();
	if (sethostname(o->hostname, strlen(o->hostname)) < 0)
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, errno, "set the host name");
	else if (rootfs_enter(o, &err) == 0) {
		ping_range(o);
		/* ROOT must not overtake the builder's SPAWNED on the socket that we share with it */
		if (read(announced, &word, 1) != 1)
			_exit(1); /* the builder said why */
		r = sync_tell(f->protocol, STEP_ROOT, 0, -1);
	}
	if (err.msg[0] || sync_expect(f->protocol, STEP_NET, NULL, NULL, &err) < 0 ||
	    cage(o, f, &err) < 0)
		die(f, &err);
	r = sync_tell(f->protocol, STEP_CAGED, 0, -1);
	if (r == 0 && o->has_script) {
		r = run_start_script(f->script);
		if (r != 0) {
			(void)vz_fail(&err, VZ_EXIT_SCRIPT, 0,
				      "start script of the VPS failed (%d)", r);
			die(f, &err);
		}
	}
	if (r == 0)
		r = sync_tell(f->protocol, STEP_SCRIPTS, 0, -1);
	if (r == 0)
		r = take_console(f);
	if (r == 0)
		r = sync_tell(f->protocol, STEP_CONSOLE, 0, -1);
	if (r < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, -r, "console of the VPS");
		die(f, &err);
	}
	if (sync_expect(f->protocol, STEP_GO, NULL, NULL, &err) < 0)
		die(f, &err);
	cage_reset_signals();
	if (o->bare)
		wait_for_ever();
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	exec_init(o);
	(void)vz_fail(&err, VZ_EXIT_BAD_TEMPLATE, errno, "execute %s in the VPS", o->init);
	die(f, &err);
}

static pid_t clone_init(int *ret_pidfd)
{
	int pidfd = -1;
	struct clone_args a = {
		.flags = CLONE_PARENT | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			 CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	*ret_pidfd = pidfd;
	return pid < 0 ? -errno : pid;
}

/* In its own user namespace now, mapped: root inside. */
static void spawn_init(const struct ctx_orders *o, const struct mon_fds *f)
	__attribute__((noreturn));

static void spawn_init(const struct ctx_orders *o, const struct mon_fds *f)
{
	struct vz_error err = { 0 };
	int pidfd = -EBADF, announced[2], r;
	pid_t pid;

	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, errno, "become root of the VPS");
		die(f, &err);
	}
	r = time_namespace();
	if (r < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, -r, "make the time namespace");
		die(f, &err);
	}
	r = vz_pipe(announced);
	pid = r < 0 ? r : clone_init(&pidfd);
	if (pid == 0) {
		vz_closep(&announced[1]);
		init_main(o, f, announced[0]);
	}
	if (pid < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, (int)-pid, "clone init");
		die(f, &err);
	}
	r = sync_tell(f->mon, STEP_SPAWNED, pid, pidfd);
	if (r == 0)
		r = sync_tell(f->protocol, STEP_SPAWNED, pid, pidfd);
	if (r == 0 && write(announced[1], "", 1) != 1)
		r = -errno;
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		_exit(1);
	}
	_exit(0);
}

void child_builder(const struct ctx_orders *o, struct mon_fds *f)
{
	struct vz_error err = { 0 };
	char adj[16];
	int r;

	(void)snprintf(adj, sizeof(adj), "%d", (int)o->oom_adj); /* vzmon's is not the VPS's */
	(void)!vz_write_value(AT_FDCWD, "/proc/self/oom_score_adj", adj);
	if (join_groups(o, f, &err) < 0)
		die(f, &err);
	f->console_mnt = rootfs_console(f->console, o->uid_base);
	if (f->console_mnt < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, -f->console_mnt, "console of the VPS");
		die(f, &err);
	}
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, errno, "make the mount namespace");
		die(f, &err);
	}
	r = vz_fs_as(o->uid_base);
	if (r < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, -r, "act as id %llu",
			      (unsigned long long)o->uid_base);
		die(f, &err);
	}
	if (rootfs_build(o, f, &err) < 0)
		die(f, &err);
	namespace_limits(o);
	r = vz_become_base(o->uid_base);
	if (r == 0 && unshare(CLONE_NEWUSER) < 0)
		r = -errno;
	if (r < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, -r, "make the user namespace");
		die(f, &err);
	}
	r = sync_tell(f->protocol, STEP_BORN, getpid(), -1);
	if (r < 0 || sync_expect(f->protocol, STEP_MAPPED, NULL, NULL, &err) < 0)
		_exit(1); /* vzctl is gone */
	spawn_init(o, f);
}
