/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_UBC_H
#define UBC_UBC_H

#include "ubc/table.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Beancounters: one table for all VPSes of the node. It is the map `table` of the BPF programs, pinned, where the
 * node can count by BPF, else a file in vps_paths()->run of the same layout; readers map it and need no lock. What
 * the kernel's control groups count (processes, memory) is not kept up to date in it: ops lays both together, and
 * raises the maxheld of what can only be sampled (op_ubc_rows).
 */

/** ubc_name - "kmemsize"...; borrowed */
const char *ubc_name(enum ubc_counter c);
/** ubc_mode_name - "stored", "accounted", "guarantee", "enforced"; borrowed */
const char *ubc_mode_name(enum ubc_mode m);
/** ubc_by_name - Return: the counter, or -EINVAL. */
int ubc_by_name(const char *name);
/** ubc_method_name - "none", "cgroup", "fmod_ret", "lsm"; borrowed */
const char *ubc_method_name(enum ubc_method m);
/** ubc_group_of - programs that count and refuse for @c; -ENOENT: it is not one of theirs. */
int ubc_group_of(enum ubc_counter c);

/**
 * ubc_ensure - load programs and table unless they are there; made anew or upgraded in place when they are of another
 * version of Croft. Runs vz-ubc (the only program that links libbpf) where something is to be done.
 * Context: host namespaces; takes and gives back the loader's lock. Return: 0, also where this node can do nothing by
 * BPF (ubc_node_mode tells); -errno with @err.
 */
int ubc_ensure(struct vz_error *err) __attribute__((warn_unused_result));

/** ubc_node_mode - what was proved by canary for counter @c at load; UBC_STORED before a load */
enum ubc_mode ubc_node_mode(enum ubc_counter c);

/** ubc_node_method - what counts on this node; UBC_BY_NOTHING before a load */
enum ubc_method ubc_node_method(void);

/**
 * ubc_add - give VPS @ctid a slot before its first process runs, all zero and unlimited; one that it has is used again
 * @group: directory of the VPS's group in cgroup2: what is in it or below is charged
 * Context: VPS lock held, ubc_ensure ran. Return: 0; -ENOSPC (UBC_SLOTS are running); -errno, @err exit 6.
 */
int ubc_add(uint32_t ctid, const char *group, struct vz_error *err)
	__attribute__((warn_unused_result));
/** ubc_begin - ubc_add and ubc_limits at once, for start: mapping the table costs half a millisecond */
int ubc_begin(uint32_t ctid, const char *group, const uint64_t barrier[UBC_NR],
	      const uint64_t limit[UBC_NR], struct vz_error *err)
	__attribute__((warn_unused_result));
/** ubc_forget - after its last process: the slot is free again, once nothing of it is held. Failures are ignored. */
void ubc_forget(uint32_t ctid);
/**
 * ubc_limits - new barriers and limits of the running VPS @ctid, INT64_MAX = unlimited
 * Programs that count what is limited now are attached, those that nobody needs any more detached.
 * Return: 0; -ESRCH it has no slot; -errno, @err exit 6.
 */
int ubc_limits(uint32_t ctid, const uint64_t barrier[UBC_NR], const uint64_t limit[UBC_NR],
	       struct vz_error *err) __attribute__((warn_unused_result));

/** struct ubc_table - the mapped table */
struct ubc_table;

/** ubc_table_open - @write: maxheld can be raised. Return: 0; -ENOENT nothing ran yet; -ESTALE another layout; -errno. */
int ubc_table_open(bool write, struct ubc_table **ret) __attribute__((warn_unused_result));
void ubc_table_close(struct ubc_table **t);
#define UBC_TABLE __attribute__((cleanup(ubc_table_close)))
/** ubc_slot - slot of @ctid, borrowed, live memory that changes under the reader; NULL: it has none */
struct ubc_slot *ubc_slot(struct ubc_table *t, uint32_t ctid);
/** ubc_raise - row @c of @slot: maxheld becomes at least @held (compare and exchange) */
void ubc_raise(struct ubc_slot *slot, enum ubc_counter c, uint64_t held);

/* note.c */

/** ubc_counted - do programs count @c of @slot now, so that its row says what is held */
bool ubc_counted(struct ubc_table *t, const struct ubc_slot *slot, enum ubc_counter c);
/**
 * ubc_note - a control group says that it has refused @failcnt times: what is more than the row knew becomes
 * one record of the ring, whoever of several readers sees it first. Who asked is not known: command "-", pid 0;
 * @asked is how many refusals the record stands for. Context: table opened for writing.
 */
void ubc_note(struct ubc_slot *slot, enum ubc_counter c, uint64_t failcnt, uint64_t held,
	      uint64_t limit);
/**
 * ubc_carry - for a restored VPS: what the row knew before. Who reads the refusals of a control group adds
 * slot->carried to them. Context: table opened for writing.
 */
void ubc_carry(struct ubc_slot *slot, enum ubc_counter c, uint64_t maxheld, uint64_t failcnt);
/** ubc_carry_refusal - likewise, for what is still known of one; @r->seq is of no account. Oldest first. */
void ubc_carry_refusal(struct ubc_slot *slot, const struct ubc_refusal *r);
/** ubc_refusals - copies of those with a number above @after that are still kept, oldest first. Return: how many. */
size_t ubc_refusals(const struct ubc_slot *slot, uint64_t after, struct ubc_refusal ret[UBC_RING]);

#endif
