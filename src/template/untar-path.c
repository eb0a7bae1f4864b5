/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum { DEPTH_MAX = 200, PATH_LEN_MAX = 4095, NAME_LEN_MAX = 255 };
enum { QUOTED_MAX = 200, OPEN_TRIES = 1000 };

int tpl_refuse(struct tpl_job *j, const char *name, const char *fmt, ...)
{
	char quoted[QUOTED_MAX], why[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return vz_fail(j->err, VZ_EXIT_BAD_TEMPLATE, 0, "archive refused: entry '%s': %s",
		       vz_quote(quoted, sizeof(quoted), name), why);
}

int tpl_sysfail(struct tpl_job *j, const char *name, int r, const char *what)
{
	bool full = r == -ENOSPC || r == -EDQUOT;
	char quoted[QUOTED_MAX];

	return vz_fail(j->err, full ? VZ_EXIT_NO_SPACE : VZ_EXIT_SYSTEM, -r, "%s '%s'", what,
		       vz_quote(quoted, sizeof(quoted), name));
}

int tpl_path_clean(struct tpl_job *j, const char *name, char ret[PATH_MAX])
{
	unsigned int depth = 0;
	size_t o = 0;

	if (name[0] == '/')
		return tpl_refuse(j, name, "absolute path");
	if (strlen(name) > PATH_LEN_MAX)
		return tpl_refuse(j, name, "longer than %d bytes", PATH_LEN_MAX);
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return tpl_refuse(j, name, "path with '..'");
		if (n > NAME_LEN_MAX)
			return tpl_refuse(j, name, "a name longer than %d bytes", NAME_LEN_MAX);
		if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (++depth > DEPTH_MAX)
				return tpl_refuse(j, name, "deeper than %d directories", DEPTH_MAX);
			if (o > 0)
				ret[o++] = '/';
			memcpy(ret + o, p, n);
			o += n;
		}
		p += n;
		p += *p == '/';
	}
	ret[o] = '\0';
	return 0;
}

/*
 * RESOLVE_BENEATH and not RESOLVE_IN_ROOT: a link that leaves the tree shall be an error that we
 * can tell, and not be read anew as if the tree were the root. util has no helper for it; nobody
 * else wants this.
 */
static int open_beneath(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

		if (fd >= 0 || (errno != EINTR && errno != EAGAIN))
			return fd >= 0 ? fd : -errno;
	}
	return -EAGAIN; /* any rename on the host can be the reason of one try */
}

static int open_fail(struct tpl_job *j, const char *path, int r)
{
	if (r == -EXDEV)
		return tpl_refuse(j, path, "its directory is a symlink that leads outside");
	if (r == -ELOOP)
		return tpl_refuse(j, path, "its directory is a loop of symlinks");
	if (r == -ENOTDIR)
		return tpl_refuse(j, path, "its directory is no directory");
	if (r == -ENOENT)
		return tpl_refuse(j, path, "its directory does not exist");
	return tpl_sysfail(j, path, r, "cannot open the directory of");
}

/* Every missing directory of @dir. */
static int make_dirs(struct tpl_job *j, const char *dir)
{
	char part[PATH_MAX];

	for (const char *p = dir; *p;) {
		size_t done = (size_t)(p - dir), n = strcspn(p, "/");
		VZ_FD int above = -EBADF, there = -EBADF;

		memcpy(part, dir, done + n);
		part[done + n] = '\0';
		there = open_beneath(j->root, part);
		if (there == -ENOENT) {
			char *base = part + done;

			if (done)
				part[done - 1] = '\0';
			above = open_beneath(j->root, done ? part : ".");
			if (above < 0)
				return open_fail(j, dir, above);
			/* A symlink to nowhere stands here: it is not written through. */
			if (mkdirat(above, base, 0755) < 0)
				return errno == EEXIST ? open_fail(j, dir, -ENOTDIR)
						       : tpl_sysfail(j, dir, -errno, "mkdir");
		} else if (there < 0) {
			return open_fail(j, dir, there);
		}
		p += n;
		p += *p == '/';
	}
	return 0;
}

int tpl_path_parent(struct tpl_job *j, const char *path, bool make, const char **ret_base)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	char dir[PATH_MAX];
	int fd;

	*ret_base = slash ? slash + 1 : path;
	memcpy(dir, path, n);
	dir[n] = '\0';
	if (j->parent >= 0 && vz_streq(j->parent_path, dir))
		return j->parent;
	tpl_path_forget(j);
	fd = open_beneath(j->root, n ? dir : ".");
	if (fd == -ENOENT && make) {
		int r = make_dirs(j, dir);

		if (r < 0)
			return r;
		fd = open_beneath(j->root, dir);
	}
	if (fd < 0)
		return open_fail(j, path, fd);
	j->parent = fd;
	memcpy(j->parent_path, dir, n + 1);
	return fd;
}

void tpl_path_forget(struct tpl_job *j)
{
	vz_closep(&j->parent);
	j->parent_path[0] = '\0';
}
