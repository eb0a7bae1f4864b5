/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef STORAGE_PRIV_H
#define STORAGE_PRIV_H

#include "storage/storage.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

const struct sto_layout *sto_layout_dir(void);
const struct sto_layout *sto_layout_overlay(void);

/**
 * sto_attach - put a detached mount at @path, privately (no propagation to other namespaces). Exit
 * 50.
 */
int sto_attach(int mnt, const char *path, struct vz_error *err);

/**
 * sto_idmapped_clone - detached clone of directory @path with ids of @userns_fd. Return: fd or
 * -errno.
 */
int sto_idmapped_clone(const char *path, int userns_fd);

/**
 * sto_from_child - run @make in a child, which may change its namespaces and ids, and take over the
 * mount that it returns. Return: 0; -errno, also @make's.
 */
int sto_from_child(int (*make)(void *arg), void *arg, int *ret_mnt);

/* utab.c */
/** sto_noidmap - whether the mount at @path was made by mount(8) with -o x-noidmap. */
bool sto_noidmap(const char *path);
/** sto_utab_forget - drop what mount(8) noted for mounts at and below @root, which are gone. */
void sto_utab_forget(const char *root);

#endif
