/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_BPF_WALK_H
#define UBC_BPF_WALK_H

/*
 * Iterators: what was there before the programs were attached is taken in. A pinned iterator is a file: who reads it
 * runs it.
 */

enum { WALK_LOCKS = 1 << 16 }; /* of one file: a tenant must not make us walk for ever */

/* Groups (1 << enum ubc_group) whose objects are taken into their maps */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} adopted SEC(".maps");

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
	for (int i = 0; i < UBC_LEVELS; i++) {
		uint32_t level = groups.level[i], slot;

		if (!level)
			break;
		slot = slot_of_group(group_at(t, level));
		if (slot)
			return slot;
	}
	return NONE;
}

/* As add_object, but what is known already stays as it is. */
static __always_inline void adopt(void *places, uint32_t mask, uint64_t key, uint32_t slot, uint32_t c)
{
	if (!find(places, mask, key))
		(void)add_object(places, mask, key, slot, c, 0, NOBODY);
}

/*
 * The difference to what was counted of this address space. By exchange: the sum comes out right in whatever order
 * threads do this.
 */
static __always_inline void sync_mm(struct mm_struct *mm, uint32_t slot)
{
	uint64_t key = (uint64_t)mm, priv, locked;
	struct mm_owner *o, fresh = {};

	if (!mm || !slot)
		return;
	o = bpf_map_lookup_elem(&mms, &key);
	if (!o) {
		fresh.slot = slot;
		if (bpf_map_update_elem(&mms, &key, &fresh, BPF_NOEXIST))
			return;
		o = bpf_map_lookup_elem(&mms, &key);
		if (!o)
			return;
	}
	priv = mm->data_vm + mm->stack_vm;
	locked = mm->locked_vm;
	if (o->priv != priv)
		(void)charge(o->slot, UBC_PRIVVMPAGES, priv - __sync_lock_test_and_set(&o->priv, priv), NOBODY);
	if (o->locked != locked)
		(void)charge(o->slot, UBC_LOCKEDPAGES, locked - __sync_lock_test_and_set(&o->locked, locked), NOBODY);
}

/* The same for a file of shared memory. @slot: whose it is, if it is not known yet; NONE: then it stays so. */
static __always_inline void sync_shm(struct inode *inode, uint32_t slot)
{
	enum { SECTORS = 3 }; /* 8 to a page of 4096 */
	struct shm_owner *o, fresh = {};
	uint64_t key = address(inode), pages;

	o = bpf_map_lookup_elem(&shms, &key);
	if (!o) {
		fresh.slot = slot;
		if (!slot || bpf_map_update_elem(&shms, &key, &fresh, BPF_NOEXIST))
			return;
		o = bpf_map_lookup_elem(&shms, &key);
		if (!o)
			return;
	}
	pages = inode->i_blocks >> SECTORS;
	if (pages < o->reserved)
		pages = o->reserved;
	if (o->pages != pages)
		(void)charge(o->slot, UBC_SHMPAGES, pages - __sync_lock_test_and_set(&o->pages, pages), NOBODY);
}

/* ---- files of all processes ---- */

static __always_inline void walk_sock(struct file *f, uint32_t slot)
{
	struct socket *sock = f->private_data;
	struct sock *sk = BPF_CORE_READ(sock, sk);

	if (sk)
		adopt(&socks, socks_mask, address(sk), slot,
		      kind_of(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_type),
			      BPF_CORE_READ(sk, sk_protocol)));
}

struct lock_walk {
	struct list_head *list, *at;
	uint64_t offset; /* of the list in a lock, which begins with what its address is */
	uint32_t slot;
};

/* One lock of the list; called by bpf_loop. Return: 1 at its end. */
static long walk_lock(uint32_t i, struct lock_walk *w)
{
	struct list_head *at = w->at;
	uint64_t key = (uint64_t)at - w->offset;

	if (!at || at == w->list)
		return 1;
	adopt(&locks, locks_mask, key, w->slot, UBC_NUMFLOCK);
	w->at = BPF_CORE_READ(at, next);
	return 0;
}

