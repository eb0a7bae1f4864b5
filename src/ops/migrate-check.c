/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a target looks at before anything is changed, in the order of the reference. */
#include "ops/taking.h"

#include "checkpoint/checkpoint.h"
#include "net/net.h"
#include "template/template.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Parents that are there, of a directory that is perhaps not. */
static int existing_parent(const char *path, char ret[PATH_MAX])
{
	char *slash;

	(void)vps_path(ret, "%s", path);
	while ((slash = strrchr(ret, '/'))) {
		*(slash == ret ? slash + 1 : slash) = '\0';
		if (access(ret, F_OK) == 0)
			return 0;
		if (slash == ret)
			break;
	}
	return -ENOENT;
}

static int check_absent(const struct taking *t, struct vz_error *err)
{
	const struct op *o = &t->o;
	char path[PATH_MAX];
	uint32_t holder;

	if (access(vps_path(path, "%s/%u.conf", vps_paths()->conf, o->ctid), F_OK) == 0)
		return vz_fail(err, MIG_EXIT_EXISTS, 0, "VPS %u exists on the target", o->ctid);
	if (vps_running(o->ctid, NULL))
		return vz_fail(err, MIG_EXIT_EXISTS, 0, "VPS %u runs on the target", o->ctid);
	if (!t->j.shared && access(o->cfg.ve_private, F_OK) == 0)
		return vz_fail(err, MIG_EXIT_EXISTS, 0, "%s exists on the target",
			       o->cfg.ve_private);
	if (t->f.name[0] && vps_name_lookup(t->f.name, &holder) == 0 && holder != o->ctid)
		return vz_fail(err, MIG_EXIT_CONFIG, 0, "name %s is that of VPS %u on the target",
			       t->f.name, holder);
	return 0;
}

/* "10.0.0.1" of "10.0.0.1/24". */
static size_t address_len(const char *s)
{
	return strcspn(s, "/");
}

static bool holds_address(const struct vz_list *l, const char *ip)
{
	size_t n = address_len(ip);

	for (size_t i = 0; i < l->n; i++)
		if (address_len(l->v[i]) == n && !strncmp(l->v[i], ip, n))
			return true;
	return false;
}

static int check_others(const struct taking *t, struct vz_error *err)
{
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n = vps_list_ctids(&ids);

	for (ssize_t i = 0; i < n; i++) {
		VPS_CONFIG struct vps_config c = { 0 };
		VPS_STATE struct vps_state st = { 0 };
		struct vz_error ignored;

		if (ids[i] == t->o.ctid || vps_load(ids[i], &c, NULL, &ignored) < 0)
			continue;
		if (vps_state_load(ids[i], &st) < 0)
			vps_state_clear(&st);
		for (size_t k = 0; k < t->f.ips.n; k++)
			if (holds_address(&c.ip_address, t->f.ips.v[k]) ||
			    holds_address(&st.addrs, t->f.ips.v[k]))
				return vz_fail(err, MIG_EXIT_IP, 0,
					       "address %s is that of VPS %u on the target",
					       t->f.ips.v[k], ids[i]);
	}
	return 0;
}

static int check_addresses(const struct taking *t, struct vz_error *err)
{
	int r = check_others(t, err);

	for (size_t i = 0; r == 0 && i < t->f.ips.n; i++) {
		r = net_addr_free(t->f.ips.v[i], err);
		if (r < 0)
			r = vz_wrap(err, op_moving_exit(err, r, MIG_EXIT_IP), "on the target");
	}
	return r;
}

static int check_layout(struct taking *t, struct vz_error *err)
{
	struct vps_config *c = &t->o.cfg;
	char shown[40];

	if (!sto_layout(t->f.layout))
		return vz_fail(err, MIG_EXIT_LAYOUT, 0, "layout \"%s\" is not known on the target",
			       vz_quote(shown, sizeof(shown), t->f.layout));
	if (vps_param_parse(c, VP_VE_LAYOUT, PM_SET, t->f.layout, VS_VPS, err) < 0)
		return -EINVAL;
	t->o.layout = sto_layout(t->f.layout);
	return 0;
}

/* The template under an overlay: unpacked, or an archive of the same hash, or it is to be sent. */
static int check_template(struct taking *t, struct vz_error *err)
{
	const struct vps_config *c = &t->o.cfg;
	char path[PATH_MAX], archive[PATH_MAX], hash[65];
	struct vz_error ignored;

	t->send_template = false;
	if (!t->o.layout->needs_template)
		return 0;
	if (!tpl_name_valid(t->f.ostemplate) || !tpl_hash_valid(t->f.hash))
		return vz_fail(err, MIG_EXIT_TEMPLATE, 0, "name or hash of the template");
	if (!c->template_dir)
		return vz_fail(err, MIG_EXIT_TEMPLATE, 0, "TEMPLATE is not set on the target");
	(void)vps_path(path, "%s/unpacked/%s@%s", c->template_dir, t->f.ostemplate, t->f.hash);
	if (access(path, F_OK) == 0)
		return 0;
	if (tpl_find(c, t->f.ostemplate, archive, &ignored) == 0 &&
	    tpl_hash(archive, hash, &ignored) == 0 && vz_streq(hash, t->f.hash))
		return 0;
	t->send_template = true;
	return 0;
}

