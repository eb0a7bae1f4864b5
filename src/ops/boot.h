/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_BOOT_H
#define OPS_BOOT_H

#include "ops/priv.h"

#include "context/context.h"
#include "dist/dist.h"

/* What start and resume have in common: the steps that make everything around init. */

/** struct starting - a VPS that comes up; @arg of the steps below */
struct starting {
	struct op *o;
	const struct op_start *a;
	bool was_mounted;
	int root, notify;
	struct ctx_fds fds;
	struct ctx_orders orders;
	struct ctx_start ctx;
	struct cg *cg;
	struct vps_state st;
	struct dist_init init;
	bool view; /* a server of the view is on its way */
	const struct vz_list *covered; /* resume: what its view covered before; NULL: a start */
};

#define OP_STARTING(op, args)                                                                      \
	{                                                                                          \
		.o = (op), .a = (args), .root = -1, .notify = -1,                                  \
		.fds = { .dev = -1, .group = -1, .seccomp = -1, .start_script = -1 },              \
		.ctx = CTX_START_NONE                                                              \
	}

/*
 * Steps of tables and their undos, as in struct op_step; @arg is a struct starting. mount: VE_ROOT; root: s->root;
 * groups: limits too; counters: beancounters; monitor: vzmon, and the server of the view; state: state.json.
 */
int op_boot_mount(void *arg, struct vz_error *err) __attribute__((warn_unused_result));
void op_boot_umount(void *arg);
int op_boot_root(void *arg, struct vz_error *err) __attribute__((warn_unused_result));
int op_boot_groups(void *arg, struct vz_error *err) __attribute__((warn_unused_result));
void op_boot_groups_remove(void *arg);
int op_boot_counters(void *arg, struct vz_error *err) __attribute__((warn_unused_result));
int op_boot_monitor(void *arg, struct vz_error *err) __attribute__((warn_unused_result));
void op_boot_monitor_abort(void *arg);
void op_boot_unlink(void *arg); /* the link of the network */
int op_boot_state(void *arg, struct vz_error *err) __attribute__((warn_unused_result));
void op_boot_state_forget(void *arg);

/** op_boot_seccomp - s->fds.seccomp, and its bytes beside the state. Return: 0; -errno with @err. */
int op_boot_seccomp(struct starting *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_boot_orders - s->orders from the configuration and what s holds. Return: 0; -errno with @err. */
int op_boot_orders(struct starting *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_boot_volumes - s->fds.volumes for --features nesting:on. Return: 0; -errno with @err. */
int op_boot_volumes(struct starting *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_boot_generation - of this start, for the name of its link. */
uint32_t op_boot_generation(uint32_t ctid);
/** op_boot_release - close and free what @s holds. */
void op_boot_release(struct starting *s);

#endif
