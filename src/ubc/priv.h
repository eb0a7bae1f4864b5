/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_PRIV_H
#define UBC_PRIV_H

#include "ubc/ubc.h"

#include <limits.h>
#include <stddef.h>

/* ---- names.c ---- */

/** ubc_needs - bits 1 << enum ubc_group of what counts the limits of @row; none for a VPS without such limits */
uint32_t ubc_needs(const struct ubc_row row[UBC_NR]);

/* ---- sys.c: bpf(2) without a library, for programs that start often ---- */

/**
 * ubc_pins - directory of our pins: below /sys/fs/bpf where that is a bpffs and the tree is the node's own, else below
 * the run directory, where vz-ubc mounts one. Return: @dst.
 */
char *ubc_pins(char dst[PATH_MAX]);
/** ubc_pin_get - descriptor of what is pinned as @name there. Return: fd the caller closes, or -errno. */
int ubc_pin_get(const char *name) __attribute__((warn_unused_result));
/** ubc_map_set - an entry of a map, made or replaced. 0 or -errno. */
int ubc_map_set(int map, const void *key, const void *value) __attribute__((warn_unused_result));
/** ubc_map_del - an entry less; none is no error. 0 or -errno. */
int ubc_map_del(int map, const void *key) __attribute__((warn_unused_result));

/* ---- table.c ---- */

struct ubc_table {
	struct ubc_slot *slot; /* UBC_SLOTS, the first of which is the head */
	size_t len; /* mapped bytes */
	int fd; /* of the map or the file */
	bool is_map; /* a BPF map, so that there are programs */
};

static inline struct ubc_head *ubc_head(struct ubc_table *t)
{
	return (struct ubc_head *)t->slot;
}

/** ubc_lock - hold off other loaders and changes of slots. Return: fd, closing it ends the lock; -errno. */
int ubc_lock(void) __attribute__((warn_unused_result));
/** ubc_head_fill - an empty head of our layout and version, with what needs no BPF to be enforced. */
void ubc_head_fill(struct ubc_head *h);
/** ubc_make_file - an empty table as a file, instead of any other; lock held. @why: no BPF. 0 or -errno. */
int ubc_make_file(const char *why) __attribute__((warn_unused_result));
/** ubc_file_path - path of that file. Return: @dst. */
char *ubc_file_path(char dst[PATH_MAX]);
/** ubc_holds - whether anything of @slot is still held by what the programs count */
bool ubc_holds(const struct ubc_slot *slot);
/** ubc_take - slot of @ctid, or a free one that is made its own. NULL: none is free. */
struct ubc_slot *ubc_take(struct ubc_table *t, uint32_t ctid);

#endif
