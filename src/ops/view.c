/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The view from inside at start: the VPS runs with it or without. */
#include "ops/priv.h"

#include "context/context.h"
#include "util/log.h"

#include <inttypes.h>
#include <string.h>

#define NODES "WARNING: VPS sees the node's /proc/meminfo and the like: %s"

/*
 * Our own files, as far as the groups tell what is in them. lxcfs's stat is as good where it counts: on
 * v1. Return: of enum ctx_view_want.
 */
static unsigned int own_files(uint32_t ctid, bool server)
{
	unsigned int tells = res_view_tells(), want = 0;
	int r = op_view_files(ctid);

	if (r < 0) {
		vz_warn("WARNING: VPS sees the node's /proc/vmstat and the like: make %s/%" PRIu32
			"/proc: %s",
			vps_paths()->run, ctid, strerror(-r));
		return 0;
	}
	if (!server || !(tells & RES_TELLS_V1_CPU))
		want |= CTX_VIEW_STAT;
	if (tells & RES_TELLS_MEMORY)
		want |= CTX_VIEW_VMSTAT;
	if (tells & RES_TELLS_IO)
		want |= CTX_VIEW_DISKSTATS;
	return want;
}

/* Return: 0, and @place is to be cleared; -errno with @err. */
static int with_server(const struct op *o, struct ctx_view *v, struct res_view *place,
		       struct vz_error *err)
{
	const struct vps_config *c = &o->cfg;
	int r = res_view_create(o->ctid, place, err);

	if (r < 0)
		return r;
	v->want |= CTX_VIEW_SERVER;
	if (!c->meminfo || strcmp(c->meminfo, "none") != 0)
		v->want |= CTX_VIEW_MEMINFO;
	/* v1 limits memory and swap as a sum, and lxcfs calls all of it swap */
	if (place->v1_swap && vps_swap_bytes(c) == 0)
		v->want |= CTX_VIEW_NO_SWAP;
	v->group = place->group;
	memcpy(v->tasks, place->tasks, sizeof(place->tasks));
	v->ntasks = place->ntasks;
	v->hierarchies = &place->hierarchies;
	return 0;
}

bool op_view_begin(const struct op *o, const struct vz_list *covered, struct ctx_start *s)
{
	struct ctx_view v = { .ctid = o->ctid, .group = -1, .covered = covered };
	struct res_view place = { .group = -1 };
	bool server = ctx_view_server() != NULL;
	struct vz_error err;
	int r = 0;

	if (!vps_onoff(&o->cfg.features, "procview", true))
		return false;
	if (!server)
		vz_say("VPS sees the node's /proc/meminfo, cpuinfo and the like: there is no "
		       "/usr/bin/lxcfs, or no /dev/fuse");
	else if (with_server(o, &v, &place, &err) < 0) {
		vz_warn(NODES, err.msg);
		server = false;
	}
	v.want |= own_files(o->ctid, server);
	if (v.want)
		r = ctx_view_begin(s, &v, &err);
	res_view_clear(&place);
	if (r < 0)
		vz_warn(NODES, err.msg);
	return r == 0 && v.want;
}

void op_view_shown(struct ctx_start *s, struct vz_list *ret)
{
	struct vz_error err;
	bool unwatched = false;

	if (ctx_view_shown(s, ret, &unwatched, &err) < 0)
		vz_warn(NODES, err.msg);
	else if (unwatched)
		vz_say("VPS sees the node's /proc/vmstat and diskstats, and stat where lxcfs does "
		       "not count: the kernel does not tell when files are read (fanotify)");
}
