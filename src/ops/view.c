/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The view from inside at start: the VPS runs with it or without. */
#include "ops/priv.h"

#include "context/context.h"
#include "util/log.h"

#include <string.h>

bool op_view_begin(const struct op *o, const struct vz_list *covered, struct ctx_start *s)
{
	const struct vps_config *c = &o->cfg;
	struct ctx_view v = { .ctid = o->ctid, .covered = covered };
	struct res_view place;
	struct vz_error err;
	int r;

	if (!vps_onoff(&c->features, "procview", true))
		return false;
	if (!ctx_view_server()) {
		vz_say("VPS sees the node's /proc/meminfo, stat and the like: there is no "
		       "/usr/bin/lxcfs, or no /dev/fuse");
		return false;
	}
	r = res_view_create(o->ctid, &place, &err);
	if (r == 0) {
		if (!c->meminfo || strcmp(c->meminfo, "none") != 0)
			v.want |= CTX_VIEW_MEMINFO;
		/* v1 limits memory and swap as a sum, and lxcfs calls all of it swap */
		if (place.v1_swap && vps_swap_bytes(c) == 0)
			v.want |= CTX_VIEW_NO_SWAP;
		v.group = place.group;
		memcpy(v.tasks, place.tasks, sizeof(place.tasks));
		v.ntasks = place.ntasks;
		v.hierarchies = &place.hierarchies;
		r = ctx_view_begin(s, &v, &err);
		res_view_clear(&place);
	}
	if (r < 0)
		vz_warn("WARNING: VPS sees the node's /proc/meminfo and the like: %s", err.msg);
	return r == 0;
}

void op_view_shown(struct ctx_start *s, struct vz_list *ret)
{
	struct vz_error err;

	if (ctx_view_shown(s, ret, &err) < 0)
		vz_warn("WARNING: VPS sees the node's /proc/meminfo and the like: %s", err.msg);
}
