/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `vzctl failures` prints goes through a suspend: kept by the time of day, since the other node has another clock. */
#include "ops/cpt.h"

#include "ops/ubc.h"
#include "ubc/ubc.h"

#include <string.h>

void op_refusals_save(uint32_t ctid, struct cpt_desc *d)
{
	UBC_TABLE struct ubc_table *t = NULL;
	struct ubc_refusal all[UBC_RING];
	const struct ubc_slot *slot = ubc_table_open(false, &t) < 0 ? NULL : ubc_slot(t, ctid);
	size_t n = slot ? ubc_refusals(slot, 0, all) : 0;

	_Static_assert((int)UBC_RING == (int)CPT_REFUSALS && (int)UBC_COMM == (int)CPT_COMM,
		       "a descriptor has room for all of them");
	d->nrefusals = 0;
	for (size_t i = 0; i < n; i++) {
		struct cpt_refusal *to = &d->refusals[d->nrefusals];
		double when = op_refusal_time(all[i].time_ns);

		if (all[i].counter >= UBC_NR || when < 0 ||
		    vz_copy(to->counter, sizeof(to->counter),
			    ubc_name((enum ubc_counter)all[i].counter)) < 0)
			continue;
		to->time_ms = (uint64_t)(when * 1000);
		to->held = all[i].held;
		to->limit = all[i].limit;
		to->asked = all[i].asked;
		to->pid = all[i].pid;
		memcpy(to->comm, all[i].comm, sizeof(to->comm));
		d->nrefusals++;
	}
}

void op_refusals_carry(struct ubc_slot *slot, const struct cpt_desc *d)
{
	double boot = op_refusal_time(0);

	for (size_t i = 0; i < d->nrefusals; i++) {
		const struct cpt_refusal *from = &d->refusals[i];
		int c = ubc_by_name(from->counter);
		/* before this node was booted: less than nothing */
		int64_t ns = (int64_t)(((double)from->time_ms / 1000 - boot) * 1e9);
		struct ubc_refusal r = { .time_ns = (uint64_t)ns,
					 .held = from->held,
					 .limit = from->limit,
					 .asked = from->asked,
					 .counter = (uint32_t)c,
					 .pid = from->pid };

		if (c < 0)
			continue;
		memcpy(r.comm, from->comm, sizeof(r.comm));
		ubc_carry_refusal(slot, &r);
	}
}
