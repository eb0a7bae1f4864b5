/* SPDX-License-Identifier: GPL-2.0-or-later */
/* simfs: the private area is a directory, mounted at VE_ROOT by a plain bind (decision 3). */
#include "storage/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <sys/mount.h>

static int dir_create(const char *dir, const struct sto_place *p, struct vz_error *err)
{
	(void)dir;
	(void)p;
	(void)err;
	return 0; /* the unpacked template is the private area */
}

static int dir_mount(const struct sto_place *p, int userns_fd, struct vz_error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
				   .propagation = MS_PRIVATE };
	VZ_FD int mnt = open_tree(AT_FDCWD, p->private_dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	(void)userns_fd;
	if (mnt < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "open %s", p->private_dir);
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "mount flags of %s", p->private_dir);
	return sto_attach(mnt, p->root, err);
}

const struct sto_layout *sto_layout_dir(void)
{
	static const struct sto_layout layout = {
		.name = "simfs",
		.idmap_root = true,
		.create = dir_create,
		.mount = dir_mount,
	};

	return &layout;
}
