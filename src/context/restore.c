/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs between vzmon and CRIU when a VPS is restored. A child of vzmon, root of the host, puts all that CRIU
 * mounts from outside (the root, /dev with its nodes, the console, /run/vz, volumes) into a tree in a mount namespace of
 * its own, then becomes CRIU. Each is a mount by itself: CRIU clones them one by one in the VPS's user namespace,
 * where the kernel clones nothing that has locked mounts below it. Init is cloned as CRIU's sibling (-S), so it is
 * a child of vzmon as after a start.
 */
#include "context/context.h"
#include "context/priv.h"

#include "util/fd.h"
#include "util/proc.h"
#include "util/userns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static int spot(int stage, const char *name, bool dir)
{
	if (dir ? mkdirat(stage, name, 0755) < 0 : mknodat(stage, name, S_IFREG | 0600, 0) < 0)
		return -errno;
	return vz_openat(stage, name, O_PATH, 0);
}

int restore_put(int stage, const char *name, bool dir, int mnt)
{
	VZ_FD int to = spot(stage, name, dir);

	return to < 0 ? to : rootfs_attach(mnt, to);
}

static int fill_stage(int stage, const struct ctx_orders *o, const struct mon_fds *f, char **given,
		      uint32_t n)
{
	char name[24], path[300];
	int r = restore_put(stage, "root", true, f->root);

	if (r == 0)
		r = restore_put(stage, "console", false, f->console_mnt);
	if (r == 0)
		r = restore_put(stage, "dev", true, f->dev);
	if (r == 0)
		r = rootfs_stage_node_files(stage, o);
	for (int i = 0; r == 0 && i < o->nvolumes; i++) {
		(void)snprintf(name, sizeof(name), "volume-%d", i);
		r = restore_put(stage, name, true, f->volumes[i]);
	}
	(void)snprintf(path, sizeof(path), "%s/../" CTX_STAGE, o->rundir);
	return r < 0 ? r : given_stage(stage, path, o, given, n);
}

/* A mount namespace of our own, and a place in it. Return: fd of the stage; -errno. */
static int open_stage(const struct ctx_orders *o)
{
	char path[300], mark[320];

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	/* others' file systems: they must not wait for us when they are stopped and started */
	(void)snprintf(mark, sizeof(mark), "lowerdir=%.*s/" CTX_STAGE "/",
		       (int)(strrchr(o->rundir, '/') - o->rundir), o->rundir);
	vz_drop_mounts(mark, NULL);
	(void)snprintf(path, sizeof(path), "%s/../" CTX_STAGE, o->rundir);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mount("croft", path, "tmpfs", MS_NOSUID | MS_NODEV, "size=256k,mode=0755") < 0)
		return -errno;
	return vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

static int make_stage(const struct ctx_orders *o, const struct mon_fds *f, char **given, uint32_t n)
{
	VZ_FD int stage = open_stage(o);

	return stage < 0 ? stage : fill_stage(stage, o, f, given, n);
}

/* ---- /dev, made by vzctl, which knows what was in it ---- */

static int make_dev(const struct ctx_orders *o, int (*fill)(int dev, void *arg), void *arg)
{
	VZ_FD int stage = open_stage(o);
	VZ_FD int dev = -EBADF;
	int r = stage < 0 ? stage : rootfs_stage_dev(stage, o);

	if (r < 0)
		return r;
	dev = vz_openat(stage, "dev", O_RDONLY | O_DIRECTORY, 0);
	r = dev < 0 ? dev : vz_fs_as(o->uid_base);
	if (r == 0)
		r = fill(dev, arg);
	if (r < 0)
		return r;
	r = open_tree(stage, "dev", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return r < 0 ? -errno : r;
}

int ctx_dev_make(const struct ctx_orders *o, int (*fill)(int dev, void *arg), void *arg)
{
	int sk[2], told = -ECONNRESET, mnt = -EBADF, r = vz_seqpacket(sk);
	size_t n = 1;
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0) {
		mnt = make_dev(o, fill, arg);
		told = mnt < 0 ? mnt : 0;
		_exit(vz_send_fds(sk[1], &told, sizeof(told), &mnt, mnt >= 0) < 0);
	}
	if (pid < 0)
		told = -errno;
	vz_closep(&sk[1]);
	if (pid > 0) {
		if (vz_recv_fds(sk[0], &told, sizeof(told), &mnt, &n) != (ssize_t)sizeof(told))
			told = -ECONNRESET;
		(void)vz_wait(pid);
	}
	vz_closep(&sk[0]);
	return told < 0 ? told : n == 1 ? mnt : -EPROTO;
}

