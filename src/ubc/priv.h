/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_PRIV_H
#define UBC_PRIV_H

#include "ubc/ubc.h"

#include <limits.h>
#include <stddef.h>

/* ---- names.c ---- */

/** ubc_needs - bits 1 << enum ubc_group of what counts the limits of @row; none for a VPS without such limits */
uint32_t ubc_needs(const struct ubc_row row[UBC_NR]);
/** ubc_prefix - how the names of the programs of group @g begin, with @method; NULL: it has none. Borrowed. */
const char *ubc_prefix(enum ubc_group g, enum ubc_method method);
/** ubc_object_map - name of the map of the objects of group @g; borrowed */
const char *ubc_object_map(enum ubc_group g);

/* ---- sys.c: bpf(2) without a library, for programs that start often ---- */

enum { UBC_KEY_MAX = 16 };

/**
 * ubc_pins - directory of our pins: below /sys/fs/bpf where that is a bpffs and the tree is the node's own, else below
 * the run directory, where vz-ubc mounts one. Return: @dst.
 */
char *ubc_pins(char dst[PATH_MAX]);
/** ubc_pin_get - descriptor of what is pinned as @name there. Return: fd the caller closes, or -errno. */
int ubc_pin_get(const char *name) __attribute__((warn_unused_result));
/** ubc_pin - pin @fd as @name there. 0 or -errno. */
int ubc_pin(int fd, const char *name) __attribute__((warn_unused_result));
/** ubc_map_set - an entry of a map, made or replaced. 0 or -errno. */
int ubc_map_set(int map, const void *key, const void *value) __attribute__((warn_unused_result));
/** ubc_map_get - value of @key into @value, of the map's size. 0; -ENOENT; -errno. */
int ubc_map_get(int map, const void *key, void *value) __attribute__((warn_unused_result));
/** ubc_map_del - an entry less; none is no error. 0 or -errno. */
int ubc_map_del(int map, const void *key) __attribute__((warn_unused_result));
/** ubc_map_next - the key behind @key, NULL: the first. 0; -ENOENT: no more; -errno. */
int ubc_map_next(int map, const void *key, void *next) __attribute__((warn_unused_result));
/** ubc_map_empty - delete all entries of a hash. 0 or -errno. */
int ubc_map_empty(int map) __attribute__((warn_unused_result));
/** ubc_map_entries - how many entries the map was made for; -errno */
int ubc_map_entries(int map) __attribute__((warn_unused_result));
/**
 * ubc_prog_attach - run the program from now on, as long as the link lives
 * @name: of the program: those of control groups (cg_*, UBC_PTY_PROG) go to the root of cgroup2
 * Return: fd of the link, or -errno.
 */
int ubc_prog_attach(int prog, const char *name) __attribute__((warn_unused_result));
/** UBC_PTY_PROG - program that refuses ptys, see ptys.c */
#define UBC_PTY_PROG "pty_dev"
/** ubc_devices - run @prog when a process in the directory @group opens a device, or (!@on) not any more. 0 or -errno. */
int ubc_devices(int group, int prog, bool on) __attribute__((warn_unused_result));
/** ubc_devices_query - ids of the programs that do in this group itself. Return: how many; -ENOSPC; -errno. */
int ubc_devices_query(int group, uint32_t *ret, uint32_t max) __attribute__((warn_unused_result));
/** ubc_prog_by_id - its fd, and its name (16 bytes). Return: fd the caller closes, or -errno. */
int ubc_prog_by_id(uint32_t id, char *name) __attribute__((warn_unused_result));
/** ubc_prog_id - Return: id, or -errno. */
int ubc_prog_id(int prog) __attribute__((warn_unused_result));
/** ubc_cgroup_root - the mount point of cgroup2. Return: fd; -ENOENT; -errno. */
int ubc_cgroup_root(void) __attribute__((warn_unused_result));

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
/** ubc_table_len - bytes to map of the table */
size_t ubc_table_len(void);
/** ubc_table_map - map the table @fd, which the table owns from now on, whatever the head says. 0 or -errno. */
int ubc_table_map(int fd, bool write, bool is_map, struct ubc_table **ret)
	__attribute__((warn_unused_result));
