/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "dist/dist.h"
#include "ops/steps.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct setting {
	struct op *o;
	const struct op_set *a;
	struct vps_config old;
	struct vps_config
		live; /* running: IP_ADDRESS as it will be up, which may differ from the file's */
	bool changed[VP_MAX], which[VP_MAX]; /* rows that are new; rows to be saved */
	bool running, applied, linked, saved;
	bool again; /* --setmode restart, and something needs it */
	char *before; /* text of CTID.conf, NULL: there was none */
	struct vz_list noted; /* st.live as it was, see vps_live_note() */
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
			s->o->said[c->id] = (uint8_t)c->mode;
		}
	return r;
}

/* Is row @id what other rows imply, or was it and nothing is any more? It is applied, and never saved. */
static bool implied(const struct setting *s, int id)
{
	return s->o->cfg.source[id] == VS_IMPLIED ||
	       (s->old.source[id] == VS_IMPLIED && !vps_is_set(&s->o->cfg, id));
}

static void take_implied(struct setting *s)
{
	vps_imply(&s->o->cfg);
	for (int id = 0; id < VP_MAX; id++)
		if (implied(s, id) && !vps_param_equal(&s->old, &s->o->cfg, id))
			s->changed[id] = true;
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

/* Said of what this line gives; a burst that no longer fits below a later limit is cut, and told. */
static int check_burst(const struct setting *s, struct vz_error *err)
{
	const struct vps_config *c = &s->o->cfg;
	uint64_t pct = vps_cpu_pct(c);

	if (!s->changed[VP_CPUBURST] || !c->cpuburst)
		return 0;
	if (pct == UINT64_MAX)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "--cpuburst needs --cpulimit or --cpus");
	if (c->cpuburst > pct)
		return vz_fail(err, VZ_EXIT_VALUE, 0,
			       "Bad value for --cpuburst: \"%" PRIu64 "\" (allowed: 0 to %" PRIu64
			       " ms with a limit of %" PRIu64 "%%)",
			       c->cpuburst, pct, pct);
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

static int check_node(const struct setting *s, struct vz_error *err)
{
	bool asked = false;

	for (size_t i = 0; i < s->a->nchanges; i++) /* a sample may be for greater nodes */
		asked = asked || s->a->changes[i].id == VP_PHYSPAGES;
	return asked ? op_check_ram(&s->o->cfg, s->o->said[VP_PHYSPAGES], s->a->force, err) : 0;
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

		if (s->changed[id] && p->group == AG_STORED && p->option && !implied(s, id))
			vz_warn("WARNING: --%s is stored; this version does not enforce it",
				vps_option_name(id, s->o->said[id]));
	}
}

/* A running VPS was told when they were applied. */
static void say_io(const struct setting *s)
{
	VZ_LIST struct vz_list missing = { 0 };
	bool any = s->changed[VP_IOPRIO] || s->changed[VP_IOLIMIT] || s->changed[VP_IOPSLIMIT];

	if (!s->running && any && res_io_check(&s->o->cfg, &missing) == 0)
		op_warn_all(&missing);
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

	if (vz_list_copy(&s->noted, &s->st.live) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "set");
	swap(&s->o->cfg.ip_address, &s->live.ip_address);
	swap(&s->old.ip_address, &s->st.addrs);
	r = op_apply_running(s->o, &s->st, &s->old, s->changed, err);
	swap(&s->old.ip_address, &s->st.addrs);
	swap(&s->o->cfg.ip_address, &s->live.ip_address);
	s->applied = r == 0;
	if (r < 0)
		return r;
	/* noted after it is so: what is up twice over is no error, what is noted but not up is */
	if (s->changed[VP_IP_ADDRESS])
		swap(&s->st.addrs, &s->live.ip_address);
	return note_live(s, s->a->save, err);
}

/* The other way round, when a later step failed; see apply_live for the lists. */
static void apply_back(struct setting *s)
{
	bool addrs = s->changed[VP_IP_ADDRESS];

	if (addrs) {
		swap(&s->o->cfg.ip_address, &s->st.addrs);
		swap(&s->old.ip_address, &s->live.ip_address);
	}
	op_apply_back(s->o, &s->st, &s->old, s->changed);
	if (addrs) {
		swap(&s->old.ip_address, &s->live.ip_address);
		swap(&s->o->cfg.ip_address, &s->st.addrs);
	}
	swap(&s->st.live, &s->noted);
	if (vps_state_save(s->o->ctid, &s->st) < 0)
		vz_warn("WARNING: what is in force in VPS %u could not be noted", s->o->ctid);
}

/*
 * ---- the steps: all or nothing ----
 *
 * One thing cannot be taken back: a file inside that `set` wrote for a parameter which had no value
 * before (resolv.conf, hostname), for what it held is not known.
 */

/* A leftover that resists must not keep a configuration from being edited. */
static int step_mend(void *arg, struct vz_error *err)
{
	struct setting *s = arg;

	if (s->o->ctid && op_mend(s->o, err) < 0)
		vz_warn("WARNING: %s", err->msg);
	return 0;
}

static int step_read(void *arg, struct vz_error *err)
{
	struct setting *s = arg;
	int r = take_applyconfig(s, err);

	if (r == 0)
		r = take_changes(s, err);
	if (r == 0)
		take_implied(s);
	return r;
}