/* Texts of the sealed file, one after the other, each ended by NUL. */
int restore_words(char *text, size_t len, uint32_t skip, uint32_t n, char **v)
{
	char *at = text, *end = text + len;

	for (uint32_t i = 0; i < skip + n; i++) {
		char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;

		if (!nul)
			return -EPROTO;
		if (i >= skip)
			v[i - skip] = at;
		at = nul + 1;
	}
	v[n] = NULL;
	return 0;
}

static void die(const struct mon_fds *f, int r, const char *what) __attribute__((noreturn));

static void die(const struct mon_fds *f, int r, const char *what)
{
	struct vz_error err = { 0 };

	(void)vz_fail(&err, VZ_EXIT_RESTORE, -r, "%s", what);
	sync_fail(f->protocol, &err);
	_exit(1);
}

void child_restorer(const struct ctx_orders *o, const struct ctx_restore_orders *r,
		    struct mon_fds *f)
{
	VZ_FREE char *text = NULL;
	char *argv[257], *env[17], *given[CTX_GIVEN + 1];
	ssize_t n = vz_read_all(f->args, CTX_RESTORE_BYTES, &text);
	int e = n < 0 ? (int)n : restore_words(text, (size_t)n, 0, r->nargs, argv);
	char told;

	if (e == 0)
		e = restore_words(text, (size_t)n, r->nargs, r->nenv, env);
	if (e == 0)
		e = restore_words(text, (size_t)n, r->nargs + r->nenv + r->npages + r->npages_env,
				  r->ngiven, given);
	if (e < 0)
		die(f, e, "arguments for CRIU");
	if (r->npages && read(f->ready, &told, 1) != 1)
		die(f, -EPIPE, "CRIU's server of pages (its log: pages.log)");
	f->console_mnt = rootfs_console(f->console, o->uid_base);
	if (f->console_mnt < 0)
		die(f, f->console_mnt, "console of the VPS");
	e = make_stage(o, f, given, r->ngiven);
	if (e < 0)
		die(f, e, "mounts of the VPS");
	cage_reset_signals();
	if (dup2(f->console, CTX_CONSOLE_FD) < 0)
		die(f, -errno, "console of the VPS");
	(void)close_range(3, CTX_CONSOLE_FD - 1, CLOSE_RANGE_CLOEXEC);
	(void)close_range(CTX_CONSOLE_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	(void)execve(argv[0], argv, env);
	die(f, -errno, "execute CRIU");
}

/* ---- vzmon's part ---- */

int restore_begin(const struct ctx_orders *o, const struct ctx_restore_orders *r, struct mon_fds *f)
{
	pid_t pid = fork();

	if (pid == 0) {
		vz_closep(&f->control);
		child_restorer(o, r, f);
	}
	return pid < 0 ? -errno : vz_proc_pidfd(pid, 0);
}

/* Init is CRIU's sibling, so our child. */
static int take_init(const char *rundir, pid_t *ret_init, int *ret_pidfd)
{
	char path[320];
	uint64_t pid;
	int r;

	(void)snprintf(path, sizeof(path), "%s/" CTX_PID_FILE, rundir);
	r = vz_read_u64(AT_FDCWD, path, &pid);
	(void)unlink(path);
	if (r < 0 || pid < 2 || pid > INT32_MAX)
		return r < 0 ? r : -EINVAL;
	*ret_pidfd = vz_proc_pidfd((pid_t)pid, 0);
	*ret_init = (pid_t)pid;
	return *ret_pidfd < 0 ? *ret_pidfd : 0;
}

int restore_end(int *criu, const char *rundir, pid_t *ret_init, int *ret_pidfd,
		struct vz_error *err)
{
	siginfo_t si = { 0 };
	int r;

	while (waitid(P_PIDFD, (id_t)*criu, &si, WEXITED) < 0 && errno == EINTR)
		;
	vz_closep(criu);
	if (si.si_code != CLD_EXITED || si.si_status != 0)
		return vz_fail(err, VZ_EXIT_RESTORE, 0, "CRIU ended with %s %d",
			       si.si_code == CLD_EXITED ? "status" : "signal", si.si_status);
	r = take_init(rundir, ret_init, ret_pidfd);
	return r < 0 ? vz_fail(err, VZ_EXIT_RESTORE, -r, "CRIU left no process") : 0;
}
