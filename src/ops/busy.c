/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A private area that the kernel calls busy: another VPS has it, or the last mount is not gone yet. */
#include "ops/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* Whether the record of VPS @id's mount says that it was made from our private area. */
static bool holds_ours(const struct op *o, const char *id)
{
	VZ_FREE char *ours = vz_fmt("%s %s ", o->layout->name, o->cfg.ve_private);
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];

	(void)vps_path(path, "%s/%s/mount", vps_paths()->run, id);
	return ours && vz_read_file(AT_FDCWD, path, 8192, &text) >= 0 &&
	       !strncmp(text, ours, strlen(ours));
}

static bool used_by_another(const struct op *o, char ret_id[16])
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, vps_paths()->run);
	struct dirent *e;
	char own[16];

	(void)snprintf(own, sizeof(own), "%u", o->ctid);
	while (d && (e = readdir(d)))
		if (strspn(e->d_name, "0123456789") == strlen(e->d_name) &&
		    strcmp(e->d_name, own) != 0 && holds_ours(o, e->d_name))
			return vz_copy(ret_id, 16, e->d_name) == 0;
	return false;
}

/*
 * Two things hold a mount that is gone from sight: the kernel, which syncs the whole file system
 * below an overlay in the background before it lets it go, and copies of the node's mounts that
 * every process with a mount namespace of its own has, a start of another VPS among them.
 */
int op_mount_when_free(const struct op *o, const struct sto_place *p, int userns,
		       struct vz_error *err)
{
	enum { LIMIT_MS = 120000, PAUSE_MS = 5 };
	const uint64_t until = vz_now_ms() + LIMIT_MS;
	char id[16];
	int r;

	while ((r = o->layout->mount(p, userns, err)) == -EBUSY && vz_now_ms() < until) {
		if (used_by_another(o, id))
			return vz_fail(err, VZ_EXIT_MOUNT, EBUSY, "%s is in use by VPS %s",
				       p->private_dir, id);
		(void)poll(NULL, 0, PAUSE_MS);
	}
	return r;
}
