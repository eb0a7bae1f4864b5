/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_SENDING_H
#define OPS_SENDING_H

#include "checkpoint/checkpoint.h"
#include "ops/moving.h"

/**
 * struct sending - a VPS that leaves
 * @since: seconds of CLOCK_REALTIME; what changed at or after it is compared by content in the second copy
 * @stage: for the progress line
 */
struct sending {
	struct op *o;
	const struct op_migrate *a;
	struct op_link link;
	struct mig_journal j;
	enum op_move_mode mode;
	bool running, suspended, partial, send_template, told, committed;
	char token[33], token_path[PATH_MAX];
	int64_t since;
	const char *stage;
	char stage_text[40];
	struct op_chain chain; /* rounds that are there */
	uint64_t round_bytes[CPT_ROUNDS], dump_bytes;
	uint64_t begun_ms, halted_ms, going_ms, copied_bytes;
};

/** op_send_check - verb CHECK with all that the target looks at; its answer goes into @s. */
int op_send_check(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_send_files - verbs PREPARE, FILE for each small file, PLACE. */
int op_send_files(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_send_rounds - verbs ROUND: its memory while it runs, as long as each round has less than the one before. */
int op_send_rounds(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_send_end - after a stream: what the target says of it. 0; -errno with its error. */
int op_send_end(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_send_level - of zstd for memory, 0 not compressed. */
int op_send_level(const struct sending *s);
/** op_send_dump - verb FILE for the dump. */
int op_send_dump(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_send_tree - one copy of the files. @again: a second one, of what changed since the first began. */
int op_send_tree(struct sending *s, bool again, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_send_stage - tell where we are, on the screen and in the progress line. */
void op_send_stage(struct sending *s, const char *what);

#endif
