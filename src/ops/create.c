/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "dist/dist.h"
#include "ops/steps.h"
#include "template/template.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct creating {
	struct op *o;
	const struct op_create *a;
	char archive[PATH_MAX], tmp[PATH_MAX], conf[PATH_MAX];
	bool had_conf; /* a CTID.conf was there before and is kept */
	bool found_conf; /* it was there, perhaps of a create that was cut off */
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

/* A configuration without a private area, but with the temporary one beside: create did not come to its end. */
static bool was_cut_off(uint32_t ctid)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;
	char tmp[PATH_MAX];

	return vps_load(ctid, &c, NULL, &err) == 0 && c.ve_private &&
	       access(c.ve_private, F_OK) < 0 &&
	       access(vps_path(tmp, "%s.tmp", c.ve_private), F_OK) == 0;
}

static int take_sample(struct creating *s, struct vz_error *err)
{
	struct vps_config *c = &s->o->cfg;
	const char *name = s->a->sample ? s->a->sample : c->configfile;
	bool skip[VP_MAX] = { false };
	char path[PATH_MAX];
	int r = 0;

	if (s->a->sample && s->had_conf)
		return vz_fail(err, VZ_EXIT_SAMPLE, EEXIST,
			       "configuration %s exists, --config %s is not used", s->conf,
			       s->a->sample);
	if (s->had_conf) {
		vz_warn("WARNING: configuration %s exists and is kept", s->conf);
		r = vps_load_file(c, s->conf, VS_VPS, NULL);
		return r < 0 ? vz_fail(err, VZ_EXIT_INVALID_CONFIG, -r, "read %s", s->conf) : 0;
	}
	if (s->found_conf) /* of a create that was cut off: its ids stay its own */
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
	int r = take_sample(s, err);

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

static int step_config(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	struct vps_config *c = &s->o->cfg;
	bool which[VP_MAX];
	char old[PATH_MAX];
	int r;

	for (int id = 0; id < VP_MAX; id++)
		which[id] = c->source[id] >= VS_VPS && vps_param(id)->when != PW_GLOBAL &&
			    id != VP_NAME;
	which[VP_VE_ROOT] = which[VP_VE_PRIVATE] = which[VP_OSTEMPLATE] = which[VP_VE_LAYOUT] =
		true;
	r = vps_save(c, which, err);
	if (r < 0)
		return r;
	(void)unlink(vps_path(old, "%s/%u.conf.destroyed", vps_paths()->conf, s->o->ctid));
	return 0;
}

static int step_private(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	struct op *o = s->o;
	char parent[PATH_MAX];
	char *slash;
	VZ_FD int fd = -EBADF;
	int r, idmap;

	(void)vps_path(parent, "%s", o->cfg.ve_private);
	slash = strrchr(parent, '/');
	*(slash == parent ? slash + 1 : slash) = '\0';
	r = vz_mkdir_p(parent, 0755);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MKDIR, -r, "Unable to make directory %s", parent);
	(void)vps_path(s->tmp, "%s.tmp", o->cfg.ve_private);
	r = vz_rm_rf(AT_FDCWD, s->tmp); /* of a create that was cut off */
	if (r < 0 || mkdir(s->tmp, 0755) < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, r < 0 ? -r : errno, "Unable to make %s",
			       s->tmp);
	r = op_ids(o, err); /* after the directory: a LOCAL_UID saved now is known as a beginning */
	if (r < 0)
		return r;
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

static void undo_private(void *arg)
{
	struct creating *s = arg;

	if (s->tmp[0] && vz_rm_rf(AT_FDCWD, s->tmp) < 0)
		vz_warn("WARNING: %s could not be removed", s->tmp);
	if (!s->found_conf)
		(void)unlink(s->conf);
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

	if (fd >= 0)
		(void)syncfs(fd); /* a power cut after the rename must find the files */
	(void)rmdir(p); /* an empty one is allowed */
	if (rename(s->tmp, p) < 0)
		return vz_fail(err, VZ_EXIT_NEW_PRIVATE, errno, "rename %s", s->tmp);
	return 0;
}

static void undo_rename(void *arg)
{
	struct creating *s = arg;

	if (access(s->tmp, F_OK) < 0 && rename(s->o->cfg.ve_private, s->tmp) < 0 && errno != ENOENT)
		vz_warn("WARNING: %s could not be renamed", s->o->cfg.ve_private);
}

static int step_name(void *arg, struct vz_error *err)
{
	struct creating *s = arg;
	struct vps_config *c = &s->o->cfg;
	bool which[VP_MAX] = { false };
	int r;

	if (!s->a->extra || !vps_is_set(s->a->extra, VP_NAME) || !c->name || !*c->name)
		return 0;
	which[VP_NAME] = true;
	r = op_save_name(s->o, NULL, which, err);
	if (r == 0)
		vz_info("Name %s assigned", c->name);
	return r;
}

static void undo_name(void *arg)
{
	struct creating *s = arg;
	struct vz_error err;

	if (s->o->cfg.name && vps_name_assign(s->o->ctid, s->o->cfg.name, "", &err) < 0)
		vz_warn("WARNING: %s", err.msg);
}

static int step_script(void *arg, struct vz_error *err)
{
	struct creating *s = arg;

	return op_script(s->o, "vps.create", err);
}

static const struct op_step create_steps[] = {
	{ "plan", step_plan, NULL },
	{ "private", step_private, undo_private },
	{ "first", step_first, NULL },
	{ "config", step_config, NULL },
	{ "rename", step_rename, undo_rename },
	{ "name", step_name, undo_name },
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

	if (r < 0)
		return r;
	r = check_addresses(a, ctid, err);
	if (r < 0)
		return r;
	(void)vps_path(s.conf, "%s/%u.conf", vps_paths()->conf, ctid);
	s.found_conf = access(s.conf, F_OK) == 0;
	s.had_conf = s.found_conf && !was_cut_off(ctid);
	r = op_steps_run("create", create_steps, sizeof(create_steps) / sizeof(*create_steps), &s,
			 err);
	if (r == 0) {
		vz_info("from template %s", o.cfg.ostemplate);
		vz_say("VPS private area was created");
	}
	return r;
}
