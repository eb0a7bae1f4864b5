/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "dist/dist.h"
#include "ops/steps.h"
#include "template/template.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct creating {
	struct op *o;
	const struct op_create *a;
	char archive[PATH_MAX], tmp[PATH_MAX], conf[PATH_MAX];
	/* a CTID.conf that was there: kept if it is an administrator's */
	enum found { FOUND_NONE, FOUND_OTHERS, FOUND_BEGUN, FOUND_DESTROYED } found;
	struct sto_place place; /* of the temporary directory */
};

/* ---- what it will be ---- */

static int take_text(struct vps_config *c, enum vps_param_id id, const char *text,
		     struct vz_error *err)
{
	return text ? vps_param_parse(c, id, PM_SET, text, VS_CLI, err) : 0;
}

static int take_ids(struct vps_config *c, const char *conf, struct vz_error *err)
{
	bool skip[VP_MAX];
	int r;

	for (int id = 0; id < VP_MAX; id++)
		skip[id] = id != VP_LOCAL_UID && id != VP_LOCAL_UID_COUNT;
	r = vps_load_file(c, conf, VS_VPS, skip);
	return r < 0 ? vz_fail(err, VZ_EXIT_INVALID_CONFIG, -r, "read %s", conf) : 0;
}

/*
 * A configuration without a private area is an administrator's, or of a create that did not come to
 * its end (the half made area is beside it), or of a destroy (its trash is, see destroy.c).
 */
static enum found look_for_conf(uint32_t ctid)
{
	VPS_CONFIG struct vps_config c = { 0 };
	VZ_LIST struct vz_list left = { 0 };
	char kept[PATH_MAX], path[PATH_MAX];
	struct vz_error err;

	if (access(vps_path(path, "%s/%u.conf", vps_paths()->conf, ctid), F_OK) < 0)
		return FOUND_NONE;
	if (vps_load(ctid, &c, NULL, &err) < 0 || !c.ve_private ||
	    access(c.ve_private, F_OK) == 0 || op_left_files(ctid, &c, &left) < 0 || left.n == 0)
		return FOUND_OTHERS;
	(void)vps_path(kept, "%s%s", c.ve_private, op_half_suffix(OP_HALF_KEPT));
	if (vz_list_find(&left, kept) >= 0)
		return FOUND_OTHERS;
	(void)vps_path(path, "%s%s", c.ve_private, op_half_suffix(OP_HALF_OWN));
	return vz_list_find(&left, path) >= 0 ? FOUND_BEGUN : FOUND_DESTROYED;
}

static int take_sample(struct creating *s, struct vz_error *err)
{
	struct vps_config *c = &s->o->cfg;
	const char *name = s->a->sample ? s->a->sample : c->configfile;
	bool skip[VP_MAX] = { false };
	char path[PATH_MAX];
	int r = 0;

	if (s->a->sample && s->found == FOUND_OTHERS)
		return vz_fail(err, VZ_EXIT_SAMPLE, EEXIST,
			       "configuration %s exists, --config %s is not used", s->conf,
			       s->a->sample);
	if (s->found == FOUND_OTHERS) {
		vz_warn("WARNING: configuration %s exists and is kept", s->conf);
		r = vps_load_file(c, s->conf, VS_VPS, NULL);
		return r < 0 ? vz_fail(err, VZ_EXIT_INVALID_CONFIG, -r, "read %s", s->conf) : 0;
	}
	if (s->found == FOUND_BEGUN) /* of a create that was cut off: its ids stay its own */
		r = take_ids(c, s->conf, err);
	if (r < 0 || !name)
		return r;
	(void)vps_path(path, "%s/ve-%s.conf-sample", vps_paths()->conf, name);
	skip[VP_VE_ROOT] = skip[VP_VE_PRIVATE] = skip[VP_NAME] = true;
	r = vps_load_file(c, path, VS_VPS, skip);
	if (r < 0 || r > 0)
		return vz_fail(err, VZ_EXIT_SAMPLE, r < 0 ? -r : 0, "Sample config %s %s", path,
			       r < 0 ? "cannot be read" : "has bad lines");
	return vps_param_parse(c, VP_ORIGIN_SAMPLE, PM_SET, name, VS_VPS, err);
}

