/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups of the servers that show VPSes their view. SLICE/view is there while one of them is. */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	/* Measured: 1.2 MiB in use; 9 KiB more for each file that a tenant holds open. */
	VIEW_BYTES = 32 << 20,
	/* One read of /proc/stat takes 50 µs; a fifth of a CPU is 4000 of them a second. */
	VIEW_CPU_PCT = 20,
	VIEW_CPUUNITS = 1000,
	/* ten that serve, each perhaps with two children; a few of its own */
	VIEW_PIDS = 48,
	TRIES = 20,
	KILL_MS = 5000,
};

static const enum cg_ctl v1_ctls[] = { CTL_CPU, CTL_MEMORY, CTL_PIDS };

static char *view_dir(char dst[PATH_MAX], const struct cg_dirs *mounts, enum cg_ctl c)
{
	return vps_path(dst, "%s/%s/view", mounts->v[c],
			c == CTL_V2 ? cg_v2_home() : vps_paths()->slice);
}

/* One by one: what the host keeps for itself costs its own limit alone. */
static void enable_for_children(const char *dir)
{
	static const char *const words[] = { "+cpu", "+memory", "+pids" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		(void)!cg_write(dir, "cgroup.subtree_control", words[i]);
}

static int make_one(const struct cg_dirs *mounts, enum cg_ctl c, uint32_t ctid, char dir[PATH_MAX])
{
	char up[PATH_MAX];
	int r = -ENOENT;

	/* the last other VPS takes SLICE/view away with it, perhaps just now */
	for (int i = 0; r == -ENOENT && i < TRIES; i++) {
		r = c == CTL_V2 ? cg_v2_slice(mounts->v[c], "view", up)
				: cg_v1_slice(mounts->v[c], "view", up);
		if (r == 0 && mkdir(up, 0755) < 0 && errno != EEXIST)
			r = -errno;
		if (r < 0)
			return r;
		if (c == CTL_V2)
			enable_for_children(up);
		(void)vps_path(dir, "%s/%u", up, ctid);
		r = cg_mkdir_fresh(dir);
	}
	return r;
}

static int make_all(const struct cg_dirs *mounts, uint32_t ctid, struct cg_dirs *groups)
{
	char dir[PATH_MAX];
	int r = make_one(mounts, CTL_V2, ctid, dir);

	if (r == 0) {
		groups->v[CTL_V2] = strdup(dir);
		r = groups->v[CTL_V2] ? 0 : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < sizeof(v1_ctls) / sizeof(*v1_ctls); i++) {
		enum cg_ctl c = v1_ctls[i];

		/* one with cpuset takes no process before it has CPUs; it is rare: no limit there */
		if (!mounts->v[c] || vz_streq(mounts->v[c], mounts->v[CTL_CPUSET]) ||
		    cg_dirs_known_before(mounts, c))
			continue;
		r = make_one(mounts, c, ctid, dir);
		if (r == 0) {
			groups->v[c] = strdup(dir);
			r = groups->v[c] ? 0 : -ENOMEM;
		}
	}
	return r;
}

static int limit(struct cg *cg, struct vz_error *err)
{
	static const struct {
		enum cg_knob knob;
		uint64_t value;
	} limits[] = {
		{ CG_MEM_MAX_BYTES, VIEW_BYTES },
		{ CG_CPU_WEIGHT, VIEW_CPUUNITS },
		{ CG_CPU_MAX_PCT, VIEW_CPU_PCT },
		{ CG_PIDS_MAX, VIEW_PIDS },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		int r = cg->drv->set(cg, limits[i].knob, limits[i].value, err);

		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	return 0;
}

static int open_all(const struct cg_dirs *groups, struct res_view *v)
{
	v->group = vz_openat(AT_FDCWD, groups->v[CTL_V2], O_RDONLY | O_DIRECTORY, 0);
	if (v->group < 0)
		return v->group;
	for (size_t i = 0; i < sizeof(v1_ctls) / sizeof(*v1_ctls); i++) {
		char path[PATH_MAX];
		int fd;

		if (!groups->v[v1_ctls[i]])
			continue;
		fd = vz_openat(AT_FDCWD, cg_join(path, groups->v[v1_ctls[i]], "tasks"), O_WRONLY,
			       0);
		if (fd < 0)
			return fd;
		v->tasks[v->ntasks++] = fd;
	}
	return 0;
}

/* cgroup2 where it has a controller that tells something, or where there is nothing else. */
static bool v2_tells(const struct cg_dirs *mounts)
{
	static const char *const words[] = { "cpu", "cpuset", "memory", "io" };
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list have = { 0 };

	if (cg_read(mounts->v[CTL_V2], "cgroup.controllers", &text) < 0 ||
	    vz_list_split(&have, text, " \n") < 0)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (vz_list_find(&have, words[i]) >= 0)
			return true;
	return false;
}

static int list_hierarchies(const struct cg_dirs *mounts, struct vz_list *ret)
{
	static const enum cg_ctl telling[] = { CTL_CPU, CTL_CPUACCT, CTL_CPUSET, CTL_MEMORY,
					       CTL_BLKIO };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(telling) / sizeof(*telling); i++) {
		const char *mount = mounts->v[telling[i]];

		if (mount && vz_list_find(ret, mount) < 0)
			r = vz_list_add(ret, mount);
	}
	if (r == 0 && v2_tells(mounts))
		r = vz_list_add(ret, mounts->v[CTL_V2]);
	return r;
}

static int find(struct cg_dirs *ret, struct vz_error *err)
{
	if (cg_cache_load(0, ret) == 0 && ret->v[CTL_V2])
		return 0;
	cg_dirs_clear(ret);
	return cg_find(true, ret, err);
}

unsigned int res_view_tells(void)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list v2 = { 0 };
	struct vz_error ignored;
	unsigned int tells = 0;

	if (find(&mounts, &ignored) < 0)
		return 0;
	if (cg_read(mounts.v[CTL_V2], "cgroup.controllers", &text) < 0 ||
	    vz_list_split(&v2, text, " \n") < 0)
		vz_list_clear(&v2);
	if (mounts.v[CTL_MEMORY] || vz_list_find(&v2, "memory") >= 0)
		tells |= RES_TELLS_MEMORY;
	if (mounts.v[CTL_BLKIO] || vz_list_find(&v2, "io") >= 0)
		tells |= RES_TELLS_IO;
	if (mounts.v[CTL_CPUACCT])
		tells |= RES_TELLS_V1_CPU;
	return tells;
}

