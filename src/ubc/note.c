/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ubc/priv.h"

#include "util/str.h"

#include <string.h>
#include <time.h>

bool ubc_counted(struct ubc_table *t, const struct ubc_slot *slot, enum ubc_counter c)
{
	int group = ubc_group_of(c);

	/* programs that are attached for another VPS's sake know this one only if it needs them too */
	return group >= 0 && t->is_map && (ubc_head(t)->attached & 1U << group) &&
	       (slot->flags >> UBC_NEEDS & 1U << group);
}

static uint64_t boot_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void ubc_note(struct ubc_slot *slot, enum ubc_counter c, uint64_t failcnt, uint64_t held,
	      uint64_t limit)
{
	struct ubc_row *row = &slot->row[c];
	uint64_t was = __atomic_load_n(&row->failcnt, __ATOMIC_RELAXED), seq;
	struct ubc_refusal *r;

	/* of several readers one wins */
	if (failcnt <= was || !__atomic_compare_exchange_n(&row->failcnt, &was, failcnt, false,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	seq = __atomic_add_fetch(&slot->refusals, 1, __ATOMIC_RELAXED);
	r = &slot->ring[(seq - 1) % UBC_RING];
	__atomic_store_n(&r->seq, 0, __ATOMIC_RELEASE);
	r->time_ns = boot_ns();
	r->held = held;
	r->limit = limit;
	r->asked = failcnt - was;
	r->counter = c;
	r->pid = 0;
	(void)!vz_copy(r->comm, sizeof(r->comm), "-");
	__atomic_store_n(&r->seq, seq, __ATOMIC_RELEASE);
}

void ubc_carry(struct ubc_slot *slot, enum ubc_counter c, uint64_t maxheld, uint64_t failcnt)
{
	ubc_raise(slot, c, maxheld);
	(void)__atomic_add_fetch(&slot->carried[c], failcnt, __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&slot->row[c].failcnt, failcnt, __ATOMIC_RELAXED);
}

void ubc_carry_refusal(struct ubc_slot *slot, const struct ubc_refusal *r)
{
	uint64_t seq = __atomic_add_fetch(&slot->refusals, 1, __ATOMIC_RELAXED);
	struct ubc_refusal *to = &slot->ring[(seq - 1) % UBC_RING];

	__atomic_store_n(&to->seq, 0, __ATOMIC_RELEASE);
	to->time_ns = r->time_ns;
	to->held = r->held;
	to->limit = r->limit;
	to->asked = r->asked;
	to->counter = r->counter;
	to->pid = r->pid;
	memcpy(to->comm, r->comm, sizeof(to->comm));
	__atomic_store_n(&to->seq, seq, __ATOMIC_RELEASE);
}

size_t ubc_refusals(const struct ubc_slot *slot, uint64_t after, struct ubc_refusal ret[UBC_RING])
{
	uint64_t last = __atomic_load_n(&slot->refusals, __ATOMIC_ACQUIRE);
	uint64_t first = last > UBC_RING ? last - UBC_RING + 1 : 1;
	size_t n = 0;

	for (uint64_t seq = first > after ? first : after + 1; seq <= last; seq++) {
		const struct ubc_refusal *r = &slot->ring[(seq - 1) % UBC_RING];

		memcpy(&ret[n], r, sizeof(*r));
		/* one that is just being written, or that a newer one took the place of, is left out */
		if (ret[n].seq != seq || __atomic_load_n(&r->seq, __ATOMIC_ACQUIRE) != seq)
			continue;
		ret[n].comm[UBC_COMM - 1] = '\0';
		if (!ret[n].comm[0]) /* the kernel did it for nobody in particular */
			(void)!vz_copy(ret[n].comm, UBC_COMM, "-");
		n++;
	}
	return n;
}
