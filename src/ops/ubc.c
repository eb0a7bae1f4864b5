/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/ubc.h"

#include "resources/resources.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>

enum { PAGE_BYTES = 4096, LOCKS_MAX = 64 << 20, NONE = -1 };

/* The row of the configuration that limits each counter. */
static const enum vps_param_id param_of[UBC_NR] = {
	[UBC_KMEMSIZE] = VP_KMEMSIZE,
	[UBC_LOCKEDPAGES] = VP_LOCKEDPAGES,
	[UBC_PRIVVMPAGES] = VP_PRIVVMPAGES,
	[UBC_SHMPAGES] = VP_SHMPAGES,
	[UBC_NUMPROC] = VP_NUMPROC,
	[UBC_PHYSPAGES] = VP_PHYSPAGES,
	[UBC_VMGUARPAGES] = VP_VMGUARPAGES,
	[UBC_OOMGUARPAGES] = VP_OOMGUARPAGES,
	[UBC_NUMTCPSOCK] = VP_NUMTCPSOCK,
	[UBC_NUMFLOCK] = VP_NUMFLOCK,
	[UBC_NUMPTY] = VP_NUMPTY,
	[UBC_NUMSIGINFO] = VP_NUMSIGINFO,
	[UBC_TCPSNDBUF] = VP_TCPSNDBUF,
	[UBC_TCPRCVBUF] = VP_TCPRCVBUF,
	[UBC_OTHERSOCKBUF] = VP_OTHERSOCKBUF,
	[UBC_DGRAMRCVBUF] = VP_DGRAMRCVBUF,
	[UBC_NUMOTHERSOCK] = VP_NUMOTHERSOCK,
	[UBC_DCACHESIZE] = VP_DCACHESIZE,
	[UBC_NUMFILE] = VP_NUMFILE,
	[UBC_NUMIPTENT] = VP_NUMIPTENT,
	[UBC_SWAPPAGES] = VP_SWAPPAGES,
};

/**
 * struct by_group - a counter that control groups keep
 * @held, @more: their sum is held; @peak, @fail: NONE = the kernel has no such number
 * @unit: bytes, 1 for items
 */
struct by_group {
	enum ubc_counter c;
	int held, more, peak, fail;
	uint64_t unit;
	enum ubc_mode mode;
};

static const struct by_group by_group[] = {
	{ UBC_NUMPROC, CG_STAT_PIDS, NONE, CG_STAT_PIDS_PEAK, CG_STAT_PIDS_FAIL, 1, UBC_ENFORCED },
	{ UBC_PHYSPAGES, CG_STAT_MEM, NONE, CG_STAT_MEM_PEAK, CG_STAT_MEM_FAIL, PAGE_BYTES,
	  UBC_ENFORCED },
	{ UBC_SWAPPAGES, CG_STAT_SWAP, NONE, CG_STAT_SWAP_PEAK, CG_STAT_SWAP_FAIL, PAGE_BYTES,
	  UBC_ENFORCED },
	{ UBC_OOMGUARPAGES, CG_STAT_MEM, CG_STAT_SWAP, NONE, CG_STAT_OOM_KILL, PAGE_BYTES,
	  UBC_ACCOUNTED },
	{ UBC_KMEMSIZE, CG_STAT_KERNEL, NONE, NONE, NONE, 1, UBC_ACCOUNTED },
	{ UBC_SHMPAGES, CG_STAT_SHMEM, NONE, NONE, NONE, PAGE_BYTES, UBC_ACCOUNTED },
	{ UBC_DCACHESIZE, CG_STAT_RECLAIMABLE, NONE, NONE, NONE, 1, UBC_ACCOUNTED },
	{ UBC_LOCKEDPAGES, CG_STAT_UNEVICTABLE, NONE, NONE, NONE, PAGE_BYTES, UBC_ACCOUNTED },
};

