/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Beancounters of a VPS that runs: from its configuration into the table of room ubc. */
#include "ops/priv.h"

#include "context/context.h"
#include "resources/resources.h"
#include "ubc/ubc.h"
#include "util/fd.h"
#include "util/log.h"

#include <string.h>
#include <sys/resource.h>

/* Counter of a row of the configuration; -1: it is none. */
static int counter_of(enum vps_param_id id)
{
	const struct vps_param *p = vps_param(id);

	return p->type == PT_UBC && p->option ? ubc_by_name(p->option) : -1;
}

static struct vps_pair value_of(const struct vps_config *c, enum vps_param_id id)
{
	const struct vps_pair none = { INT64_MAX, INT64_MAX };
	struct vps_pair v;

	memcpy(&v, (const char *)c + vps_param(id)->offset, sizeof(v));
	return vps_is_set(c, id) ? v : none;
}

static void collect(const struct vps_config *cfg, uint64_t barrier[UBC_NR], uint64_t limit[UBC_NR])
{
	for (int c = 0; c < UBC_NR; c++)
		barrier[c] = limit[c] = INT64_MAX;
	for (int id = 0; id < VP_MAX; id++) {
		const int c = counter_of((enum vps_param_id)id);
		struct vps_pair v;

		if (c < 0)
			continue;
		v = value_of(cfg, (enum vps_param_id)id);
		barrier[c] = v.bar;
		limit[c] = v.lim;
	}
	/* the console is one: without it nothing starts */
	if (limit[UBC_NUMPTY] == 0)
		barrier[UBC_NUMPTY] = limit[UBC_NUMPTY] = 1;
}

int op_limits_apply(const struct op *o, struct vz_error *err)
{
	uint64_t barrier[UBC_NR], limit[UBC_NR];

	collect(&o->cfg, barrier, limit);
	return ubc_limits(o->ctid, barrier, limit, err);
}

/* ---- limits of processes, in all that there are ---- */

/* What start gives a process of the VPS, if it may. @unit: bytes of one */
static uint64_t rlimit_of(const struct vps_config *c, enum vps_param_id id, uint64_t unit)
{
	const uint64_t n = value_of(c, id).lim;

	return n < INT64_MAX / unit ? n * unit : UINT64_MAX;
}

void op_limits_live(struct op *o, const struct vps_state *st, const struct vps_config *old)
{
	static const struct {
		enum vps_param_id id;
		int what;
		uint64_t unit;
		enum ubc_counter counter;
	} rows[] = { { VP_LOCKEDPAGES, RLIMIT_MEMLOCK, 4096, UBC_LOCKEDPAGES },
		     { VP_NUMSIGINFO, RLIMIT_SIGPENDING, 1, UBC_NUMSIGINFO } };
	RES_CG struct cg *cg = NULL;
	struct vz_error unused;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct res_rlimit l = {
			rows[i].what,
			rlimit_of(old, rows[i].id, rows[i].unit),
			rlimit_of(&o->cfg, rows[i].id, rows[i].unit),
		};
		int r = 0;

		if (l.from != l.to && !cg)
			r = res_open(&st->cgroups, &cg, &unused);
		if (r == 0 && l.from != l.to)
			r = res_rlimit_all(cg, &l, st->uid_base);
		if (r < 0)
			vz_info("--%s in the processes of VPS %u: %s",
				vps_param(rows[i].id)->option, o->ctid, strerror(-r));
		/* of signals the user namespace has a sum, which nobody can change */
		if (r == 0 && (rows[i].counter != UBC_NUMSIGINFO || l.to < l.from))
			o->in_force |= 1U << rows[i].counter;
	}
}

int op_limits_begin(const struct op *o, const struct vps_state *st, struct vz_error *err)
{
	const char *group = vps_state_cgroup(st, "v2");
	uint64_t barrier[UBC_NR], limit[UBC_NR];
	int r = ubc_ensure(err);

	if (r < 0)
		return r;
	if (!group)
		return vz_fail(err, VZ_EXIT_RESOURCE, ENOENT, "VPS %u has no group of cgroup2",
			       o->ctid);
	collect(&o->cfg, barrier, limit);
	return ubc_begin(o->ctid, group, barrier, limit, err);
}

