/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/userns.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Raise every permitted capability again: changing ids clears the effective set. */
static int raise_caps(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

int vz_become_base(uint64_t base)
{
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid((gid_t)base, (gid_t)base, (gid_t)base) < 0 ||
	    setresuid((uid_t)base, (uid_t)base, (uid_t)base) < 0)
		return -errno;
	return raise_caps();
}

int vz_fs_as(uint64_t id)
{
	(void)setfsgid((gid_t)id);
	(void)setfsuid((uid_t)id);
	if ((uid_t)setfsuid((uid_t)-1) != id || (gid_t)setfsgid((gid_t)-1) != id)
		return -EPERM; /* these calls tell nothing but the old value */
	return raise_caps();
}

int vz_userns_write_maps(pid_t pid, uint64_t base, uint64_t count)
{
	char path[64], map[96];
	int r;

	(void)snprintf(map, sizeof(map), "0 %llu %llu\n", (unsigned long long)base,
		       (unsigned long long)count);
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	r = vz_write_value(AT_FDCWD, path, map);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	return vz_write_value(AT_FDCWD, path, map);
}

static void userns_child(int sk, uint64_t base)
{
	int r = vz_become_base(base);
	char go;

	if (r == 0 && unshare(CLONE_NEWUSER) < 0)
		r = -errno;
	if (vz_write_all(sk, &r, sizeof(r)) < 0 || r < 0)
		_exit(1);
	(void)!read(sk, &go, 1); /* the parent has the descriptor, or died */
	_exit(0);
}

int vz_userns_open(uint64_t base, uint64_t count)
{
	int sk[2], r, fd = -EBADF;
	char path[64];
	pid_t pid;

	r = vz_seqpacket(sk);
	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0) {
		(void)close(sk[0]);
		userns_child(sk[1], base);
	}
	r = pid < 0 ? -errno : 0;
	(void)close(sk[1]);
	if (r == 0) {
		int told = -EPIPE;

		if (read(sk[0], &told, sizeof(told)) != (ssize_t)sizeof(told))
			told = -EPIPE;
		r = told;
	}
	if (r == 0)
		r = vz_userns_write_maps(pid, base, count);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		fd = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
		r = fd < 0 ? fd : 0;
	}
	(void)close(sk[0]);
	if (pid > 0)
		(void)vz_wait(pid);
	return r < 0 ? r : fd;
}