/** struct reading - one VPS being read */
struct reading {
	struct op_ubc_reader *rd;
	const struct vps_state *st;
	struct cg *cg; /* NULL: it stopped meanwhile */
	struct ubc_slot *slot; /* NULL: it has none */
	uint32_t want; /* those that are still to be found */
	struct op_ubc *u;
};

void op_ubc_open(struct op_ubc_reader *rd, bool write, op_ubc_net_fn *net)
{
	*rd = (struct op_ubc_reader){ .write = write, .net = net };
	memset(rd->node, -1, sizeof(rd->node));
}

void op_ubc_close(struct op_ubc_reader *rd)
{
	ubc_table_close(&rd->table);
	vz_freep(&rd->locks);
}

/* Late: who asks for nothing of the table opens none. */
static struct ubc_table *table_of(struct op_ubc_reader *rd)
{
	if (!rd->opened && ubc_table_open(rd->write, &rd->table) < 0)
		rd->table = NULL;
	rd->opened = true;
	return rd->table;
}

static enum ubc_mode node_mode(struct op_ubc_reader *rd, enum ubc_counter c)
{
	if (rd->node[c] < 0)
		rd->node[c] = (int8_t)ubc_node_mode(c);
	return (enum ubc_mode)rd->node[c];
}

/* Once for all VPSes: the kernel shows the locks of all its processes in one file. */
static const char *locks_of(struct op_ubc_reader *rd)
{
	if (!rd->locks && vz_read_file(AT_FDCWD, "/proc/locks", LOCKS_MAX, &rd->locks) < 0)
		rd->locks = NULL;
	return rd->locks;
}

static void set_limits(const struct vps_config *cfg, struct op_ubc *u)
{
	static const struct vps_pair none = { INT64_MAX, INT64_MAX };

	for (int c = 0; c < UBC_NR; c++) {
		const struct vps_pair *v = &none;

		if (cfg && vps_is_set(cfg, param_of[c]))
			v = (const void *)((const char *)cfg + vps_param(param_of[c])->offset);
		u->row[c].barrier = v->bar;
		u->row[c].limit = v->lim;
	}
}

/* ---- where the numbers come from, best first ---- */

/* @c has been found. @peak, @failcnt: 0 when not known. */
static void found(struct reading *x, enum ubc_counter c, uint64_t held, uint64_t peak,
		  uint64_t failcnt, enum ubc_mode mode)
{
	struct ubc_row *row = &x->u->row[c];
	enum ubc_mode proved = node_mode(x->rd, c);

	row->held = held;
	row->maxheld = peak > held ? peak : held;
	row->failcnt = failcnt;
	x->u->mode[c] = proved > mode ? proved : mode;
	x->u->known |= OP_UBC_BIT(c);
	x->want &= ~OP_UBC_BIT(c);
	if (!x->slot)
		return;
	if (x->rd->write) {
		ubc_raise(x->slot, c, row->maxheld);
		ubc_note(x->slot, c, failcnt, held, row->limit);
	}
	if (x->slot->row[c].maxheld > row->maxheld)
		row->maxheld = x->slot->row[c].maxheld;
	if (x->slot->row[c].failcnt > row->failcnt)
		row->failcnt = x->slot->row[c].failcnt;
}

/* Groups of a restored VPS are new, its refusals are not. */
static uint64_t carried(const struct reading *x, enum ubc_counter c)
{
	return x->slot ? x->slot->carried[c] : 0;
}

static void from_programs(struct reading *x)
{
	for (int c = 0; x->slot && c < UBC_NR; c++) {
		const struct ubc_row *row = &x->slot->row[c];

		if ((x->want & OP_UBC_BIT(c)) && ubc_counted(x->rd->table, x->slot, c))
			found(x, c, (int64_t)row->held > 0 ? row->held : 0, row->maxheld,
			      row->failcnt, UBC_ACCOUNTED);
	}
}

static bool has_knob(struct cg *cg, enum cg_knob knob)
{
	struct vz_error unused;
	uint64_t v;

	return cg->drv->get(cg, knob, &v, &unused) == 0;
}