static int step_check(void *arg, struct vz_error *err)
{
	static int (*const checks[])(const struct setting *s, struct vz_error *err) = {
		check_masks, check_burst, check_needs_save, check_running_paths,
		check_ids,   check_name,  check_node,
	};
	struct setting *s = arg;
	int r = vz_kernel_check(s->running || s->a->userpasswd ? VZ_NEED_BUILD : VZ_NEED_LOOK, err);

	for (size_t i = 0; r == 0 && i < sizeof(checks) / sizeof(*checks); i++)
		r = checks[i](s, err);
	if (r < 0)
		return r;
	drop_v6(s);
	if (!s->running || !needs_restart(s))
		return 0;
	if (s->a->setmode == OP_SETMODE_IGNORE)
		return vz_fail(err, VZ_EXIT_RUNNING, 0,
			       "some parameters need a restart and --setmode ignore was given");
	s->again = s->a->setmode == OP_SETMODE_RESTART;
	if (!s->again)
		vz_warn("WARNING: some parameters take effect at the next start of the VPS");
	return 0;
}

static int step_apply(void *arg, struct vz_error *err)
{
	struct setting *s = arg;
	int r = s->running ? apply_live(s, err) : 0;

	if (r < 0 && s->a->force) {
		vz_warn("WARNING: not applied: %s", err->msg);
		return 0;
	}
	if (r < 0)
		vz_error("Error: failed to apply some parameters, not saving configuration file!");
	return r;
}

static void undo_apply(void *arg)
{
	struct setting *s = arg;

	if (s->applied)
		apply_back(s);
	s->applied = false;
}

/* Rows that differ from what CTID.conf says. */
static bool pick_rows(struct setting *s)
{
	bool any = false;

	for (int id = 0; id < VP_MAX; id++) {
		s->which[id] =
			s->changed[id] && vps_param(id)->key && !implied(s, id) &&
			!(vps_param_equal(&s->old, &s->o->cfg, id) && s->old.source[id] == VS_VPS);
		any = any || s->which[id];
	}
	if (s->which[VP_NAME] && (!s->o->cfg.name || !*s->o->cfg.name))
		vps_param_clear(&s->o->cfg, VP_NAME);
	return any;
}

/*
 * A name counts when its link and NAME= agree, so the rename of CTID.conf gives the new one and
 * takes the old one at once; the new link is there before, the old one goes after it.
 */
static int step_save(void *arg, struct vz_error *err)
{
	struct setting *s = arg;
	const char *name;
	VZ_FD int names = -EBADF;
	char path[PATH_MAX];
	uint32_t holder;
	ssize_t n;
	int r = 0;

	if (!s->a->save || !pick_rows(s))
		return 0;
	name = s->o->cfg.name;
	n = vz_read_file(AT_FDCWD, vps_path(path, "%s/%u.conf", vps_paths()->conf, s->o->ctid),
			 4 << 20, &s->before);
	if (n < 0 && n != -ENOENT)
		return vz_fail(err, VZ_EXIT_CONFIG_SAVE, (int)-n, "read %s", path);
	if (s->which[VP_NAME] && name) {
		names = vps_names_lock(err);
		if (names < 0)
			return names;
		s->linked = vps_name_lookup(name, &holder) < 0;
		r = vps_name_link(s->o->ctid, name, err);
	}
	if (r == 0)
		r = vps_save(&s->o->cfg, s->which, err);
	s->saved = r == 0;
	return r;
}

static void undo_save(void *arg)
{
	struct setting *s = arg;
	char path[PATH_MAX];
	int r = 0;

	(void)vps_path(path, "%s/%u.conf", vps_paths()->conf, s->o->ctid);
	if (s->saved && s->before)
		r = vz_write_atomic(path, s->before, strlen(s->before), 0644);
	else if (s->saved)
		r = unlink(path) < 0 ? -errno : 0;
	if (r < 0)
		vz_warn("WARNING: %s could not be made as it was: %s", path, strerrordesc_np(-r));
	if (r == 0 && s->linked)
		vps_name_unlink(s->o->ctid, s->o->cfg.name);
}

/* The last that can fail: what the tenant's files are changed to cannot be taken back. */
static int step_password(void *arg, struct vz_error *err)
{
	struct setting *s = arg;

	return s->a->userpasswd ? set_password(s, err) : 0;
}

static int step_done(void *arg, struct vz_error *err)
{
	struct setting *s = arg;

	(void)err;
	say_stored(s);
	say_io(s);
	op_limits_say(s->o, s->running ? &s->old : NULL, s->changed);
	if (s->a->save && !s->saved)
		vz_say("No changes in CT configuration, not saving");
	else if (!s->a->save && (s->a->applyconfig || s->a->nchanges))
		vz_warn("WARNING: Settings were not saved to config and will be lost at the next "
			"start (use --save flag)");
	if (!s->saved)
		return 0;
	if (s->which[VP_NAME] && !vps_param_equal(&s->old, &s->o->cfg, VP_NAME))
		vps_name_unlink(s->o->ctid, s->old.name);
	if (s->which[VP_NAME] && s->o->cfg.name)
		vz_say("Name %s assigned", s->o->cfg.name);
	vz_say("CT configuration saved to %s/%u.conf", vps_paths()->conf, s->o->ctid);
	return 0;
}

static const struct op_step set_steps[] = {
	{ "mend", step_mend, NULL },	  { "read", step_read, NULL },
	{ "check", step_check, NULL },	  { "apply", step_apply, undo_apply },
	{ "save", step_save, undo_save }, { "password", step_password, NULL },
	{ "done", step_done, NULL },
};

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

static int set_now(struct setting *s, struct vz_error *err)
{
	const struct op_start start = { 0 };
	const struct op_stop stop = { 0 };
	int r = op_steps_run("set", OP_STEPS(set_steps), s, err);

	return r == 0 && s->again ? op_do_restart(s->o, &start, &stop, err) : r;
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
	vz_list_clear(&s.noted);
	free(s.before);
	return r;
}
