/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUILD = VZ_NEED_BUILD, END = VZ_NEED_END, JOIN = VZ_NEED_JOIN, LOOK = VZ_NEED_LOOK };

/* Arguments no kernel accepts: a bad descriptor, unknown flags, a size that never was. */
#define BAD (-1L)

static const struct {
	const char *name, *since;
	long nr, arg[5];
	unsigned int needs;
} calls[] = {
	{ "statx", "5.8", SYS_statx, { BAD, 0, BAD, BAD, 0 }, LOOK | BUILD | END },
	{ "pidfd_open", "5.3", SYS_pidfd_open, { BAD, BAD }, JOIN | END | BUILD },
	{ "pidfd_send_signal", "5.1", SYS_pidfd_send_signal, { BAD, 0, 0, BAD }, END | BUILD },
	{ "setns", "5.8", SYS_setns, { BAD, 0 }, JOIN | BUILD },
	{ "close_range", "5.9", SYS_close_range, { 1, 0, 0 }, JOIN | BUILD },
	{ "memfd_create", "3.17", SYS_memfd_create, { 0, 0x8000 }, JOIN | BUILD },
	{ "execveat", "3.19", SYS_execveat, { BAD, 0, 0, 0, BAD }, JOIN | BUILD },
	{ "seccomp", "3.17", SYS_seccomp, { 0xffff, 0, 0 }, JOIN | BUILD },
	{ "openat2", "5.6", SYS_openat2, { BAD, 0, 0, 0 }, BUILD },
	{ "clone3", "5.7", SYS_clone3, { 0, 0 }, BUILD },
	{ "unshare", "5.6", SYS_unshare, { 1 }, BUILD },
	{ "open_tree", "5.2", SYS_open_tree, { BAD, 0, 0x40000000 }, BUILD },
	{ "move_mount", "5.2", SYS_move_mount, { BAD, 0, BAD, 0, 0x40000000 }, BUILD },
	{ "fsopen", "5.2", SYS_fsopen, { 0, 0x40000000 }, BUILD },
	{ "fsconfig", "5.2", SYS_fsconfig, { BAD, 0, 0, 0, 0 }, BUILD },
	{ "fsmount", "5.2", SYS_fsmount, { BAD, 0x40000000, 0 }, BUILD },
	{ "mount_setattr", "5.12", SYS_mount_setattr, { BAD, 0, 0x40000000, 0, 0 }, BUILD },
	{ "pivot_root", "2.6", SYS_pivot_root, { 0, 0 }, BUILD },
};

/* Namespaces that a kernel may be built without. */
static const struct {
	const char *name, *path;
	unsigned int needs;
} spaces[] = {
	{ "user", "/proc/self/ns/user", BUILD },
	{ "time", "/proc/self/ns/time", BUILD },
	{ "cgroup", "/proc/self/ns/cgroup", BUILD },
};

int vz_kernel_check(unsigned int needs, struct vz_error *err)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		const long *a = calls[i].arg;

		if (!(calls[i].needs & needs) ||
		    syscall(calls[i].nr, a[0], a[1], a[2], a[3], a[4]) >= 0 ||
		    (errno != ENOSYS && errno != EPERM))
			continue;
		(void)vz_fail(
			err, VZ_EXIT_BAD_KERNEL, 0,
			"this kernel or sandbox refuses %s(2) (%s); Linux %s or newer is needed",
			calls[i].name, strerrorname_np(errno), calls[i].since);
		return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		if (!(spaces[i].needs & needs) || access(spaces[i].path, F_OK) == 0)
			continue;
		(void)vz_fail(err, VZ_EXIT_BAD_KERNEL, 0,
			      "this kernel has no %s namespaces, which every VPS needs",
			      spaces[i].name);
		return -EOPNOTSUPP;
	}
	return 0;
}
