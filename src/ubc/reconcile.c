/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program for tracing does not run inside itself, and a map can be full: a count may drift from what is there. Here
 * it is compared with the records of the objects, and mended.
 */
#include "ubc/load.h"

#include "util/fd.h"

#include <poll.h>
#include <string.h>

enum { PASSES = 8, LOOK_MS = 200 };

/* Values of the maps, see bpf/count.h */
struct mm_owner {
	uint32_t slot, pad;
	uint64_t priv, locked;
};

struct shm_owner {
	uint32_t slot, pad;
	uint64_t pages, reserved;
};

struct counted {
	int64_t held[UBC_SLOTS][UBC_NR];
};

static void add(struct counted *n, uint32_t slot, uint32_t c, uint64_t more)
{
	if (slot < UBC_SLOTS && c < UBC_NR)
		n->held[slot][c] += (int64_t)more;
}

static void count_place(const struct ubc_owner *o, void *arg)
{
	add(arg, o->slot, o->counter, 1);
}

static bool count_spilled(const struct ubc_owner *o, void *arg)
{
	add(arg, o->slot, o->counter, 1);
	return true;
}

/* All records of one map that is a hash. Return: 0 or -errno. */
static int count_map(int map, enum ubc_group g, struct counted *n)
{
	unsigned char key[UBC_KEY_MAX], next[UBC_KEY_MAX];
	const void *at = NULL;
	int r;

	while ((r = ubc_map_next(map, at, next)) == 0) {
		struct mm_owner m = { 0 };
		struct shm_owner s = { 0 };
		struct ubc_owner o = { 0 };

		if (g == UBC_G_MM) {
			if (ubc_map_get(map, next, &m) == 0) {
				add(n, m.slot, UBC_PRIVVMPAGES, m.priv);
				add(n, m.slot, UBC_LOCKEDPAGES, m.locked);
			}
		} else if (g == UBC_G_SHM) {
			if (ubc_map_get(map, next, &s) == 0)
				add(n, s.slot, UBC_SHMPAGES, s.pages);
		} else if (ubc_map_get(map, next, &o) == 0) {
			add(n, o.slot, o.counter, 1);
		}
		memcpy(key, next, sizeof(key));
		at = key;
	}
	return r == -ENOENT ? 0 : r;
}

static int count_all(uint32_t groups, struct counted *n)
{
	uint32_t none;
	int r = ubc_spill_each(count_spilled, n, &none);

	for (int g = 0; r == 0 && g < UBC_GROUPS; g++) {
		VZ_FD int map = -EBADF;

		if (!(groups & 1U << g))
			continue;
		if (ubc_in_places(g)) {
			r = ubc_places_each(g, count_place, n);
			continue;
		}
		map = ubc_pin_get(ubc_object_map(g));
		r = map < 0 ? map : count_map(map, g, n);
	}
	return r;
}

static int64_t held(const struct ubc_slot *s, int c)
{
	return (int64_t)__atomic_load_n(&s->row[c].held, __ATOMIC_RELAXED);
}

struct looking {
	struct ubc_table *t;
	struct counted *n, *before, *drift, *last;
};

/* What is wrong by the same amount twice, and stands still meanwhile, is wrong: all else may be work in progress. */
static int pass(struct looking *l, uint32_t groups, bool first)
{
	int r;

	memset(l->n, 0, sizeof(*l->n));
	for (uint32_t i = 1; i < UBC_SLOTS; i++)
		for (int c = 0; l->t->slot[i].ctid && c < UBC_NR; c++)
			l->before->held[i][c] = held(&l->t->slot[i], c);
	r = count_all(groups, l->n);
	if (r < 0)
		return r;
	for (uint32_t i = 1; i < UBC_SLOTS; i++)
		for (int c = 0; l->t->slot[i].ctid && c < UBC_NR; c++) {
			const int64_t was = l->before->held[i][c], now = held(&l->t->slot[i], c);
			const int64_t more = was - l->n->held[i][c];
			int g = ubc_group_of(c);
			bool sure = g >= 0 && groups & 1U << g && was == now &&
				    (first || l->last->held[i][c] == more);

			if (l->drift->held[i][c] == 0 && sure && !first)
				l->drift->held[i][c] = more;
			l->last->held[i][c] = was == now ? more : INT64_MAX;
		}
	return 0;
}

static int collect(struct looking *l, struct ubc_drift **ret, size_t *ret_n)
{
	struct ubc_drift *list = NULL;
	size_t n = 0;

	for (uint32_t i = 1; i < UBC_SLOTS; i++)
		for (int c = 0; c < UBC_NR; c++) {
			const int64_t more = l->drift->held[i][c];
			struct ubc_drift *longer;

			if (!more)
				continue;
			longer = realloc(list, (n + 1) * sizeof(*list));
			if (!longer) {
				free(list);
				return -ENOMEM;
			}
			list = longer;
			list[n++] = (struct ubc_drift){ l->t->slot[i].ctid, c, more };
			(void)__atomic_sub_fetch(&l->t->slot[i].row[c].held, (uint64_t)more,
						 __ATOMIC_RELAXED);
		}
	*ret = list;
	*ret_n = n;
	return 0;
}

/*
 * Records of what has gone unseen. One that is being made or ended just now has no users either, but not so for LOOK_MS.
 * Held is found to be too much afterwards.
 */
static int bury(void)
{
	VZ_FREE struct ubc_dead *first = calloc(2, sizeof(*first));
	struct ubc_dead *second = first ? first + 1 : NULL;
	int n = first ? ubc_sweep(first) : -ENOMEM, m = 0, r = 0;

	if (n <= 0)
		return n;
	(void)poll(NULL, 0, LOOK_MS);
	m = ubc_sweep(second);
	for (int i = 0; r == 0 && i < n; i++)
		for (int j = 0; j < m; j++)
			if (first->at[i].key == second->at[j].key &&
			    first->at[i].group == second->at[j].group) {
				r = ubc_place_del(first->at[i].group, first->at[i].key);
				break;
			}
	return m < 0 ? m : r;
}

int ubc_reconcile(struct ubc_drift **ret, size_t *ret_n, struct vz_error *err)
{
	UBC_TABLE struct ubc_table *t = NULL;
	VZ_FREE struct counted *room = NULL;
	VZ_FD int lock = ubc_lock();
	struct looking l;
	uint32_t groups;
	int r = lock < 0 ? lock : ubc_table_open(true, &t);

	if (r == 0 && !t->is_map)
		r = -ENOENT;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "no BPF programs count here");
	room = calloc(4, sizeof(*room));
	if (!room)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "reconcile");
	l = (struct looking){ t, &room[0], &room[1], &room[2], &room[3] };
	groups = ubc_head(t)->attached;
	if (ubc_head(t)->method > UBC_BY_CGROUP) {
		r = bury();
		if (r == 0)
			r = ubc_adopt(groups);
	}
	for (int i = 0; r == 0 && i < PASSES; i++)
		r = pass(&l, groups, i == 0);
	if (r == 0)
		r = collect(&l, ret, ret_n);
	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "reconcile") : 0;
}