/* Without memory.min the OOM killer was told, if we were allowed to. */
static bool oom_guarded(const struct reading *x)
{
	VZ_FREE char *text = NULL;
	char path[64];

	if (has_knob(x->cg, CG_MEM_MIN_BYTES))
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)x->st->init_pid);
	return vz_read_file(AT_FDCWD, path, 64, &text) > 0 && text[0] == '-';
}

static void from_groups(struct reading *x)
{
	uint64_t v[CG_STAT_MAX] = { 0 };
	unsigned int stats = 0, known;

	for (size_t i = 0; i < sizeof(by_group) / sizeof(*by_group); i++) {
		const struct by_group *g = &by_group[i];
		const int of[] = { g->held, g->more, g->peak, g->fail };

		for (size_t k = 0; (x->want & OP_UBC_BIT(g->c)) && k < 4; k++)
			stats |= of[k] == NONE ? 0 : 1U << of[k];
	}
	known = stats ? res_stats(x->cg, stats, v) : 0;
	for (size_t i = 0; i < sizeof(by_group) / sizeof(*by_group); i++) {
		const struct by_group *g = &by_group[i];
		uint64_t held = v[g->held] + (g->more == NONE ? 0 : v[g->more]);

		if ((x->want & OP_UBC_BIT(g->c)) && (known & 1U << g->held))
			found(x, g->c, held / g->unit, g->peak == NONE ? 0 : v[g->peak] / g->unit,
			      g->fail == NONE ? 0 : v[g->fail] + carried(x, g->c), g->mode);
	}
	if ((x->u->known & OP_UBC_BIT(UBC_OOMGUARPAGES)) && oom_guarded(x))
		x->u->mode[UBC_OOMGUARPAGES] = UBC_GUARANTEE;
	/* no counter: OpenVZ shows 0 */
	if (x->want & OP_UBC_BIT(UBC_VMGUARPAGES))
		found(x, UBC_VMGUARPAGES, 0, 0, 0,
		      has_knob(x->cg, CG_MEM_LOW_BYTES) ? UBC_GUARANTEE : UBC_STORED);
}

static void from_walk(struct reading *x)
{
	static const struct {
		enum ubc_counter c;
		unsigned int want;
	} ways[] = {
		{ UBC_NUMFILE, RES_WANT_FILES },
		{ UBC_NUMPTY, RES_WANT_PTYS },
		{ UBC_PRIVVMPAGES, RES_WANT_PRIVATE },
		{ UBC_NUMSIGINFO, RES_WANT_SIGNALS },
	};
	const char *locks = x->want & OP_UBC_BIT(UBC_NUMFLOCK) ? locks_of(x->rd) : NULL;
	struct res_usage n = { 0 };
	unsigned int want = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		want |= x->want & OP_UBC_BIT(ways[i].c) ? ways[i].want : 0;
	if ((want || locks) && res_walk(x->cg, want, locks, &n) == 0) {
		const uint64_t got[] = { n.files, n.ptys, n.private_bytes / PAGE_BYTES, n.signals };

		for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
			if (x->want & OP_UBC_BIT(ways[i].c))
				found(x, ways[i].c, got[i], 0, 0, UBC_ACCOUNTED);
		if (locks)
			found(x, UBC_NUMFLOCK, n.locks, 0, 0, UBC_ACCOUNTED);
	}
	if ((x->want & (OP_UBC_BIT(UBC_NUMTCPSOCK) | OP_UBC_BIT(UBC_NUMOTHERSOCK))) &&
	    res_sockets(x->st->init_pid, &n) == 0) {
		if (x->want & OP_UBC_BIT(UBC_NUMTCPSOCK))
			found(x, UBC_NUMTCPSOCK, n.tcp, 0, 0, UBC_ACCOUNTED);
		if (x->want & OP_UBC_BIT(UBC_NUMOTHERSOCK))
			found(x, UBC_NUMOTHERSOCK, n.other_sockets, 0, 0, UBC_ACCOUNTED);
	}
}

