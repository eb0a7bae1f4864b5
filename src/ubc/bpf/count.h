/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_BPF_COUNT_H
#define UBC_BPF_COUNT_H

/* Maps, whose slot it is, charging and taking back. */

enum {
	NONE = 0, /* slot 0 is the head: nobody's */
	CELLS = 1 << 10, /* the loader makes it as many as this node needs */
	SPILL = 1 << 16,
	PTYS = 1 << 14,
	MMS = 1 << 17,
	SHMS = 1 << 16,
	CAS_TRIES = 16, /* by then somebody else has raised it */
};

struct mm_owner {
	uint32_t slot, pad;
	uint64_t priv, locked;
};
/** struct shm_owner - of a file of shared memory: @reserved when it was made, @pages: what it counts as */
struct shm_owner {
	uint32_t slot, pad;
	uint64_t pages, reserved;
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

/* The only variable in the section .bss, which is a map: pinned as `groups`. */
struct ubc_groups groups;

/*
 * Who pays for an object is found again by its address. A hash of the kernel costs 250 instructions to put in and as
 * many to take out; these tables some 20. What finds no place in its cell goes into the hash `spill`.
 */
#define PLACES(name)                                                                               \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, CELLS);                                                        \
		__type(key, uint32_t);                                                             \
		__type(value, struct ubc_cell);                                                    \
	} name SEC(".maps");                                                                       \
	const volatile uint32_t name##_mask = CELLS - 1

PLACES(files);
PLACES(socks);
PLACES(locks);

#define OBJECTS(name, n, k, v)                                                                     \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, n);                                                            \
		__type(key, k);                                                                    \
		__type(value, v);                                                                  \
	} name SEC(".maps")

OBJECTS(spill, SPILL, uint64_t, struct ubc_owner);
OBJECTS(ptys, PTYS, struct pty_key, struct ubc_owner);
OBJECTS(mms, MMS, uint64_t, struct mm_owner);
OBJECTS(shms, SHMS, uint64_t, struct shm_owner);

static __always_inline uint32_t slot_of_group(uint64_t id)
{
	const uint32_t home = UBC_HOME(id);

	for (uint32_t i = 0; id && i < UBC_GROUP_TRIES; i++) {
		const struct ubc_place *p = &groups.at[(home + i) & (UBC_GROUP_PLACES - 1)];

		if (p->key == id)
			return p->o.slot;
		if (!p->key)
			break;
	}
	return NONE;
}

/*
 * Files and processes of the node's own user namespace are never a VPS's: most calls end here. Of a file this does not
 * change, so that it is left out at its birth and at its end.
 */
static __always_inline bool of_node(const struct cred *c)
{
	return (uint64_t)c->user_ns == groups.node;
}

/* Slot of the VPS whose group the current process is in, however deep below. */
static __always_inline uint32_t slot_here(void)
{
	for (int i = 0; i < UBC_LEVELS; i++) {
		uint32_t level = groups.level[i], slot;

		if (!level)
			break;
		slot = slot_of_group(bpf_get_current_ancestor_cgroup_id(level));
		if (slot)
			return slot;
	}
	return NONE;
}