static int take_options(struct creating *s, struct vz_error *err)
{
	struct vps_config *c = &s->o->cfg;
	const struct vps_config *x = s->a->extra;
	int r = take_text(c, VP_OSTEMPLATE, s->a->ostemplate, err);

	if (r == 0)
		r = take_text(c, VP_VE_LAYOUT, s->a->layout, err);
	if (r == 0)
		r = take_text(c, VP_VE_ROOT, s->a->root, err);
	if (r == 0)
		r = take_text(c, VP_VE_PRIVATE, s->a->private_dir, err);
	if (r == 0 && x && vps_is_set(x, VP_PHYSPAGES))
		r = op_check_ram(x, s->a->ram_said, false, err);
	for (int id = 0; r == 0 && x && id < VP_MAX; id++)
		if (vps_is_set(x, id) && vps_param_copy(c, x, id) < 0)
			r = vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "create");
	if (r < 0)
		return r;
	if (!vps_is_set(c, VP_OSTEMPLATE) && c->def_ostemplate)
		r = vps_param_parse(c, VP_OSTEMPLATE, PM_SET, c->def_ostemplate, VS_VPS, err);
	/* readers of other people's look for these lines */
	if (r == 0 && !vps_is_set(c, VP_DISKSPACE))
		r = vps_param_parse(c, VP_DISKSPACE, PM_SET, "2097152:2306867", VS_VPS, err);
	if (r == 0 && !vps_is_set(c, VP_DISKINODES))
		r = vps_param_parse(c, VP_DISKINODES, PM_SET, "131072:144179", VS_VPS, err);
	return r;
}

static int subst(char **field, uint32_t ctid, struct vz_error *err)
{
	char *text = *field ? vps_subst(*field, ctid) : NULL;

	if (!text)
		return *field ? vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "create") : 0;
	free(*field);
	*field = text;
	return 0;
}

static bool empty_dir(const char *path)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, path);
	struct dirent *e;
	int n = 0;

	while (d && n < 3 && (e = readdir(d)))
		n++;
	return d && n <= 2;
}

static int check_private(const struct creating *s, struct vz_error *err)
{
	const char *p = s->o->cfg.ve_private;
	struct stat st;

	if (lstat(p, &st) < 0)
		return errno == ENOENT ? 0 : vz_fail(err, VZ_EXIT_NEW_PRIVATE, errno, "%s", p);
	if (vz_is_mountpoint(p) == 1)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, EBUSY, "Private area %s is a mount point",
			       p);
	if (!empty_dir(p))
		return vz_fail(err, VZ_EXIT_PRIVATE_EXISTS, EEXIST,
			       "Private area already exists in %s", p);
	return 0;
}

/* ---- steps ---- */

static int step_plan(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	struct vps_config *c = &s->o->cfg;
	char hash[65];
	int r = op_mend(s->o, err);

	if (r == 0 && s->found == FOUND_DESTROYED)
		r = op_retire(s->o->ctid, err);
	if (r == 0)
		r = take_sample(s, err);
	if (r == 0)
		r = op_mend_names(s->o, err);
	if (r == 0)
		r = take_options(s, err);
	if (r < 0)
		return r;
	if (!c->template_dir)
		return vz_fail(err, VZ_EXIT_TEMPLATE_NOTSET, 0, "TEMPLATE is not set in vz.conf");
	if (!vps_is_set(c, VP_OSTEMPLATE))
		return vz_fail(err, VZ_EXIT_OSTEMPLATE_NOTSET, 0, "OS template is not specified");
	r = subst(&c->ve_root, s->o->ctid, err);
	if (r == 0)
		r = subst(&c->ve_private, s->o->ctid, err);
	if (r == 0)
		r = check_private(s, err);
	if (r == 0)
		r = tpl_find(c, c->ostemplate, s->archive, err);
	if (r < 0)
		return r;
	s->o->layout = sto_layout(c->ve_layout);
	if (!s->o->layout)
		return vz_fail(err, VZ_EXIT_VALUE, 0,
			       "VE_LAYOUT=\"%s\" cannot be made here (allowed: simfs, overlay)",
			       c->ve_layout);
	if (s->o->layout->needs_template) {
		r = tpl_hash(s->archive, hash, err);
		if (r == 0)
			r = vps_param_parse(c, VP_OSTEMPLATE_HASH, PM_SET, hash, VS_VPS, err);
	}
	if (r == 0)
		vz_say("Creating VPS private area");
	return r;
}

