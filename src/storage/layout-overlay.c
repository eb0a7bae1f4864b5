/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlay: one unpacked template shared read-only under many VPSes; what a VPS changes is in
 * PRIVATE/upper (decision 1). The mount is made by a short-lived child that acts as the VPS's base
 * id on the layers but keeps root's capabilities, so that the superblock belongs to the host:
 * set-user-id bits and file capabilities work, and the tenant cannot reconfigure it. Files on disk
 * stay unshifted.
 */
#include "storage/priv.h"

#include "util/fd.h"
#include "util/userns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int overlay_create(const char *dir, const struct sto_place *p, struct vz_error *err)
{
	static const char *const names[] = { "upper", "work" };
	VZ_FD int fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);

	(void)p;
	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, -fd, "open %s", dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (mkdirat(fd, names[i], 0755) < 0)
			return vz_fail(err, VZ_EXIT_NEW_PRIVATE, errno, "mkdir %s/%s", dir,
				       names[i]);
	return 0;
}

static int set(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

struct layers {
	uint64_t base;
	int lower, upper;
	char stage[PATH_MAX];
};

/*
 * In a child with a mount namespace of its own, acting as the base id. The kernel of 5.14 takes
 * layers by path only, so the idmapped clones are attached at a directory nobody else sees.
 */
static int make_overlay(void *arg)
{
	const struct layers *l = arg;
	char a[PATH_MAX], b[PATH_MAX], w[PATH_MAX];
	VZ_FD int fs = -EBADF;
	int mnt, r = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("croft", l->stage, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0755") < 0)
		return -errno;
	(void)vps_path(a, "%s/lower", l->stage);
	(void)vps_path(b, "%s/private", l->stage);
	if (mkdir(a, 0755) < 0 || mkdir(b, 0755) < 0 ||
	    move_mount(l->lower, "", AT_FDCWD, a, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    move_mount(l->upper, "", AT_FDCWD, b, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	r = vz_fs_as(l->base);
	if (r < 0)
		return r;
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	r = set(fs, "lowerdir", a);
	if (r == 0)
		r = set(fs, "upperdir", vps_path(w, "%s/upper", b));
	if (r == 0)
		r = set(fs, "workdir", vps_path(w, "%s/work", b));
	if (r == 0)
		r = set(fs, "nfs_export", "on");
	if (r == 0)
		r = set(fs, "redirect_dir", "on");
	if (r == 0)
		r = set(fs, "index", "on");
	if (r < 0)
		return r;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return mnt < 0 ? -errno : mnt;
}

/*
 * With index=on the upper directory remembers the lower one by its file handle, and the kernel then
 * refuses any other (ESTALE). A template generation that was unpacked anew, or a private area that
 * was copied to another file system, is the same by content: the configuration pins its hash. So the
 * memory goes, and the kernel makes it anew.
 */
static int forget_origin(const char *private_dir)
{
	static const struct {
		const char *dir, *attr;
	} marks[] = { { "upper", "trusted.overlay.origin" },
		      { "work/index", "trusted.overlay.upper" } };
	VZ_FD int top = vz_openat(AT_FDCWD, private_dir, O_RDONLY | O_DIRECTORY, 0);

	if (top < 0)
		return top;
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		VZ_FD int dir = vz_open_nolink(top, marks[i].dir, O_RDONLY | O_DIRECTORY, 0);

		if (dir == -ENOENT)
			continue;
		if (dir < 0)
			return dir;
		if (fremovexattr(dir, marks[i].attr) < 0 && errno != ENODATA)
			return -errno;
	}
	return 0;
}

/* A detached overlay mount into *@ret_mnt; -ESTALE: see forget_origin. */
static int overlay_try(const struct sto_place *p, int userns_fd, int *ret_mnt, struct vz_error *err)
{
	VZ_FD int lower = -EBADF, upper = -EBADF;
	struct layers l = { .base = p->base };
	int r;

	lower = sto_idmapped_clone(p->lower, userns_fd);
	if (lower < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, -lower, "idmapped mount of %s", p->lower);
	upper = sto_idmapped_clone(p->private_dir, userns_fd);
	if (upper < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, -upper, "idmapped mount of %s", p->private_dir);
	l.lower = lower;
	l.upper = upper;
	r = vz_mkdir_p(vps_path(l.stage, "%s/stage", vps_paths()->run), 0755);
	if (r == 0)
		r = sto_from_child(make_overlay, &l, ret_mnt);
	return r < 0 ? vz_fail(err, VZ_EXIT_MOUNT, -r, "overlay mount of %s", p->private_dir) : 0;
}

static int overlay_mount(const struct sto_place *p, int userns_fd, struct vz_error *err)
{
	struct mount_attr attr = { .propagation = MS_PRIVATE };
	VZ_FD int mnt = -EBADF;
	int r;

	if (!p->lower)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, 0,
			       "the template of this VPS is not known");
	r = overlay_try(p, userns_fd, &mnt, err);
	if (r == -ESTALE && forget_origin(p->private_dir) == 0)
		r = overlay_try(p, userns_fd, &mnt, err);
	if (r < 0)
		return r;
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "overlay mount of %s", p->private_dir);
	return sto_attach(mnt, p->root, err);
}

const struct sto_layout *sto_layout_overlay(void)
{
	static const struct sto_layout layout = {
		.name = "overlay",
		.needs_template = true,
		.create = overlay_create,
		.mount = overlay_mount,
	};

	return &layout;
}
