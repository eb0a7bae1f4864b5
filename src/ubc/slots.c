/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots given, limited and taken back: what start, set and stop do. */
#include "ubc/priv.h"

#include "ubc/version.h"
#include "util/fd.h"
#include "util/proc.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LEVELS = 32 };

static bool is_ours(void)
{
	struct ubc_head h;

	return ubc_head_read(&h) == 0 && h.version == UBC_VERSION;
}

int ubc_ensure(struct vz_error *err)
{
	const char *root = secure_getenv("CROFT_ROOT");
	char program[PATH_MAX], own_root[PATH_MAX];
	const char *const argv[] = { program, "load", NULL };
	const char *env[3] = { VZ_PATH_ENV };
	const struct vz_run how = { .env = env };
	int r;

	if (is_ours())
		return 0;
	(void)vps_path(program, "%s/vz-ubc", vps_paths()->libexec);
	if (root) {
		(void)vps_path(own_root, "CROFT_ROOT=%s", root);
		env[1] = own_root;
	}
	r = vz_run(argv, &how);
	return r == 0 ? 0
		      : vz_fail(err, VZ_EXIT_SYSTEM, r < 0 ? -r : 0, "%s load failed (%d)", program,
				r);
}

/* How deep below the root of cgroup2 @group is; its id. Return: level or -errno. */
static int look_at_group(const char *group, uint64_t *ret_id)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, group, O_RDONLY | O_DIRECTORY, 0);
	struct stat st, up;
	int level = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	*ret_id = st.st_ino;
	for (; level < LEVELS; level++) {
		int next = vz_openat(fd, "..", O_PATH | O_DIRECTORY, 0);

		vz_closep(&fd);
		fd = next;
		if (fd < 0 || fstat(fd, &up) < 0)
			return fd < 0 ? fd : -errno;
		if (up.st_dev != st.st_dev || up.st_ino == st.st_ino)
			return level; /* left the mount */
		st = up;
	}
	return -ELOOP;
}

/* From now on what is in the group is counted for @slot; where there are programs. */
static int bind_group(struct ubc_table *t, const struct ubc_slot *slot)
{
	const uint32_t index = (uint32_t)(slot - t->slot);
	VZ_FD int map = -EBADF;

	if (!t->is_map)
		return 0;
	map = ubc_pin_get("groups");
	return map < 0 ? map : ubc_group_put(map, ubc_head(t), slot->cgroup, index);
}

static void unbind_group(struct ubc_table *t, const struct ubc_slot *slot)
{
	VZ_FD int map = t->is_map ? ubc_pin_get("groups") : -ENOENT;

	if (map >= 0)
		(void)!ubc_group_del(map, ubc_head(t), slot->cgroup);
}

static void clear_slot(struct ubc_slot *s)
{
	s->refusals = 0;
	memset(s->carried, 0, sizeof(s->carried));
	memset(s->ring, 0, sizeof(s->ring));
	for (int c = 0; c < UBC_NR; c++) {
		struct ubc_row *r = &s->row[c];

		if (ubc_group_of(c) < 0)
			r->held = 0;
		r->maxheld = (int64_t)r->held > 0 ? r->held : 0;
		r->barrier = r->limit = INT64_MAX;
		r->failcnt = 0;
	}
}

/* Which groups of programs the VPS needs from now on. */
static void note_needs(struct ubc_table *t, struct ubc_slot *s, uint32_t needs)
{
	const uint32_t had = s->flags >> UBC_NEEDS;

	for (int g = 0; g < UBC_GROUPS; g++) {
		uint32_t *n = &ubc_head(t)->users[g];

		if (needs & ~had & 1U << g)
			++*n;
		else if (had & ~needs & 1U << g && *n)
			--*n;
	}
	s->flags = (s->flags & ((1U << UBC_NEEDS) - 1)) | needs << UBC_NEEDS;
}

void ubc_recount(struct ubc_table *t, struct ubc_slot *s)
{
	s->flags &= (1U << UBC_NEEDS) - 1;
	note_needs(t, s, ubc_needs(s->row));
}

