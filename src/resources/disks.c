/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which disks a file system lies on: what the kernel's I/O controllers can be told. */
#include "resources/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MOUNTINFO_MAX = 64 << 20, OVERLAYS_MAX = 4 };

/** struct search - a cg_disks_of() under way */
struct search {
	struct cg_disk *disks;
	size_t n, max;
	char *fs; /* of 32 bytes */
};

/* "8:16" */
static int parse_dev(const char *text, struct cg_disk *ret)
{
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	return sscanf(text, "%u:%u", &ret->major, &ret->minor) == 2 ? 0 : -EINVAL;
}

static int read_dev(const char *path, struct cg_disk *ret)
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, path, 64, &text);

	return n < 0 ? (int)n : parse_dev(text, ret);
}

/* The kernel limits whole disks: a partition is taken as the disk it is on. -ENODEV: no block device. */
static int add_device(struct search *s, dev_t dev)
{
	struct cg_disk d = { major(dev), minor(dev) };
	char path[PATH_MAX];
	int r;

	if (access(vps_path(path, "/sys/dev/block/%u:%u", d.major, d.minor), F_OK) < 0)
		return -ENODEV;
	(void)vps_path(path, "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	if (access(path, F_OK) == 0) {
		(void)vps_path(path, "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
		r = read_dev(path, &d);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->disks[i].major == d.major && s->disks[i].minor == d.minor)
			return 0;
	if (s->n == s->max)
		return -E2BIG;
	s->disks[s->n++] = d;
	return 0;
}

/* ---- file systems whose device number is none of a block device ---- */

/* The line of mount @id, its fields parted; optional ones make it of any length. */
static int mount_line(uint64_t id, struct vz_list *ret)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list lines = { 0 };
	ssize_t n = vz_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text);
	char head[24];
	size_t len = (size_t)snprintf(head, sizeof(head), "%llu ", (unsigned long long)id);

	if (n < 0)
		return (int)n;
	if (vz_list_split(&lines, text, "\n") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < lines.n; i++)
		if (!strncmp(lines.v[i], head, len))
			return vz_list_split(ret, lines.v[i], " ");
	return -ENOENT;
}

/* btrfs: the devices of the whole file system, one of which is @source. */
static int add_btrfs(struct search *s, const char *source)
{
	VZ_DIR DIR *all = vz_opendirat(AT_FDCWD, "/sys/fs/btrfs");
	struct dirent *fs, *e;
	const char *name = strrchr(source, '/');
	char path[PATH_MAX], real[PATH_MAX];
	int r = 0;

	if (!realpath(source, real))
		return -errno;
	name = strrchr(real, '/') + 1; /* /dev/mapper/x is /dev/dm-0 */
	while (all && (fs = readdir(all))) {
		VZ_DIR DIR *devs = NULL;

		(void)vps_path(path, "/sys/fs/btrfs/%s/devices/%s", fs->d_name, name);
		if (access(path, F_OK) < 0)
			continue;
		devs = vz_opendirat(AT_FDCWD,
				    vps_path(path, "/sys/fs/btrfs/%s/devices", fs->d_name));
		while (r == 0 && devs && (e = readdir(devs))) {
			struct cg_disk d;

			if (e->d_name[0] == '.' ||
			    read_dev(vps_path(path, "/sys/fs/btrfs/%s/devices/%s/dev", fs->d_name,
					      e->d_name),
				     &d) < 0)
				continue;
			r = add_device(s, makedev(d.major, d.minor));
		}
		return r;
	}
	return -ENODEV;
}

static int search(struct search *s, const char *path, int depth);

/* Where an overlay writes. */
static int add_overlay(struct search *s, const char *options, int depth)
{
	VZ_LIST struct vz_list words = { 0 };

	if (vz_list_split(&words, options, ",") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < words.n; i++)
		if (!strncmp(words.v[i], "upperdir=/", 10))
			return search(s, words.v[i] + 9, depth + 1);
	return -ENODEV;
}

static int add_source(struct search *s, const char *source)
{
	struct stat st;

	if (*source != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode))
		return -ENODEV;
	return add_device(s, st.st_rdev);
}

static int by_mount(struct search *s, const char *path, int depth)
{
	VZ_LIST struct vz_list f = { 0 };
	struct statx sx;
	size_t dash = 6;
	int r;

	if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &sx) < 0)
		return -errno;
	if (!(sx.stx_mask & STATX_MNT_ID))
		return -ENODEV;
	r = mount_line(sx.stx_mnt_id, &f);
	if (r < 0)
		return r == -ENOENT ? -ENODEV : r;
	while (dash < f.n && !vz_streq(f.v[dash], "-"))
		dash++;
	if (dash + 3 >= f.n)
		return -ENODEV;
	(void)snprintf(s->fs, 32, "%s", f.v[dash + 1]);
	if (vz_streq(s->fs, "btrfs"))
		return add_btrfs(s, f.v[dash + 2]);
	if (vz_streq(s->fs, "overlay"))
		return depth < OVERLAYS_MAX ? add_overlay(s, f.v[dash + 3], depth) : -ELOOP;
	return add_source(s, f.v[dash + 2]);
}

/* NOLINTNEXTLINE(misc-no-recursion): OVERLAYS_MAX bounds it */
static int search(struct search *s, const char *path, int depth)
{
	char at[PATH_MAX];
	struct stat st;
	int r;

	(void)vps_path(at, "%s", path);
	while (stat(at, &st) < 0) { /* not made yet: where it will be */
		char *slash = strrchr(at, '/');

		if (errno != ENOENT || !slash || slash == at)
			return -errno;
		*slash = '\0';
	}
	r = add_device(s, st.st_dev);
	return r == -ENODEV ? by_mount(s, at, depth) : r;
}

int cg_disks_of(const char *path, struct cg_disk *ret, size_t max, size_t *ret_n, char ret_fs[32])
{
	struct search s = { .disks = ret, .max = max, .fs = ret_fs };
	int r;

	(void)snprintf(ret_fs, 32, "%s", "unknown");
	r = search(&s, path, 0);
	*ret_n = s.n;
	return r == -ENODEV || r == -ELOOP ? 0 : r;
}

void cg_disk_scheduler(const struct cg_disk *d, char ret[32])
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];
	const char *p = NULL;

	ret[0] = '\0';
	(void)vps_path(path, "/sys/dev/block/%u:%u/queue/scheduler", d->major, d->minor);
	if (vz_read_file(AT_FDCWD, path, 4096, &text) >= 0)
		p = strchr(text, '[');
	if (p)
		(void)snprintf(ret, 32, "%.*s", (int)strcspn(p + 1, "]"), p + 1);
}
