/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a limit on memory implies for the other memory parameters ("VSwap"). Source of the values: what vzctl 4
 * computes at start (its code, where its manual differs), see ctid.conf(5).
 */
#include "vps/vps.h"

#include <limits.h>

bool vps_is_vswap(const struct vps_config *c)
{
	uint64_t lim = c->physpages.lim;

	return vps_is_set(c, VP_PHYSPAGES) && lim < INT64_MAX && lim != INT_MAX;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a >= INT64_MAX || b >= INT64_MAX - a ? INT64_MAX : a + b;
}

static void imply(struct vps_config *c, enum vps_param_id id, struct vps_pair *field, uint64_t bar,
		  uint64_t lim)
{
	if (vps_is_set(c, id))
		return;
	*field = (struct vps_pair){ bar, lim };
	c->source[id] = VS_IMPLIED;
}

void vps_imply(struct vps_config *c)
{
	uint64_t ram = c->physpages.lim, swap, both, alloc = INT64_MAX;
	double wanted;

	for (int id = 0; id < VP_MAX; id++)
		if (c->source[id] == VS_IMPLIED)
			vps_param_clear(c, (enum vps_param_id)id);
	if (!vps_is_vswap(c))
		return;
	swap = vps_is_set(c, VP_SWAPPAGES) ? c->swappages.lim : INT64_MAX;
	both = sum(ram, swap);
	if (vps_is_set(c, VP_VM_OVERCOMMIT) && c->vm_overcommit > 0 && both < INT64_MAX) {
		wanted = (double)both * c->vm_overcommit;
		alloc = wanted < (double)INT64_MAX ? (uint64_t)wanted : INT64_MAX;
	}
	imply(c, VP_LOCKEDPAGES, &c->lockedpages, ram, ram);
	imply(c, VP_OOMGUARPAGES, &c->oomguarpages, ram, INT64_MAX);
	imply(c, VP_VMGUARPAGES, &c->vmguarpages, both, INT64_MAX);
	imply(c, VP_PRIVVMPAGES, &c->privvmpages, alloc, alloc);
}
