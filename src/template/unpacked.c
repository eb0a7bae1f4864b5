/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

/** struct area - TEMPLATE/unpacked, locked while @lock is open */
struct area {
	int dir, lock;
	char path[PATH_MAX];
};

static void area_close(struct area *a)
{
	vz_closep(&a->dir);
	vz_closep(&a->lock);
}

#define AREA __attribute__((cleanup(area_close)))

static int area_open(const struct vps_config *global, struct area *a, struct vz_error *err)
{
	int r = tpl_dir(global, "unpacked", true, a->path, err);

	if (r < 0)
		return r;
	a->dir = vz_openat(AT_FDCWD, a->path, O_RDONLY | O_DIRECTORY, 0);
	if (a->dir < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -a->dir, "%s", a->path);
	if (fchmod(a->dir, 0700) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", a->path);
	a->lock = vz_openat(a->dir, ".lock", O_RDWR | O_CREAT, 0600);
	if (a->lock < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -a->lock, "%s/.lock", a->path);
	while (flock(a->lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s/.lock", a->path);
	return 0;
}

/* What is not whole and yet here while we hold the lock was left by somebody who died. */
static void sweep(const struct area *a)
{
	char name[NAME_MAX + 1], hash[65];
	VZ_DIR DIR *d = vz_opendirat(a->dir, ".");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (tpl_generation(e->d_name, name, hash) == GEN_STALE)
			(void)!vz_rm_rf(a->dir, e->d_name);
}

static bool is_there(int dir, const char *entry)
{
	struct stat st;

	return fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Unpack @fd as @tmp, then give it its name: whoever sees the name sees everything. */
static int make_generation(const struct area *a, const char *archive, int fd, const char *tmp,
			   const char *entry, struct vz_error *err)
{
	VZ_FD int dir = -EBADF;
	int r;

	if (mkdirat(a->dir, tmp, 0700) < 0)
		return vz_fail(err, VZ_EXIT_MKDIR, errno, "%s/%s", a->path, tmp);
	dir = vz_openat(a->dir, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -dir, "%s/%s", a->path, tmp);
	r = tpl_unpack_fd(archive, fd, dir, 0, err);
	if (r < 0)
		return r;
	if (syncfs(dir) < 0 || renameat(a->dir, tmp, a->dir, entry) < 0 || fsync(a->dir) < 0)
		return vz_fail(err, errno == ENOSPC ? VZ_EXIT_NO_SPACE : VZ_EXIT_SYSTEM, errno,
			       "%s/%s", a->path, entry);
	return 0;
}

static int unpack_now(const struct vps_config *global, const struct area *a, const char *name,
		      const char *hash, const char *entry, struct vz_error *err)
{
	char archive[PATH_MAX], tmp[NAME_MAX + 32], now[65];
	VZ_FD int fd = -EBADF;
	int r = tpl_find(global, name, archive, err);

	if (r < 0)
		return r;
	fd = vz_openat(AT_FDCWD, archive, O_RDONLY, 0);
	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", archive);
	r = tpl_hash_fd(archive, fd, now, err);
	if (r < 0)
		return r;
	if (!vz_streq(now, hash))
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, 0,
			       "generation %.12s of template %s is gone and %s is a newer one",
			       hash, name, archive);
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp.%d", entry, (int)getpid());
	r = make_generation(a, archive, fd, tmp, entry, err);
	if (r < 0)
		(void)!vz_rm_rf(a->dir, tmp);
	return r;
}

int tpl_unpacked(const struct vps_config *global, const char *name, const char *hash,
		 char ret_dir[PATH_MAX], struct vz_error *err)
{
	AREA struct area a = { .dir = -EBADF, .lock = -EBADF };
	char entry[NAME_MAX + 1], dir[PATH_MAX], path[PATH_MAX];
	int r;

	if (!tpl_name_valid(name) || !tpl_hash_valid(hash))
		return vz_fail(err, VZ_EXIT_VALUE, EINVAL, "name or hash of a template");
	(void)snprintf(entry, sizeof(entry), "%s@%s", name, hash);
	r = tpl_dir(global, "unpacked", false, dir, err);
	if (r < 0)
		return r;
	vps_path(path, "%s/%s", dir, entry);
	if (!is_there(AT_FDCWD, path)) {
		r = area_open(global, &a, err);
		if (r < 0)
			return r;
		sweep(&a);
		if (!is_there(a.dir, entry))
			r = unpack_now(global, &a, name, hash, entry, err);
		if (r < 0)
			return r;
	}
	memcpy(ret_dir, path, sizeof(path));
	return 0;
}

int tpl_adopt(const struct vps_config *global, const char *name, const char *hash,
	      const char *archive, struct vz_error *err)
{
	AREA struct area a = { .dir = -EBADF, .lock = -EBADF };
	char entry[NAME_MAX + 1], tmp[NAME_MAX + 32], now[65];
	VZ_FD int fd = vz_openat(AT_FDCWD, archive, O_RDONLY | O_NOFOLLOW, 0);
	int r;

	if (!tpl_name_valid(name) || !tpl_hash_valid(hash))
		return vz_fail(err, VZ_EXIT_VALUE, EINVAL, "name or hash of a template");
	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", archive);
	r = tpl_hash_fd(archive, fd, now, err);
	if (r < 0)
		return r;
	if (!vz_streq(now, hash))
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, EBADMSG,
			       "%s is not generation %.12s of template %s", archive, hash, name);
	r = area_open(global, &a, err);
	if (r < 0)
		return r;
	sweep(&a);
	(void)snprintf(entry, sizeof(entry), "%s@%s", name, hash);
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp.%d", entry, (int)getpid());
	if (is_there(a.dir, entry))
		return 0;
	r = make_generation(&a, archive, fd, tmp, entry, err);
	if (r < 0)
		(void)!vz_rm_rf(a.dir, tmp);
	return r;
}

static bool pinned(const struct tpl_pin *pins, size_t n, const char *hash)
{
	for (size_t i = 0; i < n; i++)
		if (vz_streq(pins[i].hash, hash))
			return true;
	return false;
}

/* A generation loses its name first, so that nobody meets half of one. Return: how many, or -errno.
 */
static int drop_generations(const struct area *a, const char *name, const struct tpl_pin *pins,
			    size_t npins, struct vz_error *err)
{
	char of[NAME_MAX + 1], hash[65], tmp[NAME_MAX + 32];
	VZ_DIR DIR *d = vz_opendirat(a->dir, ".");
	struct dirent *e;
	int count = 0;

	if (!d)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", a->path);
	while ((e = readdir(d))) {
		if (tpl_generation(e->d_name, of, hash) != GEN_WHOLE || !vz_streq(of, name) ||
		    pinned(pins, npins, hash))
			continue;
		(void)snprintf(tmp, sizeof(tmp), "%s.tmp.%d", e->d_name, (int)getpid());
		if (renameat(a->dir, e->d_name, a->dir, tmp) < 0)
			return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s/%s", a->path, e->d_name);
		count++;
	}
	sweep(a);
	return count;
}

/* Archives of @name with other suffixes than @keep (NULL: with any), and what was remembered of
 * them. */
static int drop_archives(const struct vps_config *global, const char *name, const char *keep,
			 struct vz_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	int count = 0, r = tpl_dir(global, "cache", false, dir, err);

	if (r < 0)
		return r;
	for (size_t i = 0; tpl_suffix(i); i++) {
		if (keep && vz_streq(keep, tpl_suffix(i)))
			continue;
		vps_path(path, "%s/%s%s", dir, name, tpl_suffix(i));
		if (unlink(path) == 0)
			count++;
		else if (errno != ENOENT)
			return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", path);
		vps_path(path, "%s/%s%s.sha256", dir, name, tpl_suffix(i));
		(void)unlink(path);
	}
	return count;
}

int tpl_install(const struct vps_config *global, const char *name, const char *tmp,
		struct vz_error *err)
{
	AREA struct area a = { .dir = -EBADF, .lock = -EBADF };
	VZ_FREE struct tpl_pin *pins = NULL;
	VZ_FD int fd = -EBADF;
	char dir[PATH_MAX], path[PATH_MAX];
	ssize_t npins;
	int r;

	if (!tpl_name_valid(name))
		return vz_fail(err, VZ_EXIT_VALUE, EINVAL, "name of a template");
	r = tpl_dir(global, "cache", false, dir, err);
	if (r == 0)
		r = area_open(global, &a, err);
	if (r < 0)
		return r;
	fd = vz_openat(AT_FDCWD, tmp, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", tmp);
	vps_path(path, "%s/%s.tar.zst", dir, name);
	if (fchmod(fd, 0644) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", path);
	vz_closep(&fd);
	r = drop_archives(global, name, ".tar.zst", err);
	if (r < 0)
		return r;
	fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fsync(fd) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, fd < 0 ? -fd : errno, "%s", dir);
	npins = tpl_pins(name, &pins, err);
	if (npins < 0)
		return (int)npins;
	r = drop_generations(&a, name, pins, (size_t)npins, err);
	return r < 0 ? r : 0;
}

static int refuse_pinned(const char *name, const struct tpl_pin *pins, size_t n,
			 struct vz_error *err)
{
	VZ_BUF struct vz_buf ids = { 0 };

	for (size_t i = 0; i < n; i++)
		vz_buf_fmt(&ids, "%s%u", i ? ", " : "", pins[i].ctid);
	(void)vz_fail(err, VZ_EXIT_SYSTEM, 0, "template %s is in use by VPS %s", name,
		      ids.s ? ids.s : "?");
	err->sys = EBUSY;
	return -EBUSY;
}

int tpl_remove(const struct vps_config *global, const char *name, struct vz_error *err)
{
	AREA struct area a = { .dir = -EBADF, .lock = -EBADF };
	VZ_FREE struct tpl_pin *pins = NULL;
	ssize_t npins;
	int archives, generations, r;

	if (!tpl_name_valid(name))
		return vz_fail(err, VZ_EXIT_VALUE, EINVAL, "name of a template");
	r = area_open(global, &a, err);
	if (r < 0)
		return r;
	npins = tpl_pins(name, &pins, err);
	if (npins < 0)
		return (int)npins;
	if (npins > 0)
		return refuse_pinned(name, pins, (size_t)npins, err);
	archives = drop_archives(global, name, NULL, err);
	if (archives < 0)
		return archives;
	generations = drop_generations(&a, name, NULL, 0, err);
	if (generations < 0)
		return generations;
	if (archives == 0 && generations == 0) {
		(void)vz_fail(err, VZ_EXIT_NO_TEMPLATE, 0, "no template %s", name);
		err->sys = ENOENT;
		return -ENOENT;
	}
	return 0;
}
