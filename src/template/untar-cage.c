/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { CHECK_INODES_MAX = 1000000 };

#define MEMORY_BYTES (1ULL << 30)

static int cage_fail(struct vz_error *err, const char *what)
{
	return vz_fail(err, VZ_EXIT_SYSTEM, errno, "cage of the unpacker: %s", what);
}

/* An empty tmpfs that nothing but our descriptor shows. */
static int check_root(const struct tpl_untar *want)
{
	VZ_FD int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	uint64_t most = CHECK_INODES_MAX;
	char inodes[32];
	int fd;

	if (fs < 0)
		return -errno;
	if (want->max_entries < most)
		most = want->max_entries;
	(void)snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)most + 64);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "size", "256m", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	return fd >= 0 ? fd : -errno;
}

/*
 * A mount of the target of our own: not executable, so that not even a library that libc would like
 * to load by name (character sets) can come from the archive. A target on a mount that cannot be
 * cloned (detached, before Linux 6.15) is used as it is.
 */
static int target_root(int dirfd)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID,
	};
	VZ_FD int fd = open_tree(dirfd, "",
				 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (unsigned int)AT_EMPTY_PATH);

	if (fd < 0)
		return vz_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return vz_take_fd(&fd);
}

/* What is left: setting owners, modes, file capabilities. Devices are never made, so no CAP_MKNOD.
 */
static int drop_caps(void)
{
	static const unsigned char keep[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
					      CAP_SETFCAP };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t mask = 0;

	for (size_t i = 0; i < sizeof(keep); i++)
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

static int limit(int which, rlim_t value)
{
	return setrlimit((unsigned int)which, &(struct rlimit){ value, value });
}

int tpl_untar_cage(int dirfd, const struct tpl_untar *want, struct vz_error *err)
{
	/* Context: root of the host, before a byte of the archive was read. */
	VZ_FD int root = -EBADF;
	VZ_FD int inside = -EBADF;
	int r;

	if (close_range(UNPACK_FD_ERROR + 1, ~0U, 0) < 0)
		return cage_fail(err, "close descriptors");
	/* the clone comes first: it is refused for a mount of another namespace than ours */
	root = dirfd < 0 ? check_root(want) : target_root(dirfd);
	if (root < 0) {
		errno = -root;
		return cage_fail(err, "the new root");
	}
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return cage_fail(err, "namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return cage_fail(err, "private mounts");
	if (fchdir(root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return cage_fail(err, "chroot");
	inside = vz_openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
	if (inside < 0) {
		errno = -inside;
		return cage_fail(err, "open the root");
	}
	if (dirfd >= 0)
		(void)close(dirfd);
	(void)umask(0);
#if !defined(__SANITIZE_ADDRESS__)
	if (limit(RLIMIT_AS, MEMORY_BYTES) < 0)
		return cage_fail(err, "memory limit");
#endif
	if (limit(RLIMIT_CORE, 0) < 0 || limit(RLIMIT_NOFILE, 64) < 0)
		return cage_fail(err, "limits");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || drop_caps() < 0)
		return cage_fail(err, "capabilities");
	r = tpl_untar_filter();
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "cage of the unpacker: seccomp filter");
	/*
	 * The clone's own descriptor stays open as long as we live: closed, it would leave a mount
	 * of no namespace, whose every mntput() takes and bumps the kernel's mount_lock, and then
	 * openat2 with RESOLVE_BENEATH gives -EAGAIN for ever on a path with two "..".
	 */
	(void)vz_take_fd(&root);
	return vz_take_fd(&inside);
}