void op_limits_orders(const struct vps_config *c, struct ctx_orders *o)
{
	const uint64_t locked = value_of(c, VP_LOCKEDPAGES).lim, ptys = value_of(c, VP_NUMPTY).lim;

	o->sigpending = value_of(c, VP_NUMSIGINFO).lim;
	o->memlock_bytes = locked < INT64_MAX / 4096 ? locked * 4096 : UINT64_MAX;
	o->ptys = ptys ? ptys : 1;
	if (ptys >= INT64_MAX)
		o->ptys = res_ptys_share();
}

/*
 * The kernel takes these when the VPS is made; @bpf: of ptys programs of ours see each; @live: its processes have got
 * the new limit. NULL: it is asked each time.
 */
static const char *later(int counter, bool bpf, bool live)
{
	if (counter == UBC_NUMSIGINFO)
		return live ? " (of all its users together)" : "";
	if (counter == UBC_LOCKEDPAGES)
		return live ? NULL : bpf ? " (of mlock)" : "";
	return counter == UBC_NUMPTY && !bpf ? "" : NULL;
}

static void say_later(const struct op *o, const struct vps_config *old, const bool changed[VP_MAX])
{
	const struct vps_config *c = &o->cfg;
	const bool bpf = ubc_node_method() > UBC_BY_CGROUP;
	VZ_LIST struct vz_list names = { 0 };
	VZ_FREE char *text = NULL;

	for (int id = 0; id < VP_MAX; id++) {
		const int counter = counter_of((enum vps_param_id)id);
		const char *what =
			counter < 0 ? NULL : later(counter, bpf, o->in_force & 1U << counter);
		char option[80];

		if (!changed[id] || !what || c->source[id] == VS_IMPLIED ||
		    vps_param_equal(old, c, id))
			continue;
		(void)snprintf(option, sizeof(option), "--%s%s", vps_param(id)->option, what);
		if (vz_list_add(&names, option) < 0)
			return;
	}
	text = names.n ? vz_list_join(&names, ", ") : NULL;
	if (text)
		vz_warn("WARNING: %s: the new limit holds from the next start of the VPS on", text);
}

/* Both ways of TCP have one limit together, on v1: where both are given. */
static bool is_bounded(const struct vps_config *c, int counter)
{
	if (counter != UBC_TCPSNDBUF && counter != UBC_TCPRCVBUF)
		return false;
	return value_of(c, VP_TCPSNDBUF).lim < INT64_MAX &&
	       value_of(c, VP_TCPRCVBUF).lim < INT64_MAX && res_bounds_tcp();
}

void op_limits_say(const struct op *o, const struct vps_config *old, const bool changed[VP_MAX])
{
	const struct vps_config *c = &o->cfg;
	VZ_LIST struct vz_list weak = { 0 };
	VZ_FREE char *names = NULL;
	struct vz_error ignored;

	for (int id = 0; id < VP_MAX; id++) {
		const int counter = counter_of((enum vps_param_id)id);
		char option[64];

		/* what is only implied was asked for by nobody */
		if (!changed[id] || vps_param(id)->group != AG_UBC || counter < 0 ||
		    c->source[id] == VS_IMPLIED ||
		    value_of(c, (enum vps_param_id)id).lim >= INT64_MAX)
			continue;
		/* what this node can do is known once the programs were tried */
		if (weak.n == 0 && ubc_ensure(&ignored) < 0)
			vz_info("%s", ignored.msg);
		(void)snprintf(option, sizeof(option), "--%s", vps_param(id)->option);
		if (ubc_node_mode(counter) != UBC_ENFORCED && !is_bounded(c, counter) &&
		    vz_list_add(&weak, option) < 0)
			return;
	}
	names = weak.n ? vz_list_join(&weak, ", ") : NULL;
	if (names)
		vz_warn("WARNING: %s: counted, but nothing on this node enforces such a limit",
			names);
	if (old)
		say_later(o, old, changed);
}