void res_view_clear(struct res_view *v)
{
	vz_closep(&v->group);
	while (v->ntasks > 0)
		vz_closep(&v->tasks[--v->ntasks]);
	vz_list_clear(&v->hierarchies);
}

int res_view_create(uint32_t ctid, struct res_view *ret, struct vz_error *err)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	CG_DIRS struct cg_dirs groups = { 0 };
	RES_CG struct cg *cg = NULL;
	struct res_view v = { .group = -1 };
	struct vz_error ignored;
	int r = find(&mounts, err);

	if (r < 0)
		return r;
	r = make_all(&mounts, ctid, &groups);
	if (r == 0)
		r = open_all(&groups, &v);
	if (r == 0)
		r = list_hierarchies(&mounts, &v.hierarchies);
	if (r < 0)
		(void)vz_fail(err, VZ_EXIT_RESOURCE, -r, "groups for the view of VPS %u", ctid);
	else
		r = cg_open_groups(&groups, NULL, &cg, err);
	if (r == 0)
		r = limit(cg, err);
	if (r < 0) {
		res_view_clear(&v);
		(void)!res_view_remove(ctid, &ignored);
		return r;
	}
	v.v1_swap = mounts.v[CTL_MEMORY] != NULL;
	*ret = v;
	return 0;
}

static int remove_one(const struct cg_dirs *mounts, enum cg_ctl c, uint32_t ctid)
{
	char up[PATH_MAX], dir[PATH_MAX];
	int r;

	(void)vps_path(dir, "%s/%u", view_dir(up, mounts, c), ctid);
	if (access(dir, F_OK) < 0)
		return 0;
	r = c == CTL_V2 && cg_populated(dir) ? cg_write(dir, "cgroup.kill", "1") : 0;
	if (r == 0 && c == CTL_V2)
		r = cg_wait_event(dir, "populated", 0, KILL_MS);
	if (r == 0)
		r = cg_rmdir_tree(dir);
	(void)rmdir(up); /* until the last */
	return r == -ENOENT ? 0 : r;
}

/* v2 first: that is where they are killed. A busy one: vzmon began another just then. */
int res_view_remove(uint32_t ctid, struct vz_error *err)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	int first = 0;

	if (!res_view_seen(ctid) || cg_cache_load(0, &mounts) < 0)
		return 0;
	for (int c = 0; c < CTL_MAX; c++) {
		int r = -EBUSY;

		if (!mounts.v[c] || cg_dirs_known_before(&mounts, c))
			continue;
		for (int i = 0; r == -EBUSY && i < TRIES; i++)
			r = remove_one(&mounts, c, ctid);
		if (r < 0 && first == 0)
			first = r;
	}
	return first < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -first,
				   "cannot remove the groups of the view of VPS %u", ctid)
			 : 0;
}
