/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shower and the server's side of its birth. lxcfs is a process of the host that answers the
 * tenant's reads, so it gets a root of its own with nothing in it but programs, /proc, /sys and the
 * hierarchies it reads; no sockets; four capabilities; a system call filter; a group with limits.
 * It never mounts its file system: we open /dev/fuse, mount, and give it the descriptor.
 */
#include "context/view.h"

#include "context/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

enum {
	SHOWER_SECONDS = 30, /* nothing else that it waits for takes so long */
	HIGH_FD = 64, /* what we keep lies from here on */
	DEAD_LAYERS = 8, /* so many dead files one over the other are taken off */
};

/* Where the server's file system is in its own root. */
#define VIEW_DIR "/view"

static const char *const files[VIEW_FILES] = {
	"proc/meminfo",
	"proc/swaps",
	"proc/stat",
	"proc/cpuinfo",
	"proc/loadavg",
	"proc/pressure/cpu",
	"proc/pressure/io",
	"proc/pressure/memory",
	"sys/devices/system/cpu/online",
	/* ours */
	"proc/stat",
	"proc/vmstat",
	"proc/diskstats",
};

const char *view_file(unsigned int n)
{
	return n < VIEW_FILES ? files[n] : NULL;
}

struct shower {
	const struct ctx_view_orders *o;
	struct view_fds f;
	int init, news, fuse;
	int library; /* cgroup2-mount.so */
	int clones[VIEW_FILES];
	struct ctx_view_answer a;
};

/* The first attempt is waited for by vzctl. */
static void finish(struct shower *s, int r, const char *what) __attribute__((noreturn));

static void finish(struct shower *s, int r, const char *what)
{
	s->a.failed = -r;
	(void)snprintf(s->a.what, sizeof(s->a.what), "%s", what);
	if (s->f.talk >= 0)
		(void)!vz_send_fds(s->f.talk, &s->a, sizeof(s->a), NULL, 0);
	_exit(r < 0 ? 1 : 0);
}

/*
 * Everything of vzmon's but what is named here: a copy of its control socket or its pty would keep
 * them open when it is gone. Those kept move to HIGH_FD and above.
 */