/*
 * The directory first: from now on a configuration that stands alone is known as a beginning of
 * ours.
 */
static int step_begin(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	const char *p = s->o->cfg.ve_private;
	char parent[PATH_MAX];
	char *slash;
	int r = 0;

	(void)vps_path(parent, "%s", p);
	slash = strrchr(parent, '/');
	*(slash == parent ? slash + 1 : slash) = '\0';
	r = vz_mkdir_p(parent, 0755);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MKDIR, -r, "Unable to make directory %s", parent);
	for (size_t i = 0; r == 0 && op_half_suffix(i); i++) /* of creates that were cut off */
		r = vz_rm_rf(AT_FDCWD, vps_path(s->tmp, "%s%s", p, op_half_suffix(i)));
	(void)vps_path(s->tmp, "%s%s", p,
		       op_half_suffix(s->found == FOUND_OTHERS ? OP_HALF_KEPT : OP_HALF_OWN));
	if (r < 0 || mkdir(s->tmp, 0755) < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, r < 0 ? -r : errno, "Unable to make %s",
			       s->tmp);
	return 0;
}

static void undo_begin(void *arg)
{
	struct creating *s = arg;

	if (s->tmp[0] && vz_rm_rf(AT_FDCWD, s->tmp) < 0)
		vz_warn("WARNING: %s could not be removed", s->tmp);
}

static bool has_name(const struct creating *s)
{
	return s->a->extra && vps_is_set(s->a->extra, VP_NAME) && *s->a->extra->name;
}

/* What an earlier create wrote for other options than today's goes, in the same rename. */
static int save_anew(const struct vps_config *c, bool which[VP_MAX], struct vz_error *err)
{
	VPS_CONFIG struct vps_config own = { 0 };

	if (vps_config_copy(&own, c) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "create");
	for (int id = 0; id < VP_MAX; id++) {
		if (!which[id])
			vps_param_clear(&own, id);
		which[id] = true;
	}
	return vps_save(&own, which, err);
}

static int step_config(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	struct vps_config *c = &s->o->cfg;
	VZ_FD int names = -EBADF;
	bool which[VP_MAX];
	int r = 0;

	if (has_name(s)) {
		names = vps_names_lock(err);
		r = names < 0 ? names : vps_name_link(s->o->ctid, c->name, err);
	}

	for (int id = 0; id < VP_MAX; id++)
		which[id] = c->source[id] >= VS_VPS && vps_param(id)->when != PW_GLOBAL;
	which[VP_NAME] = has_name(s);
	which[VP_VE_ROOT] = which[VP_VE_PRIVATE] = which[VP_OSTEMPLATE] = which[VP_VE_LAYOUT] =
		true;
	if (r == 0)
		r = s->found == FOUND_BEGUN ? save_anew(c, which, err) : vps_save(c, which, err);
	return r < 0 ? r : op_ids(s->o, err);
}

static void undo_config(void *arg)
{
	struct creating *s = arg;

	if (s->found != FOUND_OTHERS)
		(void)unlink(s->conf);
	if (has_name(s))
		vps_name_unlink(s->o->ctid, s->o->cfg.name);
}

static int step_private(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	struct op *o = s->o;
	VZ_FD int fd = -EBADF;
	int r, idmap;

	r = op_userns(o, err);
	if (r < 0)
		return r;
	s->place = (struct sto_place){ .private_dir = s->tmp, .base = o->base, .count = o->count };
	if (o->layout->needs_template) {
		r = tpl_unpacked(&o->cfg, o->cfg.ostemplate, o->cfg.ostemplate_hash, o->lower, err);
		s->place.lower = o->lower;
		return r < 0 ? r : o->layout->create(s->tmp, &s->place, err);
	}
	idmap = sto_can_idmap(s->tmp, s->o->userns);
	if (idmap < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, -idmap, "idmapped mount of %s", s->tmp);
	if (!idmap && chown(s->tmp, (uid_t)o->base, (gid_t)o->base) < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, errno, "chown %s", s->tmp);
	fd = vz_openat(AT_FDCWD, s->tmp, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, -fd, "open %s", s->tmp);
	return tpl_unpack(s->archive, fd, idmap ? 0 : o->base, err);
}

/*
 * Things that must be the VPS's own: machine id, ssh host keys; done before the rename makes it
 * visible.
 */
