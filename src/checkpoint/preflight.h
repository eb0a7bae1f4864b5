/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CHECKPOINT_PREFLIGHT_H
#define CHECKPOINT_PREFLIGHT_H

#include "util/error.h"
#include "util/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Can this VPS be checkpointed? Asked before anything is frozen, of /proc alone. What CRIU refuses is
 * found in its files.c, sk-inet.c, filesystems.c and namespaces.c; what it loses without a word is
 * listed in docs/checkpoint.md.
 */

/** enum cpt_kind - what stands in the way; names by cpt_kind_name() */
enum cpt_kind {
	CPT_IO_URING,
	CPT_ANON_FILE, /* an anonymous file that CRIU does not know */
	CPT_SECRET_MEMORY,
	CPT_SOCKET, /* a socket of a family or protocol that CRIU does not know */
	CPT_MQUEUE, /* a POSIX message queue, open or not */
	CPT_SEMAPHORE, /* EFD_SEMAPHORE would be lost without a word */
	CPT_NAMESPACE, /* nested pid, user, uts, ipc, cgroup or time namespace */
	CPT_PTRACE,
	CPT_DEVICE,
	CPT_MOUNT,
	CPT_OUTSIDER, /* a process of `exec` or `enter`: it will be ended */
	CPT_VFORK, /* found by cpt_in_vfork alone */
	CPT_TERMINAL, /* a shell of busybox or dash that edits lines on a terminal */
	CPT_KINDS
};

/** struct cpt_finding - one object of one process; texts are the tenant's: quote them */
struct cpt_finding {
	enum cpt_kind kind;
	bool blocker; /* else a warning */
	pid_t pid, pid_inside;
	char comm[16];
	char object[128];
};

/** struct cpt_findings - at most @CPT_FINDINGS are kept; @blockers counts all */
enum { CPT_FINDINGS = 256 };
struct cpt_findings {
	struct cpt_finding v[CPT_FINDINGS];
	size_t n, blockers, warnings;
};

/** struct cpt_load - what a checkpoint will have to carry */
struct cpt_load {
	size_t processes; /* that belong to the tree of init */
	size_t outsiders;
	uint64_t memory_bytes; /* anonymous and shared memory, swapped out or not */
	uint64_t shared_bytes; /* of it shared, and in tmpfs: no round carries it */
};

/** cpt_kind_name - a stable word for programs; cpt_kind_text - what it is, for people. */
const char *cpt_kind_name(enum cpt_kind kind);
const char *cpt_kind_text(enum cpt_kind kind);

/** struct cpt_ours - mounts that whoever restores makes again: paths of the view (state.json), and those of given.c */
struct cpt_givens;
struct cpt_ours {
	const struct vz_list *view;
	const struct cpt_givens *given;
};

/**
 * cpt_scan - look at every process of a VPS
 * @pids: @n of them, host's numbers; those that end meanwhile are left out; @init: its process 1
 * Nothing of the tenant's is opened: links, fdinfo and maps of /proc are read, and attributes that the
 * kernel has in memory. The VPS runs on.
 * Context: host namespaces. Return: 0; -ESRCH when init is gone; -ENOMEM; @err exit 16.
 */
int cpt_scan(const pid_t *pids, size_t n, pid_t init, const struct cpt_ours *ours,
	     struct cpt_findings *ret, struct cpt_load *ret_load, struct vz_error *err)
	__attribute__((warn_unused_result));

/** cpt_dirty_tracked - does this kernel tell which memory was written to? */
bool cpt_dirty_tracked(void);

/**
 * cpt_in_vfork - is one of @n processes waiting in vfork(2) for its child? CRIU could not stop it then (vfork.c)
 * Context: host namespaces; they stand still, else what is found is old. Return: whether; it is @ret then.
 */
bool cpt_in_vfork(const pid_t *pids, size_t n, struct cpt_finding *ret);

/**
 * cpt_dirty - how many bytes of memory the processes write anew in a second, each page once
 * @ms: how long to look
 * Resets the soft-dirty bits of each process: not while a checkpoint in rounds is under way.
 * Return: 0; -EOPNOTSUPP: this kernel does not track it (CONFIG_MEM_SOFT_DIRTY); -errno.
 */
int cpt_dirty(const pid_t *pids, size_t n, unsigned int ms, uint64_t *ret_bytes_per_s)
	__attribute__((warn_unused_result));

/**
 * cpt_write_rate - bytes a second that a file in @dir takes now, by writing one without a name
 * Return: 0; -errno (-ENOSPC).
 */
int cpt_write_rate(const char *dir, uint64_t *ret_bytes_per_s) __attribute__((warn_unused_result));

/** cpt_frozen_ms - how long a VPS stands still in a checkpoint that writes all its memory at @rate bytes a second */
uint64_t cpt_frozen_ms(const struct cpt_load *l, uint64_t rate);

/**
 * cpt_rounds_ms - the same when memory was copied in rounds before, as long as that makes the rest smaller
 * @dirty: bytes a second of cpt_dirty(); @ret_rounds: before the last, frozen one
 */
uint64_t cpt_rounds_ms(const struct cpt_load *l, uint64_t rate, uint64_t dirty,
		       unsigned int *ret_rounds);

#endif
