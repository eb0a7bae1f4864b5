/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room that a target sets aside before it promises, for what it writes after the commit, when there is no way back: files with
 * real blocks, one in each directory where a start or a resume writes, since each may be a file system of its own.
 */
#include "ops/moving.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
	ROOM_BYTES =
		256 << 10, /* notes, directories, /run/vz/CTID: a start takes about a third of it */
	ROOMS = 6,
};

/** struct room - @in: a directory; with @above it is the one above @in that counts */
struct room {
	const char *in;
	bool above;
	uint64_t bytes;
};

static void rooms_of(const struct op *o, const struct mig_journal *j, uint64_t dump,
		     char etc[PATH_MAX], struct room ret[ROOMS])
{
	const struct room all[ROOMS] = {
		{ mig_dir(etc), false, ROOM_BYTES },
		{ vps_paths()->vzdir, false, ROOM_BYTES },
		{ vps_paths()->run, false, ROOM_BYTES },
		{ o->cfg.ve_root, true, ROOM_BYTES },
		{ j->private_dir, true, ROOM_BYTES },
		{ o->cfg.dumpdir, false, ROOM_BYTES + dump },
	};

	memcpy(ret, all, sizeof(all));
}

/* Return: NULL: that directory is not configured. */
static const char *room_path(const struct room *r, uint32_t ctid, char ret[PATH_MAX])
{
	const char *slash = r->in && r->above ? strrchr(r->in, '/') : NULL;

	if (!r->in || !*r->in || (r->above && !slash))
		return NULL;
	return vps_path(ret, "%.*s/.vzmigrate-%u.room",
			r->above ? (int)(slash - r->in) : (int)strlen(r->in), r->in, ctid);
}

static int take_room(const char *path, uint64_t bytes)
{
	VZ_FD int fd = -EBADF;

	(void)unlink(path);
	fd = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	/* not synced: the VPS may stand still, and the journal that follows is */
	return -posix_fallocate(fd, 0, (off_t)bytes);
}

int op_moving_room(const struct op *o, const struct mig_journal *j, uint64_t dump,
		   struct vz_error *err)
{
	struct room rooms[ROOMS];
	char etc[PATH_MAX], path[PATH_MAX];

	rooms_of(o, j, dump, etc, rooms);
	for (size_t i = 0; i < ROOMS; i++) {
		int r = room_path(&rooms[i], o->ctid, path) ? take_room(path, rooms[i].bytes) : 0;

		/* a directory that nothing has made yet is made by who writes there first */
		if (r < 0 && r != -ENOENT)
			return vz_fail(err, r == -ENOSPC ? MIG_EXIT_SPACE : MIG_EXIT_COPY, -r,
				       "set aside %" PRIu64 " KiB in %s on the target",
				       rooms[i].bytes >> 10, path);
	}
	return 0;
}

static bool is_full(const char *path)
{
	char dir[PATH_MAX];
	struct statvfs fs;

	(void)vps_path(dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	return statvfs(dir, &fs) < 0 ||
	       (uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)2 * ROOMS * ROOM_BYTES;
}

void op_moving_room_back(const struct op *o, const struct mig_journal *j)
{
	struct room rooms[ROOMS];
	char etc[PATH_MAX], path[PATH_MAX];

	rooms_of(o, j, 0, etc, rooms);
	for (size_t i = 0; i < ROOMS; i++)
		/* ext4 gives blocks of a file that is gone to others once that is on disk; the VPS may stand still, so only then */
		if (room_path(&rooms[i], o->ctid, path) && unlink(path) == 0 && is_full(path))
			(void)!vz_fsync_dir_of(path);
}