void ubc_forget(uint32_t ctid)
{
	UBC_TABLE struct ubc_table *t = NULL;
	VZ_FD int lock = ubc_lock();
	struct vz_error ignored;
	struct ubc_slot *s;

	if (lock < 0 || ubc_table_open(true, &t) < 0)
		return;
	s = ubc_slot(t, ctid);
	if (!s)
		return;
	unbind_group(t, s);
	note_needs(t, s, 0);
	s->flags &= ~(uint32_t)UBC_LIVE;
	(void)!ubc_fit(t, &ignored);
	if (!ubc_holds(s))
		s->ctid = 0;
}

/* Under the lock, in the mapped table */
static int add(struct ubc_table *t, uint32_t ctid, const char *group, struct vz_error *err)
{
	struct ubc_slot *s;
	uint64_t id = 0;
	int level = look_at_group(group, &id), r;

	if (level < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -level, "beancounters of %s", group);
	s = ubc_take(t, ctid);
	if (!s)
		return vz_fail(err, VZ_EXIT_RESOURCE, ENOSPC,
			       "%d VPSes run or hold something: no beancounter is free",
			       UBC_SLOTS - 1);
	if (s->flags & UBC_LIVE)
		unbind_group(t, s);
	clear_slot(s);
	s->cgroup = id;
	s->flags |= UBC_LIVE;
	r = ubc_level_add(ubc_head(t), level);
	if (r == 0)
		r = bind_group(t, s);
	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "beancounter of VPS %u", ctid) : 0;
}

static int limits(struct ubc_table *t, uint32_t ctid, const uint64_t barrier[UBC_NR],
		  const uint64_t limit[UBC_NR], struct vz_error *err)
{
	struct ubc_slot *s = ubc_slot(t, ctid);
	int r;

	if (!s || !(s->flags & UBC_LIVE))
		return vz_fail(err, VZ_EXIT_RESOURCE, ESRCH, "beancounter of VPS %u", ctid);
	for (int c = 0; c < UBC_NR; c++) {
		__atomic_store_n(&s->row[c].barrier, barrier[c], __ATOMIC_RELAXED);
		__atomic_store_n(&s->row[c].limit, limit[c], __ATOMIC_RELAXED);
	}
	note_needs(t, s, ubc_needs(s->row));
	r = ubc_fit(t, err);
	if (r == 0) {
		r = ubc_ptys(t, s);
		if (r < 0)
			(void)vz_fail(err, VZ_EXIT_RESOURCE, -r, "attach the BPF program for ptys");
	}
	return r;
}

static int open_locked(int *ret_lock, struct ubc_table **ret, struct vz_error *err)
{
	int r = *ret_lock = ubc_lock();

	if (r >= 0)
		r = ubc_table_open(true, ret);
	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "open the table of beancounters") : 0;
}

int ubc_add(uint32_t ctid, const char *group, struct vz_error *err)
{
	UBC_TABLE struct ubc_table *t = NULL;
	VZ_FD int lock = -EBADF;
	int r = open_locked(&lock, &t, err);

	return r < 0 ? r : add(t, ctid, group, err);
}

int ubc_limits(uint32_t ctid, const uint64_t barrier[UBC_NR], const uint64_t limit[UBC_NR],
	       struct vz_error *err)
{
	UBC_TABLE struct ubc_table *t = NULL;
	VZ_FD int lock = -EBADF;
	int r = open_locked(&lock, &t, err);

	return r < 0 ? r : limits(t, ctid, barrier, limit, err);
}

int ubc_begin(uint32_t ctid, const char *group, const uint64_t barrier[UBC_NR],
	      const uint64_t limit[UBC_NR], struct vz_error *err)
{
	UBC_TABLE struct ubc_table *t = NULL;
	VZ_FD int lock = -EBADF;
	int r = open_locked(&lock, &t, err);

	if (r == 0)
		r = add(t, ctid, group, err);
	return r < 0 ? r : limits(t, ctid, barrier, limit, err);
}
