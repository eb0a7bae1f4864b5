/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Making the groups of a VPS; SLICE itself is made once and stays. */

/* ---- cgroup2 ---- */

/* One by one, so that a controller which the host keeps for itself costs only its own knobs. */
static void enable_controllers(const char *dir)
{
	static const char *const wanted[] = { "cpu", "cpuset", "io", "memory", "pids" };
	VZ_LIST struct vz_list there = { 0 }, on = { 0 };
	VZ_FREE char *controllers = NULL, *control = NULL;

	if (cg_read(dir, "cgroup.controllers", &controllers) < 0 ||
	    cg_read(dir, "cgroup.subtree_control", &control) < 0 ||
	    vz_list_split(&there, controllers, " \n") < 0 || vz_list_split(&on, control, " \n") < 0)
		return;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char text[16];

		if (vz_list_find(&there, wanted[i]) < 0 || vz_list_find(&on, wanted[i]) >= 0)
			continue;
		(void)snprintf(text, sizeof(text), "+%s", wanted[i]);
		(void)!cg_write(dir, "cgroup.subtree_control", text);
	}
}

int cg_v2_slice(const char *mount, const char *sub, char ret_dir[PATH_MAX])
{
	VZ_LIST struct vz_list parts = { 0 };
	char dir[PATH_MAX], next[PATH_MAX];
	int r = vz_list_split(&parts, cg_v2_home(), "/");

	if (r < 0)
		return r;
	(void)vps_path(dir, "%s", mount);
	enable_controllers(dir);
	for (size_t i = 0; i < parts.n; i++) {
		(void)vps_path(next, "%s/%s", dir, parts.v[i]);
		if (mkdir(next, 0755) < 0 && errno != EEXIST)
			return -errno;
		memcpy(dir, next, sizeof(dir));
		enable_controllers(dir);
	}
	cg_guard_slice(dir);
	(void)vps_path(ret_dir, "%s/%s", dir, sub);
	return 0;
}

/* What cgroups(7) lists for delegation, and no more: the limits stay the host's. */
static int delegate(const char *dir, uid_t base)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.threads",
					     "cgroup.subtree_control" };
	VZ_FD int fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd < 0)
		return fd;
	if (fchown(fd, base, base) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (fchownat(fd, files[i], base, base, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	return 0;
}

static int fill_group(const char *dir, uid_t base)
{
	char sub[PATH_MAX], text[16];

	enable_controllers(dir);
	/* A tenant's groups are kernel memory that no v1 controller counts. */
	(void)snprintf(text, sizeof(text), "%d", CG_TREE_GROUPS);
	(void)!cg_write(dir, "cgroup.max.descendants", text);
	(void)snprintf(text, sizeof(text), "%d", CG_TREE_DEPTH);
	(void)!cg_write(dir, "cgroup.max.depth", text);
	if (mkdir(cg_join(sub, dir, "host"), 0755) < 0 ||
	    mkdir(cg_join(sub, dir, "payload"), 0755) < 0)
		return -errno;
	return delegate(sub, base);
}

int cg_v2_create(const char *mount, uint32_t ctid, uid_t base, char **ret_dir, struct vz_error *err)
{
	VZ_FREE char *copy = NULL;
	char name[16], dir[PATH_MAX];
	int r;

	(void)snprintf(name, sizeof(name), "%u", ctid);
	r = cg_v2_slice(mount, name, dir);
	if (r == 0)
		r = cg_mkdir_fresh(dir);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r,
			       "cannot make the group %s of VPS %u in %s", cg_v2_home(), ctid,
			       mount);
	copy = strdup(dir);
	r = copy ? fill_group(dir, base) : -ENOMEM;
	if (r < 0) {
		(void)!cg_rmdir_tree(dir);
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot set up %s", dir);
	}
	*ret_dir = vz_take_ptr(&copy);
	return 0;
}

/* ---- v1 ---- */

/* A v1 cpuset without CPUs or nodes takes no process: both are copied from the parent. */
static int inherit_cpuset(const char *dir)
{
	static const char *const files[][2] = { { "cpuset.mems", "../cpuset.mems" },
						{ "cpuset.cpus", "../cpuset.cpus" } };

	for (int i = 0; i < 2; i++) {
		VZ_FREE char *own = NULL, *parent = NULL;
		int r = cg_read(dir, files[i][0], &own);

		if (r < 0)
			return r == -EOPNOTSUPP ? 0 : r; /* another controller's hierarchy */
		if (own[0] != '\0' && own[0] != '\n')
			continue;
		r = cg_read(dir, files[i][1], &parent);
		if (r == 0)
			r = cg_write(dir, files[i][0], parent);
		if (r < 0)
			return r;
	}
	return 0;
}

int cg_v1_slice(const char *mount, const char *sub, char ret_dir[PATH_MAX])
{
	VZ_LIST struct vz_list parts = { 0 };
	char dir[PATH_MAX], next[PATH_MAX];
	int r = vz_list_split(&parts, vps_paths()->slice, "/");

	if (r < 0)
		return r;
	(void)vps_path(dir, "%s", mount);
	for (size_t i = 0; i < parts.n; i++) {
		(void)vps_path(next, "%s/%s", dir, parts.v[i]);
		if (mkdir(next, 0755) < 0 && errno != EEXIST)
			return -errno;
		memcpy(dir, next, sizeof(dir));
		r = inherit_cpuset(dir);
		if (r < 0)
			return r;
	}
	cg_guard_slice(dir);
	(void)vps_path(ret_dir, "%s/%s", dir, sub);
	return 0;
}

static int make_v1(const struct cg_dirs *mounts, enum cg_ctl c, const char *name,
		   char dir[PATH_MAX])
{
	const char *mount = mounts->v[c];
	bool cpuset = mounts->v[CTL_CPUSET] && vz_streq(mounts->v[CTL_CPUSET], mount);
	int r;

	(void)vps_path(dir, "%s/%s/%s", mount, vps_paths()->slice, name);
	r = cg_mkdir_fresh(dir);
	if (r == -ENOENT) {
		r = cg_v1_slice(mount, name, dir);
		if (r == 0)
			r = cg_mkdir_fresh(dir);
	} else if (r == 0 && cpuset) {
		/* somebody else may just have made the slice, still without its CPUs */
		r = cg_v1_slice(mount, name, dir);
	}
	if (r == 0 && cpuset)
		r = inherit_cpuset(dir);
	if (r < 0)
		(void)rmdir(dir);
	return r;
}

int cg_v1_create(const struct cg_dirs *mounts, uint32_t ctid, struct cg_dirs *ret,
		 struct vz_error *err)
{
	char name[16], dir[PATH_MAX];

	(void)snprintf(name, sizeof(name), "%u", ctid);
	for (int c = CTL_V2 + 1; c < CTL_MAX; c++) {
		int r = 0;

		if (!mounts->v[c])
			continue;
		if (cg_dirs_known_before(mounts, c))
			(void)vps_path(dir, "%s/%s/%s", mounts->v[c], vps_paths()->slice, name);
		else
			r = make_v1(mounts, c, name, dir);
		if (r == 0) {
			ret->v[c] = strdup(dir);
			r = ret->v[c] ? 0 : -ENOMEM;
		}
		if (r < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -r,
				       "cannot make the group of VPS %u in %s", ctid, mounts->v[c]);
	}
	return 0;
}