static __always_inline uint64_t lock_list_offset(void)
{
	return bpf_core_type_exists(struct file_lock_core) ?
		       bpf_core_field_offset(struct file_lock_core, flc_list) :
		       bpf_core_field_offset(struct file_lock___old, fl_list);
}

static __always_inline void walk_lock_list(struct list_head *list, uint32_t slot)
{
	struct lock_walk w = { .list = list, .at = BPF_CORE_READ(list, next), .slot = slot };

	w.offset = lock_list_offset();
	(void)bpf_loop(WALK_LOCKS, walk_lock, &w, 0);
}

static __always_inline void walk_locks(struct inode *inode, uint32_t slot)
{
	struct file_lock_context *l = BPF_CORE_READ(inode, i_flctx);

	if (!l)
		return;
	walk_lock_list((void *)l + bpf_core_field_offset(struct file_lock_context, flc_flock), slot);
	walk_lock_list((void *)l + bpf_core_field_offset(struct file_lock_context, flc_posix), slot);
}

static __always_inline void walk_pty(struct file *f, uint32_t slot)
{
	struct tty_file_private *p = f->private_data;
	struct tty_struct *tty = BPF_CORE_READ(p, tty);
	struct pty_key key = { (uint64_t)BPF_CORE_READ(tty, driver_data), (uint64_t)BPF_CORE_READ(tty, index) };

	add_pty(&key, slot);
}

static __always_inline uint32_t adopted_now(void)
{
	uint32_t zero = 0, *mask = bpf_map_lookup_elem(&adopted, &zero);

	return mask ? *mask : 0;
}

SEC("iter/task_file") int it_files(struct bpf_iter__task_file *ctx)
{
	const uint32_t mask = adopted_now();
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	uint32_t slot;

	if (!t || !f || !mask || of_node(f->f_cred))
		return 0;
	slot = slot_of(t);
	if (!slot)
		return 0;
	if (mask & 1 << UBC_G_FILE)
		adopt(&files, files_mask, address(f), slot, UBC_NUMFILE);
	if (mask & 1 << UBC_G_SOCK && (f->f_inode->i_mode & S_IFMT) == S_IFSOCK)
		walk_sock(f, slot);
	if (mask & 1 << UBC_G_PTY && f->f_inode->i_rdev == PTMX)
		walk_pty(f, slot);
	if (mask & 1 << UBC_G_LOCK)
		walk_locks(f->f_inode, slot);
	if (mask & 1 << UBC_G_SHM && f->f_mode & FMODE_WRITE && f->f_inode->i_sb->s_magic == TMPFS_MAGIC)
		sync_shm(f->f_inode, slot);
	return 0;
}

/* Shared memory that is mapped; what is only there, in a file that nobody has open, is found when it is next changed. */
SEC("iter/task_vma") int it_vmas(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *t = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	uint32_t slot;

	if (!t || !vma || !vma->vm_file || !(vma->vm_flags & VM_SHARED) || of_node(t->cred) || !(adopted_now() & 1 << UBC_G_SHM) ||
	    vma->vm_file->f_inode->i_sb->s_magic != TMPFS_MAGIC)
		return 0;
	slot = slot_of(t);
	if (slot)
		sync_shm(vma->vm_file->f_inode, slot);
	return 0;
}

/* ---- records of what is not there any more: its end was not seen ---- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ubc_dead);
} dead SEC(".maps");

static __always_inline void tell_dead(uint64_t key, uint32_t group)
{
	uint32_t zero = 0, n;
	struct ubc_dead *d = bpf_map_lookup_elem(&dead, &zero);

	if (!d)
		return;
	n = __sync_fetch_and_add(&d->n, 1);
	if (n >= UBC_DEAD)
		return;
	d->at[n].key = key;
	d->at[n].group = group;
}

/*
 * What lies at the address may be anything by now; a VPS's file that has users is taken for ours, since whoever is given
 * the same memory is counted at this address anew. Read by helpers: an address that is none gives 0.
 */
static __always_inline bool file_lives(struct file *f)
{
	enum { LEVELS = 33 }; /* of user namespaces */
	const struct file___old *old = (void *)f;
	const struct file___new *new = (void *)f;
	uint32_t level = BPF_CORE_READ(f, f_cred, user_ns, level);

	if (level == 0 || level > LEVELS)
		return false;
	return bpf_core_field_exists(old->f_count) ? BPF_CORE_READ(old, f_count.counter) > 0 :
						     BPF_CORE_READ(new, f_ref.refcnt.counter) >= 0;
}

