/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <string.h>

/*
 * The driver in use: every VPS has a v2 group, and v1 groups where v1 controllers are mounted. A
 * controller can be in one place only, so a knob is v1's if v1 has it and v2's otherwise;
 * processes are v2's.
 */

struct cg_both {
	struct cg cg;
	struct cg *v1, *v2; /* v1: NULL where no v1 hierarchy is mounted */
	struct cg_dirs dirs;
};

static struct cg_both *both(struct cg *cg)
{
	return (struct cg_both *)cg;
}

/* Runs @call on v1, and on v2 when v1 does not have it. */
#define V1_ELSE_V2(b, member, ...)                                                                 \
	({                                                                                         \
		struct cg *one = (b)->v1;                                                          \
		int res = one ? one->drv->member(one, __VA_ARGS__) : -EOPNOTSUPP;                  \
		if (res == -EOPNOTSUPP)                                                            \
			res = (b)->v2->drv->member((b)->v2, __VA_ARGS__);                          \
		res;                                                                               \
	})

static int both_set(struct cg *cg, enum cg_knob knob, uint64_t value, struct vz_error *err)
{
	return V1_ELSE_V2(both(cg), set, knob, value, err);
}

static int both_get(struct cg *cg, enum cg_knob knob, uint64_t *ret, struct vz_error *err)
{
	return V1_ELSE_V2(both(cg), get, knob, ret, err);
}

static int both_stat(struct cg *cg, enum cg_stat what, uint64_t *ret)
{
	return V1_ELSE_V2(both(cg), stat, what, ret);
}

static int both_place(struct cg *cg, enum cg_stat what, struct cg_place *ret)
{
	return V1_ELSE_V2(both(cg), place, what, ret);
}

static int both_cpuset(struct cg *cg, const char *cpus, const char *mems, struct vz_error *err)
{
	return V1_ELSE_V2(both(cg), cpuset, cpus, mems, err);
}

static int both_io_max(struct cg *cg, const struct cg_io_max *m, struct vz_error *err)
{
	return V1_ELSE_V2(both(cg), io_max, m, err);
}

static int both_devices(struct cg *cg, const struct cg_dev_rule *rules, size_t n,
			struct vz_error *err)
{
	return V1_ELSE_V2(both(cg), devices, rules, n, err);
}

/* v2 first: from then on a kill reaches the process. */
static int both_attach(struct cg *cg, pid_t pid, bool payload, struct vz_error *err)
{
	struct cg_both *b = both(cg);
	int r = b->v2->drv->attach(b->v2, pid, payload, err);

	return r < 0 || !b->v1 ? r : b->v1->drv->attach(b->v1, pid, payload, err);
}

static int both_freeze(struct cg *cg, bool on, int timeout_ms, struct vz_error *err)
{
	return both(cg)->v2->drv->freeze(both(cg)->v2, on, timeout_ms, err);
}

static int both_kill(struct cg *cg, struct vz_error *err)
{
	return both(cg)->v2->drv->kill(both(cg)->v2, err);
}

/* All of them, whatever fails; the first error is told. */
static int both_remove(struct cg *cg, struct vz_error *err)
{
	struct cg_both *b = both(cg);
	struct vz_error later;
	int r = b->v2->drv->remove(b->v2, err);
	int r1 = b->v1 ? b->v1->drv->remove(b->v1, r < 0 ? &later : err) : 0;

	return r < 0 ? r : r1;
}

static void both_close(struct cg *cg)
{
	struct cg_both *b = both(cg);

	if (b->v1)
		b->v1->drv->close(b->v1);
	if (b->v2)
		b->v2->drv->close(b->v2);
	cg_dirs_clear(&b->dirs);
	free(b);
}

static const struct cg_driver both_driver = {
	.name = "composite",
	.set = both_set,
	.get = both_get,
	.stat = both_stat,
	.place = both_place,
	.cpuset = both_cpuset,
	.io_max = both_io_max,
	.devices = both_devices,
	.attach = both_attach,
	.freeze = both_freeze,
	.kill = both_kill,
	.remove = both_remove,
	.close = both_close,
};

static int copy_dirs(struct cg_dirs *dst, const struct cg_dirs *src, bool *ret_v1)
{
	*ret_v1 = false;
	for (int c = 0; c < CTL_MAX; c++) {
		if (!src->v[c])
			continue;
		dst->v[c] = strdup(src->v[c]);
		if (!dst->v[c])
			return -ENOMEM;
		*ret_v1 |= c != CTL_V2;
	}
	return dst->v[CTL_V2] ? 0 : -EINVAL;
}

int cg_composite_open(const struct cg_dirs *groups, struct cg **ret)
{
	struct cg_both *b = calloc(1, sizeof(*b));
	bool v1;
	int r;

	if (!b)
		return -ENOMEM;
	b->cg.drv = &both_driver;
	r = copy_dirs(&b->dirs, groups, &v1);
	if (r == 0)
		r = cg_v2_open(b->dirs.v[CTL_V2], &b->v2);
	if (r == 0 && v1)
		r = cg_v1_open(&b->dirs, &b->v1);
	if (r < 0) {
		both_close(&b->cg);
		return r;
	}
	*ret = &b->cg;
	return 0;
}

const struct cg_dirs *cg_composite_dirs(const struct cg *cg)
{
	return cg->drv == &both_driver ? &((const struct cg_both *)cg)->dirs : NULL;
}

struct cg *cg_composite_v1(struct cg *cg)
{
	return cg->drv == &both_driver ? both(cg)->v1 : NULL;
}
