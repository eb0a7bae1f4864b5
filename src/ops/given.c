/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts of action scripts, and file systems in memory, through a suspend: checkpoint/given.c has the idea. */
#include "ops/cpt.h"

#include "context/orders.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

static int read_mountinfo(pid_t pid, char **ret, struct vz_error *err)
{
	char path[64] = "/proc/self/mountinfo";
	ssize_t n;

	if (pid)
		(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	n = vz_read_file(AT_FDCWD, path, 64 << 20, ret);
	return n < 0 ? vz_fail(err, VZ_EXIT_CHKPNT, (int)-n, "read %s", path) : 0;
}

/* What cannot be read from mountinfo: is it a file, and how much is in memory. */
static int look_at(int root, struct cpt_given *g)
{
	VZ_FD int fd = vz_open_nolink(root, g->path + 1, O_PATH, 0);
	struct stat st;
	struct statfs fs;

	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return fd < 0 ? fd : -errno;
	if (g->kind == 'd' && !S_ISDIR(st.st_mode))
		g->kind = 'f';
	if (g->kind == 'n') {
		g->bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
		g->inodes = fs.f_files - fs.f_ffree;
	}
	return 0;
}

int op_given_look(pid_t init, struct cpt_givens *g, struct vz_error *err)
{
	VZ_FD int root = -EBADF;
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)init);
	root = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	r = root < 0 ? root : 0;
	for (size_t i = 0; r == 0 && i < g->n; i++)
		r = look_at(root, &g->v[i]);
	return r < 0 ? vz_fail(err, VZ_EXIT_CHKPNT, -r, "look at mounts of the VPS") : 0;
}

int op_given_find(const struct op *o, pid_t init, struct cpt_givens *ret, struct vz_error *err)
{
	VZ_FREE char *inside = NULL, *node = NULL;
	char real[PATH_MAX];
	int r = read_mountinfo(init, &inside, err);

	if (r == 0)
		r = read_mountinfo(0, &node, err);
	if (r == 0 && !realpath(o->cfg.ve_root, real))
		r = vz_fail(err, VZ_EXIT_CHKPNT, errno, "%s", o->cfg.ve_root);
	if (r == 0)
		r = cpt_given_find(inside, node, real, ret, err);
	return r < 0 ? r : op_given_look(init, ret, err);
}

/* ---- for a resume ---- */

static int not_as_it_was(const struct op *o, const struct cpt_given *g, const char *what,
			 struct vz_error *err)
{
	char shown[CPT_GIVEN_PATH];

	return vz_fail(err, VZ_EXIT_RESTORE, 0,
		       "VPS %u had a mount at %s, made by an action script when it was started, %s",
		       o->ctid, vz_quote(shown, sizeof(shown), g->path), what);
}

/* What was not locked then and is now, CRIU would try to take off. */
static const char *stricter(const struct cpt_given *g, unsigned long flags)
{
	static const struct {
		unsigned long flag;
		const char *word, *text;
	} all[] = {
		{ ST_RDONLY, "ro", "and now it is read-only" },
		{ ST_NOSUID, "nosuid", "and now it is nosuid" },
		{ ST_NOEXEC, "noexec", "and now it is noexec" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if ((flags & all[i].flag) && !cpt_given_option(g, all[i].word))
			return all[i].text;
	return NULL;
}

static int check_one(const struct op *o, int root, const struct cpt_given *g, struct vz_error *err)
{
	VZ_FD int fd = vz_open_nolink(root, g->path + 1, O_PATH, 0);
	enum { TMPFS = 0x01021994 };
	struct statvfs fs;
	struct statfs type;
	struct stat st;
	struct statx sx;
	const char *text;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &sx) < 0 ||
	    !(sx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return not_as_it_was(o, g, "and now there is none", err);
	if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0 || fstatfs(fd, &type) < 0)
		return not_as_it_was(o, g, strerrordesc_np(errno), err);
	if (g->kind == 'm' && type.f_type != TMPFS)
		return not_as_it_was(o, g, "and now it is no tmpfs", err);
	if ((g->kind == 'f') != !S_ISDIR(st.st_mode))
		return not_as_it_was(o, g,
				     g->kind == 'f' ? "a file, and now it is a directory"
						    : "a directory, and now it is a file",
				     err);
	text = stricter(g, fs.f_flag);
	return text ? not_as_it_was(o, g, text, err) : 0;
}

int op_given_check(const struct op *o, const struct cpt_givens *g, struct vz_error *err)
{
	VZ_FD int root = vz_openat(AT_FDCWD, o->cfg.ve_root, O_PATH | O_DIRECTORY, 0);
	int r = root < 0 ? vz_fail(err, VZ_EXIT_RESTORE, -root, "%s", o->cfg.ve_root) : 0;

	for (size_t i = 0; r == 0 && i < g->n; i++)
		if (g->v[i].kind != 'n')
			r = check_one(o, root, &g->v[i], err);
	return r;
}

/* The kernel keeps a VPS from changing how times of access are kept: they must be as they were. */
static unsigned int attributes(const struct cpt_given *g)
{
	unsigned int a = cpt_given_option(g, "noatime")	   ? MOUNT_ATTR_NOATIME
			 : cpt_given_option(g, "relatime") ? MOUNT_ATTR_RELATIME
							   : MOUNT_ATTR_STRICTATIME;

	return cpt_given_option(g, "nodiratime") ? a | MOUNT_ATTR_NODIRATIME : a;
}

char **op_given_words(const struct cpt_givens *g, const struct ctx_orders *o)
{
	char **words = calloc(g->n + 1, sizeof(*words));

	for (size_t i = 0; words && i < g->n; i++) {
		const struct cpt_given *e = &g->v[i];
		uint64_t bytes = e->bytes > o->run_bytes ? e->bytes : o->run_bytes;
		uint64_t inodes = e->inodes > o->run_inodes ? e->inodes : o->run_inodes;

		words[i] = vz_fmt("%c %u %llu %llu %s", e->kind, attributes(e),
				  (unsigned long long)bytes, (unsigned long long)inodes, e->path);
		if (!words[i]) {
			op_given_words_free(words);
			return NULL;
		}
	}
	return words;
}

void op_given_words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

/* New ones are not in the VPS: its mounts are those of the dump. */
int op_given_verify(const struct op *o, pid_t init, const struct cpt_givens *g,
		    struct vz_error *err)
{
	CPT_GIVENS struct cpt_givens now = { 0 };
	int r = op_given_find(o, init, &now, err);

	for (size_t i = 0; r == 0 && i < g->n; i++) {
		const struct cpt_given *e = cpt_given_at(&now, g->v[i].path);

		if (!e || e->kind != g->v[i].kind)
			r = vz_fail(err, VZ_EXIT_RESTORE, 0,
				    "the restored VPS has not the node's mount at %s",
				    g->v[i].path);
	}
	return r;
}
