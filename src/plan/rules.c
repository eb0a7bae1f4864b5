/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules between beancounters. Source: OpenVZ wiki, "UBC parameters" and "UBC consistency check", as vzcfgvalidate of
 * vzctl 4 checks them; its order is changed so that what a mended rule writes is seen by all that depend on it.
 */
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>

/** struct rule - one line of the table; @check uses @id, @other and @n as its comment says */
struct rule {
	bool (*check)(const struct rule *r, const struct vps_config *c,
		      const struct plan_node *node, struct plan_finding *f);
	enum plan_class class;
	enum vps_param_id id, other;
	uint64_t n;
	enum { LEGACY = 1, VSWAP = 2, BOTH = 3 } mode;
};

/* ---- numbers that stop at "unlimited" ---- */

static uint64_t plus(uint64_t a, uint64_t b)
{
	return a >= PLAN_NONE || b >= PLAN_NONE - a ? PLAN_NONE : a + b;
}

static uint64_t times(uint64_t a, uint64_t n)
{
	return n && a >= PLAN_NONE / n ? PLAN_NONE : a * n;
}

static struct vps_pair pair_of(const struct vps_config *c, enum vps_param_id id)
{
	return *(const struct vps_pair *)(const void *)((const char *)c + vps_param(id)->offset);
}

static const char *show(char room[24], uint64_t v)
{
	if (v >= PLAN_NONE)
		return "unlimited";
	(void)snprintf(room, 24, "%" PRIu64, v);
	return room;
}

static void mend(struct plan_finding *f, uint64_t bar, uint64_t lim)
{
	f->mended = true;
	f->pair = (struct vps_pair){ bar, lim };
}

/* "NAME.PART should be WHAT (now N)" */
static bool broken(struct plan_finding *f, const char *part, const char *what, uint64_t want,
		   uint64_t now)
{
	char a[24], b[24];

	(void)snprintf(f->text, sizeof(f->text), "%s%s should be %s%s (now %s)",
		       vps_param(f->id)->option, part, what, show(a, want), show(b, now));
	return true;
}

/* ---- checks ---- */

/* @id has to be set. */
static bool present(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		    struct plan_finding *f)
{
	(void)node;
	if (vps_is_set(c, r->id))
		return false;
	(void)snprintf(f->text, sizeof(f->text), "parameter %s not found",
		       vps_param(r->id)->option);
	return true;
}

/* barrier and limit of @id are one number. */
static bool equal(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		  struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t more = v.bar > v.lim ? v.bar : v.lim;
	char a[24], b[24];

	(void)node;
	if (v.bar == v.lim)
		return false;
	(void)snprintf(f->text, sizeof(f->text),
		       "%s should have a barrier equal to its limit (now %s:%s)",
		       vps_param(r->id)->option, show(a, v.bar), show(b, v.lim));
	mend(f, more, more);
	return true;
}

/* the barrier of @id is not above the limit. */
static bool order(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		  struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	char a[24], b[24];

	(void)node;
	if (v.bar <= v.lim)
		return false;
	(void)snprintf(f->text, sizeof(f->text),
		       "%s should have a barrier of at most its limit (now %s:%s)",
		       vps_param(r->id)->option, show(a, v.bar), show(b, v.lim));
	mend(f, v.bar, v.bar);
	return true;
}

/* the same where disk quota is not switched off. */
static bool disk_order(const struct rule *r, const struct vps_config *c,
		       const struct plan_node *node, struct plan_finding *f)
{
	if (vps_is_set(c, VP_DISK_QUOTA) && !c->disk_quota)
		return false;
	return order(r, c, node, f);
}

/* the barrier of @id is 0. */
static bool no_barrier(const struct rule *r, const struct vps_config *c,
		       const struct plan_node *node, struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);

	(void)node;
	if (v.bar == 0)
		return false;
	mend(f, 0, v.lim);
	return broken(f, ".bar", "", 0, v.bar);
}

/* the limit of @id is unlimited. */
static bool no_limit(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		     struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);

	(void)node;
	if (v.lim >= PLAN_NONE)
		return false;
	mend(f, v.bar, PLAN_NONE);
	return broken(f, ".lim", "", PLAN_NONE, v.lim);
}

/* there is memory. */
static bool some(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		 struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);

	(void)node;
	return v.lim == 0 && broken(f, ".lim", "at least ", 1, 0);
}

/* the limit of @id is within the node's RAM. */
static bool within_ram(const struct rule *r, const struct vps_config *c,
		       const struct plan_node *node, struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t pages = node->ram_bytes / PLAN_PAGE;

	if (v.lim <= pages)
		return false;
	mend(f, v.bar, pages);
	return broken(f, ".lim", "at most the node's RAM, ", pages, v.lim);
}

