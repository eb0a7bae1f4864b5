/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

const struct sto_layout *sto_layout(const char *name)
{
	if (!name || !strcmp(name, "simfs"))
		return sto_layout_dir();
	if (!strcmp(name, "overlay"))
		return sto_layout_overlay();
	return NULL;
}

int sto_mounted(const char *root)
{
	return root && vz_is_mountpoint(root) == 1;
}

int sto_attach(int mnt, const char *path, struct vz_error *err)
{
	if (move_mount(mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "mount %s", path);
	/* on hosts where / is shared the new mount would join its group and be pinned by other namespaces */
	if (mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "make %s private", path);
	return 0;
}

int sto_idmapped_clone(const char *path, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .propagation = MS_PRIVATE,
				   .userns_fd = (uint64_t)userns_fd };
	VZ_FD int mnt = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (mnt < 0)
		return -errno;
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return vz_take_fd(&mnt);
}

int sto_volume(const char *dir, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV };
	VZ_FD int mnt = sto_idmapped_clone(dir, userns_fd);

	if (mnt < 0)
		return mnt;
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return vz_take_fd(&mnt);
}

int sto_can_idmap(const char *dir, int userns_fd)
{
	VZ_FD int mnt = sto_idmapped_clone(dir, userns_fd);

	if (mnt >= 0)
		return 1;
	return mnt == -EINVAL || mnt == -EOPNOTSUPP ? 0 : mnt;
}

/* ---- mountinfo ---- */

/* \040 and friends back to their characters, in place. */
static void unescape(char *s)
{
	char *o = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*o++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*o++ = *s;
		}
	}
	*o = '\0';
}

/* Mount points at and below @root in mount order, the options beside each: "PATH\tOPTIONS". */
static int mounts_below(const char *root, struct vz_list *ret)
{
	VZ_FREE char *text = NULL;
	char *line, *save = NULL;
	size_t n = strlen(root);
	ssize_t len = vz_read_file(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, &text);

	if (len < 0)
		return (int)len;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *f[6], *s2 = NULL;
		int i = 0;

		for (char *w = strtok_r(line, " ", &s2); w && i < 6; w = strtok_r(NULL, " ", &s2))
			f[i++] = w;
		if (i < 6)
			continue;
		unescape(f[4]);
		if (!strncmp(f[4], root, n) && (f[4][n] == '/' || f[4][n] == '\0') &&
		    vz_list_add(ret, f[4]) < 0)
			return -ENOMEM;
	}
	return 0;
}

int sto_umount(const char *root, struct vz_error *err)
{
	VZ_LIST struct vz_list mounts = { 0 };
	char real[PATH_MAX];
	int r;

	if (!realpath(root, real))
		return vz_fail(err, VZ_EXIT_UMOUNT, errno, "%s", root);
	r = mounts_below(real, &mounts);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_UMOUNT, -r, "read mountinfo");
	for (size_t i = mounts.n; i-- > 0;)
		if (umount2(mounts.v[i], UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
			return vz_fail(err, VZ_EXIT_UMOUNT, errno, "Unable to unmount %s", mounts.v[i]);
	return 0;
}

/* ---- the VPS's own clone ---- */

static int idmap_at(int mnt, const char *path, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd };

	return mount_setattr(mnt, path, *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, &attr,
			     sizeof(attr)) < 0
		       ? -errno
		       : 0;
}

static int idmap_submounts(int mnt, const struct sto_place *p, int userns_fd,
			   struct vz_list *ret_warnings)
{
	VZ_LIST struct vz_list mounts = { 0 };
	char real[PATH_MAX];
	size_t n;
	int r;

	if (!realpath(p->root, real))
		return -errno;
	n = strlen(real);
	r = mounts_below(real, &mounts);
	for (size_t i = 0; r == 0 && i < mounts.n; i++) {
		const char *rel = mounts.v[i] + n;
		VZ_FREE char *text = NULL;
		int e;

		if (!*rel)
			continue;
		e = idmap_at(mnt, rel + 1, userns_fd);
		if (e == 0 || e == -EPERM) /* EPERM: it has a map already */
			continue;
		text = vz_fmt("mount at %s cannot carry the ids of the VPS (%s): files look owned by nobody",
			      mounts.v[i], strerrordesc_np(-e));
		r = text ? vz_list_add(ret_warnings, text) : -ENOMEM;
	}
	return r;
}

/* Where the file system cannot be idmapped, create stored the files with the VPS's own ids. */
static bool already_shifted(const struct sto_place *p)
{
	struct stat st;

	return p->base && stat(p->private_dir, &st) == 0 && st.st_uid == p->base;
}

int sto_clone_root(const struct sto_layout *l, const struct sto_place *p, int userns_fd,
		   struct vz_list *ret_warnings, struct vz_error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV, .attr_clr = MOUNT_ATTR_NOSUID,
				   .propagation = MS_PRIVATE };
	VZ_FD int mnt = open_tree(AT_FDCWD, p->root,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int r = 0;

	if (mnt < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "clone %s", p->root);
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "mount flags of the clone of %s", p->root);
	attr = (struct mount_attr){ .attr_set = MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };
	if (mount_setattr(mnt, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "mount flags below %s", p->root);
	if (l->idmap_root && !already_shifted(p))
		r = idmap_at(mnt, "", userns_fd);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, -r, "idmapped mount of %s", p->root);
	r = idmap_submounts(mnt, p, userns_fd, ret_warnings);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, -r, "submounts of %s", p->root);
	return vz_take_fd(&mnt);
}
