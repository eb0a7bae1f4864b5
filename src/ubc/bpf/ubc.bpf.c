/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beancounters that no control group has, counted and refused by BPF. A program's name says what becomes of it
 * (load.c reads it): its group (file_ lock_ sock_ pty_ shm_ mm_), then _l for BPF LSM, _m for fmod_ret or fentry on the
 * same place, neither for both; cg_ are those of the cgroup method, it_ iterators.
 *
 * Files and what else has an address are found again by it when they are freed: by whoever frees them, perhaps in
 * another VPS or in no process at all.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "ubc/table.h"

#include "count.h"
#include "walk.h"

char ubc_license[] SEC("license") = "GPL";

/* A hook that may refuse: @body gives 0 or -errno. Another's refusal stands. */
#define HOOK(name, lsm, func, body, ...)                                                           \
	SEC("lsm/" lsm) int BPF_PROG(name##_l, __VA_ARGS__, int ret)                               \
	{                                                                                          \
		return ret ? ret : (body);                                                         \
	}                                                                                          \
	SEC("fmod_ret/" func) int BPF_PROG(name##_m, __VA_ARGS__, int ret)                         \
	{                                                                                          \
		return ret ? ret : (body);                                                         \
	}

/* One that only looks on. */
#define WATCH(name, lsm, func, body, ...)                                                          \
	SEC("lsm/" lsm) int BPF_PROG(name##_l, __VA_ARGS__)                                        \
	{                                                                                          \
		body;                                                                              \
		return 0;                                                                          \
	}                                                                                          \
	SEC("fentry/" func) int BPF_PROG(name##_m, __VA_ARGS__)                                    \
	{                                                                                          \
		body;                                                                              \
		return 0;                                                                          \
	}

/* ---- numfile ---- */

/*
 * What outsiders do not come to is in functions of its own: the registers that these need are saved for nobody else.
 */
static __noinline int file_of_vps(struct file *f)
{
	uint32_t slot = slot_here();

	return slot ? add_object(&files, files_mask, address(f), slot, UBC_NUMFILE, -ENFILE, CURRENT) : 0;
}

static __noinline void file_gone(struct file *f)
{
	drop_object(&files, files_mask, address(f));
}

HOOK(file_alloc, "file_alloc_security", "security_file_alloc", of_node(f->f_cred) ? 0 : file_of_vps(f), struct file *f)

/*
 * Of files the whole node opens and closes many. With either method: an LSM program is called after a call of the kernel
 * into nothing and before one, this is a third cheaper.
 */
SEC("fentry/security_file_free") int BPF_PROG(file_free, struct file *f)
{
	if (!of_node(f->f_cred))
		file_gone(f);
	return 0;
}

/* ---- numtcpsock, numothersock ---- */

static __always_inline int sock_made(struct socket *sock, int family, int type, int proto, int kern)
{
	uint32_t slot = kern ? NONE : current_slot();

	return slot ? add_object(&socks, socks_mask, address(sock->sk), slot, kind_of(family, type & SOCK_TYPE, proto),
				 -ENOBUFS, CURRENT) :
		      0;
}

/* The owner is the listener's: this runs in softirq, where `current` is anybody. */
static __always_inline int sock_asked(const struct sock *sk)
{
	struct ubc_owner *o = find(&socks, socks_mask, address(sk));

	return o && over_limit(o->slot, o->counter, 1, false) ? -ENOBUFS : 0;
}

static __always_inline int sock_born(const struct sock *from, struct sock *newsk, enum who refuse)
{
	struct ubc_owner *o = find(&socks, socks_mask, address(from));

	return o ? add_object(&socks, socks_mask, address(newsk), o->slot, o->counter, -ENOBUFS, refuse) : 0;
}

static __always_inline void sock_gone(struct sock *sk)
{
	drop_object(&socks, socks_mask, address(sk));
}

HOOK(sock_create, "socket_post_create", "security_socket_post_create", sock_made(sock, family, type, proto, kern),
     struct socket *sock, int family, int type, int proto, int kern)
HOOK(sock_syn, "inet_conn_request", "security_inet_conn_request", sock_asked(sk), const struct sock *sk,
     struct sk_buff *skb, struct request_sock *req)
WATCH(sock_clone, "sk_clone_security", "security_sk_clone", (void)sock_born(sk, newsk, NOBODY), const struct sock *sk,
      struct sock *newsk)
HOOK(sock_unix, "unix_stream_connect", "security_unix_stream_connect", sock_born(other, newsk, CURRENT),
     struct sock *sock, struct sock *other, struct sock *newsk)
WATCH(sock_free, "sk_free_security", "security_sk_free", sock_gone(sk), struct sock *sk)

/*
 * ---- numflock: the allocation of a lock is inlined into fs/locks.c and cannot be seen. locks_copy_lock() runs once
 * for each lock that is put into a list, locks_unlink_lock_ctx() once for each that is taken out.
 */

static __always_inline int lock_asked(unsigned int cmd)
{
	uint32_t slot = cmd == F_UNLCK ? NONE : current_slot();

	return slot && over_limit(slot, UBC_NUMFLOCK, 1, true) ? -ENOLCK : 0;
}

HOOK(lock_ask, "file_lock", "security_file_lock", lock_asked(cmd), struct file *f, unsigned int cmd)

SEC("fentry/locks_copy_lock") int BPF_PROG(lock_made, struct file_lock *new, struct file_lock *fl)
{
	uint32_t slot = current_slot();

	if (slot)
		(void)add_object(&locks, locks_mask, address(new), slot, UBC_NUMFLOCK, 0, NOBODY);
	return 0;
}

SEC("fentry/locks_unlink_lock_ctx") int BPF_PROG(lock_gone, struct file_lock *fl)
{
	drop_object(&locks, locks_mask, address(fl));
	return 0;
}

/* ---- numpty ---- */

/* A process in a VPS's group opens a device (ptys.c) */
SEC("cgroup/dev") int pty_dev(struct bpf_cgroup_dev_ctx *dev)
{
	const uint32_t type = dev->access_type & 0xffff, access = dev->access_type >> 16;
	uint32_t slot;

	if (type != BPF_DEVCG_DEV_CHAR || dev->major != PTMX_MAJOR || dev->minor != PTMX_MINOR ||
	    !(access & (BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)))
		return 1;
	slot = current_slot();
	if (!slot || !over_limit(slot, UBC_NUMPTY, 1, true))
		return 1;
	(void)bpf_set_retval(-ENOSPC);
	return 0;
}

SEC("fexit/devpts_new_index") int BPF_PROG(pty_made, void *fsi, int ret)
{
	struct pty_key key = { (uint64_t)fsi, (uint64_t)ret };
	uint32_t slot = ret < 0 ? NONE : current_slot();

	if (slot)
		add_pty(&key, slot);
	return 0;
}

SEC("fentry/devpts_kill_index") int BPF_PROG(pty_gone, void *fsi, int index)
{
	struct pty_key key = { (uint64_t)fsi, (uint64_t)index };

	drop_pty(&key);
	return 0;
}

/*
 * ---- shmpages: tmpfs, memfd_create(2), System V, mappings shared by a family. All of it asks security_vm_enough_memory_mm()
 * for its pages, as private memory does, and there nothing tells one from the other: so the functions that lead there say
 * on their way in that the process is at work on shared memory. What is asked for is charged at once and made good on
 * the way out, when the file knows what it has.
 */
struct shm_work {
	uint32_t slot, pad; /* NONE: it is not at work */
	uint64_t pages; /* charged on the way */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct shm_work);
} shm_works SEC(".maps");

static __always_inline struct shm_work *shm_working(void)
{
	struct shm_work *w = bpf_task_storage_get(&shm_works, bpf_get_current_task_btf(), NULL, 0);

	return w && w->slot ? w : NULL;
}

static __always_inline void shm_enter(void)
{
	uint32_t slot = current_slot();
	struct shm_work *w;

	if (!slot)
		return;
	w = bpf_task_storage_get(&shm_works, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!w)
		return;
	w->slot = slot;
	w->pages = 0;
}

/* Whoever asked for more is the owner of a file that had none yet. */
static __always_inline void shm_leave(struct inode *inode)
{
	struct shm_work *w;
	uint32_t slot = NONE;

	if (of_node(bpf_get_current_task_btf()->cred))
		return;
	w = shm_working();
	if (w) {
		slot = w->pages ? w->slot : NONE;
		w->slot = NONE;
		uncharge(slot, UBC_SHMPAGES, w->pages);
	}
	sync_shm(inode, slot);
}

/* A file whose pages were promised when it was made. @inode NULL: it was not. */
static __always_inline void shm_made(struct inode *inode)
{
	struct shm_work *w;
	struct shm_owner o = {};
	uint64_t key;

	if (of_node(bpf_get_current_task_btf()->cred))
		return;
	w = shm_working();
	if (!w)
		return;
	o.slot = w->slot;
	o.pages = o.reserved = w->pages;
	w->slot = NONE;
	if (!o.pages)
		return;
	key = address(inode);
	if (!inode || bpf_map_update_elem(&shms, &key, &o, BPF_NOEXIST))
		uncharge(o.slot, UBC_SHMPAGES, o.pages);
}

SEC("fmod_ret/security_vm_enough_memory_mm") int BPF_PROG(shm_enough, struct mm_struct *mm, long pages, int ret)
{
	struct shm_work *w;

	if (ret || pages <= 0 || of_node(bpf_get_current_task_btf()->cred))
		return ret;
	w = shm_working();
	if (!w)
		return 0;
	if (charge(w->slot, UBC_SHMPAGES, (uint64_t)pages, CURRENT))
		return -ENOMEM;
	w->pages += (uint64_t)pages;
	return 0;
}

/* @inode: of the file, on the way out */
#define SHM(name, func, inode, ...)                                                                \
	SEC("fentry/" func) int BPF_PROG(shm_##name##_in)                                          \
	{                                                                                          \
		shm_enter();                                                                       \
		return 0;                                                                          \
	}                                                                                          \
	SEC("fexit/" func) int BPF_PROG(shm_##name, __VA_ARGS__)                                   \
	{                                                                                          \
		shm_leave(inode);                                                                  \
		return 0;                                                                          \
	}

SHM(write, "shmem_write_begin", mapping->host, void *file, struct address_space *mapping)
SHM(fault, "shmem_fault", vmf->vma->vm_file->f_inode, struct vm_fault *vmf)
SHM(fallocate, "shmem_fallocate", f->f_inode, struct file *f)

SEC("fexit/shmem_setattr") int BPF_PROG(shm_setattr, void *map, struct dentry *d)
{
	shm_leave(d->d_inode);
	return 0;
}

SEC("fentry/shmem_kernel_file_setup") int BPF_PROG(shm_make_in)
{
	shm_enter();
	return 0;
}

SEC("fexit/shmem_kernel_file_setup")
int BPF_PROG(shm_make, const char *name, long long size, unsigned long flags, struct file *f)
{
	shm_made(address(f) < -(uint64_t)ERRNO_MAX ? f->f_inode : NULL);
	return 0;
}

SEC("fentry/shmem_zero_setup") int BPF_PROG(shm_zero_in)
{
	shm_enter();
	return 0;
}

/* The function above is a part of this one, where the compiler liked it so. */
SEC("fexit/shmem_zero_setup") int BPF_PROG(shm_zero, struct vm_area_struct *vma, int ret)
{
	shm_made(ret ? NULL : vma->vm_file->f_inode);
	return 0;
}

SEC("fentry/shmem_evict_inode") int BPF_PROG(shm_gone, struct inode *inode)
{
	uint64_t key = address(inode);
	struct shm_owner *o = bpf_map_lookup_elem(&shms, &key), was;

	if (!o)
		return 0;
	was = *o;
	if (bpf_map_delete_elem(&shms, &key) == 0)
		uncharge(was.slot, UBC_SHMPAGES, was.pages);
	return 0;
}

/* ---- privvmpages, lockedpages: what an address space had when it was last looked at ---- */

SEC("fexit/vm_mmap_pgoff") int BPF_PROG(mm_mapped)
{
	sync_mm(bpf_get_current_task_btf()->mm, current_slot());
	return 0;
}

SEC("tp_btf/sched_process_fork") int BPF_PROG(mm_forked, struct task_struct *parent, struct task_struct *child)
{
	sync_mm(child->mm, current_slot());
	return 0;
}

SEC("fentry/exit_mmap") int BPF_PROG(mm_gone, struct mm_struct *mm)
{
	uint64_t key = (uint64_t)mm;
	struct mm_owner *o = bpf_map_lookup_elem(&mms, &key), was;

	if (!o)
		return 0;
	was = *o;
	if (bpf_map_delete_elem(&mms, &key) == 0) {
		uncharge(was.slot, UBC_PRIVVMPAGES, was.priv);
		uncharge(was.slot, UBC_LOCKEDPAGES, was.locked);
	}
	return 0;
}

#define AFTER(call)                                                                                \
	SEC("fexit/__x64_sys_" #call) int BPF_PROG(mm_after_##call)                                \
	{                                                                                          \
		sync_mm(bpf_get_current_task_btf()->mm, current_slot());                           \
		return 0;                                                                          \
	}
AFTER(mlock)
AFTER(mlock2)
AFTER(munlock)
AFTER(mlockall)
AFTER(munlockall)
AFTER(munmap)
AFTER(brk)
AFTER(mremap)
AFTER(mprotect)

/* With either method: the LSM hook of this place cannot refuse, the function can. Ordinary memory ends at the barrier. */
SEC("fmod_ret/security_vm_enough_memory_mm") int BPF_PROG(mm_enough, struct mm_struct *mm, long pages, int ret)
{
	uint32_t slot;
	struct ubc_slot *s;

	if (ret || pages <= 0)
		return ret;
	slot = current_slot();
	s = slot_at(slot);
	if (!s || shm_working())
		return 0;
	sync_mm(mm, slot);
	return over(s, UBC_PRIVVMPAGES, (uint64_t)pages, s->row[UBC_PRIVVMPAGES].barrier, true) ? -ENOMEM : 0;
}

/* Mappings that the function above is not asked about */
static __always_inline int mm_mapping(unsigned long flags)
{
	struct mm_struct *mm = bpf_get_current_task_btf()->mm;
	struct ubc_slot *s;

	/* mlockall(MCL_FUTURE) */
	if (mm && bpf_core_field_exists(mm->def_flags) && mm->def_flags & VM_LOCKED)
		flags |= MAP_LOCKED;
	if (!(flags & (MAP_NORESERVE | MAP_LOCKED)))
		return 0;
	s = slot_at(current_slot());
	if (!s)
		return 0;
	if (flags & MAP_NORESERVE && over(s, UBC_PRIVVMPAGES, 1, s->row[UBC_PRIVVMPAGES].barrier, true))
		return -ENOMEM;
	return flags & MAP_LOCKED && over(s, UBC_LOCKEDPAGES, 1, s->row[UBC_LOCKEDPAGES].limit, true) ? -EAGAIN : 0;
}

SEC("lsm/mmap_file")
int BPF_PROG(mm_map_l, struct file *f, unsigned long asked, unsigned long prot, unsigned long flags, int ret)
{
	return ret ? ret : mm_mapping(flags);
}

SEC("fmod_ret/security_mmap_file")
int BPF_PROG(mm_map_m, struct file *f, unsigned long prot, unsigned long flags, int ret)
{
	return ret ? ret : mm_mapping(flags);
}

/* The copy of an address space is checked piece by piece against a count that does not grow meanwhile: so here, whole. */
static __always_inline int mm_forking(unsigned long flags)
{
	struct ubc_slot *s = flags & CLONE_VM ? NULL : slot_at(current_slot());
	struct mm_struct *mm = bpf_get_current_task_btf()->mm;

	if (!s || !mm)
		return 0;
	return over(s, UBC_PRIVVMPAGES, mm->data_vm + mm->stack_vm, s->row[UBC_PRIVVMPAGES].barrier, true) ? -ENOMEM :
													      0;
}

HOOK(mm_fork, "task_alloc", "security_task_alloc", mm_forking(flags), struct task_struct *t, unsigned long flags)

/* ---- the cgroup method: sockets of the Internet that socket(2) and accept(2) make; keyed by cookie, which is never used again ---- */

/* A socket's, and copied to those that are made of it as a caller comes */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct ubc_owner);
} callers SEC(".maps");

static __always_inline int cg_made(struct bpf_sock *sk, uint32_t slot, enum who who)
{
	uint32_t c = kind_of(sk->family, sk->type, sk->protocol);
	struct ubc_owner o = { slot, c };

	if (!slot)
		return 1;
	if (!add_object(&socks, socks_mask, bpf_get_socket_cookie(sk), slot, c, 1, who)) {
		if (c == UBC_NUMTCPSOCK)
			(void)bpf_sk_storage_get(&callers, sk, &o, BPF_SK_STORAGE_GET_F_CREATE);
		return 1;
	}
	(void)bpf_set_retval(-ENOBUFS);
	return 0;
}

/*
 * Sockets that accept(2) gives, from when the caller has come through: counted; nobody can be refused here. They end with
 * the file, or with the connection if nobody accepted them.
 */
SEC("sockops") int cg_tcp(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct ubc_owner *o;

	if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == TCP_CLOSE)
		drop_object(&socks, socks_mask, bpf_get_socket_cookie(ops));
	if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !sk)
		return 1;
	o = bpf_sk_storage_get(&callers, sk, NULL, 0);
	if (!o)
		return 1;
	(void)add_object(&socks, socks_mask, bpf_get_socket_cookie(ops), o->slot, o->counter, 0, NOBODY);
	(void)bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	return 1;
}

SEC("cgroup/sock_create") int cg_create(struct bpf_sock *sk)
{
	return cg_made(sk, current_slot(), CURRENT);
}

/* The same without types of the kernel: where it has no BTF, or is locked down so that we may not read what is its own */
SEC("cgroup/sock_create") int cg_plain(struct bpf_sock *sk)
{
	return cg_made(sk, slot_here(), CURRENT_PLAIN);
}

SEC("cgroup/sock_release") int cg_release(struct bpf_sock *sk)
{
	uint64_t key = bpf_get_socket_cookie(sk);

	drop_object(&socks, socks_mask, key);
	return 1;
}