/* v1 bounds the buffers of both ways of TCP together. */
static void from_tcp(struct reading *x, uint64_t held[UBC_NR], uint32_t got, uint32_t asked)
{
	static const enum ubc_counter both[] = { UBC_TCPSNDBUF, UBC_TCPRCVBUF };
	struct vz_error unused;
	uint64_t max, failcnt = 0;

	if (!(asked & (OP_UBC_BIT(UBC_TCPSNDBUF) | OP_UBC_BIT(UBC_TCPRCVBUF))) ||
	    x->cg->drv->get(x->cg, CG_TCP_MAX_BYTES, &max, &unused) < 0 || max == UINT64_MAX)
		return;
	(void)!x->cg->drv->stat(x->cg, CG_STAT_TCP_FAIL, &failcnt);
	for (size_t i = 0; i < 2; i++) {
		const enum ubc_counter c = both[i];

		if (!(asked & OP_UBC_BIT(c)))
			continue;
		if (!(got & OP_UBC_BIT(c)))
			held[c] = x->slot ? x->slot->row[c].held : 0;
		found(x, c, held[c], 0, failcnt + carried(x, c), UBC_ENFORCED);
	}
}

/* In its network namespace; who cannot look there shows what somebody saw last. */
static void from_net(struct reading *x)
{
	const uint32_t of_net = OP_UBC_BIT(UBC_NUMIPTENT) | OP_UBC_BIT(UBC_TCPSNDBUF) |
				OP_UBC_BIT(UBC_TCPRCVBUF) | OP_UBC_BIT(UBC_OTHERSOCKBUF) |
				OP_UBC_BIT(UBC_DGRAMRCVBUF);
	uint64_t held[UBC_NR] = { 0 };
	uint32_t got = 0;

	if (x->rd->net && (x->want & of_net))
		got = x->rd->net(x->st->init_pid, x->want & of_net, held);
	for (int c = 0; c < UBC_NR; c++)
		if (got & OP_UBC_BIT(c) && x->slot && x->rd->write)
			__atomic_store_n(&x->slot->row[c].held, held[c], __ATOMIC_RELAXED);
	from_tcp(x, held, got, x->want);
	for (int c = 0; c < UBC_NR; c++) {
		if (!(x->want & of_net & OP_UBC_BIT(c)))
			continue;
		if (got & OP_UBC_BIT(c))
			found(x, c, held[c], 0, 0, UBC_ACCOUNTED);
		else if (x->slot)
			found(x, c, x->slot->row[c].held, 0, 0, UBC_ACCOUNTED);
	}
}

void op_ubc_rows(struct op_ubc_reader *rd, uint32_t ctid, const struct vps_config *cfg,
		 const struct vps_state *st, uint32_t want, struct op_ubc *ret)
{
	struct reading x = { .rd = rd, .st = st, .want = want, .u = ret };
	struct vz_error unused;

	*ret = (struct op_ubc){ .ctid = ctid };
	set_limits(cfg, ret);
	if (!st || !want || res_open(&st->cgroups, &x.cg, &unused) < 0)
		return;
	x.slot = table_of(rd) ? ubc_slot(rd->table, ctid) : NULL;
	from_programs(&x);
	from_groups(&x);
	from_walk(&x);
	from_net(&x);
	res_closep(&x.cg);
}

int op_ubc_of(struct op_ubc_reader *rd, uint32_t ctid, uint32_t want, struct op_ubc *ret,
	      struct vz_error *err)
{
	VPS_CONFIG struct vps_config cfg = { 0 };
	VPS_STATE struct vps_state st = { 0 };
	bool running = vps_running(ctid, &st);
	int r = vps_load(ctid, &cfg, NULL, err);

	if (r < 0 && !running)
		return r;
	if (running)
		vps_live_over(&st, &cfg, VPS_LIVE_LIMITS);
	op_ubc_rows(rd, ctid, r < 0 ? NULL : &cfg, running ? &st : NULL, want, ret);
	return running;
}