static int step_first(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	VZ_LIST struct vz_list warnings = { 0 };
	char mnt[PATH_MAX];
	VZ_FD int root = -EBADF;
	struct vz_error ignored;
	int r = vps_run_dir(s->o->ctid);

	(void)vps_path(mnt, "%s/%u/create", vps_paths()->run, s->o->ctid);
	if (r == 0)
		r = vz_mkdir_p(mnt, 0700);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MPOINT, -r, "make %s", mnt);
	if (sto_mounted(mnt) && sto_umount(mnt, err) < 0)
		return -EBUSY;
	s->place.root = mnt;
	r = s->o->layout->mount(&s->place, s->o->userns, err);
	if (r < 0)
		return r;
	root = sto_clone_root(s->o->layout, &s->place, s->o->userns, &warnings, err);
	r = root < 0 ? root : dist_apply(root, s->o->userns, &s->o->cfg, DIST_FIRST, NULL, err);
	vz_closep(&root);
	if (sto_umount(mnt, &ignored) < 0)
		vz_warn("WARNING: %s", ignored.msg);
	(void)rmdir(mnt);
	return r;
}

static int step_rename(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	const char *p = s->o->cfg.ve_private;
	VZ_FD int fd = vz_openat(AT_FDCWD, s->tmp, O_RDONLY | O_DIRECTORY, 0);
	char old[PATH_MAX];
	int r;

	if (fd >= 0)
		(void)syncfs(fd); /* a power cut after the rename must find the files */
	(void)rmdir(p); /* an empty one is allowed */
	if (rename(s->tmp, p) < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, errno, "rename %s", s->tmp);
	r = vz_fsync_dir_of(p); /* nor may it lose the rename once create has returned */
	if (r < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, -r, "fsync above %s", p);
	(void)unlink(vps_path(old, "%s/%u.conf.destroyed", vps_paths()->conf, s->o->ctid));
	return 0;
}

static void undo_rename(void *arg)
{
	struct creating *s = arg;

	if (access(s->tmp, F_OK) < 0 && rename(s->o->cfg.ve_private, s->tmp) < 0 && errno != ENOENT)
		vz_warn("WARNING: %s could not be renamed", s->o->cfg.ve_private);
}

static int step_script(void *arg, struct vz_error *err)
{
	struct creating *s = arg;

	return op_script(s->o, "vps.create", err);
}

static const struct op_step create_steps[] = {
	{ "plan", step_plan, NULL },
	{ "begin", step_begin, undo_begin },
	{ "config", step_config, undo_config },
	{ "private", step_private, NULL },
	{ "first", step_first, NULL },
	{ "rename", step_rename, undo_rename },
	{ "script", step_script, NULL },
};

static int check_addresses(const struct op_create *a, uint32_t ctid, struct vz_error *err)
{
	uint32_t holder;

	if (a->extra && vps_is_set(a->extra, VP_NAME) && *a->extra->name) {
		if (!vps_name_valid(a->extra->name, ctid))
			return vz_fail(err, VZ_EXIT_NAME, 0,
				       "Name \"%s\" cannot be used: digits alone are a CTID",
				       a->extra->name);
		if (vps_name_lookup(a->extra->name, &holder) == 0 && holder != ctid)
			return vz_fail(err, VZ_EXIT_NAME, 0,
				       "Conflict: name %s already used by VPS %u", a->extra->name,
				       holder);
	}
	return 0;
}

int op_create(const struct op_env *env, uint32_t ctid, const struct op_create *a,
	      struct vz_error *err)
{
	OP struct op o;
	struct creating s = { .o = &o, .a = a };
	int r = op_open_new(&o, env, ctid, "creating", err);

	if (r == 0)
		r = op_guard(&o, err);
	if (r == 0)
		r = vz_kernel_check(VZ_NEED_BUILD, err);
	if (r < 0)
		return r;
	r = check_addresses(a, ctid, err);
	if (r < 0)
		return r;
	(void)vps_path(s.conf, "%s/%u.conf", vps_paths()->conf, ctid);
	s.found = look_for_conf(ctid);
	r = op_steps_run("create", OP_STEPS(create_steps), &s, err);
	if (r == 0) {
		if (has_name(&s))
			vz_info("Name %s assigned", o.cfg.name);
		vz_info("from template %s", o.cfg.ostemplate);
		vz_say("VPS private area was created");
	}
	return r;
}
