/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/cpt.h"

#include "ops/steps.h"
#include "ubc/ubc.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Everything in @parent that an earlier destroy moved aside, this one's too. */
static void empty_trash(const char *parent)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, parent);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, OP_TRASH, strlen(OP_TRASH)))
			(void)!vz_rm_rf(dirfd(d), e->d_name);
}

/*
 * Deleting files takes minutes for a large VPS: a background child does it, one at a time on a
 * node. The lock is opened and, if it is free, taken before the fork: who sees it free knows that
 * what lies there is nobody's work.
 */
static void empty_trash_in_background(const char *parent)
{
	char path[PATH_MAX];
	VZ_FD int lock = vz_openat(AT_FDCWD, vps_path(path, "%s/rm.lck", vps_paths()->run),
				   O_RDWR | O_CREAT, 0600);
	bool taken = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
	int null;

	(void)fflush(NULL);
	if (fork() != 0)
		return; /* the parent; without a child the next destroy deletes it */
	(void)setsid();
	null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	(void)dup2(null, 0);
	(void)dup2(null, 1);
	(void)dup2(null, 2);
	(void)dup2(lock, 3);
	(void)close_range(lock < 0 ? 3 : 4, ~0U, 0);
	if (lock >= 0 && !taken)
		(void)flock(3, LOCK_EX);
	empty_trash(parent);
	_exit(0);
}

/* Does directory @dir hold @path, or is it the same? Both as the kernel sees them. */
static bool holds(const char *dir, const char *path)
{
	char a[PATH_MAX], b[PATH_MAX];
	size_t n;

	if (!path || !realpath(dir, a) || !realpath(path, b))
		return false;
	n = strlen(a);
	return !strncmp(a, b, n) && (b[n] == '/' || b[n] == '\0');
}

/* VE_PRIVATE as the file says it, malloc'ed; NULL when it does not. No other row is looked at. */
static char *private_in(const char *path, enum vps_source src)
{
	VPS_CONFIG struct vps_config c = { 0 };
	bool skip[VP_MAX];

	for (int id = 0; id < VP_MAX; id++)
		skip[id] = id != VP_VE_PRIVATE;
	return vps_load_file(&c, path, src, skip) < 0 ? NULL : vz_take_ptr(&c.ve_private);
}

static int check_others(const struct op *o, struct vz_error *err)
{
	VZ_FREE char *common = NULL;
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n = vps_list_ctids(&ids);
	char path[PATH_MAX];

	if (n < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, (int)-n, "%s", vps_paths()->conf);
	common = private_in(vps_path(path, "%s/vz.conf", vps_paths()->etc), VS_GLOBAL);
	if (!common)
		common = vz_fmt("%s/private/$VEID", vps_paths()->vzdir);
	for (ssize_t i = 0; i < n; i++) {
		VZ_FREE char *own = NULL;
		VZ_FREE char *p = NULL;

		if (ids[i] == o->ctid)
			continue;
		own = private_in(vps_path(path, "%s/%u.conf", vps_paths()->conf, ids[i]), VS_VPS);
		p = own || common ? vps_subst(own ? own : common, ids[i]) : NULL;
		if (holds(o->cfg.ve_private, p))
			return vz_fail(err, VZ_EXIT_DEL_PRIVATE, 0,
				       "VE_PRIVATE %s holds the files of VPS %u: it is not removed",
				       o->cfg.ve_private, ids[i]);
	}
	return 0;
}

/*
 * Destroy deletes VE_PRIVATE and all below it. A forgotten $VEID or a copied CTID.conf must not take
 * other VPSes, templates or the node's own directories along.
 */
static int check_private(const struct op *o, struct vz_error *err)
{
	const char *p = o->cfg.ve_private;
	const char *const own[] = { vps_paths()->etc,
				    vps_paths()->run,
				    vps_paths()->vzdir,
				    o->cfg.template_dir,
				    o->cfg.dumpdir,
				    o->cfg.lockdir,
				    "/etc",
				    "/usr",
				    "/root" };
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (holds(p, own[i]))
			return vz_fail(err, VZ_EXIT_DEL_PRIVATE, 0,
				       "VE_PRIVATE %s holds %s: it is not removed", p, own[i]);
	return check_others(o, err);
}

/*
 * Forward only, and CTID.conf last: as long as it is there, `destroy` finds everything and completes
 * what was cut off. From the moment the private area is moved aside the VPS is gone for good.
 */
struct destroying {
	struct op *o;
	char parent[PATH_MAX]; /* of the private area */
};

static int step_mend(void *arg, struct vz_error *err)
{
	struct destroying *s = arg;
	struct op *o = s->o;
	int r = op_mend(o, err);

	if (r < 0)
		return r;
	if (sto_mounted(o->cfg.ve_root))
		return vz_fail(err, VZ_EXIT_MOUNTED, 0, "VPS is currently mounted (umount first)");
	r = check_private(o, err);
	if (r < 0)
		return r;
	/* a configuration that cannot be put away must not outlive the files it is about */
	if (access(vps_paths()->conf, W_OK) < 0)
		return vz_fail(err, VZ_EXIT_CONFIG_SAVE, errno, "%s", vps_paths()->conf);
	vz_say("Destroying VPS private area: %s", o->cfg.ve_private);
	return 0;
}

