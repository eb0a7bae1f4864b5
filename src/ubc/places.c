/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables of places by key, which programs and we share: see table.h. The kernel's hashes would cost each call more than
 * all the rest of the counting.
 */
#include "ubc/priv.h"

#include "util/fd.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static size_t pages(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) & ~(page - 1);
}

/* Whole map, shared with the programs. NULL: errno says why. */
static void *map_all(int map, size_t bytes)
{
	void *p = mmap(NULL, pages(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* ---- groups of VPSes: lock held ---- */

struct search {
	struct ubc_place *there, *empty; /* of the key; where it could be put */
};

static struct search look(struct ubc_groups *g, uint64_t id)
{
	struct search s = { NULL, NULL };

	for (uint32_t i = 0; i < UBC_GROUP_TRIES; i++) {
		struct ubc_place *p = &g->at[(UBC_HOME(id) + i) & (UBC_GROUP_PLACES - 1)];

		if (p->key == id)
			s.there = p;
		if (!s.empty && p->key <= UBC_GROUP_GONE)
			s.empty = p;
		if (!p->key)
			break;
	}
	return s;
}

int ubc_group_put(int map, const struct ubc_head *h, uint64_t id, uint32_t slot)
{
	struct ubc_groups *g = map_all(map, sizeof(*g));
	struct search s;

	if (!g)
		return -errno;
	memcpy(g->level, h->level, sizeof(g->level));
	s = look(g, id);
	if (s.there) {
		__atomic_store_n(&s.there->o.slot, slot, __ATOMIC_RELAXED);
	} else if (s.empty) {
		s.empty->o.slot = slot;
		__atomic_store_n(&s.empty->key, id, __ATOMIC_RELEASE);
	}
	(void)munmap(g, pages(sizeof(*g)));
	return s.there || s.empty ? 0 : -ENOSPC;
}

int ubc_group_del(int map, const struct ubc_head *h, uint64_t id)
{
	struct ubc_groups *g = map_all(map, sizeof(*g));
	struct search s;

	if (!g)
		return -errno;
	memcpy(g->level, h->level, sizeof(g->level));
	s = look(g, id);
	if (s.there)
		__atomic_store_n(&s.there->key, UBC_GROUP_GONE, __ATOMIC_RELEASE);
	(void)munmap(g, pages(sizeof(*g)));
	return 0;
}

int64_t ubc_spilled(uint32_t less)
{
	VZ_FD int map = ubc_pin_get("groups");
	struct ubc_groups *g = map < 0 ? NULL : map_all(map, sizeof(*g));
	int64_t left;

	if (!g)
		return map < 0 ? map : -errno;
	left = (int64_t)__atomic_sub_fetch(&g->spilled, less, __ATOMIC_RELAXED);
	(void)munmap(g, pages(sizeof(*g)));
	return left;
}

/* ---- objects ---- */

struct cells {
	struct ubc_cell *cell;
	uint32_t n;
};

static int open_cells(const char *name, struct cells *ret)
{
	VZ_FD int map = ubc_pin_get(name);
	int n = map < 0 ? map : ubc_map_entries(map);

	if (n < 0)
		return n;
	ret->n = (uint32_t)n;
	ret->cell = map_all(map, ret->n * sizeof(*ret->cell));
	return ret->cell ? 0 : -errno;
}

static void close_cells(struct cells *c)
{
	(void)munmap(c->cell, pages(c->n * sizeof(*c->cell)));
}

int ubc_places_each(enum ubc_group g, void (*run)(const struct ubc_owner *o, void *arg), void *arg)
{
	struct cells c;
	int r = open_cells(ubc_object_map(g), &c);

	for (uint32_t i = 0; r == 0 && i < c.n; i++)
		for (int w = 0; w < UBC_WAYS; w++)
			if (c.cell[i].at[w].key)
				run(&c.cell[i].at[w].o, arg);
	if (r == 0)
		close_cells(&c);
	return r;
}

int ubc_place_del(enum ubc_group g, uint64_t key)
{
	VZ_FD int map = ubc_pin_get(ubc_in_places(g) ? "spill" : ubc_object_map(g));
	struct ubc_owner o;
	struct cells c;
	int r;

	if (map < 0 || !ubc_in_places(g))
		return map < 0 ? map : ubc_map_del(map, &key);
	if (ubc_map_get(map, &key, &o) == 0 && ubc_map_del(map, &key) == 0)
		(void)!ubc_spilled(1);
	r = open_cells(ubc_object_map(g), &c);
	if (r < 0)
		return r;
	for (int w = 0; w < UBC_WAYS; w++) {
		uint64_t was = key;

		(void)__atomic_compare_exchange_n(&c.cell[UBC_HOME(key) & (c.n - 1)].at[w].key,
						  &was, 0, false, __ATOMIC_ACQ_REL,
						  __ATOMIC_RELAXED);
	}
	close_cells(&c);
	return 0;
}

int ubc_sweep(struct ubc_dead *ret)
{
	VZ_FD int map = ubc_pin_get("dead");
	struct ubc_dead *d = map < 0 ? NULL : map_all(map, sizeof(*d));
	int r;

	if (!d)
		return map < 0 ? map : -errno;
	__atomic_store_n(&d->n, 0, __ATOMIC_RELAXED);
	r = ubc_run_iterator("it_sweep");
	memcpy(ret, d, sizeof(*ret));
	(void)munmap(d, pages(sizeof(*d)));
	return r < 0 ? r : ret->n < UBC_DEAD ? (int)ret->n : UBC_DEAD;
}

int ubc_places_empty(enum ubc_group g)
{
	struct cells c;
	int r = open_cells(ubc_object_map(g), &c);

	/* what is zero stays untouched: pages that were never used are not given memory */
	for (uint32_t i = 0; r == 0 && i < c.n; i++)
		for (int w = 0; w < UBC_WAYS; w++)
			if (c.cell[i].at[w].key)
				c.cell[i].at[w] = (struct ubc_place){ 0 };
	if (r == 0)
		close_cells(&c);
	return r;
}

/* The entries of the hash belong to all groups. @run: true: goes on; false: the entry goes. */
int ubc_spill_each(bool (*run)(const struct ubc_owner *o, void *arg), void *arg, uint32_t *ret_gone)
{
	VZ_FD int map = ubc_pin_get("spill");
	uint64_t key, next;
	bool more;
	int r = map < 0 ? map : ubc_map_next(map, NULL, &key);

	*ret_gone = 0;
	for (; r == 0; key = next) {
		struct ubc_owner o;

		more = ubc_map_next(map, &key, &next) == 0;
		if (ubc_map_get(map, &key, &o) == 0 && !run(&o, arg) && ubc_map_del(map, &key) == 0)
			++*ret_gone;
		if (!more)
			return 0;
	}
	return r == -ENOENT && map >= 0 ? 0 : r;
}