static __always_inline uint32_t current_slot(void)
{
	return of_node(bpf_get_current_task_btf()->cred) ? NONE : slot_here();
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

/* The bound that the verifier sees; below ROWS a slot has room, if no row. */
static __always_inline struct ubc_row *row_of(struct ubc_slot *s, uint32_t c)
{
	enum { ROWS = 32 };
	_Static_assert(UBC_NR <= ROWS && sizeof(*s) >= sizeof(s->row[0]) * (ROWS + 1), "a slot has room");

	asm volatile("%0 &= 31" : "+r"(c));
	return &s->row[c];
}

/* Who asked: somebody over the network; the current process; the same, where nothing of the kernel's can be read */
enum who { NOBODY, CURRENT, CURRENT_PLAIN };

static __always_inline void note(struct ubc_slot *s, uint32_t c, uint64_t held, uint64_t limit, uint64_t asked,
				 enum who who)
{
	uint64_t seq = __sync_fetch_and_add(&s->refusals, 1);
	struct ubc_refusal *r = &s->ring[seq % UBC_RING];

	__sync_fetch_and_add(&row_of(s, c)->failcnt, 1);
	r->seq = 0;
	r->time_ns = bpf_ktime_get_boot_ns();
	r->held = held;
	r->limit = limit;
	r->asked = asked;
	r->counter = c;
	r->pid = who == CURRENT ? inner_pid() : 0;
	if (who)
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

/* What is asked for comes back at once when it is too much. @refuse: NOBODY: never. Return: 0, or -1: refused. */
static __always_inline int charge(uint32_t slot, uint32_t c, uint64_t n, enum who refuse)
{
	struct ubc_slot *s = slot_at(slot);
	struct ubc_row *row;
	uint64_t held;

	if (!s || c >= UBC_NR)
		return 0;
	row = row_of(s, c);
	held = __sync_fetch_and_add(&row->held, n) + n;
	if (refuse && (int64_t)held > (int64_t)row->limit) {
		__sync_fetch_and_add(&row->held, -n);
		note(s, c, held - n, row->limit, n, refuse);
		return -1;
	}
	raise(row, held);
	return 0;
}

static __always_inline void uncharge(uint32_t slot, uint32_t c, uint64_t n)
{
	struct ubc_slot *s = slot_at(slot);

	if (s && c < UBC_NR)
		__sync_fetch_and_add(&row_of(s, c)->held, -n);
}

/* Would @n more be too much? For what is charged elsewhere. @limit: barrier or limit of the row */
static __always_inline bool over(struct ubc_slot *s, uint32_t c, uint64_t n, uint64_t limit, bool mine)
{
	uint64_t held = row_of(s, c)->held;

	if ((int64_t)(held + n) <= (int64_t)limit)
		return false;
	note(s, c, held, limit, n, mine ? CURRENT : NOBODY);
	return true;
}

static __always_inline bool over_limit(uint32_t slot, uint32_t c, uint64_t n, bool mine)
{
	struct ubc_slot *s = slot_at(slot);

	return s && c < UBC_NR && over(s, c, n, row_of(s, c)->limit, mine);
}

/* ---- records of objects by address ---- */

/* The address as a number: the verifier lets nobody reckon with a pointer. */
static __always_inline uint64_t address(const void *object)
{
	uint64_t number = 0;

	__sync_fetch_and_add(&number, (uint64_t)object);
	return number;
}

static __always_inline struct ubc_cell *cell_of(void *places, uint32_t mask, uint64_t key)
{
	uint32_t i = UBC_HOME(key) & mask;

	return bpf_map_lookup_elem(places, &i);
}

static __always_inline struct ubc_place *place_of(struct ubc_cell *c, uint64_t key)
{
#pragma unroll
	for (int i = 0; i < UBC_WAYS; i++)
		if (c->at[i].key == key)
			return &c->at[i];
	return NULL;
}

static __always_inline struct ubc_owner *spilled(uint64_t key)
{
	return groups.spilled ? bpf_map_lookup_elem(&spill, &key) : NULL;
}

static __always_inline void drop_spilled(uint64_t key)
{
	struct ubc_owner *o = spilled(key), was;

	if (!o)
		return;
	was = *o;
	if (bpf_map_delete_elem(&spill, &key) == 0) {
		__sync_fetch_and_add(&groups.spilled, -1);
		uncharge(was.slot, was.counter, 1);
	}
}

static __always_inline struct ubc_owner *find(void *places, uint32_t mask, uint64_t key)
{
	struct ubc_cell *c = cell_of(places, mask, key);
	struct ubc_place *p = c ? place_of(c, key) : NULL;

	return p ? &p->o : spilled(key);
}

/* Return: 0, or -1: there is no room. */
static __always_inline int keep(struct ubc_cell *c, uint64_t key, struct ubc_owner o)
{
#pragma unroll
	for (int i = 0; i < UBC_WAYS; i++)
		if (!c->at[i].key && __sync_val_compare_and_swap(&c->at[i].key, 0, key) == 0) {
			c->at[i].o = o;
			return 0;
		}
	if (bpf_map_update_elem(&spill, &key, &o, BPF_NOEXIST))
		return -1;
	__sync_fetch_and_add(&groups.spilled, 1);
	return 0;
}

/*
 * An object of @slot with the address @key. Known already are: one that other programs of ours have just counted, while
 * one version takes over from another; and one that was freed unseen, whose address is used again, since tracing
 * programs do not run inside themselves. Where there is no room nothing is counted, and so nothing refused.
 * Return: 0, or @err: refused.
 */
static __always_inline int add_object(void *places, uint32_t mask, uint64_t key, uint32_t slot, uint32_t c, int err,
				      enum who refuse)
{
	struct ubc_owner o = { slot, c }, old, *was;
	struct ubc_cell *cell = cell_of(places, mask, key);
	struct ubc_place *p;

	if (!cell)
		return 0;
	p = place_of(cell, key);
	was = p ? &p->o : spilled(key);
	if (was && was->slot == slot && was->counter == c)
		return 0;
	if (charge(slot, c, 1, refuse))
		return err;
	if (was) {
		old = *was;
		*was = o;
		uncharge(old.slot, old.counter, 1);
	} else if (keep(cell, key, o)) {
		uncharge(slot, c, 1);
	}
	return 0;
}

static __always_inline void drop_object(void *places, uint32_t mask, uint64_t key)
{
	struct ubc_cell *c = cell_of(places, mask, key);
	struct ubc_place *p = c ? place_of(c, key) : NULL;
	struct ubc_owner was;

	if (!p) {
		drop_spilled(key);
		return;
	}
	was = p->o;
	if (__sync_val_compare_and_swap(&p->key, key, 0) == key)
		uncharge(was.slot, was.counter, 1);
}

/* The same for ptys, which are few, in a hash; their limit is asked for before. */
static __always_inline void add_pty(struct pty_key *key, uint32_t slot)
{
	struct ubc_owner o = { slot, UBC_NUMPTY };

	if (bpf_map_update_elem(&ptys, key, &o, BPF_NOEXIST) == 0)
		(void)charge(slot, UBC_NUMPTY, 1, NOBODY);
}

static __always_inline void drop_pty(struct pty_key *key)
{
	struct ubc_owner *o = bpf_map_lookup_elem(&ptys, key), was;

	if (!o)
		return;
	was = *o;
	if (bpf_map_delete_elem(&ptys, key) == 0)
		uncharge(was.slot, was.counter, 1);
}

#endif
