/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of load.c when Croft is built --without-bpf: the table alone. */
#include "ubc/load.h"

#include "ubc/version.h"
#include "util/fd.h"
#include "vps/vps.h"

int ubc_load(bool again, enum ubc_method below, struct vz_error *err)
{
	UBC_TABLE struct ubc_table *old = NULL;
	VZ_FD int lock = ubc_lock();
	int r;

	(void)below;
	if (lock < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -lock, "lock %s/ubc.lck", vps_paths()->run);
	if (!again && ubc_table_open(false, &old) == 0 && ubc_head(old)->version == UBC_VERSION)
		return 0;
	r = ubc_make_file("Croft was built without BPF");
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "make %s/ubc", vps_paths()->run) : 0;
}

int ubc_unload(bool force, struct vz_error *err)
{
	char path[PATH_MAX];

	(void)force;
	if (unlink(ubc_file_path(path)) < 0 && errno != ENOENT)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "remove %s", path);
	return 0;
}