/* the limit of @id is within the node's swap; a greater one does no harm here, so nothing is mended. */
static bool within_swap(const struct rule *r, const struct vps_config *c,
			const struct plan_node *node, struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t pages = node->swap_bytes / PLAN_PAGE;

	return v.lim > pages && broken(f, ".lim", "at most the node's swap, ", pages, v.lim);
}

static uint64_t average_procs(const struct vps_config *c)
{
	return vps_is_set(c, VP_AVNUMPROC) ? c->avnumproc.bar : c->numproc.bar / 2;
}

/* numfile: 32 files for each process on the average, and one for each socket and terminal. */
static bool files(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		  struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t need = times(average_procs(c), 32);
	uint64_t ends = plus(plus(c->numtcpsock.bar, c->numothersock.bar), c->numpty.bar);

	(void)node;
	if (ends > need)
		need = ends;
	if (v.bar >= need)
		return false;
	mend(f, need, need > v.lim ? need : v.lim);
	return broken(f, "", "at least ", need, v.bar);
}

/* dcachesize: 384 bytes for each open file. */
static bool dcache(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		   struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t need = times(c->numfile.bar, 384);

	(void)node;
	if (v.lim >= need)
		return false;
	mend(f, v.bar, need);
	return broken(f, ".lim", "at least ", need, v.lim);
}

/* The barrier of @f's row to @need; the limit moves with it. */
static bool raise_both(struct plan_finding *f, struct vps_pair v, uint64_t need)
{
	mend(f, need, v.lim < v.bar ? need : plus(need, v.lim - v.bar));
	if (v.lim >= PLAN_NONE)
		f->pair.lim = PLAN_NONE;
	return broken(f, ".bar", "at least ", need, v.bar);
}

/* kmemsize: 40 KiB for each process on the average, and the directory cache. */
static bool kernel(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		   struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t need = plus(times(average_procs(c), 40 * 1024), c->dcachesize.lim);

	(void)node;
	return v.bar < need && raise_both(f, v, need);
}

/* what may be allocated is not less than what is guaranteed. */
static bool allocation(const struct rule *r, const struct vps_config *c,
		       const struct plan_node *node, struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id), guaranteed = pair_of(c, r->other);

	(void)node;
	if (v.bar >= guaranteed.bar)
		return false;
	mend(f, guaranteed.bar, v.lim < guaranteed.bar ? guaranteed.bar : v.lim);
	return broken(f, ".bar", "at least vmguarpages.bar, ", guaranteed.bar, v.bar);
}

/* the barrier of @id is at least @n. */
static bool at_least(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		     struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);

	(void)node;
	return v.bar < r->n && raise_both(f, v, r->n);
}

/* between barrier and limit of @id there are 2.5 KiB for each of @other. */
static bool gap(const struct rule *r, const struct vps_config *c, const struct plan_node *node,
		struct plan_finding *f)
{
	struct vps_pair v = pair_of(c, r->id);
	uint64_t need = times(pair_of(c, r->other).bar, 2560);
	uint64_t now = v.lim > v.bar ? v.lim - v.bar : 0;

	(void)node;
	if (v.lim >= PLAN_NONE || now >= need)
		return false;
	mend(f, v.bar, plus(v.bar, need));
	return broken(f, ".lim - .bar", "at least ", need, now);
}

/* ---- the table ---- */