/* A tenth more than it takes on the source: blocks differ. */
static int check_space(const struct taking *t, struct vz_error *err)
{
	uint64_t want = t->f.bytes + t->f.bytes / 10, inodes = t->f.inodes + t->f.inodes / 10, have;
	char dir[PATH_MAX];
	struct statvfs fs;

	if (t->j.shared || (t->f.nodeps & OP_NODEPS_SPACE))
		return 0;
	if (existing_parent(t->o.cfg.ve_private, dir) < 0 || statvfs(dir, &fs) < 0)
		return vz_fail(err, MIG_EXIT_SPACE, errno, "%s on the target", t->o.cfg.ve_private);
	have = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (have < want)
		return vz_fail(err, MIG_EXIT_SPACE, 0,
			       "%s on the target has %" PRIu64 " MiB free, the VPS needs %" PRIu64,
			       dir, have >> 20, want >> 20);
	if (fs.f_files && fs.f_favail < inodes)
		return vz_fail(err, MIG_EXIT_SPACE, 0,
			       "%s on the target has %" PRIu64
			       " inodes free, the VPS needs %" PRIu64,
			       dir, (uint64_t)fs.f_favail, inodes);
	return 0;
}

/*
 * The ids: the same as on the source when there is memory to move, or files that lie on disk shifted;
 * else those of the source if they are free, else others.
 */
static int check_ids(struct taking *t, struct vz_error *err)
{
	struct op *o = &t->o;
	bool same = t->f.same_base, save;
	char number[24];
	int r;

	if (t->f.count != 0x10000) {
		(void)snprintf(number, sizeof(number), "%" PRIu64, t->f.count);
		r = vps_param_parse(&o->cfg, VP_LOCAL_UID_COUNT, PM_SET, number, VS_VPS, err);
		if (r < 0)
			return r;
	}
	(void)snprintf(number, sizeof(number), "%" PRIu64, t->f.base);
	r = vps_param_parse(&o->cfg, VP_LOCAL_UID, PM_SET, number, VS_VPS, err);
	if (r == 0)
		r = vps_idbase(&o->cfg, &o->base, &o->count, &save, err);
	if (r < 0 && !same) {
		vps_param_clear(&o->cfg, VP_LOCAL_UID);
		r = vps_idbase(&o->cfg, &o->base, &o->count, &save, err);
	}
	if (r < 0) {
		err->exit = MIG_EXIT_FEATURES;
		return vz_wrap(err, r, "on the target");
	}
	return 0;
}

static int check_idmap(struct taking *t, struct vz_error *err)
{
	char dir[PATH_MAX];
	int userns, idmap;

	if (t->o.layout->needs_template || t->j.shared)
		return 0;
	userns = op_userns(&t->o, err);
	if (userns < 0)
		return userns;
	idmap = existing_parent(t->o.cfg.ve_private, dir) < 0 ? -ENOENT
							      : sto_can_idmap(dir, userns);
	if (idmap < 0)
		return vz_fail(err, MIG_EXIT_LAYOUT, -idmap, "idmapped mounts of %s on the target",
			       dir);
	if ((idmap == 1) != t->f.idmap)
		return vz_fail(err, MIG_EXIT_LAYOUT, 0,
			       "%s on the target %s idmapped mounts, the source's file system %s: "
			       "owners of "
			       "files would be wrong",
			       dir, idmap ? "takes" : "takes no", t->f.idmap ? "does" : "does not");
	return 0;
}

static int check_criu(const struct taking *t, struct vz_error *err)
{
	struct cpt_criu criu;
	int r = t->f.memory ? cpt_criu_find(MIG_EXIT_VERSION, &criu, err) : 0;

	return r < 0 ? vz_wrap(err, r, "on the target") : 0;
}

static int check_cpu(const struct taking *t, struct vz_error *err)
{
	VZ_FREE char *want = vz_list_join(&t->f.cpu, " "), *have = cpt_cpu_flags(), *missing = NULL;

	if (!t->f.memory || (t->f.nodeps & OP_NODEPS_CPU))
		return 0;
	if (!want || !have)
		return vz_fail(err, MIG_EXIT_CPU, 0, "the target's CPU is not known");
	if (cpt_cpu_missing(cpt_cpu_caps(want), cpt_cpu_caps(have), &missing) < 0)
		return vz_fail(err, MIG_EXIT_CPU, ENOMEM, "compare processors");
	return missing ? vz_fail(err, MIG_EXIT_CPU, 0, "the target's CPU lacks %s", missing) : 0;
}

/* The source has left a file with random text beside its private area: do we see it beside ours? */
static void look_shared(struct taking *t)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];
	const char *slash = strrchr(t->o.cfg.ve_private, '/');

	if (!mig_id_valid(t->f.token) || !slash)
		return;
	(void)vps_path(path, "%.*s/.vzmigrate-%s", (int)(slash - t->o.cfg.ve_private),
		       t->o.cfg.ve_private, t->f.token);
	t->j.shared = vz_read_file(AT_FDCWD, path, 64, &text) == 32 && vz_streq(text, t->f.token);
}

int op_taking_check(struct taking *t, struct vz_error *err)
{
	int r = check_layout(t, err);

	look_shared(t);
	if (r == 0)
		r = check_absent(t, err);
	if (r == 0)
		r = check_addresses(t, err);
	if (r == 0)
		r = check_template(t, err);
	if (r == 0)
		r = check_ids(t, err);
	if (r == 0)
		r = check_idmap(t, err);
	if (r == 0)
		r = check_criu(t, err);
	if (r == 0 && op_move_way(t->mode)->lazy)
		r = op_moving_exit(err, cpt_lazy_target(err), MIG_EXIT_FEATURES);
	if (r == 0)
		r = check_cpu(t, err);
	return r < 0 ? r : check_space(t, err);
}