static int keep_only(int *const *keep, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (*keep[i] < 0)
			continue;
		*keep[i] = fcntl(*keep[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (*keep[i] < 0)
			return -errno;
	}
	return close_range(3, HIGH_FD - 1, 0) < 0 ? -errno : 0;
}

/* ---- the server's root ---- */

static int bind_to(const char *from, const char *to, bool dir)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	VZ_FD int mnt = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return -errno;
	if (dir && mkdir(to, 0755) < 0 && errno != EEXIST)
		return -errno;
	return move_mount(mnt, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* /lib64 and the like: a link to /usr on a merged system, else a directory. */
static int put_top(const char *name)
{
	char from[32], target[64];
	struct stat st;
	ssize_t n;

	(void)snprintf(from, sizeof(from), "/%s", name);
	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISLNK(st.st_mode))
		return bind_to(from, name, true);
	n = readlink(from, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlink(target, name) < 0 ? -errno : 0;
}

/*
 * lxcfs mounts for itself each hierarchy that it sees below /sys/fs/cgroup: it is shown those that
 * it reads. With cgroup2 alone that is /sys/fs/cgroup, else a directory there for each.
 */
static int put_hierarchies(const struct ctx_view_orders *o)
{
	static const char base[] = "/sys/fs/cgroup";
	bool alone = o->nhierarchies == 1 && !strcmp(o->hierarchies[0], base);
	int r = 0;

	if (!alone && mount("none", &base[1], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			    "size=64k,mode=755") < 0)
		return -errno;
	for (int i = 0; r == 0 && i < o->nhierarchies; i++)
		r = bind_to(o->hierarchies[i], &o->hierarchies[i][1], !alone);
	return r;
}

static int mount_fuse(struct shower *s)
{
	char fd[16];
	const struct fs_option opts[] = {
		{ "fd", fd },	     { "rootmode", "40000" }, { "user_id", "0" },
		{ "group_id", "0" }, { "allow_other", NULL }, { 0 },
	};
	VZ_FD int mnt = -EBADF;

	(void)snprintf(fd, sizeof(fd), "%d", s->fuse);
	mnt = rootfs_new_fs("fuse", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return mnt;
	if (mkdir(&VIEW_DIR[1], 0755) < 0)
		return -errno;
	return move_mount(mnt, "", AT_FDCWD, &VIEW_DIR[1], MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno
											: 0;
}

/*
 * On a ramfs, not a tmpfs: there lxcfs leaves a detour by pivot_root(2) out whose unmounting waits
 * for all processors.
 */
static int build_root(struct shower *s, const char **what)
{
	static const char *const tops[] = { "lib", "lib64", "lib32", "bin", "sbin" };
	char stage[300];
	int r;

	*what = "root of the server";
	s->fuse = vz_openat(AT_FDCWD, "/dev/fuse", O_RDWR, 0);
	if (s->fuse < 0) {
		*what = "open /dev/fuse";
		return s->fuse;
	}
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	(void)snprintf(stage, sizeof(stage), "%s/root", s->o->rundir);
	if ((mkdir(stage, 0700) < 0 && errno != EEXIST) ||
	    mount("none", stage, "ramfs", MS_NOSUID | MS_NODEV, "mode=755") < 0 || chdir(stage) < 0)
		return -errno;
	r = bind_to("/usr", "usr", true);
	for (size_t i = 0; r == 0 && i < sizeof(tops) / sizeof(*tops); i++)
		r = put_top(tops[i]);
	if (r == 0)
		r = bind_to("/proc", "proc", true);
	if (r == 0)
		r = bind_to("/sys", "sys", true);
	if (r < 0)
		return r;
	*what = "control groups of the server";
	r = put_hierarchies(s->o);
	if (r < 0)
		return r;
	*what = "mount a FUSE file system";
	r = mount_fuse(s);
	if (r < 0)
		return r;
	*what = "root of the server";
	if (mkdir("run", 0755) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	/* it makes directories there, and no more; the rest of its root is read-only */
	if (mount("none", "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=256k,mode=755") <
		    0 ||
	    mount("none", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
		  NULL) < 0)
		return -errno;
	return 0;
}

/* ---- the server ---- */

/*
 * In the shower's mount namespace, root of the host, all capabilities; about to have few. Four are
 * left: SYS_ADMIN, to mount the hierarchies in a namespace of its own and to ask which process is
 * the first of the VPS; SYS_CHROOT, to come back from there; SYS_PTRACE and DAC_READ_SEARCH, to read
 * /proc of the VPS's processes.
 */
static void become_server(const struct shower *s, pid_t mon) __attribute__((noreturn));

static void become_server(const struct shower *s, pid_t mon)
{
	const uint64_t caps = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_CHROOT |
			      UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_DAC_READ_SEARCH;
	static const struct rlimit no_core = { 0, 0 }, few_files = { 256, 256 };
	char dir[32];
	/* its load is that of the VPS; processors are counted by the limit of CPU time */
	const char *argv[] = { "lxcfs",
			       "--foreground",
			       "--enable-loadavg",
			       "--enable-cfs",
			       "--pidfile",
			       "/run/lxcfs.pid",
			       dir,
			       NULL,
			       NULL };
	/* one arena for all threads: the others cost 64 KiB and more each */
	char preload[64];
	const char *const env[] = { "PATH=/usr/bin:/bin", "MALLOC_ARENA_MAX=1",
				    s->library >= 0 ? preload : NULL, NULL };
	const char *server = s->o->server;

	if (s->o->no_swap) {
		argv[7] = argv[6];
		argv[6] = "--disable-swap";
	}
	(void)snprintf(dir, sizeof(dir), "/dev/fd/%d", s->fuse);
	(void)snprintf(preload, sizeof(preload), "LD_PRELOAD=/proc/self/fd/%d", s->library);
	(void)umask(022);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)setrlimit(RLIMIT_NOFILE, &few_files);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (s->library >= 0)
		(void)fcntl(s->library, F_SETFD, 0);
	if (fcntl(s->fuse, F_SETFD, 0) < 0 || cage_seccomp(s->f.seccomp) < 0 || cage_caps(caps) < 0)
		_exit(126);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != mon)
		_exit(126);
	(void)execve(server, (char *const *)argv, (char *const *)env);
	_exit(127);
}

/* A child of vzmon, like ourselves. Return: 0 or -errno. */
static int begin_server(struct shower *s, pid_t mon)
{
	int pidfd = -1, r;
	struct clone_args a = { .flags = CLONE_PARENT | CLONE_PIDFD,
				.pidfd = (uint64_t)(uintptr_t)&pidfd };
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_server(s, mon);
	r = vz_send_fds(s->news, "", 1, &pidfd, 1);
	vz_closep(&s->news);
	vz_closep(&pidfd);
	vz_closep(&s->library);
	vz_closep(
		&s->fuse); /* the server's alone: with its end, readers get an error and no wait */
	return r;
}

/* Waits until the server answers. What it does not have is left out. */
static int clone_files(struct shower *s)
{
	for (unsigned int i = 0; i < VIEW_SERVED; i++) {
		char path[64];

		s->clones[i] = -1;
		if (!(s->o->files >> i & 1))
			continue;
		(void)snprintf(path, sizeof(path), VIEW_DIR "/%s", files[i]);
		s->clones[i] = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (s->clones[i] < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/*
 * RUN/CTID/proc/NAME, while the node's tree is still there. The mount gets none of its propagation:
 * what the tenant mounts over it must not appear on the node. He can make it writable; the file is
 * the node's, and has no write permission for anybody else.
 */
static int clone_ours(struct shower *s)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			    MOUNT_ATTR_NOEXEC,
		/* as the kernel's own /proc, which CRIU is given for it */
		.attr_clr = MOUNT_ATTR__ATIME,
		.propagation = MS_PRIVATE,
	};

	for (unsigned int i = VIEW_SERVED; i < VIEW_FILES; i++) {
		char path[320];

		if (!(s->o->files >> i & 1))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", s->o->rundir, files[i]);
		s->clones[i] = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (s->clones[i] < 0 ||
		    mount_setattr(s->clones[i], "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
			return -errno;
	}
	return 0;
}

/* ---- in the VPS's mount namespace: every name is the tenant's ---- */

/* What lies at @file now: 1 the kernel's, 0 something that answers, -ENOTCONN a dead file, -errno. */
static int look(int root, const char *file, int *ret_spot)
{
	VZ_FD int spot = vz_open_nolink(root, file, O_PATH, 0);
	struct statfs fs;

	if (spot < 0)
		return spot;
	if (fstatfs(spot, &fs) < 0)
		return errno == ECONNABORTED ? -ENOTCONN : -errno;
	if (fs.f_type != PROC_SUPER_MAGIC && fs.f_type != SYSFS_MAGIC)
		return 0;
	*ret_spot = vz_take_fd(&spot);
	return 1;
}

/*
 * Off with what is dead there, on with ours (-1: no more than that). Where the tenant has put
 * something of his own, or nothing is, it stays. In his namespace of mounts nothing of the host's
 * can be hit, whatever the names have become meanwhile.
 */
static int show(int root, const char *file, int clone)
{
	VZ_FD int spot = -EBADF;
	char path[64];
	int r = look(root, file, &spot);

	(void)snprintf(path, sizeof(path), "/%s", file);
	for (int i = 0; r == -ENOTCONN && i < DEAD_LAYERS; i++) {
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return -errno;
		r = look(root, file, &spot);
	}
	if (r != 1 || clone < 0)
		return r < 0 ? r : 0;
	return move_mount(clone, "", spot, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
			       0
		       ? -errno
		       : 1;
}

/* After a restore: off with what CRIU was given for files of ours; the kernel's own lie below. */
static void uncover(const struct shower *s)
{
	char path[64];

	for (unsigned int i = 0; i < VIEW_FILES; i++) {
		(void)snprintf(path, sizeof(path), "/%s", files[i]);
		if (s->o->covered >> i & 1)
			(void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
}

static int show_all(struct shower *s)
{
	VZ_FD int root = -EBADF;

	if (setns(s->init, CLONE_NEWNS) < 0)
		return -errno;
	root = vz_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	if (root < 0)
		return root;
	uncover(s);
	for (unsigned int i = 0; i < VIEW_FILES; i++)
		if ((s->o->files >> i & 1) && show(root, files[i], s->clones[i]) == 1)
			s->a.shown |= 1U << i;
	return 0;
}

/* Perhaps for the restore of a large memory; who sends it holds the other end, and may die. */
static int wait_for_init(struct shower *s)
{
	size_t n = 1;
	char word;
	int r;

	if (s->init >= 0)
		return 0;
	(void)alarm(0);
	r = vz_recv_fds(s->f.talk, &word, 1, &s->init, &n) == 1 && n == 1 ? 0 : -ECANCELED;
	(void)alarm(SHOWER_SECONDS);
	return r;
}

/* Born in the server's group of cgroup2; the others follow. */
static int join_groups(const struct shower *s)
{
	for (int i = 0; i < s->o->ntasks; i++)
		if (write(s->f.tasks[i], "0", 1) < 0)
			return -errno;
	return 0;
}

static int prepare(struct shower *s, pid_t mon)
{
	int *keep[5 + CTX_VIEW_TASKS] = { &s->init, &s->news, &s->f.talk, &s->f.seccomp,
					  &s->f.group };

	for (int i = 0; i < CTX_VIEW_TASKS; i++)
		keep[5 + i] = &s->f.tasks[i];
	cage_reset_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != mon)
		_exit(1);
	(void)alarm(SHOWER_SECONDS);
	(void)setsid();
	(void)prctl(PR_SET_NAME, "vzmon-view");
	(void)!vz_write_value(AT_FDCWD, "/proc/self/oom_score_adj", "0"); /* vzmon's is not its */
	return keep_only(keep, sizeof(keep) / sizeof(*keep));
}

/* As far as a server that answers. */
static int serve(struct shower *s, pid_t mon, const char **what)
{
	const char *slash = strrchr(s->o->vzctl, '/');
	char path[sizeof(s->o->vzctl) + 32];
	int r;

	(void)snprintf(path, sizeof(path), "%.*s/cgroup2-mount.so",
		       slash ? (int)(slash - s->o->vzctl) : 0, s->o->vzctl);
	s->library = vz_openat(AT_FDCWD, path, O_RDONLY, 0); /* without it there is a view, too */
	*what = "join the groups of the server";
	r = join_groups(s);
	if (r == 0)
		r = build_root(s, what);
	if (r < 0)
		return r;
	*what = "begin the server";
	r = begin_server(s, mon);
	if (r < 0)
		return r;
	*what = "lxcfs gives no answer";
	return clone_files(s);
}

void view_shower(const struct ctx_view_orders *o, const struct view_fds *f, enum view_job job,
		 bool unwatched, pid_t mon, int init, int news)
{
	struct shower s = {
		.o = o, .f = *f, .init = init, .news = news, .fuse = -1, .library = -1
	};
	const char *what = "prepare", *failed_what = "";
	int r = prepare(&s, mon), failed = 0;

	for (unsigned int i = 0; i < VIEW_FILES; i++)
		s.clones[i] = -1;
	s.a.unwatched = unwatched;
	if (r == 0 && job != VIEW_HIDE) {
		what = "files of our own";
		r = clone_ours(&s);
	}
	if (r == 0 && job == VIEW_SERVE)
		failed = serve(&s, mon, &failed_what);
	for (unsigned int i = 0; failed < 0 && i < VIEW_SERVED; i++)
		vz_closep(&s.clones[i]); /* some, perhaps, of a server that did not go on */
	if (r == 0) {
		what = "wait for init";
		r = wait_for_init(&s);
	}
	if (r == 0) {
		what = "enter the VPS";
		r = show_all(&s);
	}
	/* a server that fails takes nothing of ours away */
	if (r == 0 && failed < 0)
		finish(&s, failed, failed_what);
	finish(&s, r, r < 0 ? what : "");
}
