/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_MIGRATE_H
#define OPS_MIGRATE_H

#include "migrate/migrate.h"
#include "ops/ops.h"

/* Moving a VPS to another node; docs/migrate.md. Errors have the exit statuses of enum mig_exit. */

/** enum op_move_mode - what op_move_way() tells of it */
enum op_move_mode {
	OP_MOVE_OFFLINE, /* a running VPS is stopped, and started there */
	OP_MOVE_WARM, /* suspended, resumed there */
	OP_MOVE_STOP_AND_COPY, /* frozen, and given up only when it is restored there */
	OP_MOVE_PRE_COPY, /* the same, with most of its memory copied while it runs */
	OP_MOVE_POST_COPY, /* the same, with most of its memory fetched when it runs there */
	OP_MOVE_HYBRID, /* both */
	OP_MOVE_AUTO, /* stop-and-copy or pre-copy, whichever suits the VPS */
	OP_MOVES
};

/**
 * struct op_move_way - a mode
 * @halt: what is told when it is halted; @still: what the time after it is called
 * @memory: its memory goes along, and it must run; @live: it is restored there before it is given up here
 * @rounds: memory is copied while it runs here; @lazy: memory is fetched while it runs there
 */
struct op_move_way {
	const char *name, *halt, *still;
	bool memory, live, rounds, lazy;
};

/** op_move_way - the row of @m < OP_MOVES. */
const struct op_move_way *op_move_way(enum op_move_mode m);
/** op_move_by_name - also "online", which is auto. 0; -ENOENT. */
int op_move_by_name(const char *name, enum op_move_mode *ret) __attribute__((warn_unused_result));

/** bits of --nodeps */
enum { OP_NODEPS_CPU = 1, OP_NODEPS_SPACE = 2, OP_NODEPS_ALL = 0xff };

/**
 * struct op_migrate - what vzmigrate was asked
 * @new_id: CTID there, 0 the same; @new_name: NULL the same
 * @fallback: a VPS that cannot be dumped moves by OP_MOVE_OFFLINE
 * @timeout_ms: of a silent link; @limit: bytes a second, 0 none
 */
struct op_migrate {
	const char *host;
	struct vz_list transport;
	enum op_move_mode mode;
	uint32_t new_id;
	const char *new_name;
	bool fallback, nostart, keep_dst, dry_run, remove, compress, whole, times, progress;
	unsigned int nodeps;
	uint64_t limit;
	int timeout_ms;
};

/** op_migrate - move VPS @ctid. Return: 0; -errno: it is where it was, unless @err says otherwise. */
int op_migrate(const struct op_env *env, uint32_t ctid, const struct op_migrate *a,
	       struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_migrate_receive - the other side, on two descriptors, which it takes over. Return: 0; -errno with @err, whose message is
 * empty where the source ended and there is nobody to be told.
 */
int op_migrate_receive(int in, int out, struct vz_error *err) __attribute__((warn_unused_result));

enum op_recover { OP_RECOVER_ASK, OP_RECOVER_OURS, OP_RECOVER_THEIRS };
/**
 * op_migrate_recover - complete or take back what a migration of @ctid that was cut off left
 * @how: OP_RECOVER_OURS, OP_RECOVER_THEIRS: on a target in doubt, the administrator's word
 */
int op_migrate_recover(const struct op_env *env, uint32_t ctid, enum op_recover how, int timeout_ms,
		       struct vz_error *err) __attribute__((warn_unused_result));

#endif
