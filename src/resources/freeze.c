/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing for a checkpoint. Not the group CTID itself: CRIU holds the processes of payload by ptrace and thaws payload
 * meanwhile, which does nothing while a group above it is frozen.
 */
#include "resources/resources.h"

#include "resources/priv.h"

#include <errno.h>
#include <string.h>

static const char *const parts[] = { "payload", "host" };

static int freeze_one(const char *dir, const char *part, bool on, int timeout_ms)
{
	char path[PATH_MAX];
	int r;

	(void)cg_join(path, dir, part);
	r = cg_write(path, "cgroup.freeze", on ? "1" : "0");
	return r < 0 ? r : cg_wait_event(path, "frozen", on, timeout_ms);
}

static const char *group_of(const struct vz_list *paths)
{
	const char *dir = NULL;

	for (size_t i = 0; i < paths->n; i++)
		if (!strncmp(paths->v[i], "v2=", 3))
			dir = paths->v[i] + 3;
	return dir;
}

int res_thaw_host(const struct vz_list *paths, int timeout_ms, struct vz_error *err)
{
	const char *dir = group_of(paths);
	int r = dir ? freeze_one(dir, "host", false, timeout_ms) : -ENOENT;

	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot thaw %s/host", dir ? dir : "")
		     : 0;
}

int res_freeze(const struct vz_list *paths, bool on, int timeout_ms, struct vz_error *err)
{
	const char *dir = group_of(paths);
	int r = 0;

	if (!dir)
		return vz_fail(err, VZ_EXIT_RESOURCE, ENOENT, "the VPS has no group of cgroup2");
	for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(*parts); i++)
		r = freeze_one(dir, parts[i], on, timeout_ms);
	if (r == 0)
		return 0;
	for (size_t i = 0; on && i < sizeof(parts) / sizeof(*parts); i++)
		(void)!freeze_one(dir, parts[i], false, 0);
	return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot %s %s", on ? "freeze" : "thaw", dir);
}
