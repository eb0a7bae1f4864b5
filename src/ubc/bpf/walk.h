/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_BPF_WALK_H
#define UBC_BPF_WALK_H

/*
 * Iterators: what was there before the programs were attached is taken in, and what no program counts is counted by a
 * look at all of it. The pinned iterator is a file: who reads it runs it.
 */

enum { WALK_LOCKS = 1 << 16 }; /* of one file: a tenant must not make us walk for ever */

struct ubc_ctl {
	uint32_t adopt; /* groups (1 << enum ubc_group) whose objects are taken into their maps */
	uint32_t sample; /* groups whose objects are counted in `sample` */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ubc_ctl);
} ctl SEC(".maps");

/* Sums of one look, by slot */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UBC_SLOTS);
	__type(key, uint32_t);
	__type(value, uint64_t[UBC_NR]);
} sample SEC(".maps");

/* Addresses that this look has met: descriptors share files, processes share address spaces. */
OBJECTS(seen, SEEN, uint64_t, uint32_t);

static __always_inline uint32_t kind_of(int family, int type, int proto)
{
	bool tcp = (family == AF_INET || family == AF_INET6) && type == SOCK_STREAM &&
		   (proto == 0 || proto == IPPROTO_TCP);

	return tcp ? UBC_NUMTCPSOCK : UBC_NUMOTHERSOCK;
}

static __always_inline uint64_t group_at(struct task_struct *t, uint32_t level)
{
	struct cgroup *g = BPF_CORE_READ(t, cgroups, dfl_cgrp);
	struct cgroup___old *old = (void *)g;
	uint64_t id = 0;

	if ((uint32_t)BPF_CORE_READ(g, level) < level)
		return 0;
	if (bpf_core_field_exists(g->ancestors)) {
		struct cgroup *up = NULL;

		bpf_core_read(&up, sizeof(up), &g->ancestors[level]);
		return BPF_CORE_READ(up, kn, id);
	}
	bpf_core_read(&id, sizeof(id), &old->ancestor_ids[level]);
	return id;
}

static __always_inline uint32_t slot_of(struct task_struct *t)
{
	const struct ubc_head *h = head();

	if (!h)
		return NONE;
#pragma unroll
	for (int i = 0; i < UBC_LEVELS; i++) {
		uint32_t level = h->level[i], slot;

		if (!level)
			break;
		slot = slot_of_group(group_at(t, level));
		if (slot)
			return slot;
	}
	return NONE;
}

static __always_inline bool first_look(uint64_t address)
{
	uint32_t one = 1;

	return bpf_map_update_elem(&seen, &address, &one, BPF_NOEXIST) == 0;
}

static __always_inline void sum(uint32_t slot, uint32_t c, uint64_t n)
{
	uint64_t *s = bpf_map_lookup_elem(&sample, &slot);

	if (s && c < UBC_NR)
		__sync_fetch_and_add(&s[c], n);
}

/* As add_object, but what is known already stays as it is. */
static __always_inline void adopt(void *map, void *key, uint32_t slot, uint32_t c)
{
	struct owner o = { slot, c };

	if (bpf_map_update_elem(map, key, &o, BPF_NOEXIST) == 0)
		(void)charge(slot, c, 1, false);
}

/*
 * The difference to what was counted of this address space. By exchange: the sum comes out right in whatever order
 * threads do this.
 */
static __always_inline void sync_mm(struct mm_struct *mm, uint32_t slot)
{
	uint64_t key = (uint64_t)mm, priv, locked;
	struct mm_owner *o, fresh = {};

	if (!mm)
		return;
	o = bpf_map_lookup_elem(&mms, &key);
	if (!o) {
		fresh.slot = slot;
		if (!slot || bpf_map_update_elem(&mms, &key, &fresh, BPF_NOEXIST))
			return;
		o = bpf_map_lookup_elem(&mms, &key);
		if (!o)
			return;
	}
	priv = BPF_CORE_READ(mm, data_vm) + BPF_CORE_READ(mm, stack_vm);
	locked = BPF_CORE_READ(mm, locked_vm);
	(void)charge(o->slot, UBC_PRIVVMPAGES, priv - __sync_lock_test_and_set(&o->priv, priv), false);
	(void)charge(o->slot, UBC_LOCKEDPAGES, locked - __sync_lock_test_and_set(&o->locked, locked), false);
}

/* ---- buffers of a socket, in bytes ---- */

static __always_inline void sum_buffers(uint32_t slot, struct sock *sk, bool tcp)
{
	uint64_t receive = (uint32_t)BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);

	if (tcp) {
		sum(slot, UBC_TCPSNDBUF, (uint32_t)BPF_CORE_READ(sk, sk_wmem_queued));
		sum(slot, UBC_TCPRCVBUF, receive);
	} else {
		uint32_t sent = (uint32_t)BPF_CORE_READ(sk, sk_wmem_alloc.refs.counter);

		sum(slot, UBC_OTHERSOCKBUF, sent ? sent - 1 : 0); /* 1 is the socket itself */
		sum(slot, UBC_DGRAMRCVBUF, receive);
	}
}

