/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_SENDING_H
#define OPS_SENDING_H

#include "checkpoint/checkpoint.h"
#include "ops/moving.h"

/**
 * struct op_pages - memory that is fetched after the move, see migrate-pages.c
 * @ours, @theirs: ends of the stream to the CRIU that hands it out; @pid: the process that carries it to @link, 0 none
 * @out: where that one tells; @sent: bytes so far, shared with it
 */
struct op_pages {
	int ours, theirs, out;
	pid_t pid;
	uint64_t *sent;
	struct op_link link;
};
#define OP_PAGES_NONE                                                                              \
	{                                                                                          \
		.ours = -EBADF, .theirs = -EBADF, .out = -EBADF                                    \
	}

/**
 * struct sending - a VPS that leaves
 * @since: seconds of CLOCK_REALTIME; what changed at or after it is compared by content in the second copy
 * @at: for the progress line
 */
struct sending {
	struct op *o;
	const struct op_migrate *a;
	struct op_link link;
	struct op_pages pages;
	struct mig_journal j;
	enum op_move_mode mode;
	bool running, suspended, partial, send_template, told, committed;
	char token[33], token_path[PATH_MAX];
	int64_t since;
	struct mig_progress at;
	char stage_text[40];
	struct op_chain chain; /* rounds that are there */
	uint64_t round_bytes[CPT_ROUNDS], dump_bytes;
	uint64_t begun_ms, halted_ms, going_ms, copied_bytes, file_bytes, memory_bytes;
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

/** op_pages_stream - before the dump: a stream, whose end @s->pages.theirs is for CRIU. */
int op_pages_stream(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_pages_begin - after the dump is there: the second connection, then CRIU hands out memory over it; the VPS stays
 * frozen, its link is down. Return: 0; -errno with @err. op_pages_end in any case.
 */
int op_pages_begin(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_pages_intact - just before the commit: 0; -errno: the stream has ended. */
int op_pages_intact(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_pages_wait - after it: until all memory is there. 0; -errno: the VPS was killed there, and starts anew. */
int op_pages_wait(struct sending *s, struct vz_error *err) __attribute__((warn_unused_result));
/** op_pages_end - cut the stream, if it is there. */
void op_pages_end(struct sending *s);

/** op_send_stage - tell where we are, on the screen and in the progress line. @whole: bytes at the most, 0 not known. */
void op_send_stage(struct sending *s, const char *what, uint64_t whole);
/** op_send_whole - how many bytes there are in this stage is known now, and sending begins. */
void op_send_whole(struct sending *s, uint64_t bytes);
/** op_send_sent - bytes that have gone so far, on all connections. */
uint64_t op_send_sent(const struct sending *s);

#endif
