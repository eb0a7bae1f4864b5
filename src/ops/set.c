/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "dist/dist.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>

struct setting {
	struct op *o;
	const struct op_set *a;
	struct vps_config old;
	struct vps_config
		live; /* running: IP_ADDRESS as it will be up, which may differ from the file's */
	bool changed[VP_MAX];
	bool running;
	struct vps_state st;
};

/* ---- from options to a wanted configuration ---- */

/* --ipdel all comes first whatever its place, so that it can stand beside --ipadd in one call. */
static bool clears_all(const struct op_change *c)
{
	return c->mode == PM_DEL && !strcmp(c->text, "all");
}

/* A list that replaces the old one: the second time it is given on one line it adds. */
static enum vps_mode mode_of(const struct setting *s, const struct op_change *c)
{
	enum vps_type t = vps_param(c->id)->type;

	if (c->mode == PM_SET && (t == PT_DNS || t == PT_SEARCH) && s->changed[c->id])
		return PM_ADD;
	return c->mode;
}

static int take_changes(struct setting *s, struct vz_error *err)
{
	int r = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; r == 0 && i < s->a->nchanges; i++) {
			const struct op_change *c = &s->a->changes[i];

			if (clears_all(c) != (pass == 0))
				continue;
			r = vps_param_parse(&s->o->cfg, c->id, mode_of(s, c), c->text, VS_CLI, err);
			if (r == 0 && c->id == VP_IP_ADDRESS)
				r = vps_param_parse(&s->live, c->id, c->mode, c->text, VS_CLI, err);
			s->changed[c->id] = true;
		}
	return r;
}

static int take_applyconfig(struct setting *s, struct vz_error *err)
{
	static const enum vps_param_id own[] = { VP_HOSTNAME,  VP_IP_ADDRESS,	  VP_OSTEMPLATE,
						 VP_VE_ROOT,   VP_VE_PRIVATE,	  VP_DESCRIPTION,
						 VP_NAME,      VP_VEID,		  VP_LOCAL_UID,
						 VP_VE_LAYOUT, VP_OSTEMPLATE_HASH };
	VPS_CONFIG struct vps_config sample = { 0 };
	bool skip[VP_MAX] = { false };
	char path[PATH_MAX];
	int r;

	if (!s->a->applyconfig)
		return 0;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		skip[own[i]] = true;
	(void)vps_path(path, "%s/ve-%s.conf-sample", vps_paths()->conf, s->a->applyconfig);
	r = vps_load_file(&sample, path, VS_VPS, skip);
	if (r != 0)
		return vz_fail(err, VZ_EXIT_APPLY_CONFIG, r < 0 ? -r : 0, "Sample config %s %s",
			       path, r < 0 ? "cannot be read" : "has bad lines");
	for (int id = 0; id < VP_MAX; id++)
		if (vps_is_set(&sample, id)) {
			if (vps_param_copy(&s->o->cfg, &sample, id) < 0)
				return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "set");
			s->changed[id] = true;
		}
	return vps_param_parse(&s->o->cfg, VP_ORIGIN_SAMPLE, PM_SET, s->a->applyconfig, VS_CLI,
			       err) < 0
		       ? -EINVAL
		       : (s->changed[VP_ORIGIN_SAMPLE] = true, 0);
}

/* ---- rules between parameters ---- */

static int check_masks(const struct setting *s, struct vz_error *err)
{
	const struct vps_config *c = &s->o->cfg;

	if (s->changed[VP_NODEMASK] && !s->changed[VP_CPUMASK])
		return vz_fail(err, VZ_EXIT_USAGE, 0, "--nodemask must be used with --cpumask");
	if (s->changed[VP_CPUMASK] && c->cpumask && !strcmp(c->cpumask, "auto") &&
	    !vps_is_set(c, VP_NODEMASK))
		return vz_fail(err, VZ_EXIT_USAGE, 0, "--cpumask auto needs --nodemask");
	return 0;
}

static int check_needs_save(const struct setting *s, struct vz_error *err)
{
	static const enum vps_param_id saved[] = { VP_OSTEMPLATE, VP_STOP_TIMEOUT };

	if (s->a->save)
		return 0;
	if (s->a->setmode != OP_SETMODE_NONE || s->a->force)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "--setmode and --force need --save");
	if (s->changed[VP_NAME])
		return vz_fail(err, VZ_EXIT_NAME, 0, "--name needs --save");
	for (size_t i = 0; i < sizeof(saved) / sizeof(*saved); i++)
		if (s->changed[saved[i]])
			return vz_fail(err, VZ_EXIT_USAGE, 0, "--%s needs --save",
				       vps_param(saved[i])->option);
	return 0;
}

