/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_BPF_COUNT_H
#define UBC_BPF_COUNT_H

/* Maps, whose slot it is, charging and taking back. */

enum {
	NONE = 0, /* slot 0 is the head: nobody's */
	FILES = 1 << 20,
	SOCKS = 1 << 18,
	LOCKS = 1 << 18,
	PTYS = 1 << 14,
	MMS = 1 << 17,
	CAS_TRIES = 16, /* by then somebody else has raised it */
};

/* Who pays for an object: found again by its address when it is freed, by whomever. */
struct owner {
	uint32_t slot, counter;
};
struct mm_owner {
	uint32_t slot, pad;
	uint64_t priv, locked;
};
struct pty_key {
	uint64_t fsi, index;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UBC_SLOTS);
	__type(key, uint32_t);
	__type(value, struct ubc_slot);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UBC_SLOTS);
	__type(key, uint64_t); /* id of a VPS's group */
	__type(value, uint32_t);
} groups SEC(".maps");

#define OBJECTS(name, n, k, v)                                                                     \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, n);                                                            \
		__type(key, k);                                                                    \
		__type(value, v);                                                                  \
	} name SEC(".maps")

OBJECTS(files, FILES, uint64_t, struct owner);
OBJECTS(socks, SOCKS, uint64_t, struct owner);
OBJECTS(locks, LOCKS, uint64_t, struct owner);
OBJECTS(ptys, PTYS, struct pty_key, struct owner);
OBJECTS(mms, MMS, uint64_t, struct mm_owner);

static __always_inline const struct ubc_head *head(void)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(&table, &zero);
}

static __always_inline uint32_t slot_of_group(uint64_t id)
{
	uint32_t *slot = id ? bpf_map_lookup_elem(&groups, &id) : NULL;

	return slot ? *slot : NONE;
}

/* Slot of the VPS that the current process is in, however deep below its group. */
static __always_inline uint32_t current_slot(void)
{
	const struct ubc_head *h = head();

	if (!h)
		return NONE;
#pragma unroll
	for (int i = 0; i < UBC_LEVELS; i++) {
		uint32_t level = h->level[i], slot;

		if (!level)
			break;
		slot = slot_of_group(bpf_get_current_ancestor_cgroup_id(level));
		if (slot)
			return slot;
	}
	return NONE;
}

static __always_inline struct ubc_slot *slot_at(uint32_t slot)
{
	return slot ? bpf_map_lookup_elem(&table, &slot) : NULL;
}

/* pid of the current process as its VPS sees it: the namespace below that of the node */
static __always_inline uint32_t inner_pid(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(t, group_leader, thread_pid);

	return BPF_CORE_READ(pid, level) ? (uint32_t)BPF_CORE_READ(pid, numbers[1].nr) : 0;
}

/* @mine: the current process asked; else it came over the network */
static __always_inline void note(struct ubc_slot *s, uint32_t c, uint64_t held, uint64_t limit, uint64_t asked,
				 bool mine)
{
	uint64_t seq = __sync_fetch_and_add(&s->refusals, 1);
	struct ubc_refusal *r = &s->ring[seq % UBC_RING];

	__sync_fetch_and_add(&s->row[c].failcnt, 1);
	r->seq = 0;
	r->time_ns = bpf_ktime_get_boot_ns();
	r->held = held;
	r->limit = limit;
	r->asked = asked;
	r->counter = c;
	r->pid = mine ? inner_pid() : 0;
	if (mine)
		bpf_get_current_comm(r->comm, sizeof(r->comm));
	else
		__builtin_memset(r->comm, 0, sizeof(r->comm));
	r->seq = seq + 1;
}

static __always_inline void raise(struct ubc_row *row, uint64_t held)
{
	uint64_t max = row->maxheld, was;

	for (int i = 0; i < CAS_TRIES && (int64_t)held > (int64_t)max; i++) {
		was = __sync_val_compare_and_swap(&row->maxheld, max, held);
		if (was == max)
			break;
		max = was;
	}
}

/* What is asked for comes back at once when it is too much. Return: 0, or -1: refused. */
static __always_inline int charge(uint32_t slot, uint32_t c, uint64_t n, bool refuse)
{
	struct ubc_slot *s = slot_at(slot);
	struct ubc_row *row;
	uint64_t held;

	if (!s || c >= UBC_NR)
		return 0;
	row = &s->row[c];
	held = __sync_fetch_and_add(&row->held, n) + n;
	if (refuse && (int64_t)held > (int64_t)row->limit) {
		__sync_fetch_and_add(&row->held, -n);
		note(s, c, held - n, row->limit, n, true);
		return -1;
	}
	raise(row, held);
	return 0;
}

static __always_inline void uncharge(uint32_t slot, uint32_t c, uint64_t n)
{
	struct ubc_slot *s = slot_at(slot);

	if (s && c < UBC_NR)
		__sync_fetch_and_add(&s->row[c].held, -n);
}

/* Would @n more be too much? For what is charged elsewhere. @limit: barrier or limit of the row */
static __always_inline bool over(struct ubc_slot *s, uint32_t c, uint64_t n, uint64_t limit, bool mine)
{
	uint64_t held = s->row[c].held;

	if ((int64_t)(held + n) <= (int64_t)limit)
		return false;
	note(s, c, held, limit, n, mine);
	return true;
}

static __always_inline bool over_limit(uint32_t slot, uint32_t c, uint64_t n, bool mine)
{
	struct ubc_slot *s = slot_at(slot);

	return s && c < UBC_NR && over(s, c, n, s->row[c].limit, mine);
}

/*
 * An object of @slot with the address @key. Known already are: one that other programs of ours have just counted, while
 * one version takes over from another; and one that was freed unseen, whose address is used again, since tracing
 * programs do not run inside themselves. Where the map is full nothing is counted, and so nothing refused.
 * Return: 0, or @err: refused.
 */
static __always_inline int add_object(void *map, void *key, uint32_t slot, uint32_t c, int err, bool refuse)
{
	struct owner o = { slot, c }, old, *was;

	if (bpf_map_update_elem(map, key, &o, BPF_NOEXIST) == 0) {
		if (!charge(slot, c, 1, refuse))
			return 0;
		bpf_map_delete_elem(map, key);
		return err;
	}
	was = bpf_map_lookup_elem(map, key);
	if (!was || (was->slot == slot && was->counter == c))
		return 0;
	if (charge(slot, c, 1, refuse))
		return err;
	old = *was;
	*was = o;
	uncharge(old.slot, old.counter, 1);
	return 0;
}

static __always_inline void drop_object(void *map, void *key)
{
	struct owner *o = bpf_map_lookup_elem(map, key), was;

	if (!o)
		return;
	was = *o;
	if (bpf_map_delete_elem(map, key) == 0)
		uncharge(was.slot, was.counter, 1);
}

#endif
