/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which VPSes ran when the node went down: VZDIR/running/CTID, a symbolic link whose target is the
 * boot it was started in. A link is there whole or not at all, also after a power cut, and costs a
 * start no fsync; one that is lost means only that this VPS is not started again by itself.
 */
#include "vps/vps.h"

#include "util/fd.h"
#include "util/proc.h"

#include <string.h>
#include <sys/stat.h>

/* Never a boot id, so every boot takes it for an earlier one. */
#define KEPT "kept"

static char *record_path(uint32_t ctid, char *dst)
{
	return vps_path(dst, "%s/running/%u", vps_paths()->vzdir, ctid);
}

static int note(uint32_t ctid, const char *what)
{
	char path[PATH_MAX], dir[PATH_MAX], new[PATH_MAX];

	(void)record_path(ctid, path);
	if (symlink(what, path) == 0)
		return 0;
	if (errno == ENOENT) {
		if (mkdir(vps_path(dir, "%s/running", vps_paths()->vzdir), 0755) < 0 &&
		    errno != EEXIST)
			return -errno;
		return symlink(what, path) < 0 ? -errno : 0;
	}
	if (errno != EEXIST)
		return -errno;
	/* one or the other, at each moment */
	(void)vps_path(new, "%s.new", path);
	(void)unlink(new);
	return symlink(what, new) < 0 || rename(new, path) < 0 ? -errno : 0;
}

int vps_record_running(uint32_t ctid)
{
	char boot[37];
	int r = vz_boot_id(boot);

	return r < 0 ? r : note(ctid, boot);
}

int vps_record_keep(uint32_t ctid)
{
	return note(ctid, KEPT);
}

int vps_record_secure(uint32_t ctid)
{
	char path[PATH_MAX];
	int r = note(ctid, KEPT);

	return r < 0 ? r : vz_fsync_dir_of(record_path(ctid, path));
}

void vps_record_forget(uint32_t ctid)
{
	char path[PATH_MAX];

	(void)unlink(record_path(ctid, path));
}

bool vps_record_ran(uint32_t ctid)
{
	char path[PATH_MAX], text[64], boot[37];
	ssize_t n = readlink(record_path(ctid, path), text, sizeof(text) - 1);

	if (n < 0 || vz_boot_id(boot) < 0)
		return false;
	text[n] = '\0';
	return strcmp(text, boot) != 0;
}