static int check_ids(const struct setting *s, struct vz_error *err)
{
	if (s->changed[VP_LOCAL_UID] && s->o->cfg.local_uid == 0)
		return vz_fail(err, VZ_EXIT_VALUE, 0,
			       "Bad value for --local_uid: \"0\" (it would make root inside root "
			       "of the node)");
	return 0;
}

static int check_running_paths(const struct setting *s, struct vz_error *err)
{
	if (s->running && (s->changed[VP_VE_ROOT] || s->changed[VP_VE_PRIVATE]))
		return vz_fail(err, VZ_EXIT_RUNNING, 0,
			       "--root and --private cannot change while the VPS runs");
	return 0;
}

static int check_name(const struct setting *s, struct vz_error *err)
{
	const char *name = s->o->cfg.name;
	uint32_t holder;

	if (!s->changed[VP_NAME] || !name || !*name)
		return 0;
	if (!vps_name_valid(name, s->o->ctid))
		return vz_fail(err, VZ_EXIT_NAME, 0,
			       "Name \"%s\" cannot be used: digits alone are a CTID", name);
	if (vps_name_lookup(name, &holder) == 0 && holder != s->o->ctid)
		return vz_fail(err, VZ_EXIT_NAME, 0, "Conflict: name %s already used by VPS %u",
			       name, holder);
	return 0;
}

/* IPV6=no: vzctl drops such addresses with a warning and goes on. */
static void drop_v6(struct setting *s)
{
	struct vz_list *const lists[] = { &s->o->cfg.ip_address, &s->live.ip_address };

	if (!s->changed[VP_IP_ADDRESS] || s->o->cfg.ipv6)
		return;
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			if (strchr(lists[k]->v[i], ':')) {
				if (k == 0)
					vz_warn("WARNING: IPV6=no in vz.conf, address %s is left "
						"out",
						lists[k]->v[i]);
				vz_list_del(lists[k], i--);
			}
}

static void say_stored(const struct setting *s)
{
	for (int id = 0; id < VP_MAX; id++) {
		const struct vps_param *p = vps_param(id);

		if (s->changed[id] && p->group == AG_STORED && p->option)
			vz_warn("WARNING: --%s is stored; this version does not enforce it",
				p->option);
	}
}

/* ---- doing it ---- */

static int set_password(struct setting *s, struct vz_error *err)
{
	VZ_FD int root = -EBADF, userns = -EBADF;
	struct vz_error ignored;
	char path[64];
	bool was = true;
	int r = 0;

	if (s->running) {
		(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)s->st.init_pid);
		root = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)s->st.init_pid);
		userns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
		if (root < 0 || userns < 0)
			return vz_fail(err, VZ_EXIT_PASSWORD, ESRCH, "open %s", path);
	} else {
		r = op_do_mount(s->o, false, &was, err);
		if (r == 0)
			r = op_root_fd(s->o, &root, err);
	}
	if (r == 0)
		r = dist_passwd(root, userns < 0 ? s->o->userns : userns, s->a->userpasswd, err);
	vz_closep(&root);
	if (!was && sto_mounted(s->o->cfg.ve_root) && op_do_umount(s->o, &ignored) < 0)
		vz_warn("WARNING: %s", ignored.msg);
	return r;
}

static bool needs_restart(const struct setting *s)
{
	for (int id = 0; id < VP_MAX; id++)
		if (s->changed[id] && vps_param(id)->when == PW_RESTART &&
		    vps_param(id)->group == AG_BOOT && !vps_param_equal(&s->old, &s->o->cfg, id))
			return true;
	return false;
}

static void swap(struct vz_list *a, struct vz_list *b)
{
	struct vz_list t = *a;

	*a = *b;
	*b = t;
}

/* What is in force now is the base of the next change, whether it was saved or not. */
static int note_live(struct setting *s, bool saved, struct vz_error *err)
{
	int r = vps_live_note(&s->st, &s->o->cfg, s->changed, VPS_LIVE_ALL, saved);

	if (r == 0)
		r = vps_state_save(s->o->ctid, &s->st);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "save the state of VPS %u", s->o->ctid) : 0;
}

/*
 * Addresses are compared with what is up, not with the file: an earlier change may not have been
 * saved. The lists of the configuration step aside for that time.
 */
static int apply_live(struct setting *s, struct vz_error *err)
{
	int r;

	swap(&s->o->cfg.ip_address, &s->live.ip_address);
	swap(&s->old.ip_address, &s->st.addrs);
	r = op_apply_running(s->o, &s->st, &s->old, s->changed, err);
	swap(&s->old.ip_address, &s->st.addrs);
	swap(&s->o->cfg.ip_address, &s->live.ip_address);
	if (r < 0)
		return r;
	if (s->changed[VP_IP_ADDRESS])
		swap(&s->st.addrs, &s->live.ip_address);
	return note_live(s, s->a->save, err);
}

