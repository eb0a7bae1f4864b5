/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which program boots the VPS. Caged child; "/" is the VPS's root. */
#include "dist/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const candidates[] = { "/sbin/init", "/etc/init", "/bin/init" };
static const char *const kinds[] = { "",       "systemd",     "busybox", "sysvinit",
				     "openrc", "openrc-init", "other" };

bool dist_init_known(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (vz_streq(kind, kinds[i]))
			return true;
	return false;
}

static bool is_program(const char *path, struct stat *ret_st)
{
	return stat(path, ret_st) == 0 && S_ISREG(ret_st->st_mode) && (ret_st->st_mode & 0111);
}

static bool is_elf(const char *path)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char magic[4];

	return fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, "\177ELF", 4);
}

/* @path: the program after all symlinks; @st: its inode, for a busybox that is hard linked. */
static const char *kind_of(const char *path, const struct stat *st)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct stat other;
	bool busybox = strstr(name, "busybox") ||
		       (is_program("/bin/busybox", &other) && other.st_dev == st->st_dev &&
			other.st_ino == st->st_ino);
	bool sysv = !busybox && vz_streq(name, "init") && is_elf(path) &&
		    access("/etc/inittab", F_OK) == 0;

	if (strstr(name, "systemd"))
		return "systemd";
	if (vz_streq(name, "openrc-init"))
		return "openrc-init";
	if ((busybox || sysv) && is_program("/sbin/openrc", &other))
		return "openrc";
	return busybox ? "busybox" : sysv ? "sysvinit" : "other";
}

int dist_init_caged(const struct dist_job *job, struct dist_result *ret)
{
	(void)job;
	for (size_t i = 0; i < sizeof(candidates) / sizeof(*candidates); i++) {
		VZ_FREE char *path = realpath(candidates[i], NULL);
		struct stat st;

		if (!path || !is_program(path, &st))
			continue;
		(void)!vz_copy(ret->init.kind, sizeof(ret->init.kind), kind_of(path, &st));
		(void)!vz_copy(ret->init.path, sizeof(ret->init.path), candidates[i]);
		break;
	}
	ret->looked = true;
	return 0;
}
