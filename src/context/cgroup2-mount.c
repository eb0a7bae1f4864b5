/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loaded into the server of the view. cgroup2 has its options once for all mounts of it, and whoever mounts it from the node's
 * own cgroup namespace sets them anew: lxcfs does so, with none, and the node would lose nsdelegate and
 * memory_recursiveprot (kernel/cgroup/cgroup.c of Linux, apply_cgroup_root_flags). It gets those that are there.
 */
#include "util/cgroup2opts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* We came by a descriptor, which the server is not to have: LD_PRELOAD=/proc/self/fd/N. */
static void __attribute__((constructor)) begin(void)
{
	const char *path = secure_getenv("LD_PRELOAD"), *slash = path ? strrchr(path, '/') : NULL;
	int fd = 0;

	for (const char *p = slash ? slash + 1 : ""; *p >= '0' && *p <= '9' && fd < 1000; p++)
		fd = 10 * fd + (*p - '0');
	if (fd > 2)
		(void)close(fd);
	(void)unsetenv("LD_PRELOAD");
}

int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *data)
{
	char options[128];

	if (type && !strcmp(type, "cgroup2") && !(flags & (MS_BIND | MS_REMOUNT | MS_MOVE)) &&
	    (!data || !*(const char *)data)) {
		vz_cgroup2_options(options, sizeof(options));
		data = options;
	}
	return (int)syscall(SYS_mount, source, target, type, flags, data);
}
