/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening groups that exist: apart from their creation, so that who only reads links no libcgroup.
 */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>

static int list_dirs(const struct cg_dirs *d, struct vz_list *ret)
{
	VZ_LIST struct vz_list l = { 0 };

	for (int c = 0; c < CTL_MAX; c++) {
		VZ_FREE char *line = NULL;

		if (!d->v[c])
			continue;
		line = vz_fmt("%s=%s", cg_ctl_name(c), d->v[c]);
		if (!line || vz_list_add(&l, line) < 0)
			return -ENOMEM;
	}
	vz_list_clear(ret);
	*ret = l;
	l = (struct vz_list){ 0 };
	return 0;
}

int cg_open_groups(const struct cg_dirs *groups, struct vz_list *ret_paths, struct cg **ret,
		   struct vz_error *err)
{
	RES_CG struct cg *cg = NULL;
	int r = cg_composite_open(groups, &cg);

	if (r == 0 && ret_paths)
		r = list_dirs(groups, ret_paths);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot open the groups of the VPS");
	*ret = vz_take_ptr(&cg);
	return 0;
}

int res_open(const struct vz_list *paths, struct cg **ret_cg, struct vz_error *err)
{
	CG_DIRS struct cg_dirs groups = { 0 };

	for (size_t i = 0; i < paths->n; i++) {
		int r = cg_dirs_add(&groups, paths->v[i]);

		if (r < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -r, "bad group in the state file");
	}
	return cg_open_groups(&groups, NULL, ret_cg, err);
}

int res_open_ctid(uint32_t ctid, struct cg **ret_cg, struct vz_error *err)
{
	CG_DIRS struct cg_dirs groups = { 0 };
	int r = cg_cache_load(0, &groups);

	for (int c = 0; r == 0 && c < CTL_MAX; c++) {
		VZ_FREE char *dir = NULL;

		if (!groups.v[c])
			continue;
		dir = vz_fmt("%s/%s/%" PRIu32, groups.v[c],
			     c == CTL_V2 ? cg_v2_home() : vps_paths()->slice, ctid);
		vz_freep(&groups.v[c]);
		if (!dir)
			r = -ENOMEM;
		else if (access(dir, F_OK) == 0)
			groups.v[c] = vz_take_ptr(&dir);
	}
	if (r < 0 || !groups.v[CTL_V2])
		return vz_fail(err, VZ_EXIT_RESOURCE, r < 0 ? -r : ENOENT,
			       "VPS %" PRIu32 " has no groups", ctid);
	return cg_open_groups(&groups, NULL, ret_cg, err);
}

void res_closep(struct cg **cg)
{
	if (*cg)
		(*cg)->drv->close(*cg);
	*cg = NULL;
}

int res_birthplace(struct cg *cg, int *ret_group, int *ret_tasks, size_t max, struct vz_error *err)
{
	const struct cg_dirs *d = cg_composite_dirs(cg);
	VZ_FD int group = -EBADF;
	char path[PATH_MAX];
	size_t n = 0;

	if (!d)
		return vz_fail(err, VZ_EXIT_RESOURCE, EOPNOTSUPP, "driver %s has no files",
			       cg->drv->name);
	group = vz_openat(AT_FDCWD, cg_join(path, d->v[CTL_V2], "payload"), O_RDONLY | O_DIRECTORY,
			  0);
	if (group < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -group, "cannot open %s", path);
	for (int c = 0; c < CTL_MAX; c++) {
		int fd;

		if (c == CTL_V2 || !d->v[c] || cg_dirs_known_before(d, c))
			continue;
		fd = n < max ? vz_openat(AT_FDCWD, cg_join(path, d->v[c], "tasks"), O_WRONLY, 0)
			     : -E2BIG;
		if (fd < 0) {
			while (n > 0)
				vz_closep(&ret_tasks[--n]);
			return vz_fail(err, VZ_EXIT_RESOURCE, -fd, "cannot open %s", path);
		}
		ret_tasks[n++] = fd;
	}
	*ret_group = vz_take_fd(&group);
	return (int)n;
}
