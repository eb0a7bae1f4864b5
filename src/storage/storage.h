/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "storage/layout.h"
#include "vps/vps.h"

/**
 * struct sto_place - where a VPS's file system is and whose ids it has; borrowed strings
 * @lower: directory of the template generation (overlay), else NULL
 * @base, @count: ids of the VPS on the host
 */
struct sto_place {
	const char *root, *private_dir, *lower;
	uint64_t base, count;
};

/** sto_layout - driver by name ("simfs", "overlay"); NULL when unknown. */
const struct sto_layout *sto_layout(const char *name);

/** sto_mounted - is something mounted at the VPS's root directory: 1, 0. */
int sto_mounted(const char *root);

/** sto_umount - unmount everything at @root, the deepest first. Return: 0; -EBUSY...; exit 51. */
int sto_umount(const char *root, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * sto_clone_root - detached recursive clone of the mounted root for the VPS itself: nosuid removed,
 * nodev kept, the root mount and each submount idmapped where it can be (a submount with mount
 * option `noidmap` or one
 * that cannot is left as it is and named in @ret_warnings).
 * Return: mount fd the caller closes; -errno with exit 50.
 */
int sto_clone_root(const struct sto_layout *l, const struct sto_place *p, int userns_fd,
		   struct vz_list *ret_warnings, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * sto_volume - detached clone of @dir with the ids of @userns_fd, nodev, for the VPS. fd or -errno.
 */
int sto_volume(const char *dir, int userns_fd) __attribute__((warn_unused_result));

/** sto_can_idmap - does the file system of @dir take idmapped mounts: 1, 0, -errno. */
int sto_can_idmap(const char *dir, int userns_fd);

#endif
