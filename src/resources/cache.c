/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the hierarchies are, as find.c noted it: for readers that link no libcgroup. */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

int cg_cache_load(uint64_t key, struct cg_dirs *ret)
{
	char path[PATH_MAX], head[32];
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list lines = { 0 };
	CG_DIRS struct cg_dirs d = { 0 };
	ssize_t n;

	n = vz_read_file(AT_FDCWD, cg_join(path, vps_paths()->run, "cgroups"), PATH_MAX * 2, &text);
	if (n < 0)
		return (int)n;
	if (vz_list_split(&lines, text, "\n") < 0)
		return -ENOMEM;
	(void)snprintf(head, sizeof(head), "key %016" PRIx64, key);
	/* cut short it would lack controllers, and limits would silently not be set */
	if (lines.n < 2 || (key && !vz_streq(lines.v[0], head)) ||
	    !vz_streq(lines.v[lines.n - 1], "end"))
		return -ESTALE;
	for (size_t i = 1; i + 1 < lines.n; i++) {
		int r = cg_dirs_add(&d, lines.v[i]);

		if (r < 0)
			return r;
	}
	*ret = d;
	d = (struct cg_dirs){ 0 };
	return 0;
}

static int seen(const char *sub, uint32_t ctid)
{
	CG_DIRS struct cg_dirs mounts = { 0 };

	if (cg_cache_load(0, &mounts) < 0)
		return 0;
	for (int c = 0; c < CTL_MAX; c++) {
		char dir[PATH_MAX];

		if (mounts.v[c] &&
		    access(vps_path(dir, "%s/%s%s/%u", mounts.v[c],
				    c == CTL_V2 ? cg_v2_home() : vps_paths()->slice, sub, ctid),
			   F_OK) == 0)
			return 1;
	}
	return 0;
}

int res_seen(uint32_t ctid)
{
	return seen("", ctid);
}

int res_view_seen(uint32_t ctid)
{
	return seen("/view", ctid);
}
