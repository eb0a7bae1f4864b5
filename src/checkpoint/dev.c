/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev is a file system of the node's, since only the node may make device nodes: CRIU is told that it comes
 * from outside, and we keep what the VPS has put there. It is small: a megabyte, 4096 inodes.
 */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 16 };

struct save {
	struct cpt_desc *d;
	dev_t dev;
	size_t bytes;
};

static struct cpt_dev *add(struct cpt_desc *d, const char *path, char kind)
{
	struct cpt_dev *more = reallocarray(d->devs, d->ndevs + 1, sizeof(*more));
	struct cpt_dev *e;

	if (!more)
		return NULL;
	d->devs = more;
	e = &more[d->ndevs];
	*e = (struct cpt_dev){ .path = strdup(path), .kind = kind };
	if (!e->path)
		return NULL;
	d->ndevs++;
	return e;
}

static char kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFREG:
		return 'f';
	case S_IFIFO:
		return 'p';
	case S_IFCHR:
	case S_IFBLK:
		return 'n';
	default:
		return 0;
	}
}

static int read_text(int dir, const char *name, const struct stat *st, struct cpt_dev *e)
{
	ssize_t n;

	if (e->kind == 'l') {
		e->text = calloc(1, PATH_MAX);
		n = e->text ? readlinkat(dir, name, e->text, PATH_MAX - 1) : -1;
		e->len = n > 0 ? (size_t)n : 0;
		return n <= 0 ? -EIO : 0;
	}
	if (e->kind != 'f')
		return 0;
	n = vz_read_file(dir, name, CPT_DEV_BYTES, &e->text);
	e->len = n > 0 ? (size_t)n : 0;
	(void)st;
	return n < 0 ? (int)n : 0;
}

static uint32_t inside(uint64_t id, const struct cpt_desc *d)
{
	return id >= d->uid_base && id < d->uid_base + d->uid_count ? (uint32_t)(id - d->uid_base)
								    : 0;
}

static int save_dir(struct save *s, int dir, const char *prefix, int depth);

static int save_one(struct save *s, int dir, const char *name, const char *prefix, int depth)
{
	char path[PATH_MAX];
	struct cpt_dev *e;
	struct stat st;
	bool mounted;
	char kind;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	kind = kind_of(st.st_mode);
	mounted = st.st_dev != s->dev; /* CRIU mounts it again, and needs the place */
	if (!kind || (mounted && kind != 'd')) /* a socket; a file that something lies over */
		return 0;
	if (s->d->ndevs >= CPT_DEVS || s->bytes > CPT_DEV_BYTES)
		return -E2BIG;
	e = add(s->d, vps_path(path, "%s%s", prefix, name), kind);
	if (!e)
		return -ENOMEM;
	e->mode = mounted ? 0755 : st.st_mode & 07777;
	if (mounted)
		return 0;
	e->uid = inside(st.st_uid, s->d);
	e->gid = inside(st.st_gid, s->d);
	r = read_text(dir, name, &st, e);
	s->bytes += e->len;
	if (r == 0 && kind == 'd') {
		VZ_FD int sub = vz_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		(void)vps_path(path, "%s%s/", prefix, name);
		r = sub < 0 ? sub : save_dir(s, sub, path, depth + 1);
	}
	return r;
}

static int save_dir(struct save *s, int dir, const char *prefix, int depth)
{
	VZ_DIR DIR *d = depth < DEPTH ? vz_opendirat(dir, ".") : NULL;
	struct dirent *e;
	int r = 0;

	if (!d)
		return depth < DEPTH ? -errno : -E2BIG;
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = save_one(s, dir, e->d_name, prefix, depth);
	return r;
}

int cpt_dev_save(int dev, struct cpt_desc *d)
{
	struct save s = { .d = d };
	struct stat st;

	if (fstat(dev, &st) < 0)
		return -errno;
	s.dev = st.st_dev;
	return save_dir(&s, dev, "", 0);
}

/* ---- putting it back: names and texts are hostile ---- */

bool cpt_dev_path_valid(const char *path)
{
	size_t n = strlen(path);

	if (n == 0 || n >= 1024 || path[0] == '/' || path[n - 1] == '/' || strstr(path, "//"))
		return false;
	for (const char *p = path; *p;) {
		size_t part = strcspn(p, "/");

		if ((part == 1 && p[0] == '.') || (part == 2 && !strncmp(p, "..", 2)) || part > 255)
			return false;
		p += part + (p[part] == '/');
	}
	return true;
}

static int make(int dir, const char *name, const struct cpt_dev *e)
{
	VZ_FD int fd = -EBADF;
	int r = 0;

	if (e->kind == 'd')
		r = mkdirat(dir, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
	else if (e->kind == 'l')
		r = symlinkat(e->text, dir, name) < 0 && errno != EEXIST ? -errno : 0;
	else if (e->kind == 'p')
		r = mkfifoat(dir, name, 0600) < 0 && errno != EEXIST ? -errno : 0;
	else if (e->kind == 'f') {
		fd = vz_openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
		r = fd < 0 ? fd : vz_write_all(fd, e->text ? e->text : "", e->len);
	}
	return r;
}

static int put(int dev, const struct cpt_dev *e, uint64_t base)
{
	const char *slash = strrchr(e->path, '/'), *name = slash ? slash + 1 : e->path;
	char up[1024] = ".";
	VZ_FD int dir = -EBADF;
	struct stat st;
	int r;

	if (slash)
		(void)snprintf(up, sizeof(up), "%.*s", (int)(slash - e->path), e->path);
	dir = vz_open_nolink(dev, up, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return 0; /* below a node that is not configured any more, or below a trick */
	r = make(dir, name, e);
	if (r < 0)
		return r == -EEXIST || r == -ELOOP || r == -EISDIR || r == -ENXIO ? 0 : r;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (kind_of(st.st_mode) != e->kind)
		return 0;
	if (fchownat(dir, name, (uid_t)(base + e->uid), (gid_t)(base + e->gid),
		     AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return e->kind == 'l' || fchmodat(dir, name, e->mode, 0) == 0 ? 0 : -errno;
}

int cpt_dev_fill(int dev, void *arg)
{
	const struct cpt_desc *d = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->ndevs; i++)
		r = put(dev, &d->devs[i], d->uid_base);
	return r;
}
