/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For a restore: mounts that are below the VPS's root on the node, taken from there so that each lies by itself in the
 * stage, as CRIU wants them (restore.c), and file systems in memory made as a start makes them. In the child that
 * becomes CRIU: the node's root, in a mount namespace of its own. Which there are comes from a dump, so their names are
 * followed without symlinks, below the root.
 */
#include "context/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

/** struct given - one word of the orders, read; @kind: as in struct cpt_given */
struct given {
	char kind;
	unsigned int attributes; /* how times of access are kept: MOUNT_ATTR_ of mount_setattr(2) */
	unsigned long long bytes, inodes;
	const char *path;
};

static int read_given(const char *word, struct given *ret)
{
	int at = 0;

	/* NOLINTNEXTLINE(cert-err34-c): vzctl writes these numbers */
	if (sscanf(word, "%c %u %llu %llu %n", &ret->kind, &ret->attributes, &ret->bytes,
		   &ret->inodes, &at) != 4 ||
	    at == 0 || word[at] != '/' || !strchr("dfmn", ret->kind))
		return -EPROTO;
	ret->path = word + at;
	return 0;
}

/* One mount alone, without those below it. */
static int clone_at(int root, const struct given *g)
{
	struct mount_attr attr = { .attr_set = g->attributes & MOUNT_ATTR__ATIME,
				   .attr_clr = MOUNT_ATTR__ATIME };
	VZ_FD int spot = vz_open_nolink(root, g->path + 1, O_PATH, 0);
	VZ_FD int mnt = -EBADF;

	if (spot < 0)
		return spot;
	if (g->attributes & MOUNT_ATTR_NODIRATIME)
		attr.attr_set |= MOUNT_ATTR_NODIRATIME;
	else
		attr.attr_clr |= MOUNT_ATTR_NODIRATIME;
	mnt = open_tree(spot, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return vz_take_fd(&mnt);
}

static int put_one(int stage, int root, const struct ctx_orders *o, const struct given *g,
		   const char *name)
{
	VZ_FD int mnt = -EBADF;
	struct stat st;

	if (g->kind == 'n')
		return rootfs_put_tmpfs(stage, name, o, strcmp(g->path, "/run") ? "1777" : "0755",
					g->bytes, g->inodes, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	mnt = clone_at(root, g);
	if (mnt < 0 || fstat(mnt, &st) < 0)
		return mnt < 0 ? mnt : -errno;
	return restore_put(stage, name, S_ISDIR(st.st_mode), mnt);
}

/* Of all that is mounted at @path/root its top alone stays. */
static int leave_top(int stage, int root, const char *path)
{
	VZ_FD int top = open_tree(root, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	VZ_FD int spot = -EBADF;
	char at[320];

	(void)snprintf(at, sizeof(at), "%s/root", path);
	if (top < 0 || umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return -errno;
	spot = vz_openat(stage, "root", O_PATH | O_DIRECTORY, 0);
	return spot < 0 ? spot : rootfs_attach(top, spot);
}

int given_stage(int stage, const char *path, const struct ctx_orders *o, char *const *words,
		uint32_t n)
{
	VZ_FD int root = vz_openat(stage, "root", O_PATH | O_DIRECTORY, 0);
	int r = root < 0 ? root : 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		char name[24];
		struct given g;

		(void)snprintf(name, sizeof(name), "given-%u", i);
		r = read_given(words[i], &g);
		if (r == 0)
			r = put_one(stage, root, o, &g, name);
	}
	return r < 0 ? r : leave_top(stage, root, path);
}