/* clang-format off */
#define EACH(check, class, mode, id) { check, class, VP_##id, VP_##id, 0, mode }
#define E PLAN_ERROR
#define W PLAN_WARNING
#define R PLAN_RECOMMENDATION
static const struct rule rules[] = {
	EACH(present, E, LEGACY, KMEMSIZE), EACH(present, E, LEGACY, LOCKEDPAGES),
	EACH(present, E, LEGACY, PRIVVMPAGES), EACH(present, E, LEGACY, SHMPAGES),
	EACH(present, E, LEGACY, NUMPROC), EACH(present, E, LEGACY, PHYSPAGES),
	EACH(present, E, LEGACY, VMGUARPAGES), EACH(present, E, LEGACY, OOMGUARPAGES),
	EACH(present, E, LEGACY, NUMTCPSOCK), EACH(present, E, LEGACY, NUMFLOCK),
	EACH(present, E, LEGACY, NUMPTY), EACH(present, E, LEGACY, NUMSIGINFO),
	EACH(present, E, LEGACY, TCPSNDBUF), EACH(present, E, LEGACY, TCPRCVBUF),
	EACH(present, E, LEGACY, OTHERSOCKBUF), EACH(present, E, LEGACY, DGRAMRCVBUF),
	EACH(present, E, LEGACY, NUMOTHERSOCK), EACH(present, E, LEGACY, DCACHESIZE),
	EACH(present, E, LEGACY, NUMFILE), EACH(present, E, LEGACY, NUMIPTENT),

	EACH(present, E, VSWAP, PHYSPAGES), EACH(some, E, VSWAP, PHYSPAGES),
	EACH(no_barrier, E, VSWAP, PHYSPAGES), EACH(within_ram, E, VSWAP, PHYSPAGES),
	EACH(present, R, VSWAP, SWAPPAGES), EACH(no_barrier, E, VSWAP, SWAPPAGES),
	EACH(within_swap, R, VSWAP, SWAPPAGES),

	EACH(equal, E, LEGACY, NUMPROC), EACH(equal, E, LEGACY, NUMTCPSOCK),
	EACH(equal, E, LEGACY, NUMOTHERSOCK), EACH(equal, E, LEGACY, SHMPAGES),
	EACH(equal, E, LEGACY, NUMFILE), EACH(equal, E, LEGACY, NUMPTY),
	EACH(equal, E, LEGACY, NUMSIGINFO), EACH(equal, E, LEGACY, NUMIPTENT),

	EACH(order, E, BOTH, KMEMSIZE), EACH(order, E, BOTH, TCPSNDBUF),
	EACH(order, E, BOTH, TCPRCVBUF), EACH(order, E, BOTH, OTHERSOCKBUF),
	EACH(order, E, BOTH, DGRAMRCVBUF), EACH(order, E, BOTH, PRIVVMPAGES),
	EACH(order, E, BOTH, LOCKEDPAGES), EACH(order, E, BOTH, NUMFLOCK),
	EACH(order, E, BOTH, DCACHESIZE), EACH(disk_order, E, BOTH, DISKSPACE),
	EACH(disk_order, E, BOTH, DISKINODES),

	EACH(no_limit, E, LEGACY, VMGUARPAGES), EACH(no_limit, E, LEGACY, OOMGUARPAGES),
	EACH(no_barrier, E, LEGACY, PHYSPAGES), EACH(no_limit, E, LEGACY, PHYSPAGES),

	EACH(files, W, LEGACY, NUMFILE),
	EACH(dcache, W, LEGACY, DCACHESIZE),
	EACH(kernel, E, LEGACY, KMEMSIZE),
	{ allocation, W, VP_PRIVVMPAGES, VP_VMGUARPAGES, 0, LEGACY },

	{ at_least, W, VP_TCPSNDBUF, VP_TCPSNDBUF, 64 * 1024, LEGACY },
	{ at_least, W, VP_TCPRCVBUF, VP_TCPRCVBUF, 64 * 1024, LEGACY },
	{ at_least, W, VP_DGRAMRCVBUF, VP_DGRAMRCVBUF, 32 * 1024, LEGACY },
	{ at_least, R, VP_DGRAMRCVBUF, VP_DGRAMRCVBUF, 129 * 1024, LEGACY },
	{ at_least, W, VP_OTHERSOCKBUF, VP_OTHERSOCKBUF, 32 * 1024, LEGACY },
	{ at_least, R, VP_OTHERSOCKBUF, VP_OTHERSOCKBUF, 129 * 1024, LEGACY },

	{ gap, E, VP_TCPSNDBUF, VP_NUMTCPSOCK, 0, LEGACY },
	{ gap, W, VP_TCPRCVBUF, VP_NUMTCPSOCK, 0, LEGACY },
	{ gap, E, VP_OTHERSOCKBUF, VP_NUMOTHERSOCK, 0, LEGACY },
};
/* clang-format on */

size_t plan_rules(void)
{
	return sizeof(rules) / sizeof(*rules);
}

bool plan_rule(size_t i, const struct vps_config *c, bool vswap, const struct plan_node *node,
	       struct plan_finding *ret)
{
	const struct rule *r = &rules[i];
	struct plan_finding f = { .class = r->class, .id = r->id };

	if (!(r->mode & (vswap ? VSWAP : LEGACY)))
		return false;
	if (r->check != present && (!vps_is_set(c, r->id) || !vps_is_set(c, r->other)))
		return false; /* said by `present`, or it has no limit */
	if (!r->check(r, c, node, &f))
		return false;
	*ret = f;
	return true;
}

void plan_mend(struct vps_config *c, const struct plan_finding *f)
{
	*(struct vps_pair *)(void *)((char *)c + vps_param(f->id)->offset) = f->pair;
	c->source[f->id] = VS_VPS;
}
