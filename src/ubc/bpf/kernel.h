/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_BPF_KERNEL_H
#define UBC_BPF_KERNEL_H

/*
 * The few fields of the kernel's structures that we read, by hand: names and types are what counts, offsets come from
 * the BTF of the kernel that runs (CO-RE). Tried on 6.1 and 6.12. What only some kernels have ends in ___old or ___new.
 */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s64 int64_t;
typedef _Bool bool;

#define NULL	    ((void *)0)
#define true	    1
#define false	    0
#define INT64_MAX   0x7fffffffffffffffLL
#define UINT32_C(x) x##U

/* include/uapi/linux/bpf.h */
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
#define __noinline __attribute__((noinline))
enum { BPF_F_NO_PREALLOC = 1, BPF_F_CLONE = 512, BPF_F_MMAPABLE = 1024 };
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_TASK_STORAGE = 29
};
enum { BPF_SK_STORAGE_GET_F_CREATE = 1, BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };
enum { BPF_DEVCG_DEV_CHAR = 2, BPF_DEVCG_ACC_READ = 2, BPF_DEVCG_ACC_WRITE = 4 };
struct bpf_cgroup_dev_ctx {
	__u32 access_type; /* kind << 16 | type */
	__u32 major, minor;
};
struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol;
};

enum { BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5, BPF_SOCK_OPS_STATE_CB = 10, BPF_SOCK_OPS_STATE_CB_FLAG = 4 };
enum { TCP_CLOSE = 7 };
struct bpf_sock_ops {
	__u32 op, args[4];
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	__u32 is_fullsock, snd_cwnd, srtt_us, bpf_sock_ops_cb_flags, state, rtt_min, snd_ssthresh, rcv_nxt, snd_nxt,
		snd_una, mss_cache, ecn_flags, rate_delivered, rate_interval_us, packets_out, retrans_out, total_retrans,
		segs_in, data_segs_in, segs_out, data_segs_out, lost_out, sacked_out, sk_txhash;
	__u64 bytes_received, bytes_acked;
	struct bpf_sock *sk;
};

/* errno and other numbers of the system call interface */
enum { EPERM = 1, EAGAIN = 11, ENOMEM = 12, EEXIST = 17, ENFILE = 23, ENOSPC = 28, ENOLCK = 37, ENOBUFS = 105 };
enum { AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_TYPE = 0xf, IPPROTO_TCP = 6 };
enum { F_UNLCK = 2, CLONE_VM = 0x100, MAP_LOCKED = 0x2000, MAP_NORESERVE = 0x4000 };
/* the kernel's own, the same since 5.14 */
enum { VM_SHARED = 8, VM_LOCKED = 0x2000, FMODE_WRITE = 2, TMPFS_MAGIC = 0x01021994, ERRNO_MAX = 4095 };
enum { PTMX_MAJOR = 5, PTMX_MINOR = 2, PTMX = 5 << 20 | 2, S_IFMT = 0170000, S_IFSOCK = 0140000 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next, *prev;
};
typedef struct {
	int counter;
} atomic_t;
typedef struct {
	long counter;
} atomic_long_t;

struct pid_namespace;
struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct pid {
	unsigned int level;
	struct upid numbers[];
};

struct kernfs_node {
	__u64 id;
};
struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[];
};
struct cgroup___old { /* before 6.1 */
	__u64 ancestor_ids[0];
};
struct css_set {
	struct cgroup *dfl_cgrp;
};

struct user_namespace {
	int level; /* 0: the node's own */
};
struct cred {
	struct user_namespace *user_ns;
};
struct mm_struct {
	atomic_t mm_users;
	unsigned long data_vm, stack_vm, locked_vm, def_flags;
};
struct task_struct {
	struct mm_struct *mm;
	int pid, tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct css_set *cgroups;
	const struct cred *cred;
};

struct file_lock_context {
	struct list_head flc_flock, flc_posix;
};
struct super_block {
	unsigned long s_magic;
};
struct inode {
	__u16 i_mode;
	__u32 i_rdev;
	atomic_t i_count;
	__u64 i_blocks;
	struct super_block *i_sb;
	struct file_lock_context *i_flctx;
};
struct file {
	struct inode *f_inode;
	const struct cred *f_cred;
	void *private_data;
	__u32 f_mode;
};
struct file___old { /* before 6.13 */
	atomic_long_t f_count;
};
struct file___new {
	struct {
		atomic_long_t refcnt;
	} f_ref;
};
struct address_space {
	struct inode *host;
};
struct dentry {
	struct inode *d_inode;
};
struct vm_area_struct {
	unsigned long vm_flags;
	struct file *vm_file;
};
struct vm_fault {
	struct vm_area_struct *vma;
};
struct file_lock___old { /* before 6.9 */
	struct list_head fl_list;
};
struct file_lock_core {
	struct list_head flc_list;
};

struct tty_struct {
	int index;
	void *driver_data;
};
struct tty_file_private {
	struct tty_struct *tty;
};

struct sock_common {
	__u16 skc_family;
	struct {
		atomic_t refs;
	} skc_refcnt;
};
struct sock {
	struct sock_common __sk_common;
	__u16 sk_type, sk_protocol;
};
struct socket {
	struct sock *sk;
};

struct bpf_iter_meta;
struct bpf_map;
struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

struct file_lock;
struct sk_buff;
struct request_sock;

#endif