static int apply(struct setting *s, bool *ret_restart, struct vz_error *err)
{
	int r;

	*ret_restart = false;
	if (!s->running)
		return 0;
	if (needs_restart(s)) {
		if (s->a->setmode == OP_SETMODE_IGNORE)
			return vz_fail(
				err, VZ_EXIT_RUNNING, 0,
				"some parameters need a restart and --setmode ignore was given");
		*ret_restart = s->a->setmode == OP_SETMODE_RESTART;
		if (!*ret_restart)
			vz_warn("WARNING: some parameters take effect at the next start of the "
				"VPS");
	}
	r = apply_live(s, err);
	if (r < 0 && s->a->force) {
		vz_warn("WARNING: not applied: %s", err->msg);
		return 0;
	}
	if (r < 0)
		vz_error("Error: failed to apply some parameters, not saving configuration file!");
	return r;
}

static int save(struct setting *s, struct vz_error *err)
{
	bool which[VP_MAX], any = false;
	struct vps_config *c = &s->o->cfg;
	int r;

	for (int id = 0; id < VP_MAX; id++) {
		which[id] = s->changed[id] && vps_param(id)->key;
		if (which[id] && vps_param_equal(&s->old, c, id) && s->old.source[id] == VS_VPS)
			which[id] = false;
		any = any || which[id];
	}
	if (!any) {
		vz_say("No changes in CT configuration, not saving");
		return 0;
	}
	if (which[VP_NAME] && (!c->name || !*c->name))
		vps_param_clear(c, VP_NAME);
	r = which[VP_NAME] ? op_save_name(s->o, s->old.name, which, err) : vps_save(c, which, err);
	if (r == 0 && which[VP_NAME] && c->name)
		vz_say("Name %s assigned", c->name);
	if (r == 0)
		vz_say("CT configuration saved to %s/%u.conf", vps_paths()->conf, s->o->ctid);
	return r;
}

static int reset_ub(struct setting *s, struct vz_error *err)
{
	int r;

	if (s->a->nchanges || s->a->save || s->a->applyconfig)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "--reset_ub must be used alone");
	if (!s->running)
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
	for (int id = 0; id < VP_MAX; id++)
		s->changed[id] = vps_param(id)->type == PT_UBC;
	r = op_apply_running(s->o, &s->st, &s->old, s->changed, err);
	return r < 0 ? r : note_live(s, true, err);
}

static int restart(struct setting *s, struct vz_error *err)
{
	const struct op_start start = { 0 };
	const struct op_stop stop = { 0 };
	int r = op_do_stop(s->o, &stop, err);

	return r < 0 ? r : op_do_start(s->o, &start, err);
}

static int set_now(struct setting *s, struct vz_error *err)
{
	bool again = false, any = s->a->applyconfig || s->a->nchanges;
	int r = take_applyconfig(s, err);

	if (r == 0)
		r = take_changes(s, err);
	if (r == 0)
		r = check_masks(s, err);
	if (r == 0)
		r = check_needs_save(s, err);
	if (r == 0)
		r = check_running_paths(s, err);
	if (r == 0)
		r = check_ids(s, err);
	if (r == 0)
		r = check_name(s, err);
	if (r < 0)
		return r;
	drop_v6(s);
	r = apply(s, &again, err);
	if (r == 0)
		say_stored(s);
	if (r == 0 && s->a->userpasswd)
		r = set_password(s, err);
	if (r < 0)
		return r;
	if (s->a->save)
		r = save(s, err);
	else if (any)
		vz_warn("WARNING: Settings were not saved to config and will be lost at the next "
			"start "
			"(use --save flag)");
	return r == 0 && again ? restart(s, err) : r;
}

int op_set(const struct op_env *env, uint32_t ctid, const struct op_set *a, struct vz_error *err)
{
	OP struct op o;
	struct setting s = { .o = &o, .a = a };
	int r = op_open(&o, env, ctid, "setting", err);

	if (r == -ENOENT && err->exit == VZ_EXIT_NOVECONFIG && a->save)
		r = 0; /* vzctl makes the file; the global values are loaded, the lock is held */
	if (r < 0)
		return r;
	if (o.bad)
		vz_warn("WARNING: %u bad line(s) in the configuration are left as they are", o.bad);
	s.running = ctid && vps_running(ctid, &s.st);
	if (s.running && !a->reset_ub)
		vps_live_over(&s.st, &o.cfg, VPS_LIVE_ALL);
	r = vps_config_copy(&s.old, &o.cfg);
	if (r == 0)
		r = vz_list_copy(&s.live.ip_address, s.running ? &s.st.addrs : &o.cfg.ip_address);
	if (r < 0)
		r = vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "set");
	else
		r = a->reset_ub ? reset_ub(&s, err) : set_now(&s, err);
	vps_config_clear(&s.old);
	vps_config_clear(&s.live);
	vps_state_clear(&s.st);
	return r;
}