static int step_private(void *arg, struct vz_error *err)
{
	struct destroying *s = arg;
	const char *p = s->o->cfg.ve_private;
	char aside[PATH_MAX];
	struct stat st;
	int r;

	if (lstat(p, &st) < 0)
		return errno == ENOENT ? 0 : vz_fail(err, VZ_EXIT_DEL_PRIVATE, errno, "%s", p);
	if (S_ISLNK(st.st_mode))
		return unlink(p) < 0 ? vz_fail(err, VZ_EXIT_DEL_PRIVATE, errno, "unlink %s", p) : 0;
	(void)vps_path(aside, "%s/" OP_TRASH "%u.%d", s->parent, s->o->ctid, (int)getpid());
	if (rename(p, aside) < 0)
		return vz_fail(err, VZ_EXIT_DEL_PRIVATE, errno, "Unable to move %s aside", p);
	op_private_release(s->o, &st);
	/* the files are gone before the configuration is, after a power cut too */
	r = vz_fsync_dir_of(p);
	return r < 0 ? vz_fail(err, VZ_EXIT_DEL_PRIVATE, -r, "fsync above %s", p) : 0;
}

/* What belongs to the VPS beside its private area and its configuration. */
static int step_rest(void *arg, struct vz_error *err)
{
	struct destroying *s = arg;
	const struct op *o = s->o;
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && op_half_suffix(i); i++)
		r = vz_rm_rf(AT_FDCWD,
			     vps_path(path, "%s%s", o->cfg.ve_private, op_half_suffix(i)));
	if (r < 0)
		return vz_fail(err, VZ_EXIT_DEL_PRIVATE, -r, "remove %s", path);
	vps_record_forget(o->ctid);
	(void)rmdir(o->cfg.ve_root);
	op_dumps_forget(o);
	(void)vps_path(path, "%s/%u", vps_paths()->run, o->ctid);
	(void)!vz_rm_rf(AT_FDCWD, path);
	return 0;
}

int op_retire(uint32_t ctid, struct vz_error *err)
{
	static const char *const what[] = { "mount", "umount",	   "premount", "start",
					    "stop",  "postumount", "conf" };
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < sizeof(what) / sizeof(*what); i++) {
		char from[PATH_MAX], to[PATH_MAX];

		(void)vps_path(from, "%s/%u.%s", vps_paths()->conf, ctid, what[i]);
		(void)vps_path(to, "%s/%u.%s.destroyed", vps_paths()->conf, ctid, what[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			return vz_fail(err, VZ_EXIT_SYSTEM, errno, "rename %s", from);
	}
	/* a power cut must not bring it back once this has returned */
	r = vz_fsync_dir_of(vps_path(path, "%s/%u.conf", vps_paths()->conf, ctid));
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "fsync %s", vps_paths()->conf) : 0;
}

static int step_config(void *arg, struct vz_error *err)
{
	struct destroying *s = arg;

	vps_name_unlink(s->o->ctid, s->o->cfg.name);
	ubc_forget(s->o->ctid); /* killed between the groups and this, stop left it */
	return op_retire(s->o->ctid, err);
}

static int step_trash(void *arg, struct vz_error *err)
{
	struct destroying *s = arg;

	(void)err;
	empty_trash_in_background(s->parent);
	vz_say("VPS private area was destroyed");
	return 0;
}

static const struct op_step destroy_steps[] = {
	{ "mend", step_mend, NULL },   { "private", step_private, NULL },
	{ "rest", step_rest, NULL },   { "config", step_config, NULL },
	{ "trash", step_trash, NULL },
};

static void parent_of(const char *path, char ret[PATH_MAX])
{
	char *slash;

	(void)vps_path(ret, "%s", path);
	slash = strrchr(ret, '/');
	*(slash == ret ? slash + 1 : slash) = '\0';
}

/*
 * No CTID.conf: a create that was killed before it, or a destroy after it. What is at the places
 * where such a VPS would have its files is removed; a private area under its own name is nobody's to
 * remove without a configuration.
 */
static int destroy_rest(struct op *o, struct vz_error *err)
{
	VZ_LIST struct vz_list left = { 0 };
	struct destroying s = { .o = o };
	int r = op_former(&o->cfg, o->ctid);

	if (r == 0)
		r = op_left_files(o->ctid, &o->cfg, &left);
	if (r < 0 || left.n == 0)
		return vz_fail(err, VZ_EXIT_NOVECONFIG, ENOENT,
			       "Container config file does not exist: %s/%u.conf",
			       vps_paths()->conf, o->ctid);
	vz_say("Destroying what is left of VPS %u: %s", o->ctid, left.v[0]);
	parent_of(o->cfg.ve_private, s.parent);
	r = op_mend(o, err);
	if (r == 0)
		r = step_rest(&s, err);
	return r < 0 ? r : step_trash(&s, err);
}

int op_destroy(const struct op_env *env, uint32_t ctid, struct vz_error *err)
{
	OP struct op o;
	struct destroying s = { .o = &o };
	int r = op_open(&o, env, ctid, "destroying", err);

	if (r == 0 || err->exit == VZ_EXIT_NOVECONFIG) {
		int k = vz_kernel_check(VZ_NEED_LOOK, err);

		if (k < 0)
			return k;
	}
	if (r == -ENOENT && err->exit == VZ_EXIT_NOVECONFIG)
		return destroy_rest(&o, err);
	if (r < 0)
		return r;
	if (vps_running(ctid, NULL))
		return vz_fail(err, VZ_EXIT_RUNNING, 0, "VPS is currently running. Stop it first.");
	parent_of(o.cfg.ve_private, s.parent);
	return op_steps_run("destroy", OP_STEPS(destroy_steps), &s, err);
}
