/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { STALE_KILL_MS = 10000, PROC_CGROUP_MAX = 1 << 20 };

/* Undo of a creation that failed half way; there is no process in any of them. */
static void discard(const struct cg_dirs *groups)
{
	for (int c = 0; c < CTL_MAX; c++)
		if (groups->v[c])
			(void)!cg_rmdir_tree(groups->v[c]);
}

int res_create(uint32_t ctid, uid_t base, struct vz_list *ret_paths, struct cg **ret_cg,
	       struct vz_error *err)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	CG_DIRS struct cg_dirs groups = { 0 };
	int r = cg_find(true, &mounts, err);

	if (r < 0)
		return r;
	cg_raise_ptys();
	r = cg_v2_create(mounts.v[CTL_V2], ctid, base, &groups.v[CTL_V2], err);
	if (r == 0)
		r = cg_v1_create(&mounts, ctid, &groups, err);
	if (r == 0)
		r = cg_open_groups(&groups, ret_paths, ret_cg, err);
	if (r < 0)
		discard(&groups);
	return r;
}

/* ---- the monitor ---- */

/* SLICE/mon of one hierarchy, made where it is missing. */
static int make_mon(const char *mount, bool v2, char ret[PATH_MAX])
{
	int r = v2 ? cg_v2_slice(mount, "mon", ret) : cg_v1_slice(mount, "mon", ret);

	if (r < 0)
		return r;
	return mkdir(ret, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/*
 * Whether a "N:CONTROLLERS:/PATH" line of /proc/PID/cgroup says that it is below our slice there.
 */
static bool line_in_slice(const char *line, const char *controller)
{
	const char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
	size_t len = strlen(vps_paths()->slice), clen = strlen(controller);

	if (!path || path[1] != '/' || strncmp(path + 2, vps_paths()->slice, len) ||
	    path[2 + len] != '/')
		return false;
	for (const char *p = names + 1; p < path; p++) {
		size_t n = strcspn(p, ",:");

		if (n == clen && !memcmp(p, controller, n))
			return true;
		p += n;
	}
	return false;
}

/* `tasks` of the group @dir, as one more of @tasks. Return: 0 or -errno. */
static int add_tasks(const char *dir, int *tasks, size_t max, size_t *n)
{
	char path[PATH_MAX];
	int fd = *n < max ? vz_openat(AT_FDCWD, cg_join(path, dir, "tasks"), O_WRONLY, 0) : -E2BIG;

	if (fd < 0)
		return fd;
	tasks[(*n)++] = fd;
	return 0;
}

/* A vzmon started from inside a VPS's groups would be limited and counted with it. */
static int leave_v1(const struct cg_dirs *mounts, int *tasks, size_t max, size_t *n)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list lines = { 0 };
	ssize_t len = vz_read_file(AT_FDCWD, "/proc/self/cgroup", PROC_CGROUP_MAX, &text);

	if (len < 0)
		return (int)len;
	if (vz_list_split(&lines, text, "\n") < 0)
		return -ENOMEM;
	for (int c = CTL_CPU; c < CTL_MAX; c++) {
		for (size_t i = 0; mounts->v[c] && i < lines.n; i++) {
			int r = line_in_slice(lines.v[i], cg_ctl_name(c))
					? add_tasks(mounts->v[c], tasks, max, n)
					: 0;

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int monitor_place(const struct cg_dirs *mounts, int *ret_group, int *tasks, size_t max,
			 size_t *n)
{
	char dir[PATH_MAX];
	int r = make_mon(mounts->v[CTL_V2], true, dir);

	if (r == 0)
		*ret_group = r = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (r >= 0 && mounts->v[CTL_SYSTEMD]) {
		r = make_mon(mounts->v[CTL_SYSTEMD], false, dir);
		if (r == 0)
			r = add_tasks(dir, tasks, max, n);
	}
	return r < 0 ? r : leave_v1(mounts, tasks, max, n);
}

int res_monitor_place(int *ret_group, int *ret_tasks, size_t max, struct vz_error *err)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	size_t n = 0;
	int r = -ENOENT;

	*ret_group = -1;
	/* the last search found what there is; mountinfo is slow with many VPSes */
	if (cg_cache_load(0, &mounts) == 0 && mounts.v[CTL_V2])
		r = monitor_place(&mounts, ret_group, ret_tasks, max, &n);
	if (r < 0) {
		vz_closep(ret_group);
		while (n > 0)
			vz_closep(&ret_tasks[--n]);
		cg_dirs_clear(&mounts);
		r = cg_find(true, &mounts, err);
		if (r < 0)
			return r;
		r = monitor_place(&mounts, ret_group, ret_tasks, max, &n);
	}
	if (r == 0)
		return (int)n;
	vz_closep(ret_group);
	while (n > 0)
		vz_closep(&ret_tasks[--n]);
	return vz_fail(err, VZ_EXIT_RESOURCE, -r, "no group for the monitor below %s",
		       cg_v2_home());
}

/* ---- the end ---- */

int res_kill_all(struct cg *cg, int timeout_ms, struct vz_error *err)
{
	const struct cg_dirs *d = cg_composite_dirs(cg);
	int r = cg->drv->kill(cg, err);

	if (r < 0 || !d)
		return r;
	r = cg_wait_event(d->v[CTL_V2], "populated", 0, timeout_ms);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_STOP, -r, "processes of %s are still there",
			       d->v[CTL_V2]);
	return 0;
}

int res_remove(struct cg *cg, struct vz_error *err)
{
	return cg->drv->remove(cg, err);
}

/* Groups of @ctid that exist. Return: how many. */
static int find_groups(uint32_t ctid, struct cg_dirs *ret)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	struct vz_error unused;
	int n = 0;

	/* earlier commands made them where they found the mounts; mountinfo is slow with many VPSes */
	if (cg_cache_load(0, &mounts) < 0 && cg_find(false, &mounts, &unused) < 0)
		return 0;
	for (int c = 0; c < CTL_MAX; c++) {
		char dir[PATH_MAX];
		struct stat st;

		if (!mounts.v[c])
			continue;
		(void)vps_path(dir, "%s/%s/%u", mounts.v[c],
			       c == CTL_V2 ? cg_v2_home() : vps_paths()->slice, ctid);
		if (stat(dir, &st) < 0)
			continue;
		ret->v[c] = strdup(dir);
		n += ret->v[c] != NULL;
	}
	return n;
}

int res_leftovers(uint32_t ctid)
{
	CG_DIRS struct cg_dirs groups = { 0 };

	return find_groups(ctid, &groups) > 0;
}

int res_remove_stale(uint32_t ctid, struct vz_error *err)
{
	CG_DIRS struct cg_dirs groups = { 0 };
	RES_CG struct cg *cg = NULL;
	struct cg *v1;
	int r;

	if (find_groups(ctid, &groups) == 0)
		return 0;
	if (!groups.v[CTL_V2]) {
		r = cg_v1_open(&groups, &cg);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -r, "groups of VPS %u", ctid);
		r = cg->drv->kill(cg, err);
		return r < 0 ? r : cg->drv->remove(cg, err);
	}
	r = cg_open_groups(&groups, NULL, &cg, err);
	if (r == 0)
		r = res_kill_all(cg, STALE_KILL_MS, err);
	v1 = r == 0 ? cg_composite_v1(cg) : NULL;
	if (v1)
		r = v1->drv->kill(v1, err);
	return r < 0 ? r : cg->drv->remove(cg, err);
}