/* All sockets that are counted, with those that no descriptor leads to */
SEC("iter/bpf_map_elem") int it_socks(struct bpf_iter__bpf_map_elem *ctx)
{
	uint64_t *key = ctx->key;
	struct owner *o = ctx->value;

	if (key && o)
		sum_buffers(o->slot, (struct sock *)*key, o->counter == UBC_NUMTCPSOCK);
	return 0;
}

/* ---- files of all processes ---- */

static __always_inline void walk_sock(const struct ubc_ctl *c, struct file *f, uint32_t slot, bool fresh)
{
	struct socket *sock = f->private_data;
	struct sock *sk = BPF_CORE_READ(sock, sk);
	uint64_t key = (uint64_t)sk;
	uint32_t kind;

	if (!sk)
		return;
	kind = kind_of(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_type),
		       BPF_CORE_READ(sk, sk_protocol));
	if (c->adopt & 1 << UBC_G_SOCK)
		adopt(&socks, &key, slot, kind);
	if (c->sample & 1 << UBC_G_SOCK && fresh) {
		sum(slot, kind, 1);
		sum_buffers(slot, sk, kind == UBC_NUMTCPSOCK);
	}
}

struct lock_walk {
	struct list_head *list, *at;
	uint64_t offset; /* of the list in a lock, which begins with what its address is */
	uint32_t slot, adopt;
};

/* One lock of the list; called by bpf_loop. Return: 1 at its end. */
static long walk_lock(uint32_t i, struct lock_walk *w)
{
	struct list_head *at = w->at;
	uint64_t key = (uint64_t)at - w->offset;

	if (!at || at == w->list)
		return 1;
	if (w->adopt)
		adopt(&locks, &key, w->slot, UBC_NUMFLOCK);
	else if (first_look(key))
		sum(w->slot, UBC_NUMFLOCK, 1);
	w->at = BPF_CORE_READ(at, next);
	return 0;
}

static __always_inline void walk_lock_list(const struct ubc_ctl *c, struct list_head *list, uint32_t slot)
{
	struct lock_walk w = { .list = list, .at = BPF_CORE_READ(list, next), .slot = slot };

	w.adopt = c->adopt & 1 << UBC_G_LOCK;
	w.offset = bpf_core_type_exists(struct file_lock_core) ?
			   bpf_core_field_offset(struct file_lock_core, flc_list) :
			   bpf_core_field_offset(struct file_lock___old, fl_list);
	(void)bpf_loop(WALK_LOCKS, walk_lock, &w, 0);
}

static __always_inline void walk_locks(const struct ubc_ctl *c, struct inode *inode, uint32_t slot)
{
	struct file_lock_context *l = BPF_CORE_READ(inode, i_flctx);

	if (!l || !((c->adopt | c->sample) & 1 << UBC_G_LOCK))
		return;
	walk_lock_list(c, (void *)l + bpf_core_field_offset(struct file_lock_context, flc_flock), slot);
	walk_lock_list(c, (void *)l + bpf_core_field_offset(struct file_lock_context, flc_posix), slot);
}

static __always_inline void walk_pty(const struct ubc_ctl *c, struct file *f, uint32_t slot, bool fresh)
{
	struct tty_file_private *p = f->private_data;
	struct tty_struct *tty = BPF_CORE_READ(p, tty);
	struct pty_key key = { (uint64_t)BPF_CORE_READ(tty, driver_data), (uint64_t)BPF_CORE_READ(tty, index) };

	if (c->adopt & 1 << UBC_G_PTY)
		adopt(&ptys, &key, slot, UBC_NUMPTY);
	if (c->sample & 1 << UBC_G_PTY && fresh)
		sum(slot, UBC_NUMPTY, 1);
}

SEC("iter/task_file") int it_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	uint32_t zero = 0, slot;
	const struct ubc_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	uint64_t key = (uint64_t)f;
	bool fresh;

	if (!t || !f || !c)
		return 0;
	slot = slot_of(t);
	if (!slot)
		return 0;
	fresh = c->sample && first_look(key);
	if (c->adopt & 1 << UBC_G_FILE)
		adopt(&files, &key, slot, UBC_NUMFILE);
	if (c->sample & 1 << UBC_G_FILE && fresh)
		sum(slot, UBC_NUMFILE, 1);
	if ((f->f_inode->i_mode & S_IFMT) == S_IFSOCK)
		walk_sock(c, f, slot, fresh);
	else if (f->f_inode->i_rdev == PTMX)
		walk_pty(c, f, slot, fresh);
	walk_locks(c, f->f_inode, slot);
	return 0;
}

SEC("iter/task") int it_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	uint32_t zero = 0, slot;
	const struct ubc_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	struct mm_struct *mm;

	if (!t || !c || t->pid != t->tgid || !t->mm)
		return 0;
	slot = slot_of(t);
	mm = t->mm;
	if (!slot)
		return 0;
	if (c->adopt & 1 << UBC_G_MM)
		sync_mm(mm, slot);
	if (c->sample & 1 << UBC_G_MM && first_look((uint64_t)mm)) {
		sum(slot, UBC_PRIVVMPAGES, BPF_CORE_READ(mm, data_vm) + BPF_CORE_READ(mm, stack_vm));
		sum(slot, UBC_LOCKEDPAGES, BPF_CORE_READ(mm, locked_vm));
	}
	return 0;
}

#endif
