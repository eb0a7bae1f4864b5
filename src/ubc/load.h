/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_LOAD_H
#define UBC_LOAD_H

#include "ubc/priv.h"

/* What only vz-ubc does; load.c is the only door to libbpf. */

/**
 * ubc_load - programs and table for this node: the best method that the canaries prove, else the table alone as a
 * file. What older programs of ours have counted is taken over.
 * @again: also when it was done by this version already; @below: of the methods worse than this one, UBC_METHODS: all
 * Context: host namespaces, as root. Return: 0; -errno with @err when not even the table can be made.
 */
int ubc_load(bool again, enum ubc_method below, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * ubc_unload - take the programs and the table away. Return: 0; -EBUSY, exit 32, VPSes run: without them their
 * limits would not hold; -errno.
 */
int ubc_unload(bool force, struct vz_error *err) __attribute__((warn_unused_result));

/** struct ubc_drift - what ubc_reconcile found and mended: @held was wrong by @more (negative: too little) */
struct ubc_drift {
	uint32_t ctid;
	enum ubc_counter counter;
	int64_t more;
};
/**
 * ubc_reconcile - compare held of each counter with the objects that are there, and mend it
 * @ret: malloc'ed, of *@ret_n
 * Return: 0; -ENOENT no programs are loaded; -errno.
 */
int ubc_reconcile(struct ubc_drift **ret, size_t *ret_n, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- canary.c ---- */

/**
 * ubc_canaries - try each counter of the attached programs in a group of cgroup2 of its own, and set what was proved in
 * the head
 * @groups: the map that binds a group to a slot
 * Return: 0; -errno: nothing could be tried.
 */
int ubc_canaries(struct ubc_table *t, int groups, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
