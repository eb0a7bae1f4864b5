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

/* SLICE/mon of one hierarchy. */
static int join_mon(const char *mount, bool v2, const char *pid)
{
	char dir[PATH_MAX];
	int r = v2 ? cg_v2_slice(mount, "mon", dir) : cg_v1_slice(mount, "mon", dir);

	if (r < 0)
		return r;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	return cg_write(dir, "cgroup.procs", pid);
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

/* A vzmon started from inside a VPS's groups would be limited and counted with it. */
static int leave_v1(const struct cg_dirs *mounts, const char *pid)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list lines = { 0 };
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	n = vz_read_file(AT_FDCWD, path, PROC_CGROUP_MAX, &text);
	if (n < 0)
		return (int)n;
	if (vz_list_split(&lines, text, "\n") < 0)
		return -ENOMEM;
	for (int c = CTL_CPU; c < CTL_MAX; c++) {
		for (size_t i = 0; mounts->v[c] && i < lines.n; i++) {
			int r;

			if (!line_in_slice(lines.v[i], cg_ctl_name(c)))
				continue;
			r = cg_write(mounts->v[c], "cgroup.procs", pid);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* MOUNT of each MOUNT/SLICE/CTID: as good as cg_find(), which reads all of mountinfo. */
static int mounts_of(const struct cg *cg, struct cg_dirs *ret)
{
	const struct cg_dirs *d = cg_composite_dirs(cg);

	if (!d)
		return -EOPNOTSUPP;
	for (int c = 0; c < CTL_MAX; c++) {
		if (!d->v[c])
			continue;
		ret->v[c] = strdup(d->v[c]);
		for (int i = 0; ret->v[c] && i < 2; i++)
			*strrchr(ret->v[c], '/') = '\0';
		if (!ret->v[c])
			return -ENOMEM;
	}
	return 0;
}

int res_attach_monitor(const struct cg *cg, pid_t pid, struct vz_error *err)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	char text[16];
	int r = mounts_of(cg, &mounts);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "groups of the monitor");
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	r = join_mon(mounts.v[CTL_V2], true, text);
	if (r == 0 && mounts.v[CTL_SYSTEMD])
		r = join_mon(mounts.v[CTL_SYSTEMD], false, text);
	if (r == 0)
		r = leave_v1(&mounts, text);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot move the monitor to %s/mon",
			       cg_v2_home());
	return 0;
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
