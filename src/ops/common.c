/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/cpt.h"

#include "plan/plan.h"
#include "template/template.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/userns.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

static int take_lock(struct op *o, const char *word, struct vz_error *err)
{
	o->lock.fd = -1;
	if (o->env->skiplock)
		return 0;
	return vps_lock_take(&o->cfg, o->ctid, word, o->env->lock_wait_ms, &o->lock, err);
}

int op_open_new(struct op *o, const struct op_env *env, uint32_t ctid, const char *word,
		struct vz_error *err)
{
	int r;

	*o = (struct op){ .env = env, .ctid = ctid, .lock = { .fd = -1 }, .userns = -1 };
	vz_log_ctid(ctid);
	r = vps_load_global(&o->cfg, err);
	if (r < 0)
		return r;
	o->cfg.ctid = ctid;
	return take_lock(o, word, err);
}

/* After a command that was cut off: links are made before NAME= is saved and removed after it. */
int op_mend_names(struct op *o, struct vz_error *err)
{
	VZ_LIST struct vz_list strays = { 0 };
	const char *name = o->cfg.name && *o->cfg.name ? o->cfg.name : NULL;

	if (!o->lock.stale[0])
		return 0;
	if (vps_name_strays(o->ctid, name, &strays) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "names of VPS %u", o->ctid);
	for (size_t i = 0; i < strays.n; i++)
		vps_name_unlink(o->ctid, strays.v[i]);
	return 0;
}

int op_open(struct op *o, const struct op_env *env, uint32_t ctid, const char *word,
	    struct vz_error *err)
{
	int r = op_open_new(o, env, ctid, word, err);

	if (r == 0)
		r = vps_load_over(&o->cfg, ctid, &o->bad, err); /* under the lock */
	if (r == 0)
		r = op_mend_names(o, err);
	if (r == 0)
		r = op_guard(o, err);
	return r < 0 || env->skiplock ? r : op_cpt_mend(o, err);
}

void op_close(struct op *o)
{
	vz_closep(&o->userns);
	vps_config_clear(&o->cfg);
	vps_lock_drop(&o->lock);
}

int op_save_row(struct op *o, enum vps_param_id id, struct vz_error *err)
{
	bool which[VP_MAX] = { false };

	which[id] = true;
	return vps_save(&o->cfg, which, err);
}

int op_ids(struct op *o, struct vz_error *err)
{
	char path[PATH_MAX];
	VZ_FD int lock = -EBADF;
	bool save;
	int r;

	if (o->count)
		return 0;
	/* two VPSes that look for a free slot at once must not find the same one */
	r = vz_mkdir_p(vps_paths()->run, 0755);
	if (r == 0)
		lock = vz_openat(AT_FDCWD, vps_path(path, "%s/ids.lck", vps_paths()->run),
				 O_RDWR | O_CREAT, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, r < 0 ? -r : EIO, "lock %s/ids.lck",
			       vps_paths()->run);
	r = vps_idbase(&o->cfg, &o->base, &o->count, &save, err);
	if (r < 0)
		return r;
	return save ? op_save_row(o, VP_LOCAL_UID, err) : 0;
}

int op_userns(struct op *o, struct vz_error *err)
{
	int r = o->userns < 0 ? op_ids(o, err) : 0;

	if (r < 0)
		return r;
	if (o->userns < 0)
		o->userns = vz_userns_open(o->base, o->count);
	return o->userns < 0 ? vz_fail(err, VZ_EXIT_MOUNT, -o->userns, "user namespace of VPS %u",
				       o->ctid)
			     : o->userns;
}

int op_place(struct op *o, struct sto_place *ret, struct vz_error *err)
{
	int r = op_ids(o, err);

	if (r < 0)
		return r;
	if (!o->cfg.ve_root || !*o->cfg.ve_root)
		return vz_fail(err, VZ_EXIT_ROOT_NOTSET, 0, "VE_ROOT is not set");
	if (!o->cfg.ve_private || !*o->cfg.ve_private)
		return vz_fail(err, VZ_EXIT_PRIVATE_NOTSET, 0, "VE_PRIVATE is not set");
	o->layout = sto_layout(o->cfg.ve_layout);
	if (!o->layout)
		return vz_fail(err, VZ_EXIT_UNKNOWN_LAYOUT, 0,
			       "VE_LAYOUT=\"%s\" is not known here (allowed: simfs, overlay)",
			       o->cfg.ve_layout);
	if (o->layout->needs_template && !o->lower[0]) {
		if (!o->cfg.ostemplate || !o->cfg.ostemplate_hash)
			return vz_fail(
				err, VZ_EXIT_NO_TEMPLATE, 0,
				"OSTEMPLATE and OSTEMPLATE_HASH are needed for the overlay layout");
		r = tpl_unpacked(&o->cfg, o->cfg.ostemplate, o->cfg.ostemplate_hash, o->lower, err);
		if (r < 0)
			return r;
	}
	*ret = (struct sto_place){ .root = o->cfg.ve_root,
				   .private_dir = o->cfg.ve_private,
				   .lower = o->lower[0] ? o->lower : NULL,
				   .base = o->base,
				   .count = o->count };
	return 0;
}

void op_warn_all(const struct vz_list *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		vz_warn("WARNING: %s", lines->v[i]);
}

int op_check_ram(const struct vps_config *c, enum vps_mode said, bool force, struct vz_error *err)
{
	const char *option = vps_option_name(VP_PHYSPAGES, said);
	uint64_t ram = vps_ram_bytes(c);
	struct plan_node node;

	if (!vps_is_vswap(c))
		return 0;
	if (ram == 0)
		return vz_fail(err, VZ_EXIT_VALUE, 0,
			       "Bad value for --%s: no memory at all (allowed: a page or more)",
			       option);
	if (force || plan_node_read("/proc", &node) < 0 || ram <= node.ram_bytes)
		return 0;
	return vz_fail(err, VZ_EXIT_VALUE, 0,
		       "Bad value for --%s: %" PRIu64 " MiB are more than the %" PRIu64
		       " MiB of this node (set --save --force stores it)",
		       option, ram >> 20, node.ram_bytes >> 20);
}

void op_warn_said(const struct op *o, const struct vz_list *lines)
{
	for (size_t i = 0; i < lines->n; i++) {
		const char *line = lines->v[i], *rest = line + strcspn(line, ":,");
		char option[64] = "";
		enum vps_mode mode;
		int id = -1;

		if (!strncmp(line, "--", 2) && (size_t)(rest - line) < sizeof(option)) {
			memcpy(option, line + 2, (size_t)(rest - line) - 2);
			id = vps_param_by_option(option, &mode);
		}
		if (id >= 0)
			vz_warn("WARNING: --%s%s", vps_option_name(id, o->said[id]), rest);
		else
			vz_warn("WARNING: %s", line);
	}
}

char *op_host_resolv(void)
{
	char *text = NULL;

	return vz_read_file(AT_FDCWD, "/etc/resolv.conf", 65536, &text) < 0 ? NULL : text;
}