/** ubc_table_fd - the map, or else the file. Return: fd, -ENOENT, -errno. */
int ubc_table_fd(bool *ret_is_map) __attribute__((warn_unused_result));
/** ubc_head_read - a copy of the head. Return: 0; -ENOENT; -ESTALE another layout; -errno. */
int ubc_head_read(struct ubc_head *ret) __attribute__((warn_unused_result));
/** ubc_layout_is_ours - whether the head describes the layout that we are built for */
bool ubc_layout_is_ours(const struct ubc_head *h);
/** ubc_head_fill - an empty head of our layout and version, with what needs no BPF to be enforced. */
void ubc_head_fill(struct ubc_head *h);
/** ubc_no_bpf_modes - what start sees to by other means than BPF */
void ubc_no_bpf_modes(struct ubc_head *h);
/** ubc_make_file - an empty table as a file, instead of any other; lock held. @why: no BPF. 0 or -errno. */
int ubc_make_file(const char *why) __attribute__((warn_unused_result));
/** ubc_file_path - path of that file. Return: @dst. */
char *ubc_file_path(char dst[PATH_MAX]);
/** ubc_holds - whether anything of @slot is still held by what the programs count */
bool ubc_holds(const struct ubc_slot *slot);
/** ubc_take - slot of @ctid, or a free one that is made its own. NULL: none is free. */
struct ubc_slot *ubc_take(struct ubc_table *t, uint32_t ctid);
/** ubc_level_add - VPSes' groups are also at depth @level. 0; -ENOSPC. */
int ubc_level_add(struct ubc_head *h, int level) __attribute__((warn_unused_result));

/* ---- slots.c ---- */

/** ubc_recount - a slot that comes from another table: what it needs is counted in the head of @t */
void ubc_recount(struct ubc_table *t, struct ubc_slot *s);

/* ---- places.c: tables of places (table.h), mapped; lock held ---- */

/**
 * ubc_group_put - from now on group @id of cgroup2 is that of @slot
 * @map: the map `groups`; @h: whose levels the programs are told, too
 * Return: 0; -ENOSPC; -errno.
 */
int ubc_group_put(int map, const struct ubc_head *h, uint64_t id, uint32_t slot)
	__attribute__((warn_unused_result));
/** ubc_group_del - it is nobody's; none is no error. 0 or -errno. */
int ubc_group_del(int map, const struct ubc_head *h, uint64_t id)
	__attribute__((warn_unused_result));
/** ubc_spilled - how many objects are in the hash `spill`, less @less from now on. Return: how many are left; -errno. */
int64_t ubc_spilled(uint32_t less) __attribute__((warn_unused_result));
/** ubc_in_places - are the objects of group @g in a table of places, or in a hash */
static inline bool ubc_in_places(enum ubc_group g)
{
	return g == UBC_G_FILE || g == UBC_G_LOCK || g == UBC_G_SOCK;
}
/** ubc_places_each - calls @run for the owner of each object of group @g but those in the hash `spill`. 0 or -errno. */
int ubc_places_each(enum ubc_group g, void (*run)(const struct ubc_owner *o, void *arg), void *arg)
	__attribute__((warn_unused_result));
/** ubc_place_del - the record of object @key of group @g goes; held stays. 0 or -errno. */
int ubc_place_del(enum ubc_group g, uint64_t key) __attribute__((warn_unused_result));
/**
 * ubc_sweep - run it_sweep: records of what is not there (some may just be coming or going)
 * @ret: in no order. Return: how many, at most UBC_DEAD; -errno.
 */
int ubc_sweep(struct ubc_dead *ret) __attribute__((warn_unused_result));
/** ubc_places_empty - forget them. 0 or -errno. */
int ubc_places_empty(enum ubc_group g) __attribute__((warn_unused_result));
/**
 * ubc_spill_each - calls @run for each owner in the hash `spill`, of whatever group; false: the entry is deleted
 * @ret_gone: how many were. Return: 0 or -errno.
 */
int ubc_spill_each(bool (*run)(const struct ubc_owner *o, void *arg), void *arg, uint32_t *ret_gone)
	__attribute__((warn_unused_result));

/* ---- attach.c: lock held ---- */

/** ubc_attach - the pinned programs of group @g run, and what is there already is counted. 0; -errno: none runs. */
int ubc_attach(struct ubc_table *t, enum ubc_group g) __attribute__((warn_unused_result));
/** ubc_detach - they do not run any more; what they counted is forgotten. */
void ubc_detach(struct ubc_table *t, enum ubc_group g);
/** ubc_forget_objects - the map of group @g is emptied, held of its counters becomes 0 for everyone. */
void ubc_forget_objects(struct ubc_table *t, enum ubc_group g);
/**
 * ubc_ptys - the program that refuses ptys runs in the group of @slot, if its limits need it, or else not; asked of
 * each opening of a device it would cost all others, too. 0; -errno.
 */
int ubc_ptys(struct ubc_table *t, const struct ubc_slot *slot) __attribute__((warn_unused_result));
/** ubc_ptys_all - the same for all VPSes that run; @off: in none. Failures are logged. */
void ubc_ptys_all(struct ubc_table *t, bool off);
/** ubc_fit - attach what VPSes that run need and is not attached, detach the rest. 0; -errno with @err. */
int ubc_fit(struct ubc_table *t, struct vz_error *err) __attribute__((warn_unused_result));
/** ubc_run_iterator - run a pinned iterator of ours, "it_NAME". 0 or -errno. */
int ubc_run_iterator(const char *name) __attribute__((warn_unused_result));
/** ubc_adopt - count what processes have open already, for the groups in @mask (bits). 0 or -errno. */
int ubc_adopt(uint32_t mask) __attribute__((warn_unused_result));

#endif
