/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "migrate/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NO_CAGE = 125, EXTRA_FD = 3 };

/* What the node lends: programs and libraries. Names that are symlinks on the node are made anew. */
static const char *const lent[] = { "/usr", "/lib", "/lib64", "/lib32", "/libx32", "/bin" };
enum { LENT = sizeof(lent) / sizeof(*lent) };

static int failed(const char *what)
{
	(void)dprintf(2, "cage: %s: %s\n", what, strerrordesc_np(errno));
	return -1;
}

/* A detached mount of what is at @fd (or at @path). */
static int clone_at(int fd, const char *path, bool writes)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };
	VZ_FD int m = open_tree(fd, path,
				OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					(*path ? 0 : (unsigned int)AT_EMPTY_PATH));

	if (!writes)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (m < 0 || mount_setattr(m, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -1;
	return vz_take_fd(&m);
}

static int attach(int m, const char *at, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", at, name);
	return mount_setattr(m, "", AT_EMPTY_PATH,
			     &(struct mount_attr){ .propagation = MS_PRIVATE },
			     sizeof(struct mount_attr)) < 0 ||
			       move_mount(m, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0
		       ? -1
		       : 0;
}

static int put_lent(const char *at, const char *name, int m)
{
	char path[PATH_MAX], to[256];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s%s", at, name);
	n = readlink(name, to, sizeof(to) - 1);
	if (n > 0) {
		to[n] = '\0';
		return symlink(to, path);
	}
	if (m < 0)
		return 0; /* this node has none */
	return mkdir(path, 0755) < 0 ? -1 : attach(m, at, name);
}

/* The new root, a tmpfs over a directory of ours in a namespace where nobody else looks. */
static int build(const struct mig_cage *c)
{
	int m[LENT], tree, self;
	char path[PATH_MAX];
	VZ_FD int file = -EBADF;

	/* clones come first: they are refused for mounts of another namespace than ours */
	for (int i = 0; i < LENT; i++)
		m[i] = clone_at(AT_FDCWD, lent[i], false);
	tree = clone_at(c->tree, "", c->writes);
	self = clone_at(AT_FDCWD, "/proc/self/exe", false);
	if (tree < 0 || self < 0)
		return failed("clone the tree");
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return failed("namespaces");
	if (mount("tmpfs", c->at, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,nr_inodes=64,mode=755") <
	    0)
		return failed(c->at);
	for (int i = 0; i < LENT; i++)
		if (put_lent(c->at, lent[i], m[i]) < 0)
			return failed(lent[i]);
	(void)snprintf(path, sizeof(path), "%s/tree", c->at);
	if (mkdir(path, 0755) < 0 || attach(tree, c->at, "/tree") < 0)
		return failed("attach the tree");
	(void)snprintf(path, sizeof(path), "%s/pipe", c->at);
	file = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0755);
	if (file < 0 || attach(self, c->at, "/pipe") < 0)
		return failed("attach ourselves");
	vz_closep(&file);
	if (mount(NULL, c->at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
		  NULL) < 0)
		return failed("read-only root");
	if (chdir(c->at) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return failed("chroot");
	return 0;
}

/* Of the host's root only what a copy needs; device nodes too, which lie on a mount that obeys none. */
static int drop_caps(bool writes)
{
	static const unsigned char writer[] = { CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
						CAP_FSETID, CAP_SETFCAP,      CAP_MKNOD };
	static const unsigned char reader[] = { CAP_DAC_READ_SEARCH };
	const unsigned char *keep = writes ? writer : reader;
	size_t n = writes ? sizeof(writer) : sizeof(reader);
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t mask = 0;

	for (size_t i = 0; i < n; i++)
		mask |= 1ULL << keep[i];
	for (unsigned int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && !(mask >> cap & 1) &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(mask >> (32 * i));
	return (int)syscall(SYS_capset, &head, data);
}

static int become(const struct mig_cage *c)
{
	if (c->userns < 0)
		return setgroups(0, NULL) < 0 || drop_caps(c->writes) < 0 ? failed("capabilities")
									  : 0;
	if (setns(c->userns, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return failed("ids of the VPS");
	return 0;
}

static int streams(const struct mig_cage *c)
{
	/* up and away from 0 to 3 first, then down */
	int in = fcntl(c->in, F_DUPFD, 16), out = fcntl(c->out, F_DUPFD, 16);
	int err = fcntl(c->err, F_DUPFD, 16);
	int extra = c->extra < 0 ? -1 : fcntl(c->extra, F_DUPFD, 16);

	if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(err, 2) < 0 || (extra >= 0 && dup2(extra, EXTRA_FD) < 0))
		return failed("standard streams");
	return close_range(extra >= 0 ? EXTRA_FD + 1 : EXTRA_FD, ~0U, 0) < 0 ? failed("close") : 0;
}

/* Process 1 of its namespace. */
static void inside(const struct mig_cage *c)
{
	static const char *const env[] = { VZ_PATH_ENV, "HOME=/", "LC_ALL=C", NULL };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	if (become(c) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != 0)
		_exit(NO_CAGE);
	(void)umask(0);
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &dfl, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (streams(c) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || mig_filter() < 0)
		_exit(NO_CAGE);
	(void)execve(c->argv[0], (char *const *)c->argv, (char *const *)env);
	(void)failed(c->argv[0]);
	_exit(NO_CAGE);
}

/* Outside of it, to pass its status on; dies with vzmigrate, and it dies with this one. */
static void warden(const struct mig_cage *c, pid_t parent)
{
	pid_t pid;
	int r;

	(void)dup2(c->err, 2);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent || build(c) < 0)
		_exit(NO_CAGE);
	pid = fork();
	if (pid == 0)
		inside(c);
	(void)close_range(0, 1, 0); /* what it reads and writes must end with it */
	(void)close_range(3, ~0U, 0);
	r = pid < 0 ? NO_CAGE : vz_wait(pid);
	_exit(r < 0 ? NO_CAGE : r);
}

pid_t mig_cage_spawn(const struct mig_cage *c)
{
	pid_t parent = getpid(), pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		warden(c, parent);
	return pid;
}
