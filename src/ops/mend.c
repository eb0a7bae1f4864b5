/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was left behind, by a command that was killed or by a VPS that died with its monitor. */
#include "ops/priv.h"

#include "net/net.h"
#include "ops/ubc.h"
#include "ubc/ubc.h"
#include "util/log.h"

#include <errno.h>

int op_cleanup_dead(struct op *o, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	RES_CG struct cg *cg = NULL;
	struct vz_error ignored;
	int r = res_view_remove(o->ctid, err);

	if (r < 0)
		return r;
	r = vps_state_load(o->ctid, &st);
	if (r == -ENOENT || r == -ESTALE) {
		vps_state_forget(o->ctid);
		r = res_leftovers(o->ctid) > 0 ? res_remove_stale(o->ctid, err) : -ENOENT;
		if (r == 0)
			ubc_forget(o->ctid);
		return r == -ENOENT ? 0 : r;
	}
	if (r < 0) /* damaged: the groups are found by name */
		r = res_remove_stale(o->ctid, err);
	else
		r = res_open(&st.cgroups, &cg, err);
	if (r == 0 && cg)
		r = res_kill_all(cg, 10000, err);
	if (r == 0 && cg)
		r = res_remove(cg, err);
	op_node_share(&o->cfg);
	for (size_t i = 0; r == 0 && i < st.addrs.n; i++)
		if (net_addr_del(st.ifname, -1, st.addrs.v[i], &ignored) < 0)
			vz_info("%s", ignored.msg);
	if (r == 0) {
		ubc_forget(o->ctid);
		vps_state_forget(o->ctid);
		op_ubc_node_idle();
	}
	return r;
}

int op_mend(struct op *o, struct vz_error *err)
{
	char create[PATH_MAX]; /* where create mounts what it makes, for the first files in it */
	int r;

	if (vps_running(o->ctid, NULL))
		return 0;
	r = op_cleanup_dead(o, err);
	(void)vps_path(create, "%s/%u/create", vps_paths()->run, o->ctid);
	if (r == 0 && o->lock.fd >= 0 && sto_mounted(create))
		r = sto_umount(create, err);
	if (r == 0 && o->lock.fd >= 0 && sto_mounted(o->cfg.ve_root) && op_mount_is_ours(o) &&
	    op_mount_note(o->ctid) != OP_MOUNT_KEPT)
		r = op_do_umount(o, err);
	return r;
}
