/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes a VPS another one than its template. Caged child; "/" is the VPS's root. */
#include "dist/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An RSA key alone takes half a minute on an emulated or a crowded processor. */
enum { KEYGEN_LIMIT_MS = 120000, KEYGEN_PROCESSES = 8 };

#define KEYGEN "/usr/bin/ssh-keygen"

/* ---- machine id ---- */

static bool has_systemd(void)
{
	return access("/lib/systemd/systemd", F_OK) == 0 ||
	       access("/usr/lib/systemd/systemd", F_OK) == 0;
}

static int put_id(const char *path, const char *id, bool make, bool only_regular)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	int r = dist_load(path, &f);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (only_regular ? !f.there : !f.exists && !make)
		return 0;
	return dist_store(&f, id, strlen(id), 0444, false);
}

static int machine_id(struct vz_error *err)
{
	char id[34];
	int r = dist_random_hex(id, 32);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "random numbers");
	id[12] = '4'; /* a random UUID, version 4, variant 1, as systemd makes them */
	id[16] = "89ab"[id[16] & 3];
	id[32] = '\n';
	id[33] = '\0';
	r = put_id("/etc/machine-id", id, has_systemd(), false);
	if (r == 0)
		r = put_id("/var/lib/dbus/machine-id", id, false, true);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "machine-id") : 0;
}

/* ---- ssh host keys ---- */

/* Each file of a host key, private and public. @drop: unlink it. Return: how many; -errno. */
static int each_key(bool drop)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, "/etc/ssh");
	struct dirent *e;
	int n = 0;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while ((e = readdir(d))) {
		if (fnmatch("ssh_host_*_key*", e->d_name, 0) != 0)
			continue;
		if (drop && unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT &&
		    errno != EISDIR)
			return -errno;
		n++;
	}
	return n;
}

/*
 * ssh-keygen opens /dev/null before anything else. A root that is not running has no devices (or
 * ones that nodev forbids): an empty file serves. What was there is put back.
 */
struct null_file {
	int dev;
	bool made, moved;
};

static int null_begin(struct null_file *n)
{
	int fd = vz_openat(AT_FDCWD, "/dev/null", O_RDWR | O_NONBLOCK | O_NOCTTY, 0);

	if (fd >= 0) {
		(void)close(fd);
		return 0;
	}
	if (mkdir("/dev", 0755) < 0 && errno != EEXIST)
		return -errno;
	n->dev = vz_openat(AT_FDCWD, "/dev", O_RDONLY | O_DIRECTORY, 0);
	if (n->dev < 0)
		return n->dev;
	n->moved = renameat(n->dev, "null", n->dev, ".vps-null") == 0;
	fd = vz_openat(n->dev, "null", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	(void)close(fd);
	n->made = true;
	return 0;
}

static void null_end(struct null_file *n)
{
	if (n->made)
		(void)unlinkat(n->dev, "null", 0);
	if (n->moved)
		(void)renameat(n->dev, ".vps-null", n->dev, "null");
	vz_closep(&n->dev);
}

/* The tenant's program: no capability, or it could leave the chroot; few processes, no fds. */
static void exec_keygen(void)
{
	static const char *const argv[] = { KEYGEN, "-A", NULL };
	static const char *const env[] = { "HOME=/", "LC_ALL=C", VZ_PATH_ENV, NULL };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	struct rlimit few = { KEYGEN_PROCESSES, KEYGEN_PROCESSES };
	sigset_t empty;

	sigemptyset(&empty);
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		if (cap > 63)
			_exit(126);
	if (prctl(PR_CAPBSET_READ, 0UL, 0, 0, 0) != 0 || syscall(SYS_capset, &head, none) < 0 ||
	    setrlimit(RLIMIT_NPROC, &few) < 0 || sigprocmask(SIG_SETMASK, &empty, NULL) < 0 ||
	    close_range(3, ~0U, 0) < 0)
		_exit(126);
	(void)execve(KEYGEN, (char *const *)argv, (char *const *)env);
	_exit(127);
}

static int run_keygen(struct vz_error *err)
{
	VZ_FD int pidfd = -EBADF;
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "fork");
	if (pid == 0)
		exec_keygen();
	pidfd = pidfd_open(pid, 0);
	r = pidfd < 0 ? -errno : vz_pidfd_poll(pidfd, KEYGEN_LIMIT_MS);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	if (r < 0 && vz_wait(pid) >= 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "ssh-keygen -A inside");
	r = vz_wait(pid);
	return r ? vz_fail(err, VZ_EXIT_SYSTEM, 0, "ssh-keygen -A inside: exit status %d", r) : 0;
}

bool dist_keys_missing(void)
{
	return access(KEYGEN, X_OK) == 0 && access("/etc/ssh", F_OK) == 0 && each_key(false) == 0;
}

int dist_keys(const struct dist_job *job, struct vz_error *err)
{
	struct null_file null = { .dev = -EBADF };
	int r;

	(void)job;
	if (!dist_keys_missing())
		return 0;
	r = null_begin(&null);
	r = r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "/dev/null inside") : run_keygen(err);
	null_end(&null);
	return r;
}

int dist_first(const struct dist_job *job, struct vz_error *err)
{
	int r = machine_id(err);

	(void)job;
	if (r < 0)
		return r;
	r = each_key(true);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "old ssh host keys");
	r = dist_getty(err);
	return r < 0 ? r : dist_lock_root(err);
}