static __always_inline bool sock_lives(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter) > 0;
}

/* In a list: who is before it knows it, and who is behind. */
static __always_inline bool lock_lives(uint64_t key)
{
	struct list_head *at = (void *)(key + lock_list_offset());
	struct list_head *next = BPF_CORE_READ(at, next), *prev = BPF_CORE_READ(at, prev);

	return next && next != at && BPF_CORE_READ(next, prev) == at && BPF_CORE_READ(prev, next) == at;
}

struct sweep {
	uint32_t group;
};

/* One cell; called by bpf_loop. */
static long sweep_cell(uint32_t i, struct sweep *s)
{
	const uint32_t g = s->group;
	struct ubc_cell *c = g == UBC_G_FILE ? bpf_map_lookup_elem(&files, &i) :
			     g == UBC_G_SOCK ? bpf_map_lookup_elem(&socks, &i) :
					       bpf_map_lookup_elem(&locks, &i);

	if (!c)
		return 1;
	for (int w = 0; w < UBC_WAYS; w++) {
		const uint64_t key = c->at[w].key;

		if (key && !(g == UBC_G_FILE ? file_lives((void *)key) :
			     g == UBC_G_SOCK ? sock_lives((void *)key) :
					       lock_lives(key)))
			tell_dead(key, g);
	}
	return 0;
}

static long sweep_spilled(struct bpf_map *map, const uint64_t *key, const struct ubc_owner *o, void *unused)
{
	if (o->counter == UBC_NUMFILE && !file_lives((void *)*key))
		tell_dead(*key, UBC_G_FILE);
	if (o->counter == UBC_NUMFLOCK && !lock_lives(*key))
		tell_dead(*key, UBC_G_LOCK);
	if ((o->counter == UBC_NUMTCPSOCK || o->counter == UBC_NUMOTHERSOCK) && !sock_lives((void *)*key))
		tell_dead(*key, UBC_G_SOCK);
	return 0;
}

static long sweep_mm(struct bpf_map *map, const uint64_t *key, const struct mm_owner *o, void *unused)
{
	struct mm_struct *mm = (void *)*key;

	if (BPF_CORE_READ(mm, mm_users.counter) <= 0)
		tell_dead(*key, UBC_G_MM);
	return 0;
}

static long sweep_shm(struct bpf_map *map, const uint64_t *key, const struct shm_owner *o, void *unused)
{
	struct inode *inode = (void *)*key;

	/* its dentry holds it, also when nobody has it open */
	if (BPF_CORE_READ(inode, i_sb, s_magic) != TMPFS_MAGIC || BPF_CORE_READ(inode, i_count.counter) <= 0)
		tell_dead(*key, UBC_G_SHM);
	return 0;
}

SEC("iter/bpf_map") int it_sweep(struct bpf_iter__bpf_map *ctx)
{
	struct sweep s = { UBC_G_FILE };

	if (ctx->map) /* once, at the end of all maps */
		return 0;
	(void)bpf_loop(files_mask + 1, sweep_cell, &s, 0);
	s.group = UBC_G_SOCK;
	(void)bpf_loop(socks_mask + 1, sweep_cell, &s, 0);
	s.group = UBC_G_LOCK;
	(void)bpf_loop(locks_mask + 1, sweep_cell, &s, 0);
	(void)bpf_for_each_map_elem(&spill, sweep_spilled, NULL, 0);
	(void)bpf_for_each_map_elem(&mms, sweep_mm, NULL, 0);
	(void)bpf_for_each_map_elem(&shms, sweep_shm, NULL, 0);
	return 0;
}

SEC("iter/task") int it_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;

	if (t && !groups.node && t->cred->user_ns->level == 0)
		groups.node = address(t->cred->user_ns);
	if (t && t->mm && t->pid == t->tgid && !of_node(t->cred) && adopted_now() & 1 << UBC_G_MM)
		sync_mm(t->mm, slot_of(t));
	return 0;
}

#endif
